//! Plays files to a peer, each on a track of its own: IVF (VP8, VP9), H.264 in Annex B (thirty frames a second), and
//! Ogg Opus.
//!
//! Writes an offer as a line of JSON and reads the answer the same way. To another Kaon process (each reads what the
//! other writes):
//!
//! ```text
//! ffmpeg -f lavfi -i testsrc2=duration=10 -c:v libvpx -b:v 1M video.ivf
//! ffmpeg -f lavfi -i testsrc2=duration=10 -c:v libx264 -profile:v baseline -bf 0 -g 60 -pix_fmt yuv420p video.h264
//! ffmpeg -f lavfi -i sine=duration=10 -c:a libopus sound.ogg
//! cargo build --features peer-connection,container --examples
//! mkfifo answer; cd target/debug/examples
//! ./play_from_disk video.ivf sound.ogg <answer | ./save_to_disk copy >answer
//! ```
//!
//! To a browser: paste the offer into the prompt that this opens, and what it logs into the terminal (`stty -icanon`
//! first: a terminal cuts lines at 4096 characters).
//!
//! ```js
//! const pc = new RTCPeerConnection();
//! pc.ontrack = ({ track }) => document.body.append(Object.assign(document.createElement(track.kind),
//!   { autoplay: true, controls: true, srcObject: new MediaStream([track]) }));
//! pc.onicegatheringstatechange = () =>
//!   pc.iceGatheringState == "complete" && console.log(JSON.stringify(pc.localDescription));
//! await pc.setRemoteDescription(JSON.parse(prompt("offer")));
//! await pc.setLocalDescription();
//! ```

#[path = "command_line/mod.rs"]
mod command_line;
#[path = "signalling/stdio.rs"]
mod signalling;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use command_line::{BadInput, Result};
use kaon_rtc::container::{AnnexBReader, IvfCodec, IvfReader, OggOpusReader};
use kaon_rtc::layer::RtpTimestamp;
use kaon_rtc::peer_connection::{
    Codec, ConnectionState, FrameSender, PeerConnection, PeerConnectionEvent, TrackKind, TransceiverInit,
};
use kaon_rtc::rtp::payload::opus::Toc;
use kaon_rtc::sdp::Direction;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long the peer may still ask for what it missed of the last frames.
const REPAIR_TIME: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        return Err(BadInput("usage: play_from_disk FILE.ivf|FILE.h264|FILE.ogg ...".into()).into());
    }
    let connection = PeerConnection::builder().loopback(true).build().await?;
    let mut tracks = Vec::new();
    for path in &paths {
        let source = Source::open(path).map_err(|error| BadInput(format!("{path}: {error}")))?;
        let init = TransceiverInit::new(Direction::SendOnly).stream("disk").codecs(source.codecs());
        tracks.push((connection.add_track(source.kind(), init)?, source));
    }
    connection.set_local_description(None)?;
    signalling::write_description(&connection).await?;
    let answer = signalling::read_description().await?;
    connection.set_remote_description(&answer).map_err(|error| BadInput(error.to_string()))?;
    connection.connected().await?;

    let mut playing = JoinSet::new();
    for ((track, source), path) in tracks.into_iter().zip(paths) {
        let codecs = track.codecs();
        let codec = codecs.first().ok_or(format!("{path}: the peer does not take this codec"))?;
        playing.spawn(play(source, track.frames(codec)?));
    }
    tokio::select! {
        played = playing.join_all() => played.into_iter().collect::<Result<Vec<()>>>()?,
        () = lost(&connection) => return Err("the connection was lost".into()),
    };
    tokio::time::sleep(REPAIR_TIME).await;
    connection.close();
    Ok(())
}

async fn lost(connection: &PeerConnection) {
    while let Some(event) = connection.next_event().await {
        if matches!(event, PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. }) {
            return;
        }
    }
}

/// Sends each frame when it is due.
async fn play(mut source: Source, mut frames: FrameSender) -> Result<()> {
    let rate = u64::from(frames.codec().codec.clock_rate);
    let start = Instant::now();
    while let Some((ticks, frame)) = source.next_frame()? {
        let due = start.checked_add(Duration::from_millis(ticks / rate * 1000 + ticks % rate * 1000 / rate));
        tokio::time::sleep_until(due.ok_or("a timestamp is out of range")?).await;
        frames.send(&frame, RtpTimestamp(ticks as u32))?;
    }
    Ok(())
}

/// A file, and how many ticks of the codec's clock have passed.
enum Source {
    Ivf(IvfReader<BufReader<File>>),
    AnnexB(AnnexBReader<BufReader<File>>, u64),
    Opus(OggOpusReader<BufReader<File>>, u64),
}

impl Source {
    fn open(path: &str) -> Result<Self> {
        let file = BufReader::new(File::open(path)?);
        match Path::new(path).extension().and_then(|extension| extension.to_str()) {
            Some("ivf") => {
                let reader = IvfReader::new(file)?;
                match (reader.header().codec, reader.header().time_base) {
                    (_, (0, _) | (_, 0)) => Err("its time base is zero".into()),
                    (IvfCodec::Vp8 | IvfCodec::Vp9, _) => Ok(Self::Ivf(reader)),
                    (codec, _) => Err(format!("cannot play {codec:?}; expected VP8 or VP9").into()),
                }
            }
            Some("h264" | "264") => Ok(Self::AnnexB(AnnexBReader::new(file), 0)),
            Some("ogg" | "opus") => Ok(Self::Opus(OggOpusReader::new(file)?, 0)),
            _ => Err("what it is cannot be told from its name; expected .ivf, .h264 or .ogg".into()),
        }
    }

    fn kind(&self) -> TrackKind {
        if matches!(self, Self::Opus(..)) { TrackKind::Audio } else { TrackKind::Video }
    }

    fn codecs(&self) -> Vec<Codec> {
        match self {
            Self::Ivf(reader) if reader.header().codec == IvfCodec::Vp8 => vec![Codec::vp8()],
            Self::Ivf(_) => vec![Codec::vp9()],
            Self::AnnexB(..) => vec![Codec::h264()],
            Self::Opus(..) => vec![Codec::opus()],
        }
    }

    /// The next frame and when it begins, in ticks of the codec's clock.
    fn next_frame(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        match self {
            Self::Ivf(reader) => {
                let (numerator, denominator) = reader.header().time_base;
                let Some(frame) = reader.read_frame()? else { return Ok(None) };
                let ticks = u128::from(frame.timestamp) * u128::from(numerator) * 90_000;
                let ticks = u64::try_from(ticks / u128::from(denominator))?;
                Ok(Some((ticks, frame.data.to_vec())))
            }
            Self::AnnexB(reader, next) => {
                let Some(unit) = reader.read_access_unit()? else { return Ok(None) };
                let ticks = std::mem::replace(next, *next + 90_000 / 30);
                Ok(Some((ticks, unit.data.to_vec())))
            }
            Self::Opus(reader, next) => {
                let Some(packet) = reader.read_packet()? else { return Ok(None) };
                let step = Toc::parse(packet.data)?.timestamp_step();
                let ticks = std::mem::replace(next, *next + u64::from(step));
                Ok(Some((ticks, packet.data.to_vec())))
            }
        }
    }
}
