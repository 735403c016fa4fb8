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
    /// CHANGE-REQUEST (RFC 5780 §7.2)
    pub const CHANGE_REQUEST: Self = Self(0x0003);
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
    /// PADDING (RFC 5780 §7.6)
    pub const PADDING: Self = Self(0x0026);
    /// RESPONSE-PORT (RFC 5780 §7.5)
    pub const RESPONSE_PORT: Self = Self(0x0027);
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
    /// RESPONSE-ORIGIN (RFC 5780 §7.3)
    pub const RESPONSE_ORIGIN: Self = Self(0x802b);
    /// OTHER-ADDRESS (RFC 5780 §7.4)
    pub const OTHER_ADDRESS: Self = Self(0x802c);

    /// NOMINATION of draft-thatcher-ice-renomination, by the number that libwebrtc gave it. IANA has registered it for
    /// something else, which no agent of ICE sends.
    pub const NOMINATION: Self = Self(0xc001);
    /// GOOG-NETWORK-INFO of libwebrtc: which network a check comes from, and what it costs.
    pub const NETWORK_INFO: Self = Self(0xc057);

    /// Whether a receiver that does not know the attribute must refuse the message (RFC 8489 §14).
    pub const fn is_comprehension_required(self) -> bool {
        self.0 < 0x8000
    }
}

/// The comprehension-required attributes that a Binding response may have.
pub(super) const KNOWN_IN_RESPONSES: [AttributeType; 7] = [
    AttributeType::MAPPED_ADDRESS,
    AttributeType::XOR_MAPPED_ADDRESS,
    AttributeType::ERROR_CODE,
    AttributeType::UNKNOWN_ATTRIBUTES,
    AttributeType::PADDING,
    // SOURCE-ADDRESS and CHANGED-ADDRESS, which a server of RFC 3489 sends (§11.1 there).
    AttributeType(0x0004),
    AttributeType(0x0005),
];
