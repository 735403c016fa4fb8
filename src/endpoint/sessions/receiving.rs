//! Datagrams on their way to the sessions.

use std::time::Instant;

use smallvec::SmallVec;

use super::Endpoint;
use crate::endpoint::batch::{ReceivedCounts, Runs};
use crate::endpoint::classify::{Address, is_protected};
use crate::endpoint::member::Member;
use crate::endpoint::session_id::SessionId;
use crate::layer::Datagram;
use crate::session::SessionError;
use crate::stun::TransactionId;

/// Where a datagram goes.
#[derive(Debug)]
enum Way {
    /// DTLS or media, on a path that only its session claims: it changes nothing for other datagrams.
    Run(SessionId),
    /// Whatever may change whose a path is, or may be for either of two sessions.
    Alone(SessionId, Option<TransactionId>),
    /// A check that names these sessions: of those that happen to have the same fragment, one can authenticate it.
    Named(SmallVec<[SessionId; 1]>),
    /// A check that names nobody here, and the session that has the path.
    Stranger(Option<SessionId>),
    Nobody,
}

impl<M: Member> Endpoint<M> {
    /// Takes a batch of datagrams, as one receive of a socket brings it. Those of one session are handed over together
    /// ([`Member::receive_run`]), so that it is looked up and locked once for many. What comes by one path stays in
    /// order, and a STUN message is seen after all that came before it and before all that comes after it.
    ///
    /// Datagrams that are refused or for nobody are counted and else ignored;
    /// [`handle_datagram`](crate::layer::Layer::handle_datagram) tells of each why. Allocates nothing by itself.
    pub fn handle_datagrams<'d>(
        &mut self,
        now: Instant,
        batch: impl IntoIterator<Item = Datagram<'d>>,
    ) -> ReceivedCounts {
        let (mut counts, mut runs) = (ReceivedCounts::default(), Runs::default());
        for datagram in batch {
            match runs.session_of(&datagram).filter(|_| is_protected(&datagram)) {
                Some(id) => self.add_to_run(now, id, datagram, &mut runs, &mut counts),
                None => match self.way(&datagram) {
                    Way::Run(id) => self.add_to_run(now, id, datagram, &mut runs, &mut counts),
                    Way::Alone(id, question) => {
                        self.hand_over_runs(now, &mut runs, &mut counts);
                        match self.receive_alone(now, id, question, datagram) {
                            Ok(()) => counts.taken += 1,
                            Err(_) => counts.refused += 1,
                        }
                    }
                    Way::Named(sessions) => {
                        self.hand_over_runs(now, &mut runs, &mut counts);
                        match self.receive_check(now, &sessions, datagram) {
                            Ok(()) => counts.taken += 1,
                            Err(_) => counts.refused += 1,
                        }
                    }
                    Way::Stranger(owner) => {
                        if owner.is_some() {
                            self.hand_over_runs(now, &mut runs, &mut counts);
                        }
                        match self.receive_strange(now, owner, datagram) {
                            Ok(()) => counts.taken += 1,
                            Err(_) => counts.unknown += 1,
                        }
                    }
                    Way::Nobody => counts.unknown += 1,
                },
            }
        }
        self.hand_over_runs(now, &mut runs, &mut counts);
        counts
    }

    /// Hands a datagram to the session that it is for.
    pub(super) fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        match self.way(&datagram) {
            Way::Run(id) => self.hand_over(now, id, datagram),
            Way::Alone(id, question) => self.receive_alone(now, id, question, datagram),
            Way::Named(sessions) => self.receive_check(now, &sessions, datagram),
            Way::Stranger(owner) => self.receive_strange(now, owner, datagram),
            Way::Nobody => Err(SessionError::Ignored("it is for no session of this endpoint")),
        }
    }

    fn way(&self, datagram: &Datagram<'_>) -> Way {
        let owner = || self.routes.owner(&datagram.path);
        let (id, question) = match Address::of(datagram.bytes) {
            Address::Check { ufrag } => match ufrag.map(|ufrag| self.routes.by_ufrag(ufrag)) {
                Some([]) if self.strangers.is_some() => return Way::Stranger(owner()),
                None | Some([]) => (owner(), None),
                Some(named) => return Way::Named(SmallVec::from_slice(named)),
            },
            Address::Response(question) => {
                let asked = self.routes.by_question(question);
                // What a session asked out of its turn, as it does at its end, is answered by its stream.
                (asked.or_else(|| self.streams.owner(&datagram.path)), Some(question))
            }
            Address::Path => (owner(), None),
        };
        let Some(id) = id else { return Way::Nobody };
        if is_protected(datagram) && self.claims.claimant(id, &datagram.path).is_none() {
            return Way::Run(id);
        }
        Way::Alone(id, question)
    }

    /// Takes a check for an unknown fragment. It may be one of long ago of the session that has the path, whose peer has
    /// not heard of many restarts since; whoever else had the path before cannot authenticate it, and a stranger may
    /// have it now.
    fn receive_strange(
        &mut self,
        now: Instant,
        owner: Option<SessionId>,
        mut datagram: Datagram<'_>,
    ) -> Result<(), SessionError> {
        if let Some(owner) = owner
            && self.receive_alone(now, owner, None, datagram.reborrow()).is_ok()
        {
            return Ok(());
        }
        if let Some(strangers) = &mut self.strangers {
            strangers.note(now, &datagram);
        }
        Err(SessionError::Ignored("it is a check for no session of this endpoint"))
    }

    fn add_to_run<'d>(
        &mut self,
        now: Instant,
        id: SessionId,
        datagram: Datagram<'d>,
        runs: &mut Runs<'d>,
        counts: &mut ReceivedCounts,
    ) {
        if runs.push(id, datagram) {
            self.hand_over_runs(now, runs, counts);
        }
    }

    fn hand_over_runs(&mut self, now: Instant, runs: &mut Runs<'_>, counts: &mut ReceivedCounts) {
        runs.drain(|id, run| {
            let Some(entry) = self.members.get_mut(&id) else { return };
            let taken = entry.member.receive_run(now, &mut *run);
            counts.taken += taken;
            counts.refused += run.taken_out().saturating_sub(taken);
            entry.wake(id, &mut self.due, &mut self.news);
        });
    }

    fn receive_check(
        &mut self,
        now: Instant,
        sessions: &[SessionId],
        mut datagram: Datagram<'_>,
    ) -> Result<(), SessionError> {
        let mut result = Err(SessionError::Ignored("it names no session of this endpoint"));
        for id in sessions {
            result = self.receive_alone(now, *id, None, datagram.reborrow());
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn receive_alone(
        &mut self,
        now: Instant,
        id: SessionId,
        question: Option<TransactionId>,
        datagram: Datagram<'_>,
    ) -> Result<(), SessionError> {
        if is_protected(&datagram) {
            return self.receive_disputed(now, id, datagram);
        }
        let path = datagram.path;
        self.hand_over(now, id, datagram)?;
        if let Some(question) = question {
            self.routes.answered(id, question);
        }
        self.follow_proof(now, id, path);
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
