//! Certificates in DER, which nobody has checked.

use exorelay::tls::{Certificate, PublicKey};

pub(super) fn run(der: &[u8]) {
    let Some(certificate) = Certificate::decode(der) else {
        return;
    };
    if let PublicKey::Rsa(key) = certificate.key {
        for number in [key.modulus, key.exponent] {
            assert_ne!(number.first(), Some(&0));
            assert!(
                der.windows(number.len().max(1)).any(|part| part == number) || number.is_empty()
            );
        }
        assert!(key.bits().div_ceil(8) == key.modulus.len());
    }
    // Its outermost length counts: one that is cut off is none, and what stands behind it is not its own.
    let length = length(der).expect("it has one");
    let (whole, _) = der.split_at(length);
    assert_eq!(Certificate::decode(whole), Some(certificate));
    assert_eq!(Certificate::decode(&whole[..length - 1]), None);
}

/// Of the first element, its head included (X.690 section 8.1.3).
fn length(der: &[u8]) -> Option<usize> {
    match *der.get(1)? {
        short @ 0..=0x7f => Some(2 + usize::from(short)),
        long => {
            let octets = der.get(2..2 + usize::from(long & 0x7f))?;
            let length = octets
                .iter()
                .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            Some(2 + octets.len() + length)
        }
    }
}
