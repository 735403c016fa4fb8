//! Sealing and opening records, RFC 5246 §6.2.3.3.

use std::fmt;

use zeroize::Zeroizing;

use super::header::{
    ContentType, Epoch, ProtocolVersion, RECORD_HEADER_LEN, Record, SequenceNumber, header, record_number,
};
use super::replay::ReplayWindow;
use crate::crypto::{Aead, AeadAlgorithm, Ciphers, CryptoError, NONCE_LEN, TAG_LEN};

/// The most bytes that one record carries (RFC 5246 §6.2.1).
pub(crate) const MAX_PLAINTEXT: usize = 1 << 14;

/// The part of a GCM nonce that stands in front of the ciphertext (RFC 5288 §3).
pub(crate) const EXPLICIT_NONCE_LEN: usize = 8;

/// Protects the records that are sent in one epoch. Each nonce is made of the record number, which only
/// ever rises, so none is used twice.
pub(crate) struct RecordSealer {
    key: RecordKey,
    epoch: Epoch,
    next: SequenceNumber,
}

impl RecordSealer {
    pub(crate) fn new(key: RecordKey, epoch: Epoch) -> Self {
        Self { key, epoch, next: SequenceNumber(0) }
    }

    /// How many bytes a record is longer than its content.
    pub(crate) fn overhead(&self) -> usize {
        RECORD_HEADER_LEN + self.key.explicit_nonce_len() + TAG_LEN
    }

    /// Appends a record with what `fill` writes, at most [`MAX_PLAINTEXT`] bytes.
    pub(crate) fn seal(
        &mut self,
        content_type: ContentType,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SequenceExhausted> {
        let start = out.len();
        out.resize(start + self.head_len(), 0);
        fill(out);
        out.resize(out.len() + TAG_LEN, 0);
        let result = self.seal_in_place(content_type, &mut out[start..]);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// How many bytes stand in front of the content.
    pub(crate) fn head_len(&self) -> usize {
        RECORD_HEADER_LEN + self.key.explicit_nonce_len()
    }

    /// Makes a record of what stands in `record` behind room for the [head](Self::head_len) and in front of room for
    /// the tag.
    pub(crate) fn seal_in_place(
        &mut self,
        content_type: ContentType,
        record: &mut [u8],
    ) -> Result<(), SequenceExhausted> {
        let sequence = self.next;
        let length = record.len().wrapping_sub(RECORD_HEADER_LEN) as u16;
        let head_len = self.head_len();
        let (head, sealed) = record.split_at_mut_checked(head_len).ok_or(SequenceExhausted)?;
        let (content, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(SequenceExhausted)?;
        if sequence > SequenceNumber::MAX {
            return Err(SequenceExhausted);
        }
        let number = record_number(self.epoch, sequence);
        let aad = additional_data(number, content_type, ProtocolVersion::DTLS_1_2, content.len());
        // No AEAD refuses a length that a record can have; an exhausted key is all that can be told.
        *tag = self.key.aead.seal(&self.key.nonce(number), &aad, content).map_err(|_| SequenceExhausted)?;
        self.next.0 += 1;
        let (header_place, nonce) = head.split_at_mut(RECORD_HEADER_LEN);
        header_place.copy_from_slice(&header(
            content_type,
            ProtocolVersion::DTLS_1_2,
            self.epoch,
            sequence,
            length,
        ));
        nonce.copy_from_slice(&number[..nonce.len()]);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, next: SequenceNumber) {
        self.next = next;
    }
}

impl fmt::Debug for RecordSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSealer").field("epoch", &self.epoch).field("next", &self.next).finish()
    }
}

/// Opens the records that arrive in one epoch, each at most once.
pub(crate) struct RecordOpener {
    key: RecordKey,
    epoch: Epoch,
    window: ReplayWindow,
}

impl RecordOpener {
    pub(crate) fn new(key: RecordKey, epoch: Epoch) -> Self {
        Self { key, epoch, window: ReplayWindow::default() }
    }

    /// Decrypts a record in place.
    pub(crate) fn open<'a>(&mut self, record: Record<'a>) -> Result<(ContentType, &'a mut [u8]), Refusal> {
        let Record { content_type, version, epoch, sequence, fragment } = record;
        if epoch != self.epoch {
            return Err(Refusal::Epoch);
        }
        if !self.window.is_fresh(sequence) {
            return Err(Refusal::Replayed);
        }
        let number = record_number(epoch, sequence);
        let (explicit, sealed) =
            fragment.split_at_mut_checked(self.key.explicit_nonce_len()).ok_or(Refusal::Malformed)?;
        // A peer may choose its explicit nonces freely: they are read, not derived (RFC 5288 §3).
        let nonce = self.key.nonce_with(number, explicit);
        let length = sealed.len().checked_sub(TAG_LEN).ok_or(Refusal::Malformed)?;
        if length > MAX_PLAINTEXT {
            return Err(Refusal::Malformed);
        }
        let aad = additional_data(number, content_type, version, length);
        let content = self.key.aead.open(&nonce, &aad, sealed).map_err(|_| Refusal::Authentication)?;
        self.window.accept(sequence);
        Ok((content_type, content))
    }
}

impl fmt::Debug for RecordOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordOpener").field("epoch", &self.epoch).field("window", &self.window).finish()
    }
}

/// A cipher and the implicit part of its nonces.
pub(crate) struct RecordKey {
    aead: Box<dyn Aead>,
    nonces: Nonces,
}

impl RecordKey {
    /// How many bytes of the key block one direction takes as its IV.
    pub(crate) fn iv_len(algorithm: AeadAlgorithm) -> usize {
        match algorithm {
            AeadAlgorithm::ChaCha20Poly1305 => NONCE_LEN,
            _ => NONCE_LEN - EXPLICIT_NONCE_LEN,
        }
    }

    pub(crate) fn new(
        ciphers: &dyn Ciphers,
        algorithm: AeadAlgorithm,
        key: &[u8],
        iv: &[u8],
    ) -> Result<Self, CryptoError> {
        let nonces = match algorithm {
            AeadAlgorithm::ChaCha20Poly1305 => {
                Nonces::Xor(Zeroizing::new(iv.try_into().map_err(|_| CryptoError::Length("IV"))?))
            }
            _ => Nonces::Explicit(Zeroizing::new(iv.try_into().map_err(|_| CryptoError::Length("IV"))?)),
        };
        Ok(Self { aead: ciphers.aead(algorithm, key)?, nonces })
    }

    fn explicit_nonce_len(&self) -> usize {
        match self.nonces {
            Nonces::Explicit(_) => EXPLICIT_NONCE_LEN,
            Nonces::Xor(_) => 0,
        }
    }

    fn nonce(&self, number: [u8; 8]) -> [u8; NONCE_LEN] {
        self.nonce_with(number, &number)
    }

    fn nonce_with(&self, number: [u8; 8], explicit: &[u8]) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        match &self.nonces {
            Nonces::Explicit(salt) => {
                let (head, tail) = nonce.split_at_mut(salt.len());
                head.copy_from_slice(&salt[..]);
                tail.copy_from_slice(explicit);
            }
            Nonces::Xor(iv) => {
                nonce[NONCE_LEN - number.len()..].copy_from_slice(&number);
                nonce.iter_mut().zip(iv.iter()).for_each(|(byte, iv)| *byte ^= iv);
            }
        }
        nonce
    }
}

/// How a nonce is made.
enum Nonces {
    /// A salt and eight bytes in front of the ciphertext: the GCM suites (RFC 5288 §3).
    Explicit(Zeroizing<[u8; NONCE_LEN - EXPLICIT_NONCE_LEN]>),
    /// The record number on top of an IV: ChaCha20-Poly1305 (RFC 7905 §2).
    Xor(Zeroizing<[u8; NONCE_LEN]>),
}

/// RFC 5246 §6.2.3.3 with the number of RFC 6347 §4.1.2.1.
fn additional_data(
    number: [u8; 8],
    content_type: ContentType,
    version: ProtocolVersion,
    length: usize,
) -> [u8; 13] {
    let mut aad = [0; 13];
    aad[..8].copy_from_slice(&number);
    aad[8] = content_type as u8;
    aad[9..11].copy_from_slice(&version.0.to_be_bytes());
    aad[11..].copy_from_slice(&(length as u16).to_be_bytes());
    aad
}

/// All sequence numbers of an epoch are used: the connection has to end (RFC 6347 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SequenceExhausted;

/// Why a record was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    Epoch,
    Replayed,
    Authentication,
}

#[cfg(test)]
mod tests;
