//! At a limit, and one over it. The listener `small` takes 2 KiB, two recipients and three errors.

use super::case::{Case, FROM, HEAD, TO, Table, case, mail};

const MAX: usize = 2048;

/// Content of just so many octets as they come, dots stuffed, the end of data not among them.
fn content(octets: usize) -> String {
    let mut text = HEAD.to_owned();
    while text.len() + 80 < octets {
        text.push_str(&"x".repeat(70));
        text.push_str("\r\n");
    }
    text.push_str(&"y".repeat(octets - text.len() - 2));
    text.push_str("\r\n");
    assert_eq!(text.len(), octets);
    text
}

fn sized(name: &str, octets: usize, reply: &'static str) -> Case {
    let text = content(octets);
    let one = case(name).on("small").data();
    one.raw(format!("{text}.\r\n"), &[reply])
}

#[tokio::test]
async fn sizes() {
    let mut relay = Table::start().await;
    // What counts is the content as it comes, with its end.
    let largest = MAX - 3;
    let fits = sized("content at the limit", largest, "250 2.0.0");
    let fits = fits.queues(mail(FROM, &[TO], content(largest)));
    relay.run(fits.well().quits()).await;
    for (name, octets) in [
        ("content one over", largest + 1),
        ("content far over", 100 * MAX),
    ] {
        // It is read to its end, so that the session stays in step.
        let over = sized(name, octets, "552 5.3.4");
        relay.run(over.well().quits()).await;
    }
    for (size, reply) in [
        ("0", "250 2.1.0"),
        ("2048", "250 2.1.0"),
        ("2049", "552 5.3.4"),
        ("18446744073709551615", "552 5.3.4"),
        ("18446744073709551616", "552 5.3.4"),
        ("99999999999999999999", "552 5.3.4"),
        ("999999999999999999999", "501 5.5.4"),
        ("-1", "501 5.5.4"),
        ("0x10", "501 5.5.4"),
        ("", "501 5.5.4"),
    ] {
        let line = format!("MAIL FROM:<a@contoso.com> SIZE={size}");
        let one = case(&line).on("small").line(&line, reply);
        relay.run(one.line("RSET", "250").well().quits()).await;
    }
    // A client that lies about the size gains nothing.
    let liar = case("SIZE=1 and more").on("small");
    let liar = liar.line("MAIL FROM:<a@contoso.com> SIZE=1", "250");
    let liar = liar.lines(&[("RCPT TO:<b@contoso.com>", "250"), ("DATA", "354")]);
    let liar = liar.raw(format!("{}.\r\n", content(MAX)), &["552 5.3.4"]);
    relay.run(liar.well().quits()).await;
    relay.end(3 + 10 + 1).await;
}

#[tokio::test]
async fn lines() {
    let mut relay = Table::start().await;
    let longest = format!("NOOP {}", "x".repeat(2048 - 7));
    relay
        .run(
            case("the longest command")
                .line(longest, "250")
                .well()
                .quits(),
        )
        .await;
    for octets in [2047, 2048, 4096, 10_000, 1 << 20] {
        let one = case(format!("a line of {octets} octets and CRLF"));
        let one = one.line("x".repeat(octets), "500 5.5.2 Line too long");
        relay.run(one.well().quits()).await;
    }
    // What stands at a cut of the buffer is no command.
    let hidden = format!("{}QUIT", "x".repeat(2048)).repeat(3);
    relay
        .run(
            case("QUIT in a long line")
                .line(hidden, "500 5.5.2")
                .well()
                .quits(),
        )
        .await;
    let hidden = format!("{}\rMAIL FROM:<evil@contoso.com>\r", "x".repeat(4000)).repeat(50);
    relay
        .run(
            case("CR in a long line")
                .line(hidden, "500 5.5.2")
                .well()
                .quits(),
        )
        .await;
    relay
        .run(case("a mebibyte without an end").raw("x".repeat(1 << 20), &[]))
        .await;
    relay
        .run(
            case("a long MAIL leaves no envelope")
                .line(
                    format!("MAIL FROM:<a@contoso.com> {}", "X".repeat(3000)),
                    "500 5.5.2",
                )
                .line("RCPT TO:<b@contoso.com>", "503 5.5.1")
                .well()
                .quits(),
        )
        .await;
    // Of content a line may be as long as it likes; what is sent on is the same.
    let text = format!("{HEAD}{}\r\n", "z".repeat(100_000));
    relay
        .run(
            case("a long line of content")
                .data()
                .raw(format!("{text}.\r\n"), &["250 2.0.0"])
                .queues(mail(FROM, &[TO], text))
                .quits(),
        )
        .await;
    relay.end(11).await;
}

#[tokio::test]
async fn errors() {
    let mut relay = Table::start().await;
    for line in [
        "XYZZY",
        "DATA",
        "MAIL FROM:<a>",
        "RCPT TO:<b>",
        "AUTH ?",
        "\u{1}",
    ] {
        let reply = match line {
            "DATA" => "503",
            "MAIL FROM:<a>" | "RCPT TO:<b>" => "553",
            "AUTH ?" => "502",
            _ => "500",
        };
        let one = case(format!("{line:?} without end")).on("small");
        let one = one.lines(&[(line, reply); 3]).line(line, "421 4.7.0");
        relay
            .run(one.raw(format!("{line}\r\n").repeat(50), &[]).hung_up())
            .await;
    }
    let mixed = case("an accepted message forgives").on("small");
    let mixed = mixed
        .lines(&[("A", "500"), ("B", "500"), ("C", "500")])
        .well();
    let mixed = mixed.lines(&[("A", "500"), ("B", "500"), ("C", "500"), ("D", "421 4.7.0")]);
    relay.run(mixed.hung_up()).await;
    // Within an envelope as well, which is gone then.
    let within = case("errors within an envelope").on("small");
    let within = within.lines(&[
        ("MAIL FROM:<a@contoso.com>", "250"),
        ("RCPT TO:<b@contoso.com>", "250"),
    ]);
    let within = within.lines(&[("A", "500"), ("B", "500"), ("C", "500"), ("D", "421 4.7.0")]);
    relay
        .run(
            within
                .raw(format!("DATA\r\n{HEAD}\r\n.\r\n"), &[])
                .hung_up(),
        )
        .await;
    let refused = case("content refused again and again").on("small");
    let refused = (0..4).fold(refused, |one, number| {
        let reply = if number < 3 { "552 5.3.4" } else { "421 4.7.0" };
        one.data().raw(format!("{}.\r\n", content(MAX)), &[reply])
    });
    relay.run(refused.hung_up()).await;
    let idle = case("commands without end").raw("NOOP\r\n".repeat(1000), &["250 2.0.0"; 1000]);
    relay
        .run(
            idle.line("NOOP", "421 4.7.0")
                .raw("NOOP\r\n".repeat(100), &[])
                .hung_up(),
        )
        .await;
    relay.end(10).await;
}

#[tokio::test]
async fn recipients_and_hops() {
    let mut relay = Table::start().await;
    let two = ["b@contoso.com", "c@contoso.com"];
    let many = case("more recipients than allowed").on("small");
    let many = many.lines(&[
        ("MAIL FROM:<a@contoso.com>", "250"),
        ("RCPT TO:<b@contoso.com>", "250"),
        ("RCPT TO:<c@contoso.com>", "250"),
    ]);
    // As often as it likes: RFC 5321 section 4.5.3.1.10 has them sent again later.
    let many = many.lines(&[("RCPT TO:<d@contoso.com>", "452 4.5.3"); 30]);
    let many = many.line("DATA", "354");
    let many = many.raw(format!("{HEAD}x\r\n.\r\n"), &["250 2.0.0"]);
    let many = many.queues(mail(FROM, &two, format!("{HEAD}x\r\n")));
    relay.run(many.well().quits()).await;

    for (hops, reply) in [
        (29, "250 2.0.0"),
        (30, "250 2.0.0"),
        (31, "554 5.4.6"),
        (500, "554 5.4.6"),
    ] {
        let text = format!("{}{HEAD}x\r\n", "Received: from a by b; d\r\n".repeat(hops));
        let one = case(format!("{hops} hops"))
            .data()
            .raw(format!("{text}.\r\n"), &[reply]);
        let one = if hops > 30 {
            one
        } else {
            one.queues(mail(FROM, &[TO], text))
        };
        relay.run(one.well().quits()).await;
    }
    // Folded, in other letters, and only in the header.
    let text = format!(
        "{}{HEAD}x\r\n",
        "RECEIVED :\r\n from a\r\n by b; d\r\n".repeat(31)
    );
    let one = case("31 folded hops")
        .data()
        .raw(format!("{text}.\r\n"), &["554 5.4.6"]);
    relay.run(one.well().quits()).await;
    let text = format!("{HEAD}{}", "Received: from a by b; d\r\n".repeat(40));
    let one = case("hops in the body")
        .data()
        .raw(format!("{text}.\r\n"), &["250 2.0.0"]);
    relay.run(one.queues(mail(FROM, &[TO], text)).quits()).await;
    relay.end(7).await;
}
