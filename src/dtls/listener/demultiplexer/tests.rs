use super::*;
use crate::dtls::identity::Identity;
use crate::dtls::test_provider::provider;

struct Client {
    path: FiveTuple,
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
        let connection = Connection::client(config(port.into()), PeerVerification::AcceptAny).unwrap();
        let (local, remote) = ("10.0.0.1:443".parse().unwrap(), ([10, 0, 0, 2], port).into());
        Self { path: FiveTuple::udp(local, remote), connection, max_datagram: 1200 }
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
