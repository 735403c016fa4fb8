//! The little of X.509 (RFC 5280) that DTLS with fingerprints needs: writing one self-signed certificate,
//! and finding the public key in another. The encoding is that of the crates `der` and `x509-cert`.

mod public_key;
mod self_signed;

pub(crate) use public_key::CertifiedKey;
pub(crate) use self_signed::self_signed;
pub use self_signed::{CertificateParams, Validity};
