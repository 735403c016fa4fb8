//! Datagrams and bytes, by path.

use std::time::Instant;

use crate::layer::FiveTuple;

/// What went over each path, that of ICE apart.
#[derive(Debug, Default)]
pub(in crate::session) struct Traffic {
    paths: Vec<PathTraffic>,
    /// What went over paths that are no longer remembered.
    forgotten: Counts,
    pub(in crate::session) selections: u64,
}

/// What went over one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathTraffic {
    path: FiveTuple,
    pub(super) counts: Counts,
    pub(super) last_sent: Option<Instant>,
    pub(super) last_received: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) packets_sent: u64,
    pub(super) packets_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
}

/// Paths that are told apart; a peer may move more often.
const MAX_PATHS: usize = 8;

impl Traffic {
    pub(in crate::session) fn sent(&mut self, now: Instant, path: FiveTuple, packets: usize, bytes: usize) {
        let traffic = self.path_mut(path);
        traffic.last_sent = Some(now);
        traffic.counts.packets_sent += packets as u64;
        traffic.counts.bytes_sent += bytes as u64;
    }

    pub(in crate::session) fn received(&mut self, now: Instant, path: FiveTuple, bytes: usize) {
        let traffic = self.path_mut(path);
        traffic.last_received = Some(now);
        traffic.counts.packets_received += 1;
        traffic.counts.bytes_received += bytes as u64;
    }

    pub(super) fn path(&self, path: FiveTuple) -> Option<&PathTraffic> {
        self.paths.iter().find(|traffic| traffic.path == path)
    }

    pub(super) fn total(&self) -> Counts {
        self.paths.iter().fold(self.forgotten, |total, traffic| total + traffic.counts)
    }

    fn path_mut(&mut self, path: FiveTuple) -> &mut PathTraffic {
        let known = self.paths.iter().position(|traffic| traffic.path == path);
        let index = known.unwrap_or_else(|| {
            if self.paths.len() == MAX_PATHS {
                self.forgotten = self.forgotten + self.paths.remove(0).counts;
            }
            // Most sessions have one path for as long as they live.
            self.paths.reserve_exact(1);
            self.paths.push(PathTraffic {
                path,
                counts: Counts::default(),
                last_sent: None,
                last_received: None,
            });
            self.paths.len() - 1
        });
        &mut self.paths[index]
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            packets_sent: self.packets_sent + other.packets_sent,
            packets_received: self.packets_received + other.packets_received,
            bytes_sent: self.bytes_sent + other.bytes_sent,
            bytes_received: self.bytes_received + other.bytes_received,
        }
    }
}
