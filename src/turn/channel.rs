//! Channels, RFC 8656 §12.

use std::fmt;
use std::time::Duration;

/// How long a channel stays bound unless it is bound again (RFC 8656 §12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

/// How long after its end neither the number of a channel nor its peer may be bound to another (RFC 8656 §12).
pub const CHANNEL_COOLDOWN: Duration = Duration::from_secs(300);

/// The number of a channel: 0x4000 to 0x4FFF (RFC 8656 §12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The lowest number.
    pub const MIN: Self = Self(0x4000);
    /// The highest number.
    pub const MAX: Self = Self(0x4fff);
    /// How many there are.
    pub const COUNT: usize = (Self::MAX.0 - Self::MIN.0 + 1) as usize;

    /// A channel by its number; `None` outside 0x4000 to 0x4FFF.
    pub const fn new(number: u16) -> Option<Self> {
        if number >= Self::MIN.0 && number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The channel that is so many above the lowest.
    pub(super) fn nth(index: usize) -> Option<Self> {
        Self::new(Self::MIN.0.checked_add(u16::try_from(index).ok()?)?)
    }

    /// How many channels are below this one.
    pub(super) fn index(self) -> usize {
        usize::from(self.0 - Self::MIN.0)
    }

    /// The value of CHANNEL-NUMBER (RFC 8656 §18.1).
    pub const fn encode(self) -> [u8; 4] {
        let [high, low] = self.0.to_be_bytes();
        [high, low, 0, 0]
    }

    /// Reads the value of CHANNEL-NUMBER; `None` if it is malformed or of no channel.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let [high, low, _, _] = *<&[u8; 4]>::try_from(value).ok()?;
        Self::new(u16::from_be_bytes([high, low]))
    }
}

impl fmt::Debug for ChannelNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelNumber({:#06x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_numbers_of_channels_are_channels() {
        for (number, is_one) in
            [(0x3fff, false), (0x4000, true), (0x4fff, true), (0x5000, false), (0xffff, false)]
        {
            assert_eq!(ChannelNumber::new(number).is_some(), is_one, "{number:#x}");
        }
        let last = ChannelNumber::nth(ChannelNumber::COUNT - 1).unwrap();
        assert_eq!((last, last.index()), (ChannelNumber::MAX, 0xfff));
        assert_eq!(ChannelNumber::nth(ChannelNumber::COUNT), None);
        assert_eq!(ChannelNumber::decode(&last.encode()), Some(last));
        assert_eq!(ChannelNumber::decode(&[0x40, 0]), None);
    }
}
