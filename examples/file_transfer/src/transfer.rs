//! What both sides say to each other: lines of JSON as text messages, and the file as binary ones.
//!
//! ```text
//! sender                                     receiver
//! {"name":"video.mkv","size":1000000}   ->
//!                                       <-   {"have":4096,"sha256":"…"}
//! {"from":4096}                         ->
//! bytes …                               ->
//! {"sha256":"…"}                        ->
//!                                       <-   {"saved":true}
//! ```

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use indicatif::{ProgressBar, ProgressStyle};
use kaon_rtc::peer_connection::{DataChannel, Message};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::command_line::Result;

/// Bytes in a message; every peer takes as many.
pub(crate) const CHUNK: usize = 16 << 10;

/// The next message.
pub(crate) async fn recv(channel: &DataChannel) -> Result<Message> {
    Ok(channel.recv().await.ok_or("the peer is gone; start both again to go on")?)
}

/// The next message, which must be JSON.
pub(crate) async fn recv_json(channel: &DataChannel) -> Result<Value> {
    let message = recv(channel).await?;
    let text = message.text().ok_or("expected a line of JSON, but bytes came")?;
    Ok(serde_json::from_str(text)?)
}

pub(crate) fn number(json: &Value, name: &str) -> Result<u64> {
    Ok(json[name].as_u64().ok_or(format!("\"{name}\" is missing in {json}"))?)
}

pub(crate) fn text<'a>(json: &'a Value, name: &str) -> Result<&'a str> {
    Ok(json[name].as_str().ok_or(format!("\"{name}\" is missing in {json}"))?)
}

/// The hash of the first `len` bytes, to be gone on with; the file stands behind them then.
pub(crate) fn hash_begin(file: &mut File, len: u64) -> Result<Sha256> {
    file.seek(SeekFrom::Start(0))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    let mut bytes = Read::by_ref(file).take(len);
    loop {
        match bytes.read(&mut buffer)? {
            0 => return Ok(hash),
            read => hash.update(&buffer[..read]),
        }
    }
}

pub(crate) fn hex(hash: &Sha256) -> String {
    hash.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Shown on a terminal only.
pub(crate) fn progress_bar(size: u64, from: u64) -> Result<ProgressBar> {
    let style = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
    let bar = ProgressBar::new(size).with_style(ProgressStyle::with_template(style)?);
    bar.set_position(from);
    bar.reset_eta();
    Ok(bar)
}
