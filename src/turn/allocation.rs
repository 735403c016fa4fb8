//! Allocations, RFC 8656 §6.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::slice::Iter;
use std::time::Duration;

use smallvec::SmallVec;

use super::attribute::{AddressFamily, Lifetime, ReservationToken};

/// A relayed address at a server, or one of each family.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Allocation {
    /// The addresses that peers see: one, or one of each family.
    pub relayed: RelayedAddresses,
    /// The address that the server sees this side under, a server-reflexive one, where it tells.
    pub mapped: Option<SocketAddr>,
    /// How long it lives unless it is refreshed.
    pub lifetime: Lifetime,
    /// Names the next higher port, where that was to be reserved.
    pub reservation: Option<ReservationToken>,
}

impl Allocation {
    /// The relayed address that speaks to `peer`, which is of the same family.
    pub fn relayed_to(&self, peer: IpAddr) -> Option<SocketAddr> {
        let family = AddressFamily::of(peer);
        self.relayed.iter().copied().find(|relayed| AddressFamily::of(relayed.ip()) == family)
    }
}

/// The addresses of an allocation, as a slice: one, or one of each family in the order of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayedAddresses(SmallVec<[SocketAddr; 2]>);

impl Deref for RelayedAddresses {
    type Target = [SocketAddr];

    fn deref(&self) -> &[SocketAddr] {
        &self.0
    }
}

impl FromIterator<SocketAddr> for RelayedAddresses {
    fn from_iter<I: IntoIterator<Item = SocketAddr>>(addresses: I) -> Self {
        Self(addresses.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a RelayedAddresses {
    type Item = &'a SocketAddr;
    type IntoIter = Iter<'a, SocketAddr>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// When an allocation that was granted for `lifetime` is refreshed: a minute before its end, after half of it if it is
/// short, and not before five seconds, whatever a server says.
pub(super) fn refresh_after(lifetime: Lifetime) -> Duration {
    const MARGIN: Duration = Duration::from_secs(60);
    const SHORTEST: Duration = Duration::from_secs(5);
    const LONGEST: Duration = Duration::from_secs(3540);
    let lifetime = lifetime.duration();
    let after = if lifetime < 2 * MARGIN { lifetime / 2 } else { lifetime - MARGIN };
    after.clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshes_come_before_the_end() {
        for (lifetime, after) in [(0, 5), (8, 5), (100, 50), (600, 540), (3600, 3540), (u32::MAX, 3540)] {
            assert_eq!(refresh_after(Lifetime::from_secs(lifetime)).as_secs(), after, "{lifetime}");
        }
    }
}
