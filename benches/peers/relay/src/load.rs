//! What the relays are given to do.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use crate::PEER;
use crate::client::Allocated;
use crate::relays::Relay;

/// How packets come to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burst {
    /// Each by itself, as from a network card without receive offload.
    Single,
    /// Each by itself, so many of one sender one after the other, as those of a frame of video.
    Frame,
    /// As runs of equal ones, as with receive offload, or from a sender on the same machine.
    Run,
}

/// How many packets are on the way in each direction.
const WINDOW: usize = 64;

/// How many packets a frame has.
const FRAME: usize = 8;

/// For how long it is measured, after a warm-up.
const MEASURED: Duration = Duration::from_secs(2);
const WARM_UP: Duration = Duration::from_millis(300);

/// How long packets are waited for before they count as lost.
const LOST: Duration = Duration::from_millis(20);

/// Clients that have channels to one peer.
pub struct Load {
    clients: Vec<Allocated>,
    peer: UdpSocket,
    allocations: usize,
    size: usize,
    burst: Burst,
}

impl Load {
    pub fn new(allocations: usize, size: usize, burst: Burst) -> Self {
        let peer = UdpSocket::bind(PEER).expect("a socket");
        peer.set_read_timeout(Some(LOST)).expect("a timeout");
        Self { clients: Vec::new(), peer, allocations, size, burst }
    }

    /// The packets that arrived by the CPU time that the relay took for them.
    pub fn packets_per_cpu_second(mut self, relay: &mut Relay) -> f64 {
        let peer = self.peer.local_addr().expect("bound");
        for _ in 0..self.allocations {
            let client = if relay.is_bare { Allocated::bare(peer) } else { Allocated::bound(peer) };
            client.socket.set_read_timeout(Some(LOST)).expect("a timeout");
            self.clients.push(client);
        }
        self.run(WARM_UP);
        let before = relay.cpu_time();
        let arrived = self.run(MEASURED);
        arrived as f64 / (relay.cpu_time() - before).as_secs_f64()
    }

    fn run(&mut self, time: Duration) -> u64 {
        let (begin, mut arrived, mut first) = (Instant::now(), 0, 0);
        while begin.elapsed() < time {
            arrived += self.round(first) as u64;
            first = (first + self.of_round()) % self.clients.len();
        }
        arrived
    }

    /// How many clients send in a round.
    fn of_round(&self) -> usize {
        let wanted = if self.burst == Burst::Frame { WINDOW / FRAME } else { WINDOW };
        self.clients.len().min(wanted)
    }

    /// Fills both windows and waits until they are empty; how many packets arrived.
    fn round(&mut self, first: usize) -> usize {
        let peer = &self.peer;
        let of_round = self.of_round();
        let each = WINDOW / of_round;
        let chosen: Vec<&Allocated> = self.clients.iter().cycle().skip(first).take(of_round).collect();
        // A channel is 0x4000 for each client, the first that it binds.
        let mut message = vec![7; self.size + 4];
        message[..2].copy_from_slice(&0x4000u16.to_be_bytes());
        message[2..4].copy_from_slice(&(self.size as u16).to_be_bytes());
        for client in &chosen {
            send(&client.socket, None, &message, each, self.burst);
            send(peer, Some(client.relayed), &message[4..], each, self.burst);
        }
        let to_clients: usize = chosen.iter().map(|client| receive(&client.socket, each)).sum();
        receive(peer, of_round * each) + to_clients
    }
}

/// Sends the same datagram so many times.
fn send(socket: &UdpSocket, to: Option<SocketAddr>, datagram: &[u8], times: usize, burst: Burst) {
    let address = to.map(address);
    let (repeated, segment) = match burst {
        Burst::Single | Burst::Frame => (1, None),
        // A run is at most as long as a datagram can be.
        Burst::Run => (times.min(65_000 / datagram.len()).min(64), Some(datagram.len() as u16)),
    };
    let bytes = datagram.repeat(repeated);
    let mut sent = 0;
    while sent < times {
        let count = repeated.min(times - sent);
        send_once(socket, address.as_ref(), &bytes[..count * datagram.len()], segment);
        sent += count;
    }
}

pub fn address(address: SocketAddr) -> libc::sockaddr_in {
    let SocketAddr::V4(address) = address else { panic!("all is IPv4 here") };
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

fn send_once(socket: &UdpSocket, to: Option<&libc::sockaddr_in>, bytes: &[u8], segment: Option<u16>) {
    #[repr(align(8))]
    struct Control([u8; 64]);
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_ptr() as *mut _, iov_len: bytes.len() };
    // SAFETY: a message header is a plain structure, all of which may be zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    if let Some(to) = to {
        message.msg_name = std::ptr::from_ref(to) as *mut _;
        message.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
    }
    // SAFETY: the control buffer is larger than one message of two bytes, is aligned, and outlives the call; so do the
    // address and the bytes.
    unsafe {
        if let Some(segment) = segment {
            message.msg_control = control.0.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(2) as usize;
            let head = libc::CMSG_FIRSTHDR(&message);
            (*head).cmsg_level = libc::SOL_UDP;
            (*head).cmsg_type = libc::UDP_SEGMENT;
            (*head).cmsg_len = libc::CMSG_LEN(2) as usize;
            libc::CMSG_DATA(head).cast::<u16>().write_unaligned(segment);
        }
        libc::sendmsg(socket.as_raw_fd(), &message, 0);
    }
}

/// Receives so many datagrams, or as many as come in time.
fn receive(socket: &UdpSocket, count: usize) -> usize {
    let mut buffer = [0; 2048];
    (0..count).take_while(|_| socket.recv(&mut buffer).is_ok()).count()
}

/// Makes so many allocations: how many the relay makes per CPU second, and what each has it keep in memory, in bytes.
pub fn allocate(relay: &mut Relay, count: usize) -> (f64, f64) {
    // What is made with the first ones is there for all.
    let first: Vec<_> = (0..100).map(|_| Allocated::new()).collect();
    let (cpu, memory) = (relay.cpu_time(), relay.resident());
    let all: Vec<_> = (0..count).map(|_| Allocated::new()).collect();
    let used = (relay.cpu_time() - cpu).as_secs_f64();
    let kept = relay.resident().saturating_sub(memory);
    drop((first, all));
    (count as f64 / used, kept as f64 / count as f64)
}
