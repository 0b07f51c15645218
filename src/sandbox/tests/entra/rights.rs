//! Which tokens SMTP takes for which mailbox.

use serde_json::json;

use super::support::{KIM, claims, code, granted, order, redemption, signed_in, smtp, text};
use crate::sandbox::tests::support::start;
use crate::sandbox::{Permission, Registration, Sandbox};

const SHARED: &str = "invoices@contoso.com";
const REFUSED: &str = "535 5.7.3 Authentication unsuccessful";

#[tokio::test]
async fn a_person_uses_their_own_mailbox_and_those_they_have_a_right_to() {
    let (sandbox, _folder) = start(|_| {}).await;
    let body = signed_in(&sandbox, KIM).await;
    let token = text(&body, "access_token");
    smtp(&sandbox, "KIM@contoso.com", token, "235 ").await;
    smtp(&sandbox, SHARED, token, REFUSED).await;
    let path = format!("/entra/access?user=Kim@Contoso.com&mailbox={SHARED}");
    assert_eq!(order(&sandbox, &path).await.0, 204);
    smtp(&sandbox, SHARED, token, "235 ").await;
    smtp(&sandbox, "lee@contoso.com", token, REFUSED).await;
    let lee = signed_in(&sandbox, "lee@contoso.com").await;
    smtp(&sandbox, SHARED, text(&lee, "access_token"), REFUSED).await;
}

#[tokio::test]
async fn a_person_must_have_let_the_application_send() {
    let (sandbox, _folder) = start(|_| {}).await;
    for (scope, reply) in [
        ("https://outlook.office.com/SMTP.Send", "235 "),
        ("https://outlook.office.com/.default", "235 "),
        ("00000002-0000-0ff1-ce00-000000000000/SMTP.Send", "235 "),
        ("https://outlook.office.com/IMAP.AccessAsUser.All", REFUSED),
        ("SMTP.Send", REFUSED),
        ("https://graph.microsoft.com/SMTP.Send", REFUSED),
        (
            "User.ReadBasic.All https://outlook.office.com/SMTP.Send",
            REFUSED,
        ),
    ] {
        let code = code(&sandbox, KIM, &[("scope", scope)]).await;
        let body = granted(&sandbox, &redemption(&sandbox, &code)).await;
        eprintln!("{scope}");
        smtp(&sandbox, KIM, text(&body, "access_token"), reply).await;
    }
}

fn permit(sandbox: &Sandbox, permission: Permission) {
    sandbox.control().register(Registration {
        permission,
        ..Registration::default()
    });
}

#[tokio::test]
async fn an_application_needs_a_role_or_rbac() {
    let (sandbox, _folder) = start(|settings| settings.mailboxes = vec![SHARED.into()]).await;
    let with_role = sandbox.control().issue_token().unwrap();
    assert_eq!(
        claims(with_role.reveal())["roles"],
        json!(["SMTP.SendAsApp"])
    );
    permit(&sandbox, Permission::Rbac);
    let without = sandbox.control().issue_token().unwrap();
    assert_eq!(claims(without.reveal())["roles"], json!(null));
    assert_eq!(
        claims(without.reveal())["oid"],
        claims(with_role.reveal())["oid"]
    );
    smtp(&sandbox, SHARED, without.reveal(), "235 ").await;
    smtp(&sandbox, KIM, without.reveal(), REFUSED).await;
    permit(&sandbox, Permission::None);
    smtp(&sandbox, SHARED, without.reveal(), REFUSED).await;
    // What a token says it keeps saying.
    smtp(&sandbox, SHARED, with_role.reveal(), "235 ").await;
}

#[tokio::test]
async fn a_token_that_has_run_out_is_refused() {
    let (sandbox, _folder) = start(|_| {}).await;
    let body = signed_in(&sandbox, KIM).await;
    let token = text(&body, "access_token");
    sandbox.control().set_clock_offset(3_500);
    smtp(&sandbox, KIM, token, "235 ").await;
    sandbox.control().set_clock_offset(3_600);
    smtp(&sandbox, KIM, token, REFUSED).await;
    sandbox.control().clear_faults();
    smtp(&sandbox, KIM, token, "235 ").await;
}
