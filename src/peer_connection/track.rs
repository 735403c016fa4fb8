//! What is fed to any number of senders, W3C `MediaStreamTrack`.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Instant;

use super::sync::atomic::{AtomicBool, Ordering};
use super::sync::{Mutex, MutexGuard, Notify};
use crate::session::{Codec, OutgoingRtp, TrackKind, TransceiverId};

/// Media that any number of senders of any number of connections send (W3C `MediaStreamTrack`, on the side that sends).
/// Cheap to clone, and shared by its clones.
///
/// A sender gets it with [`RtpSender::replace_track`](super::RtpSender::replace_track), before it is negotiated or
/// after; from then on it sends what [`send_rtp`](Self::send_rtp) is handed. A track keeps no connection open, and
/// forgets the senders of those that have ended; a sender keeps its track.
///
/// # Payload types and numbers
///
/// Each packet goes out under the payload type that the codec of the track has on each connection; that of the packet
/// has no meaning. It is looked up once for each exchange of offer and answer, not for each packet.
///
/// The stream of a sender goes on when its track is replaced, or when it was not taken for a while: under the same SSRC,
/// with the next sequence number, and with the timestamp that the time since the last packet makes of its own. From
/// there on numbers and timestamps are as far apart as those of the track, so that its gaps stay gaps. Packets that are
/// older than the first of a sender are not sent by it. A track whose numbers leap by more than 3000 (RFC 3550 §A.1) has
/// begun anew, and so goes on like another track.
///
/// A sender is fed by its track or by [`RtpSender::send_rtp`](super::RtpSender::send_rtp), not by both: the numbers of
/// the two would collide.
///
/// # Key frames
///
/// What the peers of all senders ask for comes out of [`key_frame_requested`](Self::key_frame_requested). So does what a
/// sender needs that begins to take a stream which is on already.
///
/// ```
/// use kaon_rtc::peer_connection::{
///     Codec, PeerConnection, PeerConnectionError, RtpReceiver, Track, TrackKind, TransceiverInit,
/// };
/// use kaon_rtc::sdp::Direction;
///
/// /// Forwards what one peer says in VP8 to all who watch.
/// async fn forward(publisher: RtpReceiver, stage: Track) {
///     loop {
///         tokio::select! {
///             packet = publisher.recv_rtp() => match packet {
///                 Some(packet) => _ = stage.send_rtp(&packet),
///                 None => return,
///             },
///             () = stage.key_frame_requested() => publisher.request_key_frame(),
///         }
///     }
/// }
///
/// /// Before the exchange of offer and answer, or at any time after.
/// fn watch(viewer: &PeerConnection, stage: &Track) -> Result<(), PeerConnectionError> {
///     let init = TransceiverInit::new(Direction::SendOnly).codecs([stage.codec().clone()]);
///     viewer.add_track(stage.kind(), init)?.replace_track(Some(stage))
/// }
///
/// assert_eq!(Track::new(Codec::vp8()).kind(), TrackKind::Video);
/// ```
#[derive(Clone)]
pub struct Track {
    shared: Arc<TrackShared>,
}

struct TrackShared {
    codec: Codec,
    kind: TrackKind,
    /// Locked before a connection is, and never while one is.
    places: Mutex<Places>,
    is_key_frame_wanted: AtomicBool,
    key_frame_wanted: Notify,
}

/// The senders. Whether one still has the track is what its connection knows.
#[derive(Default)]
struct Places {
    list: Vec<Place>,
    /// With so many it is time to look for those that have gone, so that a place costs the same however many there are.
    look_through_at: usize,
}

/// A sender, which is not to be kept alive.
struct Place {
    connection: Weak<dyn Feed>,
    at: AttachmentId,
}

/// A connection as a track knows it.
pub(super) trait Feed: Send + Sync {
    /// Hands a packet to a sender.
    fn feed(self: Arc<Self>, now: Instant, to: AttachmentId, packet: &OutgoingRtp) -> Fed;

    /// Whether a sender has the track.
    fn has(&self, attachment: AttachmentId) -> bool;
}

/// That a sender got a track: this sender of its connection, this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttachmentId {
    pub(super) transceiver: TransceiverId,
    pub(super) count: u64,
}

/// What became of a packet at one sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fed {
    /// It is on its way.
    Taken,
    /// It is not, and the next one may be.
    Refused,
    /// The sender does not have the track any more, or will never send again.
    Gone,
}

/// Fewer senders are not looked through.
const FEW: usize = 16;

impl Track {
    /// A track of packets in this codec, which no sender has yet. What of the codec matters is what
    /// [`is_compatible`](Codec::is_compatible) compares.
    pub fn new(codec: Codec) -> Self {
        let kind = codec.kind();
        let (places, key_frame_wanted) = (Mutex::default(), Notify::new());
        let is_key_frame_wanted = AtomicBool::new(false);
        Self { shared: Arc::new(TrackShared { codec, kind, places, is_key_frame_wanted, key_frame_wanted }) }
    }

    /// The codec of its packets.
    pub fn codec(&self) -> &Codec {
        &self.shared.codec
    }

    /// Whether it is sound or pictures, as its codec [says](Codec::kind).
    pub fn kind(&self) -> TrackKind {
        self.shared.kind
    }

    /// Hands an RTP packet to every sender, its payload shared and not copied, and says how many have taken it. It does
    /// not wait. A [received packet](super::RtpPacket) is handed over as it is.
    ///
    /// One that cannot take it, fails nobody else: it is not connected yet or does not keep up, its peer does not take
    /// the codec or anything, the packet is [too long](super::RtpSender::max_rtp_payload) for it.
    pub fn send_rtp(&self, packet: impl Into<OutgoingRtp>) -> usize {
        let (packet, now) = (packet.into(), Instant::now());
        let mut taken = 0;
        self.lock().list.retain(|place| {
            let connection = place.connection.upgrade();
            let fed = connection.map_or(Fed::Gone, |connection| connection.feed(now, place.at, &packet));
            taken += usize::from(fed == Fed::Taken);
            fed != Fed::Gone
        });
        taken
    }

    /// Waits until a peer of any sender asks for a key frame, or a sender begins to send the track; requests since the
    /// last call are one. Of several that wait one is told. It goes on waiting while no sender has the track. Cancel
    /// safe.
    pub async fn key_frame_requested(&self) {
        loop {
            let wanted = self.shared.key_frame_wanted.notified();
            if self.shared.is_key_frame_wanted.swap(false, Ordering::AcqRel) {
                return;
            }
            wanted.await;
        }
    }

    /// A sender needs a key frame. Takes no lock of the track.
    pub(super) fn ask_for_key_frame(&self) {
        self.shared.is_key_frame_wanted.store(true, Ordering::Release);
        self.shared.key_frame_wanted.notify_waiters();
    }

    /// A sender has it from now on.
    pub(super) fn attach(&self, connection: Weak<dyn Feed>, at: AttachmentId) {
        let mut places = self.lock();
        if places.list.len() >= places.look_through_at.max(FEW) {
            places
                .list
                .retain(|place| place.connection.upgrade().is_some_and(|at_hand| at_hand.has(place.at)));
            places.look_through_at = 2 * places.list.len();
        }
        places.list.push(Place { connection, at });
    }

    /// A sender does not have it any more.
    pub(super) fn detach(&self, connection: &Weak<dyn Feed>, at: AttachmentId) {
        self.lock().list.retain(|place| place.at != at || !place.connection.ptr_eq(connection));
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Senders that it knows of.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.lock().list.len()
    }
}

/// Clones are the same track.
impl PartialEq for Track {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Track {}

impl Hash for Track {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.shared).hash(state);
    }
}

impl fmt::Debug for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Track").field("codec", &self.shared.codec).finish_non_exhaustive()
    }
}
