//! Datagrams on their way to the sessions.

use std::time::Instant;

use super::Endpoint;
use crate::endpoint::classify::{Address, is_protected};
use crate::endpoint::member::Member;
use crate::endpoint::session_id::SessionId;
use crate::layer::Datagram;
use crate::session::SessionError;

impl<M: Member> Endpoint<M> {
    /// Hands a datagram to the session that it is for.
    pub(super) fn receive(&mut self, now: Instant, mut datagram: Datagram<'_>) -> Result<(), SessionError> {
        let path = datagram.path;
        let (id, question) = match Address::of(datagram.bytes) {
            Address::Check { ufrag } => {
                let named = ufrag.and_then(|ufrag| self.routes.by_ufrag(ufrag));
                (named.or_else(|| self.routes.owner(&path)), None)
            }
            Address::Response(question) => (self.routes.by_question(question), Some(question)),
            Address::Path => (self.routes.owner(&path), None),
        };
        let id = id.ok_or(SessionError::Ignored("it is for no session of this endpoint"))?;
        if is_protected(&datagram) && self.claims.claimant(id, &path).is_some() {
            return self.receive_disputed(now, id, datagram.reborrow());
        }
        let is_protected = is_protected(&datagram);
        self.hand_over(now, id, datagram)?;
        if let Some(question) = question {
            self.routes.answered(id, question);
        }
        if !is_protected {
            self.follow_proof(now, id, path);
        }
        Ok(())
    }

    fn hand_over(&mut self, now: Instant, id: SessionId, datagram: Datagram<'_>) -> Result<(), SessionError> {
        let entry = self.members.get_mut(&id);
        let entry = entry.ok_or(SessionError::Ignored("it is for a session that is gone"))?;
        let result = entry.member.receive(now, datagram);
        entry.wake(id, &mut self.due, &mut self.news);
        result
    }

    /// While it is not known who is at the other end of a path, the one that it does not belong to gets what the other
    /// refuses: a peer that was restarted begins its handshake at once.
    fn receive_disputed(
        &mut self,
        now: Instant,
        owner: SessionId,
        mut datagram: Datagram<'_>,
    ) -> Result<(), SessionError> {
        let path = datagram.path;
        let refusal = match self.hand_over(now, owner, datagram.reborrow()) {
            Ok(()) => return Ok(()),
            Err(refusal) => refusal,
        };
        match self.claims.claimant(owner, &path) {
            Some(claimant) => self.hand_over(now, claimant, datagram),
            None => Err(refusal),
        }
    }
}
