//! Numbers that mean the same in every media section of a BUNDLE group: payload types and extension ids.

use crate::layer::PayloadType;
use crate::rtp::{ExtensionId, ExtensionKind, ExtensionMap};
use crate::session::codec::{Codec, NegotiatedCodec, Repairs};

/// Who uses which payload type and extension id. What was once agreed on keeps its number, RFC 8843 §9.1 and
/// RFC 3264 §8.3.2.
#[derive(Clone, Debug, Default)]
pub(in crate::session) struct Registry {
    formats: Vec<(PayloadType, Format)>,
    extensions: Vec<(u8, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Format {
    Codec(Codec),
    Retransmission(PayloadType),
    /// What the peer uses it for is nothing that this side knows.
    Unknown,
}

impl Registry {
    /// Payload types for a codec of this side, those of before if there are any. `None` when all are taken.
    pub(super) fn negotiate(&mut self, codec: &Codec) -> Option<NegotiatedCodec> {
        let known = self.formats.iter().find_map(|(payload_type, format)| match format {
            Format::Codec(other) if codec.is_compatible(other) => Some(*payload_type),
            _ => None,
        });
        let payload_type = match known {
            Some(payload_type) => payload_type,
            None => {
                let payload_type = self.free_payload_type(codec.preferred_payload_type)?;
                self.formats.push((payload_type, Format::Codec(codec.clone())));
                payload_type
            }
        };
        let rtx = if codec.retransmission { self.retransmission(payload_type) } else { None };
        Some(NegotiatedCodec { codec: codec.clone(), payload_type, repairs: Repairs { rtx } })
    }

    fn retransmission(&mut self, of: PayloadType) -> Option<PayloadType> {
        let repairs = |format: &Format| *format == Format::Retransmission(of);
        if let Some((payload_type, _)) = self.formats.iter().find(|(_, format)| repairs(format)) {
            return Some(*payload_type);
        }
        let preferred = PayloadType::from_low_bits(of.value().wrapping_add(1));
        let payload_type = self.free_payload_type(preferred)?;
        self.formats.push((payload_type, Format::Retransmission(of)));
        Some(payload_type)
    }

    /// Remembers what the peer uses payload types for: a codec of this side, or something unknown.
    pub(super) fn learn(&mut self, payload_type: PayloadType, codec: Option<&Codec>) {
        let format = codec.map_or(Format::Unknown, |codec| Format::Codec(codec.clone()));
        self.set(payload_type, format);
    }

    /// Remembers the payload type that the peer uses for the retransmissions of another.
    pub(super) fn learn_retransmission(&mut self, payload_type: PayloadType, of: PayloadType) {
        self.set(payload_type, Format::Retransmission(of));
    }

    /// Takes payload types of the peer's choice for a codec, beside those of this side. `None` if the first is something
    /// else.
    pub(super) fn adopt(&mut self, negotiated: NegotiatedCodec) -> Option<NegotiatedCodec> {
        let NegotiatedCodec { codec, payload_type, repairs: Repairs { rtx } } = negotiated;
        match self.format(payload_type) {
            Some(Format::Codec(known)) if codec.is_compatible(known) => {}
            Some(_) => return None,
            None => self.learn(payload_type, Some(&codec)),
        }
        let retransmission = Format::Retransmission(payload_type);
        let is_free = |rtx: &PayloadType| self.format(*rtx).is_none_or(|format| *format == retransmission);
        let rtx = rtx.filter(is_free);
        rtx.into_iter().for_each(|rtx| self.learn_retransmission(rtx, payload_type));
        Some(NegotiatedCodec { codec, payload_type, repairs: Repairs { rtx } })
    }

    fn format(&self, payload_type: PayloadType) -> Option<&Format> {
        self.formats.iter().find(|(known, _)| *known == payload_type).map(|(_, format)| format)
    }

    fn set(&mut self, payload_type: PayloadType, format: Format) {
        match self.formats.iter_mut().find(|(known, _)| *known == payload_type) {
            Some((_, known)) => *known = format,
            None => self.formats.push((payload_type, format)),
        }
    }

    fn free_payload_type(&self, preferred: PayloadType) -> Option<PayloadType> {
        // RFC 3551 §6: 96 to 127 are dynamic; RFC 5761 §4 leaves 35 to 63 for when these are used up.
        let dynamic = (96..=127).chain(35..=63).map(PayloadType::from_low_bits);
        std::iter::once(preferred)
            .chain(dynamic)
            .find(|candidate| self.formats.iter().all(|(used, _)| used != candidate))
    }

    /// The id of an extension, the one of before if there is any.
    pub(super) fn extension_id(&mut self, uri: &str) -> Option<u8> {
        if let Some((id, _)) = self.extensions.iter().find(|(_, known)| known == uri) {
            return Some(*id);
        }
        // RFC 8285 §4.2: 15 is reserved in the one-byte form.
        let id = (1..=14).chain(16..=255).find(|id| self.extensions.iter().all(|(used, _)| used != id))?;
        self.extensions.push((id, uri.to_owned()));
        Some(id)
    }

    /// Gives back room that nothing is in.
    pub(super) fn shrink_to_fit(&mut self) {
        self.formats.shrink_to_fit();
        self.extensions.shrink_to_fit();
    }

    /// Remembers what the peer uses an extension id for.
    pub(super) fn learn_extension(&mut self, id: u8, uri: &str) {
        self.extensions.retain(|(known, other)| *known != id && other != uri);
        self.extensions.push((id, uri.to_owned()));
    }

    /// The extensions that this library knows.
    pub(in crate::session) fn extension_map(&self) -> ExtensionMap {
        let mut map = ExtensionMap::new();
        for (id, uri) in &self.extensions {
            if let (Some(id), Some(kind)) = (ExtensionId::new(*id), ExtensionKind::from_uri(uri)) {
                map.insert(id, kind);
            }
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_and_taken_ones_avoided() {
        let mut registry = Registry::default();
        registry.learn(PayloadType::from_low_bits(96), None);
        let vp8 = registry.negotiate(&Codec::vp8()).unwrap();
        assert_ne!(vp8.payload_type, PayloadType::from_low_bits(96));
        assert_ne!(vp8.rtx_payload_type(), Some(vp8.payload_type));
        assert_eq!(registry.negotiate(&Codec::vp8()), Some(vp8));

        registry.learn_extension(3, "urn:unknown");
        registry.learn_extension(9, ExtensionKind::Mid.uri());
        assert_eq!(registry.extension_id(ExtensionKind::Mid.uri()), Some(9));
        assert_eq!(registry.extension_id(ExtensionKind::Rid.uri()), Some(1));
        assert_eq!(registry.extension_id(ExtensionKind::RepairedRid.uri()), Some(2));
        assert_eq!(registry.extension_id(ExtensionKind::AbsSendTime.uri()), Some(4));
        assert_eq!(registry.extension_map().iter().count(), 4);
    }
}
