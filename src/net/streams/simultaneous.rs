//! Streams that both sides open at the same time, RFC 6544 appendix B.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::TcpSocket;

use crate::layer::{FiveTuple, StreamToken};

/// So soon a stream is opened once more that the other side has refused because it was not there yet. The wait doubles
/// each time: an address that a peer names is not to be asked more often than by checks.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(100);

/// More connections than wait to be accepted between two looks.
const BACKLOG: i32 = 128;

/// Those that are being opened from a port of their own, by the paths that they will have.
pub(super) type Openings = BTreeMap<FiveTuple, StreamToken>;

/// A socket that takes streams at an address, and from whose port others are opened.
pub(super) fn bind_listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    share(SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets a socket have the port of the one that takes streams there.
pub(super) fn share_port(socket: &TcpSocket) -> io::Result<()> {
    share(SockRef::from(socket))
}

fn share(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    // Where a socket listens, Linux and the BSDs want this, too.
    #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos", target_os = "cygwin"))))]
    socket.set_reuse_port(true)?;
    Ok(())
}

/// Whether the other side may be about to open the same stream, or has opened it and it is to be accepted here.
pub(super) fn is_too_early(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | ConnectionAborted | AddrNotAvailable | AddrInUse
    )
}
