//! The configuration of a context.

/// Limits and policy of a [`Context`](super::Context).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// How many packets behind the newest one an SRTP packet may be; rounded up to a power of two, at
    /// least 64 and at most 32,768. Each stream takes one bit for each. 1,024 by default.
    pub replay_window: usize,
    /// How many SSRCs have state in each direction at most. With one more, the one that was silent longest makes room.
    /// At least 1; 1,024 by default.
    pub max_ssrcs: usize,
    /// Of how many SSRCs that made room, or were [forgotten](super::Context::forget), the last index is kept in each
    /// direction, 16 bytes or so for each: what keeps an index from being used, or accepted, twice. On the way in the
    /// oldest is dropped then; on the way out [`SrtpError::TooManySsrcs`](super::SrtpError::TooManySsrcs) asks for new
    /// keys. 16,384 by default.
    pub max_ended_ssrcs: usize,
    /// What happens when the application protects a packet index again. Refused by default.
    pub repeated_index: RepeatedIndex,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            replay_window: 1024,
            max_ssrcs: 1024,
            max_ended_ssrcs: 16_384,
            repeated_index: RepeatedIndex::Refuse,
        }
    }
}

/// What happens when the application protects a packet with the sequence number of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatedIndex {
    /// It is an error.
    Refuse,
    /// It is protected again, for retransmission on the original SSRC. **The packet must be the same to the
    /// byte**: two different packets under one index give away their difference and, with an AEAD profile,
    /// the authentication key. Prefer RFC 4588 retransmission, or keep the protected packet.
    Allow,
}
