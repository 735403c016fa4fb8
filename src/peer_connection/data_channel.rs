use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::error::PeerConnectionError;
use super::handle::Handle;
use super::inbox::{ChannelInbox, LOW_WATER};
use super::message::Message;
use super::shared::{Shared, State};
use crate::datachannel::{ChannelId, ChannelInit, ChannelState, DataChannelError, MessageKind};
use crate::layer::SctpError;
use crate::session::SessionError;

/// A data channel (W3C `RTCDataChannel`). Cheap to clone; it keeps the connection open.
///
/// Dropping it does not close the channel: what was sent is delivered, and what arrives from then on is thrown away.
#[derive(Clone, Debug)]
pub struct DataChannel {
    id: ChannelId,
    owner: Arc<Owner>,
}

/// What all clones of a channel share: with the last one goes what waits to be read.
#[derive(Debug)]
struct Owner {
    handle: Arc<Handle>,
    id: ChannelId,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // What it gives back opens the receive window for the others.
        self.handle.shared.with(|state, _| state.forget_channel(self.id));
    }
}

/// What a sender may have buffered before it waits, in bytes.
const HIGH_WATER: usize = 1 << 20;

impl DataChannel {
    /// The one owner of the channel's inbox.
    pub(super) fn new(handle: Arc<Handle>, id: ChannelId) -> Self {
        Self { id, owner: Arc::new(Owner { handle, id }) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.handle.shared
    }

    /// Its name.
    pub fn label(&self) -> String {
        self.init().map(|init| init.label).unwrap_or_default()
    }

    /// What it was made as; `None` once it is closed.
    pub fn init(&self) -> Option<ChannelInit> {
        self.shared().lock().session.channel(self.id).cloned()
    }

    /// Its state; `None` once it is closed.
    pub fn state(&self) -> Option<ChannelState> {
        self.shared().lock().session.channel_state(self.id)
    }

    /// Waits until messages can be sent. Cancel safe.
    ///
    /// # Errors
    /// [`PeerConnectionError::Closed`] if it is closed first, or the reason that the connection has ended for.
    pub async fn opened(&self) -> Result<(), PeerConnectionError> {
        loop {
            let Some(changed) = self.inbox(|inbox| inbox.changed.clone()) else {
                return Err(self.closed_error());
            };
            let changed = changed.notified();
            match self.state() {
                Some(ChannelState::Open) => return Ok(()),
                Some(ChannelState::Connecting) if !self.shared().lock().is_closed() => {}
                _ => return Err(self.closed_error()),
            }
            changed.await;
        }
    }

    /// Sends bytes, and waits while more than a mebibyte is buffered, or the channel is not open yet. Cancel
    /// safe: the message is queued as a whole or not at all.
    ///
    /// # Errors
    /// [`PeerConnectionError::Closed`], or what the channel refused, such as a message that is too long.
    pub async fn send(&self, data: impl Into<Bytes>) -> Result<(), PeerConnectionError> {
        self.send_message(MessageKind::Binary, data.into()).await
    }

    /// Sends text, as [`send`](Self::send) does.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_text(&self, text: impl Into<String>) -> Result<(), PeerConnectionError> {
        self.send_message(MessageKind::Text, text.into().into()).await
    }

    async fn send_message(&self, kind: MessageKind, data: Bytes) -> Result<(), PeerConnectionError> {
        loop {
            let Some(writable) = self.inbox(|inbox| inbox.writable.clone()) else {
                return Err(self.closed_error());
            };
            let writable = writable.notified();
            match self.try_send_message(kind, data.clone()) {
                Err(PeerConnectionError::WouldBlock) => writable.await,
                result => return result,
            }
        }
    }

    /// Sends bytes if there is room.
    ///
    /// # Errors
    /// [`PeerConnectionError::WouldBlock`] if there is none, or the channel is not open yet; else as
    /// [`send`](Self::send).
    pub fn try_send(&self, data: impl Into<Bytes>) -> Result<(), PeerConnectionError> {
        self.try_send_message(MessageKind::Binary, data.into())
    }

    /// Sends text if there is room.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn try_send_text(&self, text: impl Into<String>) -> Result<(), PeerConnectionError> {
        self.try_send_message(MessageKind::Text, text.into().into())
    }

    pub(super) fn try_send_message(&self, kind: MessageKind, data: Bytes) -> Result<(), PeerConnectionError> {
        self.with(|state, now| {
            match state.session.channel_state(self.id) {
                Some(ChannelState::Open) => {}
                Some(ChannelState::Connecting) if !state.is_closed() => {
                    return Err(PeerConnectionError::WouldBlock);
                }
                _ => return Err(state.closed_error()),
            }
            if state.session.buffered_amount(self.id) >= HIGH_WATER {
                return Err(PeerConnectionError::WouldBlock);
            }
            match state.session.send_message(now, self.id, kind, data) {
                Ok(()) => Ok(()),
                Err(SessionError::DataChannel(DataChannelError::Sctp(SctpError::SendBufferFull {
                    ..
                }))) => Err(PeerConnectionError::WouldBlock),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// The next message; `None` once the channel is closed and all messages are told. Cancel safe.
    pub async fn recv(&self) -> Option<Message> {
        loop {
            let changed = self.inbox(|inbox| inbox.changed.clone())?;
            let changed = changed.notified();
            match self.try_recv() {
                Ok(message) => return message,
                Err(PeerConnectionError::WouldBlock) => changed.await,
                Err(_) => return None,
            }
        }
    }

    /// The next message, if there is one; `None` once the channel is closed and all messages are told.
    ///
    /// # Errors
    /// [`PeerConnectionError::WouldBlock`] if there is none now.
    pub fn try_recv(&self) -> Result<Option<Message>, PeerConnectionError> {
        let mut state = self.shared().lock();
        let is_closed = state.is_closed();
        let Some(inbox) = state.channels.get(&self.id) else { return Ok(None) };
        let is_over = inbox.ended || is_closed;
        let message = state.session.receive_message(self.id);
        let has_opened = message.is_some() && state.session.take_window_opened();
        drop(state);
        if has_opened {
            // The peer is to learn that its window is open again.
            self.with(|_, _| ());
        }
        match message {
            Some(message) => Ok(Some(Message::new(message.kind, message.payload))),
            None if is_over => Ok(None),
            None => Err(PeerConnectionError::WouldBlock),
        }
    }

    /// Bytes queued that were not sent yet.
    pub fn buffered_amount(&self) -> usize {
        self.shared().lock().session.buffered_amount(self.id)
    }

    /// Waits until no more than `threshold` bytes are queued, or the channel is closed. Cancel safe.
    pub async fn buffered_amount_low(&self, threshold: usize) {
        loop {
            let Some(writable) = self.inbox(|inbox| inbox.writable.clone()) else { return };
            let writable = writable.notified();
            let is_low = self.with(|state, _| {
                let is_open = state.session.channel_state(self.id).is_some() && !state.is_closed();
                let is_low = !is_open || state.session.buffered_amount(self.id) <= threshold;
                if is_low {
                    state.set_low_threshold(self.id);
                } else {
                    let threshold = threshold.min(LOW_WATER);
                    // A channel that is gone has no amount.
                    let _ = state.session.set_buffered_amount_low_threshold(self.id, threshold);
                }
                is_low
            });
            if is_low {
                return;
            }
            writable.await;
        }
    }

    /// The largest message in bytes that the peer takes; `None` before the channel is open.
    pub fn max_message_size(&self) -> Option<usize> {
        self.shared().lock().session.max_message_size()
    }

    /// Closes the channel: what was sent is delivered first.
    pub fn close(&self) {
        // One that is closed already stays so.
        let _ = self.with(|state, now| state.session.close_channel(now, self.id));
    }

    /// Waits until the channel is closed in both directions. Cancel safe.
    pub async fn closed(&self) {
        loop {
            let Some(changed) = self.inbox(|inbox| inbox.changed.clone()) else { return };
            let changed = changed.notified();
            if self.inbox(|inbox| inbox.ended) != Some(false) || self.shared().lock().is_closed() {
                return;
            }
            changed.await;
        }
    }

    fn closed_error(&self) -> PeerConnectionError {
        self.shared().lock().closed_error()
    }

    fn inbox<T>(&self, look: impl FnOnce(&ChannelInbox) -> T) -> Option<T> {
        self.shared().lock().channels.get(&self.id).map(look)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        self.shared().with(act)
    }
}
