//! Records that arrive before they can be used.

use std::fmt;

use super::record::{ContentType, Epoch, ProtocolVersion, Record, SequenceNumber};
use super::stats::Ignored;

/// Records that arrived before they could be used: sealed with keys that are not there yet, or application
/// data before the handshake is complete. The network reorders; dropping them would cost a round trip and a
/// timeout (RFC 6347 §4.1).
#[derive(Debug)]
pub(crate) struct EarlyRecords {
    max_records: usize,
    max_bytes: usize,
    bytes: usize,
    records: Vec<EarlyRecord>,
}

impl EarlyRecords {
    pub(crate) fn new(max_records: usize, max_bytes: usize) -> Self {
        Self { max_records, max_bytes, bytes: 0, records: Vec::new() }
    }

    /// Keeps a copy, if there is room.
    pub(crate) fn keep(&mut self, record: &Record<'_>) -> Result<(), Ignored> {
        let len = record.fragment.len();
        if self.records.len() >= self.max_records || self.bytes + len > self.max_bytes {
            return Err(Ignored::OverLimit("more early records than max_early_records"));
        }
        self.bytes += len;
        self.records.push(EarlyRecord {
            content_type: record.content_type,
            version: record.version,
            epoch: record.epoch,
            sequence: record.sequence,
            fragment: record.fragment.to_vec(),
        });
        Ok(())
    }

    /// Takes all, oldest first.
    pub(crate) fn take(&mut self) -> Vec<EarlyRecord> {
        self.bytes = 0;
        std::mem::take(&mut self.records)
    }
}

pub(crate) struct EarlyRecord {
    content_type: ContentType,
    version: ProtocolVersion,
    epoch: Epoch,
    sequence: SequenceNumber,
    fragment: Vec<u8>,
}

impl EarlyRecord {
    pub(crate) fn as_record(&mut self) -> Record<'_> {
        Record {
            content_type: self.content_type,
            version: self.version,
            epoch: self.epoch,
            sequence: self.sequence,
            fragment: &mut self.fragment,
        }
    }
}

impl fmt::Debug for EarlyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyRecord")
            .field("content_type", &self.content_type)
            .field("sequence", &self.sequence)
            .field("len", &self.fragment.len())
            .finish_non_exhaustive()
    }
}
