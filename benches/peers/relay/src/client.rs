//! Clients: the library's own, on blocking sockets.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::turn::{Client, Config};

use crate::{PASSWORD, USER, server};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client with an allocation.
pub struct Allocated {
    pub socket: UdpSocket,
    pub relayed: SocketAddr,
    client: Client,
}

impl Allocated {
    /// Asks for an allocation until there is one.
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(server()).expect("the server's address");
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
        let path = FiveTuple::udp(socket.local_addr().expect("bound"), server());
        let mut config = Config::new(USER, PASSWORD);
        config.transport = kaon_rtc::stun::ServerTransport::Udp;
        let client = Client::new(Instant::now(), &aws_lc_rs::provider(), path, config).expect("a client");
        let mut this = Self { socket, relayed: server(), client };
        this.until(|client| client.allocation().is_some());
        this.relayed = this.client.allocation().expect("granted").relayed[0];
        this
    }

    /// Binds the first channel to a peer.
    pub fn bind(&mut self, peer: SocketAddr) {
        self.client.bind(Instant::now(), peer).expect("an allocation");
        self.until(|client| client.channel(peer).is_some());
    }

    fn until(&mut self, is_so: impl Fn(&Client) -> bool) {
        let (begin, mut batch, mut buffer) = (Instant::now(), TransmitBatch::new(1200), [0; 1500]);
        while !is_so(&self.client) {
            assert!(begin.elapsed() < PATIENCE, "the relay answers");
            self.client.handle_timeout(Instant::now());
            while let Some(transmit) = self.client.poll_transmit(Instant::now(), &mut batch) {
                self.socket.send(batch.bytes(&transmit)).expect("room to send");
            }
            batch.clear();
            if let Ok(count) = self.socket.recv(&mut buffer) {
                let datagram = Datagram::new(self.client.path(), &mut buffer[..count]);
                let _ = self.client.open(Instant::now(), datagram);
            }
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
