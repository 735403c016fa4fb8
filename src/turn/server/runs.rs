//! Runs of datagrams that go the same way.

use crate::layer::{Ecn, FiveTuple, Transmit, TransmitBatch};

/// Appends datagrams to a batch, those that go the same way one after the other as one run, however they came.
pub(super) struct Runs<'a, E> {
    out: &'a mut TransmitBatch,
    transmits: &'a mut E,
    last: Option<Transmit>,
}

impl<'a, E: Extend<Transmit>> Runs<'a, E> {
    pub(super) fn new(out: &'a mut TransmitBatch, transmits: &'a mut E) -> Self {
        Self { out, transmits, last: None }
    }

    /// Appends a datagram of `len` bytes that `write` appends, which may be none.
    #[inline]
    pub(super) fn push(
        &mut self,
        path: FiveTuple,
        ecn: Option<Ecn>,
        len: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        if len == 0 {
            self.transmits.extend(self.last.take());
            return self.transmits.extend([Transmit::empty_datagram(path, ecn)]);
        }
        let goes_on = |last: &mut Transmit| {
            last.path == Some(path) && last.ecn == ecn && self.out.may_follow(last, len)
        };
        let mut run = match self.last.take_if(goes_on) {
            Some(last) => self.out.resume(last),
            None => {
                self.transmits.extend(self.last.take());
                self.out.segments(Some(path), ecn)
            }
        };
        write(run.datagram());
        run.end_datagram();
        self.last = run.finish();
    }

    pub(super) fn finish(self) {
        self.transmits.extend(self.last);
    }
}
