//! Clients: the library's own, on blocking sockets.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::turn::{Client, Config};

use crate::bare::HELLO;
use crate::{PASSWORD, RELAY, USER, server};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client with an allocation.
pub struct Allocated {
    pub socket: UdpSocket,
    pub relayed: SocketAddr,
    /// There is none at the floor.
    client: Option<Client>,
}

impl Allocated {
    /// Asks for an allocation until there is one.
    pub fn new() -> Self {
        let socket = connected();
        let path = FiveTuple::udp(socket.local_addr().expect("bound"), server());
        let mut config = Config::new(USER, PASSWORD);
        config.transport = kaon_rtc::stun::ServerTransport::Udp;
        let mut client = Client::new(Instant::now(), &aws_lc_rs::provider(), path, config).expect("a client");
        until(&socket, &mut client, |client| client.allocation().is_some());
        let relayed = client.allocation().expect("granted").relayed[0];
        Self { socket, relayed, client: Some(client) }
    }

    /// Has an allocation, and binds the first channel to a peer.
    pub fn bound(peer: SocketAddr) -> Self {
        let mut this = Self::new();
        let client = this.client.as_mut().expect("made with one");
        client.bind(Instant::now(), peer).expect("an allocation");
        until(&this.socket, client, |client| client.channel(peer).is_some());
        this
    }

    /// Has the floor take what it sends to a peer.
    pub fn bare(peer: SocketAddr) -> Self {
        let socket = connected();
        let SocketAddr::V4(peer) = peer else { panic!("all is IPv4 here") };
        let mut port = [0; 2];
        loop {
            let hello = [&HELLO[..], &peer.ip().octets(), &peer.port().to_be_bytes()].concat();
            socket.send(&hello).expect("room to send");
            if socket.recv(&mut port).is_ok() {
                break;
            }
        }
        let ip = RELAY.parse().expect("an address");
        Self { socket, relayed: SocketAddr::new(ip, u16::from_be_bytes(port)), client: None }
    }
}

fn connected() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server()).expect("the server's address");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    socket
}

fn until(socket: &UdpSocket, client: &mut Client, is_so: impl Fn(&Client) -> bool) {
    let (begin, mut batch, mut buffer) = (Instant::now(), TransmitBatch::new(1200), [0; 1500]);
    while !is_so(client) {
        assert!(begin.elapsed() < PATIENCE, "the relay answers");
        client.handle_timeout(Instant::now());
        while let Some(transmit) = client.poll_transmit(Instant::now(), &mut batch) {
            socket.send(batch.bytes(&transmit)).expect("room to send");
        }
        batch.clear();
        if let Ok(count) = socket.recv(&mut buffer) {
            let datagram = Datagram::new(client.path(), &mut buffer[..count]);
            let _ = client.open(Instant::now(), datagram);
        }
    }
}

/// Waits until a server answers a Binding request.
pub fn wait_until_answered(server: SocketAddr) -> Result<(), String> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(Duration::from_millis(50))).map_err(|error| error.to_string())?;
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let _ = socket.send_to(b"\0\x01\0\0\x21\x12\xa4\x42abcdefghijkl", server);
        if socket.recv(&mut [0; 200]).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err("it does not answer".into())
}
