//! What a peer sends on a transceiver, W3C `RTCRtpReceiver`.

use std::sync::Arc;

use super::error::PeerConnectionError;
use super::handle::Handle;
use super::inbox::TrackInbox;
use super::rtp_packet::RtpPacket;
use super::shared::Shared;
use super::stable_id::{StableId, same_if_stable_id_is};
use super::sync::Notify;
use crate::layer::Rid;
use crate::rtp::Packet;
use crate::sdp::Msid;
use crate::session::{FailureReason, NegotiatedCodec, TrackKind, Transceiver, TransceiverId};

/// What a peer sends on a transceiver (W3C `RTCRtpReceiver`). Cheap to clone; it keeps the connection open.
///
/// Once the last clone is dropped, packets that arrive are thrown away.
///
/// ```
/// use kaon_rtc::peer_connection::{RtpSender, RtpReceiver};
///
/// /// Sends what one peer says to another. Both take the codec, under numbers of their own.
/// async fn forward(from: RtpReceiver, to: RtpSender) {
///     while let Some(packet) = from.recv_rtp().await {
///         let Some(codec) = from.codec_of(&packet.as_packet()) else { continue };
///         let Some(payload_type) = to.payload_type_for(&codec.codec) else { continue };
///         // What cannot be sent now is as good as lost.
///         let _ = to.send_rtp(packet.to_outgoing(payload_type));
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct RtpReceiver {
    id: TransceiverId,
    /// Of several simulcast streams, this one alone.
    rid: Option<Rid>,
    reader: Arc<Reader>,
}

/// What clones of a track share: with the last one goes what waits to be read.
#[derive(Debug)]
struct Reader {
    handle: Arc<Handle>,
    id: TransceiverId,
    rid: Option<Rid>,
    /// Tells the inbox from one that took its place.
    changed: Arc<Notify>,
}

impl Reader {
    fn new(handle: Arc<Handle>, id: TransceiverId, rid: Option<Rid>) -> Arc<Self> {
        let changed = handle.shared.lock().track(id, rid).attach();
        Arc::new(Self { handle, id, rid, changed })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.handle.shared.lock().detach_track(self.id, self.rid, &self.changed);
    }
}

impl RtpReceiver {
    pub(super) fn new(handle: Arc<Handle>, id: TransceiverId) -> Self {
        Self::of_stream(handle, id, None)
    }

    fn of_stream(handle: Arc<Handle>, id: TransceiverId, rid: Option<Rid>) -> Self {
        Self { id, rid, reader: Reader::new(handle, id, rid) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.reader.handle.shared
    }

    /// The transceiver.
    pub fn id(&self) -> TransceiverId {
        self.id
    }

    /// What tells it apart from everything else that there is a handle of.
    pub fn stable_id(&self) -> StableId {
        self.shared().stable_id().receiver(self.id, self.rid)
    }

    /// The transceiver as it is now; `None` once it is forgotten.
    pub fn transceiver(&self) -> Option<Transceiver> {
        self.shared().lock().session.transceiver(self.id).cloned()
    }

    /// The simulcast streams of the track, in the order of the peer (RFC 8853); none if it sends one stream.
    pub fn rids(&self) -> Vec<Rid> {
        self.look(|transceiver| transceiver.remote_rids().to_vec()).unwrap_or_default()
    }

    /// The simulcast stream that this is; `None` for the track as a whole.
    pub fn rid(&self) -> Option<Rid> {
        self.rid
    }

    /// One simulcast stream as a track of its own: its packets and frames come from what this returns, and not
    /// from the track as a whole while it is kept, and key frames are asked for of it alone. Each call with the
    /// same RID leads to the same packets. `None` if the peer sends no such stream.
    pub fn simulcast_stream(&self, rid: Rid) -> Option<Self> {
        if !self.look(|transceiver| transceiver.remote_rids().contains(&rid))? {
            return None;
        }
        Some(Self::of_stream(self.reader.handle.clone(), self.id, Some(rid)))
    }

    /// Whether it is sound or pictures; `None` once the transceiver is forgotten.
    pub fn kind(&self) -> Option<TrackKind> {
        self.look(Transceiver::kind)
    }

    /// The streams and tracks that it belongs to, as the peer says.
    pub fn msids(&self) -> Vec<Msid> {
        self.look(|transceiver| transceiver.remote_msids().to_vec()).unwrap_or_default()
    }

    /// The codecs that the peer may send.
    pub fn codecs(&self) -> Vec<NegotiatedCodec> {
        self.look(|transceiver| transceiver.receive_codecs().to_vec()).unwrap_or_default()
    }

    /// The codec of a packet, which is that of all packets of its payload type until the next exchange of offer and
    /// answer: whoever forwards looks it up when the payload type changes.
    pub fn codec_of(&self, packet: &Packet<'_>) -> Option<NegotiatedCodec> {
        let is_it = |codec: &&NegotiatedCodec| codec.payload_type == packet.payload_type();
        self.look(|transceiver| transceiver.receive_codecs().iter().find(is_it).cloned())?
    }

    /// What a look at the transceiver finds; `None` once it is forgotten.
    fn look<T>(&self, look: impl FnOnce(&Transceiver) -> T) -> Option<T> {
        self.shared().lock().session.transceiver(self.id).map(look)
    }

    /// Why the connection has failed or is closed, while it is.
    pub fn failure(&self) -> Option<FailureReason> {
        self.shared().lock().session.failure().cloned()
    }

    /// The next packet; `None` once the track has ended, or the connection has failed or is closed, and all packets
    /// are told: [`failure`](Self::failure) says which. What is not fetched in time is dropped, the oldest first.
    /// Cancel safe.
    pub async fn recv_rtp(&self) -> Option<RtpPacket> {
        loop {
            let changed = self.inbox(|inbox| inbox.changed.clone())?;
            let changed = changed.notified();
            match self.try_recv_rtp() {
                Ok(packet) => return packet,
                Err(_) => changed.await,
            }
        }
    }

    /// The next packet, if there is one; `None` as [`recv_rtp`](Self::recv_rtp) returns it.
    ///
    /// # Errors
    /// [`PeerConnectionError::WouldBlock`] if there is none now.
    pub fn try_recv_rtp(&self) -> Result<Option<RtpPacket>, PeerConnectionError> {
        let mut state = self.shared().lock();
        let has_failed = state.session.failure().is_some();
        match state.tracks.get_mut(&(self.id, self.rid)).map(|inbox| (inbox.pop(), inbox.ended)) {
            Some((Some(packet), _)) => Ok(Some(packet)),
            Some((None, false)) if !has_failed => Err(PeerConnectionError::WouldBlock),
            Some((None, _)) | None => Ok(None),
        }
    }

    /// Whether packets may still come.
    pub(super) fn is_live(&self) -> bool {
        self.inbox(|inbox| !inbox.ended).unwrap_or_default() && self.failure().is_none()
    }

    /// Packets that were dropped because nobody fetched them in time.
    pub fn dropped(&self) -> u64 {
        self.inbox(|inbox| inbox.dropped).unwrap_or_default()
    }

    /// Asks the peer for a key frame.
    pub fn request_key_frame(&self) {
        self.shared().with(|state, _| state.session.request_key_frame(self.id, self.rid));
    }

    fn inbox<T>(&self, look: impl FnOnce(&mut TrackInbox) -> T) -> Option<T> {
        self.shared().lock().tracks.get_mut(&(self.id, self.rid)).map(look)
    }
}

same_if_stable_id_is!(RtpReceiver);
