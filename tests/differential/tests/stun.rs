//! STUN beside the crate `stun-types`: what one writes the other reads, to the same bytes.

use std::net::SocketAddr;

use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId,
};
use proptest::collection::vec;
use proptest::prelude::*;
use stun_types::attribute as theirs;
use stun_types::message as their;
use stun_types::message::{MessageWrite, MessageWriteExt};

/// An attribute that can be in a message once.
#[derive(Clone, Debug)]
enum Content {
    Username(String),
    Software(String),
    XorMappedAddress(SocketAddr),
    ErrorCode(u16, String),
    Raw(u16, Vec<u8>),
}

impl Content {
    fn kind(&self) -> u16 {
        match self {
            Self::Username(_) => AttributeType::USERNAME.0,
            Self::Software(_) => AttributeType::SOFTWARE.0,
            Self::XorMappedAddress(_) => AttributeType::XOR_MAPPED_ADDRESS.0,
            Self::ErrorCode(..) => AttributeType::ERROR_CODE.0,
            Self::Raw(kind, _) => *kind,
        }
    }
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        "[a-zA-Z0-9+/:]{1,40}".prop_map(Content::Username),
        "[a-zA-Z0-9 .é]{1,40}".prop_map(Content::Software),
        any::<SocketAddr>().prop_map(|address| {
            // Flow information and scope are no part of an attribute.
            Content::XorMappedAddress(SocketAddr::new(address.ip(), address.port()))
        }),
        (300u16..700, "[a-zA-Z ]{1,30}").prop_map(|(code, reason)| Content::ErrorCode(code, reason)),
        (prop_oneof![0x4000u16..0x5000, 0xc000u16..0xd000], vec(any::<u8>(), 0..50))
            .prop_map(|(kind, value)| Content::Raw(kind, value)),
    ]
}

#[derive(Clone, Debug)]
struct Plan {
    class: u8,
    method: u16,
    id: [u8; 12],
    contents: Vec<Content>,
    password: Option<String>,
    fingerprint: bool,
}

fn plan() -> impl Strategy<Value = Plan> {
    let password = proptest::option::of("[a-zA-Z0-9+/]{1,100}");
    (0u8..4, 0u16..0x1000, any::<[u8; 12]>(), vec(content(), 0..6), password, any::<bool>()).prop_map(
        |(class, method, id, mut contents, password, fingerprint)| {
            let mut seen = Vec::new();
            contents.retain(|content| {
                let new = !seen.contains(&content.kind());
                seen.push(content.kind());
                new
            });
            Plan { class, method, id, contents, password, fingerprint }
        },
    )
}

impl Plan {
    fn our_class(&self) -> Class {
        [Class::Request, Class::Indication, Class::Success, Class::Error][usize::from(self.class)]
    }

    fn their_class(&self) -> their::MessageClass {
        use their::MessageClass::{Error, Indication, Request, Success};
        [Request, Indication, Success, Error][usize::from(self.class)]
    }

    fn their_id(&self) -> their::TransactionId {
        self.id.iter().fold(0, |id: u128, byte| id << 8 | u128::from(*byte)).into()
    }

    fn our_key(&self) -> Option<IntegrityKey> {
        self.password.as_ref().map(|password| IntegrityKey::short_term(&aws_lc_rs::provider(), password))
    }

    fn their_key(&self) -> Option<their::IntegrityKey> {
        self.password.clone().map(|password| their::ShortTermCredentials::new(password).make_key())
    }

    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let method = Method::new(self.method).unwrap();
        let mut message = MessageBuilder::new(&mut bytes, self.our_class(), method, TransactionId(self.id));
        for content in &self.contents {
            message = match content {
                Content::Username(username) => message.username(username),
                Content::Software(software) => message.software(software),
                Content::XorMappedAddress(address) => message.xor_mapped_address(*address),
                Content::ErrorCode(code, reason) => {
                    let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
                    value.extend(reason.as_bytes());
                    message.attribute(AttributeType::ERROR_CODE, &value)
                }
                Content::Raw(kind, value) => message.attribute(AttributeType(*kind), value),
            };
        }
        if let Some(key) = self.our_key() {
            message = message.integrity(&key);
        }
        if self.fingerprint {
            message = message.fingerprint();
        }
        message.finish().unwrap();
        bytes
    }

    fn their_write(&self) -> Vec<u8> {
        let kind = their::MessageType::from_class_method(self.their_class(), their::Method::new(self.method));
        let mut message = their::Message::builder(kind, self.their_id(), their::MessageWriteVec::new());
        for content in &self.contents {
            match content {
                Content::Username(username) => {
                    message.add_attribute(&theirs::Username::new(username).unwrap()).unwrap();
                }
                Content::Software(software) => {
                    message.add_attribute(&theirs::Software::new(software).unwrap()).unwrap();
                }
                Content::XorMappedAddress(address) => {
                    let address = theirs::XorMappedAddress::new(*address, self.their_id());
                    message.add_attribute(&address).unwrap();
                }
                Content::ErrorCode(code, reason) => {
                    message.add_attribute(&theirs::ErrorCode::new(*code, reason).unwrap()).unwrap();
                }
                Content::Raw(kind, value) => {
                    let raw = theirs::RawAttribute::new(theirs::AttributeType::new(*kind), value);
                    message.add_attribute(&raw).unwrap();
                }
            }
        }
        if let Some(key) = self.their_key() {
            message.add_message_integrity_with_key(&key, their::IntegrityAlgorithm::Sha1).unwrap();
        }
        if self.fingerprint {
            message.add_fingerprint().unwrap();
        }
        message.finish()
    }

    fn read(&self, bytes: &[u8]) {
        let message = Message::decode(bytes).unwrap();
        assert_eq!(message.class(), self.our_class());
        assert_eq!(message.method().number(), self.method);
        assert_eq!(message.transaction_id(), TransactionId(self.id));
        assert_eq!(message.has_fingerprint(), self.fingerprint);
        assert_eq!(message.has_integrity(), self.password.is_some());
        assert!(self.our_key().is_none_or(|key| message.verify(&key)));
        assert_eq!(message.attributes().count(), self.contents.len());
        for content in &self.contents {
            match content {
                Content::Username(username) => assert_eq!(message.username(), Some(&username[..])),
                Content::Software(software) => assert_eq!(message.software(), Some(&software[..])),
                Content::XorMappedAddress(address) => assert_eq!(message.mapped_address(), Some(*address)),
                Content::ErrorCode(code, reason) => {
                    assert_eq!(message.error_code(), Some((ErrorCode::new(*code).unwrap(), &reason[..])));
                }
                Content::Raw(kind, value) => {
                    assert_eq!(message.attribute(AttributeType(*kind)), Some(&value[..]));
                }
            }
        }
    }

    fn they_read(&self, bytes: &[u8]) {
        let message = their::Message::from_bytes(bytes).unwrap();
        assert_eq!(message.class(), self.their_class());
        assert_eq!(message.method().value(), self.method);
        assert_eq!(message.transaction_id(), self.their_id());
        if let Some(key) = self.their_key() {
            message.validate_integrity_with_key(&key).unwrap();
        }
        let added = usize::from(self.password.is_some()) + usize::from(self.fingerprint);
        assert_eq!(message.iter_attributes().count(), self.contents.len() + added);
        for content in &self.contents {
            match content {
                Content::Username(username) => {
                    assert_eq!(message.attribute::<theirs::Username>().unwrap().username(), username);
                }
                Content::Software(software) => {
                    assert_eq!(message.attribute::<theirs::Software>().unwrap().software(), software);
                }
                Content::XorMappedAddress(address) => {
                    let mapped = message.attribute::<theirs::XorMappedAddress>().unwrap();
                    assert_eq!(mapped.addr(self.their_id()), *address);
                }
                Content::ErrorCode(code, reason) => {
                    let error = message.attribute::<theirs::ErrorCode>().unwrap();
                    assert_eq!((error.code(), error.reason()), (*code, &reason[..]));
                }
                Content::Raw(kind, value) => {
                    let raw = message.raw_attribute(theirs::AttributeType::new(*kind)).unwrap();
                    assert_eq!(*raw.value, **value);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn messages(plan in plan()) {
        let (ours, theirs) = (plan.write(), plan.their_write());
        plan.they_read(&ours);
        plan.read(&theirs);
        prop_assert_eq!(ours, theirs);
    }

    /// One byte is changed: neither takes the fingerprint or the integrity for right.
    #[test]
    fn changed_messages(plan in plan(), place in any::<prop::sample::Index>(), change in 1u8..) {
        let mut bytes = plan.write();
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        let (ours, read) = (Message::decode(&bytes), their::Message::from_bytes(&bytes));
        // With another type, or as part of an attribute that says it is longer, it is no fingerprint any more.
        prop_assert!(!ours.is_ok_and(|message| message.has_fingerprint()) || !plan.fingerprint);
        let kind = theirs::AttributeType::new(AttributeType::FINGERPRINT.0);
        // It does not compare the length in the header with that of the datagram.
        if plan.fingerprint && !(2..4).contains(&place) {
            prop_assert!(!read.as_ref().is_ok_and(|message| message.has_attribute(kind)));
        }
        if let (Some(our_key), Some(their_key)) = (plan.our_key(), plan.their_key()) {
            let authentic = [
                ours.is_ok_and(|message| message.verify(&our_key)),
                read.is_ok_and(|message| message.validate_integrity_with_key(&their_key).is_ok()),
            ];
            let covered = bytes.len() - 8 * usize::from(plan.fingerprint);
            if place < covered && !(2..4).contains(&place) {
                prop_assert_eq!(authentic, [false; 2]);
            }
        }
    }
}
