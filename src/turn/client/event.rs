//! What a client tells.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use thiserror::Error;

use crate::layer::FiveTuple;
use crate::stun::{ChallengeError, ErrorCode, RedirectionError};
use crate::turn::allocation::Allocation;
use crate::turn::attribute::{AddressFamily, ConnectionId, Icmp};
use crate::turn::channel::ChannelNumber;

/// Events of a [`Client`](super::Client).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server relays. After [`Lost`](Self::Lost) it does so again, mostly under another address.
    Allocated(Allocation),
    /// Both families were asked for, and the server gave no address of this one.
    FamilyRefused(AddressFamily, ErrorCode),
    /// The allocation has come along to another [path](super::Client::set_path) (RFC 8016), with its addresses, permissions
    /// and channels. The server sends by the new path once something other than a request has come by it.
    Moved,
    /// The server has forgotten the allocation. Its addresses are of no use any more; another one is being made, with
    /// the same permissions and channels.
    Lost,
    /// The allocation needs another path to a server: open one and hand it to
    /// [`Client::set_path`](super::Client::set_path).
    PathNeeded {
        /// The server to go to.
        server: SocketAddr,
        /// The name that its certificate must be valid for, if it is not the one of before (ALTERNATE-DOMAIN).
        domain: Option<String>,
        /// Why.
        reason: PathReason,
    },
    /// Datagrams of this peer are relayed, from any port of it.
    Permitted(IpAddr),
    /// The server does not relay datagrams of this peer.
    PermissionRefused(IpAddr, Refusal),
    /// A channel is bound to the peer.
    ChannelBound(SocketAddr, ChannelNumber),
    /// There is no channel for the peer; data goes in indications.
    ChannelRefused(SocketAddr, Refusal),
    /// The channel of the peer has run out, since the server did not bind it again; data goes in indications until
    /// [`ChannelBound`](Self::ChannelBound).
    ChannelLapsed(SocketAddr),
    /// A peer has connected to the relayed address for TCP: [`accept`](super::Client::accept) it within half a minute, or the
    /// server closes it.
    ConnectionAttempt {
        /// The peer.
        peer: SocketAddr,
        /// What names its connection.
        id: ConnectionId,
    },
    /// A connection to a peer stands, asked for by [`connect`](super::Client::connect) or
    /// [`accept`](super::Client::accept). What its stream carries from now on are the bytes of the application.
    Connected {
        /// The peer.
        peer: SocketAddr,
        /// The stream.
        path: FiveTuple,
    },
    /// There is no connection to a peer, or an attempt of it was not accepted in time.
    ConnectionFailed {
        /// The peer.
        peer: SocketAddr,
        /// Why.
        failure: ConnectionFailure,
    },
    /// A connection that stood has ended: the peer, the server or the network has closed it.
    ConnectionClosed {
        /// The peer.
        peer: SocketAddr,
        /// The stream that it was.
        path: FiveTuple,
    },
    /// The relayed address got an ICMP message from the way to the peer.
    Icmp(SocketAddr, Icmp),
    /// There is no allocation, and none is being made. The last event.
    Failed(Failure),
    /// The allocation was given back, as asked for. The last event.
    Closed,
}

/// Why another path is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathReason {
    /// The server named another one, and the connection does not go there.
    Redirected,
    /// The server holds this five-tuple for another allocation (437, 441): another local port will do.
    FiveTupleTaken,
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The server says no.
    Code(ErrorCode),
    /// The server does not respond.
    TimedOut,
    /// The allocation has no address of the peer's family.
    Family,
}

/// Why there is no TCP connection to a peer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionFailure {
    /// The server refuses.
    #[error("the TURN server refuses with {0}{advice}", advice = connection_advice(*.0))]
    Refused(ErrorCode),
    /// The server does not respond, or an attempt was not accepted in time.
    #[error("it was not made in time")]
    TimedOut,
    /// There is no stream to the server for it.
    #[error("no stream to the TURN server: {0}")]
    Stream(String),
    /// What the server said is no answer of RFC 6062.
    #[error("the TURN server answers with what RFC 6062 does not have")]
    Malformed,
    /// The allocation is gone, and its connections with it.
    #[error("the allocation is gone")]
    Lost,
}

fn connection_advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::FORBIDDEN => "; it does not connect to this peer",
        ErrorCode::CONNECTION_ALREADY_EXISTS => "; there is a connection to this peer",
        ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE => "; the peer does not answer, or takes no connection",
        _ => "",
    }
}

/// Why there is no allocation, and at which server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The server that was asked last.
    pub server: SocketAddr,
    /// Why.
    pub cause: FailureCause,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no relayed address at the TURN server {}: {}", self.server, self.cause)
    }
}

/// Why there is no allocation.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureCause {
    /// The server does not respond, or nothing of its responses is authentic.
    #[error("{}", timed_out(unproven))]
    TimedOut {
        /// What a response said that lacked a correct integrity, if there was one.
        unproven: Option<ErrorCode>,
    },
    /// The server refuses.
    #[error("it refuses with {code}{}", advice(*code))]
    Refused {
        /// Why.
        code: ErrorCode,
        /// Do not ask this server again before.
        retry_after: Option<Duration>,
    },
    /// The credentials are refused, or cannot be used safely.
    #[error(transparent)]
    Credentials(#[from] ChallengeError),
    /// The server names others and never relays.
    #[error(transparent)]
    Redirection(#[from] RedirectionError),
    /// A response has not what it must have.
    #[error("its response has no relayed address; it is no TURN server of RFC 8656, or is misconfigured")]
    Unusable,
    /// The server forgot several allocations in a row as soon as they were made.
    #[error("it forgets its allocations as soon as it has made them")]
    Forgetful,
}

fn timed_out(unproven: &Option<ErrorCode>) -> String {
    match unproven {
        Some(code) => format!(
            "it answers {code} without proof that it knows the password; check the user name and the credential"
        ),
        None => {
            "it does not respond; check its address and port, and whether a firewall lets this protocol out"
                .to_owned()
        }
    }
}

fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ALLOCATION_QUOTA_REACHED => "; close other connections of this user, or raise the quota",
        ErrorCode::INSUFFICIENT_CAPACITY => "; it has no port left, try another server",
        ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED => "; ask for an address of the other family",
        ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL => "; it does not relay UDP over this transport",
        ErrorCode::FORBIDDEN => "; it does not relay for this user",
        _ => "",
    }
}

/// Why a datagram was refused, or data not sent.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// A STUN message that is none, or was not expected.
    #[error(transparent)]
    Stun(#[from] crate::stun::StunError),
    /// ChannelData that is none.
    #[error(transparent)]
    ChannelData(#[from] crate::turn::channel_data::ChannelDataError),
    /// There is no allocation, or not yet.
    #[error("there is no allocation; wait for Event::Allocated")]
    NotAllocated,
    /// The peer may not be sent to, or not yet; permission was asked for now if it had not been.
    #[error("there is no permission for the peer; wait for Event::Permitted")]
    NotPermitted,
    /// There are as many peers as allowed.
    #[error("there are {0} peers, as many as max_peers allows; release one")]
    TooManyPeers(usize),
    /// What is relayed are datagrams.
    #[error("the allocation relays UDP; ask for TCP by Config::requested_transport")]
    RelaysUdp,
    /// What is relayed are streams.
    #[error(
        "the allocation relays TCP, without channels and indications; connect to the peer, and send to it then"
    )]
    RelaysTcp,
    /// The allocation has no address of the peer's family.
    #[error("the allocation has no address of the peer's family")]
    Family,
    /// There is one connection to a peer at a time.
    #[error("there is a connection to the peer, or one is being made")]
    AlreadyConnected,
    /// There is no connection to the peer, or not yet.
    #[error("there is no connection to the peer; wait for Event::Connected")]
    NotConnected,
    /// There are as many connections as allowed.
    #[error("there are {0} connections, as many as max_connections allows; close one")]
    TooManyConnections(usize),
    /// No peer waits under this name.
    #[error("no attempt of a peer waits under this name; it may have waited too long")]
    NoAttempt,
    /// The data does not fit a datagram.
    #[error("{len} bytes do not fit: {limit} are left in a datagram to the server")]
    TooLong {
        /// The bytes of data.
        len: usize,
        /// The most there may be.
        limit: usize,
    },
}

impl From<crate::stun::DecodeError> for ClientError {
    fn from(error: crate::stun::DecodeError) -> Self {
        Self::Stun(error.into())
    }
}
