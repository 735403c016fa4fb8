use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ::str0m::channel::ChannelId;
use ::str0m::net::{Protocol, Receive};
use ::str0m::{Candidate, Event, Input, Output, Rtc};

use super::{HIGH_WATER, Pair};

/// str0m, each side on a thread of its own with a blocking socket, as its examples have it.
#[derive(Debug)]
pub struct Str0m {
    sides: [JoinHandle<()>; 2],
    orders: [Sender<Order>; 2],
    told: Receiver<Told>,
}

#[derive(Debug)]
enum Order {
    Send { size: usize, count: usize },
    Expect { count: usize },
    Stop,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Open,
    Arrived,
}

struct Side {
    rtc: Rtc,
    socket: UdpSocket,
    channel: Option<ChannelId>,
    message: Vec<u8>,
    to_send: usize,
    expected: usize,
    received: usize,
    buffer: Vec<u8>,
    /// How long the socket waits.
    patience: Duration,
}

/// How long a side waits before it looks at its orders.
const LOOK: Duration = Duration::from_millis(1);

fn make() -> (Rtc, UdpSocket) {
    let mut rtc = Rtc::builder()
        .set_sctp_max_buffered_amount(HIGH_WATER)
        .set_sctp_max_message_size(1 << 18)
        .build(Instant::now());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
    (rtc, socket)
}

impl Side {
    fn new((rtc, socket): (Rtc, UdpSocket)) -> Self {
        Self {
            rtc,
            socket,
            channel: None,
            message: Vec::new(),
            to_send: 0,
            expected: 0,
            received: 0,
            buffer: vec![0; 2000],
            patience: Duration::ZERO,
        }
    }

    /// Sends what is due; when to come back.
    fn drain(&mut self, tell: &Sender<Told>, is_offerer: bool) -> Instant {
        loop {
            match self.rtc.poll_output().expect("a sound session") {
                Output::Timeout(at) => return at,
                Output::Transmit(transmit) => {
                    // A full socket loses it, as the network may.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::ChannelOpen(id, _)) => {
                    self.channel = Some(id);
                    if is_offerer {
                        let _ = tell.send(Told::Open);
                    }
                }
                Output::Event(Event::ChannelData(_)) => {
                    self.received += 1;
                    if self.received == self.expected {
                        let _ = tell.send(Told::Arrived);
                    }
                }
                Output::Event(_) => {}
            }
        }
    }

    fn run(mut self, orders: Receiver<Order>, tell: Sender<Told>, is_offerer: bool) {
        loop {
            match orders.try_recv() {
                Ok(Order::Send { size, count }) => {
                    self.message = vec![7; size];
                    self.to_send = count;
                }
                Ok(Order::Expect { count }) => self.expected += count,
                Ok(Order::Stop) => {
                    self.rtc.disconnect();
                    return;
                }
                Err(_) => {}
            }
            let mut at = self.drain(&tell, is_offerer);
            while self.to_send > 0 {
                let is_taken = self.write();
                at = self.drain(&tell, is_offerer);
                if !is_taken {
                    break;
                }
                self.to_send -= 1;
            }
            let now = Instant::now();
            if at <= now {
                self.rtc.handle_input(Input::Timeout(now)).expect("a sound session");
                continue;
            }
            self.receive((at - now).clamp(Duration::from_micros(50), LOOK));
        }
    }

    /// Whether a message was taken.
    fn write(&mut self) -> bool {
        let Some(mut channel) = self.channel.and_then(|id| self.rtc.channel(id)) else { return false };
        channel.write(true, &self.message).expect("an open channel")
    }

    fn receive(&mut self, patience: Duration) {
        if patience != self.patience {
            self.patience = patience;
            self.socket.set_read_timeout(Some(patience)).expect("a socket");
        }
        match self.socket.recv_from(&mut self.buffer) {
            Ok((len, source)) => {
                let destination = self.socket.local_addr().expect("an address");
                let contents = self.buffer[..len].try_into().expect("a datagram of WebRTC");
                let receive = Receive { proto: Protocol::Udp, source, destination, contents };
                self.rtc.handle_input(Input::Receive(Instant::now(), receive)).expect("a sound session");
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("receiving: {error}"),
        }
    }
}

impl Pair for Str0m {
    async fn connect() -> Self {
        let (mut alice, mut bob) = (make(), make());
        let mut change = alice.0.sdp_api();
        change.add_channel("data".to_owned());
        let (offer, pending) = change.apply().expect("a change");
        let answer = bob.0.sdp_api().accept_offer(offer).expect("a sound offer");
        alice.0.sdp_api().accept_answer(pending, answer).expect("a sound answer");
        let (tell, told) = channel();
        let begin = |peer, is_offerer| {
            let (order, orders) = channel();
            let tell: Sender<Told> = tell.clone();
            let side = Side::new(peer);
            (std::thread::spawn(move || side.run(orders, tell, is_offerer)), order)
        };
        let (alice, bob) = (begin(alice, true), begin(bob, false));
        assert_eq!(told.recv(), Ok(Told::Open));
        Self { sides: [alice.0, bob.0], orders: [alice.1, bob.1], told }
    }

    async fn send(&mut self, size: usize, count: usize) {
        self.orders[1].send(Order::Expect { count }).expect("a side that runs");
        self.orders[0].send(Order::Send { size, count }).expect("a side that runs");
        assert_eq!(self.told.recv(), Ok(Told::Arrived));
    }

    async fn close(self) {
        for order in &self.orders {
            // A side may have noticed that the other is gone.
            let _ = order.send(Order::Stop);
        }
        for side in self.sides {
            side.join().expect("a side that ends");
        }
    }
}
