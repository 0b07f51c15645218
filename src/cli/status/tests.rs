//! Lines for people.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn account() -> AccountStatus {
    AccountStatus {
        name: "default".into(),
        mailbox: "relay@contoso.com".into(),
        host: "smtp.office365.com".into(),
        state: AccountState::Ready,
        reason: None,
        rule: None,
        why: None,
        remedy: None,
        aadsts: None,
        link: None,
        since: at("2026-11-20T09:00:00Z"),
        next_probe_at: None,
        probing: false,
        connections: 1,
        pace: PaceReport {
            messages_last_minute: 30,
            messages_per_minute: 30,
            recipients_last_day: 1_204,
            recipients_per_day: 10_000,
            queued: 412,
            waiting_until: Some(at("2026-11-20T10:00:20Z")),
            drained_at: Some(at("2026-11-20T10:14:00Z")),
        },
        token: TokenReport {
            expires_at: Some(at("2026-11-20T10:52:00Z")),
            renew_at: Some(at("2026-11-20T10:20:00Z")),
            ..TokenReport::new(TokenState::Valid)
        },
        credential_expires: None,
        last_error: None,
        unknown_replies: 0,
        last_unknown_reply: None,
        denied_senders: Vec::new(),
    }
}

#[test]
fn accounts_say_how_they_are() {
    let now = at("2026-11-20T10:00:00Z");
    assert_eq!(
        account_lines(&account(), now, &TimeZone::UTC),
        [
            "account default (relay@contoso.com through smtp.office365.com): ready",
            "  token good for 52m, 1 connection",
            "  30/30 this minute, 412 queued, drained at about 10:14, 1204/10000 recipients in 24 hours",
        ]
    );
    let mut throttled = account();
    throttled.state = AccountState::Throttled;
    throttled.reason = Some("the day is used up".into());
    throttled.pace = PaceReport {
        waiting_until: Some(at("2026-11-20T14:32:00Z")),
        ..PaceReport::default()
    };
    assert_eq!(
        account_lines(&throttled, now, &TimeZone::UTC),
        [
            "account default (relay@contoso.com through smtp.office365.com): throttled until 14:32, the day \
             is used up",
            "  token good for 52m, 1 connection",
        ]
    );
    let mut paused = account();
    paused.state = AccountState::Paused;
    paused.reason = Some("the client secret has expired; make a new one in Entra".into());
    paused.next_probe_at = Some(at("2026-11-20T10:04:00Z"));
    paused.token = TokenReport {
        error: Some("AADSTS7000222".into()),
        next_try_at: Some(at("2026-11-20T10:04:00Z")),
        ..TokenReport::new(TokenState::Failing)
    };
    paused.last_error = Some("no access token".into());
    paused.pace = PaceReport {
        messages_per_minute: 30,
        ..PaceReport::default()
    };
    assert_eq!(
        account_lines(&paused, now, &TimeZone::UTC),
        [
            "account default (relay@contoso.com through smtp.office365.com): paused since 1h, the client \
             secret has expired; make a new one in Entra; tried again in 4m",
            "  token none, renewal fails: AADSTS7000222; tried again in 4m, 1 connection",
            "  0/30 this minute",
            "  last error: no access token",
        ]
    );
}

#[test]
fn sign_in_says_who_how_and_when() {
    let now = at("2026-11-20T10:00:00Z");
    let mut delegated = account();
    let mut sign_in = SignInReport {
        user: Some("relay@contoso.com".into()),
        origin: "browser".into(),
        client_id: "app".into(),
        obtained_at: at("2026-11-17T08:00:00Z"),
        renewed_at: at("2026-11-20T09:48:00Z"),
    };
    let mut line = |sign_in: &SignInReport| {
        delegated.token.sign_in = Some(sign_in.clone());
        account_lines(&delegated, now, &TimeZone::UTC).remove(2)
    };
    assert_eq!(
        line(&sign_in),
        "  signed in as relay@contoso.com in a browser 3d2h ago, renewed 12m ago"
    );
    sign_in.user = None;
    sign_in.origin = "import".into();
    assert_eq!(
        line(&sign_in),
        "  signed in as an unknown person elsewhere, imported 3d2h ago, renewed 12m ago"
    );
}

#[test]
fn accounts_say_what_is_wrong_and_how_it_is_mended() {
    let now = at("2026-11-20T10:00:00Z");
    let mut blocked = account();
    blocked.state = AccountState::Blocked;
    blocked.reason = Some("550 5.1.8 Access denied, bad outbound sender".into());
    blocked.why = Some("Microsoft has restricted the mailbox.".into());
    blocked.remedy = Some("Release it.".into());
    blocked.probing = true;
    blocked.unknown_replies = 2;
    blocked.last_unknown_reply = Some("550 5.9.9 never".into());
    assert_eq!(
        account_lines(&blocked, now, &TimeZone::UTC),
        [
            "account default (relay@contoso.com through smtp.office365.com): blocked since 1h, 550 5.1.8 \
             Access denied, bad outbound sender; being tried just now",
            "  why: Microsoft has restricted the mailbox.",
            "  remedy: Release it.",
            "  token good for 52m, 1 connection",
            "  30/30 this minute, 412 queued, drained at about 10:14, 1204/10000 recipients in 24 hours",
            "  2 replies that exorelay does not know, last: 550 5.9.9 never",
        ]
    );
}

#[test]
fn a_refused_token_is_explained_once() {
    let now = at("2026-11-20T10:00:00Z");
    let known = |report: &mut TokenReport| {
        report.rule = Some("aadsts50173".into());
        report.why = Some("The sign-in was revoked.".into());
        report.remedy = Some("Sign in again: exorelay login default.".into());
        report.aadsts = Some(50_173);
        report.link = Some("https://login.microsoftonline.com/error?code=50173".into());
        report.error = Some("invalid_grant: AADSTS50173: text".into());
    };
    let mut blocked = account();
    blocked.pace = PaceReport::default();
    blocked.state = AccountState::Blocked;
    blocked.reason = Some("no access token: invalid_grant: AADSTS50173: text".into());
    blocked.token = TokenReport::new(TokenState::Failing);
    known(&mut blocked.token);
    let token = &blocked.token;
    (blocked.rule, blocked.why) = (token.rule.clone(), token.why.clone());
    (blocked.remedy, blocked.link) = (token.remedy.clone(), token.link.clone());
    assert_eq!(
        account_lines(&blocked, now, &TimeZone::UTC),
        [
            "account default (relay@contoso.com through smtp.office365.com): blocked since 1h, no access \
             token: invalid_grant: AADSTS50173: text",
            "  why: The sign-in was revoked.",
            "  remedy: Sign in again: exorelay login default.",
            "  more: https://login.microsoftonline.com/error?code=50173",
            "  token none, renewal fails, 1 connection",
        ]
    );

    // The account still sends with what is left of the token before.
    let mut ready = account();
    ready.pace = PaceReport::default();
    known(&mut ready.token);
    ready.token.state = TokenState::Failing;
    assert_eq!(
        account_lines(&ready, now, &TimeZone::UTC),
        [
            "account default (relay@contoso.com through smtp.office365.com): ready",
            "  token good for 52m, renewal fails: invalid_grant: AADSTS50173: text, 1 connection",
            "    why: The sign-in was revoked.",
            "    remedy: Sign in again: exorelay login default.",
            "    more: https://login.microsoftonline.com/error?code=50173",
        ]
    );
}

#[test]
fn accounts_say_whom_they_may_not_send_as() {
    let now = at("2026-11-20T10:00:00Z");
    let denied = |number| DeniedSenderStatus {
        address: format!("scan{number}@contoso.com"),
        until: at("2026-11-20T21:30:00Z"),
    };
    let one = [denied(1)];
    assert_eq!(
        denied_lines(&one, now),
        ["  may not send as scan1@contoso.com: rewritten for 11h30m"]
    );
    let many: Vec<_> = (1..=7).map(denied).collect();
    let lines = denied_lines(&many, now);
    assert_eq!(lines.len(), 6);
    assert_eq!(
        lines.last().map(String::as_str),
        Some("  and 2 more; exorelay sender list shows them all")
    );
}

#[test]
fn incidents_have_an_id_an_age_and_a_count() {
    let incident = IncidentStatus {
        id: "01KA0000000000AB".into(),
        kind: "account".into(),
        account: Some("default".into()),
        client: None,
        state: "blocked".into(),
        rule: None,
        why: None,
        remedy: None,
        aadsts: None,
        link: None,
        reason: "AADSTS7000222".into(),
        count: 20,
        opened_at: at("2026-11-20T06:48:00Z"),
    };
    assert_eq!(
        incident_line(&incident, at("2026-11-20T10:00:00Z")),
        "incident 01KA0000000000AB: account default: blocked since 3h12m, 20 failures: AADSTS7000222"
    );
    let expiring = IncidentStatus {
        kind: "credential".into(),
        state: "warning".into(),
        reason: "the certificate runs out".into(),
        ..incident
    };
    assert_eq!(
        incident_line(&expiring, at("2026-11-20T10:00:00Z")),
        "incident 01KA0000000000AB: account default: warning since 3h12m: the certificate runs out"
    );
    let silent = IncidentStatus {
        kind: "client".into(),
        account: None,
        client: Some("lobby".into()),
        state: "silent".into(),
        reason: "no message from 10.20.1.15 for 3d, and none before".into(),
        ..expiring
    };
    assert_eq!(
        incident_line(&silent, at("2026-11-20T10:00:00Z")),
        "incident 01KA0000000000AB: client lobby: silent since 3h12m: no message from 10.20.1.15 for 3d, \
         and none before"
    );
}

#[test]
fn a_credential_says_when_it_runs_out_and_loudly_when_that_is_soon() {
    let on = jiff::civil::date(2027, 5, 1);
    for (today, line) in [
        (
            jiff::civil::date(2027, 3, 31),
            "  credential runs out on 2027-05-01, in 31 days",
        ),
        (
            jiff::civil::date(2027, 4, 1),
            "  CREDENTIAL runs out on 2027-05-01, in 30 days",
        ),
        (
            jiff::civil::date(2027, 5, 4),
            "  CREDENTIAL ran out on 2027-05-01, 3 days ago",
        ),
    ] {
        assert_eq!(expiry_line(on, today), line);
    }
    let mut expiring = account();
    expiring.credential_expires = Some(on);
    let lines = account_lines(&expiring, at("2027-04-30T10:00:00Z"), &TimeZone::UTC);
    assert!(
        lines.contains(&"  CREDENTIAL runs out on 2027-05-01, tomorrow".to_owned()),
        "{lines:?}"
    );
}

#[test]
fn queue_says_what_waits_what_failed_and_whether_it_is_full() {
    let now = at("2026-11-20T10:00:00Z");
    assert_eq!(
        queue_line(&BTreeMap::new(), None, now),
        "queue: nothing waits"
    );
    let states = |pairs: &[(&str, u64)]| {
        let pairs = pairs.iter();
        pairs.map(|(state, n)| ((*state).to_owned(), *n)).collect()
    };
    let counts = BTreeMap::from([
        ("a".to_owned(), states(&[("ready", 10), ("failed", 1)])),
        ("b".to_owned(), states(&[("ready", 2), ("deferred", 3)])),
    ]);
    let queue = QueueStatus {
        counts,
        unknown_accounts: BTreeMap::from([("b".to_owned(), 5)]),
        oldest_received_at: Some(at("2026-11-20T06:48:00Z")),
        full: Some("the queue holds its maximum of bytes".into()),
        messages: 15,
        limit_messages: 100_000,
        bytes: 10 << 30,
        limit_bytes: 10 << 30,
        ..QueueStatus::default()
    };
    assert_eq!(
        queue_lines(&queue, now),
        [
            "queue: 15 messages wait (3 deferred, 12 ready), the oldest for 3h12m, 1 failed and kept for \
             inspection",
            "  5 messages for account b, which the settings do not name: add [account.b], or a [[route]] that takes them, and reload",
            "  15 of 100000 messages, 10 GiB of 10 GiB",
            "  FULL, clients are told to try later: the queue holds its maximum of bytes",
        ]
    );
}
