//! Datagrams on their way out.

use std::time::Instant;

use super::Transport;
use crate::layer::{
    DtlsTransport, Envelope, FiveTuple, Layer, SctpClose, SctpEvent, SctpTransport, SrtpTransport, Transmit,
    TransmitBatch,
};

/// The longest contents of a record, RFC 5246 §6.2.1.
const MAX_RECORD_CONTENTS: usize = 1 << 14;

/// A run of datagrams that leaves.
#[derive(Debug)]
pub(in crate::session) struct Departure {
    pub(in crate::session) transmit: Transmit,
    /// The path of the pair that it is counted for, which a relay may carry in its own; none for what ICE sends.
    pub(in crate::session) path: Option<FiveTuple>,
    /// It is of data channels.
    pub(in crate::session) is_data: bool,
}

impl Departure {
    fn new(transmit: Transmit, path: FiveTuple) -> Self {
        Self { transmit, path: Some(path), is_data: false }
    }
}

impl Transport {
    /// Datagrams of all layers. `write_media` writes and protects those of media, which have so many bytes around them.
    pub(in crate::session) fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut TransmitBatch,
        write_media: impl FnOnce(&mut dyn SrtpTransport, FiveTuple, usize, &mut TransmitBatch) -> Option<Transmit>,
    ) -> Option<Departure> {
        if let Some((path, datagram)) = self.farewell.pop() {
            let mut segments = out.segments(Some(path), None);
            segments.datagram().extend_from_slice(&datagram);
            segments.end_datagram();
            return Some(Departure::new(segments.finish()?, path));
        }
        if let Some(transmit) = self.ice.poll_transmit(now, out) {
            return Some(Departure { transmit, path: None, is_data: false });
        }
        let selected = self.path();
        // RFC 7675 §5.1: a path that is no longer valid has no consent.
        let path = selected.or_else(|| self.dtls_path.filter(|path| self.ice.is_validated(path)))?;
        let envelope = self.ice.envelope(&path);
        if let Some(dtls) = &mut self.dtls
            && let Some(transmit) = enclosed(path, envelope, out, |out| dtls.poll_transmit(now, out))
        {
            return Some(Departure::new(transmit, path));
        }
        let path = selected?;
        if let Some(srtp) = &mut self.srtp {
            let overhead = envelope.map_or(0, Envelope::overhead);
            let write = |out: &mut _| write_media(&mut **srtp, path, overhead, out);
            if let Some(transmit) = enclosed(path, envelope, out, write) {
                return Some(Departure::new(transmit, path));
            }
        }
        self.poll_transmit_data(now, path, out)
    }

    /// Datagrams of SCTP, each in a DTLS record: SCTP leaves room for what belongs around it.
    fn poll_transmit_data(
        &mut self,
        now: Instant,
        path: FiveTuple,
        out: &mut TransmitBatch,
    ) -> Option<Departure> {
        let dtls = self.dtls.as_mut().filter(|dtls| dtls.is_connected())?;
        let (sctp, mtu, envelope) = (&mut self.sctp, self.mtu, self.ice.envelope(&path));
        let record = match &mut self.record {
            Some(record) => record,
            none => none.insert(record_of(&**dtls)?),
        };
        let mtu = mtu.min(MAX_RECORD_CONTENTS + record.overhead());
        let transmit = enclosed(path, envelope, out, |out| {
            out.sized(mtu, |out| out.within(record, |out| sctp.poll_transmit(now, out)))
        })?;
        let sealed = out.datagrams_mut(&transmit).try_for_each(|datagram| {
            dtls.seal_in_place(match envelope {
                Some(envelope) => envelope.contents_mut(datagram),
                None => datagram,
            })
        });
        if let Err(error) = sealed {
            // For good; and nothing leaves as it was.
            out.take_back(&transmit);
            self.seal_failure = Some(error);
            return None;
        }
        Some(Departure { transmit, path: Some(path), is_data: true })
    }

    /// Whether DTLS has refused to protect something, which ends it.
    pub(in crate::session) fn has_seal_failed(&self) -> bool {
        self.seal_failure.is_some()
    }

    /// How many datagrams a run has, and the bytes in them without what a relay wants around them.
    pub(in crate::session) fn count(
        &self,
        transmit: &Transmit,
        path: FiveTuple,
        out: &TransmitBatch,
    ) -> (usize, usize) {
        let datagrams = out.datagrams(transmit);
        match self.ice.envelope(&path) {
            None => (datagrams.len(), transmit.len()),
            Some(envelope) => {
                (datagrams.len(), datagrams.map(|datagram| envelope.contents(datagram).len()).sum())
            }
        }
    }

    /// The path by which what is for the peer leaves: that of the selected pair, or that to the relay of this side.
    pub(in crate::session) fn outgoing_path(&self) -> Option<FiveTuple> {
        let path = self.path()?;
        Some(self.ice.envelope(&path).and_then(Envelope::path).unwrap_or(path))
    }

    /// The path of the selected pair, if `path` is that to the relay by which it runs.
    pub(in crate::session) fn carried_by(&self, path: &FiveTuple) -> Option<FiveTuple> {
        self.path().filter(|pair| pair != path && self.outgoing_path() == Some(*path))
    }

    /// Ends all layers; what is left to send is the farewell, which begins with that of media.
    pub(in crate::session) fn close(&mut self, now: Instant, goodbyes: Vec<Vec<u8>>) {
        if self.dtls_end.is_none()
            && let Some(path) = self.path()
        {
            let datagrams = self.say_farewell(now).into_iter().chain(goodbyes.into_iter().rev());
            // When they leave, the agent is closed.
            let (outer, envelope) = (self.outgoing_path().unwrap_or(path), self.ice.envelope(&path));
            let enclose = |datagram: Vec<u8>| match envelope {
                Some(envelope) => (outer, envelope.enclose(&datagram)),
                None => (outer, datagram),
            };
            self.farewell = datagrams.map(enclose).collect();
        }
        self.sctp.abort(now);
        while let Some(event) = self.sctp.poll_event() {
            self.channels.handle_event(&mut self.sctp, now, &event);
        }
        // Without an association, too, nothing will open what waits for it.
        self.channels.handle_event(&mut self.sctp, now, &SctpEvent::Closed(SctpClose::Aborted));
        self.ice.close();
        self.handshake_deadline = None;
        self.early_dtls = Vec::new();
        self.dtls = None;
        self.srtp = None;
    }

    /// An ABORT and a close_notify, last first.
    fn say_farewell(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut farewell = Vec::new();
        let Some(dtls) = &mut self.dtls else { return farewell };
        let mut batch = TransmitBatch::new(self.mtu);
        self.sctp.abort(now);
        if let Some(packets) = self.sctp.poll_transmit(now, &mut batch)
            && let Some(abort) = batch.datagrams(&packets).last()
        {
            let mut record = Vec::new();
            if dtls.seal(abort, &mut record).is_ok() {
                farewell.push(record);
            }
        }
        dtls.close(now);
        while let Some(transmit) = dtls.poll_transmit(now, &mut batch) {
            farewell.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        }
        farewell.reverse();
        farewell
    }
}

/// The room that a connection wants around what it protects, which stays as it is.
fn record_of(dtls: &dyn DtlsTransport) -> Option<Envelope> {
    Envelope::room(dtls.head_len(), dtls.overhead().saturating_sub(dtls.head_len()))
}

/// Has `write` append a run of datagrams for `path`, within what a relay wants around them.
#[inline]
fn enclosed(
    path: FiveTuple,
    envelope: Option<&Envelope>,
    out: &mut TransmitBatch,
    write: impl FnOnce(&mut TransmitBatch) -> Option<Transmit>,
) -> Option<Transmit> {
    let Some(envelope) = envelope else {
        let mut transmit = write(out)?;
        transmit.path = Some(path);
        return Some(transmit);
    };
    let mut transmit = out.within(envelope, write)?;
    transmit.path = Some(envelope.path().unwrap_or(path));
    Some(transmit)
}
