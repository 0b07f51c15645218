//! A message to somebody, over the connection that was checked: signing in may succeed and the right on the
//! mailbox still be missing (facts C.2).

use bytes::Bytes;

use super::explain::{self, Shown};
use super::finding::{Finding, Step};
use super::report::Report;
use super::subject::Subject;
use crate::cli::error::CliError;
use crate::cli::sample::Sample;
use crate::delivery::Visit;
use crate::mail::{BodyType, Envelope, Mailbox, ReversePath};

pub(super) async fn check(
    subject: &Subject<'_>,
    visit: &mut Visit,
    to: &Mailbox,
    shown: Shown<'_>,
    report: &mut Report,
) -> Result<(), CliError> {
    let from = &subject.account.mailbox;
    let sample = Sample {
        from,
        to,
        hostname: &subject.settings().hostname,
        subject: "exorelay check",
        text: "This message was sent by exorelay check, past the queue of the daemon. That it arrived shows that\r\n\
               the account may sign in and send.\r\n",
    };
    let envelope = Envelope::to_one(
        ReversePath::Mailbox(from.clone()),
        to.clone(),
        BodyType::SevenBit,
        !from.is_ascii() || !to.is_ascii(),
    );
    let content = Bytes::from(sample.compose());
    report.add(match visit.send(&envelope, content).await {
        Ok(reply) => Finding::ok(
            Step::Message,
            format!("accepted for {to}: {reply}; what happens later comes as mail to {from}"),
        ),
        Err(obstacle) => explain::obstacle(subject, Step::Message, &obstacle, Some(shown)),
    })
}
