//! Vocabulary of media that RTP, RTCP and SDP share: identifiers, serial numbers, units.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A synchronisation source identifier, RFC 3550 §3.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ssrc(pub u32);

impl fmt::Debug for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ssrc({:#010x})", self.0)
    }
}

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl From<u32> for Ssrc {
    fn from(value: u32) -> Self {
        Ssrc(value)
    }
}

/// Whether a track, and the format of its payloads, is audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum TrackKind {
    /// Audio.
    Audio,
    /// Video.
    Video,
}

/// An RTP payload type: seven bits, RFC 3550 §5.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The payload type `value`, if it fits into seven bits.
    pub const fn new(value: u8) -> Option<Self> {
        if value < 128 { Some(PayloadType(value)) } else { None }
    }

    /// The payload type in the low seven bits of `byte`; the marker bit above them is ignored.
    pub const fn from_low_bits(byte: u8) -> Self {
        PayloadType(byte & 0x7f)
    }

    /// The number, 0 to 127.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether RTP with this payload type looks like RTCP on a shared port: 64 to 95, RFC 5761 §4.
    pub const fn collides_with_rtcp(self) -> bool {
        matches!(self.0, 64..=95)
    }
}

impl fmt::Display for PayloadType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! serial_number {
    ($(#[$doc:meta])* $name:ident, $unsigned:ty, $signed:ty) => {
        $(#[$doc])*
        ///
        /// Serial numbers wrap, so they have a distance and a "newer than" (RFC 1982), and no total order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub $unsigned);

        impl $name {
            /// This number advanced by `n`, wrapping.
            #[must_use]
            pub const fn wrapping_add(self, n: $unsigned) -> Self {
                $name(self.0.wrapping_add(n))
            }

            /// This number moved back by `n`, wrapping.
            #[must_use]
            pub const fn wrapping_sub(self, n: $unsigned) -> Self {
                $name(self.0.wrapping_sub(n))
            }

            /// How far `self` is ahead of `earlier`; negative when it is behind.
            ///
            /// Exactly half the number space is neither ahead nor behind; it is reported as the most
            /// negative value.
            pub const fn distance_from(self, earlier: Self) -> $signed {
                self.0.wrapping_sub(earlier.0) as $signed
            }

            /// Whether `self` comes after `other` in serial order.
            pub const fn is_newer_than(self, other: Self) -> bool {
                self.distance_from(other) > 0
            }
        }

        impl From<$unsigned> for $name {
            fn from(value: $unsigned) -> Self {
                $name(value)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

serial_number!(
    /// A 16-bit packet number: the RTP sequence number (RFC 3550 §5.1) or the transport-wide one.
    SequenceNumber,
    u16,
    i16
);

serial_number!(
    /// An RTP timestamp in units of the payload's clock rate, RFC 3550 §5.1.
    RtpTimestamp,
    u32,
    i32
);

/// A wall-clock instant as NTP writes it: seconds since 1900 in 32.32 fixed point, RFC 3550 §4.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NtpTimestamp(pub u64);

impl NtpTimestamp {
    /// The instant `since_1900` after 1900-01-01 00:00 UTC, modulo the 136 years of an NTP era.
    pub const fn from_duration(since_1900: Duration) -> Self {
        let fraction = ((since_1900.subsec_nanos() as u64) << 32) / 1_000_000_000;
        NtpTimestamp((since_1900.as_secs() << 32) | fraction)
    }

    /// Time since the beginning of the NTP era, rounded down to nanoseconds.
    pub const fn as_duration(self) -> Duration {
        let nanos = ((self.0 & 0xffff_ffff) * 1_000_000_000) >> 32;
        Duration::new(self.0 >> 32, nanos as u32)
    }

    /// The middle 32 bits, in 1/65536 s: the form of "last SR", RFC 3550 §6.4.1.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

impl fmt::Debug for NtpTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NtpTimestamp({:#010x}.{:08x})", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// A rate in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Bitrate(u64);

impl Bitrate {
    /// Nothing at all.
    pub const ZERO: Bitrate = Bitrate(0);

    /// A rate of `bps` bits per second.
    pub const fn from_bps(bps: u64) -> Self {
        Bitrate(bps)
    }

    /// A rate of `kbps` thousand bits per second; saturates.
    pub const fn from_kbps(kbps: u64) -> Self {
        Bitrate(kbps.saturating_mul(1000))
    }

    /// The rate in bits per second.
    pub const fn bps(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bit/s", self.0)
    }
}

/// Why a text is not an identifier of a media section or of an RTP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidIdentifier {
    /// Nothing there.
    #[error("the identifier is empty; expected 1 to {max} characters", max = IDENTIFIER_MAX_LEN)]
    Empty,
    /// Longer than this library keeps.
    #[error("the identifier has {0} bytes; expected at most {max}", max = IDENTIFIER_MAX_LEN)]
    TooLong(usize),
    /// A byte that the grammar does not allow.
    #[error("byte {byte:#04x} at offset {offset} is not allowed in an identifier")]
    Character {
        /// The offending byte.
        byte: u8,
        /// Where it stands.
        offset: usize,
    },
}

/// Longest [`Mid`] or [`Rid`] in bytes. RFC 8843 §14 asks for at most three; a UUID fits.
pub const IDENTIFIER_MAX_LEN: usize = 39;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $allowed:expr) => {
        $(#[$doc])*
        ///
        /// Stored inline: copying or parsing one allocates nothing.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            bytes: [u8; IDENTIFIER_MAX_LEN],
            len: u8,
        }

        impl $name {
            /// Checks `text` and copies it.
            ///
            /// # Errors
            /// [`InvalidIdentifier`] if it is empty, too long, or has a byte that may not be there.
            pub fn new(text: &[u8]) -> Result<Self, InvalidIdentifier> {
                if text.is_empty() {
                    return Err(InvalidIdentifier::Empty);
                }
                let mut bytes = [0; IDENTIFIER_MAX_LEN];
                bytes
                    .get_mut(..text.len())
                    .ok_or(InvalidIdentifier::TooLong(text.len()))?
                    .copy_from_slice(text);
                let allowed: fn(u8) -> bool = $allowed;
                match text.iter().position(|&b| !allowed(b)) {
                    Some(offset) => Err(InvalidIdentifier::Character { byte: text[offset], offset }),
                    None => Ok($name { bytes, len: text.len() as u8 }),
                }
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                // Only ASCII is let in.
                std::str::from_utf8(self.as_bytes()).unwrap_or_default()
            }

            /// The identifier as bytes, 1 to [`IDENTIFIER_MAX_LEN`] of them.
            pub fn as_bytes(&self) -> &[u8] {
                &self.bytes[..usize::from(self.len)]
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                self.as_bytes()
            }
        }

        impl FromStr for $name {
            type Err = InvalidIdentifier;

            fn from_str(text: &str) -> Result<Self, InvalidIdentifier> {
                Self::new(text.as_bytes())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

identifier!(
    /// The identification tag of a media section (`a=mid`, and the MID header extension), RFC 9143.
    Mid,
    is_token
);

identifier!(
    /// The identifier of one of several RTP streams of a media section (`a=rid`), RFC 8851 and RFC 8852.
    Rid,
    |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
);

// RFC 8866 §9: token-char.
const fn is_token(b: u8) -> bool {
    matches!(b, 0x21 | 0x23..=0x27 | 0x2a | 0x2b | 0x2d | 0x2e | 0x30..=0x39 | 0x41..=0x5a | 0x5e..=0x7e)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_order_wraps() {
        let last = SequenceNumber(u16::MAX);
        assert_eq!(last.wrapping_add(1), SequenceNumber(0));
        assert!(SequenceNumber(0).is_newer_than(last));
        assert!(!last.is_newer_than(SequenceNumber(0)));
        assert_eq!(SequenceNumber(5).distance_from(SequenceNumber(65530)), 11);
        assert_eq!(SequenceNumber(65530).distance_from(SequenceNumber(5)), -11);
        assert!(!SequenceNumber(0x8000).is_newer_than(SequenceNumber(0)));
        assert!(!SequenceNumber(0).is_newer_than(SequenceNumber(0x8000)));
        assert_eq!(RtpTimestamp(2).distance_from(RtpTimestamp(u32::MAX)), 3);
    }

    #[test]
    fn payload_types() {
        assert_eq!(PayloadType::new(127).map(PayloadType::value), Some(127));
        assert_eq!(PayloadType::new(128), None);
        assert_eq!(PayloadType::from_low_bits(0xe0).value(), 0x60);
        assert!(PayloadType::from_low_bits(72).collides_with_rtcp());
        assert!(!PayloadType::from_low_bits(96).collides_with_rtcp());
    }

    #[test]
    fn ntp_keeps_the_middle() {
        let ntp = NtpTimestamp::from_duration(Duration::new(0x1234_5678, 500_000_000));
        assert_eq!(ntp.0, 0x1234_5678_8000_0000);
        assert_eq!(ntp.middle(), 0x5678_8000);
        assert_eq!(ntp.as_duration(), Duration::new(0x1234_5678, 500_000_000));
        assert_eq!(NtpTimestamp(u64::MAX).as_duration().as_secs(), u64::from(u32::MAX));
    }

    #[test]
    fn identifiers_are_checked() {
        assert_eq!(Mid::new(b"audio-1").unwrap().as_str(), "audio-1");
        assert_eq!(Mid::new(b""), Err(InvalidIdentifier::Empty));
        assert_eq!(Mid::new(&[b'a'; 40]), Err(InvalidIdentifier::TooLong(40)));
        assert_eq!(Mid::new(b"a b"), Err(InvalidIdentifier::Character { byte: b' ', offset: 1 }));
        assert_eq!(Mid::new(b"a.b").unwrap().to_string(), "a.b");
        assert_eq!(Rid::new(b"a.b"), Err(InvalidIdentifier::Character { byte: b'.', offset: 1 }));
        assert!(Rid::new(&[b'x'; IDENTIFIER_MAX_LEN]).is_ok());
        assert!("h\u{e9}".parse::<Mid>().is_err());
    }
}
