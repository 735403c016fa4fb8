//! Parameter sets that are told outside of the stream.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Sequence and picture parameter sets that a description has: `sprop-parameter-sets`, RFC 6184 §8.1. Some encoders tell
/// them there and never in the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParameterSets {
    units: Vec<Vec<u8>>,
}

/// The most sets that are kept, 32 and 256 being all that can be told apart, and the most bytes of each.
const MAX_SETS: usize = 32;
const MAX_SET_LEN: usize = 1024;

impl ParameterSets {
    /// Reads the value of `sprop-parameter-sets`: NAL units in base64 with commas between. What is malformed or empty is
    /// left out, as cameras write a comma behind the last.
    pub fn from_sprop(text: &str) -> Self {
        let units = text.split(',').filter_map(|unit| BASE64.decode(unit.trim()).ok());
        let is_kept = |unit: &Vec<u8>| (1..=MAX_SET_LEN).contains(&unit.len());
        Self { units: units.filter(is_kept).take(MAX_SETS).collect() }
    }

    /// The NAL units, in order.
    pub fn units(&self) -> impl Iterator<Item = &[u8]> {
        self.units.iter().map(Vec::as_slice)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }
}

/// RFC 4648 §4, with or without the padding, whatever the bits of the last digit that stand for nothing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_as_cameras_write_them() {
        let sets = ParameterSets::from_sprop("Z0IAH5W4PASaEAAAcIAAFfkAQA==,aM48gA==");
        let units: Vec<_> = sets.units().collect();
        assert_eq!(units.len(), 2);
        assert_eq!(units[0][..4], [0x67, 0x42, 0x00, 0x1f]);
        assert_eq!(units[1], [0x68, 0xce, 0x3c, 0x80]);
        // Hikvision's without the second, and others.
        assert_eq!(ParameterSets::from_sprop("aM48gA,").units().collect::<Vec<_>>(), [units[1]]);
        assert_eq!(ParameterSets::from_sprop(" aM48gA== , a*b").units().count(), 1);
        for text in ["", ",", "=", "===="] {
            assert!(ParameterSets::from_sprop(text).is_empty(), "{text}");
        }
        assert_eq!(ParameterSets::from_sprop(&"aM48gA,".repeat(10_000)).units().count(), MAX_SETS);
    }
}
