//! The attributes of TURN, RFC 8656 §18.

use std::time::Duration;

use crate::stun::{AttributeType, ErrorCode};

impl AttributeType {
    /// CHANNEL-NUMBER
    pub const CHANNEL_NUMBER: Self = Self(0x000c);
    /// LIFETIME
    pub const LIFETIME: Self = Self(0x000d);
    /// XOR-PEER-ADDRESS
    pub const XOR_PEER_ADDRESS: Self = Self(0x0012);
    /// DATA
    pub const DATA: Self = Self(0x0013);
    /// XOR-RELAYED-ADDRESS
    pub const XOR_RELAYED_ADDRESS: Self = Self(0x0016);
    /// REQUESTED-ADDRESS-FAMILY
    pub const REQUESTED_ADDRESS_FAMILY: Self = Self(0x0017);
    /// EVEN-PORT
    pub const EVEN_PORT: Self = Self(0x0018);
    /// REQUESTED-TRANSPORT
    pub const REQUESTED_TRANSPORT: Self = Self(0x0019);
    /// DONT-FRAGMENT
    pub const DONT_FRAGMENT: Self = Self(0x001a);
    /// RESERVATION-TOKEN
    pub const RESERVATION_TOKEN: Self = Self(0x0022);
    /// CONNECTION-ID (RFC 6062 §6.2)
    pub const CONNECTION_ID: Self = Self(0x002a);
    /// ADDITIONAL-ADDRESS-FAMILY
    pub const ADDITIONAL_ADDRESS_FAMILY: Self = Self(0x8000);
    /// ADDRESS-ERROR-CODE
    pub const ADDRESS_ERROR_CODE: Self = Self(0x8001);
    /// ICMP
    pub const ICMP: Self = Self(0x8004);
    /// MOBILITY-TICKET (RFC 8016 §3.3)
    pub const MOBILITY_TICKET: Self = Self(0x8030);
}

/// The family of an address (RFC 8656 §18.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl AddressFamily {
    /// The family of an address.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The value of REQUESTED-ADDRESS-FAMILY and ADDITIONAL-ADDRESS-FAMILY.
    pub const fn encode(self) -> [u8; 4] {
        [self.number(), 0, 0, 0]
    }

    /// Reads the value of REQUESTED-ADDRESS-FAMILY or ADDITIONAL-ADDRESS-FAMILY; `None` if it is malformed or of no
    /// known family.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let [number, _, _, _] = *<&[u8; 4]>::try_from(value).ok()?;
        Self::from_number(number)
    }

    const fn number(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::V4),
            2 => Some(Self::V6),
            _ => None,
        }
    }
}

/// What a relayed address speaks to its peers (RFC 8656 §18.8): a protocol number of IANA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestedTransport(pub u8);

impl RequestedTransport {
    /// UDP.
    pub const UDP: Self = Self(17);
    /// TCP (RFC 6062).
    pub const TCP: Self = Self(6);

    /// The value of REQUESTED-TRANSPORT.
    pub const fn encode(self) -> [u8; 4] {
        [self.0, 0, 0, 0]
    }

    /// Reads the value of REQUESTED-TRANSPORT; `None` if it is malformed.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let [protocol, _, _, _] = *<&[u8; 4]>::try_from(value).ok()?;
        Some(Self(protocol))
    }
}

/// A wish for a relayed address with an even port (RFC 8656 §18.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EvenPort {
    /// Whether the next higher port is to be reserved, for an allocation that shows the [`ReservationToken`].
    pub reserve_next: bool,
}

impl EvenPort {
    /// The value of EVEN-PORT.
    pub const fn encode(self) -> [u8; 1] {
        [if self.reserve_next { 0x80 } else { 0 }]
    }

    /// Reads the value of EVEN-PORT; `None` if it is malformed.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let [bits] = *<&[u8; 1]>::try_from(value).ok()?;
        Some(Self { reserve_next: bits & 0x80 != 0 })
    }
}

/// Names a reserved relayed address (RFC 8656 §18.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReservationToken(pub [u8; 8]);

impl ReservationToken {
    /// Reads the value of RESERVATION-TOKEN; `None` if it is malformed.
    pub fn decode(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(Self)
    }
}

/// Names a TCP connection of a peer at a server (RFC 6062 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The value of CONNECTION-ID.
    pub const fn encode(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// Reads the value of CONNECTION-ID; `None` if it is malformed.
    pub fn decode(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(|id| Self(u32::from_be_bytes(id)))
    }
}

/// How long an allocation lives unless it is refreshed, in whole seconds (RFC 8656 §18.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lifetime(u32);

impl Lifetime {
    /// What a server gives if nothing else is agreed, 600 s (RFC 8656 §7.2).
    pub const DEFAULT: Self = Self(600);
    /// Gives an allocation back (RFC 8656 §8).
    pub const ZERO: Self = Self(0);

    /// A lifetime of so many seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self(seconds)
    }

    /// The seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// The same as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }

    /// The value of LIFETIME.
    pub const fn encode(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// Reads the value of LIFETIME; `None` if it is malformed.
    pub fn decode(value: &[u8]) -> Option<Self> {
        Some(Self(u32::from_be_bytes(value.try_into().ok()?)))
    }
}

/// An ICMP message that a relayed address got from the way to a peer (RFC 8656 §18.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// The type, 0 to 127.
    pub kind: u8,
    /// The code, 0 to 511.
    pub code: u16,
    /// The MTU of the next hop for ICMP type 3 code 4 and ICMPv6 type 2 code 0; else zero.
    pub data: u32,
}

impl Icmp {
    /// The value of ICMP.
    pub fn encode(self) -> [u8; 8] {
        let kind_and_code = u16::from(self.kind & 0x7f) << 9 | (self.code & 0x1ff);
        let mut value = [0; 8];
        value[2..4].copy_from_slice(&kind_and_code.to_be_bytes());
        value[4..].copy_from_slice(&self.data.to_be_bytes());
        value
    }

    /// Reads the value of ICMP; `None` if it is malformed.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let [_, _, a, b, data @ ..] = *<&[u8; 8]>::try_from(value).ok()?;
        let kind_and_code = u16::from_be_bytes([a, b]);
        let kind = (kind_and_code >> 9) as u8;
        Some(Self { kind, code: kind_and_code & 0x1ff, data: u32::from_be_bytes(data) })
    }
}

/// Reads the value of ADDRESS-ERROR-CODE: the family that an allocation has no address of, and why
/// (RFC 8656 §18.12). `None` if it is malformed.
pub fn decode_address_error(value: &[u8]) -> Option<(AddressFamily, ErrorCode)> {
    let family = AddressFamily::from_number(*value.first()?)?;
    let (class, number) = (u16::from(value.get(2)? & 7), u16::from(*value.get(3)?));
    Some((family, ErrorCode::new(class * 100 + number).filter(|_| number < 100)?))
}

/// The value of ADDRESS-ERROR-CODE without a reason phrase (RFC 8656 §18.12).
pub fn encode_address_error(family: AddressFamily, code: ErrorCode) -> [u8; 4] {
    [family.number(), 0, (code.number() / 100) as u8, (code.number() % 100) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_they_are_written() {
        for family in [AddressFamily::V4, AddressFamily::V6] {
            assert_eq!(AddressFamily::decode(&family.encode()), Some(family));
            let error = encode_address_error(family, ErrorCode::INSUFFICIENT_CAPACITY);
            assert_eq!(decode_address_error(&error), Some((family, ErrorCode::INSUFFICIENT_CAPACITY)));
        }
        for reserve_next in [false, true] {
            let even_port = EvenPort { reserve_next };
            assert_eq!(EvenPort::decode(&even_port.encode()), Some(even_port));
        }
        let icmp = Icmp { kind: 3, code: 4, data: 1280 };
        assert_eq!(icmp.encode(), [0, 0, 6, 4, 0, 0, 5, 0]);
        assert_eq!(Icmp::decode(&icmp.encode()), Some(icmp));
        assert_eq!(Lifetime::decode(&Lifetime::DEFAULT.encode()), Some(Lifetime::from_secs(600)));
        assert_eq!(
            ConnectionId::decode(&ConnectionId(0x0102_0304).encode()),
            Some(ConnectionId(0x0102_0304))
        );
        assert_eq!(RequestedTransport::decode(&[17, 1, 2, 3]), Some(RequestedTransport::UDP));
    }

    #[test]
    fn malformed_values_are_refused() {
        for value in [&[][..], &[1], &[1, 0, 0], &[1, 0, 0, 0, 0], &[0; 9]] {
            assert_eq!((AddressFamily::decode(value), RequestedTransport::decode(value)), (None, None));
            assert_eq!((Lifetime::decode(value), ReservationToken::decode(value)), (None, None));
            assert_eq!((Icmp::decode(value), ConnectionId::decode(value)), (None, None));
            assert_eq!(EvenPort::decode(value).is_some(), value.len() == 1);
        }
        assert_eq!(AddressFamily::decode(&[3, 0, 0, 0]), None);
        for value in [&[1, 0, 5][..], &[1, 0, 5, 100], &[1, 0, 2, 0], &[9, 0, 5, 0]] {
            assert_eq!(decode_address_error(value), None);
        }
    }
}
