use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::message::{AddressQuestion, AddressRecord, Message, QuestionKind};
use super::*;
use crate::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use crate::net::tests::run;

fn name(label: &str) -> LocalName {
    format!("{label}.local").parse().unwrap()
}

fn group() -> SocketAddr {
    "224.0.0.251:5353".parse().unwrap()
}

fn querier() -> Querier {
    let config =
        QuerierConfig { groups: vec![group()], max_questions: 2, max_answers: 1, ..Default::default() };
    Querier::new(config)
}

fn sent(layer: &mut impl Layer, now: Instant) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut batch = TransmitBatch::new(Message::MAX_LEN);
    let mut sent = Vec::new();
    while let Some(transmit) = layer.poll_transmit(now, &mut batch) {
        sent.push((transmit.path.unwrap().remote, batch.bytes(&transmit).to_vec()));
    }
    sent
}

fn hand_over<L: Layer>(layer: &mut L, now: Instant, from: &str, message: &[u8]) -> Result<(), L::Error> {
    let path = FiveTuple::udp("0.0.0.0:40000".parse().unwrap(), from.parse().unwrap());
    layer.handle_datagram(now, Datagram::new(path, &mut message.to_vec()))
}

fn answer(label: &str, ip: &str, ttl: u32) -> Vec<u8> {
    let mut message = Vec::new();
    Message::write_response(&name(label), ip.parse().unwrap(), ttl, None, &mut message);
    message
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_question_is_asked_for_both_families_and_answered() {
    let (now, mut querier) = (Instant::now(), querier());
    querier.ask(now, name("peer")).unwrap();
    querier.ask(now, name("peer")).unwrap();
    let questions = sent(&mut querier, now);
    assert_eq!(questions.len(), 2, "asked once");
    for ((to, message), kind) in questions.iter().zip([QuestionKind::V4, QuestionKind::V6]) {
        assert_eq!(*to, group());
        let question = AddressQuestion { name: name("peer"), kind, unicast: true };
        assert_eq!(Message::decode(message), Ok(Message::Query { id: 0, questions: vec![question] }));
    }
    hand_over(&mut querier, now, "192.0.2.7:5353", &answer("PEER", "192.0.2.7", 120)).unwrap();
    assert_eq!(querier.poll_event(), Some(Resolution { name: name("peer"), result: Ok(ip("192.0.2.7")) }));
    assert_eq!((querier.poll_event(), querier.poll_timeout()), (None, None));
}

#[test]
fn a_query_is_what_rfc_1035_says() {
    let mut message = Vec::new();
    Message::write_query(&name("ab-1"), QuestionKind::V6, &mut message);
    assert_eq!(message, b"\0\0\0\0\0\x01\0\0\0\0\0\0\x04ab-1\x05local\0\0\x1c\x80\x01");
}

#[test]
fn questions_are_repeated_ever_more_slowly_until_the_time_is_over() {
    let (start, mut querier) = (Instant::now(), querier());
    querier.ask(start, name("nobody")).unwrap();
    let mut asked = Vec::new();
    let mut now = start;
    let result = loop {
        if !sent(&mut querier, now).is_empty() {
            asked.push((now - start).as_secs());
        }
        if let Some(resolution) = querier.poll_event() {
            break resolution.result;
        }
        now = querier.poll_timeout().unwrap();
        querier.handle_timeout(now);
    };
    assert_eq!(asked, [0, 1, 3]);
    assert_eq!((result, (now - start).as_secs()), (Err(ResolveError::NoAnswer), 5));
    assert_eq!(querier.poll_timeout(), None);
}

#[test]
fn what_is_not_sent_does_not_pile_up() {
    let (mut now, mut querier) = (Instant::now(), querier());
    querier.ask(now, name("nobody")).unwrap();
    while let Some(due) = querier.poll_timeout() {
        now = due;
        querier.handle_timeout(now);
        if querier.poll_timeout().is_some() {
            continue;
        }
        assert!(sent(&mut querier, now).is_empty(), "the question is over");
    }
    let now = Instant::now();
    querier.ask(now, name("peer")).unwrap();
    querier.handle_timeout(now + Duration::from_secs(1));
    querier.handle_timeout(now + Duration::from_secs(3));
    assert_eq!(sent(&mut querier, now).len(), 2);
}

#[test]
fn an_answer_is_kept_for_its_time_to_live_and_not_longer_than_allowed() {
    for (ttl, kept) in [(3, 3), (120, 120), (u32::MAX, 120)] {
        let (now, mut querier) = (Instant::now(), querier());
        querier.ask(now, name("peer")).unwrap();
        hand_over(&mut querier, now, "192.0.2.7:5353", &answer("peer", "192.0.2.7", ttl)).unwrap();
        assert!(querier.poll_event().is_some());
        sent(&mut querier, now);
        querier.ask(now + Duration::from_secs(kept) - Duration::from_millis(1), name("peer")).unwrap();
        assert_eq!(querier.poll_event().unwrap().result, Ok(ip("192.0.2.7")));
        assert!(sent(&mut querier, now).is_empty());
        querier.ask(now + Duration::from_secs(kept), name("peer")).unwrap();
        assert_eq!((querier.poll_event(), sent(&mut querier, now).len()), (None, 2));
    }
}

#[test]
fn answers_that_nobody_asked_for_or_nobody_can_use_are_not_taken() {
    let (now, mut querier) = (Instant::now(), querier());
    querier.ask(now, name("peer")).unwrap();
    for (from, message) in [
        ("192.0.2.7:5353", answer("other", "192.0.2.7", 120)),
        ("192.0.2.7:5354", answer("peer", "192.0.2.7", 120)),
        ("192.0.2.7:5353", answer("peer", "0.0.0.0", 120)),
        ("192.0.2.7:5353", answer("peer", "224.0.0.1", 120)),
        ("192.0.2.7:5353", answer("peer", "255.255.255.255", 120)),
        ("192.0.2.7:5353", answer("peer", "ff02::1", 120)),
        ("192.0.2.7:5353", answer("peer", "fe80::1", 120)),
        ("192.0.2.7:5353", answer("peer", "::ffff:0.0.0.0", 120)),
    ] {
        let _ = hand_over(&mut querier, now, from, &message);
        assert_eq!(querier.poll_event(), None);
    }
    querier.ask(now, name("other")).unwrap();
    assert_eq!(querier.poll_event(), None, "the unasked answer was not kept");
    let limit = ResolveError::TooManyQuestions { limit: 2 };
    assert_eq!(querier.ask(now, name("third")), Err(limit));
    // One answer is kept; another one is told all the same.
    for label in ["peer", "other"] {
        hand_over(&mut querier, now, "192.0.2.7:5353", &answer(label, "192.0.2.7", 120)).unwrap();
        assert!(querier.poll_event().is_some());
    }
    sent(&mut querier, now);
    querier.ask(now, name("peer")).unwrap();
    querier.ask(now, name("other")).unwrap();
    assert_eq!(querier.poll_event().unwrap().name, name("peer"));
    assert_eq!(querier.poll_event(), None);
}

#[test]
fn a_message_that_claims_more_than_it_has_is_refused_before_it_is_read() {
    let mut claims = answer("peer", "192.0.2.7", 120);
    claims[6..12].fill(0xff);
    assert_eq!(Message::decode(&claims), Err(MessageError::Malformed));
    assert_eq!(Message::decode(&[0; 11]), Err(MessageError::Malformed));
    let long = vec![0; Message::MAX_LEN + 1];
    assert_eq!(Message::decode(&long), Err(MessageError::TooLong { length: 9001 }));
    // A name that points at itself.
    let circle = b"\0\0\0\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01";
    assert_eq!(Message::decode(circle), Err(MessageError::Malformed));
    // Another opcode, and a response that tells of an error.
    for (at, bits) in [(2, 0x10), (3, 0x03)] {
        let mut message = answer("peer", "192.0.2.7", 120);
        message[at] |= bits;
        assert_eq!(Message::decode(&message), Err(MessageError::NotForUs));
    }
}

#[test]
fn records_beside_the_addresses_are_passed_over() {
    // As a responder may send it: a text record, then the address with a compressed name and the cache-flush bit.
    let message = b"\0\0\x84\0\0\0\0\x02\0\0\0\0\
        \x04peer\x05local\0\0\x10\x80\x01\0\0\0\x78\0\x03\x02ok\
        \xc0\x0c\0\x01\x80\x01\0\0\0\x78\0\x04\xc0\0\x02\x09";
    let record = AddressRecord { name: name("peer"), ip: ip("192.0.2.9"), ttl: 120 };
    assert_eq!(Message::decode(message), Ok(Message::Response { addresses: vec![record] }));
}

#[test]
fn an_answerer_speaks_to_each_querier_in_its_way() {
    let now = Instant::now();
    let mut answerer = Answerer::new(AnswererConfig { max_names: 1, ..Default::default() });
    answerer.add(name("me"), ip("192.0.2.1")).unwrap();
    answerer.add(name("me"), ip("192.0.2.1")).unwrap();
    assert_eq!(answerer.add(name("more"), ip("192.0.2.1")), Err(TooManyNames { limit: 1 }));
    let ask = |label, kind, unicast: bool| {
        let mut query = Vec::new();
        Message::write_query(&name(label), kind, &mut query);
        query[1] = 9;
        let class = query.len() - 2;
        query[class] = if unicast { 0x80 } else { 0 };
        query
    };
    let record = AddressRecord { name: name("me"), ip: ip("192.0.2.1"), ttl: 120 };

    // By multicast, not more than once a second.
    let query = ask("me", QuestionKind::V4, false);
    hand_over(&mut answerer, now, "192.0.2.7:5353", &query).unwrap();
    hand_over(&mut answerer, now, "192.0.2.7:5353", &query).unwrap();
    let answers = sent(&mut answerer, now);
    assert_eq!(answers.len(), 1);
    assert_eq!((answers[0].0, &answers[0].1[..2]), (group(), &[0, 0][..]));
    assert_eq!(Message::decode(&answers[0].1), Ok(Message::Response { addresses: vec![record.clone()] }));
    hand_over(&mut answerer, now + Duration::from_secs(1), "192.0.2.7:5353", &query).unwrap();
    assert_eq!(sent(&mut answerer, now).len(), 1);

    // By unicast where that is asked for.
    hand_over(&mut answerer, now, "192.0.2.7:5353", &ask("me", QuestionKind::V4, true)).unwrap();
    let answers = sent(&mut answerer, now);
    assert_eq!(answers[0].0, "192.0.2.7:5353".parse::<SocketAddr>().unwrap());
    assert_eq!(answers[0].1[answers[0].1.len() - 12], 0x80, "the cache-flush bit");

    // Like plain DNS to who asks from another port.
    hand_over(&mut answerer, now, "192.0.2.7:999", &ask("me", QuestionKind::V4, false)).unwrap();
    let answers = sent(&mut answerer, now);
    assert_eq!(answers[0].0, "192.0.2.7:999".parse::<SocketAddr>().unwrap());
    assert_eq!(&answers[0].1[..6], b"\0\x09\x84\0\0\x01", "the identifier and the question");
    let short = AddressRecord { ttl: 10, ..record };
    assert_eq!(Message::decode(&answers[0].1), Ok(Message::Response { addresses: vec![short] }));

    // Not at all for other names, other families, answers, or when removed.
    hand_over(&mut answerer, now, "192.0.2.7:999", &ask("you", QuestionKind::V4, true)).unwrap();
    hand_over(&mut answerer, now, "192.0.2.7:999", &ask("me", QuestionKind::V6, true)).unwrap();
    let error = hand_over(&mut answerer, now, "192.0.2.7:5353", &answer("me", "192.0.2.66", 9));
    assert_eq!(error, Err(MessageError::NotForUs));
    for _ in 0..100 {
        hand_over(&mut answerer, now, "192.0.2.7:999", &ask("me", QuestionKind::V4, true)).unwrap();
    }
    assert_eq!(sent(&mut answerer, now).len(), 64);
    hand_over(&mut answerer, now, "192.0.2.7:999", &ask("me", QuestionKind::V4, true)).unwrap();
    answerer.remove(&name("me"));
    assert!(goodbyes(&mut answerer, now).iter().all(|(_, records)| records[0].ttl == 0));
}

fn goodbyes(layer: &mut Answerer, now: Instant) -> Vec<(SocketAddr, Vec<AddressRecord>)> {
    let read = |(to, message): (SocketAddr, Vec<u8>)| match Message::decode(&message) {
        Ok(Message::Response { addresses }) => {
            assert!(message.len() <= 1440, "it fits into a frame");
            (to, addresses)
        }
        other => panic!("{other:?}"),
    };
    sent(layer, now).into_iter().map(read).collect()
}

fn ask_by_multicast(layer: &mut Answerer, now: Instant, label: &str) {
    let mut query = Vec::new();
    Message::write_query(&name(label), QuestionKind::Any, &mut query);
    hand_over(layer, now, "192.0.2.7:5353", &query).unwrap();
}

#[test]
fn names_that_were_told_are_said_goodbye_to_once() {
    let now = Instant::now();
    let mut answerer = Answerer::new(AnswererConfig::default());
    for (label, address) in [("told", "192.0.2.1"), ("secret", "192.0.2.2"), ("waits", "192.0.2.3")] {
        answerer.add(name(label), ip(address)).unwrap();
    }
    ask_by_multicast(&mut answerer, now, "told");
    assert_eq!(sent(&mut answerer, now).len(), 1);
    ask_by_multicast(&mut answerer, now, "waits");
    // Who was told nothing keeps nothing, and need not learn of the name now.
    answerer.remove(&name("secret"));
    answerer.remove(&name("waits"));
    assert!(sent(&mut answerer, now).is_empty());
    answerer.remove(&name("told"));
    answerer.remove(&name("told"));
    let gone = AddressRecord { name: name("told"), ip: ip("192.0.2.1"), ttl: 0 };
    let groups = AnswererConfig::default().groups;
    let expected: Vec<_> = groups.iter().map(|group| (*group, vec![gone.clone()])).collect();
    assert_eq!(goodbyes(&mut answerer, now), expected);
    assert!(sent(&mut answerer, now).is_empty(), "once");

    // Not where it is there again, and not to hosts.
    answerer.add(name("told"), ip("192.0.2.1")).unwrap();
    ask_by_multicast(&mut answerer, now, "told");
    sent(&mut answerer, now);
    answerer.remove(&name("told"));
    answerer.add(name("told"), ip("192.0.2.1")).unwrap();
    assert!(sent(&mut answerer, now).is_empty());
    let host = "192.0.2.7:5353".parse().unwrap();
    let mut answerer = Answerer::new(AnswererConfig { groups: vec![host], ..Default::default() });
    answerer.add(name("told"), ip("192.0.2.1")).unwrap();
    ask_by_multicast(&mut answerer, now, "told");
    assert_eq!(sent(&mut answerer, now).len(), 1);
    answerer.clear();
    assert!(sent(&mut answerer, now).is_empty());
}

#[test]
fn goodbyes_are_few_and_bounded() {
    let now = Instant::now();
    let config = AnswererConfig { groups: vec![group()], max_names: 40, ..Default::default() };
    let mut answerer = Answerer::new(config);
    let tell = |answerer: &mut Answerer, round: u128| {
        for number in 0..40 {
            let name = LocalName::from_random((round << 64 | number).to_be_bytes());
            answerer.add(name.clone(), ip("2001:db8::1")).unwrap();
            ask_by_multicast(answerer, now, name.label());
            // An answer goes before goodbyes.
            assert!(answerer.poll_transmit(now, &mut TransmitBatch::new(Message::MAX_LEN)).is_some());
        }
    };
    tell(&mut answerer, 1);
    answerer.clear();
    let said = goodbyes(&mut answerer, now);
    let counts: Vec<_> = said.iter().map(|(_, records)| records.len()).collect();
    assert_eq!(counts, [16, 16, 8]);
    // Who never sends holds no more than there may be names.
    for round in 2..5 {
        tell(&mut answerer, round);
        answerer.clear();
    }
    let said = goodbyes(&mut answerer, now);
    assert_eq!(said.iter().map(|(_, records)| records.len()).sum::<usize>(), 40);
}

#[test]
fn a_goodbye_is_no_answer_and_what_it_is_for_is_forgotten() {
    let (now, mut querier) = (Instant::now(), querier());
    querier.ask(now, name("peer")).unwrap();
    hand_over(&mut querier, now, "192.0.2.7:5353", &answer("peer", "192.0.2.7", 0)).unwrap();
    assert_eq!(querier.poll_event(), None);
    hand_over(&mut querier, now, "192.0.2.7:5353", &answer("peer", "192.0.2.7", 120)).unwrap();
    assert!(querier.poll_event().is_some());
    sent(&mut querier, now);
    // Of another address it is not for this one.
    hand_over(&mut querier, now, "192.0.2.7:5353", &answer("peer", "192.0.2.8", 0)).unwrap();
    querier.ask(now + Duration::from_secs(2), name("peer")).unwrap();
    assert!(querier.poll_event().is_some());
    hand_over(&mut querier, now, "192.0.2.7:5353", &answer("peer", "192.0.2.7", 0)).unwrap();
    querier.ask(now + Duration::from_millis(999), name("peer")).unwrap();
    assert!(querier.poll_event().is_some());
    querier.ask(now + Duration::from_secs(1), name("peer")).unwrap();
    assert_eq!((querier.poll_event(), sent(&mut querier, now).len()), (None, 2));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn any_change_to_a_message_is_read_or_refused(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = answer("peer", "192.0.2.7", 120);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = Message::decode(&bytes);
    }
}

/// A resolver and a responder of this crate that know each other's address: no multicast.
fn pair() -> (Resolver, Responder) {
    let at = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut responder = ResponderConfig::default();
    responder.answerer.groups = vec![at];
    let mut resolver = ResolverConfig::default();
    resolver.querier.groups = vec![at];
    (Resolver::new(resolver).unwrap(), Responder::new(responder).unwrap())
}

#[test]
fn a_resolver_finds_what_a_responder_registered() {
    run(async {
        let (resolver, responder) = pair();
        for address in ["192.0.2.1", "2001:db8::1"] {
            let name = responder.register(ip(address)).await.unwrap();
            assert_eq!(resolver.resolve(&name.to_string()).await, Ok(ip(address)));
            // Kept, although nobody would answer any more.
            responder.unregister(name.clone()).await.unwrap();
            assert_eq!(resolver.resolve(&name.to_string().to_uppercase()).await, Ok(ip(address)));
        }
        let error = resolver.resolve("example.com").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"example.com\" is no name of the local link; expected 1 to 63 letters, digits and hyphens before .local"
        );
    });
}

/// A machine may have many addresses, which come and go together while the task of the responder has no turn.
#[test]
fn many_names_are_published_and_withdrawn_at_once() {
    run(async {
        let mut config = ResponderConfig::default();
        let at = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        (config.answerer.groups, config.answerer.max_names) = (vec![at], 64);
        let responder = Responder::new(config).unwrap();
        for round in 0..3 {
            let names: Vec<_> = (0..64).map(|_| responder.publish(ip("192.0.2.1")).unwrap()).collect();
            names.into_iter().for_each(|name| responder.withdraw(name));
            // There is room for another name where none of those is left.
            let last = responder.register(ip("192.0.2.2")).await;
            responder.unregister(last.unwrap_or_else(|error| panic!("{round}: {error}"))).await.unwrap();
        }
    });
}

#[test]
fn many_who_ask_the_same_are_all_answered_by_one_question() {
    run(async {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut config = ResolverConfig::default();
        config.querier.groups = vec![socket.local_addr().unwrap()];
        config.max_waiting = 8;
        let resolver = Resolver::new(config).unwrap();
        // One who gives up does not take the question away.
        let hasty = tokio::time::timeout(Duration::from_millis(1), resolver.resolve("peer.local")).await;
        assert!(hasty.is_err());
        let askers: Vec<_> = (0..20)
            .map(|_| {
                let resolver = resolver.clone();
                tokio::spawn(async move { resolver.resolve("peer.local").await })
            })
            .collect();
        tokio::task::yield_now().await;
        let mut query = [0; 512];
        let mut from = None;
        for kind in [QuestionKind::V4, QuestionKind::V6] {
            let (length, querier) = socket.recv_from(&mut query).await.unwrap();
            let question = AddressQuestion { name: name("peer"), kind, unicast: true };
            let expected = Message::Query { id: 0, questions: vec![question] };
            assert_eq!(Message::decode(&query[..length]), Ok(expected));
            from = Some(querier);
        }
        // What is no answer is passed over.
        socket.send_to(b"rubbish", from.unwrap()).await.unwrap();
        socket.send_to(&answer("peer", "192.0.2.7", 120), from.unwrap()).await.unwrap();
        for asker in askers {
            assert_eq!(asker.await.unwrap(), Ok(ip("192.0.2.7")));
        }
        assert!(socket.try_recv(&mut query).is_err(), "nothing was asked twice");
    });
}

#[test]
fn a_name_that_nobody_knows_has_no_answer() {
    run(async {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut config = ResolverConfig::default();
        config.querier.groups = vec![socket.local_addr().unwrap()];
        config.querier.time_limit = Duration::from_millis(50);
        let resolver = Resolver::new(config).unwrap();
        assert_eq!(resolver.resolve("nobody.local").await, Err(ResolveError::NoAnswer));
    });
}

#[test]
fn without_an_interface_there_is_no_resolver() {
    run(async {
        let mut config = ResolverConfig::default();
        config.interfaces = config.interfaces.with_accept(|_| false);
        assert_eq!(Resolver::new(config).unwrap_err().kind(), std::io::ErrorKind::NetworkUnreachable);
    });
}

/// By multicast, on the loopback interface only.
#[test]
#[cfg(target_os = "linux")]
fn names_are_found_by_multicast() {
    run(async {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let groups = vec![SocketAddr::from(([224, 0, 0, 251], port))];
        let mut only = crate::net::InterfaceFilter::default().with_accept(|address| address.ip.is_loopback());
        only.loopback = true;
        let (mut resolver, mut responder) = (ResolverConfig::default(), ResponderConfig::default());
        (resolver.interfaces, responder.interfaces) = (only.clone(), only);
        (resolver.querier.groups, responder.answerer.groups) = (groups.clone(), groups);
        let (resolver, responder) = (Resolver::new(resolver).unwrap(), Responder::new(responder).unwrap());
        let name = responder.register(ip("192.0.2.1")).await.unwrap();
        assert_eq!(resolver.resolve(&name.to_string()).await, Ok(ip("192.0.2.1")));
    });
}

/// The end of a responder, heard by a socket in the group.
#[test]
#[cfg(target_os = "linux")]
fn the_last_goodbye_is_heard_on_the_link() {
    run(async {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let groups = vec![SocketAddr::from(([224, 0, 0, 251], port))];
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.bind(&groups[0].into()).unwrap();
        socket.join_multicast_v4(&[224, 0, 0, 251].into(), &std::net::Ipv4Addr::LOCALHOST).unwrap();
        let socket = tokio::net::UdpSocket::from_std(socket.into()).unwrap();
        let mut only = crate::net::InterfaceFilter::default().with_accept(|address| address.ip.is_loopback());
        only.loopback = true;
        let (mut resolver, mut responder) = (ResolverConfig::default(), ResponderConfig::default());
        (resolver.interfaces, responder.interfaces) = (only.clone(), only);
        (resolver.querier.groups, responder.answerer.groups) = (groups.clone(), groups);
        let (resolver, responder) = (Resolver::new(resolver).unwrap(), Responder::new(responder).unwrap());
        let names =
            [responder.publish(ip("192.0.2.1")).unwrap(), responder.publish(ip("192.0.2.2")).unwrap()];
        for name in &names {
            resolver.resolve(&name.to_string()).await.unwrap();
        }
        let goodbye = async || {
            let mut message = [0; 1500];
            loop {
                let length = socket.recv(&mut message).await.unwrap();
                if let Ok(Message::Response { addresses }) = Message::decode(&message[..length])
                    && addresses.iter().any(|record| record.ttl == 0)
                {
                    break addresses;
                }
            }
        };
        let gone =
            |at: usize, address| vec![AddressRecord { name: names[at].clone(), ip: ip(address), ttl: 0 }];
        let clone = responder.clone();
        responder.withdraw(names[0].clone());
        assert_eq!(goodbye().await, gone(0, "192.0.2.1"));
        drop(responder);
        assert!(tokio::time::timeout(Duration::from_millis(50), goodbye()).await.is_err(), "a clone is left");
        drop(clone);
        assert_eq!(goodbye().await, gone(1, "192.0.2.2"));
    });
}

/// A laptop that was opened before it had found its network.
#[test]
#[cfg(target_os = "linux")]
fn names_are_found_on_a_network_that_comes_later() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    run(async {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let group = SocketAddr::from(([224, 0, 0, 251], port));
        let is_there = Arc::new(AtomicBool::new(false));
        let seen = is_there.clone();
        let mut only = crate::net::InterfaceFilter::default()
            .with_accept(move |address| address.ip.is_loopback() && seen.load(Ordering::Relaxed));
        only.loopback = true;
        let (mut resolver, mut responder) = (ResolverConfig::default(), ResponderConfig::default());
        (resolver.interfaces, responder.interfaces) = (only.clone(), only);
        // Somebody to ask and to be asked by who is no interface.
        resolver.querier.groups = vec![group, "127.0.0.1:9".parse().unwrap()];
        responder.answerer.groups = vec![group, SocketAddr::from(([127, 0, 0, 1], port))];
        let (resolver, responder) = (Resolver::new(resolver).unwrap(), Responder::new(responder).unwrap());
        responder.register(ip("192.0.2.1")).await.unwrap();
        is_there.store(true, Ordering::Relaxed);
        let name = responder.register(ip("192.0.2.2")).await.unwrap();
        assert_eq!(resolver.resolve(&name.to_string()).await, Ok(ip("192.0.2.2")));
    });
}
