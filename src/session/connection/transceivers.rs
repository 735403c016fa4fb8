//! What is sent and received as media.

use std::time::Instant;

use super::Session;
use crate::layer::{PayloadType, Rid, TrackKind};
#[cfg(feature = "peer-connection")]
use crate::layer::{RtpTimestamp, SequenceNumber};
use crate::sdp::Direction;
use crate::session::error::SessionError;
use crate::session::media::OutgoingRtp;
use crate::session::transceiver::{Transceiver, TransceiverId, TransceiverInit};

impl Session {
    /// Adds a transceiver. It is negotiated by the next offer of this side.
    ///
    /// # Errors
    /// [`SessionError::Limit`] and [`SessionError::Ended`].
    pub fn add_transceiver(
        &mut self,
        kind: TrackKind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, SessionError> {
        self.check_open()?;
        let id = self.jsep.add_transceiver(kind, init)?;
        self.update_negotiation_needed();
        Ok(id)
    }

    /// Adds something to send: on a transceiver of this kind that does not send yet, if there is one, else on a
    /// new one (W3C `addTrack`).
    ///
    /// # Errors
    /// As [`add_transceiver`](Self::add_transceiver).
    pub fn add_track(
        &mut self,
        kind: TrackKind,
        init: TransceiverInit,
    ) -> Result<TransceiverId, SessionError> {
        self.check_open()?;
        let is_free = |transceiver: &&mut Transceiver| {
            transceiver.kind == kind
                && !transceiver.is_ending()
                && !transceiver.by_track
                && !transceiver.direction.sends()
                && !transceiver.negotiated.current_direction.is_some_and(Direction::sends)
        };
        let id = match self.jsep.transceivers_mut().iter_mut().find(is_free) {
            Some(transceiver) => {
                transceiver.by_track = true;
                transceiver.direction = match transceiver.direction {
                    Direction::RecvOnly => Direction::SendRecv,
                    _ => Direction::SendOnly,
                };
                transceiver.sender.streams = init.streams;
                if let Some(track_id) = init.track_id {
                    transceiver.sender.track_id = track_id;
                }
                if !init.codecs.is_empty() {
                    transceiver.codecs = init.codecs;
                }
                transceiver.id
            }
            None => {
                let id = self.jsep.add_transceiver(kind, init)?;
                self.jsep.transceiver_mut(id)?.by_track = true;
                id
            }
        };
        self.update_negotiation_needed();
        Ok(id)
    }

    /// Changes the direction that this side wants; it is negotiated by the next exchange. To mute, send nothing for a
    /// while instead: a direction that does not send ends the peer's track.
    ///
    /// # Errors
    /// [`SessionError::NoTransceiver`].
    pub fn set_direction(&mut self, id: TransceiverId, direction: Direction) -> Result<(), SessionError> {
        self.jsep.transceiver_mut(id)?.direction = direction;
        self.update_negotiation_needed();
        Ok(())
    }

    /// Ends a transceiver: it neither sends nor receives from now on, which the peer is told. The next exchange
    /// gives its media section up.
    ///
    /// # Errors
    /// [`SessionError::NoTransceiver`].
    pub fn stop_transceiver(&mut self, id: TransceiverId) -> Result<(), SessionError> {
        self.jsep.stop(id)?;
        self.media.follow(self.now, &self.jsep);
        self.announce_tracks();
        self.update_negotiation_needed();
        Ok(())
    }

    /// The transceivers that have not ended, oldest first.
    pub fn transceivers(&self) -> impl Iterator<Item = &Transceiver> {
        self.jsep.transceivers().iter().filter(|transceiver| !transceiver.stopped)
    }

    /// A transceiver.
    pub fn transceiver(&self, id: TransceiverId) -> Option<&Transceiver> {
        self.jsep.transceiver(id)
    }

    /// Sends an RTP packet. What waits is sent by [`poll_transmit`](crate::layer::Layer::poll_transmit).
    ///
    /// With its header extensions, the header of a retransmission and the tag of SRTP it has to fit
    /// [`max_rtp_datagram`](crate::session::SessionConfig::max_rtp_datagram); [`max_rtp_payload`](Self::max_rtp_payload)
    /// says what that leaves. One that is taken, and is longer than the batch that is given to `poll_transmit`, is
    /// dropped there and counted in [`packets_discarded_on_send`](crate::session::TransportStats).
    ///
    /// # Errors
    /// [`SessionError::Ended`], [`SessionError::NotNegotiated`],
    /// [`SessionError::NotSending`], [`SessionError::PayloadType`], [`SessionError::PacketTooLong`], and [`SessionError::Limit`] when too many packets wait already.
    pub fn send_rtp(
        &mut self,
        now: Instant,
        id: TransceiverId,
        packet: OutgoingRtp,
    ) -> Result<(), SessionError> {
        self.advance(now);
        match &self.failure {
            Some(reason) => Err(reason.clone().into()),
            None => {
                self.media.send(now, id, packet, self.rtp_overhead()).map_err(|error| self.why_refused(error))
            }
        }
    }

    /// One that does not send yet is another matter than one that may not.
    fn why_refused(&self, error: SessionError) -> SessionError {
        let is_new = |transceiver: &&Transceiver| {
            !transceiver.is_ending() && transceiver.current_direction().is_none()
        };
        match error {
            SessionError::NotSending(id) if self.transceiver(id).filter(is_new).is_some() => {
                SessionError::NotNegotiated(id)
            }
            error => error,
        }
    }

    /// The longest payload in bytes that [`send_rtp`](Self::send_rtp) takes under a payload type now, in a packet
    /// without audio level and video orientation; `None` if the transceiver may not send it.
    pub fn max_rtp_payload(&self, id: TransceiverId, payload_type: PayloadType) -> Option<usize> {
        self.media.max_payload(id, payload_type, self.rtp_overhead())
    }

    /// Counts the exchanges of offer and answer: what was looked up of codecs and payload types holds while this stays
    /// the same, so that whoever sends need not look it up for each packet.
    pub fn negotiation_generation(&self) -> u64 {
        self.jsep.generation()
    }

    /// Whether what is sent leaves at once, and does not wait until the session is connected.
    #[cfg(feature = "peer-connection")]
    pub(crate) fn is_media_ready(&self) -> bool {
        self.failure.is_none() && self.transport.srtp_ref().is_some()
    }

    /// Where another source goes on with the stream of a transceiver, on a clock of so many ticks a second: with the
    /// next sequence number, and the timestamp of now, if there is one before; `None` if the transceiver has not begun
    /// to send.
    #[cfg(feature = "peer-connection")]
    pub(crate) fn next_in_stream(
        &self,
        now: Instant,
        id: TransceiverId,
        clock_rate: u32,
    ) -> Option<(SequenceNumber, Option<RtpTimestamp>)> {
        Some(self.media.outgoing(id).next()?.continuation(now, clock_rate))
    }

    /// Whether RTP waits for [`poll_transmit`](crate::layer::Layer::poll_transmit).
    pub fn has_queued_rtp(&self) -> bool {
        self.media.has_queued_rtp()
    }

    /// What SRTP adds to a packet, or may before it is known (RFC 7714 §12).
    fn rtp_overhead(&self) -> usize {
        const LONGEST_TAG: usize = 16;
        self.transport.srtp_ref().map_or(LONGEST_TAG, |srtp| srtp.rtp_overhead())
    }

    /// Asks the peer for a key frame of what it sends on a transceiver: of all its streams, or of one simulcast
    /// stream. Requests that follow each other within half a second are one.
    pub fn request_key_frame(&mut self, id: TransceiverId, rid: Option<Rid>) {
        self.media.request_key_frame(id, rid);
    }
}
