//! Streams that channels of this side may take.

use std::collections::BTreeSet;

use crate::layer::{DtlsRole, StreamId};

/// The streams that channels of this side may take, lowest first: those given out before and put back, and all that
/// were never given out.
#[derive(Debug, Default)]
pub(super) struct FreeStreams {
    /// Below `next`, and free unless a channel took them without asking here.
    put_back: BTreeSet<StreamId>,
    /// No stream from here on was looked at.
    next: u32,
}

impl FreeStreams {
    /// The lowest of the first `count` streams that this side may open a channel on (RFC 8832 §6) and that is not
    /// used. Each stream is passed over once between two times that it is put back.
    pub(super) fn take(
        &mut self,
        role: DtlsRole,
        count: u16,
        is_used: impl Fn(StreamId) -> bool,
    ) -> Option<StreamId> {
        let parity = u32::from(role == DtlsRole::Server);
        if self.next % 2 != parity {
            *self = Self { next: parity, ..Self::default() };
        }
        while let Some(stream) = self.put_back.first().copied().filter(|stream| stream.0 < count) {
            self.put_back.remove(&stream);
            if !is_used(stream) {
                return Some(stream);
            }
        }
        // Behind the last stream it is no stream's number any more.
        while let Some(next) = u16::try_from(self.next).ok().filter(|next| *next < count) {
            let stream = StreamId(next);
            self.next += 2;
            if !is_used(stream) {
                return Some(stream);
            }
        }
        None
    }

    /// Nobody uses a stream any more.
    pub(super) fn put_back(&mut self, stream: StreamId) {
        let number = u32::from(stream.0);
        if number < self.next && number % 2 == self.next % 2 {
            self.put_back.insert(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Streams are also taken without asking, as those of channels that were agreed on are.
    #[test]
    fn the_lowest_that_is_free_is_found_whatever_came_before() {
        const COUNT: u16 = 40;
        for (seed, role) in (0..500_u64).flat_map(|seed| [(seed, DtlsRole::Client), (seed, DtlsRole::Server)])
        {
            let (mut streams, mut used, mut random) = (FreeStreams::default(), BTreeSet::new(), seed);
            for _ in 0..200 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let stream = StreamId((random >> 40) as u16 % COUNT);
                match random >> 33 & 3 {
                    0 if used.remove(&stream) => streams.put_back(stream),
                    1 => {
                        used.insert(stream);
                    }
                    _ => {
                        let parity = u16::from(role == DtlsRole::Server);
                        let lowest =
                            (parity..COUNT).step_by(2).map(StreamId).find(|stream| !used.contains(stream));
                        assert_eq!(streams.take(role, COUNT, |stream| used.contains(&stream)), lowest);
                        used.extend(lowest);
                    }
                }
            }
        }
    }

    /// As when the peer refuses to reset any, so that none is put back.
    #[test]
    fn after_the_last_stream_there_is_none() {
        for (role, count) in [(DtlsRole::Client, 32_768), (DtlsRole::Server, 32_767)] {
            let (mut streams, mut used) = (FreeStreams::default(), BTreeSet::new());
            for _ in 0..count {
                let stream = streams.take(role, u16::MAX, |stream| used.contains(&stream)).unwrap();
                assert!(stream.0 < u16::MAX && used.insert(stream));
            }
            for _ in 0..2 {
                assert_eq!(streams.take(role, u16::MAX, |stream| used.contains(&stream)), None);
            }
            used.remove(&StreamId(count));
            streams.put_back(StreamId(count));
            let parity = u16::from(role == DtlsRole::Server);
            let again = (count % 2 == parity).then_some(StreamId(count));
            assert_eq!(streams.take(role, u16::MAX, |stream| used.contains(&stream)), again);
        }
    }
}
