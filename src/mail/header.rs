//! The header section on its way through: what is missing is supplied, the rest is not touched.
//!
//! RFC 6409 section 8 lets a submission server add Date and Message-ID; devices forget From as well.
//! Additions stand at the end of the section, where they disturb neither trace fields nor
//! signatures. The section is never held as a whole: a line at a time is enough.

use memchr::memchr;

/// What is written into a message that lacks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supplements {
    /// `local@domain`, without angle brackets.
    pub from: String,
    /// Whether it also takes the place of a From that is there, and of Sender.
    pub replaces_from: bool,
    /// In the same form; none is as good for the message as what it has.
    pub reply_to: Option<String>,
    /// As in RFC 5322 section 3.3.
    pub date: String,
    /// With angle brackets.
    pub message_id: String,
}

/// What a header section said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many hops the message has made (RFC 5321 section 6.3).
    pub received_count: u32,
    /// With angle brackets; the one supplied when there was none.
    pub message_id: Option<String>,
    /// The field's octets after the colon, folding included, up to a bound.
    pub subject: Option<Vec<u8>>,
    /// Some octet of it is not US-ASCII: allowed with SMTPUTF8 only (RFC 6532).
    pub eight_bit: bool,
    date: bool,
    from: bool,
    reply_to: bool,
}

/// Passes a message through, block by block.
#[derive(Debug)]
pub struct HeaderPass {
    supplements: Supplements,
    seen: Seen,
    place: Place,
    /// The line that has not ended yet.
    line: Vec<u8>,
    /// The field whose continuation lines may follow.
    field: Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    /// Inside a line too long to be held; its beginning has been looked at and passed on.
    LongLine,
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    None,
    Subject,
    MessageId,
    Other,
    /// Another takes its place.
    Dropped,
}

/// A longer line is passed on in pieces; nothing of interest lies beyond.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// Of Subject and Message-ID, this much is looked at.
const CAPTURE_MAX_BYTES: usize = 4 * 1024;

impl HeaderPass {
    /// Nothing has been seen yet.
    pub fn new(supplements: Supplements) -> Self {
        Self {
            supplements,
            seen: Seen::default(),
            place: Place::LineStart,
            line: Vec::new(),
            field: Field::None,
        }
    }

    /// What the section said; complete after [`HeaderPass::finish`].
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Takes a block of content, with CRLF line ends, and appends to `out` what is to be stored.
    pub fn push(&mut self, mut octets: &[u8], out: &mut Vec<u8>) {
        while self.place != Place::Body && !octets.is_empty() {
            let (piece, rest, ended) = match memchr(b'\n', octets) {
                Some(at) => {
                    let (piece, rest) = octets.split_at(at + 1);
                    (piece, rest, true)
                }
                None => (octets, &[][..], false),
            };
            octets = rest;
            if self.place == Place::LongLine {
                if self.field != Field::Dropped {
                    self.seen.eight_bit |= !piece.is_ascii();
                    out.extend_from_slice(piece);
                }
                if ended {
                    self.place = Place::LineStart;
                }
                continue;
            }
            self.line.extend_from_slice(piece);
            if ended || self.line.len() > LINE_MAX_BYTES {
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, out);
                self.line = line;
                self.line.clear();
                if !ended && self.place == Place::LineStart {
                    self.place = Place::LongLine;
                }
            }
        }
        out.extend_from_slice(octets);
    }

    /// The content has ended; supplies what is missing if the section has not ended before.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.place == Place::Body {
            return;
        }
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take_line(&line, out);
        }
        if self.place != Place::Body {
            self.supply(out);
            out.extend_from_slice(b"\r\n");
            self.place = Place::Body;
        }
    }

    fn take_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        match line {
            b"\r\n" | b"\n" => {
                self.supply(out);
                self.place = Place::Body;
            }
            [b' ' | b'\t', ..] if self.field != Field::None => {
                self.seen.eight_bit |= !line.is_ascii();
                self.capture(line);
            }
            _ => {
                if let Some(name) = field_name(line) {
                    self.seen.eight_bit |= !line.is_ascii();
                    self.begin_field(name);
                    let after_name = line.get(name.len()..).unwrap_or_default();
                    let colon = memchr(b':', after_name).map_or(0, |at| at + 1);
                    self.capture(after_name.get(colon..).unwrap_or_default());
                } else {
                    // Text where a field should stand: the section ended without its empty line.
                    self.supply(out);
                    out.extend_from_slice(b"\r\n");
                    self.place = Place::Body;
                }
            }
        }
        if self.place == Place::Body || self.field != Field::Dropped {
            out.extend_from_slice(line);
        }
    }

    fn begin_field(&mut self, name: &[u8]) {
        self.field = Field::Other;
        if name.eq_ignore_ascii_case(b"received") {
            self.seen.received_count = self.seen.received_count.saturating_add(1);
        } else if name.eq_ignore_ascii_case(b"date") {
            self.seen.date = true;
        } else if self.supplements.replaces_from
            && [&b"from"[..], b"sender"].contains(&name.to_ascii_lowercase().as_slice())
        {
            self.field = Field::Dropped;
        } else if name.eq_ignore_ascii_case(b"from") {
            self.seen.from = true;
        } else if name.eq_ignore_ascii_case(b"reply-to") {
            self.seen.reply_to = true;
        } else if name.eq_ignore_ascii_case(b"subject") && self.seen.subject.is_none() {
            self.seen.subject = Some(Vec::new());
            self.field = Field::Subject;
        } else if name.eq_ignore_ascii_case(b"message-id") && self.seen.message_id.is_none() {
            self.seen.message_id = Some(String::new());
            self.field = Field::MessageId;
        }
    }

    /// `text` is what follows the colon, or a continuation line.
    fn capture(&mut self, text: &[u8]) {
        match (self.field, &mut self.seen) {
            (
                Field::Subject,
                Seen {
                    subject: Some(subject),
                    ..
                },
            ) => {
                let room = CAPTURE_MAX_BYTES.saturating_sub(subject.len());
                subject.extend(text.iter().take(room));
            }
            (
                Field::MessageId,
                Seen {
                    message_id: Some(message_id),
                    ..
                },
            ) => {
                let room = CAPTURE_MAX_BYTES.saturating_sub(message_id.len());
                let shown = text.iter().filter(|b| b.is_ascii_graphic()).take(room);
                message_id.extend(shown.map(|b| char::from(*b)));
            }
            _ => {}
        }
    }

    fn supply(&mut self, out: &mut Vec<u8>) {
        let mut add = |name: &str, value: &str| {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        if !self.seen.from {
            add("From", &format!("<{}>", self.supplements.from));
        }
        if let Some(reply_to) = self.supplements.reply_to.as_ref()
            && !self.seen.reply_to
        {
            add("Reply-To", &format!("<{reply_to}>"));
        }
        if !self.seen.date {
            add("Date", &self.supplements.date);
        }
        if self.seen.message_id.is_none() {
            add("Message-ID", &self.supplements.message_id);
            self.seen.message_id = Some(self.supplements.message_id.clone());
        }
    }
}

/// `field-name *WSP ":"` (RFC 5322 sections 3.6.8 and 4.5): the name, if the line begins a field.
pub(super) fn field_name(line: &[u8]) -> Option<&[u8]> {
    let colon = memchr(b':', line)?;
    let name = line.get(..colon)?;
    let name = name.trim_ascii_end();
    let legal = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    legal.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn supplements() -> Supplements {
        Supplements {
            from: "f@x".into(),
            replaces_from: false,
            reply_to: None,
            date: "D".into(),
            message_id: "<m@x>".into(),
        }
    }

    fn pass(content: &[u8], block: usize) -> (Vec<u8>, Seen) {
        pass_with(supplements(), content, block)
    }

    fn pass_with(supplements: Supplements, content: &[u8], block: usize) -> (Vec<u8>, Seen) {
        let mut pass = HeaderPass::new(supplements);
        let mut out = Vec::new();
        for block in content.chunks(block.max(1)) {
            pass.push(block, &mut out);
        }
        pass.finish(&mut out);
        (out, pass.seen)
    }

    fn text(content: &str) -> String {
        String::from_utf8(pass(content.as_bytes(), 7).0).unwrap()
    }

    const ADDED: &str = "From: <f@x>\r\nDate: D\r\nMessage-ID: <m@x>\r\n";

    #[test]
    fn a_complete_message_passes_untouched() {
        let content =
            "from: a@b\r\nDATE: now\r\nMessage-Id: <1@b>\r\nX: \r\n y\r\n\r\nbody: x\r\n\r\n.\r\n";
        assert_eq!(text(content), content);
    }

    #[test]
    fn eight_bit_header_fields_are_seen_and_an_eight_bit_body_is_not() {
        for (content, expected) in [
            ("Subject: x\r\n\r\nGröße\r\n", false),
            ("Größe\r\n", false),
            ("Subject: Größe\r\n\r\nx\r\n", true),
            ("Subject: x\r\n Größe\r\n\r\nx\r\n", true),
            (&format!("Subject: {}ö\r\n\r\n", "x".repeat(50_000)), true),
        ] {
            for block in [1, 7, 10_000] {
                let (_, seen) = pass(content.as_bytes(), block);
                assert_eq!(seen.eight_bit, expected, "{block}");
            }
        }
    }

    #[test]
    fn missing_fields_are_supplied_at_the_end_of_the_section() {
        assert_eq!(
            text("Subject: x\r\n\r\nbody\r\n"),
            format!("Subject: x\r\n{ADDED}\r\nbody\r\n")
        );
        assert_eq!(text("\r\nbody\r\n"), format!("{ADDED}\r\nbody\r\n"));
    }

    #[test]
    fn a_forced_from_takes_the_place_of_the_one_that_is_there() {
        let forced = Supplements {
            replaces_from: true,
            reply_to: Some("desk@x".into()),
            ..supplements()
        };
        let long = "x".repeat(3 * LINE_MAX_BYTES);
        for block in [1, 7, usize::MAX] {
            let text = |content: &str| {
                let (out, _) = pass_with(forced.clone(), content.as_bytes(), block);
                String::from_utf8(out).unwrap()
            };
            let rest = "Date: d\r\nMessage-ID: <1@b>\r\n";
            let expected = format!("{rest}From: <f@x>\r\nReply-To: <desk@x>\r\n\r\nFrom: body\r\n");
            for from in [
                "",
                "From: a@b\r\n",
                "FROM : Scanner\r\n <a@b>\r\n\t(third)\r\nSender: c@d\r\n",
                &format!("From: {long}\r\n {long}\r\n"),
            ] {
                let content = format!("{from}{rest}\r\nFrom: body\r\n");
                assert_eq!(text(&content), expected, "{} octets", from.len());
            }
            let own = format!("Reply-To: a@b\r\n{rest}From: <f@x>\r\n\r\n");
            let content = format!("From: a@b\r\nReply-To: a@b\r\n{rest}\r\n");
            assert_eq!(text(&content), own);
            assert_eq!(
                text("From: a@b\r\ntext\r\n"),
                "From: <f@x>\r\nReply-To: <desk@x>\r\nDate: D\r\nMessage-ID: <m@x>\r\n\r\ntext\r\n"
            );
        }
    }

    #[test]
    fn a_message_without_a_header_section_gets_one() {
        assert_eq!(text("just text\r\n"), format!("{ADDED}\r\njust text\r\n"));
        assert_eq!(text(" indented\r\n"), format!("{ADDED}\r\n indented\r\n"));
        assert_eq!(text(""), format!("{ADDED}\r\n"));
        assert_eq!(text("Subject: x\r\n"), format!("Subject: x\r\n{ADDED}\r\n"));
        assert_eq!(
            text("Subject: x\r\ntext\r\n"),
            format!("Subject: x\r\n{ADDED}\r\ntext\r\n")
        );
    }

    #[test]
    fn hops_subject_and_message_id_are_seen() {
        let (_, seen) = pass(
            b"Received: a\r\n\tb\r\nRECEIVED : c\r\nSubject: one\r\n two\r\nMessage-ID:\r\n <1@b>\r\n\r\nReceived: d\r\n",
            3,
        );
        assert_eq!(seen.received_count, 2);
        assert_eq!(seen.subject.as_deref(), Some(&b" one\r\n two\r\n"[..]));
        assert_eq!(seen.message_id.as_deref(), Some("<1@b>"));
    }

    #[test]
    fn a_continuation_line_keeps_its_colon() {
        let (_, seen) = pass(b"Subject : one\r\n : two\r\n\r\n", 3);
        assert_eq!(seen.subject.as_deref(), Some(&b" one\r\n : two\r\n"[..]));
    }

    #[test]
    fn an_endless_line_is_passed_on_without_being_held() {
        let long = [
            b"X: ".to_vec(),
            vec![b'x'; 1_000_000],
            b"\r\n\r\nbody\r\n".to_vec(),
        ]
        .concat();
        let (out, _) = pass(&long, 5_000);
        let end = format!("x\r\n{ADDED}\r\nbody\r\n");
        assert!(out.ends_with(end.as_bytes()));
        assert_eq!(out.len(), long.len() + ADDED.len());
    }

    proptest! {
        #[test]
        fn blocks_never_matter(
            content in proptest::collection::vec(proptest::sample::select(vec![
                "From: a\r\n", "\r\n", " x\r\n", "Date", ": \r\n", "text\r\n", "Subject: s\r\n",
            ]), 0..12),
            block in 1_usize..40,
        ) {
            let content = content.concat().into_bytes();
            prop_assert_eq!(pass(&content, block), pass(&content, usize::MAX));
        }
    }
}
