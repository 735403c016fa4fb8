//! A data channel as a stream of bytes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::data_channel::DataChannel;
use super::error::PeerConnectionError;
use super::message::Message;
use crate::session::FailureReason;

/// A data channel as a stream of bytes. Message boundaries are lost; each write is one message.
///
/// The end of the stream is that of a channel that was closed. A connection that fails or is closed before is an error,
/// whose source is the [`FailureReason`]: something may be missing. The same is so for who flushes or shuts down what was
/// written. A write that is given up has taken nothing.
///
/// A data channel has no half that could be closed alone: shutting the stream down delivers what was written and closes
/// both directions. What comes of the peer after that is thrown away, as of any channel that is closing (W3C WebRTC
/// §6.2), and its next write fails. Where one side may be done before the other, let a message of yours say so, and
/// shut down once both are.
///
/// ```
/// use kaon_rtc::peer_connection::DataChannel;
/// use tokio::io::AsyncWriteExt;
/// use tokio::net::TcpStream;
///
/// /// A tunnel: everything that comes on a channel goes to a server, and back, until one of both is done.
/// async fn tunnel(channel: DataChannel, server: &str) -> std::io::Result<()> {
///     let mut there = TcpStream::connect(server).await?;
///     let mut here = channel.into_stream();
///     tokio::io::copy_bidirectional(&mut here, &mut there).await?;
///     here.shutdown().await
/// }
/// ```
pub struct DataChannelStream {
    channel: DataChannel,
    /// What is left of the message being read.
    rest: Bytes,
    reading: Option<Pin<Box<dyn Future<Output = Option<Message>> + Send>>>,
    /// The wait for room.
    writing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    flushing: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

/// The longest message that a write makes. Every peer takes it.
const MAX_WRITE: usize = 16 << 10;

impl DataChannel {
    /// The channel as a stream of bytes, for [`tokio::io::copy`] and its like.
    pub fn into_stream(self) -> DataChannelStream {
        DataChannelStream { channel: self, rest: Bytes::new(), reading: None, writing: None, flushing: None }
    }
}

impl DataChannelStream {
    /// The channel.
    pub fn channel(&self) -> &DataChannel {
        &self.channel
    }
}

impl AsyncRead for DataChannelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            let channel = self.channel.clone();
            let reading = self.reading.get_or_insert_with(|| Box::pin(async move { channel.recv().await }));
            let message = ready!(reading.as_mut().poll(context));
            self.reading = None;
            match message {
                // An empty message is no end of the stream.
                Some(message) => self.rest = message.into_data(),
                None if self.channel.is_closed_by_peer() => return Poll::Ready(Ok(())),
                // What ends with the connection may lack its end.
                None => {
                    return Poll::Ready(self.channel.failure().map_or(Ok(()), |reason| Err(failed(reason))));
                }
            }
        }
        let len = self.rest.len().min(out.remaining());
        out.put_slice(&self.rest[..len]);
        self.rest.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for DataChannelStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let len = bytes.len().min(MAX_WRITE);
            match self.channel.try_send(Bytes::copy_from_slice(&bytes[..len])) {
                Err(PeerConnectionError::NotOpen | PeerConnectionError::SendBufferFull) => {}
                result => {
                    self.writing = None;
                    return Poll::Ready(result.map(|()| len).map_err(not_written));
                }
            }
            // Nothing is taken before there is room: whoever gives a write up may write something else then.
            let is_new = self.writing.is_none();
            let channel = self.channel.clone();
            let waiting =
                self.writing.get_or_insert_with(|| Box::pin(async move { channel.writable_changed().await }));
            match waiting.as_mut().poll(context) {
                Poll::Ready(()) => self.writing = None,
                // There may have been room before it waited.
                Poll::Pending if is_new => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Waits until everything is handed to the network. Fails if the connection ends before, or has: what was written may
    /// not have arrived.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let channel = self.channel.clone();
        let flushing = self
            .flushing
            .get_or_insert_with(|| Box::pin(async move { channel.buffered_amount_low(0).await }));
        ready!(flushing.as_mut().poll(context));
        self.flushing = None;
        Poll::Ready(self.channel.cut_off().map_or(Ok(()), |reason| Err(failed(reason))))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        self.channel.close();
        Poll::Ready(Ok(()))
    }
}

/// What a stream of bytes says of a write that was refused.
fn not_written(error: PeerConnectionError) -> io::Error {
    match error {
        PeerConnectionError::ChannelClosed => io::ErrorKind::BrokenPipe.into(),
        PeerConnectionError::Ended(reason) => failed(reason),
        error => io::Error::other(error),
    }
}

/// What a stream of bytes says of a connection that has failed or is closed.
fn failed(reason: FailureReason) -> io::Error {
    let kind = match reason {
        FailureReason::Ice(_) => io::ErrorKind::TimedOut,
        FailureReason::ClosedByPeer | FailureReason::Sctp(_) => io::ErrorKind::ConnectionReset,
        _ => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, reason)
}

impl std::fmt::Debug for DataChannelStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataChannelStream").field("channel", &self.channel).finish_non_exhaustive()
    }
}
