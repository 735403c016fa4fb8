use super::*;

/// A STUN response to no question, and what is for nobody, is thrown away without asking any session.
#[test]
fn what_is_for_nobody_reaches_no_session() {
    for count in [1, 50] {
        let mut world = World::new(count);
        for number in 0..count {
            let host = world.add_client(&format!("10.0.{}.{}", 1 + number / 250, 1 + number % 250));
            world.connect(host, &format!("10.0.{}.{}:4000", 1 + number / 250, 1 + number % 250));
        }
        let server = world.server;
        world.run_until(Duration::from_secs(1), &[server], |_| false);
        let now = world.simulation.now();
        let path = FiveTuple::udp(SERVER.parse().unwrap(), "192.0.2.1:3478".parse().unwrap());
        let endpoint = world.simulation.layer_mut(server);
        while endpoint.poll_event().is_some() {}
        for number in 0..1000u16 {
            let mut response = vec![1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
            response.extend([0; 10]);
            response.extend(number.to_be_bytes());
            let refused = endpoint.handle_datagram(now, Datagram::new(path, &mut response));
            assert!(refused.is_err());
        }
        // A session that is asked is woken.
        assert!(endpoint.poll_event().is_none());
    }
}

/// One session has much to send: others have their turn between.
#[test]
fn turns_are_taken_one_after_the_other() {
    let mut world = World::new(7);
    let hosts = [world.add_client("10.0.1.1"), world.add_client("10.0.1.2")];
    let connections = [world.connect(hosts[0], "10.0.1.1:4000"), world.connect(hosts[1], "10.0.1.2:4000")];
    for connection in connections {
        assert!(world.time_to_connect(connection, Duration::from_secs(5)).is_some());
    }
    world.simulation.run_for(Duration::from_secs(2));
    let now = world.simulation.now();
    let server = world.server;
    let send = |session: &mut Session, count| {
        let channel = session.create_data_channel(now, ChannelInit::new("more")).unwrap();
        for _ in 0..count {
            let _ = session.send_message(now, channel, MessageKind::Binary, Bytes::from_static(&[0; 1000]));
        }
    };
    let _ = (server, send);
    let mut endpoint = std::mem::take(world.simulation.layer_mut(server));
    for (connection, count) in connections.iter().zip([1000, 1]) {
        endpoint.with(connection.there, |session| send(session, count)).unwrap();
    }
    // Without segmentation each run is a single datagram, of which a turn has a limited number.
    let mut batch = kaon_rtc::layer::TransmitBatch::new(1228).with_max_segments(1);
    let mut order = Vec::new();
    endpoint.serve(now, &mut batch, &mut |batch, transmit| {
        order.push(transmit.path.unwrap().remote.ip().to_string());
        batch.clear();
        true
    });
    let second = order.iter().position(|ip| ip == "10.0.1.2").unwrap();
    assert!(second <= 16, "{order:?}");
}
