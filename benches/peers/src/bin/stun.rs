//! STUN messages, the implementations taking turns: nanoseconds of CPU time per message.
//!
//! `stun [ROUNDS [NAME...]]` prints the median of the rounds, and the ratio to Kaon. The messages are a
//! connectivity check of ICE with integrity and fingerprint, written, and read with both verified; and a Binding
//! response without them, written, and read with its address taken out. Keys are prepared where the interface
//! lets one, and buffers are used again.

use std::hint::black_box;

use kaon_bench_peers::{cpu_time_of, median};

const COUNT: usize = 20_000;
const ID: [u8; 12] = [0xb7, 0xe7, 0xa7, 1, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt12";
const USERNAME: &str = "evtj:h6vY";
const ADDRESS: &str = "192.0.2.1:32853";
const USE_CANDIDATE: u16 = 0x25;
const PRIORITY: u16 = 0x24;
const ICE_CONTROLLING: u16 = 0x802a;

trait Peer {
    fn write_check(&mut self, out: &mut Vec<u8>);
    fn read_check(&mut self, bytes: &[u8]);
    fn write_response(&mut self, out: &mut Vec<u8>);
    fn read_response(&mut self, bytes: &[u8]);
}

type Measure = (&'static str, fn(&mut dyn Peer, &[u8], &[u8], &mut Vec<u8>));

const MEASURES: [Measure; 4] = [
    ("check, encode", |peer, _, _, out| peer.write_check(out)),
    ("check, decode", |peer, check, _, _| peer.read_check(black_box(check))),
    ("response, encode", |peer, _, _, out| peer.write_response(out)),
    ("response, decode", |peer, _, response, _| peer.read_response(black_box(response))),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(9);
    let only: Vec<String> = arguments.collect();
    let mut contenders: Vec<(&str, Box<dyn Peer>)> = vec![
        ("kaon", Box::new(kaon::Codec::new(&kaon_rtc::crypto::aws_lc_rs::provider()))),
        ("kaon, rust_crypto", Box::new(kaon::Codec::new(&kaon_rtc::crypto::rust_crypto::provider()))),
        ("stun-types", Box::new(types::Codec::new())),
        ("rtc-stun", Box::new(rtc::Codec::new())),
    ];
    let (mut check, mut response) = (Vec::new(), Vec::new());
    contenders[0].1.write_check(&mut check);
    contenders[0].1.write_response(&mut response);
    for (name, peer) in &mut contenders {
        // The same messages to the byte.
        let (mut theirs, mut answer) = (Vec::new(), Vec::new());
        peer.write_check(&mut theirs);
        peer.write_response(&mut answer);
        assert_eq!((&theirs, &answer), (&check, &response), "{name}");
    }
    contenders.retain(|(name, _)| only.is_empty() || only.iter().any(|wanted| wanted == name));

    println!("median of {rounds} rounds, ns of CPU time per message; what the others take in units of Kaon");
    for (what, measure) in MEASURES {
        println!("{what}, {} bytes", if what.starts_with("check") { check.len() } else { response.len() });
        let mut figures = vec![Vec::new(); contenders.len()];
        for _ in 0..rounds {
            for ((_, peer), figures) in contenders.iter_mut().zip(&mut figures) {
                let mut out = Vec::with_capacity(512);
                let time = cpu_time_of(|| {
                    for _ in 0..COUNT {
                        out.clear();
                        measure(&mut **peer, &check, &response, &mut out);
                        black_box(&out);
                    }
                });
                figures.push(time.as_nanos() as f64 / COUNT as f64);
            }
        }
        let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
        for ((name, _), figure) in contenders.iter().zip(&medians) {
            println!("{name:>18} {figure:>9.0} {:>7.2}x", figure / medians[0]);
        }
    }
}

mod kaon {
    use std::hint::black_box;
    use std::net::SocketAddr;

    use kaon_rtc::crypto::CryptoProvider;
    use kaon_rtc::stun::{Class, IntegrityKey, Message, MessageBuilder, Method, TransactionId};

    pub struct Codec {
        key: IntegrityKey,
        address: SocketAddr,
    }

    impl Codec {
        pub fn new(provider: &CryptoProvider) -> Self {
            Self {
                key: IntegrityKey::short_term(provider, super::PASSWORD),
                address: super::ADDRESS.parse().expect("an address"),
            }
        }
    }

    impl super::Peer for Codec {
        fn write_check(&mut self, out: &mut Vec<u8>) {
            MessageBuilder::new(out, Class::Request, Method::BINDING, TransactionId(super::ID))
                .username(super::USERNAME)
                .priority(0x6e00_01ff)
                .use_candidate()
                .ice_controlling(7)
                .integrity(&self.key)
                .fingerprint()
                .finish()
                .expect("it is short");
        }

        fn read_check(&mut self, bytes: &[u8]) {
            let message = Message::decode(bytes).expect("a message");
            assert!(message.has_fingerprint() && message.verify(&self.key));
            assert_eq!(message.username(), Some(super::USERNAME));
            black_box((message.priority(), message.use_candidate(), message.ice_controlling()));
        }

        fn write_response(&mut self, out: &mut Vec<u8>) {
            MessageBuilder::new(out, Class::Success, Method::BINDING, TransactionId(super::ID))
                .xor_mapped_address(self.address)
                .finish()
                .expect("it is short");
        }

        fn read_response(&mut self, bytes: &[u8]) {
            let message = Message::decode(bytes).expect("a message");
            assert_eq!(message.mapped_address(), Some(self.address));
        }
    }
}

mod types {
    use std::hint::black_box;
    use std::net::SocketAddr;

    use stun_types::attribute::{AttributeType, RawAttribute, Username, XorMappedAddress};
    use stun_types::message::{
        BINDING, IntegrityAlgorithm, IntegrityKey, Message, MessageClass, MessageType, MessageWrite,
        MessageWriteExt, MessageWriteVec, ShortTermCredentials, TransactionId,
    };

    pub struct Codec {
        key: IntegrityKey,
        address: SocketAddr,
        id: TransactionId,
    }

    impl Codec {
        pub fn new() -> Self {
            let id = super::ID.iter().fold(0, |id: u128, byte| id << 8 | u128::from(*byte));
            Self {
                key: ShortTermCredentials::new(super::PASSWORD.to_owned()).make_key(),
                address: super::ADDRESS.parse().expect("an address"),
                id: id.into(),
            }
        }
    }

    impl super::Peer for Codec {
        fn write_check(&mut self, out: &mut Vec<u8>) {
            let kind = MessageType::from_class_method(MessageClass::Request, BINDING);
            let mut message = Message::builder(kind, self.id, MessageWriteVec::with_capacity(128));
            message.add_attribute(&Username::new(super::USERNAME).expect("it is short")).expect("new");
            let (priority, tie_breaker) = (0x6e00_01ffu32.to_be_bytes(), 7u64.to_be_bytes());
            let others: [(u16, &[u8]); 3] = [
                (super::PRIORITY, &priority),
                (super::USE_CANDIDATE, &[]),
                (super::ICE_CONTROLLING, &tie_breaker),
            ];
            for (kind, value) in others {
                let attribute = RawAttribute::new(AttributeType::new(kind), value);
                message.add_attribute(&attribute).expect("new");
            }
            message.add_message_integrity_with_key(&self.key, IntegrityAlgorithm::Sha1).expect("new");
            message.add_fingerprint().expect("new");
            *out = message.finish();
        }

        fn read_check(&mut self, bytes: &[u8]) {
            let message = Message::from_bytes(bytes).expect("a message");
            message.validate_integrity_with_key(&self.key).expect("it is right");
            let username = message.attribute::<Username>().expect("there is one");
            assert_eq!(username.username(), super::USERNAME);
            let raw = |kind| message.raw_attribute(AttributeType::new(kind)).is_some();
            black_box((raw(super::PRIORITY), raw(super::USE_CANDIDATE), raw(super::ICE_CONTROLLING)));
        }

        fn write_response(&mut self, out: &mut Vec<u8>) {
            let kind = MessageType::from_class_method(MessageClass::Success, BINDING);
            let mut message = Message::builder(kind, self.id, MessageWriteVec::with_capacity(64));
            message.add_attribute(&XorMappedAddress::new(self.address, self.id)).expect("new");
            *out = message.finish();
        }

        fn read_response(&mut self, bytes: &[u8]) {
            let message = Message::from_bytes(bytes).expect("a message");
            let address = message.attribute::<XorMappedAddress>().expect("there is one");
            assert_eq!(address.addr(message.transaction_id()), self.address);
        }
    }
}

mod rtc {
    use std::hint::black_box;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use rtc_crypto::RTCCryptoProvider;
    use rtc_stun::attributes::{ATTR_USERNAME, AttrType};
    use rtc_stun::fingerprint::FINGERPRINT;
    use rtc_stun::integrity::MessageIntegrity;
    use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Getter, Message, Setter, TransactionId};
    use rtc_stun::xoraddr::XorMappedAddress;

    pub struct Codec {
        provider: Arc<dyn RTCCryptoProvider>,
        address: SocketAddr,
        message: Message,
    }

    impl Codec {
        pub fn new() -> Self {
            Self {
                provider: rtc_crypto::default_provider().expect("a provider"),
                address: super::ADDRESS.parse().expect("an address"),
                message: Message::new(),
            }
        }

        fn begin(&mut self, kind: rtc_stun::message::MessageType) -> &mut Message {
            self.message.reset();
            self.message.transaction_id = TransactionId(super::ID);
            self.message.set_type(kind);
            self.message.write_header();
            &mut self.message
        }
    }

    impl super::Peer for Codec {
        fn write_check(&mut self, out: &mut Vec<u8>) {
            let provider = self.provider.clone();
            let integrity = MessageIntegrity::new_short_term_integrity_with_provider(
                super::PASSWORD.to_owned(),
                provider.crypto(),
            );
            let message = self.begin(BINDING_REQUEST);
            message.add(ATTR_USERNAME, super::USERNAME.as_bytes());
            message.add(AttrType(super::PRIORITY), &0x6e00_01ffu32.to_be_bytes());
            message.add(AttrType(super::USE_CANDIDATE), &[]);
            message.add(AttrType(super::ICE_CONTROLLING), &7u64.to_be_bytes());
            integrity.add_to(message).expect("new");
            FINGERPRINT.add_to(message).expect("new");
            out.extend_from_slice(&message.raw);
        }

        fn read_check(&mut self, bytes: &[u8]) {
            self.message.unmarshal_binary(bytes).expect("a message");
            FINGERPRINT.check(&self.message).expect("it is right");
            let crypto = self.provider.crypto();
            MessageIntegrity::check(&mut self.message, super::PASSWORD.as_bytes(), crypto)
                .expect("it is right");
            assert_eq!(self.message.get(ATTR_USERNAME).expect("there is one"), super::USERNAME.as_bytes());
            let raw = |kind| self.message.get(AttrType(kind)).is_ok();
            black_box((raw(super::PRIORITY), raw(super::USE_CANDIDATE), raw(super::ICE_CONTROLLING)));
        }

        fn write_response(&mut self, out: &mut Vec<u8>) {
            let address = XorMappedAddress { ip: self.address.ip(), port: self.address.port() };
            let message = self.begin(BINDING_SUCCESS);
            address.add_to(message).expect("new");
            out.extend_from_slice(&message.raw);
        }

        fn read_response(&mut self, bytes: &[u8]) {
            self.message.unmarshal_binary(bytes).expect("a message");
            let mut address = XorMappedAddress::default();
            address.get_from(&self.message).expect("there is one");
            assert_eq!((address.ip, address.port), (self.address.ip(), self.address.port()));
        }
    }
}
