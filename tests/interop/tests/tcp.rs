//! ICE over TCP (RFC 6544) with browsers, which open streams, and with Pion, which opens and takes them.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use kaon_interop::{Browser, Kind, Network, Program, missing};
use kaon_rtc::layer::{Protocol, TcpKind};
use kaon_rtc::peer_connection::{DataChannel, Description, Endpoint, PeerConnection, PeerConnectionEvent};
use serde_json::{Value, json};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);

fn without_udp(text: &str) -> String {
    let is_udp = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        line.starts_with("a=candidate:") && words.get(2).is_some_and(|it| it.eq_ignore_ascii_case("udp"))
    };
    text.split_inclusive("\r\n").filter(|line| !is_udp(line)).collect()
}

async fn behind_tcp(host: IpAddr) -> PeerConnection {
    let at = SocketAddr::new(host, 0);
    let socket = Endpoint::builder().address(at).tcp(at).loopback(true);
    PeerConnection::builder().socket(socket).build().await.unwrap()
}

async fn answer(kaon: &PeerConnection, offer: &str) -> Description {
    kaon.set_remote_description(&Description::offer(offer).unwrap()).unwrap();
    kaon.set_local_description(None).unwrap();
    timeout(LONG, kaon.gathering_complete()).await.unwrap();
    kaon.local_description().unwrap()
}

async fn channel_of(kaon: &PeerConnection) -> DataChannel {
    let event = async {
        loop {
            if let PeerConnectionEvent::DataChannel(channel) = kaon.next_event().await.unwrap() {
                return channel;
            }
        }
    };
    timeout(LONG, event).await.unwrap()
}

fn assert_tcp(kaon: &PeerConnection, kind: TcpKind) {
    let pair = kaon.selected_pair().unwrap();
    assert_eq!((pair.path.protocol, pair.local.tcp_kind), (Protocol::Tcp, Some(kind)));
}

/// Each side is told of the candidates of UDP of the other, and no datagram passes; where packets cannot be filtered,
/// neither is told of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_open_streams_to_the_port() {
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some(mut browser) = Browser::start(kind) else { continue };
        static BLOCKED: OnceLock<Result<(), String>> = OnceLock::new();
        let blocked = BLOCKED.get_or_init(|| Network::shared()?.drop_udp());
        let kaon = behind_tcp(browser.host()).await;
        let describe = "
            globalThis.connection = new RTCPeerConnection();
            globalThis.channel = connection.createDataChannel('chat');
            channel.onmessage = ({ data }) => channel.send(data);
            await connection.setLocalDescription();
            while (connection.iceGatheringState !== 'complete')
                await new Promise((resolve) => connection.onicegatheringstatechange = resolve);
            return connection.localDescription.sdp;
        ";
        let offer = browser.eval(describe, Value::Null);
        let told = |description: &str| match blocked {
            Ok(()) => description.to_owned(),
            Err(_) => without_udp(description),
        };
        let answer = told(&answer(&kaon, &told(offer.as_str().unwrap())).await.text());
        browser
            .eval("await connection.setRemoteDescription(args);", json!({ "type": "answer", "sdp": answer }));
        let chat = channel_of(&kaon).await;
        for size in [1usize, 1000, 60_000] {
            let sent = Bytes::from(vec![size as u8; size]);
            chat.send(sent.clone()).await.unwrap();
            assert!(*timeout(LONG, chat.recv()).await.unwrap().unwrap().data() == sent, "{kind:?}: {size}");
        }
        assert_tcp(&kaon, TcpKind::Passive);
    }
}

/// Pion without UDP.
fn pion(role: &str) -> Option<Program> {
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/pion/peer");
    if !peer.exists() {
        missing("Pion", &format!("no {}; `tests/run setup` installs it", peer.display()));
        return None;
    }
    Some(Program::start(Command::new(peer).arg(role)))
}

fn description_of(pion: &Program) -> String {
    loop {
        let line: Value = serde_json::from_str(&pion.next_line(LONG)).unwrap();
        if let Some(sdp) = line["sdp"].as_str() {
            return sdp.to_owned();
        }
    }
}

async fn exchange(chat: &DataChannel) {
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    for size in [1usize, 1000, 60_000] {
        let sent = Bytes::from(vec![size as u8; size]);
        chat.send(sent.clone()).await.unwrap();
        assert!(*timeout(LONG, chat.recv()).await.unwrap().unwrap().data() == sent, "{size}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_opens_a_stream() {
    for pion_offers in [true, false] {
        let Some(mut pion) = pion("active") else { return };
        let kaon = behind_tcp([127, 0, 0, 1].into()).await;
        let chat = if pion_offers {
            pion.tell(&json!({ "do": "channel", "label": "chat", "ordered": true }).to_string());
            pion.tell(&json!({ "do": "offer" }).to_string());
            let answer = answer(&kaon, &description_of(&pion)).await;
            pion.tell(&json!({ "type": "answer", "sdp": answer.text() }).to_string());
            channel_of(&kaon).await
        } else {
            offer_to(&kaon, &mut pion).await
        };
        exchange(&chat).await;
        assert_tcp(&kaon, TcpKind::Passive);
    }
}

async fn offer_to(kaon: &PeerConnection, pion: &mut Program) -> DataChannel {
    let chat = kaon.create_data_channel("chat").unwrap();
    kaon.set_local_description(None).unwrap();
    timeout(LONG, kaon.gathering_complete()).await.unwrap();
    let offer = kaon.local_description().unwrap();
    pion.tell(&json!({ "type": "offer", "sdp": offer.text() }).to_string());
    kaon.set_remote_description(&Description::answer(&description_of(pion)).unwrap()).unwrap();
    chat
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_takes_a_stream() {
    for pion_offers in [true, false] {
        let Some(mut pion) = pion("passive") else { return };
        let socket = Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).loopback(true);
        let kaon = PeerConnection::builder().socket(socket).active_tcp(true).build().await.unwrap();
        let chat = if pion_offers {
            pion.tell(&json!({ "do": "channel", "label": "chat", "ordered": true }).to_string());
            pion.tell(&json!({ "do": "offer" }).to_string());
            let answer = answer(&kaon, &description_of(&pion)).await;
            pion.tell(&json!({ "type": "answer", "sdp": answer.text() }).to_string());
            channel_of(&kaon).await
        } else {
            offer_to(&kaon, &mut pion).await
        };
        exchange(&chat).await;
        assert_tcp(&kaon, TcpKind::Active);
    }
}
