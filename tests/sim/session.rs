use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{CryptoProvider, SeededRandom};
use kaon_rtc::datachannel::{ChannelEvent, ChannelId, ChannelInit, MessageKind};
use kaon_rtc::layer::{Layer, Reliability};
use kaon_rtc::session::{
    ConnectionState, Description, DescriptionKind, Session, SessionConfig, SessionEvent, SignalingState,
};
use kaon_rtc::sim::{HostId, Link, Network, Simulation};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto as crypto;

fn config(seed: u64) -> SessionConfig {
    let provider = CryptoProvider { random: Arc::new(SeededRandom::new(seed)), ..crypto::provider() };
    SessionConfig::generate(provider).unwrap()
}

/// Two sessions, what they told, and signalling that carries descriptions and candidates at once.
struct Peers {
    simulation: Simulation<Session>,
    hosts: [HostId; 2],
    events: [Vec<SessionEvent>; 2],
}

fn link() -> Link {
    Link { delay: Duration::from_millis(20), ..Link::default() }
}

impl Peers {
    fn new(seed: u64, link: Link) -> Self {
        let epoch = Instant::now();
        let mut network = Network::new(seed, epoch);
        network.set_default_link(link);
        let mut simulation = Simulation::new(network).with_max_datagram(1228);
        let hosts = [0, 1].map(|side| {
            let address = format!("10.0.0.{}:5000", side + 1).parse().unwrap();
            let host = simulation.network().add_host([std::net::SocketAddr::ip(&address)]);
            let mut session = Session::new(epoch, config(seed.wrapping_mul(2) + side));
            session.add_host_address(epoch, address).unwrap();
            session.end_of_host_addresses(epoch);
            simulation.add_layer(host, session);
            host
        });
        Self { simulation, hosts, events: [Vec::new(), Vec::new()] }
    }

    fn session(&mut self, side: usize) -> &mut Session {
        self.simulation.layer_mut(self.hosts[side])
    }

    /// One exchange, begun by `side`.
    fn negotiate(&mut self, side: usize) {
        let now = self.simulation.now();
        let offer = self.session(side).create_offer().unwrap();
        self.session(side).set_local_description(now, Some(&offer)).unwrap();
        let text = self.session(side).local_description().unwrap().text();
        let other = self.session(1 - side);
        other.set_remote_description(now, &Description::offer(&text).unwrap()).unwrap();
        other.set_local_description(now, None).unwrap();
        let answer = other.local_description().unwrap();
        assert_eq!(answer.kind, DescriptionKind::Answer);
        let answer = Description::answer(&answer.text()).unwrap();
        self.session(side).set_remote_description(now, &answer).unwrap();
    }

    fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Peers) -> bool) -> bool {
        let deadline = self.simulation.now() + limit;
        loop {
            // One step of the network at a time, and what it brought.
            let mut stepped = false;
            let left = deadline.saturating_duration_since(self.simulation.now());
            let (hosts, events) = (self.hosts, &mut self.events);
            let mut candidates = Vec::new();
            self.simulation.run_until(left, |simulation| {
                for side in 0..2 {
                    while let Some(event) = simulation.layer_mut(hosts[side]).poll_event() {
                        stepped = true;
                        if let SessionEvent::LocalCandidate(candidate) = &event {
                            candidates.push((1 - side, candidate.clone()));
                        }
                        events[side].push(event);
                    }
                }
                stepped
            });
            let now = self.simulation.now();
            for (side, candidate) in candidates {
                // Before the description there is nothing that it could belong to; it has the candidates, too.
                let _ = self.session(side).add_remote_candidate(now, &candidate);
            }
            if done(self) {
                return true;
            }
            if self.simulation.now() >= deadline {
                return false;
            }
        }
    }

    fn connect(&mut self) {
        assert!(
            self.run_until(Duration::from_secs(60), |peers| {
                (0..2).all(|side| peers.session(side).connection_state() == ConnectionState::Connected)
            }),
            "not connected: {:?} {:?}",
            self.session(0).connection_state(),
            self.session(1).connection_state()
        );
    }

    /// The channel that `side` learnt of with this label.
    fn channel(&mut self, side: usize, label: &str) -> Option<ChannelId> {
        let session = self.session(side);
        session.channels().find(|id| session.channel(*id).is_some_and(|init| init.label == label))
    }

    fn messages(&self, side: usize, of: ChannelId) -> Vec<Bytes> {
        let of_channel = |event: &SessionEvent| match event {
            SessionEvent::DataChannel(ChannelEvent::Message { channel, payload, .. }) if *channel == of => {
                Some(payload.clone())
            }
            _ => None,
        };
        self.events[side].iter().filter_map(of_channel).collect()
    }
}

#[test]
fn data_channels_connect_and_carry_messages_both_ways() {
    let mut peers = Peers::new(1, link());
    let now = peers.simulation.now();
    let chat = peers.session(0).open_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.connect();
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.channel(1, "chat").is_some()));
    let there = peers.channel(1, "chat").unwrap();
    let now = peers.simulation.now();
    peers.session(0).send_message(now, chat, MessageKind::Text, "ping".into()).unwrap();
    peers.session(1).send_message(now, there, MessageKind::Text, "pong".into()).unwrap();
    assert!(peers.run_until(Duration::from_secs(5), |peers| {
        peers.messages(0, chat) == ["pong"] && peers.messages(1, there) == ["ping"]
    }));
    assert_eq!(peers.session(0).signaling_state(), SignalingState::Stable);
}

#[test]
fn the_peer_notices_a_close_at_once() {
    let mut peers = Peers::new(2, link());
    let now = peers.simulation.now();
    peers.session(0).open_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.connect();
    let now = peers.simulation.now();
    peers.session(0).close(now);
    assert!(peers.run_until(Duration::from_millis(100), |peers| {
        peers.session(1).connection_state() == ConnectionState::Closed
    }));
    assert_eq!(peers.session(1).poll_timeout(), None);
    assert_eq!(peers.session(0).poll_timeout(), None);
}

#[test]
fn ice_restarts_and_data_goes_on() {
    let mut peers = Peers::new(3, link());
    let now = peers.simulation.now();
    let chat = peers.session(0).open_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.connect();
    for round in 0..4 {
        let before = peers.session(0).local_ufrag().to_owned();
        peers.session(round % 2).restart_ice();
        peers.negotiate(round % 2);
        assert_ne!(peers.session(0).local_ufrag(), before);
        peers.run_until(Duration::from_secs(5), |_| false);
        peers.connect();
        let now = peers.simulation.now();
        let text = Bytes::from(format!("round {round}"));
        peers.session(0).send_message(now, chat, MessageKind::Text, text.clone()).unwrap();
        let there = peers.channel(1, "chat").unwrap();
        assert!(peers.run_until(Duration::from_secs(5), |p| p.messages(1, there).contains(&text)));
    }
}

#[test]
fn a_rolled_back_ice_restart_leaves_the_connection_alone() {
    let mut peers = Peers::new(4, link());
    let now = peers.simulation.now();
    let chat = peers.session(0).open_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.connect();
    let before = peers.session(0).local_ufrag().to_owned();
    peers.session(0).restart_ice();
    let now = peers.simulation.now();
    peers.session(0).set_local_description(now, None).unwrap();
    assert_ne!(peers.session(0).local_ufrag(), before);
    peers.run_until(Duration::from_secs(1), |_| false);
    let now = peers.simulation.now();
    peers.session(0).set_local_description(now, Some(&Description::rollback())).unwrap();
    assert_eq!(peers.session(0).local_ufrag(), before);
    peers.run_until(Duration::from_secs(60), |_| false);
    peers.connect();
    let now = peers.simulation.now();
    peers.session(0).send_message(now, chat, MessageKind::Text, "still here".into()).unwrap();
    let there = peers.channel(1, "chat").unwrap();
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.messages(1, there) == ["still here"]));
}

#[test]
fn a_wrong_fingerprint_connects_nothing() {
    let mut peers = Peers::new(5, link());
    let now = peers.simulation.now();
    peers.session(0).open_channel(now, ChannelInit::new("chat")).unwrap();
    let offer = peers.session(0).create_offer().unwrap();
    peers.session(0).set_local_description(now, Some(&offer)).unwrap();
    peers.session(1).set_remote_description(now, &Description::offer(&offer.text()).unwrap()).unwrap();
    peers.session(1).set_local_description(now, None).unwrap();
    let text = peers.session(1).local_description().unwrap().text();
    let at = text.find("sha-256 ").unwrap() + 8;
    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
    let forged = format!("{}{digit}{}", &text[..at], &text[at + 1..]);
    peers.session(0).set_remote_description(now, &Description::answer(&forged).unwrap()).unwrap();
    peers.run_until(Duration::from_secs(10), |_| false);
    assert_eq!(peers.session(0).connection_state(), ConnectionState::Failed);
    assert_eq!(peers.session(0).max_message_size(), None);
    assert!(peers.events[0].iter().any(|event| matches!(event, SessionEvent::DtlsFailed(_))));
    assert!(!peers.events[1].iter().any(|event| matches!(event, SessionEvent::DataChannel(_))));
}

#[test]
fn reliable_messages_survive_any_network() {
    for seed in 0..200 {
        let random = SeededRandom::new(seed);
        let link = Link {
            delay: Duration::from_millis(random.next_u64() % 300),
            jitter: Duration::from_millis(random.next_u64() % 50),
            loss: (random.next_u64() % 21) as f64 / 100.0,
            reordering: (random.next_u64() % 10) as f64 / 100.0,
            duplication: (random.next_u64() % 10) as f64 / 100.0,
            ..Link::default()
        };
        let mut peers = Peers::new(seed, link);
        let now = peers.simulation.now();
        let chat = peers.session(0).open_channel(now, ChannelInit::new("chat")).unwrap();
        let mut init = ChannelInit::new("lossy");
        init.ordered = false;
        init.reliability = Reliability::MaxRetransmits(0);
        peers.session(0).open_channel(now, init).unwrap();
        peers.negotiate((seed % 2) as usize);
        if seed % 2 == 1 {
            // The answerer's channel needs an offer of its own.
            peers.negotiate(0);
        }
        peers.connect();
        assert!(
            peers.run_until(Duration::from_secs(60), |peers| peers.channel(1, "chat").is_some()),
            "seed {seed}"
        );
        let there = peers.channel(1, "chat").unwrap();
        let sent: Vec<Bytes> = (0..50u8).map(|i| Bytes::from(vec![i; 1 + 97 * usize::from(i)])).collect();
        let now = peers.simulation.now();
        for message in &sent {
            peers.session(0).send_message(now, chat, MessageKind::Binary, message.clone()).unwrap();
        }
        assert!(
            peers.run_until(Duration::from_secs(300), |p| p.messages(1, there).len() == sent.len()),
            "seed {seed}: {} of {}",
            peers.messages(1, there).len(),
            sent.len()
        );
        assert_eq!(peers.messages(1, there), sent, "seed {seed}");
    }
}
