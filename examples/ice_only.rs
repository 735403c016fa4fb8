//! ICE between two processes, with nothing but the standard library's sockets. Each prints one line that says
//! who it is and where; paste it into the other. Then each line that is typed arrives at the other side.
//!
//! ```text
//! cargo run --example ice_only -- offer
//! cargo run --example ice_only -- answer
//! ```
//!
//! The addresses to use, and a STUN server, can be given: `offer 192.168.1.5:0 --stun 203.0.113.1:3478`. At the
//! end of the input the program ends.

#![allow(clippy::print_stdout, clippy::print_stderr)] // It talks to a terminal.

use std::collections::VecDeque;
use std::error::Error;
use std::io::BufRead;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::default_provider;
use kaon_rtc::ice::{Agent, Config, IceConnectionState, IceCredentials, IceEvent, IceRole, IceTransport};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::is_stun;

const USAGE: &str = "usage: ice_only offer|answer [--stun ADDRESS:PORT] [ADDRESS:PORT ...]";

fn main() -> ExitCode {
    let Some((config, addresses)) = arguments(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(config, &addresses) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ice_only: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments(mut arguments: impl Iterator<Item = String>) -> Option<(Config, Vec<SocketAddr>)> {
    let mut config = Config::default();
    config.role = match arguments.next()?.as_str() {
        "offer" => IceRole::Controlling,
        "answer" => IceRole::Controlled,
        _ => return None,
    };
    let mut addresses = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--stun" => config.stun_servers.push(arguments.next()?.parse().ok()?),
            address => addresses.push(address.parse().ok()?),
        }
    }
    if addresses.is_empty() {
        addresses.push(SocketAddr::from(([127, 0, 0, 1], 0)));
    }
    Some((config, addresses))
}

/// What the threads that wait hand to the one that works.
enum Input {
    Datagram(FiveTuple, Vec<u8>),
    Line(String),
    End,
}

fn run(config: Config, addresses: &[SocketAddr]) -> Result<(), Box<dyn Error>> {
    let (sender, inputs) = channel();
    let provider =
        default_provider().ok_or("no crypto provider: enable the feature aws-lc-rs or rust-crypto")?;
    let mut agent = Agent::new(Instant::now(), provider, config);
    let mut sockets = Vec::new();
    for address in addresses {
        let socket = UdpSocket::bind(address)?;
        agent.add_host_address(Instant::now(), socket.local_addr()?)?;
        read_datagrams(socket.try_clone()?, sender.clone());
        sockets.push(socket);
    }
    agent.end_of_host_addresses(Instant::now());
    read_lines(sender);
    drive(&mut agent, &sockets, &inputs)
}

fn drive(agent: &mut Agent, sockets: &[UdpSocket], inputs: &Receiver<Input>) -> Result<(), Box<dyn Error>> {
    let (mut introduced, mut ended) = (false, false);
    let mut unsent = VecDeque::new();
    loop {
        let now = Instant::now();
        agent.handle_timeout(now);
        while let Some(event) = agent.poll_event() {
            match event {
                IceEvent::GatheringComplete => println!("{}", introduction(agent)),
                IceEvent::ConnectionState(IceConnectionState::Failed) => return Err("no connection".into()),
                IceEvent::ConnectionState(state) => eprintln!("{state:?}"),
                IceEvent::SelectedPair(pair) => eprintln!("{} - {}", pair.path.local, pair.path.remote),
                // Names need an mDNS resolver, which this program has not.
                IceEvent::ResolveName { query, .. } => agent.resolve_name(now, query, None),
                _ => {}
            }
        }
        send_checks(agent, sockets);
        if let Some(path) = agent.selected_pair().map(|pair| pair.path) {
            unsent.drain(..).for_each(|line: String| send(sockets, &path, line.as_bytes()));
        }
        if ended && agent.state() == IceConnectionState::Completed {
            return Ok(());
        }
        let wait = agent.poll_timeout().map(|at| at.saturating_duration_since(now));
        match inputs.recv_timeout(wait.unwrap_or(Duration::from_secs(1))) {
            Ok(Input::Datagram(path, mut bytes)) if is_stun(&bytes) => {
                // What the agent does not want changes nothing.
                let _ = agent.handle_datagram(Instant::now(), Datagram::new(path, &mut bytes));
            }
            Ok(Input::Datagram(path, bytes)) if agent.is_validated(&path) => {
                println!("{}", String::from_utf8_lossy(&bytes));
            }
            Ok(Input::Line(line)) if introduced => unsent.push_back(line),
            Ok(Input::Line(line)) => {
                meet(agent, &line)?;
                introduced = true;
            }
            Ok(Input::End) if !introduced => {
                return Err("the line of the other side is missing".into());
            }
            Ok(Input::End) => ended = true,
            Ok(Input::Datagram(..)) | Err(_) => {}
        }
    }
}

/// The line for the other side: credentials and candidates, with semicolons between them.
fn introduction(agent: &Agent) -> String {
    let credentials = agent.local_credentials();
    let candidates = agent.local_candidates().map(|candidate| format!(";{candidate}"));
    format!("{};{}{}", credentials.ufrag(), credentials.password(), candidates.collect::<String>())
}

fn meet(agent: &mut Agent, introduction: &str) -> Result<(), Box<dyn Error>> {
    let now = Instant::now();
    let mut fields = introduction.trim().split(';');
    let (Some(ufrag), Some(password)) = (fields.next(), fields.next()) else {
        return Err("that is no line of ice_only".into());
    };
    agent.set_remote_credentials(now, IceCredentials::new(ufrag, password)?)?;
    for candidate in fields {
        agent.add_remote_candidate(now, candidate.parse()?)?;
    }
    agent.end_of_remote_candidates(now);
    Ok(())
}

fn send_checks(agent: &mut Agent, sockets: &[UdpSocket]) {
    let mut batch = TransmitBatch::new(1200);
    while let Some(transmit) = agent.poll_transmit(Instant::now(), &mut batch) {
        for datagram in batch.datagrams(&transmit) {
            transmit.path.iter().for_each(|path| send(sockets, path, datagram));
        }
        batch.clear();
    }
}

fn send(sockets: &[UdpSocket], path: &FiveTuple, bytes: &[u8]) {
    let from = sockets.iter().find(|socket| socket.local_addr().is_ok_and(|local| local == path.local));
    // What the network does not take is lost, as datagrams may be.
    let _ = from.map(|socket| socket.send_to(bytes, path.remote));
}

fn read_datagrams(socket: UdpSocket, sender: Sender<Input>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        let Ok(local) = socket.local_addr() else { return };
        loop {
            // A port that nobody listens at any more is reported here; the agent finds out by itself.
            let Ok((length, remote)) = socket.recv_from(&mut buffer) else { continue };
            let path = FiveTuple::udp(local, remote);
            if sender.send(Input::Datagram(path, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
    });
}

fn read_lines(sender: Sender<Input>) {
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok).filter(|line| !line.is_empty());
        // An end of the receiver is the end of the program.
        let _ = lines.map(Input::Line).chain([Input::End]).try_for_each(|input| sender.send(input));
    });
}
