//! The retransmission timer, the round-trip time and the probing of a closed window (RFC 9260 §6).

use super::*;

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
