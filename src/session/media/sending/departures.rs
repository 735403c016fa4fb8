//! What leaves: when it may, under which number, and the record of it.

use std::time::Instant;

use crate::layer::{Ecn, NtpTimestamp, SequenceNumber};
use crate::media::{Pacer, PacketClass, SendHistory, SentPacket};

/// What leaves over a transport.
#[derive(Debug)]
pub(super) struct Departures<P> {
    pacer: P,
    /// The number of the next packet among all of the transport.
    next: SequenceNumber,
    /// What has left, where feedback on it is read.
    pub(super) history: Option<SendHistory>,
    /// The mark of all packets.
    pub(super) ecn: Option<Ecn>,
}

/// What the headers of two packets of one stream differ in that leave one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Departure {
    /// When it leaves.
    pub(super) ntp: NtpTimestamp,
    /// Its number among all packets of the transport, where the peer wants it.
    pub(super) transport_number: Option<SequenceNumber>,
}

impl<P: Pacer> Departures<P> {
    pub(super) fn new(pacer: P, history: Option<SendHistory>, ecn: Option<Ecn>) -> Self {
        Self { pacer, next: SequenceNumber(0), history, ecn }
    }

    /// When the pacer lets a packet of this class leave.
    pub(super) fn due(&self, class: PacketClass) -> Option<Instant> {
        self.pacer.due(class)
    }

    pub(super) fn may_leave(&self, now: Instant, class: PacketClass) -> bool {
        self.pacer.due(class).is_none_or(|due| due <= now)
    }

    /// What the next packet says, with a number if the peer wants one.
    pub(super) fn next(&self, ntp: NtpTimestamp, numbered: bool) -> Departure {
        Departure { ntp, transport_number: numbered.then_some(self.next) }
    }

    /// The number of a packet is used, whatever becomes of it.
    pub(super) fn take_number(&mut self, number: Option<SequenceNumber>) {
        if let Some(number) = number {
            self.next = number.wrapping_add(1);
        }
    }

    /// A packet is on its way, in `size` bytes of UDP payload.
    pub(super) fn left(
        &mut self,
        now: Instant,
        class: PacketClass,
        size: usize,
        number: Option<SequenceNumber>,
    ) {
        self.pacer.sent(now, class, size);
        if let (Some(history), Some(number)) = (&mut self.history, number) {
            history.record(number, SentPacket::new(now, size).with_ecn(self.ecn));
        }
    }
}
