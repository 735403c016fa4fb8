//! The two header packets of Ogg Opus, RFC 7845 §5.

const HEAD_MAGIC: &[u8] = b"OpusHead";
const TAGS_MAGIC: &[u8] = b"OpusTags";

/// The identification header, RFC 7845 §5.1.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpusHead {
    /// How many channels come out, 1 to 255; 1 or 2 in family 0.
    pub channels: u8,
    /// Samples at 48 kHz to leave out at the beginning.
    pub pre_skip: u16,
    /// The rate that was encoded, in Hz; for information, zero if unknown.
    pub input_sample_rate: u32,
    /// The gain to apply, in 1/256 dB.
    pub output_gain: i16,
    /// How channels are ordered: 0 for one stream of one or two channels.
    pub mapping_family: u8,
    /// In families other than 0, the counts of streams and of coupled streams, and one byte for each channel.
    pub mapping_table: Vec<u8>,
}

impl OpusHead {
    /// For one stream of 1 or 2 channels that was encoded from 48 kHz, with the delay of libopus as pre-skip.
    pub fn new(channels: u8) -> Self {
        OpusHead {
            channels,
            pre_skip: 312,
            input_sample_rate: 48_000,
            output_gain: 0,
            mapping_family: 0,
            mapping_table: Vec::new(),
        }
    }

    /// Whether a packet is an identification header, well-formed or not.
    pub(super) fn begins(packet: &[u8]) -> bool {
        packet.starts_with(HEAD_MAGIC)
    }

    pub(super) fn parse(packet: &[u8]) -> Result<Self, &'static str> {
        let fields = packet.strip_prefix(HEAD_MAGIC).ok_or("an Ogg Opus stream begins with OpusHead")?;
        let Some((&[version, channels, p0, p1, r0, r1, r2, r3, g0, g1, mapping_family], table)) =
            fields.split_first_chunk::<11>()
        else {
            return Err("OpusHead is too short");
        };
        // RFC 7845 §5.1: the upper four bits are a major version, of which only the first is known.
        if version >= 16 {
            return Err("the version of OpusHead is not known");
        }
        let mapping_table = match mapping_family {
            0 => Vec::new(),
            _ => {
                let table = table.get(..2 + usize::from(channels)).ok_or("OpusHead ends in its mapping")?;
                table.to_vec()
            }
        };
        let head = OpusHead {
            channels,
            pre_skip: u16::from_le_bytes([p0, p1]),
            input_sample_rate: u32::from_le_bytes([r0, r1, r2, r3]),
            output_gain: i16::from_le_bytes([g0, g1]),
            mapping_family,
            mapping_table,
        };
        head.check()?;
        Ok(head)
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, &'static str> {
        self.check()?;
        let mut out = HEAD_MAGIC.to_vec();
        out.extend([1, self.channels]);
        out.extend(self.pre_skip.to_le_bytes());
        out.extend(self.input_sample_rate.to_le_bytes());
        out.extend(self.output_gain.to_le_bytes());
        out.push(self.mapping_family);
        out.extend_from_slice(&self.mapping_table);
        Ok(out)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.channels == 0 || (self.mapping_family == 0 && self.channels > 2) {
            return Err("OpusHead has no channels, or more than two in family 0");
        }
        let table_len = if self.mapping_family == 0 { 0 } else { 2 + usize::from(self.channels) };
        if self.mapping_table.len() != table_len {
            return Err("the mapping of OpusHead does not have the length that family and channels ask for");
        }
        // RFC 7845 §5.1.1: a channel is one of the decoded ones, or silent.
        if let [streams, coupled, channels @ ..] = &self.mapping_table[..] {
            let decoded = u16::from(*streams) + u16::from(*coupled);
            let exists = |&channel: &u8| channel == 255 || u16::from(channel) < decoded;
            if *streams == 0 || coupled > streams || decoded > 255 || !channels.iter().all(exists) {
                return Err("the mapping of OpusHead names streams that are not there");
            }
        }
        Ok(())
    }
}

/// The comment header, RFC 7845 §5.2.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OpusTags {
    /// Who encoded the stream.
    pub vendor: String,
    /// Comments, of the form `NAME=value`.
    pub comments: Vec<String>,
}

impl OpusTags {
    /// Tags of this vendor without comments.
    pub fn new(vendor: impl Into<String>) -> Self {
        OpusTags { vendor: vendor.into(), comments: Vec::new() }
    }

    /// Reads as many comments as are whole; text that is not UTF-8 is replaced where it is not.
    pub(super) fn parse(packet: &[u8]) -> Result<Self, &'static str> {
        let mut rest = packet.strip_prefix(TAGS_MAGIC).ok_or("the second packet of Ogg Opus is OpusTags")?;
        let vendor = take_text(&mut rest).ok_or("OpusTags ends in its vendor")?;
        let count = take_u32(&mut rest).ok_or("OpusTags ends in its comment count")?;
        let comments = (0..count).map_while(|_| take_text(&mut rest)).collect();
        Ok(OpusTags { vendor, comments })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = TAGS_MAGIC.to_vec();
        put_text(&mut out, &self.vendor);
        out.extend((self.comments.len() as u32).to_le_bytes());
        self.comments.iter().for_each(|comment| put_text(&mut out, comment));
        out
    }
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    let (value, rest) = bytes.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*value))
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let len = usize::try_from(take_u32(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(String::from_utf8_lossy(text).into_owned())
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}
