//! A packet that the application sends.

use bytes::Bytes;

use crate::layer::{PayloadType, RtpTimestamp, SequenceNumber};
use crate::rtp::{ContentExtensions, RawExtensions};

/// An RTP packet to send.
///
/// The session adds what belongs to the connection: SSRC, MID, times and numbers in header extensions. The
/// payload is shared with whoever else has it, and kept for a while to answer NACKs.
///
/// ```
/// use bytes::Bytes;
/// use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber};
/// use kaon_rtc::session::OutgoingRtp;
///
/// let payload = Bytes::from_static(b"a frame of Opus");
/// let mut packet = OutgoingRtp::new(PayloadType::from_low_bits(111), RtpTimestamp(960), false, payload);
/// // Of a stream that is forwarded, so that its gaps stay gaps.
/// packet.sequence_number = Some(SequenceNumber(4711));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutgoingRtp {
    /// The payload type, one of the transceiver's
    /// [`send_codecs`](crate::session::Transceiver::send_codecs).
    pub payload_type: PayloadType,
    /// The marker bit: the end of a video frame, the start of a talk spurt.
    pub marker: bool,
    /// The timestamp in units of the codec's clock rate.
    pub timestamp: RtpTimestamp,
    /// The sequence number; the next one when `None`. A unit that forwards a stream gives it, so that gaps stay
    /// gaps.
    pub sequence_number: Option<SequenceNumber>,
    /// What its header extensions say of its content: how loud it is, how the picture is turned. What is not negotiated
    /// is left out.
    pub extensions: ContentExtensions,
    /// Elements of header extensions that this library does not know, for which
    /// [`MediaConfig`](crate::session::MediaConfig) names the URIs. What is not negotiated is left out.
    pub raw_extensions: RawExtensions,
    /// The payload.
    pub payload: Bytes,
}

impl OutgoingRtp {
    /// A packet with the next sequence number.
    pub fn new(payload_type: PayloadType, timestamp: RtpTimestamp, marker: bool, payload: Bytes) -> Self {
        Self {
            payload_type,
            marker,
            timestamp,
            sequence_number: None,
            extensions: ContentExtensions::default(),
            raw_extensions: RawExtensions::default(),
            payload,
        }
    }
}

impl OutgoingRtp {
    /// Whether its header says more than those of other packets of the stream.
    pub(super) fn has_extensions(&self) -> bool {
        !self.extensions.is_empty() || !self.raw_extensions.is_empty()
    }
}

/// Enough for the fixed header and every extension that this library knows at its longest.
pub(super) const MAX_HEADER: usize = 256;

/// The original sequence number in a retransmission.
pub(super) const OSN_LEN: usize = 2;
