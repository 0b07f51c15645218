//! The tenant segment of a URL (facts D.2).

use super::refusal::Refusal;
use crate::sandbox::content::printable;
use crate::sandbox::settings::TENANT_DOMAIN;

/// Which ways a tenant may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Concrete {
    /// Its id or domain: an application by itself has no user whose tenant it could be.
    Required,
    /// `common` and `organizations` too, for an application of many tenants.
    Optional { multi_tenant: bool },
}

pub(super) fn check(tenant: &str, known: &str, concrete: Concrete) -> Result<(), Refusal> {
    if tenant.eq_ignore_ascii_case(known) || tenant.eq_ignore_ascii_case(TENANT_DOMAIN) {
        return Ok(());
    }
    let shown = printable(tenant.as_bytes());
    match (tenant, concrete) {
        ("common" | "organizations", Concrete::Optional { multi_tenant: true }) => return Ok(()),
        ("common" | "organizations", Concrete::Optional { .. }) => {
            let text = format!(
                "Application is not configured as a multi-tenant application. Usage of the /{shown} endpoint is not \
                 supported for such applications created after '10/15/2018'. Use a tenant-specific endpoint or \
                 configure the application to be multi-tenant."
            );
            return Err(Refusal::request(50_194, text));
        }
        ("common" | "organizations" | "consumers", _) => {
            let text = format!(
                "The grant type is not supported over the /{shown} endpoint. Please use the tenant-specific endpoint."
            );
            return Err(Refusal::request(9_001_023, text));
        }
        _ => {}
    }
    let name = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'.';
    let is_guid = tenant.len() == 36 && tenant.bytes().filter(|&octet| octet == b'-').count() == 4;
    if !tenant.bytes().all(name) || !(is_guid || tenant.contains('.')) {
        let text = format!(
            "Specified tenant identifier '{shown}' is neither a valid DNS name, nor a valid external domain."
        );
        return Err(Refusal::request(900_023, text));
    }
    let text = format!(
        "Tenant '{shown}' not found. Check to make sure you have the correct tenant ID and are signing into the \
         correct cloud. Check with your subscription administrator, this may happen if there are no active \
         subscriptions for the tenant."
    );
    Err(Refusal::request(90_002, text))
}
