//! What of a datagram tells whose it is.

use crate::layer::Datagram;
use crate::session::Session;
use crate::stun::{Class, TransactionId, peek};

/// What names the session that a datagram is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// A connectivity check names its session, which need not be the one that the path belonged to before: a NAT gives
    /// the address of a peer that is gone to another.
    Check {
        /// The fragment of this side, if it has one.
        ufrag: Option<&'a str>,
    },
    /// A STUN response answers a question of one session.
    Response(TransactionId),
    /// Only the path tells.
    Path,
}

impl<'a> Address<'a> {
    pub(super) fn of(datagram: &'a [u8]) -> Self {
        match peek(datagram) {
            Some((Class::Request, _)) => Self::Check { ufrag: Session::requested_ufrag(datagram) },
            Some((Class::Success | Class::Error, transaction)) => Self::Response(transaction),
            Some((Class::Indication, _)) | None => Self::Path,
        }
    }
}

/// The question that a datagram of a session asks.
pub(super) fn question(datagram: &[u8]) -> Option<TransactionId> {
    match peek(datagram) {
        Some((Class::Request, transaction)) => Some(transaction),
        _ => None,
    }
}

/// Whether DTLS or media, of which the session that has the path may say that it is none of its own.
pub(super) fn is_protected(datagram: &Datagram<'_>) -> bool {
    datagram.bytes.first().is_some_and(|first| *first >= 20)
}
