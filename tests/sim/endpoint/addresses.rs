use kaon_rtc::endpoint::AddressChange;
use kaon_rtc::session::Stats;

use super::*;
use crate::seeds::seeds;

/// A server that moves to another network, with all its clients.
#[test]
fn all_sessions_follow_the_addresses_of_their_machine() {
    for seed in seeds(10) {
        let mut world = World::new(seed);
        let (old, new): (SocketAddr, SocketAddr) =
            (SERVER.parse().unwrap(), "10.9.0.1:5000".parse().unwrap());
        let server = world.server;
        let connections: Vec<Connection> = (0..20)
            .map(|number| {
                let host = world.add_client(&format!("10.0.1.{number}"));
                world.connect(host, &format!("10.0.1.{number}:4000"))
            })
            .collect();
        for connection in &connections {
            assert!(world.time_to_connect(*connection, Duration::from_secs(30)).is_some(), "seed {seed}");
        }
        world.simulation.network().add_address(server, new.ip());
        let now = world.simulation.now();
        let change = AddressChange { added: vec![new.into()], ..AddressChange::default() };
        world.simulation.layer_mut(server).change_addresses(now, &change);
        world.run_until(Duration::from_secs(2), &[server], |_| false);

        world.simulation.network().remove_address(server, old.ip());
        let now = world.simulation.now();
        let change = AddressChange { removed: vec![old], ..AddressChange::default() };
        world.simulation.layer_mut(server).change_addresses(now, &change);
        for Connection { client, here, there } in &connections {
            let path = |world: &mut World, host, id| {
                world.with(host, id, |session| session.selected_pair().map(|pair| pair.path))
            };
            let ours = path(&mut world, server, *there).unwrap();
            assert_eq!(ours.local, new, "seed {seed}: at once");
            let mut hosts: Vec<HostId> = connections.iter().map(|connection| connection.client).collect();
            hosts.push(server);
            let followed = (0..20).any(|_| {
                world.run_until(Duration::from_millis(100), &hosts, |_| false);
                path(&mut world, *client, *here).is_some_and(|path| path.remote == new)
            });
            let now = world.simulation.now();
            let stats = world.with(*client, *here, |session| session.stats(now));
            let pairs: Vec<_> =
                stats.iter().filter(|entry| matches!(entry, Stats::CandidatePair(_))).collect();
            assert!(followed, "seed {seed}: {pairs:#?}");
        }
        assert!(connections.iter().all(|connection| world.is_connected(*connection)), "seed {seed}");
    }
}
