//! DTLS 1.2 beside the crate `dimpl`: handshakes in both roles, equal keying material, data both ways, with
//! loss, reordering and duplication.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Dtls, DtlsCertificate, Output};
use kaon_differential::seeds;
use kaon_rtc::crypto::{HashAlgorithm, SeededRandom, aws_lc_rs};
use kaon_rtc::dtls::{
    Config, Connection, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, FingerprintAlgorithm, Identity,
    PeerVerification,
};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

/// How long a handshake may last. At 30 % loss one now and then outlasts Kaon's 60 s: `dimpl` answers a
/// repeated flight at most once in its own retransmission timeout, and doubles that with each answer, so that it
/// sends a flight seven times in the first minute, however often Kaon asks for it (every 4 s by then). When all
/// seven are lost, the next comes after more than a minute.
const PATIENCE: Duration = Duration::from_secs(600);

/// The crate `dimpl`, and what it told.
struct Theirs {
    dtls: Dtls,
    timeout: Option<Instant>,
    connected: bool,
    keying_material: Vec<u8>,
    peer_certificate: Vec<u8>,
    heard: bool,
}

impl Theirs {
    fn poll(&mut self, mut send: impl FnMut(&[u8])) {
        let mut buffer = vec![0; 2048];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => send(packet),
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::Connected => self.connected = true,
                Output::PeerCert(der) => self.peer_certificate = der.to_vec(),
                Output::KeyingMaterial(material, _) => self.keying_material = material.to_vec(),
                Output::ApplicationData(data) => {
                    assert_eq!(data, b"from kaon");
                    self.heard = true;
                }
                Output::Timeout(at) => {
                    self.timeout = Some(at);
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

struct Chance(SeededRandom);

impl Chance {
    fn up_to(&self, limit: f64) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * limit
    }
}

/// What is under way: when it arrives, a number for the order, whether to us, and the bytes.
type UnderWay = BinaryHeap<Reverse<(Instant, u64, bool, Vec<u8>)>>;

fn run(seed: u64, role: DtlsRole, loss: f64, identity: &Identity, certificate: &DtlsCertificate) {
    let context = format!("seed {seed}, Kaon is the {role:?}, {loss} lost");
    let chance = Chance(SeededRandom::new(seed));
    let start = Instant::now();
    let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(seed)));
    let digest = provider.digests.hash(HashAlgorithm::Sha256, &[&certificate.certificate]);
    let fingerprint = Fingerprint::new(FingerprintAlgorithm::Sha256, &digest).unwrap();
    let verification = PeerVerification::Fingerprints(vec![fingerprint]);
    let mut config = Config::new(provider, identity.clone());
    config.handshake_timeout = PATIENCE;
    config.max_retransmissions = u32::MAX;
    let config = Arc::new(config);
    let mut ours = match role {
        DtlsRole::Client => Connection::client(config, verification),
        DtlsRole::Server => Connection::server(config, verification),
    }
    .unwrap();
    let their_config = dimpl::Config::builder().handshake_timeout(PATIENCE).flight_retries(20);
    let mut theirs = Theirs {
        dtls: Dtls::new_12(Arc::new(their_config.build().unwrap()), certificate.clone(), start),
        timeout: None,
        connected: false,
        keying_material: Vec::new(),
        peer_certificate: Vec::new(),
        heard: false,
    };
    theirs.dtls.set_active(role == DtlsRole::Server);
    theirs.dtls.handle_timeout(start).unwrap();

    let path = FiveTuple::udp("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
    let max_datagram = [1200, 300, 150][seed as usize % 3];
    let mut batch = TransmitBatch::new(max_datagram);
    let mut under_way = UnderWay::new();
    let mut number = 0;
    let (mut now, mut heard, mut next_data) = (start, false, start);
    while !(heard && theirs.heard) {
        assert!(now - start < PATIENCE, "{context}: {ours:?}");
        let mut send = |to_us: bool, bytes: &[u8]| {
            for _ in 0..if chance.up_to(1.0) < loss / 2.0 { 2 } else { 1 } {
                if chance.up_to(1.0) >= loss {
                    number += 1;
                    let delay =
                        Duration::from_millis(10) + Duration::from_secs_f64(chance.up_to(loss / 10.0));
                    under_way.push(Reverse((now + delay, number, to_us, bytes.to_vec())));
                }
            }
        };
        while let Some(transmit) = ours.poll_transmit(now, &mut batch) {
            batch.datagrams(&transmit).for_each(|datagram| send(false, datagram));
            batch.clear();
        }
        theirs.poll(|packet| send(true, packet));
        if ours.is_connected() && theirs.connected && now >= next_data {
            next_data = now + Duration::from_millis(100);
            let mut record = Vec::new();
            ours.seal(b"from kaon", &mut record).unwrap();
            send(false, &record);
            theirs.dtls.send_application_data(b"from dimpl").unwrap();
            theirs.poll(|packet| send(true, packet));
        }

        let arrival = under_way.peek().map(|Reverse((at, ..))| *at);
        let data = (ours.is_connected() && theirs.connected).then_some(next_data);
        let next = [arrival, ours.poll_timeout(), theirs.timeout, data].into_iter().flatten().min();
        now = next.expect("somebody waits for something").max(now);
        ours.handle_timeout(now);
        if theirs.timeout.is_some_and(|at| at <= now) {
            theirs.timeout = None;
            theirs.dtls.handle_timeout(now).unwrap_or_else(|error| panic!("{context}: {error}"));
        }
        while under_way.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, _, to_us, mut bytes))) = under_way.pop() else { break };
            if to_us {
                ours.handle_datagram(now, Datagram::new(path, &mut bytes)).ok();
            } else {
                theirs.dtls.handle_packet(&bytes).unwrap_or_else(|error| panic!("{context}: {error}"));
            }
        }
        while let Some(event) = ours.poll_event() {
            match event {
                DtlsEvent::ApplicationData(data) => {
                    assert_eq!(&data[..], b"from dimpl");
                    heard = true;
                }
                DtlsEvent::Connected { .. } => {}
                other => panic!("{context}: {other:?}"),
            }
        }
    }
    assert_eq!(theirs.peer_certificate, identity.certificate(), "{context}");
    assert_eq!(ours.peer_certificate(), Some(&certificate.certificate[..]), "{context}");
    let mut exported = vec![0; theirs.keying_material.len()];
    ours.export_keying_material("EXTRACTOR-dtls_srtp", None, &mut exported).unwrap();
    assert!(!exported.is_empty());
    assert_eq!(exported, theirs.keying_material, "{context}");
}

#[test]
fn dimpl_agrees_in_both_roles() {
    let identity = Identity::generate(&aws_lc_rs::provider()).unwrap();
    let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
    for role in [DtlsRole::Client, DtlsRole::Server] {
        for seed in seeds(200) {
            let loss = [0.0, 0.05, 0.1, 0.3][seed as usize / 3 % 4];
            run(seed, role, loss, &identity, &certificate);
        }
    }
}
