//! Media sections in their places, which are the same in every description of a session (RFC 8829 §5.2.2).

use crate::layer::Mid;
use crate::sdp::MediaKind;
use crate::session::transceiver::TransceiverId;

/// A media section, in the place that it has in every description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) mid: Mid,
    pub(super) content: SectionContent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SectionContent {
    Media(TransceiverId),
    Data,
    /// Rejected or ended; its place may be taken by another.
    Rejected {
        kind: MediaKind,
        protocol: String,
        formats: Vec<String>,
    },
}

/// RFC 8829 §5.2.1: short, unlike the others, and the same each time an offer is made anew. The numbers from `next`
/// on were not tried yet.
pub(super) fn unused_mid(next: &mut usize, is_used: impl Fn(&Mid) -> bool) -> Mid {
    loop {
        let text = next.to_string();
        *next += 1;
        match Mid::new(text.as_bytes()) {
            Ok(mid) if !is_used(&mid) => return mid,
            _ => {}
        }
    }
}
