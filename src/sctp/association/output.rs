//! Packets on their way out.

use std::time::Instant;

use super::state::{Association, State};
use crate::layer::{Transmit, TransmitBatch};
use crate::sctp::config::Config;
use crate::sctp::timer::Timer;
use crate::sctp::wire::{ChunkType, PacketWriter, Parameter, ParameterType};

impl Association {
    /// Writes a run of packets of equal size.
    pub(super) fn transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        if self.reply.is_none() && !self.has_packet(now) {
            return None;
        }
        let mut segments = out.segments(None, None);
        if let Some(reply) = self.reply.take() {
            let Self { config, cookie_key, .. } = self;
            let (local, remote) = (config.local_port, config.remote_port);
            let mut packet = PacketWriter::new(segments.datagram(), config.mtu, local, remote, reply.tag());
            reply.write(cookie_key, &mut packet);
            packet.finish(true);
            segments.end_datagram();
            self.counters.packets_sent += 1;
            return segments.finish();
        }
        let ceiling = self.config.mtu.min(segments.max_datagram()).max(Config::MIN_MTU) & !3;
        let mut limit = self.first_limit(now, ceiling);
        while self.write_packet(now, segments.datagram(), limit) {
            self.counters.packets_sent += 1;
            if !segments.end_datagram() || self.has_control() {
                break;
            }
            // Another packet joins the run only if at its natural length it is not longer than the first:
            // cutting messages to the size of a short packet would waste more than a send.
            limit = segments.max_datagram();
            match self.next_data_size(now, ceiling) {
                Some(size) if size <= limit => {}
                _ => break,
            }
        }
        let restart = self.sender.take_timer_restart() || !self.timers.is_running(Timer::Retransmission);
        if restart && self.sender.is_waiting() && self.sends_data() {
            self.start_rto(Timer::Retransmission, now);
        }
        if self.sender.has_drained() {
            self.progress(now);
        }
        segments.finish()
    }

    fn has_packet(&mut self, now: Instant) -> bool {
        // Looking for data may find a message that grew too old, of which the peer is to be told.
        let has_data = self.sends_data() && self.look_for_data(now);
        has_data || self.has_control()
    }

    /// Whether there is DATA to send. Messages that grew too old are dropped, and with nothing in flight no
    /// acknowledgement will come to let go on what waited for them.
    fn look_for_data(&mut self, now: Instant) -> bool {
        let before = self.sender.buffered();
        let has_data = self.sender.has_chunk(now, &mut self.events);
        if self.sender.buffered() < before {
            self.tell_writable();
            self.progress(now);
        }
        has_data
    }

    fn has_control(&self) -> bool {
        self.pending.any()
            || self.receiver.wants_sack()
            || self.sender.has_forward_tsn()
            || self.reconfiguration.has_chunk()
            || !self.causes.is_empty()
            || !self.heartbeat_ack.is_empty()
    }

    fn next_data_size(&mut self, now: Instant, ceiling: usize) -> Option<usize> {
        self.sends_data().then(|| self.sender.next_packet_size(now, ceiling, &mut self.events)).flatten()
    }

    /// How long the first packet of a run may be, where the batch asks for packets of at most `ceiling` bytes. RFC 9260
    /// §6.9: what was cut for a wider path is not cut again, nor can a cookie or the answer to a HEARTBEAT be.
    fn first_limit(&mut self, now: Instant, ceiling: usize) -> usize {
        let is_narrow = ceiling < self.config.mtu;
        let is_whole = |association: &mut Self| {
            association.pending.cookie_echo
                || !association.heartbeat_ack.is_empty()
                || association.next_data_size(now, ceiling).is_some_and(|size| size > ceiling)
        };
        if is_narrow && is_whole(self) { self.config.mtu } else { ceiling }
    }

    /// Writes one packet, or nothing.
    fn write_packet(&mut self, now: Instant, buffer: &mut Vec<u8>, limit: usize) -> bool {
        let tag = if self.pending.init { 0 } else { self.agreement.peer_tag };
        let (local, remote) = (self.config.local_port, self.config.remote_port);
        let mut packet = PacketWriter::new(buffer, limit, local, remote, tag);
        let has_control = self.has_control();
        let needs_checksum = !self.config.zero_checksum
            || !self.agreement.peer.zero_checksum
            || self.pending.init
            || self.pending.cookie_echo
            || !self.exists();
        if self.pending.init {
            self.pending.init = false;
            let (init, capabilities) = (self.init(), self.capabilities());
            // An INIT travels alone (RFC 9260 §6.10).
            packet.chunk(ChunkType::INIT, 0, |out| {
                init.write_fixed(out);
                capabilities.write(out);
            });
            return packet.finish(needs_checksum);
        }
        if has_control {
            self.write_control(now, &mut packet);
        } else if self.receiver.has_sack() {
            // A SACK that could wait goes along with data for free.
            self.write_sack(&mut packet);
        }
        if self.sends_data() {
            self.sender.note_idle(now, self.rto.current());
            self.sender.write(now, &mut packet, &mut self.events);
        }
        packet.finish(needs_checksum)
    }

    /// Writes the control chunks that wait, as far as there is room. COOKIE ECHO and COOKIE ACK come first
    /// (RFC 9260 §5.1).
    fn write_control(&mut self, now: Instant, packet: &mut PacketWriter<'_>) {
        if self.pending.cookie_echo {
            self.pending.cookie_echo = false;
            if let Some(cookie) = &self.peer_cookie {
                packet.chunk(ChunkType::COOKIE_ECHO, 0, |out| out.extend_from_slice(cookie));
            }
        }
        if self.pending.cookie_ack {
            self.pending.cookie_ack = false;
            packet.chunk(ChunkType::COOKIE_ACK, 0, |_| {});
        }
        if !self.causes.is_empty() {
            let causes = &self.causes;
            if packet.chunk(ChunkType::ERROR, 0, |out| out.extend_from_slice(causes)) {
                self.causes.clear();
            }
        }
        if self.receiver.has_sack() && self.exists() {
            self.write_sack(packet);
        }
        if self.sender.has_forward_tsn() && self.sends_data() {
            self.sender.write_forward_tsn(now, packet);
        }
        if self.reconfiguration.has_chunk() {
            self.reconfiguration.write(packet);
        }
        if !self.heartbeat_ack.is_empty() {
            let info = &self.heartbeat_ack;
            if packet.chunk(ChunkType::HEARTBEAT_ACK, 0, |out| out.extend_from_slice(info)) {
                self.heartbeat_ack = Vec::new();
            }
        }
        if let Some((nonce, _)) = self.heartbeat.filter(|_| self.pending.heartbeat) {
            self.pending.heartbeat = !packet.chunk(ChunkType::HEARTBEAT, 0, |out| {
                Parameter::write(out, ParameterType::HEARTBEAT_INFO, &nonce);
            });
        }
        if self.pending.shutdown {
            let cumulative = self.receiver.cumulative();
            self.pending.shutdown = !packet
                .chunk(ChunkType::SHUTDOWN, 0, |out| out.extend_from_slice(&cumulative.0.to_be_bytes()));
        }
        if self.pending.shutdown_ack {
            self.pending.shutdown_ack = !packet.chunk(ChunkType::SHUTDOWN_ACK, 0, |_| {});
        }
    }

    fn write_sack(&mut self, packet: &mut PacketWriter<'_>) {
        if self.receiver.write_sack(packet) {
            self.timers.stop(Timer::Sack);
        }
    }

    /// Whether nothing more is taken from the application.
    pub(super) fn is_closing(&self) -> bool {
        self.state != State::Established
    }
}
