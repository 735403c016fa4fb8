//! A browser with a connection and Kaon with another, and how they come together.

// Each test uses some of it.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kaon_interop::{Browser, Kind};
use kaon_rtc::adapters::webrtc_rs::{
    DtlsConfig, DtlsConnection, DtlsIdentity, IceAgent, IceConfig, SctpAssociation, SctpConfig, SrtpConfig,
    SrtpContext,
};
use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::dtls::Identity;
use kaon_rtc::layer::FingerprintAlgorithm;
use kaon_rtc::peer_connection::{
    DataChannel, Description, Endpoint, OutgoingRtp, PeerConnection, PeerConnectionBuilder,
    PeerConnectionEvent, RtpReceiver, TrackKind,
};
use kaon_rtc::sdp::Direction;
use kaon_rtc::session::Transports;
use kaon_rtc::{ice, sctp};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::time::timeout;

pub const LONG: Duration = Duration::from_secs(30);
pub const BROWSERS: [Kind; 2] = [Kind::Chromium, Kind::Firefox];

/// What every page knows.
const PRELUDE: &str = "
    globalThis.connection?.close();
    globalThis.connection = new RTCPeerConnection(args);
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
    // After a restart the state may be that of before for a moment.
    globalThis.gathered = () => until('gathering', () =>
        connection.iceGatheringState === 'complete' && connection.localDescription.sdp.includes('a=candidate:'));
";

/// A browser with a connection, and Kaon with another.
pub struct Pair {
    pub browser: Browser,
    pub kaon: PeerConnection,
}

impl Pair {
    pub async fn start(kind: Kind) -> Option<Self> {
        Self::of(kind, PeerConnection::builder()).await
    }

    /// With a connection that is made in another way.
    pub async fn of(kind: Kind, kaon: PeerConnectionBuilder) -> Option<Self> {
        let browser = Browser::start(kind)?;
        Some(Self::with(browser, json!({}), kaon).await)
    }

    /// With a browser that runs, in which the connection takes the place of one that was there.
    pub async fn with(mut browser: Browser, configuration: Value, kaon: PeerConnectionBuilder) -> Self {
        browser.eval(PRELUDE, configuration);
        let address = SocketAddr::new(browser.host(), 0);
        let kaon = kaon.socket(Endpoint::builder().address(address)).build().await.unwrap();
        Self { browser, kaon }
    }

    /// One exchange without trickle.
    pub async fn negotiate(&mut self, browser_offers: bool) {
        if browser_offers {
            self.take_offer();
            self.answer().await;
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

    /// The same with an offer of the browser to which Kaon answers that it sends what it receives.
    pub async fn negotiate_both_ways(&mut self) {
        self.take_offer();
        for transceiver in self.kaon.transceivers() {
            self.kaon.set_direction(transceiver.id(), Direction::SendRecv).unwrap();
        }
        self.answer().await;
    }

    fn take_offer(&mut self) {
        let offer = self.browser.eval(
            "await connection.setLocalDescription(); await gathered(); return connection.localDescription;",
            Value::Null,
        );
        self.kaon.set_remote_description(&Description::offer(text(&offer)).unwrap()).unwrap();
    }

    async fn answer(&mut self) {
        self.kaon.set_local_description(None).unwrap();
        timeout(LONG, self.kaon.gathering_complete()).await.unwrap();
        let answer = self.kaon.local_description().unwrap();
        self.accept(&answer);
    }

    pub fn accept(&mut self, description: &Description) {
        let description = json!({ "type": description.kind.name(), "sdp": description.text() });
        self.browser.eval("await connection.setRemoteDescription(args);", description);
    }

    pub async fn connected(&mut self) {
        timeout(LONG, self.kaon.connected()).await.expect("in time").expect("a connection");
        self.browser.eval(
            "await until('the connection', () => connection.connectionState === 'connected');",
            Value::Null,
        );
    }

    pub async fn event<T>(&self, mut pick: impl FnMut(PeerConnectionEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = pick(self.kaon.next_event().await.expect("an open connection")) {
                    return found;
                }
            }
        };
        timeout(LONG, found).await.expect("in time")
    }

    pub async fn channel(&self) -> DataChannel {
        self.event(|event| match event {
            PeerConnectionEvent::DataChannel(channel) => Some(channel),
            _ => None,
        })
        .await
    }

    pub async fn track(&self) -> RtpReceiver {
        self.event(|event| match event {
            PeerConnectionEvent::Track(track) => Some(track),
            _ => None,
        })
        .await
    }
}

/// The last packets of sound that came.
pub type Heard = Arc<Mutex<VecDeque<Vec<u8>>>>;

/// Sends back what comes, on the same transceiver.
pub fn reflect(kaon: &PeerConnection, remote: RtpReceiver, heard: Heard) {
    let is_sound = remote.kind() == Some(TrackKind::Audio);
    let local = kaon.sender(remote.id()).unwrap();
    let key_frames = (local.clone(), remote.clone());
    tokio::spawn(async move {
        while key_frames.0.key_frame_requested().await.is_some() {
            key_frames.1.request_key_frame();
        }
    });
    tokio::spawn(async move {
        while let Some(rtp) = remote.recv_rtp().await {
            let packet = rtp.as_packet();
            if is_sound {
                let mut heard = heard.lock().unwrap();
                heard.push_back(packet.payload().to_vec());
                if heard.len() > 50 {
                    heard.pop_front();
                }
            }
            let mut out = OutgoingRtp::new(
                packet.payload_type(),
                packet.timestamp(),
                packet.marker(),
                rtp.packet.payload(),
            );
            out.sequence_number = Some(packet.sequence_number());
            out.extensions = rtp.extensions.content();
            // Before the negotiation is complete there is nowhere to send.
            let _ = local.send_rtp(out);
        }
    });
}

/// A connection whose layers are all of the webrtc-rs crates.
pub fn webrtc_rs() -> PeerConnectionBuilder {
    let provider = aws_lc_rs::provider();
    let identity = Identity::generate(&provider).unwrap();
    let mut transports =
        Transports::native(&provider, identity, ice::Config::default(), sctp::Config::default());
    transports.ice =
        Arc::new(|_| Box::new(IceAgent::new(IceConfig::default(), Handle::current()).expect("no servers")));
    let dtls = DtlsConfig::new(DtlsIdentity::generate().unwrap());
    transports.fingerprints = vec![dtls.identity.fingerprint(FingerprintAlgorithm::Sha256).clone()];
    transports.dtls = Arc::new(move |role, peer| {
        Ok(Box::new(DtlsConnection::new(role, peer, dtls.clone(), Handle::current())?))
    });
    transports.srtp =
        Arc::new(|local, remote| Ok(Box::new(SrtpContext::new(local, remote, SrtpConfig::default())?)));
    transports.sctp = Arc::new(|local_port, remote_port| {
        let mut config = SctpConfig::default();
        (config.local_port, config.remote_port) = (local_port, remote_port);
        Box::new(SctpAssociation::new(config, Handle::current()))
    });
    PeerConnection::builder().transports(transports)
}

pub fn text(description: &Value) -> &str {
    description["sdp"].as_str().unwrap()
}

/// A picture that moves, and a tone.
pub const SOURCES: &str = "
    globalThis.sources = async () => {
        const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
        document.body.append(canvas);
        globalThis.drawn = canvas;
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
        globalThis.toneFrequency = audio.state === 'running' ? 440 : 1000;
        if (audio.state !== 'running') {
            // Firefox runs no audio graph on a machine without a sound device; its microphone is a tone, too.
            const [sound] = (await navigator.mediaDevices.getUserMedia({ audio: true })).getAudioTracks();
            return [video, sound];
        }
        const tone = audio.createOscillator();
        tone.frequency.value = toneFrequency;
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
    // The bytes of a file with a second and a half of sound, from when there is some.
    globalThis.record = async (track) => {
        // Chromium decodes what is played, and not to nobody.
        const element = Object.assign(document.createElement('audio'), { autoplay: true });
        element.srcObject = new MediaStream([track]);
        await until('sound', async () => {
            for (const entry of (await connection.getStats()).values())
                if (entry.type === 'inbound-rtp' && entry.kind === 'audio') return entry.totalAudioEnergy > 0.005;
        });
        const recorder = new MediaRecorder(new MediaStream([track]));
        const parts = [];
        recorder.ondataavailable = ({ data }) => parts.push(data);
        const stopped = new Promise((resolve) => recorder.onstop = resolve);
        recorder.start();
        await new Promise((resolve) => setTimeout(resolve, 1500));
        recorder.stop();
        await stopped;
        return Array.from(new Uint8Array(await new Blob(parts).arrayBuffer()));
    };
";
