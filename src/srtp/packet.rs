//! Where the parts of a packet begin.

use super::SrtpError;

/// What SRTP needs to know of an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtpHeader {
    pub(super) ssrc: u32,
    pub(super) sequence_number: u16,
    /// The bytes that are authenticated and not encrypted.
    pub(super) len: usize,
}

impl RtpHeader {
    /// Reads the header at the beginning of `packet` (RFC 3550 §5.1, §5.3.1).
    #[inline]
    pub(super) fn parse(packet: &[u8]) -> Result<Self, SrtpError> {
        let Some(fixed) = packet.first_chunk::<12>() else {
            return Err(SrtpError::Malformed("shorter than an RTP header"));
        };
        if fixed[0] >> 6 != 2 {
            return Err(SrtpError::Malformed("the RTP version is not 2"));
        }
        let mut len = 12 + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let Some(extension) = packet.get(len..len + 4) else {
                return Err(SrtpError::Malformed("the RTP header extension is cut short"));
            };
            len += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        }
        if len > packet.len() {
            return Err(SrtpError::Malformed("the RTP header is cut short"));
        }
        Ok(Self {
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
            len,
        })
    }
}

/// The bytes of an RTCP packet that are authenticated and not encrypted (RFC 3711 §3.4).
pub(super) const RTCP_HEADER_LEN: usize = 8;

/// The bytes of the word with the E flag and the SRTCP index.
pub(super) const SRTCP_INDEX_LEN: usize = 4;

/// The E flag: the packet is encrypted.
pub(super) const ENCRYPTED: u32 = 0x8000_0000;

/// The SSRC of the sender of an RTCP packet.
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    let Some(header) = packet.first_chunk::<RTCP_HEADER_LEN>() else {
        return Err(SrtpError::Malformed("shorter than an RTCP header"));
    };
    if header[0] >> 6 != 2 {
        return Err(SrtpError::Malformed("the RTCP version is not 2"));
    }
    Ok(u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}
