//! ChannelData messages, RFC 8656 §12.4 and §12.5.

use std::ops::Range;

use thiserror::Error;

use super::channel::ChannelNumber;

/// The length of the header of a ChannelData message in bytes (RFC 8656 §12.4).
pub const CHANNEL_DATA_HEADER_LEN: usize = 4;

/// A ChannelData message in the buffer it arrived in.
///
/// ```
/// use kaon_rtc::turn::{ChannelData, ChannelNumber};
///
/// let channel = ChannelNumber::new(0x4001).ok_or("a channel")?;
/// let mut datagram = ChannelData::header(channel, 5).to_vec();
/// datagram.extend_from_slice(b"hello");
/// let message = ChannelData::decode(&datagram)?;
/// assert_eq!((message.channel, message.data), (channel, &b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// The channel.
    pub channel: ChannelNumber,
    /// What it carries.
    pub data: &'a [u8],
}

/// Why bytes are no ChannelData message.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChannelDataError {
    /// Fewer bytes than a header has.
    #[error("{0} bytes are shorter than the header of ChannelData, 4 bytes")]
    TooShort(usize),
    /// The first two bytes are no number of a channel.
    #[error("{0:#06x} is no number of a channel")]
    Channel(u16),
    /// The length in the header is more than there is.
    #[error("the header says {claimed} bytes follow it, there are {actual}")]
    Length {
        /// What the header says.
        claimed: usize,
        /// What there is.
        actual: usize,
    },
    /// There is more behind the data than padding.
    #[error("{0} bytes follow the data, more than the 3 that padding has")]
    Trailing(usize),
}

impl<'a> ChannelData<'a> {
    /// Whether bytes begin as ChannelData does, to tell it from STUN and DTLS on the same path (RFC 7983 §7).
    pub fn is_channel_data(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|first| (0x40..=0x4f).contains(first))
    }

    /// Reads a datagram, or a message of a stream. Padding, up to three bytes, may follow.
    ///
    /// # Errors
    /// [`ChannelDataError`] says what is wrong.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ChannelDataError> {
        let (header, rest) = bytes.split_first_chunk::<4>().ok_or(ChannelDataError::TooShort(bytes.len()))?;
        let number = u16::from_be_bytes([header[0], header[1]]);
        let channel = ChannelNumber::new(number).ok_or(ChannelDataError::Channel(number))?;
        let claimed = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let data = rest.get(..claimed).ok_or(ChannelDataError::Length { claimed, actual: rest.len() })?;
        match rest.len() - claimed {
            0..=3 => Ok(Self { channel, data }),
            trailing => Err(ChannelDataError::Trailing(trailing)),
        }
    }

    /// Where the data is in what was [decoded](Self::decode).
    pub fn range(&self) -> Range<usize> {
        CHANNEL_DATA_HEADER_LEN..CHANNEL_DATA_HEADER_LEN + self.data.len()
    }

    /// The header of a message with `len` bytes of data.
    pub const fn header(channel: ChannelNumber, len: u16) -> [u8; CHANNEL_DATA_HEADER_LEN] {
        let ([a, b], [c, d]) = (channel.number().to_be_bytes(), len.to_be_bytes());
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_may_follow_and_nothing_else() {
        for (padding, is_read) in [(0, true), (1, true), (3, true), (4, false)] {
            let mut bytes = ChannelData::header(ChannelNumber::MIN, 2).to_vec();
            bytes.extend(vec![9; 2 + padding]);
            let read = ChannelData::decode(&bytes);
            assert_eq!(read.is_ok(), is_read, "{read:?}");
            assert!(read.is_err() || read.unwrap().range() == (4..6));
        }
    }

    #[test]
    fn malformed_messages_are_named() {
        assert_eq!(ChannelData::decode(&[0x40, 0, 0]), Err(ChannelDataError::TooShort(3)));
        assert_eq!(ChannelData::decode(&[0x50, 0, 0, 0]), Err(ChannelDataError::Channel(0x5000)));
        let length = ChannelDataError::Length { claimed: 0xffff, actual: 1 };
        assert_eq!(ChannelData::decode(&[0x40, 0, 0xff, 0xff, 1]), Err(length));
        assert_eq!(ChannelData::decode(&[0x40, 0, 0, 0]).unwrap().data, b"", "an empty datagram is one");
        assert!(ChannelData::is_channel_data(&[0x4f]) && !ChannelData::is_channel_data(&[0x50]));
    }
}
