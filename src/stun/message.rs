//! Reading a message.

use std::net::SocketAddr;

use super::address;
use super::attribute::{Attribute, AttributeType};
use super::change_request::ChangeRequest;
use super::error::DecodeError;
use super::error_code::ErrorCode;
use super::header::{Class, HEADER_LEN, Method, TransactionId, class_and_method, is_stun};
use super::integrity::{IntegrityAlgorithm, IntegrityKey, SHORTEST_TAG};

/// The bytes that FINGERPRINT takes with its header.
const FINGERPRINT_LEN: usize = 8;

/// What the CRC-32 of a message is XORed with (RFC 8489 §14.7).
pub(super) const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// A STUN message in the buffer it arrived in.
///
/// ```
/// use kaon_rtc::stun::{Class, Message, MessageBuilder, Method, TransactionId};
///
/// /// The address that a Binding response tells; `None` for any other datagram.
/// fn mapped_address(datagram: &[u8], asked: TransactionId) -> Option<std::net::SocketAddr> {
///     let message = Message::decode(datagram).ok()?;
///     let is_answer = message.class() == Class::Success && message.transaction_id() == asked;
///     message.mapped_address().filter(|_| is_answer)
/// }
///
/// let id = TransactionId([7; 12]);
/// let mut datagram = Vec::new();
/// MessageBuilder::new(&mut datagram, Class::Success, Method::BINDING, id)
///     .xor_mapped_address("192.0.2.1:32853".parse()?)
///     .finish()?;
/// assert_eq!(mapped_address(&datagram, id), Some("192.0.2.1:32853".parse()?));
/// assert_eq!(mapped_address(b"no STUN", id), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    class: Class,
    method: Method,
    /// Where the attributes end that the receiver looks at: at the first integrity attribute or fingerprint.
    attributes_end: usize,
    /// Where MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
    /// Where MESSAGE-INTEGRITY-SHA256 begins.
    integrity_sha256: Option<usize>,
    has_fingerprint: bool,
}

impl<'a> Message<'a> {
    /// Reads a datagram. The structure and, where there is one, the fingerprint are checked.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() < HEADER_LEN {
            return Err(DecodeError::TooShort(bytes.len()));
        }
        if !is_stun(bytes) {
            return Err(DecodeError::NotStun);
        }
        let claimed = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let actual = bytes.len() - HEADER_LEN;
        // RFC 8489 §5: the last two bits of the length are zero.
        if claimed != actual || claimed % 4 != 0 {
            return Err(DecodeError::Length { claimed, actual });
        }
        let (class, method) = class_and_method(u16::from_be_bytes([bytes[0], bytes[1]]));
        let mut message = Self {
            bytes,
            class,
            method,
            attributes_end: bytes.len(),
            integrity: None,
            integrity_sha256: None,
            has_fingerprint: false,
        };
        message.scan()?;
        Ok(message)
    }

    /// Walks over the attributes once, for their bounds and for those that end the others.
    fn scan(&mut self) -> Result<(), DecodeError> {
        let end = self.bytes.len();
        let mut offset = HEADER_LEN;
        while offset < end {
            let (kind, len) =
                attribute_header(self.bytes, offset).ok_or(DecodeError::Attribute { offset })?;
            let next = offset + 4 + len.next_multiple_of(4);
            if next > end {
                return Err(DecodeError::Attribute { offset });
            }
            match kind {
                // RFC 8489 §14.5: what follows MESSAGE-INTEGRITY is ignored, other integrity and the
                // fingerprint excepted. A second one is such an attribute.
                AttributeType::MESSAGE_INTEGRITY if self.attributes_end == end => {
                    if len != IntegrityAlgorithm::Sha1.tag_len() {
                        return Err(DecodeError::Attribute { offset });
                    }
                    self.integrity = Some(offset);
                    self.attributes_end = offset;
                }
                AttributeType::MESSAGE_INTEGRITY_SHA256 if self.integrity_sha256.is_none() => {
                    let longest = IntegrityAlgorithm::Sha256.tag_len();
                    if !(SHORTEST_TAG..=longest).contains(&len) || len % 4 != 0 {
                        return Err(DecodeError::Attribute { offset });
                    }
                    self.integrity_sha256 = Some(offset);
                    self.attributes_end = self.attributes_end.min(offset);
                }
                AttributeType::FINGERPRINT => {
                    if len != FINGERPRINT_LEN - 4 || next != end || !self.fingerprint_matches(offset) {
                        return Err(DecodeError::Fingerprint);
                    }
                    self.has_fingerprint = true;
                    self.attributes_end = self.attributes_end.min(offset);
                }
                _ => {}
            }
            offset = next;
        }
        Ok(())
    }

    fn fingerprint_matches(&self, offset: usize) -> bool {
        let expected = crc32fast::hash(&self.bytes[..offset]) ^ FINGERPRINT_XOR;
        self.bytes[offset + 4..] == expected.to_be_bytes()
    }

    /// The class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The transaction identifier.
    pub fn transaction_id(&self) -> TransactionId {
        let mut id = [0; 12];
        id.copy_from_slice(&self.bytes[8..HEADER_LEN]);
        TransactionId(id)
    }

    /// The whole message.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there is a fingerprint, which is correct then.
    pub fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// Whether there is a MESSAGE-INTEGRITY attribute.
    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether there is a MESSAGE-INTEGRITY-SHA256 attribute.
    pub fn has_integrity_sha256(&self) -> bool {
        self.integrity_sha256.is_some()
    }

    /// Whether the message has the integrity attribute of `key`, whole and made with it. An attribute of the other
    /// kind is no substitute.
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        self.verify_truncated(key, key.algorithm().tag_len())
    }

    /// Like [`verify`](Self::verify), with a MESSAGE-INTEGRITY-SHA256 that may be cut to `shortest` bytes: for usages
    /// that say so, which neither ICE nor TURN does (RFC 8489 §14.6).
    pub fn verify_truncated(&self, key: &IntegrityKey, shortest: usize) -> bool {
        let offset = match key.algorithm() {
            IntegrityAlgorithm::Sha1 => self.integrity,
            IntegrityAlgorithm::Sha256 => self.integrity_sha256,
        };
        offset.is_some_and(|offset| {
            let Some((_, len)) = attribute_header(self.bytes, offset) else { return false };
            let end = offset + 4 + len;
            // RFC 8489 §14.5: the length counts up to the end of the attribute.
            let length = (end - HEADER_LEN) as u16;
            len >= shortest && key.verify(&self.bytes[..offset], length, &self.bytes[offset + 4..end])
        })
    }

    /// The attributes in order, up to the first that protects the message.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes { bytes: &self.bytes[..self.attributes_end], offset: HEADER_LEN }
    }

    /// The value of the first attribute of a type; further ones are ignored (RFC 8489 §14).
    pub fn attribute(&self, kind: AttributeType) -> Option<&'a [u8]> {
        self.attributes().find(|attribute| attribute.kind == kind).map(|attribute| attribute.value)
    }

    /// Comprehension-required attributes that are not in `known`.
    pub fn unknown_required<'k>(
        &self,
        known: &'k [AttributeType],
    ) -> impl Iterator<Item = AttributeType> + use<'a, 'k> {
        self.attributes()
            .map(|attribute| attribute.kind)
            .filter(move |kind| kind.is_comprehension_required() && !known.contains(kind))
    }

    /// USERNAME
    pub fn username(&self) -> Option<&'a str> {
        self.text(AttributeType::USERNAME)
    }

    /// SOFTWARE
    pub fn software(&self) -> Option<&'a str> {
        self.text(AttributeType::SOFTWARE)
    }

    /// REALM
    pub fn realm(&self) -> Option<&'a str> {
        self.text(AttributeType::REALM)
    }

    /// NONCE
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.attribute(AttributeType::NONCE)
    }

    /// ERROR-CODE and its reason phrase.
    pub fn error_code(&self) -> Option<(ErrorCode, &'a str)> {
        ErrorCode::decode(self.attribute(AttributeType::ERROR_CODE)?)
    }

    /// XOR-MAPPED-ADDRESS, or MAPPED-ADDRESS from a server of old.
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        self.xor_address(AttributeType::XOR_MAPPED_ADDRESS)
            .or_else(|| self.address(AttributeType::MAPPED_ADDRESS))
    }

    /// An address attribute that is not XORed.
    pub fn address(&self, kind: AttributeType) -> Option<SocketAddr> {
        address::decode(self.attribute(kind)?)
    }

    /// CHANGE-REQUEST: where the answer is to come from (RFC 5780 §7.2).
    pub fn change_request(&self) -> Option<ChangeRequest> {
        self.number(AttributeType::CHANGE_REQUEST).map(ChangeRequest::from_flags)
    }

    /// RESPONSE-ORIGIN: where the server says that the answer comes from (RFC 5780 §7.3).
    pub fn response_origin(&self) -> Option<SocketAddr> {
        self.address(AttributeType::RESPONSE_ORIGIN)
    }

    /// OTHER-ADDRESS: the address of the server that differs in both IP address and port (RFC 5780 §7.4).
    pub fn other_address(&self) -> Option<SocketAddr> {
        self.address(AttributeType::OTHER_ADDRESS)
    }

    /// RESPONSE-PORT: the port of the source that the answer is to go to (RFC 5780 §7.5); `None` also for 0.
    pub fn response_port(&self) -> Option<u16> {
        let port = self.attribute(AttributeType::RESPONSE_PORT)?.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*port)).filter(|port| *port != 0)
    }

    /// An address attribute that is XORed with the header.
    pub fn xor_address(&self, kind: AttributeType) -> Option<SocketAddr> {
        Some(address::xor(address::decode(self.attribute(kind)?)?, self.transaction_id()))
    }

    /// Every address of a type that is XORed with the header, in order: an allocation of both families has two
    /// (RFC 8656 §7.3).
    pub fn xor_addresses(&self, kind: AttributeType) -> impl Iterator<Item = SocketAddr> + use<'a> {
        let id = self.transaction_id();
        self.attributes()
            .filter(move |attribute| attribute.kind == kind)
            .filter_map(move |attribute| Some(address::xor(address::decode(attribute.value)?, id)))
    }

    /// Every ALTERNATE-SERVER, in the order of preference (RFC 8489 §10).
    pub fn alternate_servers(&self) -> impl Iterator<Item = SocketAddr> + use<'a> {
        self.attributes()
            .filter(|attribute| attribute.kind == AttributeType::ALTERNATE_SERVER)
            .filter_map(|attribute| address::decode(attribute.value))
    }

    /// ALTERNATE-DOMAIN: the name to verify an alternate server's certificate against (RFC 8489 §14.16).
    pub fn alternate_domain(&self) -> Option<&'a str> {
        self.text(AttributeType::ALTERNATE_DOMAIN)
    }

    /// UNKNOWN-ATTRIBUTES: what the server did not understand (RFC 8489 §14.13).
    pub fn unknown_attributes(&self) -> impl Iterator<Item = AttributeType> + use<'a> {
        let value = self.attribute(AttributeType::UNKNOWN_ATTRIBUTES).unwrap_or_default();
        value.chunks_exact(2).map(|kind| AttributeType(u16::from_be_bytes([kind[0], kind[1]])))
    }

    /// PRIORITY
    pub fn priority(&self) -> Option<u32> {
        self.attribute(AttributeType::PRIORITY)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Whether there is USE-CANDIDATE.
    pub fn use_candidate(&self) -> bool {
        self.attribute(AttributeType::USE_CANDIDATE).is_some()
    }

    /// NOMINATION (draft-thatcher-ice-renomination); `None` if it is not there, malformed or 0, which nominates nothing.
    pub fn nomination(&self) -> Option<u32> {
        self.number(AttributeType::NOMINATION).filter(|value| *value > 0)
    }

    /// GOOG-NETWORK-INFO: the number of the network and its cost.
    pub fn network_info(&self) -> Option<(u16, u16)> {
        let number = self.number(AttributeType::NETWORK_INFO)?;
        Some(((number >> 16) as u16, number as u16))
    }

    fn number(&self, kind: AttributeType) -> Option<u32> {
        Some(u32::from_be_bytes(self.attribute(kind)?.try_into().ok()?))
    }

    /// The tie-breaker of ICE-CONTROLLING.
    pub fn ice_controlling(&self) -> Option<u64> {
        self.attribute(AttributeType::ICE_CONTROLLING)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// The tie-breaker of ICE-CONTROLLED.
    pub fn ice_controlled(&self) -> Option<u64> {
        self.attribute(AttributeType::ICE_CONTROLLED)?.try_into().ok().map(u64::from_be_bytes)
    }

    fn text(&self, kind: AttributeType) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(kind)?).ok()
    }
}

/// Iterates over the attributes of a message.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, len) = attribute_header(self.bytes, self.offset)?;
        let begin = self.offset + 4;
        let value = self.bytes.get(begin..begin + len)?;
        self.offset = begin + len.next_multiple_of(4);
        Some(Attribute { kind, value })
    }
}

fn attribute_header(bytes: &[u8], offset: usize) -> Option<(AttributeType, usize)> {
    let header = bytes.get(offset..)?.first_chunk::<4>()?;
    let kind = AttributeType(u16::from_be_bytes([header[0], header[1]]));
    Some((kind, usize::from(u16::from_be_bytes([header[2], header[3]]))))
}
