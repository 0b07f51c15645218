//! Commands as devices write them, and as nobody may.

use super::case::{HEAD, Table, case, mail};

#[tokio::test]
async fn forms_of_mail_and_rcpt() {
    let mut relay = Table::start().await;
    let table = [
        ("MAIL FROM:<a@contoso.com>", "a@contoso.com"),
        ("mail from:<a@contoso.com>", "a@contoso.com"),
        ("MAIL FROM: <a@contoso.com>", "a@contoso.com"),
        ("MAIL FROM : < a@contoso.com >  ", "a@contoso.com"),
        ("MAIL FROM:a@contoso.com", "a@contoso.com"),
        ("MAIL FROM: a@contoso.com", "a@contoso.com"),
        (
            "MAIL FROM:<@hop.test,@hip.test:a@contoso.com>",
            "a@contoso.com",
        ),
        ("MAIL FROM:<\"a b\"@contoso.com>", "\"a b\"@contoso.com"),
        ("MAIL FROM:<\"a>b\"@contoso.com>", "\"a>b\"@contoso.com"),
        ("MAIL FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
        (
            "MAIL FROM:<o'neil+x=y@contoso.com>",
            "o'neil+x=y@contoso.com",
        ),
        (
            "MAIL FROM:<a@contoso.com> SIZE=10 BODY=7BIT RET=HDRS ENVID=x AUTH=<>",
            "a@contoso.com",
        ),
    ];
    for (line, from) in table {
        let one = case(line).line(line, "250 2.1.0");
        let one = one.line(
            line.replace("MAIL FROM", "RCPT TO")
                .replace("mail from", "rcpt to")
                .split(" SIZE")
                .next()
                .unwrap(),
            "250 2.1.5",
        );
        let one = one.line("DATA", "354");
        let one = one.raw(format!("{HEAD}x\r\n.\r\n"), &["250 2.0.0"]);
        relay
            .run(
                one.queues(mail(from, &[from], format!("{HEAD}x\r\n")))
                    .quits(),
            )
            .await;
    }
    for line in [
        "MAIL FROM:<a@contoso.com",
        "MAIL FROM:a@contoso.com>",
        "MAIL FROM:<a@contoso.com>>",
        "MAIL FROM:<a@contoso.com>SIZE=1",
        "MAIL FROM:<a@contoso.com> <b@contoso.com>",
        "MAIL TO:<a@contoso.com>",
        "MAIL FROM:\"a@contoso.com",
    ] {
        relay
            .run(case(line).line(line, "501 5.5.4").well().quits())
            .await;
    }
    for line in [
        "MAIL FROM:<a@b@contoso.com>",
        "MAIL FROM:<.a@contoso.com>",
        "MAIL FROM:<a..b@contoso.com>",
        "MAIL FROM:<a@-contoso.com>",
        "MAIL FROM:<a@contoso..com>",
        "MAIL FROM:<a@[999.0.2.1]>",
        "MAIL FROM:<a\\@contoso.com>",
        "MAIL FROM:<a\t@contoso.com>",
        "MAIL FROM:<@contoso.com>",
        "MAIL FROM:<(x)a@contoso.com>",
    ] {
        relay
            .run(case(line).line(line, "553 5.1.7").well().quits())
            .await;
    }
    relay.end(12 + 7 + 10).await;
}
