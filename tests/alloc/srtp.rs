//! SRTP and SRTCP: nothing is allocated per packet, whatever the profile and the provider.

use kaon_rtc::crypto::CryptoProvider;
use kaon_rtc::srtp::{Config, Context, MasterKey, PacketSlot, SrtpProfile, SrtpTransport};

use crate::{count_allocations, heap_held};

fn providers() -> Vec<CryptoProvider> {
    vec![
        #[cfg(feature = "aws-lc-rs")]
        kaon_rtc::crypto::aws_lc_rs::provider(),
        #[cfg(feature = "rust-crypto")]
        kaon_rtc::crypto::rust_crypto::provider(),
    ]
}

fn for_each(test: impl Fn(&CryptoProvider, SrtpProfile)) {
    for provider in providers() {
        SrtpProfile::ALL.into_iter().for_each(|profile| test(&provider, profile));
    }
}

fn pair(provider: &CryptoProvider, profile: SrtpProfile) -> (Context, Context) {
    let keys = [1, 2].map(|seed| {
        MasterKey::new(profile, &vec![seed; profile.key_len()], &vec![seed; profile.salt_len()]).unwrap()
    });
    let context = |local: usize, remote: usize| {
        Context::new(provider, &keys[local], &keys[remote], Config::default()).unwrap()
    };
    (context(0, 1), context(1, 0))
}

fn write_rtp(buffer: &mut [u8], sequence_number: u16) {
    buffer[..12].copy_from_slice(&[0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7]);
    buffer[2..4].copy_from_slice(&sequence_number.to_be_bytes());
    buffer[12..].fill(0x5a);
}

fn write_rtcp(buffer: &mut [u8]) {
    buffer.fill(0x5a);
    buffer[..8].copy_from_slice(&[0x80, 200, 0, 6, 0, 0, 0, 7]);
}

/// One packet each way: a stream's first packet makes its state.
fn exchange(sender: &mut Context, receiver: &mut Context, sequence_number: u16) {
    let mut buffer = [0; 1300];
    write_rtp(&mut buffer, sequence_number);
    let len = sender.protect_rtp(&mut buffer, 1200).unwrap();
    assert_eq!(receiver.unprotect_rtp(&mut buffer[..len]), Ok(1200));
    // A replay and a forgery.
    receiver.unprotect_rtp(&mut buffer[..len]).unwrap_err();
    buffer[2] ^= 1;
    receiver.unprotect_rtp(&mut buffer[..len]).unwrap_err();
    write_rtcp(&mut buffer[..28]);
    let len = sender.protect_rtcp(&mut buffer, 28).unwrap();
    assert_eq!(receiver.unprotect_rtcp(&mut buffer[..len]), Ok(28));
    receiver.unprotect_rtcp(&mut buffer[..len]).unwrap_err();
}

#[test]
fn packets_allocate_nothing() {
    for_each(|provider, profile| {
        let (mut a, mut b) = pair(provider, profile);
        exchange(&mut a, &mut b, 0xffff);
        let allocations = count_allocations(|| (0..500).for_each(|number| exchange(&mut a, &mut b, number)));
        assert_eq!(allocations, 0, "{} {profile:?}", provider.name);
    });
}

#[test]
fn batches_allocate_nothing() {
    for_each(|provider, profile| {
        let (mut a, mut b) = pair(provider, profile);
        exchange(&mut a, &mut b, 0xffff);
        let mut buffers = [[0; 1300]; 16];
        let mut number = 0;
        let allocations = count_allocations(|| {
            for _ in 0..50 {
                let mut slots = buffers.each_mut().map(|buffer| {
                    write_rtp(buffer, number);
                    number += 1;
                    PacketSlot::new(buffer, 1200)
                });
                a.protect_rtp_batch(&mut slots);
                for slot in &mut slots {
                    slot.len = slot.outcome.clone().unwrap();
                }
                b.unprotect_rtp_batch(&mut slots);
                assert!(slots.iter().all(|slot| slot.outcome == Ok(1200)));
            }
        });
        assert_eq!(allocations, 0, "{} {profile:?}", provider.name);
    });
}

#[test]
fn a_forged_source_allocates_nothing() {
    for_each(|provider, profile| {
        let (mut a, mut b) = pair(provider, profile);
        let mut buffer = [0; 1200];
        let allocations = count_allocations(|| {
            for ssrc in 0..1000u32 {
                write_rtp(&mut buffer, 1);
                buffer[8..12].copy_from_slice(&ssrc.to_be_bytes());
                b.unprotect_rtp(&mut buffer).unwrap_err();
                b.unprotect_rtcp(&mut buffer).unwrap_err();
            }
        });
        assert_eq!(allocations, 0);
        exchange(&mut a, &mut b, 1);
    });
}

/// The heap of one session as Rust's allocator sees it, with a stream of RTP and RTCP each way. What a
/// provider written in C allocates for itself comes on top.
#[test]
fn a_session_is_small() {
    for_each(|provider, profile| {
        drop(pair(provider, profile));
        let (pair, held) = heap_held(|| {
            let (mut a, mut b) = pair(provider, profile);
            exchange(&mut a, &mut b, 1);
            exchange(&mut b, &mut a, 1);
            (a, b)
        });
        let inline = size_of::<Context>();
        let each = held as usize / 2;
        println!("{} {profile:?}: {each} bytes of heap, {inline} bytes by itself", provider.name);
        assert!(each + inline < 10_000, "{each} + {inline}");
        let (_, left) = heap_held(|| drop(pair));
        assert_eq!(-left, held, "dropping frees all");
    });
}
