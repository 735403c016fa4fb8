//! Reading a message.

use std::net::SocketAddr;

use super::address;
use super::attribute::{Attribute, AttributeType};
use super::error::DecodeError;
use super::error_code::ErrorCode;
use super::header::{Class, HEADER_LEN, Method, TransactionId, class_and_method, is_stun};
use super::integrity::IntegrityKey;

/// The bytes that MESSAGE-INTEGRITY takes with its header.
const INTEGRITY_LEN: usize = 24;

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
                    if len != INTEGRITY_LEN - 4 {
                        return Err(DecodeError::Attribute { offset });
                    }
                    self.integrity = Some(offset);
                    self.attributes_end = offset;
                }
                AttributeType::MESSAGE_INTEGRITY_SHA256 => {
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

    /// Whether the message has a MESSAGE-INTEGRITY attribute made with `key`.
    pub fn verify(&self, key: &IntegrityKey) -> bool {
        self.integrity.is_some_and(|offset| {
            // RFC 8489 §14.5: the length counts up to the end of the attribute.
            let length = (offset + INTEGRITY_LEN - HEADER_LEN) as u16;
            key.verify(&self.bytes[..offset], length, &self.bytes[offset + 4..offset + INTEGRITY_LEN])
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
            .or_else(|| address::decode(self.attribute(AttributeType::MAPPED_ADDRESS)?))
    }

    /// An address attribute that is XORed with the header.
    pub fn xor_address(&self, kind: AttributeType) -> Option<SocketAddr> {
        Some(address::xor(address::decode(self.attribute(kind)?)?, self.transaction_id()))
    }

    /// PRIORITY
    pub fn priority(&self) -> Option<u32> {
        self.attribute(AttributeType::PRIORITY)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Whether there is USE-CANDIDATE.
    pub fn use_candidate(&self) -> bool {
        self.attribute(AttributeType::USE_CANDIDATE).is_some()
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
