//! Datagrams over a stream, RFC 4571.

use std::fmt;
use std::io;

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Datagrams over a stream, each behind its length in two bytes (RFC 4571 §2): what ICE uses over TCP
/// (RFC 6544 §3).
///
/// ```
/// use kaon_rtc::net::FramedStream;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let (a, b) = tokio::io::duplex(64);
/// let (mut a, mut b) = (FramedStream::new(a), FramedStream::new(b));
/// a.send(b"hello").await?;
/// assert_eq!(b.recv().await?.expect("a frame"), b"hello");
/// drop(a);
/// assert!(b.recv().await?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FramedStream<S> {
    stream: S,
    max_frame: usize,
    received: BytesMut,
    /// How many bytes at the front of `received` belong to a frame that was handed out.
    taken: usize,
    unsent: BytesMut,
}

impl<S> FramedStream<S> {
    /// The longest frame that there can be, in bytes: what two bytes can count.
    pub const MAX_FRAME: usize = u16::MAX as usize;

    const LENGTH: usize = 2;

    /// Frames over `stream` of up to [`MAX_FRAME`](Self::MAX_FRAME) bytes.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            max_frame: Self::MAX_FRAME,
            received: BytesMut::new(),
            taken: 0,
            unsent: BytesMut::new(),
        }
    }

    /// The same with frames of up to `max_frame` bytes in both directions.
    pub fn with_max_frame(mut self, max_frame: usize) -> Self {
        self.max_frame = max_frame.min(Self::MAX_FRAME);
        self
    }

    /// The stream underneath.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The next frame out of what was received: where it ends. Empty frames are skipped: RFC 4571 lets them
    /// stand for nothing.
    fn next_frame(&mut self) -> Result<Option<usize>, FramingError> {
        self.received.advance(std::mem::take(&mut self.taken));
        while let Some(length) = self.received.first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if length > self.max_frame {
                return Err(FramingError::TooLong { length, limit: self.max_frame });
            }
            let end = Self::LENGTH + length;
            if length == 0 {
                self.received.advance(end);
            } else if self.received.len() >= end {
                return Ok(Some(end));
            } else {
                break;
            }
        }
        Ok(None)
    }
}

impl<S: AsyncRead + Unpin> FramedStream<S> {
    /// Waits for the next frame; `None` when the stream ended behind a frame.
    ///
    /// Cancel safe: what a dropped future had read of a frame is kept for the next.
    ///
    /// # Errors
    /// [`FramingError::TooLong`], after which the stream is of no use, [`FramingError::Truncated`], or what
    /// the stream says.
    pub async fn recv(&mut self) -> Result<Option<&mut [u8]>, FramingError> {
        loop {
            if let Some(end) = self.next_frame()? {
                self.taken = end;
                return Ok(Some(&mut self.received[Self::LENGTH..end]));
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return if self.received.is_empty() { Ok(None) } else { Err(FramingError::Truncated) };
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> FramedStream<S> {
    /// Sends one frame, once what was begun before is sent.
    ///
    /// Cancel safe in that frames stay whole: if the future is dropped while it waits, the frame is either not
    /// sent at all, or its rest goes out with the next `send` or [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`FramingError::TooLong`], with nothing sent, or what the stream says.
    pub async fn send(&mut self, frame: &[u8]) -> Result<(), FramingError> {
        let length = u16::try_from(frame.len()).ok().filter(|length| usize::from(*length) <= self.max_frame);
        let Some(length) = length else {
            return Err(FramingError::TooLong { length: frame.len(), limit: self.max_frame });
        };
        self.flush().await?;
        self.unsent.extend_from_slice(&length.to_be_bytes());
        self.unsent.extend_from_slice(frame);
        self.flush().await
    }

    /// Sends the rest of a frame whose `send` was dropped. Cancel safe.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn flush(&mut self) -> Result<(), FramingError> {
        while !self.unsent.is_empty() {
            if self.stream.write_buf(&mut self.unsent).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
        }
        Ok(self.stream.flush().await?)
    }
}

impl<S> fmt::Debug for FramedStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramedStream")
            .field("max_frame", &self.max_frame)
            .field("received", &self.received.len())
            .field("unsent", &self.unsent.len())
            .finish_non_exhaustive()
    }
}

/// Why frames cannot be exchanged over a stream.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FramingError {
    /// A frame is longer than allowed.
    #[error("a frame of {length} bytes; at most {limit} are allowed")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Truncated,
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::tests::run;

    #[test]
    fn frames_arrive_whole_through_a_narrow_stream() {
        run(async {
            let (a, b) = tokio::io::duplex(7);
            let (mut a, mut b) = (FramedStream::new(a), FramedStream::new(b));
            let sizes = [1, 2, 5, 6, 100, 65_535];
            let sender = tokio::spawn(async move {
                for size in sizes {
                    a.send(&vec![size as u8; size]).await.unwrap();
                }
            });
            for size in sizes {
                assert_eq!(b.recv().await.unwrap().unwrap(), vec![size as u8; size]);
            }
            sender.await.unwrap();
            assert_eq!(b.recv().await.unwrap(), None);
        });
    }

    #[test]
    fn nothing_is_lost_when_futures_are_dropped() {
        run(async {
            let (a, b) = tokio::io::duplex(3);
            let (mut a, mut b) = (FramedStream::new(a), FramedStream::new(b));
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            let moment = Duration::from_micros(1);
            for number in 0u32..400 {
                let frame = [number.to_be_bytes(); 3].concat();
                if tokio::time::timeout(moment, a.send(&frame)).await.is_ok() {
                    sent.push(frame);
                }
                if let Ok(frame) = tokio::time::timeout(moment, b.recv()).await {
                    received.push(frame.unwrap().unwrap().to_vec());
                }
            }
            // The rest of the last one, and then the end.
            let sender = tokio::spawn(async move { a.flush().await });
            while let Some(frame) = b.recv().await.unwrap() {
                received.push(frame.to_vec());
            }
            sender.await.unwrap().unwrap();
            assert!(received.is_sorted() && !received.is_empty() && received.len() < 400);
            assert!(received.iter().all(|frame| frame.len() == 12 && frame[..4] == frame[4..8]));
            assert!(sent.iter().all(|frame| received.contains(frame)));
        });
    }

    #[test]
    fn empty_frames_are_skipped_and_bad_ones_refused() {
        run(async {
            let mut stream = FramedStream::new(&b"\0\0\0\x01x\0\0\0\x05ab"[..]);
            assert_eq!(stream.recv().await.unwrap().unwrap(), b"x");
            assert!(matches!(stream.recv().await, Err(FramingError::Truncated)));

            let mut stream = FramedStream::new(&b"\x01\0"[..]).with_max_frame(255);
            let error = stream.recv().await.unwrap_err();
            assert_eq!(error.to_string(), "a frame of 256 bytes; at most 255 are allowed");

            let mut stream = FramedStream::new(Vec::new()).with_max_frame(3);
            assert!(matches!(stream.send(b"four").await, Err(FramingError::TooLong { length: 4, limit: 3 })));
            stream.send(b"ok").await.unwrap();
            assert_eq!(stream.stream(), b"\0\x02ok");
            let mut stream = FramedStream::new(Vec::new());
            let long = vec![0; 65_536];
            assert!(matches!(stream.send(&long).await, Err(FramingError::TooLong { .. })));
        });
    }
}
