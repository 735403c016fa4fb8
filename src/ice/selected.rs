//! The pair that data is sent on.

use std::time::Instant;

use super::consent::Consent;
use super::message::Generation;
use super::pair::PairId;
use crate::layer::CandidatePair;

/// The pair that data is sent on.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) id: PairId,
    pub(super) pair: CandidatePair,
    pub(super) generation: Generation,
    /// PRIORITY of consent checks.
    pub(super) priority: u32,
    pub(super) consent: Consent,
    pub(super) since: Instant,
    /// When it took the place of one whose address was lost.
    pub(super) took_over: Option<Instant>,
    /// When the question was asked that it has not answered.
    pub(super) silent_since: Option<Instant>,
    /// The other pair that data of the peer has come by last, and how many datagrams in a row.
    pub(super) astray: Option<(PairId, u8)>,
}
