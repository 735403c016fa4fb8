//! The establishment protocol, RFC 8832 §6.

use std::time::Instant;

use bytes::Bytes;

use super::arrivals::CHANNEL_OVERHEAD;
use super::channel::{ChannelEvent, ChannelInit, ChannelState};
use super::channel_id::ChannelId;
use super::channels::{Channel, DataChannels, End, Reset};
use super::dcep::{Dcep, Open};
use super::error::DcepError;
use crate::layer::{DtlsRole, PayloadProtocol, Received, SctpError, SctpTransport, SendOptions, StreamId};

/// The establishment protocol (RFC 8832 §6).
impl DataChannels {
    /// Sends an establishment message, or has it wait for room.
    pub(super) fn send_dcep(
        &mut self,
        sctp: &mut dyn SctpTransport,
        now: Instant,
        id: ChannelId,
        stream: StreamId,
        message: Bytes,
    ) -> Result<(), SctpError> {
        match sctp.send(now, stream, PayloadProtocol::DCEP, message.clone(), SendOptions::default()) {
            Err(SctpError::SendBufferFull { .. }) => {
                self.unsent.insert(id, (stream, message));
                Ok(())
            }
            result => result,
        }
    }

    /// Sends the establishment messages that had to wait.
    pub(super) fn flush(&mut self, sctp: &mut dyn SctpTransport, now: Instant) -> Result<(), SctpError> {
        while let Some(unsent) = self.unsent.first_entry() {
            let (stream, message) = unsent.get();
            let options = SendOptions::default();
            match sctp.send(now, *stream, PayloadProtocol::DCEP, message.clone(), options) {
                Err(full @ SctpError::SendBufferFull { .. }) => return Err(full),
                // Its channel is gone, or is about to be.
                _ => drop(unsent.remove()),
            }
        }
        Ok(())
    }

    /// Whether a message is an OPEN that belongs after something else: after the reset of its stream, which
    /// was noted when it arrived, and after the peer's answer to our reset. The peer may use the stream anew as
    /// soon as it has carried out that one, and its answer may be lost. Nothing of its stream is read while one
    /// waits.
    pub(super) fn must_wait(
        &mut self,
        sctp: &mut dyn SctpTransport,
        now: Instant,
        received: &Received,
    ) -> bool {
        let stream = received.stream;
        let is_open = received.protocol == PayloadProtocol::DCEP && Dcep::is_open(&received.payload);
        if !is_open || self.end != End::NotYet {
            return false;
        }
        let is_reset = self.on_stream(stream).is_none_or(|(_, channel)| channel.reset_by_peer);
        if !is_reset {
            self.advance_reset(sctp, now, stream);
        }
        self.on_stream(stream)
            .is_some_and(|(_, channel)| channel.reset_by_peer && channel.reset_by_us == Reset::Asked)
    }

    pub(super) fn handle_dcep(
        &mut self,
        sctp: &mut dyn SctpTransport,
        now: Instant,
        stream: StreamId,
        message: &[u8],
    ) -> Result<Option<ChannelEvent>, DcepError> {
        match Dcep::parse(message)? {
            Dcep::Ack => {
                let (_, channel) = self.on_stream(stream).ok_or(DcepError::OutOfPlace)?;
                channel.awaits_ack = false;
                Ok(None)
            }
            Dcep::Open(open) => self.accept(sctp, now, stream, open).map(Some),
        }
    }

    /// The peer opens a channel (RFC 8832 §6).
    fn accept(
        &mut self,
        sctp: &mut dyn SctpTransport,
        now: Instant,
        stream: StreamId,
        open: Open,
    ) -> Result<ChannelEvent, DcepError> {
        if self.is_used(stream) {
            return Err(DcepError::StreamInUse);
        }
        let our_parity = self.role.map(|role| u16::from(role == DtlsRole::Server));
        if our_parity == Some(stream.0 % 2) {
            return Err(DcepError::WrongParity);
        }
        let names = open.label.len() + open.protocol.len();
        if self.peer_names + names > self.limits.peer_names {
            return Err(DcepError::Limit("labels and protocols"));
        }
        if self.channels.len() >= self.limits.channels {
            return Err(DcepError::Limit("channels"));
        }
        if self.events.len() >= self.limits.events {
            return Err(DcepError::Limit("events"));
        }
        // As much is left for data.
        if self.peer_charge() + names + CHANNEL_OVERHEAD > sctp.receive_budget() / 2 {
            return Err(DcepError::Limit("memory"));
        }
        self.peer_names += names;
        let Open { ordered, reliability, priority, label, protocol } = open;
        let init = ChannelInit { label, protocol, ordered, reliability, priority, negotiated: None };
        let mut channel = Channel::new(init, Some(stream), true);
        channel.state = ChannelState::Open;
        let id = self.insert(channel);
        // Without an association any more there is nobody to tell.
        let _ = self.send_dcep(sctp, now, id, stream, Dcep::ack());
        Ok(ChannelEvent::OpenedByPeer(id))
    }

    /// Closes the channel of a stream on which the peer broke the protocol, or just resets the stream.
    pub(super) fn refuse(&mut self, sctp: &mut dyn SctpTransport, now: Instant, stream: StreamId) {
        match self.on_stream(stream) {
            Some((id, channel)) => {
                channel.state = ChannelState::Closing;
                self.reset(sctp, now, id);
            }
            // Without an association there is nothing to reset.
            None => drop(sctp.reset_streams(now, &[stream])),
        }
    }
}
