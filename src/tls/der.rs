//! Just enough of DER (X.690) to walk through certificates and keys.

/// What is left of a sequence of elements. Lengths come from outside: nothing is believed that the bytes do
/// not hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(der: &'a [u8]) -> Self {
        Self(der)
    }

    /// The next element, whatever it is: tag and content.
    pub(super) fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        // Tags of several octets occur in neither certificates nor keys.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Four octets of length are 4 GiB, more than any file that is read.
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let add = |sum: u64, octet: &u8| (sum << 8) | u64::from(*octet);
                let length = usize::try_from(octets.iter().fold(0, add)).ok()?;
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The next element, which has to be of `tag`.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let (found, content) = ahead.any()?;
        if found != tag {
            return None;
        }
        *self = ahead;
        Some(content)
    }

    /// The content of the SEQUENCE that comes next.
    pub(super) fn sequence(&mut self) -> Option<Self> {
        self.take(SEQUENCE).map(Self)
    }
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
/// `[0] EXPLICIT`.
pub(super) const CONTEXT_0: u8 = 0xa0;
const SEQUENCE: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_in_order() {
        let long = [&[0x04, 0x81, 0x80][..], &[7; 128]].concat();
        let der = [&[0x30, 0x03, 0x02, 0x01, 0x05][..], &long].concat();
        let mut reader = Reader::new(&der);
        let mut inner = reader.sequence().unwrap();
        assert_eq!(inner.take(BIT_STRING), None);
        assert_eq!(inner.take(INTEGER), Some(&[5][..]));
        assert_eq!(inner.any(), None);
        assert_eq!(reader.any(), Some((0x04, &[7; 128][..])));
        assert_eq!(reader.any(), None);
    }

    #[test]
    fn lengths_beyond_the_end_are_refused() {
        for der in [
            &[0x30][..],
            &[0x30, 0x01],
            &[0x30, 0x80],
            &[0x30, 0x81],
            &[0x30, 0x82, 0x01],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x30, 0x85, 0, 0, 0, 0, 0],
            &[0x1f, 0x01, 0x00],
        ] {
            assert_eq!(Reader::new(der).any(), None, "{der:02x?}");
        }
    }
}
