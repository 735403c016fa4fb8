//! Data channels that are opened, used, closed and opened again on the same streams, on a bad network and with
//! applications that look only now and then.
//!
//! `KAON_SEED` runs one scenario.

#![allow(clippy::unwrap_used)] // These are tests.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::datachannel::{ChannelEvent, ChannelId, ChannelInit, ChannelState, DataChannels, MessageKind};
use kaon_rtc::layer::{DtlsRole, Layer};
use kaon_rtc::sctp::{Association, Config, Reliability, SctpEvent, SctpTransport};
use kaon_rtc::sim::{HostId, Link, Network, Simulation};

use super::sctp::{Choice, provider, run_seeds};

const SEEDS: u64 = 1000;
/// No scenario takes longer than this, in virtual time.
const LIMIT: Duration = Duration::from_secs(900);

/// What is known of a channel at one end, under its label.
#[derive(Debug)]
struct Known {
    reliable: bool,
    ordered: bool,
    to_send: u32,
    sent: u32,
    received: Vec<u32>,
    closed_by_us: bool,
    closed: bool,
}

struct End {
    host: HostId,
    name: char,
    channels: DataChannels,
    established: bool,
    to_open: u32,
    known: BTreeMap<String, Known>,
    labels: HashMap<ChannelId, String>,
    /// Channels of which the application was told that there is something to read.
    readable: Vec<ChannelId>,
    choice: Choice,
}

impl End {
    fn drive(&mut self, now: Instant, association: &mut Association) {
        while let Some(event) = association.poll_event() {
            if let SctpEvent::StreamResetRefused(stream) = event {
                panic!("the reset of stream {stream} was refused");
            }
            self.established |= matches!(event, SctpEvent::Established { .. });
            self.channels.handle_event(association, now, &event);
        }
        // The application looks now and then, and takes what it wants to.
        for _ in 0..[0, 1, 100][self.choice.below(3) as usize] {
            let Some(event) = self.channels.poll_event(association, now) else { break };
            self.take(event);
        }
        // It reads one channel, and leaves the others.
        let which = self.choice.below(self.readable.len().max(1) as u64) as usize;
        for _ in 0..self.choice.below(5) {
            let Some(id) = self.readable.get(which).copied() else { break };
            match self.channels.receive(association, now, id) {
                Some(message) => self.take_message(id, &message.data),
                None => drop(self.readable.swap_remove(which)),
            }
        }
        if self.established && self.to_open > 0 && self.choice.below(3) == 0 {
            self.open(now, association);
        }
        let ids: Vec<ChannelId> = self.channels.iter().collect();
        for id in ids {
            self.use_channel(now, association, id);
        }
    }

    fn open(&mut self, now: Instant, association: &mut Association) {
        let label = format!("{}{}", self.name, self.to_open);
        self.to_open -= 1;
        let mut init = ChannelInit::new(label.as_str());
        init.ordered = self.choice.below(3) != 0;
        if self.choice.below(3) == 0 {
            init.reliability = Reliability::MaxRetransmits(self.choice.below(2) as u16);
        }
        let id = self.channels.open(association, now, init.clone()).unwrap();
        self.learn(id, &init);
    }

    fn learn(&mut self, id: ChannelId, init: &ChannelInit) {
        let known = Known {
            reliable: init.reliability == Reliability::Reliable,
            ordered: init.ordered,
            to_send: self.choice.below(5) as u32,
            sent: 0,
            received: Vec::new(),
            closed_by_us: false,
            closed: false,
        };
        self.labels.insert(id, init.label.clone());
        let before = self.known.insert(init.label.clone(), known);
        assert!(before.is_none(), "{} was opened twice", init.label);
    }

    /// Sends a message of a channel, or closes it when nothing is left to send; the other end may be first.
    fn use_channel(&mut self, now: Instant, association: &mut Association, id: ChannelId) {
        let is_open = self.channels.state(id) == Some(ChannelState::Open);
        // A channel of the peer's is not known before its event was looked at.
        let Some(label) = self.labels.get(&id).filter(|_| is_open) else { return };
        let known = self.known.get_mut(label).unwrap();
        if known.to_send > 0 {
            let length = self.choice.below(3000) as usize;
            let payload: Bytes = format!("{label}/{}/{}", known.sent, "x".repeat(length)).into();
            self.channels.send(association, now, id, MessageKind::Text, payload).unwrap();
            known.to_send -= 1;
            known.sent += 1;
        } else if self.choice.below(4) == 0 {
            self.channels.close(association, now, id).unwrap();
            known.closed_by_us = true;
        }
    }

    fn take(&mut self, event: ChannelEvent) {
        match event {
            ChannelEvent::OpenedByPeer(id) => {
                let init = self.channels.init(id).unwrap().clone();
                self.learn(id, &init);
            }
            ChannelEvent::Readable(id) => self.readable.push(id),
            ChannelEvent::Closed(id) => self.known.get_mut(&self.labels[&id]).unwrap().closed = true,
            ChannelEvent::Refused { stream, error } => panic!("stream {stream} was refused: {error}"),
            _ => {}
        }
    }

    fn take_message(&mut self, channel: ChannelId, payload: &[u8]) {
        let label = &self.labels[&channel];
        let known = self.known.get_mut(label).unwrap();
        let text = std::str::from_utf8(payload).unwrap();
        let mut parts = text.split('/');
        assert_eq!(parts.next(), Some(label.as_str()), "a message of another channel");
        let number: u32 = parts.next().unwrap().parse().unwrap();
        assert!(!known.received.contains(&number), "{label}: {number}");
        if known.ordered {
            assert!(known.received.last().is_none_or(|last| *last < number), "{label}: {number}");
        }
        known.received.push(number);
    }
}

fn scenario(seed: u64) {
    let choice = Choice::new(seed ^ 0xdc);
    let link = Link {
        delay: Duration::from_millis(choice.below(100)),
        jitter: Duration::from_millis(choice.below(50)),
        loss: 0.2 * choice.fraction(),
        reordering: 0.2 * choice.fraction(),
        duplication: 0.1 * choice.fraction(),
        ..Link::default()
    };
    let mut network = Network::new(seed, Instant::now());
    network.set_default_link(link);
    let addresses: [SocketAddr; 2] = [1, 2].map(|host| ([10, 0, 0, host], 5000).into());
    let mut simulation = Simulation::new(network);
    let mut ends: Vec<End> = (0..2)
        .map(|index| {
            let mut config = Config::default();
            config.max_retransmits = 60;
            config.max_init_retransmits = 60;
            // The application is asked after every packet and timeout, so there have to be some.
            config.heartbeat_interval = Some(Duration::from_millis(300));
            let random = Arc::new(SeededRandom::new(seed.wrapping_mul(2) + index as u64));
            let association = Association::new(config, &provider().with_random(random));
            End {
                host: simulation.add_peer(addresses[index], addresses[1 - index], association),
                name: ['a', 'b'][index],
                channels: DataChannels::default(),
                established: false,
                to_open: 5 + choice.below(15) as u32,
                known: BTreeMap::new(),
                labels: HashMap::new(),
                readable: Vec::new(),
                choice: Choice::new(seed.wrapping_mul(3) + index as u64),
            }
        })
        .collect();
    let now = simulation.now();
    for (end, role) in ends.iter_mut().zip([DtlsRole::Client, DtlsRole::Server]) {
        end.channels.set_role(simulation.layer_mut(end.host), now, role);
        simulation.layer_mut(end.host).connect(now);
    }
    let is_over = |end: &End| {
        end.to_open == 0
            && end.readable.is_empty()
            && end.channels.iter().next().is_none()
            && end.known.values().all(|known| known.closed)
    };
    let ended = simulation.run_until(LIMIT, |simulation| {
        let now = simulation.now();
        for end in &mut ends {
            end.drive(now, simulation.layer_mut(end.host));
        }
        ends.iter().all(is_over)
    });
    assert!(ended, "open channels: {:?}", ends.iter().map(|end| &end.known).collect::<Vec<_>>());
    for (end, other) in [(&ends[0], &ends[1]), (&ends[1], &ends[0])] {
        for (label, known) in &end.known {
            let Some(theirs) = other.known.get(label) else { panic!("{label} is not known to both") };
            // Who closes does not read any more; who does not reads everything that was sent.
            if known.reliable && !theirs.closed_by_us {
                assert_eq!(theirs.received.len() as u32, known.sent, "{label}");
            }
        }
    }
}

#[test]
fn channels_come_and_go() {
    run_seeds(SEEDS, scenario);
}
