//! Packets of a stream, in any order, become frames in order.

mod access_unit;
mod boundary;
mod format;
mod picture;
mod reorder_buffer;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::layer::{RtpTimestamp, SequenceNumber};
use crate::rtp::payload::h264::ParameterSets;
use crate::rtp::payload::{DEFAULT_MAX_FRAME_LEN, Dimensions, PayloadFormat};
use crate::rtp::{Packet, SequenceUnwrapper};

use boundary::Boundary;
use format::Format;
use reorder_buffer::{Buffered, Inserted, ReorderBuffer};

/// Memory for a frame under way that is kept from frame to frame.
const KEPT_FRAME_CAPACITY: usize = 256 << 10;

/// The limits of a [`FrameAssembler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameAssemblerConfig {
    /// How far packets may be apart that wait for one between them, in sequence numbers. The first of them
    /// is given up when a packet comes that is farther away. Default 1024 for video and 128 for audio.
    pub max_packets: usize,
    /// The most bytes of payload that wait. Default 2 MiB for video and 128 KiB for audio.
    pub max_bytes: usize,
    /// How long packets wait for one that is missing before it is given up: the time for its retransmission.
    /// Default 500 ms for video and 200 ms for audio.
    pub max_delay: Duration,
    /// The most bytes of a frame. Default 8 MiB for video and 64 KiB for audio.
    pub max_frame_len: usize,
    /// After a loss, wait for a frame that needs none before it, and ask for one. Without it, every whole frame
    /// comes out, decodable or not. Formats without such frames do not mind.
    pub wait_for_key_frame: bool,
    /// The time between requests for a key frame, while there is none. Default 500 ms.
    pub key_frame_request_interval: Duration,
}

impl FrameAssemblerConfig {
    /// For video: 1024 packets, 2 MiB, half a second, 8 MiB in a frame, a key frame after losses, asked for
    /// twice a second. Half a second at 20 Mbit/s is as many packets.
    pub const fn video() -> Self {
        FrameAssemblerConfig {
            max_packets: 1024,
            max_bytes: 2 << 20,
            max_delay: Duration::from_millis(500),
            max_frame_len: DEFAULT_MAX_FRAME_LEN,
            wait_for_key_frame: true,
            key_frame_request_interval: Duration::from_millis(500),
        }
    }

    /// For audio: 128 packets, 128 KiB, 200 ms, 64 KiB in a frame.
    pub const fn audio() -> Self {
        FrameAssemblerConfig {
            max_packets: 128,
            max_bytes: 128 << 10,
            max_delay: Duration::from_millis(200),
            max_frame_len: 64 << 10,
            ..Self::video()
        }
    }
}

/// A frame as a decoder takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The frame: a VP8 frame, the layer frames of a VP9 picture, an H.264 access unit in Annex B form, or an
    /// Opus packet.
    pub data: Bytes,
    /// Its timestamp.
    pub timestamp: RtpTimestamp,
    /// It can be decoded without any before it.
    pub key_frame: bool,
    /// Nothing is missing between the frame that came out before and this one.
    pub contiguous: bool,
    /// The marker of its last packet. With Opus, it tells that a talk spurt begins.
    pub marker: bool,
    /// The picture's size, where the format tells it in this frame.
    pub dimensions: Option<Dimensions>,
    /// The first of its packets.
    pub first: SequenceNumber,
    /// The last of its packets.
    pub last: SequenceNumber,
    /// When its last packet arrived.
    pub arrival: Instant,
}

/// What a [`FrameAssembler`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FrameAssemblerStatistics {
    /// Frames that came out.
    pub frames: u64,
    /// Frames among them that need none before them.
    pub key_frames: u64,
    /// Frames of which a part or all was there, and that did not come out.
    pub dropped_frames: u64,
    /// Packets that were given up: they did not come in time.
    pub lost_packets: u64,
    /// Packets that came too late.
    pub late_packets: u64,
    /// Packets that came again.
    pub duplicate_packets: u64,
    /// Packets whose payload is not of the format.
    pub malformed_packets: u64,
    /// Packets of H.264 with start codes in their payload, which RTP does not have (RFC 6184 §5.6): they are taken
    /// all the same.
    pub annex_b_packets: u64,
}

/// Puts the frames of one stream together.
///
/// Packets are [pushed](Self::push) as they come; after each, and when [`poll_timeout`](Self::poll_timeout) says
/// so, frames are taken with [`poll_frame`](Self::poll_frame) until there is none. A packet that is missing
/// holds up those behind it until it comes or is given up; then the assembler goes on with the next frame that
/// is whole, or the next key frame. The stream begins with the first packet that is pushed.
///
/// One allocation is made for each frame, and none for a packet.
///
/// ```
/// use std::time::Instant;
///
/// use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
/// use kaon_rtc::media::{FrameAssembler, FrameAssemblerConfig};
/// use kaon_rtc::rtp::payload::PayloadFormat;
/// use kaon_rtc::rtp::{Header, Packet, PacketWriter};
///
/// let now = Instant::now();
/// let mut assembler = FrameAssembler::new(PayloadFormat::Vp8, FrameAssemblerConfig::video());
/// let mut buffer = [0; 1200];
/// // Two packets of a key frame.
/// for (number, payload) in [(1, b"\x10\0\0\0"), (2, b"\0end")] {
///     let header = Header {
///         marker: number == 2,
///         payload_type: PayloadType::from_low_bits(96),
///         sequence_number: SequenceNumber(number),
///         timestamp: RtpTimestamp(3000),
///         ssrc: Ssrc(1),
///     };
///     let len = PacketWriter::new(&mut buffer, &header, &[])?.payload(payload)?;
///     assembler.push(now, &Packet::parse(&buffer[..len])?);
/// }
/// let frame = assembler.poll_frame(now).ok_or("it is whole")?;
/// assert!(frame.key_frame);
/// assert_eq!(&frame.data[..], b"\0\0\0end");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameAssembler {
    config: FrameAssemblerConfig,
    format: Format,
    unwrapper: SequenceUnwrapper,
    buffer: ReorderBuffer,
    frame: Vec<u8>,
    partial: Option<Partial>,
    // The timestamp of the last frame that a marker has ended.
    ended: Option<RtpTimestamp>,
    // It is not known whether the next packet is the first of a frame.
    searching: bool,
    waiting_for_key_frame: bool,
    next_request: Option<Instant>,
    contiguous: bool,
    statistics: FrameAssemblerStatistics,
}

/// What is known of the frame under way.
#[derive(Debug, Clone, Copy)]
struct Partial {
    timestamp: RtpTimestamp,
    first: u64,
    last: u64,
    key_frame: bool,
    marker: bool,
    dimensions: Option<Dimensions>,
    arrival: Instant,
}

impl FrameAssembler {
    /// An assembler for a stream of this format.
    pub fn new(format: PayloadFormat, config: FrameAssemblerConfig) -> Self {
        let format = Format::new(format, config.max_frame_len);
        let waiting_for_key_frame = config.wait_for_key_frame && format.has_key_frames();
        FrameAssembler {
            config,
            format,
            unwrapper: SequenceUnwrapper::new(),
            buffer: ReorderBuffer::new(config.max_packets.min(0x7fff), config.max_bytes),
            frame: Vec::new(),
            partial: None,
            ended: None,
            searching: true,
            waiting_for_key_frame,
            next_request: None,
            contiguous: true,
            statistics: FrameAssemblerStatistics::default(),
        }
    }

    /// Takes a packet of the stream: a new one, a late one, or one that was sent again (as the original).
    pub fn push(&mut self, now: Instant, packet: &Packet<'_>) {
        let number = self.unwrapper.unwrap(packet.sequence_number());
        match self.buffer.insert(now, number, packet) {
            Inserted::Kept { given_up: 0 } => {}
            Inserted::Kept { given_up } => self.lose(now, given_up),
            Inserted::Late => self.statistics.late_packets += 1,
            Inserted::Duplicate => self.statistics.duplicate_packets += 1,
            Inserted::TooLarge => self.statistics.malformed_packets += 1,
        }
    }

    /// The next frame that is whole; to be called until it returns `None`.
    pub fn poll_frame(&mut self, now: Instant) -> Option<Frame> {
        loop {
            if let Some(frame) = self.look_ahead(now) {
                return Some(frame);
            }
            if let Some((number, packet)) = self.buffer.pop() {
                let frame = self.take(now, number, &packet);
                self.buffer.recycle(packet);
                if frame.is_some() {
                    return frame;
                }
            } else if self.gap_deadline().is_some_and(|deadline| deadline <= now) {
                let gap = self.buffer.skip_gap();
                self.lose(now, gap);
            } else {
                return None;
            }
        }
    }

    /// Whether the next packet shows that the frame under way is whole, or will never be.
    fn look_ahead(&mut self, now: Instant) -> Option<Frame> {
        let (packet, partial) = (self.buffer.front()?, self.partial.as_mut()?);
        if packet.payload.is_empty() {
            return None;
        }
        let same_timestamp = partial.timestamp == packet.timestamp;
        match self.format.boundary(same_timestamp, &packet.payload) {
            Boundary::Inside => None,
            Boundary::Adopted => {
                partial.timestamp = packet.timestamp;
                None
            }
            Boundary::After => self.finish(now),
            Boundary::Broken => {
                self.break_frame(now);
                None
            }
        }
    }

    /// When to call [`poll_frame`](Self::poll_frame) and
    /// [`poll_key_frame_request`](Self::poll_key_frame_request) if no packet comes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match (self.gap_deadline(), self.next_request) {
            (Some(deadline), Some(request)) => Some(deadline.min(request)),
            (deadline, request) => deadline.or(request),
        }
    }

    /// Whether a key frame is to be asked for `now`: at once after a loss, and again until one comes.
    pub fn poll_key_frame_request(&mut self, now: Instant) -> bool {
        let due = self.next_request.is_some_and(|request| request <= now);
        if due {
            self.next_request = Some(now + self.config.key_frame_request_interval);
        }
        due
    }

    /// H.264 only: parameter sets that the sender has told outside of the stream, as in its description. They are put in
    /// front of pictures that need no other for as long as the stream has none of its own.
    pub fn set_parameter_sets(&mut self, sets: ParameterSets) {
        self.format.set_parameter_sets(sets);
    }

    /// What was done so far.
    pub fn statistics(&self) -> &FrameAssemblerStatistics {
        &self.statistics
    }

    /// The packet that is expected next; those before it need not be asked for any more. `None` before the
    /// first.
    pub fn next_expected(&self) -> Option<SequenceNumber> {
        self.buffer.next().map(|number| SequenceNumber(number as u16))
    }

    /// Begins anew with the next packet, for a source that has restarted.
    pub fn reset(&mut self, now: Instant) {
        self.lose(now, 0);
        self.ended = None;
        self.buffer.clear();
        self.unwrapper = SequenceUnwrapper::new();
    }

    fn gap_deadline(&self) -> Option<Instant> {
        Some(self.buffer.waiting_since()? + self.config.max_delay)
    }

    fn take(&mut self, now: Instant, number: u64, packet: &Buffered) -> Option<Frame> {
        let Buffered { payload, timestamp, marker, arrival } = packet;
        if payload.is_empty() {
            // Padding only, to probe the path.
            return None;
        }
        if self.partial.is_none() && self.ended == Some(*timestamp) && self.format.continues_ended(payload) {
            // The frame that came out was only the beginning of one.
            self.break_frame(now);
            return None;
        }
        if self.partial.is_none() && self.searching && !self.format.starts_frame(payload) {
            self.search_behind(*marker);
            self.contiguous = false;
            self.want_key_frame(now);
            return None;
        }
        let starts = self.partial.is_none();
        let partial = self.partial.get_or_insert(Partial {
            timestamp: *timestamp,
            first: number,
            last: number,
            key_frame: false,
            marker: *marker,
            dimensions: None,
            arrival: *arrival,
        });
        let pushed = self.format.push(payload, *marker, &mut self.frame);
        self.statistics.annex_b_packets = self.format.annex_b_payloads();
        match pushed {
            // The frame before had no end.
            Ok(piece) if piece.starts_frame && !starts => {
                self.break_frame(now);
                self.search_behind(*marker);
                None
            }
            Ok(_) if self.frame.is_empty() => {
                // Nothing that the format lets count.
                self.partial = None;
                None
            }
            Ok(piece) => {
                self.searching = false;
                partial.last = number;
                partial.key_frame |= piece.key_frame;
                partial.marker = *marker;
                partial.dimensions = piece.dimensions.or(partial.dimensions);
                partial.arrival = partial.arrival.max(*arrival);
                if piece.ends_frame {
                    self.ended = Some(*timestamp);
                    self.finish(now)
                } else {
                    None
                }
            }
            Err(_) => {
                self.statistics.malformed_packets += 1;
                self.break_frame(now);
                self.search_behind(*marker);
                None
            }
        }
    }

    /// What follows the last packet of a frame is the first of another.
    fn search_behind(&mut self, marker: bool) {
        self.searching = !(marker && self.format.trusts_markers());
    }

    /// Ends the frame under way; `None` when it is not wanted.
    fn finish(&mut self, now: Instant) -> Option<Frame> {
        let partial = self.partial.take()?;
        self.format.reset();
        self.searching = false;
        if self.waiting_for_key_frame && !partial.key_frame {
            self.statistics.dropped_frames += 1;
            self.contiguous = false;
            self.frame.clear();
            self.want_key_frame(now);
            return None;
        }
        if partial.key_frame {
            self.waiting_for_key_frame = false;
            self.next_request = None;
            self.statistics.key_frames += 1;
        }
        self.statistics.frames += 1;
        let data = Bytes::copy_from_slice(&self.frame);
        self.frame.clear();
        self.frame.shrink_to(KEPT_FRAME_CAPACITY);
        Some(Frame {
            data,
            timestamp: partial.timestamp,
            key_frame: partial.key_frame,
            contiguous: std::mem::replace(&mut self.contiguous, true),
            marker: partial.marker,
            dimensions: partial.dimensions,
            first: SequenceNumber(partial.first as u16),
            last: SequenceNumber(partial.last as u16),
            arrival: partial.arrival,
        })
    }

    fn lose(&mut self, now: Instant, packets: u64) {
        self.statistics.lost_packets += packets;
        self.break_frame(now);
    }

    /// Drops the frame under way, and looks for the begin of another.
    fn break_frame(&mut self, now: Instant) {
        if self.partial.take().is_some() {
            self.statistics.dropped_frames += 1;
        }
        self.frame.clear();
        self.format.reset();
        self.searching = true;
        self.contiguous = false;
        self.waiting_for_key_frame = self.config.wait_for_key_frame && self.format.has_key_frames();
        self.want_key_frame(now);
    }

    fn want_key_frame(&mut self, now: Instant) {
        if self.waiting_for_key_frame {
            self.next_request.get_or_insert(now);
        }
    }
}
