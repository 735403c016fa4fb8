//! STUN: nothing is allocated to read, check or build a message in a warm buffer.

use std::hint::black_box;
use std::time::Instant;

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs::provider;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto::provider;

use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::{
    BindingServer, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId,
};

use crate::count_allocations;

#[test]
fn messages_allocate_nothing() {
    let key = IntegrityKey::short_term(&provider(), "the password of the other side");
    let mut buffer = Vec::with_capacity(512);
    let address = "[2001:db8::1]:5000".parse().unwrap();
    let allocations = count_allocations(|| {
        for number in 0..1000u64 {
            buffer.clear();
            let id = TransactionId([number as u8; 12]);
            MessageBuilder::new(&mut buffer, Class::Request, Method::BINDING, id)
                .ice_username("theirs", "ours")
                .priority(number as u32)
                .use_candidate()
                .ice_controlling(number)
                .xor_mapped_address(address)
                .software("kaon")
                .integrity(&key)
                .fingerprint()
                .finish()
                .unwrap();
            let message = Message::decode(&buffer).unwrap();
            assert!(message.verify(&key) && message.has_fingerprint());
            assert_eq!(message.username(), Some("theirs:ours"));
            assert_eq!(message.ice_controlling(), Some(number));
            assert_eq!(message.mapped_address(), Some(address));
            black_box(message.unknown_required(&[]).count());

            buffer.clear();
            MessageBuilder::new(&mut buffer, Class::Error, Method::BINDING, id)
                .error_code(ErrorCode::ROLE_CONFLICT)
                .integrity(&key)
                .fingerprint()
                .finish()
                .unwrap();
            // A forgery.
            let last = buffer.len() - 9;
            buffer[last] ^= 1;
            Message::decode(&buffer).unwrap_err();
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn a_warm_server_allocates_nothing() {
    let path = FiveTuple::udp("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
    let (mut server, mut batch, now) = (BindingServer::default(), TransmitBatch::new(1200), Instant::now());
    let mut request = Vec::new();
    MessageBuilder::new(&mut request, Class::Request, Method::BINDING, TransactionId([7; 12]))
        .finish()
        .unwrap();
    let mut serve = || {
        server.handle_datagram(now, Datagram::new(path, &mut request)).unwrap();
        let transmit = server.poll_transmit(now, &mut batch).unwrap();
        assert!(!transmit.is_empty());
        batch.clear();
    };
    serve();
    assert_eq!(count_allocations(|| (0..1000).for_each(|_| serve())), 0);
}
