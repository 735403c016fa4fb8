//! The payload of a retransmission, RFC 4588 §4.

use super::WriteError;
use crate::layer::SequenceNumber;

/// The payload of a retransmitted packet: the original sequence number and the original payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtxPayload<'a> {
    /// The sequence number that the packet had at first.
    pub original: SequenceNumber,
    /// The payload that it had.
    pub payload: &'a [u8],
}

impl<'a> RtxPayload<'a> {
    /// Splits a retransmission's payload; `None` when it is too short to be one (a probe of padding only).
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (number, payload) = payload.split_first_chunk::<2>()?;
        Some(RtxPayload { original: SequenceNumber(u16::from_be_bytes(*number)), payload })
    }
}

/// Writes a retransmission's payload into `out` and tells its length.
///
/// # Errors
/// When `out` is shorter than `payload` and two bytes more.
pub fn write_rtx_payload(
    original: SequenceNumber,
    payload: &[u8],
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let need = payload.len() + 2;
    let have = out.len();
    let out = out.get_mut(..need).ok_or(WriteError::BufferTooSmall { need, have })?;
    out[..2].copy_from_slice(&original.0.to_be_bytes());
    out[2..].copy_from_slice(payload);
    Ok(need)
}
