//! Which sources of the peer belong to a transceiver.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::layer::{Rid, Ssrc};
use crate::session::transceiver::TransceiverId;

/// The sources of media of each transceiver, so that a packet of a new one is placed without a look at the others.
#[derive(Debug, Default)]
pub(super) struct Sources {
    of: BTreeSet<(TransceiverId, Ssrc)>,
    by_rid: FxHashMap<(TransceiverId, Rid), Ssrc>,
}

impl Sources {
    pub(super) fn insert(&mut self, transceiver: TransceiverId, rid: Option<Rid>, source: Ssrc) {
        self.of.insert((transceiver, source));
        if let Some(rid) = rid {
            self.by_rid.insert((transceiver, rid), source);
        }
    }

    pub(super) fn remove(&mut self, transceiver: TransceiverId, rid: Option<Rid>, source: Ssrc) {
        self.of.remove(&(transceiver, source));
        if let Some(rid) = rid
            && self.by_rid.get(&(transceiver, rid)) == Some(&source)
        {
            self.by_rid.remove(&(transceiver, rid));
        }
    }

    /// All of a transceiver.
    pub(super) fn of(&self, transceiver: TransceiverId) -> impl Iterator<Item = Ssrc> {
        let range = (transceiver, Ssrc(0))..=(transceiver, Ssrc(u32::MAX));
        self.of.range(range).map(|(_, source)| *source)
    }

    /// That of a simulcast stream: there is one at a time (RFC 8852 §3.2).
    pub(super) fn of_rid(&self, transceiver: TransceiverId, rid: Rid) -> Option<Ssrc> {
        self.by_rid.get(&(transceiver, rid)).copied()
    }
}
