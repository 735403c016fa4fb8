//! Compound packets, RFC 3550 §6.1.

use crate::layer::Ssrc;
use crate::rtcp::{
    CompoundWriter, Encode, ReceiverReport, SdesChunk, SdesItem, SdesItemType, SdesItems, SourceDescription,
    WriteError,
};

/// The longest datagram before it is protected.
pub(super) const MAX_DATAGRAM: usize = 1100;
/// The most blocks or chunks of one packet: the count has five bits.
pub(super) const MAX_COUNT: usize = 31;

/// Reports of several sources with their names, in as few datagrams as they fit into.
pub(super) struct Datagram<'a> {
    cname: &'a str,
    bytes: Vec<u8>,
    sources: Vec<Ssrc>,
}

impl<'a> Datagram<'a> {
    pub(super) fn new(cname: &'a str) -> Self {
        Self { cname, bytes: Vec::new(), sources: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A report on nothing and the name of its source, which must stand in front of other packets.
    pub(super) fn push_empty_report(self, ssrc: Ssrc) -> Vec<u8> {
        let mut done = Vec::new();
        self.push(&ReceiverReport { ssrc, ..ReceiverReport::default() }, ssrc, &mut done).finish(&mut done);
        done.pop().unwrap_or_default()
    }

    /// Adds a report, to the next datagram if this one is full.
    pub(super) fn push(mut self, report: &impl Encode, source: Ssrc, done: &mut Vec<Vec<u8>>) -> Self {
        let chunk = 4 + (2 + self.cname.len() + 1).next_multiple_of(4);
        let names = 4 + chunk * (self.sources.len() + 1);
        let is_full =
            self.bytes.len() + report.encoded_len() + names > MAX_DATAGRAM || self.sources.len() == MAX_COUNT;
        if is_full && !self.is_empty() {
            let cname = self.cname;
            self.finish(done);
            self = Self::new(cname);
        }
        let start = self.bytes.len();
        self.bytes.resize(start + report.encoded_len(), 0);
        if report.encode(&mut self.bytes[start..]).is_err() {
            self.bytes.truncate(start);
            return self;
        }
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
        self
    }

    pub(super) fn finish(mut self, done: &mut Vec<Vec<u8>>) {
        let start = self.bytes.len();
        self.bytes.resize(MAX_DATAGRAM.max(start), 0);
        let mut writer = CompoundWriter::new(&mut self.bytes[start..]);
        // Room for the names was left.
        let _ = push_cname(&mut writer, self.cname, &self.sources);
        let len = writer.finish();
        self.bytes.truncate(start + len);
        done.push(self.bytes);
    }
}

/// RFC 3550 §6.1: every compound packet has the name of its sources.
pub(super) fn push_cname(
    writer: &mut CompoundWriter<'_>,
    cname: &str,
    sources: &[Ssrc],
) -> Result<(), WriteError> {
    let items = [SdesItem { kind: SdesItemType::CNAME, value: cname.as_bytes() }];
    let chunks: Vec<SdesChunk<'_>> =
        sources.iter().map(|ssrc| SdesChunk { ssrc: *ssrc, items: SdesItems::from(&items[..]) }).collect();
    writer.push(&SourceDescription { chunks: (&chunks[..]).into() })
}
