//! Whole connections with Chromium and Firefox, each as the one that offers and as the one that answers.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use kaon_interop::{Browser, Kind};
use kaon_rtc::peer_connection::{
    ChannelInit, Codec, ConnectionState, DataChannel, Description, Endpoint, IceCandidateInit, OutgoingRtp,
    PeerConnection, PeerConnectionEvent, RemoteTrack, SignalingState, TrackKind, TransceiverInit,
};
use kaon_rtc::sdp::Direction;
use serde_json::{Value, json};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);
const BROWSERS: [Kind; 2] = [Kind::Chromium, Kind::Firefox];

/// What every page knows.
const PRELUDE: &str = "
    globalThis.connection = new RTCPeerConnection();
    globalThis.received = [];
    globalThis.tracks = [];
    connection.ontrack = (event) => tracks.push(event);
    globalThis.until = async (what, test) => {
        const deadline = performance.now() + 20000;
        while (!(await test())) {
            if (performance.now() > deadline) throw new Error(`${what} did not happen`);
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    };
    globalThis.gathered = () => until('gathering', () => connection.iceGatheringState === 'complete');
";

/// A browser with a connection, and Kaon with another.
struct Pair {
    browser: Browser,
    kaon: PeerConnection,
}

impl Pair {
    async fn start(kind: Kind) -> Option<Self> {
        let mut browser = Browser::start(kind)?;
        browser.eval(PRELUDE, Value::Null);
        let address = SocketAddr::new(browser.host(), 0);
        let socket = Endpoint::builder().address(address);
        let kaon = PeerConnection::builder().socket(socket).build().await.unwrap();
        Some(Self { browser, kaon })
    }

    /// One exchange without trickle.
    async fn negotiate(&mut self, browser_offers: bool) {
        if browser_offers {
            let offer = self.browser.eval(
                "await connection.setLocalDescription(); await gathered(); return connection.localDescription;",
                Value::Null,
            );
            self.kaon.set_remote_description(&Description::offer(text(&offer)).unwrap()).unwrap();
            self.kaon.set_local_description(None).unwrap();
            timeout(LONG, self.kaon.gathering_complete()).await.unwrap();
            let answer = self.kaon.local_description().unwrap();
            self.accept(&answer);
        } else {
            self.kaon.set_local_description(None).unwrap();
            timeout(LONG, self.kaon.gathering_complete()).await.unwrap();
            let offer = self.kaon.local_description().unwrap();
            self.accept(&offer);
            let answer = self.browser.eval(
                "await connection.setLocalDescription(); await gathered(); return connection.localDescription;",
                Value::Null,
            );
            let result = self.kaon.set_remote_description(&Description::answer(text(&answer)).unwrap());
            result.unwrap_or_else(|error| panic!("{error}\n{offer:?}\n{}", text(&answer)));
        }
    }

    fn accept(&mut self, description: &Description) {
        let description = json!({ "type": description.kind.name(), "sdp": description.text() });
        self.browser.eval("await connection.setRemoteDescription(args);", description);
    }

    async fn connected(&mut self) {
        timeout(LONG, self.kaon.connected()).await.expect("in time").expect("a connection");
        self.browser.eval(
            "await until('the connection', () => connection.connectionState === 'connected');",
            Value::Null,
        );
    }

    async fn event<T>(&self, mut pick: impl FnMut(PeerConnectionEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = pick(self.kaon.next_event().await.expect("an open connection")) {
                    return found;
                }
            }
        };
        timeout(LONG, found).await.expect("in time")
    }

    async fn channel(&self) -> DataChannel {
        self.event(|event| match event {
            PeerConnectionEvent::DataChannel(channel) => Some(channel),
            _ => None,
        })
        .await
    }

    async fn track(&self) -> RemoteTrack {
        self.event(|event| match event {
            PeerConnectionEvent::Track(track) => Some(track),
            _ => None,
        })
        .await
    }
}

fn text(description: &Value) -> &str {
    description["sdp"].as_str().unwrap()
}

const WATCH_CHANNEL: &str = "
    globalThis.watch = (channel) => {
        globalThis.channel = channel;
        channel.binaryType = 'arraybuffer';
        globalThis.bytes = 0;
        globalThis.sum = 0;
        channel.onmessage = ({ data }) => {
            const view = new Uint8Array(data);
            bytes += view.length;
            for (const byte of view) sum = (sum + byte) % 4294967296;
        };
    };
    globalThis.pump = async (total, size) => {
        channel.bufferedAmountLowThreshold = 262144;
        for (let at = 0; at < total; at += size) {
            if (channel.bufferedAmount > 1048576)
                await new Promise((resolve) => channel.onbufferedamountlow = resolve);
            const data = new Uint8Array(size);
            for (let i = 0; i < size; i += 1) data[i] = (at + i) * 31 >> 3;
            channel.send(data);
        }
    };
";

fn piece(at: usize, size: usize) -> Bytes {
    // As the page makes it: 32-bit arithmetic, and the low byte of it.
    (at..at + size).map(|i| (((i as i64 * 31) as i32) >> 3) as u8).collect::<Vec<_>>().into()
}

async fn transfer(kind: Kind, browser_offers: bool, ordered: bool) {
    const TOTAL: usize = 16 << 20;
    const SIZE: usize = 16 << 10;
    let Some(mut pair) = Pair::start(kind).await else { return };
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
        let channel = pair.kaon.open_data_channel(init).unwrap();
        pair.negotiate(false).await;
        pair.connected().await;
        channel
    };
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    assert_eq!(chat.init().unwrap().ordered, ordered);
    pair.browser.eval(
        "await until('the channel', () => globalThis.channel?.readyState === 'open'); void pump(args[0], args[1]);",
        json!([TOTAL, SIZE]),
    );
    let expected: u64 = (0..TOTAL / SIZE).flat_map(|i| piece(i * SIZE, SIZE)).map(u64::from).sum();
    let sender = tokio::spawn({
        let chat = chat.clone();
        async move {
            for at in (0..TOTAL).step_by(SIZE) {
                chat.send(piece(at, SIZE)).await.unwrap();
            }
        }
    });
    let (mut bytes, mut sum) = (0, 0u64);
    while bytes < TOTAL {
        let message = timeout(LONG, chat.recv()).await.expect("in time").expect("a message");
        if ordered {
            assert_eq!(*message.data(), piece(bytes, SIZE), "at {bytes}");
        }
        bytes += message.data().len();
        sum += message.data().iter().copied().map(u64::from).sum::<u64>();
    }
    assert_eq!((bytes, sum), (TOTAL, expected));
    timeout(LONG, sender).await.unwrap().unwrap();
    let there =
        pair.browser.eval("await until('the rest', () => bytes >= args); return [bytes, sum];", json!(TOTAL));
    assert_eq!(there, json!([TOTAL, expected % (1 << 32)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_mebibytes_go_both_ways() {
    for kind in BROWSERS {
        for browser_offers in [true, false] {
            transfer(kind, browser_offers, true).await;
        }
        transfer(kind, true, false).await;
    }
}

/// Sends back what comes, on the same transceiver.
fn reflect(kaon: &PeerConnection, remote: RemoteTrack) {
    let local = kaon.local_track(remote.id()).unwrap();
    let key_frames = (local.clone(), remote.clone());
    tokio::spawn(async move {
        while key_frames.0.key_frame_requested().await.is_some() {
            key_frames.1.request_key_frame();
        }
    });
    tokio::spawn(async move {
        while let Some(rtp) = remote.recv_rtp().await {
            let packet = rtp.as_packet();
            let mut out = OutgoingRtp::new(
                packet.payload_type(),
                packet.timestamp(),
                packet.marker(),
                rtp.packet.payload(),
            );
            out.sequence_number = Some(packet.sequence_number());
            out.audio_level = rtp.extensions.audio_level;
            out.video_orientation = rtp.extensions.video_orientation;
            // Before the negotiation is complete there is nowhere to send.
            let _ = local.send_rtp(out);
        }
    });
}

/// A picture that moves, and a tone of 440 Hz.
const SOURCES: &str = "
    globalThis.sources = async () => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
        const context = canvas.getContext('2d');
        let count = 0;
        setInterval(() => {
            count += 1;
            context.fillStyle = '#f00';
            context.fillRect(0, 0, 160, 240);
            context.fillStyle = '#00f';
            context.fillRect(160, 0, 160, 240);
            context.fillStyle = '#0f0';
            context.fillRect(count * 4 % 320, 100, 20, 20);
        }, 33);
        const [video] = canvas.captureStream(30).getVideoTracks();
        const audio = new AudioContext();
        await Promise.race([audio.resume(), new Promise((resolve) => setTimeout(resolve, 1000))]);
        globalThis.audio = audio;
        if (audio.state !== 'running') {
            // Firefox runs no audio graph on a machine without a sound device; its microphone is a tone, too.
            const [sound] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
            return [video, sound];
        }
        const tone = audio.createOscillator();
        tone.frequency.value = 440;
        const out = audio.createMediaStreamDestination();
        tone.connect(out);
        tone.start();
        const [sound] = out.stream.getAudioTracks();
        return [video, sound];
    };
    globalThis.prefer = (transceiver, codec) => {
        const { codecs } = RTCRtpReceiver.getCapabilities('video');
        const first = codecs.filter(({ mimeType }) => mimeType === codec);
        if (first.length === 0) throw new Error(`${codec} is not supported`);
        const repair = codecs.filter(({ mimeType }) => mimeType === 'video/rtx');
        transceiver.setCodecPreferences([...first, ...repair]);
    };
    globalThis.play = async (track) => {
        const element = document.createElement('video');
        Object.assign(element, { muted: true, autoplay: true, playsInline: true });
        element.srcObject = new MediaStream([track]);
        document.body.append(element);
        await until('the picture', () => element.videoWidth > 0 && element.currentTime > 0);
        return element;
    };
    globalThis.pixels = (element) => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
        const context = canvas.getContext('2d');
        context.drawImage(element, 0, 0);
        return [[40, 40], [280, 40]].map(([x, y]) => Array.from(context.getImageData(x, y, 1, 1).data));
    };
    globalThis.framesDecoded = async () => {
        for (const entry of (await connection.getStats()).values())
            if (entry.type === 'inbound-rtp' && entry.kind === 'video') return entry.framesDecoded ?? 0;
        return 0;
    };
    globalThis.audioPackets = async () => {
        for (const entry of (await connection.getStats()).values())
            if (entry.type === 'inbound-rtp' && entry.kind === 'audio') return entry.packetsReceived ?? 0;
        return 0;
    };
    globalThis.loudest = async (track) => {
        if (audio.state !== 'running') {
            await until('sound', async () => await audioPackets() > 50);
            return null;
        }
        const element = Object.assign(document.createElement('audio'), { muted: true, autoplay: true });
        element.srcObject = new MediaStream([track]);
        const analyser = audio.createAnalyser();
        analyser.fftSize = 8192;
        audio.createMediaStreamSource(new MediaStream([track])).connect(analyser);
        const bins = new Float32Array(analyser.frequencyBinCount);
        let best = 0;
        await until('the tone', () => {
            analyser.getFloatFrequencyData(bins);
            best = bins.reduce((best, value, index) => (value > bins[best] ? index : best), 0);
            return bins[best] > -60;
        });
        await new Promise((resolve) => setTimeout(resolve, 1000));
        analyser.getFloatFrequencyData(bins);
        best = bins.reduce((best, value, index) => (value > bins[best] ? index : best), 0);
        return best * audio.sampleRate / analyser.fftSize;
    };
";

async fn media(kind: Kind, codec: &str, browser_offers: bool) {
    let Some(mut pair) = Pair::start(kind).await else { return };
    pair.browser.eval(SOURCES, Value::Null);
    let add = "
        const [video, sound] = await sources();
        globalThis.sent = new MediaStream([video, sound]);
        const sender = connection.addTrack(video, sent);
        connection.addTrack(sound, sent);
        prefer(connection.getTransceivers().find((it) => it.sender === sender), args);
    ";
    if browser_offers {
        pair.browser.eval(add, json!(codec));
        let offer = pair.browser.eval(
            "await connection.setLocalDescription(); await gathered(); return connection.localDescription;",
            Value::Null,
        );
        pair.kaon.set_remote_description(&Description::offer(text(&offer)).unwrap()).unwrap();
        for transceiver in pair.kaon.transceivers() {
            pair.kaon.set_direction(transceiver.id(), Direction::SendRecv).unwrap();
        }
        pair.kaon.set_local_description(None).unwrap();
        timeout(LONG, pair.kaon.gathering_complete()).await.unwrap();
        let answer = pair.kaon.local_description().unwrap();
        pair.accept(&answer);
    } else {
        // Chromium sends what stands first in the offer, whatever it prefers itself.
        let offered = if codec == "video/H264" { Codec::h264() } else { Codec::vp8() };
        let init = TransceiverInit::default().codecs([offered]);
        pair.kaon.add_transceiver(TrackKind::Video, init).unwrap();
        pair.kaon.add_transceiver(TrackKind::Audio, TransceiverInit::default()).unwrap();
        pair.kaon.set_local_description(None).unwrap();
        timeout(LONG, pair.kaon.gathering_complete()).await.unwrap();
        let offer = pair.kaon.local_description().unwrap();
        pair.accept(&offer);
        pair.browser.eval(add, json!(codec));
        let answer = pair.browser.eval(
            "await connection.setLocalDescription(); await gathered(); return connection.localDescription;",
            Value::Null,
        );
        pair.kaon.set_remote_description(&Description::answer(text(&answer)).unwrap()).unwrap();
    }
    for _ in 0..2 {
        let track = pair.track().await;
        reflect(&pair.kaon, track);
    }
    pair.connected().await;
    let seen = pair.browser.eval(
        "
        await until('the tracks', () => tracks.length === 2);
const find = (kind) => tracks.find(({ track }) => track.kind === kind).track;
        globalThis.element = await play(find('video'));
        const before = await framesDecoded();
        await until('thirty frames', async () => await framesDecoded() >= before + 30);
        const frequency = await loudest(find('audio'));
        return {
            size: [element.videoWidth, element.videoHeight],
            pixels: pixels(element),
            frequency,
        };
        ",
        Value::Null,
    );
    assert_eq!(seen["size"], json!([320, 240]));
    let pixel = |at: usize, channel: usize| seen["pixels"][at][channel].as_u64().unwrap();
    assert!(pixel(0, 0) > 180 && pixel(0, 2) < 80, "red on the left: {seen}");
    assert!(pixel(1, 2) > 180 && pixel(1, 0) < 80, "blue on the right: {seen}");
    match seen["frequency"].as_f64() {
        Some(frequency) => assert!((420.0..460.0).contains(&frequency), "{frequency} Hz"),
        None => assert_eq!(kind, Kind::Firefox),
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let name = format!("media_{}_{}_{browser_offers}.png", kind.name(), codec.replace('/', "_"));
    pair.browser.screenshot(&path.join(name));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp8_and_opus_come_back() {
    for kind in BROWSERS {
        for browser_offers in [true, false] {
            media(kind, "video/VP8", browser_offers).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_comes_back() {
    // Firefox downloads its H.264 plug-in.
    for browser_offers in [true, false] {
        media(Kind::Chromium, "video/H264", browser_offers).await;
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
            if browser_restarts {
                pair.browser.eval("connection.restartIce();", Value::Null);
            } else {
                pair.kaon.restart_ice();
            }
            pair.negotiate(browser_restarts).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
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
            let candidate = IceCandidateInit {
                candidate: text("candidate").unwrap_or_default(),
                sdp_mid: text("sdpMid"),
                sdp_m_line_index: candidate["sdpMLineIndex"].as_u64().map(|index| index as u16),
                username_fragment: text("usernameFragment"),
            };
            let _ = pair.kaon.add_ice_candidate(&candidate);
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
        pair.browser.eval("watch(connection.createDataChannel('chat'));", Value::Null);
        pair.negotiate(true).await;
        pair.connected().await;
        pair.browser.eval(
            "
            await until('the channel', () => channel.readyState === 'open');
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
