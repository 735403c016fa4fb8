//! The stream, or the socket of its own, that a relay is reached by.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Relay, RelayNews, State};
use crate::crypto::CryptoProvider;
use crate::ice::config::Config;
use crate::ice::gathering::relay_error::{FIVE_TUPLE_TAKEN, RelayError};
use crate::ice::streams::StreamQueue;
use crate::layer::{FiveTuple, Framing, Protocol, StreamReport, StreamToken};
use crate::stun::{Retransmission, RetransmissionConfig, ServerTransport};
use crate::turn::Client;

/// So many streams in a row may break, each of which had an allocation for a short time at most.
const MAX_BROKEN: u8 = 3;

/// A stream that had an allocation for so long broke by mischance.
const LONG_LIVED: Duration = Duration::from_secs(60);

/// What a server that does not take connections is told of as.
const NO_CONNECTION: &str = "it does not answer to the connection that is opened; is it running, and does a firewall let it through to its port?";

/// A socket is opened without asking anybody: who does not do so by then never will.
const OPENING_SOCKET: RetransmissionConfig = RetransmissionConfig::reliable().lasting(4);

/// Of an allocation that cannot come along.
const ADDRESS_GONE: &str = "the address that it was spoken to from is gone, and there is no socket for its allocation at another one";

impl Relay {
    /// Asks for a stream to the server, or to another one that it has named.
    ///
    /// Over UDP it is a socket of its own. Only who finds the five-tuple of the socket of all taken (437, RFC 8656 §7.2)
    /// asks for one: a session alone needs no more than it has, learns what its NAT maps its base to by the same
    /// request, and costs the NAT one mapping; and where nobody opens sockets it works as well.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        config: &Config,
        remote: SocketAddr,
        client: Option<Box<Client>>,
        streams: &mut StreamQueue,
    ) {
        let framing = match self.server.transport {
            ServerTransport::Udp => Framing::Datagrams,
            ServerTransport::Dtls => Framing::Records,
            ServerTransport::Tcp | ServerTransport::Tls => Framing::Stun,
        };
        let token = streams.open(self.local, remote, framing, self.server.tls_name());
        let patience = match self.server.transport {
            ServerTransport::Udp => Retransmission::new(now, OPENING_SOCKET),
            _ => Retransmission::new(now, config.server_retransmission),
        };
        self.state = State::Connecting { token, client, patience };
    }

    /// The client, to give an allocation back. A stream that is not open yet is abandoned.
    pub(in crate::ice::gathering) fn into_client(self, streams: &mut StreamQueue) -> Option<Client> {
        match self.state {
            State::Asking { client, .. } | State::Serving(client) => Some(*client),
            State::Connecting { token, .. } => {
                streams.abandon(token);
                None
            }
            State::Queued | State::Adrift(_) | State::Failed(_) => None,
        }
    }

    /// Takes what became of a stream; false if it is not its own.
    pub(in crate::ice::gathering) fn handle_stream(
        &mut self,
        now: Instant,
        report: &StreamReport,
        provider: &CryptoProvider,
        config: &Config,
        streams: &mut StreamQueue,
    ) -> bool {
        match report {
            StreamReport::Opened { token, path } if self.connects(*token) => {
                streams.opened(*path);
                match std::mem::replace(&mut self.state, State::Queued) {
                    State::Connecting { client: Some(mut client), .. } => {
                        client.set_path(now, *path);
                        self.state = match self.made {
                            Some(_) => State::Serving(client),
                            // It has been sent elsewhere before there was an allocation.
                            None => {
                                let patience = Retransmission::new(now, config.server_retransmission);
                                State::Asking { client, patience, extensions: 0 }
                            }
                        };
                        self.enclose_all(now);
                    }
                    _ => self.ask(now, provider, config, *path),
                }
                true
            }
            StreamReport::Failed { token, reason } if self.connects(*token) => {
                let error = self.no_stream(reason);
                self.state = State::Queued;
                self.news = Some(self.fail(error, streams));
                true
            }
            StreamReport::Closed { path, reason } if self.is_by(path) => {
                streams.forget(*path);
                self.reconnect(now, reason, config, streams);
                true
            }
            _ => false,
        }
    }

    /// Whether it goes by this stream, or by the socket that this is.
    fn is_by(&self, path: &FiveTuple) -> bool {
        let is_it = |by: FiveTuple| match by.protocol {
            Protocol::Udp => self.has_own_socket() && (by.protocol, by.local) == (path.protocol, path.local),
            _ => by == *path,
        };
        self.client().is_some_and(|client| is_it(client.path()))
    }

    /// Whether it goes over UDP, and not by the socket of all.
    pub(in crate::ice) fn has_own_socket(&self) -> bool {
        let is_elsewhere = |client: &Client| client.path().local != self.path.local;
        self.server.transport == ServerTransport::Udp
            && (matches!(self.state, State::Connecting { .. }) || self.client().is_some_and(is_elsewhere))
    }

    /// Why there is no stream, or no socket of its own.
    fn no_stream(&self, reason: &str) -> RelayError {
        match self.server.transport {
            ServerTransport::Udp if self.has_moved => RelayError::stream(self.path, ADDRESS_GONE),
            ServerTransport::Udp => RelayError::taken(self.path, &format!("{FIVE_TUPLE_TAKEN} ({reason})")),
            _ => RelayError::stream(self.path, reason),
        }
    }

    /// The same when nobody answers.
    pub(super) fn no_answer(&self) -> RelayError {
        match self.state {
            State::Connecting { .. } if self.server.transport == ServerTransport::Udp => {
                self.no_stream("nobody opens one")
            }
            State::Connecting { .. } => RelayError::stream(self.path, NO_CONNECTION),
            _ => RelayError::silent(self.path),
        }
    }

    fn connects(&self, wanted: StreamToken) -> bool {
        matches!(self.state, State::Connecting { token, .. } if token == wanted)
    }

    /// The stream broke, and with it the allocation is gone (RFC 8656 §2.1), unless it is mobile. A new one is opened,
    /// unless that has happened too often.
    fn reconnect(&mut self, now: Instant, reason: &str, config: &Config, streams: &mut StreamQueue) {
        let lived_long = self.made.is_some_and(|made| now >= made + LONG_LIVED);
        self.broken = if lived_long { 1 } else { self.broken + 1 };
        let State::Serving(client) = std::mem::replace(&mut self.state, State::Queued) else {
            self.news = Some(self.fail(RelayError::stream(self.path, reason), streams));
            return;
        };
        if self.broken > MAX_BROKEN {
            self.news = Some(self.fail(RelayError::stream(self.path, reason), streams));
            return;
        }
        if client.is_mobile() {
            // RFC 8016: it waits for its client, who opens another stream to the same server.
            let remote = client.path().remote;
            return self.connect(now, config, remote, Some(client), streams);
        }
        self.peers = BTreeMap::new();
        self.news = Some(RelayNews::Lost);
        self.connect(now, config, self.path.remote, Some(client), streams);
    }

    /// The client goes on over another stream: to another server that this one has named (RFC 8489 §10), or because
    /// an allocation of before, or of another session, is in the way.
    pub(super) fn move_to(
        &mut self,
        now: Instant,
        server: SocketAddr,
        domain: Option<String>,
        config: &Config,
        streams: &mut StreamQueue,
    ) {
        let (State::Asking { client, .. } | State::Serving(client)) =
            std::mem::replace(&mut self.state, State::Queued)
        else {
            return;
        };
        streams.close(client.path());
        if domain.is_some() {
            self.server.name = domain;
        }
        self.connect(now, config, server, Some(client), streams);
    }
}
