//! The names in a certificate (RFC 5280 section 4.1), for people who look for a mistake. Nothing is
//! trusted because of it.

use std::fmt;

use super::der::{CONTEXT_0, INTEGER, OBJECT_IDENTIFIER, Reader};

/// Names in a certificate, in the peer's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// Whom it was issued to.
    pub subject: Name,
    /// Who issued it: an inspecting proxy writes its own name here.
    pub issuer: Name,
    /// The host names it is for, the first few of them.
    pub hosts: Vec<String>,
}

/// A distinguished name, as far as people look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// `CN`.
    pub common_name: Option<String>,
    /// `O`.
    pub organization: Option<String>,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.common_name, &self.organization) {
            (Some(name), Some(organization)) => write!(f, "{name} ({organization})"),
            (Some(name), None) | (None, Some(name)) => f.write_str(name),
            (None, None) => f.write_str("somebody without a name"),
        }
    }
}

const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const BMP_STRING: u8 = 0x1e;
const SET: u8 = 0x31;
/// `[3] EXPLICIT Extensions`.
const EXTENSIONS: u8 = 0xa3;
/// `[2] IMPLICIT IA5String` of a `GeneralName`.
const DNS_NAME: u8 = 0x82;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.4.10
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Some services put hundreds into one certificate.
const HOSTS_MAX: usize = 8;

impl Names {
    /// Reads the names of a DER certificate; `None` when it is none.
    pub fn decode(der: &[u8]) -> Option<Self> {
        let mut fields = Reader::new(der).sequence()?.sequence()?;
        let _version = fields.take(CONTEXT_0);
        let _serial_number = fields.take(INTEGER)?;
        let _signature = fields.sequence()?;
        let issuer = Name::decode(fields.sequence()?);
        let _validity = fields.sequence()?;
        let subject = Name::decode(fields.sequence()?);
        let mut hosts = Vec::new();
        while let Some((tag, content)) = fields.any() {
            if tag == EXTENSIONS {
                hosts = hosts_in(content).unwrap_or_default();
            }
        }
        Some(Self {
            subject,
            issuer,
            hosts,
        })
    }
}

impl Name {
    /// `SEQUENCE OF SET OF SEQUENCE { type, value }`; of several values of a kind the last one counts.
    fn decode(mut sets: Reader<'_>) -> Self {
        let mut name = Self::default();
        while let Some(set) = sets.take(SET) {
            let mut attributes = Reader::new(set);
            while let Some(mut attribute) = attributes.sequence() {
                let kind = attribute.take(OBJECT_IDENTIFIER);
                let value = attribute.any().and_then(|(tag, value)| text(tag, value));
                match kind {
                    Some(COMMON_NAME) => name.common_name = value,
                    Some(ORGANIZATION) => name.organization = value,
                    _ => {}
                }
            }
        }
        name
    }
}

fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING | PRINTABLE_STRING | IA5_STRING => {
            Some(String::from_utf8_lossy(value).into_owned())
        }
        BMP_STRING => {
            let units = value.chunks_exact(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
            Some(String::from_utf16_lossy(&units.collect::<Vec<_>>()))
        }
        _ => None,
    }
}

fn hosts_in(extensions: &[u8]) -> Option<Vec<String>> {
    let mut extensions = Reader::new(extensions).sequence()?;
    while let Some(mut extension) = extensions.sequence() {
        if extension.take(OBJECT_IDENTIFIER) != Some(SUBJECT_ALT_NAME) {
            continue;
        }
        let mut names = Vec::new();
        while let Some((tag, content)) = extension.any() {
            if tag != OCTET_STRING {
                continue;
            }
            let mut general = Reader::new(content).sequence()?;
            while let Some((tag, name)) = general.any() {
                if tag == DNS_NAME && names.len() < HOSTS_MAX {
                    names.push(String::from_utf8_lossy(name).into_owned());
                }
            }
        }
        return Some(names);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{DnType, Issuer, KeyPair};

    use super::*;

    fn issued() -> rcgen::Certificate {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.distinguished_name = rcgen::DistinguishedName::new();
        authority
            .distinguished_name
            .push(DnType::CommonName, "Inspection CA");
        authority
            .distinguished_name
            .push(DnType::OrganizationName, "Contoso Öl");
        let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
        let hosts = ["smtp.office365.com", "outlook.office.com"];
        let mut subject = rcgen::CertificateParams::new(hosts.map(str::to_owned)).unwrap();
        subject.distinguished_name = rcgen::DistinguishedName::new();
        subject
            .distinguished_name
            .push(DnType::CommonName, "outlook.com");
        subject
            .signed_by(&KeyPair::generate().unwrap(), &issuer)
            .unwrap()
    }

    #[test]
    fn names_are_read() {
        let certificate = Names::decode(issued().der()).unwrap();
        assert_eq!(certificate.issuer.to_string(), "Inspection CA (Contoso Öl)");
        assert_eq!(certificate.subject.to_string(), "outlook.com");
        assert_eq!(
            certificate.hosts,
            ["smtp.office365.com", "outlook.office.com"]
        );
    }

    #[test]
    fn what_is_cut_off_is_no_certificate() {
        let der = issued().der().to_vec();
        for length in 0..der.len() {
            assert_eq!(Names::decode(&der[..length]), None, "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_octets_do_harm(octets in prop::collection::vec(any::<u8>(), 0..300), at in 0_usize..900) {
            let _ = Names::decode(&octets);
            let mut der = issued().der().to_vec();
            let at = at.min(der.len() - 1);
            for (octet, other) in der[at..].iter_mut().zip(&octets) {
                *octet = *other;
            }
            let _ = Names::decode(&der);
        }
    }
}
