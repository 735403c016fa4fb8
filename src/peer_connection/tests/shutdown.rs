//! An orderly end, and what the other one loses.

use super::*;
use crate::session::OutgoingRtp;

#[tokio::test]
async fn everything_that_was_sent_arrives_before_an_orderly_end() {
    for is_slow in [false, true] {
        let (alice, bob, chat, there) = pair().await;
        let reader = tokio::spawn(async move {
            let mut count = 0;
            while let Some(message) = there.recv().await {
                assert_eq!(message.data()[..], vec![count as u8; 16 << 10]);
                count += 1;
                if is_slow && count % 100 == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            (count, bob.failure())
        });
        for number in 0..1000u32 {
            chat.send(vec![number as u8; 16 << 10]).await.unwrap();
        }
        timeout(LONG, alice.shutdown()).await.unwrap().unwrap();
        assert_eq!(alice.failure(), Some(FailureReason::Closed));
        // `alice` and `chat` are there still, and do not matter.
        assert_eq!(timeout(LONG, reader).await.unwrap().unwrap().0, 1000);
    }
}

/// The program of the documentation, whose last handle goes right after.
#[tokio::test]
async fn a_peer_may_close_as_soon_as_it_has_everything() {
    for _ in 0..20 {
        let (alice, bob, chat, there) = pair().await;
        let reader = tokio::spawn(async move {
            let text = there.recv().await.and_then(|message| message.text().map(str::to_owned));
            there.closed().await;
            bob.close();
            text
        });
        chat.send_text("hello").await.unwrap();
        drop(chat);
        timeout(LONG, alice.shutdown()).await.unwrap().unwrap();
        drop(alice);
        assert_eq!(timeout(LONG, reader).await.unwrap().unwrap().as_deref(), Some("hello"));
    }
}

#[tokio::test]
async fn media_that_waits_is_sent_before_an_orderly_end() {
    let (alice, bob, track, there) = sending(TrackKind::Video).await;
    timeout(LONG, bob.connected()).await.unwrap().unwrap();
    let payload_type = track.codecs()[0].payload_type;
    for number in 0..100 {
        let payload = vec![number; 1000].into();
        track.send_rtp(OutgoingRtp::new(payload_type, RtpTimestamp(number.into()), true, payload)).unwrap();
    }
    timeout(LONG, alice.shutdown()).await.unwrap().unwrap();
    let mut count = 0;
    while timeout(LONG, there.recv_rtp()).await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 100);
}

#[tokio::test]
async fn an_orderly_end_that_is_given_up_leaves_the_connection_open() {
    let (alice, bob, chat, there) = pair().await;
    // Nobody reads, and so it cannot end.
    while timeout(Duration::from_millis(300), chat.send(vec![0; 65_536])).await.is_ok() {}
    assert!(timeout(Duration::from_millis(50), alice.shutdown()).await.is_err());
    assert_eq!((alice.failure(), bob.failure()), (None, None));
    let second = alice.create_data_channel("second").unwrap();
    timeout(LONG, second.opened()).await.unwrap().unwrap();
    drop(there);
    timeout(LONG, alice.shutdown()).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_orderly_end_says_what_it_could_not_deliver() {
    let (alice, bob, chat, _there) = pair().await;
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    while chat.try_send(vec![0; 65_536]).is_ok() {}
    let ends = {
        let alice = alice.clone();
        tokio::spawn(async move { alice.shutdown().await })
    };
    tokio::task::yield_now().await;
    bob.close();
    let error = timeout(LONG, ends).await.unwrap().unwrap().unwrap_err();
    let reason = error.failure().unwrap();
    assert!(matches!(reason, FailureReason::ClosedByPeer | FailureReason::Sctp(_)), "{reason}");
    assert!(alice.failure().is_some());
    // One that has nothing to deliver is closed at once, and again.
    let carol = connection().await;
    carol.create_data_channel("chat").unwrap();
    timeout(LONG, carol.shutdown()).await.unwrap().unwrap();
    timeout(LONG, carol.shutdown()).await.unwrap().unwrap();
    assert_eq!(carol.failure(), Some(FailureReason::Closed));
}

#[tokio::test]
async fn a_stream_that_was_shut_down_ends_even_if_the_connection_does() {
    let (alice, bob, chat, there) = pair().await;
    let mut writer = chat.into_stream();
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        let result = there.into_stream().read_to_end(&mut all).await;
        drop(bob);
        (all.len(), result)
    });
    writer.write_all(&vec![1; 300_000]).await.unwrap();
    writer.shutdown().await.unwrap();
    timeout(LONG, writer.channel().closed()).await.unwrap();
    alice.close();
    let (len, result) = timeout(LONG, reader).await.unwrap().unwrap();
    assert_eq!((len, result.unwrap()), (300_000, 300_000));
}

/// Who gives a write up may write something else: `tokio::io` says that nothing was taken.
#[tokio::test]
async fn a_write_that_is_given_up_has_taken_nothing() {
    let (_alice, _bob, chat, there) = pair().await;
    let mut writer = chat.into_stream();
    let mut written = Vec::new();
    // Nobody reads, and so the buffer fills.
    while let Ok(result) = timeout(Duration::from_millis(300), writer.write(&[1; 16 << 10])).await {
        written.resize(written.len() + result.unwrap(), 1);
    }
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        there.into_stream().read_to_end(&mut all).await.unwrap();
        all
    });
    timeout(LONG, writer.write_all(b"end")).await.unwrap().unwrap();
    timeout(LONG, writer.shutdown()).await.unwrap().unwrap();
    written.extend(b"end");
    assert!(timeout(LONG, reader).await.unwrap().unwrap() == written, "what was written is what is read");
}

#[tokio::test]
async fn a_stream_says_that_what_was_written_is_lost() {
    for by_peer in [true, false] {
        let (alice, bob, chat, there) = pair().await;
        let mut writer = chat.into_stream();
        while timeout(Duration::from_millis(100), writer.write(&[1; 16 << 10])).await.is_ok() {}
        assert!(timeout(Duration::from_millis(50), writer.flush()).await.is_err(), "nobody reads");
        if by_peer {
            bob.close()
        } else {
            alice.close()
        }
        for result in [timeout(LONG, writer.flush()).await, timeout(LONG, writer.shutdown()).await] {
            let error = result.unwrap().unwrap_err();
            let reason = error.get_ref().and_then(|reason| reason.downcast_ref::<FailureReason>());
            assert_eq!(reason.is_some_and(|reason| *reason == FailureReason::Closed), !by_peer, "{error}");
        }
        drop(there);
    }
}

#[tokio::test]
async fn orderly_ends_at_once_are_one() {
    let (alice, _bob, chat, there) = pair().await;
    let reader = tokio::spawn(async move {
        let mut count = 0;
        while there.recv().await.is_some() {
            count += 1;
        }
        count
    });
    for number in 0..300u32 {
        chat.send(vec![number as u8; 16 << 10]).await.unwrap();
    }
    let ends = [(); 5].map(|()| {
        let alice = alice.clone();
        tokio::spawn(async move { alice.shutdown().await })
    });
    for end in ends {
        timeout(LONG, end).await.unwrap().unwrap().unwrap();
    }
    assert_eq!(timeout(LONG, reader).await.unwrap().unwrap(), 300);
}
