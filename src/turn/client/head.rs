//! What stands in front of relayed data: RFC 8656 §11.1 and §12.4.

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::stun::{AttributeType, Class, HEADER_LEN, MessageBuilder, Method, TransactionId};
use crate::turn::channel::ChannelNumber;
use crate::turn::channel_data::{CHANNEL_DATA_HEADER_LEN, ChannelData};

/// The bytes in front of data for a peer, the same for every datagram but for its lengths: a ChannelData header or a
/// Send indication up to its data.
///
/// ```
/// use kaon_rtc::turn::{ChannelNumber, RelayHead};
///
/// let head = RelayHead::channel(ChannelNumber::MIN, false);
/// let mut datagram = head.bytes().to_vec();
/// datagram.extend_from_slice(b"hello");
/// head.complete(&mut datagram, 0);
/// assert_eq!(datagram, b"\x40\x00\x00\x05hello");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayHead {
    bytes: SmallVec<[u8; 56]>,
    is_channel: bool,
    padded: bool,
}

impl RelayHead {
    /// The header of a channel's data; `padded` over streams (RFC 8656 §12.5).
    pub fn channel(channel: ChannelNumber, padded: bool) -> Self {
        let bytes = SmallVec::from_slice(&ChannelData::header(channel, 0));
        Self { bytes, is_channel: true, padded }
    }

    /// A Send indication to `peer` up to the value of DATA, which is its last attribute. `dont_fragment` adds
    /// DONT-FRAGMENT.
    pub fn send_indication(id: TransactionId, peer: SocketAddr, dont_fragment: bool) -> Self {
        let mut buffer = Vec::with_capacity(56);
        write_indication(&mut buffer, id, peer, dont_fragment);
        Self { bytes: SmallVec::from_slice(&buffer), is_channel: false, padded: true }
    }

    /// The bytes that data is written behind.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bytes a datagram has that carries `len` bytes of data.
    pub fn datagram_len(&self, len: usize) -> usize {
        self.bytes.len() + if self.padded { len.next_multiple_of(4) } else { len }
    }

    /// How many bytes of data fit a datagram of `max_datagram` bytes.
    pub fn max_data(&self, max_datagram: usize) -> usize {
        let room = max_datagram.min(usize::from(u16::MAX)).saturating_sub(self.bytes.len());
        if self.padded { room & !3 } else { room }
    }

    /// Writes the lengths into a datagram that begins at `start` of `buffer` with these bytes and ends with it, and pads
    /// it. Data longer than [`max_data`](Self::max_data) allows makes no message.
    pub fn complete(&self, buffer: &mut Vec<u8>, start: usize) {
        complete(buffer, start, start + self.bytes.len(), self.is_channel, self.padded);
    }
}

/// Appends a Send indication up to the value of DATA.
pub(super) fn write_indication(
    buffer: &mut Vec<u8>,
    id: TransactionId,
    peer: SocketAddr,
    dont_fragment: bool,
) {
    let message = MessageBuilder::new(buffer, Class::Indication, Method::SEND, id)
        .xor_address(AttributeType::XOR_PEER_ADDRESS, peer);
    let message = if dont_fragment { message.attribute(AttributeType::DONT_FRAGMENT, &[]) } else { message };
    // Two attributes and an empty one always fit.
    let _ = message.attribute(AttributeType::DATA, &[]).finish();
}

/// Writes the lengths into a message that begins at `start` and whose data begins at `data`, and pads it.
pub(super) fn complete(buffer: &mut Vec<u8>, start: usize, data: usize, is_channel: bool, padded: bool) {
    let len = buffer.len().saturating_sub(data);
    if padded {
        buffer.resize(data + len.next_multiple_of(4), 0);
    }
    let mut set = |at: usize, value: usize| {
        if let Some(field) = buffer.get_mut(at..at + 2) {
            field.copy_from_slice(&(value as u16).to_be_bytes());
        }
    };
    if is_channel {
        set(start + CHANNEL_DATA_HEADER_LEN - 2, len);
    } else {
        set(start + 2, data + len.next_multiple_of(4) - start - HEADER_LEN);
        set(data - 2, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stun::Message;

    #[test]
    fn indications_have_what_was_written_behind_them() {
        for peer in ["192.0.2.1:7", "[2001:db8::1]:7"] {
            for (len, dont_fragment) in [(0, false), (1, true), (4, false), (1100, true)] {
                let peer: SocketAddr = peer.parse().unwrap();
                let head = RelayHead::send_indication(TransactionId([9; 12]), peer, dont_fragment);
                let mut buffer = b"before".to_vec();
                buffer.extend_from_slice(head.bytes());
                buffer.resize(buffer.len() + len, 5);
                head.complete(&mut buffer, 6);
                assert_eq!(buffer.len() - 6, head.datagram_len(len));
                let message = Message::decode(&buffer[6..]).unwrap();
                assert_eq!(message.xor_address(AttributeType::XOR_PEER_ADDRESS), Some(peer));
                assert_eq!(message.attribute(AttributeType::DATA), Some(&vec![5; len][..]));
                assert_eq!(message.attribute(AttributeType::DONT_FRAGMENT).is_some(), dont_fragment);
            }
        }
    }

    #[test]
    fn channels_are_padded_over_streams_alone() {
        for (padded, expected) in [(false, 9), (true, 12)] {
            let head = RelayHead::channel(ChannelNumber::MAX, padded);
            let mut buffer = head.bytes().to_vec();
            buffer.extend_from_slice(b"12345");
            head.complete(&mut buffer, 0);
            assert_eq!((buffer.len(), head.datagram_len(5)), (expected, expected));
            assert_eq!(ChannelData::decode(&buffer).unwrap().data, b"12345");
            assert_eq!(head.max_data(1201), if padded { 1196 } else { 1197 });
        }
    }
}
