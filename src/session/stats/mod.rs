//! What a session counts, as the W3C reports it (Identifiers for WebRTC's Statistics API).

mod collect;
mod entries;
mod traffic;

use std::time::Instant;

pub use entries::{
    CandidatePairStats, CandidateStats, CertificateStats, CodecStats, DataChannelStats, DtlsState,
    InboundRtpStats, OutboundRtpStats, RemoteInboundRtpStats, RemoteOutboundRtpStats, Stats, StatsId,
    TransportStats,
};

pub(super) use collect::Sources;
pub(super) use traffic::Traffic;

/// What a session has counted at one time (W3C `RTCStatsReport`). Entries name each other by their ids.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsReport {
    timestamp: Instant,
    entries: Vec<Stats>,
}

impl StatsReport {
    /// When it was made.
    pub fn timestamp(&self) -> Instant {
        self.timestamp
    }

    /// The entries.
    pub fn iter(&self) -> std::slice::Iter<'_, Stats> {
        self.entries.iter()
    }

    /// The entry of this name.
    pub fn get(&self, id: &StatsId) -> Option<&Stats> {
        self.entries.iter().find(|entry| entry.id() == id)
    }
}

impl<'a> IntoIterator for &'a StatsReport {
    type Item = &'a Stats;
    type IntoIter = std::slice::Iter<'a, Stats>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
