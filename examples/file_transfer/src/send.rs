//! The side that has the file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use kaon_rtc::peer_connection::DataChannel;
use serde_json::json;
use sha2::Digest;

use crate::command_line::Result;
use crate::transfer::{CHUNK, hash_begin, hex, number, progress_bar, recv_json, text};

pub(crate) struct Outgoing {
    file: File,
    name: String,
    size: u64,
}

impl Outgoing {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err("this is no file".into());
        }
        let name = path.file_name().and_then(|name| name.to_str()).ok_or("its name is not UTF-8")?;
        Ok(Self { file, name: name.to_owned(), size: metadata.len() })
    }

    pub(crate) async fn send(mut self, channel: &DataChannel) -> Result<()> {
        channel.send_text(json!({ "name": self.name, "size": self.size }).to_string()).await?;
        let begin = recv_json(channel).await?;
        let mut from = number(&begin, "have")?.min(self.size);
        let mut hash = hash_begin(&mut self.file, from)?;
        if hex(&hash) != text(&begin, "sha256")? {
            // What the receiver has is of another file.
            from = 0;
            hash = hash_begin(&mut self.file, 0)?;
        }
        eprintln!("sending {} from byte {from}", self.name);
        channel.send_text(json!({ "from": from }).to_string()).await?;

        let bar = progress_bar(self.size, from)?;
        // What is appended meanwhile is not sent.
        let mut rest = self.file.take(self.size - from);
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = rest.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            // Waits while much is under way: the file is never in memory as a whole.
            channel.send(buffer[..read].to_vec()).await?;
            bar.inc(read as u64);
        }
        channel.send_text(json!({ "sha256": hex(&hash) }).to_string()).await?;
        let end = recv_json(channel).await?;
        bar.finish();
        match end["saved"].as_bool() {
            Some(true) => Ok(()),
            _ => Err("the receiver got something else than was sent".into()),
        }
    }
}
