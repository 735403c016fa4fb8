//! What an SRTP context must do.

use super::kit::Kit;
use super::leak::leaves_nothing;
use super::report::Report;
use super::scenario::{Scenario, Trouble, ensure, refused, run_all};
use crate::crypto::SeededRandom;
use crate::layer::{MasterKey, PacketSlot, SrtpError, SrtpProfile, SrtpTransport};

/// Makes an SRTP context that protects with the first key and unprotects with the second.
pub type MakeSrtp<'a> = dyn Fn(&MasterKey, &MasterKey) -> Result<Box<dyn SrtpTransport>, SrtpError> + 'a;

impl Kit<'_> {
    /// Runs an SRTP implementation against `peer`.
    pub fn srtp(&self, subject: &MakeSrtp<'_>, peer: &MakeSrtp<'_>) -> Report {
        run_all(self.only, &scenarios(), &Setup { kit: *self, subject, peer })
    }
}

fn scenarios<'a>() -> Vec<Scenario<Setup<'a>>> {
    vec![
        Scenario { name: "establishment/protects", run: protects },
        Scenario { name: "establishment/unprotects", run: unprotects },
        Scenario { name: "rtcp", run: rtcp },
        Scenario { name: "batch", run: batch },
        Scenario { name: "loss", run: loss },
        Scenario { name: "reordering", run: reordering },
        Scenario { name: "duplication", run: duplication },
        Scenario { name: "duplication/rtcp", run: duplication_of_rtcp },
        Scenario { name: "corruption", run: corruption },
        Scenario { name: "re-key", run: re_key },
        Scenario { name: "limits/headroom", run: headroom },
        Scenario { name: "limits/streams", run: streams },
        Scenario { name: "malformed/unprotect", run: malformed_unprotect },
        Scenario { name: "malformed/protect", run: malformed_protect },
        Scenario { name: "drop/leaves-nothing", run: leak },
    ]
}

struct Setup<'a> {
    kit: Kit<'a>,
    subject: &'a MakeSrtp<'a>,
    peer: &'a MakeSrtp<'a>,
}

type Context = Box<dyn SrtpTransport>;

fn key(profile: SrtpProfile, number: u8) -> Result<MasterKey, Trouble> {
    let key: Vec<u8> = (0..).map(|i: u8| i ^ number).take(profile.key_len()).collect();
    let salt: Vec<u8> = (100..).map(|i: u8| i ^ number).take(profile.salt_len()).collect();
    MasterKey::new(profile, &key, &salt).ok_or(Trouble::Failed("a master key".to_owned()))
}

impl Setup<'_> {
    /// Subject and peer with keys that fit, different ones for each generation.
    fn contexts(&self, profile: SrtpProfile, generation: u8) -> Result<(Context, Context), Trouble> {
        let (subject_key, peer_key) = (key(profile, 2 * generation)?, key(profile, 2 * generation + 1)?);
        Ok((
            (self.subject)(&subject_key, &peer_key).map_err(|e| refused("making the subject")(&e))?,
            (self.peer)(&peer_key, &subject_key).map_err(|e| refused("making the peer")(&e))?,
        ))
    }
}

/// Room for any tag.
const HEADROOM: usize = 64;

fn rtp(ssrc: u32, sequence: u16, payload_len: usize) -> Vec<u8> {
    // Every other packet has a contributing source and a header extension (RFC 3550 §5.1, RFC 8285).
    let full = sequence % 2 == 1;
    let mut packet = vec![if full { 0x91 } else { 0x80 }, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend(u32::from(sequence).wrapping_mul(3000).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    if full {
        packet.extend([1, 2, 3, 4, 0xbe, 0xde, 0, 1, 0x10, 7, 0, 0]);
    }
    packet.extend((0..payload_len).map(|i| (i as u8).wrapping_add(sequence as u8)));
    packet
}

fn report_of(ssrc: u32, number: u8) -> Vec<u8> {
    // A receiver report without blocks, and a source description (RFC 3550 §6.4.2, §6.5).
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x81, 202, 0, 2]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend([1, 1, number, 0]);
    packet
}

fn protect(context: &mut Context, packet: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + HEADROOM, 0);
    let length = context.protect_rtp(&mut buffer, packet.len()).map_err(|e| refused("protect_rtp")(&e))?;
    let overhead = context.rtp_overhead();
    ensure!(
        length > packet.len() && length <= packet.len() + overhead,
        "protect_rtp makes {length} bytes of {}; the overhead is said to be {overhead}",
        packet.len()
    );
    buffer.truncate(length);
    Ok(buffer)
}

fn protect_rtcp(context: &mut Context, packet: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + HEADROOM, 0);
    let length = context.protect_rtcp(&mut buffer, packet.len()).map_err(|e| refused("protect_rtcp")(&e))?;
    ensure!(
        length > packet.len() && length <= packet.len() + context.rtcp_overhead(),
        "protect_rtcp adds more than the overhead it names"
    );
    buffer.truncate(length);
    Ok(buffer)
}

fn opens(context: &mut Context, protected: &[u8], packet: &[u8]) -> Result<(), Trouble> {
    let mut buffer = protected.to_vec();
    let length = context.unprotect_rtp(&mut buffer).map_err(|e| refused("unprotect_rtp")(&e))?;
    ensure!(buffer.get(..length) == Some(packet), "unprotect_rtp gives another packet");
    Ok(())
}

fn opens_rtcp(context: &mut Context, protected: &[u8], packet: &[u8]) -> Result<(), Trouble> {
    let mut buffer = protected.to_vec();
    let length = context.unprotect_rtcp(&mut buffer).map_err(|e| refused("unprotect_rtcp")(&e))?;
    ensure!(buffer.get(..length) == Some(packet), "unprotect_rtcp gives another packet");
    Ok(())
}

fn passes(from: &mut Context, to: &mut Context, packet: &[u8]) -> Result<(), Trouble> {
    let protected = protect(from, packet)?;
    // Of a few bytes some may be the same by chance.
    let payload = packet.get(24..).filter(|payload| payload.len() >= 8);
    let shown = payload.is_some_and(|payload| protected.windows(payload.len()).any(|bytes| bytes == payload));
    ensure!(!shown, "the payload is not encrypted");
    opens(to, &protected, packet)
}

fn protects(setup: &Setup<'_>) -> Result<(), Trouble> {
    for profile in SrtpProfile::ALL {
        let (mut subject, mut peer) = setup.contexts(profile, 0)?;
        for sequence in 65_500..=65_535_u16 {
            passes(&mut subject, &mut peer, &rtp(1, sequence, 100))?;
            passes(&mut subject, &mut peer, &rtp(2, sequence.wrapping_add(20), 1))?;
        }
        passes(&mut subject, &mut peer, &rtp(1, 0, 1000))?;
    }
    Ok(())
}

fn unprotects(setup: &Setup<'_>) -> Result<(), Trouble> {
    protects(&Setup { kit: setup.kit, subject: setup.peer, peer: setup.subject })
}

fn rtcp(setup: &Setup<'_>) -> Result<(), Trouble> {
    for profile in SrtpProfile::ALL {
        let (mut subject, mut peer) = setup.contexts(profile, 0)?;
        for number in 0..10 {
            let packet = report_of(7, number);
            let protected = protect_rtcp(&mut subject, &packet)?;
            opens_rtcp(&mut peer, &protected, &packet)?;
            let protected = protect_rtcp(&mut peer, &packet)?;
            opens_rtcp(&mut subject, &protected, &packet)?;
        }
    }
    Ok(())
}

fn batch(setup: &Setup<'_>) -> Result<(), Trouble> {
    let (mut subject, mut peer) = setup.contexts(SrtpProfile::AeadAes128Gcm, 0)?;
    let packets: Vec<_> = (0..4).map(|sequence| rtp(1, sequence, 50)).collect();
    let mut buffers: Vec<_> = packets.iter().map(|packet| [&packet[..], &[0; HEADROOM]].concat()).collect();
    let mut slots: Vec<_> = buffers
        .iter_mut()
        .zip(&packets)
        .map(|(buffer, packet)| PacketSlot::new(buffer, packet.len()))
        .collect();
    // One that is no packet does not stop the others.
    slots[1].len = 3;
    subject.protect_rtp_batch(&mut slots);
    let outcomes: Vec<_> = slots.into_iter().map(|slot| slot.outcome).collect();
    ensure!(outcomes[1].is_err(), "three bytes were protected as a packet");
    for number in [0, 2, 3] {
        let length = outcomes[number].clone().map_err(|e| refused("protect_rtp_batch")(&e))?;
        opens(&mut peer, &buffers[number][..length], &packets[number])?;
    }
    let protected = [10, 11].map(|sequence| protect(&mut peer, &rtp(1, sequence, 50)));
    let [first, second] = protected;
    let (mut first, mut second) = (first?, second?);
    let (first_len, second_len) = (first.len(), second.len());
    let mut slots = [PacketSlot::new(&mut first, first_len + 1), PacketSlot::new(&mut second, second_len)];
    subject.unprotect_rtp_batch(&mut slots);
    ensure!(slots[0].outcome.is_err(), "a slot that ends behind its buffer was taken");
    ensure!(slots[1].outcome.is_ok(), "one slot that fails stops the others: {:?}", slots[1].outcome);
    Ok(())
}

fn loss(setup: &Setup<'_>) -> Result<(), Trouble> {
    for seed in 0..setup.kit.seeds {
        let chance = SeededRandom::new(seed);
        let (mut subject, mut peer) = setup.contexts(SrtpProfile::Aes128CmHmacSha1_80, 0)?;
        // Over two turns of the sequence number, with gaps of up to some hundred packets.
        let mut sequence = chance.next_u64() as u16;
        for _ in 0..1000 {
            let packet = rtp(1, sequence, 10);
            let protected = protect(&mut peer, &packet)?;
            opens(&mut subject, &protected, &packet)?;
            for _ in 0..1 + chance.next_u64() % 200 {
                sequence = sequence.wrapping_add(1);
            }
        }
    }
    Ok(())
}

/// How far out of order packets must be taken at least (RFC 3711 §3.3.2).
const LEAST_WINDOW: usize = 64;

fn reordering(setup: &Setup<'_>) -> Result<(), Trouble> {
    for seed in 0..setup.kit.seeds {
        let chance = SeededRandom::new(seed);
        let (mut subject, mut peer) = setup.contexts(SrtpProfile::AeadAes128Gcm, 0)?;
        let start = 65_400_u16;
        let first = rtp(1, start, 10);
        let protected = protect(&mut peer, &first)?;
        opens(&mut subject, &protected, &first)?;
        for block in 0..8_u16 {
            let mut window = Vec::new();
            for number in 1..LEAST_WINDOW as u16 {
                let packet = rtp(1, start.wrapping_add(block * (LEAST_WINDOW as u16 - 1) + number), 10);
                window.push((protect(&mut peer, &packet)?, packet));
            }
            while !window.is_empty() {
                let (protected, packet) = window.swap_remove(chance.next_u64() as usize % window.len());
                opens(&mut subject, &protected, &packet)?;
            }
        }
    }
    Ok(())
}

fn duplication(setup: &Setup<'_>) -> Result<(), Trouble> {
    for profile in SrtpProfile::ALL {
        let (mut subject, mut peer) = setup.contexts(profile, 0)?;
        let mut all = Vec::new();
        for sequence in 0..200 {
            let packet = rtp(1, sequence, 10);
            all.push(protect(&mut peer, &packet)?);
            opens(&mut subject, &all[all.len() - 1], &packet)?;
            // Once more at once, and one from long ago.
            for again in [all.len() - 1, all.len() / 2] {
                let outcome = subject.unprotect_rtp(&mut all[again].clone());
                ensure!(
                    matches!(outcome, Err(SrtpError::Replayed { .. })),
                    "a packet that was received before gives {outcome:?}: replay is accepted or misnamed"
                );
            }
        }
    }
    Ok(())
}

fn duplication_of_rtcp(setup: &Setup<'_>) -> Result<(), Trouble> {
    let (mut subject, mut peer) = setup.contexts(SrtpProfile::AeadAes128Gcm, 0)?;
    for number in 0..20 {
        let packet = report_of(1, number);
        let protected = protect_rtcp(&mut peer, &packet)?;
        opens_rtcp(&mut subject, &protected, &packet)?;
        let outcome = subject.unprotect_rtcp(&mut protected.clone());
        ensure!(
            matches!(outcome, Err(SrtpError::Replayed { .. })),
            "a packet that was received before gives {outcome:?}: replay is accepted or misnamed"
        );
    }
    Ok(())
}

fn corruption(setup: &Setup<'_>) -> Result<(), Trouble> {
    for profile in SrtpProfile::ALL {
        let (mut subject, mut peer) = setup.contexts(profile, 0)?;
        passes(&mut peer, &mut subject, &rtp(1, 1, 20))?;
        let (packet, report) = (rtp(1, 2, 20), report_of(1, 0));
        let (protected, protected_report) = (protect(&mut peer, &packet)?, protect_rtcp(&mut peer, &report)?);
        for bit in 0..protected.len() * 8 {
            let mut changed = protected.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            ensure!(subject.unprotect_rtp(&mut changed).is_err(), "RTP with bit {bit} flipped is taken");
        }
        for bit in 0..protected_report.len() * 8 {
            let mut changed = protected_report.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            ensure!(subject.unprotect_rtcp(&mut changed).is_err(), "RTCP with bit {bit} flipped is taken");
        }
        // Nothing of that changed any state.
        opens(&mut subject, &protected, &packet)?;
        opens_rtcp(&mut subject, &protected_report, &report)?;
    }
    Ok(())
}

fn re_key(setup: &Setup<'_>) -> Result<(), Trouble> {
    let profile = SrtpProfile::AeadAes128Gcm;
    let (_, mut old_peer) = setup.contexts(profile, 0)?;
    let (mut subject, mut peer) = setup.contexts(profile, 1)?;
    let old = protect(&mut old_peer, &rtp(1, 5, 20))?;
    let outcome = subject.unprotect_rtp(&mut old.clone());
    ensure!(outcome == Err(SrtpError::Authentication), "a packet under the old keys gives {outcome:?}");
    passes(&mut peer, &mut subject, &rtp(1, 5, 20))?;
    passes(&mut subject, &mut peer, &rtp(1, 5, 20))
}

fn headroom(setup: &Setup<'_>) -> Result<(), Trouble> {
    for profile in SrtpProfile::ALL {
        let (mut subject, mut peer) = setup.contexts(profile, 0)?;
        let (packet, report) = (rtp(1, 1, 20), report_of(1, 0));
        for missing in [1, subject.rtp_overhead()] {
            let mut buffer = packet.clone();
            buffer.resize(packet.len() + subject.rtp_overhead() - missing, 0);
            let before = buffer.clone();
            let outcome = subject.protect_rtp(&mut buffer, packet.len());
            ensure!(
                matches!(outcome, Err(SrtpError::BufferTooSmall { .. })) && buffer == before,
                "protect_rtp without headroom gives {outcome:?}, or has changed the packet"
            );
            let mut buffer = report.clone();
            buffer.resize(report.len() + subject.rtcp_overhead() - missing, 0);
            let before = buffer.clone();
            let outcome = subject.protect_rtcp(&mut buffer, report.len());
            ensure!(
                matches!(outcome, Err(SrtpError::BufferTooSmall { .. })) && buffer == before,
                "protect_rtcp without headroom gives {outcome:?}, or has changed the packet"
            );
        }
        // The index was not used up.
        passes(&mut subject, &mut peer, &packet)?;
    }
    Ok(())
}

/// More streams than any configuration of a connection has.
const MANY_STREAMS: u32 = 100_000;

fn streams(setup: &Setup<'_>) -> Result<(), Trouble> {
    let (mut subject, mut peer) = setup.contexts(SrtpProfile::AeadAes128Gcm, 0)?;
    // Streams that a stranger invents are no streams.
    let protected = protect(&mut peer, &rtp(1, 1, 20))?;
    let before = setup.kit.heap.map(|heap| heap.in_use());
    for ssrc in 2..MANY_STREAMS {
        let mut forged = protected.clone();
        forged[8..12].copy_from_slice(&ssrc.to_be_bytes());
        let outcome = subject.unprotect_rtp(&mut forged);
        ensure!(outcome == Err(SrtpError::Authentication), "a forged packet gives {outcome:?}");
    }
    if let (Some(heap), Some(before)) = (setup.kit.heap, before) {
        let grown = heap.in_use().saturating_sub(before);
        ensure!(grown < 256 << 10, "{MANY_STREAMS} forged streams take {grown} bytes");
    }
    opens(&mut subject, &protected, &rtp(1, 1, 20))?;
    // And those of the application have a limit.
    let mut buffer = [0; 12 + 20 + HEADROOM];
    for ssrc in 0..MANY_STREAMS {
        let packet = rtp(ssrc, 2, 20);
        buffer[..packet.len()].copy_from_slice(&packet);
        match subject.protect_rtp(&mut buffer, packet.len()) {
            Ok(_) => {}
            Err(SrtpError::TooManySsrcs { .. }) => return Ok(()),
            Err(other) => return Err(refused("one stream more")(&other)),
        }
    }
    Err(Trouble::Failed(format!("{MANY_STREAMS} streams are all kept: there is no limit")))
}

fn malformed_unprotect(setup: &Setup<'_>) -> Result<(), Trouble> {
    for profile in SrtpProfile::ALL {
        let (mut subject, mut peer) = setup.contexts(profile, 0)?;
        let (packet, report) = (rtp(1, 3, 20), report_of(1, 0));
        let (protected, protected_report) = (protect(&mut peer, &packet)?, protect_rtcp(&mut peer, &report)?);
        for length in 0..protected.len() {
            let outcome = subject.unprotect_rtp(&mut protected[..length].to_vec());
            ensure!(outcome.is_err(), "the first {length} bytes of a packet are taken");
        }
        for length in 0..protected_report.len() {
            let outcome = subject.unprotect_rtcp(&mut protected_report[..length].to_vec());
            ensure!(outcome.is_err(), "the first {length} bytes of an RTCP packet are taken");
        }
        let chance = SeededRandom::new(1);
        for round in 0..5000 {
            let mut noise: Vec<u8> = (0..round % 120).map(|_| chance.next_u64() as u8).collect();
            if let Some(first) = noise.first_mut() {
                *first = 0x80 | *first & 0x3f;
            }
            ensure!(subject.unprotect_rtp(&mut noise.clone()).is_err(), "noise is taken as RTP");
            ensure!(subject.unprotect_rtcp(&mut noise).is_err(), "noise is taken as RTCP");
        }
        opens(&mut subject, &protected, &packet)?;
        opens_rtcp(&mut subject, &protected_report, &report)?;
    }
    Ok(())
}

fn malformed_protect(setup: &Setup<'_>) -> Result<(), Trouble> {
    let (mut subject, mut peer) = setup.contexts(SrtpProfile::AeadAes128Gcm, 0)?;
    let packet = rtp(1, 1, 20);
    for length in 0..24 {
        let mut buffer = [&packet[..length], &[0xff; HEADROOM][..]].concat();
        let before = buffer.clone();
        let outcome = subject.protect_rtp(&mut buffer, length);
        ensure!(
            matches!(outcome, Err(SrtpError::Malformed(_))) && buffer == before,
            "protect_rtp of {length} bytes of a packet gives {outcome:?}, or has changed them"
        );
    }
    for length in 0..8 {
        let mut buffer = [&report_of(1, 0)[..length], &[0xff; HEADROOM][..]].concat();
        let outcome = subject.protect_rtcp(&mut buffer, length);
        ensure!(matches!(outcome, Err(SrtpError::Malformed(_))), "{length} bytes of RTCP give {outcome:?}");
    }
    let mut short = packet.clone();
    ensure!(
        subject.protect_rtp(&mut short, packet.len() + 1).is_err(),
        "a length beyond the buffer is taken"
    );
    ensure!(subject.protect_rtcp(&mut short, usize::MAX).is_err(), "a length beyond the buffer is taken");
    passes(&mut subject, &mut peer, &packet)
}

fn leak(setup: &Setup<'_>) -> Result<(), Trouble> {
    leaves_nothing(&setup.kit, || {
        let (mut subject, mut peer) = setup.contexts(SrtpProfile::AeadAes128Gcm, 0)?;
        for sequence in 0..5 {
            passes(&mut subject, &mut peer, &rtp(1, sequence, 100))?;
            passes(&mut peer, &mut subject, &rtp(1, sequence, 100))?;
        }
        Ok(())
    })
}
