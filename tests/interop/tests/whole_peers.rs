//! Whole connections with Pion, libwebrtc, libdatachannel and aiortc, each as the one that offers and as the one
//! that answers.
//!
//! A peer is a program in `peers/` that reads and writes JSON lines: `{"do":"offer"}` has it open a data channel
//! and offer, a description has it answer or accept, and it says descriptions with all candidates in them, states
//! and tracks. It sends back what it gets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_interop::{Program, Tone, missing, opus_tone};
use kaon_rtc::container::IvfReader;
use kaon_rtc::layer::RtpTimestamp;
use kaon_rtc::peer_connection::{
    Codec, ConnectionState, DataChannel, Description, Endpoint, PeerConnection, PeerConnectionEvent,
    RemoteTrack, TrackKind, TransceiverInit,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Pion,
    Libwebrtc,
    Libdatachannel,
    Aiortc,
}

const PEERS: [Peer; 4] = [Peer::Pion, Peer::Libwebrtc, Peer::Libdatachannel, Peer::Aiortc];

impl Peer {
    fn command(self) -> Option<Command> {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let installed = |path: PathBuf| {
            if path.exists() {
                return Some(path);
            }
            missing(&format!("{self:?}"), &format!("no {}; `tests/run setup` installs it", path.display()));
            None
        };
        Some(match self {
            Self::Pion => Command::new(installed(peers.join("pion/peer"))?),
            Self::Aiortc => {
                let mut command = Command::new(installed(peers.join("aiortc/venv/bin/python"))?);
                command.arg(peers.join("aiortc/main.py"));
                command
            }
            Self::Libwebrtc | Self::Libdatachannel => {
                installed(peers.join("node/node_modules"))?;
                let library = if self == Self::Libwebrtc { "wrtc" } else { "libdatachannel" };
                let mut command = Command::new("node");
                command.arg(peers.join("node/main.mjs")).arg(library);
                command
            }
        })
    }
}

/// A peer and Kaon.
struct Pair {
    program: Program,
    kaon: PeerConnection,
}

impl Pair {
    async fn start(peer: Peer) -> Option<Self> {
        let program = Program::start(&mut peer.command()?);
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let kaon =
            PeerConnection::builder().socket(Endpoint::builder().address(address)).build().await.unwrap();
        Some(Self { program, kaon })
    }

    /// The next line in which `name` stands.
    fn wait_for(&mut self, name: &str) -> Value {
        let deadline = Instant::now() + LONG;
        loop {
            let line = self.program.next_line(deadline.saturating_duration_since(Instant::now()));
            // Some libraries write lines of their own.
            if let Ok(value) = serde_json::from_str::<Value>(&line)
                && !value[name].is_null()
            {
                return value;
            }
        }
    }

    async fn negotiate(&mut self, peer_offers: bool) {
        if peer_offers {
            self.program.tell(&json!({ "do": "offer" }).to_string());
            let offer = self.wait_for("sdp");
            let offer = Description::offer(offer["sdp"].as_str().unwrap()).unwrap();
            self.kaon.set_remote_description(&offer).unwrap();
            self.kaon.set_local_description(None).unwrap();
        } else {
            self.kaon.set_local_description(None).unwrap();
        }
        timeout(LONG, self.kaon.gathering_complete()).await.unwrap();
        let local = self.kaon.local_description().unwrap();
        self.program.tell(&json!({ "type": local.kind.name(), "sdp": local.text() }).to_string());
        if !peer_offers {
            let answer = self.wait_for("sdp");
            let answer = Description::answer(answer["sdp"].as_str().unwrap()).unwrap();
            self.kaon.set_remote_description(&answer).unwrap();
        }
        timeout(LONG, self.kaon.connected()).await.expect("in time").expect("a connection");
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

fn piece(index: usize, size: usize) -> Bytes {
    (0..size).map(|at| (at * 31 + index) as u8).collect::<Vec<_>>().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_come_back() {
    for peer in PEERS {
        for peer_offers in [true, false] {
            let Some(mut pair) = Pair::start(peer).await else { continue };
            let own = (!peer_offers).then(|| pair.kaon.create_data_channel("from Kaon").unwrap());
            pair.negotiate(peer_offers).await;
            let chat = match own {
                Some(chat) => chat,
                None => pair.channel().await,
            };
            timeout(LONG, chat.opened()).await.unwrap().unwrap();
            chat.send_text("text").await.unwrap();
            let back = timeout(LONG, chat.recv()).await.expect("in time").unwrap();
            assert_eq!(back.text(), Some("text"), "{peer:?}");
            let sender = tokio::spawn({
                let chat = chat.clone();
                async move {
                    for index in 0..128 {
                        chat.send(piece(index, 1 + index * 509 % 60_000)).await.unwrap();
                    }
                }
            });
            for index in 0..128 {
                let message = timeout(LONG, chat.recv()).await.expect("in time").expect("a message");
                assert_eq!(*message.data(), piece(index, 1 + index * 509 % 60_000), "{peer:?} {index}");
            }
            sender.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_is_seen_by_the_other_side() {
    for peer in PEERS {
        let Some(mut pair) = Pair::start(peer).await else { continue };
        pair.negotiate(true).await;
        let chat = pair.channel().await;
        pair.program.tell(&json!({ "do": "close" }).to_string());
        pair.wait_for("state");
        // Not every library ends DTLS when it closes; all end SCTP.
        let closed = async {
            tokio::select! {
                () = chat.closed() => {}
                () = async { while pair.kaon.next_event().await.is_some() {} } => {}
            }
        };
        timeout(Duration::from_secs(1), closed).await.unwrap_or_else(|_| panic!("{peer:?} within a second"));

        let Some(mut pair) = Pair::start(peer).await else { continue };
        pair.negotiate(true).await;
        pair.channel().await;
        pair.kaon.close();
        let began = Instant::now();
        loop {
            let state = pair.wait_for("state");
            if matches!(state["state"].as_str(), Some("closed" | "disconnected" | "failed")) {
                break;
            }
        }
        assert!(began.elapsed() < LONG, "{peer:?}");
        assert_eq!(pair.kaon.connection_state(), ConnectionState::Closed);
    }
}

/// A clip of VP8 frames, made by ffmpeg.
fn clip() -> Option<Vec<Vec<u8>>> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("whole_peers.ivf");
    let made = Command::new("ffmpeg")
        .args(
            "-v error -y -f lavfi -i testsrc2=size=320x240:rate=30:duration=2 -c:v libvpx -b:v 500k -g 15"
                .split(' '),
        )
        .arg(&path)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        missing("ffmpeg", "it cannot be run; `tests/run setup` installs it");
        return None;
    }
    let mut reader = IvfReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = reader.read_frame().unwrap() {
        frames.push(frame.data.to_vec());
    }
    Some(frames)
}

/// Pion sends RTP packets back as they are, libwebrtc and aiortc decode the pictures and encode them anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn video_comes_back() {
    let Some(frames) = clip() else { return };
    for peer in [Peer::Pion, Peer::Libwebrtc, Peer::Aiortc] {
        let Some(mut pair) = Pair::start(peer).await else { continue };
        let init = TransceiverInit::default().codecs([Codec::vp8()]);
        let track = pair.kaon.add_track(TrackKind::Video, init).unwrap();
        if peer == Peer::Pion {
            pair.program.tell(&json!({ "do": "media" }).to_string());
        }
        pair.negotiate(false).await;
        let remote = pair.track().await;
        let codec = track.codec("VP8").unwrap();
        let mut sender = track.frames(&codec).unwrap();
        let clip = frames.clone();
        let sending = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(33));
            // From one key frame to the next, again and again.
            for (index, frame) in clip.iter().cycle().take(1800).enumerate() {
                ticks.tick().await;
                if sender.send(frame, RtpTimestamp(index as u32 * 3000)).is_err() {
                    return;
                }
            }
        });
        let mut received = remote.frames();
        let mut key_frames = 0;
        for _ in 0..60 {
            let frame = timeout(LONG, received.recv()).await.expect("in time").expect("a frame");
            key_frames += usize::from(frame.key_frame);
        }
        assert!(key_frames >= 1, "{peer:?}");
        sending.abort();
    }
}

/// Pion sends RTP packets back as they are, libwebrtc and aiortc decode the sound and encode it anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tone_comes_back() {
    const FREQUENCY: u32 = 600;
    /// Two seconds, of which the beginning may be silence.
    const ENOUGH: usize = 100;
    let Some(tone) = opus_tone(FREQUENCY, 20) else { return };
    for peer in [Peer::Pion, Peer::Libwebrtc, Peer::Aiortc] {
        let Some(mut pair) = Pair::start(peer).await else { continue };
        let track = pair.kaon.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
        if peer == Peer::Pion {
            pair.program.tell(&json!({ "do": "media" }).to_string());
        }
        pair.negotiate(false).await;
        let remote = pair.track().await;
        let codec = track.codec("opus").unwrap();
        let mut sender = track.frames(&codec).unwrap();
        let packets = tone.clone();
        let sending = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            for (index, packet) in packets.iter().enumerate() {
                ticks.tick().await;
                if sender.send(packet, RtpTimestamp(index as u32 * 960)).is_err() {
                    return;
                }
            }
        });
        let mut received = remote.frames();
        let mut heard = Vec::new();
        while heard.len() < ENOUGH {
            let frame = timeout(LONG, received.recv()).await.expect("in time").expect("a frame");
            heard.push(frame.data);
        }
        sending.abort();
        let Some(back) = Tone::of_opus(heard.iter().map(|packet| &packet[..])) else { return };
        assert!(back.is(f64::from(FREQUENCY)), "{peer:?}: {back:?}");
        if peer == Peer::Pion {
            assert!(heard.iter().all(|packet| tone.iter().any(|sent| sent == packet)), "bit for bit");
        }
    }
}
