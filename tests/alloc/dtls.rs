use std::sync::Arc;
use std::time::Instant;

use kaon_rtc::dtls::{Config, Connection, DtlsTransport, FingerprintAlgorithm, Identity, PeerVerification};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs::provider;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto::provider;

use super::{count_allocations, heap_held};

fn path() -> FiveTuple {
    FiveTuple::udp("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap())
}

struct Ends {
    configs: [Arc<Config>; 2],
    batch: TransmitBatch,
}

impl Ends {
    fn new() -> Self {
        let identities = [(); 2].map(|()| Identity::generate(&provider()).unwrap());
        let configs = identities.map(|identity| Arc::new(Config::new(provider(), identity)));
        let mut ends = Self { configs, batch: TransmitBatch::new(1200) };
        // What is initialised once is not counted.
        ends.connect();
        ends
    }

    fn connect(&mut self) -> (Connection, Connection) {
        let [client, server] = &self.configs;
        let expect = |peer: &Config| {
            let identity = peer.identity.as_ref().unwrap();
            PeerVerification::Fingerprints(vec![identity.fingerprint(FingerprintAlgorithm::Sha256).clone()])
        };
        let mut ends = (
            Connection::client(client.clone(), expect(server)).unwrap(),
            Connection::server(server.clone(), expect(client)).unwrap(),
        );
        while !(ends.0.is_connected() && ends.1.is_connected()) {
            carry(&mut ends.0, &mut ends.1, &mut self.batch);
            carry(&mut ends.1, &mut ends.0, &mut self.batch);
        }
        while ends.0.poll_event().is_some() || ends.1.poll_event().is_some() {}
        ends
    }
}

fn carry(from: &mut Connection, to: &mut Connection, batch: &mut TransmitBatch) {
    let now = Instant::now();
    batch.clear();
    while let Some(transmit) = from.poll_transmit(now, batch) {
        for datagram in batch.datagrams_mut(&transmit) {
            to.handle_datagram(now, Datagram::new(path(), datagram)).unwrap();
        }
    }
}

#[test]
fn records_allocate_nothing() {
    let (mut client, mut server) = Ends::new().connect();
    let (now, mut record, mut received) = (Instant::now(), Vec::with_capacity(2048), 0);
    let mut batch = TransmitBatch::new(1200);
    let allocations = count_allocations(|| {
        for _ in 0..1000 {
            record.clear();
            client.seal(&[7; 1150], &mut record).unwrap();
            let datagram = Datagram::new(path(), &mut record);
            server.receive(now, datagram, &mut |data| received += data.len()).unwrap();
            // A replay, and the polls between.
            server.receive(now, Datagram::new(path(), &mut record), &mut |_| ()).unwrap_err();
            assert!(server.poll_transmit(now, &mut batch).is_none());
            assert!(server.poll_timeout().is_none() && server.poll_event().is_none());
        }
    });
    assert_eq!(received, 1000 * 1150);
    assert_eq!(allocations, 0);
}

/// The heap of one idle connection as Rust's allocator sees it. What a provider written in C allocates for
/// itself comes on top; `benches/peers` measures that too.
#[test]
fn an_idle_connection_is_small() {
    let mut ends = Ends::new();
    let (pairs, held) = heap_held(|| {
        let mut pairs = Vec::with_capacity(100);
        pairs.extend((0..100).map(|_| ends.connect()));
        pairs
    });
    let inline = size_of::<Connection>();
    let each = held as usize / 200 - inline;
    println!("an idle connection: {each} bytes of heap, {inline} bytes by itself");
    assert!(each + inline < 4096, "{each} + {inline}");
    let (_, left) = heap_held(|| drop(pairs));
    assert_eq!(-left, held, "dropping frees all");
}

#[test]
fn connecting_and_closing_leaks_nothing() {
    let mut ends = Ends::new();
    let (_, held) = heap_held(|| {
        for _ in 0..50 {
            let (mut client, mut server) = ends.connect();
            client.close(Instant::now());
            carry(&mut client, &mut server, &mut ends.batch);
        }
    });
    assert_eq!(held, 0);
}
