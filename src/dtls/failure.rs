//! Why a handshake fails.

use super::alert::AlertDescription;
use super::wire::Malformed;
use crate::crypto::CryptoError;
use crate::layer::DtlsError;

/// Why a handshake ends, and the alert that tells the peer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) alert: AlertDescription,
    pub(crate) error: DtlsError,
}

impl Failure {
    pub(crate) fn new(alert: AlertDescription, reason: &'static str) -> Self {
        Self { alert, error: DtlsError::Handshake { reason, alert: alert.name() } }
    }

    pub(crate) fn unexpected(reason: &'static str) -> Self {
        Self::new(AlertDescription::UNEXPECTED_MESSAGE, reason)
    }

    pub(crate) fn illegal(reason: &'static str) -> Self {
        Self::new(AlertDescription::ILLEGAL_PARAMETER, reason)
    }

    /// The provider failed at `operation`, which is not the peer's fault.
    pub(crate) fn crypto(operation: &'static str) -> impl FnOnce(CryptoError) -> Self {
        move |_| Self { alert: AlertDescription::INTERNAL_ERROR, error: DtlsError::Crypto(operation) }
    }
}

impl From<Malformed> for Failure {
    fn from(Malformed(field): Malformed) -> Self {
        Self::new(AlertDescription::DECODE_ERROR, field)
    }
}
