//! Data channels, W3C `RTCDataChannel`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::error::PeerConnectionError;
use super::handle::Handle;
use super::inbox::{ChannelInbox, LOW_WATER};
use super::message::Message;
use super::shared::{Shared, State};
use super::stable_id::{StableId, same_if_stable_id_is};
use crate::datachannel::{ChannelId, ChannelInit, ChannelState, DataChannelError, MessageKind};
use crate::layer::SctpError;
use crate::session::{FailureReason, SessionError};

/// A data channel (W3C `RTCDataChannel`). Cheap to clone; it keeps the connection open.
///
/// Dropping it does not close the channel: what was sent is delivered, and what arrives from then on is thrown away. But
/// the last handle of a connection, of whatever kind, closes the connection, and what was sent right before may be lost:
/// [`PeerConnection::shutdown`](super::PeerConnection::shutdown) sees to it that it is not.
///
/// ```
/// use kaon_rtc::peer_connection::{DataChannel, PeerConnectionError};
///
/// /// Sends a file in pieces. `send` waits until the channel is open, and while the peer is slower.
/// async fn send_file(channel: &DataChannel, bytes: &[u8]) -> Result<(), PeerConnectionError> {
///     channel.send_text(format!("{} bytes follow", bytes.len())).await?;
///     for piece in bytes.chunks(16 << 10) {
///         channel.send(piece.to_vec()).await?;
///     }
///     Ok(())
/// }
///
/// async fn print_what_comes(channel: &DataChannel) {
///     while let Some(message) = channel.recv().await {
///         match message.text() {
///             Some(text) => println!("{text}"),
///             None => println!("{} bytes", message.data().len()),
///         }
///     }
///     // `None` for a channel that was closed while the connection goes on.
///     println!("{} is closed: {:?}", channel.label(), channel.failure());
/// }
/// ```
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
    /// The session forgets it with the channel.
    init: ChannelInit,
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
    pub(super) fn new(handle: Arc<Handle>, id: ChannelId, init: ChannelInit) -> Self {
        Self { id, owner: Arc::new(Owner { handle, id, init }) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.handle.shared
    }

    /// What tells it apart from everything else that there is a handle of.
    pub fn stable_id(&self) -> StableId {
        self.shared().stable_id().data_channel(self.id)
    }

    /// Its name, also when it is closed.
    pub fn label(&self) -> String {
        self.owner.init.label.clone()
    }

    /// The protocol that it was made with, empty if none; also when it is closed.
    pub fn protocol(&self) -> String {
        self.owner.init.protocol.clone()
    }

    /// What it was made as, also when it is closed.
    pub fn init(&self) -> ChannelInit {
        self.owner.init.clone()
    }

    /// Its state; `None` once it is closed.
    pub fn state(&self) -> Option<ChannelState> {
        self.shared().lock().session.channel_state(self.id)
    }

    /// Waits until messages can be sent. Cancel safe.
    ///
    /// # Errors
    /// [`PeerConnectionError::Ended`] with the reason that the connection has failed or was closed for, and
    /// [`PeerConnectionError::ChannelClosed`] if the channel alone is closed first.
    pub async fn opened(&self) -> Result<(), PeerConnectionError> {
        loop {
            let Some(changed) = self.inbox(|inbox| inbox.changed.clone()) else {
                return Err(self.ended_error());
            };
            let changed = changed.notified();
            let is_open = self.check_open(&self.shared().lock());
            match is_open {
                Err(PeerConnectionError::NotOpen) => changed.await,
                result => return result,
            }
        }
    }

    /// Sends bytes, and waits while more than a mebibyte is buffered, or the channel is not open yet. Cancel
    /// safe: the message is queued as a whole or not at all. Queued is not delivered: a connection that is closed loses
    /// what the peer does not have yet, unless it ends with [`shutdown`](super::PeerConnection::shutdown).
    ///
    /// # Errors
    /// [`PeerConnectionError::Ended`] with the reason that the connection has failed or was closed for,
    /// [`PeerConnectionError::ChannelClosed`], or what the channel refused, such as a message that is too long.
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
                return Err(self.ended_error());
            };
            let writable = writable.notified();
            match self.try_send_message(kind, data.clone()) {
                Err(PeerConnectionError::NotOpen | PeerConnectionError::SendBufferFull) => writable.await,
                result => return result,
            }
        }
    }

    /// Sends bytes if there is room.
    ///
    /// # Errors
    /// [`PeerConnectionError::SendBufferFull`] if there is none, [`PeerConnectionError::NotOpen`] before the channel is
    /// open; else as [`send`](Self::send).
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
            self.check_open(state)?;
            if state.session.buffered_amount(self.id) >= HIGH_WATER {
                state.tell_when_low(self.id, LOW_WATER);
                return Err(PeerConnectionError::SendBufferFull);
            }
            match state.session.send_message(now, self.id, kind, data) {
                Ok(()) => Ok(()),
                Err(SessionError::DataChannel(DataChannelError::Sctp(SctpError::SendBufferFull {
                    ..
                }))) => Err(PeerConnectionError::SendBufferFull),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Whether messages can be sent, apart from room for them.
    fn check_open(&self, state: &State) -> Result<(), PeerConnectionError> {
        let channel = state.session.channel_state(self.id);
        match (state.session.failure(), channel) {
            (None, Some(ChannelState::Open)) => Ok(()),
            (None, Some(ChannelState::Connecting)) => Err(PeerConnectionError::NotOpen),
            _ => Err(Self::why_ended(state)),
        }
    }

    fn why_ended(state: &State) -> PeerConnectionError {
        state.session.data_failure().cloned().map_or(PeerConnectionError::ChannelClosed, Into::into)
    }

    /// Why the channel does not work any more, with the connection or with all its data channels; `None` while they
    /// work, and of a channel that was closed alone. What [`recv`](Self::recv) has ended for, after it returned
    /// `None`.
    pub fn failure(&self) -> Option<FailureReason> {
        self.shared().lock().session.data_failure().cloned()
    }

    /// The next message; `None` once the channel is closed, or the connection has failed or is closed, and all messages
    /// are told: [`failure`](Self::failure) says which. Cancel safe.
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

    /// The next message, if there is one; `None` as [`recv`](Self::recv) returns it.
    ///
    /// # Errors
    /// [`PeerConnectionError::WouldBlock`] if there is none now.
    pub fn try_recv(&self) -> Result<Option<Message>, PeerConnectionError> {
        let mut state = self.shared().lock();
        let has_failed = state.session.data_failure().is_some();
        let Some(inbox) = state.channels.get(&self.id) else { return Ok(None) };
        let is_over = inbox.ended || has_failed;
        let message = state.session.receive_message(self.id);
        let has_opened = message.is_some() && state.session.take_window_opened();
        drop(state);
        if has_opened {
            // The peer is to learn that its window is open again.
            self.with(|_, _| ());
        }
        match message {
            Some(message) => Ok(Some(Message::new(message.kind, message.data))),
            None if is_over => Ok(None),
            None => Err(PeerConnectionError::WouldBlock),
        }
    }

    /// Bytes queued that were not sent yet.
    pub fn buffered_amount(&self) -> usize {
        self.shared().lock().session.buffered_amount(self.id)
    }

    /// Waits until no more than `threshold` bytes are queued, or the channel closes, at which side ever, or the connection
    /// has failed or is closed: [`failure`](Self::failure) says which. Cancel safe.
    pub async fn buffered_amount_low(&self, threshold: usize) {
        loop {
            let Some(writable) = self.inbox(|inbox| inbox.writable.clone()) else { return };
            let writable = writable.notified();
            let is_low = self.with(|state, _| {
                let may_send = matches!(
                    state.session.channel_state(self.id),
                    Some(ChannelState::Connecting | ChannelState::Open)
                ) && state.session.data_failure().is_none();
                let is_low = !may_send || state.session.buffered_amount(self.id) <= threshold;
                if !is_low {
                    state.tell_when_low(self.id, threshold);
                }
                is_low
            });
            if is_low {
                return;
            }
            writable.await;
        }
    }

    /// Waits until there may be room to send, or something else has changed that who waits for room is to know.
    pub(super) async fn writable_changed(&self) {
        if let Some(writable) = self.inbox(|inbox| inbox.writable.clone()) {
            writable.notified().await;
        }
    }

    /// Why the channel does not work any more, if it was not closed before that.
    pub(super) fn cut_off(&self) -> Option<FailureReason> {
        let state = self.shared().lock();
        let session = &state.session;
        let is_there = session.channel_state(self.id).is_some() || session.is_channel_cut_off(self.id);
        session.data_failure().filter(|_| is_there).cloned()
    }

    /// The largest message in bytes that the peer takes; `None` before the channel is open.
    pub fn max_message_size(&self) -> Option<usize> {
        self.shared().lock().session.max_message_size()
    }

    /// Closes the channel: what was sent is delivered first, unless the whole connection is closed before.
    /// [`closed`](Self::closed) waits for it; whoever waits to send ends at once.
    pub fn close(&self) {
        self.with(|state, now| state.close_channel(now, self.id));
    }

    /// Waits until the channel is closed in both directions, or the connection has failed or is closed:
    /// [`failure`](Self::failure) says which. Cancel safe.
    ///
    /// After [`close`](Self::close) that is when the peer has everything that was sent and has closed its direction, too.
    /// A peer that is there but does not read can hold it up for as long as it likes: where that matters, wait for a
    /// limited time (`tokio::time::timeout`) and close the connection.
    pub async fn closed(&self) {
        loop {
            let Some(changed) = self.inbox(|inbox| inbox.changed.clone()) else { return };
            let changed = changed.notified();
            if self.inbox(|inbox| inbox.ended) != Some(false) || self.failure().is_some() {
                return;
            }
            changed.await;
        }
    }

    /// Whether the peer closed the channel, so that everything it sent has arrived.
    pub(super) fn is_closed_by_peer(&self) -> bool {
        self.inbox(|inbox| inbox.closed_by_peer).unwrap_or_default()
    }

    fn ended_error(&self) -> PeerConnectionError {
        Self::why_ended(&self.shared().lock())
    }

    fn inbox<T>(&self, look: impl FnOnce(&ChannelInbox) -> T) -> Option<T> {
        self.shared().lock().channels.get(&self.id).map(look)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> T {
        self.shared().with(act)
    }
}

same_if_stable_id_is!(DataChannel);
