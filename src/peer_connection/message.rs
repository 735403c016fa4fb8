//! Messages of data channels.

use bytes::Bytes;

use crate::datachannel::MessageKind;

/// A message of a data channel.
///
/// ```
/// use kaon_rtc::peer_connection::{Message, MessageKind};
///
/// fn length(message: &Message) -> usize {
///     match message.kind() {
///         MessageKind::Text => message.text().map_or(0, |text| text.chars().count()),
///         MessageKind::Binary => message.data().len(),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    kind: MessageKind,
    data: Bytes,
}

impl Message {
    pub(super) fn new(kind: MessageKind, data: Bytes) -> Self {
        Self { kind, data }
    }

    /// What it is.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Its bytes; may be none.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Its bytes.
    pub fn into_data(self) -> Bytes {
        self.data
    }

    /// Its text; `None` if it is binary, or not UTF-8.
    pub fn text(&self) -> Option<&str> {
        match self.kind {
            MessageKind::Text => std::str::from_utf8(&self.data).ok(),
            MessageKind::Binary => None,
        }
    }
}
