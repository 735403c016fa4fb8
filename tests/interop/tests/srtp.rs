//! SRTP and SRTCP with libsrtp: every profile, both directions.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use kaon_interop::{compile, missing};
use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::srtp::{Config, Context, MasterKey, SrtpError, SrtpProfile, SrtpTransport};

/// The numbers of libsrtp's statuses.
const AUTHENTICATION_FAILED: u32 = 7;
const REPLAYED: u32 = 9;
const TOO_OLD: u32 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rtp,
    Rtcp,
}

fn peer() -> Option<&'static PathBuf> {
    static PEER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    match PEER.get_or_init(|| compile("libsrtp/peer.c", "libsrtp_peer", directory, &["srtp2"])) {
        Ok(program) => Some(program),
        Err(why) => {
            missing("libsrtp", why);
            None
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// libsrtp in a process of its own.
struct Peer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Peer {
    fn start(program: &Path, profile: SrtpProfile, outbound: &[u8], inbound: &[u8]) -> Self {
        let mut process = Command::new(program)
            .args([profile.id().to_string(), hex(outbound), hex(inbound)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, input, output: BufReader::new(output) }
    }

    fn ask(&mut self, verb: &str, kind: Kind, packet: &[u8]) -> Result<Vec<u8>, u32> {
        let kind = if kind == Kind::Rtp { "rtp" } else { "rtcp" };
        writeln!(self.input, "{verb} {kind} {}", hex(packet)).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the peer ended");
        match line.trim_end().strip_prefix("error ") {
            Some(status) => Err(status.parse().unwrap()),
            None => Ok(from_hex(line.trim_end())),
        }
    }

    fn protect(&mut self, kind: Kind, packet: &[u8]) -> Vec<u8> {
        self.ask("protect", kind, packet).unwrap()
    }

    fn unprotect(&mut self, kind: Kind, packet: &[u8]) -> Result<Vec<u8>, u32> {
        self.ask("unprotect", kind, packet)
    }
}

/// Our end and libsrtp's.
fn ends(program: &Path, profile: SrtpProfile) -> (Context, Peer) {
    let key = |seed: u8| -> Vec<u8> {
        (0..profile.key_len() + profile.salt_len()).map(|at| seed ^ (at as u8).wrapping_mul(29)).collect()
    };
    let master = |bytes: &[u8]| {
        MasterKey::new(profile, &bytes[..profile.key_len()], &bytes[profile.key_len()..]).unwrap()
    };
    let (ours, theirs) = (key(0x17), key(0xa9));
    let context =
        Context::new(&aws_lc_rs::provider(), &master(&ours), &master(&theirs), Config::default()).unwrap();
    (context, Peer::start(program, profile, &theirs, &ours))
}

fn protect(context: &mut Context, kind: Kind, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + 32, 0);
    let len = match kind {
        Kind::Rtp => context.protect_rtp(&mut buffer, packet.len()),
        Kind::Rtcp => context.protect_rtcp(&mut buffer, packet.len()),
    };
    buffer.truncate(len.unwrap());
    buffer
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

/// An RTP packet whose shape depends on the sequence number: CSRCs, header extensions of both forms, padding,
/// no payload at all.
fn rtp(ssrc: u32, sequence_number: u16) -> Vec<u8> {
    let csrcs = sequence_number % 4;
    let extension = sequence_number / 4 % 3;
    let mut packet = vec![0x80 | csrcs as u8, 0xe0];
    packet.extend(sequence_number.to_be_bytes());
    packet.extend((u32::from(sequence_number) * 3000).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..4 * csrcs).map(|at| at as u8));
    match extension {
        1 => packet.extend([0xbe, 0xde, 0, 2, 0x12, 1, 2, 3, 0x20, 4, 0, 0]),
        2 => packet.extend([0x10, 0, 0, 2, 1, 3, 1, 2, 3, 2, 0, 0]),
        _ => {}
    }
    if extension > 0 {
        packet[0] |= 0x10;
    }
    packet.extend((0..sequence_number % 1171).map(|at| at as u8));
    packet
}

/// A sender report of no blocks and a source description.
fn rtcp(ssrc: u32, number: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 200, 0, 6];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([number; 20]);
    packet.extend([0x81, 202, 0, 3]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend([1, 5, b'k', b'a', b'o', b'n', b'!', 0]);
    packet
}

fn for_every_profile(test: impl Fn(Context, Peer)) {
    let Some(program) = peer() else { return };
    for profile in SrtpProfile::ALL {
        let (context, peer) = ends(program, profile);
        test(context, peer);
    }
}

#[test]
fn rtp_of_several_sources_across_a_rollover() {
    for_every_profile(|mut kaon, mut peer| {
        for step in 0..200u16 {
            for (ssrc, first) in [(1, 0xff90u16), (0xdead_beef, 0), (u32::MAX, 0xffff)] {
                let packet = rtp(ssrc, first.wrapping_add(step));
                let protected = protect(&mut kaon, Kind::Rtp, &packet);
                assert_eq!(protected.len(), packet.len() + kaon.rtp_overhead());
                assert_eq!(peer.unprotect(Kind::Rtp, &protected).as_ref(), Ok(&packet));
                let protected = peer.protect(Kind::Rtp, &packet);
                assert_eq!(unprotect(&mut kaon, Kind::Rtp, &protected).as_ref(), Ok(&packet));
            }
        }
        assert_eq!(
            [1, 0xdead_beef, u32::MAX].map(|ssrc| kaon.rollover_counter(ssrc)),
            [Some(1), Some(0), Some(1)]
        );
    });
}

#[test]
fn both_write_the_same_bytes() {
    let Some(program) = peer() else { return };
    for profile in SrtpProfile::ALL {
        let bytes: Vec<u8> = (0..(profile.key_len() + profile.salt_len()) as u8).collect();
        let (key, salt) = bytes.split_at(profile.key_len());
        let master = MasterKey::new(profile, key, salt).unwrap();
        let mut kaon = Context::new(&aws_lc_rs::provider(), &master, &master, Config::default()).unwrap();
        let mut peer = Peer::start(program, profile, &bytes, &bytes);
        for sequence_number in 0xfff0..=0xffffu16 {
            let packet = rtp(3, sequence_number);
            assert_eq!(protect(&mut kaon, Kind::Rtp, &packet), peer.protect(Kind::Rtp, &packet));
            let packet = rtcp(3, 1);
            assert_eq!(protect(&mut kaon, Kind::Rtcp, &packet), peer.protect(Kind::Rtcp, &packet));
        }
    }
}

#[test]
fn rtcp_of_several_sources() {
    for_every_profile(|mut kaon, mut peer| {
        for number in 0..100 {
            for ssrc in [1, 0xdead_beef] {
                let packet = rtcp(ssrc, number);
                let protected = protect(&mut kaon, Kind::Rtcp, &packet);
                assert_eq!(peer.unprotect(Kind::Rtcp, &protected).as_ref(), Ok(&packet));
                let protected = peer.protect(Kind::Rtcp, &packet);
                assert_eq!(unprotect(&mut kaon, Kind::Rtcp, &protected).as_ref(), Ok(&packet));
            }
        }
    });
}

#[test]
fn reordered_across_a_rollover() {
    for_every_profile(|mut kaon, mut peer| {
        let numbers: Vec<u16> = (0..64u16).map(|step| 0xffe0u16.wrapping_add(step)).collect();
        let packets: Vec<_> = numbers.iter().map(|number| rtp(9, *number)).collect();
        let ours: Vec<_> = packets.iter().map(|packet| protect(&mut kaon, Kind::Rtp, packet)).collect();
        let theirs: Vec<_> = packets.iter().map(|packet| peer.protect(Kind::Rtp, packet)).collect();
        // The first, then each group of eight backwards.
        let backwards = (0..64usize).map(|at| at ^ 7).filter(|at| *at > 0);
        for at in std::iter::once(0).chain(backwards) {
            assert_eq!(peer.unprotect(Kind::Rtp, &ours[at]).as_ref(), Ok(&packets[at]), "{at}");
            assert_eq!(unprotect(&mut kaon, Kind::Rtp, &theirs[at]).as_ref(), Ok(&packets[at]), "{at}");
        }
    });
}

#[test]
fn replays_and_forgeries_are_refused_by_both() {
    for_every_profile(|mut kaon, mut peer| {
        for (kind, packet) in [(Kind::Rtp, rtp(5, 77)), (Kind::Rtcp, rtcp(5, 77))] {
            let ours = protect(&mut kaon, kind, &packet);
            let theirs = peer.protect(kind, &packet);
            for at in 0..ours.len() {
                let mut forged = ours.clone();
                forged[at] ^= 0x10;
                assert!(peer.unprotect(kind, &forged).is_err(), "byte {at}");
                let mut forged = theirs.clone();
                forged[at] ^= 0x10;
                assert!(unprotect(&mut kaon, kind, &forged).is_err(), "byte {at}");
            }
            assert_eq!(kaon.rollover_counter(5).is_some(), kind == Kind::Rtcp, "forgeries leave no state");
            let mut forged = ours.clone();
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(peer.unprotect(kind, &forged), Err(AUTHENTICATION_FAILED));
            assert_eq!(peer.unprotect(kind, &ours).as_ref(), Ok(&packet));
            assert_eq!(peer.unprotect(kind, &ours), Err(REPLAYED));
            assert_eq!(unprotect(&mut kaon, kind, &theirs).as_ref(), Ok(&packet));
            assert!(matches!(unprotect(&mut kaon, kind, &theirs), Err(SrtpError::Replayed { .. })));
        }
        // Older than the window of both.
        let old = [protect(&mut kaon, Kind::Rtp, &rtp(6, 1000)), peer.protect(Kind::Rtp, &rtp(6, 1000))];
        let new = [protect(&mut kaon, Kind::Rtp, &rtp(6, 3000)), peer.protect(Kind::Rtp, &rtp(6, 3000))];
        peer.unprotect(Kind::Rtp, &new[0]).unwrap();
        unprotect(&mut kaon, Kind::Rtp, &new[1]).unwrap();
        assert_eq!(peer.unprotect(Kind::Rtp, &old[0]), Err(TOO_OLD));
        assert_eq!(unprotect(&mut kaon, Kind::Rtp, &old[1]), Err(SrtpError::Replayed { index: 1000 }));
    });
}
