use std::collections::HashSet;

use super::*;
use crate::seeds::seeds;

/// The server has two sockets behind one endpoint: sessions of either and of both connect, and those of
/// both by the one or the other.
#[test]
fn one_endpoint_has_several_sockets() {
    let mut taken = HashSet::new();
    for seed in seeds(20) {
        let mut world = World::new(seed);
        // Now one and now the other is the path that works first.
        let link = Link { delay: Duration::from_millis(10), loss: 0.3, ..Link::default() };
        world.simulation.network().set_default_link(link);
        let [first, second] =
            ["10.0.8.1:5000", "10.0.2.1:5001"].map(|text| text.parse::<SocketAddr>().unwrap());
        world.server = world.simulation.network().add_host([first.ip(), second.ip()]);
        let (server, host) = (world.server, world.add_client("10.0.1.1"));
        world.simulation.add_layer(server, Endpoint::new());
        let sockets = [&[first][..], &[second], &[first, second]];
        let mut connections = Vec::new();
        for (number, locals) in sockets.iter().enumerate() {
            let there = world.add_session_at(server, locals);
            let here = world.add_session(host, &format!("10.0.1.1:400{number}"));
            let connection = Connection { client: host, here, there };
            world.negotiate(connection);
            connections.push(connection);
        }
        for connection in &connections {
            let took = world.time_to_connect(*connection, Duration::from_secs(30));
            assert!(took.is_some(), "seed {seed}: {connection:?}");
        }
        for (connection, locals) in connections.iter().zip(sockets) {
            let path = world.with(server, connection.there, |session| session.selected_pair().unwrap().path);
            assert!(locals.contains(&path.local), "seed {seed}: {path:?}");
            taken.insert((locals.len(), path.local));
        }
        assert!(world.in_use.is_empty(), "seed {seed}");
    }
    assert_eq!(taken.len(), 4, "{taken:?}");
}
