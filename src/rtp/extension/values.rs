//! All known extensions of a packet at once.

use super::{
    AbsSendTime, AudioLevel, Extension, ExtensionId, ExtensionKind, ExtensionMap, HeaderExtension,
    RepairedRid, TransportSequenceNumber, VideoOrientation,
};
use crate::layer::{Mid, Rid};

/// The values of the extensions that a packet has or shall have.
///
/// ```
/// # use kaon_rtc::rtp::{AudioLevel, ExtensionValues};
/// let mut values = ExtensionValues::default();
/// values.audio_level = Some(AudioLevel { voice: true, dbov: 12 });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExtensionValues {
    /// When the packet left the sender.
    pub abs_send_time: Option<AbsSendTime>,
    /// Its transport-wide sequence number.
    pub transport_sequence_number: Option<TransportSequenceNumber>,
    /// The media section that it belongs to.
    pub mid: Option<Mid>,
    /// The restriction identifier of its stream.
    pub rid: Option<Rid>,
    /// The restriction identifier of the stream that it repairs.
    pub repaired_rid: Option<RepairedRid>,
    /// How loud its audio is.
    pub audio_level: Option<AudioLevel>,
    /// How its picture is turned.
    pub video_orientation: Option<VideoOrientation>,
}

impl ExtensionValues {
    /// Reads the elements that `map` knows; malformed ones are left out, the last of several counts.
    pub fn read<'a>(elements: impl Iterator<Item = Extension<'a>>, map: &ExtensionMap) -> Self {
        fn one<T: HeaderExtension + Copy>(slot: &mut Option<T>, data: &[u8]) {
            *slot = T::parse(data).or(*slot);
        }
        let mut values = ExtensionValues::default();
        for Extension { id, data } in elements {
            match map.kind(id) {
                Some(ExtensionKind::AbsSendTime) => one(&mut values.abs_send_time, data),
                Some(ExtensionKind::TransportSequenceNumber) => {
                    one(&mut values.transport_sequence_number, data);
                }
                Some(ExtensionKind::Mid) => one(&mut values.mid, data),
                Some(ExtensionKind::Rid) => one(&mut values.rid, data),
                Some(ExtensionKind::RepairedRid) => one(&mut values.repaired_rid, data),
                Some(ExtensionKind::AudioLevel) => one(&mut values.audio_level, data),
                Some(ExtensionKind::VideoOrientation) => one(&mut values.video_orientation, data),
                None => {}
            }
        }
        values
    }

    /// Hands the id and the data of every value that `map` knows an id for to `element`, until one fails.
    ///
    /// # Errors
    /// What `element` failed with.
    pub fn encode_each<E>(
        &self,
        map: &ExtensionMap,
        mut element: impl FnMut(ExtensionId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        fn one<T: HeaderExtension, E>(
            map: &ExtensionMap,
            value: Option<T>,
            element: &mut impl FnMut(ExtensionId, &[u8]) -> Result<(), E>,
        ) -> Result<(), E> {
            match (value, map.id(T::KIND)) {
                (Some(value), Some(id)) => element(id, value.encode().as_ref()),
                _ => Ok(()),
            }
        }
        one(map, self.abs_send_time, &mut element)?;
        one(map, self.transport_sequence_number, &mut element)?;
        one(map, self.mid, &mut element)?;
        one(map, self.rid, &mut element)?;
        one(map, self.repaired_rid, &mut element)?;
        one(map, self.audio_level, &mut element)?;
        one(map, self.video_orientation, &mut element)
    }
}
