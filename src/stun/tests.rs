use std::net::SocketAddr;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::crypto::CryptoProvider;
use crate::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

mod credentials;
mod framing;
mod server_url;

#[cfg(feature = "aws-lc-rs")]
fn provider() -> CryptoProvider {
    crate::crypto::aws_lc_rs::provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
fn provider() -> CryptoProvider {
    crate::crypto::rust_crypto::provider()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

/// RFC 5769 §2.1
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
    802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36\
    000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";

/// RFC 5769 §2.2
const RESPONSE_IPV4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220002000080001a147e112a643\
    000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";

/// RFC 5769 §2.3
const RESPONSE_IPV6: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
    8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";

/// RFC 5769 §2.4
const REQUEST_LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e\
    00060012e3839ee38388e383aae38383e382afe382b90000\
    0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700\
    00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";

/// MD5 of "マトリックス:example.org:TheMatrIX".
const LONG_TERM_KEY: &str = "e8ca7ad59d5eb0518e312911d2dab2a9";

#[test]
fn rfc_5769_request() {
    let bytes = hex(REQUEST);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!((message.class(), message.method()), (Class::Request, Method::BINDING));
    assert_eq!(message.software(), Some("STUN test client"));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.ice_controlled(), Some(0x932f_f9b1_5126_3b36));
    assert_eq!(message.ice_controlling(), None);
    assert_eq!(message.username(), Some("evtj:h6vY"));
    assert!(message.has_fingerprint() && message.has_integrity());
    assert!(message.verify(&IntegrityKey::short_term(&provider(), PASSWORD)));
    assert!(!message.verify(&IntegrityKey::short_term(&provider(), "another password")));
}

#[test]
fn rfc_5769_responses() {
    let key = IntegrityKey::short_term(&provider(), PASSWORD);
    for (vector, address) in
        [(RESPONSE_IPV4, "192.0.2.1:32853"), (RESPONSE_IPV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
    {
        let bytes = hex(vector);
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.class(), Class::Success);
        assert_eq!(message.software(), Some("test vector"));
        assert_eq!(message.mapped_address(), Some(address.parse().unwrap()));
        assert!(message.verify(&key));
    }
}

#[test]
fn rfc_5769_long_term_request() {
    let bytes = hex(REQUEST_LONG_TERM);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.username(), Some("マトリックス"));
    assert_eq!(message.realm(), Some("example.org"));
    assert_eq!(message.nonce(), Some(b"f//499k954d6OL34oL9FSTvy64sA".as_slice()));
    assert!(!message.has_fingerprint());
    assert!(message.verify(&IntegrityKey::from_bytes(&provider(), &hex(LONG_TERM_KEY))));
}

#[test]
fn the_rfc_5769_response_is_built_to_the_byte() {
    // The vectors pad with spaces, the builder with zeros, so the tags differ where there is padding.
    let mut bytes = hex(RESPONSE_IPV4);
    let id = Message::decode(&bytes).unwrap().transaction_id();
    let key = IntegrityKey::short_term(&provider(), PASSWORD);
    let mut built = Vec::new();
    MessageBuilder::new(&mut built, Class::Success, Method::BINDING, id)
        .software("test vector")
        .xor_mapped_address("192.0.2.1:32853".parse().unwrap())
        .integrity(&key)
        .fingerprint()
        .finish()
        .unwrap();
    assert!(Message::decode(&built).unwrap().verify(&key));
    bytes[35] = 0;
    assert_eq!(built[..52], bytes[..52]);
    assert_eq!(built.len(), bytes.len());
}

#[test]
fn classes_and_methods_share_their_bits() {
    for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
        for number in 0..0x1000 {
            let method = Method::new(number).unwrap();
            let message_type = header::message_type(class, method);
            assert_eq!(message_type & 0xc000, 0);
            assert_eq!(header::class_and_method(message_type), (class, method));
        }
    }
    assert_eq!(Method::new(0x1000), None);
    assert_eq!(header::message_type(Class::Error, Method::BINDING), 0x0111);
}

#[test]
fn what_follows_integrity_is_not_looked_at() {
    let key = IntegrityKey::short_term(&provider(), PASSWORD);
    let mut bytes = Vec::new();
    MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, TransactionId([7; 12]))
        .username("a:b")
        .integrity(&key)
        .use_candidate()
        .fingerprint()
        .finish()
        .unwrap();
    let message = Message::decode(&bytes).unwrap();
    assert!(message.verify(&key) && message.has_fingerprint());
    assert!(!message.use_candidate(), "an attacker may have added it");
}

#[test]
fn malformed_messages_are_named() {
    let good = hex(REQUEST);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Message::decode(&bytes).unwrap_err()
    };
    assert_eq!(with(&|b| b.truncate(19)), DecodeError::TooShort(19));
    assert_eq!(with(&|b| b[0] = 0x80), DecodeError::NotStun);
    assert_eq!(with(&|b| b[4] = 0), DecodeError::NotStun);
    assert_eq!(with(&|b| b.truncate(40)), DecodeError::Length { claimed: 88, actual: 20 });
    assert_eq!(with(&|b| b.push(0)), DecodeError::Length { claimed: 88, actual: 89 });
    assert_eq!(with(&|b| b[22] = 0xff), DecodeError::Attribute { offset: 20 });
    assert_eq!(with(&|b| b[30] ^= 1), DecodeError::Fingerprint);
    assert_eq!(with(&|b| b[79] = 16), DecodeError::Attribute { offset: 76 });

    // A fingerprint that is not the last attribute.
    let mut bytes = Vec::new();
    MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, TransactionId([7; 12]))
        .fingerprint()
        .use_candidate()
        .finish()
        .unwrap();
    assert_eq!(Message::decode(&bytes).unwrap_err(), DecodeError::Fingerprint);
}

#[test]
fn a_message_that_is_too_long_is_taken_back() {
    let mut buffer = b"before".to_vec();
    let built = MessageBuilder::new(&mut buffer, Class::Request, Method::BINDING, TransactionId([0; 12]))
        .software(&"x".repeat(70_000))
        .finish();
    assert_eq!(built, Err(EncodeError::TooLong));
    assert_eq!(buffer, b"before");
}

#[test]
fn error_codes_round_trip() {
    let mut bytes = Vec::new();
    MessageBuilder::new(&mut bytes, Class::Error, Method::BINDING, TransactionId([0; 12]))
        .error_code(ErrorCode::UNKNOWN_ATTRIBUTE)
        .unknown_attributes([AttributeType(0x7001), AttributeType(0x7002), AttributeType(0x7003)])
        .finish()
        .unwrap();
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.error_code(), Some((ErrorCode::UNKNOWN_ATTRIBUTE, "Unknown Attribute")));
    assert_eq!(message.attribute(AttributeType::UNKNOWN_ATTRIBUTES), Some(&hex("700170027003")[..]));
    assert_eq!(ErrorCode::new(700), None);
    assert_eq!(ErrorCode::new(299), None);
}

#[test]
fn retransmissions_follow_the_rfc() {
    // RFC 8489 §6.2.1: sent at 0, 500, 1500, 3500, 7500, 15500 and 31500 ms; failed at 39500 ms.
    let start = Instant::now();
    let mut transaction = Retransmission::new(start, RetransmissionConfig::default());
    let mut sent = Vec::new();
    loop {
        let now = transaction.due();
        match transaction.step(now) {
            RetransmissionStep::Send => sent.push((now - start).as_millis()),
            RetransmissionStep::TimedOut => {
                assert_eq!(now - start, Duration::from_millis(39_500));
                break;
            }
            RetransmissionStep::Wait => panic!("it is due"),
        }
        assert_eq!(transaction.step(now), RetransmissionStep::Wait);
    }
    assert_eq!(sent, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
}

fn exchange(path: FiveTuple) -> (BindingClient, Vec<u8>, Instant) {
    let now = Instant::now();
    let mut client = BindingClient::new(now, &provider(), path, BindingConfig::default());
    let mut batch = TransmitBatch::new(1200);
    let request = client.poll_transmit(now, &mut batch).unwrap();
    assert_eq!(request.path, Some(path));
    assert_eq!(client.poll_transmit(now, &mut batch), None);
    let request = batch.bytes(&request).to_vec();
    (client, request, now)
}

fn path() -> FiveTuple {
    FiveTuple::udp("10.0.0.1:5000".parse().unwrap(), "10.0.0.2:3478".parse().unwrap())
}

#[test]
fn a_client_learns_its_address_from_a_server() {
    let (mut client, mut request, now) = exchange(path());
    let seen: SocketAddr = "198.51.100.7:61000".parse().unwrap();
    let server_path = FiveTuple::udp(path().remote, seen);
    let mut server = BindingServer::default();
    server.handle_datagram(now, Datagram::new(server_path, &mut request)).unwrap();
    let mut batch = TransmitBatch::new(1200);
    let response = server.poll_transmit(now, &mut batch).unwrap();
    assert_eq!(response.path, Some(server_path));
    let mut response = batch.bytes(&response).to_vec();

    // Neither another transaction's response nor one from elsewhere is believed.
    let elsewhere = FiveTuple::udp(path().local, "10.0.0.9:3478".parse().unwrap());
    assert!(client.handle_datagram(now, Datagram::new(elsewhere, &mut response.clone())).is_err());
    let (mut other, ..) = exchange(path());
    assert!(other.handle_datagram(now, Datagram::new(path(), &mut response.clone())).is_err());

    client.handle_datagram(now, Datagram::new(path(), &mut response.clone())).unwrap();
    assert_eq!(client.poll_event(), Some(BindingEvent::Mapped(seen)));
    assert_eq!((client.poll_event(), client.poll_timeout()), (None, None));
    assert!(client.handle_datagram(now, Datagram::new(path(), &mut response)).is_err(), "a repetition");
}

#[test]
fn a_server_of_old_is_understood() {
    let (mut client, request, now) = exchange(path());
    let id = Message::decode(&request).unwrap().transaction_id();
    // RFC 3489 §11.1: MAPPED-ADDRESS, SOURCE-ADDRESS and CHANGED-ADDRESS are all mandatory in a response.
    let address = [0, 1, 0xee, 0x48, 198, 51, 100, 7];
    let mut response = Vec::new();
    MessageBuilder::new(&mut response, Class::Success, Method::BINDING, id)
        .attribute(AttributeType::MAPPED_ADDRESS, &address)
        .attribute(AttributeType(0x0004), &address)
        .attribute(AttributeType(0x0005), &address)
        .finish()
        .unwrap();
    client.handle_datagram(now, Datagram::new(path(), &mut response)).unwrap();
    assert_eq!(client.poll_event(), Some(BindingEvent::Mapped("198.51.100.7:61000".parse().unwrap())));
}

#[test]
fn a_server_refuses_what_it_does_not_know_and_bounds_its_queue() {
    let now = Instant::now();
    let mut server = BindingServer::new(2);
    let mut request = Vec::new();
    MessageBuilder::new(&mut request, Class::Request, Method::BINDING, TransactionId([1; 12]))
        .attribute(AttributeType(0x7fff), b"?")
        .finish()
        .unwrap();
    let mut batch = TransmitBatch::new(1200);
    server.handle_datagram(now, Datagram::new(path(), &mut request)).unwrap();
    let response = server.poll_transmit(now, &mut batch).unwrap();
    let message = Message::decode(batch.bytes(&response)).unwrap();
    assert_eq!(message.error_code().unwrap().0, ErrorCode::UNKNOWN_ATTRIBUTE);
    assert_eq!(message.attribute(AttributeType::UNKNOWN_ATTRIBUTES), Some(&[0x7f, 0xff][..]));

    for _ in 0..2 {
        server.handle_datagram(now, Datagram::new(path(), &mut request)).unwrap();
    }
    assert!(server.handle_datagram(now, Datagram::new(path(), &mut request)).is_err());
}

#[test]
fn a_silent_server_is_given_up() {
    let (mut client, ..) = exchange(path());
    while let Some(due) = client.poll_timeout() {
        client.handle_timeout(due);
    }
    assert_eq!(client.poll_event(), Some(BindingEvent::Failed(BindingFailure::TimedOut)));
}

proptest! {
    #[test]
    fn any_message_round_trips(
        id in any::<[u8; 12]>(),
        attributes in prop::collection::vec((0x4000u16..0x5000, prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        ip in any::<std::net::IpAddr>(),
        port in any::<u16>(),
    ) {
        let key = IntegrityKey::short_term(&provider(), PASSWORD);
        let address = SocketAddr::new(ip, port);
        let mut bytes = Vec::new();
        let mut builder = MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, TransactionId(id));
        for (kind, value) in &attributes {
            builder = builder.attribute(AttributeType(*kind), value);
        }
        let len = builder.xor_mapped_address(address).integrity(&key).fingerprint().finish().unwrap();
        prop_assert_eq!(len, bytes.len());
        let message = Message::decode(&bytes).unwrap();
        prop_assert!(message.verify(&key));
        prop_assert_eq!(message.mapped_address(), Some(address));
        let read: Vec<_> = message.attributes().map(|a| (a.kind.0, a.value.to_vec())).collect();
        prop_assert_eq!(&read[..attributes.len()], &attributes[..]);
        for at in 0..bytes.len() - 8 {
            let mut tampered = bytes.clone();
            tampered[at] ^= 0x10;
            let believed = Message::decode(&tampered).is_ok_and(|message| message.verify(&key));
            prop_assert!(!believed, "a changed byte {} is noticed", at);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), valid_header in any::<bool>()) {
        if valid_header && bytes.len() >= HEADER_LEN {
            bytes.truncate(bytes.len() / 4 * 4);
            let length = (bytes.len() - HEADER_LEN) as u16;
            bytes[0] &= 0x3f;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        }
        if let Ok(message) = Message::decode(&bytes) {
            message.attributes().count();
            message.mapped_address();
            message.error_code();
            message.verify(&IntegrityKey::short_term(&provider(), PASSWORD));
        }
    }
}

/// A 300 response that names `alternate`.
fn redirect(request: &[u8], alternate: SocketAddr) -> Vec<u8> {
    let id = Message::decode(request).unwrap().transaction_id();
    let mut response = Vec::new();
    MessageBuilder::new(&mut response, Class::Error, Method::BINDING, id)
        .error_code(ErrorCode::TRY_ALTERNATE)
        .alternate_server(alternate)
        .finish()
        .unwrap();
    response
}

#[test]
fn another_server_is_asked_a_few_times_at_most() {
    let (mut client, mut request, now) = exchange(path());
    let mut asked = path();
    for hop in 1..=Redirection::MAX_HOPS {
        let next = SocketAddr::new([10, 0, 1, hop as u8].into(), 3478);
        let mut response = redirect(&request, next);
        client.handle_datagram(now, Datagram::new(asked, &mut response)).unwrap();
        assert_eq!(client.poll_event(), None);
        let mut batch = TransmitBatch::new(1200);
        let transmit = client.poll_transmit(now, &mut batch).unwrap();
        asked.remote = next;
        assert_eq!(transmit.path, Some(asked));
        let again = batch.bytes(&transmit).to_vec();
        assert_ne!(again[8..20], request[8..20], "a transaction of its own");
        request = again;
    }
    let mut response = redirect(&request, "10.0.1.99:3478".parse().unwrap());
    client.handle_datagram(now, Datagram::new(asked, &mut response)).unwrap();
    assert!(matches!(client.poll_event(), Some(BindingEvent::Failed(BindingFailure::Refused(..)))));
}

#[test]
fn a_server_names_no_address_that_does_harm() {
    for alternate in
        ["127.0.0.1:3478", "[::1]:3478", "0.0.0.0:1", "10.0.0.2:3478", "224.0.0.1:1", "10.0.0.9:0"]
    {
        let (mut client, request, now) = exchange(path());
        let mut response = redirect(&request, alternate.parse().unwrap());
        client.handle_datagram(now, Datagram::new(path(), &mut response)).unwrap();
        let refused = client.poll_event();
        assert!(matches!(refused, Some(BindingEvent::Failed(BindingFailure::Refused(..)))), "{alternate}");
    }
}
