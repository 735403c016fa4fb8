//! SRTP packets per profile and size, the implementations taking turns: nanoseconds of CPU time per packet.
//!
//! `srtp [ROUNDS [NAME...]]` prints the median of the rounds, and the ratio to Kaon. Kaon and the bare ciphers
//! work in place; the others return a buffer of their own, as their interfaces do. The bare ciphers have a fixed
//! nonce, no replay window and no table of sources: they are the floor.

use std::hint::black_box;

use kaon_bench_peers::{cpu_time_of, median};
use kaon_rtc::crypto::{CryptoProvider, aws_lc_rs, rust_crypto};
use kaon_rtc::srtp::{Config, Context, MasterKey, SrtpProfile, SrtpTransport};

const SIZES: [usize; 2] = [1200, 100];
/// So many packets lie ready for each measurement.
const BATCH: usize = 256;
/// So many measurements make a round.
const BATCHES: usize = 40;
const SSRC: u32 = 0x1234_5678;

trait Peer {
    /// Protects each packet.
    fn protect(&mut self, packets: &mut [Vec<u8>]);

    /// Unprotects each packet.
    fn unprotect(&mut self, packets: &mut [Vec<u8>]);

    /// Whether it opens only what it sealed itself.
    fn is_bare(&self) -> bool {
        false
    }
}

fn master_key(profile: SrtpProfile) -> MasterKey {
    MasterKey::new(profile, &vec![7; profile.key_len()], &vec![9; profile.salt_len()]).expect("its lengths")
}

fn context(provider: &CryptoProvider, profile: SrtpProfile) -> Context {
    let key = master_key(profile);
    Context::new(provider, &key, &key, Config::default()).expect("the profile")
}

fn contenders(profile: SrtpProfile) -> Vec<(&'static str, Box<dyn Peer>)> {
    let mut contenders: Vec<(&'static str, Box<dyn Peer>)> = vec![
        ("kaon", Box::new(context(&aws_lc_rs::provider(), profile))),
        ("kaon, behind the trait", Box::new(behind_the_trait(context(&aws_lc_rs::provider(), profile)))),
        ("kaon, rust_crypto", Box::new(context(&rust_crypto::provider(), profile))),
        ("rtc-srtp", Box::new(rtc::new(profile))),
        ("webrtc-srtp", Box::new(webrtc::new(profile))),
        ("webrtc-srtp, behind the trait", Box::new(behind_the_trait(webrtc::adapter(profile)))),
    ];
    match profile {
        SrtpProfile::Aes128CmHmacSha1_80 => {
            contenders.push(("bare aws-lc-rs", Box::new(bare::CmHmac::new(bare::AwsLcSha1::new()))));
            contenders.push(("bare, sha1 crate", Box::new(bare::CmHmac::new(bare::RustSha1::new()))));
        }
        _ => contenders.push(("bare aws-lc-rs", Box::new(bare::Gcm::new(profile)))),
    }
    contenders
}

struct Contender {
    name: &'static str,
    peer: Box<dyn Peer>,
    /// Protects what the peer unprotects.
    source: Context,
    protected: u16,
    unprotected: u16,
}

fn packets(next: &mut u16, size: usize) -> Vec<Vec<u8>> {
    let packet = |_| {
        let mut packet = Vec::with_capacity(size + 32);
        packet.extend([0x80, 96]);
        packet.extend(next.to_be_bytes());
        packet.extend([0, 0, 0, 1]);
        packet.extend(SSRC.to_be_bytes());
        packet.resize(size, 0x5a);
        *next = next.wrapping_add(1);
        packet
    };
    (0..BATCH).map(packet).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(9);
    let only: Vec<String> = arguments.collect();
    println!("median of {rounds} rounds, ns of CPU time per packet; what the others take in units of Kaon");
    for profile in SrtpProfile::ALL {
        let mut contenders: Vec<_> = contenders(profile)
            .into_iter()
            .filter(|(name, _)| only.is_empty() || only.iter().any(|wanted| wanted == name))
            .map(|(name, peer)| {
                let source = context(&aws_lc_rs::provider(), profile);
                Contender { name, peer, source, protected: 0, unprotected: 0 }
            })
            .collect();
        for size in SIZES {
            println!("{profile:?}, {size} bytes");
            let mut figures = vec![[vec![], vec![]]; contenders.len()];
            for _ in 0..rounds {
                for (contender, [protect, unprotect]) in contenders.iter_mut().zip(&mut figures) {
                    protect.push(contender.protect(size));
                    unprotect.push(contender.unprotect(size));
                }
            }
            let medians: Vec<_> =
                figures.iter_mut().map(|figures| figures.each_mut().map(|f| median(f))).collect();
            println!("{:>30} {:>9} {:>8} {:>10} {:>8}", "", "protect", "", "unprotect", "");
            for (contender, [protect, unprotect]) in contenders.iter().zip(&medians) {
                let [first_protect, first_unprotect] = medians[0];
                println!(
                    "{:>30} {protect:>9.0} {:>7.2}x {unprotect:>10.0} {:>7.2}x",
                    contender.name,
                    protect / first_protect,
                    unprotect / first_unprotect
                );
            }
        }
    }
}

impl Contender {
    fn protect(&mut self, size: usize) -> f64 {
        let mut nanoseconds = 0.0;
        for _ in 0..BATCHES {
            let mut packets = packets(&mut self.protected, size);
            nanoseconds += cpu_time_of(|| self.peer.protect(&mut packets)).as_nanos() as f64;
        }
        nanoseconds / (BATCH * BATCHES) as f64
    }

    fn unprotect(&mut self, size: usize) -> f64 {
        let mut nanoseconds = 0.0;
        for _ in 0..BATCHES {
            let mut packets = packets(&mut self.unprotected, size);
            match self.peer.is_bare() {
                true => self.peer.protect(&mut packets),
                false => self.source.protect(&mut packets),
            }
            nanoseconds += cpu_time_of(|| self.peer.unprotect(&mut packets)).as_nanos() as f64;
        }
        nanoseconds / (BATCH * BATCHES) as f64
    }
}

/// The implementation as a session has it.
fn behind_the_trait(transport: impl SrtpTransport + 'static) -> Box<dyn SrtpTransport> {
    Box::new(transport)
}

impl Peer for Context {
    fn protect(&mut self, packets: &mut [Vec<u8>]) {
        protect_all(self, packets);
    }

    fn unprotect(&mut self, packets: &mut [Vec<u8>]) {
        unprotect_all(self, packets);
    }
}

impl Peer for Box<dyn SrtpTransport> {
    fn protect(&mut self, packets: &mut [Vec<u8>]) {
        protect_all(&mut **self, packets);
    }

    fn unprotect(&mut self, packets: &mut [Vec<u8>]) {
        unprotect_all(&mut **self, packets);
    }
}

fn protect_all(transport: &mut (impl SrtpTransport + ?Sized), packets: &mut [Vec<u8>]) {
    let overhead = transport.rtp_overhead();
    for packet in packets {
        let len = packet.len();
        packet.resize(len + overhead, 0);
        transport.protect_rtp(packet, len).expect("a packet");
    }
}

fn unprotect_all(transport: &mut (impl SrtpTransport + ?Sized), packets: &mut [Vec<u8>]) {
    for packet in packets {
        let len = transport.unprotect_rtp(packet).expect("a packet");
        packet.truncate(len);
    }
}

macro_rules! returning_peer {
    () => {
        impl super::Peer for Context {
            fn protect(&mut self, packets: &mut [Vec<u8>]) {
                for packet in packets {
                    super::black_box(self.encrypt_rtp(packet).expect("a packet"));
                }
            }

            fn unprotect(&mut self, packets: &mut [Vec<u8>]) {
                for packet in packets {
                    super::black_box(self.decrypt_rtp(packet).expect("a packet"));
                }
            }
        }
    };
}

mod rtc {
    use kaon_rtc::srtp::SrtpProfile;
    use rtc_srtp::context::Context;
    use rtc_srtp::option::srtp_replay_protection;
    use rtc_srtp::protection_profile::ProtectionProfile;

    returning_peer!();

    pub fn new(profile: SrtpProfile) -> Context {
        let key = super::master_key(profile);
        let profile = match profile {
            SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
            _ => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let provider = rtc_crypto::default_provider().expect("a provider");
        let replay = Some(srtp_replay_protection(1024));
        Context::new(key.key(), key.salt(), profile, replay, None, provider.crypto()).expect("the profile")
    }
}

mod webrtc {
    use kaon_rtc::adapters::webrtc_rs::{SrtpConfig, SrtpContext};
    use kaon_rtc::srtp::SrtpProfile;
    use webrtc_srtp::context::Context;
    use webrtc_srtp::option::srtp_replay_protection;
    use webrtc_srtp::protection_profile::ProtectionProfile;

    returning_peer!();

    pub fn adapter(profile: SrtpProfile) -> SrtpContext {
        let key = super::master_key(profile);
        SrtpContext::new(&key, &key, SrtpConfig::default()).expect("the profile")
    }

    pub fn new(profile: SrtpProfile) -> Context {
        let key = super::master_key(profile);
        let profile = match profile {
            SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
            _ => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let replay = Some(srtp_replay_protection(1024));
        Context::new(key.key(), key.salt(), profile, replay, None).expect("the profile")
    }
}

mod bare {
    use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
    use aws_lc_rs::{hmac, iv::FixedLength};
    use hmac_crate::{KeyInit, Mac};
    use kaon_rtc::srtp::SrtpProfile;
    use sha1::Sha1;

    const HEADER: usize = 12;
    const TAG: usize = 10;

    pub struct Gcm(LessSafeKey);

    impl Gcm {
        pub fn new(profile: SrtpProfile) -> Self {
            let algorithm = if profile == SrtpProfile::AeadAes256Gcm { &AES_256_GCM } else { &AES_128_GCM };
            let key = UnboundKey::new(algorithm, &vec![7; profile.key_len()]).expect("its length");
            Self(LessSafeKey::new(key))
        }
    }

    fn nonce() -> Nonce {
        Nonce::assume_unique_for_key([3; 12])
    }

    impl super::Peer for Gcm {
        fn protect(&mut self, packets: &mut [Vec<u8>]) {
            for packet in packets {
                let (header, payload) = packet.split_at_mut(HEADER);
                let sealed = self.0.seal_in_place_separate_tag(nonce(), Aad::from(header), payload);
                packet.extend_from_slice(sealed.expect("it is short").as_ref());
            }
        }

        fn unprotect(&mut self, packets: &mut [Vec<u8>]) {
            for packet in packets {
                let (header, payload) = packet.split_at_mut(HEADER);
                self.0.open_in_place(nonce(), Aad::from(header), payload).expect("it was sealed");
            }
        }

        fn is_bare(&self) -> bool {
            true
        }
    }

    pub trait Sha1Mac {
        fn tag(&self, bytes: &[u8]) -> [u8; 20];
    }

    pub struct AwsLcSha1(hmac::Key);

    impl AwsLcSha1 {
        pub fn new() -> Self {
            Self(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[5; 20]))
        }
    }

    impl Sha1Mac for AwsLcSha1 {
        fn tag(&self, bytes: &[u8]) -> [u8; 20] {
            hmac::sign(&self.0, bytes).as_ref().try_into().expect("20 bytes")
        }
    }

    pub struct RustSha1(hmac_crate::Hmac<Sha1>);

    impl RustSha1 {
        pub fn new() -> Self {
            Self(hmac_crate::Hmac::new_from_slice(&[5; 20]).expect("any length"))
        }
    }

    impl Sha1Mac for RustSha1 {
        fn tag(&self, bytes: &[u8]) -> [u8; 20] {
            let mut mac = self.0.clone();
            mac.update(bytes);
            mac.finalize().into_bytes().into()
        }
    }

    pub struct CmHmac<M> {
        cipher: EncryptingKey,
        mac: M,
    }

    impl<M> CmHmac<M> {
        pub fn new(mac: M) -> Self {
            let key = UnboundCipherKey::new(&AES_128, &[7; 16]).expect("its length");
            Self { cipher: EncryptingKey::ctr(key).expect("counter mode"), mac }
        }

        fn apply(&self, payload: &mut [u8]) {
            let counter = EncryptionContext::Iv128(FixedLength::from([3; 16]));
            self.cipher.less_safe_encrypt(payload, counter).expect("any input");
        }
    }

    impl<M: Sha1Mac> super::Peer for CmHmac<M> {
        fn protect(&mut self, packets: &mut [Vec<u8>]) {
            for packet in packets {
                self.apply(&mut packet[HEADER..]);
                let tag = self.mac.tag(packet);
                packet.extend_from_slice(&tag[..TAG]);
            }
        }

        fn unprotect(&mut self, packets: &mut [Vec<u8>]) {
            for packet in packets {
                let len = packet.len() - TAG;
                let (body, tag) = packet.split_at_mut(len);
                assert_eq!(self.mac.tag(body)[..TAG], *tag);
                self.apply(&mut body[HEADER..]);
            }
        }

        fn is_bare(&self) -> bool {
            true
        }
    }
}
