//! RFC 6062.

use super::*;
use crate::layer::Protocol;

fn stream(port: u16) -> FiveTuple {
    FiveTuple { protocol: Protocol::Tcp, ..path(port) }
}

fn tcp(message: MessageBuilder<'_>) -> MessageBuilder<'_> {
    message.attribute(AttributeType::REQUESTED_TRANSPORT, &RequestedTransport::TCP.encode())
}

impl World {
    fn allocate_tcp(&mut self, path: FiveTuple) -> SocketAddr {
        let answer = self.ask(path, Method::ALLOCATE, &tcp);
        assert_eq!(code(&answer), None);
        Message::decode(&answer).unwrap().xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap()
    }

    /// Sends a Connect; the answer, if it comes at once.
    fn connect(&mut self, path: FiveTuple, peer: SocketAddr) -> Option<Vec<u8>> {
        let nonce = self.nonce(path);
        self.next_id += 1;
        let write: Write<'_> = &|it| it.xor_address(AttributeType::XOR_PEER_ADDRESS, peer);
        let id = TransactionId([self.next_id; 12]);
        let bytes = signed((USER, PASSWORD), &nonce, id, Method::CONNECT, write);
        self.arrives(path, &bytes).pop().map(|(_, answer)| answer)
    }

    /// The connection that was asked for last.
    fn asked(&mut self) -> u32 {
        let is_asked = |event: &Event| matches!(event, Event::ConnectPeer { .. });
        let place = self.events.iter().rposition(is_asked).expect("a peer is to be connected to");
        match self.events.remove(place) {
            Event::ConnectPeer { connection, .. } => connection,
            other => panic!("{other:?}"),
        }
    }

    fn bind_as(&mut self, user: (&str, &str), path: FiveTuple, connection: u32) -> Option<u16> {
        code(&self.ask_as(user, path, Method::CONNECTION_BIND, &|it| {
            it.attribute(AttributeType::CONNECTION_ID, &connection.to_be_bytes())
        }))
    }
}

#[test]
fn a_client_connects_to_a_peer() {
    let mut world = World::new(config());
    let relay = world.allocate_tcp(stream(1));
    assert_eq!(world.connect(stream(1), peer(80)), None, "the answer waits for the peer");
    let connection = world.asked();
    assert_eq!(code(&world.connect(stream(1), peer(80)).unwrap()), Some(446));
    world.server.peer_connected(world.now, connection);
    let answer = world.sent().remove(0).1;
    let message = Message::decode(&answer).unwrap();
    let id = message.attribute(AttributeType::CONNECTION_ID);
    assert_eq!((message.method(), id), (Method::CONNECT, Some(&connection.to_be_bytes()[..])));
    assert_eq!(world.bind_as(("bob", "builder"), stream(2), connection), Some(400), "of another user");
    assert_eq!(world.bind_as((USER, PASSWORD), stream(1), connection), Some(400), "the control connection");
    assert_eq!(world.bind_as((USER, PASSWORD), path(2), connection), Some(400), "UDP");
    assert_eq!(world.bind_as((USER, PASSWORD), stream(2), connection ^ 1), Some(400), "unknown");
    assert_eq!(world.bind_as((USER, PASSWORD), stream(2), connection), None);
    assert!(world.events.contains(&Event::JoinPeer { connection, client: stream(2) }));
    assert_eq!(world.bind_as((USER, PASSWORD), stream(3), connection), Some(400), "twice");
    assert_eq!(world.server.take_stream(world.now, connection, 1000, true), Some(true));
    assert_eq!(world.server.statistics().traffic.bytes_out, 1000);
    // Nothing of UDP goes there.
    assert_eq!(world.bind(stream(1), 0x4000, peer(7)), Some(400));
    assert_eq!(world.permit(stream(1), peer(7)), None);
    assert_eq!(world.arrives(stream(1), &send_indication(peer(7), b"data")), []);
    world.server.connection_closed(world.now, stream(1));
    world.settle();
    assert!(world.events.contains(&Event::ClosePeer(connection)), "it ends with the control connection");
    assert!(world.events.contains(&Event::CloseRelay(relay)));
    assert_eq!(world.server.take_stream(world.now, connection, 1, true), None);
    assert!(world.server.peer_connections.is_empty());
}

#[test]
fn a_peer_connects_to_a_client_that_permits_it() {
    let mut world = World::new(config());
    let relay = world.allocate_tcp(stream(1));
    let caller = peer(5000);
    assert_eq!(world.server.peer_accepted(world.now, relay, caller), None, "there is no permission");
    assert_eq!(world.permit(stream(1), peer(0)), None);
    let connection = world.server.peer_accepted(world.now, relay, caller).unwrap();
    let attempt = world.sent().remove(0);
    let message = Message::decode(&attempt.1).unwrap();
    assert_eq!((attempt.0, message.class()), (stream(1), Class::Indication));
    assert_eq!(message.method(), Method::CONNECTION_ATTEMPT);
    assert_eq!(message.xor_address(AttributeType::XOR_PEER_ADDRESS), Some(caller));
    assert_eq!(message.attribute(AttributeType::CONNECTION_ID), Some(&connection.to_be_bytes()[..]));
    world.pass(30);
    assert!(world.events.contains(&Event::ClosePeer(connection)), "nobody bound it in time");
    assert_eq!(world.bind_as((USER, PASSWORD), stream(2), connection), Some(400));
    world.pass(270);
    assert_eq!(world.server.peer_accepted(world.now, relay, caller), None, "the permission is over");
}

#[test]
fn what_is_refused_of_tcp_and_how() {
    let mut world = World::new(Config { max_peer_connections: 2, ..config() });
    assert_eq!(code(&world.ask(path(1), Method::ALLOCATE, &tcp)), Some(400), "over UDP");
    for (kind, value) in [
        (AttributeType::EVEN_PORT, &[0][..]),
        (AttributeType::DONT_FRAGMENT, b""),
        (AttributeType::RESERVATION_TOKEN, &[0; 8]),
    ] {
        let answer = world.ask(stream(1), Method::ALLOCATE, &|it| tcp(it).attribute(kind, value));
        assert_eq!(code(&answer), Some(400), "{kind:?}");
    }
    world.allocate(stream(2));
    assert_eq!(code(&world.connect(stream(2), peer(80)).unwrap()), Some(437), "an allocation for UDP");
    assert_eq!(code(&world.connect(stream(3), peer(80)).unwrap()), Some(437), "no allocation");
    world.allocate_tcp(stream(1));
    for (denied, expected) in [
        ("127.0.0.1:80", 403),
        ("10.0.0.1:80", 403),
        ("203.0.113.1:3478", 403),
        ("1.1.1.1:0", 403),
        ("[2606:4700::1]:80", 443),
    ] {
        assert_eq!(code(&world.connect(stream(1), address(denied)).unwrap()), Some(expected), "{denied}");
    }
    assert_eq!(code(&world.ask(stream(1), Method::CONNECT, &|it| it)), Some(400), "no peer");
    for port in [1, 2] {
        assert_eq!(world.connect(stream(1), peer(port)), None);
    }
    assert_eq!(code(&world.connect(stream(1), peer(3)).unwrap()), Some(508), "a limit");
    let connection = world.asked();
    world.server.peer_failed(world.now, connection);
    assert_eq!(code(&world.sent().remove(0).1), Some(447));
    let first = world.asked();
    world.pass(30);
    assert_eq!(world.server.peer_connections.len(), 0);
    world.server.peer_connected(world.now, first);
    world.settle();
    assert_eq!(world.events.pop(), Some(Event::ClosePeer(first)), "too late");
    let mut world = World::new(Config { tcp_allocations: false, ..config() });
    assert_eq!(code(&world.ask(stream(1), Method::ALLOCATE, &tcp)), Some(442));
}

#[test]
fn streams_of_one_server_meet_and_do_not_meet_datagrams() {
    let mut world = World::new(config());
    let (first, second) = (world.allocate_tcp(stream(1)), world.allocate_tcp(stream(2)));
    let datagrams = world.allocate(path(3));
    assert_eq!(world.connect(stream(1), second), None);
    assert_eq!(code(&world.connect(stream(1), datagrams).unwrap()), Some(403));
    assert_eq!(world.permit(stream(2), first), None);
    assert!(world.server.peer_accepted(world.now, second, first).is_some());
    world.sent();
    assert_eq!(world.permit(path(3), first), None, "of the address");
    assert_eq!(world.arrives(path(3), &send_indication(first, b"data")), []);
    assert_eq!(world.arrives(FiveTuple::udp(second, peer(7)), b"data"), [], "a datagram to a stream");
}

#[test]
fn nobody_looks_for_open_ports_by_a_relay() {
    let mut world = World::new(config());
    world.allocate_tcp(stream(1));
    let mut tried = 0;
    for port in 1..100 {
        if let Some(answer) = world.connect(stream(1), peer(port)) {
            assert_eq!(code(&answer), Some(508));
            continue;
        }
        tried += 1;
        let connection = world.asked();
        world.server.peer_failed(world.now, connection);
        assert_eq!(code(&world.sent().remove(0).1), Some(447));
    }
    assert_eq!(tried, 30);
    world.now += Duration::from_secs(1);
    assert_eq!((0..50).filter(|port| world.connect(stream(1), peer(2000 + port)).is_none()).count(), 10);
}

/// A limit of bandwidth has streams wait; a policy that changes ends them.
#[test]
fn streams_are_within_limits_and_policies() {
    let mut world = World::new(Config { bandwidth_per_user: Some(10_000), ..config() });
    world.allocate_tcp(stream(1));
    assert_eq!(world.connect(stream(1), peer(80)), None);
    let connection = world.asked();
    world.server.peer_connected(world.now, connection);
    let mut taken = 0;
    while world.server.take_stream(world.now, connection, 1000, false) == Some(true) {
        taken += 1000;
        assert!(taken <= 150_000);
    }
    world.now += Duration::from_secs(1);
    assert_eq!(world.server.take_stream(world.now, connection, 1000, false), Some(true));
    world.server.set_policy(PeerPolicy::default().deny("1.1.1.0/24".parse().unwrap()));
    world.settle();
    assert!(world.events.contains(&Event::ClosePeer(connection)));
}

/// A client's connection that is gone takes that of its peer along, whether it passes bytes already or not.
#[test]
fn connections_of_clients_that_are_gone_leave_nothing_behind() {
    let mut world = World::new(Config { max_peer_connections: 2, ..config() });
    world.allocate_tcp(stream(1));
    for number in 0..10 {
        assert_eq!(world.connect(stream(1), peer(80)), None);
        let connection = world.asked();
        world.server.peer_connected(world.now, connection);
        world.sent();
        assert_eq!(world.bind_as((USER, PASSWORD), stream(100 + number), connection), None);
        world.server.connection_closed(world.now, stream(100 + number));
        world.settle();
        assert_eq!(world.events.pop(), Some(Event::ClosePeer(connection)));
        assert!(world.server.peer_connections.is_empty());
    }
    assert!(world.server.has_allocation(stream(1)));
}

#[test]
fn a_connection_of_a_client_is_that_of_one_peer() {
    let mut world = World::new(config());
    world.allocate_tcp(stream(1));
    let connections = [80, 81].map(|port| {
        assert_eq!(world.connect(stream(1), peer(port)), None);
        let connection = world.asked();
        world.server.peer_connected(world.now, connection);
        world.sent();
        connection
    });
    assert_eq!(world.bind_as((USER, PASSWORD), stream(2), connections[0]), None);
    assert_eq!(world.bind_as((USER, PASSWORD), stream(2), connections[1]), Some(400));
    assert_eq!(world.bind_as((USER, PASSWORD), stream(3), connections[1]), None);
    // Its end gives the path free.
    world.server.peer_closed(connections[0]);
    assert_eq!(world.connect(stream(1), peer(82)), None);
    let third = world.asked();
    world.server.peer_connected(world.now, third);
    world.sent();
    assert_eq!(world.bind_as((USER, PASSWORD), stream(2), third), None);
}

/// Nor by giving the allocation back, with which a user was forgotten.
#[test]
fn a_new_allocation_is_no_new_user() {
    let mut world = World::new(config());
    let mut tried = 0;
    for round in 0..5 {
        world.allocate_tcp(stream(1));
        for port in 0..10 {
            if world.connect(stream(1), peer(1 + 10 * round + port)).is_none() {
                tried += 1;
                let connection = world.asked();
                world.server.peer_failed(world.now, connection);
                world.sent();
            }
        }
        let zero = 0u32.to_be_bytes();
        let answer =
            world.ask(stream(1), Method::REFRESH, &|it| it.attribute(AttributeType::LIFETIME, &zero));
        assert_eq!(code(&answer), None);
    }
    assert_eq!(tried, 30);
    world.pass(60);
    assert_eq!((world.server.statistics().users, world.server.timers.len()), (0, 0));
}
