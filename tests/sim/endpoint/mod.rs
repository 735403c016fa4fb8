//! Many sessions on one port, and those who want what belongs to others.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::datachannel::{ChannelInit, MessageKind};
use kaon_rtc::endpoint::{Endpoint, EndpointEvent, Incoming, SessionId};
use kaon_rtc::layer::{Datagram, Fingerprint, FiveTuple, Layer};
use kaon_rtc::session::{
    ConnectionState, Description, IceCandidateInit, Session, SessionConfig, SessionEvent,
};
use kaon_rtc::sim::{HostId, Link, Network, Simulation};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto as crypto;

mod addresses;
mod batches;
mod crowd;
mod fairness;
mod incoming;
mod paths;
mod relays;
mod sockets;
mod untold;
mod work;

/// A server with one port, and clients at addresses of their own.
struct World {
    simulation: Simulation<Endpoint<Session>>,
    server: HostId,
    seed: u64,
    next_id: u64,
    /// What each session was told last of its connection, by host.
    states: HashMap<(HostId, SessionId), ConnectionState>,
    in_use: Vec<(HostId, SessionId)>,
    strangers: Vec<Incoming>,
    unverified: Vec<(SessionId, Fingerprint)>,
}

/// A connection: the client's host, and the name of its session at either end.
#[derive(Clone, Copy, Debug)]
struct Connection {
    client: HostId,
    here: SessionId,
    there: SessionId,
}

const SERVER: &str = "10.0.0.1:5000";

impl World {
    fn new(seed: u64) -> Self {
        let mut network = Network::new(seed, Instant::now());
        network.set_default_link(Link { delay: Duration::from_millis(10), ..Link::default() });
        let mut simulation = Simulation::new(network).with_max_datagram(1228);
        let address: SocketAddr = SERVER.parse().unwrap();
        let server = simulation.network().add_host([address.ip()]);
        simulation.add_layer(server, Endpoint::new());
        Self {
            simulation,
            server,
            seed,
            next_id: 0,
            states: HashMap::new(),
            in_use: Vec::new(),
            strangers: Vec::new(),
            unverified: Vec::new(),
        }
    }

    fn add_client(&mut self, ip: &str) -> HostId {
        let host = self.simulation.network().add_host([ip.parse().unwrap()]);
        self.simulation.add_layer(host, Endpoint::new());
        host
    }

    fn add_session(&mut self, host: HostId, address: &str) -> SessionId {
        self.add_session_at(host, &[address.parse().unwrap()])
    }

    fn add_session_at(&mut self, host: HostId, addresses: &[SocketAddr]) -> SessionId {
        self.next_id += 1;
        let now = self.simulation.now();
        let random = Arc::new(SeededRandom::new(self.seed.wrapping_mul(1000) + self.next_id));
        let config = SessionConfig::generate(crypto::provider().with_random(random)).unwrap();
        let mut session = Session::new(now, config);
        for address in addresses {
            session.add_host_address(now, *address).unwrap();
        }
        session.end_of_host_addresses(now);
        let id = SessionId::new(self.next_id);
        self.simulation.layer_mut(host).insert(id, session);
        id
    }

    /// A connection between a client on `host`, whose socket is `address`, and the server, begun by the client.
    fn connect(&mut self, client: HostId, address: &str) -> Connection {
        let here = self.add_session(client, address);
        let there = self.add_session(self.server, SERVER);
        let connection = Connection { client, here, there };
        self.negotiate(connection);
        connection
    }

    /// Offer and answer.
    fn negotiate(&mut self, connection: Connection) {
        let Connection { client, here, there } = connection;
        let now = self.simulation.now();
        let offer = self.with(client, here, |session| {
            session.create_data_channel(now, ChannelInit::new("chat")).unwrap();
            session.set_local_description(now, None).unwrap();
            session.handle_timeout(now);
            session.local_description().unwrap().text()
        });
        let answer = self.with(self.server, there, |session| {
            session.set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
            session.set_local_description(now, None).unwrap();
            session.handle_timeout(now);
            session.local_description().unwrap().text()
        });
        self.with(client, here, |session| {
            session.set_remote_description(now, &Description::answer(&answer).unwrap()).unwrap();
        });
    }

    fn with<T>(&mut self, host: HostId, id: SessionId, act: impl FnOnce(&mut Session) -> T) -> T {
        self.simulation.layer_mut(host).with(id, act).expect("the session is there")
    }

    fn drain(&mut self, hosts: &[HostId]) {
        for host in hosts {
            while let Some(event) = self.simulation.layer_mut(*host).poll_event() {
                match event {
                    EndpointEvent::Session { id, event: SessionEvent::ConnectionState { state, .. } } => {
                        self.states.insert((*host, id), state);
                    }
                    EndpointEvent::Session { id, event: SessionEvent::UnverifiedPeer { fingerprint } } => {
                        assert!(
                            !self.states.contains_key(&(*host, id))
                                || self.states[&(*host, id)] != ConnectionState::Connected
                        );
                        self.unverified.push((id, *fingerprint));
                    }
                    EndpointEvent::Incoming(incoming) => self.strangers.push(*incoming),
                    EndpointEvent::PathInUse { id, .. } => self.in_use.push((*host, id)),
                    _ => {}
                }
            }
        }
    }

    fn run_until(&mut self, limit: Duration, hosts: &[HostId], mut done: impl FnMut(&Self) -> bool) -> bool {
        let deadline = self.simulation.now() + limit;
        loop {
            self.drain(hosts);
            if done(self) {
                return true;
            }
            let now = self.simulation.now();
            if now >= deadline {
                return false;
            }
            self.simulation.run_for(Duration::from_millis(1).min(deadline - now));
        }
    }

    fn is_connected(&self, connection: Connection) -> bool {
        let is_connected = |end| self.states.get(&end) == Some(&ConnectionState::Connected);
        is_connected((connection.client, connection.here)) && is_connected((self.server, connection.there))
    }

    /// Runs until it is connected, and says how long that took.
    fn time_to_connect(&mut self, connection: Connection, limit: Duration) -> Option<Duration> {
        let start = self.simulation.now();
        let hosts = [self.server, connection.client];
        self.run_until(limit, &hosts, |world| world.is_connected(connection))
            .then(|| self.simulation.now() - start)
    }
}
