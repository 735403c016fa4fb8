use super::*;
use crate::dtls::identity::Identity;
use crate::dtls::test_provider::provider;
use crate::layer::FingerprintAlgorithm;

struct Client {
    path: FiveTuple,
    identity: Identity,
    connection: Connection,
    max_datagram: usize,
}

fn config(seed: u64) -> Arc<Config> {
    let provider = provider(seed);
    Arc::new(Config::new(provider.clone(), Identity::generate(&provider).unwrap()))
}

fn listener(config_of_listener: ListenerConfig) -> Listener {
    Listener::new(config(1), PeerVerification::AcceptAny, config_of_listener).unwrap()
}

impl Client {
    fn new(port: u16) -> Self {
        let config = config(port.into());
        let identity = config.identity.clone().unwrap();
        let connection = Connection::client(config, PeerVerification::AcceptAny).unwrap();
        let (local, remote) = ("10.0.0.1:443".parse().unwrap(), ([10, 0, 0, 2], port).into());
        Self { path: FiveTuple::udp(local, remote), identity, connection, max_datagram: 1200 }
    }

    fn send(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut batch = TransmitBatch::new(self.max_datagram);
        let mut datagrams = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit(now, &mut batch) {
            datagrams.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        }
        datagrams
    }

    /// One datagram, and whether the listener took it.
    fn give(&self, listener: &mut Listener, now: Instant, mut datagram: Vec<u8>) -> Result<(), DtlsError> {
        listener.handle_datagram(now, Datagram::new(self.path, &mut datagram))
    }
}

/// Carries datagrams until all are silent.
fn run(listener: &mut Listener, clients: &mut [Client], now: Instant) {
    loop {
        let mut carried = 0;
        for client in clients.iter_mut() {
            for datagram in client.send(now) {
                client.give(listener, now, datagram).ok();
                carried += 1;
            }
        }
        let mut batch = TransmitBatch::new(1200);
        while let Some(transmit) = listener.poll_transmit(now, &mut batch) {
            let path = transmit.path.unwrap();
            let client = clients.iter_mut().find(|client| client.path == path).unwrap();
            for datagram in batch.datagrams_mut(&transmit) {
                client.connection.handle_datagram(now, Datagram::new(path, datagram)).ok();
                carried += 1;
            }
        }
        if carried == 0 {
            return;
        }
    }
}

#[test]
fn clients_are_told_apart() {
    let now = Instant::now();
    let mut listener = listener(ListenerConfig::default());
    let mut clients: Vec<Client> = (1..=20).map(Client::new).collect();
    clients[3].max_datagram = 100;
    run(&mut listener, &mut clients, now);
    assert_eq!(listener.len(), 20);
    while let Some(ListenerEvent { event, .. }) = listener.poll_event() {
        assert!(matches!(event, DtlsEvent::Connected { .. }));
    }
    for client in &mut clients {
        let mut record = Vec::new();
        client.connection.seal(&client.path.remote.port().to_be_bytes(), &mut record).unwrap();
        client.give(&mut listener, now, record).unwrap();
        let ListenerEvent { path, event } = listener.poll_event().unwrap();
        assert_eq!(path, client.path);
        let port = client.path.remote.port().to_be_bytes();
        assert_eq!(event, DtlsEvent::ApplicationData(port.to_vec().into()));
    }
    assert_eq!(listener.poll_timeout(), None);
    clients[0].connection.close(now);
    listener.connection_mut(&clients[1].path).unwrap().close(now);
    run(&mut listener, &mut clients, now);
    while listener.poll_event().is_some() {}
    assert_eq!(listener.len(), 18);
    assert!(clients[1].connection.is_ended());
    let taken = listener.take(&clients[2].path).unwrap();
    assert!(taken.is_connected());
    assert_eq!(listener.len(), 17);
}

#[test]
fn nothing_is_kept_before_the_cookie_returns() {
    let now = Instant::now();
    let mut listener = listener(ListenerConfig { max_pending_cookies: 10, ..ListenerConfig::default() });
    let capacity = listener.requests.capacity();
    for port in 1..100 {
        let mut client = Client::new(port);
        let hello = client.send(now).remove(0);
        assert_eq!(client.give(&mut listener, now, hello).is_ok(), port <= 10);
    }
    assert!(listener.is_empty());
    assert_eq!(listener.requests.capacity(), capacity);
    assert_eq!(listener.stats().over_limit, 89);
    assert_eq!((listener.entries.capacity(), listener.paths.capacity()), (0, 0));
}

#[test]
fn a_cookie_is_good_for_its_client_and_time_only() {
    let start = Instant::now();
    let mut listener = listener(ListenerConfig::default());
    let mut client = Client::new(1);
    let hello = client.send(start).remove(0);
    client.give(&mut listener, start, hello).unwrap();
    let mut batch = TransmitBatch::new(1200);
    let transmit = listener.poll_transmit(start, &mut batch).unwrap();
    for datagram in batch.datagrams_mut(&transmit) {
        client.connection.handle_datagram(start, Datagram::new(client.path, datagram)).unwrap();
    }
    let with_cookie = client.send(start).remove(0);

    Client::new(2).give(&mut listener, start, with_cookie.clone()).unwrap();
    assert!(listener.is_empty(), "another address");
    let mut changed = with_cookie.clone();
    changed[30] ^= 1;
    client.give(&mut listener, start, changed).unwrap();
    assert!(listener.is_empty(), "another random");
    let mut much_later = self::listener(ListenerConfig::default());
    std::mem::swap(&mut much_later.cookies, &mut listener.cookies);
    client.give(&mut much_later, start + Duration::from_secs(121), with_cookie.clone()).unwrap();
    assert!(much_later.is_empty(), "an old secret");
    std::mem::swap(&mut much_later.cookies, &mut listener.cookies);
    listener.cookies = Cookies::new(&listener.connection_config.provider, Duration::from_secs(60));
    client.give(&mut listener, start, with_cookie).unwrap();
    assert!(listener.is_empty(), "another secret");
}

#[test]
fn a_cookie_outlives_one_change_of_the_secret() {
    let start = Instant::now();
    let provider = provider(1);
    let mut cookies = Cookies::new(&provider, Duration::from_secs(60));
    let path = Client::new(1).path;
    let mut hello = vec![0xfe, 0xfd];
    hello.extend_from_slice(&[7; 32]);
    hello.extend_from_slice(&[0, 0]);
    cookies.rotate(&provider, start);
    let cookie = cookies.issue(path, &ClientHelloStart::read(&mut Reader::new(&hello)).unwrap());
    *hello.last_mut().unwrap() = COOKIE_LEN as u8;
    hello.extend_from_slice(&cookie);
    let hello = ClientHelloStart::read(&mut Reader::new(&hello)).unwrap();
    for (seconds, good) in [(0, true), (59, true), (60, true), (119, true), (120, false)] {
        cookies.rotate(&provider, start + Duration::from_secs(seconds));
        assert_eq!(cookies.verify(path, &hello), good, "{seconds}");
    }
}

#[test]
fn connections_are_bounded_and_end_by_themselves() {
    let start = Instant::now();
    let mut listener = listener(ListenerConfig { max_connections: 2, ..ListenerConfig::default() });
    let mut clients: Vec<Client> = (1..=3).map(Client::new).collect();
    run(&mut listener, &mut clients, start);
    assert_eq!(listener.len(), 2);
    assert!(listener.stats().over_limit > 0);

    // A client that returns its cookie and then falls silent is forgotten.
    let mut listener = self::listener(ListenerConfig::default());
    let mut client = Client::new(9);
    for _ in 0..2 {
        let datagram = client.send(start).remove(0);
        client.give(&mut listener, start, datagram).unwrap();
        let mut batch = TransmitBatch::new(1200);
        while let Some(transmit) = listener.poll_transmit(start, &mut batch) {
            for datagram in batch.datagrams_mut(&transmit) {
                client.connection.handle_datagram(start, Datagram::new(client.path, datagram)).ok();
            }
        }
    }
    assert_eq!(listener.len(), 1);
    let mut batch = TransmitBatch::new(1200);
    while let Some(due) = listener.poll_timeout() {
        listener.handle_timeout(due);
        while listener.poll_transmit(due, &mut batch).is_some() {
            batch.clear();
        }
    }
    let failed = DtlsEvent::Failed(DtlsError::TimedOut);
    assert_eq!(listener.poll_event(), Some(ListenerEvent { path: client.path, event: failed }));
    assert_eq!(listener.poll_event(), None);
    assert!(listener.is_empty());
}

#[test]
fn strangers_without_a_hello_are_ignored() {
    let now = Instant::now();
    let mut listener = listener(ListenerConfig::default());
    let client = Client::new(1);
    let mut late_fragment = Vec::new();
    WriteEpochs::new(SequenceNumber(0))
        .write(Epoch::PLAINTEXT, ContentType::Handshake, &mut late_fragment, |out| {
            let header = HandshakeHeader {
                kind: HandshakeType::ClientHello,
                length: 100,
                seq: MessageSeq(0),
                fragment_offset: 50,
                fragment_length: 50,
            };
            header.put(out);
            out.extend_from_slice(&[0; 50]);
        })
        .unwrap();
    let mut alert = Vec::new();
    WriteEpochs::new(SequenceNumber(0))
        .write(Epoch::PLAINTEXT, ContentType::Alert, &mut alert, |out| out.extend_from_slice(&[2, 40]))
        .unwrap();
    for datagram in [vec![], vec![22], late_fragment, alert] {
        assert!(matches!(client.give(&mut listener, now, datagram), Err(DtlsError::Ignored(_))));
    }
    assert_eq!(listener.stats().ignored(), 4);
    assert!(listener.is_empty() && listener.requests.is_empty());
}

/// What is told by now.
fn told(listener: &mut Listener) -> Vec<DtlsEvent> {
    std::iter::from_fn(|| listener.poll_event()).map(|told| told.event).collect()
}

fn connected(event: &DtlsEvent) -> bool {
    matches!(event, DtlsEvent::Connected { .. })
}

/// Sends data from the client to the listener, and says whether it arrived.
fn arrives(listener: &mut Listener, client: &mut Client, now: Instant) -> bool {
    let mut record = Vec::new();
    client.connection.seal(b"data", &mut record).unwrap();
    let mut arrived = false;
    listener.receive(now, Datagram::new(client.path, &mut record), &mut |_| arrived = true).ok();
    arrived
}

/// A client with the address of another, and an identity of its own.
fn restarted(client: &Client, seed: u16) -> Client {
    Client { path: client.path, ..Client::new(seed) }
}

/// Brings a client to where it has sent its hello with the cookie.
fn return_cookie(listener: &mut Listener, client: &mut Client, now: Instant) {
    let hello = client.send(now);
    for datagram in hello {
        client.give(listener, now, datagram).ok();
    }
    let mut batch = TransmitBatch::new(1200);
    while let Some(transmit) = listener.poll_transmit(now, &mut batch) {
        for datagram in batch.datagrams_mut(&transmit) {
            client.connection.handle_datagram(now, Datagram::new(client.path, datagram)).ok();
        }
    }
    for datagram in client.send(now) {
        client.give(listener, now, datagram).ok();
    }
}

#[test]
fn a_client_that_starts_anew_replaces_its_connection() {
    for max_datagram in [1200, 100] {
        let now = Instant::now();
        let mut listener = listener(ListenerConfig::default());
        let mut clients = [Client::new(1)];
        run(&mut listener, &mut clients, now);
        assert!(matches!(&told(&mut listener)[..], [event] if connected(event)));
        assert!(arrives(&mut listener, &mut clients[0], now));

        let [mut old] = clients;
        let mut clients = [restarted(&old, 2)];
        clients[0].max_datagram = max_datagram;
        run(&mut listener, &mut clients, now);
        assert!(clients[0].connection.is_connected());
        let told = told(&mut listener);
        assert!(matches!(&told[..], [DtlsEvent::Closed, event] if connected(event)), "{told:?}");
        run(&mut listener, &mut clients, now);
        assert_eq!(listener.len(), 1);
        assert!(!arrives(&mut listener, &mut old, now));
        assert!(arrives(&mut listener, &mut clients[0], now));
        let certificate = listener.connection(&old.path).unwrap().peer_certificate();
        assert_eq!(certificate, Some(clients[0].identity.certificate()));
        assert_eq!(listener.poll_timeout(), None);
    }
}

#[test]
fn a_hello_alone_ends_no_connection() {
    let start = Instant::now();
    let mut listener = listener(ListenerConfig::default());
    let mut clients = [Client::new(1)];
    run(&mut listener, &mut clients, start);
    assert_eq!(told(&mut listener).len(), 1);
    let [mut client] = clients;

    // Without a cookie it is answered with one, and that is all.
    let mut forger = restarted(&client, 2);
    let hello = forger.send(start).remove(0);
    forger.give(&mut listener, start, hello).unwrap();
    assert_eq!((listener.len(), listener.requests.len()), (1, 1));
    listener.poll_transmit(start, &mut TransmitBatch::new(1200)).unwrap();
    // With a cookie there is a handshake beside the connection, however often it begins anew.
    for seed in 3..20 {
        let mut restarted = restarted(&client, seed);
        return_cookie(&mut listener, &mut restarted, start);
        assert_eq!(listener.len(), 2);
        assert!(arrives(&mut listener, &mut client, start));
    }
    assert_eq!(told(&mut listener), []);
    // It is forgotten in silence.
    let mut batch = TransmitBatch::new(1200);
    let mut last = start;
    while let Some(due) = listener.poll_timeout() {
        last = due;
        listener.handle_timeout(due);
        while listener.poll_transmit(due, &mut batch).is_some() {
            batch.clear();
        }
        assert_eq!(told(&mut listener), []);
    }
    assert_eq!(listener.len(), 1);
    assert!(listener.connection(&client.path).unwrap().is_connected());
    assert!(arrives(&mut listener, &mut client, last));
}

#[test]
fn a_stranger_at_the_address_of_a_client_ends_no_connection() {
    let now = Instant::now();
    let mut clients = [Client::new(1)];
    let fingerprint = clients[0].identity.fingerprint(FingerprintAlgorithm::Sha256).clone();
    let verification = PeerVerification::Fingerprints(vec![fingerprint]);
    let mut listener = Listener::new(config(7), verification, ListenerConfig::default()).unwrap();
    run(&mut listener, &mut clients, now);
    assert_eq!(told(&mut listener).len(), 1);
    let [mut client] = clients;
    let mut strangers = [restarted(&client, 2)];
    run(&mut listener, &mut strangers, now);
    assert!(!strangers[0].connection.is_connected());
    assert_eq!(told(&mut listener), []);
    assert_eq!(listener.len(), 1);
    assert!(arrives(&mut listener, &mut client, now));
}

#[test]
fn a_handshake_that_begins_anew_leaves_nothing_behind() {
    let now = Instant::now();
    let mut listener = listener(ListenerConfig { max_connections: 1, ..ListenerConfig::default() });
    let mut first = Client::new(1);
    return_cookie(&mut listener, &mut first, now);
    assert_eq!(listener.len(), 1);
    // The answer comes before the client starts anew.
    while listener.poll_transmit(now, &mut TransmitBatch::new(1200)).is_some() {}
    let mut clients = [restarted(&first, 2)];
    run(&mut listener, &mut clients, now);
    assert!(clients[0].connection.is_connected());
    assert!(matches!(&told(&mut listener)[..], [event] if connected(event)));
    assert_eq!((listener.len(), listener.poll_timeout()), (1, None));
}

#[test]
fn a_handshake_goes_on_when_the_connection_before_it_is_taken_or_ends() {
    for takes in [true, false] {
        let now = Instant::now();
        let mut listener = listener(ListenerConfig::default());
        let mut clients = [Client::new(1)];
        run(&mut listener, &mut clients, now);
        told(&mut listener);
        let [mut old] = clients;
        let mut restarted = restarted(&old, 2);
        return_cookie(&mut listener, &mut restarted, now);
        if takes {
            assert!(listener.take(&old.path).unwrap().is_connected());
        } else {
            old.connection.close(now);
            let farewell = old.send(now).remove(0);
            old.give(&mut listener, now, farewell).unwrap();
        }
        let mut clients = [restarted];
        run(&mut listener, &mut clients, now);
        assert!(clients[0].connection.is_connected());
        let told = told(&mut listener);
        assert!(connected(told.last().unwrap()), "{told:?}");
        assert_eq!(told.len(), if takes { 1 } else { 2 }, "{told:?}");
        run(&mut listener, &mut clients, now);
        assert_eq!(listener.len(), 1);
        assert!(arrives(&mut listener, &mut clients[0], now));
    }
}

#[test]
fn limits_without_end_are_taken() {
    let limits = ListenerConfig {
        max_connections: usize::MAX,
        max_pending_cookies: usize::MAX,
        cookie_lifetime: Duration::MAX,
    };
    let mut listener = listener(limits);
    let mut clients = [Client::new(1)];
    run(&mut listener, &mut clients, Instant::now());
    assert!(clients[0].connection.is_connected());
}
