//! Buffers for packets that are handed on, used again when nobody has them any more.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Gives packets as [`Bytes`] without an allocation for each.
///
/// A unit that forwards one stream to many needs each payload as `Bytes`, which the senders keep for a while to
/// answer NACKs. The pool keeps a handle to each buffer that it gave out, and fills it again once that is the
/// only one left.
///
/// ```
/// use kaon_rtc::media::PacketPool;
///
/// let mut pool = PacketPool::new(1500, 1024);
/// let packet = pool.copy(b"payload");
/// assert_eq!(packet, b"payload"[..]);
/// ```
#[derive(Debug)]
pub struct PacketPool {
    /// What was given out, the oldest first.
    buffers: VecDeque<Bytes>,
    buffer_size: usize,
    max_buffers: usize,
}

/// How many buffers in use are passed over in search of one that is free.
const MAX_TRIES: usize = 4;

impl PacketPool {
    /// A pool of at most `max_buffers` buffers of `buffer_size` bytes each. They are allocated when they are
    /// needed first.
    pub fn new(buffer_size: usize, max_buffers: usize) -> Self {
        Self { buffers: VecDeque::new(), buffer_size, max_buffers }
    }

    /// A copy of `packet`. One that is longer than a buffer, or for which no buffer is free, is allocated.
    pub fn copy(&mut self, packet: &[u8]) -> Bytes {
        if packet.len() > self.buffer_size {
            return Bytes::copy_from_slice(packet);
        }
        let Some(mut buffer) = self.take() else { return Bytes::copy_from_slice(packet) };
        buffer.extend_from_slice(packet);
        let bytes = buffer.freeze();
        self.buffers.push_back(bytes.clone());
        bytes
    }

    /// An empty buffer.
    fn take(&mut self) -> Option<BytesMut> {
        let is_full = self.buffers.len() >= self.max_buffers;
        for _ in 0..MAX_TRIES.min(self.buffers.len()) {
            let oldest = self.buffers.pop_front()?;
            match oldest.try_into_mut() {
                Ok(mut buffer) => {
                    buffer.clear();
                    return Some(buffer);
                }
                // As long as there may be more, the order of age is kept, in which buffers become free.
                Err(in_use) if !is_full => {
                    self.buffers.push_front(in_use);
                    break;
                }
                Err(in_use) => self.buffers.push_back(in_use),
            }
        }
        if is_full {
            return None;
        }
        let mut buffer = BytesMut::with_capacity(self.buffer_size);
        // Split off, it is counted by reference from the beginning, and is not moved when it is frozen.
        Some(buffer.split_off(0))
    }

    /// The number of buffers that it holds.
    pub fn len(&self) -> usize {
        self.buffers.len()
    }

    /// Whether it holds no buffer yet.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_never_while_somebody_has_them() {
        let mut pool = PacketPool::new(16, 4);
        let kept: Vec<_> = (0..3u8).map(|i| pool.copy(&[i; 10])).collect();
        assert_eq!(pool.len(), 3);
        for i in 0..100u8 {
            assert_eq!(pool.copy(&[i; 16]), [i; 16][..]);
        }
        assert_eq!(pool.len(), 4);
        assert!(kept.iter().enumerate().all(|(i, packet)| packet[..] == [i as u8; 10]));
        drop(kept);
        let more: Vec<_> = (0..10u8).map(|i| pool.copy(&[i; 5])).collect();
        assert!(more.iter().enumerate().all(|(i, packet)| packet[..] == [i as u8; 5]));
        assert_eq!(pool.len(), 4);
        assert_eq!(pool.copy(&[7; 17]), [7; 17][..]);
        assert_eq!(pool.len(), 4);
    }
}
