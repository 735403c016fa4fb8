//! What waits to be sent.

use std::collections::VecDeque;

use crate::layer::{FiveTuple, Transmit, TransmitBatch};
use crate::stun::{Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId};

/// Datagrams in a buffer that keeps its size. What there is no room for is lost, as on the way.
#[derive(Debug)]
pub(super) struct Outbox {
    pub(super) batch: TransmitBatch,
    pub(super) queue: VecDeque<Transmit>,
}

/// How many bytes wait at most.
const LIMIT: usize = 256 * 1024;

/// The largest datagram there is.
pub(super) const MAX_DATAGRAM: usize = 65_535;

impl Outbox {
    pub(super) fn new() -> Self {
        Self { batch: TransmitBatch::new(MAX_DATAGRAM), queue: VecDeque::new() }
    }

    pub(super) fn has_room(&self) -> bool {
        self.batch.len() < LIMIT
    }

    /// Appends a response, signed if there is a key.
    pub(super) fn respond(
        &mut self,
        path: FiveTuple,
        head: Head,
        key: Option<&IntegrityKey>,
        write: impl for<'b> FnOnce(MessageBuilder<'b>) -> MessageBuilder<'b>,
    ) {
        if !self.has_room() {
            return;
        }
        let mut segments = self.batch.segments(Some(path), None);
        let message = MessageBuilder::new(segments.datagram(), head.class, head.method, head.transaction);
        let mut message = write(message);
        if let Some(key) = key {
            message = message.integrity(key);
        }
        // RFC 8489 §14.7: where the request has one.
        if head.has_fingerprint {
            message = message.fingerprint();
        }
        if message.finish().is_ok() {
            segments.end_datagram();
            self.queue.extend(segments.finish());
        }
    }

    pub(super) fn poll(&mut self, out: &mut TransmitBatch) -> Option<Transmit> {
        let Some(transmit) = self.queue.pop_front() else {
            self.batch.clear();
            return None;
        };
        if transmit.is_empty() {
            return Some(transmit);
        }
        let mut segments = out.segments(transmit.path, transmit.ecn);
        for datagram in self.batch.datagrams(&transmit) {
            segments.datagram().extend_from_slice(datagram);
            segments.end_datagram();
        }
        segments.finish()
    }
}

/// What a response repeats of its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) class: Class,
    pub(super) method: Method,
    pub(super) transaction: TransactionId,
    pub(super) has_fingerprint: bool,
}

impl Head {
    pub(super) fn of(request: &Message<'_>, class: Class) -> Self {
        Self {
            class,
            method: request.method(),
            transaction: request.transaction_id(),
            has_fingerprint: request.has_fingerprint(),
        }
    }
}

/// The value of ERROR-CODE without a reason, for strangers, to whom no byte more than needed is sent.
pub(super) fn bare_error(code: ErrorCode) -> [u8; 4] {
    code.header()
}
