//! What a connection sends on a transceiver, W3C `RTCRtpSender`.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::attachment::Replaced;
use super::error::PeerConnectionError;
use super::handle::Handle;
use super::stable_id::{StableId, same_if_stable_id_is};
use super::track::{AttachmentId, Feed, Track};
use crate::layer::{PayloadType, RtpTimestamp};
use crate::rtp::payload::{AnyPacketizer, Packetizer};
use crate::sdp::Direction;
use crate::session::{
    Codec, FailureReason, NegotiatedCodec, OutgoingRtp, Session, SessionError, SignalingState, Transceiver,
    TransceiverId,
};

/// What a connection sends on a transceiver (W3C `RTCRtpSender`). Cheap to clone; it keeps the connection open.
///
/// Frames are split into packets by [`FrameSender`](RtpSender::frames); packets of one's own go out with
/// [`send_rtp`](Self::send_rtp).
///
/// # When it may send
///
/// Once the exchange of offer and answer that it is in is done, which [`negotiated`](Self::negotiated) waits for,
/// [`may_send`](Self::may_send) is true and [`codec`](Self::codec) knows the payload types; after
/// [`connected`](super::PeerConnection::connected) of the first exchange both hold, unless the peer wants nothing. Look
/// up a payload type once for each exchange, not for each packet: it takes the lock of the connection, and `codec` clones
/// what it finds.
///
/// # Mute
///
/// Sending nothing is how to mute: it takes no exchange, the peer's track stays, and what comes later plays on it.
/// [`remove`](Self::remove) and [`set_direction`](super::PeerConnection::set_direction) to one that does not send are
/// negotiated: they end the peer's [`RtpReceiver`](super::RtpReceiver), and when this side sends again the peer gets a
/// new one, with a new [`Track`](super::PeerConnectionEvent::Track) event.
///
/// # Forwarding
///
/// A [`Track`] sends one stream on any number of connections, as the example `forward` does. By hand, a packet of a
/// [`RtpReceiver`](super::RtpReceiver) goes out as what [`RtpPacket::to_outgoing`] makes of it, under the payload type
/// that is negotiated [here](Self::payload_type_for); its payload is shared, not copied.
/// [`key_frame_requested`](Self::key_frame_requested) is passed on to
/// [`request_key_frame`](super::RtpReceiver::request_key_frame).
///
/// [`RtpPacket::to_outgoing`]: super::RtpPacket::to_outgoing
///
/// ```
/// use bytes::Bytes;
/// use kaon_rtc::layer::RtpTimestamp;
/// use kaon_rtc::peer_connection::{RtpSender, OutgoingRtp};
///
/// /// Sends one packet of Opus, once the exchange of offer and answer is done.
/// fn send(track: &RtpSender, opus: Bytes, sent: u32) -> Result<(), Box<dyn std::error::Error>> {
///     let payload_type = track.payload_type("opus").ok_or("the peer takes no Opus")?;
///     // Packets of 20 ms, on a clock of 48 kHz.
///     let timestamp = RtpTimestamp(sent.wrapping_mul(960));
///     track.send_rtp(OutgoingRtp::new(payload_type, timestamp, sent == 0, opus))?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RtpSender {
    handle: Arc<Handle>,
    id: TransceiverId,
}

impl RtpSender {
    pub(super) fn new(handle: Arc<Handle>, id: TransceiverId) -> Self {
        Self { handle, id }
    }

    /// The transceiver.
    pub fn id(&self) -> TransceiverId {
        self.id
    }

    /// What tells it apart from everything else that there is a handle of.
    pub fn stable_id(&self) -> StableId {
        self.handle.shared.stable_id().sender(self.id)
    }

    /// The transceiver as it is now; `None` once it is forgotten.
    pub fn transceiver(&self) -> Option<Transceiver> {
        self.handle.shared.lock().session.transceiver(self.id).cloned()
    }

    /// The codecs that the peer takes, the preferred first; none before they are negotiated.
    pub fn codecs(&self) -> Vec<NegotiatedCodec> {
        self.look(|codecs| codecs.to_vec()).unwrap_or_default()
    }

    /// The codec of this name that the peer takes; of several, the one that it prefers.
    pub fn codec(&self, name: &str) -> Option<NegotiatedCodec> {
        self.look(|codecs| codecs.iter().find(|codec| codec.codec.is(name)).cloned())?
    }

    /// The payload type of the codec of this name that the peer takes, as [`codec`](Self::codec) finds it, without a
    /// copy of the codec.
    pub fn payload_type(&self, name: &str) -> Option<PayloadType> {
        self.look(|codecs| Some(codecs.iter().find(|codec| codec.codec.is(name))?.payload_type))?
    }

    /// The payload type under which the peer takes what is encoded as `codec` says, such as the
    /// [codec of a packet](super::RtpReceiver::codec_of) that is forwarded. It holds until the next exchange of offer
    /// and answer.
    pub fn payload_type_for(&self, codec: &Codec) -> Option<PayloadType> {
        self.look(|codecs| Some(codecs.iter().find(|ours| ours.codec.is_compatible(codec))?.payload_type))?
    }

    /// What a look at the codecs that the peer takes finds; `None` once the transceiver is forgotten.
    fn look<T>(&self, look: impl FnOnce(&[NegotiatedCodec]) -> T) -> Option<T> {
        Some(look(self.handle.shared.lock().session.transceiver(self.id)?.send_codecs()))
    }

    /// Waits until the track may send: an exchange of offer and answer has agreed on it, so that
    /// [`codec`](Self::codec) and [`payload_type`](Self::payload_type) know what the peer takes. What is sent before the
    /// connection is [connected](super::PeerConnection::connected) waits for that, up to
    /// [`max_queued_packets`](crate::session::SessionConfig::max_queued_packets). Cancel safe.
    ///
    /// ```
    /// use kaon_rtc::peer_connection::{FrameSender, RtpSender};
    ///
    /// /// Whatever encodes VP8 can begin when this returns.
    /// async fn sender(track: RtpSender) -> Result<FrameSender, Box<dyn std::error::Error>> {
    ///     track.negotiated().await?;
    ///     Ok(track.frames(&track.codec("VP8").ok_or("the peer takes no VP8")?)?)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`PeerConnectionError::Ended`] with the reason that the connection has failed or was closed for;
    /// [`SessionError::NoTransceiver`] if either side has stopped the transceiver, as a peer does that rejects its media
    /// section; [`SessionError::NotSending`] if the last exchange has agreed that nothing is sent, by the wish of either
    /// side, and no other is due or under way.
    pub async fn negotiated(&self) -> Result<(), PeerConnectionError> {
        self.handle.wait_for(|state| is_agreed(&state.session, self.id).transpose()).await
    }

    /// Whether packets may be sent now.
    pub fn may_send(&self) -> bool {
        self.handle.shared.lock().session.transceiver(self.id).is_some_and(Transceiver::may_send)
    }

    /// Sends an RTP packet. It does not wait: media that is late is worth nothing.
    ///
    /// With its header extensions and its protection a packet fits a datagram of 1472 bytes, unless
    /// [`max_rtp_datagram`](crate::session::SessionConfig::max_rtp_datagram) or `set_mtu` of the configuration is set
    /// to less; [`max_rtp_payload`](Self::max_rtp_payload) says what that leaves.
    ///
    /// # Errors
    /// [`PeerConnectionError::Ended`] with the reason that the connection has failed or was closed for,
    /// [`SessionError::NotNegotiated`], [`SessionError::NotSending`],
    /// [`SessionError::PayloadType`], [`SessionError::PacketTooLong`], and [`SessionError::Limit`] when too many packets
    /// wait already.
    pub fn send_rtp(&self, packet: OutgoingRtp) -> Result<(), PeerConnectionError> {
        Ok(self.handle.shared.with(|state, now| state.session.send_rtp(now, self.id, packet))?)
    }

    /// The longest payload in bytes that [`send_rtp`](Self::send_rtp) takes under a payload type now, in a packet
    /// without audio level and video orientation; `None` if the track may not send it.
    pub fn max_rtp_payload(&self, payload_type: PayloadType) -> Option<usize> {
        self.handle.shared.lock().session.max_rtp_payload(self.id, payload_type)
    }

    /// Sends RTP packets, all under one lock.
    ///
    /// # Errors
    /// As [`send_rtp`](Self::send_rtp); those before the one that is refused are sent.
    pub fn send_rtp_batch(
        &self,
        packets: impl IntoIterator<Item = OutgoingRtp>,
    ) -> Result<(), PeerConnectionError> {
        Ok(self.handle.shared.with(|state, now| {
            packets.into_iter().try_for_each(|packet| state.session.send_rtp(now, self.id, packet))
        })?)
    }

    /// Splits frames of a codec into packets and sends them.
    ///
    /// # Errors
    /// [`PeerConnectionError::UnsupportedCodec`] for codecs that no [`PayloadFormat`](crate::rtp::payload::PayloadFormat)
    /// is of.
    pub fn frames(&self, codec: &NegotiatedCodec) -> Result<FrameSender, PeerConnectionError> {
        let format = codec.codec.payload_format();
        let format = format.ok_or_else(|| PeerConnectionError::UnsupportedCodec(codec.codec.name.clone()))?;
        let packetizer = format.packetizer(|name| codec.codec.parameters.value(name));
        Ok(FrameSender { track: self.clone(), codec: codec.clone(), packetizer })
    }

    /// Why the connection has failed or is closed, while it is.
    pub fn failure(&self) -> Option<FailureReason> {
        self.handle.shared.lock().session.failure().cloned()
    }

    /// Waits until the peer asks for a key frame; requests since the last call are one. `None` once the
    /// connection has failed or is closed, which [`failure`](Self::failure) tells, or the transceiver was stopped by
    /// either side. One that only does not send for now may do so again, and goes on waiting. Cancel safe.
    pub async fn key_frame_requested(&self) -> Option<()> {
        loop {
            let changed;
            let notified = {
                let mut state = self.handle.shared.lock();
                let is_ending = state.session.transceiver(self.id)?.is_ending();
                let is_over = is_ending || state.session.failure().is_some();
                let requests = state.key_frame_requests(self.id);
                if std::mem::take(&mut requests.wanted) {
                    return Some(());
                }
                if is_over {
                    return None;
                }
                changed = requests.changed.clone();
                changed.notified()
            };
            notified.await;
        }
    }

    /// Has it send a track, or nothing (W3C `replaceTrack`). No exchange is needed, whatever it has sent before: the
    /// peer sees [one stream](Track#payload-types-and-numbers) that goes on. Before the first exchange, and while
    /// nothing is sent by the agreement, any codec will do, and packets are sent once one is agreed on that is the
    /// track's.
    ///
    /// # Errors
    /// [`PeerConnectionError::TrackKind`] if one is sound and the other pictures; [`PeerConnectionError::TrackCodec`] if
    /// the sender [may send](Self::may_send), and the peer does not take the codec; [`SessionError::NoTransceiver`] once
    /// it was stopped; [`PeerConnectionError::Ended`] with the reason. The track before stays then.
    pub fn replace_track(&self, track: Option<&Track>) -> Result<(), PeerConnectionError> {
        let shared = &self.handle.shared;
        let Replaced { before, after } = {
            let mut state = shared.lock();
            let state = &mut *state;
            state.attachments.replace(&state.session, self.id, track)?
        };
        // A track is locked before a connection, so that neither waits for the other.
        self.leave(before);
        if let (Some(track), Some(at)) = (track, after) {
            track.attach(self.connection(), at);
            let mut state = shared.lock();
            let state = &mut *state;
            state.attachments.begin(&state.session, self.id);
        }
        Ok(())
    }

    /// The track that it sends, as [`replace_track`](Self::replace_track) has set it; none once the transceiver was stopped.
    pub fn track(&self) -> Option<Track> {
        self.handle.shared.lock().attachments.track(self.id).cloned()
    }

    /// Has a track forget the sender.
    fn leave(&self, before: Option<(Track, AttachmentId)>) {
        if let Some((track, at)) = before {
            track.detach(&self.connection(), at);
        }
    }

    /// The connection as a track knows it, without keeping it open.
    fn connection(&self) -> Weak<dyn Feed> {
        let shared: Arc<dyn Feed> = self.handle.shared.clone();
        Arc::downgrade(&shared)
    }

    /// Stops sending: the next exchange negotiates it, and its track is taken away at once (W3C `removeTrack`).
    ///
    /// # Errors
    /// [`SessionError::NoTransceiver`].
    pub fn remove(&self) -> Result<(), PeerConnectionError> {
        self.handle.shared.change_transceiver(|session| {
            let transceiver = session.transceiver(self.id).ok_or(SessionError::NoTransceiver(self.id))?;
            let direction = match transceiver.direction().receives() {
                true => Direction::RecvOnly,
                false => Direction::Inactive,
            };
            session.set_direction(self.id, direction)
        })?;
        let before = self.handle.shared.lock().attachments.remove(self.id);
        self.leave(before);
        Ok(())
    }
}

/// Whether a transceiver may send; `None` while that is open.
fn is_agreed(session: &Session, id: TransceiverId) -> Result<Option<()>, PeerConnectionError> {
    if let Some(reason) = session.failure() {
        return Err(reason.clone().into());
    }
    let transceiver = session.transceiver(id).filter(|transceiver| !transceiver.is_ending());
    let transceiver = transceiver.ok_or(SessionError::NoTransceiver(id))?;
    let is_open = transceiver.current_direction().is_none()
        || session.signaling_state() != SignalingState::Stable
        || session.is_negotiation_needed();
    match transceiver.may_send() {
        true => Ok(Some(())),
        false if is_open => Ok(None),
        false => Err(SessionError::NotSending(id).into()),
    }
}

/// Splits frames into packets and sends them.
///
/// ```
/// use kaon_rtc::layer::RtpTimestamp;
/// use kaon_rtc::peer_connection::RtpSender;
///
/// /// Sends what an encoder makes, a key frame whenever the peer asks for one.
/// async fn play(
///     track: RtpSender,
///     mut encode: impl FnMut(bool) -> Vec<u8>,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let mut sender = track.frames(&track.codec("VP8").ok_or("the peer takes no VP8")?)?;
///     let mut clock = tokio::time::interval(std::time::Duration::from_millis(40));
///     let (mut time, mut is_key) = (0u32, true);
///     loop {
///         tokio::select! {
///             _ = clock.tick() => {
///                 sender.send(&encode(is_key), RtpTimestamp(time))?;
///                 (time, is_key) = (time.wrapping_add(90 * 40), false);
///             }
///             asked = track.key_frame_requested() => match asked {
///                 Some(()) => is_key = true,
///                 None => return Ok(()),
///             },
///         }
///     }
/// }
/// ```
pub struct FrameSender {
    track: RtpSender,
    codec: NegotiatedCodec,
    packetizer: AnyPacketizer,
}

/// Room for the payload in a packet of 1200 bytes with its header extensions and its tag.
const MAX_PAYLOAD: usize = 1100;

impl FrameSender {
    /// Sends a frame in the form that an encoder gives: VP8 and VP9 frames, H.264 in Annex B, Opus packets.
    /// `timestamp` counts in the codec's clock rate.
    ///
    /// # Errors
    /// [`PeerConnectionError::Frame`] when the frame is malformed, else as [`RtpSender::send_rtp`].
    pub fn send(&mut self, frame: &[u8], timestamp: RtpTimestamp) -> Result<(), PeerConnectionError> {
        let payload_type = self.codec.payload_type;
        let mut packets = Vec::new();
        // That it may not send now is what sending says.
        let room = self.track.max_rtp_payload(payload_type).unwrap_or(MAX_PAYLOAD);
        self.packetizer.packetize(frame, MAX_PAYLOAD.min(room), &mut |payload| {
            let bytes = payload.parts().concat();
            packets.push(OutgoingRtp::new(payload_type, timestamp, payload.marker, Bytes::from(bytes)));
        })?;
        self.track.send_rtp_batch(packets)
    }

    /// The codec.
    pub fn codec(&self) -> &NegotiatedCodec {
        &self.codec
    }
}

impl std::fmt::Debug for FrameSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameSender")
            .field("track", &self.track)
            .field("codec", &self.codec)
            .finish_non_exhaustive()
    }
}

same_if_stable_id_is!(RtpSender);
