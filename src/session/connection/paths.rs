//! The paths of a session, for whoever shares a socket among several.

use std::time::Instant;

use super::Session;
use crate::layer::{FiveTuple, PathProof};

impl Session {
    /// The path that the datagram handled last has shown to be the peer's, and how: by an authentic check or by
    /// the answer to one. `None` for any other datagram, and from the second call on. A path that was merely sent
    /// to is shown to be nobody's.
    pub fn take_path_proof(&mut self) -> Option<(FiveTuple, PathProof)> {
        self.proof.take()
    }

    /// The five-tuple by which what is for the peer leaves and its answers come: that of the
    /// [`selected_pair`](Self::selected_pair), or, where a relay of this side is in between, that to the relay. `None` while
    /// there is no such pair.
    pub fn outgoing_path(&self) -> Option<FiveTuple> {
        self.transport.outgoing_path()
    }

    /// Whether `path` is in use: it is that of the selected pair or of another one on which the peer has answered
    /// checks, and it has not failed to answer since. Takes time in proportion to the pairs of this session.
    pub fn owns_path(&self, now: Instant, path: &FiveTuple) -> bool {
        let ice = self.transport.ice_ref();
        ice.owns_path(now, path)
            || self.transport.carried_by(path).is_some_and(|carried| ice.owns_path(now, &carried))
    }

    /// When an authentic check or answer of the peer came by `path` last; `None` if none did, or if the ICE agent
    /// does not tell.
    pub fn last_heard(&self, path: &FiveTuple) -> Option<Instant> {
        let ice = self.transport.ice_ref();
        let carried = self.transport.carried_by(path).and_then(|carried| ice.last_heard(&carried));
        ice.last_heard(path).max(carried)
    }

    /// Asks at once whether the peer is still at the other end of `path`: for a path of this session from which
    /// checks for another one come. When no answer comes within a few round trips, a second at most on an
    /// ordinary path, [`owns_path`](Self::owns_path) turns false.
    pub fn verify_path(&mut self, now: Instant, path: &FiveTuple) {
        let path = self.transport.carried_by(path).unwrap_or(*path);
        self.act(now, |session| session.transport.ice().verify_path(now, &path));
    }
}
