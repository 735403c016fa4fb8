//! The receiving half of an association.

use std::time::{Duration, Instant};

use super::delivery::Delivery;
use super::reassembly::Reassembly;
use super::tracker::{Arrival, TsnTracker};
use crate::layer::{Held, Received, StreamId};
use crate::sctp::Config;
use crate::sctp::sequence::Tsn;
use crate::sctp::wire::{Data, ForwardTsn, PacketWriter, Sack};

/// Takes DATA chunks, acknowledges them, and gives messages.
#[derive(Debug)]
pub(crate) struct Receiver {
    tracker: TsnTracker,
    reassembly: Reassembly,
    delivery: Delivery,
    /// What the caller keeps of what it read.
    kept: Held,
    /// How many streams wait for the peer to confirm a reset.
    resetting: usize,
    /// The caller says what it keeps, so what it reads is not used up yet.
    caller_keeps: bool,
    max_message: usize,
    /// The peer waits for what it sent up to here to arrive before a stream can be reset.
    awaited: Option<Tsn>,
    window: Window,
    streams: u16,
    /// Packets with DATA since the last SACK.
    unacknowledged: u32,
    sack_now: bool,
}

/// The receive window: as large as the reader is fast.
#[derive(Debug)]
struct Window {
    size: usize,
    /// The budget: what messages, fragments and tables may count for together.
    max: usize,
    /// What the last SACK told the peer.
    advertised: usize,
    /// Bytes read since `since`.
    read: usize,
    since: Option<Instant>,
    last_arrival: Option<Instant>,
    round_trip: Duration,
}

/// Why a DATA chunk was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataRefused {
    /// There is no such stream; the chunk counts as received (RFC 9260 §6.5).
    InvalidStream,
    /// It carries nothing (§6.2).
    NoUserData,
    /// The peer broke the protocol.
    Violation(&'static str),
}

impl Receiver {
    /// What a stream counts for whose reset is under way: its place in tables that are half empty.
    const RESET_CHARGE: usize = 16;

    pub(crate) fn new(config: &Config, initial_tsn: Tsn, streams: u16) -> Self {
        Self {
            tracker: TsnTracker::new(initial_tsn, config.max_gaps),
            reassembly: Reassembly::new(config.max_receive_message),
            delivery: Delivery::default(),
            kept: Held::default(),
            resetting: 0,
            caller_keeps: false,
            max_message: config.max_receive_message,
            awaited: None,
            window: Window {
                size: config.initial_receive_window,
                max: config.max_receive_window,
                advertised: config.initial_receive_window,
                read: 0,
                since: None,
                last_arrival: None,
                round_trip: Duration::ZERO,
            },
            streams,
            unacknowledged: 0,
            sack_now: false,
        }
    }

    pub(crate) fn handle_data(&mut self, now: Instant, data: &Data<'_>) -> Result<(), DataRefused> {
        if data.payload.is_empty() {
            return Err(DataRefused::NoUserData);
        }
        self.window.last_arrival = Some(now);
        self.sack_now |= data.flags & Data::IMMEDIATE != 0;
        let had_gaps = self.tracker.has_gaps();
        match self.tracker.classify(data.tsn) {
            Arrival::InSequence | Arrival::OutOfSequence if self.open_window() > 0 => {}
            // What comes next in sequence may exceed the window by a message where only it can make what waits
            // readable; and so may what the reset of a stream waits for, lest an unread stream keep another open.
            Arrival::FirstHole if self.overdraft() < self.max_message => {}
            Arrival::InSequence if self.needs(data.tsn) && self.overdraft() < self.max_message => {}
            Arrival::Duplicate => {
                self.tracker.note_duplicate(data.tsn);
                self.sack_now = true;
                return Ok(());
            }
            // No room: the peer learns from the SACK that it was not taken.
            _ => {
                self.sack_now = true;
                return Ok(());
            }
        }
        let at = self.tracker.position(data.tsn);
        self.tracker.insert(data.tsn);
        // RFC 9260 §6.7: a SACK at once while there is a gap, and when one is filled.
        self.sack_now |= had_gaps || self.tracker.has_gaps();
        if data.stream.0 >= self.streams {
            return Err(DataRefused::InvalidStream);
        }
        let cumulative = self.tracker.position(self.tracker.cumulative());
        let complete = self.reassembly.insert(data, at, cumulative).map_err(DataRefused::Violation)?;
        if let Some(message) = complete {
            self.delivery.insert(message);
        }
        Ok(())
    }

    /// Whether nothing goes on without a TSN: nothing can be read meanwhile, or a reset waits for it.
    fn needs(&self, tsn: Tsn) -> bool {
        let is_unread = self.delivery.is_readable() || self.kept.unread > 0;
        !is_unread || self.awaited.is_some_and(|last| last.is_at_or_after(tsn))
    }

    /// A packet with DATA ended. Says whether a SACK may wait.
    pub(crate) fn end_packet(&mut self) -> bool {
        self.unacknowledged += 1;
        // §6.2: at least every second packet is acknowledged.
        self.sack_now |= self.unacknowledged >= 2;
        !self.sack_now
    }

    pub(crate) fn handle_forward_tsn(&mut self, forward: &ForwardTsn<'_>) {
        self.sack_now = true;
        if !forward.new_cumulative_tsn.is_after(self.tracker.cumulative()) {
            return;
        }
        let skipped = self.tracker.position(forward.new_cumulative_tsn);
        self.tracker.advance(forward.new_cumulative_tsn);
        self.reassembly.skip_to(skipped);
        // What follows may have been waiting, its beginning among what was skipped.
        self.reassembly.drop_headless(self.tracker.position(self.tracker.cumulative()));
        for (stream, ssn) in forward.skipped().filter(|(stream, _)| stream.0 < self.streams) {
            self.delivery.skip(stream, ssn);
        }
    }

    pub(crate) fn cumulative(&self) -> Tsn {
        self.tracker.cumulative()
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.delivery.is_readable()
    }

    /// How many messages wait to be read.
    pub(crate) fn unread(&self) -> usize {
        self.delivery.unread()
    }

    /// The next message. [`wants_sack`](Self::wants_sack) may become true.
    pub(crate) fn read(&mut self) -> Option<Received> {
        let received = self.delivery.pop()?;
        if !self.caller_keeps {
            self.note_read(received.payload.len());
        }
        Some(received)
    }

    /// Takes what the caller keeps of what it read. [`wants_sack`](Self::wants_sack) may become true.
    pub(crate) fn set_kept(&mut self, kept: Held) {
        self.caller_keeps = true;
        let before = std::mem::replace(&mut self.kept, kept);
        if kept.unread < before.unread {
            self.note_read(before.unread - kept.unread);
        } else if kept.channels < before.channels {
            self.note_room();
        }
    }

    /// Takes how many streams wait for the peer to confirm a reset of this side, which it may have made necessary and
    /// may leave undone. [`wants_sack`](Self::wants_sack) may become true.
    pub(crate) fn set_resetting(&mut self, streams: usize) {
        self.resetting = streams;
        self.note_room();
    }

    /// The application has read so many bytes.
    fn note_read(&mut self, bytes: usize) {
        self.window.note_read(bytes);
        self.note_room();
    }

    /// A window that was nearly closed is open again (RFC 9260 §6.2).
    fn note_room(&mut self) {
        let full = self.window.size.min(self.window.max.saturating_sub(self.fixed()));
        self.sack_now |= self.window.advertised < full / 4 && self.open_window() >= full / 2;
    }

    /// What messages and fragments count for, those that the caller has not used up included.
    fn data(&self) -> usize {
        self.reassembly.charge() + self.delivery.charge() + self.kept.unread
    }

    /// What is held besides, however fast the application reads.
    fn fixed(&self) -> usize {
        self.delivery.table_charge()
            + self.tracker.charge()
            + self.kept.channels
            + self.resetting * Self::RESET_CHARGE
    }

    /// Bytes of messages and fragments that wait and of tables, with their overhead.
    pub(crate) fn held(&self) -> usize {
        self.data() + self.fixed()
    }

    fn open_window(&self) -> usize {
        let data = self.data();
        let budget = self.window.max.saturating_sub(data + self.fixed());
        self.window.size.saturating_sub(data).min(budget)
    }

    /// By how much more than the window is held.
    fn overdraft(&self) -> usize {
        let data = self.data();
        let over_budget = (data + self.fixed()).saturating_sub(self.window.max);
        data.saturating_sub(self.window.size).max(over_budget)
    }

    pub(crate) fn set_round_trip(&mut self, rtt: Duration) {
        self.window.round_trip = rtt;
    }

    /// Whether a SACK is due now.
    pub(crate) fn wants_sack(&self) -> bool {
        self.sack_now
    }

    /// Whether a SACK would tell the peer something.
    pub(crate) fn has_sack(&self) -> bool {
        self.sack_now || self.unacknowledged > 0
    }

    pub(crate) fn request_sack(&mut self) {
        self.sack_now = true;
    }

    pub(crate) fn write_sack(&mut self, packet: &mut PacketWriter<'_>) -> bool {
        let open = self.open_window();
        let written = Sack::write(
            packet,
            self.tracker.cumulative(),
            open as u32,
            self.tracker.gaps(),
            self.tracker.duplicates(),
        );
        if written {
            self.window.advertised = open;
            self.tracker.forget_duplicates();
            self.sack_now = false;
            self.unacknowledged = 0;
        }
        written
    }

    pub(crate) fn streams(&self) -> u16 {
        self.streams
    }

    pub(crate) fn add_streams(&mut self, streams: u16) {
        self.streams = streams;
    }

    /// Takes what comes up to this TSN even if the window is closed, by a message at most.
    pub(crate) fn set_awaited(&mut self, last: Option<Tsn>) {
        self.awaited = last;
    }

    pub(crate) fn reset_stream(&mut self, stream: StreamId) {
        self.delivery.reset(stream);
    }

    /// Says whether any stream was used.
    pub(crate) fn reset_all_streams(&mut self) -> bool {
        self.delivery.reset_all()
    }

    /// Gives back memory that only a busy association needs.
    pub(crate) fn shrink(&mut self) {
        self.tracker.shrink();
        self.reassembly.shrink();
        self.delivery.shrink();
    }
}

impl Window {
    /// Doubles the window when half of it was read within two round trips: a sender that is limited by it
    /// could be faster.
    fn note_read(&mut self, bytes: usize) {
        if self.size >= self.max {
            return;
        }
        self.read += bytes;
        if self.read < self.size / 2 {
            return;
        }
        let elapsed = match (self.last_arrival, self.since) {
            (Some(now), Some(since)) => now.saturating_duration_since(since),
            _ => Duration::MAX,
        };
        if elapsed <= 2 * self.round_trip.max(Duration::from_millis(1)) {
            self.size = (2 * self.size).min(self.max);
        }
        self.read = 0;
        self.since = self.last_arrival;
    }
}
