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

    /// Hands over datagrams of one run, in this order, and says how many of them the session took: what locks does so
    /// once. Those that are left are lost.
    fn receive_run<'d>(&mut self, now: Instant, run: impl Iterator<Item = Datagram<'d>>) -> usize {
        self.with(|session| run.filter_map(|datagram| session.handle_datagram(now, datagram).ok()).count())
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
