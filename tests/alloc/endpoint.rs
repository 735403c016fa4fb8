//! Endpoints: a batch of datagrams costs no allocation, and strangers cost what the limits say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::endpoint::{Endpoint, EndpointEvent, IncomingLimits, SessionId};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, RtpTimestamp, TransmitBatch};
use kaon_rtc::session::{ConnectionState, OutgoingRtp, Session, SessionConfig, TrackKind, TransceiverInit};
use kaon_rtc::stun::{Class, IntegrityKey, MessageBuilder, Method, TransactionId};

use crate::{count_allocations, heap_held};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto as crypto;

fn server_address() -> SocketAddr {
    ([10, 0, 0, 1], 5000).into()
}

fn client_path(client: usize) -> FiveTuple {
    FiveTuple::udp(server_address(), ([10, 0, 1, 1 + client as u8], 4000).into())
}

/// An endpoint with a session for each client, that has a video to send, and nothing between them.
struct Play {
    now: Instant,
    server: Endpoint<Session>,
    clients: Vec<Session>,
}

impl Play {
    fn new(count: usize) -> Self {
        let now = Instant::now();
        let provider = crypto::provider().with_random(Arc::new(SeededRandom::new(1)));
        let config = SessionConfig::generate(provider).unwrap();
        let mut play = Self { now, server: Endpoint::new(), clients: Vec::new() };
        for client in 0..count {
            let path = client_path(client);
            let [mut here, mut there] = [path.remote, path.local].map(|address| {
                let mut session = Session::new(now, config.clone());
                session.add_host_address(now, address).unwrap();
                session.end_of_host_addresses(now);
                session
            });
            here.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
            here.set_local_description(now, None).unwrap();
            there.set_remote_description(now, &here.local_description().unwrap()).unwrap();
            there.set_local_description(now, None).unwrap();
            here.set_remote_description(now, &there.local_description().unwrap()).unwrap();
            play.server.insert(SessionId::new(client as u64), there);
            play.clients.push(here);
        }
        play.run(Duration::from_secs(3));
        for client in &play.clients {
            assert_eq!(client.connection_state(), ConnectionState::Connected);
        }
        play
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.exchange();
            self.now += Duration::from_millis(10);
            self.server.handle_timeout(self.now);
            self.clients.iter_mut().for_each(|client| client.handle_timeout(self.now));
        }
    }

    fn exchange(&mut self) {
        let mut batch = TransmitBatch::new(1228);
        for client in 0..self.clients.len() {
            for mut datagram in self.take(client) {
                let _ =
                    self.server.handle_datagram(self.now, Datagram::new(client_path(client), &mut datagram));
            }
        }
        while let Some(transmit) = self.server.poll_transmit(self.now, &mut batch) {
            let remote = transmit.path.unwrap().remote;
            let client =
                (0..self.clients.len()).find(|client| client_path(*client).remote == remote).unwrap();
            for bytes in batch.datagrams_mut(&transmit) {
                let datagram = Datagram::new(FiveTuple::udp(remote, server_address()), bytes);
                let _ = self.clients[client].handle_datagram(self.now, datagram);
            }
            batch.clear();
        }
        while self.server.poll_event().is_some() {}
        self.clients.iter_mut().for_each(|client| while client.poll_event().is_some() {});
    }

    fn take(&mut self, client: usize) -> Vec<Vec<u8>> {
        let (mut batch, mut taken) = (TransmitBatch::new(1228), Vec::new());
        while let Some(transmit) = self.clients[client].poll_transmit(self.now, &mut batch) {
            taken.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
            batch.clear();
        }
        taken
    }

    fn video(&mut self, client: usize, number: u32) -> Vec<Vec<u8>> {
        let session = &mut self.clients[client];
        let id = session.transceivers().next().unwrap().id();
        let payload_type = session.transceiver(id).unwrap().send_codecs()[0].payload_type;
        let timestamp = RtpTimestamp(number / 10 * 3000);
        let packet = OutgoingRtp::new(payload_type, timestamp, number % 10 == 9, vec![7; 1000].into());
        session.send_rtp(self.now, id, packet).unwrap();
        self.take(client)
    }
}

#[test]
fn a_batch_is_not_allocated_for() {
    const CLIENTS: usize = 3;
    let mut play = Play::new(CLIENTS);
    let (mut allocations, mut taken) = (0, 0);
    let mut batch = Vec::new();
    for round in 0..240u32 {
        play.now += Duration::from_millis(2);
        // Reports are made beside the batches.
        play.server.handle_timeout(play.now);
        batch.clear();
        for number in 0..40 {
            for client in 0..CLIENTS {
                for datagram in play.video(client, round * 40 + number) {
                    batch.push((client_path(client), datagram));
                }
            }
        }
        // Media on a path of nobody, and an answer to no question.
        batch.push((client_path(200), vec![128; 100]));
        batch.push((client_path(200), [&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12]].concat()));
        let counted = count_allocations(|| {
            let datagrams = batch.iter_mut().map(|(path, bytes)| Datagram::new(*path, bytes));
            let counts = play.server.handle_datagrams(play.now, datagrams);
            taken += counts.taken;
            assert_eq!((counts.refused, counts.unknown), (0, 2));
        });
        // The tables of the sessions have their size then.
        if round >= 120 && counted > 0 {
            println!("round {round}: {counted} allocations");
            allocations += counted;
        }
        play.exchange();
    }
    assert!(taken >= 240 * 40 * CLIENTS, "{taken}");
    assert_eq!(allocations, 0);
}

fn check(ufrag: &str, random: &SeededRandom) -> Vec<u8> {
    let key = IntegrityKey::short_term(&crypto::provider(), "the password of a stranger");
    let mut datagram = Vec::new();
    MessageBuilder::new(&mut datagram, Class::Request, Method::BINDING, TransactionId::random(random))
        .username(&format!("{ufrag}:{ufrag}"))
        .integrity(&key)
        .fingerprint()
        .finish()
        .unwrap();
    datagram
}

/// A flood of strangers, each from an address of its own and with long fragments, holds what the limits say, and one that
/// repeats its check costs nothing more.
#[test]
fn strangers_cost_what_the_limits_say() {
    let (now, random) = (Instant::now(), SeededRandom::new(3));
    let limits = IncomingLimits::default();
    let most = limits.max_bytes as isize;
    for length in [4, 32, 256] {
        let (endpoint, held) = heap_held(|| {
            let mut endpoint: Endpoint<Session> = Endpoint::new();
            endpoint.set_incoming(Some(limits.clone()));
            for number in 0..20_000u32 {
                let mut datagram = check(&format!("{number:0length$}"), &random);
                let remote = SocketAddr::from(([10, 9, (number >> 8) as u8, number as u8], 4000));
                let path = FiveTuple::udp(server_address(), remote);
                endpoint.handle_datagrams(now, [Datagram::new(path, &mut datagram)]);
            }
            endpoint
        });
        println!("strangers with fragments of {length} bytes hold {held} bytes");
        assert!(held <= most, "{length}: {held} bytes");
        assert!(endpoint.forgotten_incoming() > 19_000);
        assert!(endpoint.is_empty());
    }

    let mut endpoint: Endpoint<Session> = Endpoint::new();
    endpoint.set_incoming(Some(limits));
    let mut repeated: Vec<_> = (0..100).map(|_| check("the+fragment", &random)).collect();
    let counted = count_allocations(|| {
        for datagram in &mut repeated[1..] {
            endpoint.handle_datagrams(now, [Datagram::new(client_path(0), datagram)]);
        }
    });
    assert!(counted < 20, "{counted} allocations");
    assert!(matches!(endpoint.poll_event(), Some(EndpointEvent::Incoming(_))));
    assert!(endpoint.poll_event().is_none());
    let counted = count_allocations(|| {
        endpoint.handle_datagrams(now, [Datagram::new(client_path(0), &mut repeated[0])]);
        assert!(endpoint.poll_event().is_none());
    });
    assert_eq!(counted, 0);
    // Whoever is ignored costs nothing at all.
    endpoint.set_incoming(None);
    let counted = count_allocations(|| {
        for (number, datagram) in repeated.iter_mut().enumerate() {
            endpoint.handle_datagrams(now, [Datagram::new(client_path(number), datagram)]);
        }
    });
    assert_eq!(counted, 0);
}

/// Sessions come and go, under new names or the same one, and nobody asks for datagrams or events: what they leave behind
/// does not grow.
#[test]
fn sessions_that_are_gone_leave_nothing_behind() {
    let now = Instant::now();
    let provider = crypto::provider().with_random(Arc::new(SeededRandom::new(5)));
    let config = SessionConfig::generate(provider).unwrap();
    for names in [1, u64::MAX] {
        let mut endpoint = Endpoint::new();
        endpoint.insert(SessionId::new(u64::MAX), Session::new(now, config.clone()));
        let mut cycle = |count: u64| {
            let ((), held) = heap_held(|| {
                for number in 0..count {
                    let id = SessionId::new(number % names);
                    endpoint.insert(id, Session::new(now, config.clone()));
                    endpoint.remove(id);
                }
            });
            held
        };
        cycle(100);
        let held = cycle(5000);
        println!("5000 sessions that were gone hold {held} bytes");
        assert!(held < 4096, "{held} bytes");
    }
}
