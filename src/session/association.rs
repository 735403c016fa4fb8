//! The SCTP association of a session, which exists only once DTLS has verified the peer.

use std::time::Instant;

use bytes::Bytes;

use crate::layer::{
    Datagram, Held, HeldOutcome, Layer, PayloadProtocol, Received, SctpError, SctpEvent, SctpTransport,
    SendOptions, StreamId, Transmit, TransmitBatch,
};

/// An association that may not exist yet: it refuses everything then, so that data channels can be made before.
#[derive(Debug, Default)]
pub(super) struct Association(Option<Box<dyn SctpTransport>>);

impl Association {
    /// The association, made if it does not exist.
    pub(super) fn get_or_make(
        &mut self,
        make: impl FnOnce() -> Box<dyn SctpTransport>,
    ) -> &mut Box<dyn SctpTransport> {
        self.0.get_or_insert_with(make)
    }
}

impl Layer for Association {
    type Event = SctpEvent;
    type Error = SctpError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SctpError> {
        self.0.as_mut().ok_or(SctpError::NotEstablished)?.handle_datagram(now, datagram)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(sctp) = &mut self.0 {
            sctp.handle_timeout(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.as_ref()?.poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.0.as_mut()?.poll_transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<SctpEvent> {
        self.0.as_mut()?.poll_event()
    }
}

impl SctpTransport for Association {
    fn connect(&mut self, now: Instant) {
        if let Some(sctp) = &mut self.0 {
            sctp.connect(now);
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
        let sctp = self.0.as_mut().ok_or(SctpError::NotEstablished)?;
        sctp.send(now, stream, protocol, message, options)
    }

    fn receive(&mut self) -> Option<Received> {
        self.0.as_mut()?.receive()
    }

    fn unread(&self) -> usize {
        self.0.as_ref().map_or(0, |sctp| sctp.unread())
    }

    fn set_held(&mut self, held: Held) -> HeldOutcome {
        self.0.as_mut().map_or(HeldOutcome::NotCounted, |sctp| sctp.set_held(held))
    }

    fn receive_budget(&self) -> usize {
        self.0.as_ref().map_or(usize::MAX, |sctp| sctp.receive_budget())
    }

    fn path_has_changed(&mut self, now: Instant) {
        if let Some(sctp) = &mut self.0 {
            sctp.path_has_changed(now);
        }
    }

    fn path_is_back(&mut self, now: Instant) {
        if let Some(sctp) = &mut self.0 {
            sctp.path_is_back(now);
        }
    }

    fn buffered_amount(&self, stream: StreamId) -> usize {
        self.0.as_ref().map_or(0, |sctp| sctp.buffered_amount(stream))
    }

    fn set_buffered_amount_low_threshold(&mut self, stream: StreamId, threshold: usize) {
        if let Some(sctp) = &mut self.0 {
            sctp.set_buffered_amount_low_threshold(stream, threshold);
        }
    }

    fn reset_streams(&mut self, now: Instant, streams: &[StreamId]) -> Result<(), SctpError> {
        self.0.as_mut().ok_or(SctpError::NotEstablished)?.reset_streams(now, streams)
    }

    fn streams(&self) -> (u16, u16) {
        self.0.as_ref().map_or((0, 0), |sctp| sctp.streams())
    }

    fn max_message_size(&self) -> usize {
        self.0.as_ref().map_or(0, |sctp| sctp.max_message_size())
    }

    fn set_remote_max_message_size(&mut self, size: u64) {
        if let Some(sctp) = &mut self.0 {
            sctp.set_remote_max_message_size(size);
        }
    }

    fn is_established(&self) -> bool {
        self.0.as_ref().is_some_and(|sctp| sctp.is_established())
    }

    fn shutdown(&mut self, now: Instant) {
        if let Some(sctp) = &mut self.0 {
            sctp.shutdown(now);
        }
    }

    fn abort(&mut self, now: Instant) {
        if let Some(sctp) = &mut self.0 {
            sctp.abort(now);
        }
    }
}
