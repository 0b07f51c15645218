//! Access tokens: any text, and any claims within a token.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use exorelay::oauth::Claims;
use exorelay::secret::Secret;
use serde_json::Value;

pub(super) fn run(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    if let Some(claims) = Claims::decode(&Secret::new(text.as_ref())) {
        check(&claims);
    }
    let payload = BASE64_URL_SAFE_NO_PAD.encode(octets);
    let Some(claims) = Claims::decode(&Secret::new(format!("e30.{payload}.c2ln"))) else {
        return;
    };
    check(&claims);
    let written: Value = serde_json::from_slice(octets).expect("only JSON has claims");
    for (name, claim) in [
        ("aud", &claims.aud),
        ("tid", &claims.tid),
        ("appid", &claims.appid),
        ("oid", &claims.oid),
        ("scp", &claims.scp),
    ] {
        let written = written.get(name).and_then(Value::as_str);
        assert_eq!(claim.as_str(), written.unwrap_or_default(), "{name}");
    }
    assert_eq!(claims.exp, written.get("exp").and_then(Value::as_i64));
}

fn check(claims: &Claims) {
    assert_ne!(claims.person(), Some(""));
}
