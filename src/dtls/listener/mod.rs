//! A server that stands alone: cookies before state (RFC 6347 §4.2.1), and many clients on one socket.

mod cookies;
mod demultiplexer;

pub use demultiplexer::{Listener, ListenerConfig, ListenerEvent};
