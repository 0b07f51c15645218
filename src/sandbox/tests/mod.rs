//! The sandbox from outside: raw sockets against a running one.

mod control;
mod entra;
mod faults;
mod identity;
mod limits;
mod session;
mod support;
mod token;
mod violations;
