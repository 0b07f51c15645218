//! SMTP.

mod client;
mod command;
mod data;
mod line;
mod reply;
mod server;
mod xoauth2;

pub use client::{
    Capabilities, Client, ClientError, ClientSettings, Event, Step, Tls, TransactionOutcome,
};
pub use command::{
    Command, CommandError, EnvelopeId, MailParameters, Notify, OriginalRecipient, RcptParameters,
    Ret, Verb,
};
pub use data::{BareNewline, ContentDecoder, ContentEncoder, ContentProgress};
pub use line::{AUTH_LINE_MAX_OCTETS, COMMAND_LINE_MAX_OCTETS, Line, LineFramer};
pub use reply::{Reply, ReplyDecoder, ReplyError, Severity};
pub use server::{Action, ServerSettings, Session};
pub use xoauth2::{Xoauth2Credentials, Xoauth2Error, decode_xoauth2_response, xoauth2_response};
