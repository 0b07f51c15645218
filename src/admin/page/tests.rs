//! What can be said of the page without a browser; tests/trials/page.py has one.

use std::collections::BTreeSet;

use axum::body::to_bytes;

use super::*;

fn text(path: &str) -> &'static str {
    let found = ASSETS.iter().find(|asset| asset.path == path);
    found.unwrap_or_else(|| panic!("no {path}")).text
}

fn scripts() -> impl Iterator<Item = &'static Asset> {
    ASSETS.iter().filter(|asset| asset.content_type == SCRIPT)
}

/// What follows `before` up to `after`, wherever it stands.
fn all_between<'a>(text: &'a str, before: &str, after: &str) -> BTreeSet<&'a str> {
    let parts = text.split(before).skip(1);
    parts
        .map(|part| part.split_once(after).unwrap().0)
        .collect()
}

/// Without spaces and line breaks, so that no way of writing hides anything.
fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

#[tokio::test]
async fn files_are_what_they_say() {
    for asset in &ASSETS {
        let answer = asset.answer();
        let expected = match asset.path.rsplit_once('.') {
            None => "text/html; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            Some(other) => panic!("{other:?}"),
        };
        let content_type = &answer.headers()[header::CONTENT_TYPE];
        assert_eq!(content_type, expected, "{}", asset.path);
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert_eq!(body, asset.text);
    }
}

#[test]
fn every_file_of_the_folder_is_served_and_asked_for() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/page");
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !matches!(name.as_str(), "mod.rs" | "tests.rs" | "index.html") {
            files.insert(format!("/{name}"));
        }
    }
    let mut asked = all_between(text("/"), "href=\"/", "\"");
    asked.extend(all_between(text("/"), "src=\"/", "\""));
    for script in scripts() {
        asked.extend(all_between(script.text, "from \"./", "\""));
    }
    let asked: BTreeSet<_> = asked.iter().map(|name| format!("/{name}")).collect();
    let served: BTreeSet<_> = ASSETS[1..].iter().map(|one| one.path.to_owned()).collect();
    assert_eq!(served, files);
    assert_eq!(served, asked);
}

#[test]
fn every_element_that_a_script_looks_up_is_there_once() {
    let page = text("/");
    let ids = all_between(page, " id=\"", "\"");
    assert_eq!(
        page.matches(" id=\"").count(),
        ids.len(),
        "an id is there twice"
    );
    let mut looked_up = BTreeSet::new();
    for script in scripts() {
        let calls = script.text.matches("byId(").count();
        let named = script.text.matches("byId(\"").count();
        // The definition, and askOrTell, which is given its place.
        let others = calls - named;
        let allowed = match script.path {
            "/dom.js" => 1,
            "/page.js" => 2,
            _ => 0,
        };
        assert_eq!(others, allowed, "{}", script.path);
        looked_up.extend(all_between(script.text, "byId(\"", "\""));
    }
    looked_up.extend(["timeline-trouble", "clients-trouble"]);
    let missing: Vec<_> = looked_up.difference(&ids).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for name in ["aria-labelledby", "for"] {
        for id in all_between(page, &format!(" {name}=\""), "\"") {
            assert!(ids.contains(id), "{name} names {id}");
        }
    }
}

#[test]
fn nothing_is_asked_of_another_host() {
    for asset in &ASSETS {
        // The name of a namespace is no address.
        let text = asset.text.replace("http://www.w3.org/2000/svg", "");
        for scheme in [
            "http:", "https:", "//cdn", "url(", "@import", "data:", "ws:", "wss:",
        ] {
            // A link that came from outside is compared with one of them.
            let text = text.replace(".protocol === \"https:\"", "");
            assert!(!text.contains(scheme), "{scheme} in {}", asset.path);
        }
    }
}

#[test]
fn markup_has_neither_scripts_nor_styles_in_it() {
    let page = text("/");
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script type=\"module\" src=\"/page.js\"></script>"));
    for banned in [
        "<style",
        " style=",
        "javascript:",
        "<iframe",
        "<object",
        "<base",
        "<form",
    ] {
        assert!(!page.contains(banned), "{banned}");
        assert!(!text("/icon.svg").contains(banned), "{banned}");
    }
    for tag in all_between(page, "<", ">") {
        let mut attributes = tag.split_whitespace().skip(1);
        assert!(!attributes.any(|one| one.starts_with("on")), "{tag}");
    }
}

#[test]
fn scripts_never_make_markup_or_code_of_text() {
    for script in scripts() {
        let code = dense(script.text);
        for banned in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "setHTMLUnsafe",
            "srcdoc",
            "eval(",
            "Function(",
            "setAttribute(element,\"style\"",
            "style:",
            ".style",
            "import(",
            "localStorage",
            "document.cookie",
        ] {
            assert!(!code.contains(banned), "{banned} in {}", script.path);
        }
        for (at, _) in code.match_indices("setTimeout(") {
            assert!(!code[at + "setTimeout(".len()..].starts_with(['"', '`', '\'']));
        }
    }
}

#[test]
fn scripts_only_look() {
    for script in scripts() {
        let asks = script.text.matches("fetch(").count();
        assert_eq!(
            asks,
            usize::from(script.path == "/ask.js"),
            "{}",
            script.path
        );
        for banned in [
            "method:",
            "XMLHttpRequest",
            "sendBeacon",
            "WebSocket(",
            "EventSource(",
        ] {
            assert!(!script.text.contains(banned), "{banned} in {}", script.path);
        }
    }
}

#[test]
fn files_stay_readable() {
    for asset in &ASSETS {
        assert!(asset.text.lines().count() <= 400, "{}", asset.path);
    }
}
