//! Clients over DTLS.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::Interval;

use super::limits::ConnectionLimits;
use crate::dtls::{Config, DtlsEvent, Identity, Listener, ListenerConfig, ListenerEvent, PeerVerification};
use crate::layer::{DtlsError, DtlsTransport, FiveTuple, Layer, Transmit, TransmitBatch};
use crate::net::sources::Sources;
use crate::net::{ReceiveBatch, UdpSocket};
use crate::turn::ChannelData;

/// A UDP socket whose clients speak DTLS.
pub(super) struct DtlsPort {
    socket: Arc<UdpSocket>,
    state: Mutex<State>,
    limits: ConnectionLimits,
}

struct State {
    listener: Listener,
    config: Arc<Config>,
    out: TransmitBatch,
    padded: Vec<u8>,
    clients: Clients,
}

/// Those who have a connection, or its handshake.
#[derive(Default)]
struct Clients {
    /// Whether one had no allocation when it was looked at last.
    idle: HashMap<FiveTuple, bool>,
    by_source: Sources,
}

impl Clients {
    /// Whether a client may have a connection: it has one, or its address has room for one more.
    fn may_enter(&self, path: &FiveTuple, limits: ConnectionLimits) -> bool {
        self.idle.contains_key(path) || self.by_source.count(path.remote.ip()) < limits.per_source
    }

    fn enter(&mut self, path: FiveTuple) {
        if self.idle.insert(path, false).is_none() {
            self.by_source.enter(path.remote.ip());
        }
    }

    fn leave(&mut self, path: &FiveTuple) {
        if self.idle.remove(path).is_some() {
            self.by_source.leave(path.remote.ip());
        }
    }
}

/// What came by a receive, decrypted.
#[derive(Default)]
pub(super) struct Arrived {
    pub(super) bytes: Vec<u8>,
    pub(super) messages: Vec<(FiveTuple, Range<usize>)>,
    pub(super) ended: Vec<FiveTuple>,
}

impl DtlsPort {
    pub(super) fn new(
        socket: UdpSocket,
        config: Arc<Config>,
        limits: ConnectionLimits,
    ) -> Result<Self, DtlsError> {
        // Clients prove who they are by TURN's credentials; certificates of theirs say nothing.
        let held = ListenerConfig { max_connections: limits.total, ..ListenerConfig::default() };
        let listener = Listener::new(config.clone(), PeerVerification::AcceptAny, held)?;
        let state = State {
            listener,
            config,
            out: TransmitBatch::new(65_535),
            padded: Vec::new(),
            clients: Clients::default(),
        };
        Ok(Self { socket: Arc::new(socket), state: Mutex::new(state), limits })
    }

    pub(super) fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the cryptography of its connections comes from.
    #[cfg(feature = "tls")]
    pub(super) fn provider(&self) -> crate::crypto::CryptoProvider {
        self.state().config.provider.clone()
    }

    /// What is shown to those who come from now on.
    pub(super) fn set_identity(&self, identity: Identity) -> Result<(), DtlsError> {
        let mut state = self.state();
        let config = Arc::new(Config { identity: Some(identity), ..Config::clone(&state.config) });
        state.listener.set_connection_config(config.clone())?;
        state.config = config;
        Ok(())
    }

    /// Encrypts what goes to a client and sends it. What has no connection is lost.
    pub(super) fn send(&self, transmit: &Transmit, batch: &TransmitBatch) {
        let Some(path) = transmit.path else { return };
        let mut state = self.state();
        let State { listener, out, padded, .. } = &mut *state;
        let Some(connection) = listener.connection_mut(&path) else { return };
        let mut last: Option<Transmit> = None;
        for datagram in batch.datagrams(transmit) {
            // RFC 8656 §12.5 lets ChannelData be padded over datagrams, and there are clients who wait for it.
            padded.clear();
            padded.extend_from_slice(datagram);
            if ChannelData::is_channel_data(datagram) {
                padded.resize(datagram.len().next_multiple_of(4), 0);
            }
            let len = padded.len() + connection.overhead();
            let mut run = match last.take_if(|last| out.may_follow(last, len)) {
                Some(last) => out.resume(last),
                None => {
                    last.take().into_iter().for_each(|last| drop(self.socket.try_send(out, &last)));
                    out.segments(Some(path), transmit.ecn)
                }
            };
            if connection.seal(padded, run.datagram()).is_ok() {
                run.end_datagram();
            }
            last = run.finish();
        }
        last.into_iter().for_each(|last| drop(self.socket.try_send(out, &last)));
        out.clear();
    }

    /// How long a client may be without an allocation.
    pub(super) fn idle(&self) -> Duration {
        self.limits.idle
    }

    /// Waits until there is something to do; says whether the socket is still of use.
    pub(super) async fn wait(
        &self,
        received: &mut ReceiveBatch,
        look: &mut Interval,
        has_allocation: impl Fn(FiveTuple) -> bool,
    ) -> bool {
        let due = self.state().listener.poll_timeout();
        let due = async {
            match due {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = self.socket.recv(received) => return result.is_ok(),
            () = due => {}
            _ = look.tick() => self.close_idle(has_allocation),
        }
        received.clear();
        true
    }

    /// Takes what arrived, and answers as far as that is up to DTLS.
    pub(super) fn work(&self, received: &mut ReceiveBatch, arrived: &mut Arrived) {
        let now = Instant::now();
        let mut state = self.state();
        let State { listener, out, clients, .. } = &mut *state;
        let Arrived { bytes, messages, ended } = arrived;
        for datagram in received.datagrams() {
            let path = datagram.path;
            if !clients.may_enter(&path, self.limits) {
                continue;
            }
            // What is refused is counted by the listener.
            let _ = listener.receive(now, datagram, &mut |data| {
                let start = bytes.len();
                bytes.extend_from_slice(data);
                messages.push((path, start..bytes.len()));
            });
            // Who has returned a cookie is counted from then on, with a handshake that may come to nothing.
            if listener.connection(&path).is_some() {
                clients.enter(path);
            }
        }
        listener.handle_timeout(now);
        while let Some(ListenerEvent { path, event }) = listener.poll_event() {
            match event {
                DtlsEvent::Closed | DtlsEvent::Failed(_) => {
                    clients.leave(&path);
                    ended.push(path);
                }
                _ => {}
            }
        }
        self.flush(now, listener, out);
    }

    fn flush(&self, now: Instant, listener: &mut Listener, out: &mut TransmitBatch) {
        while let Some(transmit) = listener.poll_transmit(now, out) {
            let _ = self.socket.try_send(out, &transmit);
        }
        out.clear();
    }

    /// Closes connections that have had no allocation for a while.
    fn close_idle(&self, has_allocation: impl Fn(FiveTuple) -> bool) {
        let now = Instant::now();
        let paths: Vec<_> = self.state().clients.idle.keys().copied().collect();
        let has_allocation: Vec<_> = paths.iter().map(|path| has_allocation(*path)).collect();
        let mut state = self.state();
        let State { listener, clients, .. } = &mut *state;
        for (path, has_allocation) in paths.iter().zip(has_allocation) {
            if listener.connection(path).is_none() {
                clients.leave(path);
                continue;
            }
            let Some(was_idle) = clients.idle.get_mut(path) else { continue };
            if std::mem::replace(was_idle, !has_allocation) && !has_allocation {
                listener.connection_mut(path).into_iter().for_each(|it| it.close(now));
                clients.leave(path);
            }
        }
    }
}

impl fmt::Debug for DtlsPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsPort").field("socket", &self.socket).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_network_of_ipv6_is_one_client() {
        let limits = ConnectionLimits { per_source: 8, ..ConnectionLimits::default() };
        let mut clients = Clients::default();
        let path =
            |client: String| FiveTuple::udp("[2001:db8::1]:5349".parse().unwrap(), client.parse().unwrap());
        let mut entered = 0;
        for number in 1..100 {
            let path = path(format!("[2001:db8:7::{number:x}]:5000"));
            if clients.may_enter(&path, limits) {
                clients.enter(path);
                entered += 1;
            }
        }
        assert_eq!(entered, 8);
        assert!(clients.may_enter(&path("[2001:db8:7:1::1]:5000".to_owned()), limits));
        clients.leave(&path("[2001:db8:7::1]:5000".to_owned()));
        assert!(clients.may_enter(&path("[2001:db8:7::ffff]:5000".to_owned()), limits));
    }
}
