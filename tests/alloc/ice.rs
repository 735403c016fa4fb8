use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kaon_rtc::ice::{Agent, Config, IceConnectionState, IceRole, IceTransport};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs::provider;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto::provider;

use super::{count_allocations, heap_held};

/// Two connected agents with three addresses each.
struct Pair {
    agents: [Agent; 2],
    now: Instant,
}

impl Pair {
    fn connected() -> Self {
        let now = Instant::now();
        let agents = [(IceRole::Controlling, 1), (IceRole::Controlled, 2)].map(|(role, host)| {
            let mut config = Config::default();
            config.role = role;
            let mut agent = Agent::new(now, provider(), config);
            for network in 0..3 {
                agent.add_host_address(now, SocketAddr::from(([10, 0, network, host], 1000))).unwrap();
            }
            agent.end_of_host_addresses(now);
            agent
        });
        let mut pair = Self { agents, now };
        for side in 0..2 {
            let credentials = pair.agents[1 - side].local_credentials().clone();
            let candidates: Vec<_> = pair.agents[1 - side].local_candidates().cloned().collect();
            let agent = &mut pair.agents[side];
            agent.set_remote_credentials(now, credentials).unwrap();
            candidates.into_iter().for_each(|candidate| agent.add_remote_candidate(now, candidate).unwrap());
            agent.end_of_remote_candidates(now);
        }
        let mut batch = TransmitBatch::new(1200);
        while !pair.agents.iter().all(|agent| agent.state() == IceConnectionState::Completed) {
            pair.step(&mut batch);
        }
        for _ in 0..1000 {
            pair.step(&mut batch);
        }
        pair
    }

    fn step(&mut self, batch: &mut TransmitBatch) {
        self.now += Duration::from_millis(50);
        for side in 0..2 {
            self.agents[side].handle_timeout(self.now);
            while let Some(transmit) = self.agents[side].poll_transmit(self.now, batch) {
                let path = transmit.path.unwrap();
                let path = FiveTuple::udp(path.remote, path.local);
                for datagram in batch.datagrams_mut(&transmit) {
                    // Networks 1 to 3 are apart from one another.
                    let _ = self.agents[1 - side].handle_datagram(self.now, Datagram::new(path, datagram));
                }
                batch.clear();
            }
            while self.agents[side].poll_event().is_some() {}
        }
    }
}

#[test]
fn an_idle_agent_is_small() {
    drop(Pair::connected());
    let (pairs, held) = heap_held(|| {
        let mut pairs = Vec::with_capacity(50);
        pairs.extend((0..50).map(|_| Pair::connected()));
        pairs
    });
    let inline = size_of::<Agent>();
    let each = (held as usize - 50 * size_of::<Pair>()) / 100;
    println!("an idle agent: {each} bytes of heap, {inline} bytes by itself");
    assert!(each + inline < 8192, "{each} + {inline}");
    let (_, left) = heap_held(|| drop(pairs));
    assert_eq!(-left, held, "dropping frees all");
}

#[test]
fn polling_an_idle_agent_allocates_nothing() {
    let mut pair = Pair::connected();
    let mut batch = TransmitBatch::new(1200);
    let now = pair.now;
    let agent = &mut pair.agents[0];
    assert!(agent.poll_timeout().unwrap() > now);
    let allocations = count_allocations(|| {
        for _ in 0..1000 {
            agent.handle_timeout(now);
            assert!(agent.poll_transmit(now, &mut batch).is_none() && agent.poll_event().is_none());
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn consent_allocates_nothing() {
    let mut pair = Pair::connected();
    let mut batch = TransmitBatch::new(1200);
    // Queues grow to what they need, once.
    (0..1000).for_each(|_| pair.step(&mut batch));
    let before = pair.agents[0].stats().checks_sent;
    let allocations = count_allocations(|| (0..1000).for_each(|_| pair.step(&mut batch)));
    assert!(pair.agents[0].stats().checks_sent - before >= 8);
    // Twice in that time, or thrice with what is at its ends, both sides ask the pairs that stand by, and give the memory
    // back: six. The queue of either may still grow once, when all that it may have to send falls together for the first
    // time.
    assert!(allocations <= 6 + 2, "{allocations}");
}
