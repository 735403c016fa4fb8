//! The checksum, RFC 9260 §6.8.

/// The CRC32c of `bytes` (RFC 9260 appendix A) as the little-endian field of the common header holds it.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Reads the checksum field and clears it, as it must be for the calculation. `None` if there is no field.
pub fn clear_checksum(packet: &mut [u8]) -> Option<u32> {
    let field = packet.get_mut(8..12)?.first_chunk_mut::<4>()?;
    let value = u32::from_le_bytes(*field);
    *field = [0; 4];
    Some(value)
}
