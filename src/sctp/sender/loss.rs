//! Missing reports and fast retransmit, RFC 9260 §7.2.4.

use crate::sctp::sequence::Tsn;

/// Counts missing reports without touching the chunks (RFC 9260 §7.2.4).
///
/// By the Highest TSN Newly Acknowledged rule, a SACK reports a TSN missing if the highest TSN that it newly
/// acknowledges is later. So a TSN has three reports exactly if it is before the third highest of these, and
/// keeping the three highest is enough.
#[derive(Debug)]
pub(super) struct MissingReports {
    /// Descending.
    highest: [Tsn; 3],
    /// First transmissions before this TSN were looked at.
    examined: Tsn,
}

impl MissingReports {
    pub(super) fn new(first: Tsn) -> Self {
        Self { highest: [first.previous(); 3], examined: first }
    }

    /// Counts one SACK.
    pub(super) fn count(&mut self, highest_newly_acknowledged: Tsn) {
        let mut entry = highest_newly_acknowledged;
        for slot in &mut self.highest {
            if entry.is_after(*slot) {
                std::mem::swap(slot, &mut entry);
            }
        }
    }

    /// Everything before this TSN that is not acknowledged was reported missing three times.
    pub(super) fn lost_before(&self) -> Tsn {
        self.highest[2]
    }

    /// The TSNs whose first transmission became overdue since the last call, from and to (excluded).
    pub(super) fn take_range(&mut self, first_outstanding: Tsn) -> Option<(Tsn, Tsn)> {
        // Moved along without a loss, too, lest it fall behind by more than serial arithmetic can tell.
        if first_outstanding.is_after(self.examined) {
            self.examined = first_outstanding;
        }
        let (start, end) = (self.examined, self.lost_before());
        if !end.is_after(start) {
            return None;
        }
        self.examined = end;
        Some((start, end))
    }

    /// Chunks before `next` are all to be sent again, so reports on their first transmission do not matter
    /// any more.
    pub(super) fn restart(&mut self, next: Tsn) {
        self.highest = [next.previous(); 3];
        self.examined = next;
    }
}
