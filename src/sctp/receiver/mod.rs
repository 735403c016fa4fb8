//! The receiving half of an association: acknowledgement, reassembly and delivery (RFC 9260 §6.2 to §6.9).

mod delivery;
mod intake;
mod reassembly;
mod tracker;

pub(crate) use intake::{DataRefused, Receiver};

#[cfg(test)]
mod tests;
