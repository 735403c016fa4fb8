//! Sessions that are made when the first check comes.

use std::time::Instant;

use super::Endpoint;
use crate::endpoint::incoming::{Incoming, IncomingLimits, Strangers};
use crate::endpoint::member::Member;
use crate::endpoint::session_id::SessionId;
use crate::layer::Datagram;
use crate::session::SessionError;

impl<M: Member> Endpoint<M> {
    /// Has checks for fragments that no session has told as [`EndpointEvent::Incoming`](crate::endpoint::EndpointEvent),
    /// within limits; `None`, as at first, has them ignored. For servers that make a session on the first check, because
    /// the fragment says all that they need.
    pub fn set_incoming(&mut self, limits: Option<IncomingLimits>) {
        self.strangers = limits.map(Strangers::new);
    }

    /// How many strangers had to make room for others before the application was told of them.
    pub fn forgotten_incoming(&self) -> u64 {
        self.strangers.as_ref().map_or(0, Strangers::forgotten)
    }

    /// Adds a session that was made for the check of a stranger, as [`insert`](Self::insert) does, and hands it the
    /// check. The session has the fragment, an address for the path's local one, and a description of its peer.
    ///
    /// # Errors
    /// The session is not added if it refuses the check, which is not authentic then, if it has another fragment, or if
    /// another session has got the fragment in the meantime; that one hears of the peer's next check.
    pub fn accept(
        &mut self,
        now: Instant,
        id: SessionId,
        member: M,
        mut incoming: Incoming,
    ) -> Result<(), SessionError> {
        if !self.routes.by_ufrag(&incoming.ufrag).is_empty() {
            return Err(SessionError::Ignored("another session has the fragment"));
        }
        self.insert(id, member);
        let result = match self.routes.by_ufrag(&incoming.ufrag) {
            [named] if *named == id => self.receive_incoming(now, &mut incoming),
            _ => Err(SessionError::Ignored("the session does not have the fragment that the check names")),
        };
        if result.is_err() {
            self.remove(id);
        }
        result
    }

    /// The next stranger. One whose fragment a session has got since is handed over instead: it is the same peer, on
    /// another path.
    pub(super) fn poll_incoming(&mut self) -> Option<Incoming> {
        loop {
            let (came, mut incoming) = self.strangers.as_mut()?.poll()?;
            if self.routes.by_ufrag(&incoming.ufrag).is_empty() {
                return Some(incoming);
            }
            // What it is refused for is no matter of the application.
            let _ = self.receive_incoming(came, &mut incoming);
        }
    }

    fn receive_incoming(&mut self, now: Instant, incoming: &mut Incoming) -> Result<(), SessionError> {
        let Incoming { path, ecn, datagram, .. } = incoming;
        self.receive(now, Datagram { path: *path, ecn: *ecn, bytes: datagram })
    }
}
