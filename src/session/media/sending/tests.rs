use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::packet::OutgoingRtp;
use super::sender::{Sender, SenderConfig};
use crate::crypto::SeededRandom;
use crate::layer::{
    Ecn, FiveTuple, NtpTimestamp, PayloadType, Protocol, RtpTimestamp, SrtpError, SrtpTransport, Ssrc,
    TrackKind, TransmitBatch,
};
use crate::media::{Pacer, PacketClass, Unpaced};
use crate::rtp::Packet;
use crate::sdp::Direction;
use crate::session::codec::{Codec, NegotiatedCodec, Repairs};
use crate::session::media::clock::Clock;
use crate::session::transceiver::{Negotiated, SenderIdentity, Transceiver, TransceiverId};

const RTX: u8 = 97;
const PLAIN: u8 = 96;

/// Protects nothing.
#[derive(Debug)]
struct NoSrtp;

impl SrtpTransport for NoSrtp {
    fn protect_rtp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }

    fn protect_rtcp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }

    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        Ok(packet.len())
    }

    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        Ok(packet.len())
    }

    fn rtp_overhead(&self) -> usize {
        0
    }

    fn rtcp_overhead(&self) -> usize {
        0
    }
}

/// One packet a millisecond, save audio, which does not wait.
#[derive(Debug)]
struct OneEachMillisecond {
    next: Instant,
}

impl Pacer for OneEachMillisecond {
    fn due(&self, class: PacketClass) -> Option<Instant> {
        (class != PacketClass::Audio).then_some(self.next)
    }

    fn sent(&mut self, now: Instant, class: PacketClass, size: usize) {
        assert!(size > 0);
        if class != PacketClass::Audio {
            self.next = now + Duration::from_millis(1);
        }
    }
}

fn transceiver(number: u32, kind: TrackKind, direction: Direction) -> Transceiver {
    let codec = NegotiatedCodec {
        codec: if kind == TrackKind::Video { Codec::vp8() } else { Codec::opus() },
        payload_type: PayloadType::from_low_bits(PLAIN),
        repairs: Repairs { rtx: (kind == TrackKind::Video).then_some(PayloadType::from_low_bits(RTX)) },
    };
    Transceiver {
        id: TransceiverId(number),
        kind,
        direction,
        codecs: Vec::new(),
        sender: SenderIdentity {
            ssrc: Ssrc(number),
            rtx_ssrc: Ssrc(1000 + number),
            streams: Vec::new(),
            track_id: String::new(),
        },
        by_track: true,
        by_remote: false,
        stopping: false,
        stopped: false,
        negotiated: Negotiated {
            current_direction: Some(direction),
            send_codecs: vec![codec],
            ..Negotiated::default()
        },
    }
}

struct Bench<P> {
    sender: Sender<P>,
    now: Instant,
    clock: Clock,
}

impl<P: Pacer> Bench<P> {
    fn new(now: Instant, pacer: P, transceivers: &[Transceiver]) -> Self {
        let config =
            SenderConfig { max_queued: 1000, max_cached: 1000, max_recorded: None, ecn: Some(Ecn::Ect1) };
        let mut bench =
            Self { sender: Sender::new(config, pacer), now, clock: Clock::new(now, NtpTimestamp(1 << 63)) };
        bench.follow(transceivers);
        bench
    }

    fn follow(&mut self, transceivers: &[Transceiver]) {
        self.sender.follow(transceivers, true, &SeededRandom::new(1));
    }

    fn send(&mut self, transceiver: u32, packets: usize) {
        for _ in 0..packets {
            let payload = Bytes::from_static(&[1; 100]);
            let packet = OutgoingRtp::new(PayloadType::from_low_bits(PLAIN), RtpTimestamp(0), false, payload);
            self.sender.send(self.now, TransceiverId(transceiver), packet, 1200).unwrap();
        }
    }

    /// The SSRC of each packet that leaves now.
    fn leaving(&mut self) -> Vec<u32> {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let path = FiveTuple { protocol: Protocol::Udp, local, remote: local };
        let mut batch = TransmitBatch::new(1200);
        let mut sources = Vec::new();
        while let Some(transmit) =
            self.sender.poll_transmit(self.now, &self.clock, &mut NoSrtp, path, &mut batch)
        {
            assert_eq!(transmit.ecn, Some(Ecn::Ect1));
            sources.extend(batch.datagrams(&transmit).map(|bytes| Packet::parse(bytes).unwrap().ssrc().0));
        }
        sources
    }
}

#[test]
fn audio_goes_first_then_what_is_missed() {
    let transceivers =
        [TrackKind::Audio, TrackKind::Video].map(|kind| transceiver(kind as u32, kind, Direction::SendOnly));
    let (video, audio) = (TrackKind::Video as u32, TrackKind::Audio as u32);
    let mut bench = Bench::new(Instant::now(), Unpaced, &transceivers);
    bench.send(video, 1);
    assert_eq!(bench.leaving(), [video]);
    let first = bench.sender.encoding(TransceiverId(video)).unwrap().next.wrapping_sub(1);
    bench.send(video, 1);
    bench.send(audio, 1);
    bench.now += Duration::from_millis(200);
    bench.sender.retransmit(bench.now, Ssrc(video), [first].into_iter(), Duration::from_millis(50));
    assert_eq!(bench.leaving(), [audio, 1000 + video, video]);
    assert!(bench.sender.is_empty() && bench.sender.poll_timeout().is_none());
}

/// One that has much to send does not keep the others of its class waiting.
#[test]
fn encodings_take_turns() {
    let transceivers = [1, 2, 3].map(|id| transceiver(id, TrackKind::Video, Direction::SendOnly));
    let mut bench = Bench::new(Instant::now(), Unpaced, &transceivers);
    bench.send(1, 500);
    bench.send(2, 40);
    bench.send(3, 3);
    let sources = bench.leaving();
    assert_eq!(sources.len(), 543);
    let last = |source| sources.iter().rposition(|other| *other == source).unwrap();
    assert!(last(3) < 100 && last(2) < 150, "{} {}", last(3), last(2));
    let mut counts = BTreeMap::new();
    sources.iter().for_each(|source| *counts.entry(*source).or_insert(0) += 1);
    assert_eq!(counts, BTreeMap::from([(1, 500), (2, 40), (3, 3)]));
}

#[test]
fn what_the_pacer_holds_back_leaves_when_it_is_due() {
    let transceivers = [(1, TrackKind::Video), (2, TrackKind::Video), (3, TrackKind::Audio)]
        .map(|(id, kind)| transceiver(id, kind, Direction::SendOnly));
    let start = Instant::now();
    let mut bench = Bench::new(start, OneEachMillisecond { next: start }, &transceivers);
    bench.send(1, 10);
    bench.send(2, 1);
    bench.send(3, 2);
    assert_eq!(bench.leaving(), [3, 3, 1]);
    let mut sent = 0;
    while let Some(due) = bench.sender.poll_timeout() {
        assert_eq!(due, bench.now + Duration::from_millis(1));
        bench.now = due;
        assert_eq!(bench.leaving().len(), 1);
        sent += 1;
        // Audio does not wait.
        bench.send(3, 1);
        assert_eq!(bench.leaving(), [3]);
    }
    assert_eq!(sent, 10);
    assert!(bench.sender.is_empty());
}

#[test]
fn nothing_is_left_of_an_encoding_that_pauses() {
    let both = [1, 2].map(|id| transceiver(id, TrackKind::Video, Direction::SendOnly));
    let mut bench = Bench::new(Instant::now(), Unpaced, &both);
    bench.send(1, 900);
    bench.send(2, 100);
    bench.follow(&[transceiver(1, TrackKind::Video, Direction::Inactive), both[1].clone()]);
    bench.send(2, 900);
    assert_eq!(bench.leaving(), [2; 1000]);
    assert!(bench.sender.is_empty());
    bench.follow(&both);
    bench.send(1, 1);
    assert_eq!(bench.leaving(), [1]);
}
