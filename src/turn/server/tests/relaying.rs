use super::*;
use crate::layer::{Ecn, Protocol};
use crate::turn::{ChannelData, Icmp};

fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    [&ChannelData::header(ChannelNumber::new(number).unwrap(), data.len() as u16)[..], data].concat()
}

#[test]
fn data_goes_both_ways_by_channels_and_by_indications() {
    let mut world = World::new(config());
    let relayed = world.allocate(path(1));
    let outward = FiveTuple::udp(relayed, peer(7));
    assert_eq!(world.arrives(path(1), &send_indication(peer(7), b"early")), [], "no permission");
    assert_eq!(world.arrives(outward, b"early"), [], "no permission");
    assert_eq!(world.permit(path(1), peer(1)), None, "ports do not count");
    assert_eq!(world.arrives(path(1), &send_indication(peer(7), b"hello")), [(outward, b"hello".to_vec())]);
    let inward = world.arrives(outward, b"answer").remove(0);
    let message = Message::decode(&inward.1).unwrap();
    assert_eq!((inward.0, message.class(), message.method()), (path(1), Class::Indication, Method::DATA));
    assert_eq!(message.xor_address(AttributeType::XOR_PEER_ADDRESS), Some(peer(7)));
    assert_eq!(message.attribute(AttributeType::DATA), Some(&b"answer"[..]));
    let empty = world.arrives(outward, b"").remove(0).1;
    assert_eq!(Message::decode(&empty).unwrap().attribute(AttributeType::DATA), Some(&b""[..]));
    assert_eq!(world.arrives(path(1), &channel_data(0x4001, b"early")), [], "no channel");
    assert_eq!(world.bind(path(1), 0x4001, peer(7)), None);
    assert_eq!(world.arrives(path(1), &channel_data(0x4001, b"fast")), [(outward, b"fast".to_vec())]);
    assert_eq!(world.arrives(outward, b"quick"), [(path(1), channel_data(0x4001, b"quick"))]);
    assert_eq!(world.arrives(path(2), &channel_data(0x4001, b"other")), [], "another five-tuple");
    world.pass(299);
    assert_eq!(world.arrives(outward, b"late").len(), 1);
    world.pass(1);
    assert_eq!(world.arrives(outward, b"late"), [], "the permission is over, the channel is not");
    let traffic = world.server.statistics().traffic;
    assert_eq!((traffic.packets_out, traffic.bytes_out, traffic.packets_in, traffic.bytes_in), (2, 9, 4, 15));
}

#[test]
fn streams_are_padded() {
    let mut world = World::new(config());
    let tcp = FiveTuple { protocol: Protocol::Tcp, ..path(1) };
    let relayed = world.allocate(tcp);
    assert_eq!(world.bind(tcp, 0x4000, peer(7)), None);
    let outward = FiveTuple::udp(relayed, peer(7));
    assert_eq!(
        world.arrives(outward, b"12345"),
        [(tcp, [&channel_data(0x4000, b"12345")[..], &[0; 3]].concat())]
    );
    assert_eq!(
        world.arrives(tcp, &[&channel_data(0x4000, b"12345")[..], &[0; 3]].concat()),
        [(outward, b"12345".to_vec())]
    );
}

#[test]
fn runs_stay_runs() {
    let mut world = World::new(config());
    let relayed = world.allocate(path(1));
    assert_eq!((world.bind(path(1), 0x4000, peer(7)), world.bind(path(1), 0x4001, peer(8))), (None, None));
    let mut receive = |path, bytes: Vec<Vec<u8>>| {
        let (mut batch, mut transmits) = (TransmitBatch::new(1500), Vec::new());
        let size = bytes[0].len();
        let mut bytes = bytes.concat();
        let datagrams = Datagram { path, ecn: Some(Ecn::Ect1), bytes: &mut bytes };
        let _ = world.server.receive(world.now, [(datagrams, size)], &mut batch, &mut transmits);
        assert!(transmits.iter().all(|it| it.ecn == Some(Ecn::Ect1)));
        transmits
            .iter()
            .map(|it| (it.path.unwrap(), batch.datagrams(it).count(), it.segment_size))
            .collect::<Vec<_>>()
    };
    let (seven, eight) = (FiveTuple::udp(relayed, peer(7)), FiveTuple::udp(relayed, peer(8)));
    let of = |number: u16, count: usize| vec![channel_data(number, &[5; 100]); count];
    assert_eq!(receive(path(1), of(0x4000, 10)), [(seven, 10, 100)]);
    let mixed =
        [of(0x4000, 3), of(0x4001, 2), of(0x4002, 1), of(0x4001, 1), vec![channel_data(0x4000, b"last")]]
            .concat();
    assert_eq!(receive(path(1), mixed), [(seven, 3, 100), (eight, 3, 100), (seven, 1, 4)]);
    let from_peer = vec![vec![5; 100], vec![5; 100], vec![5; 9]];
    assert_eq!(receive(seven, from_peer.clone()), [(path(1), 3, 104)]);
    assert_eq!(receive(FiveTuple::udp(relayed, peer(9)), from_peer), [(path(1), 3, 136)]);
}

#[test]
fn a_denied_peer_is_denied_on_every_path() {
    let mut world = World::new(Config { answers_per_source: 1_000_000, answers: u32::MAX, ..config() });
    let relayed = world.allocate(path(1));
    for denied in ["127.0.0.1:80", "10.0.0.1:80", "169.254.169.254:80", "224.0.0.1:80", "0.0.0.0:80"] {
        let denied = address(denied);
        assert_eq!(world.permit(path(1), denied), Some(403), "{denied}");
        assert_eq!(world.bind(path(1), 0x4000, denied), Some(403), "{denied}");
        assert_eq!(world.arrives(path(1), &send_indication(denied, b"data")), [], "{denied}");
        assert_eq!(world.arrives(FiveTuple::udp(relayed, denied), b"data"), [], "{denied}");
    }
    let both = world.ask(path(1), Method::CREATE_PERMISSION, &|it| {
        it.xor_address(AttributeType::XOR_PEER_ADDRESS, peer(1))
            .xor_address(AttributeType::XOR_PEER_ADDRESS, address("10.0.0.1:80"))
    });
    assert_eq!(code(&both), Some(403));
    assert_eq!(world.arrives(path(1), &send_indication(peer(1), b"data")), [], "all or none");
    assert_eq!((world.permit(path(1), peer(1)), world.bind(path(1), 0x4000, peer(2))), (None, None));
    world.server.set_policy(PeerPolicy::default().deny("1.1.1.1".parse().unwrap()));
    assert_eq!(world.arrives(path(1), &send_indication(peer(1), b"data")), [], "the policy has changed");
    assert_eq!(world.arrives(path(1), &channel_data(0x4000, b"data")), []);
    assert_eq!(world.arrives(FiveTuple::udp(relayed, peer(2)), b"data"), []);
}

#[test]
fn relayed_addresses_of_one_server_meet() {
    let mut world = World::new(config());
    let (one, two) = (world.allocate(path(1)), world.allocate(path(2)));
    assert_eq!((world.permit(path(1), two), world.bind(path(1), 0x4000, two)), (None, None));
    assert_eq!(world.permit(path(2), one), None);
    assert_eq!(
        world.arrives(path(1), &channel_data(0x4000, b"data")),
        [(FiveTuple::udp(one, two), b"data".to_vec())]
    );
    assert_eq!(world.arrives(FiveTuple::udp(two, one), b"data").len(), 1);
    let none = SocketAddr::new(two.ip(), 3478);
    assert_eq!(world.arrives(path(1), &send_indication(none, b"data")), [], "no port of an allocation");
    assert_eq!(world.arrives(FiveTuple::udp(one, none), b"data"), []);
    assert_eq!(world.bind(path(1), 0x4001, none), Some(403));
}

/// As most do whose machine is behind a static translator that does not send back what comes from within.
#[test]
fn relayed_addresses_of_one_server_meet_behind_a_nat_without_hairpin() {
    let (local, external) = ("10.0.0.5".parse().unwrap(), "203.0.113.1".parse().unwrap());
    let relays = [RelayAddress::new(local).with_external(external)];
    let mut world = World::new(Config { relays: relays.to_vec(), ..config() });
    let (one, two) = (world.allocate(path(1)), world.allocate(path(2)));
    assert_eq!((one.ip(), two.ip()), (external, external));
    let inside = |relayed: SocketAddr| SocketAddr::new(local, relayed.port());
    assert_eq!((world.permit(path(1), two), world.bind(path(1), 0x4000, two)), (None, None));
    assert_eq!(world.permit(path(2), one), None);
    let between = FiveTuple::udp(inside(one), inside(two));
    assert_eq!(world.arrives(path(1), &channel_data(0x4000, b"data")), [(between, b"data".to_vec())]);
    assert_eq!(world.arrives(path(1), &send_indication(two, b"data")), [(between, b"data".to_vec())]);
    let (to, bytes) = world.arrives(FiveTuple::udp(inside(two), inside(one)), b"data").remove(0);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!((to, message.xor_address(AttributeType::XOR_PEER_ADDRESS)), (path(2), Some(one)));
    let answer = world.arrives(between, b"quick");
    assert_eq!(answer, [(path(1), channel_data(0x4000, b"quick"))]);
    // What else is at the address inside is no peer.
    for port in [22, 3478] {
        let other = SocketAddr::new(local, port);
        assert_eq!(world.permit(path(1), other), Some(403));
        assert_eq!(world.arrives(FiveTuple::udp(inside(one), other), b"data"), []);
        let outside = SocketAddr::new(external, port);
        assert_eq!(world.arrives(path(1), &send_indication(outside, b"data")), []);
    }
}

#[test]
fn bandwidth_is_limited() {
    for limits in [
        Config { bandwidth_per_allocation: Some(1_000_000), ..config() },
        Config { bandwidth_per_user: Some(1_000_000), ..config() },
        Config { bandwidth: Some(1_000_000), ..config() },
    ] {
        let mut world = World::new(limits);
        world.allocate(path(1));
        assert_eq!(world.bind(path(1), 0x4000, peer(7)), None);
        let datagram = channel_data(0x4000, &[5; 1000]);
        let mut passed = 0;
        for _ in 0..10_000 {
            world.now += Duration::from_millis(1);
            passed += world.arrives(path(1), &datagram).len() + world.arrives(path(1), &datagram).len();
        }
        assert!((10_000..10_200).contains(&passed), "{passed} of 20 000 datagrams in ten seconds");
        assert_eq!(world.server.statistics().dropped_bandwidth, 20_000 - passed as u64);
    }
}

#[test]
fn icmp_is_told_to_who_sent() {
    let mut world = World::new(config());
    let relayed = world.allocate(path(1));
    let icmp = Icmp { kind: 3, code: 3, data: 0 };
    world.server.handle_icmp(world.now, relayed, peer(7), icmp);
    assert_eq!(world.sent(), [], "no permission");
    world.permit(path(1), peer(7));
    for _ in 0..100 {
        world.server.handle_icmp(world.now, relayed, peer(7), icmp);
    }
    let sent = world.sent();
    let message = Message::decode(&sent[0].1).unwrap();
    assert_eq!((sent.len(), sent[0].0), (10, path(1)));
    assert_eq!(message.attribute(AttributeType::ICMP).and_then(Icmp::decode), Some(icmp));
    assert_eq!(message.attribute(AttributeType::DATA), None);
}

#[test]
fn what_has_ended_is_over_though_nobody_woke_the_server() {
    let mut world = World::new(Config { answers_per_source: 100, ..config() });
    let relayed = world.allocate(path(1));
    world.now += Duration::from_secs(500);
    assert_eq!(world.bind(path(1), 0x4000, peer(7)), None);
    world.now += Duration::from_secs(100);
    assert_eq!(world.arrives(path(1), &channel_data(0x4000, b"late")), []);
    assert_eq!(world.arrives(path(1), &send_indication(peer(7), b"late")), []);
    assert_eq!(world.arrives(FiveTuple::udp(relayed, peer(7)), b"late"), []);
    assert_eq!(world.bind(path(1), 0x4000, peer(7)), Some(437));
    assert_ne!(world.allocate(path(1)), relayed);
}
