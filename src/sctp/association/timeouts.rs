//! What the timers of an association do.

use std::time::Instant;

use super::state::{Association, State};
use crate::layer::SctpClose;
use crate::sctp::sender::TimeoutOutcome;
use crate::sctp::timer::Timer;

impl Association {
    pub(super) fn handle_timers(&mut self, now: Instant) {
        if self.timers.next().is_none_or(|next| next > now) {
            return;
        }
        for timer in Timer::ALL {
            if !self.timers.take_expired(timer, now) {
                continue;
            }
            match timer {
                Timer::Handshake => self.handle_handshake_timeout(now),
                Timer::Retransmission => self.handle_retransmission_timeout(now),
                Timer::Shutdown => self.handle_shutdown_timeout(now),
                Timer::ShutdownGuard => self.time_out("shutdown took too long"),
                Timer::Sack => self.receiver.request_sack(),
                Timer::Heartbeat => self.handle_heartbeat_timeout(now),
                Timer::Reconfiguration => self.handle_reconfiguration_timeout(now),
            }
        }
    }

    /// The path answers again: what waits for a timeout that was backed off is sent at once, and what it counts
    /// as lost it still does. Without a timeout before there is nothing to do, so a hint too many costs nothing.
    pub(super) fn resume(&mut self, now: Instant) {
        if !self.rto.restart() {
            return;
        }
        tracing::debug!(rto = ?self.rto.current(), "the path answers again");
        if self.sends_data() && self.sender.path_is_back(now, &mut self.events) {
            self.start_rto(Timer::Retransmission, now);
            self.tell_writable();
        }
        if self.reconfiguration.is_waiting() {
            self.reconfiguration.repeat();
            self.start_rto(Timer::Reconfiguration, now);
        }
        match self.state {
            State::CookieWait => self.send_init(now),
            State::CookieEchoed => {
                self.pending.cookie_echo = true;
                self.start_rto(Timer::Handshake, now);
            }
            State::ShutdownSent => {
                self.pending.shutdown = true;
                self.start_rto(Timer::Shutdown, now);
            }
            State::ShutdownAckSent => {
                self.pending.shutdown_ack = true;
                self.start_rto(Timer::Shutdown, now);
            }
            _ => {}
        }
    }

    /// T1-init or T1-cookie (RFC 9260 §5.1.6).
    fn handle_handshake_timeout(&mut self, now: Instant) {
        tracing::debug!(state = ?self.state, "no answer in the SCTP handshake");
        self.init_retransmits += 1;
        if self.init_retransmits > self.config.max_init_retransmits {
            self.end(SctpClose::TimedOut);
            return;
        }
        self.rto.back_off();
        self.handshake_sent = None;
        match self.state {
            State::CookieWait => self.send_init(now),
            State::CookieEchoed => {
                self.pending.cookie_echo = true;
                self.start_rto(Timer::Handshake, now);
            }
            _ => {}
        }
    }

    fn handle_retransmission_timeout(&mut self, now: Instant) {
        let answered = std::mem::take(&mut self.answered);
        let outcome = self.sender.handle_timeout(now, &mut self.events);
        if outcome == TimeoutOutcome::Idle {
            return;
        }
        self.counters.timeouts += 1;
        tracing::debug!(?outcome, rto = ?self.rto.current(), "SCTP retransmission timeout");
        // §6.1 A: a peer that keeps its window closed but answers is not lost.
        let excused = outcome == TimeoutOutcome::WindowProbe && answered;
        self.rto.back_off();
        if excused || self.count_error() {
            self.start_rto(Timer::Retransmission, now);
        }
    }

    fn handle_shutdown_timeout(&mut self, now: Instant) {
        self.rto.back_off();
        if !self.count_error() {
            return;
        }
        match self.state {
            State::ShutdownSent => self.pending.shutdown = true,
            State::ShutdownAckSent => self.pending.shutdown_ack = true,
            _ => return,
        }
        self.start_rto(Timer::Shutdown, now);
    }

    fn handle_heartbeat_timeout(&mut self, now: Instant) {
        if self.heartbeat.take().is_some() {
            self.rto.back_off();
            if !self.count_error() {
                return;
            }
        }
        if !self.sender.is_waiting() {
            // Quiet for an interval: probe the peer, and give back the memory of busier times.
            let mut nonce = [0; 8];
            self.crypto.random.fill(&mut nonce);
            self.heartbeat = Some((nonce, now));
            self.pending.heartbeat = true;
            self.sender.shrink();
            self.receiver.shrink();
            self.events.shrink_to_fit();
        }
        self.schedule_heartbeat(now);
    }

    pub(super) fn schedule_heartbeat(&mut self, now: Instant) {
        if let Some(interval) = self.config.heartbeat_interval {
            self.timers.start(Timer::Heartbeat, now + interval + self.rto.current());
        }
    }

    fn handle_reconfiguration_timeout(&mut self, now: Instant) {
        if !self.reconfiguration.is_waiting() || !self.count_error() {
            return;
        }
        self.rto.back_off();
        self.reconfiguration.repeat();
        self.start_rto(Timer::Reconfiguration, now);
    }

    /// Counts one timeout; `false` if it was one too many and the association ended.
    fn count_error(&mut self) -> bool {
        self.errors += 1;
        if self.errors <= self.config.max_retransmits {
            return true;
        }
        self.time_out("no answer");
        false
    }
}
