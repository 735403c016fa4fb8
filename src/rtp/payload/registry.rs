//! The payload formats that are known: one row each.

use super::format::{DepacketizeError, Depacketizer, PacketizeError, Packetizer, Payload, Piece, Probe};
use super::{h264, opus, vp8, vp9};
use crate::layer::TrackKind;

/// Makes all that is known by format of the rows. The module of a format has `packetizer`, which takes the parameters of
/// the format (`a=fmtp`), `depacketizer`, which takes the limit of a frame, and `probe`.
macro_rules! payload_formats {
    ($($(#[$doc:meta])* $format:ident: $module:ident, $name:literal, $clock_rate:literal, $kind:ident;)*) => {
        /// The payload formats that this library splits frames into and puts them together from.
        ///
        /// ```
        /// use kaon_rtc::rtp::payload::{PayloadFormat, Packetizer};
        ///
        /// let format = PayloadFormat::from_name("vp8").ok_or("it is not known")?;
        /// assert_eq!((format.name(), format.clock_rate()), ("VP8", 90_000));
        ///
        /// let key_frame = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01, 7, 7, 7, 7];
        /// let mut payloads = Vec::new();
        /// format.packetizer(|_| None).packetize(&key_frame, 10, &mut |payload| {
        ///     payloads.push(payload.parts().concat());
        /// })?;
        /// let first = format.probe(&payloads[0]).ok_or("it is malformed")?;
        /// assert!(first.starts_frame && first.key_frame);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum PayloadFormat {
            $($(#[$doc])* $format,)*
        }

        impl PayloadFormat {
            /// Every format.
            pub const ALL: &[PayloadFormat] = &[$(PayloadFormat::$format),*];

            /// Its name in `a=rtpmap`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(PayloadFormat::$format => $name,)*
                }
            }

            /// Ticks of the RTP timestamp per second.
            pub const fn clock_rate(self) -> u32 {
                match self {
                    $(PayloadFormat::$format => $clock_rate,)*
                }
            }

            /// Whether it is audio or video.
            pub const fn kind(self) -> TrackKind {
                match self {
                    $(PayloadFormat::$format => TrackKind::$kind,)*
                }
            }

            /// What splits frames into payloads. `parameter` finds the value of a parameter of the format that the
            /// receiver has told (`a=fmtp`) by its name; without any, each has its default.
            pub fn packetizer<'a>(self, parameter: impl Fn(&str) -> Option<&'a str>) -> AnyPacketizer {
                match self {
                    $(PayloadFormat::$format => AnyPacketizer::$format($module::packetizer(&parameter)),)*
                }
            }

            /// What puts frames of at most `max_frame_len` bytes together.
            pub fn depacketizer(self, max_frame_len: usize) -> AnyDepacketizer {
                match self {
                    $(PayloadFormat::$format => AnyDepacketizer::$format($module::depacketizer(max_frame_len)),)*
                }
            }

            /// What a payload says by itself, without those before it; `None` when it is empty, or ends before the
            /// bytes of the frame begin.
            pub fn probe(self, payload: &[u8]) -> Option<Probe> {
                match self {
                    $(PayloadFormat::$format => $module::probe(payload),)*
                }
            }
        }

        /// The packetizer of a format.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub enum AnyPacketizer {
            $($(#[$doc])* $format($module::Packetizer),)*
        }

        impl Packetizer for AnyPacketizer {
            fn packetize(
                &mut self,
                frame: &[u8],
                max_payload_len: usize,
                emit: &mut dyn FnMut(Payload<'_>),
            ) -> Result<(), PacketizeError> {
                match self {
                    $(AnyPacketizer::$format(one) => one.packetize(frame, max_payload_len, emit),)*
                }
            }
        }

        /// The depacketizer of a format.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub enum AnyDepacketizer {
            $($(#[$doc])* $format($module::Depacketizer),)*
        }

        impl Depacketizer for AnyDepacketizer {
            fn push(
                &mut self,
                payload: &[u8],
                marker: bool,
                frame: &mut Vec<u8>,
            ) -> Result<Piece, DepacketizeError> {
                match self {
                    $(AnyDepacketizer::$format(one) => one.push(payload, marker, frame),)*
                }
            }

            fn reset(&mut self) {
                match self {
                    $(AnyDepacketizer::$format(one) => one.reset(),)*
                }
            }
        }
    };
}

payload_formats! {
    /// VP8, RFC 7741.
    Vp8: vp8, "VP8", 90_000, Video;
    /// VP9, RFC 9628.
    Vp9: vp9, "VP9", 90_000, Video;
    /// H.264, RFC 6184; frames are in Annex B form.
    H264: h264, "H264", 90_000, Video;
    /// Opus, RFC 7587; each packet is a frame.
    Opus: opus, "opus", 48_000, Audio;
}

impl PayloadFormat {
    /// The format of this name in `a=rtpmap`, whose case has no meaning.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name().eq_ignore_ascii_case(name))
    }
}
