//! RTP of one source, brought into the numbering and the timeline of its feed. No socket and no clock.

use std::time::Duration;

use bytes::Bytes;
use kaon_rtc::layer::Ssrc;
use kaon_rtc::peer_connection::TrackKind;
use kaon_rtc::rtp::Packet;
use kaon_rtc::rtp::payload::h264::NalUnitType;
use kaon_rtc::rtp::payload::{opus, vp8};
use thiserror::Error;

use crate::clip::MAX_PAYLOAD;
use crate::feed::{FeedCodec, FeedPacket, Unit};

/// What makes units of a source's packets.
#[derive(Debug)]
pub struct Intake {
    codec: FeedCodec,
    source: Option<Source>,
    /// The first packet of a source that may be the next one.
    candidate: Option<Candidate>,
    next_index: u64,
    last_timestamp: u32,
}

/// The source that is listened to.
#[derive(Debug)]
struct Source {
    ssrc: Ssrc,
    sequence_number: u16,
    index: u64,
    /// What its timestamps are ahead of the feed's.
    offset: u32,
    timestamp: u32,
    last_packet: Duration,
    /// A packet came at which a decoder can begin.
    has_entry: bool,
}

#[derive(Debug)]
struct Candidate {
    ssrc: Ssrc,
    sequence_number: u16,
    unit: Raw,
}

/// A packet of the source in its own numbers.
#[derive(Clone, Debug)]
struct Raw {
    timestamp: u32,
    marker: bool,
    is_entry: bool,
    payload: Bytes,
}

/// Why a packet is of no use.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    #[error("what arrives is no RTP")]
    NotRtp,
    #[error("what arrives is no {} in RTP", .0.name())]
    NotTheCodec(FeedCodec),
    #[error(
        "packets have {0} bytes of payload and may have {MAX_PAYLOAD}: give ffmpeg ?pkt_size=1100 in the URL, or \
         GStreamer's payloader mtu=1100"
    )]
    TooLong(usize),
    #[error("no key frame{} yet", if *.0 == FeedCodec::H264 { " with its parameter sets (ffmpeg: -bsf:v dump_extra)" } else { "" })]
    NoKeyFrame(FeedCodec),
}

/// Another source is taken when the one before has been silent for so long.
const SILENCE: Duration = Duration::from_secs(1);
/// A jump of sequence numbers that is no loss.
const MAX_GAP: i16 = 1000;
/// A jump of timestamps that is no pause, in seconds.
const MAX_JUMP: u32 = 10;

impl Intake {
    pub fn new(codec: FeedCodec) -> Self {
        Self { codec, source: None, candidate: None, next_index: 0, last_timestamp: 0 }
    }

    /// Takes a datagram that arrived at `now`, counted from the beginning of the feed's timeline, and hands out
    /// what is to be published.
    pub fn take(
        &mut self,
        now: Duration,
        datagram: &[u8],
        mut publish: impl FnMut(Unit),
    ) -> Result<(), Fault> {
        let packet = Packet::parse(datagram).map_err(|_| Fault::NotRtp)?;
        // RFC 5761 §4: RTCP on the same port.
        if packet.payload_type().collides_with_rtcp() {
            return Ok(());
        }
        let payload = packet.payload();
        if payload.len() > MAX_PAYLOAD {
            return Err(Fault::TooLong(payload.len()));
        }
        let raw = Raw {
            timestamp: packet.timestamp().0,
            marker: packet.marker(),
            is_entry: is_entry(self.codec, payload).ok_or(Fault::NotTheCodec(self.codec))?,
            payload: Bytes::copy_from_slice(payload),
        };
        let (ssrc, sequence_number) = (packet.ssrc(), packet.sequence_number().0);
        match &self.source {
            Some(source) if source.ssrc == ssrc => {}
            Some(source) if now.saturating_sub(source.last_packet) < SILENCE => return Ok(()),
            _ => {
                // RFC 3550 §A.1: two packets in a row make a source; one may be a stray.
                let first = self.candidate.replace(Candidate { ssrc, sequence_number, unit: raw.clone() });
                let expected = sequence_number.wrapping_sub(1);
                match first {
                    Some(first) if first.ssrc == ssrc && first.sequence_number == expected => {
                        self.candidate = None;
                        self.begin(now, ssrc, expected, &first.unit);
                        self.push(now, expected, first.unit, &mut publish);
                    }
                    _ => return Ok(()),
                }
            }
        }
        self.push(now, sequence_number, raw, &mut publish);
        match &self.source {
            Some(source) if !source.has_entry => Err(Fault::NoKeyFrame(self.codec)),
            _ => Ok(()),
        }
    }

    /// Begins with a source at a packet.
    fn begin(&mut self, now: Duration, ssrc: Ssrc, sequence_number: u16, packet: &Raw) {
        let ticks = now.as_micros() * u128::from(self.codec.clock_rate()) / 1_000_000;
        let mut start = ticks as u32;
        // Never back to what was sent already.
        if self.next_index > 0 && (start.wrapping_sub(self.last_timestamp) as i32) <= 0 {
            start = self.last_timestamp.wrapping_add(1);
        }
        self.source = Some(Source {
            ssrc,
            sequence_number: sequence_number.wrapping_sub(1),
            index: self.next_index.wrapping_sub(1),
            offset: packet.timestamp.wrapping_sub(start),
            timestamp: packet.timestamp,
            last_packet: now,
            has_entry: false,
        });
    }

    fn push(&mut self, now: Duration, sequence_number: u16, packet: Raw, publish: &mut impl FnMut(Unit)) {
        let Some(source) = &self.source else { return };
        let step = sequence_number.wrapping_sub(source.sequence_number) as i16;
        let jump = (packet.timestamp.wrapping_sub(source.timestamp) as i32).unsigned_abs();
        if step.unsigned_abs() > MAX_GAP.unsigned_abs() || jump > MAX_JUMP * self.codec.clock_rate() {
            let ssrc = source.ssrc;
            self.begin(now, ssrc, sequence_number, &packet);
        }
        let Some(source) = &mut self.source else { return };
        source.last_packet = now;
        let step = sequence_number.wrapping_sub(source.sequence_number) as i16;
        let index = source.index.wrapping_add_signed(i64::from(step));
        if step > 0 {
            (source.sequence_number, source.index, source.timestamp) =
                (sequence_number, index, packet.timestamp);
        }
        source.has_entry |= packet.is_entry;
        if !source.has_entry {
            // Nobody could decode it; nothing is missing where it was.
            source.index = self.next_index.wrapping_sub(1);
            return;
        }
        let timestamp = packet.timestamp.wrapping_sub(source.offset);
        if index >= self.next_index || self.next_index == 0 {
            (self.next_index, self.last_timestamp) = (index.wrapping_add(1), timestamp);
        }
        let Raw { marker, payload, is_entry, .. } = packet;
        publish(Unit { packets: vec![FeedPacket { index, timestamp, marker, payload }], is_entry });
    }
}

/// Whether a decoder can begin at a payload; `None` if it is none of the codec.
fn is_entry(codec: FeedCodec, payload: &[u8]) -> Option<bool> {
    debug_assert!(codec.kind() == TrackKind::Video || codec == FeedCodec::Opus);
    match codec {
        FeedCodec::Opus => opus::Toc::parse(payload).ok().map(|_| true),
        FeedCodec::Vp8 => {
            let (descriptor, data) = vp8::Descriptor::parse(payload).ok()?;
            Some(descriptor.starts_frame() && vp8::is_key_frame(data))
        }
        FeedCodec::H264 => match NalUnitType::of(payload)? {
            // A key frame is of use with its parameter sets only.
            NalUnitType::Sps => Some(true),
            NalUnitType::StapA => has_parameters(&payload[1..]),
            NalUnitType::FuA => (payload.len() > 2).then_some(false),
            kind if kind.is_coded_unit() => Some(false),
            _ => None,
        },
    }
}

/// RFC 6184 §5.7.1: units, each behind its length.
fn has_parameters(mut units: &[u8]) -> Option<bool> {
    let mut found = false;
    while let Some((len, rest)) = units.split_first_chunk() {
        let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        found |= NalUnitType::of(unit)? == NalUnitType::Sps;
        units = rest;
    }
    units.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = &[0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
    const DELTA: &[u8] = &[0x10, 0x11, 0, 0];

    fn rtp(ssrc: u32, number: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, 96];
        bytes.extend(number.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(ssrc.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn take(intake: &mut Intake, ms: u64, datagram: &[u8]) -> (Vec<(u64, u32)>, Result<(), Fault>) {
        let mut units = Vec::new();
        let result = intake.take(Duration::from_millis(ms), datagram, |unit| {
            units.extend(unit.packets.iter().map(|packet| (packet.index, packet.timestamp)));
        });
        (units, result)
    }

    #[test]
    fn a_source_begins_with_its_second_packet_and_gaps_stay_gaps() {
        let mut intake = Intake::new(FeedCodec::Vp8);
        assert_eq!(take(&mut intake, 1000, &rtp(1, 65_535, 500, KEY)), (vec![], Ok(())));
        let (units, result) = take(&mut intake, 1000, &rtp(1, 0, 3500, DELTA));
        assert_eq!((units, result), (vec![(0, 90_000), (1, 93_000)], Ok(())));
        assert_eq!(take(&mut intake, 1100, &rtp(1, 3, 6500, DELTA)).0, [(4, 96_000)]);
        assert_eq!(take(&mut intake, 1100, &rtp(1, 2, 6500, DELTA)).0, [(3, 96_000)]);
        assert_eq!(take(&mut intake, 1140, &rtp(1, 4, 9500, DELTA)).0, [(5, 99_000)]);
    }

    #[test]
    fn nothing_is_published_before_a_key_frame() {
        let mut intake = Intake::new(FeedCodec::Vp8);
        for number in 0..5 {
            let (units, result) = take(&mut intake, 0, &rtp(1, number, 0, DELTA));
            assert_eq!(units, []);
            assert_eq!(result.is_err(), number > 0);
        }
        assert_eq!(take(&mut intake, 10, &rtp(1, 5, 0, KEY)).0.len(), 1);
    }

    #[test]
    fn another_source_takes_over_after_silence_and_time_goes_on() {
        let mut intake = Intake::new(FeedCodec::Vp8);
        assert_eq!(take(&mut intake, 0, &rtp(1, 10, 777, KEY)).1, Ok(()));
        assert_eq!(take(&mut intake, 0, &rtp(1, 11, 777, DELTA)).0, [(0, 0), (1, 0)]);
        // Not while the first is there.
        for number in 0..3 {
            assert_eq!(take(&mut intake, 500, &rtp(2, number, 0, KEY)), (vec![], Ok(())));
        }
        assert_eq!(take(&mut intake, 2000, &rtp(2, 7, 5, KEY)).1, Ok(()));
        assert_eq!(take(&mut intake, 2000, &rtp(2, 8, 5, DELTA)).0, [(2, 180_000), (3, 180_000)]);
        // The same source from the beginning.
        let units = take(&mut intake, 3000, &rtp(2, 30_000, 4_000_000_000, KEY)).0;
        assert_eq!(units, [(4, 270_000)]);
    }

    #[test]
    fn garbage_is_told_from_media() {
        let mut intake = Intake::new(FeedCodec::H264);
        assert_eq!(take(&mut intake, 0, b"hello").1, Err(Fault::NotRtp));
        assert_eq!(take(&mut intake, 0, &[0; 100]).1, Err(Fault::NotRtp));
        let fault = Fault::NotTheCodec(FeedCodec::H264);
        for payload in [&[][..], &[0; 20], &[31; 5], &[24, 0, 9, 1], &[28]] {
            assert_eq!(take(&mut intake, 0, &rtp(1, 1, 1, payload)).1, Err(fault.clone()), "{payload:?}");
        }
        let long = vec![0x41; MAX_PAYLOAD + 1];
        assert_eq!(take(&mut intake, 0, &rtp(1, 1, 1, &long)).1, Err(Fault::TooLong(MAX_PAYLOAD + 1)));
        assert_eq!(is_entry(FeedCodec::H264, &[0x67, 1]), Some(true));
        assert_eq!(is_entry(FeedCodec::H264, &[24, 0, 2, 9, 16, 0, 2, 0x67, 1]), Some(true));
        assert_eq!(is_entry(FeedCodec::H264, &[0x65, 1]), Some(false));
        // RTCP from the same program.
        assert_eq!(take(&mut intake, 0, &[0x80, 200, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]).1, Ok(()));
        let fault = Fault::NoKeyFrame(FeedCodec::H264).to_string();
        assert!(fault.contains("dump_extra"), "{fault}");
    }
}
