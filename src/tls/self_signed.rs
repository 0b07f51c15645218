//! A certificate that vouches for itself, for a LAN without an authority.

use std::fmt;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use zeroize::Zeroizing;

use super::{random, sha256};

/// Devices whose clock is behind must take it too.
const BACKDATED: SignedDuration = SignedDuration::from_hours(24);

/// A certificate and its key.
pub struct SelfSigned {
    /// PEM.
    pub certificate: String,
    /// PEM (PKCS #8).
    pub key: Zeroizing<String>,
    /// The last day on which it is valid.
    pub last_day: jiff::civil::Date,
    /// SHA-256 of the certificate, as devices show it.
    pub fingerprint: Vec<u8>,
}

/// A new key (ECDSA on P-256, which everything takes that speaks TLS 1.2) and a certificate of it for `names`, which
/// are host names or addresses; valid for `days`.
pub fn self_signed(names: &[String], days: u32) -> Result<SelfSigned, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    let common_name = names.first().map_or("exorelay", String::as_str);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    // Programs that have been told to trust one certificate of this name would take another with its number for
    // the same.
    let mut number = random::<16>().map_err(|_| rcgen::Error::RingUnspecified)?;
    if let Some(first) = number.first_mut() {
        // A positive number, as RFC 5280 section 4.1.2.2 wants it.
        *first = *first & 0x7f | 0x40;
    }
    params.serial_number = Some(SerialNumber::from_slice(&number));
    let now = Timestamp::now();
    let (year, month, start) = day(now - BACKDATED);
    params.not_before = rcgen::date_time_ymd(year, month, start);
    let end = now + SignedDuration::from_hours(24 * (i64::from(days) + 1));
    let (year, month, midnight) = day(end);
    params.not_after = rcgen::date_time_ymd(year, month, midnight);
    // It vouches for this key and for nothing else.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let last = end - SignedDuration::from_hours(24);
    Ok(SelfSigned {
        fingerprint: sha256(certificate.der()),
        certificate: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
        last_day: last.to_zoned(TimeZone::UTC).date(),
    })
}

/// The parts of a day in UTC, as `rcgen` takes them.
pub(crate) fn day(at: Timestamp) -> (i32, u8, u8) {
    let date = at.to_zoned(TimeZone::UTC).date();
    (
        i32::from(date.year()),
        date.month().unsigned_abs(),
        date.day().unsigned_abs(),
    )
}

impl fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfSigned")
            .field("last_day", &self.last_day)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::tls::{Certificate, PublicKey};

    #[test]
    fn pair_says_what_was_asked_for() {
        let names = ["relay.test".to_owned(), "10.1.2.3".to_owned()];
        let made = self_signed(&names, 30).unwrap();
        let der = CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap();
        assert_eq!(made.fingerprint, sha256(&der));
        let certificate = Certificate::decode(&der).unwrap();
        assert_eq!(certificate.key, PublicKey::Ec);
        let now = Timestamp::now();
        let lasts = certificate.not_after.duration_since(now).as_hours();
        assert!((30 * 24 - 1..=31 * 24).contains(&lasts), "{lasts}");
        assert!(certificate.not_before < now);
        let last_day = certificate.not_after - SignedDuration::from_secs(1);
        assert_eq!(last_day.to_zoned(TimeZone::UTC).date(), made.last_day);
        // Both are in the list of names, the address as one.
        let holds = |octets: &[u8]| der.windows(octets.len()).any(|window| window == octets);
        assert!(holds(b"\x82\x0arelay.test") && holds(&[0x87, 4, 10, 1, 2, 3]));
        let again = self_signed(&names, 30).unwrap();
        assert_ne!(again.fingerprint, made.fingerprint);
        let shown = format!("{made:?}");
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }
}
