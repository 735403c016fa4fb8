//! STUN over streams, RFC 8489 §6.2.2, with the channels of TURN between, RFC 8656 §12.5.

use thiserror::Error;

use super::header::{HEADER_LEN, MAGIC_COOKIE};

/// The length of the header of a ChannelData message.
const CHANNEL_HEADER_LEN: usize = 4;

/// Cuts a stream of bytes, as TCP and TLS deliver it, into STUN and ChannelData messages.
///
/// It holds no more than one message of the longest kind allows, and no more than what arrived: a length that a peer
/// claims reserves nothing.
///
/// ```
/// use kaon_rtc::stun::{Class, MessageBuilder, Method, StreamFraming, TransactionId};
///
/// let mut sent = Vec::new();
/// MessageBuilder::new(&mut sent, Class::Request, Method::BINDING, TransactionId([7; 12])).finish()?;
/// let mut framing = StreamFraming::default();
/// for mut piece in sent.chunks(7) {
///     while !piece.is_empty() {
///         piece = &piece[framing.push(piece)..];
///         while let Some(message) = framing.next_message()? {
///             assert_eq!(message, sent);
///         }
///     }
/// }
/// assert!(framing.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StreamFraming {
    buffer: Vec<u8>,
    /// How many bytes at the front belong to messages that were handed out.
    taken: usize,
    max_message: usize,
}

/// Why a stream is of no use any more: it must be closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamFramingError {
    /// What comes next is neither a STUN message nor ChannelData.
    #[error(
        "the stream has a byte {0:#04x} where a STUN or ChannelData message must begin; the other side speaks another protocol, or TLS is missing"
    )]
    Unknown(u8),
    /// A header that says it is of STUN is not.
    #[error("the stream has a STUN header whose magic cookie or length is wrong")]
    Header,
    /// A message is longer than is taken.
    #[error("a message of {length} bytes is longer than the {limit} that are taken")]
    TooLong {
        /// The length of the message with its header and padding, in bytes.
        length: usize,
        /// The longest that is taken, in bytes.
        limit: usize,
    },
}

impl StreamFraming {
    /// The longest message that there can be in bytes: ChannelData with its header and padding, and a STUN message.
    pub const MAX_MESSAGE: usize = 65_556;

    /// Takes messages of up to `max_message` bytes, with header and padding.
    pub fn new(max_message: usize) -> Self {
        let max_message = max_message.clamp(HEADER_LEN, Self::MAX_MESSAGE);
        Self { buffer: Vec::new(), taken: 0, max_message }
    }

    /// Takes messages of any length from now on.
    #[cfg(all(feature = "turn-server", feature = "net"))]
    pub(crate) fn allow_long(&mut self) {
        self.max_message = Self::MAX_MESSAGE;
    }

    /// Takes what arrived, or as much of it as there is room for, and says how many bytes that were. There is always
    /// room once [`next_message`](Self::next_message) has nothing more to give.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let waiting = self.buffer.len() - self.taken;
        let accepted = bytes.len().min(self.max_message.saturating_sub(waiting));
        // Moved only if that at least halves what is held: bytes that come one by one are not moved for each.
        if self.taken >= waiting {
            self.buffer.copy_within(self.taken.., 0);
            self.buffer.truncate(waiting);
            self.taken = 0;
        }
        self.buffer.extend_from_slice(&bytes[..accepted]);
        accepted
    }

    /// The next message, without padding; `None` until all of it has arrived.
    ///
    /// # Errors
    /// [`StreamFramingError`]; the stream is of no use from then on, and every further call says so again.
    pub fn next_message(&mut self) -> Result<Option<&mut [u8]>, StreamFramingError> {
        let waiting = &self.buffer[self.taken..];
        let Some((length, padded)) = message_length(waiting)? else { return Ok(None) };
        if padded > self.max_message {
            return Err(StreamFramingError::TooLong { length: padded, limit: self.max_message });
        }
        if waiting.len() < padded {
            return Ok(None);
        }
        let start = self.taken;
        self.taken += padded;
        Ok(Some(&mut self.buffer[start..start + length]))
    }

    /// Takes what has arrived behind the last message, where another protocol begins there (RFC 6062 §5.4).
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.taken);
        self.buffer.clear();
        self.taken = 0;
        rest
    }

    /// Whether the stream is between two messages, where it may end.
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == self.taken
    }
}

impl Default for StreamFraming {
    fn default() -> Self {
        Self::new(Self::MAX_MESSAGE)
    }
}

/// The length of the message that `bytes` begin with, without and with padding; `None` if that is not known yet.
pub(crate) fn message_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, StreamFramingError> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let length = bytes.get(2..4).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])));
    match first >> 6 {
        0 => {
            let cookie = bytes.get(4..bytes.len().min(8)).unwrap_or_default();
            let is_cookie = MAGIC_COOKIE.to_be_bytes().starts_with(cookie);
            if !is_cookie || length.is_some_and(|length| length % 4 != 0) {
                return Err(StreamFramingError::Header);
            }
            Ok(length.map(|length| (HEADER_LEN + length, HEADER_LEN + length)))
        }
        // RFC 8656 §12.5: padded to a multiple of four, which the length does not count.
        1 => Ok(length
            .map(|length| (CHANNEL_HEADER_LEN + length, CHANNEL_HEADER_LEN + length.next_multiple_of(4)))),
        _ => Err(StreamFramingError::Unknown(*first)),
    }
}
