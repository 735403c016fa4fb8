//! How an endpoint holds a session.

use std::time::Instant;

use crate::layer::{Datagram, Layer};
use crate::session::{Session, SessionError, SessionEvent};

/// A session as an [`Endpoint`](super::Endpoint) holds it: the session itself, or what leads to one that is shared
/// with its handles.
///
/// A [`Session`] that is a member itself drops RTP packets, as [`Layer::handle_datagram`] of one does. Who receives media has a
/// member of its own that hands them on where they lie:
///
/// ```
/// use std::time::Instant;
///
/// use kaon_rtc::endpoint::Member;
/// use kaon_rtc::layer::{Datagram, Layer};
/// use kaon_rtc::session::{Session, SessionError, SessionEvent};
///
/// struct Publisher {
///     session: Session,
///     packets: u64,
/// }
///
/// impl Member for Publisher {
///     fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
///         act(&mut self.session)
///     }
///
///     fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
///         let Self { session, packets } = self;
///         session.receive(now, datagram, &mut |rtp| {
///             // It is forwarded here, or copied.
///             *packets += u64::from(!rtp.packet.payload().is_empty());
///         })
///     }
///
///     fn poll_event(&mut self) -> Option<SessionEvent> {
///         Layer::poll_event(&mut self.session)
///     }
/// }
/// ```
pub trait Member {
    /// Does something with the session.
    fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T;

    /// Hands a datagram over. By itself it drops what is RTP.
    ///
    /// # Errors
    /// What the session refuses it for.
    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        self.with(|session| session.handle_datagram(now, datagram))
    }

    /// Hands over datagrams of one run, in this order, and says how many of them the session took: what locks does so
    /// once. Those that are left are lost. By itself it [receives](Self::receive) one after the other.
    fn receive_run<'d>(&mut self, now: Instant, run: impl Iterator<Item = Datagram<'d>>) -> usize {
        run.filter_map(|datagram| self.receive(now, datagram).ok()).count()
    }

    /// The turn of the session: `act` takes what it has to send. False has the endpoint forget it after that.
    fn serve(&mut self, act: impl FnOnce(&mut Session)) -> bool {
        self.with(act);
        true
    }

    /// The next event, of a session that is not drained elsewhere; none by itself.
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
