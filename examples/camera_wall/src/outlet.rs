//! From a feed to one viewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber};
use kaon_rtc::peer_connection::{OutgoingRtp, PeerConnectionError, RtpSender, TrackKind};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::feed::{Feed, FeedCodec, FeedPacket, Unit};

/// A track of a viewer's connection. It outlives the camera that it shows: numbers and times go on with the next.
#[derive(Debug)]
pub struct Outlet {
    pub track: RtpSender,
    pub kind: TrackKind,
    /// Of pictures, the viewer's connection carries key frames and no others.
    key_frames_only: AtomicBool,
    numbering: Mutex<Numbering>,
}

/// What the viewer has got.
#[derive(Debug)]
struct Numbering {
    next: SequenceNumber,
    last_timestamp: Option<u32>,
    /// Where the feed was taken up: its index there, and the number it has at the viewer.
    began: Option<(u64, SequenceNumber)>,
}

/// Packets of what a new viewer missed that go out at once; the socket buffers of a browser are small.
const BURST: usize = 24;
const BURST_INTERVAL: Duration = Duration::from_millis(4);
/// A viewer that asks for key frames more often gets what was kept once in this time.
const RESTART_INTERVAL: Duration = Duration::from_millis(500);

impl Outlet {
    pub fn new(track: RtpSender, kind: TrackKind) -> Arc<Self> {
        let numbering = Numbering { next: SequenceNumber(1), last_timestamp: None, began: None };
        let key_frames_only = AtomicBool::new(false);
        Arc::new(Self { track, kind, key_frames_only, numbering: Mutex::new(numbering) })
    }

    /// Sends key frames and no others, or all of them again from the next key frame on.
    pub fn set_key_frames_only(&self, key_frames_only: bool) {
        self.key_frames_only.store(key_frames_only, Ordering::Relaxed);
    }

    fn is_thinned(&self) -> bool {
        self.kind == TrackKind::Video && self.key_frames_only.load(Ordering::Relaxed)
    }

    /// The payload type that the viewer expects of a codec; `None` if it does not take it.
    pub fn payload_type(&self, codec: FeedCodec) -> Option<PayloadType> {
        self.track.payload_type(codec.name())
    }

    /// Sends a feed until it ends or this is dropped. `starting` lets one feed of a viewer begin at a time.
    pub async fn play(self: Arc<Self>, feed: Arc<Feed>, payload_type: PayloadType, starting: Arc<Semaphore>) {
        let mut numbering = self.numbering.lock().await;
        let is_video = self.kind == TrackKind::Video;
        let send = |packets: Vec<OutgoingRtp>| self.track.send_rtp_batch(packets);
        loop {
            numbering.began = None;
            let (mut missed, mut units) = feed.follow();
            if self.is_thinned() {
                keep_first_frame(&mut missed);
            }
            let began = Instant::now();
            {
                let Ok(_turn) = starting.acquire().await else { return };
                let mut packets = numbering.catch_up(&missed, payload_type);
                while !packets.is_empty() {
                    let rest = packets.split_off(BURST.min(packets.len()));
                    if send(packets).is_err() {
                        numbering.began = None;
                        break;
                    }
                    packets = rest;
                    tokio::time::sleep(BURST_INTERVAL).await;
                }
            }
            loop {
                tokio::select! {
                    unit = units.recv() => match unit {
                        Ok(unit) if numbering.began.is_none() && !unit.is_entry => {}
                        // A frame is sent whole, and leaves no gap where the next ones were.
                        Ok(unit) if self.is_thinned() && !unit.is_entry && !numbering.is_amid(&unit) => {
                            numbering.began = None;
                        }
                        Ok(unit) => {
                            let packets = unit.packets.iter();
                            let packets = packets.filter_map(|packet| {
                                numbering.number(packet, packet.timestamp, payload_type)
                            });
                            match send(packets.collect()) {
                                Ok(()) => {}
                                Err(PeerConnectionError::Ended(_)) => return,
                                // Too slow, or not negotiated at the moment: on with the next key frame.
                                Err(_) => numbering.began = None,
                            }
                        }
                        Err(RecvError::Lagged(_)) => numbering.began = None,
                        Err(RecvError::Closed) => return,
                    },
                    asked = self.track.key_frame_requested(), if is_video => match asked {
                        None => return,
                        // The next one is on the way, and there is no room for more.
                        Some(()) if self.is_thinned() => {}
                        Some(()) if began.elapsed() >= RESTART_INTERVAL => break,
                        Some(()) => {}
                    },
                }
            }
        }
    }
}

/// Leaves the key frame that a group begins with.
fn keep_first_frame(group: &mut Vec<Arc<Unit>>) {
    let first = group.first().and_then(|unit| unit.timestamp());
    group.retain(|unit| unit.timestamp() == first);
}

impl Numbering {
    /// The unit is a further part of the frame that was sent last.
    fn is_amid(&self, unit: &Unit) -> bool {
        self.began.is_some() && unit.timestamp() == self.last_timestamp
    }

    /// What was sent since the last key frame, for a viewer that comes now: all that is past is to be shown at
    /// once, so that its frames are a tick apart.
    fn catch_up(&mut self, missed: &[Arc<Unit>], payload_type: PayloadType) -> Vec<OutgoingRtp> {
        let packets = || missed.iter().flat_map(|unit| &unit.packets);
        let mut stamps: Vec<u32> = packets().map(|packet| packet.timestamp).collect();
        stamps.dedup();
        let Some(last) = stamps.last().copied() else { return Vec::new() };
        let mut first = last.wrapping_sub(stamps.len() as u32 - 1);
        if let Some(sent) = self.last_timestamp
            && (first.wrapping_sub(sent) as i32) <= 0
        {
            first = sent.wrapping_add(1);
        }
        let (mut frame, mut shown) = (0, stamps[0]);
        let mut numbered = Vec::new();
        for packet in packets() {
            if packet.timestamp != shown {
                (frame, shown) = (frame + 1, packet.timestamp);
            }
            numbered.extend(self.number(packet, first.wrapping_add(frame), payload_type));
        }
        numbered
    }

    /// The packet as the viewer gets it; `None` if it is older than where the viewer began.
    fn number(
        &mut self,
        packet: &FeedPacket,
        timestamp: u32,
        payload_type: PayloadType,
    ) -> Option<OutgoingRtp> {
        let (first_index, first) = *self.began.get_or_insert((packet.index, self.next));
        let number = first.wrapping_add(packet.index.checked_sub(first_index)? as u16);
        let after = number.wrapping_add(1);
        if after.is_newer_than(self.next) {
            self.next = after;
            self.last_timestamp = Some(timestamp);
        }
        let timestamp = RtpTimestamp(timestamp);
        let mut outgoing = OutgoingRtp::new(payload_type, timestamp, packet.marker, packet.payload.clone());
        outgoing.sequence_number = Some(number);
        Some(outgoing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const TYPE: PayloadType = PayloadType::from_low_bits(96);

    fn packet(index: u64, timestamp: u32) -> FeedPacket {
        FeedPacket { index, timestamp, marker: true, payload: Bytes::new() }
    }

    fn numbering() -> Numbering {
        Numbering { next: SequenceNumber(65_534), last_timestamp: None, began: None }
    }

    fn told(packets: &[OutgoingRtp]) -> Vec<(u16, u32)> {
        packets.iter().map(|packet| (packet.sequence_number.unwrap().0, packet.timestamp.0)).collect()
    }

    #[test]
    fn gaps_of_the_feed_stay_and_pauses_leave_none() {
        let mut numbering = numbering();
        let mut number =
            |index| numbering.number(&packet(index, 0), 0, TYPE).map(|packet| packet.sequence_number);
        assert_eq!(number(100), Some(Some(SequenceNumber(65_534))));
        assert_eq!(number(103), Some(Some(SequenceNumber(1))));
        assert_eq!(number(102), Some(Some(SequenceNumber(0))));
        assert_eq!(number(99), None);
        numbering.began = None;
        let next = numbering.number(&packet(5000, 0), 0, TYPE).unwrap();
        assert_eq!(next.sequence_number, Some(SequenceNumber(2)));
    }

    #[test]
    fn key_frames_alone_are_sent_whole_and_leave_no_gaps() {
        let unit =
            |index, timestamp, is_entry| Arc::new(Unit { packets: vec![packet(index, timestamp)], is_entry });
        let mut group = vec![unit(0, 3000, true), unit(1, 3000, false), unit(2, 6000, false)];
        let after = group[2].clone();
        keep_first_frame(&mut group);
        assert_eq!(group.len(), 2);
        let mut numbering = numbering();
        assert!(!numbering.is_amid(&group[0]));
        assert_eq!(told(&numbering.catch_up(&group[..1], TYPE)), [(65_534, 3000)]);
        assert!(numbering.is_amid(&group[1]) && !numbering.is_amid(&after));
        keep_first_frame(&mut Vec::new());
    }

    #[test]
    fn what_was_missed_is_shown_at_once() {
        let units = [(0, 3000), (1, 3000), (2, 6000), (3, 9000)];
        let units = units.map(|(index, timestamp)| {
            Arc::new(Unit { packets: vec![packet(index, timestamp)], is_entry: index == 0 })
        });
        let mut numbering = numbering();
        let missed = numbering.catch_up(&units, TYPE);
        assert_eq!(told(&missed), [(65_534, 8998), (65_535, 8998), (0, 8999), (1, 9000)]);
        // Asked for again: later than what was sent, earlier than what will be.
        numbering.began = None;
        let again = numbering.catch_up(&units, TYPE);
        assert_eq!(told(&again), [(2, 9001), (3, 9001), (4, 9002), (5, 9003)]);
        assert!(numbering.catch_up(&[], TYPE).is_empty());
    }
}
