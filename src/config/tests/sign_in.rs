//! What a person's sign-in is told.

use super::*;
use crate::oauth::Credential;

#[test]
fn person_signs_in_to_a_public_or_a_confidential_client() {
    let delegated = FIVE_LINES.replace("client_secret", "access = \"delegated\"\n#");
    let settings = loaded(&delegated, &[], &[]).settings;
    let account = settings.default_account().unwrap();
    let part = settings.sign_in_part(account).unwrap();
    assert!(matches!(part.application.credential, Credential::None));
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
        Credential::Secrets(_)
    ));
    account.provider = Provider::Google;
    let part = settings.sign_in_part(&account).unwrap();
    let parameters = [("access_type", "offline"), ("prompt", "consent")];
    assert_eq!(part.parameters, parameters);
}
