//! What waits ends when this side ends what it waits for.

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
