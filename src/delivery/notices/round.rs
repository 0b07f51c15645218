//! One look at what is owed, and telling it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::spawn_blocking;

use super::letter::{item, letter, local};
use super::settings::{Destination, NoticeAccount, NoticeSettings};
use super::{LOOK_INTERVAL, NOTICES_MAX, WINDOW};
use crate::mail::notice::{Composed, Digest, Heading, Item, Silence, header_section, silence};
use crate::mail::{BodyType, Envelope, Mailbox, NoticeKind, ReversePath};
use crate::queue::{
    Case, Draft, DraftError, NoticeError, NoticeOf, Origin, Owing, Queue, QueueId, Reader,
    StorageError, Submission,
};
use crate::telemetry;

/// Messages that one digest tells of; the rest comes in the next.
const GATHERED_MAX: usize = 5_000;

/// Of those, what is listed and not only counted.
const LISTED_MAX: usize = 50;

/// Recipients that one notice names.
const RECIPIENTS_MAX: usize = 5_000;

/// Senders that are looked up at once.
const DEBTS_MAX: usize = 100;

/// Late messages that are looked up at once.
const LATE_MAX: usize = 1_000;

/// An account must have been without trouble for this long: what has waited for its end is given the
/// time to leave before anybody is told that it is late.
const CALM: Duration = Duration::from_mins(10);

pub(super) struct Round<'a> {
    queue: &'a Queue,
    settings: &'a NoticeSettings,
    /// Since when each account that is not in trouble has been without it.
    calm: &'a BTreeMap<String, Timestamp>,
    now: Timestamp,
    pause: Duration,
}

/// What the headers of some owing messages say.
#[derive(Default)]
struct Screened {
    tellable: Vec<Owing>,
    /// The first of them.
    items: Vec<Item>,
    silent: Vec<Owing>,
}

/// One sender, or one address for all senders of an account.
struct Letterbox<'a> {
    account: &'a str,
    mailbox: &'a Mailbox,
    to: Mailbox,
    /// Only of messages with this reverse-path.
    reverse_path: Option<&'a str>,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        queue: &'a Queue,
        settings: &'a NoticeSettings,
        calm: &'a BTreeMap<String, Timestamp>,
        now: Timestamp,
    ) -> Self {
        Self {
            queue,
            settings,
            calm,
            now,
            pause: LOOK_INTERVAL,
        }
    }

    /// How long nothing new can happen by itself.
    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    /// Notes which messages are late.
    pub(super) async fn find_late(&self) -> Result<(), StorageError> {
        let warning = self.settings.delay_warning;
        if self.settings.to == Destination::Nobody {
            return Ok(());
        }
        for (account, since) in self.calm {
            let calm_for = Duration::try_from(self.now.duration_since(*since));
            if calm_for.unwrap_or_default() < CALM.min(warning) {
                continue;
            }
            loop {
                let name = account.clone();
                let read = move |reader: Reader| reader.overdue(&name, warning, LATE_MAX);
                let late = self.read(read).await?;
                self.queue.owe_delay(&late).await?;
                if late.len() < LATE_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Tells whoever can be told now.
    pub(super) async fn tell(&mut self) -> Result<(), DraftError> {
        for (account, of) in &self.settings.accounts {
            match &self.settings.to {
                Destination::Nobody => self.forget_all(account).await?,
                Destination::Mailbox(to) => {
                    let letterbox = Letterbox {
                        account,
                        mailbox: &of.mailbox,
                        to: to.clone(),
                        reverse_path: None,
                    };
                    self.empty(&letterbox).await?;
                }
                Destination::Sender => self.tell_senders(account, of).await?,
            }
        }
        Ok(())
    }

    /// Nobody is told of what fails under these settings, also when they change later.
    async fn forget_all(&self, account: &str) -> Result<(), DraftError> {
        loop {
            let owing = self.owing(account, None).await?;
            self.queue.tell_nobody(&owing, None).await?;
            if owing.len() < GATHERED_MAX {
                return Ok(());
            }
        }
    }

    async fn tell_senders(&mut self, account: &str, of: &NoticeAccount) -> Result<(), DraftError> {
        let mut after: Option<String> = None;
        loop {
            let (name, last) = (account.to_owned(), after.take());
            let read = move |reader: Reader| reader.debts(&name, last.as_deref(), DEBTS_MAX);
            let debts = self.read(read).await?;
            for debt in &debts {
                let path = debt.reverse_path.as_str();
                let Ok(to) = Mailbox::parse(path) else {
                    // The null path: there is nobody to tell.
                    let owing = self.owing(account, Some(path)).await?;
                    self.queue.tell_nobody(&owing, None).await?;
                    continue;
                };
                let letterbox = Letterbox {
                    account,
                    mailbox: &of.mailbox,
                    to,
                    reverse_path: Some(path),
                };
                self.empty(&letterbox).await?;
            }
            match debts.into_iter().next_back() {
                Some(last) => after = Some(last.reverse_path),
                None => return Ok(()),
            }
        }
    }

    /// Tells all there is to tell one address of one account, as far as it may be told.
    async fn empty(&mut self, letterbox: &Letterbox<'_>) -> Result<(), DraftError> {
        let Some(room) = self.room(&letterbox.to).await? else {
            return Ok(());
        };
        let mut owing = self
            .owing(letterbox.account, letterbox.reverse_path)
            .await?;
        if !self.calm.contains_key(letterbox.account) {
            owing.retain(|one| one.kind == NoticeKind::Failed);
        }
        // A sender who is told is told by address; another address hears of programs' mail too.
        let is_sender = letterbox.reverse_path.is_some();
        let screened = self
            .read(move |reader| screen(&reader, &owing, is_sender))
            .await?;
        let why = Some("it is an automatic message itself, or asks for no notice");
        self.queue.tell_nobody(&screened.silent, why).await?;
        if screened.tellable.len() > room {
            return self.tell_many(letterbox, screened).await;
        }
        for owing in screened.tellable {
            self.tell_one(letterbox, owing).await?;
        }
        Ok(())
    }

    /// How many notices the address may get now; none: it has had enough for the moment.
    async fn room(&mut self, to: &Mailbox) -> Result<Option<usize>, StorageError> {
        let after = |at: Timestamp| at.checked_add(WINDOW).unwrap_or(at);
        let since = self.now.checked_sub(WINDOW).unwrap_or(self.now);
        // Also those of this very round, which are younger than `now`; but not what a clock that was set
        // back by much has left in the future.
        let until = after(self.now);
        let destination = to.to_string();
        let read = move |reader: Reader| reader.notices_to(&destination, since, until);
        let (sent, first) = self.read(read).await?;
        let room = NOTICES_MAX.saturating_sub(sent);
        if let (0, Some(first)) = (room, first) {
            let wait = after(first).duration_since(self.now);
            let wait = Duration::try_from(wait).unwrap_or_default().min(WINDOW);
            // A moment more, for the comparison to be over.
            self.pause = self.pause.min(wait + Duration::from_secs(1));
            return Ok(None);
        }
        Ok(Some(room))
    }

    async fn tell_one(&self, letterbox: &Letterbox<'_>, owing: Owing) -> Result<(), DraftError> {
        let draft = self.queue.draft(None)?;
        let (from, to) = (letterbox.mailbox.to_string(), letterbox.to.to_string());
        let (hostname, explain) = (self.settings.hostname.clone(), self.settings.explain);
        let (id, date) = (draft.queue_id(), local(self.now));
        let is_sender = letterbox.reverse_path.is_some();
        let read = move |reader: Reader| {
            let heading = Heading {
                from: &from,
                to: &to,
                hostname: &hostname,
                id: id.as_str(),
                date: &date,
            };
            let mut composed = None;
            reader.cases(&[owing], RECIPIENTS_MAX, is_sender, |case| {
                composed = Some(letter(&case, heading, explain));
                ControlFlow::Break(())
            })?;
            Ok(composed)
        };
        match self.read(read).await? {
            Some(composed) => self.send(letterbox, draft, composed, vec![owing]).await,
            // There is nothing to tell any more: an operator has it tried again, say.
            None => Ok(()),
        }
    }

    async fn tell_many(
        &self,
        letterbox: &Letterbox<'_>,
        screened: Screened,
    ) -> Result<(), DraftError> {
        let draft = self.queue.draft(None)?;
        let (from, to) = (letterbox.mailbox.to_string(), letterbox.to.to_string());
        let (id, date) = (draft.queue_id(), local(self.now));
        let failed = |one: &&Owing| one.kind == NoticeKind::Failed;
        let failed = screened.tellable.iter().filter(failed).count();
        let digest = Digest {
            heading: Heading {
                from: &from,
                to: &to,
                hostname: &self.settings.hostname,
                id: id.as_str(),
                date: &date,
            },
            failed,
            delayed: screened.tellable.len() - failed,
            items: &screened.items,
        };
        let composed = digest.compose();
        self.send(letterbox, draft, composed, screened.tellable)
            .await
    }

    async fn send(
        &self,
        letterbox: &Letterbox<'_>,
        mut draft: Draft,
        composed: Composed,
        messages: Vec<Owing>,
    ) -> Result<(), DraftError> {
        let id = draft.queue_id();
        let destination = letterbox.to.to_string();
        let (kind, about) = match messages.as_slice() {
            [only] if only.kind == NoticeKind::Delayed => ("delayed", only.id.to_string()),
            [only] => ("failed", only.id.to_string()),
            several => ("digest", format!("{} messages", several.len())),
        };
        let submission = submission(letterbox, &composed, &self.settings.hostname);
        draft.append(&composed.content).await?;
        let ids: Vec<QueueId> = messages.iter().map(|message| message.id).collect();
        let told = NoticeOf {
            destination: destination.clone(),
            messages,
        };
        match draft.commit_notice(submission, told).await {
            Ok(_receipt) => {
                let event = telemetry::Notice {
                    queue_id: id.as_str(),
                    kind,
                    about: &about,
                    to: &destination,
                    account: letterbox.account,
                };
                event.log();
                for id in ids {
                    event.log_told(id.as_str());
                }
                Ok(())
            }
            // The next look sees what is owed then.
            Err(NoticeError::Overtaken) => Ok(()),
            Err(NoticeError::Draft(error)) => Err(error),
        }
    }

    async fn owing(
        &self,
        account: &str,
        reverse_path: Option<&str>,
    ) -> Result<Vec<Owing>, StorageError> {
        let (account, path) = (account.to_owned(), reverse_path.map(str::to_owned));
        self.read(move |reader| reader.owing(&account, path.as_deref(), GATHERED_MAX))
            .await
    }

    /// Looks into the queue, off the runtime's threads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(Reader) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let reader = self.queue.reader();
        let read = spawn_blocking(move || work(reader)).await;
        read.unwrap_or(Err(StorageError::Closed))
    }
}

/// What the headers of `owing` say of being answered. A sender is not told of recipients either of whom
/// it wants to hear nothing (`NOTIFY=`); an address that hears of everything is.
fn screen(reader: &Reader, owing: &[Owing], is_sender: bool) -> Result<Screened, StorageError> {
    let mut screened = Screened::default();
    reader.cases(owing, 1, is_sender, |case: Case| {
        let silent = match silence(header_section(&case.head)) {
            Some(Silence::Notice) => true,
            Some(Silence::Unwanted) => is_sender,
            None => false,
        };
        if silent || case.concerned == 0 {
            screened.silent.push(case.owing);
        } else {
            if screened.items.len() < LISTED_MAX {
                screened.items.push(item(&case));
            }
            screened.tellable.push(case.owing);
        }
        ControlFlow::Continue(())
    })?;
    Ok(screened)
}

fn submission(letterbox: &Letterbox<'_>, composed: &Composed, hostname: &str) -> Submission {
    let body_type = if composed.content.is_ascii() {
        BodyType::SevenBit
    } else {
        BodyType::EightBitMime
    };
    let from = ReversePath::Mailbox(letterbox.mailbox.clone());
    let smtputf8 = !from.is_ascii() || !letterbox.to.is_ascii();
    Submission {
        envelope: Envelope::to_one(from, letterbox.to.clone(), body_type, smtputf8),
        account: letterbox.account.to_owned(),
        origin: Origin {
            listener: "notice".to_owned(),
            client: "exorelay".to_owned(),
            helo: hostname.to_owned(),
            ..Origin::default()
        },
        subject: Some(composed.subject.clone()),
        message_id: Some(composed.message_id.clone()),
    }
}
