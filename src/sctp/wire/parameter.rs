//! Parameters of chunks, RFC 9260 §3.2.1.

use super::{UnknownAction, WireError};

/// The type of a parameter (RFC 9260 §3.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParameterType(pub u16);

#[allow(missing_docs)] // The names are those of the registry.
impl ParameterType {
    pub const HEARTBEAT_INFO: Self = Self(1);
    pub const IPV4_ADDRESS: Self = Self(5);
    pub const IPV6_ADDRESS: Self = Self(6);
    pub const STATE_COOKIE: Self = Self(7);
    pub const UNRECOGNIZED_PARAMETER: Self = Self(8);
    pub const COOKIE_PRESERVATIVE: Self = Self(9);
    pub const HOST_NAME_ADDRESS: Self = Self(11);
    pub const SUPPORTED_ADDRESS_TYPES: Self = Self(12);
    pub const OUTGOING_RESET_REQUEST: Self = Self(13);
    pub const INCOMING_RESET_REQUEST: Self = Self(14);
    pub const SSN_TSN_RESET_REQUEST: Self = Self(15);
    pub const RECONFIG_RESPONSE: Self = Self(16);
    pub const ADD_OUTGOING_STREAMS: Self = Self(17);
    pub const ADD_INCOMING_STREAMS: Self = Self(18);
    pub const ECN_CAPABLE: Self = Self(0x8000);
    pub const ZERO_CHECKSUM_ACCEPTABLE: Self = Self(0x8001);
    pub const RANDOM: Self = Self(0x8002);
    pub const CHUNK_LIST: Self = Self(0x8003);
    pub const REQUESTED_HMAC: Self = Self(0x8004);
    pub const SUPPORTED_EXTENSIONS: Self = Self(0x8008);
    pub const FORWARD_TSN_SUPPORTED: Self = Self(0xc000);
    pub const ADAPTATION_LAYER: Self = Self(0xc006);

    /// What the two high bits tell a receiver that does not know the type.
    pub const fn unknown_action(self) -> UnknownAction {
        UnknownAction { skip: self.0 & 0x8000 != 0, report: self.0 & 0x4000 != 0 }
    }
}

/// One parameter of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its type.
    pub kind: ParameterType,
    /// The parameter after its header of four bytes, without padding.
    pub value: &'a [u8],
    /// The parameter with its header, to be reported back.
    pub whole: &'a [u8],
}

impl Parameter<'_> {
    /// Appends a parameter with its padding.
    pub(crate) fn write(out: &mut Vec<u8>, kind: ParameterType, value: &[u8]) {
        let length = 4 + value.len();
        out.extend_from_slice(&kind.0.to_be_bytes());
        out.extend_from_slice(&(length as u16).to_be_bytes());
        out.extend_from_slice(value);
        out.resize(out.len() + length.next_multiple_of(4) - length, 0);
    }
}

/// The parameters of a chunk in order; ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Parameters<'a>(&'a [u8]);

impl<'a> Parameters<'a> {
    /// Reads the part of a chunk that consists of parameters. Error causes have the same form
    /// (RFC 9260 §3.3.10).
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<Parameter<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        let &[k0, k1, l0, l1, ..] = self.0 else {
            // What is left is shorter than a header: padding at most.
            let left = std::mem::take(&mut self.0);
            let error = WireError::ParameterLength { kind: 0, claimed: 4, available: left.len() };
            return (!left.is_empty()).then_some(Err(error));
        };
        let kind = u16::from_be_bytes([k0, k1]);
        let claimed = usize::from(u16::from_be_bytes([l0, l1]));
        let (Some(value), Some(whole)) = (self.0.get(4..claimed), self.0.get(..claimed)) else {
            let available = std::mem::take(&mut self.0).len();
            return Some(Err(WireError::ParameterLength { kind, claimed, available }));
        };
        self.0 = self.0.get(claimed.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Parameter { kind: ParameterType(kind), value, whole }))
    }
}
