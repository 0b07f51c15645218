//! The Exchange Online PowerShell.

use super::Case;
use super::powershell::quoted;
use crate::oauth::Cloud;

/// RBAC for Applications: a role over the members of one group (facts E.3).
pub(super) fn roles(case: &Case) -> String {
    let mailbox = quoted(&case.mailbox);
    let mut script = connect(case);
    script.extend(service_principal(case));
    // Each account's application has a group of its own.
    let suffix = match case.account.as_str() {
        "default" => String::new(),
        account => format!("-{account}"),
    };
    let group = quoted(&format!("exorelay-senders{suffix}"));
    let scope = quoted(&format!("exorelay-scope{suffix}"));
    script.extend([
        "# The mailboxes it may send from: the members of this mail-enabled security group.".to_owned(),
        format!("New-DistributionGroup -Name {group} -Type Security -Members {mailbox}"),
        format!("$group = Get-Group {group}"),
        format!(
            "New-ManagementScope -Name {scope} -RecipientRestrictionFilter \"MemberOfGroup -eq \
             '$($group.DistinguishedName)'\""
        ),
        format!(
            "New-ManagementRoleAssignment -App $appId -Role 'Application SMTP.SendAsApp' -CustomResourceScope {scope}"
        ),
        format!("Test-ServicePrincipalAuthorization -Identity $appId -Resource {mailbox}"),
    ]);
    script.extend(smtp_auth(case));
    page("Exchange Online PowerShell", &script)
}

/// The older way: rights on the mailbox itself (facts E.2).
pub(super) fn classic(case: &Case) -> String {
    let mailbox = quoted(&case.mailbox);
    let mut script = connect(case);
    script.extend(service_principal(case));
    script.extend([
        "$sp = Get-ServicePrincipal | Where-Object AppId -eq $appId".to_owned(),
        format!("Add-MailboxPermission -Identity {mailbox} -User $sp.Identity -AccessRights FullAccess"),
        "# For each further address in From:".to_owned(),
        "# Add-RecipientPermission -Identity 'OTHER-ADDRESS' -Trustee $sp.Identity -AccessRights SendAs".to_owned(),
    ]);
    script.extend(smtp_auth(case));
    page("Its Exchange Online PowerShell", &script)
}

/// Somebody signs in: the mailbox's own user, or one with rights on a shared mailbox (facts E.1, E.5).
pub(super) fn delegated(case: &Case) -> String {
    let mailbox = quoted(&case.mailbox);
    let mut script = connect(case);
    script.extend(smtp_auth(case));
    script.extend([
        "# Only when somebody else signs in than the mailbox's own user, as for a shared mailbox:"
            .to_owned(),
        "# $user = 'WHO-SIGNS-IN'".to_owned(),
        format!("# Add-MailboxPermission -Identity {mailbox} -User $user -AccessRights FullAccess"),
        format!(
            "# Add-RecipientPermission -Identity {mailbox} -Trustee $user -AccessRights SendAs"
        ),
    ]);
    page("Exchange Online PowerShell", &script)
}

fn connect(case: &Case) -> Vec<String> {
    let environment = match case.cloud {
        Cloud::Global => "",
        Cloud::GccHigh => " -ExchangeEnvironmentName O365USGovGCCHigh",
        Cloud::Dod => " -ExchangeEnvironmentName O365USGovDoD",
        Cloud::China => " -ExchangeEnvironmentName O365China",
    };
    let organization = case.tenant.as_deref().map(quoted);
    let organization = organization.map_or_else(String::new, |id| format!(" -Organization {id}"));
    vec![format!("Connect-ExchangeOnline{environment}{organization}")]
}

fn service_principal(case: &Case) -> [String; 3] {
    let app_id = case
        .client_id
        .as_deref()
        .unwrap_or("PASTE-THE-APPLICATION-ID-HERE");
    let (object_id, whose) = match case.object_id.as_deref() {
        Some(id) => (id, "  # as the token tells"),
        None => (
            "PASTE-THE-OBJECT-ID-HERE",
            "  # Enterprise applications > Object ID, NOT App registrations",
        ),
    };
    [
        format!("$appId = {}", quoted(app_id)),
        format!("$objectId = {}{whose}", quoted(object_id)),
        "New-ServicePrincipal -AppId $appId -ObjectId $objectId -DisplayName 'exorelay'".to_owned(),
    ]
}

/// The switch of the mailbox goes before the organisation's (facts E.4).
fn smtp_auth(case: &Case) -> [String; 2] {
    [
        "# SMTP AUTH has to be on for this mailbox, with OAuth too; it goes before the organisation's switch.".to_owned(),
        format!(
            "Set-CASMailbox -Identity {} -SmtpClientAuthenticationDisabled $false",
            quoted(&case.mailbox)
        ),
    ]
}

fn page(title: &str, script: &[String]) -> String {
    format!("{title}\n\n  {}\n", script.join("\n  "))
}
