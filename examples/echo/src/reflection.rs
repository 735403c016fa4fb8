//! Sends back what arrives.

use kaon_rtc::peer_connection::{
    DataChannel, LocalTrack, MessageKind, OutgoingRtp, PeerConnectionError, RemoteTrack, RtpPacket,
};

/// Sends the packets of a track back, and the page's wish for key frames to where they are made.
pub async fn media(remote: RemoteTrack, local: LocalTrack) {
    loop {
        tokio::select! {
            packet = remote.recv_rtp() => {
                let Some(packet) = packet else { return };
                // What cannot be sent, such as before the negotiation is complete, is as good as lost.
                if let Some(packet) = turned_around(&remote, &local, &packet)
                    && let Err(PeerConnectionError::Ended(_)) = local.send_rtp(packet)
                {
                    return;
                }
            }
            asked = local.key_frame_requested() => match asked {
                Some(()) => remote.request_key_frame(),
                None => return,
            },
        }
    }
}

/// The same numbers and times, so that gaps and order stay as they are; the payload type that the page expects of
/// this codec.
fn turned_around(remote: &RemoteTrack, local: &LocalTrack, received: &RtpPacket) -> Option<OutgoingRtp> {
    let packet = received.as_packet();
    let codec = remote.codec_of(&packet)?;
    let payload_type =
        local.codecs().into_iter().find(|ours| ours.codec.is_compatible(&codec.codec))?.payload_type;
    let payload = packet.payload().to_vec();
    let mut back = OutgoingRtp::new(payload_type, packet.timestamp(), packet.marker(), payload.into());
    back.sequence_number = Some(packet.sequence_number());
    back.audio_level = received.extensions.audio_level;
    back.video_orientation = received.extensions.video_orientation;
    Some(back)
}

/// Sends the messages of a channel back.
pub async fn messages(channel: DataChannel) {
    while let Some(message) = channel.recv().await {
        let sent = match message.kind() {
            MessageKind::Text => {
                channel.send_text(String::from_utf8_lossy(message.data()).into_owned()).await
            }
            MessageKind::Binary => channel.send(message.into_data()).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
