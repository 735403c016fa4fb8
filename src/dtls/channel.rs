//! Records after the handshake.

use super::alert::{Alert, AlertDescription};
use super::handshake::{Fragment, HandshakeType};
use super::record::{ContentType, Epoch, Record, RecordOpener, SequenceExhausted, WriteEpochs};
use super::rejection::Rejection;
use super::stats::{Ignored, Stats};
use super::v12::FinalFlight;
use super::wire::Reader;
use crate::layer::{Transmit, TransmitBatch};

/// The records of a connection whose handshake is complete.
#[derive(Debug)]
pub(crate) struct Channel {
    epochs: WriteEpochs,
    opener: RecordOpener,
    final_flight: Option<FinalFlight>,
    /// Whether the final flight waits to be sent, for the first time or again.
    send_final_flight: bool,
    /// Whether an answer to an attempt to renegotiate waits to be sent.
    refuse_renegotiation: bool,
}

/// What a record brought.
#[derive(Debug)]
pub(crate) enum Inbound<'a> {
    Nothing,
    ApplicationData(&'a mut [u8]),
}

impl Channel {
    pub(crate) fn new(epochs: WriteEpochs, opener: RecordOpener, final_flight: Option<FinalFlight>) -> Self {
        let send_final_flight = final_flight.is_some();
        Self { epochs, opener, final_flight, send_final_flight, refuse_renegotiation: false }
    }

    pub(crate) fn receive<'a>(
        &mut self,
        record: Record<'a>,
        stats: &mut Stats,
    ) -> Result<Inbound<'a>, Rejection> {
        match self.opener.open(record)? {
            (ContentType::ApplicationData, content) => Ok(Inbound::ApplicationData(content)),
            (ContentType::Alert, content) => {
                let alert = Alert::decode(content)?;
                if alert.ends_connection() { Err(Rejection::Ended(alert)) } else { Ok(Inbound::Nothing) }
            }
            (ContentType::Handshake, content) => {
                self.handshake(Fragment::read(&mut Reader::new(content))?, stats);
                Ok(Inbound::Nothing)
            }
            (ContentType::ChangeCipherSpec, _) => {
                Err(Ignored::Malformed("ChangeCipherSpec with protection").into())
            }
        }
    }

    fn handshake(&mut self, fragment: Fragment<'_>, stats: &mut Stats) {
        match fragment.header.kind {
            // The client repeats its Finished, so it lacks the answer. The record was authenticated and is
            // no replay: nobody but the client can ask for this.
            HandshakeType::Finished => {
                let answers = |last: &FinalFlight| last.answers == fragment.header.seq;
                if self.final_flight.as_ref().is_some_and(answers) && !self.send_final_flight {
                    self.send_final_flight = true;
                    stats.retransmissions += 1;
                }
            }
            // RFC 9325 §3.5: never renegotiated; RFC 5246 §7.2.2 has the warning. A HelloRequest may be
            // ignored (§7.4.1.1).
            HandshakeType::ClientHello => self.refuse_renegotiation = true,
            _ => {}
        }
    }

    /// Appends a record with application data.
    pub(crate) fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), SequenceExhausted> {
        self.epochs
            .write(Epoch::PROTECTED, ContentType::ApplicationData, out, |out| out.extend_from_slice(data))
    }

    /// Makes a record with application data in place.
    pub(crate) fn seal_in_place(&mut self, record: &mut [u8]) -> Result<(), SequenceExhausted> {
        self.epochs.seal_in_place(ContentType::ApplicationData, record)
    }

    pub(crate) fn head_len(&self) -> usize {
        self.epochs.protected_head()
    }

    pub(crate) fn overhead(&self) -> usize {
        self.epochs.overhead(Epoch::PROTECTED)
    }

    /// What the last alert needs: the epochs, and the final flight if that waits to be sent in front of it.
    pub(crate) fn into_parts(self) -> (WriteEpochs, Option<FinalFlight>) {
        (self.epochs, self.final_flight.filter(|_| self.send_final_flight))
    }

    #[cfg(test)]
    pub(crate) fn epochs(&mut self) -> &mut WriteEpochs {
        &mut self.epochs
    }

    pub(crate) fn poll_transmit(
        &mut self,
        out: &mut TransmitBatch,
    ) -> Result<Option<Transmit>, SequenceExhausted> {
        if !self.send_final_flight && !self.refuse_renegotiation {
            return Ok(None);
        }
        let mut segments = out.segments(None, None);
        let datagram = segments.datagram();
        if let Some(last) = self.final_flight.as_ref().filter(|_| self.send_final_flight) {
            last.write(&mut self.epochs, datagram)?;
        }
        if self.refuse_renegotiation {
            let alert = Alert::warning(AlertDescription::NO_RENEGOTIATION).encode();
            self.epochs
                .write(Epoch::PROTECTED, ContentType::Alert, datagram, |out| out.extend_from_slice(&alert))?;
        }
        self.send_final_flight = false;
        self.refuse_renegotiation = false;
        segments.end_datagram();
        Ok(segments.finish())
    }
}
