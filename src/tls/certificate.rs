//! What an X.509 certificate (RFC 5280) says of its time and its key.
//!
//! rustls and webpki judge certificates and tell neither. Nothing is judged here, no signature checked: it is
//! for a certificate of our own.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::der::{
    BIT_STRING, CONTEXT_0, GENERALIZED_TIME, INTEGER, OBJECT_IDENTIFIER, Reader, UTC_TIME,
};

/// The parts of a certificate that matter to its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after; [`Timestamp::MAX`] for one that is to live for ever.
    pub not_after: Timestamp,
    /// Its public key.
    pub key: PublicKey<'a>,
}

/// The key of a certificate, as far as it is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKey<'a> {
    /// `rsaEncryption`.
    Rsa(RsaPublicKey<'a>),
    /// An elliptic curve.
    Ec,
    /// Anything else.
    Other,
}

/// `RSAPublicKey` of RFC 8017 appendix A.1.1; numbers without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RsaPublicKey<'a> {
    /// Big-endian.
    pub modulus: &'a [u8],
    /// Big-endian.
    pub exponent: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// `None` when `der` is not a certificate.
    pub fn decode(der: &'a [u8]) -> Option<Self> {
        let mut tbs = Reader::new(der).sequence()?.sequence()?;
        // Version 1 leaves its number out.
        let _version = tbs.take(CONTEXT_0);
        let _serial_number = tbs.take(INTEGER)?;
        let _signature = tbs.sequence()?;
        let _issuer = tbs.sequence()?;
        let mut validity = tbs.sequence()?;
        let _subject = tbs.sequence()?;
        Some(Self {
            not_before: time(&mut validity)?,
            not_after: time(&mut validity)?,
            key: PublicKey::decode(&mut tbs.sequence()?)?,
        })
    }
}

impl<'a> PublicKey<'a> {
    /// `SubjectPublicKeyInfo`, RFC 5280 section 4.1.
    fn decode(info: &mut Reader<'a>) -> Option<Self> {
        let algorithm = info.sequence()?.take(OBJECT_IDENTIFIER)?;
        match algorithm {
            RSA_ENCRYPTION => {
                let (unused_bits, key) = info.take(BIT_STRING)?.split_first()?;
                let key = RsaPublicKey::decode(key).filter(|_| *unused_bits == 0);
                key.map(Self::Rsa)
            }
            EC_PUBLIC_KEY => Some(Self::Ec),
            _ => Some(Self::Other),
        }
    }
}

impl<'a> RsaPublicKey<'a> {
    pub(super) fn decode(der: &'a [u8]) -> Option<Self> {
        let mut key = Reader::new(der).sequence()?;
        Some(Self {
            modulus: without_zeros(key.take(INTEGER)?),
            exponent: without_zeros(key.take(INTEGER)?),
        })
    }

    /// The size of the modulus.
    pub fn bits(&self) -> usize {
        let unused = self
            .modulus
            .first()
            .map_or(0, |octet| octet.leading_zeros());
        self.modulus.len() * 8 - unused as usize
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// `Time`, RFC 5280 section 4.1.2.5: always UTC, always with seconds.
fn time(reader: &mut Reader<'_>) -> Option<Timestamp> {
    let (tag, text) = reader.any()?;
    let digits = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year: i16 = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let part = |at: usize| rest.get(at..at + 2).and_then(number::<i8>);
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    let time = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    // The end that means "never", 99991231235959Z, is later than the calendar's own.
    let time = time.to_zoned(TimeZone::UTC);
    Some(time.map_or(Timestamp::MAX, |time| time.timestamp()))
}

fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// 1.2.840.113549.1.1.1, RFC 8017 appendix C.
pub(super) const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.10045.2.1, RFC 5480 section 2.1.1.
pub(super) const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    const PEM: &str = include_str!("../../tests/fixtures/keys/test-certificate.pem");

    fn real() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn certificate_of_openssl_is_read() {
        let der = real();
        let certificate = Certificate::decode(&der).unwrap();
        // What `openssl x509 -dates` says; the one is a UTCTime, the other a GeneralizedTime.
        assert_eq!(certificate.not_before, at("2026-01-01T00:00:00Z"));
        assert_eq!(certificate.not_after, at("2126-01-01T00:00:00Z"));
        let PublicKey::Rsa(key) = certificate.key else {
            panic!("{certificate:?}");
        };
        assert_eq!((key.bits(), key.exponent), (2048, &[1, 0, 1][..]));
    }

    #[test]
    fn certificate_of_another_key_is_read_too() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1999, 12, 31);
        params.not_after = rcgen::date_time_ymd(2049, 1, 1);
        let made = params.self_signed(&key).unwrap();
        let certificate = Certificate::decode(made.der()).unwrap();
        assert_eq!(certificate.key, PublicKey::Ec);
        assert_eq!(certificate.not_before, at("1999-12-31T00:00:00Z"));
        assert_eq!(certificate.not_after, at("2049-01-01T00:00:00Z"));
    }

    #[test]
    fn times_are_those_of_rfc_5280() {
        let read = |tag: u8, text: &str| {
            let der = [&[tag, text.len() as u8], text.as_bytes()].concat();
            time(&mut Reader::new(&der))
        };
        for (tag, text, expected) in [
            (UTC_TIME, "491231235959Z", "2049-12-31T23:59:59Z"),
            (UTC_TIME, "500101000000Z", "1950-01-01T00:00:00Z"),
            (GENERALIZED_TIME, "20500101000000Z", "2050-01-01T00:00:00Z"),
        ] {
            assert_eq!(read(tag, text), Some(at(expected)), "{text}");
        }
        assert_eq!(
            read(GENERALIZED_TIME, "99991231235959Z"),
            Some(Timestamp::MAX)
        );
        for (tag, text) in [
            (UTC_TIME, "4912312359Z"),
            (UTC_TIME, "491231235959"),
            (UTC_TIME, "491231235959+0100"),
            (UTC_TIME, "490231000000Z"),
            (UTC_TIME, "+91231235959Z"),
            (UTC_TIME, "4912312359é9Z"),
            (GENERALIZED_TIME, "20500101000000.5Z"),
            (INTEGER, "491231235959Z"),
            (UTC_TIME, ""),
        ] {
            assert_eq!(read(tag, text), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_bytes_are_taken_without_a_panic(der in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Certificate::decode(&der);
        }

        #[test]
        fn damage_is_taken_without_a_panic(at in any::<prop::sample::Index>(), octet: u8, end in any::<prop::sample::Index>()) {
            let mut der = real().to_vec();
            let (at, end) = (at.index(der.len()), end.index(der.len()));
            // A certificate that is cut off is none.
            prop_assert_eq!(Certificate::decode(&der[..end]), None);
            der[at] = octet;
            let _ = Certificate::decode(&der);
        }
    }
}
