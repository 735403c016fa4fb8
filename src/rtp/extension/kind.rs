//! What extension elements mean.

use std::time::Duration;

use crate::layer::{Mid, NtpTimestamp, Rid, SequenceNumber};

/// Makes the kinds of their rows: each with its URI.
macro_rules! extension_kinds {
    ($($(#[$doc:meta])* $kind:ident = $uri:literal;)*) => {
        /// The header extensions that this library reads and writes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ExtensionKind {
            $($(#[$doc])* $kind,)*
        }

        impl ExtensionKind {
            /// Every kind.
            pub const ALL: [ExtensionKind; [$($uri),*].len()] = [$(ExtensionKind::$kind),*];

            /// The URI that names the extension in `a=extmap`.
            pub const fn uri(self) -> &'static str {
                match self {
                    $(ExtensionKind::$kind => $uri,)*
                }
            }
        }
    };
}

extension_kinds! {
    /// When the packet left the sender: [`AbsSendTime`].
    AbsSendTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    /// The transport-wide sequence number: [`TransportSequenceNumber`].
    TransportSequenceNumber = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    /// The media section that the packet belongs to: [`Mid`], RFC 9143 §15.
    Mid = "urn:ietf:params:rtp-hdrext:sdes:mid";
    /// The restriction identifier of its stream: [`Rid`], RFC 8852.
    Rid = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    /// The restriction identifier of the stream that it repairs: [`RepairedRid`], RFC 8852.
    RepairedRid = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
    /// How loud its audio is: [`AudioLevel`], RFC 6464.
    AudioLevel = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    /// How its picture is turned: [`VideoOrientation`], 3GPP TS 26.114 §7.4.5.
    VideoOrientation = "urn:3gpp:video-orientation";
}

impl ExtensionKind {
    /// The kind that `uri` names, if it is one of these.
    pub fn from_uri(uri: &str) -> Option<Self> {
        ExtensionKind::ALL.into_iter().find(|kind| kind.uri() == uri)
    }
}

/// A typed extension element.
pub trait HeaderExtension: Sized {
    /// Which extension it is.
    const KIND: ExtensionKind;

    /// What the element's data are written from.
    type Encoded: AsRef<[u8]>;

    /// Reads the element's data; `None` when they are malformed.
    fn parse(data: &[u8]) -> Option<Self>;

    /// The element's data.
    fn encode(&self) -> Self::Encoded;
}

/// The time at which the packet left the sender: 24 bits of 6.18 fixed-point seconds, which wrap every 64 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AbsSendTime(u32);

impl AbsSendTime {
    /// The time whose 6.18 fixed-point form is the low 24 bits of `value`.
    pub const fn from_fixed_point(value: u32) -> Self {
        AbsSendTime(value & 0x00ff_ffff)
    }

    /// The part of an NTP time that this extension carries.
    pub const fn from_ntp(time: NtpTimestamp) -> Self {
        AbsSendTime::from_fixed_point((time.0 >> 14) as u32)
    }

    /// The 6.18 fixed-point form.
    pub const fn fixed_point(self) -> u32 {
        self.0
    }

    /// The time since the last multiple of 64 s, rounded down to nanoseconds.
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos((self.0 as u64 * 1_000_000_000) >> 18)
    }
}

impl HeaderExtension for AbsSendTime {
    const KIND: ExtensionKind = ExtensionKind::AbsSendTime;
    type Encoded = [u8; 3];

    fn parse(data: &[u8]) -> Option<Self> {
        let &[a, b, c] = data else { return None };
        Some(AbsSendTime(u32::from_be_bytes([0, a, b, c])))
    }

    fn encode(&self) -> [u8; 3] {
        let [_, a, b, c] = self.0.to_be_bytes();
        [a, b, c]
    }
}

/// The number of the packet among all that share the transport, draft-holmer-rmcat-transport-wide-cc-01 §2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransportSequenceNumber(pub SequenceNumber);

impl HeaderExtension for TransportSequenceNumber {
    const KIND: ExtensionKind = ExtensionKind::TransportSequenceNumber;
    type Encoded = [u8; 2];

    fn parse(data: &[u8]) -> Option<Self> {
        Some(TransportSequenceNumber(SequenceNumber(u16::from_be_bytes(data.try_into().ok()?))))
    }

    fn encode(&self) -> [u8; 2] {
        self.0.0.to_be_bytes()
    }
}

impl HeaderExtension for Mid {
    const KIND: ExtensionKind = ExtensionKind::Mid;
    type Encoded = Mid;

    fn parse(data: &[u8]) -> Option<Self> {
        Mid::new(data).ok()
    }

    fn encode(&self) -> Mid {
        *self
    }
}

impl HeaderExtension for Rid {
    const KIND: ExtensionKind = ExtensionKind::Rid;
    type Encoded = Rid;

    fn parse(data: &[u8]) -> Option<Self> {
        Rid::new(data).ok()
    }

    fn encode(&self) -> Rid {
        *self
    }
}

/// The restriction identifier of the stream that this packet repairs, RFC 8852 §4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RepairedRid(pub Rid);

impl HeaderExtension for RepairedRid {
    const KIND: ExtensionKind = ExtensionKind::RepairedRid;
    type Encoded = Rid;

    fn parse(data: &[u8]) -> Option<Self> {
        Rid::new(data).ok().map(RepairedRid)
    }

    fn encode(&self) -> Rid {
        self.0
    }
}

/// How loud the audio of this packet is, measured by the client that sends it, RFC 6464.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AudioLevel {
    /// Whether the sender believes that the packet holds voice.
    pub voice: bool,
    /// The level as -dBov: 0 is the loudest, 127 is silence. Only the low seven bits are written.
    pub dbov: u8,
}

impl HeaderExtension for AudioLevel {
    const KIND: ExtensionKind = ExtensionKind::AudioLevel;
    type Encoded = [u8; 1];

    fn parse(data: &[u8]) -> Option<Self> {
        // RFC 6464 §3: in the two-byte form a byte of padding may follow.
        let &byte = data.first()?;
        Some(AudioLevel { voice: byte & 0x80 != 0, dbov: byte & 0x7f })
    }

    fn encode(&self) -> [u8; 1] {
        [(u8::from(self.voice) << 7) | (self.dbov & 0x7f)]
    }
}

/// How far the receiver has to turn the picture, clockwise, before it shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rotation {
    /// Not at all.
    #[default]
    Degrees0,
    /// A quarter.
    Degrees90,
    /// Upside down.
    Degrees180,
    /// Three quarters.
    Degrees270,
}

/// How the picture of this packet was taken: coordination of video orientation, 3GPP TS 26.114 §7.4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VideoOrientation {
    /// Whether a back-facing camera took it.
    pub back_camera: bool,
    /// Whether the receiver has to mirror it, left to right.
    pub flip: bool,
    /// How far the receiver has to turn it.
    pub rotation: Rotation,
}

impl HeaderExtension for VideoOrientation {
    const KIND: ExtensionKind = ExtensionKind::VideoOrientation;
    type Encoded = [u8; 1];

    fn parse(data: &[u8]) -> Option<Self> {
        let &[byte] = data else { return None };
        let rotation = match byte & 0x03 {
            0 => Rotation::Degrees0,
            1 => Rotation::Degrees90,
            2 => Rotation::Degrees180,
            _ => Rotation::Degrees270,
        };
        Some(VideoOrientation { back_camera: byte & 0x08 != 0, flip: byte & 0x04 != 0, rotation })
    }

    fn encode(&self) -> [u8; 1] {
        [(u8::from(self.back_camera) << 3) | (u8::from(self.flip) << 2) | self.rotation as u8]
    }
}
