//! What connections and listeners count.

use super::record::Refusal;
use crate::layer::DtlsError;

/// What a connection or a listener counted. What is ignored changes nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The datagrams that were handed in.
    pub datagrams: u64,
    /// Records and handshake messages that are not what their format says, or are out of place.
    pub malformed: u64,
    /// Records of an epoch that is over or not yet begun.
    pub wrong_epoch: u64,
    /// Records that arrived before, or are older than the replay window.
    pub replayed: u64,
    /// Records that do not authenticate.
    pub unauthentic: u64,
    /// Alerts that anybody could have sent.
    pub plaintext_alerts: u64,
    /// Records, fragments and data dropped at a limit of the configuration.
    pub over_limit: u64,
    /// Flights that were sent again.
    pub retransmissions: u64,
}

impl Stats {
    /// All that was ignored.
    pub fn ignored(&self) -> u64 {
        let Self { malformed, wrong_epoch, replayed, unauthentic, plaintext_alerts, over_limit, .. } = self;
        malformed + wrong_epoch + replayed + unauthentic + plaintext_alerts + over_limit
    }

    /// Counts something that is ignored, and says so.
    pub(crate) fn ignore(&mut self, ignored: Ignored) -> DtlsError {
        let (counter, reason) = match ignored {
            Ignored::Malformed(reason) => (&mut self.malformed, reason),
            Ignored::Epoch => (&mut self.wrong_epoch, "a record of another epoch"),
            Ignored::Replayed => (&mut self.replayed, "a record that arrived before"),
            Ignored::Unauthentic => (&mut self.unauthentic, "a record that does not authenticate"),
            Ignored::PlaintextAlert => (&mut self.plaintext_alerts, "an alert that anybody could have sent"),
            Ignored::OverLimit(reason) => (&mut self.over_limit, reason),
        };
        *counter += 1;
        tracing::trace!(reason, "ignored by DTLS");
        DtlsError::Ignored(reason)
    }
}

/// Why something is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ignored {
    Malformed(&'static str),
    Epoch,
    Replayed,
    Unauthentic,
    PlaintextAlert,
    OverLimit(&'static str),
}

impl From<Refusal> for Ignored {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed => Self::Malformed("a protected record of an impossible length"),
            Refusal::Epoch => Self::Epoch,
            Refusal::Replayed => Self::Replayed,
            Refusal::Authentication => Self::Unauthentic,
        }
    }
}
