//! Feedback on all packets of a transport: draft-holmer-rmcat-transport-wide-cc-extensions-01.

mod arrivals;
mod send_history;

pub use arrivals::{TransportArrivals, TransportFeedbackConfig};
pub use send_history::{FeedbackSummary, PacketResult, SendHistory, SentPacket};
