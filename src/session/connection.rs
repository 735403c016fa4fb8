//! The session itself.

mod candidates;
mod channels;
mod paths;
mod rtcp;
mod signaling;
mod transceivers;

use std::time::Instant;

use super::config::SessionConfig;
use super::error::SessionError;
use super::event::SessionEvent;
use super::events::Events;
use super::failure::FailureReason;
use super::gathering::Gathering;
use super::jsep::{Jsep, JsepConfig};
use super::media::{IncomingRtp, Media};
use super::state::{ConnectionState, SignalingState};
use super::stats::{Sources, StatsReport, Traffic};
use super::transport::{Departure, DtlsEnd, Transport, TransportEvent};
use crate::layer::{
    CandidatePair, Datagram, Fingerprint, FingerprintAlgorithm, FiveTuple, HashKeys, IceConnectionState,
    IceCredentials, IceEvent, Layer, Opened, PathProof, StreamReport, StreamRequest, Transmit, TransmitBatch,
};
use crate::stun;

/// A WebRTC connection without sockets (W3C `RTCPeerConnection`); see the [module](crate::session).
///
/// The example `sans_io` has one in a loop of its own around a socket of the standard library.
#[cfg_attr(
    all(feature = "net", feature = "aws-lc-rs"),
    doc = r#"
On [`net::Driver`](crate::net::Driver), an answer to an offer that echoes messages until the peer closes:

```no_run
use std::time::Instant;

use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::datachannel::ChannelEvent;
use kaon_rtc::net::{Driver, UdpSocket};
use kaon_rtc::session::{ConnectionState, Description, Session, SessionConfig, SessionEvent};

async fn echo(offer: &str, tell: impl FnOnce(String)) -> Result<(), Box<dyn std::error::Error>> {
    let (socket, now) = (UdpSocket::bind("192.0.2.1:0".parse()?)?, Instant::now());
    let mut session = Session::new(now, SessionConfig::generate(aws_lc_rs::provider())?);
    session.add_host_address(now, socket.local_addr())?;
    session.end_of_host_addresses(now);
    session.set_remote_description(now, &Description::offer(offer)?)?;
    session.set_local_description(now, None)?;
    tell(session.local_description().ok_or("no answer")?.text());

    let mut driver = Driver::new(socket, session);
    loop {
        match driver.next_event().await? {
            SessionEvent::DataChannel(ChannelEvent::Readable(id)) => {
                let session = driver.layer_mut();
                while let Some(message) = session.receive_message(id) {
                    session.send_message(Instant::now(), id, message.kind, message.data)?;
                }
            }
            SessionEvent::ConnectionState { state: ConnectionState::Failed, reason: Some(reason) } => {
                return Err(reason.into());
            }
            SessionEvent::ConnectionState { state: ConnectionState::Closed, .. } => return Ok(()),
            _ => {}
        }
    }
}
```
"#
)]
#[derive(Debug)]
pub struct Session {
    jsep: Jsep,
    transport: Transport,
    media: Media,
    events: Events,
    /// Data have left, so that SCTP may have something to tell.
    has_sent_data: bool,
    /// The latest time that was told.
    now: Instant,
    gathering: Gathering,
    connection_state: ConnectionState,
    /// Why it has failed or is closed, if it is.
    failure: Option<FailureReason>,
    signaling_state: SignalingState,
    /// What the last datagram has shown, and of which path.
    proof: Option<(FiveTuple, PathProof)>,
    traffic: Traffic,
}

impl Session {
    /// A session that has negotiated nothing. `now` is where its clocks begin.
    pub fn new(now: Instant, config: SessionConfig) -> Self {
        let transport = Self::make_transport(now, &config);
        Self::over(now, config, transport)
    }

    /// A session whose ICE credentials are given instead of random, until ICE is restarted: those that a peer's first check
    /// names ([`Incoming`](crate::endpoint::Incoming)), or that both sides know by other means. The peer may have the same;
    /// a description of the peer with the same credentials is not taken for one of this side that signalling has sent back.
    ///
    /// # Errors
    /// [`SessionError::Ice`] if an implementation of ICE does not take them.
    pub fn with_ice_credentials(
        now: Instant,
        config: SessionConfig,
        credentials: IceCredentials,
    ) -> Result<Self, SessionError> {
        let mut transport = Self::make_transport(now, &config);
        transport.ice().restart(now, credentials)?;
        let mut session = Self::over(now, config, transport);
        session.jsep.note_given_credentials();
        Ok(session)
    }

    /// A secret for tables of those that hold this session.
    pub(crate) fn draw_hash_keys(&self) -> HashKeys {
        self.media.draw_hash_keys()
    }

    fn make_transport(now: Instant, config: &SessionConfig) -> Transport {
        Transport::new(
            now,
            config.transports.clone(),
            config.data_channels.clone(),
            config.sctp_port,
            config.mtu,
            config.handshake_timeout,
        )
    }

    fn over(now: Instant, config: SessionConfig, mut transport: Transport) -> Self {
        let jsep_config = JsepConfig {
            media: config.media.clone(),
            fingerprints: config.transports.fingerprints.clone(),
            ice_options: transport.ice_ref().options(),
            sctp_port: config.sctp_port,
            max_message_size: config.max_message_size,
            max_sections: config.max_media_sections,
            max_remote_candidates: config.max_remote_candidates,
        };
        let credentials = transport.ice().local_credentials().clone();
        Self {
            jsep: Jsep::new(jsep_config, config.provider.random.clone(), credentials),
            transport,
            media: Media::new(now, &config),
            events: Events::default(),
            has_sent_data: false,
            now,
            gathering: Gathering::default(),
            connection_state: ConnectionState::New,
            failure: None,
            signaling_state: SignalingState::Stable,
            proof: None,
            traffic: Traffic::default(),
        }
    }

    /// The state of the whole connection.
    pub fn connection_state(&self) -> ConnectionState {
        self.connection_state
    }

    /// Why the session has failed or is closed, while it is. What it failed for first stays the reason when it is
    /// closed after that; an ICE restart that helps takes it back, and a failure of DTLS, against which none helps,
    /// takes the place of one of ICE.
    pub fn failure(&self) -> Option<&FailureReason> {
        self.failure.as_ref()
    }

    /// The state of ICE.
    pub fn ice_connection_state(&self) -> IceConnectionState {
        self.transport.ice_ref().state()
    }

    /// The pair that data and media take.
    pub fn selected_pair(&self) -> Option<&CandidatePair> {
        self.transport.ice_ref().selected_pair()
    }

    /// The user-name fragment of the side that a STUN request is for: [`local_ufrag`](Self::local_ufrag) of one
    /// of the sessions that share a port. `None` if the datagram is nothing of the kind.
    pub fn requested_ufrag(datagram: &[u8]) -> Option<&str> {
        let message = stun::Message::decode(datagram).ok()?;
        if message.class() != stun::Class::Request {
            return None;
        }
        // RFC 8445 §7.2.2: the peer's fragment, a colon, and the own.
        Some(message.username()?.split_once(':')?.0)
    }

    /// The ICE user-name fragment of this side: what a server that shares a port among sessions finds in the
    /// USERNAME of the peer's checks.
    pub fn local_ufrag(&self) -> &str {
        self.transport.ice_ref().local_credentials().ufrag()
    }

    /// The fingerprint of the certificate that the peer has proved to be its own; `None` before the DTLS handshake is
    /// complete and after its end, or where an implementation of DTLS does not tell.
    pub fn peer_fingerprint(&self, algorithm: FingerprintAlgorithm) -> Option<Fingerprint> {
        self.transport.dtls()?.peer_fingerprint(algorithm)
    }

    /// What was counted so far (W3C `getStats`).
    pub fn stats(&self, now: Instant) -> StatsReport {
        let sources = Sources {
            jsep: &self.jsep,
            transport: &self.transport,
            media: &self.media,
            traffic: &self.traffic,
            local_candidates: self.gathering.candidates(),
        };
        sources.report(now)
    }

    /// Takes one datagram as [`Layer::handle_datagram`] does, and hands an RTP packet in it to `deliver` where
    /// it lies. `handle_datagram` drops RTP packets.
    ///
    /// # Errors
    /// As [`Layer::handle_datagram`].
    pub fn receive(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(IncomingRtp<'_>),
    ) -> Result<(), SessionError> {
        self.advance(now);
        self.proof = None;
        // RFC 7983 §7.
        let datagram = match datagram.bytes.first() {
            Some(0..=3 | 64..=79) => match self.transport.ice().open(now, datagram) {
                Opened::Own(datagram) => return self.receive_ice(now, datagram),
                Opened::Inner(inner) => inner,
                Opened::Refused(error) => {
                    tracing::trace!(%error, "ignored a datagram");
                    return Err(error.into());
                }
            },
            _ => datagram,
        };
        let (path, len) = (datagram.path, datagram.bytes.len());
        let result = match datagram.bytes.first() {
            Some(0..=3) => return self.receive_ice(now, datagram),
            Some(20..=63) => {
                let result = self.transport.receive_dtls(now, datagram);
                self.settle();
                result
            }
            Some(128..=191) => {
                let result = self.receive_media(now, datagram, deliver);
                if result.is_ok() {
                    self.note_media(now, path);
                }
                result
            }
            _ => Err(SessionError::Ignored("neither STUN, DTLS nor RTP")),
        };
        match &result {
            Ok(()) => self.traffic.received(now, path, len),
            Err(error) => tracing::trace!(%error, ?path, len, "ignored a datagram"),
        }
        result
    }

    fn receive_ice(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        let path = datagram.path;
        let ice = self.transport.ice();
        let result = ice.handle_datagram(now, datagram);
        let proof = ice.take_proof(&path).filter(|_| result.is_ok());
        self.proof = proof.map(|proof| (path, proof));
        // That the peer is heard elsewhere says nothing of the path that data takes, which may be gone.
        if self.proof.is_some() && self.transport.path().is_none_or(|selected| selected == path) {
            self.transport.note_heard(now);
        }
        self.settle();
        Ok(result?)
    }

    fn receive_media(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(IncomingRtp<'_>),
    ) -> Result<(), SessionError> {
        let Some(srtp) = self.transport.srtp() else {
            return Err(SessionError::Ignored("media before the keys are agreed on"));
        };
        // RFC 5761 §4: the second byte tells RTCP packet types from RTP payload types.
        if datagram.bytes.get(1).is_some_and(|second| (192..=223).contains(second)) {
            let events = &mut self.events;
            self.media.receive_rtcp(now, srtp, datagram.bytes, &mut |event| events.push_once(event))
        } else {
            self.media.receive_rtp(now, srtp, datagram, deliver)
        }
    }

    /// Media that proved authentic tells where the peer is.
    fn note_media(&mut self, now: Instant, path: FiveTuple) {
        let is_elsewhere = self.transport.path().is_some_and(|selected| selected != path);
        self.transport.ice().note_data(now, &path);
        if is_elsewhere {
            self.settle();
        }
    }

    /// Whether an event may wait: also after datagrams were [asked for](Layer::poll_transmit), which has done what was due,
    /// and has taken from what was queued.
    pub(crate) fn has_events(&self) -> bool {
        self.has_sent_data || !self.events.is_empty() || self.transport.channels_ref().has_events()
    }

    /// The next event that is not of a data channel.
    pub fn poll_connection_event(&mut self) -> Option<SessionEvent> {
        self.pump();
        self.next_connection_event()
    }

    fn next_connection_event(&mut self) -> Option<SessionEvent> {
        loop {
            match self.events.pop()? {
                // W3C WebRTC §4.7.3: what became due before an exchange began is looked at again after it.
                SessionEvent::NegotiationNeeded if !self.jsep.is_negotiation_needed() => {}
                event => return Some(event),
            }
        }
    }

    /// Ends the session. What [`poll_transmit`](Layer::poll_transmit) still gives tells the peer at once.
    pub fn close(&mut self, now: Instant) {
        self.end(now, FailureReason::Closed);
    }

    /// Whether a session that has ended is yet to be told by a TURN server that its allocation is gone. Who drives it on
    /// until this is false, ten seconds at most and mostly for a round trip, leaves none behind: the request may be lost,
    /// or be refused for the age of its nonce.
    pub fn is_leaving(&self) -> bool {
        self.transport.ice_ref().is_leaving()
    }

    /// Ends the session as [`close`](Self::close) does, for a reason of those that carry its datagrams, such as the
    /// loss of their socket.
    pub fn end(&mut self, now: Instant, reason: FailureReason) {
        // What happened before belongs to what was before.
        self.act(now, |_| ());
        if self.jsep.state() == SignalingState::Closed {
            return;
        }
        self.failure.get_or_insert(reason);
        let goodbyes = self.transport.srtp().map(|srtp| self.media.goodbyes(srtp)).unwrap_or_default();
        self.jsep.close();
        self.transport.close(now, goodbyes);
        self.media.follow(now, &self.jsep);
        self.gathering.close();
        self.settle();
    }

    /// Does something with the layers, and takes at once what they have to tell of it: whatever a call has made true
    /// is visible right after it.
    fn act<T>(&mut self, now: Instant, act: impl FnOnce(&mut Self) -> T) -> T {
        self.advance(now);
        let result = act(self);
        self.settle();
        result
    }

    /// The same after something was done.
    fn settle(&mut self) {
        self.pump();
        self.transport.sort_messages(self.now);
    }

    fn check_open(&self) -> Result<(), SessionError> {
        match &self.failure {
            Some(reason) if self.jsep.state() == SignalingState::Closed => Err(reason.clone().into()),
            _ => Ok(()),
        }
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    fn update_negotiation_needed(&mut self) {
        if self.jsep.take_negotiation_needed() {
            self.events.push(SessionEvent::NegotiationNeeded);
        }
    }

    fn update_states(&mut self) {
        let state = self.jsep.state();
        if state != self.signaling_state {
            tracing::debug!(from = ?self.signaling_state, to = ?state, "signaling state");
            self.signaling_state = state;
            self.events.push(SessionEvent::SignalingState(state));
        }
        let connection = match state {
            SignalingState::Closed => ConnectionState::Closed,
            _ => self.transport.state(),
        };
        // A restart would have helped against a failure of ICE: that DTLS has failed since is told, too.
        let is_final_now = connection == ConnectionState::Failed
            && matches!(self.failure, Some(FailureReason::Ice(_)))
            && matches!(self.transport.dtls_end(), Some(DtlsEnd::Failed(_)));
        if connection != self.connection_state || is_final_now {
            tracing::debug!(from = ?self.connection_state, to = ?connection, "connection state");
            self.connection_state = connection;
            match connection {
                ConnectionState::Failed | ConnectionState::Closed => {
                    if self.failure.is_none() || is_final_now {
                        self.failure = Some(self.transport.failure());
                    }
                }
                _ => self.failure = None,
            }
            let reason = self.failure.clone();
            self.events.push(SessionEvent::ConnectionState { state: connection, reason });
        }
    }

    /// Takes what the layers tell.
    fn pump(&mut self) {
        let now = self.now;
        self.has_sent_data = false;
        while let Some(event) = self.transport.poll_event(now) {
            match event {
                TransportEvent::Ice(event) => self.handle_ice_event(event),
                TransportEvent::Writable => self.events.push_once(SessionEvent::SendBufferAvailable),
                TransportEvent::UnverifiedPeer(fingerprint) => {
                    self.events.push(SessionEvent::UnverifiedPeer { fingerprint: Box::new(fingerprint) });
                }
                TransportEvent::ClosedByPeer => {
                    self.failure.get_or_insert(FailureReason::ClosedByPeer);
                    self.jsep.close();
                    self.transport.close(now, Vec::new());
                    self.media.follow(now, &self.jsep);
                }
            }
        }
        self.update_states();
    }

    fn handle_ice_event(&mut self, event: IceEvent) {
        // Checks go on for a while after DTLS has failed, and nothing comes of them.
        let has_failed = self.failure.as_ref().is_some_and(FailureReason::is_final);
        match event {
            IceEvent::LocalCandidate(candidate) => self.add_local_candidate(candidate),
            IceEvent::LocalCandidateGone(candidate) => self.gathering.remove(&candidate),
            IceEvent::GatheringComplete => self.end_of_local_candidates(),
            IceEvent::CandidateError(error) => self.events.push(SessionEvent::IceCandidateError(error)),
            IceEvent::ResolveName { query, name } => {
                self.events.push(SessionEvent::ResolveName { query, name });
            }
            IceEvent::ConnectionState(state) => {
                if !has_failed || state == IceConnectionState::Closed {
                    self.events.push(SessionEvent::IceConnectionState(state));
                }
            }
            IceEvent::SelectedPair(pair) => {
                self.traffic.selections += 1;
                self.transport.note_path_change(self.now);
                self.transport.start_dtls(&self.jsep);
                if !has_failed {
                    self.events.push(SessionEvent::SelectedPair(pair));
                }
            }
        }
    }

    fn next_departure(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Departure> {
        let Self { transport, media, .. } = self;
        let departure = transport.poll_transmit(now, out, |srtp, path, envelope, out| {
            media.set_envelope_overhead(envelope);
            media.poll_transmit(now, srtp, path, out)
        })?;
        self.has_sent_data |= departure.is_data;
        Some(departure)
    }
}

impl Layer for Session {
    type Event = SessionEvent;
    type Error = SessionError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        self.receive(now, datagram, &mut |_| {})
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.act(now, |session| {
            session.transport.handle_timeout(now);
            session.media.handle_timeout(now);
        });
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.transport.poll_timeout().into_iter().chain(self.media.poll_timeout()).min()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.advance(now);
        if self.transport.ice_ref().poll_timeout().is_some_and(|due| due <= now) {
            // An agent does what is due before it is asked for datagrams.
            self.act(now, |session| session.transport.ice().handle_timeout(now));
        }
        let Some(Departure { transmit, path, .. }) = self.next_departure(now, out) else {
            if self.transport.has_seal_failed() {
                // DTLS has ended of it.
                self.settle();
            }
            return None;
        };
        if let Some(path) = path {
            let (datagrams, bytes) = self.transport.count(&transmit, path, out);
            self.traffic.sent(now, path, datagrams, bytes);
        }
        Some(transmit)
    }

    fn poll_event(&mut self) -> Option<SessionEvent> {
        self.pump();
        self.next_connection_event().or_else(|| self.next_channel_event().map(SessionEvent::DataChannel))
    }

    fn poll_stream(&mut self) -> Option<StreamRequest> {
        self.transport.ice().poll_stream()
    }

    fn handle_stream(&mut self, now: Instant, report: StreamReport) {
        self.act(now, |session| session.transport.ice().handle_stream(now, report));
    }
}
