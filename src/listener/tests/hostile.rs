//! Clients that mean no good, and a session that breaks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_line_has_the_time_of_one_command_however_its_octets_come() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    // Waiting for the first octet is another matter.
    advance(Duration::from_mins(4)).await;
    let begun = Instant::now();
    let slow = async {
        loop {
            if bench.client.write_all(b"N").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    };
    let ended = tokio::select! {
        () = slow => unreachable!(),
        ended = &mut bench.session => ended.unwrap().unwrap(),
    };
    assert_eq!(ended, Ended::Timeout);
    assert_eq!(begun.elapsed(), Duration::from_mins(5));
    assert!(bench.reply().await.starts_with("421 4.4.2 "));
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_has_no_more_time_than_another() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    let begun = Instant::now();
    while bench.client.write_all(&[b'x'; 4096]).await.is_ok() {
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(bench.session.await.unwrap().unwrap(), Ended::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(303));
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_line_ends_with_it() {
    let mut bench = Bench::start();
    assert!(bench.reply().await.starts_with("220 "));
    bench.client.write_all(b"NO").await.unwrap();
    for _ in 0..4 {
        advance(Duration::from_mins(4)).await;
        bench.client.write_all(b"OP\r\nNO").await.unwrap();
        assert!(bench.reply().await.starts_with("250 "));
    }
}

async fn until_content(bench: &mut Bench) {
    assert!(bench.reply().await.starts_with("220 "));
    for (line, code) in [
        ("MAIL FROM:<a@b.c>", "250 "),
        ("RCPT TO:<a@b.c>", "250 "),
        ("DATA", "354 "),
    ] {
        let reply = bench.command(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn content_that_drips_is_given_up() {
    // One octet before every timeout; and a good start that is followed by that.
    for start in [0, 1 << 19] {
        let mut bench = Bench::start();
        until_content(&mut bench).await;
        bench.client.write_all(&vec![b'x'; start]).await.unwrap();
        let begun = Instant::now();
        let slow = async {
            loop {
                tokio::time::sleep(Duration::from_mins(2)).await;
                bench.client.write_all(b"x").await.unwrap();
            }
        };
        let ended = tokio::select! {
            () = slow => unreachable!(),
            ended = &mut bench.session => ended.unwrap().unwrap(),
        };
        assert_eq!(ended, Ended::Timeout);
        assert_eq!(begun.elapsed().as_secs(), 180);
        assert!(bench.reply().await.starts_with("421 4.4.2 "));
        assert_eq!(bench.queue.used(), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn content_over_a_slow_line_and_from_a_device_that_pauses_is_taken() {
    // 1,200 bit/s; and a scanner that takes its time for each page.
    for (octets, pause) in [(120, 1), (100_000, 170)] {
        let mut bench = Bench::start();
        until_content(&mut bench).await;
        for _ in 0..(1500 / pause) {
            let page = vec![b'x'; octets];
            bench.client.write_all(&page).await.unwrap();
            tokio::time::sleep(Duration::from_secs(pause)).await;
        }
        assert!(bench.command("\r\n.").await.starts_with("250 2.0.0 "));
        assert_eq!(bench.queue.used().0, 1);
    }
}

/// What the client sends, then a defect.
struct Defective(&'static [u8]);

impl AsyncRead for Defective {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.0.is_empty(), "as if there were a defect");
        buffer.put_slice(std::mem::take(&mut self.0));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Defective {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_panic_ends_its_session_and_nothing_else() {
    let mut bench = Bench::start();
    let sessions = Sessions::with_descriptors(2);
    for (count, sent) in [
        &b"HELO x\r\n"[..],
        b"MAIL FROM:<a@b.c>\r\n",
        b"MAIL FROM:<a@b.c>\r\nRCPT TO:<a@b.c>\r\nDATA\r\nhalf a message",
    ]
    .into_iter()
    .enumerate()
    {
        let broken = visit(&bench.settings, &bench.queue, &bench.stop, &sessions);
        // The task ends as any other: nobody has to look at its result.
        tokio::spawn(broken.run(Defective(sent))).await.unwrap();
        assert_eq!(sessions.panics(), count as u64 + 1);
        // Neither a place, a descriptor nor room in the queue is lost.
        assert_eq!(bench.queue.used(), (0, 0));
        assert!(sessions.descriptor(Peer::Local(0)).is_some());
    }
    assert!(bench.reply().await.starts_with("220 "));
    for line in ["MAIL FROM:<a@b.c>", "RCPT TO:<a@b.c>"] {
        assert!(bench.command(line).await.starts_with("250 "));
    }
    assert!(bench.command("DATA").await.starts_with("354 "));
    assert!(bench.command("x\r\n.").await.starts_with("250 2.0.0 "));
}

#[tokio::test]
async fn an_idle_session_costs_little() {
    let bench = Bench::start();
    let visit = visit(
        &bench.settings,
        &bench.queue,
        &bench.stop,
        &Sessions::with_descriptors(1),
    );
    let session = visit.serve(Defective(b""));
    // 10,000 of them are then 20 MiB and what the runtime adds.
    let bytes = size_of_val(&session);
    assert!(bytes <= 2048, "{bytes}");
}
