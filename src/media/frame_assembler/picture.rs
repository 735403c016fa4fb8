//! Where pictures of VP9 end, RFC 9628 §4.2, whatever a forwarder of layers does with markers.

use super::boundary::Boundary;
use crate::rtp::payload::vp9::{self, Descriptor};
use crate::rtp::payload::{DepacketizeError, Depacketizer as _, Piece};

/// Puts pictures together, and finds out what the markers of the stream are worth.
#[derive(Debug)]
pub(super) struct Pictures {
    depacketizer: vp9::Depacketizer,
    /// How many spatial layers the stream has, as it was told last.
    spatial_layers: Option<u8>,
    lower_markers: LowerMarkers,
    /// A marker below the highest layer did not end the picture under way.
    has_held_marker: bool,
}

/// What a marker below the highest spatial layer of the stream means: a forwarder that drops the layers above sets it, and
/// some set it on every layer that they might be about to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LowerMarkers {
    Unknown,
    /// The picture ends: the layers above are dropped.
    EndPictures,
    /// The layer frame ends.
    EndLayers,
}

impl Pictures {
    pub(super) fn new(max_frame_len: usize) -> Self {
        Self {
            depacketizer: vp9::Depacketizer::new(max_frame_len),
            spatial_layers: None,
            lower_markers: LowerMarkers::Unknown,
            has_held_marker: false,
        }
    }

    pub(super) fn push(
        &mut self,
        payload: &[u8],
        marker: bool,
        frame: &mut Vec<u8>,
    ) -> Result<Piece, DepacketizeError> {
        // Whether the marker counts is found out here.
        let mut piece = self.depacketizer.push(payload, false, frame)?;
        let descriptor = self.depacketizer.descriptor();
        let told = descriptor.structure.as_ref().map(|structure| structure.spatial_layers);
        self.spatial_layers = told.or(self.spatial_layers);
        if marker {
            piece.ends_frame = self.is_end(self.depacketizer.descriptor());
            self.has_held_marker = !piece.ends_frame;
        }
        Ok(piece)
    }

    fn is_end(&self, descriptor: &Descriptor) -> bool {
        let Some(layers) = descriptor.layers else { return true };
        if !descriptor.ends_frame {
            return true;
        }
        match (self.spatial_layers, self.lower_markers) {
            (Some(count), _) if layers.spatial + 1 >= count => true,
            (_, LowerMarkers::EndPictures) | (None, LowerMarkers::Unknown) => true,
            _ => false,
        }
    }

    /// What a payload means for the picture under way.
    pub(super) fn boundary(&mut self, same_timestamp: bool) -> Boundary {
        if self.has_held_marker && self.lower_markers == LowerMarkers::Unknown {
            self.lower_markers =
                if same_timestamp { LowerMarkers::EndLayers } else { LowerMarkers::EndPictures };
        }
        match same_timestamp {
            true => Boundary::Inside,
            // The layer with the marker may have been dropped on the way.
            false if self.depacketizer.is_between_frames() => Boundary::After,
            false => Boundary::Broken,
        }
    }

    /// A payload came behind a picture that a marker has ended, with the same timestamp. Says whether it is more of the
    /// same: then that was no end.
    pub(super) fn continues_ended(&mut self, payload: &[u8]) -> bool {
        let continues = Descriptor::parse(payload).is_ok_and(|(descriptor, _)| {
            !descriptor.begins_frame || descriptor.layers.is_some_and(|layers| layers.spatial > 0)
        });
        if continues {
            self.lower_markers = LowerMarkers::EndLayers;
        }
        continues
    }

    pub(super) fn reset(&mut self) {
        self.depacketizer.reset();
        self.has_held_marker = false;
    }
}
