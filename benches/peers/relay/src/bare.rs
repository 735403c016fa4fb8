//! The floor: a relay that knows nothing but who is whose peer, with the system calls that a packet takes and nothing
//! around them.
//!
//! A client says `bare` with the address and port of its peer and is answered with the port of its socket here. From then
//! on four bytes are taken off what it sends to the peer, and put before what comes from there. One thread waits with
//! epoll, and what waits at one socket is received and sent on with one call each (`recvmmsg`, `sendmmsg`).

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;

use crate::load::address;
use crate::{RELAY, server};

/// What a client says at first.
pub const HELLO: &[u8; 4] = b"bare";

/// A channel's number and length.
const HEAD: usize = 4;

/// How many datagrams one call takes.
const BATCH: usize = 64;

const CAPACITY: usize = 2048;

/// The socket of one client.
struct Relayed {
    socket: UdpSocket,
    client: SocketAddr,
    peer: SocketAddr,
}

pub fn serve() {
    serve_until_it_fails().expect("the address is free");
}

fn serve_until_it_fails() -> io::Result<()> {
    let listener = UdpSocket::bind(server())?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new()?;
    epoll.add(&listener, 0)?;
    let (mut relayed, mut by_client) = (Vec::<Relayed>::new(), HashMap::new());
    let mut batch = Batch::new();
    loop {
        for token in epoll.wait()? {
            if token > 0 {
                let Relayed { socket, client, .. } = &relayed[token - 1];
                while batch.receive(socket, HEAD) > 0 {
                    batch.give_heads();
                    batch.send(&listener, 0..batch.count, *client);
                }
                continue;
            }
            while batch.receive(&listener, 0) > 0 {
                let mut first = 0;
                while first < batch.count {
                    let client = batch.source(first);
                    if let Some(answer) =
                        answer(batch.bytes(first), client, &epoll, &mut relayed, &mut by_client)?
                    {
                        listener.send_to(&answer, client)?;
                        first += 1;
                        continue;
                    }
                    // What one client has sent goes on together.
                    let last =
                        (first..batch.count).take_while(|at| batch.source(*at) == client).count() + first;
                    let Some(at) = by_client.get(&client) else { break };
                    let Relayed { socket, peer, .. } = &relayed[*at];
                    batch.take_heads(first..last);
                    batch.send(socket, first..last, *peer);
                    first = last;
                }
            }
        }
    }
}

/// What is said to a datagram that is none of a channel.
fn answer(
    datagram: &[u8],
    client: SocketAddr,
    epoll: &Epoll,
    relayed: &mut Vec<Relayed>,
    by_client: &mut HashMap<SocketAddr, usize>,
) -> io::Result<Option<Vec<u8>>> {
    // Whether this is there is asked with a Binding request.
    if datagram.first() == Some(&0) {
        return Ok(Some(datagram.to_vec()));
    }
    let Some(&[a, b, c, d, high, low]) = datagram.strip_prefix(HELLO) else { return Ok(None) };
    let peer = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into();
    let socket = UdpSocket::bind((RELAY, 0))?;
    socket.set_nonblocking(true)?;
    let port = socket.local_addr()?.port();
    by_client.insert(client, relayed.len());
    relayed.push(Relayed { socket, client, peer });
    epoll.add(&relayed[relayed.len() - 1].socket, relayed.len())?;
    Ok(Some(port.to_be_bytes().to_vec()))
}

struct Epoll(libc::c_int);

impl Epoll {
    fn new() -> io::Result<Self> {
        // SAFETY: the call takes no pointers.
        match unsafe { libc::epoll_create1(0) } {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(Self(descriptor)),
        }
    }

    fn add(&self, socket: &UdpSocket, token: usize) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token as u64 };
        // SAFETY: `event` is valid for the duration of the call.
        match unsafe { libc::epoll_ctl(self.0, libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn wait(&self) -> io::Result<Vec<usize>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        // SAFETY: there are as many places for events as are said.
        let count = unsafe { libc::epoll_wait(self.0, events.as_mut_ptr(), events.len() as i32, -1) };
        match count {
            -1 => Err(io::Error::last_os_error()),
            count => Ok(events[..count as usize].iter().map(|event| event.u64 as usize).collect()),
        }
    }
}

/// Datagrams that were received together.
struct Batch {
    buffers: Vec<[u8; CAPACITY]>,
    sources: [libc::sockaddr_in; BATCH],
    /// Where each begins in its buffer, and where it ends.
    places: [(usize, usize); BATCH],
    count: usize,
}

impl Batch {
    fn new() -> Self {
        // SAFETY: a socket address is a plain structure, all of which may be zero.
        let sources = unsafe { std::mem::zeroed() };
        Self { buffers: vec![[0; CAPACITY]; BATCH], sources, places: [(0, 0); BATCH], count: 0 }
    }

    /// Receives what waits, and leaves `room` before each; how many came.
    fn receive(&mut self, socket: &UdpSocket, room: usize) -> usize {
        // SAFETY: headers and parts are plain structures, all of which may be zero.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut parts: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        for at in 0..BATCH {
            let buffer = &mut self.buffers[at][room..];
            parts[at] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            let header = &mut headers[at].msg_hdr;
            (header.msg_iov, header.msg_iovlen) = (&mut parts[at], 1);
            header.msg_name = std::ptr::from_mut(&mut self.sources[at]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
        // SAFETY: all that the headers point to outlives the call, and is as large as they say.
        let count = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), BATCH as u32, 0, std::ptr::null_mut())
        };
        self.count = count.max(0) as usize;
        for (place, header) in self.places.iter_mut().zip(&headers).take(self.count) {
            *place = (room, room + header.msg_len as usize);
        }
        self.count
    }

    fn bytes(&self, at: usize) -> &[u8] {
        let (from, to) = self.places[at];
        &self.buffers[at][from..to]
    }

    fn source(&self, at: usize) -> SocketAddr {
        let source = &self.sources[at];
        let ip = Ipv4Addr::from(u32::from_be(source.sin_addr.s_addr));
        SocketAddrV4::new(ip, u16::from_be(source.sin_port)).into()
    }

    fn take_heads(&mut self, which: std::ops::Range<usize>) {
        self.places[which].iter_mut().for_each(|(from, to)| *from = (*from + HEAD).min(*to));
    }

    fn give_heads(&mut self) {
        for at in 0..self.count {
            let (from, to) = &mut self.places[at];
            self.buffers[at][..HEAD].copy_from_slice(&[
                0x40,
                0,
                ((*to - *from) >> 8) as u8,
                (*to - *from) as u8,
            ]);
            *from = 0;
        }
    }

    fn send(&mut self, socket: &UdpSocket, which: std::ops::Range<usize>, to: SocketAddr) {
        // SAFETY: headers and parts are plain structures, all of which may be zero.
        let mut headers: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut parts: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        let (count, mut target) = (which.len(), address(to));
        for (place, at) in which.enumerate() {
            let (from, to) = self.places[at];
            let bytes = &mut self.buffers[at][from..to];
            parts[place] = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            let header = &mut headers[place].msg_hdr;
            (header.msg_iov, header.msg_iovlen) = (&mut parts[place], 1);
            header.msg_name = std::ptr::from_mut(&mut target).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
        }
        // SAFETY: all that the headers point to outlives the call, and is as large as they say. What does not fit into the
        // socket's buffer is lost, as datagrams are.
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count as u32, 0) };
    }
}
