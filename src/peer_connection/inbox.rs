//! What has arrived and waits for the application.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use super::rtp_packet::RtpPacket;

/// Who waits for a data channel. Its messages wait in the session.
#[derive(Debug, Default)]
pub(super) struct ChannelInbox {
    /// No further message will come.
    pub(super) ended: bool,
    /// Something arrived, or the state changed.
    pub(super) changed: Arc<Notify>,
    /// There is room to send.
    pub(super) writable: Arc<Notify>,
}

/// What a sender that waits for room on a channel has buffered when it goes on, in bytes.
pub(super) const LOW_WATER: usize = 1 << 18;

impl ChannelInbox {
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
#[derive(Debug, Default)]
pub(super) struct TrackInbox {
    packets: VecDeque<RtpPacket>,
    /// Packets that nobody fetched in time.
    pub(super) dropped: u64,
    pub(super) ended: bool,
    pub(super) changed: Arc<Notify>,
    /// Handles that read it.
    readers: usize,
}

/// Packets of one track that wait at most; then the oldest is dropped. Two seconds of video at 5 Mbit/s.
const MAX_PACKETS: usize = 1024;

impl TrackInbox {
    pub(super) fn push(&mut self, packet: RtpPacket) {
        if self.packets.len() >= MAX_PACKETS {
            self.packets.pop_front();
            self.dropped += 1;
        }
        self.packets.push_back(packet);
        self.changed.notify_waiters();
    }

    pub(super) fn pop(&mut self) -> Option<RtpPacket> {
        self.packets.pop_front()
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

/// Requests for key frames of what a transceiver sends.
#[derive(Debug, Default)]
pub(super) struct KeyFrameRequests {
    pub(super) wanted: bool,
    pub(super) changed: Arc<Notify>,
}
