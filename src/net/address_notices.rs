//! What Linux tells of addresses that come and go.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::runtime::io_on_runtime;

/// Notices of the kernel that something of the interfaces or their addresses has changed (rtnetlink). What it is, the list
/// of the interfaces tells.
#[derive(Debug)]
pub(super) struct AddressNotices(AsyncFd<OwnedFd>);

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

impl AddressNotices {
    pub(super) fn new() -> io::Result<Self> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        // Its successor is younger than the oldest tokio that this crate is for.
        #[allow(deprecated)]
        io_on_runtime(|| AsyncFd::with_interest(fd, Interest::READABLE))?.map(Self)
    }

    /// Waits for a notice, and takes those that have come with it. Cancel safe.
    pub(super) async fn next(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let mut has_any = false;
            let mut buffer = [0; 4096];
            let drained = ready.try_io(|fd| {
                loop {
                    match recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        // More came than the kernel keeps.
                        Ok(_) | Err(nix::Error::ENOBUFS) => has_any = true,
                        Err(error) => return Err::<(), _>(io::Error::from(error)),
                    }
                }
            });
            match drained {
                Ok(Err(error)) => return Err(error),
                _ if has_any => return Ok(()),
                _ => {}
            }
        }
    }
}
