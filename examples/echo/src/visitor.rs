//! One visitor: signalling, and what comes back.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use kaon_rtc::peer_connection::{
    ConnectionState, Description, PeerConnection, PeerConnectionError, PeerConnectionEvent,
};
use kaon_rtc::sdp::Direction;
use thiserror::Error;
use tokio::time::{Instant, timeout};

use crate::Mirror;
use crate::message::Signal;
use crate::reflection;

/// Why a visitor is gone.
#[derive(Debug, Error)]
pub enum VisitorError {
    #[error("the page is gone: {0}")]
    Gone(#[from] axum::Error),
    #[error("not a message of the page: {0}")]
    Message(#[from] serde_json::Error),
    #[error(transparent)]
    Connection(#[from] PeerConnectionError),
    #[error("the connection failed")]
    Failed,
    #[error("it said nothing for too long")]
    Silent,
}

/// How long a visitor may take until it is connected. One that only holds its place makes room then.
const CONNECT_TIME: Duration = Duration::from_secs(30);
/// How often a page is asked whether it is still there. Browsers answer by themselves.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long a page may be silent, and how long it may take to read.
const SILENCE: Duration = Duration::from_secs(40);

/// Serves a page until it leaves.
pub async fn serve(mirror: &Mirror, mut socket: WebSocket) -> Result<(), VisitorError> {
    let builder = PeerConnection::builder().endpoint(&mirror.endpoint).identity(mirror.identity.clone());
    let connection = builder.build().await?;
    let result = signal(&connection, &mut socket).await;
    connection.close();
    result
}

async fn signal(connection: &PeerConnection, socket: &mut WebSocket) -> Result<(), VisitorError> {
    let mut ping = tokio::time::interval(PING_INTERVAL);
    let connected = tokio::time::sleep(CONNECT_TIME);
    tokio::pin!(connected);
    let (mut is_connected, mut heard) = (false, Instant::now());
    loop {
        let reply = tokio::select! {
            message = socket.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(Message::Text(text))) => handle(connection, serde_json::from_str(&text)?)?.map(text_of),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                    Some(Ok(_)) => None,
                }
            }
            event = connection.next_event() => match event {
                Some(PeerConnectionEvent::IceCandidate(candidate)) => {
                    Some(text_of(Signal::Candidate { candidate: candidate.into() }))
                }
                Some(PeerConnectionEvent::Track(remote)) => {
                    let local = connection.sender(remote.id())?;
                    tokio::spawn(reflection::media(remote, local));
                    None
                }
                Some(PeerConnectionEvent::DataChannel(channel)) => {
                    tokio::spawn(reflection::messages(channel));
                    None
                }
                Some(PeerConnectionEvent::ConnectionState { state: ConnectionState::Connected, .. }) => {
                    is_connected = true;
                    None
                }
                Some(PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. }) | None => {
                    return Err(VisitorError::Failed);
                }
                Some(_) => None,
            },
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE {
                    return Err(VisitorError::Silent);
                }
                Some(Ok(Message::Ping(Default::default())))
            }
            () = &mut connected, if !is_connected => return Err(VisitorError::Silent),
        };
        if let Some(reply) = reply {
            timeout(SILENCE, socket.send(reply?)).await.map_err(|_| VisitorError::Silent)??;
        }
    }
}

fn text_of(signal: Signal) -> Result<Message, VisitorError> {
    Ok(Message::Text(serde_json::to_string(&signal)?.into()))
}

fn handle(connection: &PeerConnection, signal: Signal) -> Result<Option<Signal>, VisitorError> {
    match signal {
        Signal::Offer { sdp } => {
            let offer = Description::offer(&sdp).map_err(PeerConnectionError::from)?;
            connection.set_remote_description(&offer)?;
            // Everything goes both ways.
            for transceiver in connection.transceivers() {
                connection.set_direction(transceiver.id(), Direction::SendRecv)?;
            }
            connection.set_local_description(None)?;
            Ok(connection.local_description().map(|answer| Signal::Answer { sdp: answer.text() }))
        }
        Signal::Candidate { candidate } => {
            // One that this side cannot use, such as TCP, takes nothing from the others.
            let _ = connection.add_ice_candidate(&candidate.into());
            Ok(None)
        }
        Signal::Answer { .. } => Ok(None),
    }
}
