//! Opus, RFC 7587: a packet of Opus is a payload.

use std::time::Duration;

use super::format::append;
use super::{DepacketizeError, PacketizeError, Payload, Piece, Probe};

/// Samples per second that RTP timestamps of Opus count, whatever is coded, RFC 7587 §4.1.
pub const CLOCK_RATE: u32 = 48_000;

/// Default limit of the bytes of one Opus packet: 48 frames of at most 1275 bytes, RFC 6716 §3.4.
pub const DEFAULT_MAX_PACKET_LEN: usize = 48 * 1275 + 100;

/// Sends each Opus packet as a payload.
#[derive(Debug, Clone, Default)]
pub struct Packetizer;

impl super::Packetizer for Packetizer {
    fn packetize(
        &mut self,
        frame: &[u8],
        max_payload_len: usize,
        emit: &mut dyn FnMut(Payload<'_>),
    ) -> Result<(), PacketizeError> {
        if frame.is_empty() {
            return Err(PacketizeError::EmptyFrame);
        }
        if frame.len() > max_payload_len {
            // RFC 7587 §4.2: an Opus packet is never split.
            return Err(PacketizeError::Unsplittable { len: frame.len(), max: max_payload_len });
        }
        // RFC 7587 §4.1: the marker tells the begin of a talk spurt, which only the application knows.
        emit(Payload::new(&[frame], false));
        Ok(())
    }
}

/// Takes each payload as an Opus packet.
#[derive(Debug, Clone)]
pub struct Depacketizer {
    max_frame_len: usize,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Depacketizer::new(DEFAULT_MAX_PACKET_LEN)
    }
}

impl Depacketizer {
    /// A depacketizer that refuses Opus packets of more than `max_frame_len` bytes.
    pub fn new(max_frame_len: usize) -> Self {
        Depacketizer { max_frame_len }
    }
}

impl super::Depacketizer for Depacketizer {
    fn push(
        &mut self,
        payload: &[u8],
        _marker: bool,
        frame: &mut Vec<u8>,
    ) -> Result<Piece, DepacketizeError> {
        if payload.is_empty() {
            return Err(DepacketizeError::EmptyPayload);
        }
        append(frame, payload, self.max_frame_len)?;
        Ok(Piece { starts_frame: true, ends_frame: true, key_frame: true, dimensions: None })
    }

    fn reset(&mut self) {}
}

pub(super) fn packetizer<'a>(_parameter: &dyn Fn(&str) -> Option<&'a str>) -> Packetizer {
    Packetizer
}

pub(super) fn depacketizer(max_frame_len: usize) -> Depacketizer {
    Depacketizer::new(max_frame_len)
}

/// Each is a frame that needs no other.
pub(super) fn probe(payload: &[u8]) -> Option<Probe> {
    (!payload.is_empty()).then_some(Probe { starts_frame: true, key_frame: true })
}

/// What the first byte of an Opus packet says, RFC 6716 §3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toc {
    /// Which part of the codec made it.
    pub mode: Mode,
    /// The highest frequency that is coded.
    pub bandwidth: Bandwidth,
    /// How long one frame of the packet lasts: 2.5 to 60 ms.
    pub frame_duration: Duration,
    /// Whether two channels are coded.
    pub stereo: bool,
    /// How many frames the packet holds: 1 to 48.
    pub frames: u8,
}

/// The part of the codec that made a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// For speech.
    Silk,
    /// Both at once.
    Hybrid,
    /// For music and low delay.
    Celt,
}

/// The audio bandwidth of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bandwidth {
    /// To 4 kHz.
    Narrow,
    /// To 6 kHz.
    Medium,
    /// To 8 kHz.
    Wide,
    /// To 12 kHz.
    SuperWide,
    /// To 20 kHz.
    Full,
}

impl Toc {
    /// Reads the beginning of an Opus packet.
    ///
    /// # Errors
    /// When it is empty, ends before its frame count, or has no frames or more than 120 ms of them
    /// (RFC 6716 §3.2.5).
    pub fn parse(packet: &[u8]) -> Result<Self, DepacketizeError> {
        let &toc = packet.first().ok_or(DepacketizeError::EmptyPayload)?;
        let config = toc >> 3;
        let (mode, bandwidth, micros) = match config {
            0..=11 => {
                let bandwidth =
                    [Bandwidth::Narrow, Bandwidth::Medium, Bandwidth::Wide][usize::from(config / 4)];
                (Mode::Silk, bandwidth, [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)])
            }
            12..=15 => {
                let bandwidth = if config < 14 { Bandwidth::SuperWide } else { Bandwidth::Full };
                (Mode::Hybrid, bandwidth, [10_000, 20_000][usize::from(config % 2)])
            }
            _ => {
                let bandwidths = [Bandwidth::Narrow, Bandwidth::Wide, Bandwidth::SuperWide, Bandwidth::Full];
                let bandwidth = bandwidths[usize::from((config - 16) / 4)];
                (Mode::Celt, bandwidth, [2_500, 5_000, 10_000, 20_000][usize::from(config % 4)])
            }
        };
        let frames = match toc & 0x03 {
            0 => 1,
            1 | 2 => 2,
            _ => packet.get(1).ok_or(DepacketizeError::Truncated("frame count"))? & 0x3f,
        };
        let frame_duration = Duration::from_micros(micros);
        if frames == 0 || frame_duration * u32::from(frames) > Duration::from_millis(120) {
            return Err(DepacketizeError::Malformed("an Opus packet lasts 2.5 to 120 ms"));
        }
        Ok(Toc { mode, bandwidth, frame_duration, stereo: toc & 0x04 != 0, frames })
    }

    /// How long the packet lasts.
    pub fn duration(&self) -> Duration {
        self.frame_duration * u32::from(self.frames)
    }

    /// How far the RTP timestamp advances from this packet to the next.
    pub fn timestamp_step(&self) -> u32 {
        (self.duration().as_micros() as u32) / 125 * (CLOCK_RATE / 8_000)
    }
}
