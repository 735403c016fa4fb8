use std::collections::VecDeque;

use kaon_rtc::layer::TransmitBatch;

use super::*;

/// What a datagram costs the server, received or sent: the clock of this test runs on its work.
const COST: Duration = Duration::from_micros(2);
/// What one receive of the server brings at most.
const RECEIVE: usize = 512;
/// Sessions with a packet each 20 ms.
const STEADY: usize = 50;
const INTERVAL: Duration = Duration::from_millis(20);
/// What one session has to send.
const BULK: usize = 100 << 20;
const MESSAGE: usize = 64 << 10;
const SEGMENTS: usize = 16;

/// A server in a loop of receive and send, with clients that answer at once.
struct Loop {
    now: Instant,
    server: Endpoint<Session>,
    clients: Vec<(Session, SocketAddr)>,
    /// What has come and was not received yet.
    socket: VecDeque<(FiveTuple, Vec<u8>)>,
    /// Datagrams that the server has handled.
    handled: usize,
    /// When each client's packet was given to the server's session, in datagrams handled.
    given: Vec<Option<usize>>,
    worst: usize,
    sent: Vec<usize>,
}

fn of(client: usize) -> SessionId {
    SessionId::new(client as u64)
}

impl Loop {
    fn new(count: usize) -> Self {
        let now = Instant::now();
        let random = Arc::new(SeededRandom::new(5));
        let mut config = SessionConfig::generate(crypto::provider().with_random(random)).unwrap();
        // An association that sends all that its window lets it send at once.
        config.transports.change_sctp(|sctp| sctp.max_burst = 10_000);
        let mut this = Self {
            now,
            server: Endpoint::new(),
            clients: Vec::new(),
            socket: VecDeque::new(),
            handled: 0,
            given: vec![None; count],
            worst: 0,
            sent: vec![0; count],
        };
        for client in 0..count {
            let address = SocketAddr::from(([10, 0, 1, client as u8], 4000));
            let [mut there, mut here] = [SERVER.parse().unwrap(), address].map(|address| {
                let mut session = Session::new(now, config.clone());
                session.add_host_address(now, address).unwrap();
                session.end_of_host_addresses(now);
                session
            });
            there.create_data_channel(now, ChannelInit::new("data")).unwrap();
            there.set_local_description(now, None).unwrap();
            here.set_remote_description(now, &there.local_description().unwrap()).unwrap();
            here.set_local_description(now, None).unwrap();
            there.set_remote_description(now, &here.local_description().unwrap()).unwrap();
            this.server.insert(of(client), there);
            this.clients.push((here, address));
        }
        let end = now + Duration::from_secs(2);
        while this.now < end {
            this.receive(0);
            this.send_all();
            this.now += Duration::from_millis(1);
        }
        this.sent.fill(0);
        this
    }

    /// One receive, of which up to `flood` datagrams are a flood of client 1.
    fn receive(&mut self, flood: usize) {
        let mut batch: Vec<_> = (0..RECEIVE).map_while(|_| self.socket.pop_front()).collect();
        let path = FiveTuple::udp(SERVER.parse().unwrap(), self.clients[1].1);
        let room = flood.saturating_sub(batch.len());
        batch.extend((0..room).map(|_| (path, vec![128; 1200])));
        self.handled += batch.len();
        self.now += COST * batch.len() as u32;
        let datagrams = batch.iter_mut().map(|(path, bytes)| Datagram::new(*path, bytes));
        self.server.handle_datagrams(self.now, datagrams);
        self.server.handle_timeout(self.now);
        for (client, _) in &mut self.clients {
            if client.poll_timeout().is_some_and(|at| at <= self.now) {
                client.handle_timeout(self.now);
            }
        }
    }

    /// One round of turns.
    fn send_all(&mut self) {
        self.serve();
        while self.server.poll_event().is_some() {}
        for number in 0..self.clients.len() {
            self.run_client(number);
        }
    }

    fn serve(&mut self) {
        let mut out = TransmitBatch::new(1228).with_max_segments(SEGMENTS);
        let Self { server, clients, handled, given, worst, sent, now, .. } = self;
        server.serve(*now, &mut out, &mut |out, transmit| {
            let remote = transmit.path.unwrap().remote;
            let number = clients.iter().position(|(_, address)| *address == remote).unwrap();
            let (client, address) = &mut clients[number];
            for bytes in out.datagrams_mut(&transmit) {
                *handled += 1;
                sent[number] += bytes.len();
                let path = FiveTuple::udp(*address, SERVER.parse().unwrap());
                // Longer than what only answers.
                if let Some(given) = given[number].take_if(|_| bytes.len() > 500) {
                    *worst = (*worst).max(*handled - given);
                }
                let _ = client.handle_datagram(*now, Datagram::new(path, bytes));
            }
            out.clear();
            true
        });
    }

    fn run_client(&mut self, number: usize) {
        let mut out = TransmitBatch::new(1228);
        let (client, address) = &mut self.clients[number];
        while client.poll_event().is_some() {}
        let channels: Vec<_> = client.channels().collect();
        for channel in channels {
            while client.receive_message(channel).is_some() {}
        }
        while let Some(transmit) = client.poll_transmit(self.now, &mut out) {
            let path = FiveTuple::udp(SERVER.parse().unwrap(), *address);
            self.socket.extend(out.datagrams(&transmit).map(|bytes| (path, bytes.to_vec())));
            out.clear();
        }
    }

    fn send(&mut self, client: usize, message: Bytes) -> bool {
        let now = self.now;
        let sent = self.server.with(of(client), |session| {
            let channel = session.channels().next().unwrap();
            session.send_message(now, channel, MessageKind::Binary, message).is_ok()
        });
        sent.unwrap()
    }
}

/// One session has 100 MB to send and the peer of another floods the server as fast as it can receive: 50 sessions with a
/// packet each 20 ms are not kept waiting for longer than one turn of each of the others.
#[test]
fn neither_much_to_send_nor_a_flood_delays_the_others() {
    let mut this = Loop::new(2 + STEADY);
    let bulk = Bytes::from(vec![1; MESSAGE]);
    let (mut left, mut next, mut packets) = (BULK, this.now, 0);
    while left > 0 || this.sent[0] < BULK {
        while left > 0 && this.send(0, bulk.clone()) {
            left -= MESSAGE;
        }
        this.receive(RECEIVE);
        if this.now >= next {
            next += INTERVAL;
            for client in 2..2 + STEADY {
                // That of before has left.
                assert_eq!(this.given[client], None);
                assert!(this.send(client, vec![2; 800].into()));
                this.given[client] = Some(this.handled);
                packets += 1;
            }
        }
        this.send_all();
    }
    println!("{packets} packets, at most {} datagrams after", this.worst);
    assert!(packets > 10 * STEADY, "{packets}");
    // A turn of the one with much to send, and what the others have: a packet each, and now and then a check.
    let turn = Endpoint::<Session>::TURN + SEGMENTS - 1;
    assert!(this.worst <= turn + STEADY + 10, "{}", this.worst);
}

/// Whoever takes runs of datagrams one by one has the turns as well.
#[test]
fn turns_are_taken_by_whoever_polls() {
    let mut this = Loop::new(3);
    // Until the window of the first is wide.
    for _ in 0..200 {
        while this.send(0, vec![1; MESSAGE].into()) {}
        this.receive(0);
        this.send_all();
    }
    this.receive(0);
    while this.send(0, vec![1; MESSAGE].into()) {}
    assert!(this.send(2, vec![2; 800].into()));
    let mut out = TransmitBatch::new(1228).with_max_segments(1);
    let mut order = Vec::new();
    while let Some(transmit) = this.server.poll_transmit(this.now, &mut out) {
        order.push(transmit.path.unwrap().remote == this.clients[2].1);
        out.clear();
    }
    assert!(order.len() > 50, "{}", order.len());
    let second = order.iter().position(|is_second| *is_second).unwrap();
    assert!(second <= Endpoint::<Session>::TURN_SENDS, "{second}");
}
