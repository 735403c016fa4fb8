//! When media may leave.

use std::fmt;
use std::time::Instant;

/// What a packet of media is to its sender, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum PacketClass {
    /// Audio, of which there is little and whose delay is heard.
    Audio,
    /// What the peer misses already, RFC 4588.
    Retransmission,
    /// Video that is sent for the first time.
    Video,
}

impl PacketClass {
    /// All classes, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Audio, Self::Retransmission, Self::Video];
}

/// Spreads the packets of a transport over time, so that they do not wait in a queue of the path.
///
/// A sender asks before each packet, and tells of each that has left.
pub trait Pacer: fmt::Debug {
    /// When the next packet of this class may leave; `None`: at once.
    fn due(&self, class: PacketClass) -> Option<Instant>;

    /// A packet of `size` bytes of UDP payload has left.
    fn sent(&mut self, now: Instant, class: PacketClass, size: usize);
}

/// Lets everything leave at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpaced;

impl Pacer for Unpaced {
    fn due(&self, _: PacketClass) -> Option<Instant> {
        None
    }

    fn sent(&mut self, _: Instant, _: PacketClass, _: usize) {}
}
