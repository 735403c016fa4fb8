//! What an application does not hear of, because of when it asks or how often.

use kaon_rtc::endpoint::IncomingLimits;
use kaon_rtc::layer::TransmitBatch;

use super::*;

/// ICE is restarted again and again and nothing comes of it, taken back or not. The pair in use serves on under the
/// fragment that the peer knows, also where strangers are told of.
#[test]
fn restarts_that_come_to_nothing_cost_no_connection() {
    for (is_taken_back, tells_strangers) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = World::new(5);
        let (server, host) = (world.server, world.add_client("10.0.1.1"));
        if tells_strangers {
            world.simulation.layer_mut(server).set_incoming(Some(IncomingLimits::default()));
        }
        let connection = world.connect(host, "10.0.1.1:4000");
        assert!(world.time_to_connect(connection, Duration::from_secs(5)).is_some());
        for _ in 0..5 {
            let now = world.simulation.now();
            world.with(server, connection.there, |session| {
                session.restart_ice();
                session.set_local_description(now, None).unwrap();
            });
            world.run_until(Duration::from_secs(20), &[server, host], |_| false);
            let now = world.simulation.now();
            if is_taken_back {
                world.with(server, connection.there, |session| {
                    session.set_local_description(now, Some(&Description::rollback())).unwrap();
                });
            }
        }
        world.run_until(Duration::from_secs(60), &[server, host], |_| false);
        let state = world.states[&(host, connection.here)];
        assert_eq!(state, ConnectionState::Connected, "{is_taken_back} {tells_strangers}");
        assert!(world.strangers.is_empty());
    }
}

/// The last timer of a session runs out while the application asks for datagrams, and not before: what the session has to
/// tell of it is told, though nothing will ever happen to the session again.
#[test]
fn what_happens_while_datagrams_are_asked_for_is_told() {
    let mut world = World::new(6);
    let (server, host) = (world.server, world.add_client("10.0.1.1"));
    let connection = world.connect(host, "10.0.1.1:4000");
    assert!(world.time_to_connect(connection, Duration::from_secs(5)).is_some());
    world.run_until(Duration::from_secs(10), &[server, host], |_| false);
    let session = world.simulation.layer_mut(server).remove(connection.there).unwrap();
    let mut endpoint = Endpoint::new();
    endpoint.insert(connection.there, session);
    let (mut now, end) = (world.simulation.now(), world.simulation.now() + Duration::from_secs(60));
    let mut batch = TransmitBatch::new(1228);
    let mut told = Vec::new();
    while now < end {
        now += Duration::from_millis(100);
        endpoint.wake(connection.there);
        while endpoint.poll_event().is_some() {}
        // Its timers have run out, and nobody has said so.
        while endpoint.poll_transmit(now, &mut batch).is_some() {
            batch.clear();
        }
        while let Some(event) = endpoint.poll_event() {
            if let EndpointEvent::Session { event: SessionEvent::ConnectionState { state, .. }, .. } = event {
                told.push(state);
            }
        }
    }
    assert_eq!(told, [ConnectionState::Disconnected, ConnectionState::Failed]);
}

/// A session that cannot have its path asks for it again and again: who does not look is told once.
#[test]
fn that_a_path_is_in_use_waits_once() {
    let mut world = World::new(7);
    let (server, host) = (world.server, world.add_client("10.0.1.1"));
    let first = world.connect(host, "10.0.1.1:4000");
    assert!(world.time_to_connect(first, Duration::from_secs(5)).is_some());
    let second = world.connect(host, "10.0.1.1:4000");
    world.simulation.run_for(Duration::from_secs(120));
    world.drain(&[server, host]);
    assert!(world.in_use.contains(&(server, second.there)));
    assert_eq!(world.in_use.iter().filter(|end| **end == (server, second.there)).count(), 1);
    assert!(!world.in_use.contains(&(server, first.there)));
}

/// A session that is connected is put on an endpoint, such as one that another process has handed over: what its peer sends
/// next arrives, and not only after the next check of consent.
#[test]
fn a_connected_session_brings_its_path() {
    let mut world = World::new(8);
    let (server, host) = (world.server, world.add_client("10.0.1.1"));
    let connection = world.connect(host, "10.0.1.1:4000");
    assert!(world.time_to_connect(connection, Duration::from_secs(5)).is_some());
    world.run_until(Duration::from_millis(5500), &[server, host], |_| false);
    let endpoint = world.simulation.layer_mut(server);
    let session = endpoint.remove(connection.there).unwrap();
    let mut other = Endpoint::new();
    other.insert(connection.there, session);
    *world.simulation.layer_mut(server) = other;
    let now = world.simulation.now();
    world.with(host, connection.here, |session| {
        let channel = session.channels().next().unwrap();
        session.send_message(now, channel, MessageKind::Text, Bytes::from_static(b"hello")).unwrap();
    });
    world.simulation.run_for(Duration::from_millis(50));
    let message = world.with(server, connection.there, |session| {
        let channel = session.channels().next().unwrap();
        session.receive_message(channel)
    });
    assert_eq!(message.map(|message| message.data), Some(Bytes::from_static(b"hello")));
}

/// What was queued has left: who waits for room learns of it then, and not a round trip later.
#[test]
fn that_a_channel_has_sent_all_is_told_at_once() {
    let mut world = World::new(9);
    let (server, host) = (world.server, world.add_client("10.0.1.1"));
    let connection = world.connect(host, "10.0.1.1:4000");
    assert!(world.time_to_connect(connection, Duration::from_secs(5)).is_some());
    world.run_until(Duration::from_secs(1), &[server, host], |_| false);
    let now = world.simulation.now();
    world.with(host, connection.here, |session| {
        let channel = session.channels().next().unwrap();
        session.send_message(now, channel, MessageKind::Binary, vec![1; 3000].into()).unwrap();
    });
    world.drain(&[host]);
    // The peer is 10 ms away.
    world.simulation.run_for(Duration::from_millis(1));
    let is_low = |event: EndpointEvent| {
        use kaon_rtc::datachannel::ChannelEvent::BufferedAmountLow;
        matches!(event, EndpointEvent::Session { event: SessionEvent::DataChannel(BufferedAmountLow(_)), .. })
    };
    let endpoint = world.simulation.layer_mut(host);
    assert!(std::iter::from_fn(|| endpoint.poll_event()).any(is_low));
}
