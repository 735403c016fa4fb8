//! A virtual network on a virtual clock, seeded: for any layer or set of layers.
//!
//! A [`Network`] carries datagrams between hosts over [`Link`]s with delay, jitter, loss, reordering,
//! duplication, corruption and a rate with a queue, and through NATs. A [`Simulation`] puts one layer on each
//! host and runs them all; the same seed gives the same run.
//!
//! ```
//! # use std::time::{Duration, Instant};
//! # use kaon_rtc::layer::*;
//! use kaon_rtc::sim::{Link, Network, Simulation};
//! # #[derive(Debug, Default)]
//! # struct Echo { greet: bool, answered: bool, reply: Option<FiveTuple> }
//! # impl Layer for Echo {
//! #     type Event = ();
//! #     type Error = ();
//! #     fn handle_datagram(&mut self, _: Instant, datagram: Datagram<'_>) -> Result<(), ()> {
//! #         if datagram.bytes == b"hello" { self.reply = Some(datagram.path) } else { self.answered = true }
//! #         Ok(())
//! #     }
//! #     fn handle_timeout(&mut self, _: Instant) {}
//! #     fn poll_timeout(&self) -> Option<Instant> { None }
//! #     fn poll_event(&mut self) -> Option<()> { None }
//! #     fn poll_transmit(&mut self, _: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
//! #         let text: &[u8] = match self.reply.take() {
//! #             Some(_) => b"welcome",
//! #             None if std::mem::take(&mut self.greet) => b"hello",
//! #             None => return None,
//! #         };
//! #         let mut segments = out.segments(None, None);
//! #         segments.datagram().extend_from_slice(text);
//! #         segments.end_datagram();
//! #         segments.finish()
//! #     }
//! # }
//!
//! let mut network = Network::new(7, Instant::now());
//! network.set_default_link(Link { delay: Duration::from_millis(20), ..Link::default() });
//! let (a, b) = ("10.0.0.1:1000".parse().unwrap(), "10.0.0.2:1000".parse().unwrap());
//! let mut simulation = Simulation::new(network);
//! let alice = simulation.add_peer(a, b, Echo { greet: true, ..Echo::default() });
//! simulation.add_peer(b, a, Echo::default());
//! let answered = simulation.run_until(Duration::from_secs(1), |s| s.layer(alice).answered);
//! assert!(answered);
//! assert_eq!(simulation.elapsed(), Duration::from_millis(40));
//! ```

mod link;
mod nat;
mod network;
mod simulation;
mod streams;

pub use link::Link;
pub use nat::{Nat, NatBehavior};
pub use network::{Delivery, Firewall, HostId, NatId, Network, NetworkStats, StreamSignal};
pub use simulation::Simulation;

#[cfg(test)]
mod tests;
