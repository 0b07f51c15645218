//! Standard input, line by line, while signals are listened for.

use std::io::{self, BufRead, Read};

use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// Far more than any address.
const LINE_MAX_BYTES: u64 = 64 * 1024;

/// The next line, or `None` at the end.
///
/// Reading cannot be broken off. It is done on a thread that nobody waits for, so that a signal ends the
/// command all the same.
pub(in crate::cli) async fn line() -> io::Result<Option<Zeroizing<String>>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("stdin".to_owned())
        .spawn(move || {
            let mut text = Zeroizing::new(String::new());
            let read = io::stdin().lock().take(LINE_MAX_BYTES).read_line(&mut text);
            let _ = sender.send(read.map(|octets| (octets > 0).then_some(text)));
        })?;
    receiver.await.unwrap_or(Ok(None))
}
