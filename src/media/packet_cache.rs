//! Sent packets that are kept to be sent again, RFC 4585 §6.2.1 and RFC 4588.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::layer::SequenceNumber;

/// How much a [`PacketCache`] keeps.
///
/// The defaults are made for video of 720p: at 2.5 Mbit/s a second is about 300 packets and 310 kB, and a key
/// frame or a probe may come at three times that rate. A second covers three requests over a path of 300 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketCacheConfig {
    /// The most packets that are kept, 1 to 32768: beyond that, sequence numbers are ambiguous. Default 1024.
    pub max_packets: usize,
    /// The most bytes of packets that are kept. Default 1 MiB.
    pub max_bytes: usize,
    /// How long a packet is kept. Default 1 s.
    pub max_age: Duration,
    /// How often one packet is sent again at most. Default 10.
    pub max_retransmissions: u8,
}

impl Default for PacketCacheConfig {
    fn default() -> Self {
        PacketCacheConfig {
            max_packets: 1024,
            max_bytes: 1 << 20,
            max_age: Duration::from_secs(1),
            max_retransmissions: 10,
        }
    }
}

/// The packets that a stream has sent lately, as whatever `P` the caller makes packets from again: bytes, or a
/// header and a payload that many subscribers share.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use kaon_rtc::layer::SequenceNumber;
/// use kaon_rtc::media::{PacketCache, PacketCacheConfig, Retransmission};
///
/// let (now, round_trip) = (Instant::now(), Duration::from_millis(40));
/// let mut cache = PacketCache::new(PacketCacheConfig::default());
/// cache.insert(now, SequenceNumber(1), 1200, vec![0u8; 1200]);
///
/// // The peer asks for it.
/// let later = now + Duration::from_millis(80);
/// assert!(matches!(cache.retransmit(later, SequenceNumber(1), round_trip), Retransmission::Packet(_)));
/// // Its next request was on the way already.
/// assert_eq!(cache.retransmit(later, SequenceNumber(1), round_trip), Retransmission::TooSoon);
/// assert_eq!(cache.retransmit(later, SequenceNumber(2), round_trip), Retransmission::Unknown);
/// ```
#[derive(Debug)]
pub struct PacketCache<P> {
    config: PacketCacheConfig,
    // In the order in which they were sent; the oldest make room for new ones.
    entries: VecDeque<Entry<P>>,
    // The number of the first of `entries`, counted from the first packet ever.
    first: u32,
    // By the low bits of the sequence number: the number of the entry that was put there last.
    index: Vec<u32>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<P> {
    number: SequenceNumber,
    size: usize,
    sent: Instant,
    sent_again: Option<Instant>,
    retransmissions: u8,
    packet: P,
}

/// What a [`PacketCache`] says to a request for a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retransmission<'a, P> {
    /// Send this packet again.
    Packet(&'a P),
    /// It was sent less than a round-trip time ago: the request is older than that.
    TooSoon,
    /// It was sent again as often as it may be.
    Exhausted,
    /// It is not kept: too old, too large, or never sent.
    Unknown,
}

impl<P> PacketCache<P> {
    /// A cache that holds nothing yet.
    pub fn new(config: PacketCacheConfig) -> Self {
        let max_packets = config.max_packets.clamp(1, 1 << 15);
        PacketCache {
            config: PacketCacheConfig { max_packets, ..config },
            entries: VecDeque::new(),
            first: 0,
            index: Vec::new(),
            bytes: 0,
        }
    }

    /// Keeps a packet of `size` bytes that is sent `now`. One that is larger than the whole cache is not kept.
    pub fn insert(&mut self, now: Instant, number: SequenceNumber, size: usize, packet: P) {
        while self.entries.front().is_some_and(|entry| self.is_expired(entry, now)) {
            self.evict();
        }
        if size > self.config.max_bytes {
            return;
        }
        while self.entries.len() >= self.config.max_packets || self.bytes + size > self.config.max_bytes {
            self.evict();
        }
        if self.index.is_empty() {
            self.index = vec![0; self.config.max_packets.next_power_of_two()];
        }
        let slot = self.slot(number);
        self.index[slot] = self.first.wrapping_add(self.entries.len() as u32);
        self.bytes += size;
        let entry = Entry { number, size, sent: now, sent_again: None, retransmissions: 0, packet };
        self.entries.push_back(entry);
    }

    /// The packet, whether or not it may be sent again.
    pub fn get(&self, now: Instant, number: SequenceNumber) -> Option<&P> {
        Some(&self.entries.get(self.find(now, number)?)?.packet)
    }

    /// Asks for a packet that the peer misses, over a path with this round-trip time. What is returned counts
    /// as sent `now`.
    ///
    /// The first request is granted whenever it comes; further ones when a round-trip time has passed, for
    /// those that come earlier were made before the packet sent again could arrive.
    pub fn retransmit(
        &mut self,
        now: Instant,
        number: SequenceNumber,
        round_trip_time: Duration,
    ) -> Retransmission<'_, P> {
        let Some(entry) = self.find(now, number).and_then(|at| self.entries.get_mut(at)) else {
            return Retransmission::Unknown;
        };
        if entry.retransmissions >= self.config.max_retransmissions {
            return Retransmission::Exhausted;
        }
        if entry.sent_again.is_some_and(|at| now.saturating_duration_since(at) < round_trip_time) {
            return Retransmission::TooSoon;
        }
        entry.retransmissions += 1;
        entry.sent_again = Some(now);
        Retransmission::Packet(&entry.packet)
    }

    /// The number of packets that are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no packet is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets all packets and gives their memory back.
    pub fn clear(&mut self) {
        *self = PacketCache::new(self.config);
    }

    fn slot(&self, number: SequenceNumber) -> usize {
        usize::from(number.0) & (self.index.len() - 1)
    }

    fn find(&self, now: Instant, number: SequenceNumber) -> Option<usize> {
        if self.index.is_empty() {
            return None;
        }
        let at = self.index[self.slot(number)].wrapping_sub(self.first) as usize;
        let entry = self.entries.get(at)?;
        (entry.number == number && !self.is_expired(entry, now)).then_some(at)
    }

    fn is_expired(&self, entry: &Entry<P>, now: Instant) -> bool {
        now.saturating_duration_since(entry.sent) > self.config.max_age
    }

    fn evict(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.first = self.first.wrapping_add(1);
            self.bytes -= entry.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    fn packet(number: u16, len: usize) -> Vec<u8> {
        let mut bytes = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        bytes[2..4].copy_from_slice(&number.to_be_bytes());
        bytes.extend((0..len).map(|at| (at as u8).wrapping_mul(31).wrapping_add(number as u8)));
        bytes
    }

    fn insert(cache: &mut PacketCache<Vec<u8>>, now: Instant, bytes: &[u8]) {
        let number = SequenceNumber(u16::from_be_bytes([bytes[2], bytes[3]]));
        cache.insert(now, number, bytes.len(), bytes.to_vec());
    }

    #[test]
    fn a_packet_is_not_sent_again_within_a_round_trip() {
        let now = Instant::now();
        let mut cache = PacketCache::new(PacketCacheConfig::default());
        insert(&mut cache, now, &packet(5, 100));
        let at = |ms| now + Duration::from_millis(ms);
        assert!(matches!(cache.retransmit(at(1), SequenceNumber(6), RTT), Retransmission::Unknown));
        let Retransmission::Packet(sent) = cache.retransmit(at(1), SequenceNumber(5), RTT) else { panic!() };
        assert_eq!(*sent, packet(5, 100));
        assert!(matches!(cache.retransmit(at(50), SequenceNumber(5), RTT), Retransmission::TooSoon));
        assert!(matches!(cache.retransmit(at(51), SequenceNumber(5), RTT), Retransmission::Packet(_)));
    }

    #[test]
    fn retransmissions_are_limited() {
        let now = Instant::now();
        let config = PacketCacheConfig { max_retransmissions: 2, ..PacketCacheConfig::default() };
        let mut cache = PacketCache::new(config);
        insert(&mut cache, now, &packet(5, 100));
        let mut answer = |ms| {
            let at = now + Duration::from_millis(ms);
            matches!(cache.retransmit(at, SequenceNumber(5), RTT), Retransmission::Packet(_))
        };
        assert!(answer(0) && answer(100));
        assert!(!answer(200));
    }

    #[test]
    fn limits_of_packets_bytes_and_age() {
        let now = Instant::now();
        let config = PacketCacheConfig { max_packets: 3, ..PacketCacheConfig::default() };
        let mut cache = PacketCache::new(config);
        for number in 0..5 {
            insert(&mut cache, now, &packet(number, 10));
        }
        assert_eq!(cache.len(), 3);
        assert!(cache.get(now, SequenceNumber(1)).is_none());
        assert!(cache.get(now, SequenceNumber(2)).is_some());
        let late = now + Duration::from_millis(1001);
        assert!(cache.get(late, SequenceNumber(4)).is_none());
        insert(&mut cache, late, &packet(5, 10));
        assert_eq!(cache.len(), 1);

        let config = PacketCacheConfig { max_bytes: 50, ..PacketCacheConfig::default() };
        let mut cache = PacketCache::new(config);
        insert(&mut cache, now, &packet(0, 10));
        insert(&mut cache, now, &packet(1, 10));
        insert(&mut cache, now, &packet(2, 10));
        assert_eq!(cache.len(), 2);
        insert(&mut cache, now, &packet(3, 100));
        assert!(cache.get(now, SequenceNumber(3)).is_none(), "larger than all of the cache");
        assert_eq!(*cache.get(now, SequenceNumber(2)).unwrap(), packet(2, 10));
    }

    #[test]
    fn the_memory_is_given_back() {
        let mut cache = PacketCache::new(PacketCacheConfig::default());
        insert(&mut cache, Instant::now(), &packet(0, 10));
        cache.clear();
        assert!(cache.is_empty() && cache.entries.capacity() == 0);
    }

    proptest! {
        #[test]
        fn never_the_wrong_packet(
            max_packets in 1usize..40,
            max_bytes in 30usize..2000,
            steps in proptest::collection::vec((0u16..3, 0usize..120, -4i16..4), 1..300),
            first in any::<u16>(),
        ) {
            let config = PacketCacheConfig { max_packets, max_bytes, ..PacketCacheConfig::default() };
            let mut cache = PacketCache::new(config);
            let now = Instant::now();
            let mut sent: Vec<(SequenceNumber, Vec<u8>)> = Vec::new();
            let mut next = SequenceNumber(first);
            for (skip, len, back) in steps {
                // Gaps and late packets, as a forwarding unit has them.
                next = next.wrapping_add(1 + skip);
                let number = SequenceNumber(next.0.wrapping_add_signed(back));
                let bytes = packet(number.0, len);
                insert(&mut cache, now, &bytes);
                if bytes.len() > max_bytes {
                    continue;
                }
                sent.retain(|(other, _)| *other != number);
                sent.push((number, bytes));
                prop_assert!(cache.len() <= max_packets && cache.bytes <= max_bytes);
                let mut found = 0;
                for (number, bytes) in &sent {
                    if let Some(kept) = cache.get(now, *number) {
                        prop_assert_eq!(kept, bytes);
                        found += 1;
                    }
                }
                prop_assert!(found <= cache.len());
                prop_assert!(cache.get(now, number).is_some(), "the newest is kept");
            }
        }
    }
}
