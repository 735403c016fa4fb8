use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::layer::Datagram;
use crate::net::tests::run;

/// Counts: sends its number at once or when time comes, and answers each number with the next one. What it
/// receives is an event.
#[derive(Debug, Default)]
struct Counting {
    next: Option<u32>,
    due: Option<Instant>,
    path: Option<FiveTuple>,
    events: VecDeque<u32>,
}

impl Counting {
    const LAST: u32 = 2000;
}

impl Layer for Counting {
    type Event = u32;
    type Error = &'static str;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), Self::Error> {
        let number = u32::from_be_bytes(*datagram.bytes.first_chunk().ok_or("no number")?);
        self.events.push_back(number);
        // Every third answer takes its time.
        let waits = number % 3 == 0;
        self.next = (number < Self::LAST).then_some(number + 1);
        self.due = waits.then_some(now + Duration::from_micros(200));
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.due.is_some_and(|due| due <= now) {
            self.due = None;
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn poll_transmit(&mut self, _: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        if self.due.is_some() {
            return None;
        }
        let number = self.next.take()?;
        let mut segments = out.segments(self.path, None);
        segments.datagram().extend_from_slice(&number.to_be_bytes());
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.events.pop_front()
    }
}

fn sockets() -> (UdpSocket, UdpSocket) {
    let bind = || UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (bind(), bind())
}

fn connected<L: Layer>(a: L, b: L) -> (Driver<L>, Driver<L>) {
    let (left, right) = sockets();
    let (to_left, to_right) = (left.local_addr(), right.local_addr());
    (Driver::connected(left, a, to_right), Driver::connected(right, b, to_left))
}

#[test]
fn nothing_is_lost_however_often_the_futures_are_dropped() {
    run(async {
        let (mut a, mut b) =
            connected(Counting { next: Some(1), ..Counting::default() }, Counting::default());
        let (mut seen, mut dropped) = (Vec::new(), 0);
        let moment = Duration::from_micros(50);
        while seen.last() != Some(&Counting::LAST) {
            for driver in [&mut a, &mut b] {
                match tokio::time::timeout(moment, driver.next_event()).await {
                    Ok(event) => seen.push(event.unwrap()),
                    Err(_) => dropped += 1,
                }
            }
        }
        assert_eq!(seen, (1..=Counting::LAST).collect::<Vec<_>>());
        assert!(dropped > 0);
    });
}

#[test]
fn what_the_layer_says_between_the_calls_is_sent() {
    run(async {
        let (mut a, mut b) = connected(Counting::default(), Counting::default());
        a.layer_mut().next = Some(Counting::LAST);
        a.flush().await.unwrap();
        assert_eq!(b.next_event().await.unwrap(), Counting::LAST);
        assert_eq!(a.layer().next, None);
        let (socket, _layer) = a.into_parts();
        assert_eq!(socket.stats().sent, 1);
    });
}

#[test]
fn strangers_are_ignored_and_what_is_refused_is_counted() {
    run(async {
        let (mut a, mut b) = connected(Counting::default(), Counting::default());
        let (stranger, _) = sockets();
        let path = |from: &UdpSocket, to: &UdpSocket| FiveTuple::udp(from.local_addr(), to.local_addr());
        stranger.send_datagram(&path(&stranger, b.socket()), &7u32.to_be_bytes()).await.unwrap();
        a.socket().send_datagram(&path(a.socket(), b.socket()), b"bad").await.unwrap();
        a.layer_mut().next = Some(9);
        a.flush().await.unwrap();
        assert_eq!(b.next_event().await.unwrap(), 9);
        assert_eq!((b.refused(), b.last_refusal()), (1, Some(&"no number")));
    });
}

#[test]
fn a_layer_without_addresses_needs_a_remote_one() {
    run(async {
        let (socket, _) = sockets();
        let mut driver = Driver::new(socket, Counting { next: Some(1), ..Counting::default() });
        assert!(matches!(driver.next_event().await, Err(DriverError::NoRemote)));
        // An address that the socket cannot reach is nobody's fault.
        let local = driver.socket().local_addr();
        let path = Some(FiveTuple::udp(local, "[::1]:9".parse().unwrap()));
        *driver.layer_mut() = Counting { next: Some(1), path, ..Counting::default() };
        driver.flush().await.unwrap();
    });
}

#[cfg(all(feature = "ice", feature = "aws-lc-rs"))]
#[test]
fn two_ice_agents_connect() {
    use crate::layer::{IceConnectionState, IceEvent, IceRole, IceTransport};

    async fn state(driver: &mut Driver<crate::ice::Agent>) -> Option<IceConnectionState> {
        match driver.next_event().await.unwrap() {
            IceEvent::ConnectionState(state) => Some(state),
            _ => None,
        }
    }

    run(async {
        let [mut a, mut b] = [IceRole::Controlling, IceRole::Controlled].map(|role| {
            let (socket, _) = sockets();
            let config = crate::ice::Config { role, ..crate::ice::Config::default() };
            let now = Instant::now();
            let mut agent = crate::ice::Agent::new(now, crate::crypto::aws_lc_rs::provider(), config);
            agent.add_host_address(now, socket.local_addr()).unwrap();
            agent.end_of_host_addresses(now);
            Driver::new(socket, agent)
        });
        for (from, to) in [(0, 1), (1, 0)] {
            let (credentials, candidates): (_, Vec<_>) = {
                let agent = [&a, &b][from].layer();
                (agent.local_credentials().clone(), agent.local_candidates().cloned().collect())
            };
            let agent = [&mut a, &mut b][to].layer_mut();
            let now = Instant::now();
            agent.set_remote_credentials(now, credentials).unwrap();
            candidates.into_iter().for_each(|candidate| agent.add_remote_candidate(now, candidate).unwrap());
            agent.end_of_remote_candidates(now);
        }
        let mut states = [None, None];
        while states != [Some(IceConnectionState::Completed); 2] {
            tokio::select! {
                state = state(&mut a) => states[0] = state.or(states[0]),
                state = state(&mut b) => states[1] = state.or(states[1]),
            }
        }
        let path = a.layer().selected_pair().unwrap().path;
        assert_eq!(path, FiveTuple::udp(a.socket().local_addr(), b.socket().local_addr()));
    });
}

/// The one knows nothing but where the other takes streams, and that knows nothing at all.
#[cfg(all(feature = "ice", feature = "aws-lc-rs"))]
#[test]
fn two_ice_agents_connect_by_a_stream() {
    use crate::layer::{IceRole, IceTransport};
    use crate::net::Streams;

    run(async {
        let [mut a, mut b] = [IceRole::Controlling, IceRole::Controlled].map(|role| {
            let (socket, _) = sockets();
            let mut config = crate::ice::Config { role, ..crate::ice::Config::default() };
            config.active_tcp = role == IceRole::Controlling;
            let now = Instant::now();
            let mut agent = crate::ice::Agent::new(now, crate::crypto::aws_lc_rs::provider(), config);
            let streams = Streams::default();
            if role == IceRole::Controlled {
                let at = streams.listen("127.0.0.1:0".parse().unwrap()).unwrap();
                agent.add_passive_address(now, at.into()).unwrap();
            }
            agent.add_host_address(now, socket.local_addr()).unwrap();
            Driver::new(socket, agent).with_streams(streams)
        });
        let credentials = [&a, &b].map(|driver| driver.layer().local_credentials().clone());
        let candidates: Vec<_> = b.layer().local_candidates().cloned().collect();
        let now = Instant::now();
        for (driver, credentials) in [&mut a, &mut b].into_iter().zip(credentials.into_iter().rev()) {
            driver.layer_mut().set_remote_credentials(now, credentials).unwrap();
        }
        for passive in candidates.into_iter().filter(|candidate| candidate.tcp_kind.is_some()) {
            a.layer_mut().add_remote_candidate(now, passive).unwrap();
        }
        while a.layer().selected_pair().is_none() || b.layer().selected_pair().is_none() {
            tokio::select! {
                event = a.next_event() => drop(event.unwrap()),
                event = b.next_event() => drop(event.unwrap()),
            }
        }
        let [near, far] = [&a, &b].map(|driver| driver.layer().selected_pair().unwrap().path);
        assert_eq!((near.protocol, near.local, near.remote), (Protocol::Tcp, far.remote, far.local));
        assert_eq!(b.streams().listening(), [far.local]);
        assert_eq!((a.streams().count(), b.streams().count()), (1, 1));
    });
}

/// Both open the stream from the port at which they take it (RFC 6544 §7.1), whoever knows the other first.
#[cfg(all(feature = "ice", feature = "aws-lc-rs"))]
#[test]
fn two_ice_agents_open_a_stream_at_the_same_time() {
    use crate::layer::{IceRole, IceTransport, TcpKind};
    use crate::net::Streams;

    for first_knows_later in [false, true] {
        run(async move {
            let [mut a, mut b] = [IceRole::Controlling, IceRole::Controlled].map(|role| {
                let (socket, _) = sockets();
                let mut config = crate::ice::Config { role, ..crate::ice::Config::default() };
                config.simultaneous_open = true;
                let now = Instant::now();
                let mut agent = crate::ice::Agent::new(now, crate::crypto::aws_lc_rs::provider(), config);
                let streams = Streams::default();
                let at = streams.listen_simultaneous("127.0.0.1:0".parse().unwrap()).unwrap();
                agent.add_simultaneous_open_address(now, at.into()).unwrap();
                Driver::new(socket, agent).with_streams(streams)
            });
            let told = [&a, &b].map(|driver| {
                let agent = driver.layer();
                (agent.local_credentials().clone(), agent.local_candidates().next().unwrap().clone())
            });
            let now = Instant::now();
            let [of_a, of_b] = told;
            a.layer_mut().set_remote_credentials(now, of_b.0).unwrap();
            b.layer_mut().set_remote_credentials(now, of_a.0).unwrap();
            b.layer_mut().add_remote_candidate(now, of_a.1).unwrap();
            if !first_knows_later {
                a.layer_mut().add_remote_candidate(now, of_b.1.clone()).unwrap();
            }
            while a.layer().selected_pair().is_none() || b.layer().selected_pair().is_none() {
                tokio::select! {
                    event = a.next_event() => drop(event.unwrap()),
                    event = b.next_event() => drop(event.unwrap()),
                }
            }
            a.layer_mut().add_remote_candidate(Instant::now(), of_b.1).unwrap();
            let pairs = [&a, &b].map(|driver| driver.layer().selected_pair().unwrap().clone());
            for pair in &pairs {
                let kinds = [pair.local.tcp_kind, pair.remote.tcp_kind];
                assert_eq!(kinds, [Some(TcpKind::SimultaneousOpen); 2]);
            }
            let [near, far] = pairs.map(|pair| pair.path);
            assert_eq!((near.local, near.remote), (far.remote, far.local));
            assert_eq!(a.streams().listening_simultaneous(), [near.local]);
            assert_eq!(b.streams().listening_simultaneous(), [far.local]);
            assert_eq!((a.streams().count(), b.streams().count()), (1, 1));
        });
    }
}

#[cfg(all(feature = "dtls", feature = "aws-lc-rs"))]
#[test]
fn a_dtls_client_and_a_server_connect_and_talk() {
    use std::sync::Arc;

    use crate::dtls::{Config, Connection, DtlsEvent, DtlsTransport, Identity, PeerVerification};

    run(async {
        let provider = crate::crypto::aws_lc_rs::provider();
        let config = || Arc::new(Config::new(provider.clone(), Identity::generate(&provider).unwrap()));
        let verification = || PeerVerification::AcceptAny;
        let client = Connection::client(config(), verification()).unwrap();
        let server = Connection::server(config(), verification()).unwrap();
        let (mut client, mut server) = connected(client, server);
        let echo = async {
            loop {
                if let DtlsEvent::ApplicationData(data) = server.next_event().await.unwrap() {
                    let mut record = Vec::new();
                    server.layer_mut().seal(&data, &mut record).unwrap();
                    let path = FiveTuple::udp(server.socket().local_addr(), server.remote.unwrap());
                    server.socket().send_datagram(&path, &record).await.unwrap();
                }
            }
        };
        let talk = async {
            assert!(matches!(client.next_event().await.unwrap(), DtlsEvent::Connected { .. }));
            let mut record = Vec::new();
            client.layer_mut().seal(b"hello", &mut record).unwrap();
            let path = FiveTuple::udp(client.socket().local_addr(), client.remote.unwrap());
            client.socket().send_datagram(&path, &record).await.unwrap();
            match client.next_event().await.unwrap() {
                DtlsEvent::ApplicationData(data) => assert_eq!(&data[..], b"hello"),
                other => panic!("{other:?}"),
            }
        };
        tokio::select! {
            () = echo => {}
            () = talk => {}
        }
    });
}
