//! What a session has to tell.

use std::collections::VecDeque;
use std::mem::discriminant;

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

/// How many events of one state wait, as in the agent below.
const MAX_STATES: usize = 16;

/// What says nothing more when it is said twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    KeyFrame { transceiver: TransceiverId, rid: Option<Rid> },
    SendBufferAvailable,
}

impl Events {
    /// Of what a later one makes obsolete the last [`MAX_STATES`] of each kind wait: the peer and its path decide how
    /// often that comes.
    pub(super) fn push(&mut self, event: SessionEvent) {
        if is_state(&event) {
            let is_alike = |other: &SessionEvent| discriminant(other) == discriminant(&event);
            let mut alike = self.waiting.iter().enumerate().filter(|(_, other)| is_alike(other));
            let oldest = alike.next().map(|(at, _)| at);
            if alike.count() + 1 >= MAX_STATES {
                oldest.and_then(|oldest| self.waiting.remove(oldest));
            }
        }
        self.waiting.push_back(event);
    }

    /// Leaves out a request that waits already, so that a peer that repeats it fills no memory.
    pub(super) fn push_once(&mut self, event: SessionEvent) {
        if Request::of(&event).is_none_or(|request| self.requests.insert(request)) {
            self.push(event);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
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

/// Whether an event of this kind says what is so from now on.
fn is_state(event: &SessionEvent) -> bool {
    use SessionEvent::{ConnectionState, IceConnectionState, SelectedPair};
    matches!(event, IceConnectionState(_) | ConnectionState { .. } | SelectedPair(_))
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
    use crate::layer::IceConnectionState;

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

    /// A peer that goes from path to path fills no memory of one who takes no events.
    #[test]
    fn of_states_the_last_ones_wait() {
        let mut events = Events::default();
        let states = [IceConnectionState::Connected, IceConnectionState::Disconnected];
        for state in states.into_iter().cycle().take(1000) {
            events.push(SessionEvent::IceConnectionState(state));
            events.push_once(SessionEvent::SendBufferAvailable);
        }
        let told: Vec<_> = std::iter::from_fn(|| events.pop()).collect();
        assert!(told.len() <= 20, "{}", told.len());
        assert_eq!(told.last(), Some(&SessionEvent::IceConnectionState(states[1])));
        assert!(told.contains(&SessionEvent::SendBufferAvailable));
    }
}
