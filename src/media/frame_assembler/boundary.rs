//! Where frames begin and end.

/// What a payload means for the frame under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boundary {
    /// It is of that frame.
    Inside,
    /// It is of that frame, which takes its timestamp.
    Adopted,
    /// The frame is whole, and it is of the next.
    After,
    /// It is of the next frame, and the end of this one is missing.
    Broken,
}
