//! What the crate does not tell of its paths, read off the datagrams.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::message::{Class, Message};
use crate::layer::CandidatePairStatus;

/// The paths from one host address, by their remote ends.
#[derive(Debug)]
pub(super) struct Paths {
    paths: FxHashMap<SocketAddr, Path>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Path {
    requests_sent: u64,
    responses_sent: u64,
    responses_received: u64,
    current_round_trip_time: Option<Duration>,
    total_round_trip_time: Duration,
    /// Requests that wait for an answer, oldest first.
    unanswered: VecDeque<([u8; 12], Instant)>,
}

/// Requests that are remembered at most on a path.
const MAX_UNANSWERED: usize = 16;

impl Paths {
    pub(super) fn new(limit: usize) -> Self {
        Self { paths: FxHashMap::default(), limit }
    }

    /// The crate sends this.
    pub(super) fn sent(&mut self, now: Instant, remote: SocketAddr, message: &Message) {
        let path = self.paths.entry(remote).or_default();
        match message.class {
            Class::Request => {
                path.requests_sent += 1;
                if path.unanswered.len() == MAX_UNANSWERED {
                    path.unanswered.pop_front();
                }
                path.unanswered.push_back((message.transaction, now));
            }
            Class::Success => path.responses_sent += 1,
            Class::Indication | Class::Error => {}
        }
    }

    /// Whether the crate may be given this. It remembers the source of every authentic request for good, so that
    /// a peer with many addresses would fill its memory.
    pub(super) fn admits(&self, remote: SocketAddr, message: &Message) -> bool {
        match message.class {
            Class::Request => self.paths.len() < self.limit || self.paths.contains_key(&remote),
            Class::Success | Class::Error | Class::Indication => self.paths.contains_key(&remote),
        }
    }

    /// The crate is given this.
    pub(super) fn received(&mut self, now: Instant, remote: SocketAddr, message: &Message) {
        let Some(path) = self.paths.get_mut(&remote) else { return };
        let asked = path.unanswered.iter().position(|(transaction, _)| *transaction == message.transaction);
        if let (Class::Success, Some(position)) = (message.class, asked)
            && let Some((_, sent)) = path.unanswered.remove(position)
        {
            let round_trip_time = now.saturating_duration_since(sent);
            path.responses_received += 1;
            path.current_round_trip_time = Some(round_trip_time);
            path.total_round_trip_time += round_trip_time;
        }
    }

    /// Whether an authentic request came on the path: the crate answers no other.
    pub(super) fn is_validated(&self, remote: SocketAddr) -> bool {
        self.paths.get(&remote).is_some_and(|path| path.responses_sent > 0)
    }

    /// Whether anything was exchanged with anybody.
    pub(super) fn is_known(&self) -> bool {
        !self.paths.is_empty()
    }

    pub(super) fn is_answered(&self, remote: SocketAddr) -> bool {
        self.paths.get(&remote).is_some_and(|path| path.responses_received > 0)
    }

    pub(super) fn is_asked(&self, remote: SocketAddr) -> bool {
        self.paths.get(&remote).is_some_and(|path| path.requests_sent > 0)
    }

    pub(super) fn describe(&self, status: &mut CandidatePairStatus) {
        let Some(path) = self.paths.get(&status.pair.path.remote) else { return };
        status.requests_sent = path.requests_sent;
        status.responses_sent = path.responses_sent;
        // The crate answers every authentic request.
        status.requests_received = path.responses_sent;
        status.responses_received = path.responses_received;
        status.current_round_trip_time = path.current_round_trip_time;
        status.total_round_trip_time = path.total_round_trip_time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(class: Class, transaction: u8) -> Message {
        Message { class, transaction: [transaction; 12], nominates: false, role: None }
    }

    fn remote(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 2], port))
    }

    #[test]
    fn only_a_request_that_the_crate_has_answered_validates_a_path() {
        let (now, mut paths) = (Instant::now(), Paths::new(4));
        paths.received(now, remote(1), &message(Class::Request, 1));
        paths.sent(now, remote(1), &message(Class::Request, 2));
        paths.received(now, remote(1), &message(Class::Success, 2));
        assert!(paths.is_answered(remote(1)) && !paths.is_validated(remote(1)));
        paths.sent(now, remote(1), &message(Class::Success, 1));
        assert!(paths.is_validated(remote(1)) && !paths.is_validated(remote(2)));
    }

    #[test]
    fn answers_count_once_and_on_their_own_path() {
        let (now, mut paths) = (Instant::now(), Paths::new(4));
        let later = now + Duration::from_millis(30);
        paths.sent(now, remote(1), &message(Class::Request, 1));
        paths.sent(now, remote(2), &message(Class::Request, 2));
        paths.received(later, remote(2), &message(Class::Success, 1));
        assert!(!paths.is_answered(remote(1)) && !paths.is_answered(remote(2)));
        paths.received(later, remote(1), &message(Class::Success, 1));
        paths.received(later + later.duration_since(now), remote(1), &message(Class::Success, 1));
        let path = &paths.paths[&remote(1)];
        assert_eq!((path.responses_received, path.total_round_trip_time), (1, Duration::from_millis(30)));
    }

    #[test]
    fn strangers_are_taken_up_to_the_limit() {
        let (now, mut paths) = (Instant::now(), Paths::new(2));
        for port in 1..=2 {
            assert!(paths.admits(remote(port), &message(Class::Request, 1)));
            assert!(!paths.admits(remote(port), &message(Class::Success, 1)), "it was not asked");
            paths.sent(now, remote(port), &message(Class::Success, 1));
        }
        assert!(!paths.admits(remote(3), &message(Class::Request, 1)));
        assert!(paths.admits(remote(2), &message(Class::Request, 1)));
        for transaction in 0..100 {
            paths.sent(now, remote(1), &message(Class::Request, transaction));
        }
        assert_eq!(paths.paths[&remote(1)].unanswered.len(), MAX_UNANSWERED);
    }
}
