//! The relays, each as a process of its own on one core with one thread that relays.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kaon_rtc::net::TurnServer;
use kaon_rtc::turn::server::{Config, Credentials, PeerPolicy, RelayAddress};

use crate::{PASSWORD, REALM, RELAY, SERVER, USER, client, process, server};

pub const NAMES: [&str; 4] = ["kaon", "coturn", "pion", "bare"];

/// The core that relays run on.
const CORE: usize = 0;

/// A relay that serves.
pub struct Relay {
    process: Child,
    /// Whether it is the floor, which knows nothing of TURN.
    pub is_bare: bool,
}

impl Relay {
    /// Starts one and waits until it answers. Says why there is none.
    pub fn start(name: &str) -> Result<Self, String> {
        let mut command = match name {
            "kaon" => itself("serve"),
            "bare" => itself("serve-bare"),
            "coturn" => coturn(),
            "pion" => pion()?,
            name => return Err(format!("there is no relay {name}")),
        };
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = quiet.spawn().map_err(|error| error.to_string())?;
        let relay = Self { process, is_bare: name == "bare" };
        client::wait_until_answered(server())?;
        Ok(relay)
    }

    pub fn cpu_time(&self) -> Duration {
        process::cpu_time(self.process.id())
    }

    pub fn resident(&self) -> u64 {
        process::resident(self.process.id())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This program, as a relay.
fn itself(role: &str) -> Command {
    let path = std::env::current_exe().expect("a running program has a path");
    let mut command = process::pinned(&path.to_string_lossy(), CORE);
    command.arg(role);
    command
}

fn coturn() -> Command {
    let mut command = process::pinned("turnserver", CORE);
    let (ip, port) = SERVER.split_once(':').expect("an address and a port");
    command.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp", "--log-file", "/dev/null"]);
    command.args(["--relay-threads", "1", "-L", ip, "-p", port, "-E", RELAY, "-r", REALM]);
    command.args(["--lt-cred-mech", "--user", &format!("{USER}:{PASSWORD}"), "--allow-loopback-peers"]);
    command.args(["--no-software-attribute", "--pidfile", "/dev/null", "--no-stdout-log"]);
    command
}

fn pion() -> Result<Command, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/pion");
    let status = Command::new("go").args(["build", "-o", "peer", "."]).current_dir(folder).status();
    if !status.map_err(|error| format!("go: {error}"))?.success() {
        return Err("go build failed".into());
    }
    let mut command = process::pinned(&format!("{folder}/peer"), CORE);
    command.args([SERVER, RELAY, REALM, USER, PASSWORD, "1"]);
    Ok(command)
}

/// Kaon's relay, in this process.
pub fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let _server = bind();
        std::future::pending::<()>().await;
    });
}

pub fn bind() -> TurnServer {
    let relay = RelayAddress::new(RELAY.parse().expect("an address"));
    let mut config = Config::new(Credentials::default().with_user(USER, PASSWORD), [relay]);
    config.realm = REALM.into();
    config.policy = PeerPolicy::default().allow("127.0.0.0/8".parse().expect("a range"));
    // All clients are at one address here, and one user.
    (config.answers_per_source, config.answers) = (u32::MAX, u32::MAX);
    config.max_allocations_per_user = usize::MAX;
    TurnServer::builder(config).udp(server()).sockets_per_address(1).bind().expect("the address is free")
}
