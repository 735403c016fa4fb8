//! Requests under way.

use std::net::IpAddr;
use std::time::Instant;

use super::connections::ConnectionNumber;
use crate::crypto::SecureRandom;
use crate::stun::{ErrorCode, Method, Retransmission, RetransmissionConfig, TransactionId};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Allocate.
    Allocate,
    /// Refresh.
    Refresh,
    /// Refresh with the ticket, from another place.
    Resume,
    /// Refresh with lifetime 0, at the end.
    Delete,
    /// Refresh with lifetime 0, because an allocation of before is in the way of a new one.
    Forget,
    /// CreatePermission.
    Permission(IpAddr),
    /// ChannelBind, for a place in the table of channels.
    Channel(usize),
    /// Connect, for a connection of this number.
    Connect(ConnectionNumber),
    /// ConnectionBind, by the stream of a connection.
    Bind(ConnectionNumber),
}

impl Purpose {
    pub(super) const fn method(self) -> Method {
        match self {
            Self::Allocate => Method::ALLOCATE,
            Self::Refresh | Self::Resume | Self::Delete | Self::Forget => Method::REFRESH,
            Self::Permission(_) => Method::CREATE_PERMISSION,
            Self::Channel(_) => Method::CHANNEL_BIND,
            Self::Connect(_) => Method::CONNECT,
            Self::Bind(_) => Method::CONNECTION_BIND,
        }
    }

    /// The connection that it is for.
    pub(super) const fn connection(self) -> Option<ConnectionNumber> {
        match self {
            Self::Connect(number) | Self::Bind(number) => Some(number),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    pub(super) purpose: Purpose,
    pub(super) retransmission: Retransmission,
    /// Whether its request has credentials: fixed when it is made, so that a response is judged by its own request.
    pub(super) signed: bool,
    /// How often the same was asked before in vain, because of its nonce or because the server failed.
    pub(super) attempts: u8,
    /// Whether the request waits to be sent.
    pub(super) unsent: bool,
    /// What a response said that lacked a correct integrity.
    pub(super) unproven: Option<ErrorCode>,
}

impl Transaction {
    /// So often the same is asked again after 401, 438 or 500.
    pub(super) const MAX_ATTEMPTS: u8 = 3;

    pub(super) fn new(
        now: Instant,
        random: &dyn SecureRandom,
        purpose: Purpose,
        config: RetransmissionConfig,
        signed: bool,
    ) -> Self {
        Self {
            id: TransactionId::random(random),
            purpose,
            retransmission: Retransmission::new(now, config),
            signed,
            attempts: 0,
            unsent: false,
            unproven: None,
        }
    }
}
