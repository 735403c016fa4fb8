//! What has arrived and waits for the application.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

use super::message::Message;
use super::rtp_packet::RtpPacket;

/// Messages of a data channel.
#[derive(Debug, Default)]
pub(super) struct ChannelInbox {
    messages: VecDeque<Message>,
    bytes: usize,
    /// No further message will come.
    pub(super) ended: bool,
    /// Something arrived, or the state changed.
    pub(super) changed: Arc<Notify>,
    /// There is room to send.
    pub(super) writable: Arc<Notify>,
}

/// What a sender that waits for room on a channel has buffered when it goes on, in bytes.
pub(super) const LOW_WATER: usize = 1 << 18;
/// Bytes of messages of one channel that wait, before nothing more is taken from the association.
const MAX_CHANNEL_BYTES: usize = 4 << 20;
/// Messages may be empty.
const MESSAGE_OVERHEAD: usize = 64;

impl ChannelInbox {
    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.data().len() + MESSAGE_OVERHEAD;
        self.messages.push_back(message);
        self.changed.notify_waiters();
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.data().len() + MESSAGE_OVERHEAD;
        Some(message)
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_CHANNEL_BYTES
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
