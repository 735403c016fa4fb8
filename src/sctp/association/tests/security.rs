//! What a peer or a stranger may try.

use super::*;
use crate::sctp::congestion::{Acknowledged, CongestionControl};

#[test]
fn an_init_is_answered_without_a_state() {
    let mut b = association(2, Config::default());
    let now = Instant::now();
    for seed in 0..1000 {
        let mut a = association(seed + 100, Config::default());
        a.connect(now);
        let init = drain(&mut a, now).remove(0);
        give(&mut b, now, init).unwrap();
    }
    assert_eq!(drain(&mut b, now).len(), 1, "only the last waits for its answer");
    assert_eq!(b.poll_timeout(), None);
    assert_eq!(b.statistics().receive_buffered, 0);
}

#[test]
fn a_cookie_that_was_changed_or_is_old_does_nothing() {
    let mut pair = Pair::new(Config::default());
    pair.a.connect(pair.now);
    let init = drain(&mut pair.a, pair.now).remove(0);
    give(&mut pair.b, pair.now, init).unwrap();
    let ack = drain(&mut pair.b, pair.now).remove(0);
    give(&mut pair.a, pair.now, ack).unwrap();
    let echo = drain(&mut pair.a, pair.now).remove(0);
    for index in 16..16 + crate::sctp::cookie::StateCookie::LEN {
        let mut changed = echo.clone();
        changed[index] ^= 1;
        changed[8..12].fill(0);
        let sum = crate::sctp::wire::checksum(&changed);
        changed[8..12].copy_from_slice(&sum.to_le_bytes());
        assert!(give(&mut pair.b, pair.now, changed).is_err());
    }
    let later = pair.now + Duration::from_secs(61);
    assert_eq!(give(&mut pair.b, later, echo.clone()), Err(SctpError::Ignored("stale cookie")));
    let error = drain(&mut pair.b, later).remove(0);
    assert_eq!(kinds(&error), [ChunkType::ERROR]);
    give(&mut pair.a, later, error).unwrap();
    pair.now = later;
    pair.run();
    assert!(pair.a.is_established() && pair.b.is_established(), "a new INIT gets a new cookie");
}

#[test]
fn a_restart_of_the_peer_ends_the_association() {
    let mut pair = Pair::established(Config::default());
    pair.a = association(99, Config::default());
    pair.a.connect(pair.now);
    pair.run();
    assert!(matches!(events(&mut pair.b)[..], [SctpEvent::Closed(SctpClose::AbortedByPeer(_))]));
}

#[test]
fn an_init_of_a_stranger_does_not_disturb() {
    let mut pair = Pair::established(Config::default());
    let mut stranger = association(99, Config::default());
    stranger.connect(pair.now);
    give(&mut pair.b, pair.now, drain(&mut stranger, pair.now).remove(0)).unwrap();
    pair.send(0, "still here");
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["still here"]);
}

#[test]
fn a_wrong_tag_changes_nothing() {
    let mut pair = Pair::established(Config::default());
    let tag = pair.a.agreement.peer_tag;
    for kind in
        [ChunkType::ABORT, ChunkType::SHUTDOWN_ACK, ChunkType::SACK, ChunkType::DATA, ChunkType::SHUTDOWN]
    {
        for flags in [0, 1] {
            let mut packet = Vec::new();
            let mut writer = PacketWriter::new(&mut packet, 1200, 5000, 5000, tag ^ 0x10);
            writer.chunk(kind, flags, |out| out.extend_from_slice(&[0; 16]));
            writer.finish(true);
            assert!(give(&mut pair.b, pair.now, packet).is_err());
        }
    }
    assert!(pair.b.is_established());
    assert!(drain(&mut pair.b, pair.now).is_empty());
}

#[test]
fn a_packet_out_of_the_blue_is_aborted_with_its_tag() {
    let mut b = association(2, Config::default());
    let now = Instant::now();
    for (kind, answer) in [
        (ChunkType::DATA, Some(ChunkType::ABORT)),
        (ChunkType::SHUTDOWN_ACK, Some(ChunkType::SHUTDOWN_COMPLETE)),
        (ChunkType::ABORT, None),
        (ChunkType::COOKIE_ACK, None),
    ] {
        let mut packet = Vec::new();
        let mut writer = PacketWriter::new(&mut packet, 1200, 5000, 5000, 0xabcd);
        writer.chunk(kind, 0, |out| out.extend_from_slice(&[0; 16]));
        writer.finish(true);
        assert!(give(&mut b, now, packet).is_err());
        let sent = drain(&mut b, now);
        assert_eq!(sent.first().map(|packet| kinds(packet)[0]), answer);
        if let Some(packet) = sent.first() {
            assert_eq!(Header::parse(packet).unwrap().0.verification_tag, 0xabcd);
        }
    }
}

fn sack(from: &Association, cumulative: Tsn, gaps: &[(u16, u16)]) -> Vec<u8> {
    forge(from, |packet| {
        Sack::write(packet, cumulative, 1 << 20, gaps.iter().copied(), &[]);
    })
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_is_ignored() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, pattern(5000));
    let packets = drain(&mut pair.a, pair.now);
    let first = pair.a.local_initial_tsn;
    for ahead in [5, 1000, 1 << 30] {
        let packet = sack(&pair.b, first.plus(ahead), &[]);
        assert!(give(&mut pair.a, pair.now, packet).is_err());
    }
    let wild = [(9, 3), (2, 65_535), (1, 1), (0, 0), (65_535, 65_535), (4, 2)];
    give(&mut pair.a, pair.now, sack(&pair.b, first.previous(), &wild)).unwrap();
    assert!(pair.a.statistics().bytes_in_flight <= 5000);
    for packet in packets {
        give(&mut pair.b, pair.now, packet).unwrap();
    }
    pair.run();
    assert_eq!(payloads(&mut pair.b).len(), 1);
}

/// A window that nothing closes.
#[derive(Debug)]
struct Open;

impl CongestionControl for Open {
    fn window(&self) -> usize {
        usize::MAX
    }

    fn on_acknowledged(&mut self, _: &Acknowledged) {}

    fn on_loss(&mut self) {}

    fn on_timeout(&mut self) {}

    fn on_idle(&mut self) {}
}

/// However the blocks lie, each SACK is done with, and what they say is what is known.
#[test]
fn blocks_over_a_long_queue_come_to_an_end() {
    const COUNT: u32 = 20_000;
    let config = Config { max_burst: u32::MAX, congestion_control: |_| Box::new(Open), ..Config::default() };
    let mut pair = Pair::established(config);
    for _ in 0..COUNT {
        pair.send(0, "x");
    }
    drain(&mut pair.a, pair.now);
    let before = pair.a.local_initial_tsn.previous();
    let in_flight = |pair: &Pair| pair.a.statistics().bytes_in_flight;
    assert_eq!(in_flight(&pair), COUNT as usize);
    let every_other = |from: u16| (0..300).map(move |block| (from + 2 * block, from + 2 * block));
    for round in 0..30 {
        let blocks: Vec<_> = every_other(2 + 600 * round).collect();
        // Again, and backwards: the second time they say nothing new.
        for blocks in [blocks.clone(), blocks.clone(), blocks.into_iter().rev().collect()] {
            give(&mut pair.a, pair.now, sack(&pair.b, before, &blocks)).unwrap();
        }
    }
    // What is missing is sent again, and what is said of it in many SACKs of one packet.
    drain(&mut pair.a, pair.now);
    assert_eq!(in_flight(&pair), COUNT as usize - 9000);
    let bundled = forge(&pair.b, |packet| {
        for end in 0..58 {
            Sack::write(packet, before, 1 << 20, [(3, 18_000 + end)].into_iter(), &[]);
        }
    });
    give(&mut pair.a, pair.now, bundled).unwrap();
    assert_eq!(in_flight(&pair), COUNT as usize - 18_056);
    for _ in 0..5 {
        pair.tick();
        drain(&mut pair.a, pair.now);
    }
    give(&mut pair.a, pair.now, sack(&pair.b, before.plus(COUNT), &[(1, 65_535)])).unwrap();
    assert_eq!(in_flight(&pair), 0);
}

#[test]
fn a_forward_tsn_far_ahead_costs_nothing() {
    let mut pair = Pair::established(Config::default());
    let packet = forge(&pair.a, |packet| {
        packet.chunk(ChunkType::FORWARD_TSN, 0, |out| {
            out.extend_from_slice(&pair.a.local_initial_tsn.plus(1 << 30).0.to_be_bytes());
            for stream in 0..250u16 {
                out.extend_from_slice(&stream.to_be_bytes());
                out.extend_from_slice(&30_000u16.to_be_bytes());
            }
        });
    });
    give(&mut pair.b, pair.now, packet).unwrap();
    assert!(pair.b.is_established());
    let held = pair.b.statistics().receive_buffered;
    assert!(held < 4096, "{held}: a few bytes for each stream that was named");
}

#[test]
fn reassembly_is_bounded() {
    let config = Config { max_gaps: 64, ..Config::default() };
    let mut pair = Pair::established(config);
    let first = pair.a.local_initial_tsn;
    // The first fragment of a message at every second TSN, none of them ever complete.
    for index in 0..30_000 {
        let packet = forged_data(&pair.a, first.plus(2 * index), 0, Data::BEGIN, &[1; 1200]);
        let _ = give(&mut pair.b, pair.now, packet);
    }
    assert!(pair.b.statistics().receive_buffered <= 66 * 1600);
    assert!(pair.b.is_established());
}

#[test]
fn messages_that_wait_for_an_earlier_one_are_bounded() {
    let mut pair = Pair::established(Config::default());
    let first = pair.a.local_initial_tsn;
    for index in 0..60_000 {
        let packet = forged_data(&pair.a, first.plus(index), 1 + index as u16, WHOLE, &[1]);
        let _ = give(&mut pair.b, pair.now, packet);
    }
    let held = pair.b.statistics().receive_buffered;
    // The window, and a message more for what could make the others readable.
    assert!(held <= (1 << 20) + (256 << 10) + 200, "{held}");
}

#[test]
fn fragments_out_of_place_end_the_association() {
    for second in [Data::BEGIN, WHOLE] {
        let mut pair = Pair::established(Config::default());
        let first = pair.a.local_initial_tsn;
        give(&mut pair.b, pair.now, forged_data(&pair.a, first, 0, Data::BEGIN, b"begin")).unwrap();
        assert!(give(&mut pair.b, pair.now, forged_data(&pair.a, first.next(), 0, second, b"?")).is_err());
        assert!(matches!(events(&mut pair.b)[..], [SctpEvent::Closed(SctpClose::ProtocolViolation(_))]));
        pair.run();
        assert!(matches!(events(&mut pair.a)[..], [SctpEvent::Closed(SctpClose::AbortedByPeer(_))]));
    }
}

#[test]
fn a_message_beyond_the_limit_ends_the_association() {
    let small = Config { max_receive_message: 1000, ..Config::default() };
    let mut pair = Pair { b: association(2, small), ..Pair::new(Config::default()) };
    pair.a.connect(pair.now);
    pair.run();
    pair.send(0, pattern(5000));
    pair.run();
    let violation = SctpClose::ProtocolViolation("message longer than the limit");
    assert!(events(&mut pair.b).contains(&SctpEvent::Closed(violation)));
}

#[test]
fn tiny_fragments_are_taken_and_bounded() {
    let mut pair = Pair::established(Config::default());
    let first = pair.a.local_initial_tsn;
    for index in 0..10_000u32 {
        let flags = if index == 0 { Data::BEGIN } else { 0 };
        give(&mut pair.b, pair.now, forged_data(&pair.a, first.plus(index), 0, flags, b"x")).unwrap();
    }
    give(&mut pair.b, pair.now, forged_data(&pair.a, first.plus(10_000), 0, Data::END, b"x")).unwrap();
    assert_eq!(payloads(&mut pair.b)[0].len(), 10_001);
}

#[test]
fn reset_requests_do_not_pile_up_events() {
    let config = Config { max_events: 50, ..Config::default() };
    let mut pair = Pair::established(config);
    for _ in 0..200 {
        pair.a.reset_streams(pair.now, &[StreamId(1)]).unwrap();
        pair.run();
    }
    assert!(pair.b.statistics().events <= 51);
}

#[test]
fn requests_to_reset_do_not_pile_up_events() {
    let mut pair = Pair::established(Config { max_events: 50, ..Config::default() });
    let first = pair.a.local_initial_tsn.0;
    for index in 0..200 {
        let request = forge(&pair.a, |packet| {
            let value = [&first.wrapping_add(index).to_be_bytes()[..], &1u16.to_be_bytes()].concat();
            packet.chunk(ChunkType::RE_CONFIG, 0, |out| {
                Parameter::write(out, ParameterType::INCOMING_RESET_REQUEST, &value);
            });
        });
        let message = Bytes::from("uses the stream");
        let _ = pair.b.send(pair.now, StreamId(1), PayloadProtocol::BINARY, message, SendOptions::default());
        give(&mut pair.b, pair.now, request).unwrap();
        pair.run();
        events(&mut pair.a);
    }
    let events = events(&mut pair.b);
    let resets = events.iter().filter(|event| matches!(event, SctpEvent::OutgoingStreamReset(_))).count();
    assert!((10..=51).contains(&resets), "{resets}");
}

/// RFC 9260 §5.2.6: the number of attempts is limited, though each of them is answered.
#[test]
fn a_peer_that_finds_every_cookie_stale_is_given_up() {
    let mut pair = Pair::new(Config::default());
    pair.a.connect(pair.now);
    for _ in 0..20 {
        for _ in 0..2 {
            for packet in drain(&mut pair.a, pair.now) {
                if kinds(&packet) == [ChunkType::INIT] {
                    give(&mut pair.b, pair.now, packet).unwrap();
                }
            }
            for packet in drain(&mut pair.b, pair.now) {
                let _ = give(&mut pair.a, pair.now, packet);
            }
        }
        let mut stale = Vec::new();
        let mut packet = PacketWriter::new(&mut stale, 1200, 5000, 5000, pair.a.local_tag);
        packet.chunk(ChunkType::ERROR, 0, |out| Causes::write(out, CauseCode::STALE_COOKIE, &[0; 4]));
        packet.finish(true);
        let _ = give(&mut pair.a, pair.now, stale);
    }
    assert_eq!(events(&mut pair.a), [SctpEvent::Closed(SctpClose::TimedOut)]);
}

/// RFC 9260 §8.5.1 E: a peer that ends an association before this one has to be answered before it takes an INIT.
#[test]
fn a_shutdown_ack_of_an_earlier_association_is_completed() {
    let mut a = association(1, Config::default());
    let now = Instant::now();
    a.connect(now);
    drop(drain(&mut a, now));
    let mut packet = Vec::new();
    let mut writer = PacketWriter::new(&mut packet, 1200, 5000, 5000, 0x1234);
    writer.chunk(ChunkType::SHUTDOWN_ACK, 0, |_| {});
    writer.finish(true);
    let _ = give(&mut a, now, packet);
    let sent = drain(&mut a, now);
    assert_eq!(sent.len(), 1);
    let (header, mut chunks) = Header::parse(&sent[0]).unwrap();
    let complete = chunks.next().unwrap().unwrap();
    assert_eq!((complete.kind, complete.flags), (ChunkType::SHUTDOWN_COMPLETE, 1));
    assert_eq!(header.verification_tag, 0x1234);
}

/// Before the peer has chosen its tag there is none that a report could carry.
#[test]
fn an_unknown_chunk_before_the_init_ack_is_not_reported() {
    let mut a = association(1, Config::default());
    let now = Instant::now();
    a.connect(now);
    drop(drain(&mut a, now));
    let mut packet = Vec::new();
    let mut writer = PacketWriter::new(&mut packet, 1200, 5000, 5000, a.local_tag);
    writer.chunk(ChunkType(0xfe), 0, |_| {});
    writer.finish(true);
    give(&mut a, now, packet).unwrap();
    assert_eq!(drain(&mut a, now), Vec::<Vec<u8>>::new());
}

/// RFC 9260 §3.3.10.9 and §3.3.10.2.
#[test]
fn an_abort_says_what_was_missing() {
    let cause = |of: &mut Association, now| {
        let sent = drain(of, now).remove(0);
        let abort = Header::parse(&sent).unwrap().1.next().unwrap().unwrap();
        assert_eq!(abort.kind, ChunkType::ABORT);
        let (code, content) = Causes::new(abort.value).iter().next().unwrap();
        (code, content.to_vec())
    };
    let mut pair = Pair::established(Config::default());
    let tsn = pair.a.local_initial_tsn;
    assert!(give(&mut pair.b, pair.now, forged_data(&pair.a, tsn, 0, WHOLE, b"")).is_err());
    assert_eq!(cause(&mut pair.b, pair.now), (CauseCode::NO_USER_DATA, tsn.0.to_be_bytes().to_vec()));

    let mut a = association(1, Config::default());
    a.connect(pair.now);
    drop(drain(&mut a, pair.now));
    let mut packet = Vec::new();
    let mut writer = PacketWriter::new(&mut packet, 1200, 5000, 5000, a.local_tag);
    let init = association(2, Config::default()).init();
    writer.chunk(ChunkType::INIT_ACK, 0, |out| init.write_fixed(out));
    writer.finish(true);
    assert!(give(&mut a, pair.now, packet).is_err());
    let one_state_cookie = vec![0, 0, 0, 1, 0, 7];
    assert_eq!(cause(&mut a, pair.now), (CauseCode::MISSING_PARAMETER, one_state_cookie));
}

/// A message whose beginning was skipped holds no memory, in whatever order the rest of it comes.
#[test]
fn the_rest_of_a_skipped_message_is_not_kept() {
    let mut pair = Pair::established(Config::default());
    let first = pair.a.local_initial_tsn;
    give(&mut pair.b, pair.now, forged_data(&pair.a, first.plus(3), 0, 0, b"later")).unwrap();
    let forward = forge(&pair.a, |packet| {
        packet.chunk(ChunkType::FORWARD_TSN, 0, |out| out.extend_from_slice(&first.plus(1).0.to_be_bytes()));
    });
    give(&mut pair.b, pair.now, forward).unwrap();
    give(&mut pair.b, pair.now, forged_data(&pair.a, first.plus(2), 0, 0, b"rest")).unwrap();
    assert_eq!(pair.b.receiver.cumulative(), first.plus(3));
    assert_eq!(pair.b.statistics().receive_buffered, 0);
}

/// RFC 6525 §4.1: an empty list is all streams, and one packet makes one event of it.
#[test]
fn a_reset_of_all_streams_is_one_event() {
    let mut pair = Pair::established(Config::default());
    let first = pair.a.local_initial_tsn;
    for stream in 0..60_000u16 {
        let packet = forge(&pair.a, |packet| {
            let tsn = first.plus(stream.into());
            let fields = Data::fields(tsn, StreamId(stream), Ssn(0), PayloadProtocol::BINARY);
            packet.data(WHOLE, &fields, b"x");
        });
        give(&mut pair.b, pair.now, packet).unwrap();
        pair.b.receive();
    }
    while pair.b.poll_event().is_some() {}
    let held = pair.b.statistics().receive_buffered;
    assert!((1..1 << 20).contains(&held), "{held}");
    let request = forge(&pair.a, |packet| {
        let last = first.plus(59_999);
        packet.chunk(ChunkType::RE_CONFIG, 0, |out| {
            ReconfigParameter::write_outgoing_reset(out, first.0, 0, last, &[]);
        });
    });
    give(&mut pair.b, pair.now, request).unwrap();
    assert_eq!(events(&mut pair.b), [SctpEvent::AllIncomingStreamsReset]);
    assert_eq!(pair.b.statistics().receive_buffered, 0, "the table of streams is gone");
    // Each stream begins anew.
    give(&mut pair.b, pair.now, forged_data(&pair.a, first.plus(60_000), 0, WHOLE, b"again")).unwrap();
    assert_eq!(payloads(&mut pair.b), ["again"]);
}

/// Fragments that come last first are joined without moving what is there.
#[test]
fn fragments_in_any_order_make_the_message() {
    // Every other one, then those between.
    let step = |count: u32, index: u32| 2 * index % count + 2 * index / count;
    for order in [|count: u32, index: u32| count - 1 - index, |_, index: u32| index, step] {
        let mut pair = Pair::established(Config::default());
        let first = pair.a.local_initial_tsn;
        const COUNT: u32 = 1000;
        for at in (0..COUNT).map(|index| order(COUNT, index)) {
            let flags = match at {
                0 => Data::BEGIN,
                at if at == COUNT - 1 => Data::END,
                _ => 0,
            };
            give(&mut pair.b, pair.now, forged_data(&pair.a, first.plus(at), 0, flags, &[at as u8; 3]))
                .unwrap();
        }
        let expected: Vec<u8> = (0..COUNT).flat_map(|at| [at as u8; 3]).collect();
        assert!(payloads(&mut pair.b) == [expected]);
        assert_eq!(pair.b.statistics().receive_buffered, 0);
    }
}
