//! Codecs as they are negotiated.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::layer::{PayloadType, TrackKind};
use crate::rtp::payload::PayloadFormat;
use crate::rtp::{ExtensionKind, ExtensionUri};
use crate::sdp::{FeedbackKind, FormatParameters};

/// A codec that a session can send and receive: what an `a=rtpmap` with its `a=fmtp` and `a=rtcp-fb` says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Codec {
    /// Its name in `a=rtpmap`; the case has no meaning.
    pub name: String,
    /// Ticks of the RTP timestamp per second.
    pub clock_rate: u32,
    /// Audio channels.
    pub channels: Option<u16>,
    /// Its parameters.
    pub parameters: FormatParameters,
    /// The feedback that it supports.
    pub feedback: Vec<FeedbackKind>,
    /// Whether lost packets are sent again on a stream of their own (RFC 4588).
    pub retransmission: bool,
    /// The payload type to offer, unless it is taken.
    pub preferred_payload_type: PayloadType,
}

impl Codec {
    /// A codec without parameters and feedback.
    pub fn new(name: impl Into<String>, clock_rate: u32, preferred_payload_type: PayloadType) -> Self {
        Self {
            name: name.into(),
            clock_rate,
            channels: None,
            parameters: FormatParameters::default(),
            feedback: Vec::new(),
            retransmission: false,
            preferred_payload_type,
        }
    }

    /// Opus, RFC 7587.
    pub fn opus() -> Self {
        Self {
            channels: Some(2),
            parameters: FormatParameters::new("minptime=10;useinbandfec=1"),
            feedback: vec![FeedbackKind::TransportCc],
            ..Self::of(PayloadFormat::Opus, 111)
        }
    }

    /// G.711 in its µ-law form, RFC 3551 §4.5.14.
    pub fn pcmu() -> Self {
        Self::new("PCMU", 8000, PayloadType::from_low_bits(0))
    }

    /// G.711 in its A-law form, RFC 3551 §4.5.14.
    pub fn pcma() -> Self {
        Self::new("PCMA", 8000, PayloadType::from_low_bits(8))
    }

    /// VP8, RFC 7741.
    pub fn vp8() -> Self {
        Self::video(PayloadFormat::Vp8, 96, "")
    }

    /// VP9 of profile 0, RFC 9628.
    pub fn vp9() -> Self {
        Self::video(PayloadFormat::Vp9, 98, "profile-id=0")
    }

    /// H.264 in the constrained baseline profile at level 3.1, which all browsers decode, with fragmentation
    /// (packetization mode 1), RFC 6184.
    pub fn h264() -> Self {
        Self::h264_profile("42e01f", 102)
    }

    /// H.264 with a `profile-level-id` of six hexadecimal digits, in packetization mode 1.
    pub fn h264_profile(profile_level_id: &str, preferred_payload_type: u8) -> Self {
        let parameters =
            format!("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile_level_id}");
        Self::video(PayloadFormat::H264, preferred_payload_type, &parameters)
    }

    /// H.264 with a `profile-level-id` of six hexadecimal digits, in packetization mode 0: each packet holds one
    /// whole NAL unit, so that the encoder has to make them as small as packets are.
    pub fn h264_single_nal_unit(profile_level_id: &str, preferred_payload_type: u8) -> Self {
        let parameters =
            format!("level-asymmetry-allowed=1;packetization-mode=0;profile-level-id={profile_level_id}");
        Self::video(PayloadFormat::H264, preferred_payload_type, &parameters)
    }

    fn of(format: PayloadFormat, payload_type: u8) -> Self {
        Self::new(format.name(), format.clock_rate(), PayloadType::from_low_bits(payload_type))
    }

    fn video(format: PayloadFormat, payload_type: u8, parameters: &str) -> Self {
        Self {
            parameters: FormatParameters::new(parameters),
            feedback: vec![
                FeedbackKind::TransportCc,
                FeedbackKind::CcmFir,
                FeedbackKind::Nack,
                FeedbackKind::NackPli,
            ],
            retransmission: true,
            ..Self::of(format, payload_type)
        }
    }

    /// Whether it is sound or pictures: pictures have a clock of 90 kHz (RFC 3551 §5), and so does, of all sound, MPEG
    /// audio (RFC 3551 §4.5.13).
    pub fn kind(&self) -> TrackKind {
        match self.clock_rate {
            90_000 if self.channels.is_none() && !self.is("MPA") => TrackKind::Video,
            _ => TrackKind::Audio,
        }
    }

    /// Whether the codec has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// How its frames travel in packets; `None` where this library does not know it.
    pub fn payload_format(&self) -> Option<PayloadFormat> {
        PayloadFormat::from_name(&self.name)
    }

    /// Whether both are the same codec in a configuration that either side can decode.
    pub fn is_compatible(&self, other: &Codec) -> bool {
        self.is(&other.name)
            && self.clock_rate == other.clock_rate
            && self.channels.unwrap_or(1) == other.channels.unwrap_or(1)
            && self.parameters.is_same_format(&self.name, &other.parameters)
    }
}

/// A codec under the payload types that a description gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NegotiatedCodec {
    /// The codec, with the parameters of the side that receives and the feedback of both.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: PayloadType,
    /// How what is lost of it is repaired.
    pub repairs: Repairs,
}

impl NegotiatedCodec {
    /// The payload type of its retransmissions, if they are negotiated.
    pub fn rtx_payload_type(&self) -> Option<PayloadType> {
        self.repairs.rtx
    }
}

/// The payload types of what repairs a codec, as far as they are negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repairs {
    /// Its retransmissions in a stream of their own, RFC 4588.
    pub rtx: Option<PayloadType>,
}

impl Repairs {
    /// All of them.
    pub fn payload_types(&self) -> impl Iterator<Item = PayloadType> + use<> {
        let Self { rtx } = *self;
        rtx.into_iter()
    }

    /// Those of which the other side has one of the same kind.
    pub(super) fn shared_with(self, other: &Self) -> Self {
        let Self { rtx } = self;
        Self { rtx: rtx.filter(|_| other.rtx.is_some()) }
    }
}

/// What a session offers and accepts.
///
/// ```
/// use kaon_rtc::session::{Codec, MediaConfig, TrackKind};
///
/// let mut media = MediaConfig::default();
/// media.video.retain(|codec| codec.is("VP8"));
/// assert!(media.codecs(TrackKind::Video).iter().all(|codec| codec.is("VP8")));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MediaConfig {
    /// Audio codecs, the preferred first. By default Opus and both forms of G.711, which every WebRTC endpoint
    /// has (RFC 7874 §3).
    pub audio: Vec<Codec>,
    /// Video codecs, the preferred first. VP8, VP9, and H.264 in three profiles, two of them
    /// in either packetization mode, by default.
    pub video: Vec<Codec>,
    /// Header extensions of audio.
    pub audio_extensions: Vec<ExtensionKind>,
    /// Header extensions of video.
    pub video_extensions: Vec<ExtensionKind>,
    /// Header extensions of audio that this library does not know, and the application reads, writes or forwards. None
    /// by default.
    pub audio_extension_uris: Vec<ExtensionUri>,
    /// The same of video.
    pub video_extension_uris: Vec<ExtensionUri>,
}

/// A [`MediaConfig`] that many share, and that is copied when one of them changes it.
///
/// ```
/// use kaon_rtc::session::SharedMediaConfig;
///
/// let all = SharedMediaConfig::default();
/// let mut one = all.clone();
/// one.video.retain(|codec| codec.is("VP8"));
/// assert!(all.video.len() > one.video.len());
/// ```
#[derive(Clone, Debug, Default)]
pub struct SharedMediaConfig(Arc<MediaConfig>);

impl From<MediaConfig> for SharedMediaConfig {
    fn from(config: MediaConfig) -> Self {
        Self(Arc::new(config))
    }
}

impl Deref for SharedMediaConfig {
    type Target = MediaConfig;

    fn deref(&self) -> &MediaConfig {
        &self.0
    }
}

impl DerefMut for SharedMediaConfig {
    fn deref_mut(&mut self) -> &mut MediaConfig {
        Arc::make_mut(&mut self.0)
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        use ExtensionKind::{
            AbsSendTime, AudioLevel, Mid, RepairedRid, Rid, TransportSequenceNumber, VideoOrientation,
        };
        Self {
            audio: vec![Codec::opus(), Codec::pcmu(), Codec::pcma()],
            video: vec![
                Codec::vp8(),
                Codec::vp9(),
                Codec::h264(),
                Codec::h264_profile("42001f", 104),
                Codec::h264_profile("640c1f", 106),
                Codec::h264_single_nal_unit("42e01f", 108),
                Codec::h264_single_nal_unit("42001f", 112),
            ],
            audio_extensions: vec![Mid, AbsSendTime, TransportSequenceNumber, AudioLevel],
            video_extensions: vec![
                Mid,
                AbsSendTime,
                TransportSequenceNumber,
                VideoOrientation,
                Rid,
                RepairedRid,
            ],
            audio_extension_uris: Vec::new(),
            video_extension_uris: Vec::new(),
        }
    }
}

impl MediaConfig {
    /// The codecs of a kind, the preferred first.
    pub fn codecs(&self, kind: TrackKind) -> &[Codec] {
        match kind {
            TrackKind::Audio => &self.audio,
            TrackKind::Video => &self.video,
        }
    }

    /// The header extensions of a kind.
    pub fn extensions(&self, kind: TrackKind) -> &[ExtensionKind] {
        match kind {
            TrackKind::Audio => &self.audio_extensions,
            TrackKind::Video => &self.video_extensions,
        }
    }

    /// The header extensions of a kind that this library does not know.
    pub fn extension_uris(&self, kind: TrackKind) -> &[ExtensionUri] {
        match kind {
            TrackKind::Audio => &self.audio_extension_uris,
            TrackKind::Video => &self.video_extension_uris,
        }
    }

    /// The URIs of all header extensions of a kind.
    pub(super) fn all_extension_uris(&self, kind: TrackKind) -> impl Iterator<Item = &str> {
        let known = self.extensions(kind).iter().map(|kind| kind.uri());
        known.chain(self.extension_uris(kind).iter().map(ExtensionUri::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_may_differ_and_profiles_may_not() {
        let ours = Codec::h264();
        assert!(ours.is_compatible(&Codec::h264_profile("42e034", 1)));
        assert!(!ours.is_compatible(&Codec::h264_profile("640c1f", 1)));
        let single_nal = Codec {
            parameters: FormatParameters::new("packetization-mode=0;profile-level-id=42e01f"),
            ..Codec::h264()
        };
        assert!(!ours.is_compatible(&single_nal));
        assert!(!Codec::vp8().is_compatible(&Codec::vp9()));
        assert!(Codec::opus().is_compatible(&Codec { name: "OPUS".into(), ..Codec::opus() }));
        assert!(!Codec::opus().is_compatible(&Codec { channels: None, ..Codec::opus() }));
    }
}
