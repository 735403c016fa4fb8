//! The sockets of mDNS, one for each interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use crate::net::runtime::{check_time, io_on_runtime};
use crate::net::{InterfaceAddress, InterfaceFilter, interfaces};

use super::message::Message;

/// The most interfaces that are used for each family.
const MAX_INTERFACES: usize = 16;

/// How often the interfaces are looked at for questions, at most.
const LOOK: Duration = Duration::from_millis(500);

/// A layer of multicast DNS on the sockets it needs: one or more for each group.
#[derive(Debug)]
pub(super) struct Link<L> {
    pub(super) layer: L,
    /// Those for hosts, and behind them those for groups.
    sockets: Vec<LinkSocket>,
    hosts: usize,
    end: End,
    groups: Vec<SocketAddr>,
    filter: InterfaceFilter,
    /// The addresses of the interfaces that there were.
    addresses: Vec<InterfaceAddress>,
    /// When that was looked at.
    looked: Instant,
    /// Whether those are heard who are on no link of these addresses.
    is_open: bool,
    batch: TransmitBatch,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct LinkSocket {
    io: UdpSocket,
    local: SocketAddr,
    use_for: Use,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Both,
    Receiving,
    Sending,
}

/// Which end of a question the sockets are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Asks from a port of its own, so that answers by unicast come back to it alone, and listens to the group
    /// for answerers that know multicast only.
    Querier,
    /// Hears the group and answers from its port (RFC 6762 §6).
    Answerer,
}

impl<L: Layer> Link<L> {
    /// Opens the sockets for `groups` on the interfaces that `filter` lets through. A group that is no
    /// multicast address is one host. Interfaces that do not work are left out.
    pub(super) fn open(
        layer: L,
        end: End,
        groups: &[SocketAddr],
        filter: &InterfaceFilter,
    ) -> io::Result<Self> {
        check_time()?;
        let mut opened = Opened::default();
        for host in groups.iter().filter(|group| !group.ip().is_multicast()) {
            let address = if end == End::Answerer { *host } else { unspecified(*host, 0) };
            opened.add(open(address).and_then(|socket| LinkSocket::new(socket, Use::Both)));
        }
        let hosts = opened.sockets.len();
        let addresses = interfaces(filter)?;
        open_groups(end, groups, &addresses, &mut opened);
        let Opened { sockets, failure } = opened;
        if !sockets.iter().any(|socket| socket.use_for != Use::Receiving) {
            return Err(failure.unwrap_or_else(|| io::ErrorKind::NetworkUnreachable.into()));
        }
        Ok(Self {
            layer,
            sockets,
            hosts,
            end,
            groups: groups.to_vec(),
            filter: filter.clone(),
            addresses,
            looked: Instant::now(),
            // RFC 6762 §11: who asks by unicast may be anywhere, and names are for the link.
            is_open: end == End::Querier || groups.iter().any(|group| !group.ip().is_multicast()),
            batch: TransmitBatch::new(Message::MAX_LEN),
            buffer: vec![0; Message::MAX_LEN + 1],
        })
    }

    /// Opens the sockets for groups anew where the interfaces are not those of before: a machine goes from one network to
    /// another. Those of before stay if none can be opened.
    pub(super) fn follow(&mut self) {
        self.looked = Instant::now();
        let Ok(addresses) = interfaces(&self.filter) else { return };
        if addresses == self.addresses {
            return;
        }
        let mut opened = Opened::default();
        open_groups(self.end, &self.groups, &addresses, &mut opened);
        if opened.sockets.iter().any(|socket| socket.use_for != Use::Receiving) {
            self.sockets.truncate(self.hosts);
            self.sockets.append(&mut opened.sockets);
            self.addresses = addresses;
        }
    }

    /// The same, unless that was done a moment ago.
    pub(super) fn follow_at_times(&mut self) {
        if self.looked.elapsed() >= LOOK {
            self.follow();
        }
    }

    /// Sends what the layer has to send. What a socket does not take is lost, and asked for again.
    pub(super) fn flush(&mut self) {
        while let Some(transmit) = self.layer.poll_transmit(Instant::now(), &mut self.batch) {
            if let Some(path) = transmit.path {
                for datagram in self.batch.datagrams(&transmit) {
                    self.send(path.remote, datagram);
                }
            }
            self.batch.clear();
        }
    }

    fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let able =
            |socket: &&LinkSocket| socket.use_for != Use::Receiving && socket.local.is_ipv4() == to.is_ipv4();
        // A group is on every link, a host behind the route that the system knows.
        let count = if to.ip().is_multicast() { self.sockets.len() } else { 1 };
        for socket in self.sockets.iter().filter(able).take(count) {
            let _ = socket.io.try_send_to(datagram, to);
        }
    }

    fn is_on_link(&self, remote: IpAddr) -> bool {
        let remote = remote.to_canonical();
        self.is_open || self.addresses.iter().any(|link| link.is_on_link(remote))
    }

    /// Waits until a datagram was handed over or a timeout handled. Cancel safe.
    pub(super) async fn step(&mut self) {
        let due = self.layer.poll_timeout();
        let timeout = async {
            match due {
                Some(due) => tokio::time::sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        let received = {
            let (sockets, buffer) = (&self.sockets, &mut self.buffer);
            tokio::select! {
                received = std::future::poll_fn(|context| poll_recv(sockets, context, buffer)) => Some(received),
                () = timeout => None,
            }
        };
        match received {
            Some((path, _)) if !self.is_on_link(path.remote.ip()) => {}
            Some((path, length)) => {
                // What is not for us is ignored, as RFC 6762 says.
                let datagram = Datagram::new(path, &mut self.buffer[..length]);
                let _ = self.layer.handle_datagram(Instant::now(), datagram);
            }
            None => {
                // What is asked again may be asked on another network.
                self.follow_at_times();
                self.layer.handle_timeout(Instant::now());
            }
        }
    }
}

/// The first datagram that any socket has. A socket's error concerns what it sent before.
fn poll_recv(
    sockets: &[LinkSocket],
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<(FiveTuple, usize)> {
    const MAX_ERRORS: usize = 16;
    for socket in sockets.iter().filter(|socket| socket.use_for != Use::Sending) {
        let mut errors = 0;
        loop {
            let mut read = ReadBuf::new(buffer);
            match socket.io.poll_recv_from(context, &mut read) {
                Poll::Ready(Ok(from)) => {
                    return Poll::Ready((FiveTuple::udp(socket.local, from), read.filled().len()));
                }
                Poll::Ready(Err(_)) if errors < MAX_ERRORS => errors += 1,
                Poll::Ready(Err(_)) => {
                    // Nobody else would wake this task for what waits behind the errors.
                    context.waker().wake_by_ref();
                    break;
                }
                Poll::Pending => break,
            }
        }
    }
    Poll::Pending
}

impl LinkSocket {
    fn new(socket: Socket, use_for: Use) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let io = io_on_runtime(|| UdpSocket::from_std(socket.into()))??;
        Ok(Self { local: io.local_addr()?, io, use_for })
    }
}

/// What could be opened, and why the rest could not.
#[derive(Default)]
struct Opened {
    sockets: Vec<LinkSocket>,
    failure: Option<io::Error>,
}

impl Opened {
    fn add(&mut self, result: io::Result<LinkSocket>) {
        match result {
            Ok(socket) => self.sockets.push(socket),
            Err(error) => self.failure = Some(error),
        }
    }
}

fn open_groups(end: End, groups: &[SocketAddr], addresses: &[InterfaceAddress], opened: &mut Opened) {
    for group in groups.iter().filter(|group| group.ip().is_multicast()) {
        open_group(end, *group, addresses).into_iter().for_each(|result| opened.add(result));
    }
}

fn open_group(end: End, group: SocketAddr, addresses: &[InterfaceAddress]) -> Vec<io::Result<LinkSocket>> {
    match group.ip() {
        IpAddr::V4(ip) => {
            let of_v4 = |address: &InterfaceAddress| match address.ip {
                IpAddr::V4(ip) => Some((address.index, ip)),
                IpAddr::V6(_) => None,
            };
            let mut on: Vec<_> = addresses.iter().filter_map(of_v4).collect();
            on.dedup_by_key(|(index, _)| *index);
            on.truncate(MAX_INTERFACES);
            open_v4(end, ip, group.port(), &on)
        }
        IpAddr::V6(ip) => {
            let mut on: Vec<_> = addresses
                .iter()
                .filter(|address| address.ip.is_ipv6())
                .map(|address| address.index)
                .collect();
            on.sort_unstable();
            on.dedup();
            on.truncate(MAX_INTERFACES);
            on.into_iter().flat_map(|index| open_v6(end, ip, group.port(), index)).collect()
        }
    }
}

/// One socket to hear the group on all interfaces, and one for each interface to send on.
fn open_v4(end: End, group: Ipv4Addr, port: u16, on: &[(u32, Ipv4Addr)]) -> Vec<io::Result<LinkSocket>> {
    let listener = open_shared((group, port).into()).and_then(|socket| {
        // One that cannot does not keep the others from being heard.
        let joined: Vec<_> =
            on.iter().map(|(_, address)| socket.join_multicast_v4(&group, address)).collect();
        if !joined.iter().any(Result::is_ok) {
            joined.into_iter().collect::<io::Result<()>>()?;
        }
        LinkSocket::new(socket, Use::Receiving)
    });
    let senders = on.iter().map(|(_, address)| {
        let (socket, use_for) = match end {
            End::Querier => (open((*address, 0).into())?, Use::Both),
            End::Answerer => (open_shared((group, port).into())?, Use::Sending),
        };
        socket.set_multicast_if_v4(address)?;
        socket.set_multicast_ttl_v4(255)?;
        LinkSocket::new(socket, use_for)
    });
    std::iter::once(listener).chain(senders).collect()
}

/// The sockets for one interface, which the address of an IPv6 group names.
fn open_v6(end: End, group: Ipv6Addr, port: u16, index: u32) -> Vec<io::Result<LinkSocket>> {
    let sending = |socket: &Socket| {
        socket.set_multicast_if_v6(index)?;
        socket.set_multicast_hops_v6(255)
    };
    let listener = || {
        let socket = open_shared(SocketAddrV6::new(group, port, 0, index).into())?;
        socket.join_multicast_v6(&group, index)?;
        sending(&socket)?;
        LinkSocket::new(socket, if end == End::Answerer { Use::Both } else { Use::Receiving })
    };
    let sender = || {
        let socket = open((Ipv6Addr::UNSPECIFIED, 0).into())?;
        sending(&socket)?;
        LinkSocket::new(socket, Use::Both)
    };
    match end {
        End::Querier => vec![listener(), sender()],
        End::Answerer => vec![listener()],
    }
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A socket on the group's own address, which hears what is sent to the group and nothing that is sent to
/// another program on the same port.
fn open_shared(group: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(group)?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    // Windows binds to addresses of its own only.
    let address = if cfg!(windows) { unspecified(group, group.port()) } else { group };
    socket.bind(&address.into())?;
    Ok(socket)
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

fn unspecified(family: SocketAddr, port: u16) -> SocketAddr {
    if family.is_ipv4() { (Ipv4Addr::UNSPECIFIED, port).into() } else { (Ipv6Addr::UNSPECIFIED, port).into() }
}
