//! Tracks: what is handed to several connections allocates nothing.

use bytes::Bytes;
use kaon_rtc::layer::{PayloadType, RtpTimestamp};
use kaon_rtc::peer_connection::{Codec, OutgoingRtp, PeerConnection, Track, TransceiverInit};
use kaon_rtc::sdp::Direction;

use crate::count_allocations;

async fn connection() -> PeerConnection {
    PeerConnection::builder().loopback(true).build().await.unwrap()
}

/// A connection that sends a track, and its peer.
async fn sending(track: &Track) -> [PeerConnection; 2] {
    let (here, there) = (connection().await, connection().await);
    let sender = here.add_track(track.kind(), TransceiverInit::new(Direction::SendOnly)).unwrap();
    sender.replace_track(Some(track)).unwrap();
    here.set_local_description(None).unwrap();
    here.gathering_complete().await;
    there.set_remote_description(&here.local_description().unwrap()).unwrap();
    there.set_local_description(None).unwrap();
    there.gathering_complete().await;
    here.set_remote_description(&there.local_description().unwrap()).unwrap();
    here.connected().await.unwrap();
    [here, there]
}

#[test]
fn packets_of_a_track() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let track = Track::new(Codec::vp8());
        let _connections = [sending(&track).await, sending(&track).await, sending(&track).await];
        let payload = Bytes::from_static(&[0x10; 1000]);
        let send = |packets| {
            for number in 0..packets {
                let payload_type = PayloadType::from_low_bits(0);
                let packet =
                    OutgoingRtp::new(payload_type, RtpTimestamp(number * 3000), true, payload.clone());
                assert_eq!(track.send_rtp(packet), 3);
            }
        };
        // Nothing is taken from the queues meanwhile, and they have grown as far as they will.
        send(300);
        assert_eq!(count_allocations(|| send(200)), 0);
    });
}
