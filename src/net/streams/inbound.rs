//! What has arrived of a stream.

use bytes::{Buf, BytesMut};
use thiserror::Error;

use crate::layer::Framing;
use crate::stun::{StreamFramingError, message_length};

/// Bytes of a stream that are not handed out yet, and the frames in them.
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) buffer: BytesMut,
    framing: Framing,
    pub(super) max_frame: usize,
}

/// Where a frame is at the front of the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    start: usize,
    len: usize,
    /// Where the next one begins.
    next: usize,
}

/// Why a stream is of no use any more.
#[derive(Debug, Error)]
pub(super) enum FrameError {
    #[error("it sent a frame of {length} bytes; at most {limit} are taken")]
    TooLong { length: usize, limit: usize },
    #[error("its first frame is no connectivity check")]
    NoCheck,
    #[error(transparent)]
    Stun(#[from] StreamFramingError),
}

impl Inbound {
    /// RFC 4571 §2.
    const LENGTH: usize = 2;

    /// An empty buffer larger than this is given back.
    const SPARE: usize = 16 << 10;

    pub(super) fn new(framing: Framing, max_frame: usize) -> Self {
        Self { buffer: BytesMut::new(), framing, max_frame }
    }

    /// The frame at the front; `None` until all of it is there.
    pub(super) fn front(&mut self) -> Result<Option<Frame>, FrameError> {
        let frame = loop {
            let frame = match self.framing {
                Framing::Length => self.buffer.first_chunk().map(|length| {
                    let len = usize::from(u16::from_be_bytes(*length));
                    Frame { start: Self::LENGTH, len, next: Self::LENGTH + len }
                }),
                Framing::Bytes => {
                    let len = self.buffer.len().min(self.max_frame);
                    (len > 0).then_some(Frame { start: 0, len, next: len })
                }
                // Those of DTLS come one by one.
                Framing::Stun | Framing::Records | Framing::Datagrams => {
                    message_length(&self.buffer)?.map(|(len, next)| Frame { start: 0, len, next })
                }
            };
            match frame {
                // RFC 4571 §2: it stands for nothing.
                Some(Frame { len: 0, next, .. }) if self.framing == Framing::Length => {
                    self.buffer.advance(next);
                }
                frame => break frame,
            }
        };
        if let Some(Frame { len, .. }) = frame
            && len > self.max_frame
        {
            return Err(FrameError::TooLong { length: len, limit: self.max_frame });
        }
        Ok(frame.filter(|frame| self.buffer.len() >= frame.next))
    }

    /// The bytes of a frame that is at the front.
    pub(super) fn bytes(&self, frame: Frame) -> &[u8] {
        self.buffer.get(frame.start..frame.start + frame.len).unwrap_or_default()
    }

    /// Copies the frame at the front to `to`, which is long enough for any, and says how long it is.
    pub(super) fn take(&mut self, frame: Frame, to: &mut [u8]) -> usize {
        let bytes = self.bytes(frame);
        let len = bytes.len().min(to.len());
        to[..len].copy_from_slice(&bytes[..len]);
        self.buffer.advance(frame.next.min(self.buffer.len()));
        if self.buffer.is_empty() && self.buffer.capacity() > Self::SPARE {
            self.buffer = BytesMut::new();
        }
        len
    }
}
