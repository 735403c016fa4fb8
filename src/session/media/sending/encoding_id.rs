//! The name of an encoding.

use std::hash::{Hash, Hasher};

use crate::session::transceiver::TransceiverId;

/// Names an encoding of what a transceiver sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) struct EncodingId {
    pub(in crate::session) transceiver: TransceiverId,
    /// Its place among those of the transceiver: names of streams are long, and this is looked up for each packet.
    pub(super) place: u16,
}

impl Hash for EncodingId {
    /// At once, as it is looked up for each packet.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.transceiver.0) << 16 | u64::from(self.place));
    }
}

impl EncodingId {
    /// Those that a transceiver can have, in order.
    pub(super) fn all_of(transceiver: TransceiverId) -> impl Iterator<Item = Self> {
        (0..u16::MAX).map(move |place| Self { transceiver, place })
    }
}
