use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::crypto::{CryptoProvider, SeededRandom};
use crate::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use crate::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId,
};

#[cfg(feature = "aws-lc-rs")]
use crate::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use crate::crypto::rust_crypto as crypto;

mod candidates;
mod consent;
mod limits;
mod moves;
mod patience;
mod properties;
mod renomination;
mod reports;
mod rewriting;
mod roles;
mod verification;

fn provider(seed: u64) -> CryptoProvider {
    crypto::provider().with_random(Arc::new(SeededRandom::new(seed)))
}

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn path(remote: &str) -> FiveTuple {
    FiveTuple::udp(address(LOCAL), address(remote))
}

fn candidate(text: &str) -> Candidate {
    text.parse().unwrap()
}

fn credentials() -> IceCredentials {
    IceCredentials::new("peer", "the-password-of-the-peer").unwrap()
}

/// A message of the peer to `agent`: a request that is authentic, unless `key` is another.
fn message(
    class: Class,
    id: TransactionId,
    key: &str,
    build: impl for<'b> FnOnce(MessageBuilder<'b>) -> MessageBuilder<'b>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let key = IntegrityKey::short_term(&provider(0), key);
    let builder = build(MessageBuilder::new(&mut bytes, class, Method::BINDING, id));
    builder.integrity(&key).fingerprint().finish().unwrap();
    bytes
}

fn check(agent: &Agent, number: u8, nominates: bool) -> Vec<u8> {
    let local = agent.local_credentials();
    let controls = agent.role() == IceRole::Controlled;
    message(Class::Request, TransactionId([number; 12]), local.password(), |builder| {
        let builder = builder.ice_username(local.ufrag(), "peer").priority(7);
        let builder = if controls { builder.ice_controlling(1) } else { builder.ice_controlled(1) };
        if nominates { builder.use_candidate() } else { builder }
    })
}

fn success(id: TransactionId) -> Vec<u8> {
    message(Class::Success, id, credentials().password(), |builder| {
        builder.xor_mapped_address(address(LOCAL))
    })
}

/// An agent and a peer whose every move the test makes.
struct Scene {
    agent: Agent,
    now: Instant,
}

impl Scene {
    /// With a local address only.
    fn alone(role: IceRole) -> Self {
        Self::configured(Instant::now(), Config { role, ..Config::default() })
    }

    fn configured(now: Instant, config: Config) -> Self {
        let mut agent = Agent::new(now, provider(1), config);
        agent.add_host_address(now, address(LOCAL)).unwrap();
        agent.end_of_host_addresses(now);
        Self { agent, now }
    }

    /// With the credentials and one candidate of the peer, too.
    fn checking(role: IceRole) -> Self {
        let mut scene = Self::alone(role);
        scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
        scene.add_remote(REMOTE);
        scene
    }

    /// With a pair that is nominated.
    fn connected(role: IceRole) -> Self {
        let mut scene = Self::checking(role);
        scene.agent.end_of_remote_candidates(scene.now);
        let nominates = role == IceRole::Controlled;
        let request = check(&scene.agent, 1, nominates);
        scene.receive(REMOTE, &request).unwrap();
        for _ in 0..2 {
            scene.answer_checks();
            scene.advance(Duration::from_millis(50));
        }
        assert_eq!(scene.agent.state(), IceConnectionState::Completed);
        scene
    }

    fn add_remote(&mut self, remote: &str) {
        let remote = address(remote);
        let text = format!("candidate:1 1 udp 2130706431 {} {} typ host", remote.ip(), remote.port());
        self.agent.add_remote_candidate(self.now, candidate(&text)).unwrap();
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.agent.handle_timeout(self.now);
    }

    fn receive(&mut self, from: &str, bytes: &[u8]) -> Result<(), IceError> {
        let mut bytes = bytes.to_vec();
        self.agent.handle_datagram(self.now, Datagram::new(path(from), &mut bytes))
    }

    /// What the agent sends now.
    fn sent(&mut self) -> Vec<(FiveTuple, Vec<u8>)> {
        let (mut sent, mut batch) = (Vec::new(), TransmitBatch::new(1200));
        while let Some(transmit) = self.agent.poll_transmit(self.now, &mut batch) {
            sent.extend(batch.datagrams(&transmit).map(|bytes| (transmit.path.unwrap(), bytes.to_vec())));
            batch.clear();
        }
        sent
    }

    /// The check that is sent now.
    fn sent_check(&mut self) -> (FiveTuple, Vec<u8>) {
        let is_check =
            |sent: &(FiveTuple, Vec<u8>)| Message::decode(&sent.1).unwrap().class() == Class::Request;
        self.sent().into_iter().find(is_check).expect("a check")
    }

    /// The response that is sent now.
    fn sent_response(&mut self) -> Option<Vec<u8>> {
        let is_response =
            |sent: &(FiveTuple, Vec<u8>)| Message::decode(&sent.1).unwrap().class() != Class::Request;
        self.sent().into_iter().find(is_response).map(|(_, bytes)| bytes)
    }

    fn answer_checks(&mut self) {
        self.answer_checks_to(|_| true);
    }

    /// Answers the checks that go to some addresses; the others are lost.
    fn answer_checks_to(&mut self, answers: impl Fn(SocketAddr) -> bool) {
        for (path, bytes) in self.sent() {
            let message = Message::decode(&bytes).unwrap();
            if message.class() == Class::Request && answers(path.remote) {
                let response = success(message.transaction_id());
                self.receive(&path.remote.to_string(), &response).unwrap();
            }
        }
    }

    /// All that the agent is, but for the count of what it ignored.
    fn snapshot(&self) -> String {
        let ignored = format!("ignored: {}", self.agent.stats().ignored);
        format!("{:?}", self.agent).replace(&ignored, "ignored: _")
    }

    /// Asserts that a datagram changes nothing but a counter.
    fn assert_ignored(&mut self, from: &str, bytes: &[u8], what: &str) {
        let (before, ignored) = (self.snapshot(), self.agent.stats().ignored);
        let result = self.receive(from, bytes);
        assert!(matches!(result, Err(IceError::Ignored(_))), "{what}: {result:?}");
        assert_eq!(self.agent.stats().ignored, ignored + 1, "{what}");
        assert_eq!(self.snapshot(), before, "{what}");
    }
}

#[test]
fn datagrams_of_strangers_change_nothing() {
    for mut scene in [
        Scene::alone(IceRole::Controlled),
        Scene::checking(IceRole::Controlling),
        Scene::connected(IceRole::Controlled),
        Scene::connected(IceRole::Controlling),
    ] {
        let password = scene.agent.local_credentials().password().to_owned();
        let ufrag = scene.agent.local_credentials().ufrag().to_owned();
        let request = check(&scene.agent, 9, true);
        for from in [REMOTE, "10.6.6.6:666"] {
            for length in 0..request.len() - 8 {
                scene.assert_ignored(from, &request[..length], "truncated");
            }
            // The fingerprint is not protected by the password: it is left out.
            for position in 0..request.len() - 8 {
                let mut corrupt = request.clone();
                corrupt[position] ^= 1 << (position % 8);
                scene.assert_ignored(from, &corrupt, "corrupt");
            }
            let username = format!("{ufrag}:peer");
            let id = TransactionId([9; 12]);
            let request = |key: &str, username: &str| {
                message(Class::Request, id, key, |b| b.username(username).priority(1).ice_controlled(0))
            };
            scene.assert_ignored(from, &request("another-password-altogether", &username), "wrong password");
            scene.assert_ignored(from, &request(credentials().password(), &username), "the peer's password");
            scene.assert_ignored(from, &request(&password, "other:peer"), "wrong ufrag");
            scene.assert_ignored(from, &request(&password, &ufrag), "no colon");
            let nameless = message(Class::Request, id, &password, |b| b.priority(1));
            scene.assert_ignored(from, &nameless, "no username");
            let mut unprotected = Vec::new();
            let builder = MessageBuilder::new(&mut unprotected, Class::Request, Method::BINDING, id);
            builder.username(&username).priority(1).use_candidate().fingerprint().finish().unwrap();
            scene.assert_ignored(from, &unprotected, "no integrity");
            scene.assert_ignored(from, &success(id), "an answer to nothing");
            let mut other_method = Vec::new();
            let method = Method::new(3).unwrap();
            MessageBuilder::new(&mut other_method, Class::Request, method, id).finish().unwrap();
            scene.assert_ignored(from, &other_method, "another method");
            scene.assert_ignored(from, &[], "empty");
            scene.assert_ignored(from, &[0x80; 40], "not STUN");
        }
    }
}

#[test]
fn reflected_and_replayed_messages_change_nothing() {
    let mut scene = Scene::checking(IceRole::Controlled);
    let (_, ours) = scene.sent_check();
    scene.assert_ignored(REMOTE, &ours, "our own check");
    let response = success(Message::decode(&ours).unwrap().transaction_id());
    scene.receive(REMOTE, &response).unwrap();
    scene.assert_ignored(REMOTE, &response, "a response again");
    let request = check(&scene.agent, 1, false);
    scene.receive(REMOTE, &request).unwrap();
    let answer = scene.sent_response().unwrap();
    scene.assert_ignored(REMOTE, &answer, "our own response");
}

#[test]
fn a_datagram_to_an_unknown_address_is_ignored() {
    let mut scene = Scene::checking(IceRole::Controlled);
    let mut request = check(&scene.agent, 1, true);
    let before = scene.snapshot();
    let elsewhere = FiveTuple::udp(address("10.0.0.9:9"), address(REMOTE));
    scene.agent.handle_datagram(scene.now, Datagram::new(elsewhere, &mut request)).unwrap_err();
    assert_eq!(scene.snapshot(), before);
}

#[test]
fn error_responses_fail_a_pair_only_when_authentic() {
    let mut scene = Scene::checking(IceRole::Controlling);
    let (_, ours) = scene.sent_check();
    let id = Message::decode(&ours).unwrap().transaction_id();
    for code in [ErrorCode::BAD_REQUEST, ErrorCode::UNAUTHENTICATED, ErrorCode::ROLE_CONFLICT] {
        let mut bare = Vec::new();
        let builder = MessageBuilder::new(&mut bare, Class::Error, Method::BINDING, id);
        builder.error_code(code).fingerprint().finish().unwrap();
        scene.assert_ignored(REMOTE, &bare, "without integrity");
        let forged = message(Class::Error, id, "another-password-altogether", |b| b.error_code(code));
        scene.assert_ignored(REMOTE, &forged, "with a wrong password");
    }
    let authentic =
        message(Class::Error, id, credentials().password(), |b| b.error_code(ErrorCode::BAD_REQUEST));
    scene.receive(REMOTE, &authentic).unwrap();
    assert!(scene.snapshot().contains("state: Failed, check: None"));
    assert_eq!(scene.agent.state(), IceConnectionState::Checking, "the peer may still find us");
}

#[test]
fn a_response_from_another_address_fails_the_pair() {
    let mut scene = Scene::checking(IceRole::Controlling);
    let (_, ours) = scene.sent_check();
    let id = Message::decode(&ours).unwrap().transaction_id();
    scene.receive("10.0.0.3:2000", &success(id)).unwrap();
    assert!(scene.agent.selected_pair().is_none());
    assert!(scene.snapshot().contains("state: Failed, check: None"));
    assert!(!scene.agent.is_validated(&path(REMOTE)));
}

#[test]
fn a_success_without_a_mapped_address_fails_the_pair() {
    let mut scene = Scene::checking(IceRole::Controlling);
    let (_, ours) = scene.sent_check();
    let id = Message::decode(&ours).unwrap().transaction_id();
    scene.receive(REMOTE, &message(Class::Success, id, credentials().password(), |b| b)).unwrap();
    assert!(scene.agent.selected_pair().is_none());
}

#[test]
fn checks_that_come_before_the_answer_are_answered_and_remembered() {
    let mut scene = Scene::alone(IceRole::Controlled);
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    let answer = scene.sent_response().expect("an answer");
    let answer = Message::decode(&answer).unwrap();
    let ours = IntegrityKey::short_term(&provider(0), scene.agent.local_credentials().password());
    assert!(answer.verify(&ours));
    assert_eq!(answer.mapped_address(), Some(address(REMOTE)));
    scene.advance(Duration::from_secs(1));
    assert!(scene.sent().is_empty(), "nothing to check with");
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.answer_checks();
    let pair = scene.agent.selected_pair().expect("nominated at once");
    assert_eq!(pair.remote.kind, CandidateKind::PeerReflexive);
    assert_eq!(pair.remote.priority, 7);
}

#[test]
fn early_checks_of_somebody_else_are_forgotten() {
    let mut scene = Scene::alone(IceRole::Controlled);
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    scene.sent();
    let other = IceCredentials::new("fork", "the-password-of-the-fork").unwrap();
    scene.agent.set_remote_credentials(scene.now, other).unwrap();
    scene.advance(Duration::from_secs(1));
    assert!(scene.sent().is_empty());
    assert!(!scene.agent.is_validated(&path(REMOTE)));
}

#[test]
fn nomination_waits_for_our_own_check() {
    let mut scene = Scene::checking(IceRole::Controlled);
    scene.agent.end_of_remote_candidates(scene.now);
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    assert!(scene.agent.selected_pair().is_none());
    assert!(scene.agent.is_validated(&path(REMOTE)), "the peer's check is authentic");
    scene.advance(Duration::from_millis(50));
    scene.answer_checks();
    assert!(scene.agent.selected_pair().is_some());
    assert_eq!(scene.agent.state(), IceConnectionState::Completed);
}

#[test]
fn use_candidate_of_a_controlled_peer_means_nothing() {
    let mut scene = Scene::checking(IceRole::Controlling);
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    assert!(!scene.snapshot().contains("nomination: Requested"));
}

#[test]
fn paths_are_validated_by_authentic_checks_only() {
    let mut scene = Scene::checking(IceRole::Controlling);
    assert!(!scene.agent.is_validated(&path(REMOTE)));
    let (_, ours) = scene.sent_check();
    scene.receive(REMOTE, &success(Message::decode(&ours).unwrap().transaction_id())).unwrap();
    assert!(scene.agent.is_validated(&path(REMOTE)));
    assert!(!scene.agent.is_validated(&path("10.0.0.3:2000")));
    let request = check(&scene.agent, 1, false);
    scene.receive("10.0.0.3:2000", &request).unwrap();
    assert!(scene.agent.is_validated(&path("10.0.0.3:2000")));
    scene.agent.close();
    assert!(!scene.agent.is_validated(&path(REMOTE)));
}

#[test]
fn an_unknown_attribute_that_must_be_understood_is_refused() {
    let mut scene = Scene::checking(IceRole::Controlled);
    scene.sent();
    let unknown = AttributeType(0x7fff);
    let local = scene.agent.local_credentials();
    let request = message(Class::Request, TransactionId([1; 12]), local.password(), |b| {
        b.ice_username(local.ufrag(), "peer")
            .priority(1)
            .ice_controlling(1)
            .use_candidate()
            .attribute(unknown, &[1])
    });
    scene.receive("10.0.0.3:2000", &request).unwrap();
    let answer = scene.sent_response().unwrap();
    let answer = Message::decode(&answer).unwrap();
    assert_eq!(answer.error_code().map(|(code, _)| code), Some(ErrorCode::UNKNOWN_ATTRIBUTE));
    assert_eq!(answer.attribute(AttributeType::UNKNOWN_ATTRIBUTES), Some(&[0x7f, 0xff][..]));
    assert!(!scene.agent.is_validated(&path("10.0.0.3:2000")), "it taught nothing");
}

#[test]
fn closing_ends_everything() {
    let mut scene = Scene::connected(IceRole::Controlling);
    let request = check(&scene.agent, 8, false);
    scene.receive(REMOTE, &request).unwrap();
    scene.agent.close();
    scene.agent.close();
    let (now, agent) = (scene.now, &mut scene.agent);
    assert_eq!(agent.state(), IceConnectionState::Closed);
    assert!(agent.selected_pair().is_none());
    assert!(agent.poll_timeout().is_none());
    assert_eq!(agent.add_host_address(now, address("10.0.0.5:5")), Err(IceError::Closed));
    let remote = candidate("candidate:1 1 udp 2130706431 10.0.0.7 2000 typ host");
    assert_eq!(agent.add_remote_candidate(now, remote), Err(IceError::Closed));
    assert_eq!(agent.set_remote_credentials(now, credentials()), Err(IceError::Closed));
    assert_eq!(agent.restart(now, agent.new_credentials()), Err(IceError::Closed));
    agent.end_of_host_addresses(now);
    agent.end_of_remote_candidates(now);
    agent.resolve_name(now, NameQuery(0), None);
    agent.set_role(IceRole::Controlled);
    assert!(agent.poll_timeout().is_none());
    assert_eq!(scene.receive(REMOTE, &request), Err(IceError::Closed));
    scene.advance(Duration::from_secs(60));
    assert!(scene.sent().is_empty());
    assert!(scene.agent.poll_timeout().is_none());
    let last = std::iter::from_fn(|| scene.agent.poll_event()).last();
    assert_eq!(last, Some(IceEvent::ConnectionState(IceConnectionState::Closed)));
}

#[test]
fn a_second_restart_before_nomination_keeps_the_first_pair() {
    let mut scene = Scene::connected(IceRole::Controlled);
    let pair = scene.agent.selected_pair().cloned();
    let old = check(&scene.agent, 5, false);
    scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
    let between = scene.agent.local_credentials().clone();
    scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
    assert_ne!(*scene.agent.local_credentials(), between);
    assert_eq!(scene.agent.selected_pair(), pair.as_ref());
    assert!(scene.agent.is_validated(&path(REMOTE)));
    // Consent of the peer, which has not heard of the restart, is still given and taken.
    scene.receive(REMOTE, &old).unwrap();
    assert!(scene.sent_response().is_some());
    for _ in 0..60 {
        scene.advance(Duration::from_secs(1));
        scene.answer_checks();
    }
    assert_eq!(scene.agent.selected_pair(), pair.as_ref());
    // The new generation takes over once its pair is nominated.
    let peer = IceCredentials::new("peer", "the-new-password-of-the-peer").unwrap();
    scene.agent.set_remote_credentials(scene.now, peer.clone()).unwrap();
    let request = check(&scene.agent, 6, true);
    scene.receive(REMOTE, &request).unwrap();
    scene.advance(Duration::from_millis(50));
    let ours = IntegrityKey::short_term(&provider(0), peer.password());
    let sent = scene.sent();
    let new = sent.iter().find_map(|(_, bytes)| {
        let message = Message::decode(bytes).unwrap();
        (message.class() == Class::Request && message.verify(&ours)).then(|| message.transaction_id())
    });
    let response =
        message(Class::Success, new.expect("a check with the new password"), peer.password(), |b| {
            b.xor_mapped_address(address(LOCAL))
        });
    scene.receive(REMOTE, &response).unwrap();
    assert!(scene.snapshot().contains("previous: None"));
    scene.assert_ignored(REMOTE, &old, "a check of the first generation");
}

#[test]
fn a_restart_takes_back_what_was_not_yet_told() {
    let mut scene = Scene::alone(IceRole::Controlling);
    for _ in 0..100 {
        scene.agent.restart(scene.now, scene.agent.new_credentials()).unwrap();
    }
    let events: Vec<_> = std::iter::from_fn(|| scene.agent.poll_event()).collect();
    let candidates = events.iter().filter(|event| matches!(event, IceEvent::LocalCandidate(_))).count();
    assert_eq!(candidates, 1, "{events:?}");
    assert_eq!(events.last(), Some(&IceEvent::GatheringComplete));
}

#[test]
fn checks_that_are_frozen_do_not_slow_down_the_others() {
    let mut scene = Scene::alone(IceRole::Controlling);
    // Of the same foundation: all but one are frozen.
    for last in 0..40 {
        scene.add_remote(&format!("10.0.1.{last}:2000"));
    }
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.sent_check();
    scene.advance(Duration::from_millis(500));
    // RFC 8445 §14.3: one check is under way and none waits.
    scene.sent_check();
}

#[test]
fn times_without_end_do_not_overflow() {
    let config = Config {
        nomination_delay: Duration::MAX,
        consent_interval: Duration::MAX,
        consent_timeout: Duration::MAX,
        disconnected_timeout: Duration::MAX,
        patience: Duration::MAX,
        server_keepalive: Duration::MAX,
        stun_servers: vec![address("203.0.113.1:3478")],
        role: IceRole::Controlled,
        ..Config::default()
    };
    let mut scene = Scene::configured(Instant::now(), config);
    scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
    scene.add_remote(REMOTE);
    let request = check(&scene.agent, 1, true);
    scene.receive(REMOTE, &request).unwrap();
    for _ in 0..3 {
        scene.answer_checks();
        scene.advance(Duration::from_secs(3600));
    }
    assert_eq!(scene.agent.state(), IceConnectionState::Connected);
}
