//! Ranges of addresses, of which policies are made.

pub use crate::layer::{Cidr, CidrError};
