//! Reports and feedback: RFC 3550 §6, RFC 4585 and RFC 5104.

mod application;
mod compound;
mod feedback;
mod receive;
mod reports;

pub(super) use reports::{Outbound, Reports};
