//! What is asked of the peer and told at once: RFC 4585 and RFC 5104.

use std::time::Instant;

use super::compound::{MAX_COUNT, MAX_DATAGRAM, push_cname};
use super::reports::{Outbound, Reports};
use crate::layer::Ssrc;
use crate::rtcp::{CompoundWriter, Encode, Fir, Goodbye, Nack, Pli, ReceiverReport, Records, WriteError};
use crate::session::media::incoming::{Incoming, KeyFrameRequest};

impl Reports {
    /// The next datagram to protect and send.
    pub(in crate::session::media) fn pop(
        &mut self,
        now: Instant,
        incoming: &mut Incoming,
    ) -> Option<Outbound> {
        while let Some(request) = incoming.take_key_frame_wanted(now) {
            let Some(sender) = self.local_ssrc else { continue };
            match request {
                KeyFrameRequest::Pli(media) => self.write_feedback(&Pli { sender, media }),
                KeyFrameRequest::Fir(entry) => {
                    // RFC 5104 §4.3.1.2: the header names no source, the entry does.
                    let entries = [entry];
                    let entries = Records::from(&entries[..]);
                    self.write_feedback(&Fir { sender, media: Ssrc(0), entries })
                }
            };
        }
        self.outbox.pop_front()
    }

    /// Tells the peer that sources have ended.
    pub(in crate::session::media) fn end(&mut self, sources: &[Ssrc]) {
        for sources in sources.chunks(MAX_COUNT) {
            self.write_compound(&Goodbye { sources: Records::from(sources), reason: None });
        }
    }

    pub(super) fn write_nacks(&mut self, now: Instant, incoming: &mut Incoming) {
        let Some(sender) = self.local_ssrc else { return };
        incoming.poll_nacks(now, |media, entries| {
            self.write_feedback(&Nack { sender, media, entries: Records::from(entries) })
        });
    }

    pub(super) fn write_transport_feedback(&mut self, now: Instant) {
        // Taken out so that what it lends can be written.
        let Some(mut arrivals) = self.arrivals.take() else { return };
        while let Some(feedback) = arrivals.poll_feedback(now) {
            self.write_feedback(&feedback);
        }
        self.arrivals = Some(arrivals);
    }

    /// One feedback packet as a datagram of its own, where the peer takes that (RFC 5506 §3.4.2).
    fn write_feedback(&mut self, packet: &impl Encode) -> bool {
        if !self.reduced_size {
            return self.write_compound(packet);
        }
        self.write(|writer| writer.push(packet))
    }

    /// A packet behind an empty report, RFC 3550 §6.1.
    fn write_compound(&mut self, packet: &impl Encode) -> bool {
        let Some(ssrc) = self.local_ssrc else { return false };
        let cname = std::mem::take(&mut self.cname);
        let is_written = self.write(|writer| {
            writer.push(&ReceiverReport { ssrc, ..ReceiverReport::default() })?;
            push_cname(writer, &cname, &[ssrc])?;
            writer.push(packet)
        });
        self.cname = cname;
        is_written
    }

    fn write(&mut self, packets: impl FnOnce(&mut CompoundWriter<'_>) -> Result<(), WriteError>) -> bool {
        let mut buffer = [0; MAX_DATAGRAM];
        let mut writer = CompoundWriter::new(&mut buffer);
        if packets(&mut writer).is_err() {
            return false;
        }
        let len = writer.finish();
        self.send(&buffer[..len]);
        true
    }
}
