//! What the application may ask for.

use super::{Entry, operator, sign_in};

pub(super) const ENTRIES: &[Entry] = &[
    operator(
        65_001,
        "Nobody has consented to what the app asks for.",
        CONSENT,
    ),
    operator(
        90_094,
        "An administrator has to consent to the app.",
        CONSENT,
    ),
    operator(
        90_095,
        "An administrator has been asked to consent to the app, and has not done so yet.",
        CONSENT,
    ),
    sign_in(
        65_004,
        "The person who signed in has declined what the app asks for.",
        "Sign in again and accept: exorelay login ACCOUNT.",
    ),
    operator(
        650_056,
        "The app lists no permission for Exchange Online, or nobody has consented to it.",
        CONSENT,
    ),
    operator(
        650_057,
        "The app asks for a service that its permissions do not list.",
        "Add the permission in Entra admin centre > App registrations > your app > API permissions (for the app itself: APIs my organization uses > Office 365 Exchange Online > SMTP.SendAsApp), then grant admin consent.",
    ),
    operator(
        650_052,
        "The tenant has no subscription to the service that the app asks for.",
        RESOURCE,
    ),
    operator(
        500_011,
        "The service that the scope names does not exist in this tenant.",
        RESOURCE,
    ),
    operator(
        50_001,
        "The service that the scope names does not exist, or is disabled.",
        RESOURCE,
    ),
    operator(70_011, "The scope is not valid.", SCOPE),
    operator(28_000, "The scope names more than one service.", SCOPE),
    operator(28_002, "The scope is not valid for an access token.", SCOPE),
    operator(28_003, "The scope is empty.", SCOPE),
    operator(700_022, "The scope names more than one service.", SCOPE),
    operator(700_023, "The scope names no service.", SCOPE),
    operator(90_009, "The app asks for a token for itself.", SCOPE),
    operator(
        90_008,
        "The app asks for a token for itself, or lacks the permission to sign people in.",
        "Check scope in [account.NAME.oauth], and add User.Read under Entra admin centre > App registrations > your app > API permissions if it is right.",
    ),
    operator(
        901_002,
        "The request has a parameter resource, which this endpoint does not take.",
        "Take resource out of token_url and authorize_url in [account.NAME.oauth], and name the service in scope.",
    ),
];

const CONSENT: &str = "Grant consent: Entra admin centre > App registrations > your app > API permissions > Grant admin consent (SMTP.SendAsApp of Office 365 Exchange Online for the app itself, SMTP.Send of Microsoft Graph for a person).";
const RESOURCE: &str = "Leave scope in [account.NAME.oauth] empty or name Exchange Online of your cloud, set cloud to the tenant's own, and see that the tenant has a licence with Exchange Online.";
const SCOPE: &str = "Leave scope in [account.NAME.oauth] empty, or name exactly one service: https://outlook.office365.com/.default for the app itself, https://outlook.office.com/SMTP.Send offline_access for a person.";
