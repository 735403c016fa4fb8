//! A peer with two interfaces loses, in a call, the one that it talks over: it goes on by the other without a restart and
//! without anything lost; with Chromium as the one that stays, the first comes back and serves again. How long nothing came
//! is printed:
//!
//! ```text
//! cargo test --package kaon-interop --test handover -- --nocapture
//! ```

use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use kaon_interop::{Browser, Delivery, Kind, Network, Program, Steady, missing};
use kaon_rtc::net::InterfaceFilter;
use kaon_rtc::peer_connection::{Description, Endpoint, PeerConnection};
use serde_json::{Value, json};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);
const INTERFACES: [&str; 2] = ["veth0", "veth1"];

/// A network with two interfaces, and the addresses of both ends of each.
fn two_ways(network: &Network) -> Result<[[IpAddr; 2]; 2], String> {
    Ok([[network.host, network.inside], network.join(INTERFACES[1])?])
}

/// The one that stays where it is, and does not see what becomes of the other's interfaces.
async fn settled(ways: [[IpAddr; 2]; 2]) -> PeerConnection {
    on(ways, false).await
}

async fn on(ways: [[IpAddr; 2]; 2], follows: bool) -> PeerConnection {
    let hosts = ways.map(|[host, _]| host);
    let filter = InterfaceFilter::default().with_accept(move |address| hosts.contains(&address.ip));
    let socket = Endpoint::builder().address("0.0.0.0:0".parse().unwrap());
    let socket = socket.interfaces(filter).follow_interfaces(follows);
    PeerConnection::builder().socket(socket).build().await.unwrap()
}

/// Which of the ways the connection uses.
fn way(kaon: &PeerConnection, ways: [[IpAddr; 2]; 2]) -> usize {
    let remote = kaon.selected_pair().unwrap().path.remote.ip();
    ways.iter().position(|[_, inside]| *inside == remote).unwrap()
}

async fn describe(kaon: &PeerConnection) -> Value {
    kaon.set_local_description(None).unwrap();
    timeout(LONG, kaon.gathering_complete()).await.unwrap();
    let description = kaon.local_description().unwrap();
    json!({ "type": description.kind.name(), "sdp": description.text() })
}

fn accept(kaon: &PeerConnection, description: &Value) {
    let text = description["sdp"].as_str().unwrap();
    let description = match description["type"] == "offer" {
        true => Description::offer(text),
        false => Description::answer(text),
    };
    kaon.set_remote_description(&description.unwrap()).unwrap();
}

/// A Kaon with interfaces that come and go.
struct Mover(Program);

impl Mover {
    fn start(network: &Network, role: &str) -> Self {
        Self(Program::start(network.command(Path::new(env!("CARGO_BIN_EXE_moving_peer"))).arg(role)))
    }

    fn description(&self) -> Value {
        loop {
            let line: Value = serde_json::from_str(&self.0.next_line(LONG)).unwrap();
            if line["sdp"].is_string() {
                return line;
            }
        }
    }

    /// What came to it, when all has.
    fn delivery(&mut self) -> Delivery {
        loop {
            let line: Value = serde_json::from_str(&self.0.next_line(LONG)).unwrap();
            if let (Some(count), Some(gap)) = (line["count"].as_u64(), line["gap"].as_f64()) {
                return Delivery { count, longest_gap: Duration::from_secs_f64(gap) };
            }
        }
    }
}

async fn a_kaon_moves(mover_offers: bool) {
    let made = Network::new().and_then(|network| Ok((two_ways(&network)?, network)));
    let (ways, network) = match made {
        Ok(made) => made,
        Err(why) => return missing("two interfaces", &why),
    };
    let kaon = settled(ways).await;
    let channel = kaon.create_data_channel(Steady::channel()).unwrap();
    let mut mover = Mover::start(&network, if mover_offers { "offer" } else { "answer" });
    if mover_offers {
        accept(&kaon, &mover.description());
        mover.0.tell(&describe(&kaon).await.to_string());
    } else {
        mover.0.tell(&describe(&kaon).await.to_string());
        accept(&kaon, &mover.description());
    }
    timeout(LONG, channel.opened()).await.unwrap().unwrap();
    let steady = Steady::start(channel);
    steady.more(200).await;
    let before = way(&kaon, ways);
    network.set_up(INTERFACES[before], false).unwrap();
    steady.more(200).await;
    assert_ne!(way(&kaon, ways), before);
    mover.0.tell(&json!({ "do": "finish" }).to_string());
    let here = steady.finish().await;
    let there = mover.delivery();
    println!(
        "Kaon moves, {}: {here:?} here, {there:?} there",
        if mover_offers { "controlling" } else { "controlled" }
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controlling_kaon_moves() {
    a_kaon_moves(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controlled_kaon_moves() {
    a_kaon_moves(false).await;
}

/// What [`Steady`] does, in a page, and the description of the page once all is gathered.
const IN_A_PAGE: &str = "
    await navigator.mediaDevices.getUserMedia({ audio: true }); // Who may hear the user may know the addresses.
    globalThis.connection = new RTCPeerConnection();
    const channel = connection.createDataChannel('steady', { negotiated: true, id: 0 });
    channel.binaryType = 'arraybuffer';
    const END = 0xffffffffffffffffn;
    globalThis.delivery = { count: 0, gap: 0, missing: null, isOver: false };
    const numbers = (...all) => {
        const view = new DataView(new ArrayBuffer(8 * all.length));
        all.forEach((number, at) => view.setBigUint64(8 * at, BigInt(number)));
        return view;
    };
    let sent = 0, last = null, timer = null;
    channel.onopen = () => timer = setInterval(() => channel.send(numbers(sent++)), 5);
    channel.onmessage = ({ data }) => {
        const view = new DataView(data), now = performance.now();
        if (view.getBigUint64(0) === END) {
            if (view.getBigUint64(8) !== BigInt(delivery.count)) delivery.missing ??= 'the last';
            delivery.isOver = true;
            clearInterval(timer);
            return channel.send(numbers(END, sent));
        }
        if (view.getBigUint64(0) !== BigInt(delivery.count)) delivery.missing ??= delivery.count;
        delivery.gap = Math.max(delivery.gap, last === null ? 0 : now - last);
        last = now;
        delivery.count += 1;
    };
    globalThis.describe = async () => {
        await connection.setLocalDescription();
        while (connection.iceGatheringState !== 'complete')
            await new Promise((resolve) => connection.onicegatheringstatechange = resolve);
        return { type: connection.localDescription.type, sdp: connection.localDescription.sdp };
    };
";

/// What a handover may take at the most; how long it took is printed.
const GAP: Duration = Duration::from_secs(10);

/// A Kaon on two ways to a page, which talk.
struct Call {
    kaon: PeerConnection,
    steady: Steady,
    ways: [[IpAddr; 2]; 2],
}

impl Call {
    async fn to_page(
        browser: &mut Browser,
        kaon: PeerConnection,
        ways: [[IpAddr; 2]; 2],
        kaon_offers: bool,
    ) -> Self {
        let channel = kaon.create_data_channel(Steady::channel()).unwrap();
        browser.eval(IN_A_PAGE, Value::Null);
        if kaon_offers {
            let offer = describe(&kaon).await;
            let answer = "await connection.setRemoteDescription(args); return await describe();";
            accept(&kaon, &browser.eval(answer, offer));
        } else {
            accept(&kaon, &browser.eval("return await describe();", Value::Null));
            browser.eval("await connection.setRemoteDescription(args);", describe(&kaon).await);
        }
        timeout(LONG, channel.opened()).await.unwrap().unwrap();
        let steady = Steady::start(channel);
        steady.more(200).await;
        Self { kaon, steady, ways }
    }

    /// Takes the way that is used away, and waits until the other one serves.
    async fn lose(&self, take: impl Fn(usize, bool)) -> usize {
        let before = way(&self.kaon, self.ways);
        take(before, false);
        self.steady.more(200).await;
        let after = way(&self.kaon, self.ways);
        assert_ne!(after, before);
        before
    }

    /// Loses the one way, has it back, loses the other, and has missed nothing.
    async fn there_and_back(self, browser: &mut Browser, take: impl Fn(usize, bool)) -> [Delivery; 2] {
        let first = self.lose(&take).await;
        take(first, true);
        self.steady.more(400).await;
        // It may have gone back by itself.
        let second = self.lose(&take).await;
        take(second, true);
        let here = self.steady.finish().await;
        let there = browser.eval(
            "while (!delivery.isOver) await new Promise((resolve) => setTimeout(resolve, 20)); return delivery;",
            Value::Null,
        );
        assert_eq!(there["missing"], Value::Null);
        let longest_gap = Duration::from_secs_f64(there["gap"].as_f64().unwrap() / 1000.0);
        let there = Delivery { count: there["count"].as_u64().unwrap(), longest_gap };
        assert!(here.longest_gap < GAP && there.longest_gap < GAP, "{here:?} {there:?}");
        [here, there]
    }
}

/// A browser with two interfaces.
fn chromium_on_two_ways() -> Option<(Browser, &'static Network, [[IpAddr; 2]; 2])> {
    static WAYS: OnceLock<Result<[[IpAddr; 2]; 2], String>> = OnceLock::new();
    let made = Network::shared()
        .map_err(str::to_owned)
        .and_then(|network| Ok((network, WAYS.get_or_init(|| two_ways(network)).clone()?)));
    match made {
        Ok((network, ways)) => Some((Browser::start(Kind::Chromium)?, network, ways)),
        Err(why) => {
            missing("two interfaces", &why);
            None
        }
    }
}

/// Its addresses go and come back; the browser sees nothing of it but other paths.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kaon_moves_and_comes_back_in_a_call_with_chromium() {
    let Some((mut browser, network, ways)) = chromium_on_two_ways() else { return };
    for kaon_offers in [true, false] {
        let call = Call::to_page(&mut browser, on(ways, true).await, ways, kaon_offers).await;
        let take = |way: usize, there| network.set_address(ways[way][0], there).unwrap();
        let [here, there] = call.there_and_back(&mut browser, take).await;
        println!("Kaon moves, it offered: {kaon_offers}: {here:?} here, {there:?} in Chromium");
    }
}
