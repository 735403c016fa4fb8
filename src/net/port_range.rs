//! Ranges of ports to bind in.

use std::fmt;
use std::ops::RangeInclusive;

use thiserror::Error;

/// A range of UDP ports to bind in, both ends included: what a firewall lets through.
///
/// ```
/// use kaon_rtc::net::PortRange;
///
/// let range = PortRange::new(50_000..=50_099)?;
/// assert_eq!(range.len(), 100);
/// assert!(PortRange::new(0..=10).is_err());
/// # Ok::<(), kaon_rtc::net::InvalidPortRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

// A range is never empty.
#[allow(clippy::len_without_is_empty)]
impl PortRange {
    /// The ports of `range`.
    ///
    /// # Errors
    /// [`InvalidPortRange`] if the range begins with 0, which is no port, or ends before it begins.
    pub fn new(range: RangeInclusive<u16>) -> Result<Self, InvalidPortRange> {
        let (first, last) = range.into_inner();
        if first == 0 || last < first {
            return Err(InvalidPortRange { first, last });
        }
        Ok(Self { first, last })
    }

    /// The first port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// The number of ports, 1 to 65535.
    pub fn len(self) -> usize {
        usize::from(self.last - self.first) + 1
    }

    /// Every port once, beginning `offset` ports after the first and going round.
    pub(super) fn ports_from(self, offset: usize) -> impl Iterator<Item = u16> {
        (0..self.len()).map(move |step| self.first + ((offset % self.len() + step) % self.len()) as u16)
    }
}

impl TryFrom<RangeInclusive<u16>> for PortRange {
    type Error = InvalidPortRange;

    fn try_from(range: RangeInclusive<u16>) -> Result<Self, Self::Error> {
        Self::new(range)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.first, self.last)
    }
}

/// The bounds are no range of ports.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("ports {first} to {last} are no range; give a first port of at least 1 and a last port not below it")]
pub struct InvalidPortRange {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_comes_once_from_any_start() {
        let range = PortRange::new(65_530..=65_535).unwrap();
        for offset in [0, 1, 5, 6, usize::MAX] {
            let mut ports: Vec<_> = range.ports_from(offset).collect();
            assert_eq!(ports[0], 65_530 + (offset % 6) as u16);
            ports.sort_unstable();
            assert_eq!(ports, (65_530..=65_535).collect::<Vec<_>>());
        }
        assert_eq!(PortRange::new(1..=65_535).unwrap().ports_from(70_000).count(), 65_535);
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn what_is_no_range_is_refused() {
        assert_eq!(PortRange::new(0..=9), Err(InvalidPortRange { first: 0, last: 9 }));
        assert_eq!(PortRange::try_from(9..=8), Err(InvalidPortRange { first: 9, last: 8 }));
        assert_eq!(PortRange::new(7..=7).unwrap().to_string(), "7 to 7");
    }
}
