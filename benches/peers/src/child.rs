//! Programs that are measured from outside: one JSON line asks, one answers, and the kernel says what CPU time
//! went by between the two.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::clock;

/// How long an answer may take. A peer that hangs is left out of what follows.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program under measurement.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    input: ChildStdin,
    answers: Receiver<String>,
    cpu: libc::clockid_t,
}

impl Child {
    /// Starts a program.
    pub fn start(mut command: Command) -> std::io::Result<Self> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let missing = || std::io::Error::other("no pipe");
        let input = process.stdin.take().ok_or_else(missing)?;
        let output = BufReader::new(process.stdout.take().ok_or_else(missing)?);
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            // Libraries may write lines of their own.
            let lines = output.lines().map_while(Result::ok).filter(|line| line.starts_with('{'));
            for line in lines {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let cpu = clock::of_process(process.id());
        Ok(Self { process, input, answers, cpu })
    }

    /// Has the program do something; what it answers, and the CPU time that it took. `None` if it ended or
    /// takes too long.
    pub fn ask(&mut self, request: &Value) -> Option<(Value, Duration)> {
        let before = clock::read(self.cpu);
        writeln!(self.input, "{request}").ok()?;
        let answer = self.answers.recv_timeout(PATIENCE).ok()?;
        let used = clock::read(self.cpu) - before;
        Some((serde_json::from_str(&answer).ok()?, used))
    }

    /// The CPU time that the program has used so far.
    pub fn cpu_time(&self) -> Duration {
        clock::read(self.cpu)
    }

    /// The memory of the program that is resident, in bytes.
    pub fn resident(&self) -> u64 {
        const PAGE: u64 = 4096;
        let path = format!("/proc/{}/statm", self.process.id());
        let statm = std::fs::read_to_string(path).unwrap_or_default();
        statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process that holds both ends of connections of an implementation, for [`pair::serve`](crate::pair::serve).
/// Says why there is none.
pub fn by_name(name: &str) -> Result<Command, String> {
    match name {
        "pion" => pion(),
        "libdatachannel" => node("libdatachannel", "node-datachannel"),
        "libwebrtc" => node("wrtc", "@roamhq/wrtc"),
        name => Ok(itself(&["serve", name])),
    }
}

/// This very program again, as one that answers.
pub fn itself(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a running program has a path"));
    command.args(arguments);
    command
}

/// Pion's program, which is built where there is Go. Says why not.
pub fn pion() -> Result<Command, String> {
    let folder = folder("pion");
    let status = Command::new("go")
        .args(["build", "-o", "peer", "."])
        .current_dir(&folder)
        .status()
        .map_err(|error| format!("go: {error}"))?;
    if !status.success() {
        return Err(format!("go build: {status}"));
    }
    Ok(Command::new(format!("{folder}/peer")))
}

/// The program for Node's libraries, which uses the packages that the interoperability tests install.
pub fn node(library: &str, package: &str) -> Result<Command, String> {
    let folder = folder("node");
    let peer = if library == "wrtc" { "libwebrtc" } else { "libdatachannel" };
    let packages = folder_of_tests(peer);
    if !Path::new(&packages).join(package).exists() {
        return Err(format!("{package} is not installed; see `tests/run setup`"));
    }
    let mut command = Command::new("node");
    command.args([&format!("{folder}/main.mjs"), library, &packages]);
    Ok(command)
}

fn folder(name: &str) -> String {
    format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn folder_of_tests(peer: &str) -> String {
    format!("{}/../../tests/interop/peers/{peer}/node_modules", env!("CARGO_MANIFEST_DIR"))
}
