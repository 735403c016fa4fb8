//! A connection, W3C `RTCPeerConnection`.

use std::sync::Arc;
use std::time::Instant;

use super::data_channel::DataChannel;
use super::error::PeerConnectionError;
use super::event::PeerConnectionEvent;
use super::handle::Handle;
use super::inbox::ChannelInbox;
use super::rtp_receiver::RtpReceiver;
use super::rtp_sender::RtpSender;
use super::shared::{State, Told};
use super::stable_id::{StableId, same_if_stable_id_is};
use crate::datachannel::ChannelInit;
use crate::layer::{CandidatePair, IceConnectionState};
use crate::sdp::Direction;
use crate::session::{
    ConnectionState, Description, DroppedRtcp, FailureReason, GatheringState, IceCandidateInit, RtcpDatagram,
    RtcpFeedback, Session, SessionError, SessionEvent, SignalingState, StatsReport, TrackKind, Transceiver,
    TransceiverId, TransceiverInit,
};

/// A WebRTC connection (W3C `RTCPeerConnection`); see the [module](crate::peer_connection). Cheap to clone.
///
/// Every method may be called from anywhere, from a [handler](super::PeerConnectionHandler) too, and none blocks.
///
/// ```
/// use kaon_rtc::peer_connection::{ConnectionState, Description, PeerConnection, PeerConnectionEvent};
///
/// /// Answers an offer that came over signalling of yours, and tells the answer with all its candidates.
/// async fn answer(offer: &str) -> Result<(PeerConnection, String), Box<dyn std::error::Error>> {
///     let connection = PeerConnection::builder().build().await?;
///     connection.set_remote_description(&Description::offer(offer)?)?;
///     connection.set_local_description(None)?;
///     connection.gathering_complete().await;
///     let answer = connection.local_description().ok_or("no answer")?.text();
///     Ok((connection, answer))
/// }
///
/// /// Follows the connection until it is over.
/// async fn follow(connection: PeerConnection) {
///     while let Some(event) = connection.next_event().await {
///         match event {
///             PeerConnectionEvent::DataChannel(channel) => println!("{} was opened", channel.label()),
///             PeerConnectionEvent::Track(track) => println!("{:?} comes", track.kind()),
///             PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, reason: Some(reason) } => {
///                 println!("failed: {reason}");
///                 // It would wait for an ICE restart.
///                 connection.close();
///             }
///             _ => {}
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct PeerConnection {
    pub(super) handle: Arc<Handle>,
}

impl PeerConnection {
    pub(super) fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// Makes the connection known to its driver.
    pub(super) fn register(&self) {
        self.with(|_, _| ());
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        self.handle.shared.with(act)
    }

    // ---- Signalling ----

    /// Makes an offer. It has no effect before it is [set](Self::set_local_description).
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let connection = kaon_rtc::peer_connection::PeerConnection::builder().build().await?;
    /// # connection.create_data_channel("chat")?;
    /// let offer = connection.create_offer()?;
    /// connection.set_local_description(Some(&offer))?;
    /// assert_eq!(offer.kind.name(), "offer");
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SessionError::InvalidState`] and [`SessionError::Ended`].
    pub fn create_offer(&self) -> Result<Description, PeerConnectionError> {
        Ok(self.with(|state, _| state.session.create_offer())?)
    }

    /// Makes an answer to the offer of the peer.
    ///
    /// # Errors
    /// [`SessionError::InvalidState`] and [`SessionError::Ended`].
    pub fn create_answer(&self) -> Result<Description, PeerConnectionError> {
        Ok(self.with(|state, _| state.session.create_answer())?)
    }

    /// Applies a description that was created here; `None` creates the one that is due first. Candidates are
    /// gathered from then on.
    ///
    /// # Errors
    /// As [`Session::set_local_description`](crate::session::Session::set_local_description). Nothing has
    /// changed then.
    pub fn set_local_description(
        &self,
        description: Option<&Description>,
    ) -> Result<(), PeerConnectionError> {
        Ok(self.with(|state, now| state.session.set_local_description(now, description))?)
    }

    /// Applies a description of the peer.
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{Description, PeerConnection, PeerConnectionError};
    ///
    /// /// Takes the answer of the peer, as text: the `sdp` of its `RTCSessionDescription`.
    /// fn take_answer(connection: &PeerConnection, sdp: &str) -> Result<(), PeerConnectionError> {
    ///     connection.set_remote_description(&Description::answer(sdp)?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Session::set_remote_description`](crate::session::Session::set_remote_description). Nothing has
    /// changed then.
    pub fn set_remote_description(&self, description: &Description) -> Result<(), PeerConnectionError> {
        Ok(self.with(|state, now| state.session.set_remote_description(now, description))?)
    }

    /// Adds a candidate of the peer.
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{IceCandidateInit, PeerConnection};
    ///
    /// /// Takes what the peer's `icecandidate` event told.
    /// fn take_candidate(connection: &PeerConnection, candidate: String, mid: String) {
    ///     let mut init = IceCandidateInit::new(candidate);
    ///     init.sdp_mid = Some(mid);
    ///     // One that cannot be used takes nothing from the others.
    ///     if let Err(error) = connection.add_ice_candidate(&init) {
    ///         println!("a candidate was refused: {error}");
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Session::add_ice_candidate`](crate::session::Session::add_ice_candidate).
    pub fn add_ice_candidate(&self, candidate: &IceCandidateInit) -> Result<(), PeerConnectionError> {
        Ok(self.with(|state, now| state.session.add_ice_candidate(now, candidate))?)
    }

    /// The next offer restarts ICE; [`PeerConnectionEvent::NegotiationNeeded`] asks for it.
    pub fn restart_ice(&self) {
        self.with(|state, _| state.session.restart_ice());
    }

    /// The description of this side, the pending one first, with the candidates found so far.
    pub fn local_description(&self) -> Option<Description> {
        self.handle.shared.lock().session.local_description()
    }

    /// The description of the peer, the pending one first.
    pub fn remote_description(&self) -> Option<Description> {
        self.handle.shared.lock().session.remote_description().cloned()
    }

    /// Waits until all local candidates are found, or the connection has failed or is closed, which
    /// [`failure`](Self::failure) tells; for signalling without trickle. Gathering begins with
    /// [`set_local_description`](Self::set_local_description): called before, this waits for that, too. Cancel safe.
    pub async fn gathering_complete(&self) {
        self.wait_for(|state| {
            let is_complete = state.session.gathering_state() == GatheringState::Complete;
            (is_complete || state.session.failure().is_some()).then_some(())
        })
        .await;
    }

    /// Waits until the connection is connected. Cancel safe.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kaon_rtc::peer_connection::PeerConnection;
    ///
    /// async fn wait(connection: &PeerConnection) -> Result<(), Box<dyn std::error::Error>> {
    ///     tokio::time::timeout(Duration::from_secs(20), connection.connected()).await??;
    ///     println!("connected by {:?}", connection.selected_pair());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`PeerConnectionError::Ended`] with the reason if it fails or is closed first.
    pub async fn connected(&self) -> Result<(), PeerConnectionError> {
        self.wait_for(|state| match state.session.failure() {
            Some(reason) => Some(Err(reason.clone().into())),
            None => state.is_connected().then_some(Ok(())),
        })
        .await
    }

    pub(super) async fn wait_for<T>(&self, look: impl FnMut(&mut State) -> Option<T>) -> T {
        self.handle.wait_for(look).await
    }

    /// What tells it apart from everything else that there is a handle of.
    pub fn stable_id(&self) -> StableId {
        self.handle.shared.stable_id()
    }

    // ---- States ----

    /// Where the exchange of offer and answer is.
    pub fn signaling_state(&self) -> SignalingState {
        self.handle.shared.lock().session.signaling_state()
    }

    /// Why the connection has failed or is closed, while it is; `None` otherwise. What it failed for first stays the
    /// reason when it is closed after that; an ICE restart that helps takes it back. The same is told by the
    /// [event](PeerConnectionEvent::ConnectionState) of the change and by every error.
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{FailureReason, PeerConnection};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let connection = PeerConnection::builder().build().await?;
    /// assert_eq!(connection.failure(), None);
    /// connection.close();
    /// assert_eq!(connection.failure(), Some(FailureReason::Closed));
    /// let error = connection.connected().await.unwrap_err();
    /// assert_eq!(error.to_string(), "this side closed the connection");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn failure(&self) -> Option<FailureReason> {
        self.handle.shared.lock().session.failure().cloned()
    }

    /// The state of the whole connection.
    pub fn connection_state(&self) -> ConnectionState {
        self.handle.shared.lock().session.connection_state()
    }

    /// The state of ICE.
    pub fn ice_connection_state(&self) -> IceConnectionState {
        self.handle.shared.lock().session.ice_connection_state()
    }

    /// Where the gathering of local candidates is.
    pub fn gathering_state(&self) -> GatheringState {
        self.handle.shared.lock().session.gathering_state()
    }

    /// The pair that data and media take.
    pub fn selected_pair(&self) -> Option<CandidatePair> {
        self.handle.shared.lock().session.selected_pair().cloned()
    }

    /// What was counted so far.
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{PeerConnection, Stats};
    ///
    /// fn show_losses(connection: &PeerConnection) {
    ///     for entry in connection.get_stats().iter() {
    ///         if let Stats::InboundRtp(stream) = entry {
    ///             println!("{} packets received, {} lost", stream.packets_received, stream.packets_lost);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn get_stats(&self) -> StatsReport {
        self.handle.shared.lock().session.stats(Instant::now())
    }

    // ---- Media ----

    /// Adds something to send, on a transceiver that does not send yet if there is one (W3C `addTrack`).
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{RtpSender, PeerConnection, PeerConnectionError, TrackKind, TransceiverInit};
    /// use kaon_rtc::sdp::Direction;
    ///
    /// /// A camera and its microphone, which a browser plays in sync. The next offer has them.
    /// fn add_camera(connection: &PeerConnection) -> Result<[RtpSender; 2], PeerConnectionError> {
    ///     let init = TransceiverInit::new(Direction::SendOnly).stream("porch");
    ///     Ok([
    ///         connection.add_track(TrackKind::Video, init.clone())?,
    ///         connection.add_track(TrackKind::Audio, init)?,
    ///     ])
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::Limit`] and [`SessionError::Ended`].
    pub fn add_track(
        &self,
        kind: TrackKind,
        init: TransceiverInit,
    ) -> Result<RtpSender, PeerConnectionError> {
        let id = self.with(|state, _| state.session.add_track(kind, init))?;
        Ok(RtpSender::new(self.handle.clone(), id))
    }

    /// Adds a transceiver (W3C `addTransceiver`).
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{Codec, PeerConnection, PeerConnectionError, TrackKind, TransceiverInit};
    /// use kaon_rtc::sdp::Direction;
    ///
    /// /// Asks for a picture of the peer, in VP8 and nothing else.
    /// fn watch(connection: &PeerConnection) -> Result<(), PeerConnectionError> {
    ///     let init = TransceiverInit::new(Direction::RecvOnly).codecs([Codec::vp8()]);
    ///     connection.add_transceiver(TrackKind::Video, init)?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::Limit`] and [`SessionError::Ended`].
    pub fn add_transceiver(
        &self,
        kind: TrackKind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, PeerConnectionError> {
        Ok(self.with(|state, _| state.session.add_transceiver(kind, init))?)
    }

    /// The sender of a transceiver.
    ///
    /// # Errors
    /// [`SessionError::NoTransceiver`].
    pub fn sender(&self, id: TransceiverId) -> Result<RtpSender, PeerConnectionError> {
        match self.transceiver(id) {
            Some(_) => Ok(RtpSender::new(self.handle.clone(), id)),
            None => Err(SessionError::NoTransceiver(id).into()),
        }
    }

    /// Changes the direction that this side wants; it is negotiated by the next exchange.
    ///
    /// To mute, send nothing for a while instead. A direction that does not send ends the peer's track: after the
    /// exchange its [`RtpReceiver`] gives nothing more, and when this side sends again the peer gets a new
    /// [`PeerConnectionEvent::Track`].
    ///
    /// # Errors
    /// [`SessionError::NoTransceiver`].
    pub fn set_direction(&self, id: TransceiverId, direction: Direction) -> Result<(), PeerConnectionError> {
        Ok(self.handle.shared.change_transceiver(|session| session.set_direction(id, direction))?)
    }

    /// Ends a transceiver; the next exchange gives its media section up.
    ///
    /// # Errors
    /// [`SessionError::NoTransceiver`].
    pub fn stop_transceiver(&self, id: TransceiverId) -> Result<(), PeerConnectionError> {
        Ok(self.handle.shared.change_transceiver(|session| session.stop_transceiver(id))?)
    }

    /// The transceivers that have not ended, oldest first.
    pub fn transceivers(&self) -> Vec<Transceiver> {
        self.handle.shared.lock().session.transceivers().cloned().collect()
    }

    /// A transceiver as it is now.
    pub fn transceiver(&self, id: TransceiverId) -> Option<Transceiver> {
        self.handle.shared.lock().session.transceiver(id).cloned()
    }

    // ---- RTCP ----

    /// Sends RTCP of the application beside what the connection sends itself; see
    /// [`Session::send_rtcp`](crate::session::Session::send_rtcp).
    ///
    /// # Errors
    /// [`SessionError::NoMedia`], [`SessionError::Rtcp`], [`SessionError::PacketTooLong`],
    /// [`SessionError::TooMuchRtcp`], [`SessionError::Srtp`], and [`PeerConnectionError::Ended`] with the reason.
    pub fn send_rtcp(&self, datagram: &[u8]) -> Result<(), PeerConnectionError> {
        Ok(self.with(|state, now| state.session.send_rtcp(now, datagram))?)
    }

    /// The next thing that the peer tells of what this side sends, for those who bring an estimator: what has become
    /// of each packet, and the reports. `None` once the connection has failed or is closed and everything is told:
    /// [`failure`](Self::failure) says why. For one task; what is not fetched in time is dropped, the oldest first, and
    /// [counted](Self::dropped_rtcp). Cancel safe.
    ///
    /// Nothing comes unless the connection is made to keep it:
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{PeerConnection, RtcpConfig};
    ///
    /// let builder = PeerConnection::builder().session(|config| {
    ///     config.rtcp.max_unread_feedback = RtcpConfig::FEEDBACK;
    /// });
    /// # let _ = builder;
    /// ```
    pub async fn recv_feedback(&self) -> Option<RtcpFeedback> {
        self.recv_unread(Session::receive_feedback).await
    }

    /// The next RTCP datagram of the peer, if
    /// [`max_unread_bytes`](crate::session::RtcpConfig::max_unread_bytes) has them kept; the connection has acted on
    /// what it understands of it. `None` once the connection has failed or is closed and everything is told:
    /// [`failure`](Self::failure) says why. For one task; what is not fetched in time is dropped, the oldest first, and
    /// [counted](Self::dropped_rtcp). Cancel safe.
    pub async fn recv_rtcp(&self) -> Option<RtcpDatagram> {
        self.recv_unread(Session::receive_rtcp).await
    }

    async fn recv_unread<T>(&self, mut take: impl FnMut(&mut Session) -> Option<T>) -> Option<T> {
        self.wait_for(|state| match take(&mut state.session) {
            Some(taken) => Some(Some(taken)),
            None => state.session.failure().map(|_| None),
        })
        .await
    }

    /// How much feedback and RTCP was dropped because it was not fetched in time.
    pub fn dropped_rtcp(&self) -> DroppedRtcp {
        self.handle.shared.lock().session.dropped_rtcp()
    }

    // ---- Data channels ----

    /// Makes a data channel, an ordered and reliable one if a label is all that is given. The first one needs an offer
    /// of this side; later ones need none.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kaon_rtc::layer::Reliability;
    /// use kaon_rtc::peer_connection::{ChannelInit, DataChannel, PeerConnection, PeerConnectionError};
    ///
    /// /// For positions in a game: what comes late is of no use.
    /// fn positions(connection: &PeerConnection) -> Result<DataChannel, PeerConnectionError> {
    ///     let mut init = ChannelInit::new("positions");
    ///     init.ordered = false;
    ///     init.reliability = Reliability::MaxLifetime(Duration::from_millis(150));
    ///     connection.create_data_channel(init)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SessionError::DataChannel`] and [`SessionError::Ended`].
    pub fn create_data_channel(
        &self,
        init: impl Into<ChannelInit>,
    ) -> Result<DataChannel, PeerConnectionError> {
        let init = init.into();
        let id = self.with(|state, now| {
            let id = state.session.create_data_channel(now, init.clone())?;
            state.channels.insert(id, ChannelInbox::default());
            Ok::<_, SessionError>(id)
        })?;
        Ok(DataChannel::new(self.handle.clone(), id, init))
    }

    // ---- Events ----

    /// The next event; `None` once the connection is over and all events are told: it is closed, or has failed for
    /// what an ICE restart does not help against. [`failure`](Self::failure) says why. For one task: of several that
    /// wait, each gets some of the events. Cancel safe.
    ///
    /// A peer that vanishes does not end this: the connection becomes [`Failed`](ConnectionState::Failed) and is kept,
    /// with its socket if it has one of its own, for a [restart](Self::restart_ice). A program that makes none, such as
    /// most servers, [closes](Self::close) it then.
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{ConnectionState, IceCandidateInit, PeerConnection, PeerConnectionEvent};
    ///
    /// /// Tells the peer what has to be signalled.
    /// async fn signal(connection: PeerConnection, tell: impl Fn(IceCandidateInit)) {
    ///     while let Some(event) = connection.next_event().await {
    ///         match event {
    ///             PeerConnectionEvent::IceCandidate(candidate) => tell(candidate),
    ///             PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. } => connection.close(),
    ///             _ => {}
    ///         }
    ///     }
    ///     println!("over: {:?}", connection.failure());
    /// }
    /// ```
    pub async fn next_event(&self) -> Option<PeerConnectionEvent> {
        let told = self
            .wait_for(|state| match state.pop_event() {
                Some(told) => Some(Some(told)),
                None => state.is_over().then_some(None),
            })
            .await?;
        Some(self.with_handles(told))
    }

    /// The next event, if there is one already.
    pub fn try_next_event(&self) -> Option<PeerConnectionEvent> {
        let told = self.handle.shared.lock().pop_event()?;
        Some(self.with_handles(told))
    }

    fn with_handles(&self, told: Told) -> PeerConnectionEvent {
        match told {
            Told::Track(id) => PeerConnectionEvent::Track(RtpReceiver::new(self.handle.clone(), id)),
            Told::DataChannel(id) => {
                let init = self.handle.shared.lock().take_announced(id);
                PeerConnectionEvent::DataChannel(DataChannel::new(self.handle.clone(), id, init))
            }
            Told::Session(event) => event.into(),
        }
    }

    /// Ends the connection at once (W3C `close`), as does dropping the last handle of it. The peer is told, and everything
    /// that waits on this side ends. What was sent and has not arrived is discarded, messages and media alike;
    /// [`shutdown`](Self::shutdown) delivers it first. The endpoint stays until the TURN servers know that they are not needed
    /// any more, mostly for a round trip and for ten seconds at most, as long as the runtime does.
    pub fn close(&self) {
        self.handle.shared.close();
    }
}

impl From<SessionEvent> for PeerConnectionEvent {
    fn from(event: SessionEvent) -> Self {
        match event {
            SessionEvent::SignalingState(state) => Self::SignalingState(state),
            SessionEvent::IceCandidate(candidate) => Self::IceCandidate(candidate),
            SessionEvent::GatheringState(state) => Self::GatheringState(state),
            SessionEvent::IceCandidateError(error) => Self::IceCandidateError(error),
            SessionEvent::IceConnectionState(state) => Self::IceConnectionState(state),
            SessionEvent::SelectedPair(pair) => Self::SelectedPair(pair),
            SessionEvent::UnverifiedPeer { fingerprint } => Self::UnverifiedPeer { fingerprint },
            SessionEvent::ConnectionState { state, reason } => Self::ConnectionState { state, reason },
            SessionEvent::TrackEnded(id) => Self::TrackEnded(id),
            // The others are for the connection itself, and were taken out before.
            SessionEvent::NegotiationNeeded
            | SessionEvent::ResolveName { .. }
            | SessionEvent::Track(_)
            | SessionEvent::KeyFrameRequested { .. }
            | SessionEvent::SendBufferAvailable
            | SessionEvent::DataChannel(_) => Self::NegotiationNeeded,
        }
    }
}

same_if_stable_id_is!(PeerConnection);
