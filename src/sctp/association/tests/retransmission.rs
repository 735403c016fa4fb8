//! The retransmission timer, the round-trip time and the probing of a closed window (RFC 9260 §6).

use super::*;

/// A SACK as `from` would send it.
fn sack(from: &Association, cumulative: Tsn, window: u32) -> Vec<u8> {
    forge(from, |packet| {
        Sack::write(packet, cumulative, window, [].into_iter(), &[]);
    })
}

/// §6.1 A: what a message counts for besides its bytes fills the window long before the sender expects it, so
/// more than one chunk is thrown away and sent again and again.
#[test]
fn a_peer_that_answers_with_a_closed_window_is_not_lost() {
    let config = Config {
        initial_receive_window: 20_000,
        max_receive_window: 20_000,
        max_receive_message: 10_000,
        ..Config::default()
    };
    let mut pair = Pair::established(config);
    for _ in 0..500 {
        pair.send(0, "tiny");
    }
    pair.run();
    for _ in 0..60 {
        pair.tick();
        pair.run();
    }
    assert!(pair.a.is_established());
    let mut count = 0;
    for _ in 0..60 {
        count += payloads(&mut pair.b).len();
        pair.run();
    }
    assert_eq!(count, 500);
}

/// §7.2.4: the timer gives the first outstanding chunk a whole timeout from when it was sent again.
#[test]
fn a_fast_retransmission_of_the_first_chunk_restarts_the_timer() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, "first");
    drop(drain(&mut pair.a, pair.now));
    pair.now += Duration::from_millis(390);
    for _ in 0..3 {
        pair.send(0, "later");
        for packet in drain(&mut pair.a, pair.now) {
            give(&mut pair.b, pair.now, packet).unwrap();
        }
        for packet in drain(&mut pair.b, pair.now) {
            give(&mut pair.a, pair.now, packet).unwrap();
        }
    }
    assert!(!drain(&mut pair.a, pair.now).is_empty(), "it is sent again");
    let timeout = pair.a.statistics().retransmission_timeout;
    assert_eq!(pair.a.poll_timeout(), Some(pair.now + timeout));
}

/// §6.3.1 C5: what probed a closed window and was sent again when it opened measures nothing.
#[test]
fn a_probe_that_was_thrown_away_measures_no_round_trip() {
    let mut pair = Pair::established(Config::default());
    let before = pair.a.statistics().round_trip_time;
    let first = pair.a.local_initial_tsn;
    pair.send(0, "probe");
    drop(drain(&mut pair.a, pair.now));
    give(&mut pair.a, pair.now, sack(&pair.b, first.previous(), 0)).unwrap();
    pair.now += Duration::from_millis(300);
    give(&mut pair.a, pair.now, sack(&pair.b, first.previous(), 100_000)).unwrap();
    assert!(!drain(&mut pair.a, pair.now).is_empty(), "it is sent again");
    give(&mut pair.a, pair.now, sack(&pair.b, first, 100_000)).unwrap();
    assert_eq!(pair.a.statistics().round_trip_time, before);
}

/// §7.2.1: the window is halved once for each timeout that nothing was sent, and not below four packets.
#[test]
fn a_window_that_is_not_used_for_long_shrinks_to_four_packets() {
    for (steps, step) in [(1, Duration::from_secs(20)), (4, Duration::from_millis(500))] {
        let mut pair = Pair::established(Config::default());
        pair.send(0, "before");
        pair.run();
        for _ in 0..steps {
            pair.now += step;
            // What is received and acknowledged meanwhile makes no difference.
            let flags = WHOLE | Data::IMMEDIATE;
            let data = forged_data(&pair.b, pair.b.local_initial_tsn, 0, flags, b"other");
            give(&mut pair.a, pair.now, data).unwrap();
            drop(drain(&mut pair.a, pair.now));
        }
        pair.send(0, "after");
        drop(drain(&mut pair.a, pair.now));
        assert_eq!(pair.a.statistics().congestion_window, 4 * 1188);
    }
}

/// Sends again what timed out, `count` times, and loses all of it.
fn time_out(pair: &mut Pair, count: u64) {
    let before = pair.a.statistics().timeouts;
    while pair.a.statistics().timeouts < before + count {
        drop(drain(&mut pair.a, pair.now));
        pair.now = pair.a.poll_timeout().unwrap().max(pair.now);
        pair.a.handle_timeout(pair.now);
    }
}

/// §6.1 A: a window smaller than the next chunk is closed, and a peer that says so again and again is there.
#[test]
fn a_window_smaller_than_the_next_chunk_is_a_closed_one() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, pattern(1000));
    let cumulative = pair.a.local_initial_tsn.previous();
    for _ in 0..30 {
        drop(drain(&mut pair.a, pair.now));
        let answer = sack(&pair.b, cumulative, 100);
        give(&mut pair.a, pair.now, answer).unwrap();
        time_out(&mut pair, 1);
    }
    assert!(pair.a.is_established());
    // As soon as there is room the chunk goes out again, without a timeout.
    drop(drain(&mut pair.a, pair.now));
    let answer = sack(&pair.b, cumulative, 5000);
    give(&mut pair.a, pair.now, answer).unwrap();
    assert!(!drain(&mut pair.a, pair.now).is_empty());
}

/// What is too long for the path takes nothing with it that is not.
#[test]
fn after_a_second_timeout_chunks_travel_alone() {
    let mut pair = Pair::established(Config::default());
    for _ in 0..3 {
        pair.send(0, pattern(300));
    }
    let chunks = |packet: &Vec<u8>| kinds(packet).into_iter().filter(|kind| *kind == ChunkType::DATA).count();
    assert_eq!(drain(&mut pair.a, pair.now).iter().map(chunks).collect::<Vec<_>>(), [3]);
    time_out(&mut pair, 1);
    assert_eq!(drain(&mut pair.a, pair.now).iter().map(chunks).collect::<Vec<_>>(), [3]);
    time_out(&mut pair, 1);
    let packets = drain(&mut pair.a, pair.now);
    assert_eq!(packets.iter().map(chunks).collect::<Vec<_>>(), [1, 1, 1]);
    for packet in packets {
        give(&mut pair.b, pair.now, packet).unwrap();
    }
    pair.run();
    for _ in 0..3 {
        pair.send(0, pattern(300));
    }
    assert_eq!(
        drain(&mut pair.a, pair.now).iter().map(chunks).collect::<Vec<_>>(),
        [3],
        "what passed ends it"
    );
}

/// A path that answers again need not wait for a timeout that has grown while it was away.
#[test]
fn a_path_that_is_back_resets_the_back_off() {
    let mut pair = Pair::established(Config::default());
    pair.send(0, "warm");
    pair.run();
    let usual = pair.a.statistics().retransmission_timeout;
    pair.send(0, "late");
    time_out(&mut pair, 5);
    drop(drain(&mut pair.a, pair.now));
    assert!(pair.a.statistics().retransmission_timeout > 8 * usual);
    pair.now += Duration::from_millis(10);
    assert!(drain(&mut pair.a, pair.now).is_empty());
    pair.a.path_is_back(pair.now);
    assert_eq!(pair.a.statistics().retransmission_timeout, usual);
    assert_eq!(pair.a.poll_timeout(), Some(pair.now + usual));
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["warm", "late"]);
    // Nothing is backed off: nothing is sent.
    pair.a.path_is_back(pair.now);
    assert!(drain(&mut pair.a, pair.now).is_empty());
}

/// The handshake, too, goes on at once.
#[test]
fn a_path_that_is_back_brings_the_handshake_on() {
    let mut pair = Pair::new(Config::default());
    pair.a.connect(pair.now);
    for _ in 0..4 {
        drop(drain(&mut pair.a, pair.now));
        pair.tick();
    }
    drop(drain(&mut pair.a, pair.now));
    pair.a.path_is_back(pair.now);
    pair.run();
    assert!(pair.a.is_established() && pair.b.is_established());
}
