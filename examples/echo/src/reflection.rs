//! Sends back what arrives.

use kaon_rtc::layer::PayloadType;
use kaon_rtc::peer_connection::{
    DataChannel, MessageKind, PeerConnectionError, RtpPacket, RtpReceiver, RtpSender,
};

/// Sends the packets of a track back, and the page's wish for key frames to where they are made.
pub async fn media(remote: RtpReceiver, local: RtpSender) {
    // The payload type that was turned around last, and what it is for the page.
    let mut number = None;
    loop {
        tokio::select! {
            packet = remote.recv_rtp() => {
                let Some(packet) = packet else { return };
                let Some(payload_type) = translated(&mut number, &remote, &local, &packet) else { continue };
                // What cannot be sent, such as before the negotiation is complete, is as good as lost.
                if let Err(PeerConnectionError::Ended(_)) = local.send_rtp(packet.to_outgoing(payload_type)) {
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

/// The payload type that the page expects of the codec of a packet. It is looked up when it changes.
fn translated(
    last: &mut Option<(PayloadType, PayloadType)>,
    remote: &RtpReceiver,
    local: &RtpSender,
    packet: &RtpPacket,
) -> Option<PayloadType> {
    let packet = packet.as_packet();
    match *last {
        Some((theirs, ours)) if theirs == packet.payload_type() => Some(ours),
        _ => {
            let ours = local.payload_type_for(&remote.codec_of(&packet)?.codec)?;
            *last = Some((packet.payload_type(), ours));
            Some(ours)
        }
    }
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
