use std::process::Command;

use crate::missing;

/// Runs ffmpeg and tells what it has written to its output. `None` if it is not installed, as [`missing`] has said.
pub(crate) fn ffmpeg(arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("ffmpeg");
    let output = match command.args(["-nostdin", "-v", "error", "-y"]).args(arguments).output() {
        Ok(output) => output,
        Err(error) => {
            missing("ffmpeg", &format!("{error}; `tests/run setup` installs it"));
            return None;
        }
    };
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}
