//! What the browser shows when it has come back.

use std::fmt::Write;

/// One answer to a browser: complete in itself, and leading nowhere.
#[derive(Clone, Debug)]
pub struct Page {
    status: &'static str,
    title: &'static str,
    text: String,
}

impl Page {
    /// The sign-in is complete; `text` says what is next.
    pub fn success(text: impl Into<String>) -> Self {
        Self::new("200 OK", "Signed in", text)
    }

    /// It is not; `text` says why.
    pub fn failure(text: impl Into<String>) -> Self {
        Self::new("400 Bad Request", "Not signed in", text)
    }

    pub(super) fn new(status: &'static str, title: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            title,
            text: text.into(),
        }
    }

    /// The whole response. The address it answers holds the code: it is neither stored nor passed on.
    pub(super) fn to_response(&self) -> String {
        let (title, text) = (escape(self.title), escape(&self.text));
        let body = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>exorelay: {title}</title>\n\
             <h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
        );
        format!(
            "HTTP/1.1 {}\r\n\
             Content-Type: text/html; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\n\
             Cache-Control: no-store\r\n\
             Allow: GET\r\n\
             Connection: close\r\n\
             \r\n\
             {body}",
            self.status,
            body.len(),
        )
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "&#{};", u32::from(character));
            }
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_become_markup() {
        let response = Page::failure("<script>alert('1')</script> & more").to_response();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62; &#38; more"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(head.contains("default-src 'none'"));
        for outside in ["src=", "href=", "http://", "https://", "url("] {
            assert!(!body.contains(outside), "{outside}");
        }
    }
}
