//! The seam for SCTP.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;

use super::Layer;

/// An SCTP association: the seam for an SCTP implementation.
///
/// A datagram of this layer is one SCTP packet; over DTLS it is the content of one record (RFC 8261).
pub trait SctpTransport: Layer<Event = SctpEvent, Error = SctpError> + fmt::Debug + Send {
    /// Sends an INIT. Both sides may do so at once, as WebRTC peers do (RFC 8831 §6.2).
    fn connect(&mut self, now: Instant);

    /// Queues one message on a stream. Takes all of it or nothing.
    ///
    /// # Errors
    /// [`SctpError::NotEstablished`], [`SctpError::InvalidStream`], [`SctpError::MessageTooLarge`],
    /// [`SctpError::EmptyMessage`], [`SctpError::StreamResetting`], or [`SctpError::SendBufferFull`], after
    /// which [`SctpEvent::Writable`] tells when to try again.
    fn send(
        &mut self,
        now: Instant,
        stream: StreamId,
        protocol: PayloadProtocol,
        message: Bytes,
        options: SendOptions,
    ) -> Result<(), SctpError>;

    /// The next complete message; `None` if there is none. Reading opens the receive window again.
    fn receive(&mut self) -> Option<Received>;

    /// How many messages wait for [`receive`](Self::receive), or more if that is not known: it tells what was
    /// sent before an [`SctpEvent::IncomingStreamReset`].
    fn unread(&self) -> usize {
        usize::MAX
    }

    /// Takes what the caller keeps of what it received: it counts against the receive window as if it were not
    /// read, so that a caller may sort all messages at once and still slow down the peer. To be called again when
    /// it changes. The default counts nothing.
    fn set_held(&mut self, held: Held) -> HeldOutcome {
        let _ = held;
        HeldOutcome::NotCounted
    }

    /// What is held for the peer at most in the receiving direction, in bytes with all overhead;
    /// [`usize::MAX`] if that is not known.
    fn receive_budget(&self) -> usize {
        usize::MAX
    }

    /// The path answers again after a silence: what waits for a retransmission timeout that grew meanwhile is to
    /// be sent at once, and the timeout to begin anew. A hint; by default nothing is done.
    fn path_is_back(&mut self, now: Instant) {
        let _ = now;
    }

    /// Packets take another path from now on: what went unanswered before says nothing of it, and what waits for a timeout
    /// is to be sent at once. A hint; by default [`path_is_back`](Self::path_is_back).
    fn path_has_changed(&mut self, now: Instant) {
        self.path_is_back(now);
    }

    /// Bytes queued on a stream that have not yet been handed to the network for the first time: the W3C's
    /// `bufferedAmount`.
    fn buffered_amount(&self, stream: StreamId) -> usize;

    /// [`SctpEvent::BufferedAmountLow`] tells when the buffered amount of `stream` falls to `threshold`
    /// bytes; 0 at first.
    fn set_buffered_amount_low_threshold(&mut self, stream: StreamId, threshold: usize);

    /// Resets outgoing streams after what is queued on them was sent (RFC 6525 §5.1.2).
    ///
    /// # Errors
    /// [`SctpError::NotEstablished`] or [`SctpError::InvalidStream`].
    fn reset_streams(&mut self, now: Instant, streams: &[StreamId]) -> Result<(), SctpError>;

    /// The number of streams in each direction: `(outgoing, incoming)`; zero before it is negotiated.
    fn streams(&self) -> (u16, u16);

    /// The largest message in bytes that [`send`](Self::send) takes.
    fn max_message_size(&self) -> usize;

    /// Sets what the peer announced as its `a=max-message-size`; 0 stands for no limit (RFC 8841 §6).
    fn set_remote_max_message_size(&mut self, size: u64);

    /// Whether messages can be sent.
    fn is_established(&self) -> bool;

    /// Ends the association after everything queued was delivered.
    fn shutdown(&mut self, now: Instant);

    /// Ends the association at once with an ABORT.
    fn abort(&mut self, now: Instant);
}

/// The identifier of a stream; each direction has its own stream of the same identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u16);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A payload protocol identifier (RFC 9260 §3.3.1, RFC 8831 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PayloadProtocol(pub u32);

impl PayloadProtocol {
    /// Data channel establishment protocol.
    pub const DCEP: Self = Self(50);
    /// UTF-8 text.
    pub const STRING: Self = Self(51);
    /// Binary data.
    pub const BINARY: Self = Self(53);
    /// Empty text, sent as one byte.
    pub const STRING_EMPTY: Self = Self(56);
    /// Empty binary data, sent as one byte.
    pub const BINARY_EMPTY: Self = Self(57);
}

/// How a message is delivered; ordered and reliable by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendOptions {
    /// Deliver as soon as complete, whatever the order.
    pub unordered: bool,
    /// When to give up.
    pub reliability: Reliability,
}

impl SendOptions {
    /// Options of these.
    pub const fn new(unordered: bool, reliability: Reliability) -> Self {
        Self { unordered, reliability }
    }
}

/// When the sender gives up on a message (RFC 3758, RFC 7496).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// Never.
    #[default]
    Reliable,
    /// After this many retransmissions.
    MaxRetransmits(u16),
    /// When it is this old. Zero leaves time for one attempt.
    MaxLifetime(Duration),
}

/// What was read by [`SctpTransport::receive`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The stream it came on.
    pub stream: StreamId,
    /// What the sender says it is.
    pub protocol: PayloadProtocol,
    /// Whether it was sent unordered.
    pub unordered: bool,
    /// The message.
    pub payload: Bytes,
}

impl Received {
    /// A message that was read, ordered.
    pub fn new(stream: StreamId, protocol: PayloadProtocol, payload: Bytes) -> Self {
        Self { stream, protocol, unordered: false, payload }
    }
}

/// What is kept of what came through [`SctpTransport::receive`], in bytes with all overhead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Messages that the application has not taken.
    pub unread: usize,
    /// What does not become less by reading, such as channels that the peer opened.
    pub channels: usize,
}

/// What [`SctpTransport::set_held`] led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldOutcome {
    /// The implementation has no such thing: it is for the caller to leave unread what it has no room for.
    NotCounted,
    /// It counts against the window.
    Counted,
    /// The same, and a window that was nearly closed is open again, of which the peer is to be told: there is
    /// something for [`poll_transmit`](Layer::poll_transmit).
    WindowOpened,
}

/// What an association tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SctpEvent {
    /// Messages can be sent.
    Established {
        /// The number of streams on which this side can send.
        outgoing_streams: u16,
        /// The number of streams on which the peer can send.
        incoming_streams: u16,
    },
    /// A complete message waits for [`receive`](SctpTransport::receive); told once until it was drained.
    Readable,
    /// The send buffer has room again after [`SctpError::SendBufferFull`].
    Writable,
    /// The buffered amount of the stream fell to its threshold.
    BufferedAmountLow(StreamId),
    /// The peer reset its outgoing stream: its next message begins anew.
    IncomingStreamReset(StreamId),
    /// The peer reset all of its outgoing streams.
    AllIncomingStreamsReset,
    /// The peer confirmed that our outgoing stream was reset.
    OutgoingStreamReset(StreamId),
    /// The peer refused to reset our outgoing stream.
    StreamResetRefused(StreamId),
    /// The association ended.
    Closed(SctpClose),
}

/// How an association ended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SctpClose {
    /// Both sides agreed (SHUTDOWN).
    #[error("the association was shut down")]
    Shutdown,
    /// This side aborted.
    #[error("this side aborted the association")]
    Aborted,
    /// The peer aborted, with the reason it gave.
    #[error("the peer aborted the association: {0}")]
    AbortedByPeer(String),
    /// The peer does not answer any more.
    #[error("the peer does not answer on the association any more")]
    TimedOut,
    /// The peer broke the protocol.
    #[error("the peer broke the protocol of the association: {0}")]
    ProtocolViolation(&'static str),
}

/// Why an association refused something.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SctpError {
    /// The association is not established, or is closed or shutting down.
    #[error("the association is not established")]
    NotEstablished,
    /// There is no such stream.
    #[error("stream {stream} does not exist; {count} streams were negotiated, numbered from 0")]
    InvalidStream {
        /// The stream asked for.
        stream: StreamId,
        /// The number of streams.
        count: u16,
    },
    /// The message is longer than the peer takes.
    #[error("a message of {size} bytes is longer than the {limit} that the peer takes")]
    MessageTooLarge {
        /// Its size.
        size: usize,
        /// The largest size.
        limit: usize,
    },
    /// SCTP carries no empty message.
    #[error("SCTP carries no empty message; data channels send STRING_EMPTY or BINARY_EMPTY instead")]
    EmptyMessage,
    /// The stream is being reset.
    #[error("stream {0} is being reset; wait for OutgoingStreamReset")]
    StreamResetting(StreamId),
    /// The send buffer is full.
    #[error("the send buffer of {limit} bytes is full; wait for Writable")]
    SendBufferFull {
        /// Its size.
        limit: usize,
    },
    /// The packet was not understood, or is not of this association, and changed nothing.
    #[error("packet ignored: {0}")]
    Ignored(&'static str),
}
