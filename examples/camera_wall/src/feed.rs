//! A stream of packets that any number of viewers take part in.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kaon_rtc::peer_connection::{Codec, TrackKind};
use tokio::sync::broadcast;

/// The codecs of cameras.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeedCodec {
    H264,
    Vp8,
    Opus,
}

impl FeedCodec {
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::Vp8 => "VP8",
            Self::Opus => "opus",
        }
    }

    pub fn kind(self) -> TrackKind {
        match self {
            Self::H264 | Self::Vp8 => TrackKind::Video,
            Self::Opus => TrackKind::Audio,
        }
    }

    /// Ticks of the timestamp per second.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::H264 | Self::Vp8 => 90_000,
            Self::Opus => 48_000,
        }
    }

    /// What is offered to a viewer. Both picture codecs always: a track can then show another camera later, and a
    /// browser that lacks one of them gives up no section, which would take the transport of all with it.
    pub fn negotiable(self) -> Vec<Codec> {
        match self {
            Self::H264 => vec![Codec::h264(), Codec::vp8()],
            Self::Vp8 => vec![Codec::vp8(), Codec::h264()],
            Self::Opus => vec![Codec::opus()],
        }
    }
}

/// An RTP packet without what each viewer's connection adds.
#[derive(Clone, Debug)]
pub struct FeedPacket {
    /// Counts packets; a gap is a packet that was lost on the way here.
    pub index: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Bytes,
}

/// Packets that are sent together.
#[derive(Debug)]
pub struct Unit {
    pub packets: Vec<FeedPacket>,
    /// A decoder that has seen nothing before can begin here.
    pub is_entry: bool,
}

impl Unit {
    /// That of its frame; `None` if it is empty.
    pub fn timestamp(&self) -> Option<u32> {
        self.packets.first().map(|packet| packet.timestamp)
    }
}

/// A stream of packets. Each payload is in memory once, however many viewers there are; a viewer that is too slow
/// misses units, and nobody else notices.
#[derive(Debug)]
pub struct Feed {
    codec: FeedCodec,
    units: broadcast::Sender<Arc<Unit>>,
    group: Mutex<Group>,
}

/// What was sent since the last key frame, for viewers that come now. Empty for sound, which has no such frames.
#[derive(Debug, Default)]
struct Group {
    units: Vec<Arc<Unit>>,
    packets: usize,
}

/// Units that a viewer may lag behind before it misses some.
const MAX_LAG: usize = 512;
/// The most packets that are kept for new viewers, about 2.4 MB. A source with fewer key frames makes them wait
/// for the next one.
const MAX_GROUP_PACKETS: usize = 2000;

impl Feed {
    pub fn new(codec: FeedCodec) -> Arc<Self> {
        let (units, _) = broadcast::channel(MAX_LAG);
        Arc::new(Self { codec, units, group: Mutex::default() })
    }

    pub fn codec(&self) -> FeedCodec {
        self.codec
    }

    /// Hands a unit to all viewers.
    pub fn publish(&self, unit: Unit) {
        let unit = Arc::new(unit);
        let mut group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        if self.codec.kind() == TrackKind::Video {
            group.push(&unit);
        }
        // Under the lock, so that a new viewer misses nothing and gets nothing twice. Nobody may be there.
        let _ = self.units.send(unit);
    }

    /// What was sent since the last key frame, and what will be.
    pub fn follow(&self) -> (Vec<Arc<Unit>>, broadcast::Receiver<Arc<Unit>>) {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        (group.units.clone(), self.units.subscribe())
    }
}

impl Group {
    fn push(&mut self, unit: &Arc<Unit>) {
        if unit.is_entry {
            *self = Self::default();
        } else if self.units.is_empty() {
            return;
        }
        self.packets += unit.packets.len();
        self.units.push(unit.clone());
        if self.packets > MAX_GROUP_PACKETS {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(index: u64, is_entry: bool) -> Unit {
        let packet = FeedPacket { index, timestamp: 0, marker: true, payload: Bytes::from_static(b"x") };
        Unit { packets: vec![packet], is_entry }
    }

    fn indices(units: &[Arc<Unit>]) -> Vec<u64> {
        units.iter().map(|unit| unit.packets[0].index).collect()
    }

    #[test]
    fn a_new_viewer_begins_at_the_last_key_frame() {
        let feed = Feed::new(FeedCodec::Vp8);
        feed.publish(unit(0, false));
        assert!(feed.follow().0.is_empty());
        for (index, is_entry) in [(1, true), (2, false), (3, true), (4, false)] {
            feed.publish(unit(index, is_entry));
        }
        let (missed, mut next) = feed.follow();
        assert_eq!(indices(&missed), [3, 4]);
        feed.publish(unit(5, false));
        assert_eq!(next.try_recv().unwrap().packets[0].index, 5);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let feed = Feed::new(FeedCodec::H264);
        feed.publish(unit(0, true));
        for index in 1..=MAX_GROUP_PACKETS as u64 {
            feed.publish(unit(index, false));
        }
        assert!(feed.follow().0.is_empty());
        feed.publish(unit(9999, true));
        assert_eq!(indices(&feed.follow().0), [9999]);
    }
}
