//! Whole connections with Chromium and Firefox, each as the one that offers and as the one that answers: data,
//! renegotiation, restarts and ends.

mod browser_pair;

use std::time::Duration;

use browser_pair::{BROWSERS, LONG, Pair, SOURCES, text, webrtc_rs};
use bytes::Bytes;
use kaon_interop::{Kind, Restart};
use kaon_rtc::peer_connection::{
    ChannelInit, ConnectionState, DataChannel, Description, IceCandidateInit, PeerConnectionEvent,
    SignalingState, TrackKind, TransceiverInit,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const WATCH_CHANNEL: &str = "
    globalThis.watch = (channel) => {
        globalThis.channel = channel;
        channel.binaryType = 'arraybuffer';
        globalThis.bytes = 0;
        channel.onmessage = ({ data }) => {
            bytes += data.byteLength;
            globalThis.check?.(data);
        };
    };
    globalThis.piece = (index, size) => {
        const data = new Uint8Array(size);
        for (let i = 0; i < size; i += 1) data[i] = (index * size + i) * 31 >> 3;
        new DataView(data.buffer).setUint32(0, index);
        return data;
    };
    // Each piece once and as it was sent, and one after the other if the channel is ordered.
    globalThis.checkPieces = (size) => {
        globalThis.intact = new Set();
        globalThis.check = (data) => {
            const index = new DataView(data).getUint32(0);
            const expected = piece(index, size);
            const isSame = data.byteLength === size && new Uint8Array(data).every((byte, i) => byte === expected[i]);
            if (isSame && (!channel.ordered || index === intact.size)) intact.add(index);
        };
    };
    globalThis.pump = async (count, size) => {
        channel.bufferedAmountLowThreshold = 262144;
        for (let index = 0; index < count; index += 1) {
            if (channel.bufferedAmount > 1048576)
                await new Promise((resolve) => channel.onbufferedamountlow = resolve);
            channel.send(piece(index, size));
        }
    };
";

/// As the page makes it: 32-bit arithmetic, and the low byte of it; the number of the piece in front.
fn piece(index: usize, size: usize) -> Bytes {
    let bytes = index * size..(index + 1) * size;
    let mut piece: Vec<_> = bytes.map(|at| (((at as i64 * 31) as i32) >> 3) as u8).collect();
    piece[..4].copy_from_slice(&(index as u32).to_be_bytes());
    piece.into()
}

async fn transfer(mut pair: Pair, browser_offers: bool, ordered: bool) {
    const TOTAL: usize = 16 << 20;
    const SIZE: usize = 16 << 10;
    const COUNT: usize = TOTAL / SIZE;
    pair.browser.eval(WATCH_CHANNEL, Value::Null);
    let chat = if browser_offers {
        pair.browser.eval("watch(connection.createDataChannel('bulk', { ordered: args }));", json!(ordered));
        pair.negotiate(true).await;
        pair.connected().await;
        pair.channel().await
    } else {
        pair.browser.eval("connection.ondatachannel = ({ channel }) => watch(channel);", Value::Null);
        let mut init = ChannelInit::new("bulk");
        init.ordered = ordered;
        let channel = pair.kaon.create_data_channel(init).unwrap();
        pair.negotiate(false).await;
        pair.connected().await;
        channel
    };
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    assert_eq!(chat.init().ordered, ordered);
    let there = pair.browser.eval(
        "
        await until('the channel', () => globalThis.channel?.readyState === 'open');
        checkPieces(args[1]);
        void pump(...args);
        return channel.ordered;
        ",
        json!([COUNT, SIZE]),
    );
    assert_eq!(there, ordered);
    let sender = tokio::spawn({
        let chat = chat.clone();
        async move {
            for index in 0..COUNT {
                chat.send(piece(index, SIZE)).await.unwrap();
            }
        }
    });
    let mut seen = vec![false; COUNT];
    for count in 0..COUNT {
        let message = timeout(LONG, chat.recv()).await.expect("in time").expect("a message");
        let index = u32::from_be_bytes(*message.data().first_chunk().unwrap()) as usize;
        assert!(!ordered || index == count, "{index} is number {count}");
        assert!(!std::mem::replace(&mut seen[index], true), "{index} came twice");
        assert!(*message.data() == piece(index, SIZE), "{index} is not what was sent");
    }
    timeout(LONG, sender).await.unwrap().unwrap();
    let there = pair
        .browser
        .eval("await until('the rest', () => bytes >= args); return [bytes, intact.size];", json!(TOTAL));
    assert_eq!(there, json!([TOTAL, COUNT]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_go_both_ways() {
    for kind in BROWSERS {
        for browser_offers in [true, false] {
            for ordered in [true, false] {
                let Some(pair) = Pair::start(kind).await else { return };
                transfer(pair, browser_offers, ordered).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_the_webrtc_rs_crates() {
    for browser_offers in [true, false] {
        let Some(pair) = Pair::of(Kind::Chromium, webrtc_rs()).await else { return };
        transfer(pair, browser_offers, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracks_are_added_and_removed_ten_times() {
    for kind in BROWSERS {
        let Some(mut pair) = Pair::start(kind).await else { return };
        pair.browser.eval(SOURCES, Value::Null);
        pair.kaon.create_data_channel("keep").unwrap();
        pair.negotiate(false).await;
        pair.connected().await;
        for round in 0..10 {
            pair.browser.eval(
                "globalThis.made ??= await sources(); globalThis.sender = connection.addTrack(made[0]);",
                Value::Null,
            );
            pair.negotiate(true).await;
            let track = pair.track().await;
            let packet = timeout(LONG, track.recv_rtp()).await.expect("in time").expect("a packet");
            assert!(!packet.as_packet().payload().is_empty() || packet.as_packet().padding_len() > 0);
            // A track that was removed keeps its section for the same transceiver; one that is stopped gives it up.
            let end = match round % 2 {
                0 => "connection.removeTrack(sender);",
                _ => "connection.getTransceivers().find((it) => it.sender === sender).stop();",
            };
            pair.browser.eval(end, Value::Null);
            pair.negotiate(true).await;
            pair.event(|event| matches!(event, PeerConnectionEvent::TrackEnded(_)).then_some(())).await;

            let local = pair.kaon.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
            pair.negotiate(false).await;
            assert!(local.may_send(), "round {round}");
            match round % 2 {
                0 => local.remove().unwrap(),
                _ => pair.kaon.stop_transceiver(local.id()).unwrap(),
            }
            pair.negotiate(false).await;
            assert!(!local.may_send(), "round {round}");
        }
        assert_eq!(pair.kaon.signaling_state(), SignalingState::Stable);
        let sections = pair.kaon.local_description().unwrap().sdp.unwrap().media.len();
        // Data, and for each kind the five that were removed and one place that was given up and taken again.
        assert!(sections <= 13, "{sections} media sections");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ice_restarts() {
    for kind in BROWSERS {
        let Some(mut pair) = Pair::start(kind).await else { return };
        pair.browser.eval(WATCH_CHANNEL, Value::Null);
        pair.browser.eval("watch(connection.createDataChannel('chat'));", Value::Null);
        pair.negotiate(true).await;
        pair.connected().await;
        let chat = pair.channel().await;
        for browser_restarts in [true, false, true] {
            let restart = Restart::begin(&pair.kaon);
            if browser_restarts {
                pair.browser.eval("connection.restartIce();", Value::Null);
            } else {
                pair.kaon.restart_ice();
            }
            pair.negotiate(browser_restarts).await;
            restart.complete(&pair.kaon).await;
            pair.connected().await;
            let before = pair.browser.eval("return bytes;", Value::Null).as_u64().unwrap();
            chat.send(Bytes::from_static(b"after the restart")).await.unwrap();
            pair.browser.eval(
                "await until('the message', () => bytes === args);",
                json!(before + b"after the restart".len() as u64),
            );
        }
    }
}

/// Trickle, and both sides offer at once: Kaon is polite, then the browser.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_at_once_are_settled() {
    for kind in BROWSERS {
        for kaon_is_polite in [true, false] {
            let Some(mut pair) = Pair::start(kind).await else { return };
            pair.browser.eval(
                "
                globalThis.mine = connection.createDataChannel('from the browser');
                globalThis.theirs = new Promise((resolve) => connection.ondatachannel = ({ channel }) => resolve(channel));
                connection.onicecandidate = ({ candidate }) => received.push(candidate?.toJSON() ?? { candidate: '' });
                ",
                Value::Null,
            );
            pair.kaon.create_data_channel("from Kaon").unwrap();
            let offer = pair.browser.eval(
                "await connection.setLocalDescription(); return connection.localDescription;",
                Value::Null,
            );
            pair.kaon.set_local_description(None).unwrap();
            let own = pair.kaon.local_description().unwrap();
            if kaon_is_polite {
                pair.kaon.set_remote_description(&Description::offer(text(&offer)).unwrap()).unwrap();
                pair.kaon.set_local_description(None).unwrap();
                let answer = pair.kaon.local_description().unwrap();
                pair.accept(&answer);
            } else {
                pair.accept(&own);
                let answer = pair.browser.eval(
                    "await connection.setLocalDescription(); return connection.localDescription;",
                    Value::Null,
                );
                pair.kaon.set_remote_description(&Description::answer(text(&answer)).unwrap()).unwrap();
            }
            let mut channel = trickle(&mut pair).await;
            pair.connected().await;
            assert_eq!(pair.kaon.signaling_state(), SignalingState::Stable);
            if channel.is_none() {
                channel = Some(pair.channel().await);
            }
            assert_eq!(channel.unwrap().label(), "from the browser");
            let label = pair.browser.eval("return (await theirs).label;", Value::Null);
            assert_eq!(label, "from Kaon");
        }
    }
}

/// Carries candidates both ways until the connection is there, and returns the channel that came on the way.
async fn trickle(pair: &mut Pair) -> Option<DataChannel> {
    let mut channel = None;
    for _ in 0..300 {
        while let Some(event) = pair.kaon.try_next_event() {
            if let PeerConnectionEvent::DataChannel(opened) = event {
                channel = Some(opened);
            } else if let PeerConnectionEvent::IceCandidate(candidate) = event {
                let candidate = json!({
                    "candidate": candidate.candidate,
                    "sdpMid": candidate.sdp_mid,
                    "sdpMLineIndex": candidate.sdp_m_line_index,
                    "usernameFragment": candidate.username_fragment,
                });
                // One of an offer that was taken back is nobody's.
                let _ = pair.browser.try_eval("await connection.addIceCandidate(args);", candidate);
            }
        }
        for candidate in pair.browser.eval("return received.splice(0);", Value::Null).as_array().unwrap() {
            let text = |name: &str| candidate[name].as_str().map(str::to_owned);
            let mut init = IceCandidateInit::new(text("candidate").unwrap_or_default());
            init.sdp_mid = text("sdpMid");
            init.sdp_m_line_index = candidate["sdpMLineIndex"].as_u64().map(|index| index as u16);
            init.username_fragment = text("usernameFragment");
            let _ = pair.kaon.add_ice_candidate(&init);
        }
        if pair.kaon.connection_state() == ConnectionState::Connected {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    channel
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_seen_within_a_second() {
    for kind in BROWSERS {
        let Some(mut pair) = Pair::start(kind).await else { return };
        pair.browser.eval(WATCH_CHANNEL, Value::Null);
        pair.browser.eval("watch(connection.createDataChannel('chat'));", Value::Null);
        pair.negotiate(true).await;
        pair.connected().await;
        pair.browser.eval("connection.close();", Value::Null);
        let closed = async { while pair.kaon.next_event().await.is_some() {} };
        timeout(Duration::from_secs(1), closed).await.expect("within a second");
        assert_eq!(pair.kaon.connection_state(), ConnectionState::Closed);

        let Some(mut pair) = Pair::start(kind).await else { return };
        pair.browser.eval(WATCH_CHANNEL, Value::Null);
        pair.browser.eval("connection.ondatachannel = ({ channel }) => watch(channel);", Value::Null);
        pair.kaon.create_data_channel("chat").unwrap();
        pair.negotiate(false).await;
        pair.connected().await;
        pair.browser.eval(
            "
            await until('the channel', () => globalThis.channel?.readyState === 'open');
            globalThis.closed = new Promise((resolve) => channel.onclose = () => resolve(performance.now()));
            globalThis.begun = performance.now();
            ",
            Value::Null,
        );
        pair.kaon.close();
        let took = pair.browser.eval("return await closed - begun;", Value::Null);
        assert!(took.as_f64().unwrap() < 1000.0, "{took} ms");
    }
}
