//! Several packets in one datagram, RFC 3550 §6.1.

use super::header::{PacketType, RawPacket};
use super::{Encode, ParseError, WriteError};

/// Writes packets behind each other into the caller's buffer.
///
/// ```
/// use kaon_rtc::layer::Ssrc;
/// use kaon_rtc::rtcp::{CompoundWriter, Packet, Pli, ReceiverReport, packets};
///
/// let mut datagram = [0; 1200];
/// let mut writer = CompoundWriter::new(&mut datagram);
/// // A report goes first (RFC 3550 §6.1).
/// writer.push(&ReceiverReport { ssrc: Ssrc(1), ..ReceiverReport::default() })?;
/// writer.push(&Pli { sender: Ssrc(1), media: Ssrc(2) })?;
/// let len = writer.finish();
///
/// let asked = packets(&datagram[..len]).filter_map(Result::ok).any(|packet| {
///     matches!(packet, Packet::Pli(pli) if pli.media == Ssrc(2))
/// });
/// assert!(asked);
/// # Ok::<(), kaon_rtc::rtcp::WriteError>(())
/// ```
#[derive(Debug)]
pub struct CompoundWriter<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> CompoundWriter<'a> {
    /// A writer that has written nothing yet.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        CompoundWriter { buffer, len: 0 }
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// As [`Encode::encode`]; what was added before stays.
    pub fn push(&mut self, packet: &impl Encode) -> Result<(), WriteError> {
        self.len += packet.encode(&mut self.buffer[self.len..])?;
        Ok(())
    }

    /// How many bytes can still be written.
    pub fn remaining(&self) -> usize {
        self.buffer.len() - self.len
    }

    /// The length of all that was written.
    pub fn finish(self) -> usize {
        self.len
    }
}

/// Which datagrams are valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CompoundRules {
    /// A report comes first: RFC 3550 §6.1 and its appendix A.2.
    #[default]
    Full,
    /// Any packet may come first: RFC 5506, when `a=rtcp-rsize` was negotiated.
    ReducedSize,
}

/// Why a datagram is not valid RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompoundError {
    /// There is no packet in it.
    #[error("the datagram is empty")]
    Empty,
    /// The first packet is not a report.
    #[error("the first packet has type {first}; expected a report, 200 or 201 (or negotiate a=rtcp-rsize)", first = _0.0)]
    NoReport(PacketType),
    /// A packet before the last one is padded.
    #[error("a packet before the last one is padded")]
    PaddedInside,
    /// A packet is of a type that cannot be told from RTP (RFC 5761 §4).
    #[error("packet type {type} is none of RTCP; expected 192 to 223", type = _0.0)]
    PacketType(PacketType),
    /// The packets do not fill the datagram.
    #[error(transparent)]
    Framing(#[from] ParseError),
}

/// Checks that `datagram` is composed as `rules` say, as a receiver does before it trusts a datagram to be
/// RTCP. The bodies of packets are not looked at.
///
/// # Errors
/// See [`CompoundError`].
pub fn check_compound(datagram: &[u8], rules: CompoundRules) -> Result<(), CompoundError> {
    if datagram.is_empty() {
        return Err(CompoundError::Empty);
    }
    let mut rest = datagram;
    let mut first = true;
    while !rest.is_empty() {
        let (packet, behind) = RawPacket::split(rest)?;
        let is_report = matches!(packet.packet_type, PacketType::SENDER_REPORT | PacketType::RECEIVER_REPORT);
        if first && rules == CompoundRules::Full && !is_report {
            return Err(CompoundError::NoReport(packet.packet_type));
        }
        if packet.padded && !behind.is_empty() {
            return Err(CompoundError::PaddedInside);
        }
        first = false;
        rest = behind;
    }
    Ok(())
}
