//! What support gets.

use super::*;
use crate::bench::assert_complains;

#[tokio::test]
async fn a_bundle_is_written_once_and_for_its_owner_alone() {
    let clinic = Clinic::open().await;
    clinic.spoil(
        "[admin]\n",
        "[alert]\ncommand = [\"/bin/true\", \"--key\", \"planted-key\"]\n\
         webhook = \"https://chat.example/planted-hook\"\n[admin]\n",
    );
    let bundle = clinic.path("bundle.json");
    let name = bundle.to_str().unwrap();
    let to = "fault+5.2.252@contoso.com";
    let output = clinic.check(&["--send", to, "--bundle", name]).await;
    assert_exit(&output, 77);
    let text = std::fs::read_to_string(&bundle).unwrap();
    let mode = std::fs::metadata(&bundle).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let content: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(content["exorelay"], env!("CARGO_PKG_VERSION"));
    assert_eq!(
        content["settings"]["settings"]["account"]["default"]["mailbox"],
        "r***@contoso.com"
    );
    assert_eq!(
        content["settings"]["settings"]["alert"]["command"][0],
        "/bin/true"
    );
    assert_eq!(content["status"], Value::Null);
    assert!(content["history"]["error"].is_array(), "no daemon has run");
    assert!(content["check"].as_array().unwrap().len() > 10);
    let secret = clinic.sandbox.client_secret().reveal();
    for planted in [
        secret,
        "eyJ",
        "planted-key",
        "planted-hook",
        "relay@",
        "fault+",
    ] {
        assert!(!text.contains(planted), "{planted} in {text}");
    }

    let again = clinic.check(&["--bundle", name]).await;
    assert_complains(&again, 1, &["bundle.json is there already"]);
    assert_eq!(std::fs::read_to_string(&bundle).unwrap(), text);
}
