use proptest::prelude::*;

use super::*;

fn message(len: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, TransactionId([3; 12]))
        .attribute(AttributeType::SOFTWARE, &vec![b'x'; len])
        .finish()
        .unwrap();
    bytes
}

fn channel_data(len: usize) -> Vec<u8> {
    let mut bytes = vec![0x40, 0];
    bytes.extend((len as u16).to_be_bytes());
    bytes.extend(vec![7; len]);
    bytes
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in(
        kinds in prop::collection::vec((any::<bool>(), 0usize..300), 0..20),
        pieces in prop::collection::vec(1usize..200, 1..20),
    ) {
        let messages: Vec<_> =
            kinds.iter().map(|&(stun, len)| if stun { message(len) } else { channel_data(len) }).collect();
        let mut stream: Vec<u8> = Vec::new();
        for message in &messages {
            stream.extend(message);
            stream.resize(stream.len().next_multiple_of(4), 0xff);
        }
        let (mut framing, mut out, mut rest) = (StreamFraming::new(400), Vec::new(), &stream[..]);
        for size in pieces.iter().cycle() {
            let pushed = framing.push(&rest[..rest.len().min(*size)]);
            rest = &rest[pushed..];
            while let Some(message) = framing.next_message().unwrap() {
                out.push(message.to_vec());
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(out, messages);
        prop_assert!(framing.is_empty());
    }
}

#[test]
fn what_cannot_be_is_refused_as_soon_as_it_is_seen() {
    let first = |bytes: &[u8]| {
        let mut framing = StreamFraming::new(100);
        framing.push(bytes);
        framing.next_message().map(|message| message.map(|bytes| bytes.to_vec()))
    };
    assert_eq!(first(b""), Ok(None));
    assert_eq!(first(b"\x16\x03\x01"), Ok(None), "a handshake of TLS shows at its length");
    assert_eq!(first(&[0x80]), Err(StreamFramingError::Unknown(0x80)));
    assert_eq!(first(&[0, 1, 0, 3]), Err(StreamFramingError::Header), "no multiple of four");
    assert_eq!(first(&[0, 1, 0, 4, 0x21, 0x13]), Err(StreamFramingError::Header), "no magic cookie");
    assert_eq!(first(&[0, 1, 0, 4, 0x21, 0x12]), Ok(None));
    let too_long = StreamFramingError::TooLong { length: 104, limit: 100 };
    assert_eq!(first(&[0x40, 0, 0, 97]), Err(too_long), "padding counts");
    assert_eq!(first(&[0, 1, 0, 84]), Err(StreamFramingError::TooLong { length: 104, limit: 100 }));
}

#[test]
fn half_a_message_holds_no_more_than_arrived() {
    let mut framing = StreamFraming::default();
    assert_eq!(framing.push(&[0x40, 0, 0xff, 0xff]), 4);
    assert_eq!(framing.next_message(), Ok(None));
    assert!(!framing.is_empty(), "the stream may not end here");
    let mut pushed = 4;
    loop {
        let accepted = framing.push(&[0; 1000]);
        if accepted == 0 {
            break;
        }
        pushed += accepted;
    }
    assert_eq!(pushed, StreamFraming::MAX_MESSAGE, "it takes no more than one message can have");
    assert_eq!(framing.next_message().unwrap().map(|message| message.len()), Some(65_539));
}
