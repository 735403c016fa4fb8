//! What has arrived and waits for the application.

use std::collections::VecDeque;
use std::sync::Arc;

use super::rtp_packet::RtpPacket;
use super::sync::Notify;
use super::sync::atomic::{AtomicUsize, Ordering};
use crate::datachannel::ChannelInit;

/// Who waits for a data channel. Its messages wait in the session.
#[derive(Debug, Default)]
pub(super) struct ChannelInbox {
    /// No further message will come.
    pub(super) ended: bool,
    /// The peer has closed its direction: everything that it sent has arrived.
    pub(super) closed_by_peer: bool,
    /// What the peer made the channel as, until there is a handle.
    pub(super) announced: Option<Box<ChannelInit>>,
    /// Something arrived, or the state changed.
    pub(super) changed: Arc<Notify>,
    /// There is room to send.
    pub(super) writable: Arc<Notify>,
    /// With so many bytes queued the session tells that there is.
    pub(super) low_threshold: usize,
}

/// What a sender that waits for room on a channel has buffered when it goes on, in bytes.
pub(super) const LOW_WATER: usize = 1 << 18;

/// Of a channel that closes before it is told, longer names are not kept: the peer could make many.
const MAX_KEPT_NAMES: usize = 256;

impl ChannelInbox {
    /// The inbox of a channel that the peer opened.
    pub(super) fn announced(init: Option<&ChannelInit>) -> Self {
        let is_short = |init: &&ChannelInit| init.label.len() + init.protocol.len() <= MAX_KEPT_NAMES;
        let announced = init.filter(is_short).map(|init| Box::new(init.clone()));
        Self { announced, ..Self::default() }
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.wake();
    }

    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
        self.writable.notify_waiters();
    }
}

/// RTP packets of a transceiver.
#[derive(Debug)]
pub(super) struct TrackInbox {
    packets: VecDeque<RtpPacket>,
    /// What they count for.
    charge: usize,
    /// What those of all tracks of the connection count for.
    unread: Arc<AtomicUsize>,
    /// Packets that nobody fetched in time.
    pub(super) dropped: u64,
    pub(super) ended: bool,
    pub(super) changed: Arc<Notify>,
    /// Handles that read it.
    readers: usize,
}

/// Packets of one track that wait at most; then the oldest is dropped. Two seconds of video at 5 Mbit/s.
const MAX_PACKETS: usize = 1024;
/// Bytes of packets that wait on all tracks of a connection, with their overhead, before each is held to its share:
/// until then a key frame may come on any of hundreds. At most twice as much waits in all.
const MAX_UNREAD: usize = 8 << 20;
/// The least share.
const MIN_SHARE: usize = 32 << 10;
/// What a packet counts for besides its bytes: its place in a queue that is half empty.
const PACKET_OVERHEAD: usize = 512;
/// A queue with room for so few packets is not worth being made smaller.
const SMALL: usize = 64;

fn charge(packet: &RtpPacket) -> usize {
    packet.as_packet().as_bytes().len() + PACKET_OVERHEAD
}

impl TrackInbox {
    /// An inbox of a connection whose tracks count `unread` together.
    pub(super) fn new(unread: Arc<AtomicUsize>) -> Self {
        Self {
            packets: VecDeque::new(),
            charge: 0,
            unread,
            dropped: 0,
            ended: false,
            changed: Arc::default(),
            readers: 0,
        }
    }

    /// Keeps a packet, on one of so many tracks of the connection.
    pub(super) fn push(&mut self, packet: RtpPacket, tracks: usize) {
        let charge = charge(&packet);
        self.charge += charge;
        self.packets.push_back(packet);
        let unread = self.unread.fetch_add(charge, Ordering::Relaxed) + charge;
        let share = match unread > MAX_UNREAD {
            true => (MAX_UNREAD / tracks.max(1)).max(MIN_SHARE),
            false => usize::MAX,
        };
        while self.packets.len() > MAX_PACKETS || self.charge > share && self.packets.len() > 1 {
            self.pop();
            self.dropped += 1;
        }
        self.changed.notify_waiters();
    }

    pub(super) fn pop(&mut self) -> Option<RtpPacket> {
        let packet = self.packets.pop_front()?;
        let charge = charge(&packet);
        self.charge -= charge;
        self.unread.fetch_sub(charge, Ordering::Relaxed);
        let capacity = self.packets.capacity();
        if capacity > SMALL && self.packets.len() < capacity / 4 {
            self.packets.shrink_to(capacity / 2);
        }
        Some(packet)
    }

    /// A handle reads it from now on.
    pub(super) fn attach(&mut self) -> Arc<Notify> {
        self.readers += 1;
        self.changed.clone()
    }

    /// A handle is gone. Says whether it was the last.
    pub(super) fn detach(&mut self) -> bool {
        self.readers -= 1;
        self.readers == 0
    }

    pub(super) fn is_read(&self) -> bool {
        self.readers > 0
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
        self.changed.notify_waiters();
    }
}

impl Drop for TrackInbox {
    fn drop(&mut self) {
        self.unread.fetch_sub(self.charge, Ordering::Relaxed);
    }
}

/// Requests for key frames of what a transceiver sends.
#[derive(Debug, Default)]
pub(super) struct KeyFrameRequests {
    pub(super) wanted: bool,
    pub(super) changed: Arc<Notify>,
}
