//! Stream reset (RFC 6525), shutdown and abort (RFC 9260 §9).

use super::*;

#[test]
fn a_stream_is_reset_and_begins_anew() {
    let mut pair = Pair::established(Config::default());
    pair.send(5, "one");
    pair.a.reset_streams(pair.now, &[StreamId(5)]).unwrap();
    let refused =
        pair.a.send(pair.now, StreamId(5), PayloadProtocol::BINARY, "x".into(), SendOptions::default());
    assert_eq!(refused, Err(SctpError::StreamResetting(StreamId(5))));
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["one"]);
    assert!(events(&mut pair.a).contains(&SctpEvent::OutgoingStreamReset(StreamId(5))));
    assert!(events(&mut pair.b).contains(&SctpEvent::IncomingStreamReset(StreamId(5))));
    pair.send(5, "two");
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["two"]);
}

/// Who closes a channel of a peer that resets no streams may close the association then.
#[test]
fn a_reset_that_the_peer_does_not_know_is_refused_when_it_has_everything() {
    let mut pair = Pair::established(Config::default());
    pair.a.agreement.peer.reconfiguration = false;
    pair.send(5, "late");
    let late = drain(&mut pair.a, pair.now);
    pair.a.reset_streams(pair.now, &[StreamId(5)]).unwrap();
    let refused = SctpEvent::StreamResetRefused(StreamId(5));
    assert!(drain(&mut pair.a, pair.now).is_empty());
    assert!(!events(&mut pair.a).contains(&refused));
    give(&mut pair.b, pair.now, late[0].clone()).unwrap();
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["late"]);
    assert!(events(&mut pair.a).contains(&refused));
    // On one there was nothing, and one goes on.
    pair.a.reset_streams(pair.now, &[StreamId(6)]).unwrap();
    assert_eq!(events(&mut pair.a), [SctpEvent::StreamResetRefused(StreamId(6))]);
    pair.send(5, "again");
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["again"]);
}

#[test]
fn a_reset_waits_for_data_on_its_way() {
    let mut pair = Pair::established(Config::default());
    pair.send(5, "late");
    let late = drain(&mut pair.a, pair.now);
    pair.a.reset_streams(pair.now, &[StreamId(5)]).unwrap();
    pair.run();
    assert!(!events(&mut pair.b).contains(&SctpEvent::IncomingStreamReset(StreamId(5))));
    give(&mut pair.b, pair.now, late[0].clone()).unwrap();
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["late"]);
    assert!(events(&mut pair.b).contains(&SctpEvent::IncomingStreamReset(StreamId(5))));
    assert!(events(&mut pair.a).contains(&SctpEvent::OutgoingStreamReset(StreamId(5))));
}

/// As a peer does that gives its request another number after the answer "in progress".
#[test]
fn a_reset_that_waits_may_be_asked_for_again_under_another_number() {
    for in_time in [true, false] {
        let mut pair = Pair::established(Config::default());
        let first = pair.a.local_initial_tsn;
        pair.send(5, "late");
        let late = drain(&mut pair.a, pair.now);
        let reset = |pair: &mut Pair, number: u32| {
            let request = forge(&pair.a, |packet| {
                packet.chunk(ChunkType::RE_CONFIG, 0, |out| {
                    let number = first.0.wrapping_add(number);
                    ReconfigParameter::write_outgoing_reset(out, number, 0, first, &[StreamId(5)]);
                });
            });
            give(&mut pair.b, pair.now, request).unwrap();
            let mut results = Vec::new();
            for packet in drain(&mut pair.b, pair.now) {
                for chunk in Header::parse(&packet).unwrap().1.map(Result::unwrap) {
                    for parameter in
                        Parameters::new(chunk.value).filter(|_| chunk.kind == ChunkType::RE_CONFIG)
                    {
                        match ReconfigParameter::parse(&parameter.unwrap()).unwrap() {
                            Some(ReconfigParameter::Response { result, .. }) => results.push(result),
                            other => panic!("{other:?}"),
                        }
                    }
                }
            }
            results
        };
        assert_eq!(reset(&mut pair, 0), [ReconfigResult::IN_PROGRESS]);
        if in_time {
            assert_eq!(reset(&mut pair, 1), [ReconfigResult::IN_PROGRESS]);
        }
        give(&mut pair.b, pair.now, late[0].clone()).unwrap();
        drain(&mut pair.b, pair.now);
        let incoming_resets = |pair: &mut Pair| {
            let is_reset = |event: &SctpEvent| *event == SctpEvent::IncomingStreamReset(StreamId(5));
            events(&mut pair.b).into_iter().filter(is_reset).count()
        };
        assert_eq!(incoming_resets(&mut pair), 1);
        assert_eq!(reset(&mut pair, if in_time { 2 } else { 1 }), [ReconfigResult::PERFORMED]);
        assert_eq!(incoming_resets(&mut pair), 0, "it was reset already");
        // The next request is one of its own, though it is the same.
        assert_eq!(reset(&mut pair, if in_time { 3 } else { 2 }), [ReconfigResult::PERFORMED]);
        assert_eq!(incoming_resets(&mut pair), 1);
    }
}

/// RFC 6525 §5.2.1: a RE-CONFIG that comes again is answered as it was, with both of its requests.
#[test]
fn two_requests_that_are_repeated_get_the_same_answers() {
    let mut pair = Pair::established(Config::default());
    let first = pair.a.local_initial_tsn;
    let mut results = Vec::new();
    for _ in 0..2 {
        let request = forge(&pair.a, |packet| {
            packet.chunk(ChunkType::RE_CONFIG, 0, |out| {
                let (last_tsn, second) = (first.previous(), first.next().0);
                ReconfigParameter::write_outgoing_reset(out, first.0, 0, last_tsn, &[StreamId(5)]);
                let incoming = [&second.to_be_bytes()[..], &9u16.to_be_bytes()].concat();
                Parameter::write(out, ParameterType::INCOMING_RESET_REQUEST, &incoming);
            });
        });
        give(&mut pair.b, pair.now, request).unwrap();
        for packet in drain(&mut pair.b, pair.now) {
            for chunk in Header::parse(&packet).unwrap().1.flatten() {
                for parameter in Parameters::new(chunk.value).flatten() {
                    if chunk.kind == ChunkType::RE_CONFIG
                        && let Ok(Some(ReconfigParameter::Response { request, result })) =
                            ReconfigParameter::parse(&parameter)
                    {
                        results.push((request.wrapping_sub(first.0), result));
                    }
                }
            }
        }
    }
    let both = [(0, ReconfigResult::PERFORMED), (1, ReconfigResult::PERFORMED)];
    assert_eq!(results, [both, both].concat());
}

#[test]
fn a_lost_reset_is_sent_again() {
    let mut pair = Pair::established(Config::default());
    for lose_request in [true, false] {
        pair.a.reset_streams(pair.now, &[StreamId(9)]).unwrap();
        let mut first = true;
        pair.run_dropping(|from_a, _| from_a == lose_request && std::mem::take(&mut first));
        assert_eq!(events(&mut pair.a), []);
        pair.tick();
        pair.run();
        assert_eq!(events(&mut pair.a), [SctpEvent::OutgoingStreamReset(StreamId(9))]);
        assert_eq!(events(&mut pair.b), [SctpEvent::IncomingStreamReset(StreamId(9))]);
    }
}

#[test]
fn shutdown_delivers_everything_first() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, pattern(100_000));
    pair.a.shutdown(pair.now);
    pair.run();
    assert_eq!(payloads(&mut pair.b), [pattern(100_000)]);
    assert!(events(&mut pair.a).contains(&SctpEvent::Closed(SctpClose::Shutdown)));
    assert!(events(&mut pair.b).contains(&SctpEvent::Closed(SctpClose::Shutdown)));
    assert_eq!(pair.a.poll_timeout(), None);
    assert_eq!(pair.b.poll_timeout(), None);
}

#[test]
fn both_sides_may_shut_down() {
    for lost in 0..6 {
        let mut pair = Pair::established(Config::default());
        pair.a.shutdown(pair.now);
        pair.b.shutdown(pair.now);
        let mut count = 0;
        for _ in 0..6 {
            pair.run_dropping(|_, _| {
                count += 1;
                count - 1 == lost
            });
            if pair.a.poll_timeout().is_none() && pair.b.poll_timeout().is_none() {
                break;
            }
            pair.tick();
        }
        assert!(events(&mut pair.a).contains(&SctpEvent::Closed(SctpClose::Shutdown)), "{lost}");
        assert!(events(&mut pair.b).contains(&SctpEvent::Closed(SctpClose::Shutdown)), "{lost}");
    }
}

#[test]
fn abort_tells_the_peer() {
    let mut pair = Pair::established(Config::default());
    pair.a.abort(pair.now);
    pair.run();
    assert_eq!(events(&mut pair.a), [SctpEvent::Closed(SctpClose::Aborted)]);
    let reason = "user-initiated abort".to_owned();
    assert_eq!(events(&mut pair.b), [SctpEvent::Closed(SctpClose::AbortedByPeer(reason))]);
}
