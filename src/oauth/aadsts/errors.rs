//! The `error` of RFC 6749 section 5.2 and of its extensions, for what comes without a number that is
//! listed (facts F, end).

use std::time::Duration;

use super::table::{PASSES, REPORT, SIGN_IN};
use super::{Class, Code, Entry};

/// Nothing else fits.
pub(super) const UNKNOWN: Entry = row(
    "unknown",
    Class::Operator,
    "The sign-in service refused the request, for a reason that exorelay does not know.",
    "Compare tenant_id, client_id and scope with the app's registration.",
);

pub(super) const ERRORS: &[Entry] = &[
    row(
        "invalid_client",
        Class::Operator,
        "The sign-in service does not accept the app, its secret or its certificate.",
        "Check client_id and client_secret or client_certificate with the app's registration.",
    ),
    row(
        "unauthorized_client",
        Class::Operator,
        "The app may not sign in like this.",
        "Check that the app exists in this tenant and is allowed to sign in this way.",
    ),
    row(
        "invalid_scope",
        Class::Operator,
        "The scope is not valid for this app and this way to sign in.",
        "Check scope in [account.NAME.oauth]; Google gives its mail scope to a browser only, not to a device code.",
    ),
    row(
        "invalid_resource",
        Class::Operator,
        "The service that the scope names does not exist in this tenant.",
        "Check scope in [account.NAME.oauth], tenant_id and cloud.",
    ),
    row(
        "invalid_target",
        Class::Operator,
        "The service that was asked for is not one that this app may use.",
        "Check scope in [account.NAME.oauth], tenant_id and cloud.",
    ),
    row(
        "invalid_grant",
        Class::SignInAgain,
        "The stored sign-in has expired, was revoked, or is another app's.",
        "Sign in again: exorelay login ACCOUNT; Google lets a sign-in lapse after 7 days while the consent screen is in Testing.",
    ),
    row(
        "interaction_required",
        Class::SignInAgain,
        "The sign-in service wants the person to sign in once more.",
        SIGN_IN,
    ),
    row(
        "login_required",
        Class::SignInAgain,
        "The sign-in service wants the person to sign in once more.",
        SIGN_IN,
    ),
    row(
        "consent_required",
        Class::SignInAgain,
        "The sign-in service wants the person, or an administrator, to consent once more.",
        "Sign in again and accept: exorelay login ACCOUNT; grant admin consent first where the tenant asks for it.",
    ),
    row(
        "access_denied",
        Class::Operator,
        "The person who signed in has declined, or is not allowed to use the app.",
        "Accept what is asked at the next sign-in, or have an administrator allow the app.",
    ),
    row(
        "authorization_declined",
        Class::SignInAgain,
        "The person has declined the sign-in of the device.",
        "Sign in again and accept: exorelay login ACCOUNT --device.",
    ),
    row(
        "expired_token",
        Class::SignInAgain,
        "The device code has expired.",
        DEVICE,
    ),
    row(
        "bad_verification_code",
        Class::SignInAgain,
        "The device code was mistyped or is not known.",
        DEVICE,
    ),
    row(
        "authorization_pending",
        Class::Wait(POLL),
        "Nobody has entered the device code yet.",
        "Enter the code on the page that exorelay login names.",
    ),
    row(
        "slow_down",
        Class::Wait(POLL),
        "The sign-in service wants to be asked less often.",
        PASSES,
    ),
    // Google's own (facts G.4).
    row(
        "redirect_uri_mismatch",
        Class::Operator,
        "The redirect URI is not the one that is registered.",
        "Register the value of redirect_uri in Google Cloud console > APIs & Services > Credentials > your client, or use a client of the type Desktop app.",
    ),
    row(
        "deleted_client",
        Class::Operator,
        "The app was deleted at Google.",
        "Make a new OAuth client in Google Cloud console > APIs & Services > Credentials, and set client_id and client_secret.",
    ),
    row(
        "admin_policy_enforced",
        Class::Operator,
        "The Google Workspace administrator does not allow the app its scope.",
        "Trust the app in Google Admin console > Security > API controls > App access control.",
    ),
    row(
        "temporarily_unavailable",
        Class::Wait(Duration::ZERO),
        "The sign-in service is temporarily unavailable.",
        PASSES,
    ),
    row(
        "server_error",
        Class::Wait(Duration::ZERO),
        "The sign-in service has a fault of its own.",
        PASSES,
    ),
    row(
        INVALID_REQUEST,
        Class::Ours,
        "The sign-in service calls the request malformed.",
        REPORT,
    ),
    row(
        "unsupported_grant_type",
        Class::Ours,
        "The sign-in service does not know this way to ask for a token.",
        REPORT,
    ),
    row(
        "unsupported_response_type",
        Class::Ours,
        "The sign-in service does not know this way to sign in.",
        REPORT,
    ),
];

/// `numbered`: the service gave a number that is not listed.
pub(super) fn explain(error: &str, numbered: bool) -> &'static Entry {
    // With a number it is nearly always a wrong setting; without, the server means our syntax.
    if numbered && error == INVALID_REQUEST {
        return &UNKNOWN;
    }
    let known = ERRORS.iter().find(|entry| entry.error() == Some(error));
    known.unwrap_or(&UNKNOWN)
}

const fn row(
    error: &'static str,
    class: Class,
    meaning: &'static str,
    remedy: &'static str,
) -> Entry {
    Entry {
        code: Code::Error(error),
        class,
        meaning,
        remedy,
    }
}

const INVALID_REQUEST: &str = "invalid_request";
/// RFC 8628 section 3.5.
const POLL: Duration = Duration::from_secs(5);
const DEVICE: &str = "Begin again: exorelay login ACCOUNT --device.";
