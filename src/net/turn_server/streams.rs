//! Connections of peers and of clients, and what passes between their tasks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::layer::FiveTuple;
use crate::net::runtime::{io_on_runtime, is_of_one_connection};

/// How many messages, and how many bytes of them, wait to be sent by a connection at most; more are lost, as over UDP.
const MAX_MESSAGES: usize = 256;
const MAX_BYTES: usize = 256 * 1024;

/// How long none is accepted after that went wrong.
const PAUSE: Duration = Duration::from_millis(100);

/// What waits to be written to a connection.
#[derive(Clone)]
pub(super) struct Queue {
    sender: Sender<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

/// The other end of it.
pub(super) struct Waiting {
    receiver: Receiver<Outgoing>,
    bytes: Arc<AtomicUsize>,
}

pub(super) fn queue() -> (Queue, Waiting) {
    let (sender, receiver) = channel(MAX_MESSAGES);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Queue { sender, bytes: bytes.clone() }, Waiting { receiver, bytes })
}

impl Queue {
    /// Appends a message, unless too much waits.
    pub(super) fn push(&self, message: &[u8]) {
        // One task alone appends, or some more is let in.
        if self.bytes.load(Ordering::Relaxed) + message.len() > MAX_BYTES {
            return;
        }
        self.bytes.fetch_add(message.len(), Ordering::Relaxed);
        if self.sender.try_send(Outgoing::Message(message.to_vec())).is_err() {
            self.bytes.fetch_sub(message.len(), Ordering::Relaxed);
        }
    }

    /// What comes from here on is of a peer; false without room for that.
    pub(super) fn join(&self, joined: Joined) -> bool {
        self.sender.try_send(Outgoing::Join(joined)).is_ok()
    }
}

/// Names a connection among those of one path.
pub(super) struct Mark(Arc<AtomicUsize>);

impl Mark {
    pub(super) fn is_of(&self, queue: &Queue) -> bool {
        Arc::ptr_eq(&self.0, &queue.bytes)
    }
}

impl Waiting {
    pub(super) fn mark(&self) -> Mark {
        Mark(self.bytes.clone())
    }

    pub(super) async fn next(&mut self) -> Option<Outgoing> {
        let next = self.receiver.recv().await;
        if let Some(Outgoing::Message(message)) = &next {
            self.bytes.fetch_sub(message.len(), Ordering::Relaxed);
        }
        next
    }
}

/// What is written to a connection.
pub(super) enum Outgoing {
    Message(Vec<u8>),
    /// From here on it is that of a peer.
    Join(Joined),
}

/// A connection of a peer.
pub(super) enum Peer {
    Connecting(#[expect(dead_code, reason = "it is there to be dropped")] Task),
    /// It is not read, so that the peer waits once the buffers of the kernel are full.
    Unbound(TcpStream),
    /// Dropped, it ends.
    Joined(#[expect(dead_code, reason = "it is there to be dropped")] oneshot::Sender<()>),
}

/// A task that ends when it is dropped.
pub(super) struct Task(pub(super) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Peer {
    pub(super) fn into_stream(self) -> Option<TcpStream> {
        match self {
            Self::Unbound(stream) => Some(stream),
            Self::Connecting(_) | Self::Joined(_) => None,
        }
    }
}

/// The connection of a peer that a client's is joined to.
pub(super) struct Joined {
    pub(super) connection: u32,
    pub(super) client: FiveTuple,
    pub(super) stream: TcpStream,
    pub(super) end: oneshot::Receiver<()>,
}

/// A socket at a relayed address, which the one that listens there and those that connect from there share.
fn socket(local: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, None)?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    socket.set_reuse_port(true)?;
    socket.bind(&local.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Listens at a relayed address.
pub(super) fn listen(local: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(local)?;
    socket.listen(16)?;
    io_on_runtime(|| TcpListener::from_std(socket.into()))?
}

/// Takes the next connection of a listener.
pub(super) async fn accept_one(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            // Out of descriptors, for instance: others may be closed meanwhile.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Connects from a relayed address.
pub(super) async fn connect(local: SocketAddr, peer: SocketAddr) -> io::Result<TcpStream> {
    TcpSocket::from_std_stream(socket(local)?.into()).connect(peer).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that does not read has the relay hold little, however large what it is sent is.
    #[tokio::test]
    async fn what_waits_is_bounded_in_messages_and_in_bytes() {
        for (size, expected) in [(60_000, 4), (1200, 218), (10, 256)] {
            let (queue, mut waiting) = queue();
            let message = vec![7; size];
            (0..10_000).for_each(|_| queue.push(&message));
            drop(queue.clone());
            let mut count = 0;
            while !waiting.receiver.is_empty() {
                assert!(matches!(waiting.next().await, Some(Outgoing::Message(_))));
                count += 1;
            }
            assert_eq!((count, waiting.bytes.load(Ordering::Relaxed)), (expected, 0));
            queue.push(&message);
            assert!(waiting.next().await.is_some(), "there is room again");
        }
    }
}
