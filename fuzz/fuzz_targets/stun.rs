//! STUN: arbitrary datagrams, and messages whose header and end are right around whatever the input says. What is
//! read can be written and reads the same; a client and a server live through all of it.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use kaon_rtc::crypto::{CryptoProvider, SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::{
    Attribute, AttributeType, BindingClient, BindingConfig, BindingServer, Class, HEADER_LEN, IntegrityKey,
    MAGIC_COOKIE, Message, MessageBuilder, Method, TransactionId,
};
use libfuzzer_sys::fuzz_target;

static PROVIDER: LazyLock<CryptoProvider> =
    LazyLock::new(|| aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(1))));

fn path() -> FiveTuple {
    FiveTuple::udp(([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into())
}

/// The input as a message with a header that fits it.
fn with_header(data: &[u8], id: TransactionId) -> Option<Vec<u8>> {
    let (kind, attributes) = data.split_first_chunk::<2>()?;
    let attributes = &attributes[..(attributes.len() & !3).min(65_532)];
    let mut message = vec![kind[0] & 0x3f, kind[1]];
    message.extend((attributes.len() as u16).to_be_bytes());
    message.extend(MAGIC_COOKIE.to_be_bytes());
    message.extend(id.0);
    message.extend(attributes);
    Some(message)
}

/// Reads all there is to read and writes it again.
fn check(bytes: &[u8], key: &IntegrityKey) {
    let Ok(message) = Message::decode(bytes) else { return };
    assert!(message.attributes().count() <= bytes.len() / 4);
    let _ = (message.username(), message.software(), message.realm(), message.nonce(), message.error_code());
    let _ = (message.priority(), message.use_candidate(), message.verify(key), message.mapped_address());
    let _ = (message.ice_controlling(), message.ice_controlled());
    let _ = (message.change_request(), message.response_port());
    let _ = (message.response_origin(), message.other_address());
    assert!(message.unknown_required(&[AttributeType::USERNAME]).all(|kind| kind.0 < 0x8000));

    let mut rebuilt = Vec::new();
    let builder =
        MessageBuilder::new(&mut rebuilt, message.class(), message.method(), message.transaction_id());
    let len = message
        .attributes()
        .fold(builder, |builder, Attribute { kind, value }| builder.attribute(kind, value))
        .finish()
        .expect("it is no longer than it was");
    assert_eq!(len, rebuilt.len());
    let again = Message::decode(&rebuilt).expect("what is written can be read");
    assert_eq!(again.class(), message.class());
    assert_eq!(again.method(), message.method());
    assert!(again.attributes().eq(message.attributes()));
    assert_eq!(again.mapped_address(), message.mapped_address());
}

/// Signs attributes out of the input, and sees that any change is noticed.
fn sign(data: &[u8], key: &IntegrityKey, id: TransactionId) {
    let mut buffer = vec![1, 2, 3];
    let mut builder = MessageBuilder::new(&mut buffer, Class::Request, Method::BINDING, id);
    for value in data.chunks(37) {
        builder = builder.attribute(AttributeType(0x7000 | u16::from(value[0])), value);
    }
    match builder.integrity(key).fingerprint().finish() {
        Ok(len) => assert_eq!(len + 3, buffer.len()),
        Err(_) => return assert_eq!(buffer, [1, 2, 3], "what was written is taken back"),
    }
    let bytes = &mut buffer[3..];
    let message = Message::decode(bytes).expect("what is written can be read");
    assert!(message.verify(key) && message.has_fingerprint());
    assert!(message.attributes().map(|attribute| attribute.value).eq(data.chunks(37)));
    let at = data.iter().fold(0, |sum: usize, byte| sum * 31 % 65_521 + usize::from(*byte)) % bytes.len();
    bytes[at] ^= 1 << (data.len() % 8);
    // With another type, or as part of an attribute that says it is longer, it is no fingerprint any more.
    let passes = Message::decode(bytes).is_ok_and(|message| message.has_fingerprint());
    assert!(!passes, "the fingerprint tells");
    // The same change under a fingerprint that was made for it.
    let mut forged = bytes[..bytes.len() - 8].to_vec();
    if at < forged.len() && !(2..4).contains(&at) {
        let len = (forged.len() - HEADER_LEN) as u16;
        forged[2..4].copy_from_slice(&len.to_be_bytes());
        assert!(!Message::decode(&forged).is_ok_and(|message| message.verify(key)), "the integrity tells");
    }
}

fuzz_target!(|data: &[u8]| {
    let now = Instant::now();
    let key = IntegrityKey::short_term(&PROVIDER, "a password");
    let mut batch = TransmitBatch::new(1200);
    let mut client = BindingClient::new(now, &PROVIDER, path(), BindingConfig::default());
    let request = client.poll_transmit(now, &mut batch).expect("a request");
    let id = Message::decode(batch.bytes(&request)).expect("a request").transaction_id();
    batch.clear();

    check(data, &key);
    sign(data, &key, id);
    let fixed = with_header(data, id);
    if let Some(fixed) = &fixed {
        check(fixed, &key);
    }

    let mut server = BindingServer::new(2);
    let mut events = 0;
    for datagram in fixed.into_iter().chain([data.to_vec()]).flat_map(|datagram| [datagram.clone(), datagram])
    {
        let _ = server.handle_datagram(now, Datagram::new(path(), &mut datagram.clone()));
        let _ = client.handle_datagram(now, Datagram::new(path(), &mut datagram.clone()));
        events += usize::from(client.poll_event().is_some());
    }
    assert!(events <= 1);
    assert_eq!(client.poll_timeout().is_none(), events == 1);
    let mut answers = 0;
    while let Some(transmit) = server.poll_transmit(now, &mut batch) {
        answers += 1;
        let answer = Message::decode(batch.bytes(&transmit)).expect("an answer that can be read");
        assert!(answer.has_fingerprint() && matches!(answer.class(), Class::Success | Class::Error));
    }
    assert!(answers <= 2);
});
