//! DKIM, S/MIME and PGP.

use super::*;
use crate::mail::rewrite::Remark;

const DKIM: &str = "DKIM-Signature: v=1; a=rsa-sha256; d=contoso.com; s=x;\n\
    \th=From:Subject; bh=x; b=x\nFrom: a@contoso.com\nSubject: x\n\nbody\n";

const SIGNED: &str = "From: a@b.c\nMIME-Version: 1.0\nContent-Type: multipart/signed;\n\
    \tprotocol=\"application/pkcs7-signature\"; micalg=sha-256;\n\tboundary=\"s\"\n\n\
    --s\nContent-Type: text/plain\n\nsigned\n--s\n\
    Content-Type: application/pkcs7-signature; name=smime.p7s\n\
    Content-Transfer-Encoding: base64\n\nMIIB\n--s--\n";

const ENCRYPTED: &str = "From: a@b.c\nMIME-Version: 1.0\nContent-Type: multipart/encrypted;\n\
    \tprotocol=\"application/pgp-encrypted\"; boundary=e\n\n--e\n\
    Content-Type: application/pgp-encrypted\n\nVersion: 1\n\n--e\n\
    Content-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\nx\n--e--\n";

const ENVELOPED: &str = "From: a@b.c\nMIME-Version: 1.0\n\
    Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\n\
    Content-Transfer-Encoding: base64\n\nMIIBMIIB\n";

#[test]
fn a_from_that_dkim_covers_is_not_rewritten() {
    assert_eq!(
        rewritten(&crlf(DKIM), &relayed()),
        Err(Refusal::SignedByDkim)
    );
    // Nothing to rewrite, nothing to refuse.
    let right = DKIM.replace("a@contoso.com", "relay@contoso.com");
    let (out, changes) = text(&right, &relayed());
    assert_eq!((out, changes), (right, Changes::default()));
}

#[test]
fn the_refusal_comes_before_any_octet_and_stays() {
    let mut rewriter = Rewriter::new(relayed());
    let mut out = Vec::new();
    let content = crlf(DKIM);
    assert_eq!(
        rewriter.push(&content, &mut out),
        Err(Refusal::SignedByDkim)
    );
    assert!(rewriter.is_decided());
    assert_eq!(rewriter.push(b"more", &mut out), Err(Refusal::SignedByDkim));
    assert_eq!(rewriter.finish(&mut out), Err(Refusal::SignedByDkim));
    assert!(out.is_empty());
}

#[test]
fn fields_that_dkim_covers_are_not_supplied() {
    let spec = Spec {
        display_name: Some("A".into()),
        reply_to: Some(mailbox("d@e.f")),
        ..Spec::default()
    };
    let (out, changes) = text(DKIM, &spec);
    let expected = DKIM.replace("Subject: x\n", "Subject: x\nReply-To: <d@e.f>\n");
    assert_eq!(
        (out, changes.remarks),
        (expected, vec![Remark::FieldSignedByDkim])
    );

    let covered = DKIM.replace("h=From:", "h=From:Reply-To:");
    let (out, changes) = text(&covered, &spec);
    assert_eq!(
        (out, changes.remarks),
        (covered, vec![Remark::FieldSignedByDkim])
    );
}

#[test]
fn no_signature_goes_into_a_message_that_is_signed_or_encrypted() {
    let spec = signed("sig", "sig");
    for (content, remark) in [
        (DKIM, Remark::SignedByDkim),
        (SIGNED, Remark::Sealed),
        (ENCRYPTED, Remark::Sealed),
        (ENVELOPED, Remark::Sealed),
        (
            "From: a@b.c\n\n-----BEGIN PGP MESSAGE-----\nx\n",
            Remark::Sealed,
        ),
        (
            "From: a@b.c\nContent-Transfer-Encoding: quoted-printable\n\n\
             hi\n-----BEGIN PGP SIGNED MESSAGE----=\n-\nx\n",
            Remark::Sealed,
        ),
    ] {
        let (out, changes) = text(content, &spec);
        assert_eq!((out.as_str(), changes.remarks), (content, vec![remark]));
        assert!(!changes.signed_text && !changes.signed_html);
    }
}

#[test]
fn nothing_is_appended_beside_a_signed_part() {
    // A list has put a signed message into a mixed one, with its footer after it.
    let (_, signed_part) = SIGNED.split_once("MIME-Version: 1.0\n").unwrap();
    let content = format!(
        "From: a@b.c\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=m\n\n\
         --m\n{signed_part}--m\nContent-Type: text/plain\n\nfooter\n--m--\n"
    );
    let (out, changes) = text(&content, &signed("sig", "sig"));
    assert_eq!((out, changes.remarks), (content, vec![Remark::Sealed]));
}

#[test]
fn from_of_a_sealed_message_may_change_and_its_body_does_not() {
    for (content, remarks) in [
        (SIGNED, vec![Remark::SignerDiffers]),
        (ENCRYPTED, vec![]),
        (ENVELOPED, vec![]),
    ] {
        let (out, changes) = text(content, &relayed());
        let (header, body) = out.split_once("\n\n").unwrap();
        assert_eq!(body, content.split_once("\n\n").unwrap().1);
        assert!(header.starts_with("From: <relay@contoso.com>\n"));
        assert!(header.ends_with("\nReply-To: <a@b.c>"));
        assert_eq!(changes.remarks, remarks);
    }
}
