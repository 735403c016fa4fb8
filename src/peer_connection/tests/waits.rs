//! What waits ends when this side ends what it waits for.

use std::task::Poll;

use super::*;

#[tokio::test]
async fn a_send_that_waits_ends_when_this_side_closes_the_channel() {
    let (_alice, _bob, chat, _there) = pair().await;
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    let sender = {
        let chat = chat.clone();
        tokio::spawn(async move {
            loop {
                if let Err(error) = chat.send(vec![0; 100_000]).await {
                    return error;
                }
            }
        })
    };
    // Nobody reads, and so the buffer fills.
    while chat.try_send(vec![0; 100_000]).is_ok() || chat.buffered_amount() < 1 << 20 {
        tokio::task::yield_now().await;
    }
    let low = {
        let chat = chat.clone();
        tokio::spawn(async move { chat.buffered_amount_low(0).await })
    };
    tokio::task::yield_now().await;
    chat.close();
    let error = timeout(LONG, sender).await.unwrap().unwrap();
    assert!(matches!(error, PeerConnectionError::ChannelClosed), "{error}");
    timeout(LONG, low).await.unwrap().unwrap();
    let error = timeout(LONG, chat.send_text("late")).await.unwrap().unwrap_err();
    assert!(matches!(error, PeerConnectionError::ChannelClosed), "{error}");
}

#[tokio::test]
async fn who_waits_for_little_is_not_forgotten_for_who_waits_for_more() {
    let (_alice, _bob, chat, there) = pair().await;
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    chat.try_send(vec![0; 100_000]).unwrap();
    let mut empty = std::pin::pin!(chat.buffered_amount_low(0));
    let is_waiting =
        std::future::poll_fn(|context| Poll::Ready(empty.as_mut().poll(context).is_pending())).await;
    assert!(is_waiting, "no other task has run");
    chat.buffered_amount_low(1 << 20).await;
    assert!(chat.buffered_amount() > 0, "nor has one now");
    timeout(LONG, empty).await.unwrap();
    assert_eq!(timeout(LONG, there.recv()).await.unwrap().unwrap().data().len(), 100_000);
}

#[tokio::test]
async fn a_channel_that_is_closed_before_it_opens_ends_its_waits() {
    let alice = connection().await;
    let chat = alice.create_data_channel("chat").unwrap();
    let waiting = [chat.clone(), chat.clone()];
    let [opens, sends] = waiting;
    let opens = tokio::spawn(async move { opens.opened().await });
    let sends = tokio::spawn(async move { sends.send_text("early").await });
    tokio::task::yield_now().await;
    chat.close();
    for waited in [opens, sends] {
        let error = timeout(LONG, waited).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, PeerConnectionError::ChannelClosed), "{error}");
    }
}

#[tokio::test]
async fn a_transceiver_that_is_stopped_ends_what_waits_for_it() {
    for local in [true, false] {
        let (alice, bob, track, there) = sending(TrackKind::Video).await;
        let id = there.id();
        let asked = tokio::spawn(async move { track.key_frame_requested().await });
        let received = tokio::spawn(async move { there.recv_rtp().await });
        tokio::task::yield_now().await;
        if local {
            // Each side its own, and without an exchange.
            alice.stop_transceiver(alice.transceivers()[0].id()).unwrap();
            bob.stop_transceiver(id).unwrap();
        } else {
            bob.stop_transceiver(id).unwrap();
            negotiate(&bob, &alice).await;
        }
        assert!(timeout(LONG, asked).await.unwrap().unwrap().is_none());
        assert!(timeout(LONG, received).await.unwrap().unwrap().is_none());
    }
}

#[tokio::test]
async fn a_track_that_is_not_received_any_more_ends() {
    let (alice, bob, _track, there) = sending(TrackKind::Video).await;
    bob.set_direction(there.id(), Direction::Inactive).unwrap();
    let received = tokio::spawn(async move { there.recv_rtp().await });
    negotiate(&bob, &alice).await;
    assert!(timeout(LONG, received).await.unwrap().unwrap().is_none());
}

#[tokio::test]
async fn gathering_that_never_begins_ends_with_the_connection() {
    let alice = connection().await;
    let gathered = {
        let alice = alice.clone();
        tokio::spawn(async move { alice.gathering_complete().await })
    };
    tokio::task::yield_now().await;
    assert!(!gathered.is_finished());
    alice.close();
    timeout(LONG, gathered).await.unwrap().unwrap();
    assert_eq!(alice.failure(), Some(FailureReason::Closed));

    // Asked for before it begins, it ends when it is done.
    let bob = connection().await;
    bob.create_data_channel("chat").unwrap();
    let gathered = {
        let bob = bob.clone();
        tokio::spawn(async move { bob.gathering_complete().await })
    };
    tokio::task::yield_now().await;
    bob.set_local_description(None).unwrap();
    timeout(LONG, gathered).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_channel_keeps_its_name() {
    let (alice, bob, chat, there) = pair().await;
    let mut init = ChannelInit::new("second");
    init.protocol = "lines".to_owned();
    init.ordered = false;
    let second = alice.create_data_channel(init).unwrap();
    let second_there = channel_of(&bob).await;
    chat.close();
    second.close();
    for channel in [&chat, &there, &second, &second_there] {
        timeout(LONG, channel.closed()).await.unwrap();
    }
    assert_eq!((chat.label(), there.label()), ("chat".to_owned(), "chat".to_owned()));
    for channel in [second, second_there] {
        assert_eq!((channel.label(), channel.protocol()), ("second".to_owned(), "lines".to_owned()));
        assert!(!channel.init().ordered);
    }
    bob.close();
    assert_eq!(there.label(), "chat");
}

/// It closed before its event was fetched.
#[tokio::test]
async fn a_channel_that_closed_early_has_a_name() {
    let (alice, bob, _chat, _there) = pair().await;
    let brief = alice.create_data_channel("brief").unwrap();
    timeout(LONG, brief.opened()).await.unwrap().unwrap();
    brief.close();
    timeout(LONG, brief.closed()).await.unwrap();
    assert_eq!(channel_of(&bob).await.label(), "brief");
}

/// What comes of waiting until a track may send, once that is certain.
async fn negotiated(track: &RtpSender) -> Result<(), SessionError> {
    match timeout(LONG, track.negotiated()).await.unwrap() {
        Ok(()) => Ok(()),
        Err(PeerConnectionError::Session(error)) => Err(error),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_track_tells_when_it_is_negotiated() {
    let (alice, bob) = (connection().await, connection().await);
    let track = alice.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    assert_eq!(track.payload_type("opus"), None);
    let waiting = {
        let track = track.clone();
        tokio::spawn(async move { track.negotiated().await })
    };
    tokio::task::yield_now().await;
    // An offer of this side alone says nothing yet. Dropped before it is done, the future takes nothing with it.
    alice.set_local_description(None).unwrap();
    assert!(timeout(Duration::from_millis(50), track.negotiated()).await.is_err());
    assert!(!waiting.is_finished());
    alice.gathering_complete().await;
    bob.set_remote_description(&alice.local_description().unwrap()).unwrap();
    bob.set_local_description(None).unwrap();
    alice.set_remote_description(&bob.local_description().unwrap()).unwrap();
    timeout(LONG, waiting).await.unwrap().unwrap().unwrap();
    assert!(track.may_send());
    for codec in track.codecs() {
        assert_eq!(track.payload_type_for(&codec.codec), Some(codec.payload_type));
    }
    assert_eq!(track.payload_type("OPUS"), Some(track.codec("opus").unwrap().payload_type));
    assert_eq!(track.payload_type("VP8"), None);
    assert_eq!(track.payload_type_for(&Codec::vp8()), None);
    negotiated(&track).await.unwrap();

    // One that comes later waits for the next exchange, also on a transceiver that is known.
    let reverse = bob.sender(bob.transceivers()[0].id()).unwrap();
    assert_eq!(negotiated(&reverse).await, Err(SessionError::NotSending(reverse.id())));
    bob.set_direction(reverse.id(), Direction::SendRecv).unwrap();
    assert!(timeout(Duration::from_millis(50), reverse.negotiated()).await.is_err());
    negotiate(&bob, &alice).await;
    negotiated(&reverse).await.unwrap();

    alice.close();
    let error = timeout(LONG, track.negotiated()).await.unwrap().unwrap_err();
    assert_eq!(error.failure(), Some(&FailureReason::Closed));
}

#[tokio::test]
async fn a_track_that_will_not_be_negotiated_says_why() {
    let waiting = |track: &RtpSender| {
        let track = track.clone();
        tokio::spawn(async move { negotiated(&track).await })
    };
    // The peer wants nothing, or gives the section up.
    for stops in [false, true] {
        let (alice, bob) = (connection().await, connection().await);
        let track = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        let waiting = waiting(&track);
        alice.set_local_description(None).unwrap();
        alice.gathering_complete().await;
        bob.set_remote_description(&alice.local_description().unwrap()).unwrap();
        let there = bob.transceivers()[0].id();
        match stops {
            true => bob.stop_transceiver(there).unwrap(),
            false => bob.set_direction(there, Direction::Inactive).unwrap(),
        }
        bob.set_local_description(None).unwrap();
        alice.set_remote_description(&bob.local_description().unwrap()).unwrap();
        let expected = match stops {
            true => SessionError::NoTransceiver(track.id()),
            false => SessionError::NotSending(track.id()),
        };
        assert_eq!(timeout(LONG, waiting).await.unwrap().unwrap(), Err(expected));
    }
    // This side does not want it any more, before the peer has heard of it and after that.
    for is_known in [false, true] {
        let (alice, bob) = (connection().await, connection().await);
        let init = TransceiverInit::new(Direction::RecvOnly);
        let id = alice.add_transceiver(TrackKind::Video, init).unwrap();
        if is_known {
            negotiate(&alice, &bob).await;
        }
        let track = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        assert_eq!(track.id(), id);
        let [stopped, removed] = [(); 2].map(|()| waiting(&track));
        tokio::task::yield_now().await;
        assert!(!removed.is_finished());
        if is_known {
            track.remove().unwrap();
            let error = timeout(LONG, removed).await.unwrap().unwrap();
            assert_eq!(error, Err(SessionError::NotSending(id)));
        } else {
            alice.stop_transceiver(id).unwrap();
        }
        let error = timeout(LONG, stopped).await.unwrap().unwrap();
        assert!(error.is_err());
    }
    let alice = connection().await;
    let track = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    let waiting = tokio::spawn(async move { track.negotiated().await });
    tokio::task::yield_now().await;
    alice.close();
    let error = timeout(LONG, waiting).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.failure(), Some(&FailureReason::Closed));
}

#[tokio::test]
async fn what_is_forwarded_is_what_came() {
    let (_alice, bob, track, remote) = sending(TrackKind::Audio).await;
    let payload_type = track.payload_type("opus").unwrap();
    let mut sent = OutgoingRtp::new(payload_type, RtpTimestamp(960), true, Bytes::from("sound"));
    sent.sequence_number = Some(crate::layer::SequenceNumber(4711));
    sent.extensions.audio_level = Some(crate::rtp::AudioLevel { voice: true, dbov: 42 });
    track.send_rtp(sent.clone()).unwrap();
    let packet = timeout(LONG, remote.recv_rtp()).await.unwrap().unwrap();
    let codec = remote.codec_of(&packet.as_packet()).unwrap();
    assert!(codec.codec.is("opus"));
    let back = bob.sender(remote.id()).unwrap().payload_type_for(&codec.codec).unwrap();
    let out = packet.to_outgoing(back);
    assert_eq!(
        (out.timestamp, out.marker, out.sequence_number),
        (sent.timestamp, true, sent.sequence_number)
    );
    assert_eq!(out.extensions, sent.extensions);
    // Shared, not copied.
    assert_eq!(out.payload, "sound");
    assert_eq!(out.payload.as_ptr(), packet.packet.payload().as_ptr());
}
