//! What every layer obeys.

use std::time::Instant;

use super::stream::{StreamReport, StreamRequest};
use super::{Datagram, Transmit, TransmitBatch};

/// A protocol without its input and output: a state machine that the application drives.
///
/// The properties that every implementation keeps:
///
/// * It owns no buffer of the application's: what it sends is appended to the caller's batch, what it
///   receives is decrypted in place.
/// * It is correct when not drained: any call may be made at any time, in any order.
/// * Polling an idle layer is O(1).
/// * Malformed input is an error or is ignored as the RFC says; it never panics, never loops, and never
///   allocates in proportion to what a peer claims.
/// * Dropping it frees all of it.
pub trait Layer {
    /// What the layer tells the application.
    type Event;
    /// Why the layer refused a datagram.
    type Error;

    /// Takes one datagram that arrived at `now`. The layer may decrypt the bytes in place, so their content
    /// is unspecified afterwards.
    ///
    /// # Errors
    /// Says why the datagram was refused. Unless the error says that the layer has ended, it is as usable as
    /// before and a caller may simply count the error.
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), Self::Error>;

    /// Does what is due at `now`. Calling it early or late is harmless.
    fn handle_timeout(&mut self, now: Instant);

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called next; `None` while the layer waits
    /// for nothing. O(1), and never in the past right after `handle_timeout`.
    ///
    /// What is ready to be sent has no timer: a loop asks before it sleeps, and after
    /// [`poll_transmit`](Self::poll_transmit) has said that there is no more, whatever was called before: a datagram, a
    /// timeout, or a method of the layer in answer to an event.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Appends the next datagrams to `out` and says where they are and where they go; `None` when there is
    /// nothing to send. Call until `None`; one call may append several segments of equal size.
    ///
    /// A layer never takes anything out of `out`: [`clear`](TransmitBatch::clear) it once the datagrams are sent, or it
    /// grows with each call.
    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit>;

    /// The next thing that happened, oldest first.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// The next thing that is to be done with streams, such as to open one to a TURN server. Asked when
    /// [`poll_transmit`](Self::poll_transmit) has nothing more: a stream is closed behind what was sent by it. None by
    /// default, of layers whose datagrams go over UDP alone.
    fn poll_stream(&mut self) -> Option<StreamRequest> {
        None
    }

    /// Takes what became of a stream. Who carries the datagrams of a layer and has no streams reports
    /// [`StreamReport::Failed`] of each that it [asks](Self::poll_stream) for.
    fn handle_stream(&mut self, now: Instant, report: StreamReport) {
        let _ = (now, report);
    }
}

impl<L: Layer + ?Sized> Layer for Box<L> {
    type Event = L::Event;
    type Error = L::Error;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), Self::Error> {
        (**self).handle_datagram(now, datagram)
    }

    fn handle_timeout(&mut self, now: Instant) {
        (**self).handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (**self).poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        (**self).poll_transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        (**self).poll_event()
    }

    fn poll_stream(&mut self) -> Option<StreamRequest> {
        (**self).poll_stream()
    }

    fn handle_stream(&mut self, now: Instant, report: StreamReport) {
        (**self).handle_stream(now, report);
    }
}
