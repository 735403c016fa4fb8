//! Priorities, RFC 8445 §5.1.2.

use std::net::IpAddr;

use crate::layer::{CandidateKind, IceRole, TcpKind};

/// Which of several addresses of a kind is preferred: higher is better (RFC 8445 §5.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalPreference(u16);

impl LocalPreference {
    /// The preference of an address when `before` addresses of its family were added before it. The families
    /// alternate, IPv6 first, so that one broken family delays the other little (RFC 8421 §4).
    pub(super) fn new(address: IpAddr, before: usize) -> Self {
        let family = u16::from(address.is_ipv4());
        let before = u16::try_from(before).unwrap_or(u16::MAX).min(u16::MAX / 2 - 1);
        Self(u16::MAX - 2 * before - family)
    }
}

/// RFC 8445 §5.1.2.1, for component 1.
pub(super) fn candidate_priority(kind: CandidateKind, preference: LocalPreference) -> u32 {
    let kind = match kind {
        CandidateKind::Host => 126,
        CandidateKind::PeerReflexive => 110,
        CandidateKind::ServerReflexive => 100,
        CandidateKind::Relayed => 0,
    };
    priority(kind, preference.0)
}

/// RFC 6544 §4.2: behind all that is direct over UDP, with the direction as the upper three bits of the local preference.
pub(super) fn stream_priority(kind: CandidateKind, tcp: TcpKind, preference: LocalPreference) -> u32 {
    const OTHER: u16 = (1 << 13) - 1;
    let direction = match (kind, tcp) {
        (CandidateKind::Host | CandidateKind::Relayed, TcpKind::Active) => 6,
        (CandidateKind::Host | CandidateKind::Relayed, TcpKind::Passive) => 4,
        (CandidateKind::Host | CandidateKind::Relayed, TcpKind::SimultaneousOpen) => 2,
        (_, TcpKind::SimultaneousOpen) => 6,
        (_, TcpKind::Active) => 4,
        (_, TcpKind::Passive) => 2,
    };
    let kind = match kind {
        CandidateKind::Host => 90,
        CandidateKind::PeerReflexive => 80,
        CandidateKind::ServerReflexive => 70,
        CandidateKind::Relayed => 0,
    };
    priority(kind, direction << 13 | (preference.0 & OTHER))
}

fn priority(kind: u32, preference: u16) -> u32 {
    const COMPONENT: u32 = 1;
    kind << 24 | u32::from(preference) << 8 | (256 - COMPONENT)
}

/// RFC 8445 §6.1.2.3
pub(super) fn pair_priority(role: IceRole, local: u32, remote: u32) -> u64 {
    let (controlling, controlled) = match role {
        IceRole::Controlling => (u64::from(local), u64::from(remote)),
        IceRole::Controlled => (u64::from(remote), u64::from(local)),
    };
    let high = controlling.min(controlled) << 32;
    // Saturates for priorities beyond the 31 bits of the RFC, which some peers use.
    high.saturating_add(2 * controlling.max(controlled) + u64::from(controlling > controlled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_rank_by_kind_then_family() {
        let preference = |address: &str, before| LocalPreference::new(address.parse().unwrap(), before);
        let first_v6 = preference("::1", 0);
        // The recommended formula for the preferred host candidate: 126 · 2²⁴ + 65535 · 2⁸ + 255.
        assert_eq!(candidate_priority(CandidateKind::Host, first_v6), 2_130_706_431);
        let ranks: Vec<_> = [("::1", 0), ("127.0.0.1", 0), ("::1", 1), ("127.0.0.1", 1), ("::1", 70_000)]
            .into_iter()
            .map(|(address, before)| candidate_priority(CandidateKind::Host, preference(address, before)))
            .collect();
        assert!(ranks.is_sorted_by(|a, b| a > b), "{ranks:?}");
        assert!(
            ranks[4] > candidate_priority(CandidateKind::PeerReflexive, first_v6),
            "any host before any reflexive candidate"
        );
    }

    #[test]
    fn streams_come_behind_datagrams_and_active_ones_first() {
        let worst = LocalPreference::new("127.0.0.1".parse().unwrap(), 70_000);
        let preference = |before| LocalPreference::new("127.0.0.1".parse().unwrap(), before);
        let stream = |tcp, before| stream_priority(CandidateKind::Host, tcp, preference(before));
        let ranks = [
            candidate_priority(CandidateKind::ServerReflexive, worst),
            stream(TcpKind::Active, 0),
            stream(TcpKind::Active, 1),
            stream(TcpKind::Passive, 0),
            stream(TcpKind::SimultaneousOpen, 0),
            candidate_priority(CandidateKind::Relayed, preference(0)),
        ];
        assert!(ranks.is_sorted_by(|a, b| a > b), "{ranks:?}");
    }

    #[test]
    fn both_sides_agree_on_the_priority_of_a_pair() {
        for (a, b) in [(1, 2), (2, 1), (7, 7), (u32::MAX, u32::MAX), (0, u32::MAX)] {
            let ours = pair_priority(IceRole::Controlling, a, b);
            assert_eq!(ours, pair_priority(IceRole::Controlled, b, a));
        }
        assert_eq!(pair_priority(IceRole::Controlling, 5, 3), 3 << 32 | 11);
        assert_eq!(pair_priority(IceRole::Controlling, 3, 5), 3 << 32 | 10);
    }
}
