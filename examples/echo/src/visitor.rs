//! One visitor: signalling, and what comes back.

use axum::extract::ws::{Message, WebSocket};
use kaon_rtc::peer_connection::{
    ConnectionState, Description, PeerConnection, PeerConnectionError, PeerConnectionEvent,
};
use kaon_rtc::sdp::Direction;
use thiserror::Error;

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
}

/// Serves a page until it leaves.
pub async fn serve(mirror: &Mirror, mut socket: WebSocket) -> Result<(), VisitorError> {
    let builder = PeerConnection::builder().endpoint(&mirror.endpoint).identity(mirror.identity.clone());
    let connection = builder.build().await?;
    let result = signal(&connection, &mut socket).await;
    connection.close();
    result
}

async fn signal(connection: &PeerConnection, socket: &mut WebSocket) -> Result<(), VisitorError> {
    loop {
        let reply = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => handle(connection, serde_json::from_str(&text)?)?,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                Some(Ok(_)) => None,
            },
            event = connection.next_event() => match event {
                Some(PeerConnectionEvent::IceCandidate(candidate)) => {
                    Some(Signal::Candidate { candidate: candidate.into() })
                }
                Some(PeerConnectionEvent::Track(remote)) => {
                    let local = connection.local_track(remote.id())?;
                    tokio::spawn(reflection::media(remote, local));
                    None
                }
                Some(PeerConnectionEvent::DataChannel(channel)) => {
                    tokio::spawn(reflection::messages(channel));
                    None
                }
                Some(PeerConnectionEvent::ConnectionState(ConnectionState::Failed)) | None => {
                    return Err(VisitorError::Failed);
                }
                Some(_) => None,
            },
        };
        if let Some(reply) = reply {
            socket.send(Message::Text(serde_json::to_string(&reply)?.into())).await?;
        }
    }
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
