//! Writing a message.

use std::net::SocketAddr;

use super::address;
use super::attribute::AttributeType;
use super::error::EncodeError;
use super::error_code::ErrorCode;
use super::header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, message_type};
use super::integrity::IntegrityKey;
use super::message::FINGERPRINT_XOR;

/// Appends a STUN message to a buffer.
///
/// Order matters at the end: integrity after all that it is to protect, then the fingerprint, then
/// [`finish`](Self::finish). A builder that is dropped without it takes back what it wrote.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::stun::{Class, Message, MessageBuilder, Method, TransactionId};
///
/// let id = TransactionId::random(&*aws_lc_rs::provider().random);
/// let mut datagram = Vec::new();
/// let len = MessageBuilder::new(&mut datagram, Class::Request, Method::BINDING, id)
///     .software("an example")
///     .priority(0x6e00_01ff)
///     .fingerprint()
///     .finish()?;
/// assert_eq!(len, datagram.len());
/// assert_eq!(Message::decode(&datagram)?.priority(), Some(0x6e00_01ff));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the message is complete only after finish()"]
pub struct MessageBuilder<'b> {
    buffer: &'b mut Vec<u8>,
    start: usize,
    id: TransactionId,
    too_long: bool,
    finished: bool,
}

impl<'b> MessageBuilder<'b> {
    /// Begins a message behind what is in `buffer`.
    pub fn new(buffer: &'b mut Vec<u8>, class: Class, method: Method, id: TransactionId) -> Self {
        let start = buffer.len();
        let mut header = [0; HEADER_LEN];
        header[..2].copy_from_slice(&message_type(class, method).to_be_bytes());
        header[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        header[8..].copy_from_slice(&id.0);
        buffer.extend_from_slice(&header);
        Self { buffer, start, id, too_long: false, finished: false }
    }

    /// Any attribute.
    pub fn attribute(mut self, kind: AttributeType, value: &[u8]) -> Self {
        self.append(kind, &[value]);
        self
    }

    /// USERNAME
    pub fn username(self, username: &str) -> Self {
        self.attribute(AttributeType::USERNAME, username.as_bytes())
    }

    /// USERNAME of a connectivity check: the fragment of the receiver, a colon and that of the sender
    /// (RFC 8445 §7.2.2).
    pub fn ice_username(mut self, receiver: &str, sender: &str) -> Self {
        self.append(AttributeType::USERNAME, &[receiver.as_bytes(), b":", sender.as_bytes()]);
        self
    }

    /// SOFTWARE
    pub fn software(self, software: &str) -> Self {
        self.attribute(AttributeType::SOFTWARE, software.as_bytes())
    }

    /// XOR-MAPPED-ADDRESS
    pub fn xor_mapped_address(self, address: SocketAddr) -> Self {
        self.xor_address(AttributeType::XOR_MAPPED_ADDRESS, address)
    }

    /// An address attribute that is XORed with the header.
    pub fn xor_address(self, kind: AttributeType, address: SocketAddr) -> Self {
        let (value, len) = address::encode(address::xor(address, self.id));
        self.attribute(kind, &value[..len])
    }

    /// PRIORITY
    pub fn priority(self, priority: u32) -> Self {
        self.attribute(AttributeType::PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE
    pub fn use_candidate(self) -> Self {
        self.attribute(AttributeType::USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLING
    pub fn ice_controlling(self, tie_breaker: u64) -> Self {
        self.attribute(AttributeType::ICE_CONTROLLING, &tie_breaker.to_be_bytes())
    }

    /// ICE-CONTROLLED
    pub fn ice_controlled(self, tie_breaker: u64) -> Self {
        self.attribute(AttributeType::ICE_CONTROLLED, &tie_breaker.to_be_bytes())
    }

    /// ERROR-CODE with the reason phrase that the RFC recommends.
    pub fn error_code(mut self, code: ErrorCode) -> Self {
        self.append(AttributeType::ERROR_CODE, &[&code.header(), code.reason().as_bytes()]);
        self
    }

    /// UNKNOWN-ATTRIBUTES
    pub fn unknown_attributes(mut self, kinds: impl IntoIterator<Item = AttributeType>) -> Self {
        let value = self.begin(AttributeType::UNKNOWN_ATTRIBUTES);
        for kind in kinds {
            self.buffer.extend_from_slice(&kind.0.to_be_bytes());
        }
        self.end(value);
        self
    }

    /// MESSAGE-INTEGRITY over all that was written so far.
    pub fn integrity(mut self, key: &IntegrityKey) -> Self {
        let written = self.buffer.len() - self.start;
        // RFC 8489 §14.5: the length counts this attribute already.
        let Ok(length) = u16::try_from(written - HEADER_LEN + 24) else {
            self.too_long = true;
            return self;
        };
        let tag = key.sign(&self.buffer[self.start..], length);
        self.append(AttributeType::MESSAGE_INTEGRITY, &[&tag]);
        self
    }

    /// FINGERPRINT over all that was written so far.
    pub fn fingerprint(mut self) -> Self {
        let written = self.buffer.len() - self.start;
        // RFC 8489 §14.7: the length counts this attribute already.
        self.set_length(written - HEADER_LEN + 8);
        let crc = crc32fast::hash(&self.buffer[self.start..]) ^ FINGERPRINT_XOR;
        self.append(AttributeType::FINGERPRINT, &[&crc.to_be_bytes()]);
        self
    }

    /// Completes the message and returns its length in bytes.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`]; the buffer is as it was before then.
    pub fn finish(mut self) -> Result<usize, EncodeError> {
        let len = self.buffer.len() - self.start;
        self.set_length(len - HEADER_LEN);
        if self.too_long {
            return Err(EncodeError::TooLong);
        }
        self.finished = true;
        Ok(len)
    }

    fn append(&mut self, kind: AttributeType, parts: &[&[u8]]) {
        let value = self.begin(kind);
        parts.iter().for_each(|part| self.buffer.extend_from_slice(part));
        self.end(value);
    }

    /// Writes the header of an attribute and returns where its value begins.
    fn begin(&mut self, kind: AttributeType) -> usize {
        let [high, low] = kind.0.to_be_bytes();
        self.buffer.extend_from_slice(&[high, low, 0, 0]);
        self.buffer.len()
    }

    /// Writes the length and the padding of the attribute whose value begins at `value`.
    fn end(&mut self, value: usize) {
        let len = self.buffer.len() - value;
        match u16::try_from(len) {
            Ok(len) => self.buffer[value - 2..value].copy_from_slice(&len.to_be_bytes()),
            Err(_) => self.too_long = true,
        }
        self.buffer.resize(value + len.next_multiple_of(4), 0);
    }

    fn set_length(&mut self, length: usize) {
        match u16::try_from(length) {
            Ok(length) => {
                self.buffer[self.start + 2..self.start + 4].copy_from_slice(&length.to_be_bytes());
            }
            Err(_) => self.too_long = true,
        }
    }
}

impl Drop for MessageBuilder<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.buffer.truncate(self.start);
        }
    }
}
