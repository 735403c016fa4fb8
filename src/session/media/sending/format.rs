//! What a sender has to know of a codec for each packet.

use crate::layer::PayloadType;
use crate::sdp::FeedbackKind;
use crate::session::codec::NegotiatedCodec;

/// What a sender has to know of a codec.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendFormat {
    pub(super) payload_type: PayloadType,
    pub(super) clock_rate: u32,
    pub(super) repair: Repair,
}

/// How a packet that the peer misses is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// It is not: the peer does not ask.
    Never,
    /// As it was: SRTP must not protect two packets with one index.
    AsItWas,
    /// In a stream of its own under this payload type, RFC 4588.
    Rtx(PayloadType),
}

impl From<&NegotiatedCodec> for SendFormat {
    fn from(negotiated: &NegotiatedCodec) -> Self {
        let NegotiatedCodec { codec, payload_type, .. } = negotiated;
        let is_asked_for = codec.feedback.contains(&FeedbackKind::Nack);
        let repair = match negotiated.rtx_payload_type() {
            _ if !is_asked_for => Repair::Never,
            None => Repair::AsItWas,
            Some(rtx) => Repair::Rtx(rtx),
        };
        Self { payload_type: *payload_type, clock_rate: codec.clock_rate, repair }
    }
}
