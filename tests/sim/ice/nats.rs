//! What is in front of each side, and what connects then.

use kaon_rtc::ice::{ServerTransport, TurnServer as Server};

use super::*;
use crate::turn_server::{PASSWORD, USER};

/// It takes UDP and TCP at the port that every firewall lets through.
const RELAY: &str = "192.0.2.50:443";

/// What stands between a side and everybody else.
#[derive(Clone, Copy, Debug)]
enum Front {
    Nothing,
    Translator(NatBehavior, NatBehavior),
    RandomPorts,
    /// That of a home behind that of a carrier.
    Carrier,
    NoHairpin,
    UdpBlocked,
    /// A firewall lets TCP to port 443 out, and nothing else.
    OnlyTcp443,
}

use NatBehavior::{AddressAndPortDependent as Port, AddressDependent as Address, EndpointIndependent as Any};

const FRONTS: [Front; 10] = [
    Front::Nothing,
    Front::Translator(Any, Any),
    Front::Translator(Any, Address),
    Front::Translator(Any, Port),
    Front::Translator(Address, Address),
    Front::RandomPorts,
    Front::Carrier,
    Front::NoHairpin,
    Front::UdpBlocked,
    Front::OnlyTcp443,
];

/// For each side in front of each other: `d` connects directly, `r` by a relay of either side, `1` and `2` by one of the
/// first or the second alone, `b` where both have one. A mapping that depends on the other end needs one there that admits
/// an address which was never signalled; a firewall without UDP needs a relay of its own side, by TCP.
const TABLE: [&str; 10] = [
    "dddddddd22", // nothing
    "dddddddd22", // endpoint-independent mapping and filtering
    "dddddddd22", // address-dependent filtering
    "ddddrrdd22", // port-dependent filtering
    "dddrrrrr22", // address-dependent mapping and filtering
    "dddrrrrr22", // port-dependent, random ports
    "ddddrrdd22", // a carrier's in front of a home's
    "ddddrrdd22", // no hairpin
    "11111111bb", // UDP blocked
    "11111111bb", // only TCP to port 443
];

fn side(number: u8, front: Front, relay: bool) -> Side {
    let role = if number == 1 { IceRole::Controlling } else { IceRole::Controlled };
    let (inner, public) = (format!("10.{number}.0.1:1000"), format!("203.0.113.{number}0:1000"));
    let at =
        if matches!(front, Front::Nothing | Front::UdpBlocked | Front::OnlyTcp443) { public } else { inner };
    let mut side = Side::new(&[&at], role).with_servers(&[RELAY]);
    let outside = |mapping, filtering| nat(number, mapping, filtering);
    match front {
        Front::Nothing => {}
        Front::UdpBlocked => side.firewall = Firewall::NoUdp,
        Front::OnlyTcp443 => side.firewall = Firewall::OnlyTcpTo(443),
        Front::Translator(mapping, filtering) => side.nat = Some(outside(mapping, filtering)),
        Front::RandomPorts => side.nat = Some(outside(Port, Port).with_random_ports(u64::from(number))),
        Front::NoHairpin => side.nat = Some(outside(Any, Port).without_hairpinning()),
        Front::Carrier => {
            side.carrier = Some(outside(Any, Port));
            side.nat = Some(Nat::new([100, 64, 0, number].into(), Any, Port));
        }
    }
    if relay {
        side.config.turn_servers = [ServerTransport::Udp, ServerTransport::Tcp]
            .map(|transport| Server::new(address(RELAY), USER, PASSWORD).with_transport(transport))
            .into();
    }
    side
}

fn add_relay(peers: &mut Peers) {
    let host = peers.simulation.network().add_host([address(RELAY).ip()]);
    peers.simulation.add_layer(host, Node::Relay(Box::new(TurnServer::new(provider(77), address(RELAY)))));
    peers.simulation.listen(address(RELAY));
}

fn connect(sides: [Side; 2]) -> Option<bool> {
    let mut peers = Peers::new(1, delay(20), sides);
    add_relay(&mut peers);
    let connected = peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed));
    connected.then(|| {
        let is_relayed = |side: usize| {
            let pair = peers.agent(side).selected_pair().unwrap();
            [pair.local.kind, pair.remote.kind].contains(&CandidateKind::Relayed)
        };
        is_relayed(0) || is_relayed(1)
    })
}

#[test]
fn each_in_front_of_each_connects_as_the_table_says() {
    let mut table = Vec::new();
    for here in FRONTS {
        let mut row = String::new();
        for there in FRONTS {
            let relays = [(false, false), (true, false), (false, true), (true, true)];
            let [without, ours, theirs, both] =
                relays.map(|(ours, theirs)| connect([side(1, here, ours), side(2, there, theirs)]));
            row.push(match [without, ours, theirs, both] {
                [Some(false), Some(false), Some(false), Some(false)] => 'd',
                [None, Some(true), Some(true), Some(true)] => 'r',
                [None, Some(true), None, Some(true)] => '1',
                [None, None, Some(true), Some(true)] => '2',
                [None, None, None, Some(true)] => 'b',
                _ => '?',
            });
        }
        table.push(row);
    }
    assert_eq!(table, TABLE, "{table:#?}");
}

/// Two homes of one carrier know no address of each other but the carrier's own.
#[test]
fn homes_of_one_carrier_connect_where_it_lets_them() {
    for (hairpins, relay, expected) in [
        (true, false, Some(false)),
        (false, false, None),
        (true, true, Some(false)),
        (false, true, Some(true)),
    ] {
        let sides = [1, 2].map(|number| {
            let mut side = side(number, Front::Carrier, relay);
            let carrier = Nat::new([198, 51, 100, 1].into(), Any, Port);
            side.carrier = Some(if hairpins { carrier } else { carrier.without_hairpinning() });
            side
        });
        assert_eq!(connect(sides), expected, "hairpins {hairpins}, relay {relay}");
    }
}

#[test]
fn mappings_of_a_connection_that_is_used_do_not_expire() {
    for relay in [false, true] {
        let sides = [1, 2].map(|number| {
            let front = if relay { Front::RandomPorts } else { Front::Translator(Any, Port) };
            let mut side = side(number, front, relay);
            side.nat = side.nat.map(|nat| nat.with_lifetime(Duration::from_secs(30)));
            side
        });
        let mut peers = Peers::new(1, delay(20), sides);
        add_relay(&mut peers);
        assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
        let before = [peers.path(0), peers.path(1)];
        peers.run_for(30 * MINUTE);
        assert_eq!([peers.path(0), peers.path(1)], before, "relay {relay}");
        assert!(peers.is(IceConnectionState::Completed));
        assert!(!peers.states(0).contains(&IceConnectionState::Disconnected), "relay {relay}");
    }
}
