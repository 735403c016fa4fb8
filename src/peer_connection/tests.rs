use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::layer::RtpTimestamp;
use crate::net::{BindError, UdpConfig};
use crate::sdp::Direction;
use crate::session::SessionError;

mod addresses;
mod ends;
mod failures;
mod handles;
mod limits;
#[cfg(feature = "turn-server")]
mod relays;
mod rtcp;
mod shutdown;
mod signalling;
mod tcp;
mod track;
mod waits;

const LONG: Duration = Duration::from_secs(20);

async fn connection() -> PeerConnection {
    PeerConnection::builder().loopback(true).build().await.unwrap()
}

async fn on(endpoint: &Endpoint) -> PeerConnection {
    PeerConnection::builder().endpoint(endpoint).build().await.unwrap()
}

/// One exchange without trickle, begun by `offerer`.
async fn negotiate(offerer: &PeerConnection, answerer: &PeerConnection) {
    offerer.set_local_description(None).unwrap();
    offerer.gathering_complete().await;
    let offer = offerer.local_description().unwrap();
    answerer.set_remote_description(&Description::offer(&offer.text()).unwrap()).unwrap();
    answerer.set_local_description(None).unwrap();
    answerer.gathering_complete().await;
    let answer = answerer.local_description().unwrap();
    offerer.set_remote_description(&Description::answer(&answer.text()).unwrap()).unwrap();
}

async fn channel_of(connection: &PeerConnection) -> DataChannel {
    let event = async {
        loop {
            if let PeerConnectionEvent::DataChannel(channel) = connection.next_event().await.unwrap() {
                return channel;
            }
        }
    };
    timeout(LONG, event).await.unwrap()
}

async fn pair() -> (PeerConnection, PeerConnection, DataChannel, DataChannel) {
    let (alice, bob) = (connection().await, connection().await);
    let chat = alice.create_data_channel("chat").unwrap();
    negotiate(&alice, &bob).await;
    let there = channel_of(&bob).await;
    (alice, bob, chat, there)
}

#[tokio::test]
async fn messages_go_both_ways() {
    let (alice, bob, chat, there) = pair().await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    timeout(LONG, bob.connected()).await.unwrap().unwrap();
    assert_eq!(there.label(), "chat");
    chat.send_text("ping").await.unwrap();
    assert_eq!(timeout(LONG, there.recv()).await.unwrap().unwrap().text(), Some("ping"));
    there.send(Bytes::from_static(&[1, 2, 3])).await.unwrap();
    assert_eq!(timeout(LONG, chat.recv()).await.unwrap().unwrap().into_data(), [1, 2, 3][..]);
    there.send_text("").await.unwrap();
    assert_eq!(timeout(LONG, chat.recv()).await.unwrap().unwrap().text(), Some(""));
}

#[tokio::test]
async fn sixteen_mebibytes_arrive_intact_whoever_is_slow() {
    let (_alice, _bob, chat, there) = pair().await;
    let sender = tokio::spawn(async move {
        for i in 0..256u32 {
            let data: Vec<u8> = (0..65_536u32).map(|at| (at.wrapping_mul(31) ^ i) as u8).collect();
            chat.send(data).await.unwrap();
        }
        chat.buffered_amount_low(0).await;
        chat
    });
    for i in 0..256u32 {
        let message = timeout(LONG, there.recv()).await.unwrap().unwrap();
        assert_eq!(message.data().len(), 65_536);
        assert_eq!(message.data()[77], (77u32.wrapping_mul(31) ^ i) as u8, "message {i}");
        if i % 64 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    timeout(LONG, sender).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_channel_is_a_stream() {
    let (_alice, _bob, chat, there) = pair().await;
    let mut out = chat.into_stream();
    let mut incoming = there.into_stream();
    let text: Vec<u8> = (0..300_000u32).map(|i| i as u8).collect();
    let sent = text.clone();
    let writer = tokio::spawn(async move {
        out.write_all(&sent).await.unwrap();
        out.shutdown().await.unwrap();
        out
    });
    let mut received = Vec::new();
    timeout(LONG, incoming.read_to_end(&mut received)).await.unwrap().unwrap();
    assert!(received == text);
    timeout(LONG, writer).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_channel_that_nobody_reads_any_more_holds_up_no_other() {
    let (alice, bob, chat, there) = pair().await;
    let other = alice.create_data_channel("other").unwrap();
    let there_too = channel_of(&bob).await;
    chat.send_text("unread").await.unwrap();
    drop(there);
    let sender = tokio::spawn(async move {
        for _ in 0..96 {
            chat.send(vec![0; 65_536]).await.unwrap();
        }
        chat.close();
        timeout(LONG, chat.closed()).await.unwrap();
    });
    timeout(LONG, sender).await.unwrap().unwrap();
    other.send_text("read").await.unwrap();
    assert_eq!(timeout(LONG, there_too.recv()).await.unwrap().unwrap().text(), Some("read"));
    other.close();
    timeout(LONG, there_too.closed()).await.unwrap();
    drop((other, there_too));
    for connection in [alice, bob] {
        assert_eq!(connection.handle.shared.lock().channels.len(), 0);
    }
}

#[tokio::test]
async fn close_is_noticed_and_ends_all_waits() {
    let (alice, bob, chat, there) = pair().await;
    let waiting = tokio::spawn(async move { there.recv().await });
    alice.close();
    assert_eq!(timeout(Duration::from_secs(1), waiting).await.unwrap().unwrap(), None);
    timeout(Duration::from_secs(1), async { while bob.next_event().await.is_some() {} }).await.unwrap();
    assert_eq!(bob.connection_state(), ConnectionState::Closed);
    assert!(matches!(chat.send_text("late").await, Err(PeerConnectionError::Ended(FailureReason::Closed))));
    assert_eq!(bob.create_offer().unwrap_err().failure(), Some(&FailureReason::ClosedByPeer));
}

#[test]
fn a_program_that_ends_at_once_after_closing_is_noticed() {
    let here = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let there = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (bob, served) = there.block_on(async {
        let bob = connection().await;
        let served = bob.create_data_channel("kept").unwrap();
        (bob, served)
    });
    here.block_on(async {
        let alice = connection().await;
        negotiate(&bob, &alice).await;
        timeout(LONG, bob.connected()).await.unwrap().unwrap();
        timeout(LONG, alice.connected()).await.unwrap().unwrap();
        // Nothing runs here after this.
        drop(alice);
    });
    drop(here);
    let end = async {
        assert_eq!(timeout(LONG, served.recv()).await.unwrap(), None);
        // The association ends with one datagram, and the connection with the next.
        let closed =
            bob.wait_for(|state| (state.session.connection_state() == ConnectionState::Closed).then_some(()));
        timeout(LONG, closed).await.unwrap();
    };
    there.block_on(end);
}

#[tokio::test]
async fn an_offer_is_asked_for_only_while_it_is_due() {
    let (alice, bob) = (connection().await, connection().await);
    alice.add_transceiver(TrackKind::Audio, TransceiverInit::default()).unwrap();
    bob.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    // Both are told to offer; Alice's offer reaches Bob before he has looked, and takes his track along.
    negotiate(&alice, &bob).await;
    let count = |connection: &PeerConnection| {
        std::iter::from_fn(|| connection.try_next_event())
            .filter(|event| matches!(event, PeerConnectionEvent::NegotiationNeeded))
            .count()
    };
    assert_eq!((count(&alice), count(&bob)), (0, 0));
    bob.add_transceiver(TrackKind::Video, TransceiverInit::default()).unwrap();
    assert_eq!(count(&bob), 1);
    bob.restart_ice();
    bob.set_local_description(None).unwrap();
    assert_eq!(count(&bob), 0);
}

#[tokio::test]
async fn dropping_all_handles_closes() {
    let (alice, bob, chat, _there) = pair().await;
    drop(alice);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(bob.connection_state(), ConnectionState::Connected, "a channel keeps it open");
    drop(chat);
    timeout(Duration::from_secs(2), async { while bob.next_event().await.is_some() {} }).await.unwrap();
}

#[tokio::test]
async fn many_connections_share_one_port() {
    let server = Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).bind().unwrap();
    let mut peers = Vec::new();
    for i in 0..20 {
        let (client, served) = (connection().await, on(&server).await);
        let chat = client.create_data_channel(format!("chat {i}")).unwrap();
        negotiate(&client, &served).await;
        let there = channel_of(&served).await;
        assert_eq!(there.label(), format!("chat {i}"));
        peers.push((client, served, chat, there));
    }
    for (i, (_, served, chat, there)) in peers.iter().enumerate() {
        chat.send_text(i.to_string()).await.unwrap();
        assert_eq!(timeout(LONG, there.recv()).await.unwrap().unwrap().text(), Some(&*i.to_string()));
        assert_eq!(served.selected_pair().unwrap().path.local, server.local_addr());
    }
}

#[tokio::test]
async fn a_peer_with_the_address_of_one_that_is_gone_connects() {
    let on_one_address = || Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).bind().unwrap();
    let (server, client) = (on_one_address(), on_one_address());
    let (first, gone) = (on(&server).await, on(&client).await);
    first.create_data_channel("first").unwrap();
    negotiate(&first, &gone).await;
    timeout(LONG, first.connected()).await.unwrap().unwrap();
    first.close();
    drop(gone);
    let (second, next) = (on(&server).await, on(&client).await);
    second.create_data_channel("second").unwrap();
    negotiate(&second, &next).await;
    timeout(LONG, second.connected()).await.unwrap().unwrap();
    assert_eq!(channel_of(&next).await.label(), "second");
}

#[tokio::test]
async fn video_frames_arrive_as_packets() {
    let (alice, bob) = (connection().await, connection().await);
    let track = alice.add_track(TrackKind::Video, TransceiverInit::default().stream("camera")).unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    let remote = loop {
        if let PeerConnectionEvent::Track(track) = timeout(LONG, bob.next_event()).await.unwrap().unwrap() {
            break track;
        }
    };
    assert_eq!(remote.kind(), Some(TrackKind::Video));
    assert_eq!(remote.msids()[0].stream, "camera");
    let vp8 = track.codec("VP8").unwrap();
    let mut frames = track.frames(&vp8).unwrap();
    let mut frame = vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
    frame.extend(std::iter::repeat_n(7, 5000));
    frames.send(&frame, RtpTimestamp(3000)).unwrap();
    let mut received = 0;
    loop {
        let packet = timeout(LONG, remote.recv_rtp()).await.unwrap().unwrap();
        received += packet.as_packet().payload().len();
        if packet.as_packet().marker() {
            break;
        }
    }
    assert!(received > frame.len());
    remote.request_key_frame();
    timeout(LONG, track.key_frame_requested()).await.unwrap().unwrap();
}

/// A connection that sends a track to another.
async fn sending(kind: TrackKind) -> (PeerConnection, PeerConnection, RtpSender, RtpReceiver) {
    let (alice, bob) = (connection().await, connection().await);
    let track = alice.add_track(kind, TransceiverInit::default()).unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    let remote = async {
        loop {
            if let PeerConnectionEvent::Track(track) = bob.next_event().await.unwrap() {
                return track;
            }
        }
    };
    let remote = timeout(LONG, remote).await.unwrap();
    (alice, bob, track, remote)
}

#[tokio::test]
async fn a_track_that_nobody_reads_any_more_costs_nothing() {
    let (_alice, bob, track, remote) = sending(TrackKind::Audio).await;
    let payload_type = track.codec("opus").unwrap().payload_type;
    let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), false, Bytes::from("x"));
    track.send_rtp(packet.clone()).unwrap();
    timeout(LONG, remote.recv_rtp()).await.unwrap().unwrap();
    let again = remote.clone();
    drop(remote);
    track.send_rtp(packet).unwrap();
    timeout(LONG, again.recv_rtp()).await.unwrap().unwrap();
    drop(again);
    assert!(bob.handle.shared.lock().tracks.is_empty());
}

fn vp8_frame(is_key: bool, number: u8, len: usize) -> Vec<u8> {
    let head = [u8::from(!is_key), 1, 1, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
    head.into_iter().chain(std::iter::repeat_n(number, len)).collect()
}

#[tokio::test]
async fn frames_that_are_sent_are_the_frames_that_are_received() {
    let (alice, _bob, track, remote) = sending(TrackKind::Video).await;
    let mut received = remote.frames();
    assert_eq!(received.codec(), None);
    let mut sender = track.frames(&track.codec("VP8").unwrap()).unwrap();
    for number in 0..40u8 {
        let frame = vp8_frame(number % 10 == 0, number, 20 + usize::from(number) * 300);
        sender.send(&frame, RtpTimestamp(u32::from(number) * 3000)).unwrap();
        let there = timeout(LONG, received.recv()).await.unwrap().unwrap();
        assert!(there.data == frame, "frame {number}");
        assert_eq!((there.timestamp.0, there.key_frame), (u32::from(number) * 3000, number % 10 == 0));
        assert!(there.contiguous);
    }
    assert!(received.codec().unwrap().codec.is("vp8"));
    assert_eq!(received.statistics().frames, 40);
    alice.close();
    assert_eq!(timeout(LONG, received.recv()).await.unwrap(), None);
    assert_eq!(timeout(LONG, received.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn frames_without_a_key_frame_have_one_asked_for() {
    let (_alice, _bob, track, remote) = sending(TrackKind::Video).await;
    let mut sender = track.frames(&track.codec("VP8").unwrap()).unwrap();
    sender.send(&vp8_frame(false, 1, 50), RtpTimestamp(0)).unwrap();
    let mut received = remote.frames();
    let asked = async {
        tokio::select! {
            asked = track.key_frame_requested() => asked.unwrap(),
            frame = received.recv() => panic!("{frame:?} cannot be decoded"),
        }
    };
    timeout(LONG, asked).await.unwrap();
    sender.send(&vp8_frame(true, 2, 50), RtpTimestamp(3000)).unwrap();
    let frame = timeout(LONG, received.recv()).await.unwrap().unwrap();
    assert!(frame.key_frame && !frame.contiguous);
}

#[tokio::test]
async fn a_packet_that_never_comes_delays_frames_and_does_not_end_them() {
    let (alice, _bob, track, remote) = sending(TrackKind::Audio).await;
    let payload_type = track.codec("opus").unwrap().payload_type;
    let mut received = remote.frames();
    let send = |number: u16| {
        let timestamp = RtpTimestamp(u32::from(number) * 960);
        let mut packet = OutgoingRtp::new(payload_type, timestamp, false, vec![0x78, number as u8].into());
        packet.sequence_number = Some(crate::layer::SequenceNumber(number));
        track.send_rtp(packet).unwrap();
    };
    for number in [1, 2, 4, 5] {
        send(number);
    }
    let mut told = Vec::new();
    for _ in 0..4 {
        let frame = timeout(LONG, received.recv()).await.unwrap().unwrap();
        told.push((frame.data[1], frame.contiguous));
    }
    assert_eq!(told, [(1, true), (2, true), (4, false), (5, true)]);
    // What waits for a packet at the end of the track comes out, too.
    send(7);
    tokio::time::sleep(Duration::from_millis(50)).await;
    alice.close();
    assert_eq!(timeout(LONG, received.recv()).await.unwrap().unwrap().data[1], 7);
    assert_eq!(timeout(LONG, received.recv()).await.unwrap(), None);
}

#[tokio::test]
async fn candidates_of_the_first_offer_name_their_section() {
    let alice = connection().await;
    alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    alice.set_local_description(None).unwrap();
    alice.gathering_complete().await;
    let mid = alice.transceivers()[0].mid().map(|mid| mid.to_string());
    let mut count = 0;
    while let Some(event) = alice.try_next_event() {
        if let PeerConnectionEvent::IceCandidate(candidate) = event {
            assert_eq!((&candidate.sdp_mid, candidate.sdp_m_line_index), (&mid, Some(0)), "{candidate:?}");
            count += 1;
        }
    }
    assert!(count >= 2 && mid.is_some());
}

#[tokio::test]
async fn a_track_that_was_paused_goes_on_where_it_was() {
    let (alice, bob) = (connection().await, connection().await);
    let track = alice.add_track(TrackKind::Audio, TransceiverInit::new(Direction::SendOnly)).unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, alice.connected()).await.unwrap().unwrap();
    let mut next = None;
    for round in 0..8u32 {
        let remote = loop {
            if let PeerConnectionEvent::Track(track) = timeout(LONG, bob.next_event()).await.unwrap().unwrap()
            {
                break track;
            }
        };
        let opus = track.codec("opus").unwrap();
        let packet = OutgoingRtp::new(opus.payload_type, RtpTimestamp(round * 960), false, Bytes::from("x"));
        track.send_rtp(packet.clone()).unwrap();
        let received = timeout(LONG, remote.recv_rtp()).await.unwrap().unwrap();
        let number = received.as_packet().sequence_number();
        assert!(next.is_none_or(|next| next == number), "round {round}: SRTP refuses what was sent before");
        next = Some(number.wrapping_add(1));
        alice.set_direction(track.id(), Direction::Inactive).unwrap();
        negotiate(&alice, &bob).await;
        assert!(matches!(
            track.send_rtp(packet),
            Err(PeerConnectionError::Session(SessionError::NotSending(_)))
        ));
        alice.set_direction(track.id(), Direction::SendOnly).unwrap();
        negotiate(&alice, &bob).await;
    }
}

struct Panics(Arc<AtomicBool>);

#[async_trait]
impl PeerConnectionHandler for Panics {
    async fn on_connection_state(&mut self, connection: &PeerConnection, state: ConnectionState) {
        if state == ConnectionState::Connected {
            assert!(connection.local_description().is_some());
            self.0.store(true, Ordering::Relaxed);
            panic!("what a handler does");
        }
    }
}

#[tokio::test]
async fn a_handler_that_panics_takes_its_own_connection_down_only() {
    let endpoint = Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).bind().unwrap();
    let (unlucky, lucky) = (on(&endpoint).await, on(&endpoint).await);
    let has_panicked = Arc::new(AtomicBool::new(false));
    unlucky.handle_events(Panics(has_panicked.clone()));
    let (alice, bob) = (connection().await, connection().await);
    let chat = alice.create_data_channel("chat").unwrap();
    let _other = bob.create_data_channel("other").unwrap();
    negotiate(&alice, &lucky).await;
    negotiate(&bob, &unlucky).await;
    timeout(LONG, async { while bob.next_event().await.is_some() {} }).await.unwrap();
    assert!(has_panicked.load(Ordering::Relaxed));
    assert_eq!(unlucky.failure(), Some(FailureReason::HandlerPanicked));
    let there = channel_of(&lucky).await;
    chat.send_text("still here").await.unwrap();
    assert_eq!(timeout(LONG, there.recv()).await.unwrap().unwrap().text(), Some("still here"));
}

#[tokio::test]
async fn a_silent_stun_server_delays_nobody() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("stun:{}", silent.local_addr().unwrap());
    let alice = PeerConnection::builder().loopback(true).stun_server(url).build().await.unwrap();
    let bob = connection().await;
    alice.create_data_channel("chat").unwrap();
    // With trickle: what is found first is signalled first.
    alice.set_local_description(None).unwrap();
    bob.set_remote_description(&alice.local_description().unwrap()).unwrap();
    bob.set_local_description(None).unwrap();
    bob.gathering_complete().await;
    alice.set_remote_description(&bob.local_description().unwrap()).unwrap();
    timeout(Duration::from_secs(3), alice.connected()).await.unwrap().unwrap();
    assert_eq!(alice.gathering_state(), GatheringState::Gathering);
    assert!(matches!(
        PeerConnection::builder().stun_server("turn:x").build().await,
        Err(PeerConnectionError::ServerUrl(_))
    ));
}

#[tokio::test]
async fn statistics_tell_what_was_sent() {
    let (alice, _bob, chat, there) = pair().await;
    chat.send_text("counted").await.unwrap();
    timeout(LONG, there.recv()).await.unwrap().unwrap();
    let report = alice.get_stats();
    let sent = report.iter().find_map(|entry| match entry {
        Stats::DataChannel(channel) => Some((channel.messages_sent, channel.bytes_sent)),
        _ => None,
    });
    assert_eq!(sent, Some((1, 7)));
    let transport = report.iter().find_map(|entry| match entry {
        Stats::Transport(transport) => Some(transport),
        _ => None,
    });
    let pair = transport.unwrap().selected_candidate_pair_id.as_ref().unwrap();
    assert_eq!(report.get(pair).unwrap().kind(), "candidate-pair");
}

/// Sends on a channel until nothing more goes for a while.
async fn fill(channel: &DataChannel) {
    timeout(LONG, channel.opened()).await.unwrap().unwrap();
    let payload = Bytes::from(vec![7; 60_000]);
    while timeout(Duration::from_millis(500), channel.send(payload.clone())).await.is_ok() {}
}

/// Nothing that the reader of one channel leaves undone holds up another channel: not one that is held and not
/// read, nor one of which the application has not even fetched the event.
#[tokio::test]
async fn an_unread_channel_holds_up_no_other() {
    for fetches in [true, false] {
        let (alice, bob, chat, there) = pair().await;
        let full = alice.create_data_channel("full").unwrap();
        let unread = if fetches { Some(channel_of(&bob).await) } else { None };
        fill(&full).await;
        timeout(LONG, there.send_text("free")).await.unwrap().unwrap();
        let message = timeout(LONG, chat.recv()).await.unwrap().unwrap();
        assert_eq!(message.text(), Some("free"));
        // Whoever lets go of the channel makes room for the others.
        let unread = match unread {
            Some(unread) => unread,
            None => channel_of(&bob).await,
        };
        drop(unread);
        timeout(LONG, chat.send_text("room again")).await.unwrap().unwrap();
        let message = timeout(LONG, there.recv()).await.unwrap().unwrap();
        assert_eq!(message.text(), Some("room again"));
    }
}
