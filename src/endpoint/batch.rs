//! Datagrams of one receive, put together by session.

use smallvec::SmallVec;

use super::session_id::SessionId;
use crate::layer::Datagram;

/// What became of a batch of datagrams. None of it is an error of the endpoint: whoever knows its port can send it
/// anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedCounts {
    /// Datagrams that the session they are for has taken.
    pub taken: usize,
    /// Datagrams that the session they are for has refused, such as those that are not authentic.
    pub refused: usize,
    /// Datagrams that are for no session. Checks of strangers, which
    /// [`Endpoint::set_incoming`](super::Endpoint::set_incoming) is for, are among them.
    pub unknown: usize,
}

/// DTLS and media that wait until there is more for their sessions. What is for one path stays in order, because a path
/// is one session's; STUN may change whose a path is, and is handed over after all that came before it.
#[derive(Debug, Default)]
pub(super) struct Runs<'d> {
    waiting: SmallVec<[Waiting<'d>; MAX_WAITING]>,
}

#[derive(Debug)]
struct Waiting<'d> {
    /// `None` once it was handed over.
    session: Option<SessionId>,
    datagram: Datagram<'d>,
}

/// Datagrams that are looked through for more of the same session. They are on the stack.
const MAX_WAITING: usize = 32;

impl<'d> Runs<'d> {
    /// Adds a datagram. True if there is no room for another.
    pub(super) fn push(&mut self, session: SessionId, datagram: Datagram<'d>) -> bool {
        self.waiting.push(Waiting { session: Some(session), datagram });
        self.waiting.len() >= MAX_WAITING
    }

    /// The session of the datagram added last, if that came by the same path.
    pub(super) fn session_of(&self, datagram: &Datagram<'_>) -> Option<SessionId> {
        let last = self.waiting.last().filter(|last| last.datagram.path == datagram.path)?;
        last.session
    }

    /// Takes all out, session by session, each in the order in which it came.
    pub(super) fn drain(&mut self, mut hand_over: impl FnMut(SessionId, &mut Run<'_, 'd>)) {
        for first in 0..self.waiting.len() {
            let Some(session) = self.waiting[first].session else { continue };
            let mut run = Run { session, rest: self.waiting[first..].iter_mut(), count: 0 };
            hand_over(session, &mut run);
            // What a member has left is lost, as on the network.
            run.by_ref().for_each(drop);
        }
        self.waiting.clear();
    }
}

/// The datagrams of one session.
pub(super) struct Run<'r, 'd> {
    session: SessionId,
    rest: std::slice::IterMut<'r, Waiting<'d>>,
    count: usize,
}

impl Run<'_, '_> {
    /// How many were taken out.
    pub(super) fn taken_out(&self) -> usize {
        self.count
    }
}

impl<'r> Iterator for Run<'r, '_> {
    type Item = Datagram<'r>;

    fn next(&mut self) -> Option<Datagram<'r>> {
        let session = self.session;
        let next = self.rest.find(|waiting| waiting.session == Some(session))?;
        next.session = None;
        self.count += 1;
        Some(next.datagram.reborrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::FiveTuple;

    #[test]
    fn runs_are_of_one_session_and_in_order() {
        let path = |port| FiveTuple::udp(([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], port).into());
        let mut bytes: Vec<[u8; 1]> = (0..9).map(|number| [number]).collect();
        let mut runs = Runs::default();
        for (number, bytes) in bytes.iter_mut().enumerate() {
            let datagram = Datagram::new(path(number as u16 % 3), bytes);
            assert!(!runs.push(SessionId::new(number as u64 % 3), datagram));
        }
        let mut seen = Vec::new();
        runs.drain(|session, run| {
            let bytes: Vec<u8> = run.by_ref().map(|datagram| datagram.bytes[0]).collect();
            seen.push((session.number(), bytes, run.taken_out()));
        });
        assert_eq!(seen, [(0, vec![0, 3, 6], 3), (1, vec![1, 4, 7], 3), (2, vec![2, 5, 8], 3)]);
        runs.drain(|_, _| panic!("all were taken out"));
    }
}
