//! Writing a message.

use std::net::SocketAddr;

use super::address;
use super::attribute::AttributeType;
use super::change_request::ChangeRequest;
use super::error::EncodeError;
use super::error_code::ErrorCode;
use super::header::{Class, HEADER_LEN, MAGIC_COOKIE, Method, TransactionId, message_type};
use super::integrity::{IntegrityAlgorithm, IntegrityKey, SHORTEST_TAG};
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
        let address = address::xor(address, self.id);
        self.address(kind, address)
    }

    /// An address attribute that is not XORed.
    pub fn address(self, kind: AttributeType, address: SocketAddr) -> Self {
        let (value, len) = address::encode(address);
        self.attribute(kind, &value[..len])
    }

    /// ALTERNATE-SERVER, which is not XORed (RFC 8489 §14.15).
    pub fn alternate_server(self, address: SocketAddr) -> Self {
        self.address(AttributeType::ALTERNATE_SERVER, address)
    }

    /// CHANGE-REQUEST: where the answer is to come from (RFC 5780 §7.2).
    pub fn change_request(self, change: ChangeRequest) -> Self {
        self.attribute(AttributeType::CHANGE_REQUEST, &change.encode())
    }

    /// RESPONSE-ORIGIN: where the answer comes from (RFC 5780 §7.3).
    pub fn response_origin(self, address: SocketAddr) -> Self {
        self.address(AttributeType::RESPONSE_ORIGIN, address)
    }

    /// OTHER-ADDRESS: the address of the server that differs in both IP address and port (RFC 5780 §7.4).
    pub fn other_address(self, address: SocketAddr) -> Self {
        self.address(AttributeType::OTHER_ADDRESS, address)
    }

    /// RESPONSE-PORT: the port of the source that the answer is to go to (RFC 5780 §7.5).
    pub fn response_port(self, port: u16) -> Self {
        self.attribute(AttributeType::RESPONSE_PORT, &port.to_be_bytes())
    }

    /// PRIORITY
    pub fn priority(self, priority: u32) -> Self {
        self.attribute(AttributeType::PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE
    pub fn use_candidate(self) -> Self {
        self.attribute(AttributeType::USE_CANDIDATE, &[])
    }

    /// NOMINATION, the value that the controlling agent counts up (draft-thatcher-ice-renomination).
    pub fn nomination(self, value: u32) -> Self {
        self.attribute(AttributeType::NOMINATION, &value.to_be_bytes())
    }

    /// GOOG-NETWORK-INFO: the number that the sender has for the network, and what it costs, from 0 to 999.
    pub fn network_info(self, id: u16, cost: u16) -> Self {
        let [[a, b], [c, d]] = [id.to_be_bytes(), cost.to_be_bytes()];
        self.attribute(AttributeType::NETWORK_INFO, &[a, b, c, d])
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

    /// The integrity attribute of `key` over all that was written so far. Where there are both, MESSAGE-INTEGRITY
    /// comes first (RFC 8489 §14.5).
    pub fn integrity(self, key: &IntegrityKey) -> Self {
        let len = key.algorithm().tag_len();
        self.sign(key, len)
    }

    /// MESSAGE-INTEGRITY-SHA256 cut to `len` bytes, which is raised to 16 and to a multiple of 4: for usages that say
    /// so, which neither ICE nor TURN does (RFC 8489 §14.6). A key of MESSAGE-INTEGRITY makes it whole.
    pub fn integrity_truncated(self, key: &IntegrityKey, len: usize) -> Self {
        let whole = key.algorithm().tag_len();
        let len = len.max(SHORTEST_TAG).next_multiple_of(4).min(whole);
        self.sign(key, if key.algorithm() == IntegrityAlgorithm::Sha256 { len } else { whole })
    }

    fn sign(mut self, key: &IntegrityKey, len: usize) -> Self {
        let written = self.buffer.len() - self.start;
        // RFC 8489 §14.5: the length counts this attribute already.
        let Ok(length) = u16::try_from(written - HEADER_LEN + 4 + len) else {
            self.too_long = true;
            return self;
        };
        let tag = key.sign(&self.buffer[self.start..], length);
        self.append(key.algorithm().attribute(), &[&tag[..len]]);
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
