//! What streams are held to.

use std::time::Duration;

/// Limits of [`Streams`](super::Streams). Times longer than a day are taken as one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamLimits {
    /// How many streams there are at most that the other side has opened, and that layers have claimed. 4096 by default.
    /// Beyond, new ones are closed.
    pub max_accepted: usize,
    /// How many of them may be there at a time of which no layer has said that their first message is authentic. 256 by
    /// default. Beyond, the source that has most of them loses its oldest.
    pub max_unproven: usize,
    /// How many of these may come from one source, an IPv4 address or a /64 of IPv6. 16 by default.
    pub max_unproven_per_source: usize,
    /// How long such a stream may take for an authentic message. 10 s by default.
    pub first_message: Duration,
    /// How many sockets of UDP are opened at most for layers that ask for one of their own. 1024 by default. Beyond, they
    /// are told that there is none.
    pub max_sockets: usize,
    /// How long opening a stream may take, the handshake of TLS included. 10 s by default.
    pub open: Duration,
    /// How long a frame may take from its first byte to its last, and how long the other side may take nothing of what is
    /// sent to it. 10 s by default.
    pub frame: Duration,
    /// How long what was sent may be without an acknowledgement of the other side's machine before the stream counts as
    /// broken, where the system can tell (Linux). 20 s by default.
    pub unacknowledged: Duration,
    /// The longest frame in bytes that is taken of streams with the framing of RFC 4571. 9216 by default, a jumbo frame;
    /// 65535 at most.
    pub max_frame: usize,
    /// How many bytes wait at most for the other side of a stream to take them. 256 KiB by default. What does not fit is
    /// dropped, frame by frame, as a full queue drops datagrams; a stream without frames breaks.
    pub max_unsent: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            max_accepted: 4096,
            max_unproven: 256,
            max_unproven_per_source: 16,
            max_sockets: 1024,
            first_message: Duration::from_secs(10),
            open: Duration::from_secs(10),
            frame: Duration::from_secs(10),
            unacknowledged: Duration::from_secs(20),
            max_frame: 9216,
            max_unsent: 256 << 10,
        }
    }
}

impl StreamLimits {
    const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

    /// With times that clocks can count.
    pub(super) fn bounded(mut self) -> Self {
        for time in [&mut self.first_message, &mut self.open, &mut self.frame, &mut self.unacknowledged] {
            *time = (*time).min(Self::LONGEST);
        }
        self
    }
}
