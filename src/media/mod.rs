//! What a sender and a receiver of media do besides sending and receiving: retransmission, reports, feedback
//! and the assembly of frames.
//!
//! Each part stands alone and is for one RTP stream, save transport-wide feedback, which is for all streams of
//! a transport. None of them owns a socket, reads a clock or sends: they take packets and the time, and say
//! what is to be sent and when to come back.
//!
//! | of the sender | of the receiver |
//! |---|---|
//! | [`PacketCache`], [`RtxSender`]: send packets again | [`NackGenerator`], [`unwrap_rtx`]: ask for them and take them |
//! | [`SenderStatistics`] | [`ReceiverStatistics`] |
//! | [`ReportSchedule`] | [`ReportSchedule`] |
//! | the packetizers of [`rtp::payload`](crate::rtp::payload) | [`FrameAssembler`] |
//! | [`Pacer`]: when packets leave | |
//! | [`SendHistory`] | [`TransportArrivals`]: transport-wide feedback |
//!
//! A packet that was lost, asked for, and sent again:
//!
//! ```
//! use std::time::{Duration, Instant};
//! use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
//! use kaon_rtc::media::*;
//! use kaon_rtc::rtcp::NackEntry;
//! use kaon_rtc::rtp::payload::PayloadFormat;
//! use kaon_rtc::rtp::{Header, Packet, PacketWriter};
//!
//! let (video, rtx) = (PayloadType::from_low_bits(96), PayloadType::from_low_bits(97));
//! let start = Instant::now();
//! let mut cache = PacketCache::new(PacketCacheConfig::default());
//! let mut retransmissions = RtxSender::new(Ssrc(2), SequenceNumber(700));
//! let mut nack = NackGenerator::new(NackConfig::default());
//! let mut assembler = FrameAssembler::new(PayloadFormat::Vp8, FrameAssemblerConfig::video());
//!
//! // Three packets of a key frame, of which the second is lost.
//! let mut buffer = [0; 1200];
//! for (number, payload) in [(1, b"\x10\0\0\0"), (2, b"\0mid"), (3, b"\0end")] {
//!     let (sequence_number, timestamp) = (SequenceNumber(number), RtpTimestamp(0));
//!     let header = Header { marker: number == 3, payload_type: video, sequence_number, timestamp, ssrc: Ssrc(1) };
//!     let len = PacketWriter::new(&mut buffer, &header, &[])?.payload(payload)?;
//!     let packet = Packet::parse(&buffer[..len])?;
//!     cache.insert(start, sequence_number, len, buffer[..len].to_vec());
//!     if number != 2 {
//!         nack.received(start, sequence_number);
//!         assembler.push(start, &packet);
//!     }
//! }
//! assert!(assembler.poll_frame(start).is_none());
//!
//! let now = nack.poll_timeout().ok_or("a packet is missing")?;
//! let mut entries = [NackEntry { first: SequenceNumber(0), following: 0 }; 8];
//! assert_eq!(nack.poll_nack(now, &mut entries), 1);
//! for number in entries[0].sequence_numbers() {
//!     if let Retransmission::Packet(kept) = cache.retransmit(now, number, Duration::from_millis(50)) {
//!         let len = retransmissions.wrap(&Packet::parse(kept)?, rtx, &mut buffer)?;
//!         let original = unwrap_rtx(&mut buffer[..len], Ssrc(1), video)?.ok_or("not a probe")?;
//!         let packet = Packet::parse(original)?;
//!         nack.received(now, packet.sequence_number());
//!         assembler.push(now, &packet);
//!     }
//! }
//! let frame = assembler.poll_frame(now).ok_or("the frame is whole")?;
//! assert!(frame.key_frame && nack.poll_timeout().is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod frame_assembler;
mod nack;
mod pacer;
mod packet_cache;
mod packet_pool;
mod receiver_statistics;
mod repair_budget;
mod report_schedule;
mod rtx;
mod sender_statistics;
mod transport_feedback;

pub use frame_assembler::{Frame, FrameAssembler, FrameAssemblerConfig, FrameAssemblerStatistics};
pub use nack::{NackConfig, NackGenerator};
pub use pacer::{Pacer, PacketClass, Unpaced};
pub use packet_cache::{PacketCache, PacketCacheConfig, Retransmission};
pub use packet_pool::PacketPool;
pub use receiver_statistics::{ReceivedSenderReport, ReceiverStatistics, SequenceCheck};
pub use repair_budget::RepairBudget;
pub use report_schedule::{ReportSchedule, ReportScheduleConfig};
pub use rtx::{RtxSender, unwrap_rtx};
pub use sender_statistics::{MAX_ROUND_TRIP_TIME, RemoteReception, SenderStatistics};
pub use transport_feedback::{
    FeedbackSummary, PacketResult, SendHistory, SentPacket, TransportArrivals, TransportFeedbackConfig,
};
