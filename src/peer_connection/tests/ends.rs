//! Endpoints and runtimes that end, and strangers who would like them to.

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[tokio::test]
async fn empty_datagrams_of_a_stranger_end_no_endpoint() {
    let udp = UdpConfig { receive_buffer: Some(1 << 20), ..UdpConfig::default() };
    let endpoint = Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).udp(udp).bind().unwrap();
    let (alice, bob) = (on(&endpoint).await, connection().await);
    let chat = alice.create_data_channel("chat").unwrap();
    negotiate(&alice, &bob).await;
    let there = channel_of(&bob).await;
    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..2000 {
        stranger.send_to(&[], endpoint.local_addr()).unwrap();
    }
    chat.send_text("still there").await.unwrap();
    assert_eq!(timeout(LONG, there.recv()).await.unwrap().unwrap().text(), Some("still there"));
    let (carol, dave) = (on(&endpoint).await, connection().await);
    let _chat = carol.create_data_channel("chat").unwrap();
    negotiate(&carol, &dave).await;
    timeout(LONG, carol.connected()).await.unwrap().unwrap();
    assert!(endpoint.ended().is_none());
}

#[test]
fn every_future_ends_with_the_runtime_of_the_endpoint() {
    let (here, there) = (runtime(), runtime());
    let endpoint = here.block_on(async { Endpoint::builder().loopback(true).bind().unwrap() });
    let (alice, _bob, chat, track) = there.block_on(async {
        let (alice, bob) = (on(&endpoint).await, connection().await);
        let chat = alice.create_data_channel("chat").unwrap();
        let track = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        negotiate(&alice, &bob).await;
        timeout(LONG, alice.connected()).await.unwrap().unwrap();
        timeout(LONG, chat.opened()).await.unwrap().unwrap();
        (alice, bob, chat, track)
    });
    let waits = there.spawn({
        let (alice, chat, track, endpoint) = (alice.clone(), chat.clone(), track.clone(), endpoint.clone());
        async move {
            let events = async { while alice.next_event().await.is_some() {} };
            tokio::join!(chat.recv(), chat.closed(), track.key_frame_requested(), events, endpoint.end())
        }
    });
    drop(here);
    there.block_on(async {
        let (message, (), asked, (), ended) = timeout(LONG, waits).await.unwrap().unwrap();
        assert!(message.is_none() && asked.is_none() && matches!(ended, EndpointEnded::Runtime));
        assert_eq!(alice.connection_state(), ConnectionState::Closed);
        let runtime = FailureReason::EndpointEnded(EndpointEnded::Runtime);
        let is_told =
            |result: Result<(), PeerConnectionError>| result.unwrap_err().failure() == Some(&runtime);
        assert!(is_told(chat.send_text("late").await));
        assert!(is_told(chat.try_send_text("late")));
        assert!(is_told(chat.opened().await));
        assert!(is_told(alice.connected().await));
        let late = PeerConnection::builder().endpoint(&endpoint).build().await;
        assert!(is_told(late.map(drop)));
        alice.gathering_complete().await;
        chat.buffered_amount_low(0).await;
    });
}

#[test]
fn a_connection_whose_runtime_ends_at_any_time_says_so() {
    let there = runtime();
    for round in 0..50u64 {
        let here = runtime();
        let endpoint = here.block_on(async { Endpoint::builder().loopback(true).bind().unwrap() });
        let work = there.spawn(async move {
            let alice = match PeerConnection::builder().endpoint(&endpoint).build().await {
                Ok(alice) => alice,
                Err(error) => return error,
            };
            let chat = alice.create_data_channel("chat");
            let _ = alice.set_local_description(None);
            alice.gathering_complete().await;
            let waited = alice.connected().await.unwrap_err();
            drop(chat);
            waited
        });
        std::thread::sleep(Duration::from_micros(round * 20));
        drop(here);
        let error = there.block_on(async { timeout(LONG, work).await.unwrap().unwrap() });
        assert!(
            matches!(error, PeerConnectionError::Ended(FailureReason::EndpointEnded(_))),
            "round {round}: {error:?}"
        );
    }
}

#[test]
fn runtimes_that_lack_what_an_endpoint_needs_are_refused() {
    let build = |enable: fn(&mut tokio::runtime::Builder)| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        enable(&mut builder);
        builder.build().unwrap()
    };
    let runtimes = [
        build(|_| ()),
        build(|builder| {
            builder.enable_time();
        }),
        build(|builder| {
            builder.enable_io();
        }),
    ];
    for runtime in runtimes {
        let refused = runtime.block_on(async { PeerConnection::builder().build().await });
        let Err(PeerConnectionError::Bind(BindError::NoRuntime)) = refused else { panic!("{refused:?}") };
    }
    assert!(matches!(Endpoint::builder().bind(), Err(PeerConnectionError::Bind(BindError::NoRuntime))));
}

#[tokio::test]
async fn a_second_connection_between_two_endpoints_says_why_it_ends() {
    let bind = || Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).bind().unwrap();
    let (here, there) = (bind(), bind());
    let (alice, bob) = (on(&here).await, on(&there).await);
    let _chat = alice.create_data_channel("first").unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    let (carol, dave) = (on(&here).await, on(&there).await);
    let second = carol.create_data_channel("second").unwrap();
    negotiate(&carol, &dave).await;
    let is_refused = |told: &Result<(), PeerConnectionError>| {
        matches!(told, Err(PeerConnectionError::Ended(FailureReason::PathInUse { .. })))
    };
    for connection in [&carol, &dave] {
        let told = timeout(LONG, connection.connected()).await.unwrap();
        assert!(is_refused(&told), "{told:?}");
    }
    assert!(is_refused(&second.send_text("late").await));
    assert_eq!(alice.connection_state(), ConnectionState::Connected);
    // With an endpoint of its own on either side there is no such thing.
    let erin = connection().await;
    let frank = on(&there).await;
    let _third = erin.create_data_channel("third").unwrap();
    negotiate(&erin, &frank).await;
    timeout(LONG, erin.connected()).await.unwrap().unwrap();
}

#[tokio::test]
async fn names_that_nobody_answers_to_are_all_given_up() {
    let (alice, bob) = (connection().await, connection().await);
    let _chat = alice.create_data_channel("chat").unwrap();
    alice.set_local_description(None).unwrap();
    alice.gathering_complete().await;
    let offer = alice.local_description().unwrap().text();
    // Names that are none are answered at once.
    let lines: Vec<_> = (0..60)
        .map(|number| format!("a=candidate:{number} 1 udp 2113937151 bad.name.{number}.local 9 typ host\r\n"))
        .collect();
    let lines = lines.concat();
    let offer = offer.replacen("a=candidate", &format!("{lines}a=candidate"), 1);
    bob.set_remote_description(&Description::offer(&offer).unwrap()).unwrap();
    bob.set_local_description(None).unwrap();
    bob.gathering_complete().await;
    let answer = bob.local_description().unwrap();
    alice.set_remote_description(&Description::answer(&answer.text()).unwrap()).unwrap();
    timeout(LONG, bob.connected()).await.unwrap().unwrap();
}
