use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::Program;

/// RFC 2544 §C.2.2 keeps 198.18.0.0/15 for tests.
const FIRST_SUBNET: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// Each pair takes four addresses of it.
const PAIRS: u32 = 1 << 15;

/// A network that browsers and other peers live in: a namespace of its own with an interface, since Firefox gathers
/// no loopback address and nothing without a default route, joined to this process by a pair of virtual interfaces, and
/// to nothing else.
#[derive(Debug)]
pub struct Network {
    /// What holds the namespace: it ends when this process does, and the interfaces go with it.
    holder: Mutex<Program>,
    /// The namespace.
    path: String,
    /// Our end of the pair.
    pub host: IpAddr,
    /// The other end, `veth0`, where the browsers are.
    pub inside: IpAddr,
}

impl Network {
    /// The one of this process. `Err` says why there is none.
    pub fn shared() -> Result<&'static Self, &'static str> {
        static NETWORK: OnceLock<Result<Network, String>> = OnceLock::new();
        NETWORK.get_or_init(Self::new).as_ref().map_err(String::as_str)
    }

    /// One more. `Err` says why there is none.
    pub fn new() -> Result<Self, String> {
        let mut holder = Program::start(Command::new("unshare").args(["--net", "cat"]));
        holder.tell("ready");
        if holder.lines.recv_timeout(Duration::from_secs(10)).is_err() {
            return Err("no network namespace can be made here (it takes root)".to_owned());
        }
        let unspecified = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let path = format!("/proc/{}/ns/net", holder.id());
        let mut network = Self { holder: Mutex::new(holder), path, host: unspecified, inside: unspecified };
        network.run("ip", "link set lo up")?;
        [network.host, network.inside] = network.join("veth0")?;
        network.run("ip", &format!("route add default via {}", network.host))?;
        Ok(network)
    }

    /// Joins it by one more pair, and returns the address of our end and that of the other, which has this name.
    pub fn join(&self, name: &str) -> Result<[IpAddr; 2], String> {
        let first = std::process::id() % PAIRS;
        let holder = self.holder.lock().unwrap().id();
        let (ours, subnet) = (0..16)
            .map(|attempt| (first + attempt) % PAIRS)
            .map(|number| (format!("kaon{number}"), u32::from(FIRST_SUBNET) + 4 * number))
            .find(|(ours, _)| {
                run("ip", &format!("link add {ours} type veth peer name {name} netns {holder}")).is_ok()
            })
            .ok_or("no pair of virtual interfaces can be made here")?;
        let [host, inside] = [1, 2].map(|at| Ipv4Addr::from(subnet + at));
        run("ip", &format!("address add {host}/30 dev {ours}"))?;
        run("ip", &format!("link set {ours} up"))?;
        self.run("ip", &format!("address add {inside}/30 dev {name}"))?;
        self.run("ip", &format!("link set {name} up"))?;
        Ok([host.into(), inside.into()])
    }

    /// Takes an interface of the namespace down, or up again.
    pub fn set_up(&self, name: &str, up: bool) -> Result<(), String> {
        self.run("ip", &format!("link set {name} {}", if up { "up" } else { "down" }))
    }

    /// Takes the address away that our end of a pair has, or gives it back. The other end sees nothing of it.
    pub fn set_address(&self, host: IpAddr, there: bool) -> Result<(), String> {
        let IpAddr::V4(address) = host else { return Err(format!("{host} is no address of a pair")) };
        let number = u32::from(address).saturating_sub(u32::from(FIRST_SUBNET)) / 4;
        let verb = if there { "add" } else { "delete" };
        run("ip", &format!("address {verb} {host}/30 dev kaon{number}"))
    }

    /// From now on all datagrams of UDP that come or leave are lost, as at many a firewall.
    pub fn drop_udp(&self) -> Result<(), String> {
        ["INPUT", "OUTPUT"]
            .into_iter()
            .try_for_each(|chain| self.run("iptables", &format!("-w -A {chain} -p udp -j DROP")))
    }

    fn run(&self, program: &str, arguments: &str) -> Result<(), String> {
        run("nsenter", &format!("--net={} {program} {arguments}", self.path))
    }

    /// The name that programs in this network know our address by.
    pub const NAME: &str = "kaon.test";

    /// A command that starts another program in this network, and in a process namespace of which the program
    /// is the first: whatever it starts ends with it.
    pub fn command(&self, program: &Path) -> Command {
        // What is mounted is seen in the namespace of mounts alone that comes with that of processes.
        let enter = format!(
            "mount -t tmpfs none /mnt && printf '127.0.0.1 localhost\n{} {}\n' > /mnt/hosts &&
             mount --bind /mnt/hosts /etc/hosts && exec \"$@\"",
            self.host,
            Self::NAME
        );
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path));
        command.args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.args(["sh", "-c", &enter, "sh"]).arg(program);
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
