//! Clients over TCP.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};

use super::limits::ConnectionLimits;
use super::shared::Shared;
use super::streams::{Mark, Outgoing, Waiting, accept_one, queue};
use crate::layer::{FiveTuple, Protocol};
use crate::stun::StreamFraming;

/// What is spoken on the connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Plain,
    #[cfg(feature = "tls")]
    Tls,
}

/// Takes connections, for ever.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, wire: Wire, limits: ConnectionLimits) {
    loop {
        let (stream, remote) = accept_one(&listener).await;
        if let Ok(local) = stream.local_addr() {
            let _ = stream.set_nodelay(true);
            let path =
                FiveTuple { protocol: Protocol::Tcp, local: canonical(local), remote: canonical(remote) };
            if let Some(outgoing) = enter(&shared, path, limits) {
                tokio::spawn(attend(shared.clone(), stream, path, wire, outgoing, limits));
            }
        }
    }
}

/// Serves a connection until it ends.
async fn attend(
    shared: Arc<Shared>,
    stream: TcpStream,
    path: FiveTuple,
    wire: Wire,
    outgoing: Waiting,
    limits: ConnectionLimits,
) {
    let mark = outgoing.mark();
    match wire {
        Wire::Plain => serve(&shared, stream, path, outgoing, limits).await,
        #[cfg(feature = "tls")]
        Wire::Tls => {
            let identity = shared.tls();
            if let Some(identity) = identity {
                let handshake = tokio_rustls::TlsAcceptor::from(identity.tls).accept(stream);
                // Half a handshake is half a message.
                if let Ok(Ok(stream)) = timeout(limits.message, handshake).await {
                    serve(&shared, stream, path, outgoing, limits).await;
                }
            }
        }
    }
    leave(&shared, path, &mark);
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

pub(super) fn enter(shared: &Arc<Shared>, path: FiveTuple, limits: ConnectionLimits) -> Option<Waiting> {
    let mut entered = None;
    shared.act(|state, now| {
        let of_source = state.by_source.count(path.remote.ip());
        if state.connections.len() >= limits.total || of_source >= limits.per_source {
            return;
        }
        let (sender, waiting) = queue();
        state.by_source.enter(path.remote.ip());
        // One of before from the same port has ended, though its task has not seen that yet.
        if state.connections.insert(path, sender).is_some() {
            state.server.connection_closed(now, path);
        }
        entered = Some(waiting);
    });
    entered
}

/// The connection that `mark` is of has ended. One that has come from the same port since goes on.
pub(super) fn leave(shared: &Arc<Shared>, path: FiveTuple, mark: &Mark) {
    shared.act(|state, now| {
        state.by_source.leave(path.remote.ip());
        if state.connections.get(&path).is_some_and(|queue| !mark.is_of(queue)) {
            return;
        }
        state.connections.remove(&path);
        state.server.connection_closed(now, path);
    });
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared>,
    mut stream: S,
    path: FiveTuple,
    mut outgoing: Waiting,
    limits: ConnectionLimits,
) {
    let mut framing = StreamFraming::new(OF_STRANGER);
    let mut is_stranger = true;
    let mut buffer = vec![0; 4096];
    let (mut idle_since, mut message_since) = (Instant::now(), None);
    // What follows a ConnectionBind is for the server or for a peer, as its answer says.
    let mut is_binding = false;
    loop {
        let deadline = match message_since {
            Some(since) => since + limits.message,
            None => idle_since + limits.idle,
        };
        tokio::select! {
            () = sleep_until(deadline) => {
                if message_since.is_some() || !shared.state().server.has_allocation(path) {
                    break;
                }
                idle_since = Instant::now();
            }
            message = outgoing.next() => {
                let message = match message {
                    Some(Outgoing::Message(message)) => message,
                    Some(Outgoing::Join(peer)) => {
                        return shared.join(stream, framing.take_rest(), peer).await;
                    }
                    None => break,
                };
                let write = async {
                    stream.write_all(&message).await?;
                    // TLS keeps what a full socket did not take.
                    stream.flush().await
                };
                if !matches!(timeout(limits.message, write).await, Ok(Ok(()))) {
                    break;
                }
                if is_binding && is_unbound(&message) {
                    is_binding = false;
                    let Some(mut messages) = cut(&mut framing, &[], &mut is_binding) else { break };
                    shared.receive(path, &mut messages);
                }
            }
            read = stream.read(&mut buffer), if !is_binding => {
                let Ok(count @ 1..) = read else { break };
                if is_stranger && shared.state().server.has_allocation(path) {
                    is_stranger = false;
                    framing.allow_long();
                }
                let Some(messages) = cut(&mut framing, &buffer[..count], &mut is_binding) else { break };
                let is_partial = !framing.is_empty();
                // A message that began earlier is not given more time because others ended.
                let goes_on = messages.is_empty() && message_since.is_some();
                message_since = if goes_on { message_since } else { is_partial.then(Instant::now) };
                let mut messages = messages;
                shared.receive(path, &mut messages);
            }
        }
    }
}

/// The messages that end with what was read, up to a ConnectionBind; `None` if the stream is of no use any more.
fn cut(framing: &mut StreamFraming, mut bytes: &[u8], is_binding: &mut bool) -> Option<Vec<Vec<u8>>> {
    let mut messages = Vec::new();
    loop {
        let taken = framing.push(bytes);
        bytes = bytes.get(taken..)?;
        while !*is_binding && let Some(message) = framing.next_message().ok()? {
            *is_binding = message.starts_with(&CONNECTION_BIND);
            messages.push(message.to_vec());
        }
        if bytes.is_empty() {
            return Some(messages);
        }
        // There is room for one read behind a message of the longest kind, and no more is read while it is answered.
        if *is_binding && taken == 0 {
            return None;
        }
    }
}

/// The longest message in bytes of who has no allocation: room for one read behind a request.
const OF_STRANGER: usize = 8192;

/// The type of a ConnectionBind request, and that of its error response.
const CONNECTION_BIND: [u8; 2] = [0, 0x0b];
const CONNECTION_UNBOUND: [u8; 2] = [1, 0x1b];

fn is_unbound(message: &[u8]) -> bool {
    message.starts_with(&CONNECTION_UNBOUND)
}
