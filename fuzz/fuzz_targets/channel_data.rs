//! ChannelData, and the head in front of relayed data: what is written can be read and reads the same.
#![no_main]

use kaon_rtc::stun::{AttributeType, Message, TransactionId};
use kaon_rtc::turn::{CHANNEL_DATA_HEADER_LEN, ChannelData, ChannelNumber, RelayHead};
use libfuzzer_sys::fuzz_target;

fn check(bytes: &[u8]) {
    let Ok(message) = ChannelData::decode(bytes) else { return };
    assert!(ChannelData::is_channel_data(bytes));
    assert_eq!(&bytes[message.range()], message.data);
    assert!(bytes.len() - message.range().end < 4);
    let header = ChannelData::header(message.channel, message.data.len() as u16);
    assert_eq!(header, bytes[..CHANNEL_DATA_HEADER_LEN]);
}

fuzz_target!(|data: &[u8]| {
    check(data);
    let Some((head, payload)) = data.split_first_chunk::<4>() else { return };
    let payload = &payload[..payload.len().min(60_000)];
    let number = 0x4000 | (u16::from_be_bytes([head[0], head[1]]) & 0xfff);
    let channel = ChannelNumber::new(number).expect("a channel");
    let mut fixed = ChannelData::header(channel, payload.len() as u16).to_vec();
    fixed.extend_from_slice(payload);
    check(&fixed);

    let peer =
        if head[2] & 1 == 0 { ([10, 0, 0, 1], 7).into() } else { ([0, 1, 2, 3, 4, 5, 6, 7], 7).into() };
    let indication = RelayHead::send_indication(TransactionId([head[3]; 12]), peer, head[2] & 2 != 0);
    for head in [RelayHead::channel(channel, true), RelayHead::channel(channel, false), indication] {
        assert!(payload.len() <= head.max_data(usize::MAX));
        let mut buffer = vec![1, 2, 3];
        buffer.extend_from_slice(head.bytes());
        buffer.extend_from_slice(payload);
        head.complete(&mut buffer, 3);
        assert_eq!(buffer.len(), 3 + head.datagram_len(payload.len()));
        match Message::decode(&buffer[3..]) {
            Ok(message) => {
                assert_eq!(message.attribute(AttributeType::DATA), Some(payload));
                assert_eq!(message.xor_address(AttributeType::XOR_PEER_ADDRESS), Some(peer));
            }
            Err(_) => assert_eq!(ChannelData::decode(&buffer[3..]).map(|it| it.data), Ok(payload)),
        }
    }
});
