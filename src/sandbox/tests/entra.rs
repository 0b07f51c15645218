//! Every way to a token, by a client that sends exactly what it is told to.

mod assertion;
mod code;
mod device;
mod federation;
mod order;
mod refresh;
mod rights;
mod support;
