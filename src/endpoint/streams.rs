//! Whose streams are whose.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::session_id::SessionId;
use crate::layer::{FiveTuple, StreamReport, StreamRequest, StreamToken};

/// The streams of all sessions. Sessions know nothing of each other, so that their tokens may be the same; to the outside
/// each has one of the endpoint.
#[derive(Debug, Default)]
pub(super) struct Streams {
    requests: VecDeque<StreamRequest>,
    next_token: u64,
    /// From the token outside to the session and its own.
    opening: BTreeMap<StreamToken, (SessionId, StreamToken)>,
    /// And the other way.
    outside: BTreeMap<(SessionId, StreamToken), StreamToken>,
    owners: BTreeMap<FiveTuple, SessionId>,
    paths: BTreeSet<(SessionId, FiveTuple)>,
}

impl Streams {
    /// Takes what a session wants.
    pub(super) fn ask(&mut self, id: SessionId, request: StreamRequest) {
        let request = match request {
            StreamRequest::Open(mut opening) => {
                let token = StreamToken(self.next_token);
                self.next_token += 1;
                self.opening.insert(token, (id, opening.token));
                self.outside.insert((id, opening.token), token);
                opening.token = token;
                StreamRequest::Open(opening)
            }
            StreamRequest::Abandon(token) => {
                let Some(token) = self.outside.remove(&(id, token)) else { return };
                self.opening.remove(&token);
                StreamRequest::Abandon(token)
            }
            StreamRequest::Close(path) => {
                if !self.paths.remove(&(id, path)) {
                    return;
                }
                self.owners.remove(&path);
                StreamRequest::Close(path)
            }
            // Who proved it first has it.
            StreamRequest::Keep(path) => {
                if self.owners.contains_key(&path) {
                    return;
                }
                self.own(id, path);
                StreamRequest::Keep(path)
            }
        };
        self.requests.push_back(request);
    }

    fn own(&mut self, id: SessionId, path: FiveTuple) {
        self.owners.insert(path, id);
        self.paths.insert((id, path));
    }

    /// The session that has a stream.
    pub(super) fn owner(&self, path: &FiveTuple) -> Option<SessionId> {
        self.owners.get(path).copied()
    }

    /// The session that a report is for, and the report in its words.
    pub(super) fn owner_of(&mut self, report: StreamReport) -> Option<(SessionId, StreamReport)> {
        match report {
            StreamReport::Opened { token, path } => match self.close_opening(token) {
                Some((id, token)) => {
                    self.own(id, path);
                    Some((id, StreamReport::Opened { token, path }))
                }
                // The other side has opened the same one, and has proved it.
                None if self.owners.contains_key(&path) => None,
                None => {
                    // It was abandoned meanwhile.
                    self.requests.push_back(StreamRequest::Close(path));
                    None
                }
            },
            StreamReport::Failed { token, reason } => {
                let (id, token) = self.close_opening(token)?;
                Some((id, StreamReport::Failed { token, reason }))
            }
            StreamReport::Closed { path, reason } => {
                let id = self.owners.remove(&path)?;
                self.paths.remove(&(id, path));
                Some((id, StreamReport::Closed { path, reason }))
            }
        }
    }

    fn close_opening(&mut self, token: StreamToken) -> Option<(SessionId, StreamToken)> {
        let opening = self.opening.remove(&token)?;
        self.outside.remove(&opening);
        Some(opening)
    }

    /// A session is gone: its streams are closed.
    pub(super) fn forget(&mut self, id: SessionId) {
        while let Some((of, token)) = self.outside.range((id, StreamToken(0))..).next().map(|(key, _)| *key) {
            if of != id {
                break;
            }
            self.ask(id, StreamRequest::Abandon(token));
        }
        let is_its = |(of, _): &&(SessionId, FiveTuple)| *of == id;
        while let Some((_, path)) = self.paths.range((id, LEAST)..).next().filter(is_its).copied() {
            self.ask(id, StreamRequest::Close(path));
        }
    }

    pub(super) fn poll(&mut self) -> Option<StreamRequest> {
        self.requests.pop_front()
    }
}

/// No path comes before it.
const LEAST: FiveTuple = {
    let least = std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
    FiveTuple::udp(least, least)
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Framing, StreamOpening};

    fn path(port: u16) -> FiveTuple {
        FiveTuple::tcp(([10, 0, 0, 1], port).into(), ([192, 0, 2, 1], 3478).into())
    }

    fn opening(streams: &mut Streams, id: SessionId, token: u64) -> StreamToken {
        let FiveTuple { local, remote, .. } = path(1);
        let opening = StreamOpening::new(StreamToken(token), local, remote, Framing::Stun);
        streams.ask(id, StreamRequest::Open(opening));
        match streams.poll() {
            Some(StreamRequest::Open(opening)) => opening.token,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sessions_with_the_same_tokens_have_streams_of_their_own() {
        let (a, b) = (SessionId::new(1), SessionId::new(2));
        let mut streams = Streams::default();
        let tokens = [a, b].map(|id| opening(&mut streams, id, 7));
        assert_ne!(tokens[0], tokens[1]);
        let report = StreamReport::Opened { token: tokens[1], path: path(1) };
        let own = StreamReport::Opened { token: StreamToken(7), path: path(1) };
        assert_eq!(streams.owner_of(report), Some((b, own)));
        streams.ask(a, StreamRequest::Close(path(1)));
        assert_eq!(streams.poll(), None, "it is the other's");
        let gone = StreamReport::Closed { path: path(1), reason: "broken".to_owned() };
        assert_eq!(streams.owner_of(gone.clone()), Some((b, gone.clone())));
        assert_eq!(streams.owner_of(gone), None);
    }

    #[test]
    fn of_a_session_that_is_gone_nothing_stays() {
        let id = SessionId::new(1);
        let mut streams = Streams::default();
        let [first, second] = [0, 1].map(|token| opening(&mut streams, id, token));
        streams.owner_of(StreamReport::Opened { token: first, path: path(1) });
        streams.ask(id, StreamRequest::Keep(path(2)));
        assert_eq!(streams.poll(), Some(StreamRequest::Keep(path(2))));
        streams.forget(id);
        let asked: Vec<_> = std::iter::from_fn(|| streams.poll()).collect();
        let [path_1, path_2] = [1, 2].map(|port| StreamRequest::Close(path(port)));
        assert_eq!(asked, [StreamRequest::Abandon(second), path_1, path_2]);
        assert_eq!(streams.owner_of(StreamReport::Opened { token: second, path: path(3) }), None);
        assert_eq!(streams.poll(), Some(StreamRequest::Close(path(3))));
        let Streams { opening, outside, owners, paths, .. } = streams;
        assert!(opening.is_empty() && outside.is_empty() && owners.is_empty() && paths.is_empty());
    }
}
