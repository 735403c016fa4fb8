//! STUN with coturn: its server answers our client, its client asks our server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kaon_interop::missing;
use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::stun::discovery::{
    DiscoveryClient, DiscoveryConfig, DiscoveryEvent, DiscoveryServer, DiscoveryServerConfig,
    FilteringBehavior, MappingBehavior, NatReport, Undetermined,
};
use kaon_rtc::stun::{BindingClient, BindingConfig, BindingEvent, BindingServer};

const LIMIT: Duration = Duration::from_secs(30);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
fn free_address(ip: impl Into<IpAddr>) -> SocketAddr {
    UdpSocket::bind((ip.into(), 0)).unwrap().local_addr().unwrap()
}

fn coturn(server: SocketAddr) -> Option<Process> {
    let ip = server.ip().to_string();
    let arguments = ["--no-rfc5780", "--listening-ip", &ip, "--relay-ip", &ip];
    run_coturn(server, &arguments)
}

fn run_coturn(server: SocketAddr, arguments: &[&str]) -> Option<Process> {
    let process = Command::new("turnserver")
        .args(["-n", "--no-auth", "--no-tls", "--no-dtls", "--no-tcp", "--no-cli", "--stun-only"])
        .args(arguments)
        .args(["--listening-port", &server.port().to_string()])
        .args(["--log-file", "stdout", "--db", "/dev/null"])
        .arg("--pidfile")
        .arg(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("coturn-{}.pid", server.port())))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match process {
        Ok(process) => Some(Process(process)),
        Err(error) => {
            missing("coturn", &error.to_string());
            None
        }
    }
}

/// What the server says, and from where we asked. The requests that come before it listens are lost.
fn ask(server: SocketAddr) -> (BindingEvent, SocketAddr) {
    let socket = UdpSocket::bind((server.ip(), 0)).unwrap();
    socket.connect(server).unwrap();
    let local = socket.local_addr().unwrap();
    let path = FiveTuple::udp(local, server);
    let mut config = BindingConfig::default();
    config.software = Some("kaon interop".to_owned());
    let mut client = BindingClient::new(Instant::now(), &aws_lc_rs::provider(), path, config);
    let (mut batch, mut buffer) = (TransmitBatch::new(1200), [0; 1500]);
    loop {
        let now = Instant::now();
        client.handle_timeout(now);
        while let Some(transmit) = client.poll_transmit(now, &mut batch) {
            for datagram in batch.datagrams(&transmit) {
                let _ = socket.send(datagram);
            }
            batch.clear();
        }
        if let Some(event) = client.poll_event() {
            return (event, local);
        }
        let wait = client.poll_timeout().unwrap().saturating_duration_since(now);
        socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).unwrap();
        if let Ok(len) = socket.recv(&mut buffer) {
            client.handle_datagram(Instant::now(), Datagram::new(path, &mut buffer[..len])).unwrap();
        }
    }
}

fn coturn_answers(ip: impl Into<IpAddr>) {
    let server = free_address(ip);
    let Some(_coturn) = coturn(server) else { return };
    for _ in 0..3 {
        let (event, local) = ask(server);
        assert_eq!(event, BindingEvent::Mapped(local));
    }
}

#[test]
fn coturn_answers_over_ipv4() {
    coturn_answers(Ipv4Addr::LOCALHOST);
}

#[test]
fn coturn_answers_over_ipv6() {
    coturn_answers(Ipv6Addr::LOCALHOST);
}

fn example(arguments: &[&str]) -> std::process::Output {
    let manifest =
        ["run", "--quiet", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")];
    let example = ["--no-default-features", "--features", "stun,aws-lc-rs", "--example", "stun_query", "--"];
    Command::new(env!("CARGO")).args(manifest).args(example).args(arguments).output().unwrap()
}

#[test]
fn the_example_asks_coturn() {
    let server = free_address(Ipv4Addr::LOCALHOST);
    let Some(_coturn) = coturn(server) else { return };
    let output = example(&[&server.to_string()]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let mapped: SocketAddr = printed.trim_end().parse().unwrap();
    assert_eq!(mapped.ip(), server.ip());
    assert!(output.status.success());
    assert_eq!(example(&[]).status.code(), Some(2));
    assert_eq!(example(&["no port"]).status.code(), Some(2));
}

fn coturn_asks(ip: impl Into<IpAddr>) {
    let socket = UdpSocket::bind((ip.into(), 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let local = socket.local_addr().unwrap();
    let client = Command::new("turnutils_stunclient")
        .args(["-p", &local.port().to_string(), &local.ip().to_string()])
        .stdout(Stdio::piped())
        .spawn();
    let mut client = match client {
        Ok(client) => Process(client),
        Err(error) => return missing("coturn", &error.to_string()),
    };
    let mut server = BindingServer::default();
    let (mut batch, mut buffer) = (TransmitBatch::new(1200), [0; 1500]);
    let (began, mut asked_from) = (Instant::now(), None);
    while client.0.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < LIMIT, "the client does not end");
        let Ok((len, remote)) = socket.recv_from(&mut buffer) else { continue };
        asked_from.get_or_insert(remote);
        let datagram = Datagram::new(FiveTuple::udp(local, remote), &mut buffer[..len]);
        server.handle_datagram(Instant::now(), datagram).unwrap();
        while let Some(transmit) = server.poll_transmit(Instant::now(), &mut batch) {
            let to = transmit.path.unwrap().remote;
            for datagram in batch.datagrams(&transmit) {
                socket.send_to(datagram, to).unwrap();
            }
            batch.clear();
        }
    }
    let printed = std::io::read_to_string(client.0.stdout.take().unwrap()).unwrap();
    let asked_from = asked_from.expect("it asks");
    // An IPv6 address without brackets.
    let reflexive = format!("UDP reflexive addr: {}:{}\n", asked_from.ip(), asked_from.port());
    assert!(printed.contains(&reflexive), "{reflexive} is not in {printed}");
}

#[test]
fn coturn_asks_over_ipv4() {
    coturn_asks(Ipv4Addr::LOCALHOST);
}

#[test]
fn coturn_asks_over_ipv6() {
    coturn_asks(Ipv6Addr::LOCALHOST);
}

/// Two ports that were free a moment ago at both addresses.
fn free_addresses() -> [SocketAddr; 2] {
    let [here, there] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
    let found = (0..100).find_map(|_| {
        let [a, b] = [free_address(here), free_address(here)];
        let is_free = |port| UdpSocket::bind((there, port)).is_ok();
        let is_usable = a.port() != b.port() && is_free(a.port()) && is_free(b.port());
        is_usable.then(|| [a, SocketAddr::from((there, b.port()))])
    });
    found.expect("two ports")
}

/// What a server with a second address lets us find out over the loopback interface, where there is no NAT.
fn examine(server: SocketAddr) -> NatReport {
    let sockets = [(); 2].map(|()| UdpSocket::bind((server.ip(), 0)).unwrap());
    let addresses = [0, 1].map(|at: usize| sockets[at].local_addr().unwrap());
    let (now, config) = (Instant::now(), DiscoveryConfig::default());
    let mut client = DiscoveryClient::new(now, &aws_lc_rs::provider(), addresses, server, config).unwrap();
    let (mut batch, mut buffer) = (TransmitBatch::new(1200), [0; 1500]);
    sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    loop {
        let now = Instant::now();
        client.handle_timeout(now);
        while let Some(transmit) = client.poll_transmit(now, &mut batch) {
            let path = transmit.path.unwrap();
            let socket = &sockets[usize::from(path.local != addresses[0])];
            for datagram in batch.datagrams(&transmit) {
                let _ = socket.send_to(datagram, path.remote);
            }
            batch.clear();
        }
        match client.poll_event() {
            Some(DiscoveryEvent::Finished(report)) => return report,
            Some(event) => panic!("{event:?}"),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
        for (socket, local) in sockets.iter().zip(addresses) {
            while let Ok((len, remote)) = socket.recv_from(&mut buffer) {
                let path = FiveTuple::udp(local, remote);
                let _ = client.handle_datagram(Instant::now(), Datagram::new(path, &mut buffer[..len]));
            }
        }
    }
}

#[test]
fn coturn_is_asked_what_nats_do() {
    let [server, other] = free_addresses();
    let alternative = other.port().to_string();
    let mut arguments = vec!["--listening-ip", "127.0.0.1", "--listening-ip", "127.0.0.2"];
    arguments.extend(["--relay-ip", "127.0.0.1", "--alt-listening-port", &alternative]);
    // Newer ones do it only if they are told to, and older ones know no such option.
    let help = Command::new("turnserver").arg("--help").output();
    if help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains(" --rfc5780")) {
        arguments.push("--rfc5780");
    }
    let Some(_coturn) = run_coturn(server, &arguments) else { return };
    let report = examine(server);
    assert_eq!(report.mapped, report.local);
    assert_eq!(report.other_address, Some(other));
    assert_eq!(report.mapping, Ok(MappingBehavior::NoNat));
    assert_eq!(report.filtering, Ok(FilteringBehavior::EndpointIndependent));
    assert_eq!(report.hairpinning, Err(Undetermined::NoNat));
}

#[test]
fn coturn_asks_what_nats_do() {
    let [primary, other] = free_addresses();
    let (now, config) = (Instant::now(), DiscoveryServerConfig::default());
    let mut server = DiscoveryServer::new(now, &aws_lc_rs::provider(), primary, other, config).unwrap();
    let sockets = server.addresses().map(|address| (address, UdpSocket::bind(address).unwrap()));
    sockets.iter().for_each(|(_, socket)| socket.set_nonblocking(true).unwrap());
    let client = Command::new("turnutils_natdiscovery")
        .args(["-m", "-f", "-L", "127.0.0.1", "-p", &primary.port().to_string(), "127.0.0.1"])
        .stdout(Stdio::piped())
        .spawn();
    let mut client = match client {
        Ok(client) => Process(client),
        Err(error) => return missing("coturn", &error.to_string()),
    };
    let (mut batch, mut buffer, began) = (TransmitBatch::new(1200), [0; 1500], Instant::now());
    while client.0.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < LIMIT, "the client does not end");
        for (local, socket) in &sockets {
            while let Ok((len, remote)) = socket.recv_from(&mut buffer) {
                let datagram = Datagram::new(FiveTuple::udp(*local, remote), &mut buffer[..len]);
                server.handle_datagram(Instant::now(), datagram).unwrap();
            }
        }
        while let Some(transmit) = server.poll_transmit(Instant::now(), &mut batch) {
            let path = transmit.path.unwrap();
            let (_, socket) = sockets.iter().find(|(local, _)| *local == path.local).unwrap();
            for datagram in batch.datagrams(&transmit) {
                socket.send_to(datagram, path.remote).unwrap();
            }
            batch.clear();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let printed = std::io::read_to_string(client.0.stdout.take().unwrap()).unwrap();
    for said in ["NAT with Endpoint Independent Mapping!", "NAT with Endpoint Independent Filtering!"] {
        assert!(printed.contains(said), "{said} is not in {printed}");
    }
}
