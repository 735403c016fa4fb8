//! The header that all packets share, RFC 3550 §6.4.1.

use super::ParseError;

pub(super) const HEADER_LEN: usize = 4;

/// The packet type, RFC 3550 §12.1 and RFC 4585 §6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketType(pub u8);

impl PacketType {
    /// Sender report.
    pub const SENDER_REPORT: PacketType = PacketType(200);
    /// Receiver report.
    pub const RECEIVER_REPORT: PacketType = PacketType(201);
    /// Source description.
    pub const SOURCE_DESCRIPTION: PacketType = PacketType(202);
    /// Goodbye.
    pub const GOODBYE: PacketType = PacketType(203);
    /// Application-defined.
    pub const APP: PacketType = PacketType(204);
    /// Transport-layer feedback, RFC 4585 §6.2.
    pub const TRANSPORT_FEEDBACK: PacketType = PacketType(205);
    /// Payload-specific feedback, RFC 4585 §6.3.
    pub const PAYLOAD_FEEDBACK: PacketType = PacketType(206);
}

/// One packet of a datagram, before its body is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawPacket<'a> {
    pub(super) packet_type: PacketType,
    // A count of blocks, a subtype or a feedback format, as the packet type says.
    pub(super) count: u8,
    // Behind the header, without padding.
    pub(super) body: &'a [u8],
    pub(super) padded: bool,
}

impl<'a> RawPacket<'a> {
    /// Splits the first packet off `bytes`.
    pub(super) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        let Some(&[first, packet_type, l0, l1]) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(ParseError::truncated("packet", "header"));
        };
        if first >> 6 != 2 {
            return Err(ParseError::Version(first >> 6));
        }
        let claimed = 4 * (usize::from(u16::from_be_bytes([l0, l1])) + 1);
        let Some((packet, rest)) = bytes.split_at_checked(claimed) else {
            return Err(ParseError::Length { claimed, have: bytes.len() });
        };
        let mut body = &packet[HEADER_LEN..];
        let padded = first & 0x20 != 0;
        if padded {
            let padding = body.last().copied().unwrap_or(0);
            if padding == 0 || usize::from(padding) > body.len() {
                return Err(ParseError::Padding { padding, available: body.len() });
            }
            body = &body[..body.len() - usize::from(padding)];
        }
        Ok((RawPacket { packet_type: PacketType(packet_type), count: first & 0x1f, body, padded }, rest))
    }
}

/// A packet's header as it is written; `len` is that of the whole packet.
pub(super) fn header(packet_type: PacketType, count: u8, len: usize) -> [u8; HEADER_LEN] {
    let [l0, l1] = ((len / 4 - 1) as u16).to_be_bytes();
    [0x80 | (count & 0x1f), packet_type.0, l0, l1]
}

/// Reads a body from its front.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    packet: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(packet: &'static str, body: &'a [u8]) -> Self {
        Reader { packet, rest: body }
    }

    pub(super) fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], ParseError> {
        let (array, rest) =
            self.rest.split_first_chunk::<N>().ok_or(ParseError::truncated(self.packet, part))?;
        self.rest = rest;
        Ok(*array)
    }

    pub(super) fn bytes(&mut self, len: usize, part: &'static str) -> Result<&'a [u8], ParseError> {
        let (bytes, rest) =
            self.rest.split_at_checked(len).ok_or(ParseError::truncated(self.packet, part))?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn u8(&mut self, part: &'static str) -> Result<u8, ParseError> {
        self.array::<1>(part).map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self, part: &'static str) -> Result<u16, ParseError> {
        self.array(part).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self, part: &'static str) -> Result<u32, ParseError> {
        self.array(part).map(u32::from_be_bytes)
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }
}
