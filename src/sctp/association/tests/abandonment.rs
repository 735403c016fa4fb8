//! Messages that are given up (RFC 3758, RFC 7496), and what waits for them.

use super::*;

const LIFETIME: Duration = Duration::from_millis(100);

fn short() -> SendOptions {
    SendOptions { reliability: Reliability::MaxLifetime(LIFETIME), ..SendOptions::default() }
}

fn once() -> SendOptions {
    SendOptions { reliability: Reliability::MaxRetransmits(0), ..SendOptions::default() }
}

#[test]
fn room_made_by_messages_that_grew_old_is_told() {
    let mut pair = Pair::established(Config { send_buffer: 300_000, ..Config::default() });
    pair.send_with(0, pattern(200_000), short());
    let refused = pair.a.send(pair.now, StreamId(0), PayloadProtocol::BINARY, pattern(200_000), short());
    assert_eq!(refused, Err(SctpError::SendBufferFull { limit: 300_000 }));
    pair.now += 2 * LIFETIME;
    pair.run();
    assert!(events(&mut pair.a).contains(&SctpEvent::Writable));
}

#[test]
fn a_reset_does_not_wait_for_messages_that_grew_old() {
    let mut pair = Pair::established(Config::default());
    pair.send_with(5, "old", short());
    pair.a.reset_streams(pair.now, &[StreamId(5)]).unwrap();
    pair.now += 2 * LIFETIME;
    pair.run();
    assert!(events(&mut pair.a).contains(&SctpEvent::OutgoingStreamReset(StreamId(5))));
}

#[test]
fn a_shutdown_does_not_wait_for_messages_that_grew_old() {
    let mut pair = Pair::established(Config::default());
    pair.send_with(5, "old", short());
    pair.a.shutdown(pair.now);
    pair.now += 2 * LIFETIME;
    pair.run();
    assert!(events(&mut pair.a).contains(&SctpEvent::Closed(SctpClose::Shutdown)));
}

#[test]
fn a_lifetime_of_zero_leaves_time_for_one_attempt() {
    let mut pair = Pair::established(Config::default());
    let reliability = Reliability::MaxLifetime(Duration::ZERO);
    pair.send_with(0, "now", SendOptions { reliability, ..SendOptions::default() });
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["now"]);
}

/// The peer reset the stream and expects its first message: what was skipped on it before is no news to it, and
/// would be taken for messages of the stream as it is now.
#[test]
fn what_was_skipped_before_a_reset_is_not_told_after_it() {
    let mut pair = Pair::established(Config::default());
    pair.send(5, "one");
    pair.run();
    pair.send_with(5, "lost", once());
    pair.run_dropping(|from_a, _| from_a);
    pair.tick();
    // The FORWARD TSN arrives, its acknowledgement does not.
    pair.run_dropping(|from_a, _| !from_a);
    pair.a.reset_streams(pair.now, &[StreamId(5)]).unwrap();
    pair.run();
    assert!(events(&mut pair.a).contains(&SctpEvent::OutgoingStreamReset(StreamId(5))));
    pair.send_with(7, "gone", once());
    pair.run_dropping(|from_a, _| from_a);
    pair.tick();
    pair.run();
    pair.send(5, "new");
    pair.run();
    assert_eq!(payloads(&mut pair.b), ["one", "new"]);
}
