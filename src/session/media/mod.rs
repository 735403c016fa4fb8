//! RTP and RTCP of a session: streams, reports and feedback.

mod clock;
mod incoming;
mod routes;
mod rtcp;
mod sending;
mod sources;
mod unread;

pub use incoming::IncomingRtp;
pub use sending::OutgoingRtp;
pub use unread::{DroppedRtcp, RtcpDatagram, RtcpFeedback};

use std::sync::Arc;
use std::time::Instant;

use super::config::SessionConfig;
use super::error::SessionError;
use super::event::SessionEvent;
use super::jsep::Jsep;
use super::transceiver::TransceiverId;
use crate::crypto::SecureRandom;
use crate::layer::{
    Datagram, FiveTuple, HashKeys, NtpTimestamp, PayloadType, Rid, SrtpTransport, Ssrc, Transmit,
    TransmitBatch,
};
use crate::media::{Unpaced, unwrap_rtx};
use crate::rtp::Packet;
use clock::Clock;
use incoming::{Incoming, Routed};
use rtcp::{Outbound, Reports};
use sending::Sender;
use unread::UnreadRtcp;

pub(super) use incoming::MediaStream;
pub(super) use sending::Encoding;

/// Streams in both directions.
#[derive(Debug)]
pub(super) struct Media {
    clock: Clock,
    incoming: Incoming,
    outgoing: Sender,
    reports: Reports,
    unread_rtcp: UnreadRtcp,
    /// The longest SRTCP packet.
    mtu: usize,
    /// The longest SRTP packet.
    max_rtp_datagram: usize,
    /// What of a datagram is taken by what a relay wants around it.
    envelope: usize,
    random: Random,
    /// Datagrams of RTCP that SRTP did not protect.
    refused_rtcp: u64,
    /// Sources of this side that have ended, until SRTP has forgotten them.
    ended: Vec<Ssrc>,
}

/// What SRTCP adds at most: its index and a tag of 16 bytes (RFC 3711 §3.4, RFC 7714 §9).
const SRTCP_OVERHEAD: usize = 4 + 16;

/// The provider's random source.
struct Random(Arc<dyn SecureRandom>);

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random")
    }
}

fn draw_hash_keys(random: &dyn SecureRandom) -> HashKeys {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    HashKeys::new(bytes)
}

impl Media {
    pub(super) fn new(now: Instant, config: &SessionConfig) -> Self {
        Self {
            clock: Clock::new(now, config.ntp_epoch),
            incoming: Incoming::new(config.max_incoming_streams, draw_hash_keys(&*config.provider.random)),
            outgoing: Sender::new(config.into(), Unpaced),
            reports: Reports::new(),
            unread_rtcp: UnreadRtcp::new(config.rtcp.clone()),
            mtu: config.mtu,
            max_rtp_datagram: config.max_rtp_datagram,
            envelope: 0,
            random: Random(config.provider.random.clone()),
            refused_rtcp: 0,
            ended: Vec::new(),
        }
    }

    pub(super) fn draw_hash_keys(&self) -> HashKeys {
        draw_hash_keys(&*self.random.0)
    }

    /// Brings the streams to what the signalling agreed on.
    pub(super) fn follow(&mut self, now: Instant, jsep: &Jsep) {
        let ended = self.outgoing.follow(jsep.transceivers(), jsep.mixed_extensions(), &*self.random.0);
        self.reports.end(&ended);
        self.ended.extend(ended);
        self.incoming.follow(jsep.transceivers(), jsep.registry().extension_map());
        self.reports.follow(now, jsep, &*self.random.0);
    }

    pub(super) fn incoming(&self) -> impl Iterator<Item = &MediaStream> {
        self.incoming.media()
    }

    /// The encodings that a transceiver sends.
    pub(super) fn outgoing(&self, id: TransceiverId) -> impl Iterator<Item = &Encoding> {
        self.outgoing.encodings_of(id)
    }

    /// The wall clock, as sender reports tell it.
    pub(super) fn wall_clock(&self, now: Instant) -> NtpTimestamp {
        self.clock.ntp(now)
    }

    /// Packets and datagrams of RTCP that could not be sent: too long for the batch, or refused by SRTP.
    pub(super) fn dropped_packets(&self) -> u64 {
        self.outgoing.dropped_packets() + self.refused_rtcp
    }

    /// `overhead`: the bytes that protection adds.
    pub(super) fn send(
        &mut self,
        now: Instant,
        id: TransceiverId,
        packet: OutgoingRtp,
        overhead: usize,
    ) -> Result<(), SessionError> {
        let limit = self.max_rtp_datagram.saturating_sub(self.envelope + overhead);
        self.outgoing.send(now, id, None, packet, limit)
    }

    pub(super) fn has_queued_rtp(&self) -> bool {
        !self.outgoing.is_empty()
    }

    pub(super) fn max_payload(
        &self,
        id: TransceiverId,
        payload_type: PayloadType,
        overhead: usize,
    ) -> Option<usize> {
        self.outgoing.max_payload(
            id,
            payload_type,
            self.max_rtp_datagram.saturating_sub(self.envelope + overhead),
        )
    }

    /// Queues RTCP of the application behind what waits already.
    pub(super) fn send_rtcp(&mut self, datagram: &[u8]) -> Result<(), SessionError> {
        self.reports.send_for_application(datagram, self.mtu.saturating_sub(self.envelope + SRTCP_OVERHEAD))
    }

    /// What the application has not read of RTCP yet.
    pub(super) fn unread_rtcp(&mut self) -> &mut UnreadRtcp {
        &mut self.unread_rtcp
    }

    pub(super) fn dropped_rtcp(&self) -> DroppedRtcp {
        self.unread_rtcp.dropped()
    }

    #[cfg(feature = "peer-connection")]
    pub(super) fn take_rtcp_news(&mut self) -> bool {
        self.unread_rtcp.take_news()
    }

    /// What tells the peer that all streams end, as it goes over the wire.
    pub(super) fn goodbyes(&mut self, srtp: &mut dyn SrtpTransport) -> Vec<Vec<u8>> {
        let sources = self.outgoing.sources();
        self.reports.end(&sources);
        let overhead = srtp.rtcp_overhead();
        let protect = |mut datagram: Vec<u8>| {
            let len = datagram.len();
            datagram.resize(len + overhead, 0);
            let len = srtp.protect_rtcp(&mut datagram, len).ok()?;
            datagram.truncate(len);
            Some(datagram)
        };
        self.reports.take_all().filter_map(protect).collect()
    }

    /// Asks the peer for a key frame.
    pub(super) fn request_key_frame(&mut self, id: TransceiverId, rid: Option<Rid>) {
        self.incoming.want_key_frames_of(id, rid);
    }

    /// Takes an SRTP packet and hands what is in it to `deliver`.
    pub(super) fn receive_rtp(
        &mut self,
        now: Instant,
        srtp: &mut dyn SrtpTransport,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(IncomingRtp<'_>),
    ) -> Result<(), SessionError> {
        let Datagram { ecn, bytes, .. } = datagram;
        let len = srtp.unprotect_rtp(bytes)?;
        self.incoming.take_ended().for_each(|source| srtp.forget(source.0));
        let bytes = &mut bytes[..len];
        let malformed = |_| SessionError::Ignored("not an RTP packet");
        let packet = Packet::parse(bytes).map_err(malformed)?;
        let extensions = packet.extension_values(self.incoming.extensions());
        if let Some(number) = extensions.transport_sequence_number {
            self.reports.arrived(now, number.0, packet.ssrc());
        }
        match self.incoming.route(now, &packet, &extensions) {
            None => Err(SessionError::Ignored("an RTP packet of no negotiated stream")),
            Some(Routed::Media { transceiver, rid }) => {
                self.incoming.received(now, &packet, false);
                let uris = self.incoming.uris(transceiver);
                deliver(IncomingRtp { transceiver, rid, packet, extensions, uris, arrival: now, ecn });
                Ok(())
            }
            Some(Routed::Repair { of, payload_type }) => {
                // Padding alone probes the path.
                let Some(original) = unwrap_rtx(bytes, of, payload_type).map_err(malformed)? else {
                    return Ok(());
                };
                let packet = Packet::parse(original).map_err(malformed)?;
                if let Some(Routed::Media { transceiver, rid }) =
                    self.incoming.route(now, &packet, &extensions)
                {
                    self.incoming.received(now, &packet, true);
                    let uris = self.incoming.uris(transceiver);
                    deliver(IncomingRtp { transceiver, rid, packet, extensions, uris, arrival: now, ecn });
                }
                Ok(())
            }
        }
    }

    /// Takes an SRTCP packet.
    pub(super) fn receive_rtcp(
        &mut self,
        now: Instant,
        srtp: &mut dyn SrtpTransport,
        bytes: &mut [u8],
        event: &mut dyn FnMut(SessionEvent),
    ) -> Result<(), SessionError> {
        let len = srtp.unprotect_rtcp(bytes)?;
        let (incoming, outgoing) = (&mut self.incoming, &mut self.outgoing);
        self.reports.receive(now, &self.clock, &bytes[..len], incoming, outgoing, event);
        self.unread_rtcp.received(now, &bytes[..len], outgoing);
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let (incoming, outgoing) = (&mut self.incoming, &mut self.outgoing);
        self.reports.handle_timeout(now, &self.clock, incoming, outgoing, &*self.random.0);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.reports.poll_timeout(&self.incoming).into_iter().chain(self.outgoing.poll_timeout()).min()
    }

    /// Datagrams are to be so much shorter than the configuration says.
    pub(super) fn set_envelope_overhead(&mut self, overhead: usize) {
        self.envelope = overhead;
    }

    /// Datagrams of RTP and RTCP.
    pub(super) fn poll_transmit(
        &mut self,
        now: Instant,
        srtp: &mut dyn SrtpTransport,
        path: FiveTuple,
        out: &mut TransmitBatch,
    ) -> Option<Transmit> {
        if let Some(transmit) = self.poll_rtcp(now, srtp, path, out) {
            return Some(transmit);
        }
        if !self.ended.is_empty() {
            // Their last words have been said.
            self.ended.drain(..).for_each(|source| srtp.forget(source.0));
        }
        self.outgoing.poll_transmit(now, &self.clock, srtp, path, out)
    }

    fn poll_rtcp(
        &mut self,
        now: Instant,
        srtp: &mut dyn SrtpTransport,
        path: FiveTuple,
        out: &mut TransmitBatch,
    ) -> Option<Transmit> {
        while self.reports.has_datagrams() || self.incoming.wants_key_frames() {
            let Outbound { bytes, by_application } = self.reports.pop(now, &mut self.incoming)?;
            let mut segments = out.segments(Some(path), None);
            let start = segments.datagram_start();
            let buffer = segments.datagram();
            buffer.extend_from_slice(&bytes);
            buffer.resize(start + bytes.len() + srtp.rtcp_overhead(), 0);
            match srtp.protect_rtcp(&mut buffer[start..], bytes.len()) {
                Ok(len) => {
                    buffer.truncate(start + len);
                    segments.end_datagram();
                    return segments.finish();
                }
                // The next one may be of another source.
                Err(error) => {
                    self.refused_rtcp += 1;
                    if by_application {
                        self.reports.refused(error);
                    }
                }
            }
        }
        None
    }
}
