//! Parameters of payload formats.

use std::fmt;

use crate::layer::PayloadType;

/// The parameters of a payload type, in the words of the peer: mostly `name=value` with semicolons between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FormatParameters {
    text: String,
}

impl FormatParameters {
    pub(super) const NONE: FormatParameters = FormatParameters { text: String::new() };

    /// Parameters of this text.
    pub fn new(text: impl Into<String>) -> Self {
        FormatParameters { text: text.into() }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.text.split(';').map(str::trim).filter(|text| !text.is_empty()).map(|text| {
            match text.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim())),
                None => (text, None),
            }
        })
    }

    /// The value of a parameter; the case of its name has no meaning.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).and_then(|(_, value)| value)
    }

    /// Whether a parameter is `1`.
    pub fn flag(&self, name: &str) -> bool {
        self.value(name) == Some("1")
    }

    /// The payload type that a retransmission format repairs (`apt`), RFC 4588 §8.1.
    pub fn apt(&self) -> Option<PayloadType> {
        PayloadType::new(self.number("apt")?)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.value(name)?.parse().ok()
    }
}

impl fmt::Display for FormatParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The parameters of H.264, RFC 6184 §8.1. Those that are missing or malformed have their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct H264Parameters {
    /// The profile and level; baseline at level 1 by default.
    pub profile_level_id: ProfileLevelId,
    /// 0 for single NAL units, 1 for non-interleaved, 2 for interleaved.
    pub packetization_mode: u8,
    /// The two directions may have different levels.
    pub level_asymmetry_allowed: bool,
}

impl From<&FormatParameters> for H264Parameters {
    fn from(parameters: &FormatParameters) -> Self {
        H264Parameters {
            profile_level_id: parameters
                .value("profile-level-id")
                .and_then(ProfileLevelId::from_hex)
                .unwrap_or(ProfileLevelId { profile_idc: 0x42, profile_iop: 0, level_idc: 0x0a }),
            packetization_mode: parameters.number("packetization-mode").unwrap_or(0),
            level_asymmetry_allowed: parameters.flag("level-asymmetry-allowed"),
        }
    }
}

/// The three bytes of an H.264 profile and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileLevelId {
    /// The profile.
    pub profile_idc: u8,
    /// Its constraints.
    pub profile_iop: u8,
    /// The level, ten times its number.
    pub level_idc: u8,
}

impl ProfileLevelId {
    /// Reads six hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let [_, profile_idc, profile_iop, level_idc] = u32::from_str_radix(text, 16).ok()?.to_be_bytes();
        Some(ProfileLevelId { profile_idc, profile_iop, level_idc })
    }

    /// Whether both name the same profile, so that one end can decode what the other encodes at a level that
    /// both support, RFC 6184 §8.1 table 5.
    pub fn same_profile(self, other: Self) -> bool {
        match (self.profile(), other.profile()) {
            (None, None) => (self.profile_idc, self.profile_iop) == (other.profile_idc, other.profile_iop),
            (ours, theirs) => ours == theirs,
        }
    }

    // The sub-profile by table 5; `None` stands for what this table does not name.
    fn profile(self) -> Option<u8> {
        // (profile_idc, bits of profile_iop that count, what they are, profile)
        const TABLE: [(u8, u8, u8, u8); 11] = [
            (0x42, 0b0100_1111, 0b0100_0000, 0), // constrained baseline
            (0x4d, 0b1000_1111, 0b1000_0000, 0),
            (0x58, 0b1100_1111, 0b1100_0000, 0),
            (0x42, 0b0100_1111, 0b0000_0000, 1), // baseline
            (0x58, 0b1100_1111, 0b1000_0000, 1),
            (0x4d, 0b1010_1111, 0b0000_0000, 2), // main
            (0x58, 0b1100_1111, 0b0000_0000, 3), // extended
            (0x64, 0b1111_1111, 0b0000_0000, 4), // high
            (0x64, 0b1111_1111, 0b0000_1100, 5), // constrained high
            (0x6e, 0b1111_1111, 0b0000_0000, 6), // high 10
            (0xf4, 0b1111_1111, 0b0000_0000, 7), // high 4:4:4 predictive
        ];
        TABLE
            .iter()
            .find(|(idc, mask, bits, _)| self.profile_idc == *idc && self.profile_iop & mask == *bits)
            .map(|(_, _, _, profile)| *profile)
    }
}

impl fmt::Display for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}", self.profile_idc, self.profile_iop, self.level_idc)
    }
}

/// The parameters of VP9, RFC 9628 §6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Vp9Parameters {
    /// The profile, 0 to 3; 0 by default.
    pub profile_id: u8,
}

impl From<&FormatParameters> for Vp9Parameters {
    fn from(parameters: &FormatParameters) -> Self {
        Vp9Parameters { profile_id: parameters.number("profile-id").unwrap_or(0) }
    }
}

/// The parameters of Opus, RFC 7587 §6.1: what the side that describes can and likes to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpusParameters {
    /// The highest sampling rate that it can play, in Hz; 48000 by default.
    pub max_playback_rate: u32,
    /// The highest bitrate that it likes, in bits per second.
    pub max_average_bitrate: Option<u32>,
    /// The shortest packet that it likes, in ms; 3 by default.
    pub min_ptime: u32,
    /// It can play stereo.
    pub stereo: bool,
    /// It makes use of in-band forward error correction.
    pub use_inband_fec: bool,
    /// It likes silence not to be sent.
    pub use_dtx: bool,
    /// It likes constant bitrate.
    pub constant_bitrate: bool,
}

impl From<&FormatParameters> for OpusParameters {
    fn from(parameters: &FormatParameters) -> Self {
        OpusParameters {
            max_playback_rate: parameters.number("maxplaybackrate").unwrap_or(48_000),
            max_average_bitrate: parameters.number("maxaveragebitrate"),
            min_ptime: parameters.number("minptime").unwrap_or(3),
            stereo: parameters.flag("stereo"),
            use_inband_fec: parameters.flag("useinbandfec"),
            use_dtx: parameters.flag("usedtx"),
            constant_bitrate: parameters.flag("cbr"),
        }
    }
}
