//! Which sources of the peer belong to a transceiver.

use std::collections::{BTreeMap, BTreeSet};

use crate::layer::{Rid, Ssrc};
use crate::session::transceiver::TransceiverId;

/// The sources of media of each transceiver, so that a packet of a new one is placed without a look at the others.
#[derive(Debug, Default)]
pub(super) struct Sources {
    of: BTreeSet<(TransceiverId, Ssrc)>,
    by_rid: BTreeMap<(TransceiverId, Rid), Ssrc>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_replaced_takes_nothing_with_it() {
        let [first, second] = [1, 2].map(TransceiverId);
        let rid = Rid::new(b"h").ok();
        let mut sources = Sources::default();
        sources.insert(first, rid, Ssrc(7));
        sources.insert(first, rid, Ssrc(3));
        sources.insert(second, None, Ssrc(u32::MAX));
        assert!(sources.of(first).eq([Ssrc(3), Ssrc(7)]));
        sources.remove(first, rid, Ssrc(7));
        assert_eq!(rid.and_then(|rid| sources.of_rid(first, rid)), Some(Ssrc(3)));
        sources.remove(first, rid, Ssrc(3));
        sources.remove(second, None, Ssrc(u32::MAX));
        assert!(sources.of.is_empty() && sources.by_rid.is_empty());
    }
}
