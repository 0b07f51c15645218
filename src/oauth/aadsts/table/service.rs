//! The sign-in service itself, and requests that it does not understand.

use super::{Entry, PASSES, ours, wait};

pub(super) const ENTRIES: &[Entry] = &[
    wait(
        50_000,
        0,
        "The sign-in service could not issue a token.",
        PASSES,
    ),
    wait(
        50_033,
        0,
        "The sign-in service has a passing fault.",
        PASSES,
    ),
    wait(
        50_087,
        0,
        "The sign-in service has a passing fault in multifactor authentication.",
        PASSES,
    ),
    wait(
        80_002,
        0,
        "The organisation's own directory did not answer the sign-in service in time.",
        "Nothing is to be done unless it lasts: then check the authentication agents in Entra admin centre > Identity > Hybrid management > Microsoft Entra Connect.",
    ),
    wait(
        90_006,
        0,
        "The sign-in service is temporarily unavailable.",
        PASSES,
    ),
    wait(90_012, 0, "The sign-in service took too long.", PASSES),
    wait(90_024, 0, "The sign-in service is overloaded.", PASSES),
    wait(
        90_033,
        0,
        "The sign-in service does not reach its directory.",
        PASSES,
    ),
    wait(
        90_090,
        0,
        "The sign-in service does not reach Microsoft Graph.",
        PASSES,
    ),
    wait(
        50_196,
        300,
        "The same request came too often in a short time.",
        "Wait, exorelay pauses for five minutes; look for another program that uses the same client_id.",
    ),
    wait(
        90_055,
        60,
        "The sign-in service gets too many requests from this tenant.",
        "Wait, it passes; look for programs that ask for tokens without keeping them in Entra admin centre > Monitoring & health > Sign-in logs.",
    ),
    ours(90_014, "A field that the request must have is missing."),
    ours(
        900_144,
        "A parameter that the request must have is missing.",
    ),
    ours(
        900_561,
        "The address takes another kind of request than the one that was sent.",
    ),
    ours(90_023, "The request is not valid."),
    ours(90_100, "A parameter of the request is empty or not valid."),
    ours(9_002_313, "The request is malformed."),
];
