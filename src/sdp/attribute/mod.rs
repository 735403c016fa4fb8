//! Attributes.

mod kinds;
mod rtp;
mod separated;
mod simulcast;
mod source;
mod transport;

pub use kinds::Attribute;
pub use rtp::{Direction, ExtMap, FeedbackKind, Fmtp, RtcpFeedback, RtpMap};
pub use simulcast::{RidAttribute, RidDirection, Simulcast, SimulcastRid, SimulcastStreams};
pub use source::{Msid, SsrcAttribute, SsrcGroup};
pub use transport::{CandidateAttribute, Group, Rtcp, Setup};
