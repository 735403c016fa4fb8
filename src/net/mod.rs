//! The world outside the layers: sockets, interfaces, names on the local link, and the clock.
//!
//! * [`UdpSocket`] sends and receives datagrams in batches, with a [`ReceiveBatch`] and the
//!   [`TransmitBatch`](crate::layer::TransmitBatch) that layers write into.
//! * [`Streams`] are connections of TCP that carry datagrams, those that layers ask for and those that peers open.
//! * [`Sockets`] are several of them, of which the path of a transmit picks one.
//! * [`Driver`] runs any one [`Layer`](crate::layer::Layer) on a socket.
//! * [`interfaces`](fn@interfaces) lists the addresses that ICE gathers host candidates from, and
//!   [`InterfaceWatcher`] tells when they change.
//! * [`mdns`] resolves the `.local` names of ICE candidates.
#![cfg_attr(feature = "turn-server", doc = "* [`TurnServer`] is a server of TURN over UDP, TCP and TLS.")]
//! * [`FramedStream`] carries datagrams over TCP (RFC 4571).
//!
//! All of it runs on tokio. Nothing here starts a task, except where it says so.
//!
//! ```
//! use kaon_rtc::net::{InterfaceFilter, interfaces};
//!
//! let mut filter = InterfaceFilter::default();
//! filter.loopback = true;
//! for address in interfaces(&filter)? {
//!     println!("{}: {}", address.interface, address.ip);
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod mdns;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod address_notices;
mod driver;
mod framed_stream;
mod interface_watcher;
mod interfaces;
mod port_range;
mod receive_batch;
pub(crate) mod runtime;
mod sockets;
mod sources;
mod streams;
#[cfg(feature = "turn-server")]
mod turn_server;
mod udp_socket;
mod udp_stats;

pub use driver::{Driver, DriverError};
pub use framed_stream::{FramedStream, FramingError};
pub use interface_watcher::{InterfaceChange, InterfaceWatcher};
pub use interfaces::{AddressKind, InterfaceAddress, InterfaceFilter, interfaces};
pub use port_range::{InvalidPortRange, PortRange};
pub use receive_batch::ReceiveBatch;
#[cfg(feature = "tls")]
pub use rustls;
pub use sockets::Sockets;
pub use streams::{StreamLimits, Streams};
#[cfg(feature = "tls")]
pub use streams::{TlsConfig, tls_config};
#[cfg(feature = "turn-server")]
pub use turn_server::{AuthHandler, ConnectionLimits, TurnServer, TurnServerBuilder, TurnServerError};
#[cfg(all(feature = "turn-server", feature = "tls"))]
pub use turn_server::{TlsIdentity, TlsIdentityError};
pub use udp_socket::{BindError, IcmpError, SendError, UdpCapabilities, UdpConfig, UdpSocket};
pub use udp_stats::UdpStats;

#[cfg(test)]
mod tests;
