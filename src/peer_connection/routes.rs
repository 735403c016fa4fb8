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
    /// Where a datagram goes. A connectivity check names the connection, which need not be the one that the path
    /// belonged to before: a NAT gives the address of a peer that is gone to another. All else goes by the path.
    pub(super) fn find(&self, path: &FiveTuple, datagram: &[u8]) -> Option<ConnectionId> {
        // Only what can be a STUN message is read as one.
        let ufrag =
            datagram.first().filter(|first| **first < 4).and_then(|_| Session::requested_ufrag(datagram));
        ufrag.and_then(|ufrag| self.by_ufrag.get(ufrag)).or_else(|| self.by_path.get(path)).copied()
    }

    /// The connection that a path belongs to.
    pub(super) fn owner(&self, path: &FiveTuple) -> Option<ConnectionId> {
        self.by_path.get(path).copied()
    }

    /// The connection sends to this path. One that belongs to another stays there: a peer can name any address.
    pub(super) fn add_path(&mut self, id: ConnectionId, path: FiveTuple) {
        if !self.by_path.contains_key(&path) {
            self.take_path(id, path);
        }
    }

    /// The path belongs to this connection from now on.
    pub(super) fn take_path(&mut self, id: ConnectionId, path: FiveTuple) {
        let before = self.by_path.get(&path).copied();
        if before == Some(id) {
            return;
        }
        if let Some(owned) = before.and_then(|before| self.of.get_mut(&before)) {
            owned.paths.retain(|other| *other != path);
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

#[cfg(test)]
mod tests {
    use super::*;

    const DTLS: [u8; 13] = [22; 13];

    fn path(port: u16) -> FiveTuple {
        FiveTuple::udp(([10, 0, 0, 1], 5000).into(), ([192, 0, 2, 1], port).into())
    }

    /// A Binding request to the side with this fragment.
    fn check(ufrag: &str) -> Vec<u8> {
        let username = format!("{ufrag}:peer");
        let padded = username.len().next_multiple_of(4);
        let mut message = vec![0, 1, 0, 4 + padded as u8, 0x21, 0x12, 0xa4, 0x42];
        message.extend([7; 12]);
        message.extend([0, 6, 0, username.len() as u8]);
        message.extend(username.bytes());
        message.resize(24 + padded, 0);
        message
    }

    #[test]
    fn a_check_names_its_connection_wherever_it_comes_from() {
        let (old, new) = (ConnectionId(1), ConnectionId(2));
        let mut routes = Routes::default();
        routes.set_ufrag(old, "oldufrag");
        routes.set_ufrag(new, "newufrag");
        routes.take_path(old, path(1));
        assert_eq!(routes.find(&path(1), &DTLS), Some(old));
        assert_eq!(routes.find(&path(1), &check("newufrag")), Some(new));
        assert_eq!(routes.find(&path(2), &check("oldufrag")), Some(old));
        assert_eq!(routes.find(&path(1), &check("nobody's")), Some(old));
        assert_eq!(routes.find(&path(2), &check("nobody's")), None);
    }

    #[test]
    fn a_path_is_given_on_and_not_taken_by_sending_to_it() {
        let (old, new) = (ConnectionId(1), ConnectionId(2));
        let mut routes = Routes::default();
        routes.take_path(old, path(1));
        routes.add_path(new, path(1));
        assert_eq!(routes.find(&path(1), &DTLS), Some(old));
        routes.take_path(new, path(1));
        assert_eq!(routes.find(&path(1), &DTLS), Some(new));
        routes.remove(old);
        assert_eq!(routes.find(&path(1), &DTLS), Some(new));
        routes.remove(new);
        assert_eq!(routes.find(&path(1), &DTLS), None);
        assert!(routes.by_path.is_empty() && routes.of.is_empty());
    }
}
