//! What ICMP says of datagrams that were sent (IP_RECVERR of Linux).

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;

/// An error of the way to a peer, as ICMP or ICMPv6 told it, or as this machine would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Where the datagram was sent to.
    pub destination: SocketAddr,
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The MTU of the next hop, of a datagram that was too large.
    pub mtu: Option<u32>,
}

/// Has the kernel keep what ICMP says. Whether it does.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn keep(socket: &UdpSocket, is_v6: bool) -> bool {
    use nix::sys::socket::{setsockopt, sockopt};
    let v4 = setsockopt(socket, sockopt::Ipv4RecvErr, &true);
    let kept = if is_v6 { setsockopt(socket, sockopt::Ipv6RecvErr, &true) } else { v4 };
    kept.inspect_err(|error| tracing::debug!(%error, "the kernel keeps no ICMP errors")).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn keep(_: &UdpSocket, _: bool) -> bool {
    false
}

/// The oldest error that is kept.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] when there is none.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn read(socket: &UdpSocket) -> io::Result<Option<IcmpError>> {
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    // The datagram that caused it is of no interest, and may be cut off. The error comes with an address, beside what
    // else is asked for of datagrams.
    let mut control = [0; 512];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], Some(&mut control), flags)?;
    let destination = message.address.as_ref().and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|it| SocketAddr::new(it.ip().into(), it.port()));
        v4.or_else(|| address.as_sockaddr_in6().map(|it| SocketAddr::new(it.ip().into(), it.port())))
    });
    let error = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4RecvErr(error, _) => Some((error, false)),
        ControlMessageOwned::Ipv6RecvErr(error, _) => Some((error, true)),
        _ => None,
    });
    let (Some(destination), Some((error, is_v6))) = (destination, error) else { return Ok(None) };
    let destination = SocketAddr::new(destination.ip().to_canonical(), destination.port());
    let told = |kind, code, mtu| Some(IcmpError { destination, kind, code, mtu });
    // RFC 792, "fragmentation needed", and RFC 4443 §3.2, "packet too big".
    let too_large = if is_v6 { (2, 0) } else { (3, 4) };
    Ok(match (error.ee_origin, (error.ee_type, error.ee_code)) {
        (ORIGIN_LOCAL, _) if error.ee_errno == nix::errno::Errno::EMSGSIZE as u32 => {
            told(too_large.0, too_large.1, Some(error.ee_info))
        }
        (ORIGIN_ICMP | ORIGIN_ICMP6, (kind, code)) => {
            told(kind, code, ((kind, code) == too_large).then_some(error.ee_info))
        }
        _ => None,
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn read(_: &UdpSocket) -> io::Result<Option<IcmpError>> {
    Err(io::ErrorKind::WouldBlock.into())
}

// SO_EE_ORIGIN_LOCAL, SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6 of linux/errqueue.h.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ORIGIN_LOCAL: u8 = 1;
#[cfg(any(target_os = "linux", target_os = "android"))]
const ORIGIN_ICMP: u8 = 2;
#[cfg(any(target_os = "linux", target_os = "android"))]
const ORIGIN_ICMP6: u8 = 3;
