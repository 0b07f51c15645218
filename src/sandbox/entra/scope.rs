//! What a token is asked for (facts D.3).

use super::refusal::{Kind, Refusal};
use crate::sandbox::content::printable;

/// Resources that the sandbox's tenant knows; a token for Graph is issued, and refused by SMTP (facts D.3, D.4).
const RESOURCES: [&str; 7] = [
    "https://outlook.office365.com",
    "https://outlook.office.com",
    "https://outlook.office365.us",
    "https://partner.outlook.cn",
    GRAPH,
    "00000002-0000-0ff1-ce00-000000000000",
    "00000003-0000-0000-c000-000000000000",
];
/// Whose permissions a scope without a resource names.
const GRAPH: &str = "https://graph.microsoft.com";
/// What a person can let an application do, as far as mail programs ask for it.
const PERMISSIONS: [&str; 9] = [
    SEND,
    "IMAP.AccessAsUser.All",
    "POP.AccessAsUser.All",
    "Mail.Send",
    "Mail.Send.Shared",
    "Mail.Read",
    "Mail.ReadWrite",
    "User.Read",
    "User.ReadBasic.All",
];
/// The permission that SMTP asks for.
pub(in crate::sandbox) const SEND: &str = "SMTP.Send";
const DEFAULT: &str = ".default";

/// The resource of `RESOURCE/.default`, the only scope that client credentials may ask for.
pub(super) fn of_application(scope: &str) -> Result<&str, Refusal> {
    let resource = scope
        .strip_suffix("/.default")
        .filter(|resource| !resource.contains(' '))
        .ok_or_else(|| invalid(scope))?;
    if RESOURCES.contains(&resource.trim_end_matches('/')) {
        return Ok(resource);
    }
    Err(unknown_resource(resource))
}

/// What a person is asked to let an application do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    /// Resources and the permissions asked of each, in the order of the words.
    resources: Vec<(String, Vec<&'static str>)>,
    /// `openid`: who signed in is told as well.
    pub(super) openid: bool,
    /// `offline_access`: a refresh token comes along.
    pub(super) offline: bool,
}

/// One resource and what may be done there: what one token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// As it was asked for.
    pub(super) resource: String,
    pub(super) permissions: Vec<&'static str>,
}

impl Scope {
    pub(super) fn decode(text: &str) -> Result<Self, Refusal> {
        let mut scope = Self::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            match word {
                "openid" | "profile" | "email" => scope.openid |= word == "openid",
                "offline_access" => scope.offline = true,
                _ => scope.add(word)?,
            }
        }
        if scope
            .resources
            .iter()
            .any(|(_, named)| named.len() > 1 && named.contains(&DEFAULT))
        {
            let text = format!(
                "{} .default scope can't be combined with resource-specific scopes.",
                invalid_text(text)
            );
            return Err(Refusal::new(Kind::InvalidScope, 70_011, text));
        }
        Ok(scope)
    }

    fn add(&mut self, word: &str) -> Result<(), Refusal> {
        let (resource, name) = match word.rsplit_once('/') {
            Some((resource, name)) => (resource, name),
            None => (GRAPH, word),
        };
        if !RESOURCES.contains(&resource.trim_end_matches('/')) {
            return Err(unknown_resource(resource));
        }
        let known = PERMISSIONS
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        let name = match known {
            Some(known) => known,
            None if name == DEFAULT => DEFAULT,
            None => return Err(invalid(word)),
        };
        match self.resources.iter_mut().find(|(of, _)| of == resource) {
            Some((_, names)) => names.push(name),
            None => self.resources.push((resource.to_owned(), vec![name])),
        }
        Ok(())
    }

    /// A token has one audience.
    pub(super) fn single(&self) -> Result<(), Refusal> {
        if self.resources.len() < 2 {
            return Ok(());
        }
        let names: Vec<&str> = self.resources.iter().map(|(of, _)| of.as_str()).collect();
        let text = format!(
            "The provided value for the input parameter scope is not valid because it contains more than one \
             resource. Scope resources: {}.",
            names.join(", ")
        );
        Err(Refusal::new(Kind::InvalidScope, 700_022, text))
    }

    /// What a token for it is good for: the first resource if there are several. Permissions without a resource are
    /// Graph's, the trap that ends in 535 (facts D.3).
    pub(super) fn access(&self) -> Access {
        let (resource, names) = match self.resources.iter().find(|(of, _)| of == GRAPH) {
            Some(graph) => graph.clone(),
            None => match self.resources.first() {
                Some(first) => first.clone(),
                None => (GRAPH.to_owned(), vec!["User.Read"]),
            },
        };
        let permissions = if names.contains(&DEFAULT) {
            vec![SEND]
        } else {
            names
        };
        Access {
            resource,
            permissions,
        }
    }
}

impl Access {
    /// The `scope` of an answer.
    pub(super) fn scope(&self) -> String {
        let resource = self.resource.trim_end_matches('/');
        let names = self.permissions.iter();
        let words: Vec<String> = names.map(|name| format!("{resource}/{name}")).collect();
        words.join(" ")
    }
}

fn invalid(scope: &str) -> Refusal {
    Refusal::new(Kind::InvalidScope, 70_011, invalid_text(scope))
}

fn invalid_text(scope: &str) -> String {
    format!(
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter \
         'scope' is not valid. The scope {} is not valid.",
        printable(scope.as_bytes())
    )
}

fn unknown_resource(resource: &str) -> Refusal {
    let text = format!(
        "The resource principal named {} was not found in the tenant named exorelay sandbox. This can happen if the \
         application has not been installed by the administrator of the tenant or consented to by any user in the \
         tenant. You might have sent your authentication request to the wrong tenant.",
        printable(resource.as_bytes())
    );
    Refusal::new(Kind::InvalidResource, 500_011, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(text: &str) -> (String, Vec<&'static str>) {
        let access = Scope::decode(text).unwrap().access();
        (access.resource, access.permissions)
    }

    #[test]
    fn a_scope_names_one_audience() {
        let outlook = "https://outlook.office.com";
        for (text, resource, permissions) in [
            (
                "https://outlook.office.com/SMTP.Send offline_access",
                outlook,
                &["SMTP.Send"][..],
            ),
            (
                "https://outlook.office.com/smtp.send https://outlook.office.com/IMAP.AccessAsUser.All",
                outlook,
                &["SMTP.Send", "IMAP.AccessAsUser.All"],
            ),
            (
                "https://outlook.office.com/.default",
                outlook,
                &["SMTP.Send"],
            ),
            ("SMTP.Send", GRAPH, &["SMTP.Send"]),
            ("openid offline_access", GRAPH, &["User.Read"]),
            (
                "https://outlook.office.com/SMTP.Send User.ReadBasic.All",
                GRAPH,
                &["User.ReadBasic.All"],
            ),
            (
                "https://outlook.office.com//SMTP.Send",
                "https://outlook.office.com/",
                &["SMTP.Send"],
            ),
        ] {
            assert_eq!(
                access(text),
                (resource.to_owned(), permissions.to_vec()),
                "{text}"
            );
        }
        let scope = Scope::decode("openid profile offline_access User.Read").unwrap();
        assert!(scope.openid && scope.offline);
        assert!(scope.single().is_ok());
    }

    #[test]
    fn wrong_scopes_are_refused() {
        for (text, code) in [
            ("https://outlook.office.com/SMTP.SendAll", 70_011),
            ("https://elsewhere.example/SMTP.Send", 500_011),
            (
                "https://outlook.office.com/.default https://outlook.office.com/SMTP.Send",
                70_011,
            ),
            ("SMTP.Send,offline_access", 70_011),
        ] {
            assert_eq!(Scope::decode(text).unwrap_err().code, code, "{text}");
        }
        let two = Scope::decode("https://outlook.office.com/SMTP.Send Mail.Send").unwrap();
        assert_eq!(two.single().unwrap_err().code, 700_022);
    }
}
