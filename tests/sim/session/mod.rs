mod after_the_association;
mod ecn;
mod extensions;
mod flapping_path;
mod handover;
mod handshake;
mod hostile_media;
// It asks Linux for the time that a thread has had.
#[cfg(target_os = "linux")]
mod large_descriptions;
mod later_media;
mod left_out;
mod lite;
mod logging;
mod long_rtp;
mod own_rtcp;
mod packet_twice;
mod public_address;
mod reasons;
mod relay;
mod renegotiation;
mod reports;
mod sealing;
mod statistics;
mod visible;
mod whole;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::datachannel::{ChannelEvent, ChannelId, ChannelInit, MessageKind};
use kaon_rtc::layer::{
    Datagram, DtlsError, Ecn, FiveTuple, IceConnectionState, Layer, Reliability, RtpTimestamp,
    SequenceNumber, Ssrc, Transmit, TransmitBatch,
};
use kaon_rtc::rtp::{ContentExtensions, ExtensionUri, RawExtensions};
use kaon_rtc::sdp::Direction;
use kaon_rtc::session::{
    ConnectionState, Description, DescriptionKind, FailureReason, OutgoingRtp, Session, SessionConfig,
    SessionError, SessionEvent, SignalingState, Stats, TrackKind, TransceiverId, TransceiverInit,
};
use kaon_rtc::sim::{HostId, Link, Network, Simulation};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto as crypto;

use crate::seeds::seeds;

fn config(seed: u64) -> SessionConfig {
    let provider = crypto::provider().with_random(Arc::new(SeededRandom::new(seed)));
    SessionConfig::generate(provider).unwrap()
}

/// A session with an application that keeps what arrives.
#[derive(Debug)]
struct Node {
    session: Session,
    received: Vec<(TransceiverId, SequenceNumber, RtpTimestamp, Vec<u8>)>,
    /// The forms of header extensions that were seen.
    extension_forms: Vec<u16>,
    /// The extensions of each packet that say something of its content, and those that are not known.
    extensions: Vec<(ContentExtensions, RawExtensions)>,
    /// The ECN mark of each packet.
    marks: Vec<Option<Ecn>>,
    wakes: usize,
    /// DTLS is lost on the way.
    is_deaf: bool,
}

impl Layer for Node {
    type Event = SessionEvent;
    type Error = SessionError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        if self.is_deaf && matches!(datagram.bytes.first(), Some(20..=63)) {
            return Ok(());
        }
        let (received, forms, marks) = (&mut self.received, &mut self.extension_forms, &mut self.marks);
        let extensions = &mut self.extensions;
        self.session.receive(now, datagram, &mut |rtp| {
            marks.push(rtp.ecn);
            let raw = rtp.to_raw_extensions();
            let is_same = |uri: &ExtensionUri, data| raw.get(uri.as_str()) == Some(data);
            assert!(rtp.raw_extensions().all(|(uri, element)| is_same(uri, element.data)));
            extensions.push((rtp.extensions.content(), raw));
            let packet = rtp.packet;
            let form = packet.extension_profile().filter(|form| !forms.contains(form));
            forms.extend(form);
            let payload = packet.payload().to_vec();
            received.push((rtp.transceiver, packet.sequence_number(), packet.timestamp(), payload));
        })
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.wakes += 1;
        self.session.handle_timeout(now);
        let next = self.session.poll_timeout();
        assert!(next.is_none_or(|next| next > now), "a timeout in the past");
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

/// Two sessions, what they told, and signalling that carries descriptions and candidates at once.
struct Peers {
    simulation: Simulation<Node>,
    hosts: [HostId; 2],
    events: [Vec<SessionEvent>; 2],
    received: [Vec<(ChannelId, Bytes)>; 2],
}

/// What a session tells that has failed.
fn failed(reason: FailureReason) -> SessionEvent {
    SessionEvent::ConnectionState { state: ConnectionState::Failed, reason: Some(reason) }
}

fn link() -> Link {
    Link { delay: Duration::from_millis(20), ..Link::default() }
}

impl Peers {
    fn new(seed: u64, link: Link) -> Self {
        Self::with_limits(seed, link, |_| {})
    }

    fn with_limits(seed: u64, link: Link, limit: impl Fn(&mut SessionConfig)) -> Self {
        let epoch = Instant::now();
        let mut network = Network::new(seed, epoch);
        network.set_default_link(link);
        let mut simulation = Simulation::new(network).with_max_datagram(1228);
        let hosts = [0, 1].map(|side| {
            let address = format!("10.0.0.{}:5000", side + 1).parse().unwrap();
            let host = simulation.network().add_host([std::net::SocketAddr::ip(&address)]);
            let mut config = config(seed.wrapping_mul(2) + side);
            limit(&mut config);
            let mut session = Session::new(epoch, config);
            session.add_host_address(epoch, address).unwrap();
            session.end_of_host_addresses(epoch);
            let (received, extension_forms) = (Vec::new(), Vec::new());
            simulation.add_layer(
                host,
                Node {
                    session,
                    received,
                    extension_forms,
                    extensions: Vec::new(),
                    marks: Vec::new(),
                    wakes: 0,
                    is_deaf: false,
                },
            );
            host
        });
        Self { simulation, hosts, events: [Vec::new(), Vec::new()], received: [Vec::new(), Vec::new()] }
    }

    fn session(&mut self, side: usize) -> &mut Session {
        &mut self.simulation.layer_mut(self.hosts[side]).session
    }

    /// One exchange, begun by `side`.
    fn negotiate(&mut self, side: usize) {
        let answer = self.offer(side);
        let now = self.simulation.now();
        self.session(side).set_remote_description(now, &Description::answer(&answer).unwrap()).unwrap();
    }

    /// The answer to an offer of `side`, which has not heard it.
    fn offer(&mut self, side: usize) -> String {
        let now = self.simulation.now();
        let offer = self.session(side).create_offer().unwrap();
        self.session(side).set_local_description(now, Some(&offer)).unwrap();
        let text = self.session(side).local_description().unwrap().text();
        let other = self.session(1 - side);
        other.set_remote_description(now, &Description::offer(&text).unwrap()).unwrap();
        other.set_local_description(now, None).unwrap();
        let answer = other.local_description().unwrap();
        assert_eq!(answer.kind, DescriptionKind::Answer);
        answer.text()
    }

    fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Peers) -> bool) -> bool {
        let deadline = self.simulation.now() + limit;
        loop {
            // One step of the network at a time, and what it brought.
            let mut stepped = false;
            let left = deadline.saturating_duration_since(self.simulation.now());
            let (hosts, events, received) = (self.hosts, &mut self.events, &mut self.received);
            let mut candidates = Vec::new();
            self.simulation.run_until(left, |simulation| {
                for side in 0..2 {
                    while let Some(event) = simulation.layer_mut(hosts[side]).poll_event() {
                        stepped = true;
                        if let SessionEvent::DataChannel(ChannelEvent::Readable(id)) = event {
                            let session = &mut simulation.layer_mut(hosts[side]).session;
                            let messages = std::iter::from_fn(|| session.receive_message(id));
                            received[side].extend(messages.map(|message| (id, message.data)));
                        }
                        if let SessionEvent::IceCandidate(candidate) = &event {
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
                let _ = self.session(side).add_ice_candidate(now, &candidate);
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
        let of_channel = self.received[side].iter().filter(|(channel, _)| *channel == of);
        of_channel.map(|(_, payload)| payload.clone()).collect()
    }
}

#[test]
fn data_channels_connect_and_carry_messages_both_ways() {
    let mut peers = Peers::new(1, link());
    let now = peers.simulation.now();
    let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
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

/// An answerer sends its ClientHello as soon as it has a path; the answer takes the longer way.
#[test]
fn a_handshake_that_overtakes_the_answer_is_not_lost() {
    let mut peers = Peers::new(7, link());
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    let answer = Description::answer(&peers.offer(0)).unwrap();
    assert!(!peers.run_until(Duration::from_millis(200), |_| false));

    let now = peers.simulation.now();
    peers.session(0).set_remote_description(now, &answer).unwrap();
    // Four flights of 20 ms. What is sent again comes 250 ms after the first.
    let connected = peers.run_until(Duration::from_millis(90), |peers| {
        (0..2).all(|side| peers.session(side).connection_state() == ConnectionState::Connected)
    });
    assert!(connected);
}

/// The time stands still, so that nothing can be sent again: all must arrive, however many datagrams the
/// application's batch takes at once.
#[test]
fn no_packet_is_lost_between_sctp_and_the_batch() {
    for max_segments in [1, 7, 64] {
        let mut peers = Peers::new(8, link());
        let now = peers.simulation.now();
        let id = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        peers.connect();
        assert!(peers.run_until(Duration::from_secs(5), |peers| peers.channel(1, "chat").is_some()));

        let now = peers.simulation.now();
        for _ in 0..16 {
            let message = Bytes::from(vec![7; 65_000]);
            peers.session(0).send_message(now, id, MessageKind::Binary, message).unwrap();
        }
        let mut batch = TransmitBatch::new(1228).with_max_segments(max_segments);
        let (mut arrived, mut side, mut quiet) = (0, 0, 0);
        while quiet < 2 {
            quiet += 1;
            while let Some(transmit) = peers.session(side).poll_transmit(now, &mut batch) {
                quiet = 0;
                let path = transmit.path.unwrap();
                let path = FiveTuple::udp(path.remote, path.local);
                for bytes in batch.datagrams_mut(&transmit) {
                    peers.session(1 - side).handle_datagram(now, Datagram::new(path, bytes)).unwrap();
                }
                batch.clear();
            }
            side = 1 - side;
            while let Some(event) = peers.session(side).poll_event() {
                if let SessionEvent::DataChannel(ChannelEvent::Readable(id)) = event {
                    arrived += std::iter::from_fn(|| peers.session(side).receive_message(id)).count();
                }
            }
        }
        assert_eq!(arrived, 16, "with {max_segments} datagrams at once");
    }
}

#[test]
fn the_peer_notices_a_close_at_once() {
    let mut peers = Peers::new(2, link());
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
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
    let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
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
    let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
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
fn a_dtls_connection_that_cannot_be_made_fails_the_session_with_its_error() {
    let error = DtlsError::Crypto("no connection today");
    let mut peers = Peers::with_limits(7, link(), |config| {
        config.transports.dtls = Arc::new(|_, _| Err(DtlsError::Crypto("no connection today")));
    });
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.run_until(Duration::from_secs(10), |_| false);
    for side in [0, 1] {
        assert_eq!(peers.session(side).connection_state(), ConnectionState::Failed);
        let told = failed(FailureReason::Dtls(error.clone()));
        assert_eq!(peers.events[side].iter().filter(|event| **event == told).count(), 1);
    }
}

#[test]
fn a_handshake_sends_nothing_without_consent() {
    let slow = || Link { delay: Duration::from_millis(200), ..Link::default() };
    let mut peers = Peers::new(9, slow());
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    let states = |peers: &mut Peers| [0, 1].map(|side| peers.session(side).ice_connection_state());
    let checks = [IceConnectionState::New, IceConnectionState::Checking];
    assert!(peers.run_until(Duration::from_secs(60), |peers| {
        !states(peers).iter().any(|state| checks.contains(state))
    }));
    // The hello of the client is there, and the handshake is not over.
    peers.run_until(Duration::from_millis(250), |_| false);
    peers.simulation.network().set_default_link(Link { up: false, ..slow() });
    assert!(
        peers
            .run_until(Duration::from_secs(60), |peers| { states(peers) == [IceConnectionState::Failed; 2] })
    );
    let before = peers.simulation.network().stats().sent;
    peers.run_until(Duration::from_secs(60), |_| false);
    assert_eq!(peers.simulation.network().stats().sent, before);
}

#[test]
fn a_peer_that_names_no_maximum_takes_messages_of_64_kib() {
    let mut peers = Peers::new(8, link());
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    let answer = peers.offer(0);
    let without: String =
        answer.split_inclusive('\n').filter(|line| !line.starts_with("a=max-message-size")).collect();
    assert_ne!(without, answer);
    peers.session(0).set_remote_description(now, &Description::answer(&without).unwrap()).unwrap();
    peers.run_until(Duration::from_secs(10), |_| false);
    // RFC 8841 §6.
    assert_eq!(peers.session(0).max_message_size(), Some(65_536));
    assert!(peers.session(1).max_message_size() > Some(65_536));
}

#[test]
fn a_wrong_fingerprint_connects_nothing() {
    let mut peers = Peers::new(5, link());
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    let text = peers.offer(0);
    let at = text.find("sha-256 ").unwrap() + 8;
    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
    let forged = format!("{}{digit}{}", &text[..at], &text[at + 1..]);
    peers.session(0).set_remote_description(now, &Description::answer(&forged).unwrap()).unwrap();
    peers.run_until(Duration::from_secs(10), |_| false);
    assert_eq!(peers.session(0).connection_state(), ConnectionState::Failed);
    assert_eq!(peers.session(0).max_message_size(), None);
    let reason = peers.session(0).failure().cloned().unwrap();
    assert!(matches!(reason, FailureReason::Dtls(DtlsError::WrongFingerprint { .. })), "{reason}");
    let told = peers.events[0].iter().position(|event| *event == failed(reason.clone())).unwrap();
    let is_ice = |event: &SessionEvent| {
        matches!(event, SessionEvent::SelectedPair(_) | SessionEvent::IceConnectionState(_))
    };
    assert!(!peers.events[0][told..].iter().any(is_ice), "nothing comes of what ICE does after that");
    assert!(!peers.events[1].iter().any(|event| matches!(event, SessionEvent::DataChannel(_))));
}

#[test]
fn reliable_messages_survive_any_network() {
    for seed in seeds(200) {
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
        let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        let mut init = ChannelInit::new("lossy");
        init.ordered = false;
        init.reliability = Reliability::MaxRetransmits(0);
        peers.session(0).create_data_channel(now, init).unwrap();
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

/// Sends `frames` of ten packets at thirty a second from side 0.
fn send_video(peers: &mut Peers, id: TransceiverId, frames: u32) {
    let payload_type = peers.session(0).transceiver(id).unwrap().send_codecs()[0].payload_type;
    for frame in 0..frames {
        let now = peers.simulation.now();
        for part in 0..10u8 {
            let mut payload = vec![part; 1000];
            payload[..4].copy_from_slice(&frame.to_be_bytes());
            let timestamp = RtpTimestamp(frame.wrapping_mul(3000));
            let packet = OutgoingRtp::new(payload_type, timestamp, part == 9, payload.into());
            peers.session(0).send_rtp(now, id, packet).unwrap();
        }
        peers.run_until(Duration::from_millis(33), |_| false);
    }
}

#[test]
fn video_and_audio_arrive() {
    let mut peers = Peers::new(6, link());
    let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    let audio = peers.session(0).add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    assert_eq!(peers.session(0).transceiver(video).unwrap().current_direction(), Some(Direction::SendOnly));
    peers.connect();
    send_video(&mut peers, video, 30);
    let opus = peers.session(0).transceiver(audio).unwrap().send_codecs()[0].payload_type;
    let now = peers.simulation.now();
    let packet = OutgoingRtp::new(opus, RtpTimestamp(1), true, Bytes::from_static(b"opus"));
    peers.session(0).send_rtp(now, audio, packet).unwrap();
    peers.run_until(Duration::from_secs(1), |_| false);
    let received = std::mem::take(&mut peers.simulation.layer_mut(peers.hosts[1]).received);
    let tracks: Vec<_> = peers.events[1]
        .iter()
        .filter_map(|event| if let SessionEvent::Track(id) = event { Some(*id) } else { None })
        .collect();
    assert_eq!(tracks.len(), 2);
    assert_eq!(received.len(), 301);
    assert_eq!(received.iter().filter(|packet| packet.0 == tracks[0]).count(), 300);
    assert_eq!(received[300].3, b"opus");
}

#[test]
fn lost_video_is_sent_again() {
    for seed in seeds(40) {
        let loss = f64::from(seed as u32 % 21) / 100.0;
        let delay = Duration::from_millis(seed * 7 % 150);
        let mut peers = Peers::new(seed, Link { loss, delay, reordering: 0.02, ..Link::default() });
        let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        peers.negotiate(0);
        peers.connect();
        send_video(&mut peers, video, 90);
        peers.run_until(Duration::from_secs(3), |_| false);
        let received = &peers.simulation.layer_mut(peers.hosts[1]).received;
        let mut numbers: Vec<_> = received.iter().map(|packet| packet.1.0).collect();
        numbers.sort_unstable();
        numbers.dedup();
        // The first packets and the last show their loss to nobody.
        assert!(numbers.len() >= 890, "seed {seed}: {} of 900 at a loss of {loss}", numbers.len());
    }
}

#[test]
fn a_paused_track_goes_on_where_it_was() {
    let mut peers = Peers::new(9, link());
    let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    for round in 1..=4 {
        send_video(&mut peers, video, 3);
        peers.run_until(Duration::from_millis(200), |_| false);
        assert_eq!(peers.simulation.layer_mut(peers.hosts[1]).received.len(), 30 * round);
        peers.session(0).set_direction(video, Direction::Inactive).unwrap();
        peers.negotiate(0);
        let now = peers.simulation.now();
        let payload_type = peers.session(0).transceiver(video).unwrap().send_codecs()[0].payload_type;
        let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), true, Bytes::from_static(b"paused"));
        assert_eq!(peers.session(0).send_rtp(now, video, packet), Err(SessionError::NotSending(video)));
        peers.session(0).set_direction(video, Direction::SendOnly).unwrap();
        peers.negotiate(0);
    }
}

#[test]
fn a_closed_session_with_media_is_quiet() {
    let mut peers = Peers::new(10, link());
    let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    send_video(&mut peers, video, 10);
    let now = peers.simulation.now();
    peers.session(0).close(now);
    // The sources end before the keys do: RTCP, in which a report comes first.
    let mut batch = TransmitBatch::new(1228);
    let goodbye = peers.session(0).poll_transmit(now, &mut batch).unwrap();
    assert_eq!(batch.bytes(&goodbye)[1], 201);
    peers.run_until(Duration::from_millis(100), |_| false);
    for side in 0..2 {
        assert_eq!(peers.session(side).connection_state(), ConnectionState::Closed);
        assert_eq!(peers.session(side).poll_timeout(), None);
    }
}

/// The sources that side 1 receives.
fn received_sources(peers: &mut Peers) -> Vec<Ssrc> {
    let now = peers.simulation.now();
    let report = peers.session(1).stats(now);
    let inbound = |stats: &Stats| if let Stats::InboundRtp(stats) = stats { Some(stats.ssrc) } else { None };
    report.iter().filter_map(inbound).collect()
}

#[test]
fn a_stopped_transceiver_says_goodbye_at_once() {
    let mut peers = Peers::new(11, link());
    let [kept, stopped] =
        [0, 1].map(|_| peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap());
    peers.negotiate(0);
    peers.connect();
    send_video(&mut peers, kept, 2);
    send_video(&mut peers, stopped, 2);
    peers.run_until(Duration::from_millis(100), |_| false);
    assert_eq!(received_sources(&mut peers).len(), 2);
    let payload_type = peers.session(0).transceiver(stopped).unwrap().send_codecs()[0].payload_type;
    peers.session(0).stop_transceiver(stopped).unwrap();
    let now = peers.simulation.now();
    let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), true, Bytes::from_static(b"stopped"));
    assert_eq!(peers.session(0).send_rtp(now, stopped, packet), Err(SessionError::NotSending(stopped)));
    peers.run_until(Duration::from_millis(100), |_| false);
    let ssrc = peers.session(0).transceiver(kept).unwrap().ssrc();
    assert_eq!(received_sources(&mut peers), [ssrc]);
}

#[test]
fn a_silent_source_gives_way_to_a_new_one() {
    let mut peers = Peers::with_limits(12, link(), |config| config.max_incoming_streams = 1);
    let [first, second] =
        [0, 1].map(|_| peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap());
    peers.negotiate(0);
    peers.connect();
    let ssrc = |peers: &mut Peers, id| peers.session(0).transceiver(id).unwrap().ssrc();
    for track in [first, second, first] {
        send_video(&mut peers, track, 2);
        peers.run_until(Duration::from_secs(1), |_| false);
        let expected = [ssrc(&mut peers, track)];
        assert_eq!(received_sources(&mut peers), expected);
    }
}

/// The path is away for a while; what waits is there as soon as a check of consent finds the path again, and not
/// when a timeout that has backed off expires.
#[test]
fn data_resumes_when_the_path_is_back() {
    for (seed, outage) in [(50, 4), (51, 7), (52, 11), (53, 14)] {
        let mut peers = Peers::new(seed, link());
        let now = peers.simulation.now();
        let id = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        peers.connect();
        assert!(peers.run_until(Duration::from_secs(5), |peers| peers.channel(1, "chat").is_some()));
        let there = peers.channel(1, "chat").unwrap();

        peers.simulation.network().set_default_link(Link { loss: 1.0, ..link() });
        let now = peers.simulation.now();
        peers.session(0).send_message(now, id, MessageKind::Text, "late".into()).unwrap();
        assert!(!peers.run_until(Duration::from_secs(outage), |_| false));
        peers.simulation.network().set_default_link(link());
        // Checks of consent that go unanswered are a second apart, and their answers take a round trip.
        let resumed =
            peers.run_until(Duration::from_millis(1200), |peers| peers.messages(1, there) == ["late"]);
        assert!(resumed, "after {outage} s");
    }
}
