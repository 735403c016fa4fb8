//! Instructions of the paths that every packet takes, counted by Callgrind. Each has a limit, a tenth above
//! what it took on x86-64 when the limit was set: one that is exceeded fails, and either the change or the limit
//! is wrong.
//!
//! `cargo bench` in this folder; needs `valgrind` and `gungraun-runner`.

use std::hint::black_box;

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use kaon_bench_instructions::{Associations, Sessions, rtp_packet, srtp};
use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::rtp::Packet;
use kaon_rtc::srtp::{Context, SrtpProfile, SrtpTransport};
use kaon_rtc::stun::{Class, IntegrityKey, Message, MessageBuilder, Method, TransactionId};

fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]));
    config
}

/// A context that has sent, and packets to send.
fn to_protect(profile: SrtpProfile) -> (Context, Vec<Vec<u8>>) {
    let (mut sender, _) = srtp(profile);
    sender.protect_rtp(&mut rtp_packet(0, 1200), 1200).expect("a packet");
    (sender, (1..=100).map(|number| rtp_packet(number, 1200)).collect())
}

/// A context that has received, and packets to receive.
fn to_unprotect(profile: SrtpProfile) -> (Context, Vec<Vec<u8>>) {
    let (mut sender, mut receiver) = srtp(profile);
    let mut packets: Vec<_> = (0..=100)
        .map(|number| {
            let mut packet = rtp_packet(number, 1200);
            let len = sender.protect_rtp(&mut packet, 1200).expect("a packet");
            packet.truncate(len);
            packet
        })
        .collect();
    receiver.unprotect_rtp(&mut packets.remove(0)).expect("a packet");
    (receiver, packets)
}

#[library_benchmark]
#[bench::gcm(args = (SrtpProfile::AeadAes128Gcm), setup = to_protect, config = at_most(440_000))]
#[bench::cm(args = (SrtpProfile::Aes128CmHmacSha1_80), setup = to_protect, config = at_most(3_330_000))]
fn srtp_protect_100((mut context, mut packets): (Context, Vec<Vec<u8>>)) -> (Context, Vec<Vec<u8>>) {
    for packet in &mut packets {
        black_box(context.protect_rtp(packet, 1200)).expect("a packet");
    }
    (context, packets)
}

#[library_benchmark]
#[bench::gcm(args = (SrtpProfile::AeadAes128Gcm), setup = to_unprotect, config = at_most(450_000))]
#[bench::cm(args = (SrtpProfile::Aes128CmHmacSha1_80), setup = to_unprotect, config = at_most(3_350_000))]
fn srtp_unprotect_100((mut context, mut packets): (Context, Vec<Vec<u8>>)) -> (Context, Vec<Vec<u8>>) {
    for packet in &mut packets {
        black_box(context.unprotect_rtp(packet)).expect("a packet");
    }
    (context, packets)
}

fn key() -> (IntegrityKey, Vec<u8>) {
    let key = IntegrityKey::short_term(&aws_lc_rs::provider(), "the password of the other side");
    let mut bytes = Vec::with_capacity(256);
    write_check(&key, &mut bytes);
    (key, bytes)
}

fn write_check(key: &IntegrityKey, out: &mut Vec<u8>) {
    MessageBuilder::new(out, Class::Request, Method::BINDING, TransactionId([7; 12]))
        .ice_username("theirs", "ours")
        .priority(1)
        .ice_controlling(2)
        .integrity(key)
        .fingerprint()
        .finish()
        .expect("a short message");
}

#[library_benchmark(config = at_most(6_150))]
#[bench::check(setup = key)]
fn stun_encode((key, mut bytes): (IntegrityKey, Vec<u8>)) -> (IntegrityKey, Vec<u8>) {
    bytes.clear();
    write_check(&key, black_box(&mut bytes));
    (key, bytes)
}

#[library_benchmark(config = at_most(5_900))]
#[bench::check(setup = key)]
fn stun_decode_and_verify((key, bytes): (IntegrityKey, Vec<u8>)) -> (IntegrityKey, Vec<u8>) {
    let message = Message::decode(black_box(&bytes)).expect("a message");
    assert!(black_box(message.verify(&key)));
    (key, bytes)
}

fn packet() -> Vec<u8> {
    rtp_packet(1, 1200)
}

#[library_benchmark(config = at_most(160))]
#[bench::plain(setup = packet)]
fn rtp_parse(bytes: Vec<u8>) -> Vec<u8> {
    let packet = Packet::parse(black_box(&bytes)).expect("a packet");
    black_box((packet.ssrc(), packet.sequence_number(), packet.payload().len()));
    bytes
}

// In boxes, so that moving them is not counted.
fn associations() -> Box<Associations> {
    Box::default()
}

fn sessions() -> Box<Sessions> {
    Box::default()
}

#[library_benchmark(config = at_most(3_140_000))]
#[bench::of_16_kib(setup = associations)]
fn sctp_64_messages(mut associations: Box<Associations>) -> Box<Associations> {
    associations.transfer(64, 16 << 10);
    associations
}

#[library_benchmark(config = at_most(1_600_000))]
#[bench::sent_and_received(setup = sessions)]
fn session_100_packets(mut sessions: Box<Sessions>) -> Box<Sessions> {
    black_box(sessions.send_packets(100));
    sessions
}

#[library_benchmark(config = at_most(1_340))]
#[bench::idle(setup = sessions)]
fn session_poll(mut sessions: Box<Sessions>) -> Box<Sessions> {
    assert!(black_box(sessions.poll_idle()));
    sessions
}

library_benchmark_group!(
    name = hot_paths,
    benchmarks = [
        srtp_protect_100,
        srtp_unprotect_100,
        stun_encode,
        stun_decode_and_verify,
        rtp_parse,
        sctp_64_messages,
        session_100_packets,
        session_poll,
    ]
);
main!(library_benchmark_groups = hot_paths);
