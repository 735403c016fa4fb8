use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::net::tests::run;

fn localhost() -> Vec<IpAddr> {
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    let has_v6 = std::net::UdpSocket::bind((v6, 0)).is_ok();
    std::iter::once(IpAddr::from([127, 0, 0, 1])).chain(has_v6.then_some(v6)).collect()
}

fn bind(address: &str) -> UdpSocket {
    UdpSocket::bind(address.parse().unwrap()).unwrap()
}

/// A run of `count` datagrams of `size` bytes that begin with their number, the last one shorter.
fn numbered(
    batch: &mut TransmitBatch,
    path: FiveTuple,
    ecn: Option<Ecn>,
    numbers: std::ops::Range<u32>,
    size: usize,
) -> Transmit {
    let last = numbers.end - 1;
    let mut segments = batch.segments(Some(path), ecn);
    for number in numbers {
        let start = segments.datagram_start();
        let size = if number == last { size - 1 } else { size };
        segments.datagram().extend_from_slice(&number.to_be_bytes());
        segments.datagram().resize(start + size, number as u8);
        segments.end_datagram();
    }
    segments.finish().unwrap()
}

/// What a datagram of [`numbered`] says.
fn number(bytes: &[u8]) -> u32 {
    let number = u32::from_be_bytes(*bytes.first_chunk().unwrap());
    assert!(bytes[4..].iter().all(|byte| *byte == number as u8));
    number
}

/// Receives until `count` datagrams are there, and hands each to `check`.
async fn receive(socket: &UdpSocket, count: usize, mut check: impl FnMut(usize, crate::layer::Datagram<'_>)) {
    let mut batch = ReceiveBatch::default();
    let mut received = 0;
    while received < count {
        socket.recv(&mut batch).await.unwrap();
        for datagram in batch.datagrams() {
            check(received, datagram);
            received += 1;
        }
    }
    assert_eq!(received, count);
}

#[test]
fn segments_of_a_batch_arrive_one_by_one_and_in_order() {
    run(async {
        for ip in localhost() {
            for segmentation_offload in [true, false] {
                let config = UdpConfig { segmentation_offload, ..UdpConfig::default() };
                let (a, b) = (config.bind((ip, 0).into()).unwrap(), config.bind((ip, 0).into()).unwrap());
                assert!(segmentation_offload || a.max_segments() == 1);
                let path = FiveTuple::udp(a.local_addr(), b.local_addr());
                for ecn in [None, Some(Ecn::Ect0), Some(Ecn::Ect1), Some(Ecn::Ce)] {
                    let mut batch = TransmitBatch::new(1200);
                    let transmit = numbered(&mut batch, path, ecn, 0..50, 1200);
                    assert_eq!(transmit.len(), 50 * 1200 - 1);
                    a.send(&batch, &transmit).await.unwrap();
                    receive(&b, 50, |index, datagram| {
                        assert_eq!(datagram.path, FiveTuple::udp(b.local_addr(), a.local_addr()));
                        assert_eq!(datagram.ecn, ecn);
                        assert_eq!(number(datagram.bytes), index as u32);
                        assert_eq!(datagram.bytes.len(), if index == 49 { 1199 } else { 1200 });
                    })
                    .await;
                }
                assert_eq!(a.stats(), UdpStats { sent: 200, ..UdpStats::default() });
                assert_eq!(b.stats(), UdpStats { received: 200, ..UdpStats::default() });
            }
        }
    });
}

#[test]
fn a_run_larger_than_one_send_is_sent_in_several() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        let path = FiveTuple::udp(a.local_addr(), b.local_addr());
        // More segments than the kernel takes at once.
        let mut batch = TransmitBatch::new(100).with_max_segments(600);
        let transmit = numbered(&mut batch, path, None, 0..600, 100);
        a.send(&batch, &transmit).await.unwrap();
        receive(&b, 600, |index, datagram| assert_eq!(number(datagram.bytes), index as u32)).await;
    });
}

#[test]
#[cfg(target_os = "linux")]
fn segmentation_that_the_kernel_refuses_is_done_without() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        assert!(a.max_segments() > 1);
        let path = FiveTuple::udp(a.local_addr(), b.local_addr());
        let mut batch = TransmitBatch::new(20).with_max_segments(500);
        let transmit = numbered(&mut batch, path, None, 0..200, 20);
        let route = a.route(&path).unwrap();
        // Linux takes no more than 128 segments and says that more are invalid.
        assert!(a.send_run(route, None, batch.bytes(&transmit), 20, 500).is_ok());
        assert_eq!(a.max_segments(), 1);
        receive(&b, 200, |index, datagram| assert_eq!(number(datagram.bytes), index as u32)).await;
        assert_eq!(a.stats(), UdpStats { sent: 200, ..UdpStats::default() });
        // ECN goes on.
        batch.clear();
        let transmit = numbered(&mut batch, path, Some(Ecn::Ect1), 0..2, 20);
        a.send(&batch, &transmit).await.unwrap();
        receive(&b, 2, |_, datagram| assert_eq!(datagram.ecn, Some(Ecn::Ect1))).await;
    });
}

#[test]
fn a_rest_is_sent_without_what_was_sent_before() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        let path = FiveTuple::udp(a.local_addr(), b.local_addr());
        let mut batch = TransmitBatch::new(100);
        let transmit = numbered(&mut batch, path, None, 0..10, 100);
        a.try_send_rest(&batch, &transmit, 7).unwrap();
        receive(&b, 3, |index, datagram| assert_eq!(number(datagram.bytes), 7 + index as u32)).await;
        a.try_send_rest(&batch, &transmit, 10).unwrap();
        a.try_send_rest(&batch, &transmit, usize::MAX).unwrap();
        assert_eq!(a.stats().sent, 3);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_socket_for_all_addresses_tells_which_one_was_meant_and_answers_from_it() {
    run(async {
        let (client, server) = (bind("127.0.0.1:0"), bind("0.0.0.0:0"));
        for ip in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 66, 0, 1]] {
            let to = SocketAddr::from((ip, server.local_addr().port()));
            client.send_datagram(&FiveTuple::udp(client.local_addr(), to), b"question").await.unwrap();
            let mut path = None;
            receive(&server, 1, |_, datagram| path = Some(datagram.path)).await;
            assert_eq!(path, Some(FiveTuple::udp(to, client.local_addr())));
            server.send_datagram(&path.unwrap(), b"answer").await.unwrap();
            receive(&client, 1, |_, datagram| assert_eq!(datagram.path.remote, to)).await;
        }
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_socket_for_both_families_shows_ipv4_as_ipv4() {
    run(async {
        let Ok(server) = UdpSocket::bind("[::]:0".parse().unwrap()) else { return };
        for ip in localhost() {
            let client = UdpSocket::bind((ip, 0).into()).unwrap();
            let to = SocketAddr::from((ip, server.local_addr().port()));
            let mut batch = TransmitBatch::new(1200);
            let path = FiveTuple::udp(client.local_addr(), to);
            let transmit = numbered(&mut batch, path, Some(Ecn::Ect0), 0..3, 1200);
            client.send(&batch, &transmit).await.unwrap();
            let mut path = None;
            receive(&server, 3, |_, datagram| {
                assert_eq!(datagram.ecn, Some(Ecn::Ect0));
                path = Some(datagram.path);
            })
            .await;
            assert_eq!(path, Some(FiveTuple::udp(to, client.local_addr())));
            let transmit = numbered(&mut batch, path.unwrap(), Some(Ecn::Ce), 0..3, 1200);
            server.send(&batch, &transmit).await.unwrap();
            receive(&client, 3, |_, datagram| {
                assert_eq!((datagram.path.remote, datagram.ecn), (to, Some(Ecn::Ce)));
            })
            .await;
        }
        let only =
            UdpConfig { only_v6: true, ..UdpConfig::default() }.bind("[::]:0".parse().unwrap()).unwrap();
        // The same port is free for IPv4.
        UdpSocket::bind(([0, 0, 0, 0], only.local_addr().port()).into()).unwrap();
    });
}

#[test]
fn what_one_datagram_meets_does_not_end_the_socket() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        let good = FiveTuple::udp(a.local_addr(), b.local_addr());
        let to = |address: &str| FiveTuple::udp(a.local_addr(), address.parse().unwrap());
        // Nobody may send to all without asking for it, nobody at all to port 0, nor more than UDP carries.
        a.send_datagram(&to("255.255.255.255:9"), b"forbidden").await.unwrap();
        a.send_datagram(&to("127.0.0.1:0"), b"nowhere").await.unwrap();
        a.send_datagram(&good, &[0; 65_508]).await.unwrap();
        let stats = a.stats();
        assert_eq!((stats.sent, stats.forbidden, stats.other_errors, stats.too_large), (0, 1, 1, 1));
        assert!(a.max_segments() > 1 || !cfg!(target_os = "linux"), "none of it is about segmentation");
        a.send_datagram(&good, b"good").await.unwrap();
        receive(&b, 1, |_, datagram| assert_eq!(datagram.bytes, b"good")).await;
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_source_address_that_is_gone_does_not_end_segmentation() {
    run(async {
        for ip in localhost() {
            let (any, gone) = match ip {
                IpAddr::V4(_) => ("0.0.0.0:0", "192.0.2.213"),
                IpAddr::V6(_) => ("[::]:0", "2001:db8::213"),
            };
            let (a, b) = (bind(any), UdpSocket::bind((ip, 0).into()).unwrap());
            let mut batch = TransmitBatch::new(20);
            let from = |ip| FiveTuple::udp(SocketAddr::new(ip, a.local_addr().port()), b.local_addr());
            let lost = numbered(&mut batch, from(gone.parse().unwrap()), None, 0..3, 20);
            a.send(&batch, &lost).await.unwrap();
            // Kernels differ in what they call it.
            let stats = a.stats();
            assert_eq!((stats.sent, stats.unreachable + stats.other_errors), (0, 3));
            assert!(a.max_segments() > 1);
            let good = numbered(&mut batch, from(ip), Some(Ecn::Ce), 0..3, 20);
            a.send(&batch, &good).await.unwrap();
            receive(&b, 3, |_, datagram| assert_eq!(datagram.ecn, Some(Ecn::Ce))).await;
        }
    });
}

#[test]
#[cfg(unix)]
fn a_closed_port_is_counted_and_costs_nothing_else() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        let closed = bind("127.0.0.1:0").local_addr();
        // The kernel tells sockets of such errors that have one peer only.
        a.io.connect(closed).await.unwrap();
        let nobody = FiveTuple::udp(a.local_addr(), closed);
        let peer = FiveTuple::udp(a.local_addr(), b.local_addr());
        a.send_datagram(&nobody, b"is anybody there?").await.unwrap();
        // The error is reported to the next send, which must not be lost to it.
        a.send_datagram(&peer, b"hello").await.unwrap();
        receive(&b, 1, |_, datagram| assert_eq!(datagram.bytes, b"hello")).await;
        assert_eq!((a.stats().sent, a.stats().refused), (2, 1));
        // And to the next receive.
        a.send_datagram(&nobody, b"is anybody there?").await.unwrap();
        a.io.connect(b.local_addr()).await.unwrap();
        b.send_datagram(&FiveTuple::udp(b.local_addr(), a.local_addr()), b"answer").await.unwrap();
        receive(&a, 1, |_, datagram| assert_eq!(datagram.bytes, b"answer")).await;
    });
}

#[test]
fn paths_that_a_socket_cannot_take_are_named() {
    run(async {
        let a = bind("127.0.0.1:0");
        let mut batch = TransmitBatch::new(1200);
        let v6 = FiveTuple::udp(a.local_addr(), "[::1]:9".parse().unwrap());
        let mut transmit = numbered(&mut batch, v6, None, 0..1, 9);
        let error = a.send(&batch, &transmit).await.unwrap_err();
        assert_eq!(error, SendError::AddressFamily { local: a.local_addr(), remote: v6.remote });
        transmit.path = None;
        assert_eq!(a.try_send(&batch, &transmit), Err(SendError::NoPath));
    });
}

#[test]
fn a_port_range_is_used_up_and_then_named() {
    run(async {
        let ip = IpAddr::from([127, 0, 0, 1]);
        let (range, sockets) = free_range(ip, 5);
        let ports: BTreeSet<_> = sockets.iter().map(|socket| socket.local_addr().port()).collect();
        assert_eq!(ports, (range.first()..=range.last()).collect());
        let error = UdpSocket::bind_in(ip, range).unwrap_err();
        assert!(matches!(error, BindError::RangeBusy { .. }));
        assert_eq!(
            error.to_string(),
            format!("all ports from {range} of 127.0.0.1 are in use; widen the range or close sockets")
        );
        let freed = sockets.into_iter().nth(2).unwrap().local_addr();
        // Dropping the rest freed all of them; any will do.
        let again = UdpSocket::bind_in(ip, range).unwrap().local_addr().port();
        assert!((range.first()..=range.last()).contains(&again) && range.first() <= freed.port());
        assert!(matches!(
            UdpSocket::bind_in([192, 0, 2, 213].into(), range).unwrap_err(),
            BindError::Io { .. }
        ));
    });
}

/// A range of `count` ports, each with a socket of ours in it.
fn free_range(ip: IpAddr, count: u16) -> (PortRange, Vec<UdpSocket>) {
    for _ in 0..100 {
        let first = UdpSocket::bind((ip, 0).into()).unwrap().local_addr().port();
        let Ok(range) = PortRange::new(first..=first.saturating_add(count - 1)) else { continue };
        let sockets: Vec<_> = (0..count).map_while(|_| UdpSocket::bind_in(ip, range).ok()).collect();
        if sockets.len() == usize::from(count) {
            return (range, sockets);
        }
    }
    panic!("no {count} free ports in a row");
}

#[test]
fn no_runtime_is_an_error() {
    let error = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap_err();
    assert!(matches!(error, BindError::NoRuntime));
}

#[test]
fn buffer_sizes_are_set_and_read() {
    run(async {
        let mut config = UdpConfig::default();
        (config.send_buffer, config.receive_buffer) = (Some(50_000), Some(60_000));
        let socket = config.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(socket.send_buffer_size().unwrap() >= 50_000);
        assert!(socket.receive_buffer_size().unwrap() >= 60_000);
        assert!(socket.receive_buffer_size().unwrap() < 150_000);
    });
}

#[test]
fn a_receive_that_is_dropped_has_taken_nothing() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        let path = FiveTuple::udp(a.local_addr(), b.local_addr());
        let (mut batch, mut received) = (TransmitBatch::new(100), ReceiveBatch::new(2));
        let (mut expected, mut sent, mut dropped) = (0, 0, 0);
        while expected < 1000 {
            // Sends now and then, so that receives are dropped before and while datagrams arrive.
            if sent == expected {
                let transmit = numbered(&mut batch, path, None, sent..sent + 7, 100);
                a.send(&batch, &transmit).await.unwrap();
                batch.clear();
                sent += 7;
            }
            let moment = Duration::from_nanos(u64::from(expected % 3) * 500);
            match tokio::time::timeout(moment, b.recv(&mut received)).await {
                Ok(result) => result.unwrap(),
                Err(_) => {
                    dropped += 1;
                    continue;
                }
            }
            for datagram in received.datagrams() {
                assert_eq!(number(datagram.bytes), expected);
                expected += 1;
            }
            // This one is dropped for certain.
            let nothing = std::future::poll_fn(|context| {
                assert!(
                    Box::pin(b.recv(&mut received)).as_mut().poll(context).is_pending() || sent > expected
                );
                Poll::Ready(())
            });
            if sent == expected {
                nothing.await;
                dropped += 1;
            }
        }
        assert!(dropped > 0);
    });
}

#[test]
fn an_empty_datagram_is_passed_over() {
    run(async {
        let (a, b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        a.io.send_to(b"", b.local_addr()).await.unwrap();
        a.io.send_to(b"x", b.local_addr()).await.unwrap();
        receive(&b, 1, |_, datagram| assert_eq!(datagram.bytes, b"x")).await;
        let mut batch = ReceiveBatch::default();
        assert_eq!(b.try_recv(&mut batch).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(batch.is_empty());
    });
}

#[test]
fn a_burst_that_brings_nothing_ends_no_socket() {
    run(async {
        let large = UdpConfig { receive_buffer: Some(1 << 20), ..UdpConfig::default() };
        let socket = large.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..2000 {
            stranger.send_to(&[], socket.local_addr()).unwrap();
        }
        stranger.send_to(b"behind", socket.local_addr()).unwrap();
        receive(&socket, 1, |_, datagram| assert_eq!(datagram.bytes, b"behind")).await;
    });
}

/// Others have their turn while it lasts: each poll makes a limited number of system calls.
#[test]
fn a_burst_that_brings_nothing_is_taken_in_parts() {
    run(async {
        let large = UdpConfig { receive_buffer: Some(1 << 20), ..UdpConfig::default() };
        let socket = large.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sent = 2 * UdpSocket::MAX_FRUITLESS * ReceiveBatch::DEFAULT_BUFFERS;
        for _ in 0..sent {
            stranger.send_to(&[], socket.local_addr()).unwrap();
        }
        let mut batch = ReceiveBatch::default();
        let mut polls = 0;
        tokio::time::timeout(Duration::from_millis(200), async {
            std::future::poll_fn(|context| {
                polls += 1;
                socket.poll_recv(context, &mut batch)
            })
            .await
        })
        .await
        .unwrap_err();
        assert!(polls >= 3, "{polls} polls");
    });
}

#[test]
fn errors_that_pass_and_errors_that_stay() {
    for code in [EBADF, ENOTSOCK] {
        assert!(is_gone(&io::Error::from_raw_os_error(code)), "{code}");
    }
    // ENETDOWN, ECONNREFUSED, EIO, ENOMEM, EINVAL and one that no system has.
    for code in [100, 111, 5, 12, 22, 4321] {
        assert!(!is_gone(&io::Error::from_raw_os_error(code)), "{code}");
    }
}

#[test]
fn what_the_kernel_refuses_is_done_without() {
    run(async {
        let (mut a, mut b) = (bind("127.0.0.1:0"), bind("127.0.0.1:0"));
        assert!(a.capabilities().destination_address);
        (a.kernel, b.kernel) = (Kernel::refusing(), Kernel::refusing());
        let nothing = UdpCapabilities {
            segmentation: false,
            receive_offload: false,
            ecn: false,
            destination_address: false,
        };
        assert_eq!(a.capabilities(), nothing);
        assert_eq!(a.max_segments(), 1);
        let path = FiveTuple::udp(a.local_addr(), b.local_addr());
        let mut batch = TransmitBatch::new(1200);
        let transmit = numbered(&mut batch, path, Some(Ecn::Ect1), 0..20, 100);
        a.send(&batch, &transmit).await.unwrap();
        receive(&b, 20, |index, datagram| {
            assert_eq!(datagram.path, FiveTuple::udp(b.local_addr(), a.local_addr()));
            assert_eq!((number(datagram.bytes), datagram.ecn), (index as u32, None));
        })
        .await;
    });
}

#[test]
fn sizes_of_buffers_are_wishes() {
    run(async {
        let size = Some(usize::MAX);
        let config = UdpConfig { send_buffer: size, receive_buffer: size, ..UdpConfig::default() };
        config.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    });
}

#[test]
fn a_runtime_without_input_and_output_is_said_to_be_none() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let refused = UdpSocket::bind("127.0.0.1:0".parse().unwrap());
        assert!(matches!(refused, Err(BindError::NoRuntime)), "{refused:?}");
    });
}
