//! What is known of a trouble: what it means, and how it is mended.

use super::rules::{self, Rule};
use crate::oauth::{TokenError, aadsts};
use crate::queue::Finding;

/// What a trouble means, by one of the two catalogues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// A reply of the submission service.
    Reply(&'static Rule),
    /// An error of the sign-in service.
    SignIn(Box<SignInFault>),
}

/// An error of the sign-in service, told to the operator of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInFault {
    /// As [`aadsts::Entry::key`].
    key: String,
    why: String,
    remedy: String,
}

impl Known {
    /// What the catalogue has for `error` of `account`.
    pub(super) fn of_token(error: &TokenError, account: &str) -> Option<Self> {
        let known = error.known()?;
        Some(Self::SignIn(Box::new(SignInFault {
            key: known.key(),
            why: known.meaning.to_owned(),
            remedy: aadsts::addressed(error.remedy()?, account),
        })))
    }

    /// What was known when it was found; nothing when that means nothing any more.
    pub(super) fn of_record(found: &Finding) -> Option<Self> {
        let key = found.rule.as_deref()?;
        if let Some(rule) = rules::named(key) {
            return Some(Self::Reply(rule));
        }
        aadsts::named(key)?;
        Some(Self::SignIn(Box::new(SignInFault {
            key: key.to_owned(),
            why: found.why.clone()?,
            remedy: found.remedy.clone()?,
        })))
    }

    /// The row of `docs/replies.md`, if it is a reply.
    pub fn rule(&self) -> Option<&'static Rule> {
        match self {
            Self::Reply(rule) => Some(rule),
            Self::SignIn(_) => None,
        }
    }

    /// A name that stays, for scripts.
    pub fn key(&self) -> &str {
        match self {
            Self::Reply(rule) => rule.key,
            Self::SignIn(fault) => &fault.key,
        }
    }

    /// What is wrong.
    pub fn why(&self) -> &str {
        match self {
            Self::Reply(rule) => rule.sentence,
            Self::SignIn(fault) => &fault.why,
        }
    }

    /// How it is mended.
    pub fn remedy(&self) -> &str {
        match self {
            Self::Reply(rule) => rule.remedy,
            Self::SignIn(fault) => &fault.remedy,
        }
    }
}
