//! Packets on their way in, RFC 9260 §8.5.

use std::time::Instant;

use super::reply::Reply;
use super::state::{Association, State};
use crate::layer::{SctpClose, SctpError};
use crate::sctp::timer::Timer;
use crate::sctp::wire::{
    CauseCode, Causes, Chunk, ChunkType, Chunks, Header, WireError, checksum, clear_checksum,
};

/// The T bit: the packet carries the tag of the packet that it answers.
const REFLECTED: u8 = 1;

impl From<WireError> for SctpError {
    fn from(error: WireError) -> Self {
        Self::Ignored(error.reason())
    }
}

/// What comes after a chunk.
pub(super) enum Next {
    /// The next chunk of the packet.
    Continue,
    /// Nothing: the rest of the packet is dropped.
    Stop,
}

impl Association {
    /// Takes one packet: checksum, ports, verification tag (RFC 9260 §8.5), then its chunks.
    pub(super) fn handle_packet(&mut self, now: Instant, packet: &mut [u8]) -> Result<(), SctpError> {
        let sum = clear_checksum(packet).ok_or(SctpError::Ignored("shorter than the common header"))?;
        let may_be_zero = sum == 0 && self.config.zero_checksum;
        if !may_be_zero && checksum(packet) != sum {
            return Err(SctpError::Ignored("wrong checksum"));
        }
        let (header, chunks) = Header::parse(packet)?;
        if header.destination_port != self.config.local_port || header.source_port != self.config.remote_port
        {
            return Err(SctpError::Ignored("wrong port"));
        }
        let first = chunks.clone().next().ok_or(SctpError::Ignored("packet without chunks"))??;
        match first.kind {
            ChunkType::INIT => return self.handle_init(now, &header, &first, chunks.count() == 1),
            ChunkType::COOKIE_ECHO => self.handle_cookie_echo(now, &header, first.value)?,
            _ => {}
        }
        let is_ours = header.verification_tag == self.local_tag;
        if self.state == State::Closed || self.state == State::Ended {
            return self.handle_out_of_the_blue(&header, chunks);
        }
        if !is_ours {
            return self.handle_foreign_tag(&header, &first);
        }
        self.handle_chunks(now, chunks)
    }

    fn handle_chunks(&mut self, now: Instant, chunks: Chunks<'_>) -> Result<(), SctpError> {
        let mut had_data = false;
        let mut result = Ok(());
        for chunk in chunks {
            let next = chunk.map_err(SctpError::from).and_then(|chunk| {
                had_data |= chunk.kind == ChunkType::DATA;
                self.handle_chunk(now, &chunk)
            });
            match next {
                Ok(Next::Continue) => {}
                Ok(Next::Stop) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            if self.state == State::Ended {
                return result;
            }
        }
        self.after_packet(now, had_data);
        result
    }

    fn handle_chunk(&mut self, now: Instant, chunk: &Chunk<'_>) -> Result<Next, SctpError> {
        match chunk.kind {
            ChunkType::DATA => return self.handle_data(now, chunk),
            ChunkType::SACK => self.handle_sack(now, chunk.value)?,
            ChunkType::INIT_ACK => self.handle_init_ack(now, chunk.value)?,
            ChunkType::COOKIE_ACK => self.handle_cookie_ack(now),
            ChunkType::HEARTBEAT => self.handle_heartbeat(chunk.value)?,
            ChunkType::HEARTBEAT_ACK => self.handle_heartbeat_ack(now, chunk.value),
            ChunkType::ABORT if chunk.flags & REFLECTED == 0 => self.handle_abort(chunk.value),
            ChunkType::ERROR => self.handle_error(now, chunk.value),
            ChunkType::SHUTDOWN => self.handle_shutdown(now, chunk.value)?,
            ChunkType::SHUTDOWN_ACK => self.handle_shutdown_ack(),
            ChunkType::SHUTDOWN_COMPLETE if chunk.flags & REFLECTED == 0 => self.handle_shutdown_complete(),
            ChunkType::FORWARD_TSN => self.handle_forward_tsn(chunk.value)?,
            ChunkType::RE_CONFIG => self.handle_reconfig(now, chunk.value)?,
            // COOKIE ECHO was handled as the first chunk; anywhere else it is out of place.
            ChunkType::COOKIE_ECHO
            | ChunkType::PAD
            | ChunkType::INIT
            | ChunkType::ABORT
            | ChunkType::SHUTDOWN_COMPLETE => {}
            unknown => {
                let action = unknown.unknown_action();
                if action.report {
                    self.report_chunk(chunk);
                }
                return Ok(if action.skip { Next::Continue } else { Next::Stop });
            }
        }
        Ok(Next::Continue)
    }

    /// What follows from a packet as a whole.
    fn after_packet(&mut self, now: Instant, had_data: bool) {
        if had_data && matches!(self.state, State::Established | State::ShutdownPending) {
            let may_wait = self.receiver.end_packet();
            if !may_wait {
                self.timers.stop(Timer::Sack);
            } else if !self.timers.is_running(Timer::Sack) {
                self.timers.start(Timer::Sack, now + self.config.sack_delay);
            }
        } else if had_data && self.state == State::ShutdownSent {
            // §9.2: every DATA is answered with a SACK and the SHUTDOWN again.
            self.receiver.request_sack();
            self.pending.shutdown = true;
            self.start_rto(Timer::Shutdown, now);
            self.guard_shutdown(now);
        }
        self.tell_readable();
        self.perform_deferred_reset();
        self.progress(now);
    }

    /// Remembers an error cause for the next ERROR chunk.
    pub(super) fn report(&mut self, code: CauseCode, content: &[u8]) {
        const MAX_CAUSES: usize = 256;
        if self.causes.len() + 4 + content.len().next_multiple_of(4) <= MAX_CAUSES {
            Causes::write(&mut self.causes, code, content);
        }
    }

    /// Reports the head of a chunk that was not understood; a long one is cut, as ICMP does.
    fn report_chunk(&mut self, chunk: &Chunk<'_>) {
        const MAX_REPORT: usize = 64;
        if self.state == State::CookieWait {
            return; // There is no tag of the peer's to send it with.
        }
        let mut whole = [0; 4 + MAX_REPORT];
        let length = chunk.value.len().min(MAX_REPORT);
        let [l0, l1] = ((4 + length) as u16).to_be_bytes();
        whole[..4].copy_from_slice(&[chunk.kind.0, chunk.flags, l0, l1]);
        whole[4..4 + length].copy_from_slice(&chunk.value[..length]);
        self.report(CauseCode::UNRECOGNIZED_CHUNK, &whole[..4 + length]);
    }

    /// A packet without this side's tag. Those that end something may carry, reflected, the peer's (§8.5.1).
    fn handle_foreign_tag(&mut self, header: &Header, first: &Chunk<'_>) -> Result<(), SctpError> {
        if first.kind == ChunkType::SHUTDOWN_ACK
            && matches!(self.state, State::CookieWait | State::CookieEchoed)
        {
            // §8.5.1 E: the peer answers a SHUTDOWN of an association before this one, and takes no INIT before
            // that one has ended.
            self.reply = Some(Reply::ShutdownComplete { tag: header.verification_tag, flags: REFLECTED });
            return Err(SctpError::Ignored("SHUTDOWN ACK of another association"));
        }
        let reflects = first.flags & REFLECTED != 0
            && self.agreement.peer_tag != 0
            && header.verification_tag == self.agreement.peer_tag;
        match first.kind {
            ChunkType::ABORT if reflects => self.handle_abort(first.value),
            ChunkType::SHUTDOWN_COMPLETE if reflects => self.handle_shutdown_complete(),
            _ => return Err(SctpError::Ignored("wrong verification tag")),
        }
        Ok(())
    }

    fn handle_abort(&mut self, value: &[u8]) {
        self.end(match self.state {
            // The peer has ended, its SHUTDOWN COMPLETE was lost, and it answers something that came late.
            State::ShutdownAckSent => SctpClose::Shutdown,
            _ => SctpClose::AbortedByPeer(Causes::new(value).describe()),
        });
    }

    /// A packet for an association that does not exist (§8.4).
    fn handle_out_of_the_blue(&mut self, header: &Header, chunks: Chunks<'_>) -> Result<(), SctpError> {
        const OUT_OF_THE_BLUE: SctpError = SctpError::Ignored("packet without an association");
        let tag = header.verification_tag;
        for chunk in chunks {
            match chunk?.kind {
                ChunkType::ABORT
                | ChunkType::SHUTDOWN_COMPLETE
                | ChunkType::COOKIE_ACK
                | ChunkType::COOKIE_ECHO
                | ChunkType::ERROR => return Err(OUT_OF_THE_BLUE),
                ChunkType::SHUTDOWN_ACK => {
                    self.reply = Some(Reply::ShutdownComplete { tag, flags: REFLECTED });
                    return Err(OUT_OF_THE_BLUE);
                }
                _ => {}
            }
        }
        self.reply = Some(Reply::Abort { tag, flags: REFLECTED, cause: None });
        Err(OUT_OF_THE_BLUE)
    }
}
