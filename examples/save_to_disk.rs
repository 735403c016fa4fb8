//! Saves what a peer sends, each track in a file of its own: VP8 and VP9 in IVF, H.264 in Annex B, Opus in Ogg.
//!
//! Reads an offer as a line of JSON and writes the answer the same way. `PREFIX-MID.ivf` and so on are the files; they
//! are complete when the peer closes, or at Ctrl-C. For a Kaon process as peer see the example `play_from_disk`.
//!
//! ```text
//! cargo run --features peer-connection,container --example save_to_disk PREFIX
//! ```
//!
//! From the console of a browser: paste what this logs into the terminal (`stty -icanon` first: a terminal cuts
//! lines at 4096 characters), and the answer into the prompt.
//!
//! ```js
//! const pc = new RTCPeerConnection();
//! const media = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
//! media.getTracks().forEach(track => pc.addTrack(track, media));
//! pc.onicegatheringstatechange = () => {
//!   if (pc.iceGatheringState != "complete") return;
//!   console.log(JSON.stringify(pc.localDescription));
//!   setTimeout(() => pc.setRemoteDescription(JSON.parse(prompt("answer"))), 10000);
//! };
//! await pc.setLocalDescription();
//! ```

#[path = "command_line/mod.rs"]
mod command_line;
#[path = "signalling/stdio.rs"]
mod signalling;

use std::fs::File;
use std::io::BufWriter;
use std::process::ExitCode;

use command_line::{BadInput, Result};
use kaon_rtc::container::{AnnexBWriter, IvfCodec, IvfHeader, IvfWriter, OggOpusWriter, OpusHead, OpusTags};
use kaon_rtc::peer_connection::{
    ConnectionState, DescriptionKind, Frame, NegotiatedCodec, PeerConnection, PeerConnectionEvent,
    RtpReceiver,
};
use kaon_rtc::rtp::payload::h264::StreamFormat;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> ExitCode {
    command_line::exit_code(run().await)
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prefix] = &arguments[..] else { return Err(BadInput("usage: save_to_disk PREFIX".into()).into()) };
    let connection = PeerConnection::builder().loopback(true).build().await?;
    let offer = signalling::read_description().await?;
    if offer.kind != DescriptionKind::Offer {
        return Err(BadInput(format!("expected an offer, but this is the type {}", offer.kind)).into());
    }
    connection.set_remote_description(&offer).map_err(|error| BadInput(error.to_string()))?;
    connection.set_local_description(None)?;
    signalling::write_description(&connection).await?;

    let mut files = JoinSet::new();
    loop {
        let event = tokio::select! {
            event = connection.next_event() => event,
            _ = tokio::signal::ctrl_c() => None,
        };
        match event {
            None => break,
            Some(PeerConnectionEvent::Track(track)) => {
                let mid = track.transceiver().and_then(|transceiver| transceiver.mid());
                let mid = mid.map(|mid| mid.to_string()).ok_or("a track has no media section")?;
                files.spawn(save(track, format!("{prefix}-{mid}")));
            }
            Some(PeerConnectionEvent::ConnectionState { state: ConnectionState::Failed, .. }) => break,
            Some(_) => {}
        }
    }
    // Ends the tracks, and with them the files.
    connection.close();
    files.join_all().await.into_iter().collect()
}

async fn save(track: RtpReceiver, name: String) -> Result<()> {
    let mut frames = track.frames();
    let mut sink = None;
    let (mut last, mut ticks, mut count) = (None, 0u64, 0);
    while let Some(frame) = frames.recv().await {
        let Some(codec) = frames.codec() else { continue };
        let sink = match &mut sink {
            Some(sink) => sink,
            None => sink.insert(Sink::create(&name, codec, &frame)?),
        };
        // The timestamps of RTP wrap; those of a file begin at zero and do not.
        let passed = frame.timestamp.distance_from(last.replace(frame.timestamp).unwrap_or(frame.timestamp));
        ticks = ticks.saturating_add_signed(passed.into());
        sink.write(ticks, &frame)?;
        count += 1;
    }
    let statistics = frames.statistics();
    eprintln!("{name}: {count} frames, {} packets lost", statistics.lost_packets);
    sink.map_or(Ok(()), Sink::finish)
}

/// A file under way.
enum Sink {
    Ivf(IvfWriter<BufWriter<File>>),
    AnnexB(AnnexBWriter<BufWriter<File>>),
    Opus(OggOpusWriter<BufWriter<File>>),
}

impl Sink {
    fn create(name: &str, codec: &NegotiatedCodec, first: &Frame) -> Result<Self> {
        let create = |extension: &str| File::create(format!("{name}.{extension}")).map(BufWriter::new);
        let ivf = |fourcc| -> Result<Self> {
            // The first frame is a key frame, which tells the size.
            let (width, height) = first.dimensions.map_or((0, 0), |size| (size.width, size.height));
            let rate = codec.codec.clock_rate;
            Ok(Self::Ivf(IvfWriter::new(create("ivf")?, &IvfHeader::new(fourcc, width, height, rate))?))
        };
        match codec.codec.name.to_ascii_uppercase().as_str() {
            "VP8" => ivf(IvfCodec::Vp8),
            "VP9" => ivf(IvfCodec::Vp9),
            "H264" => Ok(Self::AnnexB(AnnexBWriter::new(create("h264")?, StreamFormat::AnnexB))),
            _ => {
                // One stream in the file: its serial number is unique.
                let channels = codec.codec.channels.map_or(1, |channels| channels.min(2) as u8);
                let (head, tags) = (OpusHead::new(channels), OpusTags::new("Kaon"));
                Ok(Self::Opus(OggOpusWriter::new(create("ogg")?, 1, &head, &tags)?))
            }
        }
    }

    fn write(&mut self, timestamp: u64, frame: &Frame) -> Result<()> {
        match self {
            Self::Ivf(writer) => writer.write_frame(timestamp, &frame.data)?,
            Self::AnnexB(writer) => writer.write_access_unit(&frame.data)?,
            Self::Opus(writer) => writer.write_packet(&frame.data)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        use std::io::Write;
        match self {
            Self::Ivf(writer) => drop(writer.finish()?.flush()?),
            Self::AnnexB(writer) => drop(writer.into_inner().flush()?),
            Self::Opus(writer) => drop(writer.finish()?.flush()?),
        }
        Ok(())
    }
}
