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
//! | [`SendHistory`] | [`TransportArrivals`]: transport-wide feedback |

mod frame_assembler;
mod nack;
mod packet_cache;
mod receiver_statistics;
mod report_schedule;
mod rtx;
mod sender_statistics;
mod transport_feedback;

pub use frame_assembler::{
    Frame, FrameAssembler, FrameAssemblerConfig, FrameAssemblerStatistics, FrameFormat,
};
pub use nack::{NackConfig, NackGenerator};
pub use packet_cache::{PacketCache, PacketCacheConfig, Retransmission};
pub use receiver_statistics::{ReceivedSenderReport, ReceiverStatistics, SequenceCheck};
pub use report_schedule::{ReportSchedule, ReportScheduleConfig};
pub use rtx::{RtxSender, unwrap_rtx};
pub use sender_statistics::{MAX_ROUND_TRIP_TIME, RemoteReception, SenderStatistics};
pub use transport_feedback::{
    FeedbackArrival, FeedbackSummary, SendHistory, TransportArrivals, TransportFeedbackConfig,
};
