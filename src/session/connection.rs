//! The session itself.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::codec::TrackKind;
use super::config::SessionConfig;
use super::description::{Description, DescriptionKind, IceCandidateInit};
use super::error::SessionError;
use super::event::SessionEvent;
use super::jsep::{Jsep, JsepConfig};
use super::media::{IncomingRtp, Media, OutgoingRtp};
use super::state::{ConnectionState, GatheringState, SignalingState};
use super::stats::{Sources, StatsReport, Traffic};
use super::transceiver::{Transceiver, TransceiverId, TransceiverInit};
use super::transport::{DtlsEnd, Transport, TransportEvent};
use crate::datachannel::{ChannelEvent, ChannelId, ChannelInit, ChannelState, MessageKind};
use crate::layer::{
    Candidate, CandidatePair, Datagram, IceConnectionState, IceEvent, Layer, Mid, NameQuery,
    ParseCandidateError, Rid, Transmit, TransmitBatch,
};
use crate::sdp::{Attribute, Direction, SessionDescription};
use crate::stun;

/// A WebRTC connection without sockets (W3C `RTCPeerConnection`); see the [module](crate::session).
#[derive(Debug)]
pub struct Session {
    jsep: Jsep,
    transport: Transport,
    media: Media,
    events: VecDeque<SessionEvent>,
    /// The latest time that was told.
    now: Instant,
    /// Local candidates of this ICE generation.
    local_candidates: Vec<Candidate>,
    /// How many of them were told the application.
    told_candidates: usize,
    /// There will be no further one.
    has_all_candidates: bool,
    /// The application was told so.
    told_end: bool,
    gathering: GatheringState,
    connection_state: ConnectionState,
    signaling_state: SignalingState,
    traffic: Traffic,
}

impl Session {
    /// A session that has negotiated nothing. `now` is where its clocks begin.
    pub fn new(now: Instant, config: SessionConfig) -> Self {
        let mut transport = Transport::new(
            now,
            config.transports.clone(),
            config.data_channels.clone(),
            config.sctp_port,
            config.mtu,
        );
        let jsep_config = JsepConfig {
            media: config.media.clone(),
            fingerprints: config.transports.fingerprints.clone(),
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
            events: VecDeque::new(),
            now,
            local_candidates: Vec::new(),
            told_candidates: 0,
            has_all_candidates: false,
            told_end: false,
            gathering: GatheringState::New,
            connection_state: ConnectionState::New,
            signaling_state: SignalingState::Stable,
            traffic: Traffic::default(),
        }
    }

    // ---- Signalling ----

    /// Makes an offer of all that this side wants now. It has no effect before it is
    /// [set](Self::set_local_description).
    ///
    /// # Errors
    /// [`SessionError::InvalidState`] while an offer of the peer waits for an answer,
    /// [`SessionError::Limit`] and [`SessionError::Closed`].
    pub fn create_offer(&mut self) -> Result<Description, SessionError> {
        let sdp = self.jsep.create_offer()?;
        Ok(Description { kind: DescriptionKind::Offer, sdp: Some(sdp) })
    }

    /// Makes an answer to the offer of the peer.
    ///
    /// # Errors
    /// [`SessionError::InvalidState`] without an offer of the peer, and [`SessionError::Closed`].
    pub fn create_answer(&mut self) -> Result<Description, SessionError> {
        let sdp = self.jsep.create_answer()?;
        Ok(Description { kind: DescriptionKind::Answer, sdp: Some(sdp) })
    }

    /// Applies a description that was created here; `None` creates the one that is due first (W3C: implicit
    /// `setLocalDescription`).
    ///
    /// # Errors
    /// [`SessionError::InvalidState`], [`SessionError::ModifiedDescription`] if it is not the one last created,
    /// and [`SessionError::Closed`]. Nothing has changed then.
    pub fn set_local_description(
        &mut self,
        now: Instant,
        description: Option<&Description>,
    ) -> Result<(), SessionError> {
        self.advance(now);
        match description {
            Some(description) => self.jsep.set_local(description.kind, description.sdp.as_ref())?,
            None if matches!(
                self.jsep.state(),
                SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPrAnswer
            ) =>
            {
                self.jsep.create_answer()?;
                self.jsep.set_local(DescriptionKind::Answer, None)?;
            }
            None => {
                self.jsep.create_offer()?;
                self.jsep.set_local(DescriptionKind::Offer, None)?;
            }
        }
        self.follow(now);
        Ok(())
    }

    /// Applies a description of the peer. An offer that collides with one of this side takes that back (W3C:
    /// implicit rollback); an application that does not want that ignores the offer instead, see the example
    /// `perfect_negotiation`.
    ///
    /// # Errors
    /// [`SessionError::InvalidState`], [`SessionError::Section`] and [`SessionError::Description`] say what
    /// cannot be used, and [`SessionError::Closed`]. Nothing has changed then.
    pub fn set_remote_description(
        &mut self,
        now: Instant,
        description: &Description,
    ) -> Result<(), SessionError> {
        self.advance(now);
        self.jsep.set_remote(description)?;
        self.follow(now);
        Ok(())
    }

    /// Adds a candidate of the peer. An empty one says that there will be no further.
    ///
    /// # Errors
    /// [`SessionError::NoRemoteDescription`], [`SessionError::UnknownSection`], [`SessionError::Candidate`],
    /// [`SessionError::Limit`] and [`SessionError::Closed`].
    pub fn add_remote_candidate(
        &mut self,
        now: Instant,
        candidate: &IceCandidateInit,
    ) -> Result<(), SessionError> {
        self.advance(now);
        if self.jsep.state() == SignalingState::Closed {
            return Err(SessionError::Closed);
        }
        if self.jsep.remote_description().is_none() {
            return Err(SessionError::NoRemoteDescription);
        }
        let mid = candidate.sdp_mid.as_deref();
        if !self.jsep.has_remote_section(mid, candidate.sdp_m_line_index) {
            return Err(SessionError::UnknownSection);
        }
        let ufrag = candidate.username_fragment.as_deref().filter(|ufrag| !ufrag.is_empty());
        let parsed = match candidate.candidate.trim() {
            "" => None,
            text => {
                let text = text.strip_prefix("a=").unwrap_or(text);
                match text.strip_prefix("candidate:").unwrap_or(text).parse::<Candidate>() {
                    Ok(candidate) => Some(candidate),
                    // RFC 8839 §5.1: to be ignored, since the others may do.
                    Err(ParseCandidateError::Unsupported { .. }) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        // Component 2 is RTCP without rtcp-mux, which was refused.
        if parsed.as_ref().is_none_or(|candidate| candidate.component == 1) {
            self.jsep.add_remote_candidate(parsed, ufrag)?;
        }
        self.follow(now);
        Ok(())
    }

    /// The next offer restarts ICE (W3C `restartIce`).
    pub fn restart_ice(&mut self) {
        self.jsep.want_ice_restart();
        self.update_negotiation_needed();
    }

    /// The description of this side, the pending one first, with the candidates found so far.
    pub fn local_description(&self) -> Option<Description> {
        self.jsep.local_description().map(|description| self.with_candidates(description))
    }

    /// The description of the peer, the pending one first.
    pub fn remote_description(&self) -> Option<&Description> {
        self.jsep.remote_description()
    }

    /// The descriptions of both sides that were last agreed on.
    pub fn current_descriptions(&self) -> (Option<&Description>, Option<&Description>) {
        self.jsep.current_descriptions()
    }

    /// The descriptions of both sides in the exchange under way.
    pub fn pending_descriptions(&self) -> (Option<&Description>, Option<&Description>) {
        self.jsep.pending_descriptions()
    }

    fn with_candidates(&self, description: &Description) -> Description {
        let mut description = description.clone();
        let is_usable = |sdp: &SessionDescription, index: usize| !sdp.media[index].is_rejected();
        if let Some(sdp) = &mut description.sdp
            && let Some(index) = (0..sdp.media.len()).find(|index| is_usable(sdp, *index))
        {
            let media = &mut sdp.media[index];
            for candidate in &self.local_candidates {
                media.push(Attribute::Candidate(candidate.clone().into()));
            }
            if self.gathering == GatheringState::Complete {
                media.push(Attribute::EndOfCandidates);
            }
        }
        description
    }

    /// Whether an offer is due now: no exchange is under way, and the last one did not settle all that this side
    /// wants. Who keeps a [`SessionEvent::NegotiationNeeded`] for later asks again before making an offer (W3C
    /// WebRTC §4.7.3): the peer's may have come in between.
    pub fn is_negotiation_needed(&self) -> bool {
        self.jsep.is_negotiation_needed()
    }

    /// Where the exchange of offer and answer is.
    pub fn signaling_state(&self) -> SignalingState {
        self.jsep.state()
    }

    /// The state of the whole connection.
    pub fn connection_state(&self) -> ConnectionState {
        self.connection_state
    }

    /// The state of ICE.
    pub fn ice_connection_state(&self) -> IceConnectionState {
        self.transport.ice_ref().state()
    }

    /// Where the gathering of local candidates is.
    pub fn gathering_state(&self) -> GatheringState {
        self.gathering
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

    /// What was counted so far (W3C `getStats`).
    pub fn stats(&self, now: Instant) -> StatsReport {
        let sources = Sources {
            jsep: &self.jsep,
            transport: &self.transport,
            media: &self.media,
            traffic: &self.traffic,
            local_candidates: &self.local_candidates,
        };
        sources.report(now)
    }

    // ---- Addresses ----

    /// Adds an address of this machine at which datagrams for this session arrive.
    ///
    /// # Errors
    /// [`SessionError::Ice`].
    pub fn add_host_address(&mut self, now: Instant, address: SocketAddr) -> Result<(), SessionError> {
        self.advance(now);
        self.transport.ice().add_host_address(now, address)?;
        Ok(())
    }

    /// Says that no address will follow.
    pub fn end_of_host_addresses(&mut self, now: Instant) {
        self.advance(now);
        self.transport.ice().end_of_host_addresses(now);
    }

    /// Answers [`SessionEvent::ResolveName`]; `None` if the name is not known.
    pub fn resolve_name(&mut self, now: Instant, query: NameQuery, address: Option<IpAddr>) {
        self.advance(now);
        self.transport.ice().resolve_name(now, query, address);
    }

    // ---- Media ----

    /// Adds a transceiver. It is negotiated by the next offer of this side.
    ///
    /// # Errors
    /// [`SessionError::Limit`] and [`SessionError::Closed`].
    pub fn add_transceiver(
        &mut self,
        kind: TrackKind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, SessionError> {
        self.check_open()?;
        let id = self.jsep.add_transceiver(kind, init)?;
        self.update_negotiation_needed();
        Ok(id)
    }

    /// Adds something to send: on a transceiver of this kind that does not send yet, if there is one, else on a
    /// new one (W3C `addTrack`).
    ///
    /// # Errors
    /// As [`add_transceiver`](Self::add_transceiver).
    pub fn add_track(
        &mut self,
        kind: TrackKind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, SessionError> {
        self.check_open()?;
        let is_free = |transceiver: &&mut Transceiver| {
            transceiver.kind == kind
                && !transceiver.is_ending()
                && !transceiver.by_track
                && !transceiver.direction.sends()
                && !transceiver.negotiated.current_direction.is_some_and(Direction::sends)
        };
        let id = match self.jsep.transceivers_mut().iter_mut().find(is_free) {
            Some(transceiver) => {
                transceiver.by_track = true;
                transceiver.direction = match transceiver.direction {
                    Direction::RecvOnly => Direction::SendRecv,
                    _ => Direction::SendOnly,
                };
                transceiver.sender.streams = init.streams;
                if let Some(track_id) = init.track_id {
                    transceiver.sender.track_id = track_id;
                }
                if !init.codecs.is_empty() {
                    transceiver.codecs = init.codecs;
                }
                transceiver.id
            }
            None => {
                let id = self.jsep.add_transceiver(kind, init)?;
                self.jsep.transceiver_mut(id)?.by_track = true;
                id
            }
        };
        self.update_negotiation_needed();
        Ok(id)
    }

    /// Changes the direction that this side wants; it is negotiated by the next exchange.
    ///
    /// # Errors
    /// [`SessionError::NoTransceiver`].
    pub fn set_direction(&mut self, id: TransceiverId, direction: Direction) -> Result<(), SessionError> {
        self.jsep.transceiver_mut(id)?.direction = direction;
        self.update_negotiation_needed();
        Ok(())
    }

    /// Ends a transceiver. The next exchange gives its media section up.
    ///
    /// # Errors
    /// [`SessionError::NoTransceiver`].
    pub fn stop_transceiver(&mut self, id: TransceiverId) -> Result<(), SessionError> {
        self.jsep.stop(id)?;
        self.update_negotiation_needed();
        Ok(())
    }

    /// The transceivers that have not ended, oldest first.
    pub fn transceivers(&self) -> impl Iterator<Item = &Transceiver> {
        self.jsep.transceivers().iter().filter(|transceiver| !transceiver.stopped)
    }

    /// A transceiver.
    pub fn transceiver(&self, id: TransceiverId) -> Option<&Transceiver> {
        self.jsep.transceiver(id)
    }

    /// Sends an RTP packet. What waits is sent by [`poll_transmit`](Layer::poll_transmit).
    ///
    /// # Errors
    /// [`SessionError::NotSending`], [`SessionError::PayloadType`], and [`SessionError::Limit`] when too many
    /// packets wait already.
    pub fn send_rtp(
        &mut self,
        now: Instant,
        id: TransceiverId,
        packet: OutgoingRtp,
    ) -> Result<(), SessionError> {
        self.advance(now);
        self.media.send(id, packet)
    }

    /// Asks the peer for a key frame of what it sends on a transceiver: of all its streams, or of one simulcast
    /// stream. Requests that follow each other within half a second are one.
    pub fn request_key_frame(&mut self, id: TransceiverId, rid: Option<Rid>) {
        self.media.request_key_frame(id, rid);
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
        let (path, len) = (datagram.path, datagram.bytes.len());
        // RFC 7983 §7.
        let result = match datagram.bytes.first() {
            Some(0..=3) => {
                let result = self.transport.ice().handle_datagram(now, datagram);
                self.pump();
                return Ok(result?);
            }
            Some(20..=63) => {
                let result = self.transport.receive_dtls(now, datagram);
                self.pump();
                result
            }
            Some(128..=191) => self.receive_media(now, datagram, deliver),
            _ => Err(SessionError::Ignored("neither STUN, DTLS nor RTP")),
        };
        if result.is_ok() {
            self.traffic.received(now, path, len);
        }
        result
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
            self.media.receive_rtcp(now, srtp, datagram.bytes, &mut |event| push_once(events, event))
        } else {
            self.media.receive_rtp(now, srtp, datagram.bytes, deliver)
        }
    }

    // ---- Data channels ----

    /// Makes a data channel. The first one needs an offer of this side; later ones need none.
    ///
    /// # Errors
    /// [`SessionError::DataChannel`] and [`SessionError::Closed`].
    pub fn open_channel(&mut self, now: Instant, init: ChannelInit) -> Result<ChannelId, SessionError> {
        self.advance(now);
        self.check_open()?;
        let (channels, sctp) = self.transport.channels();
        let id = channels.open(sctp, now, init)?;
        self.jsep.want_data();
        self.update_negotiation_needed();
        Ok(id)
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SessionError::DataChannel`]; when the send buffer is full,
    /// [`ChannelEvent::BufferedAmountLow`](crate::datachannel::ChannelEvent::BufferedAmountLow) tells when to try
    /// again.
    pub fn send_message(
        &mut self,
        now: Instant,
        id: ChannelId,
        kind: MessageKind,
        payload: Bytes,
    ) -> Result<(), SessionError> {
        self.advance(now);
        let (channels, sctp) = self.transport.channels();
        channels.send(sctp, now, id, kind, payload)?;
        Ok(())
    }

    /// Closes a data channel: what was sent is delivered first.
    ///
    /// # Errors
    /// [`SessionError::DataChannel`].
    pub fn close_channel(&mut self, now: Instant, id: ChannelId) -> Result<(), SessionError> {
        self.advance(now);
        let (channels, sctp) = self.transport.channels();
        channels.close(sctp, now, id)?;
        Ok(())
    }

    /// What a data channel was made as.
    pub fn channel(&self, id: ChannelId) -> Option<&ChannelInit> {
        self.transport.channels_ref().init(id)
    }

    /// The state of a data channel; `None` if it is closed.
    pub fn channel_state(&self, id: ChannelId) -> Option<ChannelState> {
        self.transport.channels_ref().state(id)
    }

    /// The data channels, oldest first.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> {
        self.transport.channels_ref().iter()
    }

    /// The bytes queued on a data channel that were not sent yet.
    pub fn buffered_amount(&self, id: ChannelId) -> usize {
        self.transport.channels_ref().buffered_amount(self.transport.sctp(), id)
    }

    /// [`ChannelEvent::BufferedAmountLow`](crate::datachannel::ChannelEvent::BufferedAmountLow) tells when the
    /// buffered amount falls to `threshold` bytes; 0 at first.
    ///
    /// # Errors
    /// [`SessionError::DataChannel`].
    pub fn set_buffered_amount_low_threshold(
        &mut self,
        id: ChannelId,
        threshold: usize,
    ) -> Result<(), SessionError> {
        let (channels, sctp) = self.transport.channels();
        channels.set_buffered_amount_low_threshold(sctp, id, threshold)?;
        Ok(())
    }

    /// The next event that is not of a data channel.
    pub fn poll_connection_event(&mut self) -> Option<SessionEvent> {
        self.pump();
        loop {
            match self.events.pop_front()? {
                // W3C WebRTC §4.7.3: what became due before an exchange began is looked at again after it.
                SessionEvent::NegotiationNeeded if !self.jsep.is_negotiation_needed() => {}
                event => return Some(event),
            }
        }
    }

    /// The next event of a data channel. Messages that are not fetched stay in the receive window, which keeps a
    /// fast peer in check.
    pub fn poll_channel_event(&mut self) -> Option<ChannelEvent> {
        self.pump();
        let now = self.now;
        let (channels, sctp) = self.transport.channels();
        channels.poll_event(sctp, now)
    }

    /// The largest message in bytes that the peer takes; `None` before data channels are connected.
    pub fn max_message_size(&self) -> Option<usize> {
        Some(self.transport.sctp()).filter(|sctp| sctp.is_established()).map(|sctp| sctp.max_message_size())
    }

    /// Ends the session. What [`poll_transmit`](Layer::poll_transmit) still gives tells the peer at once.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        if self.jsep.state() == SignalingState::Closed {
            return;
        }
        self.jsep.close();
        self.transport.close(now);
        self.media.follow(now, &self.jsep);
        self.local_candidates = Vec::new();
        self.update_states();
    }

    fn check_open(&self) -> Result<(), SessionError> {
        match self.jsep.state() {
            SignalingState::Closed => Err(SessionError::Closed),
            _ => Ok(()),
        }
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Brings everything to what the signalling says now.
    fn follow(&mut self, now: Instant) {
        let generation = self.transport.ice().local_credentials().clone();
        self.transport.follow(now, &self.jsep);
        self.media.follow(now, &self.jsep);
        if *self.transport.ice().local_credentials() != generation {
            self.local_candidates.clear();
            self.told_candidates = 0;
            self.has_all_candidates = false;
            self.told_end = false;
            self.set_gathering(GatheringState::New);
        }
        self.tell_candidates();
        self.announce_tracks();
        self.update_states();
        self.update_negotiation_needed();
    }

    /// Tells which transceivers the peer sends on.
    fn announce_tracks(&mut self) {
        for transceiver in self.jsep.transceivers_mut() {
            let sends = transceiver.negotiated.remote.sends && !transceiver.stopped;
            if sends != transceiver.negotiated.announced {
                transceiver.negotiated.announced = sends;
                self.events.push_back(if sends {
                    SessionEvent::Track(transceiver.id)
                } else {
                    SessionEvent::TrackEnded(transceiver.id)
                });
            }
        }
        self.jsep.forget_stopped();
    }

    fn update_negotiation_needed(&mut self) {
        if self.jsep.take_negotiation_needed() {
            self.events.push_back(SessionEvent::NegotiationNeeded);
        }
    }

    fn update_states(&mut self) {
        let signaling = self.jsep.state();
        if signaling != self.signaling_state {
            self.signaling_state = signaling;
            self.events.push_back(SessionEvent::SignalingState(signaling));
        }
        let connection = match signaling {
            SignalingState::Closed => ConnectionState::Closed,
            _ => self.transport.state(),
        };
        if connection != self.connection_state {
            self.connection_state = connection;
            self.events.push_back(SessionEvent::ConnectionState(connection));
        }
    }

    fn set_gathering(&mut self, state: GatheringState) {
        if state != self.gathering {
            self.gathering = state;
            self.events.push_back(SessionEvent::GatheringState(state));
        }
    }

    /// Takes what the layers tell.
    fn pump(&mut self) {
        let now = self.now;
        while let Some(event) = self.transport.poll_event(now) {
            match event {
                TransportEvent::Ice(event) => self.handle_ice_event(event),
                TransportEvent::Secured => {}
                TransportEvent::Writable => push_once(&mut self.events, SessionEvent::SendBufferAvailable),
                TransportEvent::DtlsEnded(DtlsEnd::Failed(error)) => {
                    self.events.push_back(SessionEvent::DtlsFailed(error));
                }
                TransportEvent::DtlsEnded(DtlsEnd::Closed) => {
                    self.jsep.close();
                    self.transport.close(now);
                    self.media.follow(now, &self.jsep);
                }
            }
        }
        self.update_states();
    }

    fn handle_ice_event(&mut self, event: IceEvent) {
        match event {
            IceEvent::LocalCandidate(candidate) => {
                self.local_candidates.push(candidate);
                self.tell_candidates();
            }
            IceEvent::GatheringComplete => {
                self.has_all_candidates = true;
                self.tell_candidates();
            }
            IceEvent::ResolveName { query, name } => {
                self.events.push_back(SessionEvent::ResolveName { query, name });
            }
            IceEvent::ConnectionState(state) => {
                self.events.push_back(SessionEvent::IceConnectionState(state));
            }
            IceEvent::SelectedPair(pair) => {
                self.traffic.selections += 1;
                self.transport.start_dtls(&self.jsep);
                self.events.push_back(SessionEvent::SelectedPair(pair));
            }
        }
    }

    /// Signals what was not signalled yet, once there is a description that it belongs to.
    fn tell_candidates(&mut self) {
        if !self.jsep.has_local_description() {
            return;
        }
        if self.gathering == GatheringState::New {
            self.set_gathering(GatheringState::Gathering);
        }
        // A description without sections has none that a candidate could be of.
        if let Some((index, mid)) = self.jsep.tagged_section() {
            while let Some(candidate) = self.local_candidates.get(self.told_candidates) {
                let text = candidate.to_string();
                self.told_candidates += 1;
                self.signal_candidate(text, index, mid);
            }
            if self.has_all_candidates && !std::mem::replace(&mut self.told_end, true) {
                self.signal_candidate(String::new(), index, mid);
            }
        }
        if self.has_all_candidates {
            self.set_gathering(GatheringState::Complete);
        }
    }

    fn next_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        if let Some(transmit) = self.transport.poll_transmit_set_up(now, out) {
            return Some(transmit);
        }
        if let Some(path) = self.transport.path()
            && let Some(srtp) = self.transport.srtp()
            && let Some(transmit) = self.media.poll_transmit(now, srtp, path, out)
        {
            return Some(transmit);
        }
        self.transport.poll_transmit_data(now, out)
    }

    fn signal_candidate(&mut self, candidate: String, index: usize, mid: Mid) {
        self.events.push_back(SessionEvent::LocalCandidate(IceCandidateInit {
            candidate,
            sdp_mid: Some(mid.to_string()),
            sdp_m_line_index: u16::try_from(index).ok(),
            username_fragment: Some(self.local_ufrag().to_owned()),
        }));
    }
}

impl Layer for Session {
    type Event = SessionEvent;
    type Error = SessionError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        self.receive(now, datagram, &mut |_| {})
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.transport.handle_timeout(now);
        self.media.handle_timeout(now);
        self.pump();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.transport.poll_timeout().into_iter().chain(self.media.poll_timeout()).min()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.advance(now);
        let transmit = self.next_transmit(now, out)?;
        let is_ice = out.bytes(&transmit).first().is_some_and(|first| *first < 4);
        if let Some(path) = transmit.path
            && !is_ice
        {
            self.traffic.sent(now, path, out.datagrams(&transmit).len(), transmit.len());
        }
        Some(transmit)
    }

    fn poll_event(&mut self) -> Option<SessionEvent> {
        self.poll_connection_event().or_else(|| self.poll_channel_event().map(SessionEvent::DataChannel))
    }
}

/// Queues a request that says the same as one that waits, so that a peer that repeats it fills no memory.
fn push_once(events: &mut VecDeque<SessionEvent>, event: SessionEvent) {
    if !events.contains(&event) {
        events.push_back(event);
    }
}
