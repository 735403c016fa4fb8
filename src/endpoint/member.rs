//! How an endpoint holds a session.

use std::time::Instant;

use crate::layer::{Datagram, Layer};
use crate::session::{Session, SessionError, SessionEvent};

/// A session as an [`Endpoint`](super::Endpoint) holds it: the session itself, or what leads to one that is shared
/// with its handles.
pub trait Member {
    /// Does something with the session.
    fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T;

    /// Hands a datagram over.
    ///
    /// # Errors
    /// What the session refuses it for.
    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        self.with(|session| session.handle_datagram(now, datagram))
    }

    /// The turn of the session: `act` takes what it has to send. False has the endpoint forget it after that.
    fn serve(&mut self, act: impl FnOnce(&mut Session)) -> bool {
        self.with(act);
        true
    }

    /// The next event, of a session that is not drained elsewhere.
    fn poll_event(&mut self) -> Option<SessionEvent> {
        None
    }
}

impl Member for Session {
    fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        act(self)
    }

    fn poll_event(&mut self) -> Option<SessionEvent> {
        Layer::poll_event(self)
    }
}
