//! An orderly end.

use super::connection::PeerConnection;
use super::error::PeerConnectionError;
use super::shared::Shared;
use super::sync::atomic::Ordering;
use crate::datachannel::ChannelId;

/// Has the connection tell when media is sent, while it is there.
struct EndsInOrder<'a>(&'a Shared);

impl Drop for EndsInOrder<'_> {
    fn drop(&mut self) {
        self.0.ends_in_order.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PeerConnection {
    /// Ends the connection in order: closes its data channels, waits until the peer has all that was sent on them, sends
    /// the media that waits, and then [closes](Self::close) the connection. Media that is lost on the way is not waited
    /// for. What the peer sends meanwhile can be read as before.
    ///
    /// It takes as long as the peer does, which may not read, and ends with the connection at the latest; wrap it in
    /// [`tokio::time::timeout`] for less. Cancel safe: dropped before it is done, the connection is open, though its
    /// channels are closing, and [`close`](Self::close) or another `shutdown` ends it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use kaon_rtc::peer_connection::PeerConnection;
    ///
    /// async fn hang_up(connection: PeerConnection) {
    ///     match tokio::time::timeout(Duration::from_secs(10), connection.shutdown()).await {
    ///         Ok(Ok(())) => println!("the peer has everything"),
    ///         Ok(Err(error)) => println!("something may be missing: {error}"),
    ///         Err(_) => connection.close(),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`PeerConnectionError::Ended`] with the reason if the connection or its data channels end before the peer has
    /// everything. The connection is closed then, too.
    pub async fn shutdown(&self) -> Result<(), PeerConnectionError> {
        let shared = &self.handle.shared;
        let result = match self.close_channels().await {
            Ok(()) => self.send_out_media().await,
            Err(error) => Err(error),
        };
        shared.close();
        result
    }

    /// Those that are there now; what the peer opens from now on is none of what was sent.
    async fn close_channels(&self) -> Result<(), PeerConnectionError> {
        let closing: Vec<ChannelId> = self.handle.shared.with(|state, now| {
            let channels: Vec<ChannelId> = state.session.channels().collect();
            channels.iter().for_each(|id| state.close_channel(now, *id));
            channels
        });
        self.wait_for(|state| {
            let session = &state.session;
            // A peer may close the connection as soon as it has everything.
            let is_closed = |id| session.channel_state(id).is_none() && !session.is_channel_cut_off(id);
            if closing.iter().all(|id| is_closed(*id)) {
                return Some(Ok(()));
            }
            session.data_failure().map(|reason| Err(reason.clone().into()))
        })
        .await
    }

    /// Waits until the socket has all packets.
    async fn send_out_media(&self) -> Result<(), PeerConnectionError> {
        let shared = &self.handle.shared;
        shared.ends_in_order.fetch_add(1, Ordering::Relaxed);
        let _guard = EndsInOrder(shared);
        let endpoint = &shared.endpoint;
        loop {
            let unblocked = endpoint.unblocked.notified();
            self.wait_for(|state| match state.session.has_queued_rtp() {
                false => Some(Ok(())),
                true => state.session.failure().map(|reason| Err(PeerConnectionError::from(reason.clone()))),
            })
            .await?;
            // What was taken from the connection may be before the socket still.
            if !endpoint.is_blocked.load(Ordering::Acquire) {
                return Ok(());
            }
            unblocked.await;
        }
    }
}
