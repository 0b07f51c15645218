//! A second message hidden in the first (CVE-2023-51764 and its kin): every mix of CR, LF and NUL round a dot.

use super::case::{Case, HEAD, Table, case, mail};

/// What a sequence between `one` and `MAIL FROM` comes to.
enum Fate {
    /// It is content, in this form.
    Stays(&'static str),
    /// It ends the data, and this is left of it as content.
    Ends(&'static str),
    /// The whole content is refused at its true end, which comes later.
    Refused,
    /// It is the true end, and the content is refused.
    EndsRefused,
    /// As [`Refused`], for a NUL.
    RefusedNul,
    /// As [`EndsRefused`], for a NUL.
    EndsRefusedNul,
}

use Fate::{Ends, EndsRefused, EndsRefusedNul, Refused, RefusedNul, Stays};

/// By the sequence: with `normalize`, `reject` and `lenient`.
const TABLE: [(&str, Fate, Fate, Fate); 30] = [
    // What everybody agrees on.
    ("\r\n.\r\n", Ends("\r\n"), Ends("\r\n"), Ends("\r\n")),
    (
        "\r\n..\r\n",
        Stays("\r\n.\r\n"),
        Stays("\r\n.\r\n"),
        Stays("\r\n.\r\n"),
    ),
    (
        "\r\n.x\r\n",
        Stays("\r\nx\r\n"),
        Stays("\r\nx\r\n"),
        Stays("\r\nx\r\n"),
    ),
    (
        "\r\n. \r\n",
        Stays("\r\n \r\n"),
        Stays("\r\n \r\n"),
        Stays("\r\n \r\n"),
    ),
    (
        "\r\n .\r\n",
        Stays("\r\n .\r\n"),
        Stays("\r\n .\r\n"),
        Stays("\r\n .\r\n"),
    ),
    (
        "\r\n.\t\r\n",
        Stays("\r\n\t\r\n"),
        Stays("\r\n\t\r\n"),
        Stays("\r\n\t\r\n"),
    ),
    // Bare LF.
    ("\n.\n", Stays("\r\n.\r\n"), Refused, Ends("\r\n")),
    ("\n.\r\n", Stays("\r\n.\r\n"), Refused, Ends("\r\n")),
    ("\r\n.\n", Stays("\r\n\r\n"), Refused, Ends("\r\n")),
    ("\n\n.\n", Stays("\r\n\r\n.\r\n"), Refused, Ends("\r\n\r\n")),
    ("\n..\n", Stays("\r\n..\r\n"), Refused, Stays("\r\n.\r\n")),
    ("\n.x\n", Stays("\r\n.x\r\n"), Refused, Stays("\r\nx\r\n")),
    (
        "\n.x\n.\n",
        Stays("\r\n.x\r\n.\r\n"),
        Refused,
        Ends("\r\nx\r\n"),
    ),
    // Bare CR.
    ("\r.\r", Stays("\r\n.\r\n"), Refused, Stays("\r\n.\r\n")),
    ("\r.\r\n", Stays("\r\n.\r\n"), Refused, Stays("\r\n.\r\n")),
    ("\r\n.\r", Stays("\r\n\r\n"), Refused, Stays("\r\n\r\n")),
    ("\r\n.\rx", Stays("\r\n\r\nx"), Refused, Stays("\r\n\r\nx")),
    (
        "\r\r.\r\r",
        Stays("\r\n\r\n.\r\n\r\n"),
        Refused,
        Stays("\r\n\r\n.\r\n\r\n"),
    ),
    // Both, the wrong way round.
    ("\r.\n", Stays("\r\n.\r\n"), Refused, Stays("\r\n.\r\n")),
    ("\n.\r", Stays("\r\n.\r\n"), Refused, Stays("\r\n\r\n")),
    (
        "\n\r.\n\r",
        Stays("\r\n\r\n.\r\n\r\n"),
        Refused,
        Stays("\r\n\r\n.\r\n\r\n"),
    ),
    ("\r\n.\r\r\n", Stays("\r\n\r\n"), Refused, Stays("\r\n\r\n")),
    (
        "\r\r\n.\r\r\n",
        Stays("\r\n\r\n"),
        Refused,
        Stays("\r\n\r\n"),
    ),
    // Of CR CR LF the last two are a line end.
    ("\r\r\n.\r\n", Ends("\r\n"), EndsRefused, Ends("\r\n")),
    // Other octets that some program, somewhere, takes for a line end.
    (
        "\u{b}.\u{b}",
        Stays("\u{b}.\u{b}"),
        Stays("\u{b}.\u{b}"),
        Stays("\u{b}.\u{b}"),
    ),
    (
        "\u{c}.\r\n",
        Stays("\u{c}.\r\n"),
        Stays("\u{c}.\r\n"),
        Stays("\u{c}.\r\n"),
    ),
    (
        "\u{85}.\u{85}",
        Stays("\u{85}.\u{85}"),
        Stays("\u{85}.\u{85}"),
        Stays("\u{85}.\u{85}"),
    ),
    (
        "\u{2028}.\u{2028}",
        Stays("\u{2028}.\u{2028}"),
        Stays("\u{2028}.\u{2028}"),
        Stays("\u{2028}.\u{2028}"),
    ),
    (
        "\r\n\u{feff}.\r\n",
        Stays("\r\n\u{feff}.\r\n"),
        Stays("\r\n\u{feff}.\r\n"),
        Stays("\r\n\u{feff}.\r\n"),
    ),
    (
        "\r\n.\u{a0}\r\n",
        Stays("\r\n\u{a0}\r\n"),
        Stays("\r\n\u{a0}\r\n"),
        Stays("\r\n\u{a0}\r\n"),
    ),
];

/// NUL is an octet like another where framing is concerned; in content it becomes a space, or is refused.
const NUL: [(&str, Fate, Fate, Fate); 8] = [
    (
        "\r\n\0.\r\n",
        Stays("\r\n .\r\n"),
        RefusedNul,
        Stays("\r\n .\r\n"),
    ),
    (
        "\r\n.\0\r\n",
        Stays("\r\n \r\n"),
        RefusedNul,
        Stays("\r\n \r\n"),
    ),
    (
        "\r\n.\r\0\n",
        Stays("\r\n\r\n \r\n"),
        Refused,
        Stays("\r\n\r\n \r\n"),
    ),
    (
        "\r\0\n.\r\n",
        Stays("\r\n \r\n.\r\n"),
        Refused,
        Ends("\r\n \r\n"),
    ),
    ("\0\r\n.\r\n", Ends(" \r\n"), EndsRefusedNul, Ends(" \r\n")),
    ("\n\0.\n", Stays("\r\n .\r\n"), Refused, Stays("\r\n .\r\n")),
    ("\0.\0", Stays(" . "), RefusedNul, Stays(" . ")),
    ("\n.\0\n", Stays("\r\n. \r\n"), Refused, Stays("\r\n \r\n")),
];

const EVIL: [(&str, &str); 3] = [
    ("MAIL FROM:<evil@contoso.com>", "250 2.1.0"),
    ("RCPT TO:<victim@contoso.com>", "250 2.1.5"),
    ("DATA", "354"),
];

fn smuggled(sequence: &str, listener: &'static str, fate: &Fate) -> Case {
    let name = format!("one{sequence:?}MAIL");
    let one = case(name).on(listener).data();
    let one = one.raw(format!("{HEAD}one{sequence}"), &[]);
    let second = format!("{HEAD}two\r\n");
    let refusal = match fate {
        RefusedNul | EndsRefusedNul => "550 5.6.0",
        Ends(_) | EndsRefused | Refused | Stays(_) => "550 5.6.11",
    };
    match fate {
        Ends(left) => one
            .raw("", &["250 2.0.0"])
            .lines(&EVIL)
            .raw(format!("{second}.\r\n"), &["250 2.0.0"])
            .queues(mail(
                "a@contoso.com",
                &["b@contoso.com"],
                format!("{HEAD}one{left}"),
            ))
            .queues(mail("evil@contoso.com", &["victim@contoso.com"], second)),
        Stays(form) => {
            let lines = EVIL.map(|(line, _)| format!("{line}\r\n")).concat();
            let content = format!("{HEAD}one{form}{lines}{second}");
            one.raw(format!("{lines}{second}.\r\n"), &["250 2.0.0"])
                .queues(mail("a@contoso.com", &["b@contoso.com"], content))
        }
        EndsRefused | EndsRefusedNul => one
            .raw("", &[refusal])
            .lines(&EVIL)
            .raw(format!("{second}.\r\n"), &["250 2.0.0"])
            .queues(mail("evil@contoso.com", &["victim@contoso.com"], second)),
        Refused | RefusedNul => {
            let lines = EVIL.map(|(line, _)| format!("{line}\r\n")).concat();
            one.raw(format!("{lines}{second}.\r\n"), &[refusal]).well()
        }
    }
    .quits()
}

async fn all(table: &[(&str, Fate, Fate, Fate)], piece: usize) {
    let mut relay = Table::start().await;
    for (sequence, normalize, reject, lenient) in table {
        for (listener, fate) in [
            ("local", normalize),
            ("reject", reject),
            ("lenient", lenient),
        ] {
            let case = smuggled(sequence, listener, fate);
            relay.run_in(case, piece).await;
        }
    }
    relay.end(3 * table.len()).await;
}

#[tokio::test]
async fn nothing_is_hidden_in_what_comes_at_once() {
    all(&TABLE, usize::MAX).await;
}

#[tokio::test]
async fn nothing_is_hidden_in_what_comes_octet_by_octet() {
    all(&TABLE, 1).await;
}

#[tokio::test]
async fn nul_hides_nothing() {
    for piece in [1, usize::MAX] {
        all(&NUL, piece).await;
    }
}
