//! Session descriptions: RFC 8866 text to a typed model and back, with the attributes of WebRTC (RFC 8829 and
//! the documents that it refers to).
//!
//! Every line keeps its place, and what is not known is kept as text, so that a description of a browser
//! comes out as it went in. What is known is typed, and malformed values of it are errors that name the line.
//!
//! ```
//! use kaon_rtc::sdp::{Attribute, Direction, SessionDescription};
//!
//! let text = "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
//!             m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\n\
//!             a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=x-unknown:kept\r\n";
//! let mut description: SessionDescription = text.parse()?;
//! assert_eq!(description.to_string(), text);
//!
//! let audio = &description.media[0];
//! let opus = audio.codecs().next().ok_or("no codec")?;
//! assert!(opus.is("opus") && opus.parameters().flag("useinbandfec"));
//!
//! description.media[0].set_direction(Direction::RecvOnly);
//! assert!(description.to_string().contains("a=recvonly\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agreement;
pub mod attribute;
mod codec;
mod error;
mod fields;
mod format;
mod limits;
mod line;
mod media;
mod session;
mod session_lines;
mod static_formats;

#[cfg(test)]
mod tests;

pub use attribute::{
    Attribute, CandidateAttribute, Direction, ExtMap, FeedbackKind, Fmtp, Group, Msid, RidAttribute,
    RidDirection, Rtcp, RtcpFeedback, RtpMap, Setup, Simulcast, SimulcastRid, SimulcastStreams,
    SsrcAttribute, SsrcGroup,
};
pub use codec::Codec;
pub use error::{ParseError, Reason};
pub use format::{FormatParameters, H264Parameters, OpusParameters, ProfileLevelId, Vp9Parameters};
pub use limits::Limits;
pub use line::Line;
pub use media::{MediaDescription, MediaKind};
pub use session::{IceParameters, SessionDescription};
pub use session_lines::{Bandwidth, Connection, Origin, Timing};
