//! RFC 8016.

use super::*;
use crate::layer::Protocol;
use crate::turn::{self, Client};

/// All requests come from one address here.
fn generous() -> Config {
    Config { answers_per_source: 1000, ..config() }
}

const EMPTY: Write<'static> = &|it| udp(it).attribute(AttributeType::MOBILITY_TICKET, b"");

fn ticket(answer: &[u8]) -> Vec<u8> {
    let message = Message::decode(answer).unwrap();
    message.attribute(AttributeType::MOBILITY_TICKET).expect("a ticket").to_vec()
}

impl World {
    fn allocate_mobile(&mut self, path: FiveTuple) -> (SocketAddr, Vec<u8>) {
        let answer = self.ask(path, Method::ALLOCATE, EMPTY);
        assert_eq!(code(&answer), None);
        let relayed = Message::decode(&answer).unwrap().xor_address(AttributeType::XOR_RELAYED_ADDRESS);
        (relayed.unwrap(), ticket(&answer))
    }

    fn resume_as(&mut self, user: (&str, &str), path: FiveTuple, ticket: &[u8]) -> Vec<u8> {
        self.ask_as(user, path, Method::REFRESH, &|it| it.attribute(AttributeType::MOBILITY_TICKET, ticket))
    }

    /// Where what a peer sends arrives.
    fn heard_at(&mut self, relayed: SocketAddr) -> Option<FiveTuple> {
        self.arrives(FiveTuple::udp(relayed, peer(7)), b"news").first().map(|(path, _)| *path)
    }
}

#[test]
fn an_allocation_moves_with_its_client() {
    let mut world = World::new(generous());
    let (relayed, first) = world.allocate_mobile(path(1));
    assert_eq!(world.bind(path(1), 0x4000, peer(7)), None);
    let answer = world.resume_as((USER, PASSWORD), path(2), &first);
    assert_eq!(code(&answer), None);
    let second = ticket(&answer);
    assert_ne!(second, first, "each is good once");
    assert_eq!(world.heard_at(relayed), Some(path(1)), "until the client is heard from the new place");
    let outward = FiveTuple::udp(relayed, peer(7));
    let data = [&crate::turn::ChannelData::header(ChannelNumber::MIN, 4)[..], b"here"].concat();
    assert_eq!(world.arrives(path(1), &data).len(), 1, "both are taken");
    assert_eq!(world.heard_at(relayed), Some(path(1)));
    assert_eq!(world.arrives(path(2), &data), [(outward, b"here".to_vec())], "channels move along");
    assert_eq!(world.heard_at(relayed), Some(path(2)));
    assert_eq!(world.arrives(path(1), &data), [], "the old place is forgotten");
    assert_eq!(code(&world.resume_as((USER, PASSWORD), path(3), &first)), Some(437), "the old ticket, too");
    assert_eq!(code(&world.resume_as((USER, PASSWORD), path(1), &second)), None);
    assert_eq!(world.server.statistics().allocations, 1);
    assert_eq!(
        code(&world.ask(path(2), Method::REFRESH, &|it| it.attribute(AttributeType::LIFETIME, &[0; 4]))),
        None
    );
    assert_eq!((world.server.by_path.len(), world.server.by_ticket.len()), (0, 0), "nothing is left");
    assert_eq!(world.server.statistics().allocations, 0);
}

#[test]
fn a_ticket_is_good_for_its_user_alone() {
    let mut world = World::new(generous());
    let (relayed, first) = world.allocate_mobile(path(1));
    assert_eq!(world.bind(path(1), 0x4000, peer(7)), None);
    assert_eq!(code(&world.resume_as(("bob", "builder"), path(2), &first)), Some(441));
    assert_eq!(code(&world.resume_as((USER, "wrong"), path(2), &first)), Some(401));
    assert_eq!(world.heard_at(relayed), Some(path(1)));
    // The place is taken by an allocation of the same user.
    world.allocate(path(3));
    assert_eq!(code(&world.resume_as((USER, PASSWORD), path(3), &first)), Some(437));
    for (ticket, expected) in [(&b""[..], 400), (b"short", 400), (&[0; 16], 437), (&[0; 17], 400)] {
        assert_eq!(code(&world.resume_as((USER, PASSWORD), path(2), ticket)), Some(expected));
    }
    assert_eq!(code(&world.resume_as((USER, PASSWORD), path(2), &first)), None, "it is still good");
    assert_eq!(world.server.statistics().allocations, 2);
}

#[test]
fn a_repeated_move_gets_the_same_answer_and_one_that_fails_is_given_up() {
    let mut world = World::new(generous());
    let (relayed, first) = world.allocate_mobile(path(1));
    assert_eq!(world.bind(path(1), 0x4000, peer(7)), None);
    let nonce = world.nonce(path(2));
    let write: Write<'_> = &|it| it.attribute(AttributeType::MOBILITY_TICKET, &first);
    let bytes = signed((USER, PASSWORD), &nonce, TransactionId([77; 12]), Method::REFRESH, write);
    let answer = world.answer_to(path(2), &bytes);
    assert_eq!((code(&answer), world.answer_to(path(2), &bytes)), (None, answer.clone()));
    // Another move in between leaves nothing of the first.
    let second = ticket(&answer);
    let third = ticket(&world.resume_as((USER, PASSWORD), path(3), &second));
    assert_eq!(world.server.by_path.len(), 2);
    world.pass(31);
    assert_eq!(world.server.by_path.len(), 1, "nothing came from there");
    assert_eq!(world.heard_at(relayed), Some(path(1)));
    let mut latest = ticket(&world.resume_as((USER, PASSWORD), path(4), &third));
    let timers = world.server.timers.len();
    for round in 0..50 {
        latest = ticket(&world.resume_as((USER, PASSWORD), path(5 + round % 2), &latest));
        assert_eq!((world.server.timers.len(), world.server.by_path.len()), (timers, 2), "nothing adds up");
    }
}

#[test]
fn who_lost_a_connection_comes_back_with_the_ticket() {
    let tcp = |port| FiveTuple { protocol: Protocol::Tcp, ..path(port) };
    let mut world = World::new(generous());
    let (relayed, first) = world.allocate_mobile(tcp(1));
    assert_eq!(world.bind(tcp(1), 0x4000, peer(7)), None);
    world.server.connection_closed(world.now, tcp(1));
    assert_eq!(world.heard_at(relayed), None, "there is nobody");
    // Another client has the same five-tuple now, and hears nothing of it.
    let other = world.allocate(tcp(1));
    assert_ne!(other, relayed);
    assert_eq!(world.heard_at(relayed), None);
    let second = ticket(&world.resume_as((USER, PASSWORD), tcp(2), &first));
    assert_eq!(world.heard_at(relayed), Some(tcp(2)));
    world.server.connection_closed(world.now, tcp(2));
    world.pass(61);
    assert_eq!(code(&world.resume_as((USER, PASSWORD), tcp(3), &second)), Some(437), "not for ever");
    assert_eq!(world.server.statistics().allocations, 1);
    assert!(world.server.has_allocation(tcp(1)), "the other one stands");
}

#[test]
fn mobility_may_be_forbidden() {
    let mut world = World::new(Config { mobility: false, ..generous() });
    assert_eq!(code(&world.ask(path(1), Method::ALLOCATE, EMPTY)), Some(405));
    assert_eq!(code(&world.resume_as((USER, PASSWORD), path(1), &[0; 16])), Some(405));
    let full: Write<'_> = &|it| udp(it).attribute(AttributeType::MOBILITY_TICKET, b"something");
    assert_eq!(code(&World::new(generous()).ask(path(1), Method::ALLOCATE, full)), Some(400));
}

/// Carries everything between a client and the server until nothing moves; what the client tells.
fn carry(world: &mut World, client: &mut Client) -> Vec<turn::Event> {
    let mut batch = TransmitBatch::new(1500);
    while let Some(transmit) = client.poll_transmit(world.now, &mut batch) {
        let FiveTuple { protocol, local, remote } = transmit.path.unwrap();
        let (there, bytes) =
            (FiveTuple { protocol, local: remote, remote: local }, batch.bytes(&transmit).to_vec());
        batch.clear();
        for (to, mut answer) in world.arrives(there, &bytes) {
            assert_eq!(to, there);
            let back = FiveTuple { protocol, local: to.remote, remote: to.local };
            client.open(world.now, Datagram::new(back, &mut answer)).unwrap();
        }
    }
    std::iter::from_fn(|| client.poll_event()).collect()
}

fn at(port: u16) -> FiveTuple {
    FiveTuple::udp(path(port).remote, path(port).local)
}

#[test]
fn the_client_moves_its_allocation_and_makes_another_where_that_is_refused() {
    for is_kept in [true, false] {
        let mut world = World::new(generous());
        let mut config = turn::Config::new(USER, PASSWORD);
        config.mobility = true;
        let mut client = Client::new(world.now, &provider(), at(1), config).unwrap();
        client.bind(world.now, peer(7)).unwrap();
        carry(&mut world, &mut client);
        assert!(client.is_mobile());
        let relayed = client.allocation().unwrap().relayed[0];
        if !is_kept {
            world.pass(3600);
        }
        for port in 2..5 {
            client.set_path(world.now, at(port));
            let told = carry(&mut world, &mut client);
            assert!(client.allocation().is_some() && client.is_mobile());
            if is_kept {
                assert_eq!(told, [turn::Event::Moved]);
                assert_eq!(client.allocation().unwrap().relayed[0], relayed);
                let mut batch = TransmitBatch::new(1500);
                let data = client.send(world.now, peer(7), b"here", &mut batch).unwrap();
                let outward = FiveTuple::udp(relayed, peer(7));
                assert_eq!(world.arrives(path(port), batch.bytes(&data)), [(outward, b"here".to_vec())]);
                assert_eq!(world.heard_at(relayed), Some(path(port)));
            } else if port == 2 {
                assert_eq!(told.first(), Some(&turn::Event::Lost));
                assert!(matches!(told.get(1), Some(turn::Event::Allocated(_))), "{told:?}");
            }
        }
        assert_eq!(world.server.statistics().allocations, 1);
        client.close(world.now);
        carry(&mut world, &mut client);
        assert_eq!(world.server.statistics().allocations, 0);
    }
}

#[test]
fn a_server_that_forbids_mobility_is_asked_without() {
    let mut world = World::new(Config { mobility: false, ..generous() });
    let mut config = turn::Config::new(USER, PASSWORD);
    config.mobility = true;
    let mut client = Client::new(world.now, &provider(), at(1), config).unwrap();
    carry(&mut world, &mut client);
    assert!(client.allocation().is_some() && !client.is_mobile());
}
