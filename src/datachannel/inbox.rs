//! Messages that wait for the application.

use std::collections::VecDeque;

use bytes::Bytes;

use super::channel::MessageKind;

/// A message of a data channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// Its bytes; may be none.
    pub data: Bytes,
}

/// The messages of one channel.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    messages: VecDeque<Message>,
    charge: usize,
}

/// What a message counts for besides its bytes: its place in a queue that is half empty.
pub(super) const MESSAGE_OVERHEAD: usize = 128;
/// So few places are kept for the messages to come.
const SMALL: usize = 4;

impl Inbox {
    pub(super) fn push(&mut self, message: Message) {
        self.charge += message.data.len() + MESSAGE_OVERHEAD;
        self.messages.push_back(message);
    }

    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.charge -= message.data.len() + MESSAGE_OVERHEAD;
        let capacity = self.messages.capacity();
        if capacity > SMALL && self.messages.len() < capacity / 4 {
            self.messages.shrink_to(capacity / 2);
        }
        Some(message)
    }

    /// What the messages count for.
    pub(super) fn charge(&self) -> usize {
        self.charge
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
