//! Attributes and their types, RFC 8489 §14.

/// An attribute as it stands in a message, without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// What it is.
    pub kind: AttributeType,
    /// Its value.
    pub value: &'a [u8],
}

/// The type of an attribute (RFC 8489 §18.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttributeType(pub u16);

impl AttributeType {
    /// MAPPED-ADDRESS
    pub const MAPPED_ADDRESS: Self = Self(0x0001);
    /// USERNAME
    pub const USERNAME: Self = Self(0x0006);
    /// MESSAGE-INTEGRITY
    pub const MESSAGE_INTEGRITY: Self = Self(0x0008);
    /// ERROR-CODE
    pub const ERROR_CODE: Self = Self(0x0009);
    /// UNKNOWN-ATTRIBUTES
    pub const UNKNOWN_ATTRIBUTES: Self = Self(0x000a);
    /// REALM
    pub const REALM: Self = Self(0x0014);
    /// NONCE
    pub const NONCE: Self = Self(0x0015);
    /// MESSAGE-INTEGRITY-SHA256
    pub const MESSAGE_INTEGRITY_SHA256: Self = Self(0x001c);
    /// PASSWORD-ALGORITHM
    pub const PASSWORD_ALGORITHM: Self = Self(0x001d);
    /// USERHASH
    pub const USERHASH: Self = Self(0x001e);
    /// XOR-MAPPED-ADDRESS
    pub const XOR_MAPPED_ADDRESS: Self = Self(0x0020);
    /// PRIORITY (RFC 8445 §16.1)
    pub const PRIORITY: Self = Self(0x0024);
    /// USE-CANDIDATE (RFC 8445 §16.1)
    pub const USE_CANDIDATE: Self = Self(0x0025);
    /// PASSWORD-ALGORITHMS
    pub const PASSWORD_ALGORITHMS: Self = Self(0x8002);
    /// ALTERNATE-DOMAIN
    pub const ALTERNATE_DOMAIN: Self = Self(0x8003);
    /// SOFTWARE
    pub const SOFTWARE: Self = Self(0x8022);
    /// ALTERNATE-SERVER
    pub const ALTERNATE_SERVER: Self = Self(0x8023);
    /// FINGERPRINT
    pub const FINGERPRINT: Self = Self(0x8028);
    /// ICE-CONTROLLED (RFC 8445 §16.1)
    pub const ICE_CONTROLLED: Self = Self(0x8029);
    /// ICE-CONTROLLING (RFC 8445 §16.1)
    pub const ICE_CONTROLLING: Self = Self(0x802a);

    /// Whether a receiver that does not know the attribute must refuse the message (RFC 8489 §14).
    pub const fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }
}
