//! The client of RFC 6062 on sockets.

use tokio::net::TcpListener;

use super::*;
use crate::layer::{Framing, StreamOpening, StreamReport, StreamRequest, StreamToken};
use crate::net::{ReceiveBatch, Streams};
use crate::turn::{Event, RequestedTransport};

/// A client with its streams.
struct App {
    client: Client,
    streams: Streams,
    received: ReceiveBatch,
    told: Vec<Event>,
    data: Vec<u8>,
}

impl App {
    async fn new(server: &TurnServer) -> Self {
        let (streams, token) = (Streams::default(), StreamToken(u64::MAX));
        let remote = server.tcp_addrs()[0];
        streams.request(StreamRequest::Open(StreamOpening::new(token, loopback(), remote, Framing::Stun)));
        let mut received = ReceiveBatch::default();
        let path = timeout(PATIENCE, async {
            loop {
                std::future::poll_fn(|context| streams.poll_recv(context, &mut received)).await;
                match streams.take_report() {
                    Some(StreamReport::Opened { path, .. }) => return path,
                    Some(other) => panic!("{other:?}"),
                    None => {}
                }
            }
        });
        let path = path.await.unwrap();
        let mut config = crate::turn::Config::new("alice", "secret");
        config.transport = ServerTransport::Tcp;
        config.requested_transport = RequestedTransport::TCP;
        let client = Client::new(Instant::now(), &default_provider().unwrap(), path, config).unwrap();
        Self { client, streams, received, told: Vec::new(), data: Vec::new() }
    }

    /// Goes on until something is so.
    async fn until(&mut self, is_so: impl Fn(&mut Self) -> bool) {
        let wait = async {
            loop {
                self.send();
                if is_so(self) {
                    return;
                }
                let receive =
                    std::future::poll_fn(|context| self.streams.poll_recv(context, &mut self.received));
                if timeout(Duration::from_millis(50), receive).await.is_ok() {
                    self.receive();
                }
            }
        };
        timeout(PATIENCE, wait).await.expect("in time");
    }

    fn send(&mut self) {
        let (now, mut batch) = (Instant::now(), TransmitBatch::new(1200));
        self.client.handle_timeout(now);
        while let Some(transmit) = self.client.poll_transmit(now, &mut batch) {
            self.streams.try_send(&batch, &transmit).unwrap();
            batch.clear();
        }
        while let Some(request) = self.client.poll_stream() {
            self.streams.request(request);
        }
        self.told.extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    fn receive(&mut self) {
        let now = Instant::now();
        for datagram in self.received.datagrams() {
            let Datagram { path, bytes, .. } = datagram;
            if let Ok(Opened::Data { range, .. }) = self.client.open(now, Datagram::new(path, bytes)) {
                self.data.extend_from_slice(&bytes[range]);
            }
        }
        while let Some(report) = self.streams.take_report() {
            self.client.handle_stream(now, report);
        }
    }

    async fn connected(&mut self) -> (SocketAddr, FiveTuple) {
        let find = |told: &[Event]| {
            told.iter().find_map(|event| match event {
                Event::Connected { peer, path } => Some((*peer, *path)),
                _ => None,
            })
        };
        self.until(|app| find(&app.told).is_some()).await;
        find(&std::mem::take(&mut self.told)).unwrap()
    }

    /// Sends without end, as fast as the other side takes it, and has as much come back.
    async fn echoed(&mut self, peer: SocketAddr, path: FiveTuple, sent: &[u8]) {
        self.data.clear();
        let mut rest = sent.chunks(16_000);
        let (mut batch, mut next) = (TransmitBatch::new(1200), rest.next());
        while let Some(chunk) = next {
            if self.streams.unsent(&path).unwrap() > 100_000 {
                self.until(|app| app.streams.unsent(&path).unwrap() == 0).await;
            }
            batch.clear();
            let transmit = self.client.send(Instant::now(), peer, chunk, &mut batch).unwrap();
            self.streams.try_send(&batch, &transmit).unwrap();
            next = rest.next();
        }
        self.until(|app| app.data.len() >= sent.len()).await;
        assert!(self.data == sent, "not a byte is lost, or in another place");
    }
}

/// Sends back all that comes, and ends when that does.
async fn echo(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    let _ = tokio::io::copy(&mut read, &mut write).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_and_peers_speak_by_streams() {
    let server = serve();
    let mut app = App::new(&server).await;
    app.until(|app| app.client.allocation().is_some()).await;
    let relayed = app.client.allocation().unwrap().relayed[0];
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let peer = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    let long: Vec<u8> = (0..3_000_000u32).map(|n| (n / 3) as u8).collect();
    app.client.connect(Instant::now(), peer).unwrap();
    let (to, path) = app.connected().await;
    assert_eq!(to, peer);
    app.echoed(peer, path, &long).await;
    // A peer that connects, and speaks first.
    app.client.permit(Instant::now(), peer.ip()).unwrap();
    app.until(|app| app.client.is_permitted(peer.ip())).await;
    let mut caller = TcpStream::connect(relayed).await.unwrap();
    caller.write_all(b"early").await.unwrap();
    app.until(|app| app.told.iter().any(|event| matches!(event, Event::ConnectionAttempt { .. }))).await;
    let attempt = app.told.iter().find_map(|event| match event {
        Event::ConnectionAttempt { peer, id } => Some((*peer, *id)),
        _ => None,
    });
    let (from, id) = attempt.unwrap();
    assert_eq!(from, caller.local_addr().unwrap());
    app.data.clear();
    app.client.accept(Instant::now(), id).unwrap();
    let (_, by) = app.connected().await;
    app.until(|app| app.data == b"early").await;
    let mut batch = TransmitBatch::new(1200);
    let transmit = app.client.send(Instant::now(), from, b"welcome", &mut batch).unwrap();
    app.streams.try_send(&batch, &transmit).unwrap();
    let mut answer = [0; 7];
    timeout(PATIENCE, caller.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"welcome");
    drop(caller);
    app.until(|app| app.told.contains(&Event::ConnectionClosed { peer: from, path: by })).await;
    // Both ends of a connection that is closed here learn of it, and what is left goes with the allocation.
    app.client.disconnect(Instant::now(), peer);
    app.until(|app| app.streams.unsent(&path).is_none()).await;
    app.client.close(Instant::now());
    app.until(|app| app.client.is_closed()).await;
    assert_eq!(server.statistics().allocations, 0);
}

/// Who sends more than is taken has no stream any more, rather than one with a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_overfilled_breaks() {
    let server = serve();
    let mut app = App::new(&server).await;
    app.until(|app| app.client.allocation().is_some()).await;
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let peer = listener.local_addr().unwrap();
    app.client.connect(Instant::now(), peer).unwrap();
    let (_, path) = app.connected().await;
    let mut batch = TransmitBatch::new(1200);
    for _ in 0..10_000 {
        batch.clear();
        let transmit = app.client.send(Instant::now(), peer, &[7; 10_000], &mut batch).unwrap();
        app.streams.try_send(&batch, &transmit).unwrap();
        if app.streams.dropped() > 0 {
            break;
        }
    }
    assert!(app.streams.dropped() > 0);
    app.until(|app| app.told.contains(&Event::ConnectionClosed { peer, path })).await;
    assert_eq!(app.streams.unsent(&path), None);
}
