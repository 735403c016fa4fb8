use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use kaon_rtc::datachannel::ChannelState;
use kaon_rtc::endpoint::Member;
use kaon_rtc::layer::{IceCredentials, TransmitBatch};
use kaon_rtc::session::SessionError;
use kaon_rtc::sim::{Nat, NatBehavior};

use super::*;
use crate::seeds::seeds_of_long_test;

/// Clients on one port of the server.
const CLIENTS: usize = 1000;
/// They come in waves.
const WAVE: usize = 100;
/// So many sessions of the server have the same fragment.
const NAMESAKES: usize = 3;

/// A session of the server that takes nothing but what its own client sends.
struct Watched {
    session: Session,
    /// Where its client is seen.
    client: IpAddr,
}

impl Watched {
    fn watch<T>(&self, path: FiveTuple, result: Result<T, SessionError>) -> Result<T, SessionError> {
        if result.is_ok() {
            assert_eq!(path.remote.ip(), self.client, "a datagram reached the session of another client");
        }
        result
    }
}

impl Member for Watched {
    fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        act(&mut self.session)
    }

    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        let path = datagram.path;
        let result = self.session.handle_datagram(now, datagram);
        self.watch(path, result)
    }

    fn receive_run<'d>(&mut self, now: Instant, run: impl Iterator<Item = Datagram<'d>>) -> usize {
        run.filter_map(|datagram| self.receive(now, datagram).ok()).count()
    }
}

struct Client {
    host: HostId,
    address: SocketAddr,
    session: Session,
    /// The name of the server's session.
    there: SessionId,
    timer: Option<Instant>,
}

struct Crowd {
    seed: u64,
    network: Network,
    config: SessionConfig,
    server: Endpoint<Watched>,
    server_host: HostId,
    clients: Vec<Client>,
    of_host: HashMap<HostId, usize>,
    timers: BTreeSet<(Instant, usize)>,
    dirty: Vec<usize>,
    next_id: u64,
    out: TransmitBatch,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut network = Network::new(seed, Instant::now());
        let link = Link {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(10),
            loss: 0.02,
            ..Link::default()
        };
        network.set_default_link(link);
        let address: SocketAddr = SERVER.parse().unwrap();
        let server_host = network.add_host([address.ip()]);
        let random = Arc::new(SeededRandom::new(seed));
        Self {
            seed,
            network,
            config: SessionConfig::generate(crypto::provider().with_random(random)).unwrap(),
            server: Endpoint::new(),
            server_host,
            clients: Vec::new(),
            of_host: HashMap::new(),
            timers: BTreeSet::new(),
            dirty: Vec::new(),
            next_id: 0,
            out: TransmitBatch::new(1228),
        }
    }

    /// Where the client of this number is seen by the server.
    fn public(number: usize) -> IpAddr {
        IpAddr::from([20, 0, (number / 250) as u8, 1 + (number % 250) as u8])
    }

    fn add_client(&mut self, number: usize) {
        use NatBehavior::{AddressAndPortDependent as Both, AddressDependent, EndpointIndependent as Any};
        let inner = IpAddr::from([10, 1, (number / 250) as u8, 1 + (number % 250) as u8]);
        let public = Self::public(number);
        let nat = match number % 5 {
            0 => None,
            1 => Some(Nat::new(public, Any, Any)),
            2 => Some(Nat::new(public, Any, AddressDependent)),
            3 => Some(Nat::new(public, Any, Both)),
            _ => Some(Nat::new(public, Both, Both)),
        };
        let (host, ip) = match nat {
            Some(nat) => (self.network.add_host_behind(nat, [inner]), inner),
            None => (self.network.add_host([public]), public),
        };
        let address = SocketAddr::new(ip, 4000);
        let (session, there) = self.connect(number, address);
        self.of_host.insert(host, number);
        self.clients.push(Client { host, address, session, there, timer: None });
        self.dirty.push(number);
    }

    /// A new session of a client, and that of the server that it is for.
    fn connect(&mut self, number: usize, address: SocketAddr) -> (Session, SessionId) {
        let now = self.network.now();
        self.next_id += 1;
        let mut session = Session::new(now, self.config.clone());
        // Chance has it that several sessions have one fragment.
        let ufrag = format!("ufrag{}", self.next_id as usize / NAMESAKES);
        let password = format!("the password of session {}", self.next_id).replace(' ', "+");
        let credentials = IceCredentials::new(ufrag, password).unwrap();
        let mut served = Session::with_ice_credentials(now, self.config.clone(), credentials).unwrap();
        for (session, address) in [(&mut session, address), (&mut served, SERVER.parse().unwrap())] {
            session.add_host_address(now, address).unwrap();
            session.end_of_host_addresses(now);
        }
        session.create_data_channel(now, ChannelInit::new("chat")).unwrap();
        session.set_local_description(now, None).unwrap();
        served.set_remote_description(now, &session.local_description().unwrap()).unwrap();
        served.set_local_description(now, None).unwrap();
        session.set_remote_description(now, &served.local_description().unwrap()).unwrap();
        let id = SessionId::new(self.next_id);
        self.server.insert(id, Watched { session: served, client: Self::public(number) });
        (session, id)
    }

    /// The client's session ends, with or without a farewell, and another one takes its place on the same port.
    fn replace(&mut self, number: usize) {
        let now = self.network.now();
        let (address, there) = (self.clients[number].address, self.clients[number].there);
        if number.is_multiple_of(2) {
            self.clients[number].session.close(now);
            self.transmit_client(number);
        } else if number % 4 == 1 {
            self.server.remove(there);
        }
        let (session, there) = self.connect(number, address);
        self.clients[number].session = session;
        self.clients[number].there = there;
        self.dirty.push(number);
    }

    fn transmit(&mut self) {
        let now = self.network.now();
        while let Some(transmit) = self.server.poll_transmit(now, &mut self.out) {
            for datagram in self.out.datagrams(&transmit) {
                self.network.send(transmit.path.unwrap(), transmit.ecn, datagram);
            }
            self.out.clear();
        }
        for number in std::mem::take(&mut self.dirty) {
            self.transmit_client(number);
        }
    }

    fn transmit_client(&mut self, number: usize) {
        let (now, client) = (self.network.now(), &mut self.clients[number]);
        while let Some(transmit) = client.session.poll_transmit(now, &mut self.out) {
            for datagram in self.out.datagrams(&transmit) {
                self.network.send(transmit.path.unwrap(), transmit.ecn, datagram);
            }
            self.out.clear();
        }
        let timer = client.session.poll_timeout();
        if let Some(before) = std::mem::replace(&mut client.timer, timer) {
            self.timers.remove(&(before, number));
        }
        self.timers.extend(timer.map(|at| (at, number)));
    }

    fn run(&mut self, time: Duration) {
        /// What comes within it is one batch.
        const STEP: Duration = Duration::from_millis(1);
        let end = self.network.now() + time;
        while self.network.now() < end {
            self.transmit();
            let due = self.timers.first().map(|(at, _)| *at);
            let next =
                self.server.poll_timeout().into_iter().chain(due).chain(self.network.next_arrival()).min();
            let now = next.unwrap_or(end).max(self.network.now()) + STEP;
            self.network.advance_to(now.min(end));
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        let now = self.network.now();
        self.server.handle_timeout(now);
        while let Some((at, number)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, number));
            self.clients[number].timer = None;
            self.clients[number].session.handle_timeout(now);
            self.dirty.push(number);
        }
        let mut batch = Vec::new();
        while let Some(mut delivery) = self.network.deliver() {
            if delivery.host == self.server_host {
                batch.push(delivery);
            } else {
                let number = self.of_host[&delivery.host];
                let datagram = Datagram::new(delivery.path, &mut delivery.bytes);
                let _ = self.clients[number].session.handle_datagram(now, datagram);
                self.dirty.push(number);
            }
        }
        let datagrams = batch.iter_mut().map(|delivery| Datagram::new(delivery.path, &mut delivery.bytes));
        self.server.handle_datagrams(now, datagrams);
        while self.server.poll_event().is_some() {}
    }

    /// Runs until each client is connected to its session of the server.
    fn run_until_connected(&mut self, limit: Duration) {
        let end = self.network.now() + limit;
        loop {
            self.run(Duration::from_millis(100));
            let open: Vec<usize> =
                (0..self.clients.len()).filter(|number| !self.is_connected(*number)).collect();
            if open.is_empty() {
                return;
            }
            assert!(self.network.now() < end, "seed {}: {open:?} are not connected", self.seed);
        }
    }

    fn is_connected(&mut self, number: usize) -> bool {
        let client = &self.clients[number];
        let state = self.server.get_mut(client.there).map(|served| served.session.connection_state());
        let mut channels = client.session.channels();
        client.session.connection_state() == ConnectionState::Connected
            && state == Some(ConnectionState::Connected)
            && channels.all(|channel| client.session.channel_state(channel) == Some(ChannelState::Open))
    }

    /// Each client tells its session of the server its number.
    fn exchange(&mut self) {
        let now = self.network.now();
        for (number, client) in self.clients.iter_mut().enumerate() {
            let channel = client.session.channels().next().unwrap();
            let message = Bytes::copy_from_slice(&(number as u32).to_be_bytes());
            let sent = client.session.send_message(now, channel, MessageKind::Binary, message);
            sent.unwrap_or_else(|error| panic!("seed {}, client {number}: {error}", self.seed));
            self.dirty.push(number);
        }
        let mut missing: HashSet<usize> = (0..self.clients.len()).collect();
        let end = now + Duration::from_secs(30);
        while !missing.is_empty() {
            self.run(Duration::from_millis(100));
            for (number, client) in self.clients.iter().enumerate() {
                let session = &mut self.server.get_mut(client.there).unwrap().session;
                let channels: Vec<_> = session.channels().collect();
                for message in channels.into_iter().filter_map(|channel| session.receive_message(channel)) {
                    assert_eq!(message.data, (number as u32).to_be_bytes()[..], "seed {}", self.seed);
                    missing.remove(&number);
                }
            }
            assert!(self.network.now() < end, "seed {}: nothing of {missing:?} arrived", self.seed);
        }
    }
}

/// A thousand clients behind all kinds of NAT come to one port over a network that loses and reorders, several sessions with
/// one fragment among them; some go and come back on the same port, and some get another port from their NAT. All connect,
/// each has its message arrive, and no session takes a datagram of another's client.
#[test]
fn a_thousand_clients_on_one_port() {
    for seed in seeds_of_long_test() {
        let mut crowd = Crowd::new(seed);
        for wave in 0..CLIENTS / WAVE {
            (wave * WAVE..(wave + 1) * WAVE).for_each(|number| crowd.add_client(number));
            crowd.run(Duration::from_millis(100));
        }
        crowd.run_until_connected(Duration::from_secs(30));
        crowd.exchange();
        for number in (0..CLIENTS).filter(|number| number % 7 == 3) {
            crowd.replace(number);
        }
        for number in (0..CLIENTS).filter(|number| number % 7 == 5) {
            let host = crowd.clients[number].host;
            if let Some(nat) = crowd.network.nat_of(host) {
                nat.rebind();
            }
        }
        crowd.run_until_connected(Duration::from_secs(60));
        crowd.exchange();
    }
}
