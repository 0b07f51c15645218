//! What a sign-in has left behind: refresh tokens, and the codes they are made from.

use super::{Entry, SIGN_IN, ours, sign_in, wait};

pub(super) const ENTRIES: &[Entry] = &[
    sign_in(
        70_000,
        "The stored sign-in is not valid, was revoked, or is another app's.",
        SIGN_IN,
    ),
    sign_in(
        70_008,
        "The stored sign-in, or the code of a sign-in under way, has expired.",
        SIGN_IN,
    ),
    sign_in(
        700_082,
        "The stored sign-in has expired, because it was not used for 90 days.",
        SIGN_IN,
    ),
    sign_in(
        700_084,
        "The stored sign-in was made for a single-page application, which ends after 24 hours.",
        "Register the redirect URI under Web or Mobile and desktop applications in Entra admin centre > App registrations > your app > Authentication, then sign in again: exorelay login ACCOUNT.",
    ),
    sign_in(
        70_043,
        "A sign-in frequency policy has ended the stored sign-in.",
        "Exclude the user from the policy in Entra admin centre > Protection > Conditional Access > Session > Sign-in frequency, then sign in again: exorelay login ACCOUNT.",
    ),
    sign_in(
        50_089,
        "The stored sign-in has expired or was revoked.",
        SIGN_IN,
    ),
    sign_in(
        50_173,
        "The stored sign-in was revoked, by a change of the password or by an administrator.",
        SIGN_IN,
    ),
    sign_in(54_005, "The code of the sign-in was used already.", SIGN_IN),
    ours(
        501_481,
        "The sign-in was begun by another process than the one that ends it (PKCE).",
    ),
    wait(
        70_016,
        5,
        "Nobody has entered the device code yet.",
        "Enter the code on the page that exorelay login names.",
    ),
    sign_in(
        70_018,
        "The device code was mistyped or is not known.",
        DEVICE,
    ),
    sign_in(70_019, "The device code has expired.", DEVICE),
];

const DEVICE: &str = "Begin again: exorelay login ACCOUNT --device.";
