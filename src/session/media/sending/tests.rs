use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::packet::OutgoingRtp;
use super::sender::{Sender, SenderConfig};
use crate::crypto::SeededRandom;
use crate::layer::{
    Ecn, FiveTuple, NtpTimestamp, PayloadType, Protocol, Rid, RtpTimestamp, SrtpError, SrtpTransport, Ssrc,
    TrackKind, TransmitBatch,
};
use crate::media::{Pacer, PacketClass, Unpaced};
use crate::rtp::{
    AudioLevel, ExtensionId, ExtensionKind, ExtensionUri, HeaderExtension, Packet, RawExtensions,
    VideoOrientation,
};
use crate::sdp::Direction;
use crate::session::codec::{Codec, NegotiatedCodec, Repairs};
use crate::session::error::SessionError;
use crate::session::media::clock::Clock;
use crate::session::transceiver::{EncodingIdentity, Negotiated, SenderIdentity, Transceiver, TransceiverId};

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
            encoding: EncodingIdentity { ssrc: Ssrc(number), rtx_ssrc: Ssrc(1000 + number), rid: None },
            more_encodings: Vec::new(),
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
            self.sender.send(self.now, TransceiverId(transceiver), None, packet, 1200).unwrap();
        }
    }

    /// The SSRC of each packet that leaves now.
    fn leaving(&mut self) -> Vec<u32> {
        self.datagrams().iter().map(|bytes| Packet::parse(bytes).unwrap().ssrc().0).collect()
    }

    /// What leaves now.
    fn datagrams(&mut self) -> Vec<Vec<u8>> {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let path = FiveTuple { protocol: Protocol::Udp, local, remote: local };
        let mut batch = TransmitBatch::new(1200);
        let mut datagrams = Vec::new();
        while let Some(transmit) =
            self.sender.poll_transmit(self.now, &self.clock, &mut NoSrtp, path, &mut batch)
        {
            assert_eq!(transmit.ecn, Some(Ecn::Ect1));
            datagrams.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        }
        datagrams
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
    let first = bench.sender.encodings_of(TransceiverId(video)).next().unwrap().next.wrapping_sub(1);
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

/// An exchange takes a payload type away, or what it stands for, while packets wait: the peer is not sent what it has not
/// agreed to, be it for the first time or again, and who sends learns of it in the count.
#[test]
fn packets_of_a_payload_type_that_is_gone_do_not_leave() {
    const OTHER: u8 = 100;
    let mut both = transceiver(1, TrackKind::Video, Direction::SendOnly);
    let mut other = both.negotiated.send_codecs[0].clone();
    other.payload_type = PayloadType::from_low_bits(OTHER);
    both.negotiated.send_codecs.push(other.clone());
    for repairs in [Repairs { rtx: Some(PayloadType::from_low_bits(RTX)) }, Repairs { rtx: None }] {
        both.negotiated.send_codecs[0].repairs = repairs;
        both.negotiated.send_codecs[0].codec.feedback = Codec::vp8().feedback;
        let mut bench = Bench::new(Instant::now(), Unpaced, &[both.clone()]);
        bench.send(1, 2);
        assert_eq!(bench.leaving(), [1, 1]);
        let next = bench.sender.encodings_of(TransceiverId(1)).next().unwrap().next;
        let missed = [next.wrapping_sub(2), next.wrapping_sub(1)];
        bench.send(1, 3);
        bench.now += Duration::from_millis(200);
        bench.sender.retransmit(bench.now, Ssrc(1), missed.into_iter().take(1), Duration::from_millis(50));
        let mut one = both.clone();
        one.negotiated.send_codecs = vec![other.clone()];
        bench.follow(&[one]);
        let payload_type = PayloadType::from_low_bits(OTHER);
        let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), false, Bytes::from_static(&[1; 100]));
        bench.sender.send(bench.now, TransceiverId(1), None, packet, 1200).unwrap();
        bench.sender.retransmit(bench.now, Ssrc(1), missed.into_iter().skip(1), Duration::from_millis(50));
        let sent = bench.datagrams();
        let types: Vec<_> = sent.iter().map(|bytes| Packet::parse(bytes).unwrap().payload_type()).collect();
        assert_eq!(types, [payload_type], "{repairs:?}");
        assert!(bench.sender.is_empty());
        assert_eq!(bench.sender.dropped_packets(), 5);
    }
}

/// Ids for the seven known extensions and four further ones: each its own, all of the one-byte form or not.
fn random_ids() -> impl Strategy<Value = Vec<u8>> {
    any::<bool>().prop_flat_map(|is_short| {
        let last = if is_short { 14 } else { 255 };
        Just((1..=last).collect::<Vec<u8>>()).prop_shuffle()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// What is negotiated arrives, whatever the ids are, in one form for the whole stream where both are not taken.
    #[test]
    fn extensions_are_written_by_any_map(
        ids in random_ids(), known in 0u8..128, further in 0u8..16, mixed in any::<bool>(), again in any::<bool>(),
        packets in proptest::collection::vec(
            (
                proptest::option::of(0u8..128),
                proptest::option::of(0u8..16),
                proptest::collection::vec((0usize..4, proptest::collection::vec(any::<u8>(), 0..60)), 0..4),
            ),
            1..5,
        ),
    ) {
        let id = |at: usize| ExtensionId::new(ids[at]).unwrap();
        let uri = |at: usize| ExtensionUri::new(&format!("urn:example:{at}")).unwrap();
        let mut sending = transceiver(1, TrackKind::Video, Direction::SendOnly);
        sending.negotiated.send_codecs[0].repairs = Repairs { rtx: Some(PayloadType::from_low_bits(RTX)) };
        sending.negotiated.mid = Some("video".parse().unwrap());
        for (at, kind) in ExtensionKind::ALL.into_iter().enumerate().filter(|(at, _)| known >> at & 1 != 0) {
            sending.negotiated.extensions.insert(id(at), kind);
        }
        for at in (0..4).filter(|at| further >> at & 1 != 0) {
            sending.negotiated.send_uris.insert(id(7 + at), uri(at));
        }
        let (map, uris) = (sending.negotiated.extensions.clone(), sending.negotiated.send_uris.clone());
        let mut bench = Bench::new(Instant::now(), Unpaced, &[sending.clone()]);
        bench.sender.follow(&[sending], mixed, &SeededRandom::new(1));
        let first = bench.sender.encodings_of(TransceiverId(1)).next().unwrap().next;
        let mut expected = Vec::new();
        for (number, (level, orientation, elements)) in packets.into_iter().enumerate() {
            let mut packet = OutgoingRtp::new(
                PayloadType::from_low_bits(PLAIN), RtpTimestamp(number as u32), false, Bytes::from_static(b"x"),
            );
            packet.extensions.audio_level = level.map(|dbov| AudioLevel { voice: false, dbov });
            packet.extensions.video_orientation = orientation.and_then(|byte| VideoOrientation::parse(&[byte]));
            for (at, data) in elements {
                packet.raw_extensions.insert(&uri(at), &data).unwrap();
            }
            let mut content = packet.extensions;
            content.audio_level = content.audio_level.filter(|_| map.id(ExtensionKind::AudioLevel).is_some());
            content.video_orientation =
                content.video_orientation.filter(|_| map.id(ExtensionKind::VideoOrientation).is_some());
            let mut raw = RawExtensions::default();
            for (uri, data) in packet.raw_extensions.iter().filter(|(other, _)| uris.id(other.as_str()).is_some()) {
                raw.insert(uri, data).unwrap();
            }
            expected.push((content, raw));
            bench.sender.send(bench.now, TransceiverId(1), None, packet, 1200).unwrap();
        }
        let mut sent = bench.datagrams();
        if again {
            bench.now += Duration::from_millis(200);
            let numbers = (0..expected.len()).map(|number| first.wrapping_add(number as u16));
            bench.sender.retransmit(bench.now, Ssrc(1), numbers, Duration::from_millis(50));
            let repeated = bench.datagrams();
            prop_assert_eq!(repeated.len(), sent.len());
            sent.extend(repeated);
            expected.extend(expected.clone());
        }
        prop_assert_eq!(sent.len(), expected.len());
        let mut forms = Vec::new();
        for (datagram, (content, raw)) in sent.iter().zip(expected) {
            let packet = Packet::parse(datagram).unwrap();
            let values = packet.extension_values(&map);
            prop_assert_eq!(values.content(), content);
            prop_assert_eq!(RawExtensions::read(packet.extensions(), &uris), raw);
            prop_assert_eq!(values.mid.is_some(), map.id(ExtensionKind::Mid).is_some());
            prop_assert!(packet.extensions().all(|one| map.kind(one.id).is_some() || uris.uri(one.id).is_some()));
            forms.extend(packet.extension_profile());
        }
        forms.dedup();
        prop_assert!(mixed || forms.len() <= 1, "{:?}", forms);
    }
}

#[test]
fn a_queued_packet_is_small() {
    assert!(size_of::<OutgoingRtp>() <= 48 + size_of::<usize>(), "{}", size_of::<OutgoingRtp>());
}

/// RFC 8853: each encoding of a transceiver has its own SSRC, numbers, retransmissions and reports, and says by its RID
/// which it is (RFC 8852).
#[test]
fn two_encodings_of_one_transceiver_are_two_streams() {
    let [high, low] = ["high", "low"].map(|rid| rid.parse::<Rid>().unwrap());
    let mut both = transceiver(1, TrackKind::Video, Direction::SendOnly);
    both.negotiated.send_codecs[0].codec.feedback = Codec::vp8().feedback;
    both.sender.encoding.rid = Some(high);
    both.sender.more_encodings =
        vec![EncodingIdentity { ssrc: Ssrc(2), rtx_ssrc: Ssrc(1002), rid: Some(low) }];
    for (id, kind) in [(1, ExtensionKind::Rid), (2, ExtensionKind::RepairedRid)] {
        both.negotiated.extensions.insert(ExtensionId::new(id).unwrap(), kind);
    }
    let map = both.negotiated.extensions.clone();
    let mut bench = Bench::new(Instant::now(), Unpaced, &[both]);
    let packet = || {
        let payload = Bytes::from_static(&[1; 100]);
        OutgoingRtp::new(PayloadType::from_low_bits(PLAIN), RtpTimestamp(0), false, payload)
    };
    let send = |bench: &mut Bench<Unpaced>, rid: Option<&Rid>| {
        bench.sender.send(bench.now, TransceiverId(1), rid, packet(), 1200)
    };
    // Without a RID it is not said which.
    assert_eq!(send(&mut bench, None), Err(SessionError::NotSending(TransceiverId(1))));
    assert!(send(&mut bench, "mid".parse().ok().as_ref()).is_err());
    for (rid, count) in [(high, 3), (low, 2)] {
        (0..count).for_each(|_| send(&mut bench, Some(&rid)).unwrap());
    }
    let sent = bench.datagrams();
    let told = |datagrams: &[Vec<u8>]| -> Vec<_> {
        let packets = datagrams.iter().map(|bytes| Packet::parse(bytes).unwrap());
        let names = packets.map(|packet| (packet.ssrc().0, packet.extension_values(&map)));
        names.map(|(ssrc, values)| (ssrc, values.rid, values.repaired_rid.map(|rid| rid.0))).collect()
    };
    let (first, second) = ((1, Some(high), None), (2, Some(low), None));
    assert_eq!(told(&sent), [first, first, first, second, second]);

    // A NACK is answered by the encoding that it names, under the RID that is repaired.
    bench.now += Duration::from_millis(200);
    let number = Packet::parse(&sent[4]).unwrap().sequence_number();
    bench.sender.retransmit(bench.now, Ssrc(2), [number].into_iter(), Duration::from_millis(50));
    let again = bench.datagrams();
    assert_eq!(told(&again), [(1002, None, Some(low))]);
    assert_eq!(again[0][again[0].len() - 102..][..2], number.0.to_be_bytes());

    // Both are reported, and found by their SSRC.
    let now = bench.now;
    let reports: BTreeMap<u32, u32> = bench
        .sender
        .active()
        .filter_map(|encoding| encoding.statistics.as_ref()?.sender_report(now, NtpTimestamp(1 << 63)))
        .map(|report| (report.ssrc.0, report.packet_count))
        .collect();
    assert_eq!(reports, BTreeMap::from([(1, 3), (2, 2)]));
    for (ssrc, rid, nacks) in [(1, high, 0), (2, low, 1)] {
        let (id, encoding) = bench.sender.by_ssrc(Ssrc(ssrc)).unwrap();
        assert_eq!((id.transceiver, encoding.rid), (TransceiverId(1), Some(rid)));
        assert_eq!(encoding.counters.nacks, nacks);
    }
    assert_eq!(bench.sender.sources().len(), 3);
    bench.follow(&[]);
    assert!(bench.sender.sources().is_empty());
}

/// With one encoding there is nothing to choose from, whatever its name.
#[test]
fn the_only_encoding_needs_no_name() {
    let rid = "only".parse().ok();
    let mut one = transceiver(1, TrackKind::Video, Direction::SendOnly);
    one.sender.encoding.rid = rid;
    let mut bench = Bench::new(Instant::now(), Unpaced, &[one]);
    bench.send(1, 2);
    assert_eq!(bench.leaving(), [1, 1]);
}
