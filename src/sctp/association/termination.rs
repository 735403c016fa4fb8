//! The end of an association, RFC 9260 §9.

use std::borrow::Cow;
use std::time::Instant;

use super::reply::Reply;
use super::state::{Association, State};
use crate::layer::{SctpClose, SctpError};
use crate::sctp::sequence::Tsn;
use crate::sctp::timer::Timer;
use crate::sctp::wire::{CauseCode, WireError};

impl Association {
    /// Does what became possible because something was sent or acknowledged: resets and shutdown.
    pub(super) fn progress(&mut self, now: Instant) {
        if self.sends_data() {
            let (first, last) = self.sender.first_and_last_tsn();
            while let Some(stream) = self.sender.pop_drained() {
                match self.agreement.peer.reconfiguration {
                    true => self.reconfiguration.queue(stream),
                    false => self.reconfiguration.queue_unsupported(stream, last),
                }
            }
            if self.reconfiguration.begin(last) {
                self.start_rto(Timer::Reconfiguration, now);
            }
            while let Some(stream) = self.reconfiguration.pop_unsupported(first) {
                self.refuse_reset(stream);
            }
        }
        if !self.sender.is_drained() || self.reconfiguration.is_waiting() {
            return;
        }
        match self.state {
            // RFC 9260 §9.2: everything is acknowledged, so the end can be announced.
            State::ShutdownPending => {
                self.state = State::ShutdownSent;
                self.pending.shutdown = true;
                self.begin_shutdown_timers(now);
            }
            State::ShutdownReceived => {
                self.state = State::ShutdownAckSent;
                self.pending.shutdown_ack = true;
                self.begin_shutdown_timers(now);
            }
            _ => {}
        }
    }

    fn begin_shutdown_timers(&mut self, now: Instant) {
        self.timers.stop(Timer::Heartbeat);
        self.timers.stop(Timer::Retransmission);
        self.rto.forgive();
        self.start_rto(Timer::Shutdown, now);
        self.guard_shutdown(now);
    }

    /// §9.2: a shutdown that takes too long is given up; a peer that still has data to send gets longer.
    pub(super) fn guard_shutdown(&mut self, now: Instant) {
        self.timers.start(Timer::ShutdownGuard, now + self.config.shutdown_guard);
    }

    pub(super) fn begin_shutdown(&mut self, now: Instant) {
        match self.state {
            State::Closed | State::CookieWait | State::CookieEchoed => self.end(SctpClose::Shutdown),
            State::Established => {
                self.state = State::ShutdownPending;
                self.progress(now);
            }
            _ => {}
        }
    }

    pub(super) fn handle_shutdown(&mut self, now: Instant, value: &[u8]) -> Result<(), SctpError> {
        let Some(cumulative) = value.first_chunk() else {
            let error = WireError::TooShort { what: "SHUTDOWN", needed: 4, length: value.len() };
            return Err(error.into());
        };
        let cumulative = Tsn(u32::from_be_bytes(*cumulative));
        match self.state {
            State::Established | State::ShutdownPending | State::ShutdownReceived => {
                let moved = self.sender.handle_cumulative(now, cumulative).map_err(SctpError::Ignored)?;
                self.state = State::ShutdownReceived;
                self.errors = 0;
                self.after_acknowledgement(now, moved);
                self.progress(now);
            }
            // Both sides began at once.
            State::ShutdownSent => {
                self.state = State::ShutdownAckSent;
                self.pending.shutdown = false;
                self.pending.shutdown_ack = true;
                self.start_rto(Timer::Shutdown, now);
            }
            State::ShutdownAckSent => self.pending.shutdown_ack = true,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn handle_shutdown_ack(&mut self) {
        match self.state {
            State::ShutdownSent | State::ShutdownAckSent => {
                self.reply = Some(Reply::ShutdownComplete { tag: self.agreement.peer_tag, flags: 0 });
                self.end(SctpClose::Shutdown);
            }
            // §8.5.1 E: one of an association before this one, even if the tag is the same by chance.
            State::CookieWait | State::CookieEchoed => {
                self.reply = Some(Reply::ShutdownComplete { tag: self.local_tag, flags: 1 });
            }
            _ => {}
        }
    }

    pub(super) fn handle_shutdown_complete(&mut self) {
        if self.state == State::ShutdownAckSent {
            self.end(SctpClose::Shutdown);
        }
    }

    /// The peer does not answer any more. That is a loss unless both sides had agreed to end and only the
    /// last word of it is missing.
    pub(super) fn time_out(&mut self, text: &'static str) {
        let close = match self.state {
            State::ShutdownAckSent => SctpClose::Shutdown,
            _ => SctpClose::TimedOut,
        };
        self.abort_with(CauseCode::USER_INITIATED_ABORT, text.as_bytes(), close);
    }

    /// Ends the association with an ABORT, if the peer knows of it.
    pub(super) fn abort_with(
        &mut self,
        code: CauseCode,
        content: impl Into<Cow<'static, [u8]>>,
        close: SctpClose,
    ) {
        if self.state == State::Ended {
            return;
        }
        if self.agreement.peer_tag != 0 {
            let tag = self.agreement.peer_tag;
            self.reply = Some(Reply::Abort { tag, flags: 0, cause: Some((code, content.into())) });
        }
        self.end(close);
    }
}
