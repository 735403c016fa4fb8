//! Messages that an agent sends.

use super::credentials::KeyedCredentials;
use crate::crypto::SecureRandom;
use crate::layer::{FiveTuple, IceRole};
use crate::stun::{AttributeType, Class, ErrorCode, IntegrityKey, MessageBuilder, Method, TransactionId};

/// A message that waits to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) path: FiveTuple,
    pub(super) id: TransactionId,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// A connectivity or consent check.
    Check(CheckRequest),
    /// A question to a STUN server.
    ServerQuery,
    /// The response to a check; the credentials are those of the generation that it belongs to.
    Response { outcome: Outcome, generation: Generation },
}

/// RFC 8445 §7.1
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckRequest {
    pub(super) priority: u32,
    pub(super) role: IceRole,
    pub(super) tie_breaker: u64,
    pub(super) use_candidate: bool,
    /// Which nomination of this side it is, where they are counted.
    pub(super) nomination: Option<u32>,
    /// The number of the network and what it costs, if that is known.
    pub(super) network: Option<(u16, u16)>,
    pub(super) generation: Generation,
}

/// RFC 8445 §16.1: 64 random bits.
pub(super) fn random_tie_breaker(random: &dyn SecureRandom) -> u64 {
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    u64::from_be_bytes(bytes)
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// The check succeeded; the path says what address the peer has.
    Success,
    /// RFC 8445 §7.3.1.1
    RoleConflict,
    /// RFC 8489 §6.3.1
    UnknownAttribute(AttributeType),
}

/// Which credentials a message belongs to: an ICE restart has two generations side by side (RFC 8445 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    Current,
    Previous,
}

/// The comprehension-required attributes that a check may have.
pub(super) const KNOWN_ATTRIBUTES: [AttributeType; 4] = [
    AttributeType::USERNAME,
    AttributeType::PRIORITY,
    AttributeType::USE_CANDIDATE,
    AttributeType::MESSAGE_INTEGRITY,
];

pub(super) fn write_check(
    buffer: &mut Vec<u8>,
    id: TransactionId,
    check: CheckRequest,
    local_ufrag: &str,
    remote: &KeyedCredentials,
) -> Option<usize> {
    let mut message = MessageBuilder::new(buffer, Class::Request, Method::BINDING, id)
        .ice_username(remote.ufrag(), local_ufrag)
        .priority(check.priority);
    message = match check.role {
        IceRole::Controlling => message.ice_controlling(check.tie_breaker),
        IceRole::Controlled => message.ice_controlled(check.tie_breaker),
    };
    if check.use_candidate {
        message = message.use_candidate();
    }
    if let Some(value) = check.nomination {
        message = message.nomination(value);
    }
    if let Some((id, cost)) = check.network {
        message = message.network_info(id, cost);
    }
    message.integrity(&remote.key).fingerprint().finish().ok()
}

pub(super) fn write_server_query(buffer: &mut Vec<u8>, id: TransactionId) -> Option<usize> {
    MessageBuilder::new(buffer, Class::Request, Method::BINDING, id).fingerprint().finish().ok()
}

pub(super) fn write_response(
    buffer: &mut Vec<u8>,
    id: TransactionId,
    outcome: Outcome,
    path: &FiveTuple,
    key: &IntegrityKey,
) -> Option<usize> {
    let class = if matches!(outcome, Outcome::Success) { Class::Success } else { Class::Error };
    let message = MessageBuilder::new(buffer, class, Method::BINDING, id);
    let message = match outcome {
        Outcome::Success => message.xor_mapped_address(path.remote),
        Outcome::RoleConflict => message.error_code(ErrorCode::ROLE_CONFLICT),
        Outcome::UnknownAttribute(kind) => {
            message.error_code(ErrorCode::UNKNOWN_ATTRIBUTE).unknown_attributes([kind])
        }
    };
    message.integrity(key).fingerprint().finish().ok()
}
