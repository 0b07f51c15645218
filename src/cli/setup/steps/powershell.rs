//! Text in PowerShell.

/// A string that PowerShell takes as it is. Typographic quotes end a string too, as plain ones do, and each
/// of them is doubled to be meant.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = "'".to_owned();
    for character in text.chars() {
        quoted.push(character);
        if matches!(character, '\'' | '\u{2018}'..='\u{201b}') {
            quoted.push(character);
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_cannot_end_a_string() {
        for (text, written) in [
            ("relay@contoso.com", "'relay@contoso.com'"),
            ("o'brien@contoso.com", "'o''brien@contoso.com'"),
            ("a'; Remove-Mailbox x; '", "'a''; Remove-Mailbox x; '''"),
            (
                "\u{2019}$(x)`\u{2018}",
                "'\u{2019}\u{2019}$(x)`\u{2018}\u{2018}'",
            ),
            ("", "''"),
        ] {
            assert_eq!(quoted(text), written);
        }
    }
}
