//! Transceivers, W3C WebRTC §5.4.

use std::fmt;

use super::codec::{Codec, NegotiatedCodec};
use crate::layer::{Mid, Rid, Ssrc, TrackKind};
use crate::rtp::{ExtensionId, ExtensionKind, ExtensionMap, ExtensionUris};
use crate::sdp::{Direction, Msid, SsrcGroup};

/// Names a transceiver of a session for as long as the session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransceiverId(pub(super) u32);

impl fmt::Display for TransceiverId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transceiver {}", self.0)
    }
}

/// What a transceiver is to be (W3C `RTCRtpTransceiverInit`).
///
/// ```
/// use kaon_rtc::sdp::Direction;
/// use kaon_rtc::session::{Codec, TransceiverInit};
///
/// let init = TransceiverInit::new(Direction::SendOnly).stream("porch").codecs([Codec::h264(), Codec::vp8()]);
/// assert_eq!(init.streams, ["porch"]);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TransceiverInit {
    /// The direction to negotiate; both ways by default.
    pub direction: Direction,
    /// The streams that what it sends belongs to. The receiver plays tracks of the same stream in sync.
    pub streams: Vec<String>,
    /// The name of the track that it sends; a random one by default.
    pub track_id: Option<String>,
    /// The codecs to negotiate, the preferred first; those of the configuration when empty.
    pub codecs: Vec<Codec>,
}

impl Default for TransceiverInit {
    fn default() -> Self {
        Self { direction: Direction::SendRecv, streams: Vec::new(), track_id: None, codecs: Vec::new() }
    }
}

impl TransceiverInit {
    /// A transceiver of this direction.
    pub fn new(direction: Direction) -> Self {
        Self { direction, ..Self::default() }
    }

    /// The same with a stream that what it sends belongs to.
    #[must_use]
    pub fn stream(mut self, stream: impl Into<String>) -> Self {
        self.streams.push(stream.into());
        self
    }

    /// The same with codecs to negotiate, the preferred first.
    #[must_use]
    pub fn codecs(mut self, codecs: impl IntoIterator<Item = Codec>) -> Self {
        self.codecs = codecs.into_iter().collect();
        self
    }
}

/// One sender and one receiver that share a media section.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Instant;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::sdp::Direction;
/// use kaon_rtc::session::{Session, SessionConfig, TrackKind, TransceiverInit};
///
/// let config = SessionConfig::generate(aws_lc_rs::provider())?;
/// let mut session = Session::new(Instant::now(), config);
/// let id = session.add_transceiver(TrackKind::Video, TransceiverInit::new(Direction::RecvOnly))?;
/// let transceiver = session.transceiver(id).ok_or("it was just made")?;
/// assert_eq!(transceiver.direction(), Direction::RecvOnly);
/// assert!(!transceiver.may_send());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transceiver {
    pub(super) id: TransceiverId,
    pub(super) kind: TrackKind,
    pub(super) direction: Direction,
    pub(super) codecs: Vec<Codec>,
    pub(super) sender: SenderIdentity,
    /// Made by [`add_track`](super::Session::add_track), so that a remote offer may make use of it (RFC 8829
    /// §5.10).
    pub(super) by_track: bool,
    /// Made by a remote offer, and gone with it when that is rolled back.
    pub(super) by_remote: bool,
    /// Its end was asked for and not yet negotiated.
    pub(super) stopping: bool,
    pub(super) stopped: bool,
    pub(super) negotiated: Negotiated,
}

/// How what a transceiver sends is named.
#[derive(Clone, Debug)]
pub(super) struct SenderIdentity {
    /// What it sends, or the first of several.
    pub(super) encoding: EncodingIdentity,
    /// The others.
    pub(super) more_encodings: Vec<EncodingIdentity>,
    pub(super) streams: Vec<String>,
    pub(super) track_id: String,
}

/// How one encoding of what a transceiver sends is named.
#[derive(Clone, Debug)]
pub(super) struct EncodingIdentity {
    pub(super) ssrc: Ssrc,
    pub(super) rtx_ssrc: Ssrc,
    /// Which of several it is (RFC 8852).
    pub(super) rid: Option<Rid>,
}

impl SenderIdentity {
    pub(super) fn encodings(&self) -> impl Iterator<Item = &EncodingIdentity> {
        std::iter::once(&self.encoding).chain(&self.more_encodings)
    }
}

/// What offer and answer agreed on.
#[derive(Clone, Debug, Default)]
pub(super) struct Negotiated {
    pub(super) mid: Option<Mid>,
    /// `None` until an answer was applied.
    pub(super) current_direction: Option<Direction>,
    /// It was agreed once that this side sends, whether it still does or not.
    pub(super) has_sent: bool,
    /// The directions of the last answered descriptions, each as its own side said.
    pub(super) local_direction: Direction,
    pub(super) remote_direction: Direction,
    /// The application was told that the peer sends.
    pub(super) announced: bool,
    /// What the peer takes, the preferred first, under its payload types.
    pub(super) send_codecs: Vec<NegotiatedCodec>,
    /// What this side takes, under its payload types.
    pub(super) receive_codecs: Vec<NegotiatedCodec>,
    /// The header extensions that both sides know.
    pub(super) extensions: ExtensionMap,
    /// Of those that this library does not know, what the peer takes and what it may send.
    pub(super) send_uris: ExtensionUris,
    pub(super) receive_uris: ExtensionUris,
    pub(super) remote: RemoteSources,
}

/// What the peer says of its streams in a media section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RemoteSources {
    /// The peer sends, as far as it says.
    pub(super) sends: bool,
    pub(super) msids: Vec<Msid>,
    pub(super) ssrcs: Vec<Ssrc>,
    pub(super) groups: Vec<SsrcGroup>,
    /// The simulcast streams that the peer sends.
    pub(super) rids: Vec<Rid>,
}

impl RemoteSources {
    /// Each stream with that of its retransmissions, by `a=ssrc-group:FID`.
    pub(super) fn repairs(&self) -> impl Iterator<Item = (Ssrc, Ssrc)> {
        self.groups.iter().filter(|group| group.semantics == "FID").filter_map(|group| {
            match group.sources[..] {
                [primary, repair] => Some((primary, repair)),
                _ => None,
            }
        })
    }
}

impl Transceiver {
    /// Its name.
    pub fn id(&self) -> TransceiverId {
        self.id
    }

    /// Whether it carries sound or pictures.
    pub fn kind(&self) -> TrackKind {
        self.kind
    }

    /// The tag of its media section; `None` before one is agreed on.
    pub fn mid(&self) -> Option<Mid> {
        self.negotiated.mid
    }

    /// The direction that this side wants.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// The direction that was negotiated; `None` before the first answer.
    pub fn current_direction(&self) -> Option<Direction> {
        self.negotiated.current_direction
    }

    /// Whether it has ended.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The codecs that the peer takes, the preferred first.
    pub fn send_codecs(&self) -> &[NegotiatedCodec] {
        &self.negotiated.send_codecs
    }

    /// The codecs that this side takes.
    pub fn receive_codecs(&self) -> &[NegotiatedCodec] {
        &self.negotiated.receive_codecs
    }

    /// The id of a header extension, known to this library or named in its configuration, that is negotiated for one
    /// direction at least.
    pub fn extension_id(&self, uri: &str) -> Option<ExtensionId> {
        let Negotiated { extensions, send_uris, receive_uris, .. } = &self.negotiated;
        match ExtensionKind::from_uri(uri) {
            Some(kind) => extensions.id(kind),
            None => send_uris.id(uri).or_else(|| receive_uris.id(uri)),
        }
    }

    /// The streams and tracks that what the peer sends belongs to.
    pub fn remote_msids(&self) -> &[Msid] {
        &self.negotiated.remote.msids
    }

    /// The simulcast streams that the peer says to send, in its order (RFC 8853); none if it sends one stream.
    pub fn remote_rids(&self) -> &[Rid] {
        &self.negotiated.remote.rids
    }

    /// The SSRC that this side sends with; of several encodings that of the first.
    pub fn ssrc(&self) -> Ssrc {
        self.sender.encoding.ssrc
    }

    /// Whether packets may be sent now.
    pub fn may_send(&self) -> bool {
        !self.is_ending() && self.negotiated.current_direction.is_some_and(Direction::sends)
    }

    /// Nothing is sent or received any more (W3C: stopping or stopped).
    pub(crate) fn is_ending(&self) -> bool {
        self.stopping || self.stopped
    }
}
