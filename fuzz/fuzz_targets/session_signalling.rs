//! Two sessions and a sequence of whatever an application may do between them: offers, answers and rollbacks in any
//! state, as they are or changed on the way, candidates, names, tracks, statistics, and time. What is refused changes
//! nothing, nothing panics, and after it all both sides come to an agreement.
//!
//! The input is a list of steps: a byte that says what and who, and one that says with what.

#![no_main]

mod oracle;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::datachannel::ChannelInit;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, NameQuery, TransmitBatch};
use kaon_rtc::sdp::Direction;
use kaon_rtc::session::{
    Description, DescriptionKind, IceCandidateInit, Session, SessionConfig, SessionEvent, SignalingState,
    TrackKind, TransceiverInit,
};
use libfuzzer_sys::fuzz_target;

static CONFIG: LazyLock<SessionConfig> = LazyLock::new(|| {
    let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(1)));
    SessionConfig::generate(provider).expect("a certificate")
});

/// More sections and tracks say nothing new.
const MAX_TRANSCEIVERS: usize = 24;
const MAX_STEPS: usize = 96;

fn address(side: usize) -> SocketAddr {
    ([10, 0, 0, 1 + side as u8], 5000).into()
}

struct Play {
    sessions: [Session; 2],
    /// What each side signalled last, on its way to the other.
    signalled: [Option<Description>; 2],
    names: Vec<(usize, NameQuery)>,
    now: Instant,
}

impl Play {
    fn new() -> Self {
        let now = Instant::now();
        let sessions = [0, 1].map(|side| {
            let mut session = Session::new(now, CONFIG.clone());
            session.add_host_address(now, address(side)).expect("a good address");
            session
        });
        Self { sessions, signalled: [None, None], names: Vec::new(), now }
    }

    fn step(&mut self, what: u8, with: u8) {
        let (side, now) = (usize::from(what & 1), self.now);
        let session = &mut self.sessions[side];
        match what / 2 % 16 {
            0 => drop(session.create_offer()),
            1 => drop(session.create_answer()),
            2 | 3 => self.set_local(side, with),
            4..=6 => self.set_remote(side, with),
            7 => drop(session.set_local_description(now, Some(&Description::rollback()))),
            8 => drop(session.set_remote_description(now, &Description::rollback())),
            9 if session.transceivers().count() < MAX_TRANSCEIVERS => {
                let kind = if with & 1 == 0 { TrackKind::Audio } else { TrackKind::Video };
                drop(session.add_transceiver(kind, TransceiverInit::new(direction(with))));
            }
            10 => {
                let ids: Vec<_> = session.transceivers().map(|transceiver| transceiver.id()).collect();
                if let Some(id) = ids.get(usize::from(with) % ids.len().max(1)) {
                    match with & 0xc0 {
                        0 => drop(session.stop_transceiver(*id)),
                        _ => drop(session.set_direction(*id, direction(with))),
                    }
                }
            }
            11 if with & 1 == 0 => session.restart_ice(),
            11 => drop(session.create_data_channel(now, ChannelInit::new("x"))),
            12 => self.add_candidate(side, with),
            13 => {
                let known = self.names.pop();
                let query = if with & 1 == 0 { known } else { Some((side, NameQuery(u64::from(with)))) };
                if let Some((side, query)) = query {
                    let ip = (with & 2 == 0).then_some(IpAddr::from([10, 0, 9, with]));
                    self.sessions[side].resolve_name(now, query, ip);
                }
            }
            14 => {
                session.stats(now);
                session.end_of_host_addresses(now);
            }
            _ => self.run(Duration::from_millis(u64::from(with) * 40)),
        }
        self.drain();
    }

    fn set_local(&mut self, side: usize, with: u8) {
        let session = &mut self.sessions[side];
        let before = snapshot(session);
        let made = match with % 4 {
            0 => None,
            1 => session.create_offer().ok(),
            2 => session.create_answer().ok(),
            // One that was not made here.
            _ => self.signalled[1 - side].clone(),
        };
        if with % 4 == 3 && made.is_none() {
            return;
        }
        match session.set_local_description(self.now, made.as_ref()) {
            Ok(()) => self.signalled[side] = session.local_description(),
            Err(_) => assert_eq!(snapshot(session), before, "what was refused has changed something"),
        }
    }

    fn set_remote(&mut self, side: usize, with: u8) {
        let Some(mut description) = self.signalled[1 - side].clone() else { return };
        if with & 1 != 0 {
            let Some(changed) = change(&description, with) else { return };
            description = changed;
        }
        let session = &mut self.sessions[side];
        let before = snapshot(session);
        if session.set_remote_description(self.now, &description).is_err() {
            assert_eq!(snapshot(session), before, "what was refused has changed something");
        }
    }

    fn add_candidate(&mut self, side: usize, with: u8) {
        let host = match with % 3 {
            0 => format!("10.0.1.{with}"),
            1 => format!("{with:08x}-0000-4000-8000-000000000000.local"),
            _ => "2001:db8::1".to_owned(),
        };
        let candidate = match with {
            0 => String::new(),
            _ => format!("candidate:{with} 1 udp {} {host} {} typ host", u32::from(with) << 16, with % 5),
        };
        let sdp_mid = (with & 0x10 != 0).then(|| u8::to_string(&(with & 3)));
        let sdp_m_line_index = (with & 0x20 != 0).then_some(u16::from(with & 7));
        let mut init = IceCandidateInit::new(candidate);
        (init.sdp_mid, init.sdp_m_line_index) = (sdp_mid, sdp_m_line_index);
        let _ = self.sessions[side].add_ice_candidate(self.now, &init);
    }

    fn drain(&mut self) {
        for side in 0..2 {
            while let Some(event) = self.sessions[side].poll_event() {
                if let SessionEvent::ResolveName { query, .. } = event {
                    self.names.push((side, query));
                    self.names.truncate(64);
                }
            }
        }
    }

    /// Both sides exchange what they have, and time passes.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut batch = TransmitBatch::new(1228);
        for _ in 0..20_000 {
            for side in 0..2 {
                batch.clear();
                while let Some(transmit) = self.sessions[side].poll_transmit(self.now, &mut batch) {
                    let path = FiveTuple::udp(address(1 - side), address(side));
                    for bytes in batch.datagrams_mut(&transmit) {
                        let datagram = Datagram::new(path, bytes);
                        let _ = self.sessions[1 - side].handle_datagram(self.now, datagram);
                    }
                    batch.clear();
                }
            }
            self.drain();
            let next = self.sessions.iter().filter_map(Layer::poll_timeout).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            self.sessions.iter_mut().for_each(|session| session.handle_timeout(self.now));
        }
        panic!("it wakes without end");
    }

    /// An offer of side 0 and its answer, from whatever state.
    fn agree(&mut self) {
        let now = self.now;
        for session in &mut self.sessions {
            for take_back in [SignalingState::HaveLocalOffer, SignalingState::HaveLocalPrAnswer] {
                if session.signaling_state() == take_back {
                    drop(session.set_local_description(now, Some(&Description::rollback())));
                }
            }
            if session.signaling_state() != SignalingState::Stable {
                drop(session.set_remote_description(now, &Description::rollback()));
            }
        }
        if self.sessions.iter().any(|session| session.signaling_state() != SignalingState::Stable) {
            return;
        }
        let [offerer, answerer] = &mut self.sessions;
        offerer.set_local_description(now, None).expect("an offer can be made when stable");
        let offer = offerer.local_description().expect("it was set");
        // A peer that was told something else on the way may refuse now, and changes nothing then.
        let before = snapshot(answerer);
        if answerer.set_remote_description(now, &offer).is_err() {
            assert_eq!(snapshot(answerer), before);
            return;
        }
        answerer.set_local_description(now, None).expect("an offer that was taken can be answered");
        let answer = answerer.local_description().expect("it was set");
        assert_eq!(answer.kind, DescriptionKind::Answer);
        Description::answer(&answer.text()).expect("what is written can be read");
        let _ = offerer.set_remote_description(now, &answer);
    }
}

fn direction(with: u8) -> Direction {
    [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
        [usize::from(with >> 1 & 3)]
}

/// A line less, a line twice, or another kind.
fn change(description: &Description, with: u8) -> Option<Description> {
    let text = description.text();
    let mut lines: Vec<&str> = text.lines().collect();
    let at = usize::from(with >> 3) * lines.len() / 32;
    match with >> 1 & 3 {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at]),
        2 => {
            let other = usize::from(with) * lines.len() / 256;
            lines.swap(at, other);
        }
        _ => {}
    }
    let kind = match (with >> 1 & 3, description.kind) {
        (3, DescriptionKind::Answer) => DescriptionKind::PrAnswer,
        (3, DescriptionKind::Offer) => DescriptionKind::Answer,
        (3, _) => DescriptionKind::Offer,
        (_, kind) => kind,
    };
    Description::parse(kind, &(lines.join("\r\n") + "\r\n")).ok()
}

/// What must not change when something is refused.
fn snapshot(session: &Session) -> String {
    let transceivers: Vec<_> = session.transceivers().collect();
    let (current, pending) = (session.current_descriptions(), session.pending_descriptions());
    format!("{:?} {current:?} {pending:?} {transceivers:?}", session.signaling_state())
}

fuzz_target!(|data: &[u8]| {
    let cost = oracle::Oracle::new();
    let mut play = Play::new();
    for step in data.chunks_exact(2).take(MAX_STEPS) {
        play.step(step[0], step[1]);
    }
    play.agree();
    play.run(Duration::from_secs(10));
    let now = play.now;
    for session in &mut play.sessions {
        session.stats(now);
        session.close(now);
    }
    play.run(Duration::from_secs(1));
    assert!(play.sessions.iter().all(|session| session.poll_timeout().is_none()));
    cost.assert_live(16 << 20);
    cost.assert_work(data.len());
});
