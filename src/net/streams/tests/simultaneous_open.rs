//! Streams that both sides open, RFC 6544 appendix B.

use super::*;

fn ask(streams: &Streams, token: u64, local: SocketAddr, remote: SocketAddr) {
    let opening = StreamOpening::new(StreamToken(token), local, remote, Framing::Length);
    streams.request(StreamRequest::Open(opening));
}

/// Waits for a stream to be open, and tells its path.
async fn opened(streams: &Streams, token: u64, batch: &mut ReceiveBatch) -> FiveTuple {
    loop {
        match next(streams, batch).await.1 {
            Some(StreamReport::Opened { token: StreamToken(it), path }) if it == token => return path,
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
}

async fn talk(here: &Streams, there: &Streams, path: FiveTuple, batches: [&mut ReceiveBatch; 2]) {
    let back = FiveTuple::tcp(path.remote, path.local);
    let [near, far] = batches;
    send(here, path, &[b"to and", b"fro"]).unwrap();
    let mut come = Vec::new();
    while come.len() < 2 {
        come.extend(next(there, far).await.0);
    }
    assert_eq!(come, [&b"to and"[..], b"fro"]);
    send(there, back, &[b"back"]).unwrap();
    assert_eq!(next(here, near).await.0, [&b"back"[..]]);
}

#[test]
fn both_sides_open_one_stream() {
    run(async {
        for _ in 0..50 {
            let (a, b) = (Streams::default(), Streams::default());
            let [here, there] = [&a, &b].map(|streams| streams.listen_simultaneous(loopback()).unwrap());
            assert_eq!((a.listening(), a.listening_simultaneous()), (vec![], vec![here]));
            let (mut near, mut far) = (ReceiveBatch::default(), ReceiveBatch::default());
            ask(&a, 1, here, there);
            ask(&b, 2, there, here);
            let paths = tokio::join!(opened(&a, 1, &mut near), opened(&b, 2, &mut far));
            assert_eq!(paths, (FiveTuple::tcp(here, there), FiveTuple::tcp(there, here)));
            talk(&a, &b, paths.0, [&mut near, &mut far]).await;
            for streams in [&a, &b] {
                assert_eq!(streams.count(), 1);
                let inner = streams.inner();
                assert_eq!((inner.accepted, inner.unproven, inner.simultaneous.len()), (0, 0, 0));
            }
        }
    });
}

/// The system of the other side refuses what nobody there has asked for.
#[test]
fn who_comes_first_is_refused_until_the_other_is_there() {
    run(async {
        let (a, b) = (Streams::default(), Streams::default());
        let here = a.listen_simultaneous(loopback()).unwrap();
        let there = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
        let (mut near, mut far) = (ReceiveBatch::default(), ReceiveBatch::default());
        ask(&a, 1, here, there);
        let early = timeout(Duration::from_millis(350), opened(&a, 1, &mut near)).await;
        assert!(early.is_err(), "{early:?}");
        b.listen_simultaneous(there).unwrap();
        ask(&b, 2, there, here);
        let paths = tokio::join!(opened(&a, 1, &mut near), opened(&b, 2, &mut far));
        talk(&a, &b, paths.0, [&mut near, &mut far]).await;
    });
}

/// Its first check has come perhaps, and the layer knows the candidate of the peer only then.
#[test]
fn a_stream_that_the_other_side_has_opened_serves_who_asks_for_it_later() {
    run(async {
        let (a, b) = (Streams::default(), Streams::default());
        let [here, there] = [&a, &b].map(|streams| streams.listen_simultaneous(loopback()).unwrap());
        let (mut near, mut far) = (ReceiveBatch::default(), ReceiveBatch::default());
        ask(&a, 1, here, there);
        let path = opened(&a, 1, &mut near).await;
        let question = check(100);
        send(&a, path, &[&question]).unwrap();
        assert_eq!(next(&b, &mut far).await.0, [question]);
        assert_eq!(b.inner().unproven, 1);
        ask(&b, 2, there, here);
        assert_eq!(opened(&b, 2, &mut far).await, FiveTuple::tcp(there, here));
        talk(&a, &b, path, [&mut near, &mut far]).await;
        assert_eq!(b.count(), 1);
        let inner = b.inner();
        assert_eq!((inner.unproven, inner.accepted, inner.unproven_of.count(here.ip())), (0, 0, 0));
    });
}

/// Strangers at the port are what they are at any other, and what is abandoned leaves nothing behind.
#[test]
fn others_at_the_port_are_strangers() {
    run(async {
        let limits = StreamLimits { first_message: Duration::from_millis(50), ..StreamLimits::default() };
        let (streams, mut batch) = (Streams::new(limits), ReceiveBatch::default());
        let here = streams.listen_simultaneous(loopback()).unwrap();
        let nobody = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
        ask(&streams, 1, here, nobody);
        let mut stranger = TcpStream::connect(here).await.unwrap();
        let mut byte = [0];
        let end = tokio::select! {
            end = stranger.read(&mut byte) => end,
            _ = opened(&streams, 1, &mut batch) => panic!("it is of a stranger"),
        };
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        streams.request(StreamRequest::Abandon(StreamToken(1)));
        assert_eq!((streams.count(), streams.inner().simultaneous.len()), (0, 0));
    });
}

/// A port for simultaneous open is no excuse to ask a server again and again.
#[test]
fn a_server_that_refuses_is_told_of_at_once() {
    run(async {
        let (streams, mut batch) = (Streams::default(), ReceiveBatch::default());
        let here = streams.listen_simultaneous(loopback()).unwrap();
        let nobody = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
        let opening = StreamOpening::new(StreamToken(1), here, nobody, Framing::Stun);
        streams.request(StreamRequest::Open(opening));
        let told = timeout(Duration::from_secs(5), next(&streams, &mut batch)).await.unwrap().1;
        assert!(matches!(told, Some(StreamReport::Failed { .. })), "{told:?}");
    });
}
