//! Where access units of H.264 begin and end, H.264 §7.4.1.2.3, whatever a sender does with markers and timestamps.

use super::boundary::Boundary;
use crate::rtp::payload::h264::{self, FirstUnit, NalUnitType, ParameterSets, StreamFormat};
use crate::rtp::payload::{DepacketizeError, Depacketizer as _, Piece};

/// Puts access units together, and finds out what the markers of the stream are worth.
#[derive(Debug)]
pub(super) struct AccessUnits {
    depacketizer: h264::Depacketizer,
    /// Told outside of the stream, for one that has none.
    told_sets: ParameterSets,
    /// The stream has parameter sets.
    has_sets: bool,
    /// Pictures that need no other bring their parameter sets with them, as far as is known.
    sets_in_band: bool,
    /// The access unit under way has a sequence parameter set.
    has_sps: bool,
    /// The access unit under way has a slice.
    has_picture: bool,
    markers: Markers,
    /// A marker that did not end the access unit under way.
    has_held_marker: bool,
    /// A marker was on a fragment that is not the last of its NAL unit, or does not say that it is.
    has_marked_fragment: bool,
}

/// Whether a marker ends an access unit, as RFC 6184 §5.1 has it: some cameras set it on each NAL unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Markers {
    /// It does as far as is known.
    Trusted,
    /// One was on parameter sets alone. The next is not obeyed before it is seen what comes behind it.
    Suspected,
    /// What came behind it was the next access unit.
    Proven,
    /// What came behind it was more of the same picture.
    Worthless,
}

impl AccessUnits {
    pub(super) fn new(max_frame_len: usize) -> Self {
        Self {
            depacketizer: h264::Depacketizer::new(StreamFormat::AnnexB, max_frame_len),
            told_sets: ParameterSets::default(),
            has_sets: false,
            sets_in_band: false,
            has_sps: false,
            has_picture: false,
            markers: Markers::Trusted,
            has_held_marker: false,
            has_marked_fragment: false,
        }
    }

    pub(super) fn set_parameter_sets(&mut self, sets: ParameterSets) {
        self.told_sets = sets;
    }

    pub(super) fn push(
        &mut self,
        payload: &[u8],
        marker: bool,
        frame: &mut Vec<u8>,
    ) -> Result<Piece, DepacketizeError> {
        let lacks_sets = !self.has_sets && !self.has_picture && !self.told_sets.is_empty();
        let begins_with_idr = FirstUnit::of(payload).is_some_and(|first| first.kind == NalUnitType::Idr);
        if lacks_sets && begins_with_idr {
            self.insert_sets(frame);
        }
        // Whether the marker counts is found out here.
        let mut piece = self.depacketizer.push(payload, false, frame)?;
        let units = self.depacketizer.units();
        if lacks_sets && !begins_with_idr && units.idr && !self.depacketizer.has_open_fragment() {
            self.insert_sets(frame);
        }
        self.has_sets |= units.sps;
        self.has_sps |= units.sps;
        self.sets_in_band |= units.sps;
        if units.idr && !self.has_picture && !self.has_sps {
            // Nothing is missing in front of it: the next need not bring them either.
            self.sets_in_band = false;
        }
        self.has_picture |= units.picture;
        if !marker {
            return Ok(piece);
        }
        if self.depacketizer.has_open_fragment() {
            // No packet is missing: either the marker is on every fragment, or the last does not say that it is.
            self.has_marked_fragment = true;
            return Ok(piece);
        }
        if !self.has_picture {
            if !frame.is_empty() && self.markers == Markers::Trusted {
                self.markers = Markers::Suspected;
            }
            return Ok(piece);
        }
        piece.ends_frame = matches!(self.markers, Markers::Trusted | Markers::Proven);
        self.has_held_marker = !piece.ends_frame;
        Ok(piece)
    }

    /// What a payload means for the access unit under way.
    pub(super) fn boundary(&mut self, same_timestamp: bool, payload: &[u8]) -> Boundary {
        if self.depacketizer.has_open_fragment() {
            let continues = continues_fragment(payload);
            if self.has_marked_fragment && continues {
                self.markers = Markers::Worthless;
            }
            if continues || !self.has_marked_fragment {
                return if same_timestamp { Boundary::Inside } else { Boundary::Broken };
            }
            self.depacketizer.end_fragment();
        }
        if !self.has_picture {
            // Parameter sets may come under the timestamp of the picture before.
            return if same_timestamp { Boundary::Inside } else { Boundary::Adopted };
        }
        let begins = !same_timestamp || FirstUnit::of(payload).is_some_and(FirstUnit::begins_behind_picture);
        if self.has_held_marker && self.markers == Markers::Suspected {
            self.markers = if begins { Markers::Proven } else { Markers::Worthless };
        }
        if begins { Boundary::After } else { Boundary::Inside }
    }

    /// A payload came behind an access unit that a marker has ended, with the same timestamp. Says whether it is more
    /// of the same picture: then that was no end.
    pub(super) fn continues_ended(&mut self, payload: &[u8]) -> bool {
        let continues = FirstUnit::of(payload).is_some_and(|first| first.is_later_slice());
        if continues {
            self.markers = Markers::Worthless;
        }
        continues
    }

    /// Whether a marker may have ended an access unit that was given up.
    pub(super) fn trusts_markers(&self) -> bool {
        matches!(self.markers, Markers::Trusted | Markers::Proven)
    }

    /// Whether a payload is the first of an access unit, of which the packets before are not known.
    pub(super) fn starts(&self, payload: &[u8]) -> bool {
        FirstUnit::of(payload).is_some_and(|first| {
            first.begins_access_unit() && !(first.kind == NalUnitType::Idr && self.sets_in_band)
        })
    }

    pub(super) fn reset(&mut self) {
        self.depacketizer.reset();
        self.has_sps = false;
        self.has_picture = false;
        self.has_held_marker = false;
        self.has_marked_fragment = false;
    }

    /// Puts the parameter sets that were told in front of the access unit under way, or behind its delimiter.
    fn insert_sets(&mut self, frame: &mut Vec<u8>) {
        const DELIMITER_LEN: usize = 2;
        let first = frame.get(START_CODE.len()..).and_then(NalUnitType::of);
        let at = match first {
            Some(NalUnitType::AccessUnitDelimiter) => (START_CODE.len() + DELIMITER_LEN).min(frame.len()),
            _ => 0,
        };
        let sets = self.told_sets.units().flat_map(|unit| START_CODE.iter().chain(unit));
        frame.splice(at..at, sets.copied());
    }

    pub(super) fn annex_b_payloads(&self) -> u64 {
        self.depacketizer.annex_b_payloads()
    }
}

const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Whether a payload is a fragment, and not the first, of a NAL unit.
fn continues_fragment(payload: &[u8]) -> bool {
    let is_fragment = NalUnitType::of(payload) == Some(NalUnitType::FuA);
    is_fragment && payload.get(1).is_some_and(|fu| fu & 0x80 == 0)
}
