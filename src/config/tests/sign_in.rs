//! Accounts that a person signs in for.

use super::*;
use crate::oauth;

const GUID: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn sign_in_that_nothing_encrypts_is_told_once() {
    let delegated = |name: &str| {
        format!(
            "[account.{name}]\nmailbox = \"a@b.example\"\nclient_id = \"{GUID}\"\naccess = \"delegated\"\n"
        )
    };
    let text = delegated("default") + &delegated("other");
    let warnings = loaded(&text, &[], &[]).warnings;
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}");
    };
    assert!(
        warning.starts_with("token_store.key: is not set"),
        "{warning}"
    );
    let key = "[token_store]\nkey = { credential = \"exorelay-token-key\" }\n";
    assert!(
        loaded(&format!("{text}{key}"), &[], &[])
            .warnings
            .is_empty()
    );
    assert!(loaded(FIVE_LINES, &[], &[]).warnings.is_empty());
}

#[test]
fn public_and_confidential_clients_sign_in_under_any_tenant() {
    let text = format!(
        "[account.default]\nmailbox = \"a@b.example\"\nclient_id = \"{GUID}\"\naccess = \"delegated\"\n\
         [queue]\ndirectory = \"/srv/relay\"\n"
    );
    let part = |more: &[(&str, &str)]| {
        let settings = loaded(&text, &[], more).settings;
        let account = settings.default_account().unwrap();
        settings.oauth_part(account).unwrap()
    };
    let public = part(&[]);
    assert!(matches!(public.credential, oauth::Credential::None));
    assert_eq!(
        public.token_url.as_str(),
        "https://login.microsoftonline.com/common/oauth2/v2.0/token"
    );
    assert_eq!(
        public.scope,
        "https://outlook.office.com/SMTP.Send offline_access"
    );
    let oauth::Way::Delegated { store, account } = &public.way else {
        panic!("{public:?}");
    };
    assert_eq!(
        store.path(account),
        Path::new("/srv/relay/tokens/default.json")
    );
    let secret = ("account.default.client_secret", "{ env = \"SECRET\" }");
    let confidential = part(&[secret, ("account.default.tenant_id", "contoso.com")]);
    assert!(matches!(
        confidential.credential,
        oauth::Credential::Secrets(_)
    ));
}

#[test]
fn person_signs_in_to_a_public_or_a_confidential_client() {
    let delegated = FIVE_LINES.replace("client_secret", "access = \"delegated\"\n#");
    let settings = loaded(&delegated, &[], &[]).settings;
    let account = settings.default_account().unwrap();
    let part = settings.sign_in_part(account).unwrap();
    assert!(matches!(
        part.application.credential,
        oauth::Credential::None
    ));
    assert_eq!(part.login_hint, "relay@contoso.com");
    assert_eq!(part.redirect_uri.as_str(), "http://localhost");
    assert!(part.parameters.is_empty());
    let scope = part.application.scope;
    assert_eq!(scope, "https://outlook.office.com/SMTP.Send offline_access");

    let confidential = format!("{FIVE_LINES}access = \"delegated\"\n");
    let settings = loaded(&confidential, &[], &[]).settings;
    let mut account = settings.default_account().unwrap().clone();
    let part = settings.sign_in_part(&account).unwrap();
    assert!(matches!(
        part.application.credential,
        oauth::Credential::Secrets(_)
    ));
    account.provider = Provider::Google;
    let part = settings.sign_in_part(&account).unwrap();
    let parameters = [("access_type", "offline"), ("prompt", "consent")];
    assert_eq!(part.parameters, parameters);
}
