//! SCTP with usrsctp: both roles, both directions, with packets lost on the way.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_interop::{compile, missing};
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::{
    Association, Config, PayloadProtocol, SctpClose, SctpEvent, SctpTransport, SendOptions, StreamId,
};

const SIZE: usize = 50_000;
/// 100 MiB.
const MESSAGES: u32 = (100 << 20) / SIZE as u32 + 1;
/// One packet in so many is lost, in each direction.
const LOSS: u64 = 50;
const LIMIT: Duration = Duration::from_secs(300);

/// Two bulk transfers at once on a small machine lose packets that no one meant to.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn peer() -> Option<&'static PathBuf> {
    static PEER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    match PEER.get_or_init(|| compile("usrsctp/peer.c", "usrsctp_peer", directory, &["usrsctp", "pthread"])) {
        Ok(program) => Some(program),
        Err(why) => {
            missing("usrsctp", why);
            None
        }
    }
}

fn message(index: u32) -> Bytes {
    let mut message: Vec<u8> = (0..SIZE).map(|at| (index as usize + at) as u8).collect();
    message[..4].copy_from_slice(&index.to_be_bytes());
    message.into()
}

/// Our end, the socket, and the program at the other end.
struct Run {
    association: Association,
    socket: UdpSocket,
    batch: TransmitBatch,
    random: SeededRandom,
    process: Child,
    lines: Receiver<String>,
    began: Instant,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Run {
    fn new(program: &Path, role: &str, direction: &str, end: &str, seed: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // A port that was free a moment ago.
        let remote = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        socket.connect(remote).unwrap();
        let mut process = Command::new(program)
            .args([role, &remote.port().to_string(), &socket.local_addr().unwrap().port().to_string()])
            .args([direction, &MESSAGES.to_string(), &SIZE.to_string(), end])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        assert_eq!(lines.recv().unwrap(), "ready");
        let mut run = Self {
            association: Association::new(Config::default(), &aws_lc_rs::provider()),
            socket,
            batch: TransmitBatch::new(1200),
            random: SeededRandom::new(seed),
            process,
            lines,
            began: Instant::now(),
        };
        if role == "listen" {
            run.association.connect(Instant::now());
        }
        run
    }

    fn is_lost(&self) -> bool {
        self.random.next_u64().is_multiple_of(LOSS)
    }

    /// Sends what is to be sent, then takes what arrives, waiting a little for the first.
    fn step(&mut self) {
        assert!(self.began.elapsed() < LIMIT, "took too long: {:?}", self.association.statistics());
        let now = Instant::now();
        self.association.handle_timeout(now);
        while let Some(transmit) = self.association.poll_transmit(now, &mut self.batch) {
            for datagram in self.batch.datagrams(&transmit) {
                if !self.is_lost() {
                    // A full buffer loses a packet, as networks do.
                    let _ = self.socket.send(datagram);
                }
            }
            self.batch.clear();
        }
        let path = FiveTuple::udp(self.socket.local_addr().unwrap(), self.socket.peer_addr().unwrap());
        let mut buffer = [0; 2048];
        self.socket.set_nonblocking(false).unwrap();
        self.socket.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        for _ in 0..16 {
            let Ok(length) = self.socket.recv(&mut buffer) else { break };
            if !self.is_lost() {
                let datagram = Datagram::new(path, &mut buffer[..length]);
                let result = self.association.handle_datagram(Instant::now(), datagram);
                // Only after the end does the peer's last word come again.
                assert!(result.is_ok() || self.association.streams() == (0, 0), "{result:?}");
            }
            self.socket.set_nonblocking(true).unwrap();
        }
    }

    fn wait_for(&mut self, wanted: impl Fn(&SctpEvent) -> bool) -> SctpEvent {
        loop {
            while let Some(event) = self.association.poll_event() {
                if wanted(&event) {
                    return event;
                }
                assert!(!matches!(event, SctpEvent::Closed(_)), "{event:?}");
            }
            self.step();
        }
    }

    fn wait_for_line(&mut self, wanted: &str) {
        loop {
            match self.lines.try_recv() {
                Ok(line) if line == wanted => return,
                Ok(line) => assert_eq!(line, "reset", "waiting for {wanted}"),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => panic!("the peer ended before {wanted}"),
                Err(std::sync::mpsc::TryRecvError::Empty) => self.step(),
            }
        }
    }

    fn send_all(&mut self) {
        let mut sent = 0;
        while sent < MESSAGES {
            let result = self.association.send(
                Instant::now(),
                StreamId(1),
                PayloadProtocol::BINARY,
                message(sent),
                SendOptions::default(),
            );
            if result.is_ok() {
                sent += 1;
            } else {
                self.step();
            }
        }
        self.wait_for_line("done");
    }

    fn receive_all(&mut self) {
        let mut received = 0;
        while received < MESSAGES {
            while let Some(got) = self.association.receive() {
                assert_eq!(got.payload, message(received));
                received += 1;
            }
            self.step();
        }
        self.wait_for_line("done");
    }

    /// Resets stream 1 and sends on it again: the peer answers with a reset of its own.
    fn reset(&mut self) {
        let stream = StreamId(1);
        self.association.reset_streams(Instant::now(), &[stream]).unwrap();
        let (mut outgoing, mut incoming) = (false, false);
        while !(outgoing && incoming) {
            let event = self.wait_for(|event| {
                matches!(event, SctpEvent::OutgoingStreamReset(_) | SctpEvent::IncomingStreamReset(_))
            });
            outgoing |= event == SctpEvent::OutgoingStreamReset(stream);
            incoming |= event == SctpEvent::IncomingStreamReset(stream);
        }
        let options = SendOptions::default();
        self.association
            .send(Instant::now(), stream, PayloadProtocol::STRING, "again".into(), options)
            .expect("the stream is open anew");
    }
}

fn transfer(role: &str, direction: &str, end: &str, seed: u64) {
    let Some(program) = peer() else { return };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut run = Run::new(program, role, direction, end, seed);
    run.wait_for(|event| matches!(event, SctpEvent::Established { .. }));
    match direction {
        "sink" => run.send_all(),
        _ => run.receive_all(),
    }
    let time = run.began.elapsed();
    eprintln!("{role} {direction}: 100 MiB in {time:.1?}, {:?}", run.association.statistics());
    if end == "stay" {
        run.reset();
        run.association.shutdown(Instant::now());
    }
    let closed = run.wait_for(|event| matches!(event, SctpEvent::Closed(_)));
    assert_eq!(closed, SctpEvent::Closed(SctpClose::Shutdown));
    run.wait_for_line("closed");
}

#[test]
fn usrsctp_accepts_and_receives() {
    transfer("listen", "sink", "stay", 1);
}

#[test]
fn usrsctp_accepts_and_sends() {
    transfer("listen", "source", "stay", 2);
}

#[test]
fn usrsctp_connects_and_receives() {
    transfer("connect", "sink", "close", 3);
}

#[test]
fn usrsctp_connects_and_sends() {
    transfer("connect", "source", "stay", 4);
}
