//! Tracks that feed several senders.

use super::*;
use crate::layer::{PayloadType, SequenceNumber};

fn packet(number: u16, timestamp: u32) -> OutgoingRtp {
    // The payload type has no meaning.
    let payload_type = PayloadType::from_low_bits(0);
    let mut packet =
        OutgoingRtp::new(payload_type, RtpTimestamp(timestamp), true, Bytes::from_static(&[0x10, 0, 0]));
    packet.sequence_number = Some(SequenceNumber(number));
    packet
}

/// Without a number of its own.
fn unnumbered(timestamp: u32) -> OutgoingRtp {
    OutgoingRtp { sequence_number: None, ..packet(0, timestamp) }
}

/// VP8 under this number from one to the other, sent by a track.
async fn watching(track: &Track, number: u8) -> (PeerConnection, PeerConnection, RtpSender, RtpReceiver) {
    let vp8 = Codec { preferred_payload_type: PayloadType::from_low_bits(number), ..Codec::vp8() };
    let init = TransceiverInit::new(Direction::SendOnly).codecs([vp8, Codec::h264()]);
    let (alice, bob) = (connection().await, connection().await);
    let sender = alice.add_track(TrackKind::Video, init).unwrap();
    sender.replace_track(Some(track)).unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    let received = async {
        loop {
            if let PeerConnectionEvent::Track(received) = bob.next_event().await.unwrap() {
                return received;
            }
        }
    };
    let received = timeout(LONG, received).await.unwrap();
    (alice, bob, sender, received)
}

/// The number and the timestamp of the next packet, and under which payload type it came.
async fn next(received: &RtpReceiver) -> (SequenceNumber, RtpTimestamp, u8) {
    let packet = timeout(LONG, received.recv_rtp()).await.unwrap().unwrap();
    let packet = packet.as_packet();
    (packet.sequence_number(), packet.timestamp(), packet.payload_type().value())
}

async fn is_key_frame_requested(track: &Track) -> bool {
    timeout(Duration::ZERO, track.key_frame_requested()).await.is_ok()
}

#[tokio::test]
async fn one_packet_goes_to_all_under_the_number_of_each() {
    let track = Track::new(Codec::vp8());
    assert_eq!(track.send_rtp(packet(7, 0)), 0);
    let (_a, _b, sender, here) = watching(&track, 100).await;
    let (_c, _d, _, there) = watching(&track, 120).await;
    assert_eq!(sender.track().as_ref(), Some(&track));
    for (number, timestamp) in [(40_000, 3000), (40_001, 3000), (40_003, 6000)] {
        assert_eq!(track.send_rtp(packet(number, timestamp)), 2);
    }
    for (received, payload_type) in [(&here, 100), (&there, 120)] {
        let (first, timestamp, first_type) = next(received).await;
        let (second, third) = (next(received).await, next(received).await);
        assert_eq!([first_type, second.2, third.2], [payload_type; 3]);
        assert_eq!([timestamp.0, second.1.0, third.1.0], [3000, 3000, 6000]);
        // Gaps stay gaps.
        assert_eq!([second.0, third.0], [first.wrapping_add(1), first.wrapping_add(3)]);
    }
    // What is forwarded is forwarded as it came.
    assert_eq!(track.send_rtp(packet(40_004, 9000)), 2);
    let received = timeout(LONG, here.recv_rtp()).await.unwrap().unwrap();
    let relay = Track::new(Codec::vp8());
    sender.replace_track(Some(&relay)).unwrap();
    assert_eq!(relay.send_rtp(&received), 1);
    assert_eq!(
        timeout(LONG, here.recv_rtp()).await.unwrap().unwrap().packet.payload(),
        received.packet.payload()
    );
}

#[tokio::test]
async fn payload_types_follow_the_exchange() {
    let track = Track::new(Codec::vp8());
    let (alice, bob, sender, received) = watching(&track, 100).await;
    assert_eq!(track.send_rtp(unnumbered(0)), 1);
    next(&received).await;
    // The peer takes nothing of it any more, and then does again.
    bob.set_direction(received.id(), Direction::Inactive).unwrap();
    negotiate(&bob, &alice).await;
    assert_eq!(track.send_rtp(unnumbered(3000)), 0);
    bob.set_direction(received.id(), Direction::RecvOnly).unwrap();
    negotiate(&bob, &alice).await;
    assert!(sender.may_send());
    assert_eq!(track.send_rtp(unnumbered(6000)), 1);
}

#[tokio::test]
async fn a_track_that_takes_the_place_of_another_goes_on_with_its_stream() {
    let (first, second) = (Track::new(Codec::vp8()), Track::new(Codec::h264()));
    let (_alice, _bob, sender, received) = watching(&first, 100).await;
    // The last one is late.
    for (number, timestamp) in [(10, 90_000), (12, 93_000), (11, 90_000)] {
        assert_eq!(first.send_rtp(packet(number, timestamp)), 1);
    }
    let (number, timestamp, _) = next(&received).await;
    next(&received).await;
    next(&received).await;
    let newest = (number.wrapping_add(2), timestamp.wrapping_add(3000));

    sender.replace_track(Some(&second)).unwrap();
    assert_eq!((first.places(), second.places()), (0, 1));
    assert_eq!(first.send_rtp(packet(13, 96_000)), 0);
    for (number, timestamp) in [(60_000, 7), (60_002, 3007)] {
        assert_eq!(second.send_rtp(packet(number, timestamp)), 1);
    }
    // Older than where it began.
    assert_eq!(second.send_rtp(packet(59_999, 7)), 0);
    let begin = next(&received).await;
    let after = next(&received).await;
    assert_eq!(begin.0, newest.0.wrapping_add(1));
    assert_ne!(begin.2, 100);
    assert!((1..90_000 * 20).contains(&begin.1.distance_from(newest.1)));
    assert_eq!((after.0, after.1), (begin.0.wrapping_add(2), begin.1.wrapping_add(3000)));

    // What feeds it has begun anew.
    assert_eq!(second.send_rtp(packet(1000, 500_000)), 1);
    let anew = next(&received).await;
    assert_eq!(anew.0, after.0.wrapping_add(1));
    assert!((1..90_000 * 20).contains(&anew.1.distance_from(after.1)));

    sender.replace_track(None).unwrap();
    assert!(sender.track().is_none());
    assert_eq!((second.send_rtp(packet(1001, 503_000)), second.places()), (0, 0));
    sender.replace_track(Some(&first)).unwrap();
    assert_eq!(first.send_rtp(unnumbered(500)), 1);
    let again = next(&received).await;
    assert_eq!(again.0, anew.0.wrapping_add(1));
    assert!(again.1.is_newer_than(anew.1));
    // The same stream all the while.
    assert_eq!(received.transceiver().unwrap().id(), received.id());
}

#[tokio::test]
async fn a_track_keeps_no_connection_and_no_sender() {
    let track = Track::new(Codec::vp8());
    let (alice, bob, sender, received) = watching(&track, 100).await;
    let (carol, _dave, _, there) = watching(&track, 100).await;
    drop((alice, sender));
    timeout(LONG, async { while received.recv_rtp().await.is_some() {} }).await.unwrap();
    assert_eq!(bob.failure(), Some(FailureReason::ClosedByPeer));
    assert_eq!(track.send_rtp(unnumbered(0)), 1);
    next(&there).await;
    assert_eq!(track.places(), 1);
    carol.close();
    assert_eq!((track.send_rtp(unnumbered(1)), track.places()), (0, 0));

    // Senders that come and go leave nothing, also where nothing is sent; a sender keeps its track.
    let alice = connection().await;
    for _ in 0..200 {
        let init = TransceiverInit::new(Direction::SendOnly);
        let sender = alice.add_track(TrackKind::Video, init).unwrap();
        sender.replace_track(Some(&track)).unwrap();
        alice.stop_transceiver(sender.id()).unwrap();
    }
    assert!(track.places() <= 2 * 16, "{} places", track.places());
    let sender = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    sender.replace_track(Some(&Track::new(Codec::vp8()))).unwrap();
    assert_eq!(sender.track().unwrap().codec(), &Codec::vp8());
    sender.remove().unwrap();
    assert!(sender.track().is_none());
}

#[tokio::test]
async fn requests_for_key_frames_of_all_are_one() {
    let track = Track::new(Codec::vp8());
    assert!(!is_key_frame_requested(&track).await);
    // One that begins to send needs one, and one that only waits for it does not.
    let (_a, _b, sender, here) = watching(&track, 100).await;
    timeout(LONG, track.key_frame_requested()).await.unwrap();
    assert_eq!(track.send_rtp(unnumbered(0)), 1);
    assert!(!is_key_frame_requested(&track).await);
    let (_c, _d, _, there) = watching(&track, 120).await;
    timeout(LONG, track.key_frame_requested()).await.unwrap();
    assert_eq!(track.send_rtp(unnumbered(3000)), 2);
    assert!(!is_key_frame_requested(&track).await);
    for received in [&here, &there] {
        next(received).await;
        received.request_key_frame();
        timeout(LONG, track.key_frame_requested()).await.unwrap();
    }
    timeout(LONG, sender.key_frame_requested()).await.unwrap();
    // A second track of the sender is news.
    let other = Track::new(Codec::vp8());
    sender.replace_track(Some(&other)).unwrap();
    assert!(is_key_frame_requested(&other).await && !is_key_frame_requested(&other).await);
    sender.replace_track(Some(&other)).unwrap();
    assert!(!is_key_frame_requested(&other).await, "nothing has changed");
}

#[tokio::test]
async fn a_track_that_does_not_fit_is_refused_and_the_one_before_stays() {
    let track = Track::new(Codec::vp8());
    let (alice, _bob, sender, _received) = watching(&track, 100).await;
    let sound = sender.replace_track(Some(&Track::new(Codec::opus())));
    let is_kind = |refused: &Result<(), PeerConnectionError>| {
        matches!(
            refused,
            Err(PeerConnectionError::TrackKind { track: TrackKind::Audio, sender: TrackKind::Video })
        )
    };
    assert!(is_kind(&sound), "{sound:?}");
    let vp9 = sender.replace_track(Some(&Track::new(Codec::vp9())));
    assert!(matches!(&vp9, Err(PeerConnectionError::TrackCodec(name)) if name == "VP9"), "{vp9:?}");
    assert_eq!(sender.track().as_ref(), Some(&track));
    assert_eq!(track.send_rtp(unnumbered(0)), 1);

    // What is not negotiated yet, may still be.
    let other = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    other.replace_track(Some(&Track::new(Codec::vp9()))).unwrap();
    alice.stop_transceiver(sender.id()).unwrap();
    let stopped = sender.replace_track(None);
    assert!(
        matches!(stopped, Err(PeerConnectionError::Session(SessionError::NoTransceiver(_)))),
        "{stopped:?}"
    );
    alice.close();
    let closed = other.replace_track(None);
    assert!(matches!(closed, Err(PeerConnectionError::Ended(FailureReason::Closed))), "{closed:?}");
}

#[test]
fn kinds_of_codecs() {
    assert!(
        [Codec::opus(), Codec::pcmu(), Codec::pcma()].iter().all(|codec| codec.kind() == TrackKind::Audio)
    );
    assert!([Codec::vp8(), Codec::vp9(), Codec::h264()].iter().all(|codec| codec.kind() == TrackKind::Video));
    let fourteen = PayloadType::from_low_bits(14);
    assert_eq!(Codec::new("MPA", 90_000, fourteen).kind(), TrackKind::Audio);
}
