//! The person who signs in, and what policies ask of that person.

use super::{Entry, SIGN_IN, operator, sign_in, wait};

pub(super) const ENTRIES: &[Entry] = &[
    operator(50_034, "There is no such user in this tenant.", USER),
    operator(
        50_020,
        "The user belongs to another tenant and is no guest of this one.",
        USER,
    ),
    operator(51_004, "The user is not in this tenant's directory.", USER),
    operator(
        500_208,
        "The user's domain is not one that may sign in here, as with a personal account.",
        USER,
    ),
    sign_in(50_126, "User name or password are wrong.", SIGN_IN),
    wait(
        50_053,
        300,
        "The user is locked out after failed sign-ins, or the address of this machine is distrusted.",
        "Wait some minutes; if it stays, Entra admin centre > Monitoring & health > Sign-in logs tells which of the two, and Users > the user > Reset password unlocks.",
    ),
    sign_in(
        50_055,
        "The user's password has expired.",
        "Change the password at https://aka.ms/sspr or in Entra admin centre > Users > the user > Reset password, then sign in again: exorelay login ACCOUNT.",
    ),
    operator(
        50_057,
        "The user's account is disabled.",
        "Set Account enabled in Entra admin centre > Users > the user > Properties; a shared mailbox needs app access in its place: access = \"application\".",
    ),
    sign_in(
        50_072,
        "The user has to enrol for multifactor authentication.",
        ENROL,
    ),
    sign_in(
        50_079,
        "The user has to enrol for multifactor authentication, because a policy now asks for it.",
        ENROL,
    ),
    sign_in(
        50_074,
        "Multifactor authentication is asked for and was not passed.",
        SECOND_FACTOR,
    ),
    sign_in(
        50_076,
        "A policy now asks for multifactor authentication.",
        SECOND_FACTOR,
    ),
    sign_in(
        50_078,
        "The user's multifactor authentication is too old for a policy.",
        SECOND_FACTOR,
    ),
    operator(
        53_000,
        "A Conditional Access policy wants a compliant device.",
        POLICY,
    ),
    operator(
        53_001,
        "A Conditional Access policy wants a device that is joined to the domain.",
        POLICY,
    ),
    operator(
        53_003,
        "A Conditional Access policy blocks the sign-in.",
        POLICY,
    ),
    operator(
        530_003,
        "A Conditional Access policy wants a managed device.",
        POLICY,
    ),
    operator(
        530_032,
        "A security policy of the tenant blocks the sign-in.",
        POLICY,
    ),
    operator(
        53_011,
        "The user is blocked because of a risk that was found in the home tenant.",
        "Look at the user in Entra admin centre > Protection > Risky users and dismiss or remediate the risk, then sign in again: exorelay login ACCOUNT.",
    ),
    operator(
        530_035,
        "The tenant's security defaults block the sign-in.",
        "Use access = \"application\", or replace security defaults by Conditional Access: Entra admin centre > Overview > Properties > Manage security defaults.",
    ),
];

const USER: &str = "Sign in as a user of the tenant in tenant_id, or name that user's tenant there: exorelay login ACCOUNT.";
const ENROL: &str =
    "Enrol the user at https://aka.ms/mfasetup, then sign in again: exorelay login ACCOUNT.";
const SECOND_FACTOR: &str = "Sign in again with the second factor: exorelay login ACCOUNT; exclude the user from the policy or use access = \"application\" if it comes back.";
const POLICY: &str = "Entra admin centre > Monitoring & health > Sign-in logs names the policy; exclude the user or the app from it in Protection > Conditional Access, or use access = \"application\".";
