//! RTCP: reports, descriptions, farewells and feedback, RFC 3550, RFC 4585, RFC 5104 and friends.
//!
//! [`packets`] walks over a datagram and yields each packet as a borrowing [`Packet`]; [`CompoundWriter`]
//! writes packets behind each other into the caller's buffer. The same types are parsed and written, and
//! neither way allocates (the builder of [`TransportFeedback`] keeps its state in place for usual sizes).
//!
//! ```
//! use kaon_rtc::layer::{SequenceNumber, Ssrc};
//! use kaon_rtc::rtcp::{self, CompoundWriter, Nack, NackEntry, Packet, ReceiverReport, Records};
//!
//! let lost = [SequenceNumber(65535), SequenceNumber(0), SequenceNumber(3)];
//! let entries: Vec<NackEntry> = rtcp::nack_entries(lost).collect();
//!
//! let mut buffer = [0; 1200];
//! let mut writer = CompoundWriter::new(&mut buffer);
//! writer.push(&ReceiverReport { ssrc: Ssrc(1), ..ReceiverReport::default() })?;
//! writer.push(&Nack { sender: Ssrc(1), media: Ssrc(2), entries: Records::from(&entries[..]) })?;
//! let len = writer.finish();
//!
//! for packet in rtcp::packets(&buffer[..len]) {
//!     if let Packet::Nack(nack) = packet? {
//!         assert!(nack.sequence_numbers().eq(lost));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod app;
mod compound;
mod encode;
mod error;
mod feedback;
mod goodbye;
mod header;
mod packet;
mod records;
mod remb;
mod report;
mod source_description;
mod transport_feedback;
mod transport_feedback_builder;

#[cfg(test)]
mod tests;

pub use app::{App, Unknown};
pub use compound::{CompoundError, CompoundRules, CompoundWriter, check_compound};
pub use encode::Encode;
pub use error::{ParseError, WriteError};
pub use feedback::{Fir, FirEntry, Nack, NackEntry, NackNumbers, Pli, nack_entries};
pub use goodbye::Goodbye;
pub use header::PacketType;
pub use packet::{Packet, Packets, packets};
pub use records::{Record, Records, RecordsIter};
pub use remb::Remb;
pub use report::{CompactNtp, NtpInterval, ReceiverReport, ReportBlock, SenderReport};
pub use source_description::{SdesChunk, SdesChunks, SdesItem, SdesItemType, SdesItems, SourceDescription};
pub use transport_feedback::{FeedbackTime, PacketStatus, TransportFeedback, TransportFeedbackIter};
pub use transport_feedback_builder::{PushError, TransportFeedbackBuilder};
