//! Finished.

use crate::dtls::wire::{Malformed, Reader};

/// The length of `verify_data` with every suite here (RFC 5246 §7.4.9).
pub(crate) const VERIFY_DATA_LEN: usize = 12;

/// The `verify_data` of a Finished.
pub(crate) fn decode_finished(body: &[u8]) -> Result<[u8; VERIFY_DATA_LEN], Malformed> {
    let mut reader = Reader::new(body);
    let verify_data = reader.array("verify_data")?;
    reader.end("Finished")?;
    Ok(verify_data)
}
