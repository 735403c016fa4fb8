//! The clips in `clips/`: read and split into packets once, then played in a loop for everybody.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kaon_rtc::container::{AnnexBReader, IvfReader, OggOpusReader, ReadError};
use kaon_rtc::rtp::payload::{PacketizeError, Packetizer, h264, opus, vp8};
use thiserror::Error;
use tokio::time::Instant;

use crate::feed::{Feed, FeedCodec, FeedPacket, Unit};

/// A clip, ready to be sent.
#[derive(Debug)]
pub struct Clip {
    pub name: &'static str,
    pub video: Arc<ClipTrack>,
    pub audio: Option<Arc<ClipTrack>>,
}

/// The frames of one track. They are equally long.
#[derive(Debug)]
pub struct ClipTrack {
    pub codec: FeedCodec,
    frames: Vec<Frame>,
    /// Timestamp ticks from frame to frame.
    step: u32,
}

#[derive(Debug)]
struct Frame {
    packets: Vec<(bool, Bytes)>,
    is_entry: bool,
}

/// A clip cannot be used.
#[derive(Debug, Error)]
pub enum ClipError {
    #[error("the clip {0}: {1}")]
    Read(&'static str, ReadError),
    #[error("the clip {0}: {1}")]
    Packetize(&'static str, PacketizeError),
    #[error("the clip {0} has no frames, or no frame rate")]
    Empty(&'static str),
}

/// Room for the payload in a packet of 1200 bytes with its header extensions and its tag.
pub const MAX_PAYLOAD: usize = 1100;
/// After a pause of the whole machine, playing goes on from where the clock is.
const MAX_BEHIND: Duration = Duration::from_secs(1);

/// The four clips.
pub fn load() -> Result<Vec<Clip>, ClipError> {
    let test_card = include_bytes!("../clips/test_card.h264");
    let fractal = include_bytes!("../clips/fractal.h264");
    let life = include_bytes!("../clips/life.ivf");
    let aurora = include_bytes!("../clips/aurora.ivf");
    let low_note = include_bytes!("../clips/test_card.ogg");
    let high_note = include_bytes!("../clips/life.ogg");
    Ok(vec![
        clip("Test card", read_h264("test_card.h264", test_card, 25)?, Some(("test_card.ogg", low_note)))?,
        clip("Life", read_vp8("life.ivf", life)?, Some(("life.ogg", high_note)))?,
        clip("Fractal", read_h264("fractal.h264", fractal, 30)?, None)?,
        clip("Aurora", read_vp8("aurora.ivf", aurora)?, None)?,
    ])
}

fn clip(
    name: &'static str,
    video: ClipTrack,
    sound: Option<(&'static str, &[u8])>,
) -> Result<Clip, ClipError> {
    let audio = match sound {
        Some((file, bytes)) => Some(Arc::new(read_opus(file, bytes, video.duration())?)),
        None => None,
    };
    Ok(Clip { name, video: Arc::new(video), audio })
}

fn read_h264(file: &'static str, bytes: &[u8], rate: u32) -> Result<ClipTrack, ClipError> {
    let mut reader = AnnexBReader::new(bytes);
    let mut packetizer = h264::Packetizer::default();
    let mut frames = Vec::new();
    while let Some(unit) = reader.read_access_unit().map_err(|error| ClipError::Read(file, error))? {
        frames.push(Frame::new(file, &mut packetizer, unit.data, unit.key_frame)?);
    }
    ClipTrack::new(file, FeedCodec::H264, frames, FeedCodec::H264.clock_rate() / rate)
}

fn read_vp8(file: &'static str, bytes: &[u8]) -> Result<ClipTrack, ClipError> {
    let mut reader = IvfReader::new(bytes).map_err(|error| ClipError::Read(file, error))?;
    let (numerator, denominator) = reader.header().time_base;
    let step = (FeedCodec::Vp8.clock_rate() * numerator).checked_div(denominator);
    let mut packetizer = vp8::Packetizer::new(vp8::Descriptor::default());
    let mut frames = Vec::new();
    while let Some(frame) = reader.read_frame().map_err(|error| ClipError::Read(file, error))? {
        frames.push(Frame::new(file, &mut packetizer, frame.data, vp8::is_key_frame(frame.data))?);
    }
    ClipTrack::new(file, FeedCodec::Vp8, frames, step.unwrap_or(0))
}

/// As many packets as `duration` takes: the encoder may have appended one.
fn read_opus(file: &'static str, bytes: &[u8], duration: Duration) -> Result<ClipTrack, ClipError> {
    let mut reader = OggOpusReader::new(bytes).map_err(|error| ClipError::Read(file, error))?;
    let (mut frames, mut step) = (Vec::new(), 0);
    while let Some(packet) = reader.read_packet().map_err(|error| ClipError::Read(file, error))? {
        if let Ok(toc) = opus::Toc::parse(packet.data) {
            step = toc.timestamp_step();
        }
        frames.push(Frame::new(file, &mut opus::Packetizer, packet.data, true)?);
    }
    if step > 0 {
        let wanted = duration.as_millis() as u64 * u64::from(FeedCodec::Opus.clock_rate() / 1000);
        frames.truncate((wanted / u64::from(step)) as usize);
    }
    ClipTrack::new(file, FeedCodec::Opus, frames, step)
}

impl Frame {
    fn new(
        file: &'static str,
        packetizer: &mut dyn Packetizer,
        frame: &[u8],
        is_entry: bool,
    ) -> Result<Self, ClipError> {
        let mut packets = Vec::new();
        packetizer
            .packetize(frame, MAX_PAYLOAD, &mut |payload| {
                packets.push((payload.marker, Bytes::from(payload.parts().concat())));
            })
            .map_err(|error| ClipError::Packetize(file, error))?;
        Ok(Self { packets, is_entry })
    }
}

impl ClipTrack {
    fn new(file: &'static str, codec: FeedCodec, frames: Vec<Frame>, step: u32) -> Result<Self, ClipError> {
        if step == 0 || !frames.iter().any(|frame| frame.is_entry) {
            return Err(ClipError::Empty(file));
        }
        Ok(Self { codec, frames, step })
    }

    fn duration(&self) -> Duration {
        self.time_of(self.frames.len() as u64)
    }

    fn time_of(&self, frame: u64) -> Duration {
        let ticks = frame * u64::from(self.step);
        let rate = u64::from(self.codec.clock_rate());
        Duration::from_secs(ticks / rate) + Duration::from_nanos(ticks % rate * 1_000_000_000 / rate)
    }

    fn frame_at(&self, time: Duration) -> u64 {
        (time.as_micros() * u128::from(self.codec.clock_rate()) / 1_000_000 / u128::from(self.step)) as u64
    }

    /// Plays the clip into `feed` for ever, `lead` ahead of one that began at `epoch`. Each frame has its place
    /// on the clock, so that nothing drifts, and timestamps go on over the end of the clip.
    pub async fn play(self: Arc<Self>, feed: Arc<Feed>, epoch: Instant, lead: Duration) {
        let first = self.frame_at(lead);
        let (mut number, mut index) = (0, 0);
        loop {
            let due = epoch + self.time_of(number);
            tokio::time::sleep_until(due).await;
            if due.elapsed() > MAX_BEHIND {
                number = self.frame_at(epoch.elapsed());
                while !self.frame(first + number).is_entry {
                    number += 1;
                }
                continue;
            }
            let frame = self.frame(first + number);
            let timestamp = number.wrapping_mul(u64::from(self.step)) as u32;
            let packets: Vec<_> = (index..)
                .zip(&frame.packets)
                .map(|(index, (marker, payload))| FeedPacket {
                    index,
                    timestamp,
                    marker: *marker,
                    payload: payload.clone(),
                })
                .collect();
            index += packets.len() as u64;
            number += 1;
            feed.publish(Unit { packets, is_entry: frame.is_entry });
        }
    }

    fn frame(&self, number: u64) -> &Frame {
        &self.frames[(number % self.frames.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clips_are_what_the_wall_needs() {
        let clips = load().unwrap();
        assert_eq!(clips.len(), 4);
        for clip in &clips {
            let video = &clip.video;
            assert_eq!(video.duration(), Duration::from_secs(10), "{}", clip.name);
            assert!(video.frames[0].is_entry, "{}", clip.name);
            let entries = video.frames.iter().filter(|frame| frame.is_entry).count();
            assert_eq!(entries, 10, "a viewer of {} waits a second at most", clip.name);
            for frame in &video.frames {
                assert!(frame.packets.iter().all(|(_, payload)| payload.len() <= MAX_PAYLOAD));
                assert!(frame.packets.last().unwrap().0);
            }
            if let Some(audio) = &clip.audio {
                assert_eq!(audio.duration(), video.duration());
            }
        }
        assert_eq!(clips.iter().filter(|clip| clip.audio.is_some()).count(), 2);
        assert_eq!(clips.iter().filter(|clip| clip.video.codec == FeedCodec::H264).count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn playing_keeps_to_the_clock_and_goes_on_over_the_end() {
        let clip = load().unwrap().remove(0);
        let feed = Feed::new(clip.video.codec);
        let (_, mut units) = feed.follow();
        let epoch = Instant::now();
        tokio::spawn(clip.video.clone().play(feed, epoch, Duration::ZERO));
        let mut expected_index = 0;
        for number in 0..600u32 {
            let unit = units.recv().await.unwrap();
            assert_eq!(unit.packets[0].timestamp, number * 3600);
            assert_eq!(unit.packets[0].index, expected_index);
            expected_index += unit.packets.len() as u64;
            assert_eq!(unit.is_entry, number % 25 == 0);
            let late = epoch.elapsed() - Duration::from_millis(40 * u64::from(number));
            assert!(late < Duration::from_millis(5), "frame {number} is {late:?} late on a virtual clock");
        }
    }
}
