//! The chunks of an association that is established.

use std::time::Instant;

use super::input::Next;
use super::state::{Association, State};
use crate::layer::{SctpClose, SctpError, SctpEvent, StreamId};
use crate::sctp::receiver::DataRefused;
use crate::sctp::reset::Answer;
use crate::sctp::timer::Timer;
use crate::sctp::wire::{
    CauseCode, Chunk, Data, ForwardTsn, ParameterType, Parameters, ReconfigParameter, ReconfigResult,
    ResetRequest, Sack, StreamList,
};

impl Association {
    pub(super) fn handle_data(&mut self, now: Instant, chunk: &Chunk<'_>) -> Result<Next, SctpError> {
        if !matches!(self.state, State::Established | State::ShutdownPending | State::ShutdownSent) {
            return Ok(Next::Continue);
        }
        let data = Data::parse(chunk.flags, chunk.value)?;
        match self.receiver.handle_data(now, &data) {
            Ok(()) => Ok(Next::Continue),
            Err(DataRefused::InvalidStream) => {
                let [s0, s1] = data.stream.0.to_be_bytes();
                self.report(CauseCode::INVALID_STREAM, &[s0, s1, 0, 0]);
                Ok(Next::Continue)
            }
            Err(DataRefused::NoUserData) => {
                let close = SctpClose::ProtocolViolation("DATA without data");
                let tsn = data.tsn.0.to_be_bytes().to_vec();
                self.abort_with(CauseCode::NO_USER_DATA, tsn, close);
                Err(SctpError::Ignored("DATA without data"))
            }
            Err(DataRefused::Violation(violation)) => self.abort_for(violation),
        }
    }

    pub(super) fn handle_sack(&mut self, now: Instant, value: &[u8]) -> Result<(), SctpError> {
        if !(self.sends_data() || self.state == State::ShutdownSent) {
            return Ok(());
        }
        let sack = Sack::parse(value)?;
        let outcome = self.sender.handle_sack(now, &sack, &mut self.events).map_err(SctpError::Ignored)?;
        self.answered = true;
        if outcome.progress {
            self.errors = 0;
            self.rto.forgive();
        }
        if let Some(rtt) = outcome.rtt {
            self.measure_round_trip(rtt);
        }
        self.after_acknowledgement(now, outcome.cumulative);
        Ok(())
    }

    /// RFC 9260 §6.3.2: R2 stops the timer, R3 restarts it.
    pub(super) fn after_acknowledgement(&mut self, now: Instant, cumulative: bool) {
        if !self.sender.is_waiting() {
            self.timers.stop(Timer::Retransmission);
        } else if cumulative {
            self.start_rto(Timer::Retransmission, now);
        }
        self.tell_writable();
    }

    /// Tells an application that was refused room of it, once there is enough to be worth it.
    pub(super) fn tell_writable(&mut self) {
        if self.wants_writable && self.sender.buffered() <= self.config.send_buffer / 2 {
            self.wants_writable = false;
            self.events.push_back(SctpEvent::Writable);
        }
    }

    pub(super) fn handle_forward_tsn(&mut self, value: &[u8]) -> Result<(), SctpError> {
        if matches!(self.state, State::Established | State::ShutdownPending | State::ShutdownSent) {
            self.receiver.handle_forward_tsn(&ForwardTsn::parse(value)?);
        }
        Ok(())
    }

    /// Sends back what the HEARTBEAT carries (RFC 9260 §8.3), unless it is too long for a packet.
    pub(super) fn handle_heartbeat(&mut self, value: &[u8]) -> Result<(), SctpError> {
        if !self.exists() {
            return Ok(());
        }
        let info = Parameters::new(value).next().ok_or(SctpError::Ignored("HEARTBEAT without info"))??;
        if info.kind == ParameterType::HEARTBEAT_INFO && value.len() <= self.config.mtu - 16 {
            self.heartbeat_ack.clear();
            self.heartbeat_ack.extend_from_slice(value);
        }
        Ok(())
    }

    pub(super) fn handle_heartbeat_ack(&mut self, now: Instant, value: &[u8]) {
        let info = Parameters::new(value).next().and_then(Result::ok);
        let matching = self.heartbeat.take_if(|(nonce, _)| info.is_some_and(|info| info.value == *nonce));
        if let Some((_, sent)) = matching {
            self.errors = 0;
            self.measure_round_trip(now.saturating_duration_since(sent));
        }
    }

    pub(super) fn handle_reconfig(&mut self, now: Instant, value: &[u8]) -> Result<(), SctpError> {
        if !self.exists() {
            return Ok(());
        }
        // RFC 6525 §3.1 allows two parameters.
        for parameter in Parameters::new(value).take(2) {
            match ReconfigParameter::parse(&parameter?)? {
                Some(ReconfigParameter::OutgoingReset(reset)) => self.handle_outgoing_reset(&reset),
                Some(ReconfigParameter::IncomingReset { request, streams }) => {
                    self.handle_incoming_reset(request, &streams);
                }
                Some(
                    ReconfigParameter::SsnTsnReset { request }
                    | ReconfigParameter::AddIncomingStreams { request, .. },
                ) => self.deny(request),
                Some(ReconfigParameter::AddOutgoingStreams { request, count }) => {
                    self.handle_add_streams(request, count);
                }
                Some(ReconfigParameter::Response { request, result }) => {
                    self.handle_reconfig_response(now, request, result);
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Data channels have no use for the request.
    fn deny(&mut self, request: u32) {
        if self.reconfiguration.is_new_request(request) {
            self.reconfiguration.answer(request, ReconfigResult::DENIED);
        }
    }

    /// The peer resets its outgoing streams (RFC 6525 §5.2.2).
    fn handle_outgoing_reset(&mut self, reset: &ResetRequest<'_>) {
        if !self.reconfiguration.is_new_request(reset.request) {
            return;
        }
        let streams = self.receiver.streams();
        if reset.streams.iter().any(|stream| stream.0 >= streams) {
            self.reconfiguration.answer(reset.request, ReconfigResult::WRONG_SSN);
        } else if self.reconfiguration.repeats_performed(reset) {
            self.reconfiguration.answer(reset.request, ReconfigResult::PERFORMED);
        } else if self.events.len() + reset.streams.iter().len() > self.config.max_events {
            self.reconfiguration.answer(reset.request, ReconfigResult::DENIED);
        } else if reset.last_tsn.is_after(self.receiver.cumulative()) {
            self.reconfiguration.defer(reset);
            self.receiver.set_awaited(Some(reset.last_tsn));
        } else {
            self.reset_incoming(reset.streams.iter());
            self.reconfiguration.answer(reset.request, ReconfigResult::PERFORMED);
        }
    }

    pub(super) fn perform_deferred_reset(&mut self) {
        if !self.reconfiguration.has_deferred() {
            return;
        }
        if let Some(deferred) = self.reconfiguration.take_deferred(self.receiver.cumulative()) {
            self.receiver.set_awaited(None);
            self.reset_incoming(deferred.streams.iter().copied());
            self.reconfiguration.finish_deferred(deferred, ReconfigResult::PERFORMED);
        }
    }

    fn reset_incoming(&mut self, streams: impl ExactSizeIterator<Item = StreamId>) {
        if streams.len() == 0 {
            // An empty list is all streams (RFC 6525 §4.1); those that were never used are as new already.
            if self.receiver.reset_all_streams() {
                self.events.push_back(SctpEvent::AllIncomingStreamsReset);
            }
            return;
        }
        for stream in streams {
            self.receiver.reset_stream(stream);
            self.events.push_back(SctpEvent::IncomingStreamReset(stream));
        }
    }

    /// The peer asks for a reset of our outgoing streams (RFC 6525 §5.2.3).
    fn handle_incoming_reset(&mut self, request: u32, streams: &StreamList<'_>) {
        if !self.reconfiguration.is_new_request(request) {
            return;
        }
        let count = self.agreement.outgoing_streams;
        if streams.is_empty() || streams.iter().any(|stream| stream.0 >= count) {
            self.reconfiguration.answer(request, ReconfigResult::WRONG_SSN);
            return;
        }
        if self.events.len() >= self.config.max_events {
            self.reconfiguration.answer(request, ReconfigResult::DENIED);
            return;
        }
        // One that nothing was sent on is as new: a peer that names all of them makes nothing of each.
        for stream in streams.iter().filter(|stream| self.sender.is_stream_used(*stream)).collect::<Vec<_>>()
        {
            self.queue_reset(stream);
        }
        self.reconfiguration.answer(request, ReconfigResult::PERFORMED);
    }

    /// The peer wants to send on more streams (RFC 6525 §5.2.5).
    fn handle_add_streams(&mut self, request: u32, count: u16) {
        if !self.reconfiguration.is_new_request(request) {
            return;
        }
        match self.receiver.streams().checked_add(count).filter(|total| *total <= self.config.streams) {
            Some(total) => {
                self.receiver.add_streams(total);
                self.agreement.incoming_streams = total;
                self.reconfiguration.answer(request, ReconfigResult::PERFORMED);
            }
            None => self.reconfiguration.answer(request, ReconfigResult::DENIED),
        }
    }

    fn handle_reconfig_response(&mut self, now: Instant, request: u32, result: ReconfigResult) {
        match self.reconfiguration.handle_response(request, result) {
            Answer::None => return,
            Answer::InProgress => {
                // It is asked again when the timer expires; an answer is a sign of life (RFC 6525 §5.2.7).
                self.errors = 0;
                self.start_rto(Timer::Reconfiguration, now);
                return;
            }
            Answer::Performed(streams) => {
                for stream in streams {
                    self.sender.finish_reset(stream);
                    self.events.push_back(SctpEvent::OutgoingStreamReset(stream));
                }
            }
            Answer::Refused(streams) => {
                streams.into_iter().for_each(|stream| self.refuse_reset(stream));
            }
        }
        self.receiver.set_resetting(self.sender.resetting());
        self.timers.stop(Timer::Reconfiguration);
    }

    pub(super) fn refuse_reset(&mut self, stream: StreamId) {
        self.sender.cancel_reset(stream);
        self.receiver.set_resetting(self.sender.resetting());
        self.events.push_back(SctpEvent::StreamResetRefused(stream));
    }

    /// Begins the reset of an outgoing stream, unless one is under way.
    pub(super) fn queue_reset(&mut self, stream: StreamId) {
        if !self.sender.is_resetting(stream) {
            self.sender.begin_reset(stream);
            self.receiver.set_resetting(self.sender.resetting());
        }
    }

    pub(super) fn tell_readable(&mut self) {
        if !self.told_readable && self.receiver.is_readable() {
            self.told_readable = true;
            self.readable = true;
        }
    }
}
