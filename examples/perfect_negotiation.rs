//! Perfect negotiation (W3C WebRTC §10.7): both peers add tracks at the same moment, both offer, and the offers
//! collide on their way. The impolite peer ignores the other's offer; the polite one takes its own back, answers,
//! and offers again. Neither side's application has to know.
//!
//! ```text
//! cargo run --features peer-connection --example perfect_negotiation
//! ```

// Printing is what this program is for.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Duration;

use kaon_rtc::peer_connection::{
    ConnectionState, Description, DescriptionKind, IceCandidateInit, PeerConnection, PeerConnectionEvent,
    SignalingState, TrackKind, TransceiverInit,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const ROUNDS: usize = 5;
/// How long the signalling is under way: long enough for every offer to meet another.
const DELAY: Duration = Duration::from_millis(20);

enum Signal {
    Description(Description),
    Candidate(IceCandidateInit),
}

struct Peer {
    name: &'static str,
    polite: bool,
    connection: PeerConnection,
    out: UnboundedSender<Signal>,
    /// The offer that was ignored had candidates, which are to be ignored, too.
    ignores_offer: bool,
    /// Transceivers that both sides agree on.
    agreed: watch::Sender<usize>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let ((to_bob, of_alice), (to_alice, of_bob)) = (unbounded_channel(), unbounded_channel());
    let (alice, mut alice_agreed) = start("alice", true, to_bob, of_bob).await?;
    let (bob, mut bob_agreed) = start("bob", false, to_alice, of_alice).await?;

    for round in 1..=ROUNDS {
        alice.add_transceiver(TrackKind::Audio, TransceiverInit::default())?;
        bob.add_transceiver(TrackKind::Video, TransceiverInit::default())?;
        alice_agreed.wait_for(|agreed| *agreed == 2 * round).await?;
        bob_agreed.wait_for(|agreed| *agreed == 2 * round).await?;
        println!("round {round}: both agree on {} media sections", 2 * round);
    }
    alice.connected().await?;
    bob.connected().await?;
    println!("connected");
    alice.close();
    Ok(())
}

async fn start(
    name: &'static str,
    polite: bool,
    out: UnboundedSender<Signal>,
    incoming: UnboundedReceiver<Signal>,
) -> Result<(PeerConnection, watch::Receiver<usize>)> {
    let connection = PeerConnection::builder().loopback(true).build().await?;
    let (agreed, watched) = watch::channel(0);
    let peer = Peer { name, polite, connection: connection.clone(), out, ignores_offer: false, agreed };
    tokio::spawn(async move {
        if let Err(error) = peer.run(incoming).await {
            println!("{name} gave up: {error}");
        }
    });
    Ok((connection, watched))
}

impl Peer {
    async fn run(mut self, mut incoming: UnboundedReceiver<Signal>) -> Result<()> {
        loop {
            tokio::select! {
                event = self.connection.next_event() => match event {
                    None => return Ok(()),
                    Some(PeerConnectionEvent::NegotiationNeeded) => {
                        self.connection.set_local_description(None)?;
                        self.send_description()?;
                    }
                    Some(PeerConnectionEvent::IceCandidate(candidate)) => {
                        self.out.send(Signal::Candidate(candidate))?;
                    }
                    // A page would call `restart_ice` here, and give up after a while.
                    Some(PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. }) => {
                        self.connection.close();
                    }
                    Some(_) => {}
                },
                Some(signal) = incoming.recv() => {
                    tokio::time::sleep(DELAY).await;
                    self.handle_signal(signal)?;
                }
            }
            self.tell_agreed();
        }
    }

    fn handle_signal(&mut self, signal: Signal) -> Result<()> {
        match signal {
            Signal::Description(description) => {
                let is_offer = description.kind == DescriptionKind::Offer;
                let collides = is_offer && self.connection.signaling_state() != SignalingState::Stable;
                self.ignores_offer = collides && !self.polite;
                if self.ignores_offer {
                    println!("{} ignores an offer", self.name);
                    return Ok(());
                }
                if collides {
                    println!("{} takes the own offer back", self.name);
                }
                // An offer that collides takes the own one back by itself.
                self.connection.set_remote_description(&description)?;
                if is_offer {
                    self.connection.set_local_description(None)?;
                    self.send_description()?;
                }
            }
            Signal::Candidate(candidate) => match self.connection.add_ice_candidate(&candidate) {
                Err(_) if self.ignores_offer => {}
                result => result?,
            },
        }
        Ok(())
    }

    fn send_description(&self) -> Result<()> {
        let description = self.connection.local_description().ok_or("there is no local description")?;
        Ok(self.out.send(Signal::Description(description))?)
    }

    fn tell_agreed(&self) {
        if self.connection.signaling_state() == SignalingState::Stable {
            let transceivers = self.connection.transceivers();
            let agreed = transceivers.iter().filter(|one| one.current_direction().is_some()).count();
            self.agreed.send_replace(agreed);
        }
    }
}
