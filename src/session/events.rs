//! What a session has to tell.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::event::SessionEvent;
use super::transceiver::TransceiverId;
use crate::layer::Rid;

/// Events that wait to be taken, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Events {
    waiting: VecDeque<SessionEvent>,
    /// The requests among them.
    requests: FxHashSet<Request>,
}

/// What says nothing more when it is said twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    KeyFrame { transceiver: TransceiverId, rid: Option<Rid> },
    SendBufferAvailable,
}

impl Events {
    pub(super) fn push(&mut self, event: SessionEvent) {
        self.waiting.push_back(event);
    }

    /// Leaves out a request that waits already, so that a peer that repeats it fills no memory.
    pub(super) fn push_once(&mut self, event: SessionEvent) {
        if Request::of(&event).is_none_or(|request| self.requests.insert(request)) {
            self.push(event);
        }
    }

    pub(super) fn pop(&mut self) -> Option<SessionEvent> {
        let event = self.waiting.pop_front()?;
        if let Some(request) = Request::of(&event) {
            self.requests.remove(&request);
        }
        if self.waiting.is_empty() {
            // What an idle session does without.
            *self = Self::default();
        }
        Some(event)
    }
}

impl Request {
    fn of(event: &SessionEvent) -> Option<Self> {
        match event {
            SessionEvent::KeyFrameRequested { transceiver, rid } => {
                Some(Self::KeyFrame { transceiver: *transceiver, rid: *rid })
            }
            SessionEvent::SendBufferAvailable => Some(Self::SendBufferAvailable),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_once_and_may_come_again() {
        let mut events = Events::default();
        let of = |id| SessionEvent::KeyFrameRequested { transceiver: TransceiverId(id), rid: None };
        for _ in 0..3 {
            events.push_once(of(1));
            events.push_once(of(2));
            events.push_once(SessionEvent::SendBufferAvailable);
        }
        assert_eq!(events.pop(), Some(of(1)));
        events.push_once(of(1));
        events.push(SessionEvent::NegotiationNeeded);
        let rest = [of(2), SessionEvent::SendBufferAvailable, of(1), SessionEvent::NegotiationNeeded];
        assert_eq!(std::iter::from_fn(|| events.pop()).collect::<Vec<_>>(), rest);
        events.push_once(of(2));
        assert_eq!(events.pop(), Some(of(2)));
    }
}
