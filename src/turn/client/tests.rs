use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::crypto::{CryptoProvider, SeededRandom};
use crate::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use crate::stun::{ErrorCode, Message, Method};
use crate::turn::ChannelNumber;
use server::{Server, provider};

mod errors;
mod faults;
mod server;

const USER: &str = "alice";
const PASSWORD: &str = "secret";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn peer() -> SocketAddr {
    address("203.0.113.9:4000")
}

fn path() -> FiveTuple {
    FiveTuple::udp(address("10.0.0.1:5000"), address("198.51.100.1:3478"))
}

fn seeded(seed: u64) -> CryptoProvider {
    provider().with_random(Arc::new(SeededRandom::new(seed)))
}

/// A client and a server with nothing but loss between them, on a virtual clock.
struct Play {
    now: Instant,
    start: Instant,
    client: Client,
    server: Server,
    random: SeededRandom,
    /// Of 256 datagrams so many are lost, either way.
    loss: u64,
    events: Vec<Event>,
    /// Every request that the client sent, the lost ones included.
    asked: Vec<(Duration, Method)>,
    /// What the peers got.
    relayed: Vec<(SocketAddr, Vec<u8>)>,
}

impl Play {
    fn new(config: Config) -> Self {
        Self::with_seed(config, 1)
    }

    fn with_seed(config: Config, seed: u64) -> Self {
        let now = Instant::now();
        Self {
            now,
            start: now,
            client: Client::new(now, &seeded(seed), path(), config).unwrap(),
            server: Server::new(path().remote),
            random: SeededRandom::new(seed),
            loss: 0,
            events: Vec::new(),
            asked: Vec::new(),
            relayed: Vec::new(),
        }
    }

    fn is_lost(&self) -> bool {
        self.random.next_u64() % 256 < self.loss
    }

    /// Carries everything until nothing moves.
    fn carry(&mut self) {
        let mut batch = TransmitBatch::new(1200);
        for _ in 0..1000 {
            batch.clear();
            let Some(transmit) = self.client.poll_transmit(self.now, &mut batch) else { break };
            let path = transmit.path.unwrap();
            for datagram in batch.datagrams(&transmit) {
                let method = Message::decode(datagram).map(|message| message.method());
                self.asked.extend(method.map(|method| (self.now - self.start, method)));
                if !self.is_lost() {
                    self.deliver(path, datagram);
                }
            }
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
        assert!(self.client.poll_timeout().is_none_or(|next| next > self.now), "it is not due again");
    }

    fn deliver(&mut self, path: FiveTuple, datagram: &[u8]) {
        self.relayed.extend(self.server.relayed(datagram));
        let answer = self.server.answer(self.now, path, datagram);
        if let Some(mut answer) = answer.filter(|_| !self.is_lost()) {
            let _ = self.client.open(self.now, Datagram::new(path, &mut answer));
        }
    }

    /// Lets so much time pass.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.carry();
        let mut wakes = 0;
        while let Some(next) = self.client.poll_timeout().filter(|next| *next <= end) {
            self.now = next;
            self.client.handle_timeout(next);
            self.carry();
            wakes += 1;
            assert!(wakes < 100_000, "it wakes without end");
        }
        self.now = end;
    }

    fn secs(&mut self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    fn take_events(&mut self) -> Vec<Event> {
        self.carry();
        std::mem::take(&mut self.events)
    }

    fn count(&self, method: Method) -> usize {
        self.asked.iter().filter(|(_, asked)| *asked == method).count()
    }

    fn failure(&mut self) -> Option<FailureCause> {
        self.take_events().into_iter().find_map(|event| match event {
            Event::Failed(failure) => {
                assert!(failure.to_string().contains("198.51.100.1:3478"), "{failure}");
                Some(failure.cause)
            }
            _ => None,
        })
    }

    fn allocated(config: Config) -> Self {
        let mut play = Self::new(config);
        play.carry();
        assert!(play.client.allocation().is_some(), "{:?}", play.events);
        play.events.clear();
        play
    }
}

fn config() -> Config {
    Config::new(USER, PASSWORD)
}

#[test]
fn an_allocation_takes_two_round_trips_and_is_refreshed() {
    let mut play = Play::new(config());
    let events = play.take_events();
    let [Event::Allocated(allocation)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(allocation.mapped, Some(path().local));
    assert_eq!(allocation.relayed.len(), 1);
    assert_eq!(allocation.relayed_to(peer().ip()), Some(allocation.relayed[0]));
    assert_eq!(play.count(Method::ALLOCATE), 2);
    play.secs(3600);
    assert_eq!(play.count(Method::REFRESH), 3600 / 540);
    assert_eq!(play.count(Method::ALLOCATE), 2);
    assert_eq!(play.take_events(), []);
    let keepalives = play.count(Method::BINDING);
    assert!((3600 / 25 - 10..=3600 / 25).contains(&keepalives), "{keepalives}");
}

#[test]
fn data_goes_in_indications_and_then_through_a_channel() {
    let mut play = Play::allocated(config());
    let mut batch = TransmitBatch::new(1200);
    let sent = play.client.send(play.now, peer(), b"too early", &mut batch);
    assert_eq!(sent, Err(ClientError::NotPermitted));
    assert_eq!(play.take_events(), [Event::Permitted(peer().ip())], "it was asked for");

    for (expected, is_channel) in [(36 + 8, false), (4 + 5, true)] {
        batch.clear();
        let transmit = play.client.send(play.now, peer(), b"hello", &mut batch).unwrap();
        assert_eq!((transmit.path, transmit.len()), (Some(path()), expected));
        play.deliver(path(), batch.bytes(&transmit));
        assert_eq!(play.relayed.pop(), Some((peer(), b"hello".to_vec())));
        // What is written behind the head is the same.
        let head = play.client.head(play.now, peer()).unwrap();
        assert_eq!(head.datagram_len(5), expected);

        let mut datagram = play.server.peer_sends(path(), peer(), b"answer");
        let before = datagram.clone();
        let opened = play.client.open(play.now, Datagram::new(path(), &mut datagram)).unwrap();
        let Opened::Data { peer: from, range } = opened else { panic!() };
        assert_eq!((from, &before[range]), (peer(), &b"answer"[..]));
        assert_eq!(before[0] == 0x40, is_channel);

        play.client.bind(play.now, peer()).unwrap();
        let bound = Event::ChannelBound(peer(), ChannelNumber::MIN);
        assert_eq!(play.take_events(), if is_channel { vec![] } else { vec![bound] });
    }
    assert_eq!(play.client.channel(peer()), Some(ChannelNumber::MIN));
}

#[test]
fn permissions_and_channels_are_renewed_until_they_are_released() {
    let mut play = Play::allocated(config());
    let other: IpAddr = "203.0.113.77".parse().unwrap();
    play.client.permit(play.now, other).unwrap();
    play.client.bind(play.now, peer()).unwrap();
    play.secs(3000);
    assert!(play.client.is_permitted(other) && play.client.channel(peer()).is_some());
    assert_eq!(play.count(Method::CHANNEL_BIND), 1 + 3000 / 240);
    assert_eq!(play.count(Method::CREATE_PERMISSION), 2 + 3000 / 240, "the channel's own needs no more");
    play.client.release(play.now, peer());
    play.secs(601);
    assert_eq!(play.client.channel(peer()), None);
    assert!(!play.client.is_permitted(peer().ip()) && play.client.is_permitted(other));
    // Neither the number nor the peer is free yet (RFC 8656 §12).
    play.client.bind(play.now, address("203.0.113.10:4000")).unwrap();
    play.client.bind(play.now, peer()).unwrap();
    play.carry();
    assert_eq!(play.client.channel(address("203.0.113.10:4000")).unwrap().number(), 0x4001);
    assert_eq!(play.client.channel(peer()), Some(ChannelNumber::MIN));
}

#[test]
fn both_families_are_had_at_once() {
    let mut families = config();
    families.families = Families::Both;
    let mut play = Play::allocated(families.clone());
    assert_eq!(play.client.allocation().unwrap().relayed.len(), 2);
    let v6 = address("[2001:db8::9]:4000");
    play.client.bind(play.now, v6).unwrap();
    assert!(play.take_events().contains(&Event::ChannelBound(v6, ChannelNumber::MIN)));

    let mut play = Play::new(families.clone());
    play.server.has_ipv6 = false;
    let events = play.take_events();
    let refused =
        Event::FamilyRefused(crate::turn::AddressFamily::V6, ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
    assert!(matches!(&events[..], [Event::Allocated(_), other] if *other == refused), "{events:?}");
    play.client.bind(play.now, v6).unwrap();
    let refused =
        [Event::PermissionRefused(v6.ip(), Refusal::Family), Event::ChannelRefused(v6, Refusal::Family)];
    assert_eq!(play.take_events(), refused);

    families.families = Families::Ipv6;
    let play = Play::allocated(families);
    assert!(play.client.allocation().unwrap().relayed[0].is_ipv6());
}

#[test]
fn a_port_is_reserved_and_used() {
    let mut first = config();
    first.even_port = Some(crate::turn::EvenPort { reserve_next: true });
    let play = Play::allocated(first);
    let allocation = play.client.allocation().unwrap();
    let token = allocation.reservation.unwrap();
    assert_eq!(allocation.relayed[0].port() % 2, 0);
    let mut second = config();
    second.reservation = Some(token);
    let play = Play::allocated(second.clone());
    assert_eq!(play.client.allocation().unwrap().relayed[0].port() % 2, 1);

    second.families = Families::Ipv6;
    let refused = Client::new(play.now, &provider(), path(), second).err();
    assert_eq!(refused, Some(ConfigError::ReservationWithOthers));
    let mut both = config();
    both.families = Families::Both;
    both.even_port = Some(crate::turn::EvenPort { reserve_next: true });
    assert_eq!(
        Client::new(play.now, &provider(), path(), both).err(),
        Some(ConfigError::BothWithReservation)
    );
    let nowhere = FiveTuple::udp(path().local, address("0.0.0.0:3478"));
    assert!(matches!(Client::new(play.now, &provider(), nowhere, config()), Err(ConfigError::Server(_))));
}

#[test]
fn over_a_stream_nothing_is_repeated_and_channels_are_padded() {
    let mut stream = config();
    stream.transport = crate::stun::ServerTransport::Tcp;
    let mut play = Play::allocated(stream.clone());
    play.client.bind(play.now, peer()).unwrap();
    play.carry();
    let mut batch = TransmitBatch::new(1200);
    let transmit = play.client.send(play.now, peer(), &[7; 2001], &mut batch).unwrap();
    assert_eq!(transmit.len(), 4 + 2004, "longer than a datagram, and padded");
    play.secs(200);
    assert_eq!(play.count(Method::BINDING), 0, "no NAT forgets a connection so soon");

    let mut play = Play::new(stream);
    play.loss = 256;
    play.secs(39);
    assert_eq!((play.count(Method::ALLOCATE), play.failure()), (1, None));
    play.secs(1);
    assert_eq!(play.failure(), Some(FailureCause::TimedOut { unproven: None }));
}

#[test]
fn closing_gives_the_allocation_back() {
    let mut play = Play::allocated(config());
    play.client.close(play.now);
    assert_eq!(play.take_events(), [Event::Closed]);
    assert!(!play.server.has_allocation(path()));
    assert_eq!(play.client.poll_timeout(), None);
    assert_eq!(play.client.permit(play.now, peer().ip()), Ok(()));
    play.carry();
    assert_eq!(play.count(Method::CREATE_PERMISSION), 0);

    // Through loss, and with a nonce that has grown old.
    let mut play = Play::allocated(config());
    (play.server.nonce, play.loss) = (2, 256);
    play.client.close(play.now);
    play.secs(1);
    assert!(!play.client.is_closed() && play.server.has_allocation(path()));
    play.loss = 0;
    play.secs(1);
    assert!(play.client.is_closed() && !play.server.has_allocation(path()));

    // While Allocate is under way, and when nobody answers.
    let mut play = Play::new(config());
    play.client.close(play.now);
    assert_eq!(play.take_events(), [Event::Closed]);
    let mut play = Play::allocated(config());
    play.loss = 256;
    play.client.close(play.now);
    play.secs(10);
    assert_eq!(play.take_events(), [Event::Closed]);
}

#[test]
fn what_a_client_holds_is_bounded() {
    let mut small = config();
    small.max_peers = 3;
    small.max_requests = 2;
    small.max_events = 16;
    let mut play = Play::allocated(small);
    for last in 0..3 {
        play.client.bind(play.now, SocketAddr::new([203, 0, 113, last].into(), 1)).unwrap();
    }
    let refused = play.client.bind(play.now, peer());
    assert_eq!(refused, Err(ClientError::TooManyPeers(3)));
    assert_eq!(play.client.permit(play.now, peer().ip()), Err(ClientError::TooManyPeers(3)));
    assert!(play.client.transactions.len() <= 2);
    play.carry();
    assert_eq!(play.client.peers.channels(), 3);
    let icmp = play.server.icmp(SocketAddr::new([203, 0, 113, 1].into(), 1));
    for _ in 0..100 {
        play.client.open(play.now, Datagram::new(path(), &mut icmp.clone())).unwrap();
    }
    let events = play.take_events();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Icmp(..))).count(), 16);
}
