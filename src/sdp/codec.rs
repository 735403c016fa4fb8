//! A payload type and all that is said of it.

use super::attribute::{FeedbackKind, RtpMap};
use super::format::FormatParameters;
use super::media::MediaDescription;
use crate::layer::PayloadType;

impl MediaDescription {
    /// The payload types of the `m=` line with all that is said of them, in order of preference.
    pub fn codecs(&self) -> impl Iterator<Item = Codec<'_>> {
        self.formats.iter().filter_map(|format| {
            let payload_type = PayloadType::new(format.parse().ok()?)?;
            Some(Codec { media: self, payload_type })
        })
    }
}

/// A payload type of a media section.
#[derive(Debug, Clone, Copy)]
pub struct Codec<'a> {
    media: &'a MediaDescription,
    payload_type: PayloadType,
}

impl<'a> Codec<'a> {
    /// The payload type.
    pub fn payload_type(&self) -> PayloadType {
        self.payload_type
    }

    /// What it stands for; static payload types (RFC 3551) may have none.
    pub fn rtp_map(&self) -> Option<&'a RtpMap> {
        self.media.rtp_maps().find(|map| map.payload_type == self.payload_type)
    }

    /// Whether it is the codec of this name, whose case has no meaning.
    pub fn is(&self, encoding: &str) -> bool {
        self.rtp_map().is_some_and(|map| map.encoding.eq_ignore_ascii_case(encoding))
    }

    /// Its parameters; empty when there are none.
    pub fn parameters(&self) -> &'a FormatParameters {
        static NONE: FormatParameters = FormatParameters::NONE;
        self.media
            .fmtps()
            .find(|fmtp| fmtp.payload_type == self.payload_type)
            .map_or(&NONE, |fmtp| &fmtp.parameters)
    }

    /// The feedback that it supports.
    pub fn feedback(&self) -> impl Iterator<Item = &'a FeedbackKind> + use<'a> {
        let payload_type = self.payload_type;
        self.media
            .rtcp_feedback()
            .filter(move |feedback| feedback.payload_type.is_none_or(|of| of == payload_type))
            .map(|feedback| &feedback.kind)
    }

    /// The payload type of its retransmissions: that of the `rtx` format whose `apt` it is.
    pub fn retransmission(&self) -> Option<PayloadType> {
        self.media
            .codecs()
            .find(|codec| codec.is("rtx") && codec.parameters().apt() == Some(self.payload_type))
            .map(|codec| codec.payload_type)
    }
}
