//! Layers of several makes in one connection, on the virtual network with delay, loss, reordering and duplication. Its
//! clock goes as fast as the real one, which the crates' tasks live by.

#![allow(missing_docs, clippy::unwrap_used)]

mod foreign;

use std::time::{Duration, Instant};

use bytes::Bytes;
use foreign::Foreign;
use kaon_rtc::crypto::aws_lc_rs::provider;
use kaon_rtc::datachannel::{ChannelEvent, ChannelId, ChannelInit, MessageKind};
use kaon_rtc::layer::{Datagram, Layer, RtpTimestamp, Transmit, TransmitBatch};
use kaon_rtc::session::{
    ConnectionState, Description, OutgoingRtp, Session, SessionConfig, SessionError, SessionEvent, TrackKind,
    TransceiverInit,
};
use kaon_rtc::sim::{HostId, Link, Network, Simulation};

const LIMIT: Duration = Duration::from_secs(30);
const FRAMES: u32 = 40;

/// A session and what arrived at it.
#[derive(Debug)]
struct Node {
    session: Session,
    payloads: Vec<Vec<u8>>,
}

impl Layer for Node {
    type Event = SessionEvent;
    type Error = SessionError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        let payloads = &mut self.payloads;
        self.session.receive(now, datagram, &mut |rtp| payloads.push(rtp.packet.payload().to_vec()))
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.session.poll_transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<SessionEvent> {
        self.session.poll_event()
    }
}

/// Two sessions and signalling between them that loses nothing.
struct Peers {
    simulation: Simulation<Node>,
    hosts: [HostId; 2],
    channels: [Option<ChannelId>; 2],
    messages: [Vec<Bytes>; 2],
}

impl Peers {
    fn new(seed: u64, configs: [SessionConfig; 2]) -> Self {
        let epoch = Instant::now();
        let mut network = Network::new(seed, epoch);
        network.set_default_link(Link {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(5),
            loss: 0.02,
            reordering: 0.05,
            duplication: 0.02,
            ..Link::default()
        });
        let mut simulation = Simulation::new(network).with_max_datagram(1228);
        let mut side = 0;
        let hosts = configs.map(|config| {
            side += 1;
            let address = std::net::SocketAddr::from(([10, 0, 0, side], 5000));
            let host = simulation.network().add_host([address.ip()]);
            let mut session = Session::new(epoch, config);
            session.add_host_address(epoch, address).unwrap();
            session.end_of_host_addresses(epoch);
            simulation.add_layer(host, Node { session, payloads: Vec::new() });
            host
        });
        Self { simulation, hosts, channels: [None; 2], messages: [Vec::new(), Vec::new()] }
    }

    fn session(&mut self, side: usize) -> &mut Session {
        &mut self.simulation.layer_mut(self.hosts[side]).session
    }

    fn now(&self) -> Instant {
        self.simulation.now()
    }

    fn negotiate(&mut self) {
        let now = self.now();
        self.session(0).set_local_description(now, None).unwrap();
        let offer = self.session(0).local_description().unwrap().text();
        self.session(1).set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
        self.session(1).set_local_description(now, None).unwrap();
        let answer = self.session(1).local_description().unwrap().text();
        self.session(0).set_remote_description(now, &Description::answer(&answer).unwrap()).unwrap();
    }

    fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !done(self) {
            assert!(Instant::now() < deadline, "no {what}");
            self.run_for(Duration::from_millis(1));
        }
    }

    fn run_for(&mut self, time: Duration) {
        std::thread::sleep(time);
        self.simulation.run_for(Instant::now().saturating_duration_since(self.now()));
        for side in 0..2 {
            while let Some(event) = self.simulation.layer_mut(self.hosts[side]).poll_event() {
                self.take(side, event);
            }
        }
    }

    fn take(&mut self, side: usize, event: SessionEvent) {
        let now = self.now();
        match event {
            SessionEvent::IceCandidate(candidate) => {
                // Before the description, which has it, too, there is nothing that it could belong to.
                let _ = self.session(1 - side).add_ice_candidate(now, &candidate);
            }
            SessionEvent::DataChannel(ChannelEvent::OpenedByPeer(id)) => self.channels[side] = Some(id),
            SessionEvent::DataChannel(ChannelEvent::Readable(id)) => {
                while let Some(message) = self.session(side).receive_message(id) {
                    self.messages[side].push(message.data);
                }
            }
            SessionEvent::ConnectionState { state: ConnectionState::Failed, reason } => {
                panic!("side {side}: {reason:?}")
            }
            _ => {}
        }
    }
}

fn data_and_video(foreign: Foreign, offers: bool, seed: u64) {
    let native = SessionConfig::generate(provider()).unwrap();
    let mut mixed = native.clone();
    mixed.transports = foreign.transports();
    let mut peers = Peers::new(seed, if offers { [mixed, native] } else { [native, mixed] });
    let now = peers.now();
    let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate();
    peers.run_until("connection", |peers| {
        (0..2).all(|side| peers.session(side).connection_state() == ConnectionState::Connected)
            && peers.channels[1].is_some()
    });
    let ids = [chat, peers.channels[1].unwrap()];

    let sent: Vec<Bytes> =
        [1, 1000, 60_000, 20].into_iter().map(|size| Bytes::from(vec![size as u8; size])).collect();
    let payload_type = peers.session(0).transceiver(video).unwrap().send_codecs()[0].payload_type;
    for message in &sent {
        let now = peers.now();
        for (side, id) in ids.into_iter().enumerate() {
            peers.session(side).send_message(now, id, MessageKind::Binary, message.clone()).unwrap();
        }
    }
    for frame in 0..FRAMES {
        let now = peers.now();
        let payload = vec![frame as u8; 700].into();
        let packet = OutgoingRtp::new(payload_type, RtpTimestamp(frame * 3000), true, payload);
        peers.session(0).send_rtp(now, video, packet).unwrap();
        peers.run_for(Duration::from_millis(10));
    }
    peers.run_until("delivery", |peers| (0..2).all(|side| peers.messages[side].len() == sent.len()));
    assert!((0..2).all(|side| peers.messages[side] == sent), "messages are not what was sent");
    // What shows nobody that it is missing, the first and the last, may be: a few of forty.
    let arrived = |peers: &mut Peers| {
        let payloads = &peers.simulation.layer_mut(peers.hosts[1]).payloads;
        assert!(payloads.iter().all(|payload| *payload == vec![payload[0]; 700]), "a payload was changed");
        let mut frames: Vec<_> = payloads.iter().map(|payload| payload[0]).collect();
        frames.sort_unstable();
        frames.dedup();
        frames.len()
    };
    peers.run_until("video", |peers| arrived(peers) >= FRAMES as usize - 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_combination_carries_data_and_video_over_a_rough_network() {
    let mut runs = Vec::new();
    for (number, foreign) in Foreign::combinations().enumerate() {
        for offers in [false, true] {
            let seed = 2 * number as u64 + u64::from(offers);
            let run = tokio::task::spawn_blocking(move || data_and_video(foreign, offers, seed));
            runs.push((foreign, offers, run));
        }
    }
    for (foreign, offers, run) in runs {
        run.await.unwrap_or_else(|error| panic!("{foreign:?}, offers: {offers}: {error}"));
    }
}
