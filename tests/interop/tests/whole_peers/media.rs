use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kaon_interop::{Thumbnail, Tone, missing, opus_tone};
use kaon_rtc::container::{AnnexBReader, IvfCodec, IvfHeader, IvfReader, IvfWriter};
use kaon_rtc::layer::RtpTimestamp;
use kaon_rtc::media::Frame;
use kaon_rtc::peer_connection::{Codec, RtpReceiver, RtpSender, TrackKind, TransceiverInit};
use kaon_rtc::sdp::Direction;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peer::{Capability, LONG, PEERS, Pair, Peer};

const SIZE: (u16, u16) = (320, 240);
/// Two seconds.
const PICTURES: usize = 60;
/// A picture that was decoded, encoded and decoded again is so near to what it was, of 255; the clip's halves
/// are three times as far apart.
const SAME: f64 = 12.0;
const FREQUENCY: u32 = 600;
/// Two seconds of sound, of which the beginning may be silence.
const SOUNDS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp8_and_opus_come_back() {
    let (Some(clip), Some(tone)) = (Clip::make(Codec::vp8()), opus_tone(FREQUENCY, 20)) else { return };
    for peer in PEERS {
        for peer_offers in [true, false] {
            let Some(mut pair) = Pair::start(peer).await else { continue };
            let kinds = [(TrackKind::Video, Codec::vp8()), (TrackKind::Audio, Codec::opus())];
            let tracks = negotiate(&mut pair, peer_offers, &kinds).await;
            let (local, remote) = of_kind(&tracks, TrackKind::Audio);
            let sending = send(local, "opus", tone.clone(), Duration::from_millis(20), 960);
            watch(&clip, peer, of_kind(&tracks, TrackKind::Video)).await;
            let heard = listen(remote).await;
            sending.abort();
            let Some(back) = Tone::of_opus(heard.iter().map(|packet| &packet[..])) else { return };
            assert!(back.is(f64::from(FREQUENCY)), "{peer:?}: {back:?}");
            if sends_packets_back(peer) {
                assert!(heard.iter().all(|packet| tone.iter().any(|sent| sent == packet)), "bit for bit");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_comes_back() {
    let Some(clip) = Clip::make(Codec::h264()) else { return };
    for peer in Peer::all_that_can(Capability::H264) {
        for peer_offers in [true, false] {
            let Some(mut pair) = Pair::start(peer).await else { continue };
            let tracks = negotiate(&mut pair, peer_offers, &[(TrackKind::Video, Codec::h264())]).await;
            watch(&clip, peer, of_kind(&tracks, TrackKind::Video)).await;
        }
    }
}

/// Pion and libdatachannel have no codecs and send RTP packets back as they are; libwebrtc and aiortc decode and
/// encode anew.
fn sends_packets_back(peer: Peer) -> bool {
    matches!(peer, Peer::Pion | Peer::Libdatachannel)
}

/// Connects so that media of these kinds goes both ways.
async fn negotiate(
    pair: &mut Pair,
    peer_offers: bool,
    kinds: &[(TrackKind, Codec)],
) -> Vec<(RtpSender, RtpReceiver)> {
    for (kind, codec) in kinds {
        let name = if *kind == TrackKind::Video { "video" } else { "audio" };
        pair.tell(json!({ "do": "media", "kind": name, "codec": codec.name, "offers": peer_offers }));
    }
    if peer_offers {
        pair.tell(json!({ "do": "offer" }));
        let offer = pair.wait_for("sdp");
        pair.take_offer(&offer);
        for transceiver in pair.kaon.transceivers() {
            pair.kaon.set_direction(transceiver.id(), Direction::SendRecv).unwrap();
        }
        pair.kaon.set_local_description(None).unwrap();
        pair.tell_description().await;
    } else {
        for (kind, codec) in kinds {
            let init = TransceiverInit::default().codecs([codec.clone()]);
            pair.kaon.add_track(*kind, init).unwrap();
        }
        pair.negotiate(false).await;
    }
    pair.connected().await;
    let mut tracks = Vec::new();
    while tracks.len() < kinds.len() {
        let remote = pair.track().await;
        tracks.push((pair.kaon.sender(remote.id()).unwrap(), remote));
    }
    tracks
}

fn of_kind(tracks: &[(RtpSender, RtpReceiver)], kind: TrackKind) -> &(RtpSender, RtpReceiver) {
    tracks.iter().find(|(_, remote)| remote.kind() == Some(kind)).unwrap()
}

/// Sends frames at their pace, again and again.
fn send(track: &RtpSender, codec: &str, frames: Vec<Vec<u8>>, pace: Duration, ticks: u32) -> JoinHandle<()> {
    let codec = track.codec(codec).unwrap_or_else(|| panic!("{codec}: {:?}", track.codecs()));
    let mut sender = track.frames(&codec).unwrap();
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(pace);
        for (index, frame) in frames.iter().cycle().enumerate() {
            interval.tick().await;
            if sender.send(frame, RtpTimestamp((index as u32).wrapping_mul(ticks))).is_err() {
                return;
            }
        }
    })
}

async fn listen(track: &RtpReceiver) -> Vec<Bytes> {
    let mut received = track.frames();
    let mut heard = Vec::new();
    while heard.len() < SOUNDS {
        let frame = timeout(LONG, received.recv()).await.expect("in time").expect("a frame");
        heard.push(frame.data);
    }
    heard
}

/// Sends the clip, and looks at what comes back.
async fn watch(clip: &Clip, peer: Peer, (local, remote): &(RtpSender, RtpReceiver)) {
    let sending = send(local, &clip.codec.name, clip.frames.clone(), Duration::from_millis(33), 3000);
    let mut received = remote.frames();
    let mut frames: Vec<Frame> = Vec::new();
    while frames.len() < PICTURES {
        let frame = timeout(LONG, received.recv()).await.expect("in time").expect("a frame");
        // What comes before cannot be decoded.
        if frame.key_frame || !frames.is_empty() {
            frames.push(frame);
        }
    }
    sending.abort();
    let path = clip.codec_file(frames.iter().map(|frame| &frame.data[..]));
    // A sender may make its picture smaller later on.
    assert_eq!(size_of_first_picture(&path), SIZE, "{peer:?}");
    let back = Thumbnail::of_clip(&path).unwrap();
    assert!(back.len() + 5 >= PICTURES, "{peer:?}: {} pictures of {PICTURES} frames", back.len());
    let nearest = |shown: &Thumbnail| {
        let distances = clip.pictures.iter().map(|picture| picture.distance(shown)).enumerate();
        distances.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
    };
    let found: Vec<_> = back.iter().map(nearest).collect();
    if sends_packets_back(peer) {
        assert!(found.iter().all(|(_, distance)| *distance == 0.0), "{peer:?}: {found:?}");
    }
    let (_, distance) = found.last().unwrap();
    assert!(*distance < SAME, "{peer:?}: the last picture is {distance} away from what was sent");
    let different: HashSet<_> = found.iter().map(|(index, _)| index).collect();
    assert!(different.len() >= PICTURES / 4, "{peer:?}: the picture stands still: {different:?}");
}

/// As the stream says it, not the file.
fn size_of_first_picture(path: &Path) -> (u16, u16) {
    let entries = "-v error -read_intervals %+#1 -show_entries frame=width,height -of csv=p=0";
    let output = Command::new("ffprobe").args(entries.split(' ')).arg(path).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (width, height) = text.lines().next().unwrap().split_once(',').unwrap();
    (width.parse().unwrap(), height.trim_end_matches(',').parse().unwrap())
}

/// A clip of two seconds, made by ffmpeg.
struct Clip {
    codec: Codec,
    frames: Vec<Vec<u8>>,
    pictures: Vec<Thumbnail>,
}

impl Clip {
    /// `None` without ffmpeg, as [`missing`] has said.
    fn make(codec: Codec) -> Option<Self> {
        let mut clip = Self { codec, frames: Vec::new(), pictures: Vec::new() };
        let (encoder, path) = if clip.is_h264() {
            ("libx264 -profile:v baseline -pix_fmt yuv420p -tune zerolatency", file("h264"))
        } else {
            ("libvpx", file("ivf"))
        };
        let (width, height) = SIZE;
        let arguments = format!(
            "-nostdin -v error -y -f lavfi -i testsrc2=size={width}x{height}:rate=30:duration=2 -c:v {encoder} -b:v 500k -g 15"
        );
        let made = Command::new("ffmpeg").args(arguments.split(' ')).arg(&path).status();
        if !made.is_ok_and(|status| status.success()) {
            missing("ffmpeg", "it cannot be run; `tests/run setup` installs it");
            return None;
        }
        if clip.is_h264() {
            let mut reader = AnnexBReader::new(File::open(&path).unwrap());
            while let Some(unit) = reader.read_access_unit().unwrap() {
                clip.frames.push(unit.data.to_vec());
            }
        } else {
            let mut reader = IvfReader::new(File::open(&path).unwrap()).unwrap();
            while let Some(frame) = reader.read_frame().unwrap() {
                clip.frames.push(frame.data.to_vec());
            }
        }
        clip.pictures = Thumbnail::of_clip(&path)?;
        assert_eq!((clip.frames.len(), clip.pictures.len()), (PICTURES, PICTURES));
        Some(clip)
    }

    fn is_h264(&self) -> bool {
        self.codec.is("H264")
    }

    /// Writes frames of its codec into a file.
    fn codec_file<'a>(&self, frames: impl Iterator<Item = &'a [u8]>) -> PathBuf {
        if self.is_h264() {
            let path = file("h264");
            std::fs::write(&path, frames.collect::<Vec<_>>().concat()).unwrap();
            return path;
        }
        let path = file("ivf");
        let header = IvfHeader::new(IvfCodec::Vp8, SIZE.0, SIZE.1, 30);
        let mut writer = IvfWriter::new(File::create(&path).unwrap(), &header).unwrap();
        for (index, frame) in frames.enumerate() {
            writer.write_frame(index as u64, frame).unwrap();
        }
        path
    }
}

fn file(extension: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("whole_peers_{count}.{extension}"))
}
