//! Half an envelope, and commands in every order: each mistake leaves the session in a stated state.

use super::case::{FROM, HEAD, TO, Table, case, mail};

const MAIL: &str = "MAIL FROM:<a@contoso.com>";
const RCPT: &str = "RCPT TO:<b@contoso.com>";

#[tokio::test]
async fn what_a_failed_command_leaves() {
    let mut relay = Table::start().await;
    // After MAIL failed there is no transaction, and a recipient or DATA belongs to none.
    let refused_senders = [
        ("MAIL FROM:<a>", "553 5.1.7"),
        ("MAIL FROM:<a@>", "553 5.1.7"),
        ("MAIL FROM:<a b@contoso.com>", "553 5.1.7"),
        ("MAIL FROM:<a@contoso.com> SIZE=999999999999", "552 5.3.4"),
        ("MAIL FROM:<a@contoso.com> SIZE=1 SIZE=1", "501 5.5.4"),
        ("MAIL FROM:<a@contoso.com> BODY=9BIT", "501 5.5.4"),
        ("MAIL FROM:<a@contoso.com> XYZ=1", "555 5.5.4"),
        ("MAIL FROM:<ü@contoso.com>", "553 5.6.7"),
        ("MAIL FROM a@contoso.com", "501 5.5.4"),
        ("MAIL", "501 5.5.4"),
    ];
    for (line, reply) in refused_senders {
        let one = case(line).line(line, reply);
        let one = one.lines(&[(RCPT, "503 5.5.1"), ("DATA", "503 5.5.1")]);
        relay.run(one.well().quits()).await;
    }
    // After RCPT failed the transaction goes on with those that did not.
    let refused_recipients = [
        ("RCPT TO:<>", "501 5.1.3"),
        ("RCPT TO:<postmaster>", "550 5.1.3"),
        ("RCPT TO:<b>", "553 5.1.3"),
        ("RCPT TO:<b@contoso.com> NOTIFY=NEVER,DELAY", "501 5.5.4"),
        ("RCPT TO:<b@contoso.com> ORCPT=rfc822", "501 5.5.4"),
        ("RCPT TO:<b@contoso.com> XYZ", "555 5.5.4"),
        ("RCPT TO:<ü@contoso.com>", "553 5.6.7"),
        ("RCPT b@contoso.com", "501 5.5.4"),
    ];
    for (line, reply) in refused_recipients {
        let one = case(format!("{line} among others"));
        let one = one.lines(&[(MAIL, "250"), (line, reply), (RCPT, "250"), (line, reply)]);
        let one = one.line("DATA", "354");
        let one = one.raw(format!("{HEAD}x\r\n.\r\n"), &["250 2.0.0"]);
        let one = one.queues(mail(FROM, &[TO], format!("{HEAD}x\r\n")));
        relay.run(one.well().quits()).await;

        // Where nobody is left, no content is asked for, and the transaction is over.
        let one = case(format!("{line} alone"));
        let one = one.lines(&[(MAIL, "250"), (line, reply), ("DATA", "554 5.5.1")]);
        let one = one.lines(&[(RCPT, "503 5.5.1"), ("DATA", "503 5.5.1")]);
        relay.run(one.well().quits()).await;
    }
    relay.end(10 + 16).await;
}

#[tokio::test]
async fn commands_out_of_turn() {
    let mut relay = Table::start().await;
    let harmless = [
        ("NOOP", "250 2.0.0"),
        ("NOOP with an argument", "250 2.0.0"),
        ("HELP", "214 2.0.0"),
        ("VRFY a", "252 2.1.5"),
        ("EXPN a", "502 5.5.1"),
        ("BDAT 5 LAST", "502 5.5.1"),
        ("STARTTLS", "502 5.5.1"),
        ("AUTH PLAIN AGEAYg==", "502 5.5.1"),
        ("TURN", "502 5.5.1"),
        ("XYZZY", "500 5.5.2"),
        ("", "500 5.5.2"),
        (" ", "500 5.5.2"),
        ("DATA now", "501 5.5.4"),
        ("RSET now", "501 5.5.4"),
        ("QUIT now", "501 5.5.4"),
        ("MAIL FROM:<other@contoso.com>", "503 5.5.1"),
    ];
    // In the middle of an envelope they change nothing of it.
    for (line, reply) in harmless {
        let one = case(format!("{line:?} within"));
        let one = one.lines(&[(MAIL, "250"), (line, reply), (RCPT, "250"), (line, reply)]);
        let one = one.line("DATA", "354");
        let one = one.raw(format!("{HEAD}x\r\n.\r\n"), &["250 2.0.0"]);
        let one = one.queues(mail(FROM, &[TO], format!("{HEAD}x\r\n")));
        relay.run(one.quits()).await;
    }
    // These end it, whatever it held.
    for (line, reply) in [
        ("RSET", "250 2.0.0"),
        ("EHLO again", "250-relay.test"),
        ("HELO again", "250 relay.test"),
        ("HELO", "250 relay.test"),
    ] {
        let one = case(format!("{line} within"));
        let one = one.lines(&[(MAIL, "250"), (RCPT, "250"), (line, reply)]);
        let one = one.lines(&[(RCPT, "503 5.5.1"), ("DATA", "503 5.5.1")]);
        relay.run(one.well().quits()).await;
    }
    relay.end(16 + 4).await;
}

#[tokio::test]
async fn pipelines() {
    let mut relay = Table::start().await;
    relay.run(case("two messages").well().well().quits()).await;
    // Whatever is owed for what came before is still said.
    relay
        .run(
            case("a message header behind an accepted message")
                .well()
                .raw("Subject: x\r\nMAIL FROM:<evil@contoso.com>\r\n", &[])
                .hung_up(),
        )
        .await;
    // RFC 2920 section 3.1: DATA ends its group, and some do not care.
    relay
        .run(
            case("content behind a DATA that fails is commands")
                .line(MAIL, "250")
                .line("DATA", "554 5.5.1")
                .raw("Subject: x\r\n", &[])
                .raw("MAIL FROM:<evil@contoso.com>\r\n", &[])
                .hung_up(),
        )
        .await;
    relay
        .run(
            case("RSET behind the end of data")
                .data()
                .raw(
                    format!("{HEAD}x\r\n.\r\nRSET\r\n"),
                    &["250 2.0.0", "250 2.0.0 Ok"],
                )
                .queues(mail(FROM, &[TO], format!("{HEAD}x\r\n")))
                .well()
                .quits(),
        )
        .await;
    relay
        .run(
            case("QUIT within an envelope")
                .lines(&[(MAIL, "250"), (RCPT, "250")])
                .quits()
                .raw("DATA\r\nx\r\n.\r\n", &[])
                .hung_up(),
        )
        .await;
    relay
        .run(case("an envelope without an end").lines(&[(MAIL, "250"), (RCPT, "250")]))
        .await;
    relay
        .run(
            case("content without an end")
                .data()
                .raw(format!("{HEAD}x\r\n"), &[]),
        )
        .await;
    relay
        .run(
            case("content that ends in half a dot")
                .data()
                .raw(format!("{HEAD}x\r\n.\r"), &[]),
        )
        .await;
    relay
        .run(
            case("content that ends in a dot")
                .data()
                .raw(format!("{HEAD}x\r\n."), &[]),
        )
        .await;
    relay
        .run(case("half a line").raw("MAIL FROM:<a@contoso.com>", &[]))
        .await;
    relay.run(case("nothing")).await;
    relay
        .run(
            case("no HELO, many recipients")
                .line(MAIL, "250")
                .lines(&[(RCPT, "250"), ("RCPT TO:<c@contoso.com>", "250")])
                .line("DATA", "354")
                .raw(format!("{HEAD}x\r\n.\r\n"), &["250 2.0.0"])
                .queues(mail(FROM, &[TO, "c@contoso.com"], format!("{HEAD}x\r\n")))
                .quits(),
        )
        .await;
    relay
        .run(
            case("commands that end in LF")
                .raw(
                    "HELO x\nMAIL FROM:<a@contoso.com>\nRCPT TO:<b@contoso.com>\nDATA\n",
                    &["250", "250", "250", "354"],
                )
                .raw(format!("{HEAD}x\r\n.\r\nQUIT\n"), &["250 2.0.0", "221"])
                .queues(mail(FROM, &[TO], format!("{HEAD}x\r\n"))),
        )
        .await;
    // A CR alone ends no command: no second one hides behind it.
    relay
        .run(
            case("a CR within a command")
                .raw(
                    "MAIL FROM:<a@contoso.com>\rRCPT TO:<evil@contoso.com>\r\n",
                    &["501 5.5.4"],
                )
                .raw("NOOP\rMAIL FROM:<evil@contoso.com>\r\n", &["500 5.5.2"])
                .line("DATA", "503 5.5.1")
                .well()
                .quits(),
        )
        .await;
    relay
        .run(
            case("a NUL within a command")
                .raw(
                    "MAIL FROM:<a@contoso.com\0>\r\nRCPT TO:<\0b@contoso.com>\r\nDA\0TA\r\n",
                    &["553 5.1.7", "553 5.1.3", "500 5.5.2"],
                )
                .well()
                .quits(),
        )
        .await;
    relay.end(15).await;
}
