//! A peer in a process of its own, and a connection of ours on a socket that loses datagrams.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{HashAlgorithm, SeededRandom, aws_lc_rs};
use kaon_rtc::dtls::{Connection, DtlsEvent, DtlsTransport, Fingerprint, FingerprintAlgorithm};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

/// Longer than any handshake takes at 20 % loss, with the retransmission timers of the peers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a command is there. If not, that is said, or is a failure where the peers are required.
pub fn installed(command: &str) -> bool {
    let found = Command::new(command)
        .arg(if command == "openssl" { "version" } else { "--version" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        let required = std::env::var("KAON_INTEROP").is_ok_and(|value| value == "required");
        assert!(!required, "{command} is not installed, and KAON_INTEROP=required");
        eprintln!("SKIPPED: {command} is not installed");
    }
    found
}

/// A certificate made by the `openssl` command, and its key, in files.
pub struct Certificate {
    pub certificate: String,
    pub key: String,
    pub fingerprint: Fingerprint,
}

impl Certificate {
    /// `key`: the name of a curve, or `rsa`.
    pub fn generate(key: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dtls");
        std::fs::create_dir_all(&directory).unwrap();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = |kind: &str| {
            directory.join(format!("{}-{count}.{kind}", std::process::id())).to_str().unwrap().to_owned()
        };
        let (key_file, certificate, der) = (file("key.pem"), file("cert.pem"), file("cert.der"));
        match key {
            "rsa" => openssl(&["genrsa", "-out", &key_file, "2048"]),
            curve => openssl(&["ecparam", "-name", curve, "-genkey", "-noout", "-out", &key_file]),
        }
        openssl(&["req", "-new", "-x509", "-key", &key_file, "-subj", "/CN=peer", "-out", &certificate]);
        openssl(&["x509", "-in", &certificate, "-outform", "DER", "-out", &der]);
        let der = std::fs::read(der).unwrap();
        let digest = aws_lc_rs::provider().digests.hash(HashAlgorithm::Sha256, &[&der]);
        let fingerprint = Fingerprint::new(FingerprintAlgorithm::Sha256, &digest).unwrap();
        Self { certificate, key: key_file, fingerprint }
    }
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A UDP port of 127.0.0.1 that is free now.
pub fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running peer. Killed when dropped.
pub struct Process {
    child: Child,
    stdin: ChildStdin,
    output: Arc<Mutex<String>>,
}

impl Process {
    pub fn start(command: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(command)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        follow(child.stdout.take().unwrap(), output.clone());
        follow(child.stderr.take().unwrap(), output.clone());
        let stdin = child.stdin.take().unwrap();
        Self { child, stdin, output }
    }

    pub fn say(&mut self, line: &str) {
        // A peer that has ended is told by what it has not said.
        writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush()).ok();
    }

    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    pub fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.output().contains(text) {
            assert!(start.elapsed() < PATIENCE, "no {text:?} in:\n{}", self.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn follow(mut pipe: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = pipe.read(&mut buffer) {
            output.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    });
}

/// A connection of ours on a socket.
pub struct Driver {
    socket: UdpSocket,
    remote: Option<SocketAddr>,
    pub connection: Connection,
    chance: SeededRandom,
    loss: f64,
    heard: Vec<u8>,
    events: Vec<DtlsEvent>,
    batch: TransmitBatch,
}

impl Driver {
    /// `remote`: where a client connects to; a server answers whoever comes.
    pub fn new(connection: Connection, remote: Option<u16>, loss: f64) -> Self {
        Self {
            socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
            remote: remote.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
            connection,
            chance: SeededRandom::new(4),
            loss,
            heard: Vec::new(),
            events: Vec::new(),
            batch: TransmitBatch::new(1200),
        }
    }

    pub fn with_max_datagram(mut self, max_datagram: usize) -> Self {
        self.batch = TransmitBatch::new(max_datagram);
        self
    }

    pub fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Runs until both have heard each other, and compares the exported keying material.
    pub fn talk(&mut self, peer: &mut Process, label: &str) {
        self.until(peer, |driver, _| driver.connection.is_connected());
        let mut next = Instant::now();
        self.until(peer, |driver, peer| {
            if Instant::now() >= next {
                next += Duration::from_millis(200);
                driver.send(b"hello from kaon\n");
                peer.say("hello from the peer");
            }
            let heard = String::from_utf8_lossy(&driver.heard).contains("hello from the peer");
            heard && peer.output().contains("hello from kaon")
        });
        self.assert_exported(peer, label);
    }

    /// Runs until the peer, which echoes, has sent back what was said.
    pub fn echo(&mut self, peer: &mut Process) {
        self.until(peer, |driver, _| driver.connection.is_connected());
        let mut next = Instant::now();
        self.until(peer, |driver, _| {
            if Instant::now() >= next {
                next += Duration::from_millis(200);
                driver.send(b"hello from kaon\n");
            }
            String::from_utf8_lossy(&driver.heard).contains("hello from kaon")
        });
    }

    /// Compares the exported keying material with what the peer printed.
    pub fn assert_exported(&self, peer: &Process, label: &str) {
        let mut exported = [0; 32];
        self.connection.export_keying_material(label, None, &mut exported).unwrap();
        let mut hex = String::new();
        exported.iter().for_each(|byte| write!(hex, "{byte:02x}").unwrap());
        let output = peer.output().to_lowercase();
        assert!(output.contains(&hex), "the peer did not export {hex}:\n{output}");
    }

    /// Runs until an event that `wanted` accepts.
    pub fn event(&mut self, peer: &mut Process, wanted: impl Fn(&DtlsEvent) -> bool) {
        self.until(peer, |driver, _| driver.events.iter().any(&wanted));
    }

    pub fn until(&mut self, peer: &mut Process, mut done: impl FnMut(&mut Self, &mut Process) -> bool) {
        let start = Instant::now();
        while !done(self, peer) {
            assert!(
                start.elapsed() < PATIENCE,
                "{:?}\n{:?}\n{}",
                self.events,
                self.connection.stats(),
                peer.output()
            );
            self.step();
        }
        self.transmit();
    }

    pub fn send(&mut self, data: &[u8]) {
        let mut record = Vec::new();
        if self.connection.seal(data, &mut record).is_ok() {
            self.send_datagram(&record);
        }
    }

    fn send_datagram(&self, datagram: &[u8]) {
        if let Some(remote) = self.remote.filter(|_| !self.lost()) {
            self.socket.send_to(datagram, remote).ok();
        }
    }

    fn lost(&self) -> bool {
        ((self.chance.next_u64() >> 11) as f64) < self.loss * (1u64 << 53) as f64
    }

    fn transmit(&mut self) {
        let mut batch = std::mem::replace(&mut self.batch, TransmitBatch::new(0));
        while let Some(transmit) = self.connection.poll_transmit(Instant::now(), &mut batch) {
            batch.datagrams(&transmit).for_each(|datagram| self.send_datagram(datagram));
            batch.clear();
        }
        self.batch = batch;
    }

    fn step(&mut self) {
        self.transmit();
        let now = Instant::now();
        let due = self.connection.poll_timeout().map(|due| due.saturating_duration_since(now));
        let wait = due.unwrap_or(Duration::MAX).clamp(Duration::from_millis(1), Duration::from_millis(20));
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let mut buffer = [0; 2048];
        if let Ok((len, from)) = self.socket.recv_from(&mut buffer)
            && !self.lost()
            && *self.remote.get_or_insert(from) == from
        {
            let path = FiveTuple::udp(self.socket.local_addr().unwrap(), from);
            let datagram = Datagram::new(path, &mut buffer[..len]);
            self.connection.handle_datagram(Instant::now(), datagram).ok();
        }
        self.connection.handle_timeout(Instant::now());
        while let Some(event) = self.connection.poll_event() {
            match event {
                DtlsEvent::ApplicationData(data) => self.heard.extend_from_slice(&data),
                event => self.events.push(event),
            }
        }
    }
}
