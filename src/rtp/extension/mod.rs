//! RTP header extensions, RFC 8285: elements in their one-byte and two-byte forms, what they mean, and which
//! id stands for which.

mod element;
mod kind;
mod map;
mod raw;
mod values;

pub use element::{Extension, ExtensionForm, ExtensionId, Extensions};
pub use kind::{
    AbsSendTime, AudioLevel, ExtensionKind, HeaderExtension, RepairedRid, Rotation, TransportSequenceNumber,
    VideoOrientation,
};
pub use map::ExtensionMap;
pub use raw::{ExtensionTooLong, ExtensionUri, ExtensionUriError, ExtensionUris, RawExtensions};
pub use values::{ContentExtensions, ExtensionValues};

pub(super) use element::Element;
