//! The pages that a person sees: plain HTML, no script.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use oauth2::url::form_urlencoded;

use super::clock::Clock;
use super::refusal::Refusal;

/// An input of a form.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) label: &'a str,
    pub(super) value: &'a str,
}

/// A form that is posted back to where it came from, with a second button that sends `decline=yes`.
pub(super) fn form(
    title: &str,
    fields: &[Field<'_>],
    refusal: Option<&Refusal>,
    clock: &Clock,
) -> Response {
    let inputs: Vec<String> = fields
        .iter()
        .map(|Field { name, label, value }| {
            let value = escape(value);
            format!("<p><label>{label}<br><input name=\"{name}\" value=\"{value}\" size=\"40\"></label></p>")
        })
        .collect();
    let problem = refusal.map_or_else(String::new, |refusal| {
        format!("<p>{}</p>", escape(&refusal.describe(clock).text))
    });
    let status = refusal.map_or(StatusCode::OK, |_| StatusCode::BAD_REQUEST);
    let body = format!(
        "{problem}<form method=\"post\">{}<p><button>Sign in</button> \
         <button name=\"decline\" value=\"yes\">Decline</button></p></form>",
        inputs.concat()
    );
    page(status, title, &body)
}

/// What cannot be told the application, as it is not known where to send the browser.
pub(super) fn refused(refusal: &Refusal, clock: &Clock) -> Response {
    let text = escape(&refusal.describe(clock).text);
    let body = format!("<p>Sorry, but we're having trouble signing you in.</p><p>{text}</p>");
    page(StatusCode::BAD_REQUEST, "Sign in", &body)
}

/// The end of it.
pub(super) fn done(text: &str) -> Response {
    page(StatusCode::OK, "Sign in", &format!("<p>{text}</p>"))
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body>\
         <h1>{title}</h1>{body}<p>This is the exorelay sandbox: no password is asked for.</p></body></html>\n"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, html).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// What a person filled in. Browsers and people with `curl` write forms differently, so this is no strict decoder.
pub(super) struct Filled(Vec<(String, String)>);

impl Filled {
    pub(super) fn decode(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn field(&self, name: &str) -> &str {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.map_or("", |(_, value)| value)
    }

    pub(super) fn declined(&self) -> bool {
        !self.field("decline").is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_request_becomes_markup() {
        assert_eq!(
            escape("\"><script>'&"),
            "&quot;&gt;&lt;script&gt;&#39;&amp;"
        );
    }

    #[test]
    fn forms_of_people_are_read() {
        let filled = Filled::decode(b"user=kim@contoso.com&x=a+b%40c");
        assert_eq!(filled.field("user"), "kim@contoso.com");
        assert_eq!(filled.field("x"), "a b@c");
        assert_eq!(filled.field("y"), "");
        assert!(!filled.declined());
    }
}
