//! A whole session by way of a relay: an ICE agent that wraps all that it sends, and takes out what comes in.

use std::net::SocketAddr;

use kaon_rtc::endpoint::{Endpoint, EndpointEvent, SessionId};
use kaon_rtc::ice;
use kaon_rtc::layer::{
    Candidate, CandidatePair, Envelope, IceCredentials, IceError, IceEvent, IceRole, IceTransport,
    LengthField, NameQuery, Opened, PathProof,
};

use super::*;

const HERE: &str = "10.0.0.1:5000";
const RELAY: &str = "10.0.9.9:3478";
/// What the relay has for this side.
const RELAYED: &str = "10.0.9.9:49152";
const THERE: &str = "10.0.0.2:5000";
const MTU: usize = 1228;
const ID: SessionId = SessionId::new(7);

fn path(local: &str, remote: &str) -> FiveTuple {
    FiveTuple::udp(local.parse().unwrap(), remote.parse().unwrap())
}

fn channel_data() -> Envelope {
    Envelope::new(Some(path(HERE, RELAY)), &[0x40, 1, 0, 0], &[LengthField::new(2, 4)]).unwrap()
}

fn indication() -> Envelope {
    let mut head = vec![0, 0x16, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    head.extend_from_slice(&[7; 12]);
    head.extend_from_slice(&[0, 0x12, 0, 8, 0, 1, 0x32, 0x9a, 0x2b, 0x12, 0xa4, 0x40, 0, 0x13, 0, 0]);
    let lengths = [LengthField::new(2, 20).with_padding(), LengthField::new(34, 36)];
    Envelope::new(Some(path(HERE, RELAY)), &head, &lengths).unwrap().padded_to(4)
}

/// The agent's only address is that of the relay, which it asks for it with one question.
#[derive(Debug)]
struct Relayed {
    agent: ice::Agent,
    envelope: Envelope,
    has_asked: bool,
    is_answered: bool,
}

const QUESTION: [u8; 20] = [0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

impl Layer for Relayed {
    type Event = IceEvent;
    type Error = IceError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), IceError> {
        if datagram.path != path(HERE, RELAY) {
            return self.agent.handle_datagram(now, datagram);
        }
        self.is_answered |= datagram.bytes[..2] == [1, 3];
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.agent.poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        if !std::mem::replace(&mut self.has_asked, true) {
            let mut segments = out.segments(self.envelope.path(), None);
            segments.datagram().extend_from_slice(&QUESTION);
            segments.end_datagram();
            return segments.finish();
        }
        let (envelope, agent) = (self.envelope, &mut self.agent);
        self.is_answered.then(|| out.within(&envelope, |out| agent.poll_transmit(now, out))).flatten()
    }

    fn poll_event(&mut self) -> Option<IceEvent> {
        self.agent.poll_event()
    }
}

impl IceTransport for Relayed {
    fn local_credentials(&self) -> &IceCredentials {
        self.agent.local_credentials()
    }

    fn set_remote_credentials(&mut self, now: Instant, credentials: IceCredentials) -> Result<(), IceError> {
        self.agent.set_remote_credentials(now, credentials)
    }

    fn set_role(&mut self, role: IceRole) {
        self.agent.set_role(role);
    }

    fn role(&self) -> IceRole {
        self.agent.role()
    }

    fn add_host_address(&mut self, now: Instant, address: std::net::SocketAddr) -> Result<(), IceError> {
        self.agent.add_host_address(now, address)
    }

    fn end_of_host_addresses(&mut self, now: Instant) {
        self.agent.end_of_host_addresses(now);
    }

    fn add_remote_candidate(&mut self, now: Instant, candidate: Candidate) -> Result<(), IceError> {
        self.agent.add_remote_candidate(now, candidate)
    }

    fn end_of_remote_candidates(&mut self, now: Instant) {
        self.agent.end_of_remote_candidates(now);
    }

    fn resolve_name(&mut self, now: Instant, query: NameQuery, address: Option<std::net::IpAddr>) {
        self.agent.resolve_name(now, query, address);
    }

    fn restart(&mut self, now: Instant, credentials: IceCredentials) -> Result<(), IceError> {
        self.agent.restart(now, credentials)
    }

    fn state(&self) -> IceConnectionState {
        self.agent.state()
    }

    fn selected_pair(&self) -> Option<&CandidatePair> {
        self.agent.selected_pair()
    }

    fn is_validated(&self, path: &FiveTuple) -> bool {
        self.agent.is_validated(path)
    }

    fn take_proof(&mut self, by: &FiveTuple) -> Option<PathProof> {
        if *by == path(HERE, RELAY) {
            return self.is_answered.then_some(PathProof::Answer);
        }
        self.agent.take_proof(by)
    }

    fn envelope(&self, by: &FiveTuple) -> Option<&Envelope> {
        (by.local == RELAYED.parse::<SocketAddr>().unwrap()).then_some(&self.envelope)
    }

    fn open<'a>(&mut self, _: Instant, datagram: Datagram<'a>) -> Opened<'a> {
        if datagram.path != path(HERE, RELAY) {
            return Opened::Refused(IceError::Ignored("not of the relay"));
        }
        if !datagram.bytes.starts_with(&self.envelope.head()[..2]) {
            return Opened::Own(datagram);
        }
        let bytes = self.envelope.contents_mut(datagram.bytes);
        Opened::Inner(Datagram { path: path(RELAYED, THERE), ecn: datagram.ecn, bytes })
    }

    fn close(&mut self) {
        self.agent.close();
    }
}

/// One side behind a relay, on an endpoint, and a plain one.
struct World {
    now: Instant,
    envelope: Envelope,
    here: Endpoint<Session>,
    there: Session,
    video: usize,
    messages: [Vec<Bytes>; 2],
    longest: usize,
    /// The most datagrams of one run.
    run: usize,
}

impl World {
    fn new(envelope: Envelope) -> Self {
        let now = Instant::now();
        let mut configuration = config(1);
        let provider = configuration.provider.clone();
        configuration.max_rtp_datagram = MTU;
        configuration.transports.ice = Arc::new(move |now| {
            let agent = ice::Agent::new(now, provider.clone(), ice::Config::default());
            Box::new(Relayed { agent, envelope, has_asked: false, is_answered: false })
        });
        let mut behind = Session::new(now, configuration);
        behind.add_host_address(now, RELAYED.parse().unwrap()).unwrap();
        behind.end_of_host_addresses(now);
        let mut there = Session::new(now, config(2));
        there.add_host_address(now, THERE.parse().unwrap()).unwrap();
        there.end_of_host_addresses(now);
        let mut here = Endpoint::new();
        here.insert(ID, behind);
        let messages = [Vec::new(), Vec::new()];
        Self { now, envelope, here, there, video: 0, messages, longest: 0, run: 0 }
    }

    fn here<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        self.here.with(ID, act).unwrap()
    }

    /// All that either side has to send now goes to the other, as the relay takes it there.
    fn exchange(&mut self) -> bool {
        let (mut out, mut has_sent) = (TransmitBatch::new(MTU), false);
        while let Some(transmit) = self.here.poll_transmit(self.now, &mut out) {
            has_sent = true;
            assert_eq!(transmit.path, Some(path(HERE, RELAY)));
            self.run = self.run.max(out.datagrams(&transmit).len());
            let datagrams: Vec<Vec<u8>> = out.datagrams(&transmit).map(<[u8]>::to_vec).collect();
            out.clear();
            for datagram in datagrams {
                self.longest = self.longest.max(datagram.len());
                if datagram == QUESTION {
                    let mut answer = QUESTION;
                    answer[0] = 1;
                    self.here
                        .handle_datagram(self.now, Datagram::new(path(HERE, RELAY), &mut answer))
                        .unwrap();
                    continue;
                }
                assert!(datagram.starts_with(&self.envelope.head()[..2]), "{datagram:?}");
                let mut contents = self.envelope.contents(&datagram).to_vec();
                assert_eq!(self.envelope.enclose(&contents), datagram, "lengths and padding");
                let video = &mut self.video;
                let datagram = Datagram::new(path(THERE, RELAYED), &mut contents);
                let _ = self.there.receive(self.now, datagram, &mut |_| *video += 1);
            }
        }
        while let Some(transmit) = self.there.poll_transmit(self.now, &mut out) {
            has_sent = true;
            for datagram in out.datagrams(&transmit) {
                let mut wrapped = self.envelope.enclose(datagram);
                let datagram = Datagram::new(path(HERE, RELAY), &mut wrapped);
                self.here.handle_datagrams(self.now, [datagram]);
            }
            out.clear();
        }
        while let Some(event) = self.here.poll_event() {
            if let EndpointEvent::Session { event, .. } = event {
                self.note(0, &event);
            }
        }
        while let Some(event) = self.there.poll_event() {
            self.note(1, &event);
        }
        has_sent
    }

    fn note(&mut self, side: usize, event: &SessionEvent) {
        if let SessionEvent::DataChannel(ChannelEvent::Readable(id)) = event {
            let read = |session: &mut Session| {
                std::iter::from_fn(|| session.receive_message(*id))
                    .map(|message| message.data)
                    .collect::<Vec<_>>()
            };
            let messages = if side == 0 { self.here(read) } else { read(&mut self.there) };
            self.messages[side].extend(messages);
        }
    }

    fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        for _ in 0..5000 {
            while self.exchange() {}
            if done(self) {
                return true;
            }
            self.now += Duration::from_millis(5);
            self.here.handle_timeout(self.now);
            self.there.handle_timeout(self.now);
        }
        false
    }
}

fn run(envelope: Envelope) {
    let mut world = World::new(envelope);
    let now = world.now;
    let (chat, video, offer) = world.here(|session| {
        let chat = session.create_data_channel(now, ChannelInit::new("chat")).unwrap();
        let video = session.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        session.set_local_description(now, None).unwrap();
        (chat, video, session.local_description().unwrap().text())
    });
    world.there.set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
    world.there.set_local_description(now, None).unwrap();
    let answer = world.there.local_description().unwrap().text();
    world
        .here(|session| session.set_remote_description(now, &Description::answer(&answer).unwrap()).unwrap());
    assert!(world.run_until(|world| {
        world.there.connection_state() == ConnectionState::Connected
            && world.there.channels().next().is_some()
    }));
    let pair = world.here(|session| session.selected_pair().unwrap().path);
    assert_eq!(pair, path(RELAYED, THERE));
    assert_eq!(world.here(|session| session.outgoing_path()), Some(path(HERE, RELAY)));
    let now = world.now;
    assert!(world.here(|session| session.owns_path(now, &path(HERE, RELAY))));

    // Messages of many packets, both ways.
    let sent: Vec<Bytes> = (1..20u8).map(|byte| vec![byte; usize::from(byte) * 3001].into()).collect();
    let there = world.there.channels().next().unwrap();
    for message in &sent {
        let now = world.now;
        world.here(|session| session.send_message(now, chat, MessageKind::Binary, message.clone())).unwrap();
        world.there.send_message(now, there, MessageKind::Binary, message.clone()).unwrap();
    }
    assert!(world.run_until(|world| world.messages.iter().all(|messages| *messages == sent)));
    assert!(world.run > 4, "runs of equal segments stay runs: {}", world.run);

    // The longest packets that the session says it takes.
    let codec = world.here(|session| session.transceiver(video).unwrap().send_codecs()[0].payload_type);
    let longest = world.here(|session| session.max_rtp_payload(video, codec).unwrap());
    for frame in 0..50 {
        let now = world.now;
        for part in 0..4 {
            let payload = vec![part; longest].into();
            let packet = OutgoingRtp::new(codec, RtpTimestamp(frame * 3000), part == 3, payload);
            world.here(|session| session.send_rtp(now, video, packet)).unwrap();
        }
        let packet = OutgoingRtp::new(codec, RtpTimestamp(0), true, vec![0; longest + 1].into());
        let refusal = world.here(|session| session.send_rtp(now, video, packet)).unwrap_err();
        assert!(matches!(refusal, SessionError::PacketTooLong { .. }), "{refusal}");
        let until = world.now + Duration::from_millis(30);
        world.run_until(|world| world.now >= until);
    }
    assert_eq!(world.video, 200);
    assert!(world.longest <= MTU, "{} bytes left in one datagram", world.longest);
    assert!(world.longest > MTU - 8, "what there is room for is used");

    // The farewell leaves by the relay, too.
    let now = world.now;
    world.here(|session| session.close(now));
    while world.exchange() {}
    assert_eq!(world.there.connection_state(), ConnectionState::Closed);
}

#[test]
fn a_session_runs_by_way_of_a_channel() {
    run(channel_data());
}

#[test]
fn a_session_runs_by_way_of_indications() {
    run(indication());
}

#[test]
fn what_no_relay_has_sent_is_not_opened() {
    let mut world = World::new(channel_data());
    let mut forged = channel_data().enclose(&[22; 30]);
    let now = world.now;
    let result = world.here(|session| {
        session.handle_datagram(now, Datagram::new(path(HERE, "10.6.6.6:3478"), &mut forged))
    });
    assert_eq!(result, Err(SessionError::Ice(IceError::Ignored("not of the relay"))));
    // An agent without relays has no channels.
    let result = world.there.handle_datagram(now, Datagram::new(path(THERE, RELAYED), &mut forged));
    assert!(matches!(result, Err(SessionError::Ice(IceError::Ignored(_)))), "{result:?}");
    // What is in an envelope is in no other one.
    let mut nested = channel_data().enclose(&channel_data().enclose(&[22; 30]));
    let result =
        world.here(|session| session.handle_datagram(now, Datagram::new(path(HERE, RELAY), &mut nested)));
    assert!(result.is_err(), "{result:?}");
}
