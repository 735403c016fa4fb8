use std::f64::consts::TAU;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use kaon_rtc::container::{OggOpusReader, OggOpusWriter, OpusHead, OpusTags};

use crate::ffmpeg::ffmpeg;

/// What is heard in a piece of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    /// The frequency with the most power, in hertz.
    pub frequency: f64,
    /// The share of all power that it has, 0 to 1.
    pub share: f64,
    /// The root mean square of the samples, of which 1 is the loudest.
    pub level: f64,
}

const SAMPLE_RATE: u32 = 48_000;
/// Samples that are looked at: a fifth of a second, so that frequencies 5 Hz apart are told from each other.
const WINDOW: usize = SAMPLE_RATE as usize / 5;
const STEP: f64 = 5.0;
const MAX_FREQUENCY: f64 = 4000.0;

impl Tone {
    /// What ffmpeg hears at the end of a row of Opus packets. `None` if it is missing, as [`missing`](crate::missing) has said.
    pub fn of_opus<'a>(packets: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut writer =
            OggOpusWriter::new(Vec::new(), 1, &OpusHead::new(2), &OpusTags::new("kaon")).unwrap();
        packets.into_iter().for_each(|packet| writer.write_packet(packet).unwrap());
        Self::of_recording(&writer.finish().unwrap())
    }

    /// What ffmpeg hears at the end of a file of any kind that it knows. `None` if it is missing, as
    /// [`missing`](crate::missing) has said.
    pub fn of_recording(bytes: &[u8]) -> Option<Self> {
        let file = TemporaryFile::new("recording");
        std::fs::write(&file.0, bytes).unwrap();
        let input = ["-i", file.0.to_str().unwrap()];
        let pcm = ffmpeg(&[&input[..], &["-ac", "1", "-ar", "48000", "-f", "f32le", "-"]].concat())?;
        let samples: Vec<f64> =
            pcm.as_chunks::<4>().0.iter().map(|sample| f64::from(f32::from_le_bytes(*sample))).collect();
        Some(Self::of_samples(&samples[samples.len().saturating_sub(WINDOW)..]))
    }

    fn of_samples(samples: &[f64]) -> Self {
        assert_eq!(samples.len(), WINDOW, "too little sound");
        let power = samples.iter().map(|sample| sample * sample).sum::<f64>() / WINDOW as f64;
        let frequencies = (1..).map(|step| f64::from(step) * STEP).take_while(|at| *at <= MAX_FREQUENCY);
        let (frequency, strongest) = frequencies
            .map(|frequency| (frequency, power_at(frequency, samples)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .unwrap();
        Self { frequency, share: strongest / power.max(f64::MIN_POSITIVE), level: power.sqrt() }
    }

    /// Whether it is a pure tone of this frequency, as an Opus encoder leaves it.
    pub fn is(&self, frequency: f64) -> bool {
        (self.frequency - frequency).abs() <= 2.0 * STEP && self.share > 0.7 && self.level > 0.005
    }
}

/// The power of a sine of this frequency that is in the samples (the algorithm of Goertzel).
fn power_at(frequency: f64, samples: &[f64]) -> f64 {
    let factor = 2.0 * (TAU * frequency / f64::from(SAMPLE_RATE)).cos();
    let (last, before) =
        samples.iter().fold((0.0, 0.0), |(last, before), sample| (sample + factor * last - before, last));
    let square = last * last + before * before - factor * last * before;
    2.0 * square / (samples.len() as f64).powi(2)
}

/// Opus packets of 20 ms with a tone, made by ffmpeg. `None` if it is missing, as [`missing`](crate::missing) has said.
pub fn opus_tone(frequency: u32, seconds: u32) -> Option<Vec<Vec<u8>>> {
    let source = format!("sine=frequency={frequency}:sample_rate=48000:duration={seconds},volume=4");
    let ogg = ffmpeg(&[
        "-f", "lavfi", "-i", &source, "-ac", "2", "-c:a", "libopus", "-b:a", "48k", "-f", "ogg", "-",
    ])?;
    let mut reader = OggOpusReader::new(&ogg[..]).unwrap();
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().unwrap() {
        packets.push(packet.data.to_vec());
    }
    Some(packets)
}

struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn new(extension: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kaon-tone-{}-{count}.{extension}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_told_from_another_and_from_silence() {
        let sine = |frequency: f64| {
            let sample = |at| 0.5 * (TAU * frequency * f64::from(at) / f64::from(SAMPLE_RATE)).sin();
            (0..WINDOW as u32).map(sample).collect::<Vec<f64>>()
        };
        let tone = Tone::of_samples(&sine(440.0));
        assert!(tone.is(440.0) && !tone.is(460.0) && tone.share > 0.99, "{tone:?}");
        let both: Vec<f64> = sine(440.0).iter().zip(sine(1000.0)).map(|(a, b)| a + b).collect();
        assert!(!Tone::of_samples(&both).is(440.0));
        assert!(!Tone::of_samples(&vec![0.0; WINDOW]).is(440.0));
    }
}
