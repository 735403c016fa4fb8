//! The sending half of an association.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::loss::MissingReports;
use super::outstanding::{NewlyAcknowledged, Outstanding};
use super::queue::{Message, StreamQueues};
use crate::layer::{SctpEvent, StreamId};
use crate::sctp::Config;
use crate::sctp::congestion::{Acknowledged, CongestionControl};
use crate::sctp::sequence::{Ssn, Tsn};
use crate::sctp::wire::{ChunkType, Data, Header, PacketWriter, Sack};

/// Sends messages: fragmentation, bundling, windows, loss and abandonment.
#[derive(Debug)]
pub(crate) struct Sender {
    queues: StreamQueues,
    outstanding: Outstanding,
    /// How much of the message begun last was sent, while that is not all.
    fragmenting: Option<usize>,
    congestion: Box<dyn CongestionControl>,
    missing: MissingReports,
    /// The TSN whose cumulative acknowledgement ends the recovery from a loss.
    recovery_until: Option<Tsn>,
    /// A chunk was found missing: one packet goes out whatever the window is (RFC 9260 §7.2.4).
    fast_retransmit: bool,
    /// The first outstanding chunk was sent again, and the retransmission timer is to begin anew (§7.2.4).
    restart_timer: bool,
    peer_window: usize,
    burst: u32,
    max_burst: u32,
    max_payload: usize,
    max_chunks: usize,
    /// The TSN whose round trip is measured.
    timed: Option<(Tsn, Instant)>,
    forward: ForwardState,
    partial_reliability: bool,
    /// When data was last sent, or the silence since was last accounted for.
    quiet_since: Option<Instant>,
    /// Bytes acknowledged by gaps since the cumulative acknowledgement moved last.
    acknowledged_by_gaps: usize,
    /// Retransmission timeouts since the cumulative acknowledgement moved last.
    timeouts: u32,
    /// The window was closed and has opened since the cumulative acknowledgement moved last.
    has_reopened: bool,
}

#[derive(Debug, Default)]
struct ForwardState {
    /// The TSN that the last FORWARD TSN carried.
    told: Option<Tsn>,
    told_at: Option<Instant>,
    pending: bool,
}

/// What a SACK led to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SackOutcome {
    /// Something was acknowledged for the first time.
    pub(crate) progress: bool,
    /// The cumulative TSN moved.
    pub(crate) cumulative: bool,
    /// A round-trip time was measured.
    pub(crate) rtt: Option<Duration>,
}

/// What the retransmission timer is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TimeoutOutcome {
    /// Nothing is outstanding.
    Idle,
    /// Something is sent again; the peer did not answer.
    Unanswered,
    /// The peer's window is closed and it is probed (RFC 9260 §6.1 A).
    WindowProbe,
}

/// The next DATA chunk.
#[derive(Clone, Copy, Debug)]
enum NextChunk {
    Retransmission(usize),
    New { remaining: usize, begins: bool },
}

/// A message is begun in what another left of a packet only if at least this much of it fits, so that
/// fragments do not get tiny.
const MIN_FRAGMENT: usize = 256;

/// After so many timeouts in a row chunks travel alone.
const LONE_CHUNKS_AFTER: u32 = 2;

/// How long a FORWARD TSN that the peer did not confirm is not repeated.
const FORWARD_TSN_INTERVAL: Duration = Duration::from_millis(50);

impl Sender {
    pub(crate) fn new(
        config: &Config,
        initial_tsn: Tsn,
        peer_window: u32,
        partial_reliability: bool,
    ) -> Self {
        Self {
            queues: StreamQueues::default(),
            outstanding: Outstanding::new(initial_tsn),
            fragmenting: None,
            congestion: (config.congestion_control)(config.mtu),
            missing: MissingReports::new(initial_tsn),
            recovery_until: None,
            fast_retransmit: false,
            restart_timer: false,
            peer_window: peer_window as usize,
            burst: config.max_burst,
            max_burst: config.max_burst,
            max_payload: config.mtu - Header::LEN - Data::OVERHEAD,
            max_chunks: config.max_outstanding_chunks,
            timed: None,
            forward: ForwardState::default(),
            partial_reliability,
            quiet_since: None,
            acknowledged_by_gaps: 0,
            timeouts: 0,
            has_reopened: false,
        }
    }

    pub(crate) fn push(&mut self, stream: StreamId, mut message: Message) {
        if !self.partial_reliability {
            // A peer that does not know FORWARD TSN gets every message (RFC 8831 §6.4).
            message.max_retransmits = None;
            message.expires = None;
        }
        self.queues.push(stream, message);
    }

    pub(crate) fn buffered_amount(&self, stream: StreamId) -> usize {
        self.queues.buffered(stream)
    }

    pub(crate) fn set_low_threshold(&mut self, stream: StreamId, threshold: usize) {
        self.queues.set_low_threshold(stream, threshold);
    }

    /// What messages that wait or are not acknowledged count for.
    pub(crate) fn buffered(&self) -> usize {
        self.queues.charge() + self.outstanding.charge()
    }

    /// Whether everything was sent and acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.queues.is_empty() && self.fragmenting.is_none() && self.outstanding.is_empty()
    }

    /// Whether the retransmission timer has something to wait for.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.outstanding.is_empty()
    }

    pub(crate) fn first_and_last_tsn(&self) -> (Tsn, Tsn) {
        (self.outstanding.first(), self.outstanding.next().previous())
    }

    pub(crate) fn congestion_window(&self) -> usize {
        self.congestion.window()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.outstanding.in_flight()
    }

    pub(crate) fn outstanding_chunks(&self) -> usize {
        self.outstanding.len()
    }

    pub(crate) fn is_resetting(&self, stream: StreamId) -> bool {
        self.queues.is_resetting(stream)
    }

    /// How many streams are being reset.
    pub(crate) fn resetting(&self) -> usize {
        self.queues.resetting()
    }

    pub(crate) fn begin_reset(&mut self, stream: StreamId) {
        self.queues.begin_reset(stream);
    }

    pub(crate) fn finish_reset(&mut self, stream: StreamId) {
        self.outstanding.note_stream_reset(stream);
        self.queues.finish_reset(stream);
    }

    pub(crate) fn cancel_reset(&mut self, stream: StreamId) {
        self.queues.cancel_reset(stream);
    }

    /// A stream whose reset can be asked for, because everything that was queued on it has been sent once.
    pub(crate) fn pop_drained(&mut self) -> Option<StreamId> {
        self.queues.pop_drained()
    }

    pub(crate) fn has_drained(&self) -> bool {
        self.queues.has_drained()
    }

    /// Whether the stream carried an ordered message, or has something to send.
    pub(crate) fn is_stream_used(&self, stream: StreamId) -> bool {
        self.queues.is_used(stream)
    }

    /// Whether [`write`](Self::write) has something to write; O(1) but for messages that expired.
    pub(crate) fn has_chunk(&mut self, now: Instant, events: &mut VecDeque<SctpEvent>) -> bool {
        self.next_chunk(now, events).is_some()
    }

    /// The size of the packet of the next chunk alone, at its natural length; what is new is cut for `ceiling` bytes.
    pub(crate) fn next_packet_size(
        &mut self,
        now: Instant,
        ceiling: usize,
        events: &mut VecDeque<SctpEvent>,
    ) -> Option<usize> {
        let longest = self.max_payload.min(ceiling.saturating_sub(Header::LEN + Data::OVERHEAD));
        let payload = match self.next_chunk(now, events)? {
            NextChunk::Retransmission(len) => len,
            NextChunk::New { remaining, .. } => remaining.min(longest),
        };
        Some(Header::LEN + (Data::OVERHEAD + payload).next_multiple_of(4))
    }

    fn next_chunk(&mut self, now: Instant, events: &mut VecDeque<SctpEvent>) -> Option<NextChunk> {
        let in_flight = self.outstanding.in_flight();
        while let Some(len) = self.outstanding.next_retransmission() {
            if let Some(tsn) = self.outstanding.expired_retransmission(now) {
                self.outstanding.abandon(tsn);
                self.after_abandonment(now, events);
                continue;
            }
            return (self.fast_retransmit || in_flight < self.congestion.window())
                .then_some(NextChunk::Retransmission(len));
        }
        if in_flight >= self.congestion.window()
            || (self.burst == 0 && in_flight > 0)
            || self.outstanding.len() >= self.max_chunks
        {
            return None;
        }
        let (remaining, begins) = match self.fragmenting {
            Some(sent) => {
                let (_, message) = self.outstanding.last_message()?;
                if message.is_expired(now) {
                    self.outstanding.mark_last_abandoned();
                    self.after_abandonment(now, events);
                    return self.next_chunk(now, events);
                }
                (message.payload.len() - sent, false)
            }
            None => (self.queues.next_len(now, events)?, true),
        };
        // RFC 9260 §6.1 A: one chunk may always be in flight, to probe a closed window.
        let window = self.peer_window.saturating_sub(in_flight);
        if in_flight > 0 && window < remaining.min(self.max_payload) {
            return None;
        }
        Some(NextChunk::New { remaining, begins })
    }

    /// Writes as many DATA chunks as fit and may be sent. Says whether there was one.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        packet: &mut PacketWriter<'_>,
        events: &mut VecDeque<SctpEvent>,
    ) -> bool {
        let mut written = false;
        while let Some(next) = self.next_chunk(now, events) {
            let room = packet.room().saturating_sub(Data::OVERHEAD);
            match next {
                NextChunk::Retransmission(len) if len <= room => {
                    self.restart_timer |= self.outstanding.retransmits_first();
                    let Some(chunk) = self.outstanding.retransmit() else { break };
                    packet.data(chunk.flags, &chunk.fields, chunk.payload);
                }
                NextChunk::New { remaining, begins } => {
                    let len = remaining.min(room);
                    if len == 0 || (len < remaining && len < MIN_FRAGMENT) {
                        break;
                    }
                    if begins {
                        self.begin_message();
                    }
                    self.write_fragment(now, packet, len, remaining, events);
                    if !written {
                        self.burst = self.burst.saturating_sub(1);
                    }
                }
                NextChunk::Retransmission(_) => break,
            }
            written = true;
            if self.timeouts >= LONE_CHUNKS_AFTER {
                // The path may have become too narrow for what was bundled, and not for each alone.
                break;
            }
        }
        if written {
            self.fast_retransmit = false;
            self.quiet_since = Some(now);
        }
        written
    }

    /// Whether the retransmission timer is to begin anew because of what was written.
    pub(crate) fn take_timer_restart(&mut self) -> bool {
        std::mem::take(&mut self.restart_timer)
    }

    fn begin_message(&mut self) {
        let Some((stream, message)) = self.queues.take() else { return };
        let ssn = self.queues.assign_ssn(stream, message.unordered);
        self.outstanding.begin_message(stream, ssn, message);
        self.fragmenting = Some(0);
    }

    fn write_fragment(
        &mut self,
        now: Instant,
        packet: &mut PacketWriter<'_>,
        len: usize,
        remaining: usize,
        events: &mut VecDeque<SctpEvent>,
    ) {
        let sent = self.fragmenting.unwrap_or(0);
        let tsn = self.outstanding.next();
        let Some((stream, _)) = self.outstanding.last_message() else { return };
        let Some(chunk) = self.outstanding.push_fragment(sent, len) else { return };
        // RFC 7053: what is sent last before the queue empties need not wait for a second packet to be
        // acknowledged.
        let is_last = len == remaining && self.queues.is_empty();
        let flags = if is_last { chunk.flags | Data::IMMEDIATE } else { chunk.flags };
        packet.data(flags, &chunk.fields, chunk.payload);
        self.fragmenting = (len < remaining).then_some(sent + len);
        self.queues.note_sent(stream, len, events);
        if self.timed.is_none() {
            self.timed = Some((tsn, now));
        }
    }

    /// Takes a SACK. `Err` if it acknowledges what was never sent.
    pub(crate) fn handle_sack(
        &mut self,
        now: Instant,
        sack: &Sack<'_>,
        events: &mut VecDeque<SctpEvent>,
    ) -> Result<SackOutcome, &'static str> {
        if self.outstanding.first().previous().is_after(sack.cumulative_tsn) {
            return Ok(SackOutcome::default()); // It was overtaken by a later one (RFC 9260 §6.2.1 D i).
        }
        let in_flight = self.outstanding.in_flight();
        let window_was_closed = self.is_window_closed();
        let (mut newly, cumulative) = self.acknowledge(sack.cumulative_tsn)?;
        if sack.gaps().next().is_some() {
            let gaps = self.outstanding.acknowledge_gaps(sack.gaps());
            newly.bytes += gaps.bytes;
            newly.highest = gaps.highest.or(newly.highest);
        }
        let rtt = self.take_rtt(now, sack.cumulative_tsn);
        self.peer_window = sack.receive_window as usize;
        self.burst = self.max_burst;
        let in_recovery = self.recovery_until.is_some();
        let bytes = self.credit(&newly, cumulative);
        if bytes > 0 {
            self.congestion.on_acknowledged(&Acknowledged { bytes, in_flight, cumulative, in_recovery });
        }
        if self.recovery_until.is_some_and(|until| sack.cumulative_tsn.is_at_or_after(until)) {
            self.recovery_until = None;
        }
        // §7.2.4: in recovery, every SACK that moves the cumulative TSN reports all that is missing.
        let reported = if in_recovery && cumulative {
            self.outstanding.highest_gap().or(newly.highest)
        } else {
            newly.highest
        };
        if let Some(highest) = reported {
            self.missing.count(highest);
            self.detect_loss(now);
        }
        let reopens = window_was_closed && !self.is_window_closed() && !cumulative;
        if reopens && self.outstanding.in_flight() > 0 && !std::mem::replace(&mut self.has_reopened, true) {
            // What probed the closed window was thrown away. Sent twice, it measures nothing (§6.3.1 C5). Once only: a
            // peer that opens and closes its window is not sent everything at each turn, and the timer sees to the rest.
            self.outstanding.lose_in_flight(now);
            self.timed = None;
            self.missing.restart(self.outstanding.next());
        }
        self.after_abandonment(now, events);
        Ok(SackOutcome { progress: newly.bytes > 0 || cumulative, cumulative, rtt })
    }

    /// Takes the cumulative TSN of a SHUTDOWN.
    pub(crate) fn handle_cumulative(&mut self, now: Instant, cumulative: Tsn) -> Result<bool, &'static str> {
        if self.outstanding.first().previous().is_after(cumulative) {
            return Ok(false);
        }
        let (_, moved) = self.acknowledge(cumulative)?;
        self.advance(now);
        Ok(moved)
    }

    fn acknowledge(&mut self, cumulative: Tsn) -> Result<(NewlyAcknowledged, bool), &'static str> {
        if cumulative.is_at_or_after(self.outstanding.next()) {
            return Err("acknowledgement of a TSN that was not sent");
        }
        if !cumulative.is_at_or_after(self.outstanding.first()) {
            return Ok((NewlyAcknowledged::default(), false));
        }
        self.timeouts = 0;
        self.has_reopened = false;
        Ok((self.outstanding.acknowledge_cumulative(cumulative), true))
    }

    /// The bytes that a SACK opens the window for, if the cumulative TSN moves (RFC 9260 §7.2.1). Behind a hole that
    /// is skipped, what came stands for what would have filled it, lest a sender that gives up stay at one packet.
    fn credit(&mut self, newly: &NewlyAcknowledged, cumulative: bool) -> usize {
        if !cumulative {
            self.acknowledged_by_gaps = self.acknowledged_by_gaps.saturating_add(newly.bytes);
            return newly.bytes;
        }
        let behind = std::mem::take(&mut self.acknowledged_by_gaps);
        newly.bytes + if newly.skipped { behind } else { 0 }
    }

    /// Whether the peer has no room for the first outstanding chunk (RFC 9260 §6.1 A: a window smaller than the next
    /// chunk is closed).
    fn is_window_closed(&self) -> bool {
        self.peer_window < self.outstanding.first_len().unwrap_or(1).max(1)
    }

    fn take_rtt(&mut self, now: Instant, cumulative: Tsn) -> Option<Duration> {
        let (tsn, sent) = self.timed?;
        if !cumulative.is_at_or_after(tsn) {
            return None;
        }
        self.timed = None;
        now.checked_duration_since(sent)
    }

    fn detect_loss(&mut self, now: Instant) {
        let mut lost = false;
        if let Some((from, to)) = self.missing.take_range(self.outstanding.first()) {
            lost |= self.outstanding.lose_range(from, to, now);
        }
        let lost_again = self.outstanding.lose_resent(self.missing.lost_before(), now);
        if !lost && !lost_again {
            return;
        }
        // Karn: a chunk that is sent twice measures nothing.
        self.timed = self.timed.filter(|(tsn, _)| self.outstanding.was_sent_once(*tsn) && !lost);
        self.fast_retransmit = true;
        if self.recovery_until.is_none() || lost_again {
            self.congestion.on_loss();
            self.recovery_until = Some(self.outstanding.next().previous());
        }
    }

    /// The retransmission timer expired (RFC 9260 §6.3.3).
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        events: &mut VecDeque<SctpEvent>,
    ) -> TimeoutOutcome {
        if self.outstanding.is_empty() {
            return TimeoutOutcome::Idle;
        }
        let probing = self.is_window_closed();
        self.timeouts = self.timeouts.saturating_add(1);
        let is_single_probe = probing && self.outstanding.len() == 1;
        self.outstanding.lose_all(now);
        self.missing.restart(self.outstanding.next());
        self.timed = None;
        self.recovery_until = None;
        self.burst = self.max_burst;
        self.forward.told = None;
        if !is_single_probe {
            self.congestion.on_timeout();
        }
        self.after_abandonment(now, events);
        // Whatever the window: one packet goes out.
        self.fast_retransmit = true;
        if probing { TimeoutOutcome::WindowProbe } else { TimeoutOutcome::Unanswered }
    }

    /// The path answers again: what timeouts took for lost goes out now, one packet whatever the window. Says
    /// whether there is something.
    pub(crate) fn path_is_back(&mut self, now: Instant, events: &mut VecDeque<SctpEvent>) -> bool {
        if self.timeouts == 0 || self.outstanding.is_empty() {
            return false;
        }
        self.outstanding.lose_in_flight(now);
        self.missing.restart(self.outstanding.next());
        self.timed = None;
        self.forward.told = None;
        self.after_abandonment(now, events);
        self.fast_retransmit = true;
        true
    }

    /// Nothing was sent for a while: the window is not what the network gives any more (RFC 9260 §7.2.1).
    pub(crate) fn note_idle(&mut self, now: Instant, rto: Duration) {
        let Some(since) = self.quiet_since.filter(|_| self.outstanding.is_empty()) else { return };
        let idle = now.saturating_duration_since(since);
        if idle <= rto {
            return;
        }
        // After so many halves the smallest window is reached from any.
        let timeouts = (idle.as_micros() / rto.as_micros().max(1)).min(32);
        for _ in 0..timeouts {
            self.congestion.on_idle();
        }
        self.burst = self.max_burst;
        self.quiet_since = Some(now);
    }

    /// Draws the consequences of messages that were given up: one that is being sent takes its rest with it,
    /// and the peer is to be told.
    fn after_abandonment(&mut self, now: Instant, events: &mut VecDeque<SctpEvent>) {
        if let Some(sent) = self.fragmenting
            && self.outstanding.is_last_abandoned()
        {
            if let Some((stream, message)) = self.outstanding.last_message() {
                let rest = message.payload.len() - sent;
                self.queues.note_sent(stream, rest, events);
            }
            self.fragmenting = None;
            self.outstanding.close_abandoned();
        }
        self.advance(now);
    }

    /// Moves the advanced peer acknowledgement point (RFC 3758 §3.5 C).
    fn advance(&mut self, now: Instant) {
        let count = self.outstanding.abandoned_front();
        if count == 0 {
            self.forward.pending = false;
            return;
        }
        let point = self.outstanding.first().plus(count as u32 - 1);
        let moved = self.forward.told.is_none_or(|told| point.is_after(told));
        let due =
            self.forward.told_at.is_none_or(|at| now.saturating_duration_since(at) >= FORWARD_TSN_INTERVAL);
        self.forward.pending |= moved || due;
    }

    /// Whether a FORWARD TSN waits to be written.
    pub(crate) fn has_forward_tsn(&self) -> bool {
        self.forward.pending
    }

    /// Writes a FORWARD TSN for as many abandoned messages as fit (RFC 3758 §3.2).
    pub(crate) fn write_forward_tsn(&mut self, now: Instant, packet: &mut PacketWriter<'_>) -> bool {
        let count = self.outstanding.abandoned_front();
        let max_streams = packet.room().saturating_sub(8) / 4;
        if count == 0 || max_streams == 0 {
            return false;
        }
        let mut covered = count;
        let mut skipped: SmallVec<[(StreamId, Ssn); 16]> = SmallVec::new();
        for (index, stream, ssn) in self.outstanding.skipped() {
            if skipped.len() == max_streams {
                covered = index;
                break;
            }
            skipped.push((stream, ssn));
        }
        let point = self.outstanding.first().plus(covered as u32).previous();
        self.forward.pending = covered < count;
        self.forward.told = Some(point);
        self.forward.told_at = Some(now);
        packet.chunk(ChunkType::FORWARD_TSN, 0, |out| {
            out.extend_from_slice(&point.0.to_be_bytes());
            for (stream, ssn) in &skipped {
                out.extend_from_slice(&stream.0.to_be_bytes());
                out.extend_from_slice(&ssn.0.to_be_bytes());
            }
        })
    }

    /// Drops all messages.
    pub(crate) fn clear(&mut self) {
        self.queues.clear();
        self.fragmenting = None;
        self.outstanding = Outstanding::new(self.outstanding.next());
        self.forward = ForwardState::default();
    }

    /// Gives back memory that only a busy association needs.
    pub(crate) fn shrink(&mut self) {
        self.queues.shrink();
        self.outstanding.shrink();
    }
}
