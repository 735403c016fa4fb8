//! Error codes, RFC 8489 §14.8.

use std::fmt;

/// Why a request was refused: a number from 300 to 699 (RFC 8489 §14.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(u16);

impl ErrorCode {
    /// Ask another server.
    pub const TRY_ALTERNATE: Self = Self(300);
    /// The request is malformed.
    pub const BAD_REQUEST: Self = Self(400);
    /// The request lacks correct credentials.
    pub const UNAUTHENTICATED: Self = Self(401);
    /// The request is not allowed (RFC 8656 §19).
    pub const FORBIDDEN: Self = Self(403);
    /// The server lets no allocation move (RFC 8016 §3.4).
    pub const MOBILITY_FORBIDDEN: Self = Self(405);
    /// The request has a comprehension-required attribute that the server does not know.
    pub const UNKNOWN_ATTRIBUTE: Self = Self(420);
    /// There is no allocation on this five-tuple, or there is one already (RFC 8656 §19).
    pub const ALLOCATION_MISMATCH: Self = Self(437);
    /// The nonce is no longer valid.
    pub const STALE_NONCE: Self = Self(438);
    /// The server has no address of the family that was asked for (RFC 8656 §19).
    pub const ADDRESS_FAMILY_NOT_SUPPORTED: Self = Self(440);
    /// The allocation is of another user (RFC 8656 §19).
    pub const WRONG_CREDENTIALS: Self = Self(441);
    /// The server relays no such transport protocol (RFC 8656 §19).
    pub const UNSUPPORTED_TRANSPORT_PROTOCOL: Self = Self(442);
    /// The peer's address is of another family than the relayed one (RFC 8656 §19).
    pub const PEER_ADDRESS_FAMILY_MISMATCH: Self = Self(443);
    /// There is a connection to that peer already (RFC 6062 §6.3).
    pub const CONNECTION_ALREADY_EXISTS: Self = Self(446);
    /// The peer cannot be connected to, or not in time (RFC 6062 §6.3).
    pub const CONNECTION_TIMEOUT_OR_FAILURE: Self = Self(447);
    /// The user has as many allocations as allowed (RFC 8656 §19).
    pub const ALLOCATION_QUOTA_REACHED: Self = Self(486);
    /// Both ICE agents claim the same role (RFC 8445 §16.2).
    pub const ROLE_CONFLICT: Self = Self(487);
    /// The server failed; try again.
    pub const SERVER_ERROR: Self = Self(500);
    /// The server has no port, or no other resource, left (RFC 8656 §19).
    pub const INSUFFICIENT_CAPACITY: Self = Self(508);

    /// A code by its number; `None` outside 300 to 699.
    pub const fn new(number: u16) -> Option<Self> {
        if number >= 300 && number < 700 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The reason phrase that the RFC recommends; empty for codes unknown here.
    pub const fn reason(self) -> &'static str {
        match self.0 {
            300 => "Try Alternate",
            400 => "Bad Request",
            401 => "Unauthenticated",
            403 => "Forbidden",
            405 => "Mobility Forbidden",
            420 => "Unknown Attribute",
            437 => "Allocation Mismatch",
            438 => "Stale Nonce",
            440 => "Address Family not Supported",
            441 => "Wrong Credentials",
            442 => "Unsupported Transport Protocol",
            443 => "Peer Address Family Mismatch",
            446 => "Connection Already Exists",
            447 => "Connection Timeout or Failure",
            486 => "Allocation Quota Reached",
            487 => "Role Conflict",
            500 => "Server Error",
            508 => "Insufficient Capacity",
            _ => "",
        }
    }

    pub(crate) fn decode(value: &[u8]) -> Option<(Self, &str)> {
        let (header, reason) = value.split_first_chunk::<4>()?;
        let (class, number) = (u16::from(header[2] & 0x07), u16::from(header[3]));
        if number > 99 {
            return None;
        }
        // A reason that is no UTF-8 is for people only and does not spoil the code.
        Some((Self::new(class * 100 + number)?, std::str::from_utf8(reason).unwrap_or_default()))
    }

    pub(crate) fn header(self) -> [u8; 4] {
        [0, 0, (self.0 / 100) as u8, (self.0 % 100) as u8]
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}
