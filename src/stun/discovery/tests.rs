use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::crypto::{CryptoProvider, SeededRandom};
use crate::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use crate::stun::{
    AttributeType, BindingFailure, ChangeRequest, Class, ErrorCode, Message, MessageBuilder, Method,
    StunError, TransactionId,
};

const ID: TransactionId = TransactionId(*b"twelve bytes");
const CLIENT: &str = "192.0.2.7:5000";

fn provider() -> CryptoProvider {
    #[cfg(feature = "aws-lc-rs")]
    let provider = crate::crypto::aws_lc_rs::provider();
    #[cfg(not(feature = "aws-lc-rs"))]
    let provider = crate::crypto::rust_crypto::provider();
    provider.with_random(Arc::new(SeededRandom::new(1)))
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn server(config: DiscoveryServerConfig) -> DiscoveryServer {
    let (primary, other) = (at("198.51.100.1:3478"), at("198.51.100.2:3479"));
    DiscoveryServer::new(Instant::now(), &provider(), primary, other, config).unwrap()
}

fn client(now: Instant) -> DiscoveryClient {
    let (sockets, server) = ([at(CLIENT), at("192.0.2.7:5001")], at("198.51.100.1:3478"));
    DiscoveryClient::new(now, &provider(), sockets, server, DiscoveryConfig::default()).unwrap()
}

fn request(write: impl FnOnce(MessageBuilder<'_>) -> MessageBuilder<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, ID)).finish().unwrap();
    bytes
}

/// What the server sends when `CLIENT` asks it at an address.
fn ask(server: &mut DiscoveryServer, to: &str, mut bytes: Vec<u8>) -> Option<(FiveTuple, Vec<u8>)> {
    let (now, path) = (Instant::now(), FiveTuple::udp(at(to), at(CLIENT)));
    server.handle_datagram(now, Datagram::new(path, &mut bytes)).ok()?;
    let mut batch = TransmitBatch::new(1200);
    let transmit = server.poll_transmit(now, &mut batch)?;
    Some((transmit.path.unwrap(), batch.bytes(&transmit).to_vec()))
}

#[test]
fn attributes_stand_as_the_rfc_has_them() {
    let bytes = request(|message| {
        message
            .change_request(ChangeRequest { ip: true, port: true })
            .response_port(5000)
            .attribute(AttributeType::PADDING, &[0; 4])
            .response_origin(at("192.0.2.1:3478"))
            .other_address(at("[2001:db8::1]:3479"))
    });
    let expected = [
        &[0x00, 0x03, 0, 4, 0, 0, 0, 6][..],
        &[0x00, 0x27, 0, 2, 0x13, 0x88, 0, 0],
        &[0x00, 0x26, 0, 4, 0, 0, 0, 0],
        &[0x80, 0x2b, 0, 8, 0, 1, 0x0d, 0x96, 192, 0, 2, 1],
        &[0x80, 0x2c, 0, 20, 0, 2, 0x0d, 0x97, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ];
    assert_eq!(bytes[20..], expected.concat());
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.change_request(), Some(ChangeRequest { ip: true, port: true }));
    assert_eq!(message.response_port(), Some(5000));
    assert_eq!(message.response_origin(), Some(at("192.0.2.1:3478")));
    assert_eq!(message.other_address(), Some(at("[2001:db8::1]:3479")));
    for (flags, ip, port) in
        [(0, false, false), (2, false, true), (4, true, false), (0xffff_fff9, false, false)]
    {
        let bytes =
            request(|message| message.attribute(AttributeType::CHANGE_REQUEST, &u32::to_be_bytes(flags)));
        assert_eq!(Message::decode(&bytes).unwrap().change_request(), Some(ChangeRequest { ip, port }));
    }
    let bytes = request(|message| {
        message
            .attribute(AttributeType::CHANGE_REQUEST, &[0, 6])
            .attribute(AttributeType::RESPONSE_PORT, &[1])
            .attribute(AttributeType::OTHER_ADDRESS, &[0, 1, 2, 3])
    });
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(
        (message.change_request(), message.response_port(), message.other_address()),
        (None, None, None)
    );
}

#[test]
fn a_server_answers_from_where_it_is_asked_to() {
    let mut server = server(DiscoveryServerConfig::default());
    let both = [false, true];
    for (to, changed_ip, changed_port) in [
        ("198.51.100.1:3478", "198.51.100.2", 3479),
        ("198.51.100.1:3479", "198.51.100.2", 3478),
        ("198.51.100.2:3478", "198.51.100.1", 3479),
    ] {
        for (ip, port) in both.into_iter().flat_map(|ip| both.map(|port| (ip, port))) {
            let change = ChangeRequest { ip, port };
            let (path, bytes) =
                ask(&mut server, to, request(|message| message.change_request(change))).unwrap();
            let expected_ip = if ip { changed_ip.parse().unwrap() } else { at(to).ip() };
            let expected_port = if port { changed_port } else { at(to).port() };
            let message = Message::decode(&bytes).unwrap();
            assert_eq!(path.local, SocketAddr::new(expected_ip, expected_port), "{to} {change:?}");
            assert_eq!(path.remote, at(CLIENT));
            assert_eq!(message.response_origin(), Some(path.local));
            let other = SocketAddr::new(changed_ip.parse().unwrap(), changed_port);
            assert_eq!(message.other_address(), Some(other));
            assert_eq!(message.mapped_address(), Some(at(CLIENT)));
            assert_eq!(message.address(AttributeType::MAPPED_ADDRESS), Some(at(CLIENT)));
            assert!(message.has_fingerprint());
            assert_eq!(bytes.len(), 76);
        }
    }
}

#[test]
fn a_server_sends_to_nobody_who_did_not_ask() {
    let refusal = |bytes: Vec<u8>| Message::decode(&bytes).unwrap().error_code().map(|(code, _)| code);
    let primary = "198.51.100.1:3478";
    // RESPONSE-PORT is refused unless it is allowed, and then only the port is another one.
    let to_port = || request(|message| message.response_port(9));
    let (path, bytes) = ask(&mut server(DiscoveryServerConfig::default()), primary, to_port()).unwrap();
    assert_eq!((path.remote, refusal(bytes)), (at(CLIENT), Some(ErrorCode::UNKNOWN_ATTRIBUTE)));
    let mut allowing = server(DiscoveryServerConfig { response_port: true, ..Default::default() });
    let (path, bytes) = ask(&mut allowing, primary, to_port()).unwrap();
    assert_eq!((path.remote, refusal(bytes)), (at("192.0.2.7:9"), None));
    // RFC 5780 §6.1
    let bytes = request(|message| message.response_port(9).attribute(AttributeType::PADDING, &[0; 8]));
    let (path, bytes) = ask(&mut allowing, primary, bytes).unwrap();
    assert_eq!((path.remote, refusal(bytes)), (at(CLIENT), Some(ErrorCode::BAD_REQUEST)));
    for (kind, value) in [(AttributeType::RESPONSE_PORT, &[0, 0][..]), (AttributeType::CHANGE_REQUEST, &[6])]
    {
        let (_, bytes) =
            ask(&mut allowing, primary, request(|message| message.attribute(kind, value))).unwrap();
        assert_eq!(refusal(bytes), Some(ErrorCode::BAD_REQUEST));
    }
    // RESPONSE-ADDRESS of RFC 3489, which could name anyone.
    let named = request(|message| message.address(AttributeType(0x0002), at("203.0.113.9:53")));
    let (path, bytes) = ask(&mut allowing, primary, named).unwrap();
    assert_eq!((path.remote, refusal(bytes)), (at(CLIENT), Some(ErrorCode::UNKNOWN_ATTRIBUTE)));
    // Itself, and what is not its own.
    for (local, remote) in
        [(primary, "198.51.100.2:3479"), (primary, "192.0.2.7:0"), ("198.51.100.3:3478", CLIENT)]
    {
        let path = FiveTuple::udp(at(local), at(remote));
        let result = allowing.handle_datagram(Instant::now(), Datagram::new(path, &mut request(|it| it)));
        assert!(matches!(result, Err(StunError::Ignored(_))), "{local} {remote}");
    }
}

#[test]
fn padding_is_as_long_as_it_was_and_fits_the_datagram() {
    let mut server = server(DiscoveryServerConfig::default());
    for (asked, given) in [(0, 0), (500, 500), (501, 501), (1100, 1069)] {
        let padding = vec![1; asked];
        let bytes = request(|message| message.attribute(AttributeType::PADDING, &padding));
        let (_, bytes) = ask(&mut server, "198.51.100.1:3478", bytes).unwrap();
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.attribute(AttributeType::PADDING).map(<[u8]>::len), Some(given));
        assert!(bytes.len() <= 1200 && bytes.len() <= 20 + 4 + asked + 3 + 56);
    }
}

#[test]
fn what_a_source_and_all_sources_draw_is_limited() {
    let config = DiscoveryServerConfig { answers_per_source: 3, answers: 10, ..Default::default() };
    let (mut server, now) = (server(config), Instant::now());
    let mut batch = TransmitBatch::new(1200);
    let mut answers = |now, source: &str, ports: std::ops::Range<u16>| {
        let mut count = 0;
        for port in ports {
            let path =
                FiveTuple::udp(at("198.51.100.1:3478"), SocketAddr::new(source.parse().unwrap(), port));
            let _ = server.handle_datagram(now, Datagram::new(path, &mut request(|it| it)));
            count += usize::from(server.poll_transmit(now, &mut batch).is_some());
            batch.clear();
        }
        count
    };
    assert_eq!(answers(now, "192.0.2.1", 1..100), 3);
    assert_eq!((2..9).map(|last| answers(now, &format!("192.0.2.{last}"), 1..100)).sum::<usize>(), 7);
    let later = now + Duration::from_secs(2);
    assert_eq!(answers(later, "192.0.2.1", 1..100), 3);

    // Who is not sent from holds a queue of bounded length.
    let mut server = DiscoveryServer::new(
        now,
        &provider(),
        at("[2001:db8::1]:3478"),
        at("[2001:db8::2]:3479"),
        DiscoveryServerConfig { answers_per_source: 1000, ..Default::default() },
    )
    .unwrap();
    let path = FiveTuple::udp(at("[2001:db8::1]:3478"), at("[2001:db8::7]:1"));
    let taken = (0..200)
        .filter(|_| server.handle_datagram(now, Datagram::new(path, &mut request(|it| it))).is_ok())
        .count();
    assert_eq!(taken, 64);
    let transmit = server.poll_transmit(now, &mut batch).unwrap();
    assert_eq!(batch.bytes(&transmit).len(), 124);
}

#[test]
fn addresses_that_examine_nothing_are_refused() {
    let now = Instant::now();
    let make = |a: &str, b: &str, server: &str| {
        let config = DiscoveryConfig::default();
        DiscoveryClient::new(now, &provider(), [at(a), at(b)], at(server), config).err()
    };
    let (a, b, s) = ("192.0.2.7:1", "192.0.2.7:2", "198.51.100.1:3478");
    assert_eq!(make(a, b, s), None);
    assert_eq!(make(a, a, s), Some(InvalidAddresses::Same(at(a), at(a))));
    assert_eq!(make("0.0.0.0:1", b, s), Some(InvalidAddresses::NoHost(at("0.0.0.0:1"))));
    assert_eq!(make(a, b, "198.51.100.1:0"), Some(InvalidAddresses::NoHost(at("198.51.100.1:0"))));
    assert!(matches!(make(a, b, "[2001:db8::1]:1"), Some(InvalidAddresses::Families(..))));
    for (primary, other) in [("198.51.100.1:1", "198.51.100.1:2"), ("198.51.100.1:1", "198.51.100.2:1")] {
        let config = DiscoveryServerConfig::default();
        let made = DiscoveryServer::new(now, &provider(), at(primary), at(other), config);
        assert!(matches!(made, Err(InvalidAddresses::Same(..))));
    }
}

/// Runs a client whose every request `answer` responds to at once, or does not.
fn run(
    mut answer: impl FnMut(FiveTuple, &Message<'_>) -> Vec<(FiveTuple, Vec<u8>)>,
) -> (DiscoveryEvent, usize) {
    let mut now = Instant::now();
    let (mut client, mut batch, mut sent) = (client(now), TransmitBatch::new(1200), 0);
    for _ in 0..1000 {
        let mut answers = Vec::new();
        while let Some(transmit) = client.poll_transmit(now, &mut batch) {
            sent += 1;
            let message = Message::decode(batch.bytes(&transmit)).unwrap();
            answers.extend(answer(transmit.path.unwrap(), &message));
            batch.clear();
        }
        for (path, mut bytes) in answers {
            let _ = client.handle_datagram(now, Datagram::new(path, &mut bytes));
        }
        if let Some(event) = client.poll_event() {
            assert_eq!((client.poll_timeout(), client.poll_event()), (None, None));
            assert!(client.poll_transmit(now, &mut batch).is_none());
            return (event, sent);
        }
        now = client.poll_timeout().expect("it waits or has ended");
    }
    panic!("it does not end");
}

/// A response from `origin`, of a server that sees the client at another address.
fn response(
    to: &FiveTuple,
    origin: SocketAddr,
    asked: &Message<'_>,
    other: Option<&str>,
) -> (FiveTuple, Vec<u8>) {
    let mut bytes = Vec::new();
    let mapped = SocketAddr::new([203, 0, 113, 1].into(), to.local.port() + 1);
    let message = MessageBuilder::new(&mut bytes, Class::Success, Method::BINDING, asked.transaction_id());
    let message = message.xor_mapped_address(mapped);
    match other {
        Some(other) => message.other_address(at(other)),
        None => message,
    }
    .finish()
    .unwrap();
    (FiveTuple::udp(to.local, origin), bytes)
}

fn report(event: DiscoveryEvent) -> NatReport {
    match event {
        DiscoveryEvent::Finished(report) => report,
        DiscoveryEvent::Failed(why) => panic!("{why:?}"),
    }
}

#[test]
fn silence_ends_with_a_failure_and_a_few_requests() {
    let (event, sent) = run(|_, _| Vec::new());
    assert_eq!((event, sent), (DiscoveryEvent::Failed(BindingFailure::TimedOut), 14));
    let (event, sent) = run(|path, asked| {
        let mut bytes = Vec::new();
        MessageBuilder::new(&mut bytes, Class::Error, Method::BINDING, asked.transaction_id())
            .error_code(ErrorCode::FORBIDDEN)
            .finish()
            .unwrap();
        vec![(path, bytes)]
    });
    let refused = BindingFailure::Refused(ErrorCode::FORBIDDEN, "Forbidden".to_owned());
    assert_eq!((event, sent), (DiscoveryEvent::Failed(refused), 1));
}

#[test]
fn a_server_that_lies_is_followed_nowhere_and_proves_nothing() {
    // Other addresses that are none, or that are not told.
    for other in [
        None,
        Some("198.51.100.1:3479"),
        Some("198.51.100.2:3478"),
        Some("127.0.0.1:3479"),
        Some("224.0.0.1:3479"),
        Some("0.0.0.0:3479"),
        Some("198.51.100.2:0"),
        Some("[2001:db8::1]:3479"),
    ] {
        let mut elsewhere = 0;
        let (event, _) = run(|path, asked| {
            let is_to_itself = path.remote.ip() == at("203.0.113.1:1").ip();
            elsewhere += usize::from(path.remote != at("198.51.100.1:3478") && !is_to_itself);
            if is_to_itself { Vec::new() } else { vec![response(&path, path.remote, asked, other)] }
        });
        let report = report(event);
        assert_eq!((report.other_address, elsewhere), (None, 0), "{other:?}");
        assert_eq!(report.mapping, Err(Undetermined::NoOtherAddress));
        assert_eq!(report.filtering, Err(Undetermined::NoOtherAddress));
        assert_eq!(report.hairpinning, Ok(false));
    }
    let other = Some("198.51.100.2:3479");
    let hairpin = |path: &FiveTuple| path.remote.ip() == at("203.0.113.1:1").ip();
    // It ignores CHANGE-REQUEST, and answers from where it was asked.
    let (event, _) =
        run(
            |path, asked| {
                if hairpin(&path) { Vec::new() } else { vec![response(&path, path.remote, asked, other)] }
            },
        );
    let ignoring = report(event);
    assert_eq!(ignoring.mapping, Ok(MappingBehavior::EndpointIndependent));
    assert_eq!(ignoring.filtering, Err(Undetermined::WrongOrigin));
    // Its other address is silent.
    let (event, sent) = run(|path, asked| {
        let is_there = path.remote == at("198.51.100.1:3478") && asked.change_request().is_none();
        if is_there { vec![response(&path, path.remote, asked, other)] } else { Vec::new() }
    });
    let alone = report(event);
    assert_eq!(alone.mapping, Err(Undetermined::Silent(at("198.51.100.2:3478"))));
    assert_eq!(alone.filtering, Err(Undetermined::Silent(at("198.51.100.2:3479"))));
    assert_eq!(sent, 2 + 3 * 7 + 4 * 5 + 2);
    // Answers to ordinary questions from elsewhere are none.
    let (event, _) = run(|path, asked| vec![response(&path, at("198.51.100.2:3479"), asked, other)]);
    assert_eq!(event, DiscoveryEvent::Failed(BindingFailure::TimedOut));
}

#[test]
fn a_response_counts_once_at_its_own_socket() {
    let (now, mut batch) = (Instant::now(), TransmitBatch::new(1200));
    let mut client = client(now);
    let transmit = client.poll_transmit(now, &mut batch).unwrap();
    let path = transmit.path.unwrap();
    let asked = Message::decode(batch.bytes(&transmit)).unwrap();
    let (_, bytes) = response(&path, path.remote, &asked, None);
    let elsewhere = FiveTuple::udp(at("192.0.2.7:5001"), path.remote);
    for (path, is_taken) in [(elsewhere, false), (path, true), (path, false)] {
        let result = client.handle_datagram(now, Datagram::new(path, &mut bytes.clone()));
        assert_eq!(result.is_ok(), is_taken);
    }
}

#[test]
fn fewer_than_ten_transactions_begin_in_a_second() {
    let mut begun: Vec<(Instant, TransactionId)> = Vec::new();
    let mut now = Instant::now();
    let (mut client, mut batch) = (client(now), TransmitBatch::new(1200));
    while client.poll_event().is_none() {
        while let Some(transmit) = client.poll_transmit(now, &mut batch) {
            let bytes = batch.bytes(&transmit).to_vec();
            let (path, asked) = (transmit.path.unwrap(), Message::decode(&bytes).unwrap());
            if begun.iter().all(|(_, id)| *id != asked.transaction_id()) {
                begun.push((now, asked.transaction_id()));
            }
            let origin = match asked.change_request() {
                Some(ChangeRequest { ip: true, .. }) => at("198.51.100.2:3479"),
                Some(_) => at("198.51.100.1:3479"),
                None => path.remote,
            };
            let (path, mut bytes) = response(&path, origin, &asked, Some("198.51.100.2:3479"));
            let _ = client.handle_datagram(now, Datagram::new(path, &mut bytes));
            batch.clear();
        }
        now = client.poll_timeout().unwrap_or(now);
    }
    assert_eq!(begun.len(), 11);
    let in_a_second = |from: Instant| {
        begun.iter().filter(|(at, _)| *at >= from && *at < from + Duration::from_secs(1)).count()
    };
    assert!(begun.iter().all(|(at, _)| in_a_second(*at) <= 10));
}
