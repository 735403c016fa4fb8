//! Names of channels.

use std::fmt;

/// A channel of a [`DataChannels`](super::DataChannels). Not the identifier of its stream, which a channel has
/// only when the DTLS role is known, and which is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId(pub(super) u64);

impl ChannelId {
    /// Its number: unlike that of any other channel of the same association.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel {}", self.0)
    }
}
