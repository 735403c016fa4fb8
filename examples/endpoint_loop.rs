//! A server with one UDP port for all its connections, as `single_port` has, in a loop of its own: an `Endpoint` of
//! sessions around a socket of the standard library, without a runtime.
//!
//! ```text
//! cargo run --example endpoint_loop [CONNECTIONS] [ADDRESS:PORT]
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

#[path = "command_line/mod.rs"]
mod command_line;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use command_line::{BadInput, Result};
use kaon_rtc::crypto::default_provider;
use kaon_rtc::datachannel::{ChannelEvent, ChannelInit, MessageKind};
use kaon_rtc::endpoint::{Endpoint, EndpointEvent, SessionId};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::session::{ConnectionState, Description, Session, SessionConfig, SessionEvent};

fn main() -> ExitCode {
    command_line::exit_code(run())
}

fn run() -> Result<()> {
    let (count, address) = arguments()?;
    let provider = default_provider().ok_or("no crypto provider: enable aws-lc-rs or rust-crypto")?;
    // One certificate for all, as a server has.
    let config = SessionConfig::generate(provider)?;
    let server = Server::bind(address, config.clone())?;
    println!("the server is at {}", server.address);
    let (offers, from_clients) = channel();
    let server = std::thread::spawn(move || server.run(&from_clients));
    let clients: Vec<_> = (0..count)
        .map(|number| (offers.clone(), config.clone(), number))
        .map(|(offers, config, number)| std::thread::spawn(move || run_client(number, config, &offers)))
        .collect();
    drop(offers);
    for client in clients {
        println!("{}", client.join().map_err(|_| "a client has panicked")??);
    }
    server.join().map_err(|_| "the server has panicked")??;
    println!("{count} connections on one port");
    Ok(())
}

fn arguments() -> Result<(usize, SocketAddr)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let bad = || BadInput("usage: endpoint_loop [CONNECTIONS] [ADDRESS:PORT]".into());
    let (count, address) = match &arguments[..] {
        [] => ("20", "127.0.0.1:0"),
        [count] => (count.as_str(), "127.0.0.1:0"),
        [count, address] => (count.as_str(), address.as_str()),
        _ => return Err(bad().into()),
    };
    Ok((count.parse().map_err(|_| bad())?, address.parse().map_err(|_| bad())?))
}

/// Signalling: the text of an offer, and where the answer goes.
type Offer = (String, Sender<String>);

struct Server {
    socket: UdpSocket,
    address: SocketAddr,
    config: SessionConfig,
    endpoint: Endpoint<Session>,
    next_id: u64,
}

/// Datagrams that are taken at once, if so many have come.
const BATCH: usize = 32;
/// How long an offer waits at most while no datagram comes: the loop sleeps in the socket.
const SIGNALLING: Duration = Duration::from_millis(10);

impl Server {
    fn bind(address: SocketAddr, config: SessionConfig) -> Result<Self> {
        let socket = UdpSocket::bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, config, endpoint: Endpoint::new(), next_id: 0 })
    }

    /// The loop: what is due, what has happened, what is to be sent, and what has arrived. Ends with the last client.
    fn run(mut self, offers: &Receiver<Offer>) -> Result<()> {
        let (mut buffers, mut out) = (vec![[0; 2048]; BATCH], TransmitBatch::new(1472));
        loop {
            let more_offers = self.answer_all(offers);
            let now = Instant::now();
            self.endpoint.handle_timeout(now);
            // Before sending, so that replies do not wait for the next turn of the loop.
            self.handle_events();
            let has_more = self.endpoint.serve(now, &mut out, &mut |out, transmit| {
                for (datagram, path) in out.datagrams(&transmit).zip(std::iter::repeat(transmit.path)) {
                    // What the network does not take is lost, as datagrams may be.
                    let _ = path.map(|path| self.socket.send_to(datagram, path.remote));
                }
                out.clear();
                true
            });
            if !more_offers && self.endpoint.is_empty() {
                return Ok(());
            }
            let due = self.endpoint.poll_timeout().map(|due| due.saturating_duration_since(Instant::now()));
            let wait = if has_more { Duration::ZERO } else { due.unwrap_or(SIGNALLING).min(SIGNALLING) };
            self.receive(wait, &mut buffers)?;
        }
    }

    /// Waits for datagrams, and hands over all that have come.
    fn receive(&mut self, wait: Duration, buffers: &mut [[u8; 2048]]) -> io::Result<()> {
        self.socket.set_nonblocking(wait.is_zero())?;
        if !wait.is_zero() {
            self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
        }
        let mut received = Vec::new();
        for buffer in buffers.iter_mut() {
            // An error is the end of the wait, or a port at which nobody listens any more.
            let Ok((length, remote)) = self.socket.recv_from(buffer) else { break };
            received.push(Datagram::new(FiveTuple::udp(self.address, remote), &mut buffer[..length]));
            // The others are taken if they are there.
            self.socket.set_nonblocking(true)?;
        }
        self.socket.set_nonblocking(false)?;
        self.endpoint.handle_datagrams(Instant::now(), received);
        Ok(())
    }

    /// Makes a session for each offer. False if none will come any more.
    fn answer_all(&mut self, offers: &Receiver<Offer>) -> bool {
        loop {
            let (offer, reply) = match offers.try_recv() {
                Ok(offer) => offer,
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            };
            match self.answer(&offer) {
                // A client that is gone wants none.
                Ok(answer) => _ = reply.send(answer),
                // What one client sends is no reason to end those of others. It gets no answer.
                Err(error) => println!("an offer was refused: {error}"),
            }
        }
    }

    fn answer(&mut self, offer: &str) -> Result<String> {
        let now = Instant::now();
        let mut session = Session::new(now, self.config.clone());
        session.add_host_address(now, self.address)?;
        session.end_of_host_addresses(now);
        session.set_remote_description(now, &Description::offer(offer)?)?;
        session.set_local_description(now, None)?;
        let answer = session.local_description().ok_or("no answer")?;
        self.next_id += 1;
        self.endpoint.insert(SessionId::new(self.next_id), session);
        Ok(answer.text())
    }

    fn handle_events(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            let EndpointEvent::Session { id, event } = event else { continue };
            match event {
                SessionEvent::DataChannel(ChannelEvent::Readable(channel)) => {
                    self.endpoint.with(id, |session| {
                        let path = session.selected_pair().map(|pair| pair.path);
                        while let (Some(_), Some(path)) = (session.receive_message(channel), path) {
                            let reply = format!("{} <- {}", path.local, path.remote);
                            // Who asks and does not listen, or has closed the channel, gets no reply.
                            let now = Instant::now();
                            let _ = session.send_message(now, channel, MessageKind::Text, reply.into());
                        }
                    });
                }
                SessionEvent::ConnectionState {
                    state: ConnectionState::Closed | ConnectionState::Failed,
                    ..
                } => {
                    self.endpoint.remove(id);
                }
                _ => {}
            }
        }
    }
}

/// A client with a socket of its own asks its session of the server something.
fn run_client(number: usize, config: SessionConfig, offers: &Sender<Offer>) -> Result<String> {
    let (socket, now) = (UdpSocket::bind("127.0.0.1:0")?, Instant::now());
    let mut session = Session::new(now, config);
    session.add_host_address(now, socket.local_addr()?)?;
    session.end_of_host_addresses(now);
    let chat = session.create_data_channel(now, ChannelInit::new(format!("client {number}")))?;
    session.set_local_description(now, None)?;
    let (reply, answer) = channel();
    let offer = session.local_description().ok_or("no offer")?.text();
    offers.send((offer, reply)).map_err(|_| "the server is gone")?;
    session.set_remote_description(Instant::now(), &Description::answer(&answer.recv()?)?)?;
    loop {
        match next_event(&mut session, &socket)? {
            SessionEvent::DataChannel(ChannelEvent::Open(_)) => {
                session.send_message(Instant::now(), chat, MessageKind::Text, "which port?".into())?;
            }
            SessionEvent::DataChannel(ChannelEvent::Readable(_)) => {
                let Some(message) = session.receive_message(chat) else { continue };
                session.close(Instant::now());
                send_all(&mut session, &socket);
                return Ok(format!("client {number} is told: {}", String::from_utf8_lossy(&message.data)));
            }
            SessionEvent::ConnectionState { reason: Some(reason), .. } => return Err(reason.into()),
            _ => {}
        }
    }
}

fn send_all(session: &mut Session, socket: &UdpSocket) {
    let mut out = TransmitBatch::new(1472);
    while let Some(transmit) = session.poll_transmit(Instant::now(), &mut out) {
        for (datagram, path) in out.datagrams(&transmit).zip(std::iter::repeat(transmit.path)) {
            let _ = path.map(|path| socket.send_to(datagram, path.remote));
        }
        out.clear();
    }
}

/// A single session in its loop, as in `sans_io`.
fn next_event(session: &mut Session, socket: &UdpSocket) -> io::Result<SessionEvent> {
    let mut buffer = [0; 2048];
    loop {
        let now = Instant::now();
        session.handle_timeout(now);
        send_all(session, socket);
        if let Some(event) = session.poll_event() {
            return Ok(event);
        }
        let wait = session.poll_timeout().map(|due| due.saturating_duration_since(now));
        socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
        if let Ok((length, remote)) = socket.recv_from(&mut buffer) {
            let path = FiveTuple::udp(socket.local_addr()?, remote);
            let _ = session.handle_datagram(Instant::now(), Datagram::new(path, &mut buffer[..length]));
        }
    }
}
