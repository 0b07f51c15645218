//! What the codec costs: commands, replies, and each octet of content on its way in and out.

use std::fmt;

use bytes::BytesMut;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use exorelay::mail::{EnhancedStatus, HeaderPass, Supplements};
use exorelay::smtp::{
    BareNewline, Command, ContentDecoder, ContentEncoder, ContentProgress, Reply, ReplyDecoder,
};

fn main() {
    divan::main();
}

/// One session of a device, with the parameters that clients really send.
const COMMANDS: [&str; 6] = [
    "EHLO scanner.contoso.local",
    "MAIL FROM:<scanner@contoso.com> SIZE=4096 BODY=8BITMIME",
    "RCPT TO:<accounts.payable@contoso.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@contoso.com",
    "rcpt to: office@contoso.com",
    "DATA",
    "QUIT",
];

#[divan::bench(args = COMMANDS)]
fn command_parse(bencher: Bencher<'_, '_>, line: &str) {
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench(|| Command::parse(black_box(line.as_bytes())));
}

const SENDER_OK: Reply = Reply::new(250, Some(EnhancedStatus::new(2, 1, 0)), "Sender OK");

#[divan::bench]
fn reply_encode(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(1_usize))
        .with_inputs(|| BytesMut::with_capacity(512))
        .bench_values(|mut output| {
            black_box(&SENDER_OK).encode(&mut output);
            output
        });
}

/// Exchange Online's answer to a command, from the shortest to the longest that is usual.
fn answer(command: &str) -> &'static str {
    match command {
        "MAIL" => "250 2.1.0 Sender OK\r\n",
        "DATA" => "354 Start mail input; end with <CRLF>.<CRLF>\r\n",
        _ => {
            "250-relay.outlook.office365.com Hello [192.0.2.1]\r\n250-SIZE 157286400\r\n\
             250-PIPELINING\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH LOGIN XOAUTH2\r\n\
             250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n"
        }
    }
}

#[divan::bench(args = ["MAIL", "DATA", "EHLO"])]
fn reply_decode(bencher: Bencher<'_, '_>, command: &str) {
    bencher
        .counter(ItemsCount::new(1_usize))
        .with_inputs(|| BytesMut::from(answer(command)))
        .bench_values(|mut buffer| {
            let reply = ReplyDecoder::new().decode(&mut buffer);
            assert!(matches!(reply, Ok(Some(_))));
            reply
        });
}

/// A header section as a mail program writes it, all fields there.
const HEADER: &str = "Received: from a.contoso.local by b.contoso.local;\r\n\tFri, 20 Nov 2026 \
    10:00:00 +0100\r\nFrom: Scanner <scanner@contoso.com>\r\nTo: <office@contoso.com>\r\n\
    Subject: Scan of the third floor,\r\n page one\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\n\
    Message-ID: <20261120100000.1@contoso.com>\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\nX-Mailer: ScanFront 3.1\r\n\r\n";

/// One content: the header section, then lines of one kind.
#[derive(Clone, Copy)]
struct Sample {
    name: &'static str,
    line: &'static str,
    bytes: usize,
}

/// Lines as base64 has them.
const PLAIN: &str = "TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsuTWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu\r\n";
/// Short, and each begins with a dot: the worst case.
const DOTS: &str = "..dot\r\n";

const SAMPLES: [Sample; 4] = [
    Sample::new("plain, 4 KiB", PLAIN, 4 << 10),
    Sample::new("plain, 1 MiB", PLAIN, 1 << 20),
    Sample::new("dots, 4 KiB", DOTS, 4 << 10),
    Sample::new("dots, 1 MiB", DOTS, 1 << 20),
];

impl Sample {
    const fn new(name: &'static str, line: &'static str, bytes: usize) -> Self {
        Self { name, line, bytes }
    }

    fn content(&self) -> Vec<u8> {
        let mut content = HEADER.as_bytes().to_vec();
        while content.len() < self.bytes {
            content.extend_from_slice(self.line.as_bytes());
        }
        content
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// As the listener reads at once.
const READ_BYTES: usize = 32 << 10;

fn wire(content: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(content.len() * 2);
    let mut encoder = ContentEncoder::new();
    encoder.encode(content, &mut wire);
    encoder.finish(&mut wire);
    wire
}

#[divan::bench(args = SAMPLES)]
fn content_decode(bencher: Bencher<'_, '_>, sample: Sample) {
    let wire = wire(&sample.content());
    bencher
        .counter(BytesCount::new(wire.len()))
        .with_inputs(|| {
            let reads: Vec<_> = wire.chunks(READ_BYTES).map(BytesMut::from).collect();
            (reads, Vec::with_capacity(2 * READ_BYTES))
        })
        .bench_values(|(reads, mut output)| {
            let mut decoder = ContentDecoder::new(BareNewline::Normalize);
            let mut progress = ContentProgress::NeedMore;
            for mut read in reads {
                output.clear();
                progress = decoder.decode(&mut read, &mut output);
            }
            assert_eq!(progress, ContentProgress::End);
            output
        });
}

#[divan::bench(args = SAMPLES)]
fn content_encode(bencher: Bencher<'_, '_>, sample: Sample) {
    let content = sample.content();
    bencher
        .counter(BytesCount::new(content.len()))
        .with_inputs(|| Vec::with_capacity(2 * READ_BYTES + 16))
        .bench_values(|mut output| {
            let mut encoder = ContentEncoder::new();
            for block in content.chunks(READ_BYTES) {
                output.clear();
                encoder.encode(black_box(block), &mut output);
            }
            encoder.finish(&mut output);
            output
        });
}

#[divan::bench(args = SAMPLES)]
fn header_pass(bencher: Bencher<'_, '_>, sample: Sample) {
    let content = sample.content();
    bencher
        .counter(BytesCount::new(content.len()))
        .with_inputs(|| {
            let pass = HeaderPass::new(Supplements {
                from: "relay@contoso.com".into(),
                replaces_from: false,
                reply_to: None,
                date: "Fri, 20 Nov 2026 10:00:00 +0100".into(),
                message_id: "<01KAHX4T5N0000AB@relay.contoso.local>".into(),
            });
            (pass, Vec::with_capacity(2 * READ_BYTES))
        })
        .bench_values(|(mut pass, mut stored)| {
            for block in content.chunks(READ_BYTES) {
                stored.clear();
                pass.push(black_box(block), &mut stored);
            }
            pass.finish(&mut stored);
            (pass, stored)
        });
}
