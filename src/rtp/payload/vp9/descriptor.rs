//! The VP9 payload descriptor, RFC 9628 §4.2.

use std::ops::Deref;

use smallvec::SmallVec;

use crate::rtp::payload::format::{DescriptorBytes, Reader};
use crate::rtp::payload::{DepacketizeError, Dimensions, PictureId};

/// What precedes the VP9 data in a payload.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// The number of the picture (I, M). Required in flexible mode.
    pub picture_id: Option<PictureId>,
    /// The layer frame refers to another picture (P).
    pub inter_predicted: bool,
    /// Which layers the frame is of (L).
    pub layers: Option<LayerIndices>,
    /// References are named per picture and not by a picture group (F).
    pub flexible: bool,
    /// The payload begins a layer frame (B).
    pub begins_frame: bool,
    /// The payload ends a layer frame (E).
    pub ends_frame: bool,
    /// No frame of a higher spatial layer refers to this one (Z).
    pub not_reference_for_upper: bool,
    /// How many pictures back the references are, in flexible mode (P_DIFF). With both `flexible` and
    /// `inter_predicted` there has to be one at least, otherwise none is written.
    pub references: ReferenceList,
    /// The layers of the stream (V, SS).
    pub structure: Option<ScalabilityStructure>,
}

/// The layers of a layer frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerIndices {
    /// The temporal layer, 0 to 7 (TID).
    pub temporal: u8,
    /// A receiver may step up to this temporal layer here (U).
    pub switching_up: bool,
    /// The spatial layer, 0 to 7 (SID).
    pub spatial: u8,
    /// The frame refers to the spatial layer below it in the same picture (D).
    pub inter_layer_predicted: bool,
    /// The running number of base-layer pictures, outside of flexible mode (TL0PICIDX). When it is missing in
    /// what is written outside of flexible mode, 0 is written.
    pub tl0_pic_idx: Option<u8>,
}

/// Up to three distances to reference pictures, each 1 to 127 pictures back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReferenceList {
    distances: [u8; 3],
    len: u8,
}

impl ReferenceList {
    /// The first three of `distances`.
    pub fn from_slice(distances: &[u8]) -> Self {
        let mut list = ReferenceList::default();
        for &distance in distances.iter().take(3) {
            list.push(distance);
        }
        list
    }

    /// The distances.
    pub fn as_slice(&self) -> &[u8] {
        &self.distances[..usize::from(self.len)]
    }

    fn push(&mut self, distance: u8) {
        if let Some(slot) = self.distances.get_mut(usize::from(self.len)) {
            *slot = distance;
            self.len += 1;
        }
    }
}

/// The layers of a stream and, outside of flexible mode, which picture refers to which, RFC 9628 §4.2.1.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScalabilityStructure {
    /// How many spatial layers there are, 1 to 8 (N_S + 1).
    pub spatial_layers: u8,
    /// The size of each spatial layer's picture, lowest first; none when sizes are not told (Y).
    pub dimensions: LayerSizes,
    /// The pictures of a picture group; `None` when there is none (G). At most 255.
    pub group: Option<PictureGroup>,
}

/// The sizes of layers, lowest layer first: a slice of them, made by collecting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayerSizes(SmallVec<[Dimensions; 3]>);

/// The pictures of a picture group, in their order: a slice of them, made by collecting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PictureGroup(SmallVec<[GroupPicture; 4]>);

macro_rules! list_of {
    ($list:ty, $item:ty) => {
        impl Deref for $list {
            type Target = [$item];

            fn deref(&self) -> &[$item] {
                &self.0
            }
        }

        impl FromIterator<$item> for $list {
            fn from_iter<I: IntoIterator<Item = $item>>(items: I) -> Self {
                Self(items.into_iter().collect())
            }
        }
    };
}

list_of!(LayerSizes, Dimensions);
list_of!(PictureGroup, GroupPicture);

/// One picture of a picture group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupPicture {
    /// The temporal layer, 0 to 7.
    pub temporal: u8,
    /// A receiver may step up to this temporal layer here.
    pub switching_up: bool,
    /// How many pictures back the references are.
    pub references: ReferenceList,
}

impl ScalabilityStructure {
    /// One spatial layer of this size and no picture group.
    pub fn single_layer(dimensions: Dimensions) -> Self {
        ScalabilityStructure {
            spatial_layers: 1,
            dimensions: LayerSizes::from_iter([dimensions]),
            group: None,
        }
    }

    /// One spatial layer of this size, of which each picture refers to the one before it.
    pub fn single_layer_group(dimensions: Dimensions) -> Self {
        let picture =
            GroupPicture { temporal: 0, switching_up: true, references: ReferenceList::from_slice(&[1]) };
        ScalabilityStructure {
            group: Some(PictureGroup::from_iter([picture])),
            ..Self::single_layer(dimensions)
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DepacketizeError> {
        let first = reader.byte("scalability structure")?;
        let spatial_layers = (first >> 5) + 1;
        let mut dimensions = LayerSizes::default();
        if first & 0x10 != 0 {
            for _ in 0..spatial_layers {
                let width = reader.u16("layer width")?;
                dimensions.0.push(Dimensions { width, height: reader.u16("layer height")? });
            }
        }
        let mut group = None;
        if first & 0x08 != 0 {
            let mut pictures = PictureGroup::default();
            for _ in 0..reader.byte("picture group size")? {
                let picture = reader.byte("picture group")?;
                let mut references = ReferenceList::default();
                for _ in 0..(picture >> 2) & 0x03 {
                    references.push(reader.byte("picture group reference")?);
                }
                pictures.0.push(GroupPicture {
                    temporal: picture >> 5,
                    switching_up: picture & 0x10 != 0,
                    references,
                });
            }
            group = Some(pictures);
        }
        Ok(ScalabilityStructure { spatial_layers, dimensions, group })
    }

    fn write(&self, out: &mut DescriptorBytes) {
        let layers = self.spatial_layers.clamp(1, 8);
        let with_dimensions = !self.dimensions.is_empty();
        out.push(
            ((layers - 1) << 5) | (u8::from(with_dimensions) << 4) | (u8::from(self.group.is_some()) << 3),
        );
        if with_dimensions {
            for layer in 0..usize::from(layers) {
                // A layer whose size is missing has that of the one below it.
                let at = layer.min(self.dimensions.len() - 1);
                let Dimensions { width, height } = self.dimensions[at];
                out.extend_from_slice(&width.to_be_bytes());
                out.extend_from_slice(&height.to_be_bytes());
            }
        }
        if let Some(pictures) = &self.group {
            let len = pictures.len().min(255);
            out.push(len as u8);
            for picture in &pictures[..len] {
                let references = picture.references.as_slice();
                out.push(
                    ((picture.temporal & 0x07) << 5)
                        | (u8::from(picture.switching_up) << 4)
                        | ((references.len() as u8) << 2),
                );
                out.extend_from_slice(references);
            }
        }
    }
}

impl Descriptor {
    /// Splits a payload into its descriptor and the VP9 data behind it.
    ///
    /// # Errors
    /// When the payload is empty, ends before the VP9 data begin, or names more than three references.
    pub fn parse(payload: &[u8]) -> Result<(Self, &[u8]), DepacketizeError> {
        if payload.is_empty() {
            return Err(DepacketizeError::EmptyPayload);
        }
        let mut reader = Reader::new(payload);
        let first = reader.byte("VP9 descriptor")?;
        let mut descriptor = Descriptor {
            inter_predicted: first & 0x40 != 0,
            flexible: first & 0x10 != 0,
            begins_frame: first & 0x08 != 0,
            ends_frame: first & 0x04 != 0,
            not_reference_for_upper: first & 0x01 != 0,
            ..Descriptor::default()
        };
        if first & 0x80 != 0 {
            descriptor.picture_id = Some(PictureId::read(&mut reader)?);
        }
        if first & 0x20 != 0 {
            let byte = reader.byte("layer indices")?;
            let tl0_pic_idx = if descriptor.flexible { None } else { Some(reader.byte("TL0PICIDX")?) };
            descriptor.layers = Some(LayerIndices {
                temporal: byte >> 5,
                switching_up: byte & 0x10 != 0,
                spatial: (byte >> 1) & 0x07,
                inter_layer_predicted: byte & 0x01 != 0,
                tl0_pic_idx,
            });
        }
        if descriptor.flexible && descriptor.inter_predicted {
            loop {
                let byte = reader.byte("reference index")?;
                if descriptor.references.len == 3 {
                    return Err(DepacketizeError::Malformed("more than three references"));
                }
                descriptor.references.push(byte >> 1);
                if byte & 0x01 == 0 {
                    break;
                }
            }
        }
        if first & 0x02 != 0 {
            descriptor.structure = Some(ScalabilityStructure::read(&mut reader)?);
        }
        let data = reader.rest();
        if data.is_empty() {
            return Err(DepacketizeError::Truncated("VP9 descriptor"));
        }
        Ok((descriptor, data))
    }

    /// Whether the payload begins a key frame of the lowest spatial layer.
    pub fn is_key_frame(&self) -> bool {
        self.begins_frame && !self.inter_predicted && self.layers.is_none_or(|layers| layers.spatial == 0)
    }

    pub(super) fn encode(&self) -> DescriptorBytes {
        let mut out = DescriptorBytes::new();
        out.push(
            (u8::from(self.picture_id.is_some()) << 7)
                | (u8::from(self.inter_predicted) << 6)
                | (u8::from(self.layers.is_some()) << 5)
                | (u8::from(self.flexible) << 4)
                | (u8::from(self.begins_frame) << 3)
                | (u8::from(self.ends_frame) << 2)
                | (u8::from(self.structure.is_some()) << 1)
                | u8::from(self.not_reference_for_upper),
        );
        if let Some(id) = self.picture_id {
            id.write(&mut out);
        }
        if let Some(layers) = self.layers {
            out.push(
                ((layers.temporal & 0x07) << 5)
                    | (u8::from(layers.switching_up) << 4)
                    | ((layers.spatial & 0x07) << 1)
                    | u8::from(layers.inter_layer_predicted),
            );
            if !self.flexible {
                out.push(layers.tl0_pic_idx.unwrap_or(0));
            }
        }
        if self.flexible && self.inter_predicted {
            let references = self.references.as_slice();
            for (index, distance) in references.iter().enumerate() {
                out.push((distance << 1) | u8::from(index + 1 < references.len()));
            }
        }
        if let Some(structure) = &self.structure {
            structure.write(&mut out);
        }
        out
    }
}
