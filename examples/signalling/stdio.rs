//! Signalling over standard input and output: a description is a line of JSON, `{"type":"offer","sdp":"…"}`, as
//! `JSON.stringify(connection.localDescription)` gives it in a browser.

use std::io::{BufRead, Read, Write};

use kaon_rtc::peer_connection::{Description, PeerConnection};
use serde_json::{Value, json};

use crate::command_line::{BadInput, Result};

/// No description is as long.
const MAX_LINE: u64 = 1 << 20;

/// Prints the local description, once it has all its candidates.
pub(crate) async fn write_description(connection: &PeerConnection) -> Result<()> {
    connection.gathering_complete().await;
    let description = connection.local_description().ok_or("there is no local description")?;
    let line = json!({ "type": description.kind.name(), "sdp": description.text() });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Reads a description of the peer.
pub(crate) async fn read_description() -> Result<Description> {
    let read_line = || {
        let mut line = String::new();
        std::io::stdin().lock().take(MAX_LINE).read_line(&mut line).map(|_| line)
    };
    let line = tokio::task::spawn_blocking(read_line).await??;
    parse(&line).map_err(|reason| BadInput(format!("this is no description: {reason}")).into())
}

fn parse(line: &str) -> std::result::Result<Description, String> {
    let json: Value = serde_json::from_str(line).map_err(|error| format!("no line of JSON ({error})"))?;
    let field = |name| json.get(name).and_then(Value::as_str).ok_or(format!("\"{name}\" is missing"));
    let kind = field("type")?.parse().map_err(|error| format!("{error}"))?;
    Description::parse(kind, field("sdp")?).map_err(|error| error.to_string())
}
