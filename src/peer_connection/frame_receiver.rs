//! Frames of what a peer sends.

use std::time::Instant;

use tokio::time::timeout_at;

use super::rtp_packet::RtpPacket;
use super::rtp_receiver::RtpReceiver;
use crate::layer::{Rid, Ssrc, TrackKind};
use crate::media::{Frame, FrameAssembler, FrameAssemblerConfig, FrameAssemblerStatistics};
use crate::rtp::payload::PayloadFormat;
use crate::rtp::payload::h264::ParameterSets;
use crate::session::{FailureReason, NegotiatedCodec};

/// Puts together the frames of what a peer sends on a transceiver, and asks for a key frame where one is
/// missing.
///
/// Packets of a codec that cannot be put together ([`PayloadFormat`] has those that can) are left out, and of a
/// peer that sends several simulcast streams, all but the one that came first:
/// [`RtpReceiver::simulcast_stream`] chooses one. Once a receiver of frames is there,
/// [`RtpReceiver::recv_rtp`] should not be called: each would get some of the packets.
///
/// ```
/// use kaon_rtc::peer_connection::RtpReceiver;
///
/// /// Hands the frames of a peer to a decoder.
/// async fn watch(track: RtpReceiver, mut decode: impl FnMut(&[u8], bool)) {
///     let mut frames = track.frames();
///     while let Some(frame) = frames.recv().await {
///         decode(&frame.data, frame.key_frame);
///     }
///     println!("over, {:?}", frames.statistics());
/// }
/// ```
#[derive(Debug)]
pub struct FrameReceiver {
    track: RtpReceiver,
    stream: Option<Stream>,
    has_ended: bool,
}

/// The stream that frames are made of.
#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    rid: Option<Rid>,
    codec: NegotiatedCodec,
    format: PayloadFormat,
    config: FrameAssemblerConfig,
    assembler: FrameAssembler,
}

impl RtpReceiver {
    /// The track as frames, in the form that a decoder takes.
    pub fn frames(&self) -> FrameReceiver {
        FrameReceiver { track: self.clone(), stream: None, has_ended: false }
    }
}

impl RtpReceiver {
    /// What the peer's description says of the H.264 that it sends.
    fn parameter_sets(&self, codec: &NegotiatedCodec) -> ParameterSets {
        // The parameters of the peer are those of its codecs as this side sends them.
        let theirs = self.transceiver().and_then(|transceiver| {
            let mut codecs = transceiver.send_codecs().iter();
            codecs.find(|theirs| theirs.codec.is_compatible(&codec.codec)).cloned()
        });
        let told = theirs.as_ref().and_then(|codec| codec.codec.parameters.value("sprop-parameter-sets"));
        told.map(ParameterSets::from_sprop).unwrap_or_default()
    }
}

impl FrameReceiver {
    /// The next frame; `None` once the track has ended, or the connection has failed or is closed, and all frames are
    /// told: [`failure`](Self::failure) says which. A packet that is missing holds up those behind it for half a
    /// second, while it is asked for; video goes on with a key frame then. Cancel safe.
    pub async fn recv(&mut self) -> Option<Frame> {
        loop {
            let mut timeout = None;
            if let Some(stream) = &mut self.stream {
                let now = Instant::now();
                // What is missing at the end will not come.
                let until = if self.has_ended { now + stream.config.max_delay } else { now };
                if let Some(frame) = stream.assembler.poll_frame(until) {
                    return Some(frame);
                }
                if stream.assembler.poll_key_frame_request(now) {
                    self.track.request_key_frame();
                }
                timeout = stream.assembler.poll_timeout();
            }
            if self.has_ended && !self.track.is_live() {
                return None;
            }
            // An ICE restart has helped.
            self.has_ended = false;
            let packet = match timeout {
                None => self.track.recv_rtp().await,
                Some(at) => match timeout_at(at.into(), self.track.recv_rtp()).await {
                    Ok(packet) => packet,
                    Err(_) => continue,
                },
            };
            match packet {
                Some(packet) => self.push(&packet),
                None => self.has_ended = true,
            }
        }
    }

    /// Why the connection has failed or is closed, while it is.
    pub fn failure(&self) -> Option<FailureReason> {
        self.track.failure()
    }

    /// The codec of the frames; `None` before the first packet.
    pub fn codec(&self) -> Option<&NegotiatedCodec> {
        self.stream.as_ref().map(|stream| &stream.codec)
    }

    /// The track.
    pub fn track(&self) -> &RtpReceiver {
        &self.track
    }

    /// What was done with the packets of the present stream.
    pub fn statistics(&self) -> FrameAssemblerStatistics {
        self.stream.as_ref().map(|stream| *stream.assembler.statistics()).unwrap_or_default()
    }

    fn push(&mut self, packet: &RtpPacket) {
        let view = packet.as_packet();
        let is_same =
            |stream: &Stream| stream.ssrc == view.ssrc() && stream.codec.payload_type == view.payload_type();
        if !self.stream.as_ref().is_some_and(is_same) {
            if self.stream.as_ref().is_some_and(|stream| stream.rid != packet.rid) {
                return;
            }
            let Some(codec) = self.track.codec_of(&view) else { return };
            let Some(format) = codec.codec.payload_format() else { return };
            match &mut self.stream {
                // Another payload type for the same thing, as of another H.264 profile.
                Some(stream) if stream.ssrc == view.ssrc() && stream.format == format => stream.codec = codec,
                stream => {
                    let sets = self.track.parameter_sets(&codec);
                    *stream = Some(Stream::new(packet, codec, format, sets));
                }
            }
        }
        if let Some(stream) = &mut self.stream {
            stream.assembler.push(packet.arrival, &view);
        }
    }
}

impl Stream {
    fn new(packet: &RtpPacket, codec: NegotiatedCodec, format: PayloadFormat, sets: ParameterSets) -> Self {
        let config = match format.kind() {
            TrackKind::Audio => FrameAssemblerConfig::audio(),
            TrackKind::Video => FrameAssemblerConfig::video(),
        };
        let mut assembler = FrameAssembler::new(format, config);
        assembler.set_parameter_sets(sets);
        Self { ssrc: packet.ssrc(), rid: packet.rid, codec, format, config, assembler }
    }
}
