//! ICE with libnice: both roles and a conflict, regular and aggressive nomination, all candidates at once and
//! one by one, with datagrams lost on the way, and with nothing but a relay; and the example `ice_only` with itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kaon_interop::{Program, compile_with_package, missing};
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::ice::{Agent, Config, IceConnectionState, IceCredentials, IceEvent, IceRole, IceTransport};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::net::TurnServer;
use kaon_rtc::stun::is_stun;
use kaon_rtc::turn::server::{Config as RelayConfig, Credentials, RelayAddress};

const LIMIT: Duration = Duration::from_secs(60);

fn peer() -> Option<&'static PathBuf> {
    static PEER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    match PEER.get_or_init(|| compile_with_package("libnice/peer.c", "libnice_peer", directory, "nice")) {
        Ok(program) => Some(program),
        Err(why) => {
            missing("libnice", why);
            None
        }
    }
}

/// How one run is set up.
#[derive(Clone, Copy, Debug)]
struct Case {
    ours: IceRole,
    theirs: IceRole,
    nomination: &'static str,
    trickle: bool,
    /// One datagram in so many is lost in each direction; 0 for none.
    loss: u64,
    /// The TURN server by which alone libnice is reached.
    relay: Option<SocketAddr>,
}

/// Our agent with its socket, and libnice.
struct Run {
    case: Case,
    agent: Agent,
    socket: UdpSocket,
    batch: TransmitBatch,
    random: SeededRandom,
    peer: Program,
    said: Vec<String>,
    received: Vec<String>,
    /// Where in `said` the current generation begins.
    generation: usize,
    selections: usize,
    began: Instant,
}

impl Run {
    fn new(program: &Path, case: Case, seed: u64) -> Self {
        let role = match case.theirs {
            IceRole::Controlling => "controlling",
            IceRole::Controlled => "controlled",
        };
        let mode = if case.trickle { "trickle" } else { "full" };
        let mut command = Command::new(program);
        command.args([role, case.nomination, mode]);
        if let Some(relay) = case.relay {
            command.args([&relay.ip().to_string(), &relay.port().to_string(), "nice", "secret"]);
        }
        let peer = Program::start(&mut command);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let mut config = Config::default();
        config.role = case.ours;
        let mut agent = Agent::new(Instant::now(), aws_lc_rs::provider(), config);
        agent.add_host_address(Instant::now(), socket.local_addr().unwrap()).unwrap();
        agent.end_of_host_addresses(Instant::now());
        let mut run = Self {
            case,
            agent,
            socket,
            batch: TransmitBatch::new(1200),
            random: SeededRandom::new(seed),
            peer,
            said: Vec::new(),
            received: Vec::new(),
            generation: 0,
            selections: 0,
            began: Instant::now(),
        };
        run.introduce();
        run
    }

    /// Tells our credentials, and our candidates at once unless they trickle.
    fn introduce(&mut self) {
        let credentials = self.agent.local_credentials().clone();
        self.peer.tell(&format!("credentials {} {}", credentials.ufrag(), credentials.password()));
    }

    fn is_lost(&self) -> bool {
        self.case.loss != 0 && self.random.next_u64().is_multiple_of(self.case.loss)
    }

    fn step(&mut self) {
        assert!(
            self.began.elapsed() < LIMIT,
            "{:?}: {:?} {:?}; the peer said {:?}",
            self.case,
            self.agent.state(),
            self.agent.stats(),
            self.said
        );
        let now = Instant::now();
        while let Ok(line) = self.peer.lines.try_recv() {
            self.hear(now, line);
        }
        self.agent.handle_timeout(now);
        while let Some(event) = self.agent.poll_event() {
            match event {
                IceEvent::LocalCandidate(candidate) => self.peer.tell(&format!("candidate a={candidate}")),
                IceEvent::GatheringComplete => self.peer.tell("end"),
                IceEvent::SelectedPair(_) => self.selections += 1,
                IceEvent::ConnectionState(IceConnectionState::Failed) => panic!("{:?} failed", self.case),
                _ => {}
            }
        }
        while let Some(transmit) = self.agent.poll_transmit(now, &mut self.batch) {
            for datagram in self.batch.datagrams(&transmit) {
                if !self.is_lost() {
                    self.socket.send_to(datagram, transmit.path.unwrap().remote).unwrap();
                }
            }
            self.batch.clear();
        }
        let mut buffer = [0; 2048];
        let Ok((length, remote)) = self.socket.recv_from(&mut buffer) else { return };
        if self.is_lost() {
            return;
        }
        let path = FiveTuple::udp(self.socket.local_addr().unwrap(), remote);
        if is_stun(&buffer[..length]) {
            // Answers to checks of a generation that has ended are refused.
            let _ = self.agent.handle_datagram(Instant::now(), Datagram::new(path, &mut buffer[..length]));
        } else {
            assert!(self.agent.is_validated(&path));
            self.received.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
    }

    fn hear(&mut self, now: Instant, line: String) {
        if let Some(credentials) = line.strip_prefix("credentials ") {
            let (ufrag, password) = credentials.split_once(' ').unwrap();
            self.agent.set_remote_credentials(now, IceCredentials::new(ufrag, password).unwrap()).unwrap();
        } else if let Some(candidate) = line.strip_prefix("candidate ") {
            self.agent.add_remote_candidate(now, candidate.parse().unwrap()).unwrap();
        } else if line == "gathered" {
            self.agent.end_of_remote_candidates(now);
        }
        assert!(
            !line.starts_with("refused") && line != "state failed",
            "{:?}: {line} after {:?}",
            self.case,
            self.began.elapsed()
        );
        self.said.push(line);
    }

    fn run_until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        while !done(self) {
            self.step();
        }
    }

    fn peer_is_ready(&self) -> bool {
        self.said[self.generation..].iter().any(|line| line == "state ready")
    }

    fn connect(&mut self) {
        self.run_until(|run| run.agent.state() == IceConnectionState::Completed && run.peer_is_ready());
    }

    /// Sends until the peer has sent it back.
    fn exchange(&mut self, text: &str) {
        let mut next = Instant::now();
        while !self.received.iter().any(|received| received == text) {
            if Instant::now() >= next {
                let remote = self.agent.selected_pair().unwrap().path.remote;
                if !self.is_lost() {
                    self.socket.send_to(text.as_bytes(), remote).unwrap();
                }
                next = Instant::now() + Duration::from_millis(50);
            }
            self.step();
        }
    }

    fn restart(&mut self) {
        let selections = self.selections;
        self.generation = self.said.len();
        self.peer.tell("restart");
        self.agent.restart(Instant::now(), self.agent.new_credentials()).unwrap();
        self.introduce();
        self.exchange("during");
        self.run_until(|run| run.selections > selections);
        self.connect();
    }
}

fn cases(loss: u64) -> Vec<Case> {
    use IceRole::{Controlled, Controlling};
    let roles = [
        (Controlling, Controlled),
        (Controlled, Controlling),
        (Controlling, Controlling),
        (Controlled, Controlled),
    ];
    let mut cases = Vec::new();
    for (ours, theirs) in roles {
        for nomination in ["regular", "aggressive"] {
            for trickle in [false, true] {
                cases.push(Case { ours, theirs, nomination, trickle, loss, relay: None });
            }
        }
    }
    cases
}

/// Runs all cases at once: they spend their time waiting.
fn with_libnice(loss: u64, seeds: u64) {
    let Some(program) = peer() else { return };
    std::thread::scope(|scope| {
        for seed in 0..seeds {
            for case in cases(loss) {
                scope.spawn(move || {
                    let mut run = Run::new(program, case, seed);
                    run.connect();
                    run.exchange("before");
                    if case.ours != case.theirs {
                        assert_eq!(run.agent.role(), case.ours);
                    }
                    run.restart();
                    run.exchange("after");
                });
            }
        }
    });
}

#[test]
fn libnice_connects_and_restarts() {
    with_libnice(0, 1);
}

#[test]
fn libnice_connects_and_restarts_with_a_fifth_of_the_datagrams_lost() {
    with_libnice(5, 2);
}

fn serve() -> TurnServer {
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let credentials = Credentials::default().with_user("nice", "secret");
    let mut config = RelayConfig::new(credentials, [RelayAddress::new(here)]);
    config.policy = config.policy.allow("127.0.0.0/8".parse().unwrap());
    TurnServer::builder(config).udp(SocketAddr::new(here, 0)).bind().unwrap()
}

/// The relayed address by which libnice is reached, of those that it told in this generation.
fn assert_relayed(run: &Run) {
    let told: Vec<_> =
        run.said[run.generation..].iter().filter(|line| line.starts_with("candidate ")).collect();
    assert!(!told.is_empty() && told.iter().all(|line| line.contains(" typ relay")), "{told:?}");
    let remote = run.agent.selected_pair().unwrap().path.remote;
    let relayed = format!(" {} {} typ relay", remote.ip(), remote.port());
    assert!(told.iter().any(|line| line.contains(&relayed)), "{remote} of {told:?}");
}

#[test]
fn libnice_connects_and_restarts_with_nothing_but_a_relay() {
    let Some(program) = peer() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(async { serve() });
    let relay = Some(server.udp_addrs()[0]);
    std::thread::scope(|scope| {
        for case in cases(0).into_iter().filter(|case| case.ours != case.theirs) {
            scope.spawn(move || {
                let mut run = Run::new(program, Case { relay, ..case }, 0);
                run.connect();
                run.exchange("before");
                assert_relayed(&run);
                run.restart();
                run.exchange("after");
                assert_relayed(&run);
            });
        }
    });
    let statistics = server.statistics();
    assert!(statistics.granted >= 8 && statistics.traffic.bytes_out > 0, "{statistics:?}");
    assert!(statistics.traffic.bytes_in > 0, "{statistics:?}");
}

#[test]
fn two_processes_of_the_example_talk() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cargo = || {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(&root).args([
            "run",
            "--quiet",
            "--package",
            "kaon-rtc",
            "--example",
            "ice_only",
            "--",
        ]);
        command
    };
    // It is built here, for which there is no limit.
    let misused = cargo().arg("neither").stderr(Stdio::null()).status().unwrap();
    assert_eq!(misused.code(), Some(2));
    let [mut offer, mut answer] = ["offer", "answer"].map(|role| Program::start(cargo().arg(role)));
    let (of_offer, of_answer) = (offer.next_line(LIMIT), answer.next_line(LIMIT));
    offer.tell(&of_answer);
    answer.tell(&of_offer);
    offer.tell("to the answerer");
    answer.tell("to the offerer");
    assert_eq!(answer.next_line(LIMIT), "to the answerer");
    assert_eq!(offer.next_line(LIMIT), "to the offerer");
    // The end of the input ends both.
    for mut program in [offer, answer] {
        assert!(program.finish(LIMIT).unwrap().success());
    }
}
