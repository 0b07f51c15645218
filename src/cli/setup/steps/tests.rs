use super::*;

fn case(way: Way) -> Case {
    Case {
        way,
        account: "default".to_owned(),
        mailbox: "o'brien@contoso.com".to_owned(),
        cloud: Cloud::Global,
        tenant: Some("aaaaaaaa-0000-4000-8000-000000000001".to_owned()),
        client_id: Some("bbbbbbbb-0000-4000-8000-000000000002".to_owned()),
        object_id: Some("cccccccc-0000-4000-8000-000000000003".to_owned()),
        certificate: Some("/etc/exorelay/app.pem".into()),
        is_public: true,
        redirect_uri: "http://localhost".to_owned(),
        file: DEFAULT_FILE.into(),
    }
}

#[track_caller]
fn assert_parts(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn applications_get_a_role_and_can_have_rights() {
    for way in [
        Way::Secret,
        Way::Certificate,
        Way::WorkloadIdentity,
        Way::ManagedIdentity,
    ] {
        let text = case(way).text();
        assert_parts(
            &text,
            &[
                "Connect-ExchangeOnline -Organization 'aaaaaaaa-0000-4000-8000-000000000001'\n",
                "$appId = 'bbbbbbbb-0000-4000-8000-000000000002'\n",
                "$objectId = 'cccccccc-0000-4000-8000-000000000003'  # as the token tells\n",
                "-Role 'Application SMTP.SendAsApp' -CustomResourceScope 'exorelay-scope'",
                "-Resource 'o''brien@contoso.com'",
                "Set-CASMailbox -Identity 'o''brien@contoso.com' -SmtpClientAuthenticationDisabled $false",
                "Add-MailboxPermission -Identity 'o''brien@contoso.com' -User $sp.Identity -AccessRights FullAccess",
                "\n  exorelay check\n",
            ],
        );
        assert!(
            !text.contains("PASTE") && !text.contains("o'brien@contoso.com'"),
            "{text}"
        );
        assert!(!text.contains("exorelay login"), "{text}");
    }
}

#[test]
fn what_is_not_known_yet_has_a_place() {
    let unknown = Case {
        object_id: None,
        client_id: None,
        tenant: None,
        account: "fabrikam".to_owned(),
        file: "/srv/relay.toml".into(),
        ..case(Way::ManagedIdentity)
    };
    assert_parts(
        &unknown.text(),
        &[
            "Connect-ExchangeOnline\n",
            "$appId = 'PASTE-THE-APPLICATION-ID-HERE'",
            "$objectId = 'PASTE-THE-OBJECT-ID-HERE'  # Enterprise applications > Object ID, NOT App registrations",
            "'exorelay-senders-fabrikam'",
            "exorelay --config /srv/relay.toml check",
        ],
    );
}

#[test]
fn persons_sign_in() {
    let browser = case(Way::Browser).text();
    assert_parts(
        &browser,
        &[
            "Mobile and desktop applications: http://localhost",
            "https://login.microsoftonline.com/aaaaaaaa-0000-4000-8000-000000000001/adminconsent?client_id=bbbbbbbb-0000-4000-8000-000000000002&redirect_uri=http%3A%2F%2Flocalhost",
            "exorelay login default ",
            "-AccessRights SendAs",
        ],
    );
    assert!(!browser.contains("New-ServicePrincipal"), "{browser}");
    let confidential = Case {
        is_public: false,
        ..case(Way::Browser)
    };
    assert_parts(
        &confidential.text(),
        &["> Web: http://localhost", "its Value is client_secret"],
    );
    assert_parts(
        &case(Way::Device).text(),
        &[
            "Allow public client flows = Yes",
            "exorelay login default --device",
        ],
    );
    let google = case(Way::Google).text();
    assert_parts(
        &google,
        &[
            "Desktop app",
            "https://mail.google.com/",
            "exorelay login default ",
        ],
    );
    assert!(!google.contains("Exchange Online"), "{google}");
}

#[test]
fn other_clouds_have_other_hosts() {
    for (cloud, parts) in [
        (
            Cloud::GccHigh,
            [
                "https://portal.azure.us",
                "O365USGovGCCHigh",
                "https://login.microsoftonline.us/",
            ],
        ),
        (
            Cloud::Dod,
            [
                "https://portal.azure.us",
                "O365USGovDoD",
                "https://login.microsoftonline.us/",
            ],
        ),
        (
            Cloud::China,
            [
                "https://portal.azure.cn",
                "O365China",
                "https://login.partner.microsoftonline.cn/",
            ],
        ),
    ] {
        assert_parts(
            &Case {
                cloud,
                ..case(Way::Secret)
            }
            .text(),
            &parts,
        );
    }
}

#[test]
fn every_way_has_its_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for way in Way::ALL {
        assert!(root.join(way.page()).is_file(), "{}", way.page());
        assert!(case(way).text().contains(way.page()));
    }
}
