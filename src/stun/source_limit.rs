//! How often those are answered who have proved nothing.

use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::crypto::SecureRandom;
use crate::layer::{HashKeys, NameHash};

/// Counts answers by source for a second each, in a table of fixed size. A source is an IPv4 address or the /64 of an
/// IPv6 one: whoever has the port or the rest has all of them.
#[derive(Debug)]
pub(crate) struct SourceLimit {
    hash: NameHash,
    places: Vec<[Count; WAYS]>,
    per_second: u32,
    start: Instant,
    total: Count,
    total_per_second: u32,
}

/// How many places a source may have; a source has that which was used longest ago.
const WAYS: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    source: u64,
    second: u32,
    answers: u32,
}

impl Count {
    fn add(&mut self, limit: u32) -> bool {
        let has_room = self.answers < limit;
        self.answers += u32::from(has_room);
        has_room
    }
}

impl SourceLimit {
    pub(crate) fn new(
        now: Instant,
        random: &dyn SecureRandom,
        sources: usize,
        per_second: u32,
        total_per_second: u32,
    ) -> Self {
        let mut keys = [0; 16];
        random.fill(&mut keys);
        let sets = sources.div_ceil(WAYS).clamp(1, 1 << 20).next_power_of_two();
        Self {
            hash: HashKeys::new(keys).names(),
            places: vec![[Count::default(); WAYS]; sets],
            per_second,
            start: now,
            total: Count::default(),
            total_per_second,
        }
    }

    /// Whether one more answer may go to that source in this second, which is counted then.
    pub(crate) fn allows(&mut self, now: Instant, source: SocketAddr) -> bool {
        // The second counts from one, so that an empty place is one of before.
        let elapsed = now.saturating_duration_since(self.start) + Duration::from_secs(1);
        let second = u32::try_from(elapsed.as_secs()).unwrap_or(u32::MAX);
        if self.total.second != second {
            self.total = Count { second, ..Count::default() };
        }
        if self.total.answers >= self.total_per_second {
            return false;
        }
        let hash = self.hash.hash_one(Source::of(source.ip()));
        let set = hash as usize & (self.places.len() - 1);
        let Some(ways) = self.places.get_mut(set) else { return false };
        let known = ways.iter_mut().position(|it| it.source == hash && it.second == second);
        let place = match known {
            Some(place) => place,
            // Where all places are of this second, the source shares that of the one that had least.
            None => (0..WAYS).min_by_key(|at| (ways[*at].second, ways[*at].answers)).unwrap_or(0),
        };
        let count = &mut ways[place];
        if count.second != second {
            *count = Count { source: hash, second, answers: 0 };
        }
        count.add(self.per_second) && self.total.add(self.total_per_second)
    }
}

#[derive(Hash)]
enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SeededRandom;

    #[test]
    fn a_source_has_its_rate_and_others_theirs() {
        let start = Instant::now();
        let mut limit = SourceLimit::new(start, &SeededRandom::new(1), 1024, 10, 100_000);
        let mut answers = |now, source: &str| {
            (0..50)
                .filter(|port| limit.allows(now, format!("{source}:{}", 1000 + port).parse().unwrap()))
                .count()
        };
        for second in 0..3 {
            let now = start + Duration::from_secs(second);
            assert_eq!((answers(now, "192.0.2.1"), answers(now, "192.0.2.2")), (10, 10));
            assert_eq!(answers(now, "[2001:db8::1]"), 10);
            assert_eq!(answers(now, "[2001:db8::2:1]"), 0, "of the same /64");
            assert_eq!(answers(now, "[2001:db8:0:1::1]"), 10);
        }
    }

    #[test]
    fn a_flood_from_everywhere_is_limited_and_keeps_nothing() {
        let start = Instant::now();
        let mut limit = SourceLimit::new(start, &SeededRandom::new(1), 1024, 10, 5000);
        let answered = (0..100_000u32)
            .filter(|number| {
                limit.allows(start, SocketAddr::new(std::net::Ipv4Addr::from_bits(*number).into(), 9))
            })
            .count();
        assert_eq!((answered, limit.places.len()), (5000, 256));
    }
}
