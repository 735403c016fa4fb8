//! ICE over TCP (RFC 6544) with browsers, which open streams, and with Pion, which opens and takes them, where there is no
//! UDP and where a packet filter drops it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
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

fn pion_program() -> Option<PathBuf> {
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/pion/peer");
    if !peer.exists() {
        missing("Pion", &format!("no {}; `tests/run setup` installs it", peer.display()));
        return None;
    }
    Some(peer)
}

/// Pion without UDP.
fn pion(role: &str) -> Option<Program> {
    pion_program().map(|peer| Program::start(Command::new(peer).arg(role)))
}

/// Pion with UDP, in a network of its own that lets no datagram of it pass.
fn pion_without_way(role: &str) -> Option<(Program, Network)> {
    let peer = pion_program()?;
    let network = Network::new().and_then(|network| network.drop_udp().map(|()| network));
    match network {
        Ok(network) => {
            let address = network.inside.to_string();
            Some((Program::start(network.command(&peer).args([role, &address])), network))
        }
        Err(why) => {
            missing("a packet filter", &why);
            None
        }
    }
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

/// Negotiates a channel that Pion echoes, whoever offers.
async fn negotiate(kaon: &PeerConnection, pion: &mut Program, pion_offers: bool) -> DataChannel {
    if !pion_offers {
        return offer_to(kaon, pion).await;
    }
    pion.tell(&json!({ "do": "channel", "label": "chat", "ordered": true }).to_string());
    pion.tell(&json!({ "do": "offer" }).to_string());
    let answer = answer(kaon, &description_of(pion)).await;
    pion.tell(&json!({ "type": "answer", "sdp": answer.text() }).to_string());
    channel_of(kaon).await
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

async fn opens_streams(host: IpAddr) -> PeerConnection {
    let socket = Endpoint::builder().address(SocketAddr::new(host, 0)).loopback(true);
    PeerConnection::builder().socket(socket).active_tcp(true).build().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_opens_a_stream() {
    for pion_offers in [true, false] {
        let Some(mut pion) = pion("active") else { return };
        let kaon = behind_tcp([127, 0, 0, 1].into()).await;
        exchange(&negotiate(&kaon, &mut pion, pion_offers).await).await;
        assert_tcp(&kaon, TcpKind::Passive);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_takes_a_stream() {
    for pion_offers in [true, false] {
        let Some(mut pion) = pion("passive") else { return };
        let kaon = opens_streams([127, 0, 0, 1].into()).await;
        exchange(&negotiate(&kaon, &mut pion, pion_offers).await).await;
        assert_tcp(&kaon, TcpKind::Active);
    }
}

/// Both tell of UDP.
fn assert_udp_was_tried(kaon: &PeerConnection) {
    for description in [kaon.local_description().unwrap(), kaon.remote_description().unwrap()] {
        let text = description.text();
        assert_ne!(without_udp(&text), text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_opens_a_stream_where_a_filter_drops_udp() {
    for pion_offers in [true, false] {
        let Some((mut pion, network)) = pion_without_way("active") else { return };
        let kaon = behind_tcp(network.host).await;
        exchange(&negotiate(&kaon, &mut pion, pion_offers).await).await;
        assert_udp_was_tried(&kaon);
        assert_tcp(&kaon, TcpKind::Passive);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_takes_a_stream_where_a_filter_drops_udp() {
    for pion_offers in [true, false] {
        let Some((mut pion, network)) = pion_without_way("passive") else { return };
        let kaon = opens_streams(network.host).await;
        exchange(&negotiate(&kaon, &mut pion, pion_offers).await).await;
        assert_udp_was_tried(&kaon);
        assert_tcp(&kaon, TcpKind::Active);
    }
}
