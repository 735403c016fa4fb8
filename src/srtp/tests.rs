use proptest::prelude::*;

use super::*;
use crate::crypto::CryptoProvider;

#[cfg(feature = "aws-lc-rs")]
pub(super) fn provider() -> CryptoProvider {
    crate::crypto::aws_lc_rs::provider()
}

#[cfg(not(feature = "aws-lc-rs"))]
pub(super) fn provider() -> CryptoProvider {
    crate::crypto::rust_crypto::provider()
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn master(profile: SrtpProfile, seed: u8) -> MasterKey {
    MasterKey::new(profile, &vec![seed; profile.key_len()], &vec![!seed; profile.salt_len()]).unwrap()
}

fn pair_with(profile: SrtpProfile, config: Config) -> (Context, Context) {
    let (a, b) = (master(profile, 1), master(profile, 2));
    let context = |local, remote| Context::new(&provider(), local, remote, config.clone()).unwrap();
    (context(&a, &b), context(&b, &a))
}

fn pair(profile: SrtpProfile) -> (Context, Context) {
    pair_with(profile, Config::default())
}

fn rtp(ssrc: u32, sequence_number: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&sequence_number.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat()
}

fn protect(context: &mut Context, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + context.rtp_overhead(), 0);
    context.protect_rtp(&mut buffer, packet.len())?;
    Ok(buffer)
}

fn protect_rtcp(context: &mut Context, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + context.rtcp_overhead(), 0);
    let len = context.protect_rtcp(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn unprotect_rtcp(context: &mut Context, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let len = context.unprotect_rtcp(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

fn unprotect(context: &mut Context, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let len = context.unprotect_rtp(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}

#[test]
fn libsrtp_reference_packet() {
    // The reference packet of libsrtp's test driver, master key and salt of RFC 3711 appendix B.3.
    let profile = SrtpProfile::Aes128CmHmacSha1_80;
    let key = MasterKey::new(
        profile,
        &hex("e1f97a0d3e018be0d64fa32c06de4139"),
        &hex("0ec675ad498afeebb6960b3aabe6"),
    );
    let key = key.unwrap();
    let mut context = Context::new(&provider(), &key, &key, Config::default()).unwrap();
    let packet = hex("800f1234decafbadcafebabeabababababababababababababababab");
    let protected = protect(&mut context, &packet).unwrap();
    assert_eq!(
        protected,
        hex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")
    );
    assert_eq!(unprotect(&mut context, &protected).unwrap(), packet);
}

#[test]
fn packets_with_csrcs_and_extensions_round_trip() {
    for profile in SrtpProfile::ALL {
        let (mut a, mut b) = pair(profile);
        let mut packet = rtp(7, 1, &[]);
        packet[0] |= 0x10 | 2;
        packet.extend_from_slice(&[1; 8]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x10, 5, 0, 0]);
        packet.extend_from_slice(b"payload");
        let protected = protect(&mut a, &packet).unwrap();
        assert_eq!(protected[..28], packet[..28], "the header with all its parts stays readable");
        assert_ne!(protected[28..35], packet[28..]);
        assert_eq!(unprotect(&mut b, &protected).unwrap(), packet);
    }
}

#[test]
fn the_rollover_counter_is_kept_for_each_ssrc() {
    for profile in SrtpProfile::ALL {
        let (mut a, mut b) = pair(profile);
        for round in 0..3u32 {
            for sequence_number in [0x1000, 0x8000, 0xf000, 0xffff, 0] {
                let packet = rtp(1, sequence_number, b"x");
                let protected = protect(&mut a, &packet).unwrap();
                assert_eq!(unprotect(&mut b, &protected).unwrap(), packet);
            }
            assert_eq!(b.rollover_counter(1), Some(round + 1));
        }
        let packet = protect(&mut a, &rtp(2, 0x1000, b"x")).unwrap();
        unprotect(&mut b, &packet).unwrap();
        assert_eq!(b.rollover_counter(2), Some(0));
    }
}

#[test]
fn late_and_reordered_packets_across_a_rollover_are_received() {
    for profile in SrtpProfile::ALL {
        let (mut a, mut b) = pair(profile);
        let protected: Vec<_> = (0xfff0..=0x1_0010u32)
            .map(|number| protect(&mut a, &rtp(1, number as u16, &number.to_be_bytes())).unwrap())
            .collect();
        for packet in protected.iter().rev() {
            // The newest first: the stream begins behind the rollover, which only signalling can tell.
            if b.rollover_counter(1).is_none() {
                b.set_rollover_counter(1, 1).unwrap();
            }
            unprotect(&mut b, packet).unwrap();
        }
    }
}

#[test]
fn a_stream_joined_late_needs_its_rollover_counter() {
    let (mut a, mut b) = pair(SrtpProfile::AeadAes128Gcm);
    protect(&mut a, &rtp(1, 0xffff, b"x")).unwrap();
    let packet = protect(&mut a, &rtp(1, 0, b"x")).unwrap();
    assert_eq!(unprotect(&mut b, &packet), Err(SrtpError::Authentication));
    b.set_rollover_counter(1, 1).unwrap();
    unprotect(&mut b, &packet).unwrap();
}

#[test]
fn replayed_and_old_packets_are_refused() {
    for profile in SrtpProfile::ALL {
        let (mut a, mut b) = pair_with(profile, Config { replay_window: 64, ..Config::default() });
        let packets: Vec<_> = (0..100).map(|n| protect(&mut a, &rtp(1, n, b"x")).unwrap()).collect();
        unprotect(&mut b, &packets[0]).unwrap();
        assert_eq!(unprotect(&mut b, &packets[0]), Err(SrtpError::Replayed { index: 0 }));
        unprotect(&mut b, &packets[99]).unwrap();
        assert_eq!(unprotect(&mut b, &packets[35]), Err(SrtpError::Replayed { index: 35 }), "too old");
        unprotect(&mut b, &packets[36]).unwrap();
        assert_eq!(unprotect(&mut b, &packets[36]), Err(SrtpError::Replayed { index: 36 }));

        let mut packet = rtcp(1);
        packet.resize(8 + a.rtcp_overhead(), 0);
        a.protect_rtcp(&mut packet, 8).unwrap();
        b.unprotect_rtcp(&mut packet.clone()).unwrap();
        assert_eq!(b.unprotect_rtcp(&mut packet), Err(SrtpError::Replayed { index: 1 }));
    }
}

#[test]
fn tampering_anywhere_is_noticed_and_changes_nothing() {
    for profile in SrtpProfile::ALL {
        let (mut a, mut b) = pair(profile);
        let packet = rtp(1, 500, b"some payload");
        let protected = protect(&mut a, &packet).unwrap();
        for bit in 0..protected.len() * 8 {
            let mut tampered = protected.clone();
            tampered[bit / 8] ^= 1 << (bit % 8);
            assert!(unprotect(&mut b, &tampered).is_err(), "bit {bit}");
        }
        assert_eq!(b.rollover_counter(1), None, "no state for an SSRC that never authenticated");
        assert_eq!(unprotect(&mut b, &protected).unwrap(), packet);

        let mut protected = rtcp(1);
        protected.extend_from_slice(b"rtcp");
        protected.resize(12 + a.rtcp_overhead(), 0);
        a.protect_rtcp(&mut protected, 12).unwrap();
        for bit in 0..protected.len() * 8 {
            let mut tampered = protected.clone();
            tampered[bit / 8] ^= 1 << (bit % 8);
            assert!(b.unprotect_rtcp(&mut tampered).is_err(), "bit {bit}");
        }
        assert_eq!(b.unprotect_rtcp(&mut protected), Ok(12));
        assert_eq!(protected[..12], [&rtcp(1)[..], b"rtcp"].concat());
    }
}

#[test]
fn a_packet_index_is_protected_once_unless_allowed() {
    let profile = SrtpProfile::AeadAes128Gcm;
    let (mut a, _) = pair(profile);
    let packet = rtp(1, 5, b"x");
    protect(&mut a, &packet).unwrap();
    assert_eq!(protect(&mut a, &packet), Err(SrtpError::Replayed { index: 5 }));
    protect(&mut a, &rtp(1, 4, b"out of order is fine")).unwrap();

    let allow = Config { repeated_index: RepeatedIndex::Allow, ..Config::default() };
    let (mut a, mut b) = pair_with(profile, allow);
    let first = protect(&mut a, &packet).unwrap();
    assert_eq!(protect(&mut a, &packet).unwrap(), first);
    unprotect(&mut b, &first).unwrap();
    assert!(unprotect(&mut b, &first).is_err(), "the receiver takes it once all the same");
}

#[test]
fn limits_and_lengths_are_errors() {
    let (mut a, mut b) = pair(SrtpProfile::AeadAes128Gcm);
    let mut packet = rtp(0, 2, b"x");
    assert_eq!(a.protect_rtp(&mut packet, 13), Err(SrtpError::BufferTooSmall { needed: 29, available: 13 }));
    assert_eq!(packet, rtp(0, 2, b"x"), "the packet is unchanged");
    assert!(matches!(a.protect_rtp(&mut packet, usize::MAX), Err(SrtpError::BufferTooSmall { .. })));
    for len in 0..28 {
        let mut short = vec![0x80; len];
        assert!(matches!(b.unprotect_rtp(&mut short), Err(SrtpError::Malformed(_))), "{len}");
        let mut short = vec![0x80; len];
        assert!(matches!(b.unprotect_rtcp(&mut short), Err(SrtpError::Malformed(_))), "{len}");
    }
}

#[test]
fn unencrypted_srtcp_is_refused() {
    for profile in SrtpProfile::ALL {
        let (mut a, mut b) = pair(profile);
        let mut packet = rtcp(1);
        packet.resize(8 + a.rtcp_overhead(), 0);
        a.protect_rtcp(&mut packet, 8).unwrap();
        let flag = packet.len() - if profile == SrtpProfile::Aes128CmHmacSha1_80 { 14 } else { 4 };
        packet[flag] &= 0x7f;
        assert!(matches!(b.unprotect_rtcp(&mut packet), Err(SrtpError::Malformed(_))));
    }
}

#[test]
fn an_exhausted_key_protects_nothing_more() {
    let (a, mut b) = pair(SrtpProfile::AeadAes128Gcm);
    b.set_rollover_counter(1, u32::MAX).unwrap();
    let index = |sequence_number| super::index::PacketIndex::new(u32::MAX, sequence_number).value();
    let keys = super::session_keys::SessionKeys::derive(&provider(), &master(a.profile(), 1)).unwrap();
    let mut packet = [&rtp(1, 0xffff, b"x")[..], &[0; 16]].concat();
    keys.seal_rtp(&mut packet, 12, 1, index(0xffff)).unwrap();
    assert_eq!(unprotect(&mut b, &packet).unwrap(), rtp(1, 0xffff, b"x"), "the last packet of the key");
    let next = [&rtp(1, 0, b"x")[..], &[0; 16]].concat();
    assert_eq!(unprotect(&mut b, &next), Err(SrtpError::KeyExhausted { ssrc: 1 }));
}

#[test]
fn a_batch_is_as_one_by_one() {
    let (mut a, mut b) = pair(SrtpProfile::AeadAes128Gcm);
    let mut buffers: Vec<Vec<u8>> =
        (0..4u16).map(|n| [&rtp(1, n, b"payload")[..], &[0; 16]].concat()).collect();
    buffers[2].truncate(20);
    let mut slots: Vec<_> = buffers.iter_mut().map(|buffer| PacketSlot::new(buffer, 19)).collect();
    a.protect_rtp_batch(&mut slots);
    let outcomes: Vec<_> = slots.iter().map(|slot| slot.outcome.clone()).collect();
    assert_eq!(outcomes[..2], [Ok(35), Ok(35)]);
    assert!(matches!(outcomes[2], Err(SrtpError::BufferTooSmall { .. })));
    let mut slots: Vec<_> = buffers.iter_mut().map(|buffer| PacketSlot::new(buffer, 35)).collect();
    b.unprotect_rtp_batch(&mut slots);
    let outcomes: Vec<_> = slots.iter().map(|slot| slot.outcome.clone()).collect();
    assert_eq!((&outcomes[0], &outcomes[3]), (&Ok(19), &Ok(19)));
    assert!(matches!(outcomes[2], Err(SrtpError::Malformed(_))));
}

#[test]
fn keys_of_two_profiles_do_not_mix() {
    let (a, b) = (master(SrtpProfile::AeadAes128Gcm, 1), master(SrtpProfile::Aes128CmHmacSha1_80, 1));
    assert!(Context::new(&provider(), &a, &b, Config::default()).is_err());
    let exported: Vec<u8> = (0..60).collect();
    let keys = SrtpKeyingMaterial::from_exported(SrtpProfile::Aes128CmHmacSha1_80, &exported).unwrap();
    assert_eq!((keys.client.key(), keys.server.key()), (&exported[..16], &exported[16..32]));
    assert_eq!((keys.client.salt(), keys.server.salt()), (&exported[32..46], &exported[46..]));
    assert_eq!(SrtpKeyingMaterial::from_exported(SrtpProfile::AeadAes128Gcm, &exported), None);
    assert!(!format!("{keys:?}").contains("31"), "keys are not printed");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), profile in 0..3usize) {
        let (mut a, mut b) = pair(SrtpProfile::ALL[profile]);
        for version in [None, Some(0x80)] {
            let mut packet = bytes.clone();
            if let (Some(version), Some(first)) = (version, packet.first_mut()) {
                *first = version | *first & 0x3f;
            }
            prop_assert!(b.unprotect_rtp(&mut packet.clone()).is_err());
            prop_assert!(b.unprotect_rtcp(&mut packet.clone()).is_err());
            let len = packet.len();
            packet.resize(len + 32, 0);
            let mut copy = packet.clone();
            if let Ok(protected) = a.protect_rtp(&mut copy, len) {
                prop_assert_eq!(b.unprotect_rtp(&mut copy[..protected]), Ok(len));
                prop_assert_eq!(&copy[..len], &packet[..len]);
            }
            let mut copy = packet.clone();
            if let Ok(protected) = a.protect_rtcp(&mut copy, len) {
                prop_assert_eq!(b.unprotect_rtcp(&mut copy[..protected]), Ok(len));
                prop_assert_eq!(&copy[..len], &packet[..len]);
            }
        }
    }
}

#[test]
fn there_is_always_room_for_a_new_stream_on_the_way_in() {
    for profile in SrtpProfile::ALL {
        let limits = Config { max_ssrcs: 4, max_ended_ssrcs: 8, ..Config::default() };
        let (mut a, _) = pair(profile);
        let (_, mut b) = pair_with(profile, limits);
        let lasting = 1000;
        for round in 0..100u16 {
            // One stream goes on all the time, others come and go.
            let packet = protect(&mut a, &rtp(lasting, round, b"on")).unwrap();
            unprotect(&mut b, &packet).unwrap();
            let packet = protect(&mut a, &rtp(u32::from(round), 1, b"new")).unwrap();
            unprotect(&mut b, &packet).unwrap();
            let report = protect_rtcp(&mut a, &rtcp(u32::from(round))).unwrap();
            unprotect_rtcp(&mut b, &report).unwrap();
        }
        assert_eq!(b.rollover_counter(lasting), Some(0), "it was not the longest silent");
        assert_eq!(b.rollover_counter(1), None);
    }
}

#[test]
fn a_stream_that_was_forgotten_goes_on_and_accepts_nothing_twice() {
    for profile in SrtpProfile::ALL {
        let (mut a, mut b) = pair(profile);
        let old: Vec<_> =
            [0xfffe, 0xffff, 0, 1].map(|number| protect(&mut a, &rtp(7, number, b"old")).unwrap()).into();
        old.iter().for_each(|packet| drop(unprotect(&mut b, packet).unwrap()));
        let old_report = protect_rtcp(&mut a, &rtcp(7)).unwrap();
        unprotect_rtcp(&mut b, &old_report).unwrap();
        a.forget(7);
        b.forget(7);
        for packet in &old {
            assert!(matches!(unprotect(&mut b, packet), Err(SrtpError::Replayed { .. })));
        }
        assert!(matches!(unprotect_rtcp(&mut b, &old_report), Err(SrtpError::Replayed { .. })));
        for number in [0xffff, 0, 1] {
            assert!(matches!(protect(&mut a, &rtp(7, number, b"again")), Err(SrtpError::Replayed { .. })));
        }
        // The rollover counter and the index of reports went on.
        let packet = protect(&mut a, &rtp(7, 2, b"on")).unwrap();
        assert_eq!(unprotect(&mut b, &packet).unwrap(), rtp(7, 2, b"on"));
        assert_eq!(b.rollover_counter(7), Some(1));
        let report = protect_rtcp(&mut a, &rtcp(7)).unwrap();
        assert_eq!(unprotect_rtcp(&mut b, &report).unwrap(), rtcp(7));
    }
}

#[test]
fn a_sender_makes_room_until_indices_could_be_used_twice() {
    let limits = Config { max_ssrcs: 4, max_ended_ssrcs: 8, ..Config::default() };
    let (mut a, _) = pair_with(SrtpProfile::AeadAes128Gcm, limits);
    for ssrc in 0..12 {
        protect(&mut a, &rtp(ssrc, 1, b"x")).unwrap();
        protect_rtcp(&mut a, &rtcp(ssrc)).unwrap();
    }
    assert_eq!(protect(&mut a, &rtp(12, 1, b"x")), Err(SrtpError::TooManySsrcs { limit: 12 }));
    assert_eq!(protect_rtcp(&mut a, &rtcp(12)), Err(SrtpError::TooManySsrcs { limit: 12 }));
    for ssrc in 0..12 {
        assert!(matches!(protect(&mut a, &rtp(ssrc, 1, b"y")), Err(SrtpError::Replayed { .. })), "{ssrc}");
    }
}
