//! Faults that are planted into this library's layers: the kit names each.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::conformance::{DtlsImplementation, Outcome, Report};
use kaon_rtc::layer::{
    Datagram, DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, Layer, MasterKey, SrtpError,
    SrtpKeyingMaterial, SrtpProfile, SrtpTransport, Transmit, TransmitBatch,
};

use crate::native::{dtls, fingerprint, make_dtls, make_srtp, on_virtual_time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    LateTimer,
    LeakedDatagram,
    SwallowedClose,
    ReplayAccepted,
    UnboundedQueue,
    PanicOnTruncation,
}

/// A DTLS connection with a fault.
#[derive(Debug)]
struct Faulty {
    inner: Box<dyn DtlsTransport>,
    fault: Fault,
    /// Events without a bound.
    queue: Vec<DtlsEvent>,
    /// The last datagram with application data, and what it held.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl Layer for Faulty {
    type Event = DtlsEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DtlsError> {
        match self.fault {
            Fault::LeakedDatagram => std::mem::forget(datagram.bytes.to_vec()),
            Fault::PanicOnTruncation => {
                let claimed =
                    datagram.bytes[11..13].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                let _ = &datagram.bytes[13..13 + claimed];
            }
            Fault::ReplayAccepted => return self.handle_with_replays(now, datagram),
            Fault::LateTimer | Fault::SwallowedClose | Fault::UnboundedQueue => {}
        }
        let result = self.inner.handle_datagram(now, datagram);
        if self.fault == Fault::UnboundedQueue {
            self.queue.extend(std::iter::from_fn(|| self.inner.poll_event()));
        }
        result
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.fault != Fault::LateTimer || self.poll_timeout().is_some_and(|timeout| timeout <= now) {
            self.inner.handle_timeout(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let late = if self.fault == Fault::LateTimer { Duration::from_secs(20) } else { Duration::ZERO };
        self.inner.poll_timeout().map(|timeout| timeout + late)
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.inner.poll_transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        if self.queue.is_empty() { self.inner.poll_event() } else { Some(self.queue.remove(0)) }
    }
}

impl Faulty {
    fn handle_with_replays(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DtlsError> {
        let path = datagram.path;
        if let Some((_, data)) = self.last.as_ref().filter(|(bytes, _)| *bytes == datagram.bytes) {
            self.queue.push(DtlsEvent::ApplicationData(Bytes::copy_from_slice(data)));
            return Ok(());
        }
        let (copy, queue, last) = (datagram.bytes.to_vec(), &mut self.queue, &mut self.last);
        self.inner.receive(now, Datagram::new(path, datagram.bytes), &mut |data| {
            if queue.len() < 100 {
                queue.push(DtlsEvent::ApplicationData(Bytes::copy_from_slice(data)));
            }
            *last = Some((copy.clone(), data.to_vec()));
        })
    }
}

impl DtlsTransport for Faulty {
    fn receive(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DtlsError> {
        self.inner.receive(now, datagram, deliver)
    }

    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), DtlsError> {
        self.inner.seal(data, out)
    }

    fn overhead(&self) -> usize {
        self.inner.overhead()
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.inner.srtp_profile()
    }

    fn srtp_keying_material(&self) -> Result<SrtpKeyingMaterial, DtlsError> {
        self.inner.srtp_keying_material()
    }

    fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), DtlsError> {
        self.inner.export_keying_material(label, context, out)
    }

    fn role(&self) -> DtlsRole {
        self.inner.role()
    }

    fn set_peer_fingerprints(&mut self, now: Instant, fingerprints: &[Fingerprint]) -> Result<(), DtlsError> {
        self.inner.set_peer_fingerprints(now, fingerprints)
    }

    fn close(&mut self, now: Instant) {
        self.inner.close(now);
        if self.fault == Fault::SwallowedClose {
            // The alert goes nowhere.
            self.inner.poll_transmit(now, &mut TransmitBatch::new(1200));
        }
    }
}

fn with(fault: Fault) -> Report {
    let make = |role: DtlsRole, expected: &[Fingerprint]| -> Result<Box<dyn DtlsTransport>, DtlsError> {
        Ok(Box::new(Faulty { inner: make_dtls(role, expected)?, fault, queue: Vec::new(), last: None }))
    };
    let faulty = DtlsImplementation { make: &make, fingerprint: fingerprint() };
    on_virtual_time(|kit| kit.with_seeds(2).dtls(&faulty, &dtls()))
}

/// The scenario failed, and said this.
fn names(report: &Report, scenario: &str, what: &str) {
    let found = report.scenarios().iter().find(|report| report.name == scenario).unwrap();
    let Outcome::Failed(why) = &found.outcome else { panic!("{scenario}: {:?}", found.outcome) };
    assert!(why.contains(what), "{scenario} says: {why}");
}

#[test]
fn a_late_timer_is_named() {
    names(&with(Fault::LateTimer), "timer/sends-again", "the timer is late");
}

#[test]
fn a_leaked_datagram_is_named() {
    let report = with(Fault::LeakedDatagram);
    assert_eq!(report.failed(), ["drop/leaves-nothing"]);
    names(&report, "drop/leaves-nothing", "bytes behind");
}

#[test]
fn a_swallowed_close_is_named() {
    let report = with(Fault::SwallowedClose);
    assert_eq!(report.failed(), ["close/tells-the-peer"]);
    names(&report, "close/tells-the-peer", "the peer is not told of the close");
}

#[test]
fn replay_that_is_accepted_is_named() {
    let report = with(Fault::ReplayAccepted);
    assert_eq!(report.failed(), ["duplication/data"]);
    names(&report, "duplication/data", "replay is accepted");
}

#[test]
fn an_unbounded_queue_is_named() {
    let report = with(Fault::UnboundedQueue);
    assert_eq!(report.failed(), ["limits/undrained"]);
    names(&report, "limits/undrained", "the queue has no bound");
}

#[test]
fn a_panic_on_truncation_is_named() {
    let report = with(Fault::PanicOnTruncation);
    names(&report, "malformed/before", "panic: ");
    names(&report, "malformed/after", "panic: ");
}

/// An SRTP context that opens what was received before.
#[derive(Debug)]
struct Forgetful {
    keys: [MasterKey; 2],
    inner: Box<dyn SrtpTransport>,
}

impl SrtpTransport for Forgetful {
    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.inner.protect_rtp(buffer, len)
    }

    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        self.inner.protect_rtcp(buffer, len)
    }

    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let copy = packet.to_vec();
        match self.inner.unprotect_rtp(packet) {
            Err(SrtpError::Replayed { .. }) => {
                packet.copy_from_slice(&copy);
                make_srtp(&self.keys[0], &self.keys[1])?.unprotect_rtp(packet)
            }
            outcome => outcome,
        }
    }

    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        self.inner.unprotect_rtcp(packet)
    }

    fn rtp_overhead(&self) -> usize {
        self.inner.rtp_overhead()
    }

    fn rtcp_overhead(&self) -> usize {
        self.inner.rtcp_overhead()
    }
}

#[test]
fn replay_that_srtp_accepts_is_named() {
    let make = |local: &MasterKey, remote: &MasterKey| -> Result<Box<dyn SrtpTransport>, SrtpError> {
        Ok(Box::new(Forgetful { keys: [local.clone(), remote.clone()], inner: make_srtp(local, remote)? }))
    };
    let report = on_virtual_time(|kit| kit.with_seeds(2).srtp(&make, &make_srtp));
    assert_eq!(report.failed(), ["duplication"]);
    names(&report, "duplication", "replay is accepted");
}
