//! TCP connections of peers, RFC 6062.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpListener;

use super::shared::Shared;
use super::streams::{self, Joined, Peer, accept_one};

/// How long a peer is connected to. The server gives up earlier.
const CONNECTING: Duration = Duration::from_secs(35);

/// How much of one side waits for the other.
const BUFFER: usize = 16 * 1024;

/// How long one waits who has used up a limit of bandwidth.
const PAUSE: Duration = Duration::from_millis(20);

/// A connection is over.
struct Over;

/// Passes bytes on until there are no more, and says so.
async fn copy(
    shared: &Arc<Shared>,
    connection: u32,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    is_outward: bool,
) -> Result<(), Over> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await.map_err(|_| Over)?;
        if count == 0 {
            return to.shutdown().await.map_err(|_| Over);
        }
        shared.takes(connection, count, is_outward).await.ok_or(Over)?;
        to.write_all(&buffer[..count]).await.map_err(|_| Over)?;
        to.flush().await.map_err(|_| Over)?;
    }
}

impl Shared {
    /// Takes peers that connect to a relayed address, for ever.
    pub(super) async fn accept_peers(self: Arc<Self>, listener: TcpListener, local: SocketAddr) {
        loop {
            let (stream, peer) = accept_one(&listener).await;
            self.act(|state, now| {
                if let Some(connection) = state.server.peer_accepted(now, local, peer) {
                    state.peers.insert(connection, Peer::Unbound(stream));
                }
            });
        }
    }

    /// Connects to a peer from a relayed address.
    pub(super) async fn connect_peer(self: Arc<Self>, connection: u32, relay: SocketAddr, peer: SocketAddr) {
        let connected = tokio::time::timeout(CONNECTING, streams::connect(relay, peer)).await;
        self.act(|state, now| match connected {
            Ok(Ok(stream)) if state.peers.contains_key(&connection) => {
                state.peers.insert(connection, Peer::Unbound(stream));
                state.server.peer_connected(now, connection);
            }
            _ => state.server.peer_failed(now, connection),
        });
    }

    /// Passes bytes between a client and a peer until both have said all. `early` is what the client has said already.
    pub(super) async fn join(
        self: &Arc<Self>,
        client: impl AsyncRead + AsyncWrite,
        early: Vec<u8>,
        joined: Joined,
    ) {
        let Joined { connection, mut stream, end, .. } = joined;
        let _ = stream.set_nodelay(true);
        let (mut from_client, mut to_client) = split(client);
        let (mut from_peer, mut to_peer) = stream.split();
        let outward = async {
            if self.takes(connection, early.len(), true).await.is_some()
                && to_peer.write_all(&early).await.is_ok()
            {
                copy(self, connection, &mut from_client, &mut to_peer, true).await
            } else {
                Err(Over)
            }
        };
        let inward = copy(self, connection, &mut from_peer, &mut to_client, false);
        tokio::select! {
            _ = async { tokio::try_join!(outward, inward) } => {}
            _ = end => {}
        }
        self.act(|state, _| state.server.peer_closed(connection));
    }

    /// Waits until so many bytes may pass; `None` if the connection is over.
    async fn takes(&self, connection: u32, bytes: usize, is_outward: bool) -> Option<()> {
        loop {
            let now = std::time::Instant::now();
            if self.state().server.take_stream(now, connection, bytes, is_outward)? {
                return Some(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
