//! Two sides that do whatever they like, offer whenever they are asked to, and settle what collides as the W3C's
//! example of perfect negotiation does. Signalling is late, and in order.

use std::collections::VecDeque;
use std::time::Instant;

use kaon_rtc::session::{IceCandidateInit, Transceiver};

use super::*;
use crate::seeds::seeds;

const SEEDS: u64 = 2000;
/// How long the network runs between looks at the signalling.
const SLICE: Duration = Duration::from_millis(50);

enum Signal {
    Description(DescriptionKind, String),
    Candidate(IceCandidateInit),
}

struct Model {
    peers: Peers,
    random: SeededRandom,
    /// To each side, with the time of arrival.
    signals: [VecDeque<(Instant, Signal)>; 2],
    ignores_offer: [bool; 2],
    channels: [Vec<String>; 2],
    collisions: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let delay = Duration::from_millis(seed * 13 % 80);
        Self {
            peers: Peers::new(seed, Link { delay, ..Link::default() }),
            random: SeededRandom::new(seed ^ 0x5eed),
            signals: Default::default(),
            ignores_offer: [false; 2],
            channels: Default::default(),
            collisions: 0,
        }
    }

    fn below(&self, limit: u64) -> u64 {
        self.random.next_u64() % limit
    }

    /// Sends to the other side, behind what is under way.
    fn signal(&mut self, side: usize, signal: Signal) {
        let arrival = self.peers.simulation.now() + Duration::from_millis(self.below(300));
        let queue = &mut self.signals[1 - side];
        let arrival = queue.back().map_or(arrival, |(before, _)| arrival.max(*before));
        queue.push_back((arrival, signal));
    }

    fn describe(&mut self, side: usize) {
        let now = self.peers.simulation.now();
        self.peers.session(side).set_local_description(now, None).unwrap();
        let description = self.peers.session(side).local_description().unwrap();
        self.signal(side, Signal::Description(description.kind, description.text()));
    }

    fn receive(&mut self, side: usize, signal: Signal) {
        let now = self.peers.simulation.now();
        let polite = side == 0;
        let session = self.peers.session(side);
        match signal {
            Signal::Description(kind, text) => {
                let collides =
                    kind == DescriptionKind::Offer && session.signaling_state() != SignalingState::Stable;
                self.collisions += usize::from(collides);
                self.ignores_offer[side] = collides && !polite;
                if self.ignores_offer[side] {
                    return;
                }
                let description = Description::parse(kind, &text).unwrap();
                self.peers.session(side).set_remote_description(now, &description).unwrap();
                if kind == DescriptionKind::Offer {
                    self.describe(side);
                }
            }
            Signal::Candidate(candidate) => {
                let result = session.add_ice_candidate(now, &candidate);
                assert!(result.is_ok() || self.ignores_offer[side], "{result:?}");
            }
        }
    }

    fn act(&mut self, side: usize) {
        let now = self.peers.simulation.now();
        let kind = if self.below(2) == 0 { TrackKind::Audio } else { TrackKind::Video };
        let direction = [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            [self.below(4) as usize];
        let (action, which) = (self.below(16), self.below(16) as usize);
        let session = self.peers.session(side);
        let ids: Vec<_> = session.transceivers().map(Transceiver::id).collect();
        let one = (!ids.is_empty()).then(|| ids[which % ids.len()]);
        match (action, one) {
            (0..=2, _) if ids.len() < 8 => {
                session.add_track(kind, TransceiverInit::default()).unwrap();
            }
            (3..=4, _) if ids.len() < 8 => {
                session.add_transceiver(kind, TransceiverInit::new(direction)).unwrap();
            }
            // One that ends already is refused.
            (5..=8, Some(id)) => drop(session.set_direction(id, direction)),
            (9..=10, Some(id)) => drop(session.stop_transceiver(id)),
            (11..=12, _) => {
                let label = format!("{side}-{}", self.channels[side].len());
                session.create_data_channel(now, ChannelInit::new(label.clone())).unwrap();
                self.channels[side].push(label);
            }
            (13, _) => session.restart_ice(),
            (14, _) if session.signaling_state() == SignalingState::Stable => self.describe(side),
            _ => {}
        }
    }

    /// Lets the network run for a moment, and says whether anything was signalled.
    fn step(&mut self) -> bool {
        self.peers.simulation.run_until(SLICE, |_| false);
        let mut busy = false;
        for side in 0..2 {
            let now = self.peers.simulation.now();
            while self.signals[side].front().is_some_and(|(arrival, _)| *arrival <= now) {
                let (_, signal) = self.signals[side].pop_front().unwrap();
                self.receive(side, signal);
                busy = true;
            }
            while let Some(event) = self.peers.session(side).poll_event() {
                match &event {
                    SessionEvent::NegotiationNeeded => self.describe(side),
                    SessionEvent::IceCandidate(candidate) => {
                        self.signal(side, Signal::Candidate(candidate.clone()));
                    }
                    _ => {}
                }
                self.peers.events[side].push(event);
                busy = true;
            }
        }
        busy || self.signals.iter().any(|queue| !queue.is_empty())
    }

    fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..1200 {
            quiet = if self.step() { 0 } else { quiet + 1 };
            if quiet == 20 {
                return;
            }
        }
        panic!("the sides negotiate without end");
    }

    fn check(&mut self) {
        for side in 0..2 {
            let session = self.peers.session(side);
            assert_eq!(session.signaling_state(), SignalingState::Stable);
            assert_eq!(session.pending_descriptions(), (None, None));
            assert_ne!(session.connection_state(), ConnectionState::Failed);
        }
        let sections: [Vec<_>; 2] = [0, 1].map(|side| {
            let session = self.peers.session(side);
            let (Some(local), Some(remote)) = session.current_descriptions() else { return Vec::new() };
            let list = |description: &Description| -> Vec<_> {
                let sdp = description.sdp.as_ref().unwrap();
                sdp.media.iter().map(|media| (media.kind.clone(), media.mid(), media.is_rejected())).collect()
            };
            let kinds = |list: &[(kaon_rtc::sdp::MediaKind, Option<kaon_rtc::layer::Mid>, bool)]| {
                list.iter().map(|(kind, mid, _)| (kind.clone(), *mid)).collect::<Vec<_>>()
            };
            assert_eq!(kinds(&list(local)), kinds(&list(remote)));
            list(local)
                .into_iter()
                .zip(list(remote))
                .map(|((kind, mid, ours), (_, _, theirs))| (kind, mid, ours || theirs))
                .collect()
        });
        assert_eq!(sections[0], sections[1]);
        let transceivers: [Vec<Transceiver>; 2] =
            [0, 1].map(|side| self.peers.session(side).transceivers().cloned().collect());
        assert_eq!(transceivers[0].len(), transceivers[1].len());
        for ours in &transceivers[0] {
            let theirs = transceivers[1].iter().find(|other| other.mid() == ours.mid()).unwrap();
            assert!(ours.mid().is_some());
            assert_eq!(ours.kind(), theirs.kind());
            assert_eq!(ours.current_direction().map(Direction::reversed), theirs.current_direction());
            for (sends, receives) in [(ours, theirs), (theirs, ours)] {
                let names = |codecs: &[kaon_rtc::session::NegotiatedCodec]| {
                    let mut names: Vec<_> = codecs
                        .iter()
                        .map(|codec| (codec.payload_type, codec.rtx_payload_type(), codec.codec.name.clone()))
                        .collect();
                    names.sort();
                    names
                };
                assert_eq!(names(sends.send_codecs()), names(receives.receive_codecs()));
                assert!(!sends.send_codecs().is_empty());
                assert_eq!(sends.may_send(), receives.current_direction().is_some_and(Direction::receives));
            }
        }
    }

    /// What is agreed on works: channels are there, and what is sent arrives where it should.
    fn check_use(&mut self) {
        if self.peers.session(0).current_descriptions().0.is_none() {
            return;
        }
        let has_sections = self.peers.session(0).selected_pair().is_some();
        for side in 0..2 {
            for label in self.channels[side].clone() {
                assert!(self.peers.channel(1 - side, &label).is_some(), "{label} is not known to the other");
            }
            let sending: Vec<_> = self
                .peers
                .session(side)
                .transceivers()
                .filter(|transceiver| transceiver.may_send() && has_sections)
                .map(|transceiver| {
                    (transceiver.id(), transceiver.mid(), transceiver.send_codecs()[0].payload_type)
                })
                .collect();
            for (id, mid, payload_type) in sending {
                self.peers.simulation.layer_mut(self.peers.hosts[1 - side]).received.clear();
                let now = self.peers.simulation.now();
                for number in 0..3 {
                    let packet =
                        OutgoingRtp::new(payload_type, RtpTimestamp(number), true, Bytes::from_static(b"x"));
                    self.peers.session(side).send_rtp(now, id, packet).unwrap();
                }
                self.peers.simulation.run_until(Duration::from_millis(200), |_| false);
                let node = self.peers.simulation.layer_mut(self.peers.hosts[1 - side]);
                assert_eq!(node.received.len(), 3, "packets of {mid:?}");
                let to = node.session.transceiver(node.received[0].0).unwrap();
                assert_eq!(to.mid(), mid);
            }
        }
    }
}

fn run(seed: u64) -> usize {
    let mut model = Model::new(seed);
    for _ in 0..4 + model.below(12) {
        let side = model.below(2) as usize;
        model.act(side);
        // Often both at once.
        if model.below(3) == 0 {
            model.act(1 - side);
        }
        for _ in 0..model.below(8) {
            model.step();
        }
    }
    model.settle();
    model.check();
    model.check_use();
    model.collisions
}

#[test]
fn both_sides_end_in_the_same_state() {
    let mut collisions = 0;
    for seed in seeds(SEEDS) {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok(count) => collisions += count,
            Err(reason) => {
                let text = reason.downcast_ref::<String>().map(String::as_str);
                let text = text.or(reason.downcast_ref::<&str>().copied());
                panic!("seed {seed}: {}", text.unwrap_or("it panicked"));
            }
        }
    }
    assert!(collisions > SEEDS as usize / 2, "only {collisions} offers collided");
}
