//! Every method, from everybody who may not.

use super::super::policy::tests::{disguises, special_ipv4};
use super::super::special_purpose;
use super::*;
use crate::layer::Protocol;

fn stream(port: u16) -> FiveTuple {
    FiveTuple { protocol: Protocol::Tcp, ..path(port) }
}

const METHODS: [Method; 6] = [
    Method::ALLOCATE,
    Method::REFRESH,
    Method::CREATE_PERMISSION,
    Method::CHANNEL_BIND,
    Method::CONNECT,
    Method::CONNECTION_BIND,
];

/// All that some method wants.
fn everything(it: MessageBuilder<'_>) -> MessageBuilder<'_> {
    udp(it)
        .attribute(AttributeType::LIFETIME, &600u32.to_be_bytes())
        .attribute(AttributeType::CHANNEL_NUMBER, &ChannelNumber::MIN.encode())
        .attribute(AttributeType::CONNECTION_ID, &[7; 4])
        .xor_address(AttributeType::XOR_PEER_ADDRESS, peer(7))
}

/// What stands after a request was refused: the allocation, with nothing more.
fn is_untouched(world: &World, relayed: SocketAddr) {
    let held: Vec<_> = world.server.held.iter().map(|(_, held)| held).collect();
    assert_eq!((held.len(), held[0].relays[0].external), (1, relayed));
    assert!(!held[0].peers.is_permitted(world.now, peer(7).ip()));
    assert_eq!(held[0].peers.channel(world.now, peer(7)), None);
    assert_eq!(held[0].relays[0].until, world.now + Duration::from_secs(600));
    assert!(world.server.peer_connections.is_empty());
}

#[test]
fn methods_are_for_users_with_their_nonce_on_their_five_tuple() {
    let everything: Write<'_> = &everything;
    for method in METHODS {
        let mut world = World::new(config());
        let relayed = world.allocate(stream(1));
        let nonce = world.nonce(stream(1));
        let id = TransactionId([9; 12]);
        // Without credentials, and without a nonce.
        let bare = request(method, id, everything);
        assert_eq!(code(&world.answer_to(stream(1), &bare)), Some(401), "{method:?}");
        let no_nonce = request(method, id, |it| {
            everything(it)
                .username(USER)
                .attribute(AttributeType::REALM, b"kaon")
                .integrity(&key((USER, PASSWORD)))
        });
        assert_eq!(code(&world.answer_to(stream(1), &no_nonce)), Some(400), "{method:?}");
        // The user that there is not, the wrong password, the nonce of another, one that was made up.
        for (user, nonce, expected) in [
            (("eve", PASSWORD), nonce.clone(), 401),
            ((USER, "wrong"), nonce.clone(), 401),
            ((USER, PASSWORD), world.nonce(path(1)), 438),
            ((USER, PASSWORD), b"nonsense".to_vec(), 438),
            ((USER, PASSWORD), b"".to_vec(), 438),
        ] {
            let bytes = signed(user, &nonce, id, method, everything);
            assert_eq!(code(&world.answer_to(stream(1), &bytes)), Some(expected), "{method:?} {user:?}");
        }
        // Another user on the same five-tuple: what is there is not theirs.
        let answer = code(&world.ask_as(("bob", "builder"), stream(1), method, everything));
        let expected = match method {
            Method::ALLOCATE => 437,
            Method::CONNECTION_BIND => 400,
            _ => 441,
        };
        assert_eq!(answer, Some(expected), "{method:?}");
        is_untouched(&world, relayed);
        // The right user on another five-tuple, where there is nothing.
        let answer = code(&world.ask(path(3), method, everything));
        let expected = match method {
            Method::ALLOCATE => None,
            Method::CONNECTION_BIND => Some(400),
            _ => Some(437),
        };
        assert_eq!(answer, expected, "{method:?}");
    }
}

#[test]
fn nonces_go_stale_and_allocations_end_for_every_method() {
    let everything: Write<'_> = &everything;
    for method in METHODS {
        let mut world = World::new(config());
        world.allocate(stream(1));
        let nonce = world.nonce(stream(1));
        world.pass(599);
        assert_eq!(code(&world.ask(stream(1), Method::REFRESH, &|it| it)), None);
        world.pass(1);
        let bytes = signed((USER, PASSWORD), &nonce, TransactionId([8; 12]), method, everything);
        assert_eq!(code(&world.answer_to(stream(1), &bytes)), Some(438), "{method:?}");
        // Nobody has woken the server since the allocation ended.
        world.now += Duration::from_secs(600);
        let answer = code(&world.ask(stream(1), method, everything));
        let expected = match method {
            Method::ALLOCATE => None,
            Method::CONNECTION_BIND => Some(400),
            _ => Some(437),
        };
        assert_eq!(answer, expected, "{method:?}");
    }
}

/// An allocation for one transport and family, and whom it is refused.
struct Victim {
    world: World,
    path: FiveTuple,
    relayed: SocketAddr,
}

impl Victim {
    fn new(path: FiveTuple, transport: RequestedTransport, family: AddressFamily) -> Self {
        let mut world = World::new(Config { answers_per_source: u32::MAX, answers: u32::MAX, ..config() });
        let answer = world.ask(path, Method::ALLOCATE, &|it| {
            it.attribute(AttributeType::REQUESTED_TRANSPORT, &transport.encode())
                .attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &family.encode())
        });
        let message = Message::decode(&answer).unwrap();
        let relayed = message.xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap();
        Self { world, path, relayed }
    }

    fn refuses(&mut self, peer: SocketAddr, methods: &[Method]) {
        let nonce = self.world.nonce(self.path);
        for method in methods {
            self.world.next_id = self.world.next_id.wrapping_add(1);
            let id = TransactionId([self.world.next_id; 12]);
            let write: Write<'_> = &|it| {
                it.attribute(AttributeType::CHANNEL_NUMBER, &ChannelNumber::MIN.encode())
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            };
            let bytes = signed((USER, PASSWORD), &nonce, id, *method, write);
            assert_eq!(code(&self.world.answer_to(self.path, &bytes)), Some(403), "{method:?} {peer}");
        }
        assert_eq!(self.world.arrives(self.path, &send_indication(peer, b"data")), [], "{peer}");
        assert_eq!(self.world.arrives(FiveTuple::udp(self.relayed, peer), b"data"), [], "{peer}");
        assert_eq!(self.world.server.peer_accepted(self.world.now, self.relayed, peer), None, "{peer}");
        assert!(self.world.server.peer_connections.is_empty());
    }
}

#[test]
fn every_special_range_in_every_disguise_is_refused_over_udp_and_tcp() {
    let datagrams = [Method::CREATE_PERMISSION, Method::CHANNEL_BIND];
    let streams = [Method::CREATE_PERMISSION, Method::CONNECT];
    let of = |family| {
        [
            (Victim::new(path(1), RequestedTransport::UDP, family), datagrams),
            (Victim::new(stream(1), RequestedTransport::TCP, family), streams),
        ]
    };
    let (mut v4, mut v6) = (of(AddressFamily::V4), of(AddressFamily::V6));
    for address in special_ipv4() {
        for (victim, methods) in &mut v4 {
            victim.refuses(SocketAddr::new(address.into(), 4000), methods);
        }
        for disguise in disguises(address) {
            for (victim, methods) in &mut v6 {
                victim.refuses(SocketAddr::new(disguise.into(), 4000), methods);
            }
        }
    }
    for range in special_purpose::IPV6 {
        for (victim, methods) in &mut v6 {
            victim.refuses(SocketAddr::new(range.address(), 4000), methods);
        }
    }
    // A permission is for an address and says nothing of the port; what is sent there does.
    for (victim, _) in &mut v4 {
        let own = SocketAddr::new([203, 0, 113, 1].into(), 22);
        assert_eq!(victim.world.permit(victim.path, own), None, "other relayed addresses are there");
        assert_eq!(victim.world.arrives(victim.path, &send_indication(own, b"data")), []);
        assert_eq!(victim.world.server.peer_accepted(victim.world.now, victim.relayed, own), None);
    }
}
