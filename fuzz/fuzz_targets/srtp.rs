//! SRTP and SRTCP in both directions: packets protected, delivered in any order, mutated and replayed as the input
//! says, under every profile. Nothing mutated authenticates, nothing is received twice, what is delivered in order
//! comes out as it went in, and no more sources have state than the limit says.
//!
//! The first byte of the input chooses the profile, then each step is a byte that says what and its operands.
#![no_main]

mod oracle;

use std::sync::LazyLock;

use kaon_rtc::crypto::{CryptoProvider, aws_lc_rs};
use kaon_rtc::srtp::{Config, Context, MasterKey, SrtpError, SrtpProfile, SrtpTransport};
use libfuzzer_sys::fuzz_target;

const MAX_SSRCS: usize = 4;
const MAX_KEPT: usize = 32;

static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(aws_lc_rs::provider);

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

fn pair(profile: SrtpProfile) -> (Context, Context) {
    let mut config = Config::default();
    config.max_ssrcs = MAX_SSRCS;
    config.replay_window = 64;
    let keys = [1, 2].map(|seed| {
        MasterKey::new(profile, &vec![seed; profile.key_len()], &vec![seed; profile.salt_len()])
            .expect("the lengths of the profile")
    });
    let context = |local: usize, remote: usize| {
        Context::new(&PROVIDER, &keys[local], &keys[remote], config.clone()).expect("all profiles are there")
    };
    (context(0, 1), context(1, 0))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rtp,
    Rtcp,
}

fn protect(context: &mut Context, kind: Kind, packet: &[u8], headroom: usize) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + headroom, 0xee);
    let result = match kind {
        Kind::Rtp => context.protect_rtp(&mut buffer, packet.len()),
        Kind::Rtcp => context.protect_rtcp(&mut buffer, packet.len()),
    };
    match result {
        Ok(len) => {
            buffer.truncate(len);
            Ok(buffer)
        }
        Err(error) => {
            assert_eq!(buffer[..packet.len()], *packet, "unchanged on error");
            Err(error)
        }
    }
}

fn unprotect(context: &mut Context, kind: Kind, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    let len = match kind {
        Kind::Rtp => context.unprotect_rtp(&mut buffer),
        Kind::Rtcp => context.unprotect_rtcp(&mut buffer),
    }?;
    buffer.truncate(len);
    Ok(buffer)
}

/// A packet on a wire that loses, repeats and reorders.
struct Kept {
    kind: Kind,
    ssrc: u32,
    plain: Vec<u8>,
    protected: Vec<u8>,
    delivered: bool,
}

fn ssrcs_with_state(context: &Context) -> usize {
    (0..=255).filter(|ssrc| context.rollover_counter(*ssrc).is_some()).count()
}

fn rtp(input: &mut Input<'_>) -> Option<(u32, Vec<u8>)> {
    let (ssrc, flags) = (u32::from(input.byte()?), input.byte()?);
    let mut packet = vec![0x80 | flags & 0x1f, flags, input.byte()?, input.byte()?, 0, 0, 0, 0];
    packet.extend(ssrc.to_be_bytes());
    let len = usize::from(input.byte()?);
    packet.extend(input.take(len));
    Some((ssrc, packet))
}

fn rtcp(input: &mut Input<'_>) -> Option<(u32, Vec<u8>)> {
    let ssrc = u32::from(input.byte()?);
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend(ssrc.to_be_bytes());
    let len = usize::from(input.byte()?);
    packet.extend(input.take(len));
    Some((ssrc, packet))
}

fn run(input: &mut Input<'_>) -> Option<()> {
    let profile = SrtpProfile::ALL[usize::from(input.byte()?) % 3];
    let (mut sender, mut receiver) = pair(profile);
    // These two lose nothing.
    let (mut steady_sender, mut steady_receiver) = pair(profile);
    let mut wire: Vec<Kept> = Vec::new();
    loop {
        let step = input.byte()?;
        let kind = if step & 0x80 == 0 { Kind::Rtp } else { Kind::Rtcp };
        match step & 7 {
            // Protects a packet, and delivers it at once to the receiver that loses nothing.
            0..=2 => {
                let (ssrc, plain) = if kind == Kind::Rtp { rtp(input)? } else { rtcp(input)? };
                if let Ok(protected) = protect(&mut steady_sender, kind, &plain, 32) {
                    assert_eq!(unprotect(&mut steady_receiver, kind, &protected), Ok(plain.clone()));
                    assert!(unprotect(&mut steady_receiver, kind, &protected).is_err());
                    // Not by itself: the keys of the two directions differ.
                    assert!(unprotect(&mut steady_sender, kind, &protected).is_err());
                }
                if let Ok(protected) = protect(&mut sender, kind, &plain, usize::from(step >> 3 & 15) * 2)
                    && wire.len() < MAX_KEPT
                {
                    wire.push(Kept { kind, ssrc, plain, protected, delivered: false });
                }
            }
            3 => {
                let at = usize::from(input.byte()?);
                let Some(kept) = wire.get_mut(at % MAX_KEPT) else { continue };
                if let Ok(plain) = unprotect(&mut receiver, kept.kind, &kept.protected) {
                    assert!(!kept.delivered, "a replay");
                    assert_eq!(plain, kept.plain);
                    kept.delivered = true;
                }
            }
            4 => {
                let (at, place, mask) =
                    (usize::from(input.byte()?), usize::from(input.byte()?), input.byte()?);
                let Some(kept) = wire.get(at % MAX_KEPT) else { continue };
                let mut forged = kept.protected.clone();
                let place = place % forged.len();
                forged[place] ^= mask.max(1);
                let before = (ssrcs_with_state(&receiver), receiver.rollover_counter(kept.ssrc));
                assert!(unprotect(&mut receiver, kept.kind, &forged).is_err(), "a forgery");
                forged[place] ^= mask.max(1);
                forged.truncate(place);
                assert!(unprotect(&mut receiver, kept.kind, &forged).is_err(), "cut short");
                assert_eq!((ssrcs_with_state(&receiver), receiver.rollover_counter(kept.ssrc)), before);
            }
            5 => {
                let len = usize::from(input.byte()?);
                assert!(unprotect(&mut receiver, kind, input.take(len)).is_err(), "whatever");
            }
            6 => {
                let len = usize::from(input.byte()?);
                let plain = input.take(len);
                if let Ok(protected) = protect(&mut steady_sender, kind, plain, 32) {
                    assert_eq!(unprotect(&mut steady_receiver, kind, &protected).as_deref(), Ok(plain));
                }
            }
            _ => {
                let (ssrc, counter) = (u32::from(input.byte()?), input.byte()?);
                let counter = if counter & 0x80 == 0 { u32::from(counter) } else { u32::MAX };
                if receiver.set_rollover_counter(ssrc, counter).is_ok() {
                    // The replay window begins anew.
                    let same = |kept: &&mut Kept| kept.kind == Kind::Rtp && kept.ssrc == ssrc;
                    wire.iter_mut().filter(same).for_each(|kept| kept.delivered = false);
                }
            }
        }
        for context in [&receiver, &steady_receiver] {
            assert!(ssrcs_with_state(context) <= MAX_SSRCS);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let cost = oracle::Oracle::new();
    run(&mut Input(data));
    cost.assert_live(1 << 20);
    cost.assert_work(data.len());
});
