//! Source descriptions, RFC 3550 §6.5.

use std::fmt;

use super::encode::{Writer, count};
use super::header::{HEADER_LEN, PacketType, Reader};
use super::{Encode, ParseError, WriteError};
use crate::layer::Ssrc;

/// Who the sources are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceDescription<'a> {
    /// One chunk per source; at most 31.
    pub chunks: SdesChunks<'a>,
}

impl<'a> SourceDescription<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Result<Self, ParseError> {
        let mut rest = body;
        for _ in 0..count {
            rest = SdesChunk::split(rest)?.1;
        }
        let bytes = &body[..body.len() - rest.len()];
        Ok(SourceDescription { chunks: SdesChunks { source: Source::Wire(bytes) } })
    }
}

impl Encode for SourceDescription<'_> {
    fn encoded_len(&self) -> usize {
        HEADER_LEN + self.chunks.iter().map(|chunk| chunk.encoded_len()).sum::<usize>()
    }

    fn encode(&self, out: &mut [u8]) -> Result<usize, WriteError> {
        let len = self.encoded_len();
        let chunks = count("chunks", self.chunks.iter().count(), 31)?;
        for item in self.chunks.iter().flat_map(|chunk| chunk.items.iter()) {
            count("bytes of a source description item", item.value.len(), 255)?;
        }
        let mut writer = Writer::new(out, PacketType::SOURCE_DESCRIPTION, chunks, len)?;
        for chunk in self.chunks.iter() {
            writer.u32(chunk.ssrc.0);
            for item in chunk.items.iter() {
                writer.put(&[item.kind.0, item.value.len() as u8]);
                writer.put(item.value);
            }
            writer.slot(chunk.encoded_len() - 4 - chunk.items.encoded_len()).fill(0);
        }
        Ok(len)
    }
}

/// What is known of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SdesChunk<'a> {
    /// The source.
    pub ssrc: Ssrc,
    /// Its items.
    pub items: SdesItems<'a>,
}

impl<'a> SdesChunk<'a> {
    /// The canonical name, RFC 3550 §6.5.1.
    pub fn cname(&self) -> Option<&'a [u8]> {
        self.items.iter().find(|item| item.kind == SdesItemType::CNAME).map(|item| item.value)
    }

    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        let mut reader = Reader::new("source description", bytes);
        let ssrc = Ssrc(reader.u32("SSRC")?);
        let body = reader.rest();
        let mut rest = body;
        while let Some((_, behind)) = SdesItem::split(rest)? {
            rest = behind;
        }
        let items = &body[..body.len() - rest.len()];
        // RFC 3550 §6.5: the list ends with one to four zero bytes, up to a 32-bit boundary. A list that runs
        // up to the end of the packet without them is let pass.
        let end = (items.len() + 1).next_multiple_of(4).min(body.len());
        Ok((SdesChunk { ssrc, items: SdesItems { source: Source::Wire(items) } }, &body[end..]))
    }

    fn encoded_len(&self) -> usize {
        4 + (self.items.encoded_len() + 1).next_multiple_of(4)
    }
}

/// One item of a source's description.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SdesItem<'a> {
    /// What it says.
    pub kind: SdesItemType,
    /// Its value, UTF-8 for all but [`SdesItemType::PRIV`]; at most 255 bytes.
    pub value: &'a [u8],
}

impl<'a> SdesItem<'a> {
    /// The prefix and the value of a private extension, RFC 3550 §6.5.8.
    pub fn private(&self) -> Option<(&'a [u8], &'a [u8])> {
        let (&len, rest) = self.value.split_first().filter(|_| self.kind == SdesItemType::PRIV)?;
        rest.split_at_checked(usize::from(len))
    }

    // `None` at the end of the list.
    fn split(bytes: &'a [u8]) -> Result<Option<(Self, &'a [u8])>, ParseError> {
        if matches!(bytes.first(), None | Some(0)) {
            return Ok(None);
        }
        let mut reader = Reader::new("source description", bytes);
        let kind = SdesItemType(reader.u8("item")?);
        let len = usize::from(reader.u8("item length")?);
        let value = reader.bytes(len, "item")?;
        Ok(Some((SdesItem { kind, value }, reader.rest())))
    }
}

impl fmt::Debug for SdesItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.value.escape_ascii())
    }
}

/// What an item says, RFC 3550 §12.2 and later registrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SdesItemType(pub u8);

impl SdesItemType {
    /// The canonical name, the same for all sources of an endpoint.
    pub const CNAME: SdesItemType = SdesItemType(1);
    /// The user's name.
    pub const NAME: SdesItemType = SdesItemType(2);
    /// The user's address of electronic mail.
    pub const EMAIL: SdesItemType = SdesItemType(3);
    /// The user's telephone number.
    pub const PHONE: SdesItemType = SdesItemType(4);
    /// Where the user is.
    pub const LOC: SdesItemType = SdesItemType(5);
    /// The application.
    pub const TOOL: SdesItemType = SdesItemType(6);
    /// What the user is doing.
    pub const NOTE: SdesItemType = SdesItemType(7);
    /// A private extension.
    pub const PRIV: SdesItemType = SdesItemType(8);
    /// The stream's restriction identifier, RFC 8852.
    pub const RTP_STREAM_ID: SdesItemType = SdesItemType(12);
    /// The restriction identifier of the stream that this one repairs, RFC 8852.
    pub const REPAIRED_RTP_STREAM_ID: SdesItemType = SdesItemType(13);
    /// The media section, RFC 9143.
    pub const MID: SdesItemType = SdesItemType(15);
}

#[derive(Debug, Clone, Copy)]
enum Source<'a, T> {
    Wire(&'a [u8]),
    Slice(&'a [T]),
}

macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $element:ident, $split:expr) => {
        $(#[$doc])*
        ///
        /// Either the bytes of a packet that was parsed, or the caller's slice of what shall be written.
        #[derive(Clone, Copy)]
        pub struct $name<'a> {
            source: Source<'a, $element<'a>>,
        }

        impl<'a> $name<'a> {
            /// The elements, in order.
            pub fn iter(&self) -> impl Iterator<Item = $element<'a>> + Clone + use<'a> {
                let mut source = self.source;
                std::iter::from_fn(move || match &mut source {
                    Source::Wire(bytes) => {
                        let split: fn(&'a [u8]) -> Option<($element<'a>, &'a [u8])> = $split;
                        let (element, rest) = split(bytes)?;
                        *bytes = rest;
                        Some(element)
                    }
                    Source::Slice(slice) => {
                        let (element, rest) = slice.split_first()?;
                        *slice = rest;
                        Some(*element)
                    }
                })
            }
        }

        impl Default for $name<'_> {
            fn default() -> Self {
                $name { source: Source::Slice(&[]) }
            }
        }

        impl<'a> From<&'a [$element<'a>]> for $name<'a> {
            fn from(slice: &'a [$element<'a>]) -> Self {
                $name { source: Source::Slice(slice) }
            }
        }

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl Eq for $name<'_> {}

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.iter()).finish()
            }
        }
    };
}

list!(
    /// The chunks of a source description.
    SdesChunks,
    SdesChunk,
    |bytes| SdesChunk::split(bytes).ok()
);

list!(
    /// The items of a chunk.
    SdesItems,
    SdesItem,
    |bytes| SdesItem::split(bytes).ok().flatten()
);

impl SdesItems<'_> {
    fn encoded_len(&self) -> usize {
        self.iter().map(|item| 2 + item.value.len()).sum()
    }
}
