//! Two peers in one process talk over a data channel, each a `Session` in a loop of its own around a socket of the
//! standard library: no runtime, and no task of the library.
//!
//! ```text
//! cargo run --example sans_io
//! ```

#![allow(clippy::print_stdout)] // Printing is what this program is for.

use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use kaon_rtc::crypto::default_provider;
use kaon_rtc::datachannel::{ChannelEvent, ChannelInit, MessageKind};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::session::{ConnectionState, Description, Session, SessionConfig, SessionEvent};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let ((mut alice, here), (mut bob, there)) = (peer()?, peer()?);
    let now = Instant::now();
    let chat = alice.create_data_channel(now, ChannelInit::new("chat"))?;
    // Signalling: the addresses are in the descriptions, since the sessions were given them before.
    alice.set_local_description(now, None)?;
    let offer = alice.local_description().ok_or("no offer")?.text();
    bob.set_remote_description(now, &Description::offer(&offer)?)?;
    bob.set_local_description(now, None)?;
    let answer = bob.local_description().ok_or("no answer")?.text();
    alice.set_remote_description(now, &Description::answer(&answer)?)?;

    let bob = std::thread::spawn(move || talk(bob, &there, "bob"));
    while !matches!(next_event(&mut alice, &here)?, SessionEvent::DataChannel(ChannelEvent::Open(_))) {}
    alice.send_message(Instant::now(), chat, MessageKind::Text, "hello".into())?;
    talk(alice, &here, "alice")?;
    bob.join().map_err(|_| "bob has panicked")?
}

fn peer() -> Result<(Session, UdpSocket)> {
    let provider = default_provider().ok_or("no crypto provider: enable aws-lc-rs or rust-crypto")?;
    let (socket, now) = (UdpSocket::bind("127.0.0.1:0")?, Instant::now());
    let mut session = Session::new(now, SessionConfig::generate(provider)?);
    session.add_host_address(now, socket.local_addr()?)?;
    session.end_of_host_addresses(now);
    Ok((session, socket))
}

/// Sends back what comes, twice as long, and closes when it is long enough.
fn talk(mut session: Session, socket: &UdpSocket, name: &str) -> Result<()> {
    loop {
        match next_event(&mut session, socket)? {
            SessionEvent::DataChannel(ChannelEvent::Readable(id)) => {
                while let Some(message) = session.receive_message(id) {
                    println!("{name} hears {}", String::from_utf8_lossy(&message.data));
                    if message.data.len() > 40 {
                        session.close(Instant::now());
                    } else {
                        let reply = message.data.repeat(2).into();
                        session.send_message(Instant::now(), id, message.kind, reply)?;
                    }
                }
            }
            SessionEvent::ConnectionState { state: ConnectionState::Failed, reason: Some(reason) } => {
                return Err(reason.into());
            }
            SessionEvent::ConnectionState { state: ConnectionState::Closed, .. } => return Ok(()),
            _ => {}
        }
    }
}

/// The loop: what is due, what is to be sent, what has happened, and what arrives until something is due again.
fn next_event(session: &mut Session, socket: &UdpSocket) -> io::Result<SessionEvent> {
    let (mut buffer, mut out) = ([0; 2048], TransmitBatch::new(1472));
    loop {
        let now = Instant::now();
        session.handle_timeout(now);
        while let Some(transmit) = session.poll_transmit(now, &mut out) {
            for (datagram, path) in out.datagrams(&transmit).zip(std::iter::repeat(transmit.path)) {
                // What the network does not take is lost, as datagrams may be.
                let _ = path.map(|path| socket.send_to(datagram, path.remote));
            }
            out.clear();
        }
        if let Some(event) = session.poll_event() {
            return Ok(event);
        }
        let wait = session.poll_timeout().map(|due| due.saturating_duration_since(now));
        socket.set_read_timeout(wait.map(|wait| wait.max(Duration::from_millis(1))))?;
        // An error is the end of the wait, or a port at which nobody listens any more.
        if let Ok((length, remote)) = socket.recv_from(&mut buffer) {
            let path = FiveTuple::udp(socket.local_addr()?, remote);
            // What the session does not want changes nothing.
            let _ = session.handle_datagram(Instant::now(), Datagram::new(path, &mut buffer[..length]));
        }
    }
}
