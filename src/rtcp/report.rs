//! Sender and receiver reports, RFC 3550 §6.4.

use std::time::Duration;

use super::encode::{Writer, count};
use super::header::{HEADER_LEN, PacketType, Reader};
use super::{Encode, ParseError, Record, Records, WriteError};
use crate::layer::{NtpTimestamp, RtpTimestamp, Ssrc};

/// What a sender of media has sent, and what it has received, RFC 3550 §6.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    /// The wall-clock time of this report; zero when the sender has no clock.
    pub ntp: NtpTimestamp,
    /// The same instant on the scale of the media's timestamps.
    pub rtp: RtpTimestamp,
    /// Packets sent so far, wrapping.
    pub packet_count: u32,
    /// Bytes of payload sent so far, wrapping.
    pub octet_count: u32,
    /// What was received, per source; at most 31.
    pub blocks: Records<'a, ReportBlock>,
    /// Profile-specific data behind the blocks; a multiple of four bytes when it is written.
    pub extension: &'a [u8],
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new("sender report", body);
        Ok(SenderReport {
            ssrc: Ssrc(reader.u32("SSRC")?),
            ntp: NtpTimestamp(u64::from_be_bytes(reader.array("NTP timestamp")?)),
            rtp: RtpTimestamp(reader.u32("RTP timestamp")?),
            packet_count: reader.u32("packet count")?,
            octet_count: reader.u32("octet count")?,
            blocks: blocks(&mut reader, count)?,
            extension: reader.rest(),
        })
    }
}

impl Encode for SenderReport<'_> {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + 24 + self.blocks.encoded_len() + self.extension.len()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let blocks = count("report blocks", self.blocks.len(), 31)?;
        aligned(self.extension)?;
        let mut writer = Writer::new(out, PacketType::SENDER_REPORT, blocks, len)?;
        writer.u32(self.ssrc.0);
        writer.put(&self.ntp.0.to_be_bytes());
        writer.u32(self.rtp.0);
        writer.u32(self.packet_count);
        writer.u32(self.octet_count);
        self.blocks.write(&mut writer);
        writer.put(self.extension);
        Ok(len)
    }
}

/// What a receiver of media has received, RFC 3550 §6.4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: Ssrc,
    /// What was received, per source; at most 31.
    pub blocks: Records<'a, ReportBlock>,
    /// Profile-specific data behind the blocks; a multiple of four bytes when it is written.
    pub extension: &'a [u8],
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new("receiver report", body);
        Ok(ReceiverReport {
            ssrc: Ssrc(reader.u32("SSRC")?),
            blocks: blocks(&mut reader, count)?,
            extension: reader.rest(),
        })
    }
}

impl Encode for ReceiverReport<'_> {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + 4 + self.blocks.encoded_len() + self.extension.len()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let blocks = count("report blocks", self.blocks.len(), 31)?;
        aligned(self.extension)?;
        let mut writer = Writer::new(out, PacketType::RECEIVER_REPORT, blocks, len)?;
        writer.u32(self.ssrc.0);
        self.blocks.write(&mut writer);
        writer.put(self.extension);
        Ok(len)
    }
}

/// How one source is received, RFC 3550 §6.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source that is reported on.
    pub ssrc: Ssrc,
    /// Share of packets lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost so far; negative when duplicates outweigh losses. 24 bits, written clamped.
    pub cumulative_lost: i32,
    /// The highest sequence number received, with the count of its cycles in the upper half.
    pub highest_sequence_number: u32,
    /// Interarrival jitter in units of the media's timestamps.
    pub jitter: u32,
    /// The middle of the last sender report's NTP time; zero when none came.
    pub last_sender_report: CompactNtp,
    /// The delay since that report came; zero when none came.
    pub delay_since_last_sender_report: NtpInterval,
}

impl ReportBlock {
    /// The round-trip time to the reporter, for a report that arrived at `arrival`, RFC 3550 §6.4.1.
    ///
    /// `None` when the reporter has received no sender report. A reporter that claims a longer delay than has
    /// passed yields zero.
    pub fn round_trip_time(&self, arrival: CompactNtp) -> Option<Duration> {
        if self.last_sender_report == CompactNtp(0) {
            return None;
        }
        let elapsed = arrival.0.wrapping_sub(self.last_sender_report.0);
        let round_trip = elapsed.wrapping_sub(self.delay_since_last_sender_report.0);
        // More than half of the range is a small negative number.
        let round_trip = if round_trip > u32::MAX / 2 { 0 } else { round_trip };
        Some(NtpInterval(round_trip).as_duration())
    }
}

impl Record for ReportBlock {
    const LEN: usize = 24;

    fn read(bytes: &[u8]) -> Self {
        let word = |index: usize| Ssrc::read(&bytes[4 * index..4 * index + 4]).0;
        ReportBlock {
            ssrc: Ssrc(word(0)),
            fraction_lost: (word(1) >> 24) as u8,
            // The shifts extend the sign of the 24-bit number.
            cumulative_lost: ((word(1) << 8) as i32) >> 8,
            highest_sequence_number: word(2),
            jitter: word(3),
            last_sender_report: CompactNtp(word(4)),
            delay_since_last_sender_report: NtpInterval(word(5)),
        }
    }

    fn write(&self, out: &mut [u8]) {
        let lost = self.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        let words = [
            self.ssrc.0,
            (u32::from(self.fraction_lost) << 24) | lost,
            self.highest_sequence_number,
            self.jitter,
            self.last_sender_report.0,
            self.delay_since_last_sender_report.0,
        ];
        for (slot, word) in out.chunks_exact_mut(4).zip(words) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
    }
}

/// The middle 32 bits of an NTP time: seconds in 16.16 fixed point, wrapping every 18 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CompactNtp(pub u32);

impl From<NtpTimestamp> for CompactNtp {
    fn from(time: NtpTimestamp) -> Self {
        CompactNtp(time.middle())
    }
}

/// A duration in 1/65536 s, up to 18 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NtpInterval(pub u32);

impl NtpInterval {
    /// The duration rounded down; saturates.
    pub fn from_duration(duration: Duration) -> Self {
        let units = (duration.as_nanos() << 16) / 1_000_000_000;
        NtpInterval(u32::try_from(units).unwrap_or(u32::MAX))
    }

    /// The duration, rounded down to nanoseconds.
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos((self.0 as u64 * 1_000_000_000) >> 16)
    }
}

fn blocks<'a>(reader: &mut Reader<'a>, count: u8) -> Result<Records<'a, ReportBlock>, ParseError> {
    Ok(Records::from_wire(reader.bytes(ReportBlock::LEN * usize::from(count), "report blocks")?))
}

fn aligned(extension: &[u8]) -> Result<(), WriteError> {
    match extension.len() {
        len if len % 4 == 0 => Ok(()),
        len => Err(WriteError::Unaligned { what: "profile-specific extension", len }),
    }
}
