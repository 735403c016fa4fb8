//! Two peers in one process talk over a data channel, each on a socket of its own.
//!
//! ```text
//! cargo run --features peer-connection --example data_channel
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use kaon_rtc::peer_connection::{
    ConnectionState, DataChannel, MessageKind, PeerConnection, PeerConnectionEvent,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Without loopback, addresses that only this machine reaches are no candidates.
    let alice = PeerConnection::builder().loopback(true).build().await?;
    let bob = PeerConnection::builder().loopback(true).build().await?;
    let chat = alice.create_data_channel("chat")?;

    // Signalling. Between machines, the texts of the descriptions go over a wire of yours; both are complete with
    // their candidates here, see the example `trickle` for sending those as they are found.
    alice.set_local_description(None)?;
    alice.gathering_complete().await;
    bob.set_remote_description(&alice.local_description().ok_or("no offer")?)?;
    bob.set_local_description(None)?;
    bob.gathering_complete().await;
    alice.set_remote_description(&bob.local_description().ok_or("no answer")?)?;

    let bob = tokio::spawn(answer_messages(bob));

    // A channel takes messages as soon as it is open; until then, `send` waits.
    chat.send_text("hello").await?;
    println!("alice hears: {:?}", chat.recv().await.and_then(|message| message.text().map(str::to_owned)));

    let begin = Instant::now();
    chat.send(vec![7; 100_000]).await?;
    let reply = chat.recv().await.ok_or("the channel was closed")?;
    println!("alice hears: {} bytes, {:?} after she sent them", reply.data().len(), begin.elapsed());

    alice.close();
    bob.await?;
    println!("bob has noticed that alice is gone");
    Ok(())
}

/// Bob's side: takes the channels that Alice opens, until she closes the connection.
async fn answer_messages(bob: PeerConnection) {
    while let Some(event) = bob.next_event().await {
        match event {
            PeerConnectionEvent::ConnectionState { state, .. } => {
                println!("bob is {state}");
                // A peer that vanished may come back by an ICE restart. Nobody restarts here, and without this the
                // connection and its socket would wait for ever.
                if state == ConnectionState::Failed {
                    bob.close();
                }
            }
            PeerConnectionEvent::DataChannel(channel) => drop(tokio::spawn(echo(channel))),
            _ => {}
        }
    }
}

async fn echo(channel: DataChannel) {
    while let Some(message) = channel.recv().await {
        println!(
            "bob hears on \"{}\": {} bytes of {:?}",
            channel.label(),
            message.data().len(),
            message.kind()
        );
        let sent = match (message.kind(), message.text()) {
            (MessageKind::Text, Some(text)) => channel.send_text(text.to_uppercase()).await,
            _ => channel.send(message.into_data()).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
