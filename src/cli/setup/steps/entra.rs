//! The steps in Entra.

use std::fmt::Write as _;

use oauth2::url::form_urlencoded::byte_serialize;

use super::powershell::quoted;
use super::{Case, Way};
use crate::oauth::Cloud;

/// An application of its own, without permissions: Exchange Online gives them (facts E.3).
pub(super) fn application(case: &Case) -> String {
    let proof = match (case.way, &case.certificate) {
        (Way::Certificate, Some(path)) => format!(
            "Certificates & secrets > Certificates > Upload: the public part of {0}, never its key\n     (openssl \
             x509 -in {0} -out exorelay.cer).",
            path.display()
        ),
        (Way::WorkloadIdentity, _) => "Certificates & secrets > Federated credentials: issuer, subject and audience \
             exactly as in the\n     token file; the usual audience is api://AzureADTokenExchange."
            .to_owned(),
        _ => "Certificates & secrets > New client secret. client_secret is its Value, not its Secret ID.".to_owned(),
    };
    numbered(
        case,
        &[
            format!(
                "App registrations > New registration, for this directory only, without a redirect URI.\n     Its \
                 Overview shows the Application (client) ID {}\n     and the Directory (tenant) ID {}.",
                case.client_id.as_deref().unwrap_or("of the settings"),
                case.tenant.as_deref().unwrap_or("of the settings"),
            ),
            proof,
            "API permissions: NO SMTP.SendAsApp. With it Exchange Online looks for rights on the mailbox, and not at \
             the\n     role below."
                .to_owned(),
            enterprise_application(case),
        ],
    )
}

/// An identity that Azure keeps (facts D.10).
pub(super) fn managed_identity(case: &Case) -> String {
    let known = case.client_id.as_deref().zip(case.object_id.as_deref());
    let ids = match known {
        Some((app_id, object_id)) => format!(
            "As its token tells, its Application ID is {app_id} and its Object ID {object_id}."
        ),
        None => "Enterprise applications, Application type \"Managed Identities\": its page shows Application ID and \
             Object ID."
            .to_owned(),
    };
    numbered(
        case,
        &[
            "Azure: the machine > Identity > System assigned > On; or User assigned, and its client ID as client_id."
                .to_owned(),
            ids,
            "SMTP with a managed identity is not documented by Microsoft; the role below is documented for \
             applications\n     of every kind. A change is seen when Azure's cached token has run out, which can take \
             24 hours."
                .to_owned(),
        ],
    )
}

/// A person signs in (facts E.1, D.11).
pub(super) fn delegated(case: &Case) -> String {
    let client = if case.way == Way::Device {
        "Authentication > Settings: Allow public client flows = Yes; a code needs no redirect URI."
            .to_owned()
    } else if case.is_public {
        format!(
            "Authentication > Add a platform > Mobile and desktop applications: {}\n     For a sign-in with a code on \
             another device (login --device): Allow public client flows = Yes.",
            case.redirect_uri
        )
    } else {
        format!(
            "Authentication > Add a platform > Web: {}\n     Certificates & secrets > New client secret: its Value is \
             client_secret.",
            case.redirect_uri
        )
    };
    numbered(
        case,
        &[
            format!(
                "App registrations > New registration, for this directory only. Its Overview shows the Application \
                 (client) ID\n     {}.",
                case.client_id.as_deref().unwrap_or("of the settings")
            ),
            client,
            "API permissions > Microsoft Graph > Delegated: SMTP.Send and offline_access."
                .to_owned(),
            format!(
                "Where users may not consent themselves, an administrator does: Grant admin consent, or\n     {}",
                consent_url(case)
            ),
        ],
    )
}

/// Instead of the role: the permission of the application (facts E.2).
pub(super) fn classic(case: &Case) -> String {
    if case.way == Way::ManagedIdentity {
        let object_id = case
            .object_id
            .as_deref()
            .unwrap_or("PASTE-THE-OBJECT-ID-HERE");
        return format!(
            "Or, in place of group, scope and role, the classic way; an identity has no page for API permissions:\n\
             \n  Connect-MgGraph{} -Scopes 'Application.Read.All', 'AppRoleAssignment.ReadWrite.All'\n  \
             $objectId = {}\n  \
             $exchange = Get-MgServicePrincipal -Filter \"appId eq '00000002-0000-0ff1-ce00-000000000000'\"\n  \
             $role = $exchange.AppRoles | Where-Object Value -eq 'SMTP.SendAsApp'\n  \
             New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $objectId -PrincipalId $objectId -ResourceId \
             $exchange.Id -AppRoleId $role.Id\n",
            match case.cloud {
                Cloud::Global => "",
                Cloud::GccHigh => " -Environment USGov",
                Cloud::Dod => " -Environment USGovDoD",
                Cloud::China => " -Environment China",
            },
            quoted(object_id)
        );
    }
    format!(
        "Or, in place of group, scope and role, the classic way: API permissions > APIs my organization uses > \
         Office 365\nExchange Online > Application > SMTP.SendAsApp, then Grant admin consent, or\n{}\n",
        consent_url(case)
    )
}

fn enterprise_application(case: &Case) -> String {
    let found = match &case.object_id {
        Some(id) => format!("Enterprise applications > the same name: its Object ID is {id}."),
        None => "Enterprise applications > the same name: its Object ID is the one that is needed below.".to_owned(),
    };
    format!(
        "{found}\n     NOT App registrations, whose Object ID is another one: Exchange Online takes that without \
         complaint,\n     and later answers 535 5.7.3 or 430 4.2.0."
    )
}

/// Facts D.12.
fn consent_url(case: &Case) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let mut url = format!(
        "https://{}/{}/adminconsent?client_id={}",
        case.cloud.login_host(),
        case.tenant.as_deref().unwrap_or("organizations"),
        encoded(case.client_id.as_deref().unwrap_or_default()),
    );
    if case.way == Way::Browser {
        url.push_str("&redirect_uri=");
        url.push_str(&encoded(&case.redirect_uri));
    }
    url
}

fn numbered(case: &Case, steps: &[String]) -> String {
    // Facts D.1.
    let portal = match case.cloud {
        Cloud::Global => "https://entra.microsoft.com",
        Cloud::GccHigh | Cloud::Dod => "https://portal.azure.us",
        Cloud::China => "https://portal.azure.cn",
    };
    let mut text = format!("Entra, {portal}\n\n");
    for (number, step) in (1..).zip(steps) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  {number}. {step}");
    }
    text
}
