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
    /// The request has a comprehension-required attribute that the server does not know.
    pub const UNKNOWN_ATTRIBUTE: Self = Self(420);
    /// The nonce is no longer valid.
    pub const STALE_NONCE: Self = Self(438);
    /// Both ICE agents claim the same role (RFC 8445 §16.2).
    pub const ROLE_CONFLICT: Self = Self(487);
    /// The server failed; try again.
    pub const SERVER_ERROR: Self = Self(500);

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
            420 => "Unknown Attribute",
            438 => "Stale Nonce",
            487 => "Role Conflict",
            500 => "Server Error",
            _ => "",
        }
    }

    pub(super) fn decode(value: &[u8]) -> Option<(Self, &str)> {
        let (header, reason) = value.split_first_chunk::<4>()?;
        let (class, number) = (u16::from(header[2] & 0x07), u16::from(header[3]));
        if number > 99 {
            return None;
        }
        // A reason that is no UTF-8 is for people only and does not spoil the code.
        Some((Self::new(class * 100 + number)?, std::str::from_utf8(reason).unwrap_or_default()))
    }

    pub(super) fn header(self) -> [u8; 4] {
        [0, 0, (self.0 / 100) as u8, (self.0 % 100) as u8]
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.reason())
    }
}
