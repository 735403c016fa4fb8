use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::Program;

/// The network that the browsers of this process live in: a namespace of its own with an interface, since
/// Firefox gathers no loopback address and nothing without a default route, joined to this process by a pair of
/// virtual interfaces, and to nothing else.
#[derive(Debug)]
pub(crate) struct Network {
    /// What holds the namespace: it ends when this process does, and the interfaces go with it.
    _holder: Mutex<Program>,
    /// The namespace.
    path: String,
    /// Our end of the pair.
    pub(crate) host: IpAddr,
    /// The other end, where the browsers are.
    pub(crate) inside: IpAddr,
}

impl Network {
    /// The one of this process. `Err` says why there is none.
    pub(crate) fn shared() -> Result<&'static Self, &'static str> {
        static NETWORK: OnceLock<Result<Network, String>> = OnceLock::new();
        NETWORK.get_or_init(Self::new).as_ref().map_err(String::as_str)
    }

    fn new() -> Result<Self, String> {
        let mut holder = Program::start(Command::new("unshare").args(["--net", "cat"]));
        holder.tell("ready");
        if holder.lines.recv_timeout(Duration::from_secs(10)).is_err() {
            return Err("no network namespace can be made here (it takes root)".to_owned());
        }
        // RFC 2544 §C.2.2 keeps 198.18.0.0/15 for tests; each process takes four addresses of it.
        let first = std::process::id() % (1 << 15);
        let (name, subnet) = (0..16)
            .map(|attempt| (first + attempt) % (1 << 15))
            .map(|number| (format!("kaon{number}"), u32::from(Ipv4Addr::new(198, 18, 0, 0)) + 4 * number))
            .find(|(name, _)| {
                let pair = format!("link add {name} type veth peer name veth0 netns {}", holder.id());
                run("ip", &pair).is_ok()
            })
            .ok_or("no pair of virtual interfaces can be made here")?;
        let [host, browser] = [1, 2].map(|at| Ipv4Addr::from(subnet + at));
        run("ip", &format!("address add {host}/30 dev {name}"))?;
        run("ip", &format!("link set {name} up"))?;
        let path = format!("/proc/{}/ns/net", holder.id());
        for arguments in [
            "link set lo up".to_owned(),
            format!("address add {browser}/30 dev veth0"),
            "link set veth0 up".to_owned(),
            format!("route add default via {host}"),
        ] {
            run("nsenter", &format!("--net={path} ip {arguments}"))?;
        }
        Ok(Self { _holder: Mutex::new(holder), path, host: host.into(), inside: browser.into() })
    }

    /// A command that starts another program in this network, and in a process namespace of which the program
    /// is the first: whatever it starts ends with it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path));
        command.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]).arg(program);
        command
    }
}

fn run(program: &str, arguments: &str) -> Result<(), String> {
    let output = Command::new(program).args(arguments.split(' ')).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
