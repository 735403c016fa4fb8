//! Messages of the establishment protocol, RFC 8832 §5.

use std::time::Duration;

use bytes::Bytes;

use super::channel::ChannelInit;
use super::error::DcepError;
use crate::layer::Reliability;

/// A message of the data channel establishment protocol (RFC 8832 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dcep {
    /// DATA_CHANNEL_OPEN.
    Open(Open),
    /// DATA_CHANNEL_ACK.
    Ack,
}

/// DATA_CHANNEL_OPEN (RFC 8832 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Whether messages arrive in order.
    pub ordered: bool,
    /// When the sender gives up on a message.
    pub reliability: Reliability,
    /// The priority.
    pub priority: u16,
    /// The label.
    pub label: String,
    /// The subprotocol.
    pub protocol: String,
}

const TYPE_ACK: u8 = 0x02;
const TYPE_OPEN: u8 = 0x03;
/// The bit of a channel type that says that messages are unordered.
const UNORDERED: u8 = 0x80;
const OPEN_FIXED: usize = 12;

impl Dcep {
    /// Reads a message.
    ///
    /// # Errors
    /// [`DcepError`] says what is wrong with it.
    pub fn parse(message: &[u8]) -> Result<Self, DcepError> {
        match message.first() {
            Some(&TYPE_OPEN) => Open::parse(message).map(Self::Open),
            // RFC 8832 §5.2 has nothing follow the type; some peers append to it.
            Some(&TYPE_ACK) => Ok(Self::Ack),
            Some(&unknown) => Err(DcepError::UnknownType(unknown)),
            None => Err(DcepError::TooShort { length: 0, needed: 1 }),
        }
    }

    /// Whether a message means to be a DATA_CHANNEL_OPEN.
    pub(super) fn is_open(message: &[u8]) -> bool {
        message.first() == Some(&TYPE_OPEN)
    }

    /// The bytes of a DATA_CHANNEL_ACK.
    pub fn ack() -> Bytes {
        Bytes::from_static(&[TYPE_ACK])
    }
}

impl Open {
    fn parse(message: &[u8]) -> Result<Self, DcepError> {
        let length = message.len();
        let Some((&[_, kind, p0, p1, r0, r1, r2, r3, l0, l1, n0, n1], names)) =
            message.split_first_chunk::<OPEN_FIXED>()
        else {
            return Err(DcepError::TooShort { length, needed: OPEN_FIXED });
        };
        let label_length = usize::from(u16::from_be_bytes([l0, l1]));
        let names_length = label_length + usize::from(u16::from_be_bytes([n0, n1]));
        let Some((label, protocol)) = names.split_at_checked(label_length) else {
            return Err(DcepError::TooShort { length, needed: OPEN_FIXED + names_length });
        };
        if names.len() < names_length {
            return Err(DcepError::TooShort { length, needed: OPEN_FIXED + names_length });
        }
        if names.len() > names_length {
            return Err(DcepError::TrailingBytes { excess: names.len() - names_length });
        }
        let parameter = u32::from_be_bytes([r0, r1, r2, r3]);
        let reliability = match kind & !UNORDERED {
            0 => Reliability::Reliable,
            1 => Reliability::MaxRetransmits(u16::try_from(parameter).unwrap_or(u16::MAX)),
            2 => Reliability::MaxLifetime(Duration::from_millis(u64::from(parameter))),
            _ => return Err(DcepError::UnknownChannelType(kind)),
        };
        let text =
            |bytes: &[u8], what| String::from_utf8(bytes.to_vec()).map_err(|_| DcepError::NotUtf8(what));
        Ok(Self {
            ordered: kind & UNORDERED == 0,
            reliability,
            priority: u16::from_be_bytes([p0, p1]),
            label: text(label, "label")?,
            protocol: text(protocol, "protocol")?,
        })
    }

    /// The bytes of the message that announces a channel, whose names are at most 65535 bytes long.
    pub fn message(init: &ChannelInit) -> Bytes {
        let (kind, parameter) = match init.reliability {
            Reliability::Reliable => (0, 0),
            Reliability::MaxRetransmits(count) => (1, u32::from(count)),
            Reliability::MaxLifetime(lifetime) => {
                (2, u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX))
            }
        };
        let kind = if init.ordered { kind } else { kind | UNORDERED };
        let mut message = Vec::with_capacity(OPEN_FIXED + init.label.len() + init.protocol.len());
        message.extend_from_slice(&[TYPE_OPEN, kind]);
        message.extend_from_slice(&init.priority.to_be_bytes());
        message.extend_from_slice(&parameter.to_be_bytes());
        message.extend_from_slice(&(init.label.len() as u16).to_be_bytes());
        message.extend_from_slice(&(init.protocol.len() as u16).to_be_bytes());
        message.extend_from_slice(init.label.as_bytes());
        message.extend_from_slice(init.protocol.as_bytes());
        message.into()
    }
}
