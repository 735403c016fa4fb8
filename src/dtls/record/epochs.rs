//! The epochs of a connection, RFC 6347 §4.1.

use super::header::{ContentType, Epoch, ProtocolVersion, RECORD_HEADER_LEN, SequenceNumber, header};
use super::protection::{RecordSealer, SequenceExhausted};

/// The epochs that records are sent in: the plaintext of the handshake and, once there are keys, the
/// protected one. Both are needed side by side, because a retransmitted flight spans them.
#[derive(Debug)]
pub(crate) struct WriteEpochs {
    plaintext_next: SequenceNumber,
    plaintext_version: ProtocolVersion,
    protected: Option<RecordSealer>,
}

impl WriteEpochs {
    /// Begins with the plaintext epoch at `first`.
    pub(crate) fn new(first: SequenceNumber) -> Self {
        // A ClientHello goes out as 1.0 until the version is known, for old servers (RFC 5246 §E.1).
        Self { plaintext_next: first, plaintext_version: ProtocolVersion::DTLS_1_0, protected: None }
    }

    /// The version was negotiated, or learnt from the peer's hello.
    pub(crate) fn set_version(&mut self, version: ProtocolVersion) {
        self.plaintext_version = version;
    }

    pub(crate) fn install(&mut self, sealer: RecordSealer) {
        self.protected = Some(sealer);
    }

    #[cfg(test)]
    pub(crate) fn protected(&mut self) -> Option<&mut RecordSealer> {
        self.protected.as_mut()
    }

    /// The newest epoch, the one that alerts go in.
    pub(crate) fn current(&self) -> Epoch {
        if self.protected.is_some() { Epoch::PROTECTED } else { Epoch::PLAINTEXT }
    }

    /// How many bytes a record of `epoch` is longer than its content.
    pub(crate) fn overhead(&self, epoch: Epoch) -> usize {
        match &self.protected {
            Some(sealer) if epoch == Epoch::PROTECTED => sealer.overhead(),
            _ => RECORD_HEADER_LEN,
        }
    }

    /// How many of those bytes stand in front of the content of a protected record.
    pub(crate) fn protected_head(&self) -> usize {
        self.protected.as_ref().map_or(0, RecordSealer::head_len)
    }

    /// Makes a protected record in place: [`RecordSealer::seal_in_place`].
    pub(crate) fn seal_in_place(
        &mut self,
        content_type: ContentType,
        record: &mut [u8],
    ) -> Result<(), SequenceExhausted> {
        self.protected.as_mut().ok_or(SequenceExhausted)?.seal_in_place(content_type, record)
    }

    /// Appends a record of `epoch` with what `fill` writes.
    pub(crate) fn write(
        &mut self,
        epoch: Epoch,
        content_type: ContentType,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SequenceExhausted> {
        match &mut self.protected {
            Some(sealer) if epoch == Epoch::PROTECTED => sealer.seal(content_type, out, fill),
            _ if epoch != Epoch::PLAINTEXT => Err(SequenceExhausted),
            _ => {
                let sequence = self.plaintext_next;
                if sequence > SequenceNumber::MAX {
                    return Err(SequenceExhausted);
                }
                self.plaintext_next.0 += 1;
                let start = out.len();
                out.extend_from_slice(&header(content_type, self.plaintext_version, epoch, sequence, 0));
                fill(out);
                let length = (out.len() - start - RECORD_HEADER_LEN) as u16;
                let field = start + RECORD_HEADER_LEN - 2..start + RECORD_HEADER_LEN;
                out[field].copy_from_slice(&length.to_be_bytes());
                Ok(())
            }
        }
    }
}
