//! What an endpoint tells.

use super::incoming::Incoming;
use super::session_id::SessionId;
use crate::layer::FiveTuple;
use crate::session::SessionEvent;

/// What an [`Endpoint`](super::Endpoint) tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum EndpointEvent {
    /// What a session tells.
    Session {
        /// The session.
        id: SessionId,
        /// Its event.
        event: SessionEvent,
    },
    /// A session relies on a path that another session is using, whose peer has answered there just now: both peers are
    /// behind the same two sockets, and datagrams that are not STUN can go to one session only. This one never gets
    /// them; the application closes it, or signals other candidates.
    PathInUse {
        /// The session that cannot have the path.
        id: SessionId,
        /// The path.
        path: FiveTuple,
        /// The session that has it.
        owner: SessionId,
    },
    /// A check names a fragment that no session has. Told only after
    /// [`Endpoint::set_incoming`](super::Endpoint::set_incoming), and of each stranger once.
    Incoming(Box<Incoming>),
}
