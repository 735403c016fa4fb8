//! An ICE agent of Kaon and one of `is`, the ICE of str0m, on a virtual clock: both roles and conflicts, two
//! addresses each, with datagrams lost on the way.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, StunPacket};
use is::{IceAgent, IceAgentEvent, IceCreds, Protocol};
use kaon_differential::seeds;
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::ice::{Agent, Config, IceConnectionState, IceCredentials, IceRole, IceTransport};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

const TICK: Duration = Duration::from_millis(5);

/// A datagram on its way.
struct Flight {
    arrives: Instant,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Pair {
    now: Instant,
    kaon: Agent,
    other: IceAgent,
    /// Local and remote address of the pair that the other nominated last.
    nominated: Option<(SocketAddr, SocketAddr)>,
    random: SeededRandom,
    loss: u64,
    delay: Duration,
    /// To Kaon, to the other.
    wires: [VecDeque<Flight>; 2],
}

fn ours() -> [SocketAddr; 2] {
    [([10, 0, 0, 1], 1000).into(), ([10, 0, 1, 1], 1001).into()]
}

fn theirs() -> [SocketAddr; 2] {
    [([10, 0, 0, 2], 2000).into(), ([10, 0, 1, 2], 2001).into()]
}

impl Pair {
    fn new(seed: u64, loss: u64, kaon_controls: bool, other_controls: bool) -> Self {
        let now = Instant::now();
        let random = SeededRandom::new(seed);
        let delay = TICK * (random.next_u64() % 20) as u32;
        let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(seed)));
        let mut config = Config::default();
        config.role = if kaon_controls { IceRole::Controlling } else { IceRole::Controlled };
        let mut kaon = Agent::new(now, provider, config);
        let pass = "the-password-of-the-other".to_owned();
        let mut other = IceAgent::new(IceCreds { ufrag: "other".to_owned(), pass });
        other.set_controlling(other_controls);
        other.set_control_tie_breaker(random.next_u64());
        for address in ours() {
            kaon.add_host_address(now, address).unwrap();
        }
        kaon.end_of_host_addresses(now);
        for address in theirs() {
            other.add_local_candidate(is::Candidate::host(address, "udp").unwrap());
        }
        let credentials = kaon.local_credentials().clone();
        other.set_remote_credentials(IceCreds {
            ufrag: credentials.ufrag().to_owned(),
            pass: credentials.password().to_owned(),
        });
        let credentials = other.local_credentials();
        let credentials = IceCredentials::new(&*credentials.ufrag, &*credentials.pass).unwrap();
        kaon.set_remote_credentials(now, credentials).unwrap();
        for candidate in kaon.local_candidates() {
            other.add_remote_candidate(is::Candidate::from_sdp_string(&candidate.to_string()).unwrap());
        }
        for candidate in other.local_candidates() {
            kaon.add_remote_candidate(now, candidate.to_sdp_string().parse().unwrap()).unwrap();
        }
        kaon.end_of_remote_candidates(now);
        let wires = [VecDeque::new(), VecDeque::new()];
        Self { now, kaon, other, nominated: None, random, loss, delay, wires }
    }

    fn carry(&mut self, wire: usize, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if self.random.next_u64() % 100 >= self.loss {
            let arrives = self.now + self.delay;
            self.wires[wire].push_back(Flight { arrives, from, to, bytes: bytes.to_vec() });
        }
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(mut flight) = self.wires[0].pop_front_if(|flight| flight.arrives <= now) {
            let path = FiveTuple::udp(flight.to, flight.from);
            // Responses to checks that are settled are refused.
            let _ = self.kaon.handle_datagram(now, Datagram::new(path, &mut flight.bytes));
        }
        while let Some(flight) = self.wires[1].pop_front_if(|flight| flight.arrives <= now) {
            let message = StunMessage::parse(&flight.bytes).expect("the other reads what Kaon writes");
            let (source, destination) = (flight.from, flight.to);
            self.other.handle_packet(now, StunPacket { proto: Protocol::Udp, source, destination, message });
        }
        self.kaon.handle_timeout(now);
        let mut batch = TransmitBatch::new(1200);
        while let Some(transmit) = self.kaon.poll_transmit(now, &mut batch) {
            let path = transmit.path.unwrap();
            for datagram in batch.datagrams(&transmit) {
                self.carry(1, path.local, path.remote, datagram);
            }
            batch.clear();
        }
        self.other.handle_timeout(now);
        while let Some(transmit) = self.other.poll_transmit() {
            self.carry(0, transmit.source, transmit.destination, &transmit.contents);
        }
        while let Some(event) = self.other.poll_event() {
            if let IceAgentEvent::NominatedSend { source, destination, .. } = event {
                self.nominated = Some((source, destination));
            }
        }
        self.now += TICK;
    }

    /// Both have settled on the same pair.
    fn agrees(&self) -> bool {
        let selected = self.kaon.selected_pair().map(|pair| (pair.path.remote, pair.path.local));
        self.is_settled() && selected == self.nominated
    }

    /// Both have settled, in one role each, the other on a pair that Kaon takes data from. After a role conflict it
    /// need not be the same: the other keeps what it nominated while it took itself to be controlling.
    fn is_settled(&self) -> bool {
        self.kaon.state() == IceConnectionState::Completed
            && (self.kaon.role() == IceRole::Controlling) != self.other.controlling()
            && self.other.state().is_connected()
            && self
                .nominated
                .is_some_and(|(local, remote)| self.kaon.is_validated(&FiveTuple::udp(remote, local)))
    }

    fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end && !done(self) {
            self.step();
        }
        done(self)
    }
}

fn all_agree(count: u64, loss: u64) {
    for seed in seeds(count) {
        for (kaon_controls, other_controls) in [(true, false), (false, true), (true, true), (false, false)] {
            let mut pair = Pair::new(seed, loss, kaon_controls, other_controls);
            let conflict = kaon_controls == other_controls;
            let done = if conflict { Pair::is_settled } else { Pair::agrees };
            assert!(
                pair.run(Duration::from_secs(60), done),
                "seed {seed}, loss {loss}, controlling: Kaon {kaon_controls}, the other {other_controls}: \
                 {:?} {:?}, {:?} {:?}",
                pair.kaon.state(),
                pair.kaon.selected_pair().map(|pair| pair.path),
                pair.other.state(),
                pair.nominated
            );
        }
    }
}

#[test]
fn all_agree_without_loss() {
    all_agree(100, 0);
}

#[test]
fn all_agree_with_a_tenth_lost() {
    all_agree(500, 10);
}

#[test]
fn all_agree_with_a_fifth_lost() {
    all_agree(1000, 20);
}

#[test]
fn a_connection_lasts() {
    for (kaon_controls, loss) in [(true, 0), (false, 0), (true, 10), (false, 10)] {
        let mut pair = Pair::new(1, loss, kaon_controls, !kaon_controls);
        assert!(pair.run(Duration::from_secs(60), Pair::agrees));
        for _ in 0..600 {
            pair.run(Duration::from_secs(1), |_| false);
            assert!(pair.kaon.selected_pair().is_some(), "consent is kept");
        }
        assert!(pair.run(Duration::from_secs(60), Pair::agrees));
    }
}
