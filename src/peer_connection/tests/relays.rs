//! Relays that connections of one endpoint share: over UDP, TCP, TLS and DTLS.

use std::net::SocketAddr;

use super::*;
use crate::ice::TransportPolicy;
use crate::layer::{CandidateKind, IceCandidateError, RelayProtocol};
use crate::net::TurnServer;
use crate::session::Stats;
use crate::turn::server::{Config, Credentials, RelayAddress};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn config() -> Config {
    let relay = RelayAddress::new(loopback().ip()).with_ports(40_000..=49_151);
    let mut config = Config::new(Credentials::default().with_user("alice", "secret"), [relay]);
    config.policy = config.policy.allow("127.0.0.0/8".parse().unwrap());
    config
}

pub(super) fn serve() -> TurnServer {
    TurnServer::builder(config()).udp(loopback()).tcp(loopback()).bind().unwrap()
}

pub(super) fn socket() -> EndpointBuilder {
    Endpoint::builder().address(loopback()).loopback(true)
}

fn over_udp(at: SocketAddr) -> IceServer {
    IceServer::new(format!("turn:{at}")).with_credentials("alice", "secret")
}

pub(super) fn over_tcp(at: SocketAddr) -> IceServer {
    IceServer::new(format!("turn:{at}?transport=tcp")).with_credentials("alice", "secret")
}

/// A connection that shows relayed addresses alone.
pub(super) async fn behind(endpoint: &Endpoint, server: IceServer) -> PeerConnection {
    let builder = PeerConnection::builder().endpoint(endpoint).ice_servers([server]);
    builder.ice_transport_policy(TransportPolicy::Relay).build().await.unwrap()
}

pub(super) async fn exchange(alice: &PeerConnection, bob: &PeerConnection) {
    let chat = alice.create_data_channel("chat").unwrap();
    negotiate(alice, bob).await;
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    let there = channel_of(bob).await;
    for (from, to) in [(&chat, &there), (&there, &chat)] {
        for size in [1usize, 1000, 200_000] {
            let sent = Bytes::from(vec![size as u8; size]);
            from.send(sent.clone()).await.unwrap();
            assert!(*timeout(LONG, to.recv()).await.unwrap().unwrap().data() == sent, "{size} bytes");
        }
    }
}

pub(super) fn relay_protocols(connection: &PeerConnection) -> Vec<RelayProtocol> {
    let report = connection.get_stats();
    let protocols = report.iter().filter_map(|stats| match stats {
        Stats::LocalCandidate(candidate) => candidate.relay_protocol,
        _ => None,
    });
    protocols.collect()
}

/// Both sides use their relays, this one over the protocol.
fn assert_relayed(connection: &PeerConnection, protocol: RelayProtocol) {
    let pair = connection.selected_pair().unwrap();
    assert_eq!((pair.local.kind, pair.remote.kind), (CandidateKind::Relayed, CandidateKind::Relayed));
    assert_eq!(relay_protocols(connection), [protocol]);
}

/// Several connections of one endpoint use one server at the same time: each has a stream of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_meet_at_a_relay_over_tcp() {
    let server = serve();
    let endpoint = socket().bind().unwrap();
    let at = server.tcp_addrs()[0];
    let [alice, bob] = [behind(&endpoint, over_tcp(at)).await, behind(&endpoint, over_tcp(at)).await];
    exchange(&alice, &bob).await;
    for connection in [&alice, &bob] {
        assert_relayed(connection, RelayProtocol::Tcp);
    }
    assert_eq!(server.statistics().allocations, 2);
    // What is closed gives its allocation back, and its stream.
    timeout(LONG, alice.shutdown()).await.unwrap().unwrap();
    timeout(LONG, bob.shutdown()).await.unwrap().unwrap();
    let gone = async {
        while server.statistics().allocations > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, gone).await.expect("the allocations are gone");
}

/// RFC 8016 §3.2.1: a server keeps a mobile allocation when its stream ends, so that it has to be given back before. A nonce
/// that has grown old since is no reason not to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mobile_allocation_is_given_back_before_its_stream_is_closed() {
    for is_stale in [false, true] {
        let mut config = config();
        if is_stale {
            config.nonce_lifetime = Duration::from_secs(1);
        }
        let server = TurnServer::builder(config).udp(loopback()).tcp(loopback()).bind().unwrap();
        for url in [over_tcp(server.tcp_addrs()[0]), over_udp(server.udp_addrs()[0])] {
            let endpoint = socket().bind().unwrap();
            let builder = PeerConnection::builder().endpoint(&endpoint).ice_servers([url]);
            let mobile =
                builder.session(|config| config.transports.change_ice(|ice| ice.relay_mobility = true));
            for is_dropped in [false, true] {
                let alice = mobile.clone().build().await.unwrap();
                alice.create_data_channel("chat").unwrap();
                alice.set_local_description(None).unwrap();
                timeout(LONG, alice.gathering_complete()).await.unwrap();
                assert_eq!(server.statistics().allocations, 1);
                if is_stale {
                    tokio::time::sleep(Duration::from_millis(2100)).await;
                }
                alice.close();
                if is_dropped {
                    drop(alice);
                }
                let gone = async {
                    while server.statistics().allocations > 0 {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                let is_gone = timeout(Duration::from_secs(20), gone).await.is_ok();
                assert!(is_gone, "stale {is_stale}, dropped {is_dropped}: {:?}", server.statistics());
            }
        }
    }
}

/// RFC 8656 §7.2: an allocation for a five-tuple, and all connections of an endpoint have the same one to a server. Those
/// that find it taken have a socket of their own, which goes with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_one_socket_meet_at_a_relay_over_udp() {
    let server = serve();
    let endpoint = socket().bind().unwrap();
    let at = server.udp_addrs()[0];
    let mut pairs = Vec::new();
    for _ in 0..5 {
        let [alice, bob] = [behind(&endpoint, over_udp(at)).await, behind(&endpoint, over_udp(at)).await];
        exchange(&alice, &bob).await;
        for connection in [&alice, &bob] {
            assert_relayed(connection, RelayProtocol::Udp);
        }
        pairs.push((alice, bob));
    }
    assert_eq!(server.statistics().allocations, 10);
    for (alice, bob) in &pairs {
        timeout(LONG, alice.shutdown()).await.unwrap().unwrap();
        timeout(LONG, bob.shutdown()).await.unwrap().unwrap();
    }
    let gone = async {
        while server.statistics().allocations > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(LONG, gone).await.is_ok(), "{:?}", server.statistics());
}

/// What a connection is told of its only server.
async fn error_of(alice: &PeerConnection) -> IceCandidateError {
    alice.create_data_channel("chat").unwrap();
    alice.set_local_description(None).unwrap();
    let error = async {
        loop {
            match alice.next_event().await {
                Some(PeerConnectionEvent::IceCandidateError(error)) => return *error,
                Some(_) => {}
                None => panic!("{:?}", alice.failure()),
            }
        }
    };
    timeout(LONG, error).await.unwrap()
}

#[tokio::test]
async fn a_server_without_tcp_is_told_of_with_its_url() {
    let free = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    let alice = behind(&socket().bind().unwrap(), over_tcp(free)).await;
    let error = error_of(&alice).await;
    assert_eq!((error.error_code, error.url), (701, format!("turn:{free}?transport=tcp")));
    assert!(error.error_text.contains("refuses connections"), "{}", error.error_text);
}

/// A proxy that speaks TLS in front of a server, with a certificate for these names; its root.
#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
async fn with_tls(
    server: SocketAddr,
    names: &[&str],
) -> (SocketAddr, rustls::pki_types::CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (root, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![root.clone()], rustls::pki_types::PrivatePkcs8KeyDer::from(key).into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outside) = acceptor.accept(stream).await else { return };
                let mut inside = tokio::net::TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            });
        }
    });
    (at, root)
}

#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
fn over_tls(host: &str, at: SocketAddr) -> IceServer {
    IceServer::new(format!("turns:{host}:{}", at.port())).with_credentials("alice", "secret")
}

#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_meet_at_a_relay_over_tls() {
    let server = serve();
    let (at, root) = with_tls(server.tcp_addrs()[0], &["localhost", "127.0.0.1"]).await;
    let trusting = socket().tls(crate::net::tls_config([root]).unwrap());
    // By name with SNI, and by address.
    let alice = behind(&trusting.clone().bind().unwrap(), over_tls("localhost", at)).await;
    let bob = behind(&trusting.bind().unwrap(), over_tls("127.0.0.1", at)).await;
    exchange(&alice, &bob).await;
    for connection in [&alice, &bob] {
        assert_eq!(relay_protocols(connection), [RelayProtocol::Tls]);
    }
    assert_eq!(server.statistics().allocations, 2);
}

#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
#[tokio::test]
async fn certificates_that_do_not_verify_are_told_of_with_what_to_do() {
    let server = serve();
    let (at, root) = with_tls(server.tcp_addrs()[0], &["relay.example.org"]).await;
    let trusting = socket().tls(crate::net::tls_config([root]).unwrap());
    let plain = server.tcp_addrs()[0];
    for (socket, at, words) in [
        (socket(), at, "authority that is not known"),
        (trusting.clone(), at, "not for 127.0.0.1"),
        (trusting, plain, "TLS"),
    ] {
        let alice = behind(&socket.bind().unwrap(), over_tls("127.0.0.1", at)).await;
        let error = error_of(&alice).await;
        assert_eq!((error.error_code, error.url), (701, format!("turns:127.0.0.1:{}", at.port())));
        assert!(error.error_text.contains(words), "{}", error.error_text);
    }
    assert_eq!(server.statistics().allocations, 0);
}

/// RFC 7064 §3.2: TLS over TCP.
#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
#[tokio::test]
async fn stuns_servers_are_asked_over_tls() {
    use crate::stun::{Class, Message, MessageBuilder, Method};

    let server = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let (at, root) = with_tls(server.local_addr().unwrap(), &["localhost"]).await;
    let socket = socket().tls(crate::net::tls_config([root]).unwrap());
    let url = format!("stuns:localhost:{}", at.port());
    let builder = PeerConnection::builder().socket(socket.clone()).ice_servers([IceServer::new(&url)]);
    let alice = builder.build().await.unwrap();
    alice.create_data_channel("chat").unwrap();
    alice.set_local_description(None).unwrap();
    // Nothing waits for the answer.
    timeout(LONG, alice.gathering_complete()).await.unwrap();
    let (mut asked, _) = timeout(LONG, server.accept()).await.unwrap().unwrap();
    let mut question = [0; 100];
    let count = timeout(LONG, asked.read(&mut question)).await.unwrap().unwrap();
    let question = Message::decode(&question[..count]).unwrap();
    assert_eq!((question.class(), question.method()), (Class::Request, Method::BINDING));
    let mut answer = Vec::new();
    MessageBuilder::new(&mut answer, Class::Success, Method::BINDING, question.transaction_id())
        .xor_mapped_address("192.0.2.7:7".parse().unwrap())
        .finish()
        .unwrap();
    asked.write_all(&answer).await.unwrap();
    let end = timeout(LONG, asked.read(&mut [0; 100])).await.expect("it has its answer, and hangs up");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    timeout(LONG, alice.shutdown()).await.unwrap().unwrap();

    // One whose certificate is for another name.
    let url = format!("stuns:127.0.0.1:{}", at.port());
    let builder = PeerConnection::builder().socket(socket).ice_servers([IceServer::new(&url)]);
    let error = error_of(&builder.build().await.unwrap()).await;
    assert_eq!((error.error_code, error.url), (701, url));
    assert!(error.error_text.contains("not for 127.0.0.1"), "{}", error.error_text);
}

/// A proxy that speaks DTLS in front of a server; its root.
#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
async fn with_dtls(
    server: SocketAddr,
    names: &[&str],
) -> (SocketAddr, rustls::pki_types::CertificateDer<'static>) {
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;

    use crate::crypto::PrivateKey;
    use crate::dtls::{ClientAuthentication, Identity, Listener, ListenerConfig, PeerVerification};
    use crate::layer::{DtlsEvent, DtlsTransport};
    use crate::net::{Driver, UdpSocket};

    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (root, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let provider = crate::crypto::aws_lc_rs::provider();
    let identity = Identity::from_der(&provider, vec![root.to_vec()], &PrivateKey::from_pkcs8(&key)).unwrap();
    let mut config = crate::dtls::Config::new(provider, identity);
    config.client_authentication = ClientAuthentication::None;
    let listener =
        Listener::new(Arc::new(config), PeerVerification::AcceptAny, ListenerConfig::default()).unwrap();
    let mut outside = Driver::new(UdpSocket::bind(loopback()).unwrap(), listener);
    let at = outside.socket().local_addr();
    tokio::spawn(async move {
        let mut inside = HashMap::new();
        let (back, mut forth) = tokio::sync::mpsc::unbounded_channel();
        loop {
            tokio::select! {
                event = outside.next_event() => {
                    let event = event.unwrap();
                    let DtlsEvent::ApplicationData(data) = event.event else { continue };
                    if let Entry::Vacant(place) = inside.entry(event.path) {
                        let socket = Arc::new(tokio::net::UdpSocket::bind(loopback()).await.unwrap());
                        let (from, path, back) = (socket.clone(), event.path, back.clone());
                        tokio::spawn(async move {
                            let mut buffer = [0; 2000];
                            while let Ok(count) = from.recv(&mut buffer).await {
                                back.send((path, buffer[..count].to_vec())).unwrap();
                            }
                        });
                        place.insert(socket);
                    }
                    inside[&event.path].send_to(&data, server).await.unwrap();
                }
                Some((path, data)) = forth.recv() => {
                    let mut record = Vec::new();
                    let connection = outside.layer_mut().connection_mut(&path).unwrap();
                    connection.seal(&data, &mut record).unwrap();
                    outside.socket().send_datagram(&path, &record).await.unwrap();
                }
            }
        }
    });
    (at, root)
}

#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
fn over_dtls(host: &str, at: SocketAddr) -> IceServer {
    let url = format!("turns:{host}:{}?transport=udp", at.port());
    IceServer::new(url).with_credentials("alice", "secret")
}

#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_meet_at_a_relay_over_dtls() {
    let server = serve();
    let (at, root) = with_dtls(server.udp_addrs()[0], &["localhost", "127.0.0.1"]).await;
    let trusting = socket().tls(crate::net::tls_config([root]).unwrap());
    let alice = behind(&trusting.clone().bind().unwrap(), over_dtls("localhost", at)).await;
    let bob = behind(&trusting.bind().unwrap(), over_dtls("127.0.0.1", at)).await;
    exchange(&alice, &bob).await;
    assert_eq!(server.statistics().allocations, 2);
    for connection in [&alice, &bob] {
        assert_eq!(relay_protocols(connection), [RelayProtocol::Udp]);
    }
}

#[cfg(all(feature = "tls", feature = "aws-lc-rs"))]
#[tokio::test]
async fn certificates_over_dtls_are_verified_as_those_over_tls() {
    let server = serve();
    let (at, root) = with_dtls(server.udp_addrs()[0], &["relay.example.org"]).await;
    let trusting = socket().tls(crate::net::tls_config([root]).unwrap());
    let free = std::net::UdpSocket::bind(loopback()).unwrap().local_addr().unwrap();
    for (socket, at, words) in [
        (socket(), at, "authority that is not known"),
        (trusting.clone(), at, "not for 127.0.0.1"),
        (trusting, free, "does not take DTLS"),
    ] {
        let alice = behind(&socket.bind().unwrap(), over_dtls("127.0.0.1", at)).await;
        let error = error_of(&alice).await;
        assert_eq!(error.error_code, 701);
        assert_eq!(error.url, format!("turns:127.0.0.1:{}?transport=udp", at.port()));
        assert!(error.error_text.contains(words), "{}", error.error_text);
    }
    assert_eq!(server.statistics().allocations, 0);
}
