//! Data channels.

use std::time::Instant;

use bytes::Bytes;

use super::Session;
use crate::datachannel::{
    ChannelEvent, ChannelId, ChannelInit, ChannelState, DataChannelError, Message, MessageKind,
};
use crate::session::error::SessionError;
use crate::session::failure::FailureReason;

impl Session {
    /// Makes a data channel. The first one needs an offer of this side; later ones need none.
    ///
    /// # Errors
    /// [`SessionError::DataChannel`] and [`SessionError::Ended`].
    pub fn create_data_channel(
        &mut self,
        now: Instant,
        init: impl Into<ChannelInit>,
    ) -> Result<ChannelId, SessionError> {
        let init = init.into();
        self.act(now, |session| {
            session.check_open()?;
            let (channels, sctp) = session.transport.channels();
            let id = channels.open(sctp, now, init)?;
            session.jsep.want_data();
            session.transport.expect_data();
            session.update_negotiation_needed();
            Ok(id)
        })
    }

    /// Why data channels do not work any more: what the [connection](Self::failure) has failed or was closed for, or
    /// the end of the SCTP association while the rest goes on.
    pub fn data_failure(&self) -> Option<&FailureReason> {
        self.failure.as_ref().or_else(|| self.transport.data_end())
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SessionError::Ended`] with [`data_failure`](Self::data_failure), and [`SessionError::DataChannel`]; when the send buffer is full,
    /// [`ChannelEvent::BufferedAmountLow`](crate::datachannel::ChannelEvent::BufferedAmountLow) tells when to try
    /// again.
    pub fn send_message(
        &mut self,
        now: Instant,
        id: ChannelId,
        kind: MessageKind,
        data: Bytes,
    ) -> Result<(), SessionError> {
        self.advance(now);
        let (channels, sctp) = self.transport.channels();
        let Err(refused) = channels.send(sctp, now, id, kind, data) else { return Ok(()) };
        let is_gone = matches!(refused, DataChannelError::NoChannel(_) | DataChannelError::NotOpen(_));
        match self.data_failure().filter(|_| is_gone) {
            Some(reason) => Err(reason.clone().into()),
            None => Err(refused.into()),
        }
    }

    /// Closes a data channel: what was sent is delivered first.
    ///
    /// # Errors
    /// [`SessionError::DataChannel`].
    pub fn close_channel(&mut self, now: Instant, id: ChannelId) -> Result<(), SessionError> {
        self.act(now, |session| {
            let (channels, sctp) = session.transport.channels();
            Ok(channels.close(sctp, now, id)?)
        })
    }

    /// What a data channel was made as.
    pub fn channel(&self, id: ChannelId) -> Option<&ChannelInit> {
        self.transport.channels_ref().init(id)
    }

    /// The state of a data channel; `None` if it is closed.
    pub fn channel_state(&self, id: ChannelId) -> Option<ChannelState> {
        self.transport.channels_ref().state(id)
    }

    /// Whether a data channel is closed only because the connection or the association has ended: something that was sent
    /// on it may not have arrived.
    pub fn is_channel_cut_off(&self, id: ChannelId) -> bool {
        self.transport.channels_ref().is_cut_off(id)
    }

    /// The data channels, oldest first.
    pub fn channels(&self) -> impl Iterator<Item = ChannelId> {
        self.transport.channels_ref().iter()
    }

    /// The bytes queued on a data channel that were not sent yet.
    pub fn buffered_amount(&self, id: ChannelId) -> usize {
        self.transport.channels_ref().buffered_amount(self.transport.sctp(), id)
    }

    /// [`ChannelEvent::BufferedAmountLow`](crate::datachannel::ChannelEvent::BufferedAmountLow) tells when the
    /// buffered amount falls to `threshold` bytes; 0 at first.
    ///
    /// # Errors
    /// [`SessionError::DataChannel`].
    pub fn set_buffered_amount_low_threshold(
        &mut self,
        id: ChannelId,
        threshold: usize,
    ) -> Result<(), SessionError> {
        let (channels, sctp) = self.transport.channels();
        channels.set_buffered_amount_low_threshold(sctp, id, threshold)?;
        Ok(())
    }

    /// The next message of a data channel; `None` if there is none. What is not received counts against the receive
    /// window of all channels together, which keeps a fast peer in check. Messages that arrived before a channel
    /// closed can be received after.
    pub fn receive_message(&mut self, id: ChannelId) -> Option<Message> {
        let now = self.now;
        let (channels, sctp) = self.transport.channels();
        channels.receive(sctp, now, id)
    }

    /// Whether there is something to send since [`receive_message`](Self::receive_message): the peer is to learn
    /// that its window is open again. Told once.
    pub fn take_window_opened(&mut self) -> bool {
        self.transport.channels().0.take_window_opened()
    }

    /// Throws away the messages of a data channel that wait to be received.
    pub fn discard_messages(&mut self, id: ChannelId) {
        let (channels, sctp) = self.transport.channels();
        channels.discard(sctp, id);
        // There may be room for what waits in the association.
        self.settle();
    }

    /// The next event of a data channel. It waits for no message to be received.
    pub fn poll_channel_event(&mut self) -> Option<ChannelEvent> {
        self.pump();
        self.next_channel_event()
    }

    pub(super) fn next_channel_event(&mut self) -> Option<ChannelEvent> {
        let now = self.now;
        let (channels, sctp) = self.transport.channels();
        channels.poll_event(sctp, now)
    }

    /// The largest message in bytes that the peer takes; `None` before data channels are connected.
    pub fn max_message_size(&self) -> Option<usize> {
        Some(self.transport.sctp()).filter(|sctp| sctp.is_established()).map(|sctp| sctp.max_message_size())
    }
}
