//! Addresses and ports for relaying.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::crypto::SecureRandom;

/// An address of which allocations get ports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayAddress {
    /// The address that relay sockets are bound to.
    pub local: IpAddr,
    /// The address that clients and peers see, where a translator stands between. The same by default.
    pub external: IpAddr,
    /// The ports. 49152 to 65535 by default.
    pub ports: RangeInclusive<u16>,
}

/// Why there can be no relaying at an address.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayAddressError {
    /// Clients would be told an address that nobody reaches.
    #[error("{0} is no address that a peer could send to; give the external one")]
    Unspecified(IpAddr),
    /// Both are of one family.
    #[error("{local} and {external} are of two families")]
    Families {
        /// What sockets are bound to.
        local: IpAddr,
        /// What is told.
        external: IpAddr,
    },
    /// There are no ports.
    #[error("the range of ports {0} to {1} is empty or begins with 0")]
    Ports(u16, u16),
}

impl RelayAddress {
    /// An address with the ports that are for dynamic use.
    pub fn new(address: IpAddr) -> Self {
        Self { local: address, external: address, ports: 49_152..=65_535 }
    }

    /// The same, which clients are told as `external`.
    #[must_use]
    pub fn with_external(mut self, external: IpAddr) -> Self {
        self.external = external;
        self
    }

    /// The same with other ports.
    #[must_use]
    pub fn with_ports(mut self, ports: RangeInclusive<u16>) -> Self {
        self.ports = ports;
        self
    }

    pub(super) fn validate(&self) -> Result<(), RelayAddressError> {
        let Self { local, external, ports } = self.clone();
        if external.is_unspecified() {
            return Err(RelayAddressError::Unspecified(external));
        }
        if local.is_ipv4() != external.is_ipv4() {
            return Err(RelayAddressError::Families { local, external });
        }
        if ports.is_empty() || *ports.start() == 0 {
            return Err(RelayAddressError::Ports(*ports.start(), *ports.end()));
        }
        Ok(())
    }
}

/// What is asked of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parity {
    Any,
    Even,
    /// With the next one, which is taken as well.
    EvenWithNext,
}

/// How long a port rests after an allocation, so that what is still sent to it reaches nobody else. Where there is no
/// other it rests for a shorter time: else one user who takes and gives back would have all.
pub(super) const REST: Duration = Duration::from_secs(120);

/// The ports of one address.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) address: RelayAddress,
    taken: Vec<u64>,
    resting: VecDeque<(Instant, u16)>,
}

impl Ports {
    pub(super) fn new(address: RelayAddress) -> Self {
        Self { address, taken: vec![0; 1024], resting: VecDeque::new() }
    }

    fn is_taken(&self, port: u16) -> bool {
        self.taken.get(usize::from(port >> 6)).is_none_or(|word| word & 1 << (port & 63) != 0)
    }

    fn set(&mut self, port: u16, taken: bool) {
        if let Some(word) = self.taken.get_mut(usize::from(port >> 6)) {
            let bit = 1 << (port & 63);
            *word = if taken { *word | bit } else { *word & !bit };
        }
    }

    /// A port that nobody has, chosen at random (RFC 6056).
    pub(super) fn take(&mut self, now: Instant, random: &dyn SecureRandom, parity: Parity) -> Option<u16> {
        self.wake(now);
        let found = self.find(random, parity).or_else(|| {
            let half = self.resting.len().div_ceil(2);
            for _ in 0..half {
                let (_, port) = self.resting.pop_front()?;
                self.set(port, false);
            }
            if half > 0 { self.find(random, parity) } else { None }
        });
        let port = found?;
        self.set(port, true);
        if parity == Parity::EvenWithNext {
            self.set(port + 1, true);
        }
        Some(port)
    }

    fn find(&self, random: &dyn SecureRandom, parity: Parity) -> Option<u16> {
        let (low, high) = (*self.address.ports.start(), *self.address.ports.end());
        let size = u32::from(high - low) + 1;
        let mut seed = [0; 4];
        random.fill(&mut seed);
        let start = u32::from_be_bytes(seed) % size;
        (0..size).map(|step| low + ((start + step) % size) as u16).find(|port| match parity {
            Parity::Any => !self.is_taken(*port),
            Parity::Even => port.is_multiple_of(2) && !self.is_taken(*port),
            Parity::EvenWithNext => {
                port.is_multiple_of(2) && *port < high && !self.is_taken(*port) && !self.is_taken(*port + 1)
            }
        })
    }

    /// A port has served: others may have it later.
    pub(super) fn give_back(&mut self, now: Instant, port: u16) {
        self.resting.push_back((now + REST, port));
    }

    fn wake(&mut self, now: Instant) {
        while let Some((_, port)) = self.resting.front().copied().filter(|(until, _)| *until <= now) {
            self.resting.pop_front();
            self.set(port, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SeededRandom;

    #[test]
    fn every_port_is_given_once_and_rests() {
        let (start, random) = (Instant::now(), SeededRandom::new(1));
        let address = RelayAddress::new("192.0.2.1".parse().unwrap()).with_ports(50_000..=50_009);
        let mut ports = Ports::new(address);
        let even = ports.take(start, &random, Parity::EvenWithNext).unwrap();
        let second = ports.take(start, &random, Parity::Even).unwrap();
        assert!(even.is_multiple_of(2) && second.is_multiple_of(2) && second != even);
        let mut all = vec![even, even + 1, second];
        all.extend(std::iter::from_fn(|| ports.take(start, &random, Parity::Any)));
        all.sort_unstable();
        assert_eq!(all, (50_000..=50_009).collect::<Vec<_>>());
        ports.give_back(start, 50_003);
        ports.give_back(start, 50_005);
        assert_eq!(ports.take(start, &random, Parity::Even), None);
        let mut ports = Ports::new(ports.address);
        assert!((0..5).all(|_| ports.take(start, &random, Parity::Any).is_some_and(|port| {
            ports.give_back(start, port);
            true
        })));
        let rested: Vec<_> = ports.resting.iter().map(|(_, port)| *port).collect();
        let fresh: Vec<_> =
            (0..5).filter_map(|_| ports.take(start + REST / 2, &random, Parity::Any)).collect();
        assert!(
            fresh.len() == 5 && fresh.iter().all(|port| !rested.contains(port)),
            "those that rest are the last"
        );
        assert!(rested.contains(&ports.take(start + REST / 2, &random, Parity::Any).unwrap()));
        assert!((0..4).all(|_| ports.take(start + REST, &random, Parity::Any).is_some()));
        assert_eq!(ports.take(start + REST, &random, Parity::Any), None);
    }
}
