//! SCTP throughput in one process: two associations of each implementation, the wire a queue in memory, on CPU
//! time, the implementations taking turns.
//!
//! `dcsctp` 0.1.16 spends most of its time on printing each packet in hexadecimal for a log that is off.
//!
//! `sctp [ROUNDS [NAME...]]` prints the median of the rounds in MB/s of messages, and the ratio to Kaon.

use kaon_bench_peers::{cpu_time_of, median};

const SIZES: [usize; 3] = [1150, 16 << 10, 64 << 10];
/// Messages are sent while less than this waits, so that no implementation is measured with an endless queue.
const QUEUE: usize = 1 << 20;

/// Two associations that are established.
trait Pair {
    /// Carries `count` messages of `size` bytes and returns when all were read.
    fn transfer(&mut self, size: usize, count: usize);
}

type Contender = (&'static str, usize, fn() -> Box<dyn Pair>);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(7);
    let only: Vec<String> = arguments.collect();
    let contenders: Vec<Contender> = [
        ("kaon", 256 << 20, (|| Box::new(kaon::associations(false))) as fn() -> Box<dyn Pair>),
        ("kaon, behind the trait", 256 << 20, || Box::new(kaon::behind_the_trait())),
        ("kaon, zero checksum", 256 << 20, || Box::new(kaon::associations(true))),
        ("rtc-sctp", 64 << 20, || Box::new(rtc::Associations::new())),
        ("sctp-proto", 32 << 20, || Box::new(proto::Associations::new())),
        ("dcsctp", 32 << 20, || Box::new(dc::Sockets::new())),
        ("webrtc-sctp", 8 << 20, || Box::new(webrtc::Associations::new())),
        ("webrtc-sctp, behind the trait", 8 << 20, || Box::new(adapter::Associations::new())),
    ]
    .into_iter()
    .filter(|(name, ..)| only.is_empty() || only.iter().any(|wanted| wanted == name))
    .collect();

    println!("median of {rounds} rounds, MB/s of messages on CPU time, both ends in one process");
    println!("{:>30} {:>10} {:>12} {:>14}", "", "message", "MB/s", "kaon is");
    for size in SIZES {
        let mut figures = vec![Vec::new(); contenders.len()];
        for _ in 0..rounds {
            for ((_, bytes, make), figures) in contenders.iter().zip(&mut figures) {
                let mut pair = make();
                pair.transfer(size, 100.max((1 << 20) / size));
                let count = bytes / size;
                let time = cpu_time_of(|| pair.transfer(size, count));
                figures.push((count * size) as f64 / time.as_secs_f64() / 1e6);
            }
        }
        let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
        for ((name, ..), speed) in contenders.iter().zip(&medians) {
            println!("{name:>30} {size:>10} {speed:>12.0} {:>13.2}x", medians[0] / speed);
        }
    }
}

mod kaon {
    use std::time::Instant;

    use bytes::Bytes;
    use kaon_rtc::crypto::aws_lc_rs;
    use kaon_rtc::layer::{Datagram, FiveTuple, TransmitBatch};
    use kaon_rtc::sctp::{Association, Config, PayloadProtocol, SctpTransport, SendOptions, StreamId};

    /// The layer itself, or whatever stands behind the trait.
    pub struct Associations<A: ?Sized> {
        now: Instant,
        client: Box<A>,
        server: Box<A>,
        batch: TransmitBatch,
    }

    pub fn associations(zero_checksum: bool) -> Associations<Association> {
        Associations::new(|| Box::new(association(zero_checksum)))
    }

    pub fn behind_the_trait() -> Associations<dyn SctpTransport> {
        Associations::new(|| Box::new(association(false)) as Box<dyn SctpTransport>)
    }

    fn association(zero_checksum: bool) -> Association {
        let mut config = Config::default();
        config.zero_checksum = zero_checksum;
        Association::new(config, &aws_lc_rs::provider())
    }

    impl<A: SctpTransport + ?Sized> Associations<A> {
        fn new(make: impl Fn() -> Box<A>) -> Self {
            let now = Instant::now();
            let mut pair = Self { now, client: make(), server: make(), batch: TransmitBatch::new(1200) };
            pair.client.connect(now);
            while pair.exchange() {}
            assert!(pair.client.is_established() && pair.server.is_established());
            pair
        }

        fn exchange(&mut self) -> bool {
            let Self { now, client, server, batch } = self;
            let there = carry(*now, &mut **client, &mut **server, batch);
            let back = carry(*now, &mut **server, &mut **client, batch);
            there || back
        }
    }

    pub(super) fn carry<A: SctpTransport + ?Sized>(
        now: Instant,
        from: &mut A,
        to: &mut A,
        batch: &mut TransmitBatch,
    ) -> bool {
        let path = FiveTuple::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        let mut carried = false;
        while let Some(transmit) = from.poll_transmit(now, batch) {
            carried = true;
            for datagram in batch.datagrams_mut(&transmit) {
                to.handle_datagram(now, Datagram::new(path, datagram)).expect("a sound packet");
            }
            batch.clear();
        }
        carried
    }

    impl<A: SctpTransport + ?Sized> super::Pair for Associations<A> {
        fn transfer(&mut self, size: usize, count: usize) {
            let message = Bytes::from(vec![0x5a; size]);
            let stream = StreamId(0);
            let (mut sent, mut received) = (0, 0);
            while received < count {
                while sent < count && self.client.buffered_amount(stream) < super::QUEUE {
                    let options = SendOptions::default();
                    self.client
                        .send(self.now, stream, PayloadProtocol::BINARY, message.clone(), options)
                        .expect("room in the send buffer");
                    sent += 1;
                }
                assert!(self.exchange() || received == count, "nothing moves");
                while let Some(message) = self.server.receive() {
                    assert_eq!(message.payload.len(), size);
                    received += 1;
                }
            }
            while self.exchange() {}
        }
    }
}

/// `sctp-proto` and its offspring `rtc-sctp` differ in a few signatures only.
macro_rules! proto_associations {
    () => {
        struct Node {
            endpoint: Endpoint,
            remote: SocketAddr,
            handle: Option<AssociationHandle>,
            association: Option<Association>,
            connected: bool,
        }

        pub struct Associations {
            now: Instant,
            client: Node,
            server: Node,
            there: VecDeque<Bytes>,
            back: VecDeque<Bytes>,
            accepted: bool,
        }

        impl Associations {
            pub fn new() -> Self {
                let (client, server) = nodes();
                let mut pair = Self {
                    now: Instant::now(),
                    client,
                    server,
                    there: VecDeque::new(),
                    back: VecDeque::new(),
                    accepted: false,
                };
                while !(pair.client.connected && pair.server.connected) {
                    assert!(pair.exchange(), "the handshake stands still");
                }
                let association = pair.client.association.as_mut().expect("connected");
                association.open_stream(0, PayloadProtocolIdentifier::Binary).expect("a stream");
                pair
            }

            fn exchange(&mut self) -> bool {
                let now = self.now;
                self.client.drive(now, &mut self.back, &mut self.there)
                    | self.server.drive(now, &mut self.there, &mut self.back)
            }

            /// When nothing moves, an acknowledgement is being delayed.
            fn wait(&mut self) {
                let timeouts = [&self.client, &self.server]
                    .map(|node| node.association.as_ref().and_then(Association::poll_timeout));
                self.now = timeouts.into_iter().flatten().min().expect("a timer runs").max(self.now);
                for node in [&mut self.client, &mut self.server] {
                    node.association.as_mut().expect("connected").handle_timeout(self.now);
                }
            }
        }

        impl super::Pair for Associations {
            fn transfer(&mut self, size: usize, count: usize) {
                let message = Bytes::from(vec![0x5a; size]);
                let mut buffer = vec![0; size];
                let (mut sent, mut received) = (0, 0);
                while received < count {
                    let mut moved = false;
                    let mut stream =
                        self.client.association.as_mut().expect("connected").stream(0).expect("opened");
                    while sent < count && stream.buffered_amount().expect("open") < super::QUEUE {
                        write(&mut stream, self.now, &message);
                        sent += 1;
                        moved = true;
                    }
                    moved |= self.exchange();
                    let association = self.server.association.as_mut().expect("connected");
                    self.accepted |= association.accept_stream().is_some();
                    if self.accepted {
                        let mut stream = association.stream(0).expect("accepted");
                        while let Ok(Some(chunks)) = stream.read_sctp() {
                            assert_eq!(chunks.read(&mut buffer).expect("room"), size);
                            received += 1;
                            moved = true;
                        }
                    }
                    if !moved {
                        self.wait();
                    }
                }
            }
        }
    };
}

mod rtc {
    use std::collections::VecDeque;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Instant;

    use bytes::Bytes;
    use rtc_sctp::{
        Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
        Payload, PayloadProtocolIdentifier, ServerConfig, Stream, TransportConfig,
    };
    use rtc_shared::TransportProtocol;

    proto_associations!();

    fn nodes() -> (Node, Node) {
        let [client_address, server_address]: [SocketAddr; 2] =
            [5000, 5001].map(|port| ([127, 0, 0, 1], port).into());
        let config = Arc::new(EndpointConfig::default());
        let server_config = Arc::new(ServerConfig::new(TransportConfig::default()));
        let mut endpoint = Endpoint::new(client_address, TransportProtocol::UDP, config.clone(), None);
        let client_config = ClientConfig::new(TransportConfig::default());
        let (handle, association) =
            endpoint.connect(Instant::now(), client_config, server_address).expect("a new association");
        let client = Node {
            endpoint,
            remote: server_address,
            handle: Some(handle),
            association: Some(association),
            connected: false,
        };
        let endpoint = Endpoint::new(server_address, TransportProtocol::UDP, config, Some(server_config));
        let server =
            Node { endpoint, remote: client_address, handle: None, association: None, connected: false };
        (client, server)
    }

    fn write(stream: &mut Stream<'_>, now: Instant, message: &Bytes) {
        stream.write_sctp(now, message, PayloadProtocolIdentifier::Binary).expect("an open stream");
    }

    impl Node {
        fn drive(
            &mut self,
            now: Instant,
            inbound: &mut VecDeque<Bytes>,
            outbound: &mut VecDeque<Bytes>,
        ) -> bool {
            let mut moved = false;
            while let Some(packet) = inbound.pop_front() {
                moved = true;
                match self.endpoint.handle(now, self.remote, None, packet) {
                    Some((handle, DatagramEvent::NewAssociation(association))) => {
                        self.handle = Some(handle);
                        self.association = Some(association);
                    }
                    Some((_, DatagramEvent::AssociationEvent(event))) => {
                        self.association.as_mut().expect("it exists").handle_event(event);
                    }
                    _ => {}
                }
            }
            let Some(association) = &mut self.association else { return moved };
            while let Some(event) = association.poll() {
                self.connected |= matches!(event, Event::Connected);
            }
            while let Some(event) = association.poll_endpoint_event() {
                if let Some(handle) = self.handle {
                    self.endpoint.handle_event(handle, event);
                }
            }
            while let Some(transmit) = association.poll_transmit(now) {
                if let Payload::RawEncode(packets) = transmit.message {
                    moved = true;
                    outbound.extend(packets);
                }
            }
            moved
        }
    }
}

mod proto {
    use std::collections::VecDeque;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Instant;

    use bytes::Bytes;
    use sctp_proto::{
        Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event,
        Payload, PayloadProtocolIdentifier, ServerConfig, Stream,
    };

    proto_associations!();

    fn nodes() -> (Node, Node) {
        let [client_address, server_address]: [SocketAddr; 2] =
            [5000, 5001].map(|port| ([127, 0, 0, 1], port).into());
        let config = Arc::new(EndpointConfig::default());
        let mut endpoint = Endpoint::new(config.clone(), None);
        let (handle, association) =
            endpoint.connect(ClientConfig::new(), server_address).expect("a new association");
        let client = Node {
            endpoint,
            remote: server_address,
            handle: Some(handle),
            association: Some(association),
            connected: false,
        };
        let endpoint = Endpoint::new(config, Some(Arc::new(ServerConfig::new())));
        let server =
            Node { endpoint, remote: client_address, handle: None, association: None, connected: false };
        (client, server)
    }

    fn write(stream: &mut Stream<'_>, _now: Instant, message: &Bytes) {
        stream.write_sctp(message, PayloadProtocolIdentifier::Binary).expect("an open stream");
    }

    impl Node {
        fn drive(
            &mut self,
            now: Instant,
            inbound: &mut VecDeque<Bytes>,
            outbound: &mut VecDeque<Bytes>,
        ) -> bool {
            let mut moved = false;
            while let Some(packet) = inbound.pop_front() {
                moved = true;
                match self.endpoint.handle(now, self.remote, None, None, packet) {
                    Some((handle, DatagramEvent::NewAssociation(association))) => {
                        self.handle = Some(handle);
                        self.association = Some(association);
                    }
                    Some((_, DatagramEvent::AssociationEvent(event))) => {
                        self.association.as_mut().expect("it exists").handle_event(event);
                    }
                    None => {}
                }
            }
            let mut send = |payload| {
                if let Payload::RawEncode(packets) = payload {
                    moved = true;
                    outbound.extend(packets);
                }
            };
            while let Some(transmit) = self.endpoint.poll_transmit() {
                send(transmit.payload);
            }
            let Some(association) = &mut self.association else { return moved };
            while let Some(event) = association.poll() {
                self.connected |= matches!(event, Event::Connected);
            }
            while let Some(event) = association.poll_endpoint_event() {
                if let Some(handle) = self.handle {
                    self.endpoint.handle_event(handle, event);
                }
            }
            while let Some(transmit) = association.poll_transmit(now) {
                send(transmit.payload);
            }
            moved
        }
    }
}

mod dc {
    use dcsctp::api::{DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, StreamId};

    pub struct Sockets {
        client: Box<dyn DcSctpSocket>,
        server: Box<dyn DcSctpSocket>,
        connected: u32,
    }

    impl Sockets {
        pub fn new() -> Self {
            let options = Options::default();
            let mut pair = Self {
                client: dcsctp::new_socket("client", &options),
                server: dcsctp::new_socket("server", &options),
                connected: 0,
            };
            pair.client.connect();
            while pair.exchange() {}
            assert_eq!(pair.connected, 2);
            pair
        }

        fn exchange(&mut self) -> bool {
            let Self { client, server, connected } = self;
            carry(client, server, connected) | carry(server, client, connected)
        }
    }

    fn carry(from: &mut Box<dyn DcSctpSocket>, to: &mut Box<dyn DcSctpSocket>, connected: &mut u32) -> bool {
        let mut carried = false;
        while let Some(event) = from.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => {
                    carried = true;
                    to.handle_input(&packet);
                }
                SocketEvent::OnConnected() => *connected += 1,
                _ => {}
            }
        }
        carried
    }

    impl super::Pair for Sockets {
        fn transfer(&mut self, size: usize, count: usize) {
            let payload = vec![0x5a; size];
            let stream = StreamId(0);
            let (mut sent, mut received) = (0, 0);
            while received < count {
                let mut moved = false;
                while sent < count && self.client.buffered_amount(stream) < super::QUEUE {
                    let message = Message::new(stream, PpId(53), payload.clone());
                    self.client.send(message, &SendOptions::default()).expect("room in the send buffer");
                    sent += 1;
                    moved = true;
                }
                moved |= self.exchange();
                while let Some(message) = self.server.get_next_message() {
                    assert_eq!(message.payload.len(), size);
                    received += 1;
                    moved = true;
                }
                if !moved {
                    // An acknowledgement is being delayed.
                    let next = self.client.poll_timeout().min(self.server.poll_timeout());
                    self.client.advance_time(next);
                    self.server.advance_time(next);
                }
            }
        }
    }
}

mod webrtc {
    use std::any::Any;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use async_trait::async_trait;
    use bytes::Bytes;
    use tokio::runtime::Runtime;
    use tokio::sync::{Mutex, mpsc};
    use webrtc_sctp::association::{Association, Config};
    use webrtc_sctp::chunk::chunk_payload_data::PayloadProtocolIdentifier;
    use webrtc_sctp::stream::Stream;
    use webrtc_util::{Conn, Error};

    /// One end of a wire in memory.
    struct Wire {
        to: mpsc::UnboundedSender<Vec<u8>>,
        from: Mutex<mpsc::UnboundedReceiver<Vec<u8>>>,
    }

    #[async_trait]
    impl Conn for Wire {
        async fn connect(&self, _: SocketAddr) -> Result<(), Error> {
            Ok(())
        }

        async fn recv(&self, buffer: &mut [u8]) -> Result<usize, Error> {
            let packet = self.from.lock().await.recv().await.ok_or_else(|| Error::Other("closed".into()))?;
            buffer[..packet.len()].copy_from_slice(&packet);
            Ok(packet.len())
        }

        async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
            Ok((self.recv(buffer).await?, ([127, 0, 0, 1], 1).into()))
        }

        async fn send(&self, buffer: &[u8]) -> Result<usize, Error> {
            self.to.send(buffer.to_vec()).map_err(|_| Error::Other("closed".into()))?;
            Ok(buffer.len())
        }

        async fn send_to(&self, buffer: &[u8], _: SocketAddr) -> Result<usize, Error> {
            self.send(buffer).await
        }

        fn local_addr(&self) -> Result<SocketAddr, Error> {
            Ok(([127, 0, 0, 1], 1).into())
        }

        fn remote_addr(&self) -> Option<SocketAddr> {
            None
        }

        async fn close(&self) -> Result<(), Error> {
            Ok(())
        }

        fn as_any(&self) -> &(dyn Any + Send + Sync) {
            self
        }
    }

    pub struct Associations {
        runtime: Runtime,
        sender: Arc<Stream>,
        receiver: Option<Arc<Stream>>,
        server: Arc<Association>,
        _client: Arc<Association>,
    }

    impl Associations {
        pub fn new() -> Self {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let (to_server, from_client) = mpsc::unbounded_channel();
            let (to_client, from_server) = mpsc::unbounded_channel();
            let config = |to, from, name: &str| Config {
                net_conn: Arc::new(Wire { to, from: Mutex::new(from) }),
                max_receive_buffer_size: 0,
                max_message_size: 0,
                mtu: 0,
                name: name.to_owned(),
                remote_port: 5000,
                local_port: 5000,
            };
            let client_config = config(to_server, from_server, "client");
            let server_config = config(to_client, from_client, "server");
            let (client, server) = runtime.block_on(async {
                tokio::join!(Association::client(client_config), Association::server(server_config))
            });
            let (client, server) = (Arc::new(client.expect("a client")), Arc::new(server.expect("a server")));
            let sender =
                runtime.block_on(client.open_stream(0, PayloadProtocolIdentifier::Binary)).expect("a stream");
            Self { runtime, sender, receiver: None, server, _client: client }
        }
    }

    impl super::Pair for Associations {
        fn transfer(&mut self, size: usize, count: usize) {
            let message = Bytes::from(vec![0x5a; size]);
            let sender = self.sender.clone();
            let server = self.server.clone();
            let receiver = &mut self.receiver;
            self.runtime.block_on(async {
                let send = tokio::spawn(async move {
                    for _ in 0..count {
                        while sender.buffered_amount() >= super::QUEUE {
                            tokio::task::yield_now().await;
                        }
                        sender
                            .write_sctp(&message, PayloadProtocolIdentifier::Binary)
                            .await
                            .expect("an open stream");
                        tokio::task::yield_now().await;
                    }
                });
                if receiver.is_none() {
                    *receiver = server.accept_stream().await;
                }
                let stream = receiver.clone().expect("a stream");
                let mut buffer = vec![0; size];
                for _ in 0..count {
                    assert_eq!(stream.read(&mut buffer).await.expect("an open stream"), size);
                }
                send.await.expect("the sender ends");
            });
        }
    }
}

/// The adapter of `webrtc-sctp`, whose tasks need real time.
mod adapter {
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use kaon_rtc::adapters::webrtc_rs::{SctpAssociation, SctpConfig};
    use kaon_rtc::layer::{Layer, TransmitBatch};
    use kaon_rtc::sctp::{PayloadProtocol, SctpTransport, SendOptions, StreamId};
    use tokio::runtime::Runtime;

    use super::kaon::carry;

    pub struct Associations {
        client: SctpAssociation,
        server: SctpAssociation,
        batch: TransmitBatch,
        _runtime: Runtime,
    }

    impl Associations {
        pub fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime");
            // As many packets are under way at once as a window holds.
            let mut config = SctpConfig::default();
            config.max_queued_packets = 4096;
            let make = || SctpAssociation::new(config.clone(), runtime.handle().clone());
            let (client, server) = (make(), make());
            let mut pair = Self { client, server, batch: TransmitBatch::new(1200), _runtime: runtime };
            pair.client.connect(Instant::now());
            while !(pair.client.is_established() && pair.server.is_established()) {
                pair.exchange();
            }
            pair
        }

        fn exchange(&mut self) {
            let now = Instant::now();
            let Self { client, server, batch, .. } = self;
            client.handle_timeout(now);
            server.handle_timeout(now);
            let there = carry(now, client, server, batch);
            if !(carry(now, server, client, batch) || there) {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    impl super::Pair for Associations {
        fn transfer(&mut self, size: usize, count: usize) {
            let message = Bytes::from(vec![0x5a; size]);
            let stream = StreamId(0);
            let (mut sent, mut received) = (0, 0);
            while received < count {
                while sent < count && self.client.buffered_amount(stream) < super::QUEUE {
                    let options = SendOptions::default();
                    self.client
                        .send(Instant::now(), stream, PayloadProtocol::BINARY, message.clone(), options)
                        .expect("room in the send buffer");
                    sent += 1;
                }
                self.exchange();
                while let Some(message) = self.server.receive() {
                    assert_eq!(message.payload.len(), size);
                    received += 1;
                }
            }
        }
    }
}
