//! Over DTLS.

use super::*;
use crate::dtls::{self, Connection, Identity, PeerVerification};
use crate::layer::DtlsTransport;

/// A socket with a DTLS client on it.
pub(super) struct Secured {
    socket: UdpSocket,
    path: FiveTuple,
    connection: Connection,
}

impl Secured {
    async fn connect(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(loopback()).await.unwrap();
        let path = FiveTuple::udp(socket.local_addr().unwrap(), server);
        let config = dtls::Config::anonymous(default_provider().unwrap());
        let connection = Connection::client(config.into(), PeerVerification::AcceptAny).unwrap();
        let mut this = Self { socket, path, connection };
        let connected = async {
            while !this.connection.is_connected() && !this.connection.is_ended() {
                assert_eq!(this.read(Duration::from_millis(20)).await, Vec::<Vec<u8>>::new());
            }
        };
        timeout(PATIENCE, connected).await.expect("a connection");
        this
    }

    async fn flush(&mut self) {
        let mut batch = TransmitBatch::new(1200);
        self.connection.handle_timeout(Instant::now());
        while let Some(transmit) = self.connection.poll_transmit(Instant::now(), &mut batch) {
            for datagram in batch.datagrams(&transmit) {
                self.socket.send_to(datagram, self.path.remote).await.unwrap();
            }
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let mut record = Vec::new();
        // It may have been closed.
        let _ = self.connection.seal(bytes, &mut record);
        self.socket.send_to(&record, self.path.remote).await.unwrap();
    }

    pub(super) async fn read(&mut self, tick: Duration) -> Vec<Vec<u8>> {
        self.flush().await;
        let (mut buffer, mut messages) = (vec![0; 2048], Vec::new());
        if let Ok(count) = timeout(tick, self.socket.recv(&mut buffer)).await {
            let datagram = Datagram::new(self.path, &mut buffer[..count.unwrap()]);
            let mut deliver = |data: &mut [u8]| messages.push(data.to_vec());
            let _ = self.connection.receive(Instant::now(), datagram, &mut deliver);
        }
        self.flush().await;
        messages
    }
}

fn identity() -> dtls::Config {
    let provider = default_provider().unwrap();
    dtls::Config::new(provider.clone(), Identity::generate(&provider).unwrap())
}

async fn caller(server: &TurnServer) -> Caller {
    let secured = Secured::connect(server.dtls_addrs()[0]).await;
    let path = secured.path;
    Caller::over(Wire::Dtls(secured), path, ServerTransport::Dtls, "alice")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_is_relayed_over_dtls() {
    let server = TurnServer::builder(config()).dtls(loopback(), identity()).bind().unwrap();
    let mut caller = caller(&server).await;
    let peer = UdpSocket::bind(loopback()).await.unwrap();
    let address = peer.local_addr().unwrap();
    caller.bind(address).await;
    caller.write(address, b"hello").await;
    let mut buffer = [0; 100];
    let (count, relayed) = timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((&buffer[..count], relayed), (&b"hello"[..], caller.relayed()));
    for _ in 0..5 {
        peer.send_to(b"answer", relayed).await.unwrap();
    }
    caller.until(|caller| caller.data.len() == 5).await;
    // Who says goodbye has no allocation any more.
    let Wire::Dtls(secured) = &mut caller.wire else { unreachable!() };
    secured.connection.close(Instant::now());
    secured.flush().await;
    let gone = async {
        while server.statistics().allocations > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("it is released");
}

/// Who comes now is shown another certificate, and who has come before is served on.
async fn shows(server: &TurnServer, certificate: &[u8], before: &mut Caller) {
    let secured = Secured::connect(server.dtls_addrs()[0]).await;
    assert_eq!(secured.connection.peer_certificate(), Some(certificate));
    let peer = UdpSocket::bind(loopback()).await.unwrap();
    let address = peer.local_addr().unwrap();
    before.bind(address).await;
    before.write(address, b"hello").await;
    let mut buffer = [0; 100];
    let (count, relayed) = timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!((&buffer[..count], relayed), (&b"hello"[..], before.relayed()));
}

#[tokio::test]
async fn certificates_change() {
    let provider = default_provider().unwrap();
    let [first, second] = [(); 2].map(|()| Identity::generate(&provider).unwrap());
    let dtls = dtls::Config::new(provider, first.clone());
    let builder = TurnServer::builder(config()).dtls(loopback(), dtls.clone()).dtls(loopback(), dtls);
    let server = builder.bind().unwrap();
    let mut caller = caller(&server).await;
    shows(&server, first.certificate(), &mut caller).await;
    server.set_dtls_identity(second.clone()).unwrap();
    shows(&server, second.certificate(), &mut caller).await;
    let other = Secured::connect(server.dtls_addrs()[1]).await;
    assert_eq!(other.connection.peer_certificate(), Some(second.certificate()));
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn certificates_change_with_those_of_tls() {
    let made = rcgen::generate_simple_self_signed(["relay.example".to_owned()]).unwrap();
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let other = TlsIdentity::from_pem(pem.as_bytes(), key.as_bytes()).unwrap();
    let server = TurnServer::builder(config()).tls(loopback(), other.clone()).dtls(loopback(), identity());
    let server = server.bind().unwrap();
    let mut caller = caller(&server).await;
    server.set_tls_identity(other.clone()).unwrap();
    shows(&server, made.cert.der(), &mut caller).await;

    // What DTLS cannot show changes nothing, unless there is something else for it.
    let of_rustls = TlsIdentity::from(other.tls.clone());
    let refused = server.set_tls_identity(of_rustls.clone());
    assert!(matches!(refused, Err(TlsIdentityError::NoDtls)), "{refused:?}");
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let params = rcgen::CertificateParams::new(["relay.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&ed25519).unwrap().pem();
    let strange = TlsIdentity::from_pem(certificate.as_bytes(), ed25519.serialize_pem().as_bytes()).unwrap();
    let refused = server.set_tls_identity(strange);
    assert!(matches!(refused, Err(TlsIdentityError::Dtls(_))), "{refused:?}");
    shows(&server, made.cert.der(), &mut caller).await;
    let third = Identity::generate(&default_provider().unwrap()).unwrap();
    server.set_tls_identity(of_rustls.with_dtls(third.clone())).unwrap();
    shows(&server, third.certificate(), &mut caller).await;
}

/// Times that no clock counts are as short, or as long, as those that it does.
#[tokio::test]
async fn limits_of_no_time_and_of_all_time_serve() {
    for time in [Duration::ZERO, Duration::MAX] {
        let limits = ConnectionLimits { idle: time, message: time, ..ConnectionLimits::default() };
        let builder = TurnServer::builder(config()).tcp(loopback()).dtls(loopback(), identity());
        let server = builder.connection_limits(limits).bind().unwrap();
        Secured::connect(server.dtls_addrs()[0]).await;
        let mut stream = TcpStream::connect(server.tcp_addrs()[0]).await.unwrap();
        let end = timeout(Duration::from_millis(200), stream.read(&mut [0; 10])).await;
        assert_eq!(end.is_ok(), time == Duration::ZERO, "{end:?}");
    }
}

#[tokio::test]
async fn who_has_no_allocation_is_closed_and_who_has_too_many_connections() {
    let limits =
        ConnectionLimits { per_source: 2, idle: Duration::from_millis(300), ..ConnectionLimits::default() };
    let builder = TurnServer::builder(config()).dtls(loopback(), identity()).connection_limits(limits);
    let server = builder.bind().unwrap();
    let address = server.dtls_addrs()[0];
    let mut served = caller(&server).await;
    served.until(|caller| caller.client.allocation().is_some()).await;
    let _idle = Secured::connect(address).await;
    let third = timeout(Duration::from_millis(100), Secured::connect(address)).await;
    assert!(third.is_err(), "one address has two");
    // The idle one is closed, and makes room for another; that with an allocation stays.
    let room = async {
        loop {
            let got = async {
                let mut next = caller(&server).await;
                next.until(|caller| caller.client.allocation().is_some()).await;
            };
            if timeout(Duration::from_millis(500), got).await.is_ok() {
                break;
            }
        }
    };
    timeout(PATIENCE, room).await.expect("there is room");
    assert_eq!(server.statistics().allocations, 2);
    // Nothing but handshakes is answered.
    let stranger = UdpSocket::bind(loopback()).await.unwrap();
    stranger.send_to(b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl", address).await.unwrap();
    assert!(timeout(Duration::from_millis(200), stranger.recv(&mut [0; 100])).await.is_err());
}
