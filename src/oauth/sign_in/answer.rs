//! What a browser brings back from the authorization endpoint, RFC 6749 section 4.1.2.

use oauth2::url::{Url, form_urlencoded};

use crate::oauth::response::ErrorResponse;
use crate::secret::Secret;

/// The end of the part that happens in a browser.
#[derive(Debug)]
pub enum Answer {
    /// To be redeemed for tokens, once and within minutes.
    Code(Secret),
    /// The person or the server would not.
    Refused(ErrorResponse),
}

/// A text that does not answer this sign-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// `state` is missing or another: forged, or left over from an earlier try (RFC 6749 section 10.12).
    #[error(
        "the address belongs to another sign-in: open the address that was printed last, and use the one it leads to"
    )]
    OtherSignIn,
    /// Neither a code nor an error.
    #[error(
        "there is no code in it: copy the whole address that the browser shows after the sign-in"
    )]
    NoAnswer,
}

impl Answer {
    /// Reads the query of the redirect; `state` is what was sent.
    pub(super) fn from_query(query: &str, state: &Secret) -> Result<Self, AnswerError> {
        let parameter = |name: &str| {
            // The last one: what stood in the redirect URI itself comes first.
            form_urlencoded::parse(query.as_bytes())
                .filter(|(key, value)| key == name && !value.is_empty())
                .last()
                .map(|(_, value)| value.into_owned())
        };
        let error = parameter("error");
        let code = parameter("code");
        if error.is_none() && code.is_none() {
            return Err(AnswerError::NoAnswer);
        }
        if parameter("state").as_deref() != Some(state.reveal()) {
            return Err(AnswerError::OtherSignIn);
        }
        if let Some(error) = error {
            // The shape of the token endpoint's, so that one reader explains both.
            let body = serde_json::json!({
                "error": error,
                "error_description": parameter("error_description"),
            });
            let response = ErrorResponse::decode(body.to_string().as_bytes(), None);
            return response.map(Self::Refused).ok_or(AnswerError::NoAnswer);
        }
        code.map(|code| Self::Code(Secret::new(code)))
            .ok_or(AnswerError::NoAnswer)
    }

    /// Reads what somebody has pasted: the whole address, or only the code. For a code alone there is
    /// no `state` to be compared; that it is of this sign-in is proved by PKCE.
    pub fn from_paste(text: &str, state: &Secret) -> Result<Self, AnswerError> {
        let text = text
            .trim()
            .trim_matches(|quote| matches!(quote, '"' | '\'' | '<' | '>'));
        if let Ok(url) = Url::parse(text)
            && matches!(url.scheme(), "http" | "https")
        {
            return Self::from_query(url.query().unwrap_or_default(), state);
        }
        if text.contains("code=") || text.contains("error=") {
            let query = text.split_once('?').map_or(text, |(_, query)| query);
            return Self::from_query(query, state);
        }
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AnswerError::NoAnswer);
        }
        // Cut out of an address it is still percent-encoded; a plus is meant.
        let encoded = format!("code={}", text.replace('+', "%2B").replace('&', "%26"));
        let decoded = form_urlencoded::parse(encoded.as_bytes()).next();
        decoded
            .map(|(_, code)| Self::Code(Secret::new(code.into_owned())))
            .ok_or(AnswerError::NoAnswer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> Secret {
        Secret::new("st-4te")
    }

    fn code(answer: Result<Answer, AnswerError>) -> String {
        match answer.unwrap() {
            Answer::Code(code) => code.reveal().to_owned(),
            Answer::Refused(response) => panic!("{response}"),
        }
    }

    #[test]
    fn address_or_code_may_be_pasted() {
        for text in [
            "http://localhost/?code=1.AX%2Fo+A&state=st-4te&session_state=x",
            "  https://login.microsoftonline.com/common/oauth2/nativeclient?state=st-4te&code=1.AX/o+A\r\n",
            "\"http://localhost/cb?code=own&state=own&code=1.AX%2Fo%20A&state=st-4te\"",
            "localhost/?code=1.AX%2Fo+A&state=st-4te",
            "code=1.AX%2Fo+A&state=st-4te",
        ] {
            assert_eq!(code(Answer::from_paste(text, &state())), "1.AX/o A");
        }
        assert_eq!(code(Answer::from_paste("4%2F0AX-_~", &state())), "4/0AX-_~");
        assert_eq!(code(Answer::from_paste("M.C5+x&y", &state())), "M.C5+x&y");
    }

    #[test]
    fn other_state_is_refused_even_of_an_error() {
        for text in [
            "http://localhost/?code=1&state=other",
            "http://localhost/?code=1",
            "http://localhost/?error=access_denied&state=",
            "code=1&state=st-4t",
        ] {
            let refused = Answer::from_paste(text, &state()).unwrap_err();
            assert_eq!(refused, AnswerError::OtherSignIn, "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_said_so() {
        for text in [
            "",
            "\n",
            "yes please",
            "http://localhost/?state=st-4te",
            "http://localhost/?code=&state=st-4te",
            "https://login.microsoftonline.com/",
        ] {
            let refused = Answer::from_paste(text, &state()).unwrap_err();
            assert_eq!(refused, AnswerError::NoAnswer, "{text}");
        }
    }

    #[test]
    fn refusal_keeps_number_and_words() {
        let text = "http://localhost/?error=access_denied&error_description=AADSTS65004%3a+User+declined+to+consent.%0d%0aTrace+ID%3a+t-1&state=st-4te";
        let Answer::Refused(response) = Answer::from_paste(text, &state()).unwrap() else {
            panic!("not refused");
        };
        assert_eq!(response.aadsts(), Some(65_004));
        assert_eq!(
            response.to_string(),
            "access_denied: AADSTS65004: User declined to consent. Trace ID: t-1"
        );
    }
}
