//! The application, its tenant and its cloud.

use super::{Entry, operator};

pub(super) const ENTRIES: &[Entry] = &[
    operator(
        700_016,
        "There is no app of this client_id in the tenant.",
        APP,
    ),
    operator(
        700_011,
        "There is no app of this client_id in the directory.",
        APP,
    ),
    operator(
        70_001,
        "The app is disabled, or is not installed in this tenant.",
        APP,
    ),
    operator(
        7_000_229,
        "The app has no enterprise application (service principal) in this tenant.",
        "Grant admin consent once, which makes it: Entra admin centre > App registrations > your app > API permissions > Grant admin consent.",
    ),
    operator(
        7_000_112,
        "The app is disabled in this tenant.",
        "Set Enabled for users to sign-in to Yes in Entra admin centre > Enterprise applications > your app > Properties.",
    ),
    operator(
        90_002,
        "There is no tenant of this tenant_id in this cloud.",
        TENANT,
    ),
    operator(
        900_023,
        "The tenant_id is neither a GUID nor a domain.",
        TENANT,
    ),
    operator(
        50_194,
        "The app is registered for one tenant only, and was asked for under a name that stands for all.",
        OWN_TENANT,
    ),
    operator(
        9_001_023,
        "This way to sign in does not work under a name that stands for many tenants.",
        OWN_TENANT,
    ),
    operator(
        90_038,
        "The tenant belongs to another national cloud.",
        CLOUD,
    ),
    operator(
        900_382,
        "The app and the tenant are in different national clouds.",
        CLOUD,
    ),
    operator(
        900_432,
        "The app and the sign-in service are in different national clouds.",
        CLOUD,
    ),
    operator(
        50_105,
        "The app takes only users who are assigned to it, and this one is not.",
        ASSIGN,
    ),
    operator(
        501_051,
        "The enterprise application takes only apps that are assigned to it, and this one is not.",
        ASSIGN,
    ),
    operator(
        50_011,
        "The redirect URI is not the one that is registered.",
        REDIRECT,
    ),
    operator(500_113, "The app has no redirect URI.", REDIRECT),
    operator(
        900_971,
        "The request names no redirect URI, and the app has none.",
        REDIRECT,
    ),
    operator(
        1_002_016,
        "The connection to the sign-in service used TLS 1.0 or 1.1; exorelay speaks 1.2 and 1.3.",
        "Exempt the sign-in service from TLS inspection: something between here and there opens the encryption with an old version.",
    ),
];

const APP: &str = "Check client_id (Application (client) ID) and tenant_id (Directory (tenant) ID) with Entra admin centre > App registrations > your app > Overview, check cloud, and grant admin consent under API permissions.";
const TENANT: &str = "Set tenant_id to the Directory (tenant) ID of Entra admin centre > Overview, and cloud to the one that the tenant belongs to.";
const OWN_TENANT: &str = "Set tenant_id to the Directory (tenant) ID of Entra admin centre > Overview, in place of a shared name such as common.";
const CLOUD: &str = "Set cloud to the one that the tenant belongs to (global, gcc_high, dod or china), and register the app there.";
const ASSIGN: &str = "Assign it in Entra admin centre > Enterprise applications > your app > Users and groups, or set Assignment required to No under Properties.";
const REDIRECT: &str = "Register the value of redirect_uri, octet by octet, in Entra admin centre > App registrations > your app > Authentication (http://localhost under Mobile and desktop applications).";
