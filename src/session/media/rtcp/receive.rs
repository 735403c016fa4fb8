//! What the peer reports and asks.

use std::time::{Duration, Instant};

use super::reports::Reports;
use crate::rtcp::{Fir, Packet, Pli, ReportBlock, packets};
use crate::session::event::SessionEvent;
use crate::session::media::clock::Clock;
use crate::session::media::incoming::Incoming;
use crate::session::media::sending::{EncodingId, Sender};

/// So long after a FIR another with its number repeats it: several round trips.
const FIR_REPETITION: Duration = Duration::from_secs(2);

impl Reports {
    /// Takes what the peer reports and asks.
    pub(in crate::session::media) fn receive(
        &mut self,
        now: Instant,
        clock: &Clock,
        datagram: &[u8],
        incoming: &mut Incoming,
        outgoing: &mut Sender,
        event: &mut dyn FnMut(SessionEvent),
    ) {
        // What is malformed is left out.
        for packet in packets(datagram).flatten() {
            match packet {
                Packet::SenderReport(report) => {
                    if let Some(stream) = incoming.by_ssrc(report.ssrc) {
                        stream.statistics.sender_report_received(now, &report);
                    }
                    self.take_blocks(now, clock, report.blocks.iter(), incoming, outgoing);
                }
                Packet::ReceiverReport(report) => {
                    self.take_blocks(now, clock, report.blocks.iter(), incoming, outgoing);
                }
                Packet::Nack(nack) => {
                    outgoing.retransmit(now, nack.media, nack.sequence_numbers(), self.round_trip_time);
                }
                Packet::Pli(Pli { media, .. }) => {
                    if let Some((EncodingId { transceiver, .. }, stream)) = outgoing.by_ssrc(media) {
                        stream.counters.plis += 1;
                        event(SessionEvent::KeyFrameRequested { transceiver, rid: stream.rid });
                    }
                }
                Packet::Fir(fir) => take_fir(now, &fir, outgoing, event),
                Packet::Goodbye(goodbye) => goodbye.sources.iter().for_each(|source| incoming.end(source)),
                _ => {}
            }
        }
    }

    fn take_blocks(
        &mut self,
        now: Instant,
        clock: &Clock,
        blocks: impl Iterator<Item = ReportBlock>,
        incoming: &mut Incoming,
        outgoing: &mut Sender,
    ) {
        for block in blocks {
            let Some((_, stream)) = outgoing.by_ssrc(block.ssrc) else { continue };
            let Some(statistics) = &mut stream.statistics else { continue };
            if let Some(round_trip_time) = statistics.report_received(now, clock.ntp(now), &block) {
                self.round_trip_time = round_trip_time;
                incoming.set_round_trip_time(round_trip_time);
            }
        }
    }
}

/// RFC 5104 §4.3.1. Some have no entry and name the source where other feedback does.
fn take_fir(now: Instant, fir: &Fir<'_>, outgoing: &mut Sender, event: &mut dyn FnMut(SessionEvent)) {
    let unnumbered = fir.entries.is_empty().then_some((fir.media, None));
    let entries = fir.entries.iter().map(|entry| (entry.ssrc, Some(entry.sequence_number)));
    for (ssrc, number) in entries.chain(unnumbered) {
        let Some((EncodingId { transceiver, .. }, stream)) = outgoing.by_ssrc(ssrc) else { continue };
        // §4.3.1.1: a request that is repeated has the number of the first. Some never count.
        let is_repeated = |(last, at): (u8, Instant)| {
            Some(last) == number && now.saturating_duration_since(at) < FIR_REPETITION
        };
        if stream.last_fir.is_some_and(is_repeated) {
            continue;
        }
        stream.last_fir = number.map(|number| (number, now)).or(stream.last_fir);
        stream.counters.firs += 1;
        event(SessionEvent::KeyFrameRequested { transceiver, rid: stream.rid });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SeededRandom;
    use crate::layer::{HashKeys, NtpTimestamp, Ssrc, TrackKind};
    use crate::media::Unpaced;
    use crate::rtcp::{Encode, FirEntry, Records};
    use crate::sdp::Direction;
    use crate::session::media::sending::SenderConfig;
    use crate::session::transceiver::{
        EncodingIdentity, Negotiated, SenderIdentity, Transceiver, TransceiverId,
    };

    /// RFC 5104 §4.3.1.1: what has the number of the last request repeats it.
    #[test]
    fn a_repeated_fir_is_one_request() {
        let now = Instant::now();
        let ssrc = Ssrc(7);
        let transceiver = Transceiver {
            id: TransceiverId(0),
            kind: TrackKind::Video,
            direction: Direction::SendOnly,
            codecs: Vec::new(),
            sender: SenderIdentity {
                encoding: EncodingIdentity { ssrc, rtx_ssrc: Ssrc(8), rid: None },
                more_encodings: Vec::new(),
                streams: Vec::new(),
                track_id: String::new(),
            },
            by_track: true,
            by_remote: false,
            stopping: false,
            stopped: false,
            negotiated: Negotiated { current_direction: Some(Direction::SendOnly), ..Negotiated::default() },
        };
        let config = SenderConfig { max_queued: 8, max_cached: 8, max_recorded: None, ecn: None };
        let (mut incoming, mut outgoing) =
            (Incoming::new(8, HashKeys::default()), Sender::new(config, Unpaced));
        outgoing.follow(&[transceiver], true, &SeededRandom::new(1));
        let clock = Clock::new(now, NtpTimestamp(1 << 63));
        let mut reports = Reports::new();
        let mut requests = |(after, sequence_number)| {
            let now = now + Duration::from_millis(after);
            let entries = [FirEntry { ssrc, sequence_number }, FirEntry { ssrc: Ssrc(9), sequence_number }];
            let fir = Fir { sender: Ssrc(1), media: Ssrc(0), entries: Records::from(&entries[..]) };
            let mut datagram = vec![0; fir.encoded_len()];
            fir.encode(&mut datagram).unwrap();
            let mut count = 0;
            reports.receive(now, &clock, &datagram, &mut incoming, &mut outgoing, &mut |event| {
                assert!(matches!(event, SessionEvent::KeyFrameRequested { .. }), "{event:?}");
                count += 1;
            });
            count
        };
        let counts = [(0, 255), (0, 255), (0, 0), (0, 0), (0, 1), (0, 255)].map(&mut requests);
        assert_eq!(counts, [1, 0, 1, 0, 1, 1]);
        // Some never count.
        let counts = [(1900, 255), (2000, 255), (3900, 255), (9000, 255)].map(&mut requests);
        assert_eq!(counts, [0, 1, 0, 1]);
    }
}
