//! Signalling between two peers in one process.

use std::error::Error;

use kaon_rtc::peer_connection::PeerConnection;

/// One exchange of offer and answer, each with all its candidates.
pub(crate) async fn exchange(
    offerer: &PeerConnection,
    answerer: &PeerConnection,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    offerer.set_local_description(None)?;
    offerer.gathering_complete().await;
    answerer.set_remote_description(&offerer.local_description().ok_or("no offer")?)?;
    answerer.set_local_description(None)?;
    answerer.gathering_complete().await;
    offerer.set_remote_description(&answerer.local_description().ok_or("no answer")?)?;
    Ok(())
}
