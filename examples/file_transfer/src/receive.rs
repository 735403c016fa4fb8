//! The side that gets the file.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Component, Path};

use kaon_rtc::peer_connection::{DataChannel, MessageKind};
use serde_json::json;
use sha2::Digest;

use crate::command_line::Result;
use crate::transfer::{hash_begin, hex, number, progress_bar, recv, recv_json, text};

pub(crate) async fn receive(channel: &DataChannel, folder: &Path) -> Result<()> {
    let announced = recv_json(channel).await?;
    let (name, size) = (file_name(text(&announced, "name")?)?, number(&announced, "size")?);
    let (part, whole) = (folder.join(format!("{name}.part")), folder.join(name));
    if whole.exists() {
        return Err(format!("{} is there already", whole.display()).into());
    }
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&part)?;
    let have = file.metadata()?.len().min(size);
    let hash = hash_begin(&mut file, have)?;
    channel.send_text(json!({ "have": have, "sha256": hex(&hash) }).to_string()).await?;

    let from = number(&recv_json(channel).await?, "from")?;
    if from != have && from != 0 {
        return Err(format!("asked for the rest from byte {have}, but it comes from {from}").into());
    }
    eprintln!("receiving {name} from byte {from}");
    file.set_len(from)?;
    file.seek(SeekFrom::Start(from))?;
    let mut hash = if from == have { hash } else { hash_begin(&mut file, 0)? };
    let (mut position, bar) = (from, progress_bar(size, from)?);
    let end = loop {
        let message = recv(channel).await?;
        if message.kind() == MessageKind::Text {
            break message;
        }
        let data = message.data();
        position += data.len() as u64;
        if position > size {
            return Err(format!("more came than the {size} bytes that were announced").into());
        }
        file.write_all(data)?;
        hash.update(data);
        bar.set_position(position);
    };
    bar.finish();
    let sent: serde_json::Value = serde_json::from_str(end.text().unwrap_or_default())?;
    let is_same = position == size && text(&sent, "sha256")? == hex(&hash);
    if is_same {
        file.sync_all()?;
        std::fs::rename(&part, &whole)?;
        eprintln!("saved {}, sha-256 {}", whole.display(), hex(&hash));
    } else {
        std::fs::remove_file(&part)?;
    }
    channel.send_text(json!({ "saved": is_same }).to_string()).await?;
    // The sender closes when it has the answer.
    channel.closed().await;
    if is_same { Ok(()) } else { Err("what came is not what was sent; start again".into()) }
}

/// A peer may name the file, and not where it goes.
fn file_name(name: &str) -> Result<&str> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(name),
        _ => Err(format!("{name:?} is not the name of a file").into()),
    }
}
