//! DTLS 1.2 in one process: handshakes per CPU-second, both ends included, records, and the heap that an idle
//! connection holds, the implementations taking turns. `adapter` is the crate `dtls` behind Kaon's trait.
//!
//! Mutual ECDSA certificates on P-256 made beforehand, X25519, AES-128-GCM; the wire is memory.
//! `dtls [ROUNDS [NAME...]]` prints the median of the rounds, and the ratio to Kaon.

use std::any::Any;

use kaon_bench_peers::{cpu_time_of, median};
use kaon_rtc::dtls::{Connection, DtlsTransport};

/// Sizes of application data in a record.
const SIZES: [usize; 2] = [100, 1200];

trait Peer {
    /// One handshake from nothing, both ends.
    fn handshake(&mut self);

    /// Two connected ends, with nothing left to do.
    fn idle(&mut self) -> Box<dyn Any>;

    /// Seals, carries and opens `count` records of `size` bytes on one connection.
    fn records(&mut self, size: usize, count: usize);
}

type Contender = (&'static str, Box<dyn Peer>, usize, usize);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(9);
    let only: Vec<String> = arguments.collect();
    let mut contenders: Vec<Contender> = vec![
        ("kaon", Box::new(kaon::Ends::<Connection>::new(|it| Box::new(it))), 300, 50_000),
        (
            "kaon, behind the trait",
            Box::new(kaon::Ends::<dyn DtlsTransport>::new(|it| Box::new(it))),
            300,
            50_000,
        ),
        ("dimpl", Box::new(theirs::Ends::new()), 300, 20_000),
        ("dtls", Box::new(webrtc_rs::Ends::new()), 60, 5_000),
        ("adapter", Box::new(adapter::Ends::new()), 60, 5_000),
        ("bare AES-128-GCM", Box::new(bare::Cipher::new()), 0, 50_000),
    ];
    contenders.retain(|(name, ..)| only.is_empty() || only.iter().any(|wanted| wanted == name));

    println!("{:>24} {:>16}", "", "heap, idle end");
    for (name, peer, ..) in contenders.iter_mut().filter(|(_, _, handshakes, _)| *handshakes > 0) {
        drop(peer.idle());
        let before = heap();
        let pairs: Vec<_> = (0..200).map(|_| peer.idle()).collect();
        println!("{name:>24} {:>16}", (heap() - before) / 400);
        drop(pairs);
    }
    println!("median of {rounds} rounds on CPU time, both ends in one process");
    println!("{:>24} {:>16} {:>14}", "", "handshakes/s", "kaon is");
    report(rounds, &mut contenders, |peer, handshakes, _| {
        (handshakes > 0).then(|| {
            let time = cpu_time_of(|| (0..handshakes).for_each(|_| peer.handshake()));
            handshakes as f64 / time.as_secs_f64()
        })
    });
    for size in SIZES {
        println!("{:>24} {:>16} {:>14}", "", format!("MB/s, {size} bytes"), "kaon is");
        report(rounds, &mut contenders, |peer, _, records| {
            peer.records(size, 100);
            let time = cpu_time_of(|| peer.records(size, records));
            Some((size * records) as f64 / time.as_secs_f64() / 1e6)
        });
    }
}

/// The bytes of heap in use, those that C code allocated included; the connections themselves are on it too.
fn heap() -> usize {
    // SAFETY: takes no argument and reads counters of the allocator.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

fn report(
    rounds: usize,
    contenders: &mut [Contender],
    mut measure: impl FnMut(&mut dyn Peer, usize, usize) -> Option<f64>,
) {
    let mut figures = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for ((_, peer, handshakes, records), figures) in contenders.iter_mut().zip(&mut figures) {
            figures.extend(measure(&mut **peer, *handshakes, *records));
        }
    }
    let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
    for ((name, ..), figure) in contenders.iter().zip(&medians).filter(|(_, figure)| !figure.is_nan()) {
        println!("{name:>24} {figure:>16.0} {:>13.2}x", medians[0] / figure);
    }
}

mod kaon {
    use std::sync::Arc;
    use std::time::Instant;

    use kaon_rtc::crypto::aws_lc_rs;
    use kaon_rtc::dtls::{
        CipherSuite, Config, Connection, DtlsTransport, FingerprintAlgorithm, Identity, PeerVerification,
    };
    use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

    /// Ends that are the layer itself, or whatever stands behind the trait.
    pub struct Ends<C: ?Sized> {
        make: fn(Connection) -> Box<C>,
        client: (Arc<Config>, PeerVerification),
        server: (Arc<Config>, PeerVerification),
        batch: TransmitBatch,
        connected: Option<(Box<C>, Box<C>)>,
    }

    pub(super) fn path() -> FiveTuple {
        FiveTuple::udp(([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into())
    }

    impl<C: DtlsTransport + ?Sized> Ends<C> {
        pub fn new(make: fn(Connection) -> Box<C>) -> Self {
            let provider = aws_lc_rs::provider();
            let identities = [(); 2].map(|()| Identity::generate(&provider).unwrap());
            let config = |own: usize| {
                let mut config = Config::new(provider.clone(), identities[own].clone());
                config.cipher_suites = vec![CipherSuite::EcdheEcdsaAes128GcmSha256];
                Arc::new(config)
            };
            let expect = |peer: usize| {
                let fingerprint = identities[peer].fingerprint(FingerprintAlgorithm::Sha256);
                PeerVerification::Fingerprints(vec![fingerprint.clone()])
            };
            Self {
                make,
                client: (config(0), expect(1)),
                server: (config(1), expect(0)),
                batch: TransmitBatch::new(1200),
                connected: None,
            }
        }

        fn connect(&mut self) -> (Box<C>, Box<C>) {
            let now = Instant::now();
            let client = Connection::client(self.client.0.clone(), self.client.1.clone()).unwrap();
            let server = Connection::server(self.server.0.clone(), self.server.1.clone()).unwrap();
            let (mut client, mut server) = ((self.make)(client), (self.make)(server));
            while !(client.is_connected() && server.is_connected()) {
                carry(now, &mut *client, &mut *server, &mut self.batch);
                carry(now, &mut *server, &mut *client, &mut self.batch);
            }
            while client.poll_event().is_some() || server.poll_event().is_some() {}
            client.srtp_keying_material().unwrap();
            server.srtp_keying_material().unwrap();
            (client, server)
        }
    }

    pub(super) fn carry<C: DtlsTransport + ?Sized>(
        now: Instant,
        from: &mut C,
        to: &mut C,
        batch: &mut TransmitBatch,
    ) {
        batch.clear();
        while let Some(transmit) = from.poll_transmit(now, batch) {
            for datagram in batch.datagrams_mut(&transmit) {
                to.handle_datagram(now, Datagram::new(path(), datagram)).unwrap();
            }
        }
    }

    impl<C: DtlsTransport + ?Sized + 'static> super::Peer for Ends<C> {
        fn handshake(&mut self) {
            self.connect();
        }

        fn idle(&mut self) -> Box<dyn std::any::Any> {
            Box::new(self.connect())
        }

        fn records(&mut self, size: usize, count: usize) {
            let (mut client, mut server) = self.connected.take().unwrap_or_else(|| self.connect());
            let (now, data, mut record) = (Instant::now(), vec![7; size], Vec::new());
            let mut received = 0;
            for _ in 0..count {
                record.clear();
                client.seal(&data, &mut record).unwrap();
                server
                    .receive(now, Datagram::new(path(), &mut record), &mut |data| received += data.len())
                    .unwrap();
            }
            assert_eq!(received, size * count);
            self.connected = Some((client, server));
        }
    }
}

mod theirs {
    use std::sync::Arc;
    use std::time::Instant;

    use dimpl::crypto::Dtls12CipherSuite;
    use dimpl::{Config, Dtls, DtlsCertificate, NamedGroup, Output};

    pub struct Ends {
        config: Arc<Config>,
        certificates: [DtlsCertificate; 2],
        connected: Option<(Dtls, Dtls)>,
    }

    impl Ends {
        pub fn new() -> Self {
            let config = Config::builder()
                .use_server_cookie(false)
                .dtls12_cipher_suites(&[Dtls12CipherSuite::ECDHE_ECDSA_AES128_GCM_SHA256])
                .kx_groups(&[NamedGroup::X25519])
                .build()
                .unwrap();
            let certificates =
                [(); 2].map(|()| dimpl::certificate::generate_self_signed_certificate().unwrap());
            Self { config: Arc::new(config), certificates, connected: None }
        }

        fn connect(&mut self) -> (Dtls, Dtls) {
            let now = Instant::now();
            let mut client = Dtls::new_12(self.config.clone(), self.certificates[0].clone(), now);
            let mut server = Dtls::new_12(self.config.clone(), self.certificates[1].clone(), now);
            client.set_active(true);
            server.set_active(false);
            client.handle_timeout(now).unwrap();
            server.handle_timeout(now).unwrap();
            let mut buffer = vec![0; 2048];
            let mut connected = 0;
            while connected < 2 {
                connected += carry(&mut client, &mut server, &mut buffer, |_| ());
                connected += carry(&mut server, &mut client, &mut buffer, |_| ());
            }
            (client, server)
        }
    }

    /// Carries what `from` sends, and says whether it became connected.
    fn carry(from: &mut Dtls, to: &mut Dtls, buffer: &mut [u8], mut data: impl FnMut(&[u8])) -> usize {
        let mut connected = 0;
        loop {
            match from.poll_output(buffer) {
                Output::Packet(packet) => to.handle_packet(packet).unwrap(),
                Output::Connected => connected += 1,
                Output::ApplicationData(bytes) => data(bytes),
                Output::Timeout(_) => return connected,
                _ => {}
            }
        }
    }

    impl super::Peer for Ends {
        fn handshake(&mut self) {
            self.connect();
        }

        fn idle(&mut self) -> Box<dyn std::any::Any> {
            Box::new(self.connect())
        }

        fn records(&mut self, size: usize, count: usize) {
            let (mut client, mut server) = self.connected.take().unwrap_or_else(|| self.connect());
            let (data, mut buffer, mut received) = (vec![7; size], vec![0; 2048], 0);
            for _ in 0..count {
                client.send_application_data(&data).unwrap();
                carry(&mut client, &mut server, &mut buffer, |_| ());
                carry(&mut server, &mut client, &mut buffer, |data| received += data.len());
            }
            assert_eq!(received, size * count);
            self.connected = Some((client, server));
        }
    }
}

mod webrtc_rs {
    use std::sync::Arc;

    use dtls::cipher_suite::CipherSuiteId;
    use dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
    use dtls::conn::DTLSConn;
    use dtls::crypto::Certificate;
    use tokio::runtime::{Builder, Runtime};
    use webrtc_util::Conn;
    use webrtc_util::conn::conn_pipe::pipe;

    pub struct Ends {
        runtime: Runtime,
        certificates: [Certificate; 2],
        connected: Option<(DTLSConn, DTLSConn)>,
    }

    impl Ends {
        pub fn new() -> Self {
            let certificate = || Certificate::generate_self_signed(vec!["WebRTC".to_owned()]).unwrap();
            Self {
                runtime: Builder::new_current_thread().enable_all().build().unwrap(),
                certificates: [certificate(), certificate()],
                connected: None,
            }
        }

        fn config(&self, own: usize) -> Config {
            Config {
                certificates: vec![self.certificates[own].clone()],
                cipher_suites: vec![CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256],
                client_auth: ClientAuthType::RequireAnyClientCert,
                extended_master_secret: ExtendedMasterSecretType::Require,
                insecure_skip_verify: true,
                ..Config::default()
            }
        }

        fn connect(&self) -> (DTLSConn, DTLSConn) {
            let (client, server) = (self.config(0), self.config(1));
            self.runtime.block_on(async {
                let (a, b) = pipe();
                let client = DTLSConn::new(Arc::new(a), client, true, None);
                let server = DTLSConn::new(Arc::new(b), server, false, None);
                let (client, server) = tokio::join!(client, server);
                (client.unwrap(), server.unwrap())
            })
        }

        fn close(&self, (client, server): (DTLSConn, DTLSConn)) {
            self.runtime.block_on(async {
                client.close().await.ok();
                server.close().await.ok();
            });
        }
    }

    impl super::Peer for Ends {
        fn handshake(&mut self) {
            let connected = self.connect();
            self.close(connected);
        }

        fn idle(&mut self) -> Box<dyn std::any::Any> {
            Box::new(self.connect())
        }

        fn records(&mut self, size: usize, count: usize) {
            let (client, server) = self.connected.take().unwrap_or_else(|| self.connect());
            let (data, mut buffer) = (vec![7; size], vec![0; 2048]);
            self.runtime.block_on(async {
                for _ in 0..count {
                    client.send(&data).await.unwrap();
                    assert_eq!(server.recv(&mut buffer).await.unwrap(), size);
                }
            });
            self.connected = Some((client, server));
        }
    }
}

mod adapter {
    use std::time::Instant;

    use kaon_rtc::adapters::webrtc_rs::{DtlsConfig, DtlsConnection, DtlsIdentity};
    use kaon_rtc::layer::{Datagram, DtlsRole, DtlsTransport, FingerprintAlgorithm, Layer, TransmitBatch};
    use tokio::runtime::{Builder, Runtime};

    use super::kaon::{carry, path};

    pub struct Ends {
        runtime: Runtime,
        configs: [DtlsConfig; 2],
        batch: TransmitBatch,
        connected: Option<(DtlsConnection, DtlsConnection)>,
    }

    impl Ends {
        pub fn new() -> Self {
            Self {
                runtime: Builder::new_current_thread().enable_all().build().unwrap(),
                configs: [(); 2].map(|()| DtlsConfig::new(DtlsIdentity::generate().unwrap())),
                batch: TransmitBatch::new(1200),
                connected: None,
            }
        }

        fn connect(&mut self) -> (DtlsConnection, DtlsConnection) {
            let make = |role, own: usize| {
                let peer = self.configs[1 - own].identity.fingerprint(FingerprintAlgorithm::Sha256);
                let runtime = self.runtime.handle().clone();
                DtlsConnection::new(role, std::slice::from_ref(peer), self.configs[own].clone(), runtime)
                    .unwrap()
            };
            let (mut client, mut server) = (make(DtlsRole::Client, 0), make(DtlsRole::Server, 1));
            while !(client.is_connected() && server.is_connected()) {
                carry(Instant::now(), &mut client, &mut server, &mut self.batch);
                carry(Instant::now(), &mut server, &mut client, &mut self.batch);
                self.runtime.block_on(tokio::task::yield_now());
                while client.poll_event().is_some() || server.poll_event().is_some() {}
            }
            client.srtp_keying_material().unwrap();
            server.srtp_keying_material().unwrap();
            (client, server)
        }
    }

    impl super::Peer for Ends {
        fn handshake(&mut self) {
            self.connect();
        }

        fn idle(&mut self) -> Box<dyn std::any::Any> {
            Box::new(self.connect())
        }

        fn records(&mut self, size: usize, count: usize) {
            let (mut client, mut server) = self.connected.take().unwrap_or_else(|| self.connect());
            let (now, data, mut record) = (Instant::now(), vec![7; size], Vec::new());
            let mut received = 0;
            for _ in 0..count {
                record.clear();
                client.seal(&data, &mut record).unwrap();
                server
                    .receive(now, Datagram::new(path(), &mut record), &mut |data| received += data.len())
                    .unwrap();
            }
            assert_eq!(received, size * count);
            self.connected = Some((client, server));
        }
    }
}

/// What the cipher alone costs: one key of `aws-lc-rs` on each side.
mod bare {
    use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

    pub struct Cipher {
        seal: LessSafeKey,
        open: LessSafeKey,
    }

    impl Cipher {
        pub fn new() -> Self {
            let key = || LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16]).unwrap());
            Self { seal: key(), open: key() }
        }
    }

    impl super::Peer for Cipher {
        fn handshake(&mut self) {}

        fn idle(&mut self) -> Box<dyn std::any::Any> {
            Box::new(())
        }

        fn records(&mut self, size: usize, count: usize) {
            let mut buffer = vec![0; size];
            for number in 0..count {
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&(number as u64).to_be_bytes());
                let nonce = || Nonce::assume_unique_for_key(nonce);
                buffer.truncate(size);
                self.seal.seal_in_place_append_tag(nonce(), Aad::from([0; 13]), &mut buffer).unwrap();
                self.open.open_in_place(nonce(), Aad::from([0; 13]), &mut buffer).unwrap();
            }
        }
    }
}
