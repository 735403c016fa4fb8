//! An association of Kaon and one of another implementation, in both roles, with packets lost on the way.

mod sctp_peer;

use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_differential::seeds;
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::{
    Association, Config, PayloadProtocol, Reliability, SctpClose, SctpEvent, SctpTransport, SendOptions,
    StreamId,
};
use sctp_peer::{DcSctp, Peer, STREAM, SctpProto, address};

struct Pair<P> {
    now: Instant,
    random: SeededRandom,
    /// In percent.
    loss: u64,
    kaon: Association,
    events: Vec<SctpEvent>,
    received: Vec<Bytes>,
    peer: P,
}

impl<P: Peer> Pair<P> {
    fn new(seed: u64, loss: u64, kaon_connects: bool) -> Self {
        let now = Instant::now();
        let mut config = Config::default();
        config.max_retransmits = 50;
        config.max_init_retransmits = 50;
        let mut kaon = Association::new(config, &aws_lc_rs::provider());
        if kaon_connects {
            kaon.connect(now);
        }
        Self {
            now,
            random: SeededRandom::new(seed),
            loss,
            kaon,
            events: Vec::new(),
            received: Vec::new(),
            peer: P::new(now, !kaon_connects),
        }
    }

    fn is_lost(&self) -> bool {
        self.random.next_u64() % 100 < self.loss
    }

    fn step(&mut self) {
        let path = FiveTuple::udp(address(), address());
        let mut moved = false;
        let mut batch = TransmitBatch::new(1200);
        self.kaon.handle_timeout(self.now);
        while let Some(transmit) = self.kaon.poll_transmit(self.now, &mut batch) {
            for datagram in batch.datagrams(&transmit) {
                moved = true;
                if !self.is_lost() {
                    self.peer.handle(self.now, datagram);
                }
            }
            batch.clear();
        }
        for packet in self.peer.poll(self.now) {
            moved = true;
            if !self.is_lost() {
                let _ = self.kaon.handle_datagram(self.now, Datagram::new(path, &mut packet.clone()));
            }
        }
        self.events.extend(std::iter::from_fn(|| self.kaon.poll_event()));
        self.received.extend(std::iter::from_fn(|| self.kaon.receive()).map(|message| message.payload));
        if !moved {
            let next = [self.kaon.poll_timeout(), self.peer.poll_timeout()].into_iter().flatten().min();
            self.now = next.unwrap_or(self.now).max(self.now + Duration::from_millis(1));
        } else {
            self.now += Duration::from_micros(100);
        }
    }

    fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..400_000 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("no {what}: {:?}", self.kaon.statistics());
    }

    fn connect(&mut self) {
        self.run_until("connection", |pair| pair.kaon.is_established() && pair.peer.is_connected());
    }

    fn send(&mut self, message: Bytes, options: SendOptions) {
        self.kaon.send(self.now, StreamId(STREAM), PayloadProtocol::BINARY, message, options).unwrap();
    }
}

fn messages(seed: u64, count: usize) -> Vec<Bytes> {
    let random = SeededRandom::new(seed);
    let message = |index: usize| {
        let length = match random.next_u64() % 4 {
            0 => random.next_u64() % 60_000,
            _ => random.next_u64() % 3000,
        };
        (0..=length as usize).map(|at| (at * 7 + index) as u8).collect()
    };
    (0..count).map(message).collect()
}

fn messages_pass_both_ways<P: Peer>() {
    for seed in seeds(40) {
        for kaon_connects in [true, false] {
            let mut pair = Pair::<P>::new(seed, seed % 4 * 3, kaon_connects);
            pair.connect();
            let (ours, theirs) = (messages(seed, 40), messages(seed + 1000, 40));
            for (our, their) in ours.iter().zip(&theirs) {
                pair.send(our.clone(), SendOptions::default());
                pair.peer.send(their, true);
            }
            pair.run_until("delivery", |pair| {
                pair.received.len() >= theirs.len() && pair.peer.received().len() >= ours.len()
            });
            assert_eq!(pair.peer.received(), ours, "seed {seed}");
            assert_eq!(pair.received, theirs, "seed {seed}");
            assert_eq!(pair.kaon.statistics().receive_buffered, 0);
        }
    }
}

fn partially_reliable_messages_are_skipped_on_both_sides<P: Peer>() {
    for seed in seeds(40) {
        let mut pair = Pair::<P>::new(seed, 10, seed % 2 == 0);
        pair.connect();
        let once = SendOptions::new(false, Reliability::MaxRetransmits(0));
        let ours = messages(seed, 40);
        pair.peer.send(&Bytes::from("first"), true);
        for message in &ours {
            pair.send(message.clone(), once);
            pair.peer.send(message, false);
        }
        let last = Bytes::from("last");
        pair.send(last.clone(), SendOptions::default());
        pair.peer.send(&last, true);
        pair.run_until("last message", |pair| {
            pair.received.last() == Some(&last) && pair.peer.received().last() == Some(&last)
        });
        // What did arrive is intact and in order.
        let mut wanted = ours.iter();
        let arrived = &pair.peer.received()[..pair.peer.received().len() - 1];
        assert!(arrived.iter().all(|message| wanted.any(|our| our == message)), "seed {seed}");
    }
}

fn a_shutdown_ends_both<P: Peer>() {
    for seed in seeds(20) {
        let mut pair = Pair::<P>::new(seed, seed % 3 * 5, seed % 2 == 0);
        pair.connect();
        let ours = messages(seed, 10);
        for message in &ours {
            pair.send(message.clone(), SendOptions::default());
        }
        pair.kaon.shutdown(pair.now);
        pair.run_until("end", |pair| pair.events.iter().any(|event| matches!(event, SctpEvent::Closed(_))));
        assert!(pair.events.contains(&SctpEvent::Closed(SctpClose::Shutdown)), "seed {seed}");
        assert_eq!(pair.peer.received(), ours, "seed {seed}");
    }
}

fn a_stream_reset_is_answered<P: Peer>() {
    for kaon_connects in [true, false] {
        let mut pair = Pair::<P>::new(5, 5, kaon_connects);
        pair.connect();
        pair.send("before".into(), SendOptions::default());
        pair.run_until("delivery", |pair| pair.peer.received().len() == 1);
        let stream = StreamId(STREAM);
        pair.kaon.reset_streams(pair.now, &[stream]).unwrap();
        pair.run_until("reset", |pair| pair.events.contains(&SctpEvent::OutgoingStreamReset(stream)));
        pair.send("after".into(), SendOptions::default());
        pair.run_until("delivery on the new stream", |pair| pair.peer.received().len() == 2);
        assert_eq!(pair.peer.received(), ["before", "after"]);
    }
}

mod with_sctp_proto {
    use super::SctpProto;

    #[test]
    fn messages_pass_both_ways() {
        super::messages_pass_both_ways::<SctpProto>();
    }

    #[test]
    fn partially_reliable_messages_are_skipped_on_both_sides() {
        super::partially_reliable_messages_are_skipped_on_both_sides::<SctpProto>();
    }

    #[test]
    fn a_shutdown_ends_both() {
        super::a_shutdown_ends_both::<SctpProto>();
    }

    #[test]
    fn a_stream_reset_is_answered() {
        super::a_stream_reset_is_answered::<SctpProto>();
    }
}

mod with_dcsctp {
    use super::DcSctp;

    #[test]
    fn messages_pass_both_ways() {
        super::messages_pass_both_ways::<DcSctp>();
    }

    #[test]
    fn partially_reliable_messages_are_skipped_on_both_sides() {
        super::partially_reliable_messages_are_skipped_on_both_sides::<DcSctp>();
    }

    #[test]
    fn a_shutdown_ends_both() {
        super::a_shutdown_ends_both::<DcSctp>();
    }

    #[test]
    fn a_stream_reset_is_answered() {
        super::a_stream_reset_is_answered::<DcSctp>();
    }
}
