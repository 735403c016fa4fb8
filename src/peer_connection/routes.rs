//! Which connection a datagram of a shared socket is for.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::shared::ConnectionId;
use crate::layer::FiveTuple;
use crate::session::Session;

/// Connections by the ICE fragments of this side, and by the paths that their peers have shown to be theirs.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_ufrag: FxHashMap<String, ConnectionId>,
    by_path: FxHashMap<FiveTuple, ConnectionId>,
    of: FxHashMap<ConnectionId, Owned>,
}

/// What leads to one connection.
#[derive(Debug, Default)]
struct Owned {
    /// The last one is in use; the one before may be, until an ICE restart is complete.
    ufrags: VecDeque<String>,
    paths: VecDeque<FiveTuple>,
}

/// Paths of one connection that are remembered: more than its pairs that are in use at a time.
const MAX_PATHS: usize = 64;
/// Fragments of one connection that are remembered.
const MAX_UFRAGS: usize = 3;

impl Routes {
    /// Where a datagram goes. A connectivity check names the connection; everything else goes by the path.
    pub(super) fn find(&self, path: &FiveTuple, datagram: &[u8]) -> Option<ConnectionId> {
        if let Some(id) = self.by_path.get(path) {
            return Some(*id);
        }
        // Only what can be a STUN message is read as one.
        let ufrag =
            datagram.first().filter(|first| **first < 4).and_then(|_| Session::requested_ufrag(datagram))?;
        self.by_ufrag.get(ufrag).copied()
    }

    /// The connection sends checks to this path, or an authentic one of its peer came by it.
    pub(super) fn add_path(&mut self, id: ConnectionId, path: FiveTuple) {
        if self.by_path.contains_key(&path) {
            return;
        }
        let owned = self.of.entry(id).or_default();
        if owned.paths.len() >= MAX_PATHS
            && let Some(oldest) = owned.paths.pop_front()
        {
            self.by_path.remove(&oldest);
        }
        owned.paths.push_back(path);
        self.by_path.insert(path, id);
    }

    pub(super) fn set_ufrag(&mut self, id: ConnectionId, ufrag: &str) {
        let owned = self.of.entry(id).or_default();
        if owned.ufrags.back().is_some_and(|last| last == ufrag) {
            return;
        }
        if owned.ufrags.len() >= MAX_UFRAGS
            && let Some(oldest) = owned.ufrags.pop_front()
        {
            self.by_ufrag.remove(&oldest);
        }
        owned.ufrags.push_back(ufrag.to_owned());
        self.by_ufrag.insert(ufrag.to_owned(), id);
    }

    pub(super) fn remove(&mut self, id: ConnectionId) {
        let Some(owned) = self.of.remove(&id) else { return };
        for ufrag in owned.ufrags {
            self.by_ufrag.remove(&ufrag);
        }
        for path in owned.paths {
            self.by_path.remove(&path);
        }
    }
}
