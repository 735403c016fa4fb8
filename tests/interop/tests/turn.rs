//! Relayed connections by way of coturn.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::default_provider;
use kaon_rtc::layer::{
    CandidateKind, Datagram, FiveTuple, Framing, Layer, RelayProtocol, StreamOpening, StreamReport,
    StreamRequest, StreamToken, TransmitBatch,
};
use kaon_rtc::net::rustls::pki_types::CertificateDer;
use kaon_rtc::net::{ReceiveBatch, Streams, tls_config};
use kaon_rtc::peer_connection::{
    ConnectionState, Endpoint, IceServer, PeerConnection, PeerConnectionEvent, TransportPolicy,
};
use kaon_rtc::session::Stats;
use kaon_rtc::stun::ServerTransport;
use kaon_rtc::turn::{Client, Config, Event, Opened, RequestedTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);

/// A coturn on loopback with one user, killed when this is dropped.
struct Coturn {
    process: Child,
    port: u16,
    tls_port: u16,
    /// What proves its certificate.
    root: CertificateDer<'static>,
    files: [PathBuf; 2],
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// A certificate for loopback and its key, in files.
fn certificate(port: u16) -> (CertificateDer<'static>, [PathBuf; 2]) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let files =
        ["cert", "key"].map(|kind| std::env::temp_dir().join(format!("kaon-coturn-{port}-{kind}.pem")));
    std::fs::write(&files[0], made.cert.pem()).unwrap();
    std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
    (made.cert.der().clone(), files)
}

impl Coturn {
    fn start() -> Option<Self> {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let tls_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (root, files) = certificate(port);
        let process = Command::new("turnserver")
            .args(["-n", "--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", "--allow-loopback-peers"])
            .args(["--lt-cred-mech", "--realm=kaon.test", "--user=alice:secret", "--no-cli"])
            .args(["--log-file=stdout", "--pidfile="])
            .arg(format!("--listening-port={port}"))
            .arg(format!("--tls-listening-port={tls_port}"))
            .arg(format!("--cert={}", files[0].display()))
            .arg(format!("--pkey={}", files[1].display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match process {
            Ok(process) => process,
            Err(error) => {
                kaon_interop::missing("coturn", &error.to_string());
                return None;
            }
        };
        let coturn = Self { process, port, tls_port, root, files };
        coturn.wait();
        Some(coturn)
    }

    /// Until it answers a Binding request, and no longer refuses what comes to its other port, which it opens later.
    fn wait(&self) {
        let request = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let began = Instant::now();
        for port in [self.port, self.tls_port] {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            socket.connect(("127.0.0.1", port)).unwrap();
            loop {
                assert!(began.elapsed() < LONG, "coturn does not answer");
                let answer = socket.send(&request).and_then(|_| socket.recv(&mut [0; 1500]));
                match answer {
                    Ok(_) => break,
                    // DTLS is all that it answers there.
                    Err(error) if port == self.tls_port && error.kind() != ErrorKind::ConnectionRefused => {
                        break;
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        }
    }

    fn server(&self, credential: &str) -> IceServer {
        self.at(&format!("turn:127.0.0.1:{}", self.port), credential)
    }

    fn at(&self, url: &str, credential: &str) -> IceServer {
        IceServer::new(url).with_credentials("alice", credential)
    }
}

async fn behind(coturn: &Coturn, server: IceServer) -> PeerConnection {
    let socket = Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).loopback(true);
    let socket = socket.tls(tls_config([coturn.root.clone()]).unwrap());
    PeerConnection::builder()
        .socket(socket)
        .ice_servers([server])
        .ice_transport_policy(TransportPolicy::Relay)
        .build()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_meet_at_coturn() {
    let Some(coturn) = Coturn::start() else { return };
    let (port, tls_port) = (coturn.port, coturn.tls_port);
    for (url, protocol) in [
        (format!("turn:127.0.0.1:{port}"), RelayProtocol::Udp),
        (format!("turn:127.0.0.1:{port}?transport=tcp"), RelayProtocol::Tcp),
        (format!("turns:localhost:{tls_port}"), RelayProtocol::Tls),
        (format!("turns:127.0.0.1:{tls_port}?transport=tcp"), RelayProtocol::Tls),
        (format!("turns:localhost:{tls_port}?transport=udp"), RelayProtocol::Udp),
        (format!("turns:127.0.0.1:{tls_port}?transport=udp"), RelayProtocol::Udp),
    ] {
        meet(&coturn, &url, protocol).await;
    }
}

async fn meet(coturn: &Coturn, url: &str, protocol: RelayProtocol) {
    let server = coturn.at(url, "secret");
    let (alice, bob) = (behind(coturn, server.clone()).await, behind(coturn, server).await);
    let chat = alice.create_data_channel("chat").unwrap();
    alice.set_local_description(None).unwrap();
    timeout(LONG, alice.gathering_complete()).await.unwrap();
    let offer = alice.local_description().unwrap();
    let text = offer.text();
    let candidates: Vec<_> = text.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    assert!(!candidates.is_empty(), "{url}");
    assert!(candidates.iter().all(|line| line.contains(" typ relay ")), "{text}");
    bob.set_remote_description(&offer).unwrap();
    bob.set_local_description(None).unwrap();
    timeout(LONG, bob.gathering_complete()).await.unwrap();
    alice.set_remote_description(&bob.local_description().unwrap()).unwrap();

    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    let there = timeout(LONG, async {
        loop {
            if let Some(PeerConnectionEvent::DataChannel(channel)) = bob.next_event().await {
                return channel;
            }
        }
    });
    let there = there.await.unwrap();
    for (from, to) in [(&chat, &there), (&there, &chat)] {
        for size in [1usize, 1000, 100_000] {
            let sent = bytes::Bytes::from(vec![size as u8; size]);
            from.send(sent.clone()).await.unwrap();
            let received = timeout(LONG, to.recv()).await.unwrap().unwrap();
            assert!(*received.data() == sent, "{size} bytes");
        }
    }
    for connection in [&alice, &bob] {
        let pair = connection.selected_pair().unwrap();
        assert_eq!((pair.local.kind, pair.remote.kind), (CandidateKind::Relayed, CandidateKind::Relayed));
        let report = connection.get_stats();
        let protocols = report.iter().filter_map(|entry| match entry {
            Stats::LocalCandidate(candidate) => candidate.relay_protocol,
            _ => None,
        });
        assert_eq!(protocols.collect::<Vec<_>>(), [protocol]);
    }
    alice.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told() {
    let Some(coturn) = Coturn::start() else { return };
    let alice = behind(&coturn, coturn.server("wrong")).await;
    alice.create_data_channel("chat").unwrap();
    alice.set_local_description(None).unwrap();
    let error = timeout(LONG, async {
        loop {
            match alice.next_event().await {
                Some(PeerConnectionEvent::IceCandidateError(error)) => return error,
                Some(_) => {}
                None => panic!("{:?}", alice.failure()),
            }
        }
    });
    let error = error.await.unwrap();
    assert_eq!(error.error_code, 401, "{error:?}");
    assert_eq!(error.url, format!("turn:127.0.0.1:{}", coturn.port));
    assert!(error.error_text.contains("password"), "{error:?}");
    assert_ne!(alice.connection_state(), ConnectionState::Connected);
}

/// A client of RFC 6062 with its streams.
struct OfTcp {
    client: Client,
    streams: Streams,
    received: ReceiveBatch,
    told: Vec<Event>,
    data: Vec<u8>,
}

impl OfTcp {
    async fn new(coturn: &Coturn, transport: ServerTransport) -> Self {
        let (streams, mut received) = (Streams::default(), ReceiveBatch::default());
        streams.set_tls(tls_config([coturn.root.clone()]).unwrap());
        let is_tls = transport == ServerTransport::Tls;
        let port = if is_tls { coturn.tls_port } else { coturn.port };
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        let name = is_tls.then(|| "localhost".to_owned());
        let mut opening = StreamOpening::new(StreamToken(u64::MAX), local, server, Framing::Stun);
        opening.tls.clone_from(&name);
        streams.request(StreamRequest::Open(opening));
        let path = timeout(LONG, async {
            loop {
                poll_fn(|context| streams.poll_recv(context, &mut received)).await;
                match streams.take_report() {
                    Some(StreamReport::Opened { path, .. }) => return path,
                    Some(other) => panic!("{other:?}"),
                    None => {}
                }
            }
        });
        let mut config = Config::new("alice", "secret");
        config.transport = transport;
        config.server_name = name;
        config.requested_transport = RequestedTransport::TCP;
        let path = path.await.unwrap();
        let client = Client::new(Instant::now(), &default_provider().unwrap(), path, config).unwrap();
        Self { client, streams, received, told: Vec::new(), data: Vec::new() }
    }

    /// Goes on until something is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        loop {
            self.send_all();
            if is_so(self) {
                return;
            }
            assert!(began.elapsed() < LONG, "{what}: {:?}", self.told);
            let receive = poll_fn(|context| self.streams.poll_recv(context, &mut self.received));
            if timeout(Duration::from_millis(50), receive).await.is_ok() {
                self.receive();
            }
        }
    }

    fn send_all(&mut self) {
        let (now, mut batch) = (Instant::now(), TransmitBatch::new(1200));
        self.client.handle_timeout(now);
        while let Some(transmit) = self.client.poll_transmit(now, &mut batch) {
            // A stream that coturn has closed takes nothing.
            let _ = self.streams.try_send(&batch, &transmit);
            batch.clear();
        }
        while let Some(request) = self.client.poll_stream() {
            self.streams.request(request);
        }
        self.told.extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    fn receive(&mut self) {
        for Datagram { path, bytes, .. } in self.received.datagrams() {
            let datagram = Datagram::new(path, &mut *bytes);
            if let Ok(Opened::Data { range, .. }) = self.client.open(Instant::now(), datagram) {
                self.data.extend_from_slice(&bytes[range]);
            }
        }
        while let Some(report) = self.streams.take_report() {
            self.client.handle_stream(Instant::now(), report);
        }
    }

    fn connection_to(&self, to: SocketAddr) -> Option<FiveTuple> {
        self.told.iter().find_map(|event| match event {
            Event::Connected { peer, path } if *peer == to => Some(*path),
            _ => None,
        })
    }

    fn write(&mut self, peer: SocketAddr, data: &[u8]) {
        let mut batch = TransmitBatch::new(1200);
        let transmit = self.client.send(Instant::now(), peer, data, &mut batch).unwrap();
        self.streams.try_send(&batch, &transmit).unwrap();
    }
}

/// A server that sends back what it gets.
async fn echo_server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_to_peers_and_from_them_go_by_way_of_coturn() {
    let Some(coturn) = Coturn::start() else { return };
    for transport in [ServerTransport::Tcp, ServerTransport::Tls] {
        let mut here = OfTcp::new(&coturn, transport).await;
        here.until("an allocation", |here| here.client.allocation().is_some()).await;
        let relayed = here.client.allocation().unwrap().relayed[0];
        // Two at a time, each of which coturn wants a nonce of its own for.
        let peers = [echo_server().await, echo_server().await];
        for peer in peers {
            here.client.connect(Instant::now(), peer).unwrap();
        }
        here.until("connections", |here| peers.iter().all(|peer| here.connection_to(*peer).is_some())).await;
        for peer in peers {
            here.data.clear();
            let long: Vec<u8> = (0..60_000u32).map(|n| (n / 7) as u8).collect();
            here.write(peer, &long);
            here.until("an echo", |here| here.data.len() >= long.len()).await;
            assert!(here.data == long, "{transport:?}");
        }
        here.client.permit(Instant::now(), relayed.ip()).unwrap();
        here.until("a permission", |here| here.client.is_permitted(relayed.ip())).await;
        let mut caller = tokio::net::TcpStream::connect(relayed).await.unwrap();
        let from = caller.local_addr().unwrap();
        let id_of = |event: &Event| match event {
            Event::ConnectionAttempt { peer, id } if *peer == from => Some(*id),
            _ => None,
        };
        here.until("an attempt", |here| here.told.iter().find_map(id_of).is_some()).await;
        let id = here.told.iter().find_map(id_of).unwrap();
        here.client.accept(Instant::now(), id).unwrap();
        here.until("it is accepted", |here| here.connection_to(from).is_some()).await;
        here.data.clear();
        here.write(from, b"welcome");
        let mut got = [0; 7];
        timeout(LONG, caller.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(&got, b"welcome");
        caller.write_all(b"thanks").await.unwrap();
        here.until("an answer", |here| here.data == b"thanks").await;
        // Nobody listens there.
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        here.client.connect(Instant::now(), nobody).unwrap();
        let is_refused =
            |event: &Event| matches!(event, Event::ConnectionFailed { peer, .. } if *peer == nobody);
        here.until("a refusal", |here| here.told.iter().any(is_refused)).await;
        here.client.close(Instant::now());
        here.until("the end", |here| here.client.is_closed()).await;
    }
}
