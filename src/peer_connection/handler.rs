//! A trait for what a connection tells.

use async_trait::async_trait;

use super::connection::PeerConnection;
use super::data_channel::DataChannel;
use super::event::PeerConnectionEvent;
use super::rtp_receiver::RtpReceiver;
use crate::session::{ConnectionState, FailureReason, IceCandidateInit};

/// Takes the events of a connection, for those who like methods better than a
/// [stream](PeerConnection::next_event). Every method does nothing unless it is written; any method of the
/// connection may be called from inside, `close` included.
///
/// The events come one after the other, on a task of the connection's own: a handler that waits long delays only
/// its own connection, and one that panics closes it.
///
/// The trait is one of [`async_trait`](crate::async_trait), and so is what implements it:
///
/// ```
/// use kaon_rtc::async_trait;
/// use kaon_rtc::peer_connection::{ConnectionState, DataChannel, PeerConnection, PeerConnectionHandler};
///
/// struct Echo;
///
/// #[async_trait]
/// impl PeerConnectionHandler for Echo {
///     async fn on_connection_state(&mut self, connection: &PeerConnection, state: ConnectionState) {
///         if let Some(reason) = connection.failure() {
///             println!("{state}: {reason}");
///         }
///         // It would wait for an ICE restart: who makes none closes it, or it is kept for ever.
///         if state == ConnectionState::Failed {
///             connection.close();
///         }
///     }
///
///     async fn on_data_channel(&mut self, _connection: &PeerConnection, channel: DataChannel) {
///         tokio::spawn(async move {
///             while let Some(message) = channel.recv().await {
///                 if channel.send(message.into_data()).await.is_err() {
///                     return;
///                 }
///             }
///         });
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let connection = PeerConnection::builder().build().await?;
/// connection.handle_events(Echo);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[async_trait]
pub trait PeerConnectionHandler: Send + 'static {
    /// An offer is due.
    async fn on_negotiation_needed(&mut self, connection: &PeerConnection) {
        let _ = connection;
    }

    /// A local candidate was found; signal it to the peer. An empty one says that there is no further.
    async fn on_ice_candidate(&mut self, connection: &PeerConnection, candidate: IceCandidateInit) {
        let _ = (connection, candidate);
    }

    /// The state of the connection changed; [`failure`](PeerConnection::failure) says why, if it has failed or is
    /// closed. One that has failed is kept for an ICE restart until it is closed.
    async fn on_connection_state(&mut self, connection: &PeerConnection, state: ConnectionState) {
        let _ = (connection, state);
    }

    /// The peer sends a track.
    async fn on_track(&mut self, connection: &PeerConnection, track: RtpReceiver) {
        let _ = (connection, track);
    }

    /// The peer opened a data channel.
    async fn on_data_channel(&mut self, connection: &PeerConnection, channel: DataChannel) {
        let _ = (connection, channel);
    }

    /// Any other event.
    async fn on_event(&mut self, connection: &PeerConnection, event: PeerConnectionEvent) {
        let _ = (connection, event);
    }
}

impl PeerConnection {
    /// Hands the events of this connection to `handler` until it is over, on a task that keeps it open. May be called
    /// outside of a runtime: the task is one of the runtime that the endpoint was bound in.
    ///
    /// A peer that vanishes makes it [fail](ConnectionState::Failed), and a handler that makes no ICE restart closes it
    /// then.
    ///
    /// There is one reader of a connection's events: a second handler, or [`next_event`](Self::next_event) beside one,
    /// gets some of the events, and the first the others. If the handler panics the connection is closed with
    /// [`FailureReason::HandlerPanicked`](super::FailureReason::HandlerPanicked).
    pub fn handle_events(&self, mut handler: impl PeerConnectionHandler) {
        let (connection, watched) = (self.clone(), self.clone());
        let runtime = &self.handle.shared.endpoint.runtime;
        let task = runtime.spawn(async move {
            while let Some(event) = connection.next_event().await {
                hand_over(&connection, &mut handler, event).await;
            }
        });
        runtime.spawn(async move {
            if task.await.is_err_and(|error| error.is_panic()) {
                watched.handle.shared.close_for(FailureReason::HandlerPanicked);
            }
        });
    }
}

async fn hand_over(
    connection: &PeerConnection,
    handler: &mut impl PeerConnectionHandler,
    event: PeerConnectionEvent,
) {
    match event {
        PeerConnectionEvent::NegotiationNeeded => handler.on_negotiation_needed(connection).await,
        PeerConnectionEvent::IceCandidate(candidate) => {
            handler.on_ice_candidate(connection, candidate).await;
        }
        PeerConnectionEvent::ConnectionState { state, .. } => {
            handler.on_connection_state(connection, state).await;
        }
        PeerConnectionEvent::Track(track) => handler.on_track(connection, track).await,
        PeerConnectionEvent::DataChannel(channel) => handler.on_data_channel(connection, channel).await,
        event => handler.on_event(connection, event).await,
    }
}
