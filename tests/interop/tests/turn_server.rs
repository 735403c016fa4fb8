//! Clients of others at our TURN server, over all that it speaks: coturn's with passwords of both kinds, Pion's, and
//! browsers that have nothing but the relay.

mod browser_pair;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use browser_pair::{BROWSERS, LONG, Pair, SOURCES, reflect};
use bytes::Bytes;
use kaon_interop::{Browser, Network, missing};
use kaon_rtc::layer::CandidateKind;
use kaon_rtc::net::{TlsIdentity, TurnServer};
use kaon_rtc::peer_connection::PeerConnection;
use kaon_rtc::turn::server::{Config, Credentials, RelayAddress};
use serde_json::{Value, json};
use tokio::time::timeout;

/// coturn's client, which sends through two allocations to itself, and what it says; `None` if it is not installed.
///
/// Indications only: the numbers of its channels are those of RFC 5766, of which RFC 8656 §12 has a part.
fn uclient(address: SocketAddr, arguments: &[&str]) -> Option<String> {
    let output = Command::new("turnutils_uclient")
        .args(["-y", "-s", "-c", "-n", "10", "-m", "2", "-p", &address.port().to_string()])
        .args(arguments)
        .arg(address.ip().to_string())
        .output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            missing("turnutils_uclient", &error.to_string());
            None
        }
    }
}

fn config() -> Config {
    config_at(Ipv4Addr::LOCALHOST.into(), "127.0.0.0/8")
}

/// With relays at this address, for peers of this range.
fn config_at(ip: IpAddr, peers: &str) -> Config {
    let credentials = Credentials::default().with_user("kaon", "secret").with_secret("shared");
    let mut config = Config::new(credentials, [RelayAddress::new(ip)]);
    config.policy = config.policy.allow(peers.parse().unwrap());
    config
}

fn serve() -> TurnServer {
    let config = config();
    let udp = TurnServer::builder(config.clone()).udp(([127, 0, 0, 1], 0).into()).bind().unwrap();
    let address = udp.udp_addrs()[0];
    drop(udp);
    TurnServer::builder(config).udp(address).tcp(address).bind().unwrap()
}

async fn relayed(arguments: &'static [&'static str]) {
    let server = serve();
    relayed_by(&server, server.udp_addrs()[0], arguments).await;
}

async fn relayed_by(server: &TurnServer, address: SocketAddr, arguments: &'static [&'static str]) {
    let said = tokio::task::spawn_blocking(move || uclient(address, arguments)).await.unwrap();
    let Some(said) = said else { return };
    let all = (18..=20).map(|count| format!("tot_send_msgs=20, tot_recv_msgs={count}"));
    // Over TLS that client leaves what came with an earlier record unread, at coturn's own server as well.
    let least = if arguments.contains(&"-S") { 0 } else { 2 };
    assert!(all.skip(least).any(|all| said.contains(&all)), "{arguments:?}: {said}");
    let traffic = server.statistics().traffic;
    assert!(traffic.bytes_out >= 2000 && traffic.bytes_in >= 2000, "{traffic:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_udp() {
    relayed(&["-u", "kaon", "-w", "secret"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    relayed(&["-t", "-u", "kaon", "-w", "secret"]).await;
}

fn serve_tls() -> TurnServer {
    let identity = identity("relay.example");
    TurnServer::builder(config()).tls(([127, 0, 0, 1], 0).into(), identity).bind().unwrap()
}

fn identity(name: &str) -> TlsIdentity {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls() {
    let server = serve_tls();
    relayed_by(&server, server.tls_addrs()[0], &["-t", "-S", "-u", "kaon", "-w", "secret"]).await;
}

fn serve_dtls() -> TurnServer {
    let provider = kaon_rtc::crypto::aws_lc_rs::provider();
    let identity = kaon_rtc::dtls::Identity::generate(&provider).unwrap();
    let dtls = kaon_rtc::dtls::Config::new(provider, identity);
    TurnServer::builder(config()).dtls(([127, 0, 0, 1], 0).into(), dtls).bind().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_dtls() {
    let server = serve_dtls();
    relayed_by(&server, server.dtls_addrs()[0], &["-S", "-u", "kaon", "-w", "secret"]).await;
}

/// RFC 6062: both clients have TCP allocations and connect to each other's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_allocations() {
    relayed(&["-t", "-T", "-u", "kaon", "-w", "secret"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_allocations_over_tls() {
    let server = serve_tls();
    relayed_by(&server, server.tls_addrs()[0], &["-t", "-T", "-S", "-u", "kaon", "-w", "secret"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_time_limited_credentials() {
    relayed(&["-u", "kaon", "-W", "shared"]).await;
}

/// Pion's client, which has an echo relayed; `None` if it was not built.
fn pion(transport: &str, server: SocketAddr, peer: SocketAddr) -> Option<String> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/pion-turn/peer");
    let addresses = [server.to_string(), peer.to_string()];
    let output = Command::new(program)
        .args([transport, &addresses[0], "kaon", "secret", "kaon", &addresses[1]])
        .output();
    match output {
        Ok(output) => Some(format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => {
            missing("pion-turn", &error.to_string());
            None
        }
    }
}

/// Echoes datagrams and streams at one address.
async fn echo() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = tokio::net::UdpSocket::bind(address).await.unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2000];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            socket.send_to(&buffer[..count], from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

async fn echoed_to_pion(transport: &'static str, server: &TurnServer, address: SocketAddr) {
    let peer = echo().await;
    let said = tokio::task::spawn_blocking(move || pion(transport, address, peer)).await.unwrap();
    let Some(said) = said else { return };
    assert!(said.contains("echoed 10"), "{transport}: {said}");
    assert!(server.statistics().granted > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_over_udp_and_tcp_and_to_streams() {
    let server = serve();
    for transport in ["udp", "tcp", "stream"] {
        echoed_to_pion(transport, &server, server.udp_addrs()[0]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_over_tls() {
    let server = serve_tls();
    echoed_to_pion("tls", &server, server.tls_addrs()[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pion_over_dtls() {
    let server = serve_dtls();
    echoed_to_pion("dtls", &server, server.dtls_addrs()[0]).await;
}

/// What the page does on a relay: it sends back what comes in a channel, and sends a picture that moves.
const ON_A_RELAY: &str = "
    globalThis.channel = connection.createDataChannel('chat');
    channel.onmessage = ({ data }) => channel.send(data);
    globalThis.drawing ??= (await sources())[0];
    connection.addTrack(drawing, new MediaStream([drawing]));
";

/// The local candidate that the connection uses.
const SELECTED: &str = "
    const report = await connection.getStats();
    const entries = [...report.values()];
    const pair = entries.find((it) => it.type === 'candidate-pair' && it.state === 'succeeded' && it.nominated);
    return report.get(pair.localCandidateId);
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_over_udp_tcp_and_tls() {
    for kind in BROWSERS {
        let Some(mut browser) = Browser::start(kind) else { continue };
        let host = browser.host();
        let at = SocketAddr::new(host, 0);
        let server = TurnServer::builder(config_at(host, "198.18.0.0/15")).udp(at).tcp(at);
        let server = server.tls(at, identity(Network::NAME)).bind().unwrap();
        let urls = [
            ("udp", format!("turn:{}", server.udp_addrs()[0])),
            ("tcp", format!("turn:{}?transport=tcp", server.tcp_addrs()[0])),
            // Firefox takes no address there.
            ("tls", format!("turns:{}:{}?transport=tcp", Network::NAME, server.tls_addrs()[0].port())),
        ];
        for (protocol, url) in urls {
            browser = relay(browser, protocol, &url).await;
        }
        let traffic = server.statistics().traffic;
        assert!(traffic.bytes_out > 300_000 && traffic.bytes_in > 300_000, "{kind:?}: {traffic:?}");
    }
}

/// Data there and back, and a picture, by a relay alone.
async fn relay(browser: Browser, protocol: &str, url: &str) -> Browser {
    let server = json!({ "urls": url, "username": "kaon", "credential": "secret" });
    let configuration = json!({ "iceServers": [server], "iceTransportPolicy": "relay" });
    let mut pair = Pair::with(browser, configuration, PeerConnection::builder()).await;
    pair.browser.eval(SOURCES, Value::Null);
    pair.browser.eval(ON_A_RELAY, Value::Null);
    pair.negotiate_both_ways().await;
    pair.connected().await;
    let video = pair.track().await;
    reflect(&pair.kaon, video, Default::default());
    let chat = pair.channel().await;
    for size in [1usize, 1000, 100_000] {
        let sent = Bytes::from(vec![size as u8; size]);
        chat.send(sent.clone()).await.unwrap();
        assert!(*timeout(LONG, chat.recv()).await.unwrap().unwrap().data() == sent, "{url}: {size}");
    }
    pair.browser.eval(
        "
        await until('the track', () => tracks.length === 1);
        await play(tracks[0].track);
        await until('ten frames', async () => await framesDecoded() >= 10);
        ",
        Value::Null,
    );
    assert_eq!(pair.kaon.selected_pair().unwrap().remote.kind, CandidateKind::Relayed, "{url}");
    let selected = pair.browser.eval(SELECTED, Value::Null);
    assert_eq!(
        (&selected["candidateType"], &selected["relayProtocol"]),
        (&json!("relay"), &json!(protocol)),
        "{selected}"
    );
    pair.browser
}
