//! Certificates: whose they are, and who stands in between.

use crate::tls::{Distrust, DistrustKind, Seen};

/// A host whose certificate was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host<'a> {
    pub(super) name: &'a str,
    /// The setting that names it.
    pub(super) key: &'a str,
    /// The setting that names further trust roots.
    pub(super) ca_key: &'a str,
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    pub(super) detail: String,
    pub(super) remedy: String,
}

/// `certificate for outlook.com, issued by DigiCert Cloud Services CA-1 (DigiCert Inc)`.
pub(super) fn describe(seen: &Seen) -> String {
    match &seen.certificate {
        Some(certificate) => format!(
            "certificate of {}, issued by {}",
            certificate.subject, certificate.issuer
        ),
        None => "a certificate that cannot be read".to_owned(),
    }
}

/// Of a certificate that is not trusted.
pub(super) fn refused(host: Host<'_>, seen: &Seen, distrust: &Distrust) -> Doubt {
    let issuer = seen.certificate.as_ref().map(|it| it.issuer.to_string());
    let issuer = issuer.unwrap_or_else(|| "somebody unknown".to_owned());
    let Host { name, key, ca_key } = host;
    let reason = match distrust.kind {
        DistrustKind::Issuer => "nobody on this machine knows its issuer",
        DistrustKind::Host | DistrustKind::Time | DistrustKind::Other => &distrust.reason,
    };
    let detail = format!(
        "the certificate that {name} shows is not trusted, {reason}; it was issued by {issuer}"
    );
    let remedy = match distrust.kind {
        DistrustKind::Issuer | DistrustKind::Other => format!(
            "if {issuer} is your firewall or proxy, it opens the encryption: exempt {name} from TLS inspection, or name its CA certificate in {ca_key}; if the host's own CA is missing here: update the package ca-certificates"
        ),
        DistrustKind::Host => {
            let hosts = seen.certificate.as_ref().map(|it| it.hosts.join(", "));
            let hosts = hosts.filter(|hosts| !hosts.is_empty());
            let hosts = hosts.unwrap_or_else(|| "none".to_owned());
            format!("it is for {hosts}: correct {key}, or find out what answers in its place")
        }
        DistrustKind::Time => {
            "check this machine's clock first (timedatectl); if it is right, the certificate must be renewed by those who run the host".to_owned()
        }
    };
    Doubt { detail, remedy }
}

/// Whether a certificate that is trusted was issued by nobody whom the host's owner uses: an inspecting
/// proxy whose CA was installed on this machine.
pub(super) fn inspected(host: Host<'_>, seen: &Seen) -> Option<Doubt> {
    let issuers = usual_issuers(host.name)?;
    let issuer = &seen.certificate.as_ref()?.issuer;
    let shown = issuer.to_string();
    if issuers.iter().any(|usual| shown.contains(usual)) {
        return None;
    }
    let name = host.name;
    Some(Doubt {
        detail: format!(
            "the certificate that {name} shows was issued by {shown}, and not by {}: something in between opens the encryption and reads the token",
            issuers.join(" or ")
        ),
        remedy: format!("exempt {name} from TLS inspection in the firewall or proxy"),
    })
}

/// Whom the large services buy their certificates from; `None` for hosts that nobody knows that of.
fn usual_issuers(host: &str) -> Option<&'static [&'static str]> {
    const MICROSOFT: [&str; 8] = [
        "office365.com",
        "office365.us",
        "office.com",
        "outlook.com",
        "outlook.cn",
        "microsoftonline.com",
        "microsoftonline.us",
        "microsoftonline.cn",
    ];
    const GOOGLE: [&str; 3] = ["gmail.com", "google.com", "googleapis.com"];
    let is_of = |domain: &&str| {
        host.strip_suffix(*domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if MICROSOFT.iter().any(is_of) {
        Some(&["DigiCert", "Microsoft"])
    } else if GOOGLE.iter().any(is_of) {
        Some(&["Google Trust Services"])
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Name, Names};

    const HOST: Host<'_> = Host {
        name: "smtp.office365.com",
        key: "account.default.smtp.host",
        ca_key: "account.default.smtp.ca_file",
    };

    fn seen(common_name: &str, organization: &str) -> Seen {
        let name = |common_name: &str, organization: &str| Name {
            common_name: Some(common_name.to_owned()),
            organization: Some(organization.to_owned()).filter(|it| !it.is_empty()),
        };
        Seen {
            certificate: Some(Names {
                subject: name("outlook.com", ""),
                issuer: name(common_name, organization),
                hosts: vec!["outlook.com".into(), "*.outlook.com".into()],
            }),
            refused: None,
        }
    }

    #[test]
    fn an_inspecting_proxy_is_named_whether_it_is_trusted_or_not() {
        let proxy = seen("Contoso Web Gateway", "Contoso");
        let doubt = inspected(HOST, &proxy).unwrap();
        assert!(
            doubt.detail.contains("Contoso Web Gateway (Contoso)"),
            "{doubt:?}"
        );
        let digicert = seen("DigiCert Cloud Services CA-1", "DigiCert Inc");
        assert_eq!(inspected(HOST, &digicert), None);
        // Of a private server nobody knows who issues its certificates.
        let private = Host {
            name: "mail.notoffice365.com",
            ..HOST
        };
        assert_eq!(inspected(private, &proxy), None);
        let distrust = Distrust {
            kind: DistrustKind::Issuer,
            reason: "invalid peer certificate: UnknownIssuer".into(),
        };
        let doubt = refused(HOST, &proxy, &distrust);
        assert!(
            doubt
                .detail
                .contains("issued by Contoso Web Gateway (Contoso)")
        );
        assert!(doubt.remedy.contains("account.default.smtp.ca_file"));
    }

    #[test]
    fn a_wrong_host_and_a_wrong_clock_have_remedies_of_their_own() {
        let remedy = |kind| {
            let reason = "because".to_owned();
            refused(HOST, &seen("CA", ""), &Distrust { kind, reason }).remedy
        };
        let host = remedy(DistrustKind::Host);
        assert!(host.contains("outlook.com, *.outlook.com"), "{host}");
        assert!(host.contains("account.default.smtp.host"), "{host}");
        assert!(remedy(DistrustKind::Time).contains("timedatectl"));
    }
}
