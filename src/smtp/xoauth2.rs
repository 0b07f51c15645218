//! The XOAUTH2 mechanism: `base64("user=" user ^A "auth=Bearer " token ^A ^A)`.
//!
//! Not an RFC; described by Microsoft ("Authenticate an IMAP, POP or SMTP connection using OAuth")
//! and Google ("OAuth 2.0 mechanism"), who agree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nom::bytes::complete::{tag, tag_no_case, take_till1};
use nom::combinator::all_consuming;
use nom::{IResult, Parser};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What an XOAUTH2 response says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xoauth2Credentials {
    /// The mailbox to send from.
    pub user: String,
    /// The access token.
    pub token: Secret,
}

/// A response is not of the form above. Says nothing of its content, which may be a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a base64 XOAUTH2 response with user and bearer token")]
pub struct Xoauth2Error;

/// The response for `user` and an access token, in base64, without line breaks.
pub fn xoauth2_response(user: &str, token: &Secret) -> Secret {
    // Every buffer is made in its final size: one that grows leaves a copy of the token behind.
    let parts = [
        "user=",
        user,
        "\x01auth=Bearer ",
        token.reveal(),
        "\x01\x01",
    ];
    let length = parts.iter().map(|part| part.len()).sum();
    let mut plain = Zeroizing::new(String::with_capacity(length));
    for part in parts {
        plain.push_str(part);
    }
    let mut encoded = String::with_capacity(length.div_ceil(3) * 4);
    STANDARD.encode_string(plain.as_bytes(), &mut encoded);
    Secret::new(encoded)
}

/// The inverse, for a server.
pub fn decode_xoauth2_response(response: &str) -> Result<Xoauth2Credentials, Xoauth2Error> {
    let plain = Zeroizing::new(STANDARD.decode(response).map_err(|_error| Xoauth2Error)?);
    let plain = std::str::from_utf8(&plain).map_err(|_error| Xoauth2Error)?;
    let value = || take_till1(|c: char| c.is_ascii_control());
    let rule: IResult<&str, _> = all_consuming((
        tag("user="),
        value(),
        tag("\x01auth="),
        tag_no_case("Bearer "),
        value(),
        tag("\x01\x01"),
    ))
    .parse(plain);
    match rule {
        Ok((_, (_, user, _, _, token, _))) => Ok(Xoauth2Credentials {
            user: user.into(),
            token: Secret::new(token),
        }),
        Err(_) => Err(Xoauth2Error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_test_vector_is_met() {
        let token = Secret::new("abc.def.ghi");
        let response = xoauth2_response("relay@example.com", &token);
        assert_eq!(
            response.reveal(),
            "dXNlcj1yZWxheUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBhYmMuZGVmLmdoaQEB"
        );
    }

    #[test]
    fn other_responses_are_refused() {
        for plain in [
            "",
            "user=a\x01auth=Bearer t\x01",
            "user=a\x01auth=Bearer t\x01\x01x",
            "user=\x01auth=Bearer t\x01\x01",
            "user=a\x01auth=Bearer \x01\x01",
            "user=a\x01auth=Basic t\x01\x01",
            "auth=Bearer t\x01user=a\x01\x01",
        ] {
            let response = STANDARD.encode(plain);
            assert_eq!(decode_xoauth2_response(&response), Err(Xoauth2Error));
        }
        for response in ["=", "no base64!", "/w=="] {
            assert_eq!(decode_xoauth2_response(response), Err(Xoauth2Error));
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(user in "[ -~]{1,40}", token in "[ -~]{1,200}") {
            let token = Secret::new(token);
            let decoded = decode_xoauth2_response(xoauth2_response(&user, &token).reveal());
            prop_assert_eq!(decoded, Ok(Xoauth2Credentials { user, token }));
        }
    }
}
