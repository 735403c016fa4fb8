use std::cell::RefCell;
use std::rc::Rc;

use kaon_rtc::endpoint::Member;
use kaon_rtc::layer::TransmitBatch;
use kaon_rtc::session::SessionError;

use super::*;

/// A session that writes down how it is handed datagrams: the name of the session with how many at once.
struct Watched {
    session: Session,
    name: usize,
    runs: Rc<RefCell<Vec<(usize, usize)>>>,
}

impl Member for Watched {
    fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        act(&mut self.session)
    }

    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        self.runs.borrow_mut().push((self.name, 1));
        self.session.handle_datagram(now, datagram)
    }

    fn receive_run<'d>(&mut self, now: Instant, run: impl Iterator<Item = Datagram<'d>>) -> usize {
        let results: Vec<_> = run.map(|datagram| self.session.handle_datagram(now, datagram)).collect();
        self.runs.borrow_mut().push((self.name, results.len()));
        results.iter().filter(|result| result.is_ok()).count()
    }
}

/// The messages of two clients come in one batch, each datagram after one of the other: each session is handed its own
/// at once, and in order.
#[test]
fn a_batch_is_put_together_by_session() {
    const MESSAGES: usize = 4;
    let mut world = World::new(3);
    let hosts = [world.add_client("10.0.1.1"), world.add_client("10.0.1.2")];
    let connections = [world.connect(hosts[0], "10.0.1.1:4000"), world.connect(hosts[1], "10.0.1.2:4000")];
    for connection in connections {
        assert!(world.time_to_connect(connection, Duration::from_secs(5)).is_some());
    }
    world.simulation.run_for(Duration::from_secs(1));
    let now = world.simulation.now();
    let runs = Rc::new(RefCell::new(Vec::new()));
    let mut server = Endpoint::new();
    let mut clients = Vec::new();
    for (name, connection) in connections.iter().enumerate() {
        let session = world.simulation.layer_mut(world.server).remove(connection.there).unwrap();
        server.insert(connection.there, Watched { session, name, runs: runs.clone() });
        clients.push(world.simulation.layer_mut(connection.client).remove(connection.here).unwrap());
    }
    // The endpoint is new, and learns of the paths by the next checks of the peers.
    let now = now + Duration::from_secs(7);
    for (client, connection) in clients.iter_mut().zip(connections) {
        client.handle_timeout(now);
        for mut datagram in transmit_all(now, client) {
            let path = FiveTuple::udp(SERVER.parse().unwrap(), address_of(connection));
            let _ = server.handle_datagram(now, Datagram::new(path, &mut datagram));
        }
    }
    let sent: Vec<Vec<Vec<u8>>> = clients
        .iter_mut()
        .map(|client| {
            let channel = client.channels().next().unwrap();
            let messages = (0..MESSAGES as u8).flat_map(|number| {
                let message = Bytes::from(vec![number; 900]);
                client.send_message(now, channel, MessageKind::Binary, message).unwrap();
                transmit_all(now, client)
            });
            messages.collect()
        })
        .collect();
    runs.borrow_mut().clear();

    let mut batch: Vec<(FiveTuple, Vec<u8>)> = Vec::new();
    for number in 0..MESSAGES {
        for (sent, connection) in sent.iter().zip(connections) {
            let path = FiveTuple::udp(SERVER.parse().unwrap(), address_of(connection));
            batch.push((path, sent[number].clone()));
        }
        // What is for nobody divides no run.
        batch.push((FiveTuple::udp(SERVER.parse().unwrap(), ([10, 9, 9, 9], 9).into()), vec![128; 60]));
    }
    let counts =
        server.handle_datagrams(now, batch.iter_mut().map(|(path, bytes)| Datagram::new(*path, bytes)));
    assert_eq!((counts.taken, counts.refused, counts.unknown), (2 * MESSAGES, 0, MESSAGES));
    assert_eq!(*runs.borrow(), [(0, MESSAGES), (1, MESSAGES)]);
    for connection in connections {
        let messages = server.with(connection.there, |session| {
            let channel = session.channels().next().unwrap();
            std::iter::from_fn(|| session.receive_message(channel).map(|message| message.data[0]))
                .collect::<Vec<_>>()
        });
        assert_eq!(messages.unwrap(), (0..MESSAGES as u8).collect::<Vec<_>>());
    }
}

/// A session whose application says only how a datagram is received.
struct Counted {
    session: Session,
    received: usize,
}

impl Member for Counted {
    fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        act(&mut self.session)
    }

    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        self.received += 1;
        self.session.handle_datagram(now, datagram)
    }
}

/// To say how one datagram is received says how those of a batch are.
#[test]
fn a_batch_is_received_as_its_datagrams_are() {
    let mut world = World::new(4);
    let host = world.add_client("10.0.1.1");
    let connection = world.connect(host, "10.0.1.1:4000");
    assert!(world.time_to_connect(connection, Duration::from_secs(5)).is_some());
    world.simulation.run_for(Duration::from_secs(1));
    let now = world.simulation.now() + Duration::from_secs(7);
    let session = world.simulation.layer_mut(world.server).remove(connection.there).unwrap();
    let mut client = world.simulation.layer_mut(host).remove(connection.here).unwrap();
    let mut server = Endpoint::new();
    server.insert(connection.there, Counted { session, received: 0 });
    client.handle_timeout(now);
    let channel = client.channels().next().unwrap();
    client.send_message(now, channel, MessageKind::Binary, vec![1; 3000].into()).unwrap();
    // A check of consent, by which the endpoint learns of the path, and messages.
    let path = FiveTuple::udp(SERVER.parse().unwrap(), address_of(connection));
    let mut batch = transmit_all(now, &mut client);
    let counts = server.handle_datagrams(now, batch.iter_mut().map(|bytes| Datagram::new(path, bytes)));
    assert!(counts.taken >= 4 && counts.refused + counts.unknown == 0, "{counts:?}");
    assert_eq!(server.get_mut(connection.there).unwrap().received, counts.taken);
}

fn address_of(connection: Connection) -> SocketAddr {
    if connection.here.number() == 1 { ([10, 0, 1, 1], 4000).into() } else { ([10, 0, 1, 2], 4000).into() }
}

fn transmit_all(now: Instant, session: &mut Session) -> Vec<Vec<u8>> {
    let mut batch = TransmitBatch::new(1228);
    let mut sent = Vec::new();
    while let Some(transmit) = session.poll_transmit(now, &mut batch) {
        sent.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        batch.clear();
    }
    sent
}
