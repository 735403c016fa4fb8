//! As much of a STUN message (RFC 8489 §5) as the adapter must know before the crate reads it.

use crate::layer::IceRole;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) class: Class,
    pub(super) transaction: [u8; 12],
    /// It carries USE-CANDIDATE (RFC 8445 §7.1.2).
    pub(super) nominates: bool,
    /// The role that its sender has, and the tie-breaker (RFC 8445 §7.1.3).
    pub(super) role: Option<(IceRole, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING: u16 = 1;
const USE_CANDIDATE: u16 = 0x25;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;

impl Message {
    /// A Binding message, nothing else.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or("shorter than a STUN message")?;
        let (kind, length) = (u16::from_be_bytes([header[0], header[1]]), [header[2], header[3]]);
        if kind >> 14 != 0 || header[4..8] != MAGIC_COOKIE {
            return Err("no STUN message");
        }
        if usize::from(u16::from_be_bytes(length)) != bytes.len() - HEADER {
            return Err("a STUN message of another length");
        }
        // RFC 8489 §5: the bits of the class stand between those of the method.
        if (kind & 0xf) | (kind >> 1 & 0x70) | (kind >> 2 & 0xf80) != BINDING {
            return Err("a STUN method that ICE does not use");
        }
        let class = match kind & 0x110 {
            0 => Class::Request,
            0x10 => Class::Indication,
            0x100 => Class::Success,
            _ => Class::Error,
        };
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..]);
        let mut message = Self { class, transaction, nominates: false, role: None };
        for (kind, value) in attributes(&bytes[HEADER..]) {
            let tie_breaker = value.try_into().map(u64::from_be_bytes);
            match (kind, tie_breaker) {
                (USE_CANDIDATE, _) => message.nominates = true,
                (ICE_CONTROLLING, Ok(number)) => message.role = Some((IceRole::Controlling, number)),
                (ICE_CONTROLLED, Ok(number)) => message.role = Some((IceRole::Controlled, number)),
                _ => {}
            }
        }
        Ok(message)
    }
}

/// The type and value of each attribute.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let head = rest.first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = rest.get(4..4 + length)?;
        rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_be_bytes([head[0], head[1]]), value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(kind: [u8; 2], attributes: &[u8]) -> Vec<u8> {
        let length = (attributes.len() as u16).to_be_bytes();
        [&kind[..], &length, &MAGIC_COOKIE, &[7; 12], attributes].concat()
    }

    #[test]
    fn classes_and_nominations_are_told_apart() {
        let classes = [
            ([0, 1], Class::Request),
            ([0, 0x11], Class::Indication),
            ([1, 1], Class::Success),
            ([1, 0x11], Class::Error),
        ];
        for (kind, class) in classes {
            let message = Message { class, transaction: [7; 12], nominates: false, role: None };
            assert_eq!(Message::read(&binding(kind, &[])), Ok(message));
        }
        let attributes = [0, 0x24, 0, 1, 9, 0, 0, 0, 0, 0x25, 0, 0];
        assert!(Message::read(&binding([0, 1], &attributes)).unwrap().nominates);
        assert!(!Message::read(&binding([0, 1], &attributes[..8])).unwrap().nominates);
        let role = [0x80, 0x2a, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0];
        let role = Message::read(&binding([0, 1], &role)).unwrap().role;
        assert_eq!(role, Some((IceRole::Controlling, 256)));
    }

    #[test]
    fn what_is_no_binding_message_is_refused() {
        let whole = binding([0, 1], &[0, 0x25, 0, 0]);
        for length in 0..whole.len() {
            assert!(Message::read(&whole[..length]).is_err(), "{length} bytes");
        }
        assert!(Message::read(&binding([0, 3], &[])).is_err(), "Allocate");
        assert!(Message::read(&binding([0x80, 1], &[])).is_err(), "RTP");
        // An attribute that claims more than there is.
        assert!(!Message::read(&binding([0, 1], &[0, 0x25, 0xff, 0xff])).unwrap().nominates);
    }
}
