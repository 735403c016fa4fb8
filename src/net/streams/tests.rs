mod simultaneous_open;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::layer::Framing;
use crate::net::tests::run;

const PATIENCE: Duration = Duration::from_secs(20);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// What comes next: datagrams of a stream, or a report.
async fn next(streams: &Streams, batch: &mut ReceiveBatch) -> (Vec<Vec<u8>>, Option<StreamReport>) {
    let wait = std::future::poll_fn(|context| streams.poll_recv(context, batch));
    timeout(PATIENCE, wait).await.expect("in time");
    (batch.datagrams().map(|datagram| datagram.bytes.to_vec()).collect(), streams.take_report())
}

fn send(streams: &Streams, path: FiveTuple, datagrams: &[&[u8]]) -> Result<(), SendError> {
    let mut batch = TransmitBatch::new(60_000);
    let mut segments = batch.segments(Some(path), None);
    for datagram in datagrams {
        segments.datagram().extend_from_slice(datagram);
        segments.end_datagram();
    }
    let transmit = segments.finish().unwrap();
    streams.try_send(&batch, &transmit)
}

/// A stream of `streams` to a listener, and the other end.
async fn open(streams: &Streams, framing: Framing, batch: &mut ReceiveBatch) -> (FiveTuple, TcpStream) {
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let remote = listener.local_addr().unwrap();
    let opening = StreamOpening::new(StreamToken(7), loopback(), remote, framing);
    streams.request(StreamRequest::Open(opening));
    let (accepted, (datagrams, report)) = tokio::join!(listener.accept(), next(streams, batch));
    assert!(datagrams.is_empty());
    match report {
        Some(StreamReport::Opened { token: StreamToken(7), path }) => (path, accepted.unwrap().0),
        other => panic!("{other:?}"),
    }
}

/// A check that says as much of itself as a passive port wants to see.
fn check(len: usize) -> Vec<u8> {
    let mut check = vec![0; len];
    check[1] = 1;
    check[2..4].copy_from_slice(&(len as u16 - 20).to_be_bytes());
    check[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    check
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u16).to_be_bytes()[..], frame].concat()
}

#[test]
fn frames_go_both_ways_however_they_are_cut() {
    run(async {
        let (streams, mut batch) = (Streams::default(), ReceiveBatch::default());
        let (path, mut peer) = open(&streams, Framing::Length, &mut batch).await;
        send(&streams, path, &[&[1; 1000], &[2; 1000], &[3; 7]]).unwrap();
        let mut received = vec![0; 3 * 2 + 2007];
        peer.read_exact(&mut received).await.unwrap();
        assert_eq!(received, [framed(&[1; 1000]), framed(&[2; 1000]), framed(&[3; 7])].concat());
        let sent: Vec<Vec<u8>> = [1usize, 1, 500, 9216, 3].map(|len| vec![len as u8; len]).to_vec();
        let bytes: Vec<u8> = sent.iter().flat_map(|frame| framed(frame)).collect();
        for cut in [1, 2, 3, 5000, bytes.len()] {
            let (bytes, total) = (bytes.clone(), sent.len());
            let write = async {
                for piece in bytes.chunks(cut.max(97)) {
                    peer.write_all(piece).await.unwrap();
                    // An empty frame stands for nothing.
                    tokio::task::yield_now().await;
                }
                peer.write_all(&[0, 0]).await.unwrap();
            };
            let read = async {
                let mut received = Vec::new();
                while received.len() < total {
                    received.extend(next(&streams, &mut batch).await.0);
                }
                received
            };
            assert_eq!(tokio::join!(write, read).1, sent);
        }
    });
}

#[test]
fn stun_and_channel_data_tell_their_length_themselves() {
    run(async {
        let (streams, mut batch) = (Streams::default(), ReceiveBatch::default());
        let (path, mut peer) = open(&streams, Framing::Stun, &mut batch).await;
        send(&streams, path, &[&check(100), &check(100)]).unwrap();
        let mut received = vec![0; 200];
        peer.read_exact(&mut received).await.unwrap();
        assert_eq!(received, [check(100), check(100)].concat());
        let channel = [0x40, 1, 0, 5, 1, 2, 3, 4, 5];
        let stream = [&channel[..], &[0; 3], &check(28), &channel, &[0; 3]].concat();
        peer.write_all(&stream).await.unwrap();
        let mut received = Vec::new();
        while received.len() < 3 {
            received.extend(next(&streams, &mut batch).await.0);
        }
        assert_eq!(received, [channel.to_vec(), check(28), channel.to_vec()]);
        assert_eq!(batch.datagrams().next().unwrap().path, path);
        peer.write_all(b"GET / HTTP/1.1").await.unwrap();
        let (_, report) = next(&streams, &mut batch).await;
        assert!(matches!(report, Some(StreamReport::Closed { path: of, .. }) if of == path), "{report:?}");
        assert_eq!(streams.count(), 0);
    });
}

/// Beside a socket that all share: what goes by the one does not go by the other, and of what is closed nothing is left.
#[test]
fn sockets_that_are_asked_for_are_found_by_their_address() {
    run(async {
        let mut sockets = crate::net::Sockets::from(crate::net::UdpSocket::bind(loopback()).unwrap());
        let shared = sockets.local_addrs().next().unwrap();
        let limits = StreamLimits { max_sockets: 2, ..StreamLimits::default() };
        let ports = PortRange::new(47_000..=47_999).unwrap();
        sockets.set_streams(Streams::new(limits));
        sockets.streams().set_udp(UdpConfig::default(), Some(ports));
        let peer = tokio::net::UdpSocket::bind(loopback()).await.unwrap();
        let (remote, mut batch) = (peer.local_addr().unwrap(), ReceiveBatch::default());
        let mut reports = Vec::new();
        for token in 0..3 {
            let opening = StreamOpening::new(StreamToken(token), loopback(), remote, Framing::Datagrams);
            sockets.request(StreamRequest::Open(opening));
            timeout(PATIENCE, sockets.recv(&mut batch)).await.unwrap().unwrap();
            reports.push(sockets.take_report().unwrap());
        }
        let [
            StreamReport::Opened { path: first, .. },
            StreamReport::Opened { path: second, .. },
            StreamReport::Failed { reason, .. },
        ] = &reports[..]
        else {
            panic!("{reports:?}")
        };
        assert!(reason.contains("max_sockets"), "{reason}");
        assert!([first, second].iter().all(|path| (47_000..=47_999).contains(&path.local.port())));
        let out = |path| {
            let mut out = TransmitBatch::new(1200).with_max_segments(16);
            let mut segments = out.segments(Some(path), None);
            for _ in 0..10 {
                segments.datagram().extend_from_slice(&[7; 1000]);
                segments.end_datagram();
            }
            let run = segments.finish().unwrap();
            sockets.try_send(&out, &run)
        };
        let elsewhere = FiveTuple::udp(second.local, remote);
        for path in [*first, FiveTuple::udp(shared, remote), elsewhere] {
            out(path).unwrap();
            for _ in 0..10 {
                let mut buffer = [0; 2000];
                let (count, from) = timeout(PATIENCE, peer.recv_from(&mut buffer)).await.unwrap().unwrap();
                assert_eq!((count, from), (1000, path.local));
            }
            peer.send_to(b"answer", path.local).await.unwrap();
            timeout(PATIENCE, sockets.recv(&mut batch)).await.unwrap().unwrap();
            assert_eq!(batch.datagrams().next().unwrap().path, path);
        }
        sockets.request(StreamRequest::Close(*first));
        // A poll sees to it.
        let poll = |context: &mut Context<'_>| Poll::Ready(sockets.poll_recv(context, &mut batch).is_ready());
        std::future::poll_fn(poll).await;
        assert_eq!(sockets.streams().count(), 1);
        assert_eq!(out(*first), Err(SendError::NoSocket { path: *first }), "it does not leave by another");
        timeout(PATIENCE, sockets.writable(Some(*first))).await.expect("nobody waits for it");
        assert_eq!((sockets.udp_stats().sent, sockets.udp_stats().received), (30, 3));
    });
}

#[test]
fn who_takes_nothing_holds_up_nobody_and_memory_is_bounded() {
    run(async {
        let limits = StreamLimits { max_unsent: 100_000, ..StreamLimits::default() };
        let (streams, mut batch) = (Streams::new(limits), ReceiveBatch::default());
        let (slow, mut slow_peer) = open(&streams, Framing::Length, &mut batch).await;
        let (other, mut peer) = open(&streams, Framing::Length, &mut batch).await;
        // More than the kernel takes.
        for number in 0..20_000u32 {
            send(&streams, slow, &[&[&number.to_be_bytes()[..], &[7; 1196]].concat()]).unwrap();
        }
        assert!(streams.dropped() > 1000, "{}", streams.dropped());
        assert!(streams.inner().connections.iter().all(|(_, it)| it.unsent_len() <= 100_000));
        send(&streams, other, &[b"hello"]).unwrap();
        let mut received = [0; 7];
        peer.read_exact(&mut received).await.unwrap();
        assert_eq!(received, *b"\0\x05hello");
        // What was taken comes as it was, frame by frame.
        let read = async {
            let (mut last, mut count) = (None, 0u64);
            while count < 20_000 - streams.dropped() {
                let mut frame = vec![0; 1202];
                slow_peer.read_exact(&mut frame).await.unwrap();
                let number = u32::from_be_bytes(frame[2..6].try_into().unwrap());
                assert!(frame.starts_with(&[0x04, 0xb0]) && last < Some(number));
                (last, count) = (Some(number), count + 1);
            }
        };
        tokio::select! {
            () = read => {}
            _ = next(&streams, &mut batch) => unreachable!("nobody sends"),
        }
    });
}

#[test]
fn half_frames_and_lengths_that_lie_end_a_stream() {
    run(async {
        let limits = StreamLimits { frame: Duration::from_millis(200), ..StreamLimits::default() };
        for (framing, bytes) in [
            (Framing::Length, &b"\0\x09half"[..]),
            (Framing::Length, b"\0"),
            (Framing::Length, b"\xff\xff"),
            (Framing::Stun, b"\0\x03\0\x08\x21\x12\xa4\x42"),
            (Framing::Stun, b"\x40\0\xff\xff12345"),
        ] {
            let (streams, mut batch) = (Streams::new(limits.clone()), ReceiveBatch::default());
            let (path, mut peer) = open(&streams, framing, &mut batch).await;
            peer.write_all(bytes).await.unwrap();
            let (datagrams, report) = next(&streams, &mut batch).await;
            assert!(datagrams.is_empty(), "{bytes:?}");
            assert!(matches!(report, Some(StreamReport::Closed { path: of, .. }) if of == path));
            let end = timeout(PATIENCE, peer.read(&mut [0])).await.expect("it is closed");
            assert!(matches!(end, Ok(0) | Err(_)));
        }
    });
}

#[test]
fn what_cannot_be_opened_is_reported_with_the_reason() {
    run(async {
        let limits = StreamLimits { open: Duration::from_millis(200), ..StreamLimits::default() };
        let (streams, mut batch) = (Streams::new(limits), ReceiveBatch::default());
        let free = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
        let ask = |token, remote| {
            let opening = StreamOpening::new(StreamToken(token), loopback(), remote, Framing::Stun);
            streams.request(StreamRequest::Open(opening));
        };
        ask(1, free);
        let (_, report) = next(&streams, &mut batch).await;
        let Some(StreamReport::Failed { token: StreamToken(1), reason }) = report else {
            panic!("{report:?}")
        };
        assert!(reason.contains("refuses") && reason.contains(&free.to_string()), "{reason}");
        // One that is not wanted any more is forgotten.
        ask(2, free);
        streams.request(StreamRequest::Abandon(StreamToken(2)));
        assert_eq!(streams.count(), 0);
    });
}

#[test]
fn what_was_sent_leaves_before_a_stream_is_closed() {
    run(async {
        let (streams, mut batch) = (Streams::default(), ReceiveBatch::default());
        let (path, mut peer) = open(&streams, Framing::Length, &mut batch).await;
        for _ in 0..100 {
            send(&streams, path, &[&[7; 1000]]).unwrap();
        }
        streams.request(StreamRequest::Close(path));
        assert_eq!(send(&streams, path, &[b"late"]), Err(SendError::NoSocket { path }));
        let mut received = Vec::new();
        tokio::select! {
            read = peer.read_to_end(&mut received) => assert_eq!(read.unwrap(), 100_200),
            _ = next(&streams, &mut batch) => unreachable!("who closes is told nothing"),
        }
        assert_eq!(streams.count(), 0);
    });
}

#[test]
fn strangers_must_begin_with_a_check_and_be_kept() {
    run(async {
        let limits = StreamLimits {
            first_message: Duration::from_millis(300),
            max_unproven_per_source: 3,
            ..StreamLimits::default()
        };
        let (streams, mut batch) = (Streams::new(limits), ReceiveBatch::default());
        let at = streams.listen(loopback()).unwrap();
        let long = framed(&check(1504));
        let mut lies = framed(&check(100));
        lies[0] = 0xff;
        for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02\0\x01", &long, &lies, b"\0", b""] {
            let mut stranger = TcpStream::connect(at).await.unwrap();
            stranger.write_all(bytes).await.unwrap();
            let end = async { timeout(PATIENCE, stranger.read(&mut [0])).await.expect("it is closed") };
            tokio::select! {
                end = end => assert!(matches!(end, Ok(0) | Err(_)), "{end:?}"),
                _ = next(&streams, &mut batch) => unreachable!("of strangers nothing is told"),
            }
        }
        // Two checks, of which the second is seen when nobody has kept the stream yet.
        let mut peer = TcpStream::connect(at).await.unwrap();
        peer.write_all(&framed(&check(100))).await.unwrap();
        let (datagrams, report) = next(&streams, &mut batch).await;
        assert_eq!((datagrams, report), (vec![check(100)], None));
        let path = batch.datagrams().next().unwrap().path;
        assert_eq!(path, FiveTuple::tcp(at, peer.local_addr().unwrap()));
        send(&streams, path, &[b"answer"]).unwrap();
        streams.request(StreamRequest::Keep(path));
        peer.write_all(&framed(b"data")).await.unwrap();
        assert_eq!(next(&streams, &mut batch).await.0, [b"data"]);
        // It stays, and those that nobody keeps go.
        let mut others = Vec::new();
        for _ in 0..5 {
            others.push(TcpStream::connect(at).await.unwrap());
        }
        let all_gone = async {
            for other in &mut others {
                assert!(matches!(timeout(PATIENCE, other.read(&mut [0])).await.unwrap(), Ok(0) | Err(_)));
            }
        };
        tokio::select! {
            () = all_gone => {}
            _ = next(&streams, &mut batch) => unreachable!(),
        }
        let counts = |streams: &Streams| {
            let inner = streams.inner();
            (inner.connections.len(), inner.unproven, inner.accepted)
        };
        assert_eq!(counts(&streams), (1, 0, 1));
        drop(peer);
        assert!(matches!(next(&streams, &mut batch).await.1, Some(StreamReport::Closed { .. })));
        assert_eq!(counts(&streams), (0, 0, 0));
    });
}

/// Who sends so much that every read ends within a frame is not taken for one who ends none.
#[test]
fn a_stream_that_brings_frames_is_not_late_with_one() {
    run(async {
        let (limits, mut batch) = (StreamLimits::default(), ReceiveBatch::default());
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let at = listener.local_addr().unwrap();
        let (peer, accepted) = tokio::join!(TcpStream::connect(at), listener.accept());
        let (mut peer, path) = (peer.unwrap(), FiveTuple::tcp(at, at));
        let waker = ConnectionWaker::new(0, &Arc::default());
        let mut now = Instant::now();
        let transport = Transport::Tcp(accepted.unwrap().0);
        let mut stream = Connection::accepted(path, transport, waker, &limits, now);
        stream.keep(&limits);
        let frame = framed(&[7; 1000]);
        let (begin, rest) = frame.split_at(500);
        peer.write_all(begin).await.unwrap();
        for _ in 0..10 {
            peer.write_all(&[rest, begin].concat()).await.unwrap();
            while stream.poll(&mut batch, now).is_pending() {
                tokio::task::yield_now().await;
            }
            assert_eq!(batch.datagrams().next().unwrap().bytes, [7; 1000]);
            // All of what came is taken.
            assert!(stream.poll(&mut batch, now).is_pending());
            assert!(stream.deadline(&limits).is_some_and(|deadline| deadline > now));
            now += limits.frame / 2;
        }
        // Bytes that end no frame put nothing off.
        let deadline = stream.deadline(&limits);
        peer.write_all(&rest[..100]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(stream.poll(&mut batch, now).is_pending());
        assert_eq!(stream.deadline(&limits), deadline);
    });
}

/// A listener that cannot take any is asked again after a while, and not by each who polls.
#[test]
fn errors_of_a_listener_take_no_memory_and_no_turns() {
    run(async {
        let (streams, mut batch) = (Streams::default(), ReceiveBatch::default());
        // One that does not listen.
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&loopback().into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        streams.add_listener(socket.into(), false).unwrap();
        let mut poll = async || {
            let once = std::future::poll_fn(|context| Poll::Ready(streams.poll_recv(context, &mut batch)));
            assert!(once.await.is_pending());
        };
        while streams.inner().deadlines.is_empty() {
            poll().await;
            tokio::task::yield_now().await;
        }
        for _ in 0..1000 {
            poll().await;
        }
        assert_eq!(streams.inner().deadlines.len(), 1);
    });
}

/// What is too late ends also while another has always something to say.
#[test]
fn who_sends_without_end_puts_no_end_off() {
    run(async {
        let first_message = Duration::from_millis(50);
        let limits = StreamLimits { first_message, ..StreamLimits::default() };
        let (streams, mut batch) = (Streams::new(limits), ReceiveBatch::default());
        let at = streams.listen(loopback()).unwrap();
        let _silent = TcpStream::connect(at).await.unwrap();
        let mut stranger = TcpStream::connect(at).await.unwrap();
        let mut poll = async || {
            let once = std::future::poll_fn(|context| Poll::Ready(streams.poll_recv(context, &mut batch)));
            once.await
        };
        while streams.count() < 2 {
            assert!(poll().await.is_pending());
            tokio::task::yield_now().await;
        }
        stranger.write_all(&framed(&check(100)).repeat(1000)).await.unwrap();
        tokio::time::sleep(2 * first_message).await;
        assert!(poll().await.is_ready(), "its checks");
        assert_eq!(streams.count(), 0);
    });
}

/// Strangers of many addresses have no places to themselves.
#[cfg(target_os = "linux")]
#[test]
fn an_honest_peer_comes_though_strangers_have_taken_all_places() {
    run(async {
        let limits = StreamLimits { max_unproven: 6, max_unproven_per_source: 3, ..StreamLimits::default() };
        let (streams, mut batch) = (Streams::new(limits), ReceiveBatch::default());
        let at = streams.listen(loopback()).unwrap();
        let connect = async |last: u8| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 0, last], 0).into()).unwrap();
            socket.connect(at).await.unwrap()
        };
        let mut strangers = Vec::new();
        for last in [2, 2, 2, 3, 3, 4] {
            strangers.push(connect(last).await);
        }
        let mut honest = connect(9).await;
        honest.write_all(&framed(&check(100))).await.unwrap();
        assert_eq!(next(&streams, &mut batch).await.0, [check(100)]);
        let path = batch.datagrams().next().unwrap().path;
        assert_eq!(path.remote, honest.local_addr().unwrap());
        streams.request(StreamRequest::Keep(path));
        // The oldest of the address that has most has made room.
        let (inner, first) = (streams.inner(), strangers[0].local_addr().unwrap());
        assert_eq!((inner.unproven, inner.accepted), (5, 6));
        assert!(!inner.by_path.contains_key(&FiveTuple::tcp(at, first)));
    });
}
