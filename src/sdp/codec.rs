//! A payload type and all that is said of it.

use super::attribute::{Attribute, FeedbackKind, RtpMap};
use super::format::FormatParameters;
use super::media::MediaDescription;
use super::static_formats::StaticFormat;
use crate::layer::PayloadType;

impl MediaDescription {
    /// The payload types of the `m=` line with all that is said of them, in order of preference.
    pub fn codecs(&self) -> impl Iterator<Item = Codec<'_>> {
        // A table, so that the time grows with the lines alone, whatever the number of formats.
        let mut codecs: [Codec<'_>; 128] = std::array::from_fn(|value| Codec {
            media: self,
            payload_type: PayloadType::from_low_bits(value as u8),
            rtp_map: None,
            parameters: None,
            retransmission: None,
        });
        for attribute in self.attributes() {
            match attribute {
                Attribute::RtpMap(map) => {
                    codecs[usize::from(map.payload_type.value())].rtp_map.get_or_insert(map);
                }
                Attribute::Fmtp(fmtp) => {
                    let codec = &mut codecs[usize::from(fmtp.payload_type.value())];
                    codec.parameters.get_or_insert(&fmtp.parameters);
                }
                _ => {}
            }
        }
        let payload_types =
            || self.formats.iter().filter_map(|format| PayloadType::new(format.parse().ok()?));
        for payload_type in payload_types() {
            let codec = codecs[usize::from(payload_type.value())];
            if let Some(apt) = codec.parameters().apt().filter(|_| codec.is("rtx")) {
                codecs[usize::from(apt.value())].retransmission.get_or_insert(payload_type);
            }
        }
        payload_types().map(move |payload_type| codecs[usize::from(payload_type.value())])
    }
}

/// A payload type of a media section.
#[derive(Debug, Clone, Copy)]
pub struct Codec<'a> {
    media: &'a MediaDescription,
    payload_type: PayloadType,
    rtp_map: Option<&'a RtpMap>,
    parameters: Option<&'a FormatParameters>,
    retransmission: Option<PayloadType>,
}

impl<'a> Codec<'a> {
    /// The payload type.
    pub fn payload_type(&self) -> PayloadType {
        self.payload_type
    }

    /// The `a=rtpmap` that says what it stands for; static payload types (RFC 3551) may have none.
    pub fn rtp_map(&self) -> Option<&'a RtpMap> {
        self.rtp_map
    }

    /// The name of the codec: that of the `a=rtpmap`, or that of a static payload type (RFC 3551 §6).
    pub fn encoding(&self) -> Option<&'a str> {
        match self.rtp_map {
            Some(map) => Some(&map.encoding),
            None => self.static_format().map(|format| format.encoding),
        }
    }

    /// Ticks of the RTP timestamp per second.
    pub fn clock_rate(&self) -> Option<u32> {
        match self.rtp_map {
            Some(map) => Some(map.clock_rate),
            None => self.static_format().map(|format| format.clock_rate),
        }
    }

    /// Audio channels, where they are told.
    pub fn channels(&self) -> Option<u16> {
        match self.rtp_map {
            Some(map) => map.channels,
            None => self.static_format().and_then(|format| format.channels),
        }
    }

    fn static_format(&self) -> Option<StaticFormat> {
        StaticFormat::of(self.payload_type)
    }

    /// Whether it is the codec of this name, whose case has no meaning.
    pub fn is(&self, encoding: &str) -> bool {
        self.encoding().is_some_and(|own| own.eq_ignore_ascii_case(encoding))
    }

    /// Its parameters; empty when there are none.
    pub fn parameters(&self) -> &'a FormatParameters {
        static NONE: FormatParameters = FormatParameters::NONE;
        self.parameters.unwrap_or(&NONE)
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
        self.retransmission
    }
}
