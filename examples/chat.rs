//! Two processes chat over a data channel: lines of standard input go to the other side. Their descriptions go over one
//! TCP connection, one way each.
//!
//! ```text
//! cargo run --features peer-connection --example chat -- listen 127.0.0.1:7000
//! cargo run --features peer-connection --example chat -- connect 127.0.0.1:7000
//! ```

#![allow(clippy::print_stdout)] // Printing is what this program is for.

#[path = "command_line/mod.rs"]
mod command_line;

use std::io::{BufRead, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;

use command_line::{BadInput, Result};
use kaon_rtc::peer_connection::{
    ConnectionState, DataChannel, Description, PeerConnection, PeerConnectionEvent,
};
use tokio::sync::mpsc;

#[tokio::main]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let connection = PeerConnection::builder().loopback(true).build().await?;
    let chat = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["listen", address] => answer(&connection, TcpListener::bind(address)?.accept()?.0).await?,
        ["connect", address] => offer(&connection, TcpStream::connect(address)?).await?,
        _ => return Err(BadInput("usage: chat listen|connect ADDRESS:PORT".into()).into()),
    };
    chat.opened().await?;
    println!("connected");
    let mut lines = lines();
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) => chat.send_text(line).await?,
                None => break,
            },
            message = chat.recv() => match message {
                Some(message) => println!("> {}", message.text().unwrap_or_default()),
                None => break,
            },
        }
    }
    chat.buffered_amount_low(0).await;
    connection.close();
    Ok(())
}

async fn offer(connection: &PeerConnection, mut wire: TcpStream) -> Result<DataChannel> {
    let chat = connection.create_data_channel("chat")?;
    tell(connection, &mut wire).await?;
    connection.set_remote_description(&Description::answer(&hear(&mut wire)?)?)?;
    Ok(chat)
}

async fn answer(connection: &PeerConnection, mut wire: TcpStream) -> Result<DataChannel> {
    connection.set_remote_description(&Description::offer(&hear(&mut wire)?)?)?;
    tell(connection, &mut wire).await?;
    while let Some(event) = connection.next_event().await {
        match event {
            PeerConnectionEvent::DataChannel(chat) => return Ok(chat),
            // It waits for an ICE restart, which nobody makes.
            PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. } => break,
            _ => {}
        }
    }
    Err(connection.failure().map_or_else(|| "no channel was opened".into(), Into::into))
}

/// Makes the description that is due, and sends it once it has all candidates.
async fn tell(connection: &PeerConnection, wire: &mut TcpStream) -> Result<()> {
    connection.set_local_description(None)?;
    connection.gathering_complete().await;
    let description = connection.local_description().ok_or("there is no description")?;
    wire.write_all(description.text().as_bytes())?;
    Ok(wire.shutdown(Shutdown::Write)?)
}

/// The description of the other side, which ends with what it sends.
fn hear(wire: &mut TcpStream) -> Result<String> {
    let mut text = String::new();
    wire.take(1 << 20).read_to_string(&mut text)?;
    Ok(text)
}

/// The lines of standard input, which only a thread can wait for.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().map_while(|line| line.ok()).try_for_each(|line| sender.send(line))
    });
    receiver
}
