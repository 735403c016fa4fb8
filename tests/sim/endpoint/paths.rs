use super::*;
use crate::seeds::seeds;

/// A connected peer names the address of somebody who has not connected yet: to send there gives it nothing.
#[test]
fn who_was_only_sent_to_keeps_its_path() {
    for seed in seeds(100) {
        let mut world = World::new(seed);
        let (squatter, victim) = (world.add_client("10.0.1.1"), world.add_client("10.0.1.2"));
        let squatting = world.connect(squatter, "10.0.1.1:4000");
        assert!(world.time_to_connect(squatting, Duration::from_secs(5)).is_some(), "seed {seed}");
        let now = world.simulation.now();
        let server = world.server;
        let candidate = "candidate:1 1 udp 2130706431 10.0.1.2 4000 typ host";
        world.with(server, squatting.there, |session| {
            let mut init = IceCandidateInit::new(candidate);
            init.sdp_m_line_index = Some(0);
            session.add_ice_candidate(now, &init).unwrap();
        });
        world.simulation.run_for(Duration::from_millis(seed * 7));
        let victim = world.connect(victim, "10.0.1.2:4000");
        let took = world.time_to_connect(victim, Duration::from_secs(5));
        assert!(took.is_some_and(|took| took < Duration::from_millis(500)), "seed {seed}: {took:?}");
        assert!(world.is_connected(squatting), "seed {seed}");
    }
}

/// A client that was killed comes back on the same port: what is left of it gives way as soon as it does not answer.
#[test]
fn a_client_that_was_killed_connects_again_from_the_same_port() {
    for seed in seeds(100) {
        let mut world = World::new(seed);
        let host = world.add_client("10.0.1.1");
        let first = world.connect(host, "10.0.1.1:4000");
        assert!(world.time_to_connect(first, Duration::from_secs(5)).is_some(), "seed {seed}");
        world.simulation.run_for(Duration::from_millis(200 + seed * 53));
        // Nobody is told.
        world.simulation.layer_mut(host).remove(first.here);
        let second = world.connect(host, "10.0.1.1:4000");
        let took = world.time_to_connect(second, Duration::from_secs(20));
        assert!(took.is_some_and(|took| took < Duration::from_millis(1500)), "seed {seed}: {took:?}");
    }
}

/// Two living connections between the same two sockets: the second one is told so, and the first one goes on.
#[test]
fn a_second_connection_between_two_sockets_is_refused() {
    for seed in seeds(100) {
        let mut world = World::new(seed);
        let host = world.add_client("10.0.1.1");
        let first = world.connect(host, "10.0.1.1:4000");
        assert!(world.time_to_connect(first, Duration::from_secs(5)).is_some(), "seed {seed}");
        world.simulation.run_for(Duration::from_millis(seed * 53));
        let second = world.connect(host, "10.0.1.1:4000");
        let server = world.server;
        let told = world.run_until(Duration::from_secs(2), &[server, host], |world| {
            world.in_use.contains(&(host, second.here)) && world.in_use.contains(&(server, second.there))
        });
        assert!(told, "seed {seed}: {:?}", world.in_use);
        world.run_until(Duration::from_secs(40), &[server, host], |_| false);
        assert!(world.is_connected(first), "seed {seed}");
        let on_first = [(host, first.here), (server, first.there)];
        assert!(world.in_use.iter().all(|end| !on_first.contains(end)), "seed {seed}");
    }
}

/// A stranger sends checks, responses, handshakes and media from the address of a connected peer, and from others:
/// nothing of it reaches the wrong session or takes the path.
#[test]
fn strangers_take_no_path() {
    let mut world = World::new(1);
    let host = world.add_client("10.0.1.1");
    let connection = world.connect(host, "10.0.1.1:4000");
    assert!(world.time_to_connect(connection, Duration::from_secs(5)).is_some());
    let now = world.simulation.now();
    let server = world.server;
    let ufrag = world.with(server, connection.there, |session| session.local_ufrag().to_owned());
    for remote in ["10.0.1.1:4000", "10.0.1.9:4000"] {
        let path = FiveTuple::udp(SERVER.parse().unwrap(), remote.parse().unwrap());
        for mut datagram in strange_datagrams(&ufrag) {
            let _ =
                world.simulation.layer_mut(server).handle_datagram(now, Datagram::new(path, &mut datagram));
        }
    }
    world.run_until(Duration::from_secs(30), &[server, host], |_| false);
    assert!(world.is_connected(connection));
    assert!(world.in_use.is_empty());
}

fn strange_datagrams(ufrag: &str) -> Vec<Vec<u8>> {
    let username = format!("{ufrag}:peer");
    let padded = username.len().next_multiple_of(4);
    let mut check = vec![0, 1, 0, 4 + padded as u8, 0x21, 0x12, 0xa4, 0x42];
    check.extend([7; 12]);
    check.extend([0, 6, 0, username.len() as u8]);
    check.extend(username.bytes());
    check.resize(24 + padded, 0);
    let mut response = vec![1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    response.extend([9; 12]);
    let mut indication = response.clone();
    indication[..2].copy_from_slice(&[0, 0x11]);
    vec![check, response, indication, vec![22; 60], vec![128; 60], vec![255; 60], vec![0], Vec::new()]
}

/// Sessions come and go on one port, some killed and some closed, over a lossy network: all connect, and a message of
/// each arrives at its own.
#[test]
fn clients_that_come_and_go_on_one_port_all_connect() {
    for seed in seeds(20) {
        let mut world = World::new(seed);
        let link = Link { delay: Duration::from_millis(10), loss: 0.05, ..Link::default() };
        world.simulation.network().set_default_link(link);
        let hosts: Vec<_> = (1..=8).map(|number| world.add_client(&format!("10.0.1.{number}"))).collect();
        for round in 0..3 {
            let connections: Vec<_> = (hosts.iter().zip(1..))
                .map(|(host, number)| world.connect(*host, &format!("10.0.1.{number}:4000")))
                .collect();
            let mut all = hosts.clone();
            all.push(world.server);
            let done = world.run_until(Duration::from_secs(30), &all, |world| {
                connections.iter().all(|connection| world.is_connected(*connection))
            });
            assert!(done, "seed {seed}, round {round}");
            for (number, connection) in connections.iter().enumerate() {
                let now = world.simulation.now();
                match number % 2 {
                    0 => world.with(connection.client, connection.here, |session| session.close(now)),
                    _ => drop(world.simulation.layer_mut(connection.client).remove(connection.here)),
                }
            }
            world.run_until(Duration::from_millis(100 * seed), &all, |_| false);
        }
    }
}
