//! The client of this library at a real server, over loopback.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::*;
use crate::layer::{Datagram, FiveTuple, Layer, Protocol, TransmitBatch};
use crate::stun::{ServerTransport, StreamFraming};
use crate::turn::server::{Grant, Question, RelayAddress};
use crate::turn::{Client, Opened};

const PATIENCE: Duration = Duration::from_secs(20);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn config() -> Config {
    let relay = RelayAddress::new(loopback().ip()).with_ports(40_000..=49_151);
    let mut config = Config::new(Credentials::default().with_user("alice", "secret"), [relay]);
    config.policy = config.policy.allow("127.0.0.0/8".parse().unwrap());
    config
}

fn serve() -> TurnServer {
    TurnServer::builder(config()).udp(loopback()).tcp(loopback()).sockets_per_address(2).bind().unwrap()
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

enum Wire {
    Udp(UdpSocket),
    #[cfg(feature = "dtls")]
    Dtls(dtls::Secured),
    Stream(Box<dyn Stream>, StreamFraming),
}

/// A client with its socket.
struct Caller {
    client: Client,
    wire: Wire,
    path: FiveTuple,
    data: Vec<(SocketAddr, Vec<u8>)>,
    /// All that the server sent.
    raw: Vec<Vec<u8>>,
}

impl Caller {
    async fn new(server: &TurnServer, transport: ServerTransport, user: &str) -> Self {
        if transport == ServerTransport::Udp {
            let socket = UdpSocket::bind(loopback()).await.unwrap();
            let path = FiveTuple::udp(socket.local_addr().unwrap(), server.udp_addrs()[0]);
            return Self::over(Wire::Udp(socket), path, transport, user);
        }
        let stream = TcpStream::connect(server.tcp_addrs()[0]).await.unwrap();
        let (local, remote) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let path = FiveTuple { protocol: Protocol::Tcp, local, remote };
        Self::over(Wire::Stream(Box::new(stream), StreamFraming::default()), path, transport, user)
    }

    fn over(wire: Wire, path: FiveTuple, transport: ServerTransport, user: &str) -> Self {
        let mut config = crate::turn::Config::new(user, "secret");
        config.transport = transport;
        let client = Client::new(Instant::now(), &default_provider().unwrap(), path, config).unwrap();
        Self { client, wire, path, data: Vec::new(), raw: Vec::new() }
    }

    /// Has a channel to a peer.
    async fn bind(&mut self, peer: SocketAddr) {
        self.client.bind(Instant::now(), peer).unwrap();
        self.until(|caller| caller.client.channel(peer).is_some()).await;
    }

    async fn write(&mut self, peer: SocketAddr, data: &[u8]) {
        let mut batch = TransmitBatch::new(1200);
        let transmit = self.client.send(Instant::now(), peer, data, &mut batch).unwrap();
        self.send(&batch, &transmit).await;
    }

    fn relayed(&self) -> SocketAddr {
        self.client.allocation().unwrap().relayed[0]
    }

    async fn send(&mut self, batch: &TransmitBatch, transmit: &crate::layer::Transmit) {
        match &mut self.wire {
            Wire::Udp(socket) => drop(socket.send_to(batch.bytes(transmit), self.path.remote).await.unwrap()),
            #[cfg(feature = "dtls")]
            Wire::Dtls(secured) => secured.send(batch.bytes(transmit)).await,
            Wire::Stream(stream, _) => stream.write_all(batch.bytes(transmit)).await.unwrap(),
        }
    }

    /// Goes on until something is so.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        let wait = async {
            while !is_so(self) {
                let mut batch = TransmitBatch::new(1200);
                self.client.handle_timeout(Instant::now());
                while let Some(transmit) = self.client.poll_transmit(Instant::now(), &mut batch) {
                    self.send(&batch, &transmit).await;
                }
                self.read().await;
            }
        };
        timeout(PATIENCE, wait).await.expect("in time");
    }

    async fn read(&mut self) {
        let mut buffer = vec![0; 2048];
        let tick = Duration::from_millis(20);
        let mut messages = Vec::new();
        match &mut self.wire {
            Wire::Udp(socket) => {
                if let Ok(read) = timeout(tick, socket.recv(&mut buffer)).await {
                    messages.push(buffer[..read.unwrap()].to_vec());
                }
            }
            #[cfg(feature = "dtls")]
            Wire::Dtls(secured) => messages = secured.read(tick).await,
            Wire::Stream(stream, framing) => {
                if let Ok(read) = timeout(tick, stream.read(&mut buffer)).await {
                    framing.push(&buffer[..read.unwrap()]);
                }
                while let Some(message) = framing.next_message().unwrap() {
                    messages.push(message.to_vec());
                }
            }
        }
        for mut message in messages {
            self.raw.push(message.clone());
            let datagram = Datagram::new(self.path, &mut message);
            if let Ok(Opened::Data { peer, range }) = self.client.open(Instant::now(), datagram) {
                self.data.push((peer, message[range].to_vec()));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_is_relayed_over_udp_and_tcp() {
    let server = serve();
    for transport in [ServerTransport::Udp, ServerTransport::Tcp] {
        let peer = UdpSocket::bind(loopback()).await.unwrap();
        let address = peer.local_addr().unwrap();
        let mut caller = Caller::new(&server, transport, "alice").await;
        caller.bind(address).await;
        caller.write(address, b"hello").await;
        let mut buffer = [0; 100];
        let (count, relayed) = timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(
            (&buffer[..count], relayed),
            (&b"hello"[..], caller.client.allocation().unwrap().relayed[0])
        );
        peer.send_to(b"answer", relayed).await.unwrap();
        caller.until(|caller| caller.data == [(address, b"answer".to_vec())]).await;
    }
    assert!(server.statistics().traffic.bytes_out >= 10);
    let begin = Instant::now();
    server.drain(Duration::from_millis(100)).await;
    assert!(begin.elapsed() < PATIENCE);
    assert_eq!(server.statistics().allocations, 0);
}

/// A session that ends says so to its peer, and gives its allocation back in the same breath.
#[tokio::test]
async fn the_last_words_of_a_client_are_relayed() {
    let server = serve();
    let peer = UdpSocket::bind(loopback()).await.unwrap();
    let address = peer.local_addr().unwrap();
    let mut caller = Caller::new(&server, ServerTransport::Tcp, "alice").await;
    caller.bind(address).await;
    let (now, mut batch) = (Instant::now(), TransmitBatch::new(1200));
    let goodbye = caller.client.send(now, address, b"goodbye", &mut batch).unwrap();
    caller.client.close(now);
    caller.client.handle_timeout(now);
    let end = caller.client.poll_transmit(now, &mut batch).unwrap();
    let both = [batch.bytes(&goodbye), batch.bytes(&end)].concat();
    let Wire::Stream(stream, _) = &mut caller.wire else { unreachable!() };
    stream.write_all(&both).await.unwrap();
    let mut buffer = [0; 100];
    let count = timeout(PATIENCE, peer.recv(&mut buffer)).await.expect("it is relayed").unwrap();
    assert_eq!(&buffer[..count], b"goodbye");
    caller.until(|_| server.statistics().allocations == 0).await;
}

#[tokio::test]
async fn empty_datagrams_are_datagrams() {
    let server = serve();
    let peer = UdpSocket::bind(loopback()).await.unwrap();
    let address = peer.local_addr().unwrap();
    let mut caller = Caller::new(&server, ServerTransport::Udp, "alice").await;
    caller.bind(address).await;
    caller.write(address, b"").await;
    let mut buffer = [0; 100];
    let (count, relayed) = timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((count, relayed), (0, caller.relayed()));
    peer.send_to(b"", relayed).await.unwrap();
    caller.until(|caller| caller.data == [(address, Vec::new())]).await;
}

/// RFC 8656 §7.2: where sockets never fragment, who wants that is not refused, and what is sent so arrives.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn datagrams_that_are_not_to_be_fragmented_are_relayed() {
    use crate::stun::{AttributeType, Class, MessageBuilder, Method, TransactionId};
    let server = serve();
    let peer = UdpSocket::bind(loopback()).await.unwrap();
    let address = peer.local_addr().unwrap();
    let mut caller = Caller::new(&server, ServerTransport::Udp, "alice").await;
    caller.bind(address).await;
    let mut bytes = Vec::new();
    MessageBuilder::new(&mut bytes, Class::Indication, Method::SEND, TransactionId([1; 12]))
        .xor_address(AttributeType::XOR_PEER_ADDRESS, address)
        .attribute(AttributeType::DONT_FRAGMENT, b"")
        .attribute(AttributeType::DATA, b"whole")
        .finish()
        .unwrap();
    let Wire::Udp(socket) = &caller.wire else { unreachable!() };
    socket.send_to(&bytes, caller.path.remote).await.unwrap();
    let mut buffer = [0; 100];
    let (count, from) = timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((&buffer[..count], from), (&b"whole"[..], caller.relayed()));
}

/// RFC 8656 §11.5: the client hears of a port that nobody listens on.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn icmp_errors_are_told_to_the_client() {
    use crate::stun::{AttributeType, Message};
    let server = serve();
    let gone = std::net::UdpSocket::bind(loopback()).unwrap().local_addr().unwrap();
    let mut caller = Caller::new(&server, ServerTransport::Udp, "alice").await;
    caller.bind(gone).await;
    caller.write(gone, b"anybody there?").await;
    let is_told = |bytes: &Vec<u8>| {
        let Ok(message) = Message::decode(bytes) else { return false };
        let icmp = message.attribute(AttributeType::ICMP).and_then(crate::turn::Icmp::decode);
        let peer = message.xor_address(AttributeType::XOR_PEER_ADDRESS);
        peer == Some(gone) && icmp == Some(crate::turn::Icmp { kind: 3, code: 3, data: 0 })
    };
    caller.until(|caller| caller.raw.iter().any(is_told)).await;
    // What is sent afterwards still goes.
    let peer = UdpSocket::bind(loopback()).await.unwrap();
    caller.bind(peer.local_addr().unwrap()).await;
    caller.write(peer.local_addr().unwrap(), b"hello").await;
    timeout(PATIENCE, peer.recv_from(&mut [0; 100])).await.unwrap().unwrap();
}

/// Who is allowed 127.0.0.0/8 is not allowed another address of this machine, or what its networks broadcast to.
#[tokio::test]
async fn addresses_of_the_machine_are_no_peers_unless_they_are_allowed() {
    let own = if_addrs::get_if_addrs().unwrap();
    let policy = without_own(PeerPolicy::default(), std::iter::empty());
    assert!(own.iter().all(|interface| !policy.permits_address(interface.ip())));
    let everything = ["0.0.0.0/0", "::/0"].map(|range| range.parse::<Cidr>().unwrap());
    let policy = without_own(everything.into_iter().fold(policy, PeerPolicy::allow), std::iter::empty());
    assert!(own.iter().all(|interface| policy.permits_address(interface.ip())));
    for interface in own.iter().filter(|interface| !interface.is_p2p) {
        if let if_addrs::IfAddr::V4(v4) = &interface.addr
            && let Some(broadcast) = v4.broadcast.filter(|broadcast| *broadcast != v4.ip)
        {
            assert!(!policy.permits_address(broadcast.into()), "{broadcast}");
        }
    }
}

#[cfg(feature = "dtls")]
mod dtls;
mod peers;
mod tcp_client;

#[cfg(feature = "tls")]
mod tls {
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};

    use super::*;

    fn identity(name: &str) -> (TlsIdentity, CertificateDer<'static>) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        (TlsIdentity::from_pem(pem.as_bytes(), key.as_bytes()).unwrap(), made.cert.der().clone())
    }

    async fn connect(
        address: SocketAddr,
        name: &'static str,
        root: &CertificateDer<'static>,
    ) -> std::io::Result<Caller> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
        let path = FiveTuple { protocol: Protocol::Tcp, local, remote };
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from(name).unwrap(), stream).await?;
        let wire = Wire::Stream(Box::new(stream), StreamFraming::default());
        Ok(Caller::over(wire, path, ServerTransport::Tls, "alice"))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn data_is_relayed_over_tls_and_certificates_change() {
        let (first, first_root) = identity("first.example");
        let server = TurnServer::builder(config()).tls(loopback(), first).bind().unwrap();
        let address = server.tls_addrs()[0];
        let mut caller = connect(address, "first.example", &first_root).await.unwrap();
        let peer = UdpSocket::bind(loopback()).await.unwrap();
        caller.bind(peer.local_addr().unwrap()).await;
        caller.write(peer.local_addr().unwrap(), b"hello").await;
        let mut buffer = [0; 100];
        let (count, relayed) = timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
        assert_eq!((&buffer[..count], relayed), (&b"hello"[..], caller.relayed()));
        let (second, second_root) = identity("second.example");
        server.set_tls_identity(second).unwrap();
        assert!(connect(address, "first.example", &first_root).await.is_err());
        let mut other = connect(address, "second.example", &second_root).await.unwrap();
        other.until(|caller| caller.client.allocation().is_some()).await;
        // Connections that stood go on.
        peer.send_to(b"answer", relayed).await.unwrap();
        caller.until(|caller| caller.data.len() == 1).await;
    }

    #[tokio::test]
    async fn who_does_not_finish_a_handshake_is_cut_off() {
        let limits = ConnectionLimits { message: Duration::from_millis(200), ..ConnectionLimits::default() };
        let (identity, _) = identity("relay.example");
        let builder = TurnServer::builder(config()).tls(loopback(), identity).connection_limits(limits);
        let server = builder.bind().unwrap();
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01", b""] {
            let mut stream = TcpStream::connect(server.tls_addrs()[0]).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            let end = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
            assert!(end.is_ok(), "it is closed");
        }
        let end = async {
            while server.connections() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, end).await.expect("nothing is kept of them");
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b.example".to_owned()]).unwrap();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        for (certificate, key, why) in [
            ("", key.as_str(), "no certificate"),
            ("nonsense", &key, "no certificate"),
            (&pem, "nonsense", "private key"),
            (&pem, &other.signing_key.serialize_pem(), "certificate and the key"),
        ] {
            let error = TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}

struct Guests;

#[async_trait]
impl AuthHandler for Guests {
    async fn authenticate(&self, question: Question) -> Option<Grant> {
        question.username.starts_with("guest").then(|| Grant::password("guests", "secret"))
    }
}

#[tokio::test]
async fn a_handler_knows_users() {
    let server = TurnServer::builder(config()).udp(loopback()).auth_handler(Guests).bind().unwrap();
    let mut caller = Caller::new(&server, ServerTransport::Udp, "guest 7").await;
    caller.until(|caller| caller.client.allocation().is_some()).await;
    let mut caller = Caller::new(&server, ServerTransport::Udp, "eve").await;
    caller.until(|caller| caller.client.poll_timeout().is_none()).await;
    let events: Vec<_> = std::iter::from_fn(|| caller.client.poll_event()).collect();
    assert!(matches!(&events[..], [crate::turn::Event::Failed(_)]), "{events:?}");
}

#[tokio::test]
async fn connections_that_do_not_speak_turn_are_closed() {
    let limits = ConnectionLimits {
        per_source: 2,
        message: Duration::from_millis(200),
        idle: Duration::from_millis(400),
        ..ConnectionLimits::default()
    };
    let server = TurnServer::builder(config()).tcp(loopback()).connection_limits(limits).bind().unwrap();
    // Another protocol, half a message, a length that lies, and nothing at all.
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\0\x03\0\x08\x21\x12\xa4\x42", b"\x40\0\xff\xff12345", b""] {
        let mut stream = TcpStream::connect(server.tcp_addrs()[0]).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let end = timeout(PATIENCE, stream.read(&mut [0; 10])).await.expect("it is closed");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    let address = server.tcp_addrs()[0];
    let _first = TcpStream::connect(address).await.unwrap();
    let _second = TcpStream::connect(address).await.unwrap();
    let mut third = TcpStream::connect(address).await.unwrap();
    let end = timeout(PATIENCE, third.read(&mut [0; 10])).await.expect("one address has two");
    assert!(matches!(end, Ok(0) | Err(_)));
}

/// Long messages are for those who have an allocation: what a stranger says of a length takes no memory.
#[tokio::test]
async fn strangers_have_no_long_messages() {
    let limits = ConnectionLimits { message: 60 * PATIENCE, idle: 60 * PATIENCE, ..Default::default() };
    let server = TurnServer::builder(config()).tcp(loopback()).connection_limits(limits).bind().unwrap();
    let long = [&[0x40, 0, 0xea, 0x60][..], &[7; 60_000]].concat();
    let mut stranger = TcpStream::connect(server.tcp_addrs()[0]).await.unwrap();
    let _ = stranger.write_all(&long[..50_000]).await;
    let end = timeout(PATIENCE, stranger.read(&mut [0])).await.expect("it is closed");
    assert!(matches!(end, Ok(0) | Err(_)));
    let peer = UdpSocket::bind(loopback()).await.unwrap();
    let mut caller = Caller::new(&server, ServerTransport::Tcp, "alice").await;
    caller.bind(peer.local_addr().unwrap()).await;
    let Wire::Stream(stream, _) = &mut caller.wire else { unreachable!() };
    stream.write_all(&long).await.unwrap();
    let mut received = vec![0; 65_535];
    let count = timeout(PATIENCE, peer.recv(&mut received)).await.expect("in time").unwrap();
    assert_eq!(count, 60_000);
}

/// The task of a connection learns of its end a moment later than who connects again.
#[tokio::test]
async fn a_connection_from_a_port_that_was_used_before_is_another() {
    use super::connection::{enter, leave};
    let server = serve();
    let remote = "192.0.2.7:5000".parse().unwrap();
    let path = FiveTuple { protocol: Protocol::Tcp, local: server.tcp_addrs()[0], remote };
    let mut before = enter(&server.shared, path, ConnectionLimits::default()).unwrap();
    let after = enter(&server.shared, path, ConnectionLimits::default()).unwrap();
    assert!(before.next().await.is_none(), "it is told that it is over");
    leave(&server.shared, path, &before.mark());
    assert_eq!(server.connections(), 1);
    leave(&server.shared, path, &after.mark());
    assert_eq!((server.connections(), server.shared.state().by_source.count(remote.ip())), (0, 0));
}
