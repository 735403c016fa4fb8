//! The header of a message, RFC 8489 §5.

use std::fmt;

use crate::crypto::SecureRandom;

/// The length of the header in bytes (RFC 8489 §5).
pub const HEADER_LEN: usize = 20;

/// The fixed value in every header (RFC 8489 §5).
pub const MAGIC_COOKIE: u32 = 0x2112_a442;

/// Whether `bytes` begin as a STUN message does, to tell it from other protocols on the same port.
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_LEN && bytes[0] & 0xc0 == 0 && bytes[4..8] == MAGIC_COOKIE.to_be_bytes()
}

/// The class and the transaction of what begins as a STUN message, without a look at the rest: what tells whose it is
/// on a port that many share. `None` if it is nothing of the kind.
pub fn peek(bytes: &[u8]) -> Option<(Class, TransactionId)> {
    if !is_stun(bytes) {
        return None;
    }
    let (class, _) = class_and_method(u16::from_be_bytes([bytes[0], bytes[1]]));
    let mut id = [0; 12];
    id.copy_from_slice(&bytes[8..HEADER_LEN]);
    Some((class, TransactionId(id)))
}

/// The class of a message (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks, and wants a response.
    Request,
    /// Tells, and wants none.
    Indication,
    /// The request was granted.
    Success,
    /// The request was refused.
    Error,
}

/// The method of a message, 12 bits (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// Asks for the address that the other side sees.
    pub const BINDING: Self = Self(0x001);
    /// Asks for a relayed address (RFC 8656 §17).
    pub const ALLOCATE: Self = Self(0x003);
    /// Keeps an allocation, or gives it back (RFC 8656 §17).
    pub const REFRESH: Self = Self(0x004);
    /// Data for a peer, an indication (RFC 8656 §17).
    pub const SEND: Self = Self(0x006);
    /// Data from a peer, an indication (RFC 8656 §17).
    pub const DATA: Self = Self(0x007);
    /// Lets a peer send to the relayed address (RFC 8656 §17).
    pub const CREATE_PERMISSION: Self = Self(0x008);
    /// Binds a channel to a peer (RFC 8656 §17).
    pub const CHANNEL_BIND: Self = Self(0x009);

    /// Has a relay connect to a peer over TCP (RFC 6062 §6.1).
    pub const CONNECT: Self = Self(0x00a);
    /// Makes a connection that of a peer (RFC 6062 §6.1).
    pub const CONNECTION_BIND: Self = Self(0x00b);
    /// A peer has connected to the relayed address, an indication (RFC 6062 §6.1).
    pub const CONNECTION_ATTEMPT: Self = Self(0x00c);

    /// A method by its number; `None` beyond 12 bits.
    pub const fn new(number: u16) -> Option<Self> {
        if number < 0x1000 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Class and method share the first 14 bits: M11-M7 C1 M6-M4 C0 M3-M0 (RFC 8489 §5, figure 3).
pub(super) const fn message_type(class: Class, method: Method) -> u16 {
    let m = method.0;
    let class = match class {
        Class::Request => 0x000,
        Class::Indication => 0x010,
        Class::Success => 0x100,
        Class::Error => 0x110,
    };
    (m & 0x00f) | (m & 0x070) << 1 | (m & 0xf80) << 2 | class
}

pub(super) const fn class_and_method(message_type: u16) -> (Class, Method) {
    let class = match message_type & 0x110 {
        0x000 => Class::Request,
        0x010 => Class::Indication,
        0x100 => Class::Success,
        _ => Class::Error,
    };
    let t = message_type;
    (class, Method((t & 0x00f) | (t & 0x0e0) >> 1 | (t & 0x3e00) >> 2))
}

/// Ties a response to its request: 96 random bits (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    /// A new identifier.
    pub fn random(random: &dyn SecureRandom) -> Self {
        let mut bytes = [0; 12];
        random.fill(&mut bytes);
        Self(bytes)
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionId(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}
