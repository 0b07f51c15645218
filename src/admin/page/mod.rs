//! The status page: `/` and the few files that it is made of, all of them in the program.
//!
//! It promises to ask the network for nothing but these files and the read-only answers under `/v1`, so
//! that `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'` is all it needs.
//! It refuses to know what the answers hold: that is between the scripts and [`super::protocol`].

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::routes::Answers;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One file.
#[derive(Debug)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

macro_rules! asset {
    ($path:literal, $content_type:expr, $file:literal) => {
        Asset {
            path: $path,
            content_type: $content_type,
            text: include_str!($file),
        }
    };
}

static ASSETS: [Asset; 17] = [
    asset!("/", HTML, "index.html"),
    asset!("/page.css", CSS, "page.css"),
    asset!("/icon.svg", SVG, "icon.svg"),
    asset!("/page.js", SCRIPT, "page.js"),
    asset!("/accounts.js", SCRIPT, "accounts.js"),
    asset!("/ask.js", SCRIPT, "ask.js"),
    asset!("/charts.js", SCRIPT, "charts.js"),
    asset!("/devices.js", SCRIPT, "devices.js"),
    asset!("/dom.js", SCRIPT, "dom.js"),
    asset!("/explanation.js", SCRIPT, "explanation.js"),
    asset!("/format.js", SCRIPT, "format.js"),
    asset!("/incidents.js", SCRIPT, "incidents.js"),
    asset!("/message.js", SCRIPT, "message.js"),
    asset!("/messages.js", SCRIPT, "messages.js"),
    asset!("/queue.js", SCRIPT, "queue.js"),
    asset!("/timeline.js", SCRIPT, "timeline.js"),
    asset!("/verdict.js", SCRIPT, "verdict.js"),
];

/// The page's files. Like every answer they are not to be kept: files of two programs would not fit each other.
pub(super) fn router() -> Router<Answers> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(async || asset.answer()))
    })
}

impl Asset {
    fn answer(&self) -> Response {
        ([(header::CONTENT_TYPE, self.content_type)], self.text).into_response()
    }
}

#[cfg(test)]
mod tests;
