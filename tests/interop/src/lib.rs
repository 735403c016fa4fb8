//! What the tests against other implementations share: how a peer that is not installed is dealt with, how one is
//! compiled or started; browsers, a STUN server, a slow path and a network for them; what is heard in Opus and seen in a
//! picture; whether ICE has restarted, and how long nothing came.

mod browser;
mod ffmpeg;
mod network;
mod program;
mod relay;
mod restart;
mod steady;
mod stun_server;
mod thumbnail;
mod tone;

pub use browser::{Browser, Kind};
pub use network::Network;
pub use program::Program;
pub use relay::Relay;
pub use restart::Restart;
pub use steady::{Delivery, Steady};
pub use stun_server::stun_server;
pub use thumbnail::{Rectangle, Thumbnail};
pub use tone::{Tone, opus_tone};

use std::path::{Path, PathBuf};
use std::process::Command;

/// Says that `peer` is missing: a failure under `KAON_INTEROP=required`, else a visible skip.
pub fn missing(peer: &str, why: &str) {
    let required = std::env::var("KAON_INTEROP").is_ok_and(|value| value == "required");
    assert!(!required, "{peer} is required and missing: {why}");
    // Through the file descriptor rather than the test harness's capture, so that it is seen.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {peer}: {why}\n").as_bytes());
}

/// Compiles a peer in C from a file of this package. `Err` says why it could not be.
pub fn compile(source: &str, name: &str, directory: &Path, libraries: &[&str]) -> Result<PathBuf, String> {
    let flags: Vec<_> = libraries.iter().map(|library| format!("-l{library}")).collect();
    compile_with(source, name, directory, &flags)
}

/// The same for a peer whose library is described to pkg-config.
pub fn compile_with_package(
    source: &str,
    name: &str,
    directory: &Path,
    package: &str,
) -> Result<PathBuf, String> {
    let output = Command::new("pkg-config").args(["--cflags", "--libs", package]).output();
    let output = output.map_err(|error| format!("pkg-config: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let flags = String::from_utf8_lossy(&output.stdout);
    let flags: Vec<_> = flags.split_whitespace().map(str::to_owned).collect();
    compile_with(source, name, directory, &flags)
}

fn compile_with(source: &str, name: &str, directory: &Path, flags: &[String]) -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let program = directory.join(name);
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-o"]).arg(&program).arg(source).args(flags);
    let output = cc.output().map_err(|error| format!("cc: {error}"))?;
    if output.status.success() {
        Ok(program)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
