use super::*;

/// The worst that a spoofed source can make of this server, in bytes of UDP payload: ten answers a second.
#[test]
fn a_source_that_proves_nothing_draws_little() {
    let mut world = World::new(config());
    let questions = [
        request(Method::BINDING, TransactionId([1; 12]), |it| it),
        request(Method::ALLOCATE, TransactionId([1; 12]), |it| it),
        request(Method::ALLOCATE, TransactionId([1; 12]), udp),
        request(Method::REFRESH, TransactionId([1; 12]), |it| it),
        signed((USER, PASSWORD), b"guess", TransactionId([1; 12]), Method::ALLOCATE, &udp),
    ];
    for question in &questions {
        world.pass(1);
        let (mut bytes, mut packets, mut longest) = (0, 0, 0);
        for port in 0..1000 {
            for (_, answer) in world.arrives(path(1000 + port), question) {
                bytes += answer.len();
                packets += 1;
                longest = longest.max(answer.len());
            }
        }
        assert_eq!(packets, 10);
        assert!(longest <= 60, "{longest}");
        assert!(bytes <= 600, "{bytes}");
    }
    assert_eq!(world.server.statistics().suppressed, 5 * 990);
    assert_eq!(world.server.statistics().allocations, 0);
}

#[test]
fn connections_have_proved_their_address() {
    let mut world = World::new(config());
    let tcp = FiveTuple { protocol: crate::layer::Protocol::Tcp, ..path(1) };
    for _ in 0..100 {
        assert_eq!(
            code(&world.answer_to(tcp, &request(Method::ALLOCATE, TransactionId([1; 12]), udp))),
            Some(401)
        );
    }
    world.allocate(tcp);
    world.server.connection_closed(world.now, tcp);
    world.settle();
    assert_eq!(world.server.statistics().allocations, 0);
    assert!(matches!(world.events.last(), Some(Event::Released { reason: ReleaseReason::Disconnected, .. })));
}

#[test]
fn nothing_is_kept_of_strangers() {
    let mut world = World::new(config());
    let mut bytes = request(Method::ALLOCATE, TransactionId([1; 12]), udp);
    for number in 0..20_000u32 {
        let source = SocketAddr::new(std::net::Ipv4Addr::from_bits(0x0800_0000 + number).into(), 5000);
        bytes[8..12].copy_from_slice(&number.to_be_bytes());
        world.arrives(FiveTuple::udp(path(1).local, source), &bytes);
    }
    assert!(world.server.poll_timeout().is_none() && world.server.by_path.is_empty());
    assert_eq!(world.server.statistics().unauthenticated, 10_000, "the limit of a second");
}

#[test]
fn what_is_no_request_is_ignored() {
    let mut world = World::new(config());
    let from_nowhere = FiveTuple::udp(path(1).local, SocketAddr::new([8, 8, 4, 4].into(), 0));
    let binding = request(Method::BINDING, TransactionId([1; 12]), |it| it);
    assert_eq!(world.arrives(from_nowhere, &binding), []);
    for class in [Class::Indication, Class::Success, Class::Error] {
        let mut bytes = Vec::new();
        MessageBuilder::new(&mut bytes, class, Method::ALLOCATE, TransactionId([1; 12])).finish().unwrap();
        assert_eq!(world.arrives(path(1), &bytes), []);
    }
    for bytes in [&b""[..], b"\x40\0\0\x01x", b"GET / HTTP/1.1", &[0x16; 40], &[0; 20]] {
        assert_eq!(world.arrives(path(1), bytes), []);
    }
}

/// What follows the integrity attribute was added by somebody else.
#[test]
fn attributes_behind_the_integrity_are_not_seen() {
    let mut world = World::new(config());
    world.allocate(path(1));
    let nonce = world.nonce(path(1));
    let bytes = request(Method::CREATE_PERMISSION, TransactionId([5; 12]), |message| {
        let message = message.xor_address(AttributeType::XOR_PEER_ADDRESS, peer(1)).username(USER);
        let message =
            message.attribute(AttributeType::REALM, b"kaon").attribute(AttributeType::NONCE, &nonce);
        message
            .integrity(&key((USER, PASSWORD)))
            .xor_address(AttributeType::XOR_PEER_ADDRESS, address("9.9.9.9:1"))
    });
    assert_eq!(code(&world.answer_to(path(1), &bytes)), None);
    assert_eq!(world.arrives(path(1), &send_indication(address("9.9.9.9:1"), b"data")), []);
    assert_eq!(world.arrives(path(1), &send_indication(peer(9), b"data")).len(), 1);
}

/// A cookie that was taken out of a nonce would have the server believe in MD5 (RFC 8489 §9.2.1).
#[test]
fn nobody_bids_down() {
    let algorithms = vec![PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5];
    let mut world = World::new(Config { password_algorithms: algorithms, ..config() });
    let nonce = world.nonce(path(1));
    assert!(nonce.starts_with(b"obMatJos2gAAA"));
    let stripped = signed((USER, PASSWORD), &nonce[13..], TransactionId([5; 12]), Method::ALLOCATE, &udp);
    assert_eq!(code(&world.answer_to(path(1), &stripped)), Some(438));
    let old = signed((USER, PASSWORD), &nonce, TransactionId([6; 12]), Method::ALLOCATE, &udp);
    assert_eq!(code(&world.answer_to(path(1), &old)), None, "who does not know of lists has MD5");
}
