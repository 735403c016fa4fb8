//! An association as a layer, behind the seam.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::state::{Association, State};
use crate::layer::{
    Datagram, Held, HeldOutcome, Layer, PayloadProtocol, Received, Reliability, SctpClose, SctpError,
    SctpEvent, SctpTransport, SendOptions, StreamId, Transmit, TransmitBatch,
};
use crate::sctp::sender::Message;
use crate::sctp::wire::CauseCode;

impl Layer for Association {
    type Event = SctpEvent;
    type Error = SctpError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SctpError> {
        self.counters.packets_received += 1;
        let result = self.handle_packet(now, datagram.bytes);
        if result.is_err() {
            self.counters.packets_ignored += 1;
        }
        result
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timers(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<SctpEvent> {
        // First, because what arrived belongs before what ended.
        if std::mem::take(&mut self.readable) {
            return Some(SctpEvent::Readable);
        }
        self.events.pop_front()
    }
}

impl SctpTransport for Association {
    fn connect(&mut self, now: Instant) {
        if self.state == State::Closed {
            self.send_init(now);
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
        if self.is_closing() {
            return Err(SctpError::NotEstablished);
        }
        self.check_stream(stream)?;
        let limit = self.max_message_size();
        if message.len() > limit {
            return Err(SctpError::MessageTooLarge { size: message.len(), limit });
        }
        if message.is_empty() {
            return Err(SctpError::EmptyMessage);
        }
        if self.sender.is_resetting(stream) {
            return Err(SctpError::StreamResetting(stream));
        }
        let charge = Message::charge(message.len());
        if self.sender.buffered() + charge > self.config.send_buffer {
            self.wants_writable = true;
            return Err(SctpError::SendBufferFull { limit: self.config.send_buffer });
        }
        let (max_retransmits, expires) = match options.reliability {
            Reliability::Reliable => (None, None),
            Reliability::MaxRetransmits(count) => (Some(count), None),
            // Lifetimes are told in whole milliseconds (RFC 8832 §5.1), so the last one counts to its end. A
            // lifetime of zero, too, leaves time for one attempt.
            Reliability::MaxLifetime(lifetime) => {
                let begun = now.checked_add(lifetime);
                (None, begun.and_then(|begun| begun.checked_add(Duration::from_millis(1))))
            }
        };
        let unordered = options.unordered;
        let message = Message { payload: message, protocol, unordered, max_retransmits, expires };
        self.sender.push(stream, message);
        Ok(())
    }

    fn receive(&mut self) -> Option<Received> {
        let received = self.receiver.read();
        if !self.receiver.is_readable() {
            self.told_readable = false;
        }
        received
    }

    fn unread(&self) -> usize {
        self.receiver.unread()
    }

    fn set_held(&mut self, held: Held) -> HeldOutcome {
        let was_due = self.receiver.wants_sack();
        self.receiver.set_kept(held);
        match self.receiver.wants_sack() {
            true if !was_due => HeldOutcome::WindowOpened,
            _ => HeldOutcome::Counted,
        }
    }

    fn receive_budget(&self) -> usize {
        self.config.max_receive_window
    }

    fn path_has_changed(&mut self, now: Instant) {
        // RFC 9260 §8.2: errors are those of a path.
        self.errors = 0;
        self.resume(now);
    }

    fn path_is_back(&mut self, now: Instant) {
        self.resume(now);
    }

    fn buffered_amount(&self, stream: StreamId) -> usize {
        self.sender.buffered_amount(stream)
    }

    fn set_buffered_amount_low_threshold(&mut self, stream: StreamId, threshold: usize) {
        self.sender.set_low_threshold(stream, threshold);
    }

    fn reset_streams(&mut self, now: Instant, streams: &[StreamId]) -> Result<(), SctpError> {
        if self.is_closing() {
            return Err(SctpError::NotEstablished);
        }
        for stream in streams {
            self.check_stream(*stream)?;
        }
        for stream in streams {
            self.queue_reset(*stream);
        }
        self.progress(now);
        Ok(())
    }

    fn streams(&self) -> (u16, u16) {
        if !self.exists() {
            return (0, 0);
        }
        (self.agreement.outgoing_streams, self.agreement.incoming_streams)
    }

    fn max_message_size(&self) -> usize {
        self.config.max_send_message.min(self.remote_max_message)
    }

    fn set_remote_max_message_size(&mut self, size: u64) {
        self.remote_max_message = match size {
            0 => usize::MAX,
            size => usize::try_from(size).unwrap_or(usize::MAX),
        };
    }

    fn is_established(&self) -> bool {
        self.state == State::Established
    }

    fn shutdown(&mut self, now: Instant) {
        self.begin_shutdown(now);
    }

    fn abort(&mut self, _now: Instant) {
        self.abort_with(CauseCode::USER_INITIATED_ABORT, &[][..], SctpClose::Aborted);
    }
}

impl Association {
    fn check_stream(&self, stream: StreamId) -> Result<(), SctpError> {
        let count = self.agreement.outgoing_streams;
        if stream.0 < count { Ok(()) } else { Err(SctpError::InvalidStream { stream, count }) }
    }
}
