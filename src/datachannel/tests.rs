use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::crypto::CryptoProvider;
use crate::layer::{
    Datagram, DtlsRole, FiveTuple, Layer, PayloadProtocol, Reliability, SctpError, SctpEvent, SctpTransport,
    SendOptions, StreamId, TransmitBatch,
};
use crate::sctp::{Association, Config};

#[cfg(feature = "aws-lc-rs")]
fn provider() -> CryptoProvider {
    crate::crypto::aws_lc_rs::provider()
}

#[cfg(all(feature = "rust-crypto", not(feature = "aws-lc-rs")))]
fn provider() -> CryptoProvider {
    crate::crypto::rust_crypto::provider()
}

/// What an application sees that reads at once.
#[derive(Debug, PartialEq)]
enum Seen {
    OpenedByPeer(ChannelId),
    Open(ChannelId),
    Message { channel: ChannelId, kind: MessageKind, payload: Bytes },
    Closing(ChannelId),
    Closed(ChannelId),
    Refused { stream: StreamId, error: DcepError },
}

struct End {
    association: Association,
    channels: DataChannels,
    events: Vec<Seen>,
    /// Kept apart, since every message ends in one.
    low: Vec<ChannelId>,
    /// The application leaves unread what it is told of.
    leaves_unread: bool,
}

struct Pair {
    now: Instant,
    a: End,
    b: End,
}

impl End {
    fn new(config: Config) -> Self {
        let association = Association::new(config, &provider());
        Self {
            association,
            channels: DataChannels::default(),
            events: Vec::new(),
            low: Vec::new(),
            leaves_unread: false,
        }
    }

    fn poll(&mut self, now: Instant) {
        while let Some(event) = self.association.poll_event() {
            self.channels.handle_event(&mut self.association, now, &event);
        }
        while let Some(event) = self.channels.poll_event(&mut self.association, now) {
            match event {
                ChannelEvent::BufferedAmountLow(id) => self.low.push(id),
                ChannelEvent::Readable(_) if self.leaves_unread => {}
                ChannelEvent::Readable(id) => self.receive(now, id),
                ChannelEvent::OpenedByPeer(id) => self.events.push(Seen::OpenedByPeer(id)),
                ChannelEvent::Open(id) => self.events.push(Seen::Open(id)),
                ChannelEvent::Closing(id) => self.events.push(Seen::Closing(id)),
                ChannelEvent::Closed(id) => self.events.push(Seen::Closed(id)),
                ChannelEvent::Refused { stream, error } => self.events.push(Seen::Refused { stream, error }),
            }
        }
    }

    fn receive(&mut self, now: Instant, id: ChannelId) {
        while let Some(Message { kind, data: payload }) =
            self.channels.receive(&mut self.association, now, id)
        {
            self.events.push(Seen::Message { channel: id, kind, payload });
        }
    }

    fn events(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.events)
    }

    fn open(&mut self, now: Instant, init: ChannelInit) -> ChannelId {
        self.channels.open(&mut self.association, now, init).unwrap()
    }

    fn send(&mut self, now: Instant, id: ChannelId, payload: &'static str) {
        let payload = Bytes::from(payload);
        self.channels.send(&mut self.association, now, id, MessageKind::Text, payload).unwrap();
    }

    fn close(&mut self, now: Instant, id: ChannelId) {
        self.channels.close(&mut self.association, now, id).unwrap();
    }

    /// Sends on a stream past the table of channels.
    fn send_raw(&mut self, now: Instant, stream: u16, protocol: u32, payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        let protocol = PayloadProtocol(protocol);
        self.association.send(now, StreamId(stream), protocol, payload, SendOptions::default()).unwrap();
    }
}

fn carry(from: &mut Association, to: &mut Association, now: Instant) -> bool {
    let path = FiveTuple::udp(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
    let mut batch = TransmitBatch::new(1200);
    let mut carried = false;
    while let Some(transmit) = from.poll_transmit(now, &mut batch) {
        for datagram in batch.datagrams_mut(&transmit) {
            to.handle_datagram(now, Datagram::new(path, datagram)).unwrap();
            carried = true;
        }
        batch.clear();
    }
    carried
}

impl Pair {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let mut pair = Self { now: Instant::now(), a: End::new(config.clone()), b: End::new(config) };
        let Self { now, a, b } = &mut pair;
        a.channels.set_role(&mut a.association, *now, DtlsRole::Client);
        b.channels.set_role(&mut b.association, *now, DtlsRole::Server);
        a.association.connect(*now);
        b.association.connect(*now);
        pair.run();
        pair
    }

    fn run(&mut self) {
        let Self { now, a, b } = self;
        loop {
            a.poll(*now);
            b.poll(*now);
            let there = carry(&mut a.association, &mut b.association, *now);
            let back = carry(&mut b.association, &mut a.association, *now);
            if !there && !back {
                return;
            }
        }
    }

    /// `b` only carries packets, and fetches no event. As soon as `a`'s channel `old` has closed, `again` opens
    /// another on its stream.
    fn use_again_unseen(
        &mut self,
        old: ChannelId,
        again: impl FnOnce(&mut End, Instant) -> ChannelId,
    ) -> ChannelId {
        let Self { now, a, b } = self;
        let (mut again, mut next) = (Some(again), None);
        loop {
            let there = carry(&mut a.association, &mut b.association, *now);
            let back = carry(&mut b.association, &mut a.association, *now);
            a.poll(*now);
            if a.channels.state(old).is_none()
                && let Some(again) = again.take()
            {
                next = Some(again(a, *now));
            } else if !there && !back {
                return next.expect("the old channel closed");
            }
        }
    }

    /// A channel that `a` opened, as each end knows it.
    fn opened(&mut self, init: ChannelInit) -> (ChannelId, ChannelId) {
        let ours = self.a.open(self.now, init);
        self.run();
        assert_eq!(self.a.events(), [Seen::Open(ours)]);
        let [Seen::OpenedByPeer(theirs)] = self.b.events()[..] else { panic!("not opened") };
        (ours, theirs)
    }
}

fn text(channel: ChannelId, payload: &'static str) -> Seen {
    Seen::Message { channel, kind: MessageKind::Text, payload: payload.into() }
}

#[test]
fn a_channel_is_opened_and_carries_messages_both_ways() {
    let mut pair = Pair::new();
    let init = ChannelInit {
        protocol: "chess".to_owned(),
        ordered: false,
        reliability: Reliability::MaxRetransmits(3),
        priority: 512,
        ..ChannelInit::new("game")
    };
    let (ours, theirs) = pair.opened(init.clone());
    assert_eq!(pair.b.channels.init(theirs), Some(&init));
    pair.a.send(pair.now, ours, "e4");
    pair.b.send(pair.now, theirs, "e5");
    pair.run();
    assert_eq!(pair.b.events(), [text(theirs, "e4")]);
    assert_eq!(pair.a.events(), [text(ours, "e5")]);
}

#[test]
fn clients_use_even_streams_and_servers_odd_ones() {
    let mut pair = Pair::new();
    for expected in [0, 2, 4] {
        let id = pair.a.open(pair.now, ChannelInit::new("a"));
        assert_eq!(pair.a.channels.stream(id), Some(StreamId(expected)));
        let id = pair.b.open(pair.now, ChannelInit::new("b"));
        assert_eq!(pair.b.channels.stream(id), Some(StreamId(expected + 1)));
    }
}

#[test]
fn a_channel_made_before_the_association_opens_with_it() {
    let mut pair =
        Pair { now: Instant::now(), a: End::new(Config::default()), b: End::new(Config::default()) };
    let early = pair.a.open(pair.now, ChannelInit::new("early"));
    let payload = Bytes::from("too soon");
    let refused = pair.a.channels.send(&mut pair.a.association, pair.now, early, MessageKind::Text, payload);
    assert_eq!(refused, Err(DataChannelError::NotOpen(early)));
    pair.a.association.connect(pair.now);
    pair.run();
    assert_eq!(pair.a.events(), [], "the role decides the stream");
    pair.a.channels.set_role(&mut pair.a.association, pair.now, DtlsRole::Server);
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Open(early)]);
    assert_eq!(pair.a.channels.stream(early), Some(StreamId(1)));
}

#[test]
fn negotiated_channels_need_no_message() {
    let mut pair = Pair::new();
    let init = ChannelInit { negotiated: Some(StreamId(7)), ..ChannelInit::new("agreed") };
    let ours = pair.a.open(pair.now, init.clone());
    let theirs = pair.b.open(pair.now, init.clone());
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Open(ours)]);
    assert_eq!(pair.b.events(), [Seen::Open(theirs)]);
    pair.a.send(pair.now, ours, "hello");
    pair.run();
    assert_eq!(pair.b.events(), [text(theirs, "hello")]);
    let again = pair.a.channels.open(&mut pair.a.association, pair.now, init);
    assert_eq!(again, Err(DataChannelError::StreamInUse(StreamId(7))));
}

#[test]
fn empty_messages_stay_empty() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("empty"));
    for kind in [MessageKind::Text, MessageKind::Binary] {
        pair.a.channels.send(&mut pair.a.association, pair.now, ours, kind, Bytes::new()).unwrap();
        pair.run();
        let message = Seen::Message { channel: theirs, kind, payload: Bytes::new() };
        assert_eq!(pair.b.events(), [message]);
    }
}

#[test]
fn closing_delivers_first_and_frees_the_stream() {
    let mut pair = Pair::new();
    for _ in 0..3 {
        let (ours, theirs) = pair.opened(ChannelInit::new("short"));
        assert_eq!(pair.a.channels.stream(ours), Some(StreamId(0)), "the stream is used again");
        pair.a.send(pair.now, ours, "last words");
        pair.a.close(pair.now, ours);
        assert_eq!(pair.a.channels.state(ours), Some(ChannelState::Closing));
        pair.run();
        let closing = [text(theirs, "last words"), Seen::Closing(theirs), Seen::Closed(theirs)];
        assert_eq!(pair.b.events(), closing);
        assert_eq!(pair.a.events(), [Seen::Closed(ours)]);
        assert_eq!(pair.a.channels.state(ours), None);
    }
}

#[test]
fn both_ends_may_close_at_once() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("both"));
    pair.a.close(pair.now, ours);
    pair.b.close(pair.now, theirs);
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Closed(ours)]);
    assert_eq!(pair.b.events(), [Seen::Closed(theirs)]);
}

/// The peer may open a channel on a stream as soon as both directions are reset, before this side has looked.
#[test]
fn a_stream_is_used_again_at_once() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("old"));
    pair.b.close(pair.now, theirs);
    let next = pair.use_again_unseen(ours, |a, now| a.open(now, ChannelInit::new("new")));
    assert_eq!(pair.a.channels.stream(next), Some(StreamId(0)));
    pair.run();
    let events = pair.b.events();
    assert!(matches!(events[..], [Seen::Closed(old), Seen::OpenedByPeer(_)] if old == theirs));
}

#[test]
fn the_end_of_the_association_closes_all_channels() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("x"));
    pair.a.association.abort(pair.now);
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Closed(ours)]);
    assert_eq!(pair.b.events(), [Seen::Closed(theirs)]);
    let payload = Bytes::from("?");
    let refused = pair.a.channels.send(&mut pair.a.association, pair.now, ours, MessageKind::Text, payload);
    assert_eq!(refused, Err(DataChannelError::NoChannel(ours)));
}

#[test]
fn the_buffered_amount_tells_when_it_is_low() {
    let mut pair = Pair::new();
    let (ours, _) = pair.opened(ChannelInit::new("bulk"));
    let End { association, channels, .. } = &mut pair.a;
    channels.set_buffered_amount_low_threshold(association, ours, 1000).unwrap();
    channels.send(association, pair.now, ours, MessageKind::Binary, Bytes::from(vec![0; 100_000])).unwrap();
    assert_eq!(channels.buffered_amount(association, ours), 100_000);
    pair.run();
    assert_eq!(pair.a.low, [ours], "once, and not for the OPEN");
}

#[test]
fn broken_establishment_closes_only_its_stream() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("good"));
    let init = ChannelInit::new("label");
    let open = Open::message(&init);
    let mut not_text = open.to_vec();
    not_text[12] = 0xff;
    for (stream, message, error) in [
        (10, &[][..], None),
        (10, &[9], Some(DcepError::UnknownType(9))),
        (12, &open[..11], Some(DcepError::TooShort { length: 11, needed: 12 })),
        (14, &open[..14], Some(DcepError::TooShort { length: 14, needed: 17 })),
        (16, &[&open[..], b"x"].concat(), Some(DcepError::TrailingBytes { excess: 1 })),
        (18, &[3, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Some(DcepError::UnknownChannelType(0x7f))),
        (20, &not_text, Some(DcepError::NotUtf8("label"))),
        (21, &open, Some(DcepError::WrongParity)),
        (22, &[2], Some(DcepError::OutOfPlace)),
    ] {
        let Some(error) = error else { continue };
        pair.a.send_raw(pair.now, stream, 50, message);
        pair.run();
        assert_eq!(pair.b.events(), [Seen::Refused { stream: StreamId(stream), error }]);
    }
    pair.a.send(pair.now, ours, "unharmed");
    pair.run();
    assert_eq!(pair.b.events(), [text(theirs, "unharmed")]);

    // A second OPEN on a stream closes its channel.
    pair.a.send_raw(pair.now, 0, 50, &open);
    pair.run();
    let error = DcepError::StreamInUse;
    let refused = Seen::Refused { stream: StreamId(0), error };
    assert_eq!(pair.b.events(), [refused, Seen::Closed(theirs)]);
}

#[test]
fn the_peer_cannot_open_more_than_the_limits_allow() {
    let mut pair = Pair::new();
    pair.b.channels = DataChannels::new(Limits { channels: 2, peer_names: 10, ..Limits::default() });
    pair.b.channels.set_role(&mut pair.b.association, pair.now, DtlsRole::Server);
    pair.a.open(pair.now, ChannelInit::new("much too long"));
    pair.run();
    let error = DcepError::Limit("labels and protocols");
    assert_eq!(pair.b.events(), [Seen::Refused { stream: StreamId(0), error }]);
    for _ in 0..3 {
        pair.a.open(pair.now, ChannelInit::new("ok"));
    }
    pair.run();
    let error = DcepError::Limit("channels");
    assert!(matches!(&pair.b.events()[2], Seen::Refused { error: got, .. } if *got == error));
    assert_eq!(pair.b.channels.iter().count(), 2);
}

#[test]
fn deprecated_parts_make_a_message() {
    let mut pair = Pair::new();
    let (_, theirs) = pair.opened(ChannelInit::new("old"));
    pair.a.send_raw(pair.now, 0, 54, b"one ");
    pair.a.send_raw(pair.now, 0, 54, b"two ");
    pair.a.send_raw(pair.now, 0, 51, b"three");
    pair.run();
    assert_eq!(pair.b.events(), [text(theirs, "one two three")]);
    for _ in 0..5 {
        pair.a.send_raw(pair.now, 0, 52, &[0; 60_000]);
    }
    pair.run();
    assert!(pair.b.events().contains(&Seen::Closing(theirs)), "parts without end are refused");
}

#[test]
fn a_channel_without_a_stream_left_is_closed() {
    let mut pair = Pair::with(Config { streams: 2, ..Config::default() });
    pair.opened(ChannelInit::new("fits"));
    let second = pair.a.open(pair.now, ChannelInit::new("does not"));
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Closed(second)]);
}

/// A channel whose OPEN found no room in the send buffer, where a short message would have found some.
fn pair_with_an_open_that_waits() -> (Pair, ChannelId) {
    let mut pair = Pair::with(Config { send_buffer: 300_000, ..Config::default() });
    let (bulk, _) = pair.opened(ChannelInit::new("bulk"));
    let End { association, channels, .. } = &mut pair.a;
    for size in [262_144, 19_888] {
        let payload = Bytes::from(vec![0; size]);
        channels.send(association, pair.now, bulk, MessageKind::Binary, payload).unwrap();
    }
    let waits = pair.a.open(pair.now, ChannelInit::new("longer than the twenty bytes that are left"));
    (pair, waits)
}

#[test]
fn no_message_overtakes_the_open_of_its_channel() {
    let (mut pair, ours) = pair_with_an_open_that_waits();
    let End { association, channels, .. } = &mut pair.a;
    let early = channels.send(association, pair.now, ours, MessageKind::Text, "early".into());
    let full = DataChannelError::Sctp(SctpError::SendBufferFull { limit: 300_000 });
    assert_eq!(early, Err(full));
    pair.run();
    pair.a.send(pair.now, ours, "in time");
    pair.run();
    let events = pair.b.events();
    let [.., Seen::OpenedByPeer(theirs), message] = &events[..] else { panic!("{events:?}") };
    assert_eq!(*message, text(*theirs, "in time"));
}

#[test]
fn a_channel_of_which_the_peer_never_heard_closes_at_once() {
    let (mut pair, ours) = pair_with_an_open_that_waits();
    pair.a.close(pair.now, ours);
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Open(ours), Seen::Closed(ours)]);
    assert!(!pair.b.events().iter().any(|event| matches!(event, Seen::OpenedByPeer(_))));
}

#[test]
fn a_channel_whose_announcement_the_peer_cannot_take_is_closed() {
    let mut pair = Pair::new();
    pair.a.association.set_remote_max_message_size(50);
    let id = pair.a.open(pair.now, ChannelInit::new("x".repeat(100)));
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Closed(id)]);
}

#[test]
fn what_arrived_is_delivered_before_the_end() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("x"));
    pair.a.send(pair.now, ours, "last words");
    let Pair { now, a, b } = &mut pair;
    carry(&mut a.association, &mut b.association, *now);
    a.association.abort(*now);
    carry(&mut a.association, &mut b.association, *now);
    while let Some(event) = b.association.poll_event() {
        b.channels.handle_event(&mut b.association, *now, &event);
    }
    assert_eq!(b.channels.state(theirs), Some(ChannelState::Closing));
    let answer = b.channels.send(&mut b.association, *now, theirs, MessageKind::Text, "?".into());
    assert_eq!(answer, Err(DataChannelError::NotOpen(theirs)));
    b.poll(*now);
    assert_eq!(pair.b.events(), [text(theirs, "last words"), Seen::Closed(theirs)]);
}

#[test]
fn what_this_side_ended_is_not_read_any_more() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("x"));
    pair.a.send(pair.now, ours, "unread");
    pair.a.open(pair.now, ChannelInit::new("unseen"));
    let Pair { now, a, b } = &mut pair;
    carry(&mut a.association, &mut b.association, *now);
    b.association.abort(*now);
    b.poll(*now);
    assert_eq!(pair.b.events(), [Seen::Closed(theirs)]);
    assert_eq!(pair.b.channels.iter().count(), 0);
}

/// The peer may use a stream again as soon as it has carried out the reset of this side, whether or not its
/// answer arrived.
#[test]
fn a_stream_is_used_again_while_the_answer_is_on_its_way() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("old"));
    pair.a.close(pair.now, ours);
    let Pair { now, a, b } = &mut pair;
    carry(&mut a.association, &mut b.association, *now);
    b.poll(*now);
    carry(&mut b.association, &mut a.association, *now);
    a.poll(*now);
    assert_eq!(a.channels.state(ours), None);
    let mut lost = TransmitBatch::new(1200);
    while a.association.poll_transmit(*now, &mut lost).is_some() {}
    let next = a.open(*now, ChannelInit::new("new"));
    assert_eq!(a.channels.stream(next), Some(StreamId(0)));
    a.send(*now, next, "hello");
    pair.run();
    pair.now = pair.b.association.poll_timeout().unwrap();
    pair.b.association.handle_timeout(pair.now);
    pair.run();
    let events = pair.b.events();
    let [closing, closed, Seen::OpenedByPeer(opened), message] = &events[..] else { panic!("{events:?}") };
    assert_eq!([closing, closed], [&Seen::Closing(theirs), &Seen::Closed(theirs)]);
    assert_eq!(*message, text(*opened, "hello"));
}

/// What the peer sent on the last channel of a stream is not taken for a message of the next one.
#[test]
fn an_unread_message_is_not_one_of_the_next_channel() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("old"));
    pair.b.send(pair.now, theirs, "stale");
    pair.a.close(pair.now, ours);
    let Pair { now, a, b } = &mut pair;
    while carry(&mut a.association, &mut b.association, *now)
        | carry(&mut b.association, &mut a.association, *now)
    {
        b.poll(*now);
    }
    while let Some(event) = a.association.poll_event() {
        a.channels.handle_event(&mut a.association, *now, &event);
    }
    assert_eq!(a.channels.poll_event(&mut a.association, *now), Some(ChannelEvent::Closed(ours)));
    let next = a.open(*now, ChannelInit::new("new"));
    assert_eq!(a.channels.stream(next), Some(StreamId(0)));
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Open(next)]);
}

#[test]
fn a_channel_may_be_closed_as_soon_as_it_is_opened() {
    let mut pair = Pair::new();
    let ours = pair.a.open(pair.now, ChannelInit::new("short"));
    pair.a.close(pair.now, ours);
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Open(ours), Seen::Closed(ours)]);
    assert!(matches!(pair.b.events()[..], [Seen::OpenedByPeer(_), Seen::Closing(_), Seen::Closed(_)]));
}

/// While this side does not look, the peer finishes one channel and opens and closes the next.
#[test]
fn two_channels_of_a_stream_may_end_unseen() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("old"));
    pair.b.close(pair.now, theirs);
    pair.use_again_unseen(ours, |a, now| {
        let id = a.open(now, ChannelInit::new("new"));
        a.send(now, id, "hello");
        a.close(now, id);
        id
    });
    pair.run();
    let events = pair.b.events();
    let [closed, Seen::OpenedByPeer(new), message, closing, closed_too] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!([closed, closed_too], [&Seen::Closed(theirs), &Seen::Closed(*new)]);
    assert_eq!([message, closing], [&text(*new, "hello"), &Seen::Closing(*new)]);
    assert_eq!(pair.a.channels.iter().count() + pair.b.channels.iter().count(), 0);
}

/// RFC 6525 §5.2.3: a peer may ask for the reset of a stream, which is none of the channel's closing.
#[test]
fn a_reset_that_the_peer_asked_for_does_not_keep_a_channel_from_closing() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("x"));
    let stream = StreamId(0);
    let End { association, channels, .. } = &mut pair.a;
    channels.handle_event(association, pair.now, &SctpEvent::OutgoingStreamReset(stream));
    pair.a.close(pair.now, ours);
    pair.run();
    assert_eq!(pair.a.events(), [Seen::Closed(ours)]);
    assert_eq!(pair.b.events(), [Seen::Closing(theirs), Seen::Closed(theirs)]);
}

/// A reader that always finds something to read still learns of a channel that the peer closed.
#[test]
fn a_busy_reader_learns_of_a_closed_channel() {
    let mut pair = Pair::new();
    let (busy, _) = pair.opened(ChannelInit::new("busy"));
    let (short, theirs) = pair.opened(ChannelInit::new("short"));
    let more = |pair: &mut Pair| {
        pair.a.send(pair.now, busy, "more");
        carry(&mut pair.a.association, &mut pair.b.association, pair.now);
        carry(&mut pair.b.association, &mut pair.a.association, pair.now);
    };
    (0..5).for_each(|_| more(&mut pair));
    pair.a.close(pair.now, short);
    let closing = (0..20).position(|_| {
        more(&mut pair);
        let End { association, channels, .. } = &mut pair.b;
        while let Some(event) = association.poll_event() {
            channels.handle_event(association, pair.now, &event);
        }
        std::iter::from_fn(|| channels.poll_event(association, pair.now))
            .any(|event| event == ChannelEvent::Closing(theirs))
    });
    assert_eq!(closing, Some(0), "it waits for nothing that is unread");
}

#[test]
fn parts_on_all_channels_together_are_bounded() {
    let mut pair = Pair::new();
    pair.b.channels = DataChannels::new(Limits { partial_messages: 1000, ..Limits::default() });
    pair.b.channels.set_role(&mut pair.b.association, pair.now, DtlsRole::Server);
    for label in ["first", "second"] {
        pair.opened(ChannelInit::new(label));
    }
    pair.a.send_raw(pair.now, 0, 52, &[1; 600]);
    pair.run();
    assert_eq!(pair.b.events(), []);
    pair.a.send_raw(pair.now, 2, 52, &[2; 600]);
    pair.run();
    assert!(matches!(pair.b.events()[..], [Seen::Closing(_), Seen::Closed(_)]));
    // What is complete makes room.
    pair.a.send_raw(pair.now, 0, 53, &[1; 100]);
    pair.a.send_raw(pair.now, 0, 52, &[3; 900]);
    pair.run();
    assert!(matches!(pair.b.events()[..], [Seen::Message { .. }]));
}

proptest! {
    #[test]
    fn open_survives_the_wire(
        label in ".{0,40}", protocol in ".{0,40}", ordered: bool, priority: u16, kind in 0..3, value: u16
    ) {
        let reliability = match kind {
            0 => Reliability::Reliable,
            1 => Reliability::MaxRetransmits(value),
            _ => Reliability::MaxLifetime(Duration::from_millis(value.into())),
        };
        let init = ChannelInit { label, protocol, ordered, reliability, priority, negotiated: None };
        let Ok(Dcep::Open(open)) = Dcep::parse(&Open::message(&init)) else { panic!("no OPEN") };
        let Open { ordered, reliability, priority, label, protocol } = open;
        prop_assert_eq!(ChannelInit { label, protocol, ordered, reliability, priority, negotiated: None }, init);
    }

    /// Whatever a peer sends and resets, and whenever this side looks, the table adds up and nothing is kept of
    /// what is gone.
    #[test]
    fn no_peer_confuses_the_table(
        steps in proptest::collection::vec((0u8..12, 0u16..4, 0u8..3), 0..80)
    ) {
        let mut pair = Pair::new();
        pair.b.channels =
            DataChannels::new(Limits { channels: 3, peer_names: 20, partial_messages: 50, ..Limits::default() });
        pair.b.channels.set_role(&mut pair.b.association, pair.now, DtlsRole::Server);
        let open = Open::message(&ChannelInit::new("label"));
        let Pair { now, a, b } = &mut pair;
        let mut ours = Vec::new();
        for (what, stream, choice) in steps {
            let id = StreamId(stream);
            let mut send = |protocol: u32, payload: &[u8]| {
                let payload = Bytes::copy_from_slice(payload);
                let _ = a.association.send(*now, id, PayloadProtocol(protocol), payload, SendOptions::default());
            };
            match what {
                0 | 1 => send(50, &open),
                2 => send(50, &[2]),
                3 => send(50, &[3 + choice]),
                4 => send(52 + 2 * u32::from(choice % 2), &[1; 20]),
                5 => send([51, 53, 56][usize::from(choice)], &[2; 10]),
                6 => drop(a.association.reset_streams(*now, &[id])),
                7 => ours.extend(b.channels.open(&mut b.association, *now, ChannelInit::new("ours"))),
                8 => drop(ours.pop().map(|id| b.channels.close(&mut b.association, *now, id))),
                9 => b.poll(*now),
                _ => {
                    carry(&mut a.association, &mut b.association, *now);
                    carry(&mut b.association, &mut a.association, *now);
                    while a.association.receive().is_some() || a.association.poll_event().is_some() {}
                }
            }
            b.channels.check();
        }
        b.association.abort(*now);
        b.poll(*now);
        b.channels.check();
        prop_assert_eq!(b.channels.iter().count(), 0);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
        let _ = Dcep::parse(&bytes);
    }
}

/// Sends on a channel of `a` until nothing more goes. Says how many messages that were.
fn fill(pair: &mut Pair, id: ChannelId, len: usize) -> usize {
    let payload = Bytes::from(vec![7; len]);
    for count in 0.. {
        let End { association, channels, .. } = &mut pair.a;
        if channels.send(association, pair.now, id, MessageKind::Binary, payload.clone()).is_err() {
            pair.run();
            let End { association, channels, .. } = &mut pair.a;
            if channels.send(association, pair.now, id, MessageKind::Binary, payload.clone()).is_err() {
                return count;
            }
        }
    }
    unreachable!()
}

/// What one channel's reader leaves undone holds up no other channel's sending, opening, closing or news.
#[test]
fn an_unread_channel_holds_up_no_other() {
    let mut pair = Pair::new();
    let (full, theirs_full) = pair.opened(ChannelInit::new("full"));
    let (other, theirs_other) = pair.opened(ChannelInit::new("other"));
    pair.b.leaves_unread = true;
    let sent = fill(&mut pair, full, 50_000);
    assert!(sent > 20, "{sent}");
    assert_eq!(pair.b.events(), []);
    // Its own sending.
    pair.b.send(pair.now, theirs_other, "from the one that does not read");
    pair.run();
    assert_eq!(pair.a.events(), [text(other, "from the one that does not read")]);
    // News of the other channel.
    pair.a.close(pair.now, other);
    for _ in 0..6 {
        // The probe of the closed window, after which the reset comes, takes a timeout.
        pair.now = pair.a.association.poll_timeout().unwrap();
        pair.a.association.handle_timeout(pair.now);
        pair.run();
    }
    assert_eq!(pair.b.events(), [Seen::Closing(theirs_other), Seen::Closed(theirs_other)]);
    assert_eq!(pair.a.events(), [Seen::Closed(other)]);
    // Opening.
    let opened = pair.b.open(pair.now, ChannelInit::new("opened meanwhile"));
    pair.run();
    assert_eq!(pair.b.events(), [Seen::Open(opened)]);
    assert!(matches!(pair.a.events()[..], [Seen::OpenedByPeer(_)]));
    // What is read makes room for the rest.
    pair.b.leaves_unread = false;
    let mut received = 0;
    for _ in 0..100 {
        pair.b.receive(pair.now, theirs_full);
        received += pair.b.events().len();
        pair.run();
    }
    assert_eq!(received, sent);
}

/// What arrived before the end of a channel can be read after it, or is thrown away.
#[test]
fn what_is_unread_of_a_closed_channel_can_still_be_read() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("x"));
    let (more, theirs_too) = pair.opened(ChannelInit::new("y"));
    pair.b.leaves_unread = true;
    for id in [ours, more] {
        pair.a.send(pair.now, id, "last words");
        pair.a.close(pair.now, id);
    }
    pair.run();
    let ends =
        [Seen::Closing(theirs), Seen::Closing(theirs_too), Seen::Closed(theirs), Seen::Closed(theirs_too)];
    let events = pair.b.events();
    assert!(ends.iter().all(|end| events.contains(end)), "{events:?}");
    pair.b.receive(pair.now, theirs);
    assert_eq!(pair.b.events(), [text(theirs, "last words")]);
    pair.b.channels.discard(&mut pair.b.association, theirs_too);
    pair.b.receive(pair.now, theirs_too);
    assert_eq!(pair.b.events(), []);
    pair.b.channels.check();
    assert_eq!(pair.b.association.statistics().receive_buffered, 0);
}

/// A peer that opens channels for an application that fetches no events gets so many, and holds up nothing.
#[test]
fn channels_that_nobody_asked_for_hold_up_nothing() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.opened(ChannelInit::new("wanted"));
    pair.b.channels.limits.events = 100;
    let Pair { now, a, b } = &mut pair;
    let exchange = |a: &mut End, b: &mut End| {
        while carry(&mut a.association, &mut b.association, *now)
            | carry(&mut b.association, &mut a.association, *now)
        {
            while let Some(event) = b.association.poll_event() {
                b.channels.handle_event(&mut b.association, *now, &event);
            }
            b.channels.advance(&mut b.association, *now);
            a.poll(*now);
        }
    };
    for _ in 0..300 {
        let id = a.open(*now, ChannelInit::new("unwanted"));
        a.send(*now, id, "unread");
        exchange(a, b);
        // It may have been refused.
        let _ = a.channels.close(&mut a.association, *now, id);
        exchange(a, b);
    }
    assert!(b.channels.events.len() < 110, "{}", b.channels.events.len());
    a.events();
    b.send(*now, theirs, "still here");
    exchange(a, b);
    assert_eq!(a.events(), [text(ours, "still here")]);
    assert!(b.channels.iter().count() < 3, "what was refused is gone");
    b.channels.check();
}
