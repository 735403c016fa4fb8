//! Sequence numbers and their arithmetic, RFC 9260 §1.6.

use std::fmt;

/// A transmission sequence number (RFC 9260 §1.6): serial arithmetic over 32 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tsn(pub u32);

/// A stream sequence number: serial arithmetic over 16 bits. A stream begins with 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Ssn(pub u16);

impl Tsn {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The number before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// The number `count` further on.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// How many steps lead from `earlier` to this one.
    pub const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether this one comes later than `other`.
    pub const fn is_after(self, other: Self) -> bool {
        (other.0.wrapping_sub(self.0) as i32) < 0
    }

    /// Whether this one is `other` or later.
    pub const fn is_at_or_after(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) >= 0
    }
}

impl Ssn {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// How many steps lead from `earlier` to this one.
    pub const fn since(self, earlier: Self) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether this one is `other` or later.
    pub const fn is_at_or_after(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i16) >= 0
    }
}

impl fmt::Debug for Tsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Ssn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_order_wraps() {
        assert!(Tsn(0).is_after(Tsn(u32::MAX)));
        assert!(!Tsn(u32::MAX).is_after(Tsn(0)));
        assert!(Tsn(5).is_at_or_after(Tsn(5)));
        assert!(!Tsn(5).is_after(Tsn(5)));
        assert!(Ssn(2).is_at_or_after(Ssn(65_535)));
        assert!(!Ssn(65_535).is_at_or_after(Ssn(2)));
        assert_eq!(Tsn(3).since(Tsn(u32::MAX)), 4);
    }
}
