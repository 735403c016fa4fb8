//! Pairs of TCP candidates, RFC 6544.

use std::time::Instant;

use super::Agent;
use crate::ice::gathering::Mapping;
use crate::ice::local::{ACTIVE_PORT, Added};
use crate::ice::pair::{Pair, PairId, PairState, PairStream};
use crate::ice::selected::Selected;
use crate::ice::streams::PairStreams;
use crate::layer::{
    CandidateKind, FiveTuple, Framing, HostAddress, IceError, Protocol, StreamReport, TcpKind,
};

/// So often a stream that broke is opened again.
const MAX_BROKEN: u8 = 3;

impl Agent {
    /// The base that a datagram has come to.
    pub(super) fn base_of(&self, path: &FiveTuple) -> Option<usize> {
        if path.protocol == Protocol::Udp {
            return self.local.base_of(path.local);
        }
        if let Some(base) = self.gathering.stream_bindings.base_of(path) {
            return Some(base);
        }
        let pair = self.check_list.find(path).and_then(|id| self.check_list.get(id));
        pair.map(|pair| pair.base).or_else(|| self.local.passive_base_of(path.local))
    }

    pub(super) fn add_passive_base(&mut self, now: Instant, host: &HostAddress) -> Result<(), IceError> {
        self.add_stream_base(host, TcpKind::Passive)?;
        self.update(now);
        Ok(())
    }

    /// RFC 6544 §4.1. A lite agent opens nothing.
    pub(super) fn add_simultaneous_base(&mut self, now: Instant, host: &HostAddress) -> Result<(), IceError> {
        if !self.config.simultaneous_open || self.config.lite {
            return Err(IceError::UnsupportedCandidate(
                "simultaneous open is off; see simultaneous_open of the configuration",
            ));
        }
        if let Some(base) = self.add_stream_base(host, TcpKind::SimultaneousOpen)? {
            self.gathering.add_base(now, base, &self.local.bases()[base], &self.config);
            self.pair_base(now, base);
        }
        self.update(now);
        Ok(())
    }

    /// Adds an address at which streams are taken and tells it; none that is known.
    fn add_stream_base(&mut self, host: &HostAddress, kind: TcpKind) -> Result<Option<usize>, IceError> {
        if self.is_closed() {
            return Err(IceError::Closed);
        }
        if host.address.port() == 0 || host.address.ip().is_unspecified() {
            return Err(IceError::UnsupportedCandidate(
                "an address of streams has an IP address and a port; listen and give its address",
            ));
        }
        match self.local.add_stream(host, kind) {
            Ok(base) => {
                self.signal_hosts(base);
                Ok(Some(base))
            }
            Err(Added::Full) => Err(IceError::TooManyCandidates { limit: self.config.max_local_candidates }),
            Err(Added::Redundant | Added::New) => Ok(None),
        }
    }

    /// RFC 6544 §5.2: what a STUN server sees a stream from the port of a base as.
    pub(super) fn take_mapping(&mut self, mapping: &Mapping) {
        let kind = CandidateKind::ServerReflexive;
        let Mapping { base, server, mapped, url } = mapping;
        if self.local.add_reflexive(kind, *mapped, *base, Some(*server)) == Added::New {
            self.local.set_newest_url(url.clone());
            self.signal_newest_candidate();
        }
    }

    /// Tells the candidates of the streams to STUN servers that a restart found.
    pub(super) fn signal_held_mappings(&mut self) {
        for mapping in self.gathering.stream_bindings.held() {
            self.take_mapping(&mapping);
        }
    }

    /// Streams are opened from a host address, too. Where there is no room for that, the others do.
    pub(super) fn add_active_base(&mut self, now: Instant, mut host: HostAddress) {
        host.address.set_port(ACTIVE_PORT);
        if let Ok(base) = self.local.add_stream(&host, TcpKind::Active) {
            self.signal_hosts(base);
            self.pair_base(now, base);
        }
    }

    /// Has the stream of a pair opened that is to be checked; false if its check can be sent (RFC 6544 §7.1).
    pub(super) fn open_stream(&mut self, now: Instant, id: PairId) -> bool {
        let Some(pair) = self.check_list.get_mut(id) else { return false };
        match pair.stream {
            PairStream::There | PairStream::Open { .. } => return false,
            PairStream::Opening { .. } => return true,
            PairStream::Wanted { .. } if !self.pair_streams.may_open(now) => pair.state = PairState::Failed,
            PairStream::Wanted { broken } => {
                let FiveTuple { local, remote, .. } = pair.path;
                let is_simultaneous = self.local.bases()[pair.base].is_simultaneous();
                let token = match is_simultaneous {
                    true => self.streams.open_from(local, remote, Framing::Length, None),
                    false => self.streams.open(local, remote, Framing::Length, None),
                };
                pair.stream = PairStream::Opening { token, broken };
                pair.state = PairState::InProgress;
                self.pair_streams.opening.push(token);
            }
        }
        true
    }

    /// A check has come by a stream of the peer; false if it has too many.
    pub(super) fn keep_stream(&mut self, path: &FiveTuple) -> bool {
        let PairStreams { open, kept, .. } = &mut self.pair_streams;
        if open.contains(path) || kept.contains(path) {
            return true;
        }
        if kept.len() >= PairStreams::MAX_KEPT && !self.leave_kept_stream() {
            return false;
        }
        self.pair_streams.kept.push(*path);
        self.streams.keep(*path);
        true
    }

    /// The peer has opened the stream that this side was to open, too.
    pub(super) fn take_opened_by_peer(&mut self, id: PairId) {
        let Some(pair) = self.check_list.get_mut(id) else { return };
        if let PairStream::Wanted { .. } | PairStream::Opening { .. } = pair.stream {
            // What was asked for is given up with the streams of no pair.
            pair.stream = PairStream::There;
        }
    }

    /// Closes a stream of the peer that no pair has any more, as after a restart; false if all have one.
    fn leave_kept_stream(&mut self) -> bool {
        let selected = self.selected.as_ref().map(|selected| selected.pair.path);
        let is_left = |path: &FiveTuple| selected != Some(*path) && self.check_list.find(path).is_none();
        let Some(place) = self.pair_streams.kept.iter().position(is_left) else { return false };
        let left = self.pair_streams.kept.remove(place);
        self.streams.close(left);
        true
    }

    /// Takes what became of a stream that is no relay's.
    pub(super) fn handle_pair_stream(&mut self, now: Instant, report: &StreamReport) {
        match report {
            StreamReport::Opened { token, path } => {
                self.pair_streams.opening.retain(|opening| opening != token);
                match self.opens(*token) {
                    Some(id) => self.take_stream(id, *path),
                    // The peer has opened the same one, and has checked it already.
                    None if self.pair_streams.kept.contains(path) => {}
                    // Nobody wants it any more.
                    None => self.streams.close(*path),
                }
            }
            StreamReport::Failed { token, reason } => {
                tracing::debug!(%reason, "a stream to a candidate of the peer was not opened");
                self.pair_streams.opening.retain(|opening| opening != token);
                if let Some(id) = self.opens(*token) {
                    self.break_stream(now, id, MAX_BROKEN);
                }
            }
            StreamReport::Closed { path, .. } => self.lose_stream(now, path),
        }
    }

    /// The pair that waits for a stream.
    fn opens(&self, wanted: crate::layer::StreamToken) -> Option<PairId> {
        let is_it =
            |pair: &&Pair| matches!(pair.stream, PairStream::Opening { token, .. } if token == wanted);
        self.check_list.pairs().iter().find(is_it).map(|pair| pair.id)
    }

    /// The check of a pair can be sent now.
    fn take_stream(&mut self, id: PairId, path: FiveTuple) {
        let Some(pair) = self.check_list.get_mut(id) else { return };
        if let PairStream::Opening { broken, .. } = pair.stream {
            pair.stream = PairStream::Open { broken };
        }
        pair.path = path;
        pair.state = PairState::Waiting;
        self.pair_streams.open.push(path);
        self.check_list.trigger(id);
    }

    /// A stream is gone, and with it consent: the pair has failed at once. Who opened it opens it again.
    fn lose_stream(&mut self, now: Instant, path: &FiveTuple) {
        self.pair_streams.forget(path);
        let is_previous = |selected: &Selected| {
            selected.pair.path == *path && selected.generation == crate::ice::message::Generation::Previous
        };
        if self.selected.as_ref().is_some_and(is_previous) {
            self.selected = None;
            self.previous = None;
            self.reselect(now);
        }
        let Some(id) = self.check_list.find(path) else { return };
        let broken = match self.check_list.get(id).map(|pair| pair.stream) {
            Some(PairStream::Open { broken }) => broken.saturating_add(1),
            _ => MAX_BROKEN,
        };
        self.break_stream(now, id, broken);
    }

    /// The pair fails, or has its stream opened anew.
    fn break_stream(&mut self, now: Instant, id: PairId, broken: u8) {
        self.fail(now, id);
        let Some(pair) = self.check_list.get_mut(id) else { return };
        let is_simultaneous = self.local.bases().get(pair.base).is_some_and(|base| base.is_simultaneous());
        if pair.stream == PairStream::There && !is_simultaneous {
            return;
        }
        let path = self.local.bases().get(pair.base).map(|base| base.address);
        pair.path.local = path.unwrap_or(pair.path.local);
        pair.stream = PairStream::Wanted { broken };
        if broken < MAX_BROKEN {
            self.last_news = Some(now);
            pair.state = PairState::Waiting;
            self.check_list.trigger(id);
        }
    }

    /// Closes streams that no pair has any more.
    pub(super) fn settle_streams(&mut self) {
        if self.pair_streams.opening.is_empty() && self.pair_streams.open.is_empty() {
            return;
        }
        for token in std::mem::take(&mut self.pair_streams.opening) {
            match self.opens(token) {
                Some(_) => self.pair_streams.opening.push(token),
                None => self.streams.abandon(token),
            }
        }
        for path in std::mem::take(&mut self.pair_streams.open) {
            let is_selected = self.selected.as_ref().is_some_and(|selected| selected.pair.path == path);
            if is_selected || self.check_list.find(&path).is_some() {
                self.pair_streams.open.push(path);
            } else {
                self.streams.close(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crypto::default_provider;
    use crate::ice::{Config, IceCredentials, IceTransport};
    use crate::layer::{Layer, StreamRequest};

    /// Its pair is checked again now and then, for as long as the agent lives.
    #[test]
    fn a_peer_may_end_a_stream_as_often_as_it_likes() {
        let mut now = Instant::now();
        let config = Config { active_tcp: true, ..Config::default() };
        let mut agent = Agent::new(now, default_provider().unwrap(), config);
        agent.add_host_address(now, "10.0.0.1:1000".parse().unwrap()).unwrap();
        agent.end_of_host_addresses(now);
        let credentials = IceCredentials::new("peer", "the-password-of-the-peer").unwrap();
        agent.set_remote_credentials(now, credentials).unwrap();
        let passive = "candidate:1 1 tcp 1518280447 10.0.0.2 443 typ host tcptype passive";
        agent.add_remote_candidate(now, passive.parse().unwrap()).unwrap();
        let (mut opened, mut batch) = (0u16, crate::layer::TransmitBatch::new(1200));
        for _ in 0..400 {
            now += Duration::from_millis(50);
            agent.handle_timeout(now);
            while agent.poll_transmit(now, &mut batch).is_some() {
                batch.clear();
            }
            while let Some(request) = agent.poll_stream() {
                let StreamRequest::Open(opening) = request else { continue };
                opened += 1;
                let path = FiveTuple::tcp(([10, 0, 0, 1], 2000 + opened).into(), opening.remote);
                agent.handle_stream(now, StreamReport::Opened { token: opening.token, path });
                agent.handle_stream(now, StreamReport::Closed { path, reason: "closed".to_owned() });
            }
            agent.check_list.retry_failed();
        }
        assert!(opened > 256, "{opened}");
    }
}
