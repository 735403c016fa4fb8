//! Many sessions behind one socket or several, without a socket.
//!
//! An [`Endpoint`] finds the session of each datagram in constant time, whatever the number of sessions: by the
//! user-name fragment of a connectivity check, by the transaction of a STUN response, and all else by the path, which
//! belongs to the session whose peer has proved it with an authentic check. It runs the sessions' timers and has those
//! that want to send do so in turn. A server with an event loop of its own feeds it from any socket; it is a
//! [`Layer`](crate::layer::Layer), so that the virtual network can run it, too. The example `endpoint_loop` is such a server.
//!
//! A server that makes a session when the first check of a peer comes, without any signalling, has the endpoint tell of
//! strangers: see [`Endpoint::set_incoming`] and [`Endpoint::accept`].
//!
//! ```
//! use std::time::Instant;
//!
//! use kaon_rtc::endpoint::{Endpoint, SessionId};
//! use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
//! use kaon_rtc::session::Session;
//!
//! /// What a loop does with datagrams that its sockets received, and with what there is to send then.
//! fn serve(endpoint: &mut Endpoint<Session>, received: &mut [(FiveTuple, Vec<u8>)]) {
//!     let now = Instant::now();
//!     // What is for no session, or was refused by it, is counted and ignored.
//!     endpoint.handle_datagrams(now, received.iter_mut().map(|(path, bytes)| Datagram::new(*path, bytes)));
//!     let mut batch = TransmitBatch::new(1472);
//!     while let Some(transmit) = endpoint.poll_transmit(now, &mut batch) {
//!         for datagram in batch.datagrams(&transmit) {
//!             println!("{} bytes go to {:?}", datagram.len(), transmit.path);
//!         }
//!         batch.clear();
//!     }
//! }
//! ```

mod address_change;
mod batch;
mod claims;
mod classify;
mod event;
mod incoming;
mod line;
mod member;
mod routes;
mod session_id;
mod sessions;
mod streams;

pub use address_change::AddressChange;
pub use batch::ReceivedCounts;
pub use event::EndpointEvent;
pub use incoming::{Incoming, IncomingLimits};
pub use member::Member;
pub use session_id::SessionId;
pub use sessions::Endpoint;
