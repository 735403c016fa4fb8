//! What a session counts, as the W3C reports it (Identifiers for WebRTC's Statistics API).

mod collect;
mod entries;
#[cfg(feature = "serde")]
mod serialize;
mod traffic;

use std::time::Instant;

use crate::layer::NtpTimestamp;

pub use entries::{
    CandidatePairStats, CandidateStats, CertificateStats, CodecStats, DataChannelStats, DtlsState,
    InboundRtpStats, OutboundRtpStats, RemoteInboundRtpStats, RemoteOutboundRtpStats, Stats, StatsId,
    TransportStats,
};

pub(super) use collect::Sources;
pub(super) use traffic::Traffic;

/// What a session has counted at one time (W3C `RTCStatsReport`). Entries name each other by their ids.
///
/// With the feature `serde` it is written as browsers have it: a map from the ids to dictionaries with the W3C's names,
/// times in seconds, instants in milliseconds since 1970 by the [wall clock](Self::wall_clock).
#[derive(Clone, Debug, PartialEq)]
pub struct StatsReport {
    timestamp: Instant,
    wall_clock: NtpTimestamp,
    entries: Vec<Stats>,
}

impl StatsReport {
    /// When it was made.
    pub fn timestamp(&self) -> Instant {
        self.timestamp
    }

    /// The same on the wall clock of the session, which begins at
    /// [`ntp_epoch`](crate::session::SessionConfig::ntp_epoch).
    pub fn wall_clock(&self) -> NtpTimestamp {
        self.wall_clock
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

/// An NTP time as the W3C tells it.
#[cfg(feature = "serde")]
fn milliseconds_since_1970(time: NtpTimestamp) -> f64 {
    const UNIX_TO_NTP: f64 = 2_208_988_800.0;
    (time.as_duration().as_secs_f64() - UNIX_TO_NTP) * 1000.0
}

impl<'a> IntoIterator for &'a StatsReport {
    type Item = &'a Stats;
    type IntoIter = std::slice::Iter<'a, Stats>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
