//! A server's end of a connection and a client's, without sockets and in virtual time.

mod kaon;
mod str0m;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

pub use self::kaon::{Configs, KaonLink, configs, is_due};
pub use self::str0m::{Str0mLink, drain};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A data channel.
    Data,
    /// A video that the server sends.
    ToClient,
    /// A video that the client sends.
    ToServer,
}

/// Where the server is reached.
const SERVER: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 5000));

/// Where a client is reached.
fn client(number: usize) -> SocketAddr {
    ([10, 1, (number >> 8) as u8, number as u8], 5000).into()
}

/// How the time goes on while nothing but the connection itself is under way.
const STEP: Duration = Duration::from_millis(1);
