//! The crate `webrtc-sctp` behind the seam.

mod tasks;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use self::tasks::{Command, Limits, Shared};
use self::watch::{Seen, Watch};
use super::pipe::{PipeEnd, pipe};
use crate::layer::{
    Datagram, Held, HeldOutcome, Layer, PayloadProtocol, Received, SctpClose, SctpError, SctpEvent,
    SctpTransport, SendOptions, StreamId, Transmit, TransmitBatch,
};

/// SCTP by the crate `webrtc-sctp`, whose tasks run on a tokio runtime.
///
/// The crate keeps its own time, so **simulated time does not apply**, and it tells nobody when it has something
/// to send: the association wants to be called every [`poll_interval`](SctpConfig::poll_interval) while
/// something happens, and every twenty of them while nothing does. Dropping it ends all its tasks.
///
/// What the crate cannot do, and this adapter neither:
///
/// * Reliability is a property of a stream: a message is sent again, or not, by the options of the last message
///   that was sent on its stream. [`Received::unordered`] is always false.
/// * Payload protocols other than those of data channels arrive as 0.
/// * A reset ends both directions of a stream, and messages of the peer that were not taken by then are lost.
///   When the peer resets a stream, ours is reset in answer.
/// * A peer that falls silent is never given up, only one that does not answer the first INIT.
/// * Packets are of one size; zero checksum (RFC 9653), interleaving (RFC 8260) and heartbeats of its own are not
///   there.
/// * Where unread messages have used up [`max_unread`](SctpConfig::max_unread), nothing more is read of any stream,
///   a message that opens a channel included.
/// * [`buffered_amount`](SctpTransport::buffered_amount) counts down when the peer acknowledges, not when
///   messages are first sent.
///
/// A task of the crate that panics or does not come on for [`stall_timeout`](SctpConfig::stall_timeout) ends the
/// association with [`SctpClose::ProtocolViolation`].
pub struct SctpAssociation {
    config: SctpConfig,
    runtime: Handle,
    phase: Phase,
    running: Option<Running>,
    shared: Arc<Shared>,
    watch: Watch,
    events: VecDeque<SctpEvent>,
    /// Packets of the adapter's own.
    packets: VecDeque<Vec<u8>>,
    resetting: FxHashSet<StreamId>,
    thresholds: FxHashMap<StreamId, usize>,
    /// Streams that had something buffered when they were last looked at.
    buffered: FxHashMap<StreamId, usize>,
    told_readable: bool,
    told_full: bool,
    remote_max_message: Option<usize>,
    dropped: u64,
    next_poll: Option<Instant>,
    pause: u32,
}

/// How an [`SctpAssociation`] is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SctpConfig {
    /// The local port. 5000 by default.
    pub local_port: u16,
    /// The remote port. 5000 by default.
    pub remote_port: u16,
    /// The size of packets. 1,191 bytes by default.
    pub mtu: u32,
    /// The bytes that wait to be acknowledged at most. 2 MiB by default.
    pub send_buffer: usize,
    /// The receive window. 1 MiB by default.
    pub receive_window: u32,
    /// The bytes of messages that wait to be read, outside the window, those that were read and are held
    /// ([`SctpTransport::set_held`]) included. 1 MiB by default.
    pub max_unread: usize,
    /// The longest message that is sent. 256 KiB by default.
    pub max_send_message: usize,
    /// The longest message that is taken; each open stream has a buffer of this size. 256 KiB by default.
    pub max_receive_message: usize,
    /// The streams that are open at once; more that the peer opens are reset. 1,024 by default.
    pub max_open_streams: usize,
    /// The packets that wait between the caller and the crate in each direction. 256 by default.
    pub max_queued_packets: usize,
    /// How soon the association wants to be called while something happens. 1 ms by default.
    pub poll_interval: Duration,
    /// After which time without progress the crate is given up. 10 s by default.
    pub stall_timeout: Duration,
}

impl Default for SctpConfig {
    fn default() -> Self {
        Self {
            local_port: 5000,
            remote_port: 5000,
            mtu: 1191,
            send_buffer: 2 << 20,
            receive_window: 1 << 20,
            max_unread: 1 << 20,
            max_send_message: 256 << 10,
            max_receive_message: 256 << 10,
            max_open_streams: 1024,
            max_queued_packets: 256,
            poll_interval: Duration::from_millis(1),
            stall_timeout: Duration::from_secs(10),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Connecting,
    Established,
    ShuttingDown,
    Closed,
}

#[derive(Debug)]
struct Running {
    pipe: PipeEnd,
    commands: mpsc::Sender<Command>,
    task: AbortHandle,
    /// The peer's INIT, until the association stands.
    init: Option<Vec<u8>>,
}

/// What the crate has room for (its `RECEIVE_MTU`).
const MAX_PACKET: usize = 8192;
/// Commands that wait for the crate at most.
const MAX_COMMANDS: usize = 4096;
/// Events that wait for the application at most, the last one excepted.
const MAX_EVENTS: usize = 4096;
/// The longest pause between calls, in poll intervals.
const LONGEST_PAUSE: u32 = 20;

impl SctpAssociation {
    /// An association that waits for [`connect`](SctpTransport::connect) or for the peer's INIT; its tasks will
    /// run on `runtime`, which must have its timers enabled.
    pub fn new(config: SctpConfig, runtime: Handle) -> Self {
        let limits = Limits {
            received: config.max_unread.max(1),
            message: config.max_receive_message.max(1),
            streams: config.max_open_streams,
        };
        Self {
            config,
            runtime,
            phase: Phase::Idle,
            running: None,
            shared: Arc::new(Shared::new(limits)),
            watch: Watch::default(),
            events: VecDeque::new(),
            packets: VecDeque::new(),
            resetting: FxHashSet::default(),
            thresholds: FxHashMap::default(),
            buffered: FxHashMap::default(),
            told_readable: false,
            told_full: false,
            remote_max_message: None,
            dropped: 0,
            next_poll: None,
            pause: 1,
        }
    }

    /// How many packets of the peer found no room in the queue to the crate.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn start(&mut self, now: Instant, init: Option<&[u8]>) {
        let (conn, pipe) = pipe(self.config.max_queued_packets);
        let (commands, to_run) = mpsc::channel(MAX_COMMANDS);
        let config = webrtc_sctp::association::Config {
            net_conn: conn,
            max_receive_buffer_size: self.config.receive_window,
            max_message_size: self.config.max_send_message.try_into().unwrap_or(u32::MAX),
            mtu: self.config.mtu,
            name: String::new(),
            remote_port: self.config.remote_port,
            local_port: self.config.local_port,
        };
        let run = tasks::run(config, init.is_none(), self.shared.clone(), to_run);
        let task = self.runtime.spawn(run).abort_handle();
        self.running = Some(Running { pipe, commands, task, init: init.map(<[u8]>::to_vec) });
        self.phase = Phase::Connecting;
        self.soon(now);
    }

    /// Something happens: the crate may answer at any moment.
    fn soon(&mut self, now: Instant) {
        self.pause = 1;
        self.next_poll = self.running.is_some().then(|| now + self.config.poll_interval);
    }

    fn stop(&mut self) {
        let Some(Running { mut pipe, task, init, .. }) = self.running.take() else { return };
        task.abort();
        let Some(init) = init else { return };
        // The crate's writing task of an association that did not come to be waits for ever, unless it finds that
        // it cannot send, and is then woken again: the INIT once more gives it something to send each time.
        const TIMES: usize = 3;
        const PAUSE: Duration = Duration::from_millis(10);
        pipe.refuse_outbound();
        self.runtime.spawn(async move {
            for _ in 0..TIMES {
                pipe.push(&init);
                tokio::time::sleep(PAUSE).await;
            }
        });
    }

    fn end(&mut self, how: SctpClose) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.events.push_back(SctpEvent::Closed(how));
        }
        self.stop();
        self.next_poll = None;
        self.resetting.clear();
        self.buffered.clear();
        let mut state = self.shared.state();
        state.streams.clear();
        state.queued.clear();
    }

    fn saw(&mut self, seen: Vec<Seen>) {
        for seen in seen {
            match seen {
                Seen::AbortedByPeer(reason) => self.end(SctpClose::AbortedByPeer(reason)),
                Seen::ShutdownComplete => self.end(SctpClose::Shutdown),
                Seen::OutgoingReset { streams, refused } => {
                    for id in streams.into_iter().map(StreamId) {
                        // Those that only answer the peer's were not asked for.
                        if self.resetting.remove(&id) {
                            self.events.push_back(match refused {
                                false => SctpEvent::OutgoingStreamReset(id),
                                true => SctpEvent::StreamResetRefused(id),
                            });
                        }
                    }
                }
                Seen::IncomingReset(streams) if self.events.len() + streams.len() <= MAX_EVENTS => {
                    let resets = streams.into_iter().map(StreamId).map(SctpEvent::IncomingStreamReset);
                    self.events.extend(resets);
                }
                Seen::IncomingReset(_) => {
                    self.end(SctpClose::ProtocolViolation("more resets than the application takes"));
                }
            }
        }
    }

    /// Finds out what the tasks have done since the last time.
    fn look(&mut self, now: Option<Instant>) {
        let shared = self.shared.clone();
        let (handshake, failure, readable) = {
            let state = shared.state();
            (state.handshake, state.failure, !state.received.is_empty())
        };
        if self.phase == Phase::Connecting {
            match (handshake, self.watch.streams()) {
                (Some(true), Some((outgoing_streams, incoming_streams))) => {
                    self.phase = Phase::Established;
                    if let Some(running) = &mut self.running {
                        running.init = None;
                    }
                    self.events.push_back(SctpEvent::Established { outgoing_streams, incoming_streams });
                }
                (Some(false), _) => self.end(SctpClose::TimedOut),
                _ => {}
            }
        }
        if readable && !self.told_readable {
            self.told_readable = true;
            self.events.push_back(SctpEvent::Readable);
        }
        self.look_at_buffers();
        let patience = self.config.stall_timeout;
        let stalled = |running: &mut Running| {
            running.task.is_finished() && handshake == Some(true)
                || now.is_some_and(|now| running.pipe.is_stalled(now, patience))
        };
        if let Some(failure) = failure.filter(|_| self.running.is_some()) {
            self.end(SctpClose::ProtocolViolation(failure));
        } else if self.running.as_mut().is_some_and(stalled) {
            self.end(SctpClose::ProtocolViolation("webrtc-sctp does not come on"));
        }
    }

    fn look_at_buffers(&mut self) {
        if self.buffered.is_empty() {
            return;
        }
        let mut total = 0;
        let ids: Vec<_> = self.buffered.keys().copied().collect();
        for id in ids {
            let amount = self.buffered_amount(id);
            let before = self.buffered.insert(id, amount).unwrap_or(0);
            let threshold = self.thresholds.get(&id).copied().unwrap_or(0);
            if before > threshold && amount <= threshold {
                self.events.push_back(SctpEvent::BufferedAmountLow(id));
            }
            if amount == 0 {
                self.buffered.remove(&id);
            }
            total += amount;
        }
        if self.told_full && total <= self.config.send_buffer / 2 {
            self.told_full = false;
            self.events.push_back(SctpEvent::Writable);
        }
    }
}

impl Layer for SctpAssociation {
    type Event = SctpEvent;
    type Error = SctpError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SctpError> {
        let packet = &*datagram.bytes;
        if packet.len() > MAX_PACKET {
            return Err(SctpError::Ignored("longer than webrtc-sctp takes"));
        }
        match self.phase {
            Phase::Closed => return Err(SctpError::Ignored("the association has ended")),
            Phase::Idle if Watch::is_init(packet) => self.start(now, Some(packet)),
            Phase::Idle => return Err(SctpError::Ignored("there is no association")),
            Phase::Connecting | Phase::Established | Phase::ShuttingDown => {}
        }
        let Some(running) = &mut self.running else { return Err(SctpError::NotEstablished) };
        let pushed = running.pipe.push(packet);
        let seen = self.watch.inbound(packet);
        self.soon(now);
        self.saw(seen);
        if !pushed {
            self.dropped += 1;
            return Err(SctpError::Ignored("the queue to webrtc-sctp is full"));
        }
        Ok(())
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_poll.is_none_or(|next| next > now) {
            return;
        }
        self.pause = (self.pause + 1).min(LONGEST_PAUSE);
        self.next_poll = Some(now + self.pause * self.config.poll_interval);
        self.look(Some(now));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_poll
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let packet = match self.packets.pop_front() {
            Some(packet) => packet,
            None => {
                let mut packet = self.running.as_mut()?.pipe.pop()?;
                let seen = self.watch.outbound(&mut packet);
                self.soon(now);
                self.saw(seen);
                packet
            }
        };
        let mut segments = out.segments(None, None);
        segments.datagram().extend_from_slice(&packet);
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<SctpEvent> {
        self.look(None);
        self.events.pop_front()
    }
}

impl SctpTransport for SctpAssociation {
    fn connect(&mut self, now: Instant) {
        if self.phase == Phase::Idle {
            self.start(now, None);
        }
    }

    fn send(
        &mut self,
        now: Instant,
        stream: StreamId,
        protocol: PayloadProtocol,
        message: Bytes,
        options: SendOptions,
    ) -> Result<(), SctpError> {
        self.look(Some(now));
        let (count, _) = self.streams();
        let limit = self.max_message_size();
        let Some(running) = self.running.as_ref().filter(|_| self.phase == Phase::Established) else {
            return Err(SctpError::NotEstablished);
        };
        if stream.0 >= count {
            return Err(SctpError::InvalidStream { stream, count });
        }
        if message.is_empty() {
            return Err(SctpError::EmptyMessage);
        }
        if message.len() > limit {
            return Err(SctpError::MessageTooLarge { size: message.len(), limit });
        }
        if self.resetting.contains(&stream) {
            return Err(SctpError::StreamResetting(stream));
        }
        let (length, total) = (message.len(), self.buffered.values().sum::<usize>());
        let full = SctpError::SendBufferFull { limit: self.config.send_buffer };
        if total + length > self.config.send_buffer && total > 0 {
            self.told_full = true;
            return Err(full);
        }
        *self.shared.state().queued.entry(stream).or_default() += length;
        if running.commands.try_send(Command::Send { stream, protocol, message, options }).is_err() {
            let mut state = self.shared.state();
            if let Some(queued) = state.queued.get_mut(&stream) {
                *queued = queued.saturating_sub(length);
            }
            self.told_full = true;
            return Err(full);
        }
        *self.buffered.entry(stream).or_default() += length;
        self.soon(now);
        Ok(())
    }

    fn receive(&mut self) -> Option<Received> {
        let received = self.shared.receive();
        if received.is_none() {
            self.told_readable = false;
        }
        received
    }

    fn set_held(&mut self, held: Held) -> HeldOutcome {
        // The crate advertises its own window: a reader that waits for room lets it close.
        self.shared.set_held(held.unread);
        HeldOutcome::Counted
    }

    fn buffered_amount(&self, stream: StreamId) -> usize {
        let state = self.shared.state();
        let in_crate = state.streams.get(&stream).map_or(0, |stream| stream.buffered_amount());
        in_crate + state.queued.get(&stream).copied().unwrap_or(0)
    }

    fn set_buffered_amount_low_threshold(&mut self, stream: StreamId, threshold: usize) {
        self.thresholds.insert(stream, threshold);
    }

    fn reset_streams(&mut self, now: Instant, streams: &[StreamId]) -> Result<(), SctpError> {
        let (count, _) = self.streams();
        let Some(running) = self.running.as_ref().filter(|_| self.phase == Phase::Established) else {
            return Err(SctpError::NotEstablished);
        };
        if let Some(stream) = streams.iter().find(|stream| stream.0 >= count) {
            return Err(SctpError::InvalidStream { stream: *stream, count });
        }
        let reset = Command::Reset(streams.to_vec());
        running.commands.try_send(reset).map_err(|_| SctpError::NotEstablished)?;
        self.resetting.extend(streams);
        self.soon(now);
        Ok(())
    }

    fn streams(&self) -> (u16, u16) {
        match self.phase {
            Phase::Established | Phase::ShuttingDown => self.watch.streams().unwrap_or((0, 0)),
            Phase::Idle | Phase::Connecting | Phase::Closed => (0, 0),
        }
    }

    fn max_message_size(&self) -> usize {
        self.config.max_send_message.min(self.remote_max_message.unwrap_or(usize::MAX))
    }

    fn set_remote_max_message_size(&mut self, size: u64) {
        self.remote_max_message = (size != 0).then(|| size.try_into().unwrap_or(usize::MAX));
    }

    fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    fn shutdown(&mut self, now: Instant) {
        match (self.phase, &self.running) {
            (Phase::Established, Some(running)) => {
                if running.commands.try_send(Command::Shutdown).is_ok() {
                    self.phase = Phase::ShuttingDown;
                    self.soon(now);
                } else {
                    // The queue of commands is full: nothing can be ended in order.
                    self.abort(now);
                }
            }
            (Phase::ShuttingDown | Phase::Closed, _) => {}
            _ => self.end(SctpClose::Shutdown),
        }
    }

    fn abort(&mut self, _: Instant) {
        if self.running.is_some() {
            self.packets.extend(self.watch.abort(self.config.local_port, self.config.remote_port));
        }
        self.end(SctpClose::Aborted);
    }
}

impl Drop for SctpAssociation {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for SctpAssociation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SctpAssociation").field("phase", &self.phase).finish_non_exhaustive()
    }
}
