//! H.264, RFC 6184.

mod first_unit;
mod nal;
mod parameter_sets;

#[cfg(feature = "media")]
pub(crate) use first_unit::FirstUnit;
pub use nal::{NalUnitType, NalUnits, StreamFormat};
pub use parameter_sets::ParameterSets;

use super::format::append;
use super::{DEFAULT_MAX_FRAME_LEN, DepacketizeError, PacketizeError, Payload, Piece, Probe};

/// The most NAL units that this packetizer puts into one aggregation packet.
const MAX_AGGREGATED: usize = 8;

/// How NAL units may travel, as negotiated by `packetization-mode`, RFC 6184 §6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PacketizationMode {
    /// One whole NAL unit in each packet (0).
    SingleNalUnit,
    /// Aggregated (STAP-A) and fragmented (FU-A) NAL units too (1).
    #[default]
    NonInterleaved,
}

/// Splits H.264 access units into payloads.
#[derive(Debug, Clone, Default)]
pub struct Packetizer {
    mode: PacketizationMode,
    format: StreamFormat,
}

impl Packetizer {
    /// A packetizer for access units in this format.
    pub fn new(mode: PacketizationMode, format: StreamFormat) -> Self {
        Packetizer { mode, format }
    }

    fn check(&self, frame: &[u8], max: usize) -> Result<(), PacketizeError> {
        let mut empty = true;
        for unit in NalUnits::new(frame, self.format) {
            let unit = unit?;
            empty = false;
            match NalUnitType::of(unit) {
                Some(kind) if kind.is_coded_unit() => {}
                _ => {
                    let reason = "a NAL unit has a type that only RTP uses";
                    return Err(PacketizeError::Malformed { codec: "H.264", reason });
                }
            }
            if unit.len() > max {
                if self.mode == PacketizationMode::SingleNalUnit {
                    return Err(PacketizeError::Unsplittable { len: unit.len(), max });
                }
                if max < 3 {
                    return Err(PacketizeError::PayloadTooShort { need: 3, have: max });
                }
            }
        }
        if empty { Err(PacketizeError::EmptyFrame) } else { Ok(()) }
    }
}

impl super::Packetizer for Packetizer {
    fn packetize(
        &mut self,
        frame: &[u8],
        max_payload_len: usize,
        emit: &mut dyn FnMut(Payload<'_>),
    ) -> Result<(), PacketizeError> {
        self.check(frame, max_payload_len)?;
        let mut units = NalUnits::new(frame, self.format).map_while(Result::ok).peekable();
        while let Some(unit) = units.next() {
            if unit.len() > max_payload_len {
                fragment(unit, max_payload_len, units.peek().is_none(), emit);
                continue;
            }
            let mut group = Aggregate::new(unit);
            if self.mode == PacketizationMode::NonInterleaved {
                while let Some(next) = units.next_if(|next| group.fits(next, max_payload_len)) {
                    group.push(next);
                }
            }
            group.emit(units.peek().is_none(), emit);
        }
        Ok(())
    }
}

// RFC 6184 §5.8: FU-A.
fn fragment(unit: &[u8], max: usize, last_unit: bool, emit: &mut dyn FnMut(Payload<'_>)) {
    let Some((&header, body)) = unit.split_first() else { return };
    let indicator = (header & 0xe0) | NalUnitType::FuA as u8;
    let room = max - 2;
    let mut start = 0x80;
    let mut chunks = body.chunks(room).peekable();
    while let Some(chunk) = chunks.next() {
        let last = chunks.peek().is_none();
        let fu_header = start | (u8::from(last) << 6) | (header & 0x1f);
        emit(Payload::new(&[&[indicator, fu_header], chunk], last && last_unit));
        start = 0;
    }
}

/// NAL units that share a payload, RFC 6184 §5.7.1: STAP-A.
#[derive(Debug)]
struct Aggregate<'a> {
    units: [&'a [u8]; MAX_AGGREGATED],
    count: usize,
    // Length of the STAP-A payload that these units would make.
    len: usize,
}

impl<'a> Aggregate<'a> {
    fn new(first: &'a [u8]) -> Self {
        let mut units: [&[u8]; MAX_AGGREGATED] = [&[]; MAX_AGGREGATED];
        units[0] = first;
        Aggregate { units, count: 1, len: 1 + 2 + first.len() }
    }

    fn fits(&self, next: &[u8], max: usize) -> bool {
        // RFC 6184 §5.7.1: the size of a unit has two bytes.
        let sizes_fit = self.units[0].len().max(next.len()) <= usize::from(u16::MAX);
        self.count < MAX_AGGREGATED && self.len + 2 + next.len() <= max && sizes_fit
    }

    fn push(&mut self, unit: &'a [u8]) {
        self.units[self.count] = unit;
        self.count += 1;
        self.len += 2 + unit.len();
    }

    fn emit(&self, marker: bool, emit: &mut dyn FnMut(Payload<'_>)) {
        let units = &self.units[..self.count];
        if let [unit] = units {
            emit(Payload::new(&[unit], marker));
            return;
        }
        // The forbidden bit is set when any has it, the importance is the highest of any.
        let mut header = 0;
        let mut importance = 0;
        let mut lengths = [[0; 2]; MAX_AGGREGATED];
        for (unit, length) in units.iter().zip(&mut lengths) {
            let first = unit.first().copied().unwrap_or(0);
            header |= first & 0x80;
            importance = importance.max(first & 0x60);
            *length = (unit.len() as u16).to_be_bytes();
        }
        let header = [header | importance | NalUnitType::StapA as u8];
        let mut parts: [&[u8]; 1 + 2 * MAX_AGGREGATED] = [&[]; 1 + 2 * MAX_AGGREGATED];
        parts[0] = &header;
        for (index, unit) in units.iter().enumerate() {
            parts[1 + 2 * index] = &lengths[index];
            parts[2 + 2 * index] = unit;
        }
        emit(Payload::new(&parts[..1 + 2 * self.count], marker));
    }
}

/// Puts H.264 access units together.
///
/// H.264 payloads do not say where an access unit begins: the first payload after one with the marker, or
/// after [`reset`](super::Depacketizer::reset), is taken for the beginning. Payloads of reserved types are
/// ignored and may leave the frame empty; they neither begin nor end one that has nothing else. A caller who
/// lost packets in the middle of an access unit skips the rest of it by its timestamp.
#[derive(Debug, Clone)]
pub struct Depacketizer {
    format: StreamFormat,
    max_frame_len: usize,
    in_frame: bool,
    // The access unit under way had an error; what is left of it is refused.
    broken: bool,
    fragment: Option<Fragment>,
    units: Units,
    annex_b_payloads: u64,
}

/// A fragmented NAL unit of which the last fragment is yet to come.
#[derive(Debug, Clone, Copy)]
struct Fragment {
    kind: u8,
    // Where its start code or length is in the frame, and where the frame has to end for it to go on.
    start: usize,
    end: usize,
}

/// Which kinds of NAL units a payload brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Units {
    /// A sequence parameter set.
    pub sps: bool,
    /// A picture parameter set.
    pub pps: bool,
    /// A slice of a picture that needs no other.
    pub idr: bool,
    /// A slice of any picture.
    pub picture: bool,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Depacketizer::new(StreamFormat::AnnexB, DEFAULT_MAX_FRAME_LEN)
    }
}

impl Depacketizer {
    /// A depacketizer that writes access units in this format and refuses those of more than `max_frame_len`
    /// bytes.
    pub fn new(format: StreamFormat, max_frame_len: usize) -> Self {
        Depacketizer {
            format,
            max_frame_len,
            in_frame: false,
            broken: false,
            fragment: None,
            units: Units::default(),
            annex_b_payloads: 0,
        }
    }

    /// Which kinds of NAL units the payload pushed last brought, whole or the beginning of.
    pub fn units(&self) -> Units {
        self.units
    }

    /// Payloads so far that had start codes in them, which RTP does not have (RFC 6184 §5.6). Some cameras send what their
    /// encoder gave; the NAL units between the start codes are taken as if each had come by itself.
    pub fn annex_b_payloads(&self) -> u64 {
        self.annex_b_payloads
    }

    /// Whether a NAL unit is under way whose last fragment is yet to come.
    pub fn has_open_fragment(&self) -> bool {
        self.fragment.is_some()
    }

    /// The NAL unit under way has ended, though none of its fragments has said so.
    #[cfg(feature = "media")]
    pub(crate) fn end_fragment(&mut self) {
        self.fragment = None;
    }

    fn push_units(&mut self, payload: &[u8], frame: &mut Vec<u8>) -> Result<(), DepacketizeError> {
        let (&header, body) = payload.split_first().ok_or(DepacketizeError::EmptyPayload)?;
        let kind = NalUnitType::from_header(header);
        if holds_start_codes(kind, payload) {
            return self.push_annex_b(payload, frame);
        }
        if kind == NalUnitType::Reserved || is_reserved_fragment(kind, body) {
            // RFC 6184 §5.4: to be ignored, as payloads, in aggregates and in fragments.
            return Ok(());
        }
        let fragment = self.fragment.take();
        match kind {
            NalUnitType::FuA => self.push_fragment(header, body, fragment, frame),
            _ if fragment.is_some() => {
                Err(DepacketizeError::Malformed("a fragmented NAL unit ends without its last fragment"))
            }
            NalUnitType::StapA => self.push_aggregate(body, frame),
            NalUnitType::StapB => Err(DepacketizeError::Unsupported("STAP-B, of the interleaved mode,")),
            NalUnitType::Mtap16 => Err(DepacketizeError::Unsupported("MTAP16, of the interleaved mode,")),
            NalUnitType::Mtap24 => Err(DepacketizeError::Unsupported("MTAP24, of the interleaved mode,")),
            NalUnitType::FuB => Err(DepacketizeError::Unsupported("FU-B, of the interleaved mode,")),
            _ => self.push_unit(payload, frame),
        }
    }

    fn push_unit(&mut self, unit: &[u8], frame: &mut Vec<u8>) -> Result<(), DepacketizeError> {
        if let Some(kind) = NalUnitType::of(unit) {
            self.note(kind);
        }
        append(frame, &self.format.prefix(unit.len()), self.max_frame_len)?;
        append(frame, unit, self.max_frame_len)
    }

    fn push_annex_b(&mut self, payload: &[u8], frame: &mut Vec<u8>) -> Result<(), DepacketizeError> {
        if self.fragment.take().is_some() {
            return Err(DepacketizeError::Malformed("a fragmented NAL unit ends without its last fragment"));
        }
        self.annex_b_payloads += 1;
        let (first, mut rest) = nal::split_at_start_code(payload).unwrap_or((payload, None));
        let mut unit = Some(first);
        while let Some(bytes) = unit {
            let bytes = nal::without_trailing_zeros(bytes);
            if NalUnitType::of(bytes).is_some_and(NalUnitType::is_coded_unit) {
                self.push_unit(bytes, frame)?;
            }
            (unit, rest) = match rest.and_then(nal::split_at_start_code) {
                Some((next, behind)) => (Some(next), behind),
                None => (None, None),
            };
        }
        Ok(())
    }

    fn push_aggregate(&mut self, mut body: &[u8], frame: &mut Vec<u8>) -> Result<(), DepacketizeError> {
        if body.is_empty() {
            // RFC 6184 §5.7.1: at least one aggregation unit.
            return Err(DepacketizeError::Malformed("STAP-A holds no NAL unit"));
        }
        while let Some((len, rest)) = body.split_first_chunk::<2>() {
            let len = usize::from(u16::from_be_bytes(*len));
            let (unit, rest) = rest.split_at_checked(len).ok_or(DepacketizeError::Truncated("STAP-A"))?;
            match NalUnitType::of(unit) {
                Some(NalUnitType::Reserved) => {}
                Some(kind) if kind.is_coded_unit() => self.push_unit(unit, frame)?,
                _ => {
                    return Err(DepacketizeError::Malformed("STAP-A holds something that is not a NAL unit"));
                }
            }
            body = rest;
        }
        if body.is_empty() { Ok(()) } else { Err(DepacketizeError::Truncated("STAP-A")) }
    }

    fn push_fragment(
        &mut self,
        indicator: u8,
        body: &[u8],
        fragment: Option<Fragment>,
        frame: &mut Vec<u8>,
    ) -> Result<(), DepacketizeError> {
        let (&fu_header, data) = body.split_first().ok_or(DepacketizeError::Truncated("FU header"))?;
        let (starts, ends, kind) = (fu_header & 0x80 != 0, fu_header & 0x40 != 0, fu_header & 0x1f);
        let start = match fragment {
            None if starts => {
                let header = (indicator & 0xe0) | kind;
                if !NalUnitType::from_header(header).is_coded_unit() {
                    return Err(DepacketizeError::Malformed("FU-A of something that is not a NAL unit"));
                }
                self.note(NalUnitType::from_header(header));
                self.note_embedded(header, data);
                let start = frame.len();
                append(frame, &self.format.prefix(0), self.max_frame_len)?;
                append(frame, &[header], self.max_frame_len)?;
                start
            }
            Some(_) if starts => {
                return Err(DepacketizeError::Malformed(
                    "a NAL unit begins before the last fragment of another",
                ));
            }
            Some(fragment) if fragment.kind == kind && fragment.end == frame.len() => fragment.start,
            _ => return Err(DepacketizeError::MissingStart),
        };
        append(frame, data, self.max_frame_len)?;
        if !ends {
            self.fragment = Some(Fragment { kind, start, end: frame.len() });
        } else {
            // Only now is the length known that the AVC form puts before the unit.
            let prefix = self.format.prefix(frame.len() - start - StreamFormat::PREFIX_LEN);
            frame[start..start + StreamFormat::PREFIX_LEN].copy_from_slice(&prefix);
        }
        Ok(())
    }

    /// A fragmented unit may hold others behind start codes, as a whole one may.
    fn note_embedded(&mut self, header: u8, data: &[u8]) {
        if !holds_start_codes(NalUnitType::from_header(header), data) {
            return;
        }
        self.annex_b_payloads += 1;
        let mut rest = nal::split_at_start_code(data).and_then(|(_, rest)| rest);
        while let Some((unit, behind)) = rest.and_then(nal::split_at_start_code) {
            NalUnitType::of(unit).into_iter().for_each(|kind| self.note(kind));
            rest = behind;
        }
    }

    fn note(&mut self, kind: NalUnitType) {
        self.units.sps |= kind == NalUnitType::Sps;
        self.units.pps |= kind == NalUnitType::Pps;
        self.units.idr |= kind == NalUnitType::Idr;
        self.units.picture |= matches!(kind, NalUnitType::Slice | NalUnitType::Idr);
    }
}

/// Whether a payload is, or has in it, what an encoder gives: NAL units behind start codes. Slices, which most payloads
/// hold, are not looked through: what follows one comes in a packet of its own.
fn holds_start_codes(kind: NalUnitType, payload: &[u8]) -> bool {
    match kind {
        NalUnitType::Reserved => nal::without_start_code(payload).len() < payload.len(),
        NalUnitType::Sps | NalUnitType::Pps | NalUnitType::Sei | NalUnitType::AccessUnitDelimiter => {
            nal::split_at_start_code(payload).is_some_and(|(_, rest)| rest.is_some())
        }
        _ => false,
    }
}

fn is_reserved_fragment(kind: NalUnitType, body: &[u8]) -> bool {
    kind == NalUnitType::FuA && NalUnitType::of(body) == Some(NalUnitType::Reserved)
}

impl super::Depacketizer for Depacketizer {
    fn push(&mut self, payload: &[u8], marker: bool, frame: &mut Vec<u8>) -> Result<Piece, DepacketizeError> {
        self.units = Units::default();
        if payload.is_empty() {
            return Err(DepacketizeError::EmptyPayload);
        }
        let starts_frame = !std::mem::replace(&mut self.in_frame, !marker);
        if std::mem::replace(&mut self.broken, !marker) {
            return Err(DepacketizeError::MissingStart);
        }
        let before = frame.len();
        self.push_units(payload, frame)?;
        if starts_frame && frame.len() == before {
            // Nothing of it counts: no access unit has begun.
            self.in_frame = false;
            self.broken = false;
            return Ok(Piece::default());
        }
        if marker && self.fragment.take().is_some() {
            return Err(DepacketizeError::Malformed("the marker is set before the last fragment"));
        }
        self.broken = false;
        Ok(Piece { starts_frame, ends_frame: marker, key_frame: self.units.idr, dimensions: None })
    }

    fn reset(&mut self) {
        self.in_frame = false;
        self.broken = false;
        self.fragment = None;
    }
}

/// RFC 6184 §8.1: without the parameter, the mode is 0.
pub(super) fn packetizer<'a>(parameter: &dyn Fn(&str) -> Option<&'a str>) -> Packetizer {
    let mode = match parameter("packetization-mode").unwrap_or("0").parse() {
        Ok(1u8..) => PacketizationMode::NonInterleaved,
        Ok(0) | Err(_) => PacketizationMode::SingleNalUnit,
    };
    Packetizer::new(mode, StreamFormat::default())
}

pub(super) fn depacketizer(max_frame_len: usize) -> Depacketizer {
    Depacketizer::new(StreamFormat::default(), max_frame_len)
}

/// A sequence parameter set announces a picture that needs no other.
pub(super) fn probe(payload: &[u8]) -> Option<Probe> {
    let is_key = |kind| matches!(kind, NalUnitType::Idr | NalUnitType::Sps);
    let first = first_unit::FirstUnit::of(payload);
    let key_frame = match NalUnitType::of(payload)? {
        NalUnitType::StapA => aggregated(payload).filter_map(NalUnitType::of).any(is_key),
        _ => first.is_some_and(|first| is_key(first.kind)),
    };
    Some(Probe { starts_frame: first.is_some_and(|first| first.begins_access_unit()), key_frame })
}

/// The whole NAL units of an aggregation packet, RFC 6184 §5.7.1.
fn aggregated(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload.get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (len, behind) = rest.split_first_chunk::<2>()?;
        let (unit, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        rest = behind;
        Some(unit)
    })
}
