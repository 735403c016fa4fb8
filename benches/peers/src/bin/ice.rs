//! ICE in one process: CPU time until two agents with a host address each have a pair, the implementations taking
//! turns. Kaon's agents live in virtual time, with a wire of memory between them; those of `webrtc-ice` wait as they
//! do, by themselves with sockets on the loopback interface, behind Kaon's trait with the wire of memory.
//!
//! `ice [ROUNDS [NAME...]]` prints the median of the rounds, and the ratio to Kaon.

use kaon_bench_peers::{cpu_time_of, median};
use kaon_rtc::ice::{Agent, IceTransport};

/// Connects pairs of agents.
trait Peer {
    fn connect(&mut self);
}

type Contender = (&'static str, Box<dyn Peer>, usize);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(9);
    let only: Vec<String> = arguments.collect();
    let mut contenders: Vec<Contender> = vec![
        ("kaon", Box::new(kaon::Agents::<Agent>::new(|it| Box::new(it))), 500),
        ("kaon, behind the trait", Box::new(kaon::Agents::<dyn IceTransport>::new(|it| Box::new(it))), 500),
        ("webrtc-ice", Box::new(bare::Agents::new()), 5),
        ("webrtc-ice, behind the trait", Box::new(adapter::Agents::new()), 5),
    ];
    contenders.retain(|(name, ..)| only.is_empty() || only.iter().any(|wanted| wanted == name));

    let mut figures = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for ((_, peer, count), figures) in contenders.iter_mut().zip(&mut figures) {
            let time = cpu_time_of(|| (0..*count).for_each(|_| peer.connect()));
            figures.push(time.as_secs_f64() * 1e6 / *count as f64);
        }
    }
    println!("median of {rounds} rounds, µs of CPU time for each pair of agents that connects");
    let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
    for ((name, ..), figure) in contenders.iter().zip(&medians) {
        println!("{name:>30} {figure:>10.1} {:>8.2}x", figure / medians[0]);
    }
}

mod kaon {
    use std::time::{Duration, Instant};

    use kaon_rtc::crypto::{CryptoProvider, aws_lc_rs};
    use kaon_rtc::ice::{Agent, Config, IceConnectionState, IceEvent, IceRole, IceTransport};
    use kaon_rtc::layer::{Datagram, FiveTuple, TransmitBatch};

    /// Makes agents that are the layer itself, or whatever stands behind the trait.
    pub struct Agents<A: ?Sized> {
        make: fn(Agent) -> Box<A>,
        provider: CryptoProvider,
        batch: TransmitBatch,
        now: Instant,
    }

    impl<A: IceTransport + ?Sized> Agents<A> {
        pub fn new(make: fn(Agent) -> Box<A>) -> Self {
            let provider = aws_lc_rs::provider();
            Self { make, provider, batch: TransmitBatch::new(1200), now: Instant::now() }
        }
    }

    impl<A: IceTransport + ?Sized> super::Peer for Agents<A> {
        fn connect(&mut self) {
            let make = || (self.make)(Agent::new(self.now, self.provider.clone(), Config::default()));
            let (mut alice, mut bob) = (make(), make());
            introduce(self.now, &mut *alice, &mut *bob);
            while !(is_connected(&*alice) && is_connected(&*bob)) {
                let moved = carry(self.now, &mut *alice, &mut *bob, &mut self.batch)
                    | carry(self.now, &mut *bob, &mut *alice, &mut self.batch);
                if !moved {
                    let next = [alice.poll_timeout(), bob.poll_timeout()].into_iter().flatten().min();
                    self.now = next.expect("agents that are not connected wait").max(self.now);
                    alice.handle_timeout(self.now);
                    bob.handle_timeout(self.now);
                }
            }
            self.now += Duration::from_secs(1);
        }
    }

    /// Tells each of the other, in the roles of an exchange.
    pub(super) fn introduce<A: IceTransport + ?Sized>(now: Instant, alice: &mut A, bob: &mut A) {
        bob.set_role(IceRole::Controlled);
        for (agent, port) in [(&mut *alice, 1000), (&mut *bob, 2000)] {
            agent.add_host_address(now, ([10, 0, 0, 1], port).into()).expect("an address");
            agent.end_of_host_addresses(now);
        }
        let credentials = alice.local_credentials().clone();
        bob.set_remote_credentials(now, credentials).expect("credentials");
        let credentials = bob.local_credentials().clone();
        alice.set_remote_credentials(now, credentials).expect("credentials");
        for _ in 0..2 {
            while let Some(event) = alice.poll_event() {
                if let IceEvent::LocalCandidate(candidate) = event {
                    bob.add_remote_candidate(now, candidate).expect("a candidate");
                }
            }
            while let Some(event) = bob.poll_event() {
                if let IceEvent::LocalCandidate(candidate) = event {
                    alice.add_remote_candidate(now, candidate).expect("a candidate");
                }
            }
        }
    }

    pub(super) fn is_connected<A: IceTransport + ?Sized>(agent: &A) -> bool {
        matches!(agent.state(), IceConnectionState::Connected | IceConnectionState::Completed)
    }

    pub(super) fn carry<A: IceTransport + ?Sized>(
        now: Instant,
        from: &mut A,
        to: &mut A,
        batch: &mut TransmitBatch,
    ) -> bool {
        let mut moved = false;
        while let Some(transmit) = from.poll_transmit(now, batch) {
            moved = true;
            let path = transmit.path.expect("agents name their paths");
            for datagram in batch.datagrams_mut(&transmit) {
                let path = FiveTuple::udp(path.remote, path.local);
                // A check that comes too early for the other is repeated.
                let _ = to.handle_datagram(now, Datagram::new(path, datagram));
            }
            batch.clear();
        }
        while from.poll_event().is_some() {}
        moved
    }
}

mod adapter {
    use std::time::{Duration, Instant};

    use kaon_rtc::adapters::webrtc_rs::{IceAgent, IceConfig};
    use kaon_rtc::layer::{Layer, TransmitBatch};
    use tokio::runtime::{Builder, Runtime};

    use super::kaon::{carry, introduce, is_connected};

    pub struct Agents {
        runtime: Runtime,
        batch: TransmitBatch,
    }

    impl Agents {
        pub fn new() -> Self {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            Self { runtime, batch: TransmitBatch::new(1200) }
        }
    }

    impl super::Peer for Agents {
        fn connect(&mut self) {
            let make =
                || IceAgent::new(IceConfig::default(), self.runtime.handle().clone()).expect("no servers");
            let (mut alice, mut bob) = (make(), make());
            introduce(Instant::now(), &mut alice, &mut bob);
            while !(is_connected(&alice) && is_connected(&bob)) {
                let now = Instant::now();
                alice.handle_timeout(now);
                bob.handle_timeout(now);
                let moved = carry(now, &mut alice, &mut bob, &mut self.batch)
                    | carry(now, &mut bob, &mut alice, &mut self.batch);
                let pause = Duration::from_millis(if moved { 0 } else { 1 });
                self.runtime.block_on(async { tokio::time::sleep(pause).await });
            }
        }
    }
}

mod bare {
    use std::sync::Arc;

    use tokio::runtime::{Builder, Runtime};
    use tokio::sync::mpsc;
    use webrtc_ice::agent::Agent;
    use webrtc_ice::agent::agent_config::AgentConfig;
    use webrtc_ice::candidate::Candidate;
    use webrtc_ice::candidate::candidate_base::unmarshal_candidate;
    use webrtc_ice::mdns::MulticastDnsMode;
    use webrtc_ice::network_type::NetworkType;

    pub struct Agents(Runtime);

    impl Agents {
        pub fn new() -> Self {
            Self(Builder::new_current_thread().enable_all().build().expect("a runtime"))
        }
    }

    impl super::Peer for Agents {
        fn connect(&mut self) {
            self.0.block_on(connect());
        }
    }

    async fn agent(is_controlling: bool) -> Arc<Agent> {
        let config = AgentConfig {
            network_types: vec![NetworkType::Udp4],
            multicast_dns_mode: MulticastDnsMode::Disabled,
            include_loopback: true,
            interface_filter: Arc::new(Some(Box::new(|name| name == "lo"))),
            is_controlling,
            ..AgentConfig::default()
        };
        let agent = Agent::new(config).await.expect("an agent");
        let (gathered, mut all) = mpsc::channel(1);
        agent.on_candidate(Box::new(move |candidate| {
            if candidate.is_none() {
                let _ = gathered.try_send(());
            }
            Box::pin(async {})
        }));
        agent.gather_candidates().expect("candidates");
        all.recv().await;
        Arc::new(agent)
    }

    async fn connect() {
        let (alice, bob) = (agent(true).await, agent(false).await);
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            for candidate in from.get_local_candidates().await.expect("candidates") {
                let candidate = unmarshal_candidate(&candidate.marshal()).expect("a candidate");
                let candidate: Arc<dyn Candidate + Send + Sync> = Arc::new(candidate);
                to.add_remote_candidate(&candidate).expect("a candidate");
            }
        }
        let (of_alice, of_bob) =
            (alice.get_local_user_credentials().await, bob.get_local_user_credentials().await);
        let (_keep_alice, cancel_alice) = mpsc::channel(1);
        let (_keep_bob, cancel_bob) = mpsc::channel(1);
        let (dialled, accepted) = tokio::join!(
            alice.dial(cancel_alice, of_bob.0, of_bob.1),
            bob.accept(cancel_bob, of_alice.0, of_alice.1)
        );
        (dialled.expect("a pair"), accepted.expect("a pair"));
        alice.close().await.expect("the end");
        bob.close().await.expect("the end");
    }
}
