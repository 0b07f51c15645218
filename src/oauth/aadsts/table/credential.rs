//! What the application proves itself with.

use super::{Entry, operator};

pub(super) const ENTRIES: &[Entry] = &[
    operator(
        7_000_215,
        "The client secret is not the right one; often the Secret ID was pasted.",
        "Paste the secret's Value, not its Secret ID, into client_secret; if the Value is lost, make a new secret in Entra admin centre > App registrations > your app > Certificates & secrets.",
    ),
    operator(
        7_000_222,
        "The client secret has expired.",
        "Make a new secret in Entra admin centre > App registrations > your app > Certificates & secrets, and put its Value into client_secret.",
    ),
    operator(
        70_002,
        "The client secret is not that of the app.",
        "Check that client_secret and client_id are of the same app: Entra admin centre > App registrations > your app > Certificates & secrets.",
    ),
    operator(
        7_000_216,
        "The app has sent no secret and no certificate.",
        SEND_ONE,
    ),
    operator(
        7_000_218,
        "The app is registered as one that has a secret or a certificate, and has sent neither.",
        SEND_ONE,
    ),
    operator(
        700_025,
        "The app is registered as a public client, and has sent a secret or a certificate.",
        "Remove client_secret and client_certificate, or register the redirect URI under the platform Web in Entra admin centre > App registrations > your app > Authentication.",
    ),
    operator(
        700_027,
        "Entra does not know the certificate, or its signature is wrong.",
        "Upload the certificate (only its public part) in Entra admin centre > App registrations > your app > Certificates & secrets, or let client_certificate name the one that is there; try assertion = \"RS256\" in [account.NAME.oauth] if it is.",
    ),
    operator(
        135_010,
        "Entra does not find the key that the request was signed with.",
        "Compare the certificate's thumbprint with those in Entra admin centre > App registrations > your app > Certificates & secrets; if it is there, ask Microsoft with the Trace ID.",
    ),
    operator(
        700_024,
        "The signed proof of the app is outside its time.",
        "Set this machine's clock (timedatectl status); for access = \"workload_identity\" check that something renews the token file.",
    ),
    operator(
        700_211,
        "The issuer of the federated token is not the one that the app trusts.",
        FEDERATION,
    ),
    operator(
        700_212,
        "The audience of the federated token is not the one that the app trusts.",
        FEDERATION,
    ),
    operator(
        700_213,
        "The subject of the federated token is not the one that the app trusts.",
        FEDERATION,
    ),
];

const SEND_ONE: &str = "Set client_secret or client_certificate; for a sign-in without either, set Allow public client flows to Yes in Entra admin centre > App registrations > your app > Authentication.";
const FEDERATION: &str = "Make issuer, subject and audience (usually api://AzureADTokenExchange) equal to those of the token: Entra admin centre > App registrations > your app > Certificates & secrets > Federated credentials.";
