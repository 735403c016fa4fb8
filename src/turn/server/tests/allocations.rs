use super::*;
use crate::turn::{EvenPort, Lifetime, decode_address_error};

const METHODS: [Method; 4] =
    [Method::ALLOCATE, Method::REFRESH, Method::CREATE_PERMISSION, Method::CHANNEL_BIND];

/// A request of a method that would be granted.
fn good(method: Method, message: MessageBuilder<'_>) -> MessageBuilder<'_> {
    match method {
        Method::ALLOCATE => udp(message),
        Method::CREATE_PERMISSION => message.xor_address(AttributeType::XOR_PEER_ADDRESS, peer(1)),
        Method::CHANNEL_BIND => message
            .attribute(AttributeType::CHANNEL_NUMBER, &ChannelNumber::MIN.encode())
            .xor_address(AttributeType::XOR_PEER_ADDRESS, peer(1)),
        _ => message,
    }
}

#[test]
fn every_method_is_refused_who_may_not() {
    for method in METHODS {
        let mut world = World::new(Config { answers_per_source: 100, ..config() });
        let write: Write<'_> = &|message| good(method, message);
        if method != Method::ALLOCATE {
            world.allocate(path(1));
        }
        let bare = request(method, TransactionId([9; 12]), write);
        assert_eq!(code(&world.answer_to(path(1), &bare)), Some(401), "{method:?}: no credentials");
        assert_eq!(code(&world.ask_as(("eve", PASSWORD), path(1), method, write)), Some(401), "a stranger");
        assert_eq!(
            code(&world.ask_as((USER, "guess"), path(1), method, write)),
            Some(401),
            "a wrong password"
        );
        let no_nonce = request(method, TransactionId([9; 12]), |message| {
            write(message)
                .username(USER)
                .attribute(AttributeType::REALM, b"kaon")
                .integrity(&key((USER, PASSWORD)))
        });
        assert_eq!(code(&world.answer_to(path(1), &no_nonce)), Some(400), "no nonce");
        let nonce = world.nonce(path(1));
        let other = signed((USER, PASSWORD), &nonce, TransactionId([8; 12]), method, write);
        assert_eq!(code(&world.answer_to(path(2), &other)), Some(438), "a nonce of another five-tuple");
        if method != Method::ALLOCATE {
            assert_eq!(code(&world.ask(path(2), method, write)), Some(437), "no allocation");
            assert_eq!(
                code(&world.ask_as(("bob", "builder"), path(1), method, write)),
                Some(441),
                "another user"
            );
        }
        assert_eq!(code(&world.ask(path(1), method, write)), None, "{method:?} by whom it is");
        world.pass(600);
        let stale = signed((USER, PASSWORD), &nonce, TransactionId([8; 12]), method, write);
        assert_eq!(code(&world.answer_to(path(1), &stale)), Some(438), "{method:?}: a stale nonce");
        if method != Method::ALLOCATE && method != Method::REFRESH {
            assert_eq!(code(&world.ask(path(1), method, write)), Some(437), "{method:?}: it has expired");
        }
    }
}

#[test]
fn malformed_requests_are_bad() {
    let mut world = World::new(Config { answers_per_source: 10_000, ..config() });
    let kinds = [
        (AttributeType::REQUESTED_TRANSPORT, &[6, 0, 0, 0][..], 400),
        (AttributeType::REQUESTED_TRANSPORT, &[33, 0, 0, 0], 442),
        (AttributeType::REQUESTED_TRANSPORT, &[17], 400),
        (AttributeType::LIFETIME, &[1, 2], 400),
        (AttributeType::REQUESTED_ADDRESS_FAMILY, &[1], 400),
        (AttributeType::REQUESTED_ADDRESS_FAMILY, &[7, 0, 0, 0], 440),
        (AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[1, 0, 0, 0], 400),
        (AttributeType::RESERVATION_TOKEN, &[1], 400),
        (AttributeType::RESERVATION_TOKEN, &[1; 8], 508),
        (AttributeType::EVEN_PORT, &[1, 2], 400),
        (AttributeType::DONT_FRAGMENT, &[], 420),
        (AttributeType(0x7777), &[], 420),
    ];
    for (kind, value, expected) in kinds {
        let answer = world.ask(path(1), Method::ALLOCATE, &|it| udp(it.attribute(kind, value)));
        assert_eq!(code(&answer), Some(expected), "{kind:?} {value:?}");
        let message = Message::decode(&answer).unwrap();
        assert!(message.verify(&key((USER, PASSWORD))), "errors are signed");
        let unknown: Vec<_> = message.unknown_attributes().collect();
        assert_eq!(unknown, if expected == 420 { vec![kind] } else { vec![] });
    }
    assert_eq!(code(&world.ask(path(1), Method::ALLOCATE, &|it| it)), Some(400), "no transport");
    type Pair = ((AttributeType, &'static [u8]), (AttributeType, &'static [u8]));
    let together: [Pair; 5] = [
        ((AttributeType::RESERVATION_TOKEN, &[1; 8]), (AttributeType::EVEN_PORT, &[0])),
        (
            (AttributeType::RESERVATION_TOKEN, &[1; 8]),
            (AttributeType::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]),
        ),
        (
            (AttributeType::RESERVATION_TOKEN, &[1; 8]),
            (AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]),
        ),
        ((AttributeType::EVEN_PORT, &[0x80]), (AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0])),
        (
            (AttributeType::REQUESTED_ADDRESS_FAMILY, &[1, 0, 0, 0]),
            (AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]),
        ),
    ];
    for (a, b) in together {
        let answer =
            world.ask(path(1), Method::ALLOCATE, &|it| udp(it.attribute(a.0, a.1).attribute(b.0, b.1)));
        assert_eq!(code(&answer), Some(400), "{a:?} {b:?}");
    }
    world.allocate(path(1));
    for (method, number) in [
        (Method::CREATE_PERMISSION, None),
        (Method::CHANNEL_BIND, None),
        (Method::CHANNEL_BIND, Some(0x5000u16)),
    ] {
        let answer = world.ask(path(1), method, &|it| match number {
            Some(number) => it
                .attribute(AttributeType::CHANNEL_NUMBER, &(u32::from(number) << 16).to_be_bytes())
                .xor_address(AttributeType::XOR_PEER_ADDRESS, peer(1)),
            None => it,
        });
        assert_eq!(code(&answer), Some(400), "{method:?}");
    }
    let broken = world.ask(path(1), Method::CREATE_PERMISSION, &|it| {
        it.xor_address(AttributeType::XOR_PEER_ADDRESS, peer(1))
            .attribute(AttributeType::XOR_PEER_ADDRESS, &[0; 5])
    });
    assert_eq!(code(&broken), Some(400), "one of two addresses is malformed");
    assert_eq!(code(&world.ask(path(1), Method::DATA, &|it| it)), Some(400), "no such request");
}

#[test]
fn a_repeated_request_gets_the_same_answer() {
    let mut world = World::new(config());
    let nonce = world.nonce(path(1));
    let allocate = signed((USER, PASSWORD), &nonce, TransactionId([5; 12]), Method::ALLOCATE, &udp);
    let first = world.answer_to(path(1), &allocate);
    assert_eq!(world.answer_to(path(1), &allocate), first);
    assert_eq!(code(&world.ask(path(1), Method::ALLOCATE, &udp)), Some(437), "another one");
    let zero = Lifetime::ZERO.encode();
    let delete = signed((USER, PASSWORD), &nonce, TransactionId([6; 12]), Method::REFRESH, &|it| {
        it.attribute(AttributeType::LIFETIME, &zero)
    });
    let first = world.answer_to(path(1), &delete);
    assert_eq!((code(&first), world.server.statistics().allocations), (None, 0));
    assert_eq!(world.answer_to(path(1), &delete), first);
    assert!(
        matches!(
            &world.events[..],
            [
                Event::Allocated { .. },
                Event::CloseRelay(_),
                Event::Released { reason: ReleaseReason::Deleted, .. }
            ]
        ),
        "{:?}",
        world.events
    );
}

#[test]
fn lifetimes_are_between_ten_minutes_and_the_longest() {
    let mut world = World::new(config());
    for (asked, granted) in [(None, 600), (Some(1), 600), (Some(700), 700), (Some(u32::MAX), 3600)] {
        let answer = match asked {
            Some(asked) => {
                let value = asked.to_be_bytes();
                world.ask(path(1), Method::ALLOCATE, &|it| udp(it.attribute(AttributeType::LIFETIME, &value)))
            }
            None => world.ask(path(1), Method::ALLOCATE, &udp),
        };
        let lifetime =
            Message::decode(&answer).unwrap().attribute(AttributeType::LIFETIME).and_then(Lifetime::decode);
        assert_eq!(lifetime, Some(Lifetime::from_secs(granted)));
        world.pass(u64::from(granted) - 1);
        assert!(world.server.has_allocation(path(1)));
        world.pass(1);
        assert!(!world.server.has_allocation(path(1)), "{granted}");
    }
    assert_eq!(world.server.statistics().users, 0);
}

#[test]
fn families_are_as_asked_for() {
    let mut world = World::new(config());
    let v6 = AddressFamily::V6.encode();
    let answer = world.ask(path(1), Method::ALLOCATE, &|it| {
        udp(it.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &v6))
    });
    let relayed = Message::decode(&answer).unwrap().xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap();
    assert!(relayed.is_ipv6());
    assert_eq!(world.permit(path(1), peer(1)), Some(443));
    assert_eq!(world.bind(path(1), 0x4000, peer(1)), Some(443));
    assert_eq!(world.permit(path(1), address("[2600::1]:7")), None);
    let v4 = AddressFamily::V4.encode();
    let refresh =
        world.ask(path(1), Method::REFRESH, &|it| it.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &v4));
    assert_eq!(code(&refresh), Some(443));
    let mut only_v4 = World::new(Config { relays: config().relays[..1].to_vec(), ..config() });
    let answer = only_v4.ask(path(1), Method::ALLOCATE, &|it| {
        udp(it.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &v6))
    });
    assert_eq!(code(&answer), Some(440));
    let answer = only_v4.ask(path(1), Method::ALLOCATE, &|it| {
        udp(it.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &v6))
    });
    let message = Message::decode(&answer).unwrap();
    assert_eq!(message.xor_addresses(AttributeType::XOR_RELAYED_ADDRESS).count(), 1);
    let missing = message.attribute(AttributeType::ADDRESS_ERROR_CODE).and_then(decode_address_error);
    assert_eq!(missing, Some((AddressFamily::V6, ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)));
}

#[test]
fn each_of_two_families_ends_by_itself() {
    let mut world = World::new(config());
    let v6 = AddressFamily::V6.encode();
    let answer = world.ask(path(1), Method::ALLOCATE, &|it| {
        udp(it.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &v6))
    });
    assert_eq!(
        Message::decode(&answer).unwrap().xor_addresses(AttributeType::XOR_RELAYED_ADDRESS).count(),
        2
    );
    assert_eq!((world.permit(path(1), peer(1)), world.permit(path(1), address("[2600::1]:7"))), (None, None));
    let zero = Lifetime::ZERO.encode();
    let delete = world.ask(path(1), Method::REFRESH, &|it| {
        it.attribute(AttributeType::LIFETIME, &zero).attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &v6)
    });
    assert_eq!(code(&delete), None);
    assert_eq!(
        (world.permit(path(1), peer(1)), world.permit(path(1), address("[2600::1]:7"))),
        (None, Some(443))
    );
    assert_eq!(world.server.statistics().allocations, 1);
}

#[test]
fn an_even_port_keeps_the_next_one_for_who_has_the_token() {
    let mut world = World::new(config());
    let even = EvenPort { reserve_next: true }.encode();
    let answer =
        world.ask(path(1), Method::ALLOCATE, &|it| udp(it.attribute(AttributeType::EVEN_PORT, &even)));
    let message = Message::decode(&answer).unwrap();
    let relayed = message.xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap();
    let token = message.attribute(AttributeType::RESERVATION_TOKEN).unwrap().to_vec();
    assert_eq!(relayed.port() % 2, 0);
    let other = world.ask_as(("bob", "builder"), path(2), Method::ALLOCATE, &|it| {
        udp(it.attribute(AttributeType::RESERVATION_TOKEN, &token))
    });
    assert_eq!(code(&other), Some(508), "another user");
    let answer = world
        .ask(path(2), Method::ALLOCATE, &|it| udp(it.attribute(AttributeType::RESERVATION_TOKEN, &token)));
    let next = Message::decode(&answer).unwrap().xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap();
    assert_eq!(next, SocketAddr::new(relayed.ip(), relayed.port() + 1));
    let again = world
        .ask(path(3), Method::ALLOCATE, &|it| udp(it.attribute(AttributeType::RESERVATION_TOKEN, &token)));
    assert_eq!(code(&again), Some(508), "it was taken");
    let answer =
        world.ask(path(4), Method::ALLOCATE, &|it| udp(it.attribute(AttributeType::EVEN_PORT, &even)));
    let token =
        Message::decode(&answer).unwrap().attribute(AttributeType::RESERVATION_TOKEN).unwrap().to_vec();
    world.pass(30);
    let late = world
        .ask(path(5), Method::ALLOCATE, &|it| udp(it.attribute(AttributeType::RESERVATION_TOKEN, &token)));
    assert_eq!(code(&late), Some(508), "it waited long enough");
}

#[test]
fn quotas_are_of_users_and_of_all() {
    let limits = Config { max_allocations_per_user: 2, max_allocations: 3, ..config() };
    let mut world = World::new(limits);
    world.allocate(path(1));
    world.allocate(path(2));
    assert_eq!(code(&world.ask(path(3), Method::ALLOCATE, &udp)), Some(486));
    let bob = ("bob", "builder");
    assert_eq!(code(&world.ask_as(bob, path(4), Method::ALLOCATE, &udp)), None);
    assert_eq!(code(&world.ask_as(bob, path(5), Method::ALLOCATE, &udp)), Some(508));
    let zero = [0; 4];
    world.ask(path(1), Method::REFRESH, &|it| it.attribute(AttributeType::LIFETIME, &zero));
    world.allocate(path(3));
    let limits: Vec<_> = world.events.iter().filter(|event| matches!(event, Event::Refused { .. })).collect();
    assert_eq!(
        limits,
        [
            &Event::Refused { user: USER.into(), limit: Limit::AllocationsOfUser },
            &Event::Refused { user: "bob".into(), limit: Limit::Allocations },
        ]
    );
}

#[test]
fn ports_that_the_system_refuses_are_left_out() {
    let relay = RelayAddress::new("203.0.113.1".parse().unwrap()).with_ports(50_000..=50_003);
    let mut world = World::new(Config { relays: vec![relay], ..config() });
    world.taken_ports = 2;
    world.allocate(path(1));
    world.allocate(path(2));
    world.taken_ports = 9;
    assert_eq!(code(&world.ask(path(3), Method::ALLOCATE, &udp)), Some(508), "none can be bound");
    assert_eq!((world.server.statistics().allocations, world.server.statistics().users), (2, 1));
    assert!(
        !world.events.iter().any(|event| matches!(event, Event::Released { .. })),
        "none that was granted ended"
    );
    world.taken_ports = 0;
    world.allocate(path(3));
    world.allocate(path(4));
    assert_eq!(code(&world.ask(path(5), Method::ALLOCATE, &udp)), Some(508), "no port is left");
}

#[test]
fn a_user_who_takes_and_gives_back_does_not_use_up_the_ports() {
    let relay = RelayAddress::new("203.0.113.1".parse().unwrap()).with_ports(50_000..=50_009);
    let mut world = World::new(Config { relays: vec![relay], answers_per_source: 1000, ..config() });
    for _ in 0..100 {
        world.allocate(path(1));
        let zero = [0; 4];
        world.ask(path(1), Method::REFRESH, &|it| it.attribute(AttributeType::LIFETIME, &zero));
    }
    let bob = ("bob", "builder");
    assert_eq!(code(&world.ask_as(bob, path(2), Method::ALLOCATE, &udp)), None);
}

#[test]
fn a_server_that_drains_grants_nothing_more() {
    let mut world = World::new(config());
    world.allocate(path(1));
    world.server.drain();
    assert_eq!(code(&world.ask(path(2), Method::ALLOCATE, &udp)), Some(508));
    assert_eq!(code(&world.ask(path(1), Method::REFRESH, &|it| it)), None);
    world.server.close(world.now);
    world.settle();
    assert_eq!(world.server.statistics().allocations, 0);
    let mut moved = World::new(Config {
        alternates: vec![address("[2600::1]:3478"), address("9.9.9.9:3478")],
        ..config()
    });
    let answer = moved.ask(path(1), Method::ALLOCATE, &udp);
    let message = Message::decode(&answer).unwrap();
    assert_eq!(
        (code(&answer), message.alternate_servers().next()),
        (Some(300), Some(address("9.9.9.9:3478")))
    );
}

#[test]
fn time_limited_names_end_for_new_allocations_alone() {
    let credentials = Credentials::default().with_secret("of before").with_secret("shared");
    let mut world = World::new(Config { credentials, max_allocations_per_user: 1, ..config() });
    let named = |seconds, id| {
        Credentials::time_limited(&provider(), "shared", UNIX + Duration::from_secs(seconds), id)
    };
    let (name, password) = named(300, "alice");
    let user = (&*name, &**password);
    assert_eq!(code(&world.ask_as(user, path(1), Method::ALLOCATE, &udp)), None);
    let (later, password) = named(301, "alice");
    let answer = world.ask_as((&later, &password), path(2), Method::ALLOCATE, &udp);
    assert_eq!(code(&answer), Some(486), "the quota is of the user, not of the name");
    world.pass(301);
    assert_eq!(code(&world.ask_as(user, path(1), Method::REFRESH, &|it| it)), None, "it goes on");
    assert_eq!(code(&world.ask_as(user, path(2), Method::ALLOCATE, &udp)), Some(401), "nothing new");
    let zero = [0; 4];
    world.ask_as(user, path(1), Method::REFRESH, &|it| it.attribute(AttributeType::LIFETIME, &zero));
    assert_eq!(code(&world.ask_as(user, path(1), Method::ALLOCATE, &udp)), Some(401), "nor what it had");
    assert_eq!(
        code(&world.ask_as((&named(900, "x").0, "guess"), path(3), Method::ALLOCATE, &udp)),
        Some(401)
    );
}

#[test]
fn users_are_asked_for() {
    let mut world = World::new(Config { asks: true, max_questions: 1, ..config() });
    let carol = ("carol", "christmas");
    let nonce = world.nonce(path(1));
    let bytes = signed(carol, &nonce, TransactionId([5; 12]), Method::ALLOCATE, &udp);
    assert_eq!(world.arrives(path(1), &bytes), []);
    assert_eq!(world.arrives(path(1), &bytes), [], "repeated, it is not asked again");
    let other = world.nonce(path(2));
    let beyond = signed(carol, &other, TransactionId([5; 12]), Method::ALLOCATE, &udp);
    assert_eq!(world.arrives(path(2), &beyond), [], "there are enough questions");
    let [Event::Question(question)] = &world.events[..] else { panic!("{:?}", world.events) };
    assert_eq!((&*question.username, &*question.realm), ("carol", "kaon"));
    let id = question.id;
    world.server.answer(world.now, id, Some(&Grant::password("carols", "christmas")));
    world.settle();
    let granted = world.sent();
    assert_eq!((granted.len(), code(&granted[0].1)), (1, None));
    assert_eq!(code(&world.ask_as(carol, path(1), Method::REFRESH, &|it| it)), None, "not asked for again");
    assert_eq!(world.arrives(path(2), &beyond), []);
    let Some(Event::Question(question)) = world.events.last().cloned() else { panic!() };
    world.server.answer(world.now, question.id, None);
    assert_eq!(code(&world.sent()[0].1), Some(401));
    assert_eq!(world.arrives(path(2), &beyond), []);
    world.pass(30);
    world.server.answer(world.now, question.id + 1, Some(&Grant::password("carols", "christmas")));
    assert_eq!(world.sent(), [], "nobody waits for that any more");
}

/// A port that is kept for an allocation to come is the user's as much as one that serves.
#[test]
fn reservations_are_within_the_quota_of_a_user() {
    let mut world = World::new(Config { max_allocations_per_user: 4, answers_per_source: 1000, ..config() });
    let even = [0x80];
    let mut reserved = 0;
    for _ in 0..10 {
        let answer =
            world.ask(path(1), Method::ALLOCATE, &|it| udp(it.attribute(AttributeType::EVEN_PORT, &even)));
        if code(&answer) == Some(486) {
            continue;
        }
        assert_eq!(code(&answer), None);
        reserved += 1;
        let zero = 0u32.to_be_bytes();
        world.ask(path(1), Method::REFRESH, &|it| it.attribute(AttributeType::LIFETIME, &zero));
    }
    assert_eq!(reserved, 4);
    world.allocate(path(2));
    world.pass(30);
    let answer =
        world.ask(path(1), Method::ALLOCATE, &|it| udp(it.attribute(AttributeType::EVEN_PORT, &even)));
    assert_eq!(code(&answer), None, "they are over");
}
