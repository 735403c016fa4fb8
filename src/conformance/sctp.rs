//! What an SCTP association must do.

use std::time::Duration;

use bytes::Bytes;

use super::kit::Kit;
use super::leak::leaves_nothing;
use super::link;
use super::pair::{PEER, Pair, SUBJECT};
use super::report::Report;
use super::scenario::{Scenario, Trouble, ensure, refused, run_all};
use crate::layer::{
    PayloadProtocol, Received, Reliability, SctpClose, SctpError, SctpEvent, SctpTransport, SendOptions,
    StreamId,
};
use crate::sim::Link;

/// Makes an SCTP association between the local and the remote port.
pub type MakeSctp<'a> = dyn Fn(u16, u16) -> Box<dyn SctpTransport> + 'a;

impl Kit<'_> {
    /// Runs an SCTP implementation against `peer`. Both must use checksums: corruption is among the scenarios.
    pub fn sctp(&self, subject: &MakeSctp<'_>, peer: &MakeSctp<'_>) -> Report {
        run_all(self.only, &scenarios(), &Setup { kit: *self, subject, peer })
    }
}

fn scenarios<'a>() -> Vec<Scenario<Setup<'a>>> {
    vec![
        Scenario { name: "establishment/connects", run: |setup| establishment(setup, &[SUBJECT]) },
        Scenario { name: "establishment/is-connected-to", run: |setup| establishment(setup, &[PEER]) },
        Scenario { name: "establishment/both-connect", run: |setup| establishment(setup, &[SUBJECT, PEER]) },
        Scenario { name: "establishment/nothing-before", run: nothing_before },
        Scenario { name: "messages", run: messages },
        Scenario { name: "messages/unordered", run: unordered_messages },
        Scenario { name: "loss", run: |setup| impaired(setup, link::lossy()) },
        Scenario { name: "reordering", run: |setup| impaired(setup, link::reordering()) },
        Scenario { name: "duplication", run: |setup| impaired(setup, link::duplicating()) },
        Scenario { name: "corruption", run: |setup| impaired(setup, link::corrupting()) },
        Scenario { name: "partial-reliability", run: partial_reliability },
        Scenario { name: "buffered-amount", run: buffered_amount },
        Scenario { name: "restart/stream", run: stream_reset },
        Scenario { name: "limits/message", run: message_limit },
        Scenario { name: "limits/empty-message", run: empty_message },
        Scenario { name: "limits/streams", run: stream_limit },
        Scenario { name: "limits/send-buffer", run: send_buffer },
        Scenario { name: "limits/unread", run: unread },
        Scenario { name: "malformed/before", run: malformed_before },
        Scenario { name: "malformed/after", run: malformed_after },
        Scenario { name: "close/shutdown", run: shutdown },
        Scenario { name: "close/shutdown-by-the-peer", run: shutdown_by_peer },
        Scenario { name: "close/abort", run: abort },
        Scenario { name: "close/abort-by-the-peer", run: abort_by_peer },
        Scenario { name: "close/early", run: close_early },
        Scenario { name: "timer/sends-again", run: sends_again },
        Scenario { name: "timer/none-when-idle", run: idle_timer },
        Scenario { name: "idle-poll", run: idle_poll },
        Scenario { name: "drop/leaves-nothing", run: leak },
    ]
}

struct Setup<'a> {
    kit: Kit<'a>,
    subject: &'a MakeSctp<'a>,
    peer: &'a MakeSctp<'a>,
}

type SctpPair<'a> = Pair<'a, Box<dyn SctpTransport>>;

/// Longer than anything takes that is sent again now and then.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than a round trip and a delayed acknowledgement.
const SHORT: Duration = Duration::from_millis(600);
const STREAM: StreamId = StreamId(3);

impl<'a> Setup<'a> {
    fn pair(&self, seed: u64, link: Link) -> SctpPair<'a> {
        Pair::new(&self.kit, seed, link, [(self.subject)(5000, 6000), (self.peer)(6000, 5000)])
    }

    fn connected(&self, by: &[usize]) -> Result<SctpPair<'a>, Trouble> {
        let mut pair = self.pair(0, link::perfect());
        connect(&mut pair, by)?;
        pair.run_for(SHORT)?;
        Ok(pair)
    }
}

fn connect(pair: &mut SctpPair<'_>, by: &[usize]) -> Result<(), Trouble> {
    let now = pair.now();
    for side in by {
        pair.layers[*side].connect(now);
    }
    let established = |event: &SctpEvent| matches!(event, SctpEvent::Established { .. });
    let done = pair.run_until(PATIENCE, |pair| {
        pair.layers.iter().all(|layer| layer.is_established())
            && pair.told.iter().all(|told| told.iter().any(established))
    })?;
    ensure!(done, "the association is not established; told: {:?}", pair.told);
    Ok(())
}

fn send(pair: &mut SctpPair<'_>, side: usize, message: &[u8]) -> Result<(), SctpError> {
    let (now, message) = (pair.now(), Bytes::copy_from_slice(message));
    pair.layers[side].send(now, STREAM, PayloadProtocol::BINARY, message, SendOptions::default())
}

fn must_send(pair: &mut SctpPair<'_>, side: usize, message: &[u8]) -> Result<(), Trouble> {
    send(pair, side, message).map_err(|e| refused("send")(&e))
}

/// Reads messages at a side until there are `count`.
fn read(
    pair: &mut SctpPair<'_>,
    side: usize,
    count: usize,
    patience: Duration,
) -> Result<Vec<Received>, Trouble> {
    let mut read = Vec::new();
    pair.run_until(patience, |pair| {
        read.extend(std::iter::from_fn(|| pair.layers[side].receive()));
        read.len() >= count
    })?;
    ensure!(read.len() >= count, "{} of {count} messages have come; told: {:?}", read.len(), pair.told);
    Ok(read)
}

fn passes_both_ways(pair: &mut SctpPair<'_>) -> Result<(), Trouble> {
    for from in [SUBJECT, PEER] {
        for size in [1, 100, 5000] {
            must_send(pair, from, &vec![size as u8; size])?;
            let read = read(pair, 1 - from, 1, PATIENCE)?;
            ensure!(
                read.len() == 1 && read[0].payload == vec![size as u8; size],
                "another message than the one sent has come"
            );
        }
    }
    Ok(())
}

fn establishment(setup: &Setup<'_>, by: &[usize]) -> Result<(), Trouble> {
    let mut pair = setup.connected(by)?;
    let told = &pair.told[SUBJECT];
    let established = told.iter().filter(|event| matches!(event, SctpEvent::Established { .. })).count();
    ensure!(established == 1, "told {established} times that the association is established");
    let (outgoing, incoming) = pair.layers[SUBJECT].streams();
    ensure!(outgoing > STREAM.0 && incoming > STREAM.0, "{outgoing} and {incoming} streams were negotiated");
    passes_both_ways(&mut pair)
}

fn nothing_before(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.pair(0, link::down());
    for connecting in [false, true] {
        if connecting {
            let now = pair.now();
            pair.layers[SUBJECT].connect(now);
            pair.run_for(SHORT)?;
        }
        let outcome = send(&mut pair, SUBJECT, b"data");
        ensure!(outcome == Err(SctpError::NotEstablished), "send before the association stands: {outcome:?}");
        let now = pair.now();
        let outcome = pair.layers[SUBJECT].reset_streams(now, &[STREAM]);
        ensure!(
            outcome == Err(SctpError::NotEstablished),
            "reset before the association stands: {outcome:?}"
        );
        let subject = &pair.layers[SUBJECT];
        ensure!(!subject.is_established() && subject.streams() == (0, 0), "established with nobody");
    }
    Ok(())
}

fn messages(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    for from in [SUBJECT, PEER] {
        let mut sent = Vec::new();
        for (number, size) in [1, 2, 1000, 1200, 20_000, 60_000].into_iter().enumerate() {
            let message = Received {
                stream: StreamId(number as u16),
                protocol: if number % 2 == 0 { PayloadProtocol::STRING } else { PayloadProtocol::BINARY },
                unordered: number % 3 == 0,
                payload: Bytes::from(vec![number as u8; size]),
            };
            let options = SendOptions { unordered: message.unordered, ..SendOptions::default() };
            let now = pair.now();
            pair.layers[from]
                .send(now, message.stream, message.protocol, message.payload.clone(), options)
                .map_err(|e| refused("send")(&e))?;
            sent.push(message);
        }
        let mut read = read(&mut pair, 1 - from, sent.len(), PATIENCE)?;
        read.sort_by_key(|message| message.stream);
        for (sent, read) in sent.iter().zip(&read) {
            let as_sent = sent.payload == read.payload;
            ensure!(
                as_sent && (sent.stream, sent.protocol) == (read.stream, read.protocol),
                "stream {}, {:?} came as stream {}, {:?}, with {} bytes of {}",
                sent.stream,
                sent.protocol,
                read.stream,
                read.protocol,
                read.payload.len(),
                sent.payload.len()
            );
        }
    }
    ensure!(pair.told[SUBJECT].contains(&SctpEvent::Readable), "not told that there is something to read");
    Ok(())
}

fn unordered_messages(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    for unordered in [true, false] {
        let options = SendOptions { unordered, ..SendOptions::default() };
        let (now, message) = (pair.now(), Bytes::from_static(b"in any order"));
        pair.layers[PEER]
            .send(now, STREAM, PayloadProtocol::BINARY, message, options)
            .map_err(|e| refused("send")(&e))?;
        let read = read(&mut pair, SUBJECT, 1, PATIENCE)?;
        ensure!(read[0].unordered == unordered, "a message says that it was sent unordered: {}", !unordered);
    }
    Ok(())
}

fn impaired(setup: &Setup<'_>, impaired: Link) -> Result<(), Trouble> {
    const MESSAGES: usize = 30;
    for seed in 0..setup.kit.seeds {
        let mut pair = setup.pair(seed, impaired.clone());
        connect(&mut pair, &[seed as usize % 2])?;
        for from in [SUBJECT, PEER] {
            for number in 0..MESSAGES {
                must_send(&mut pair, from, &vec![number as u8; 1 + number * 70])?;
            }
            let read = read(&mut pair, 1 - from, MESSAGES, 10 * PATIENCE)?;
            for (number, message) in read.iter().enumerate() {
                ensure!(
                    message.payload == vec![number as u8; 1 + number * 70],
                    "seed {seed}: message {number} is not the one that was sent, or not in its order"
                );
            }
            pair.run_for(SHORT)?;
            let more = pair.layers[1 - from].receive();
            ensure!(more.is_none(), "seed {seed}: a message has come twice");
        }
    }
    Ok(())
}

fn partial_reliability(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    for reliability in [Reliability::MaxRetransmits(0), Reliability::MaxLifetime(Duration::from_millis(50))] {
        let options = SendOptions { reliability, ..SendOptions::default() };
        pair.set_link(link::down());
        let now = pair.now();
        pair.layers[SUBJECT]
            .send(now, STREAM, PayloadProtocol::BINARY, Bytes::from_static(b"given up"), options)
            .map_err(|e| refused("send")(&e))?;
        pair.run_for(Duration::from_millis(200))?;
        pair.set_link(link::perfect());
        must_send(&mut pair, SUBJECT, b"reliable")?;
        let read = read(&mut pair, PEER, 1, PATIENCE)?;
        ensure!(
            read.len() == 1 && read[0].payload == "reliable",
            "{reliability:?}: a message that should be given up was sent again"
        );
    }
    Ok(())
}

fn buffered_amount(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    pair.layers[SUBJECT].set_buffered_amount_low_threshold(STREAM, 1000);
    for _ in 0..5 {
        must_send(&mut pair, SUBJECT, &[1; 50_000])?;
    }
    let buffered = pair.layers[SUBJECT].buffered_amount(STREAM);
    ensure!(buffered > 1000, "{buffered} bytes are buffered of 250000 that were just sent");
    read(&mut pair, PEER, 5, PATIENCE)?;
    pair.run_for(SHORT)?;
    let buffered = pair.layers[SUBJECT].buffered_amount(STREAM);
    ensure!(buffered == 0, "{buffered} bytes are buffered after all has come");
    ensure!(
        pair.told[SUBJECT].contains(&SctpEvent::BufferedAmountLow(STREAM)),
        "not told that the buffered amount is low"
    );
    Ok(())
}

fn stream_reset(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    for from in [SUBJECT, PEER] {
        must_send(&mut pair, from, b"before the reset")?;
        let now = pair.now();
        pair.layers[from].reset_streams(now, &[STREAM]).map_err(|e| refused("reset_streams")(&e))?;
        read(&mut pair, 1 - from, 1, PATIENCE)?;
        let done = pair.run_until(PATIENCE, |pair| {
            pair.told[1 - from].contains(&SctpEvent::IncomingStreamReset(STREAM))
                && pair.told[from].contains(&SctpEvent::OutgoingStreamReset(STREAM))
        })?;
        ensure!(done, "the side {from} has reset a stream, and told is {:?}", pair.told);
    }
    // The identifier can be used anew.
    passes_both_ways(&mut pair)
}

fn message_limit(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    pair.layers[SUBJECT].set_remote_max_message_size(10_000);
    let limit = pair.layers[SUBJECT].max_message_size();
    ensure!(limit == 10_000, "the peer takes 10000 bytes, and max_message_size is {limit}");
    let outcome = send(&mut pair, SUBJECT, &[0; 10_001]);
    ensure!(
        matches!(outcome, Err(SctpError::MessageTooLarge { .. })),
        "a message that is too large for the peer gives {outcome:?}"
    );
    must_send(&mut pair, SUBJECT, &[0; 10_000])?;
    read(&mut pair, PEER, 1, PATIENCE).map(drop)
}

fn empty_message(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    let outcome = send(&mut pair, SUBJECT, &[]);
    ensure!(outcome == Err(SctpError::EmptyMessage), "an empty message gives {outcome:?}");
    passes_both_ways(&mut pair)
}

fn stream_limit(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    let (outgoing, _) = pair.layers[SUBJECT].streams();
    // 65535 is never one: there are at most 65535 of them, numbered from 0.
    for stream in [StreamId(outgoing), StreamId(u16::MAX)] {
        let now = pair.now();
        let message = Bytes::from_static(b"data");
        let outcome =
            pair.layers[SUBJECT].send(now, stream, PayloadProtocol::BINARY, message, SendOptions::default());
        ensure!(
            matches!(outcome, Err(SctpError::InvalidStream { .. })),
            "stream {stream} of {outgoing} gives {outcome:?}"
        );
    }
    passes_both_ways(&mut pair)
}

fn send_buffer(setup: &Setup<'_>) -> Result<(), Trouble> {
    const MOST: usize = 64 << 20;
    let mut pair = setup.connected(&[SUBJECT])?;
    let message = Bytes::from(vec![1; 50_000]);
    let mut taken = 0;
    loop {
        let now = pair.now();
        let outcome = pair.layers[SUBJECT].send(
            now,
            STREAM,
            PayloadProtocol::BINARY,
            message.clone(),
            SendOptions::default(),
        );
        match outcome {
            Ok(()) => taken += 1,
            Err(SctpError::SendBufferFull { .. }) => break,
            Err(other) => return Err(refused("send")(&other)),
        }
        ensure!(taken * message.len() <= MOST, "the queue has no bound: {MOST} bytes are queued");
    }
    ensure!(taken > 0, "not one message of 50000 bytes is taken");
    let read = read(&mut pair, PEER, taken, 10 * PATIENCE)?;
    ensure!(read.len() == taken, "{taken} messages were taken, and {} have come", read.len());
    let done = pair.run_until(SHORT, |pair| pair.told[SUBJECT].contains(&SctpEvent::Writable))?;
    ensure!(done, "not told that there is room again");
    passes_both_ways(&mut pair)
}

fn unread(setup: &Setup<'_>) -> Result<(), Trouble> {
    const MOST: usize = 64 << 20;
    let mut pair = setup.connected(&[SUBJECT])?;
    // The peer sends as long as it may, and the subject reads nothing: the window must close.
    let message = Bytes::from(vec![1; 50_000]);
    let (mut taken, mut still) = (0, 0);
    while still < 20 {
        let now = pair.now();
        let outcome = pair.layers[PEER].send(
            now,
            STREAM,
            PayloadProtocol::BINARY,
            message.clone(),
            SendOptions::default(),
        );
        match outcome {
            Ok(()) => (taken, still) = (taken + 1, 0),
            Err(SctpError::SendBufferFull { .. }) => {
                still += 1;
                pair.run_for(SHORT / 6)?;
            }
            Err(other) => return Err(refused("send")(&other)),
        }
        ensure!(taken * message.len() <= MOST, "the queue has no bound: {MOST} bytes came and none was read");
    }
    let read = read(&mut pair, SUBJECT, taken, 10 * PATIENCE)?;
    ensure!(read.len() == taken, "{taken} messages were sent, and {} have come", read.len());
    Ok(())
}

fn malformed_before(setup: &Setup<'_>) -> Result<(), Trouble> {
    let genuine = setup.connected(&[SUBJECT])?.sent;
    for connecting in [false, true] {
        let mut pair = setup.pair(0, link::down());
        if connecting {
            let now = pair.now();
            pair.layers[SUBJECT].connect(now);
        }
        pair.run_for(SHORT)?;
        pair.sent = genuine.clone();
        pair.torment(SUBJECT)?;
        pair.run_for(SHORT)?;
        ensure!(!pair.layers[SUBJECT].is_established(), "established by noise");
    }
    Ok(())
}

fn malformed_after(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[PEER])?;
    passes_both_ways(&mut pair)?;
    pair.torment(SUBJECT)?;
    pair.run_for(SHORT)?;
    ensure!(pair.layers[SUBJECT].is_established(), "noise ends the association: {:?}", pair.told[SUBJECT]);
    passes_both_ways(&mut pair)
}

fn is_told(
    pair: &mut SctpPair<'_>,
    side: usize,
    what: &str,
    is: fn(&SctpClose) -> bool,
) -> Result<(), Trouble> {
    let closed = |event: &SctpEvent| matches!(event, SctpEvent::Closed(close) if is(close));
    let done = pair.run_until(PATIENCE, |pair| pair.told[side].iter().any(closed))?;
    ensure!(done, "the side {side} is not told of {what}, but {:?}", pair.told[side]);
    ensure!(!pair.layers[side].is_established(), "the side {side} is established after {what}");
    Ok(())
}

fn shuts_down(setup: &Setup<'_>, by: usize) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    for _ in 0..3 {
        must_send(&mut pair, by, &[1; 20_000])?;
    }
    let now = pair.now();
    pair.layers[by].shutdown(now);
    let outcome = send(&mut pair, by, b"data");
    ensure!(outcome == Err(SctpError::NotEstablished), "send after shutdown gives {outcome:?}");
    let read = read(&mut pair, 1 - by, 3, PATIENCE)?;
    ensure!(
        read.len() == 3,
        "{} messages have come of three that were queued before the shutdown",
        read.len()
    );
    for side in [SUBJECT, PEER] {
        is_told(&mut pair, side, "the shutdown", |close| *close == SctpClose::Shutdown)?;
    }
    ensure!(
        pair.layers[SUBJECT].poll_timeout().is_none(),
        "an association that has ended waits for something"
    );
    Ok(())
}

fn shutdown(setup: &Setup<'_>) -> Result<(), Trouble> {
    shuts_down(setup, SUBJECT)
}

fn shutdown_by_peer(setup: &Setup<'_>) -> Result<(), Trouble> {
    shuts_down(setup, PEER)
}

fn aborts(setup: &Setup<'_>, by: usize) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[SUBJECT])?;
    let now = pair.now();
    pair.layers[by].abort(now);
    is_told(&mut pair, by, "its own abort", |close| *close == SctpClose::Aborted)?;
    is_told(&mut pair, 1 - by, "the abort", |close| matches!(close, SctpClose::AbortedByPeer(_)))?;
    ensure!(
        pair.layers[SUBJECT].poll_timeout().is_none(),
        "an association that has ended waits for something"
    );
    Ok(())
}

fn abort(setup: &Setup<'_>) -> Result<(), Trouble> {
    aborts(setup, SUBJECT)
}

fn abort_by_peer(setup: &Setup<'_>) -> Result<(), Trouble> {
    aborts(setup, PEER)
}

fn close_early(setup: &Setup<'_>) -> Result<(), Trouble> {
    for connecting in [false, true] {
        for abort in [false, true] {
            let mut pair = setup.pair(0, link::down());
            let now = pair.now();
            let subject = &mut pair.layers[SUBJECT];
            if connecting {
                subject.connect(now);
            }
            if abort {
                subject.abort(now);
            } else {
                subject.shutdown(now);
            }
            pair.run_for(SHORT)?;
            ensure!(!pair.layers[SUBJECT].is_established(), "established after the end");
            let timeout = pair.layers[SUBJECT].poll_timeout();
            ensure!(timeout.is_none(), "an association that was ended early waits for something");
        }
    }
    Ok(())
}

fn sends_again(setup: &Setup<'_>) -> Result<(), Trouble> {
    /// RTO.Initial is 1 s and was 3 s (RFC 9260 §16, RFC 4960 §15).
    const SOON: Duration = Duration::from_secs(4);
    let mut pair = setup.pair(0, link::down());
    let now = pair.now();
    pair.layers[SUBJECT].connect(now);
    let done = pair.run_until(SHORT, |pair| pair.sent_count[SUBJECT] > 0)?;
    ensure!(done, "connect sends no INIT");
    let first = pair.sent_count[SUBJECT];
    let done = pair.run_until(SOON, |pair| pair.sent_count[SUBJECT] > first)?;
    ensure!(done, "the timer is late: a lost INIT is not sent again within {SOON:?}");
    pair.set_link(link::perfect());
    connect(&mut pair, &[])
}

fn idle_timer(setup: &Setup<'_>) -> Result<(), Trouble> {
    let pair = setup.pair(0, link::perfect());
    ensure!(
        pair.layers[SUBJECT].poll_timeout().is_none(),
        "an association that waits for an INIT has a timer"
    );
    let mut pair = setup.connected(&[SUBJECT])?;
    passes_both_ways(&mut pair)?;
    pair.run_for(2 * SHORT)?;
    // Heartbeats are due after half a minute (RFC 9260 §8.3).
    let before = pair.wake_ups[SUBJECT];
    pair.run_for(4 * SHORT)?;
    let woken = pair.wake_ups[SUBJECT] - before;
    ensure!(woken <= 2, "an idle association wants to be called {woken} times in {:?}", 4 * SHORT);
    Ok(())
}

fn idle_poll(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(&[PEER])?;
    passes_both_ways(&mut pair)?;
    pair.run_for(2 * SHORT)?;
    pair.check_idle(SUBJECT, setup.kit.heap)
}

fn leak(setup: &Setup<'_>) -> Result<(), Trouble> {
    leaves_nothing(&setup.kit, || {
        let mut pair = setup.connected(&[SUBJECT])?;
        passes_both_ways(&mut pair)?;
        must_send(&mut pair, PEER, &[1; 30_000])?;
        drop(pair);
        // And half an association.
        let mut pair = setup.pair(0, link::perfect());
        let now = pair.now();
        pair.layers[SUBJECT].connect(now);
        pair.run_for(Duration::from_millis(12))
    })
}
