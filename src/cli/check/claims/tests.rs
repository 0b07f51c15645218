use super::*;
use crate::config::Access;
use crate::config::{Loaded, load_text};

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const APP: &str = "66666666-7777-8888-9999-000000000000";

/// Of an account with these further lines.
fn loaded(lines: &str) -> Loaded {
    let text = format!(
        "[account.default]\nmailbox = \"relay@contoso.com\"\ntenant_id = \"{TENANT}\"\n\
         client_id = \"{APP}\"\nclient_secret = \"hunter2\"\n{lines}"
    );
    let path = std::path::Path::new("/etc/exorelay/exorelay.toml");
    load_text(path, &text, std::iter::empty(), &[]).unwrap()
}

/// As Entra issues it to an application that may send.
fn good() -> Claims {
    Claims {
        aud: "https://outlook.office365.com".into(),
        tid: TENANT.into(),
        appid: APP.into(),
        oid: "object-of-the-enterprise-application".into(),
        roles: vec!["SMTP.SendAsApp".into()],
        nbf: Some(1_000),
        exp: Some(4_600),
        ..Claims::default()
    }
}

fn with<T>(access: Access, look: impl FnOnce(&Subject<'_>) -> T) -> T {
    let loaded = loaded("");
    let mut account = loaded.settings.accounts["default"].clone();
    account.access = access;
    look(&Subject {
        loaded: &loaded,
        account: &account,
        daemon: None,
    })
}

fn odd(access: Access, claims: &Claims) -> Vec<Oddity> {
    with(access, |subject| {
        oddities(subject, claims, Timestamp::from_second(1_000).unwrap())
    })
}

/// The one thing that is wrong.
#[track_caller]
fn only(access: Access, claims: &Claims) -> Oddity {
    let mut found = odd(access, claims);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_good_token_is_summed_up_with_its_object_id() {
    assert_eq!(odd(Access::Application, &good()), []);
    let summary = with(Access::Application, |subject| {
        summary(subject, &good(), Timestamp::from_second(1_000).unwrap())
    });
    for part in [
        "for https://outlook.office365.com",
        TENANT,
        APP,
        "roles SMTP.SendAsApp",
        "1h left",
        "New-ServicePrincipal: object-of-the-enterprise-application",
    ] {
        assert!(summary.contains(part), "{part} in {summary}");
    }
}

#[test]
fn every_audience_that_smtp_takes_is_taken() {
    for aud in OUTLOOK {
        for end in ["", "/"] {
            let aud = format!("{aud}{end}");
            assert_eq!(odd(Access::Application, &Claims { aud, ..good() }), []);
        }
    }
}

#[test]
fn a_token_for_graph_names_the_scope_to_write() {
    for aud in GRAPH {
        let claims = Claims {
            aud: aud.into(),
            ..good()
        };
        let oddity = only(Access::Application, &claims);
        assert!(oddity.detail.contains("for Microsoft Graph"), "{oddity:?}");
        assert!(oddity.detail.contains("535 5.7.3") && oddity.is_decisive);
        assert!(oddity.remedy.contains("account.default.oauth.scope"));
        assert!(
            oddity
                .remedy
                .contains("https://outlook.office365.com/.default")
        );
    }
}

#[test]
fn another_tenant_and_another_app_are_told_apart() {
    let claims = Claims {
        tid: "other".into(),
        ..good()
    };
    let oddity = only(Access::Application, &claims);
    assert!(oddity.detail.contains("tenant other") && oddity.is_decisive);
    assert!(oddity.remedy.contains("account.default.tenant_id"));
    let claims = Claims {
        appid: "other".into(),
        ..good()
    };
    let oddity = only(Access::Application, &claims);
    assert!(oddity.detail.contains("app other") && !oddity.is_decisive);
    // A managed identity has an id of its own.
    assert_eq!(odd(Access::ManagedIdentity, &claims), []);
}

#[test]
fn a_missing_role_is_no_verdict_because_of_rbac() {
    let claims = Claims {
        roles: Vec::new(),
        ..good()
    };
    let oddity = only(Access::Application, &claims);
    assert!(oddity.detail.contains("RBAC") && !oddity.is_decisive);
    assert!(oddity.remedy.contains("Grant admin consent"));
}

#[test]
fn a_person_needs_the_scope_and_the_mailbox() {
    let signed_in = Claims {
        roles: Vec::new(),
        scp: "SMTP.Send User.Read".into(),
        upn: "Relay@contoso.com".into(),
        ..good()
    };
    assert_eq!(odd(Access::Delegated, &signed_in), []);
    let without = Claims {
        scp: "Mail.Send User.Read".into(),
        ..signed_in.clone()
    };
    let oddity = only(Access::Delegated, &without);
    assert!(oddity.detail.contains("lack SMTP.Send") && oddity.is_decisive);
    assert!(oddity.remedy.contains("exorelay login default"));
    let other = Claims {
        upn: "ada@contoso.com".into(),
        ..signed_in
    };
    let oddity = only(Access::Delegated, &other);
    assert!(oddity.detail.contains("ada@contoso.com has signed in"));
    assert!(oddity.remedy.contains("shared mailbox") && !oddity.is_decisive);
}

#[test]
fn times_that_cannot_be_lead_to_the_clock() {
    for (nbf, exp, words) in [
        (0, 999, "expired 1s ago"),
        (0, 1_000, "expired 0s ago"),
        (4_600, 8_000, "good only in 1h"),
    ] {
        let claims = Claims {
            nbf: Some(nbf),
            exp: Some(exp),
            ..good()
        };
        let oddity = only(Access::Application, &claims);
        assert!(oddity.detail.contains(words), "{oddity:?}");
        assert!(oddity.remedy.contains("timedatectl"));
    }
}

#[test]
fn remedies_are_filled_in_to_be_pasted() {
    let remedy = "Set-CASMailbox -Identity MAILBOX; New-ServicePrincipal -AppId APP_ID -ObjectId OBJECT_ID; \
                  SERVICE_PRINCIPAL_ID; [account.NAME.smtp]; NAME@YOUR.DOMAIN";
    let (filled, person) = (
        with(Access::Application, |it| it.fill(remedy, Some(&good()))),
        with(Access::Delegated, |it| it.fill(remedy, Some(&good()))),
    );
    assert_eq!(
        filled,
        format!(
            "Set-CASMailbox -Identity relay@contoso.com; New-ServicePrincipal -AppId {APP} -ObjectId \
             object-of-the-enterprise-application; SERVICE_PRINCIPAL_ID; [account.default.smtp]; NAME@YOUR.DOMAIN"
        )
    );
    assert!(
        person.contains("-ObjectId OBJECT_ID"),
        "a person's is none: {person}"
    );
}
