use proptest::prelude::*;

use super::*;
use crate::layer::{StreamOpening, StreamReport, StreamRequest};

/// Something that happens to an agent.
#[derive(Clone, Debug)]
enum Operation {
    Wait(u64),
    AddHost(u8),
    RemoveHost(u8),
    Agree(bool),
    Reconfigure(bool),
    Policy(bool),
    Passive(u8),
    AddStream(u8),
    Streams(u8),
    CloseStream(u8),
    EndOfHosts,
    AddRemote(u8),
    AddName(u8),
    Resolve(u8, bool),
    EndOfRemotes,
    Credentials(bool),
    Role(bool),
    Restart,
    Request { from: u8, by_stream: bool, nominates: bool, value: u32, controls: bool, tie_breaker: u64 },
    Respond { from_elsewhere: bool, mapped: u8 },
    Refuse(u16),
    Garbage(Vec<u8>),
    Drain,
    Close,
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        8 => prop_oneof![0..200u64, Just(500), Just(5_000), Just(40_000)].prop_map(Wait),
        2 => (0..4u8).prop_map(AddHost),
        2 => (0..4u8).prop_map(RemoveHost),
        1 => any::<bool>().prop_map(Agree),
        1 => any::<bool>().prop_map(Reconfigure),
        1 => any::<bool>().prop_map(Policy),
        1 => (0..4u8).prop_map(Passive),
        2 => any::<u8>().prop_map(AddStream),
        3 => any::<u8>().prop_map(Streams),
        1 => any::<u8>().prop_map(CloseStream),
        1 => Just(EndOfHosts),
        2 => any::<u8>().prop_map(AddRemote),
        1 => (0..4u8).prop_map(AddName),
        1 => (0..4u8, any::<bool>()).prop_map(|(query, known)| Resolve(query, known)),
        1 => Just(EndOfRemotes),
        2 => any::<bool>().prop_map(Credentials),
        1 => any::<bool>().prop_map(Role),
        1 => Just(Restart),
        6 => (0..6u8, any::<bool>(), any::<bool>(), 0..4u32, any::<bool>(), prop_oneof![Just(0), Just(u64::MAX)]).prop_map(
            |(from, by_stream, nominates, value, controls, tie_breaker)| {
                Request { from, by_stream, nominates, value, controls, tie_breaker }
            }
        ),
        8 => (prop::bool::weighted(0.1), 0..3u8).prop_map(|(from_elsewhere, mapped)| Respond { from_elsewhere, mapped }),
        2 => prop_oneof![Just(487), Just(400), Just(420)].prop_map(Refuse),
        1 => prop::collection::vec(any::<u8>(), 0..64).prop_map(Garbage),
        3 => Just(Drain),
        1 => prop::bool::weighted(0.02).prop_map(|close| if close { Close } else { Drain }),
    ]
}

/// An agent with the checks that it sent and that were not answered yet.
struct Play {
    scene: Scene,
    asked: Vec<(FiveTuple, TransactionId)>,
    /// Streams that are there.
    streams: Vec<FiveTuple>,
    opened: u16,
    peer: IceCredentials,
}

impl Play {
    fn new(servers: bool, lite: bool, renomination: bool) -> Self {
        let config = Config {
            lite,
            renomination,
            active_tcp: true,
            stun_servers: if servers { vec![address("203.0.113.1:3478")] } else { Vec::new() },
            max_pairs: 10,
            max_remote_candidates: 8,
            max_local_candidates: 6,
            max_queued_responses: 4,
            ..Config::default()
        };
        let scene = Scene::configured(Instant::now(), config);
        Self { scene, asked: Vec::new(), streams: Vec::new(), opened: 0, peer: credentials() }
    }

    fn perform(&mut self, operation: Operation) {
        let Self { scene: Scene { agent, now }, asked, peer, streams, opened } = self;
        let now = *now;
        match operation {
            Operation::Wait(millis) => self.scene.now += Duration::from_millis(millis),
            Operation::AddHost(last) => {
                let _ = agent.add_host_address(now, SocketAddr::from(([10, 0, 0, last], 1000)));
            }
            Operation::RemoveHost(last) => {
                agent.remove_host_address(now, SocketAddr::from(([10, 0, 0, last], 1000)));
            }
            Operation::Agree(renomination) => {
                agent.set_remote_options(IceOptions::new().with_renomination(renomination));
            }
            Operation::Reconfigure(servers) => {
                let mut config = Config::default();
                if servers {
                    config.stun_servers = vec![address("203.0.113.2:3478")];
                    config.turn_servers =
                        vec![TurnServer::new(address("203.0.113.3:3478"), "user", "secret")];
                }
                agent.reconfigure(now, config);
            }
            Operation::Policy(all) => {
                let transport_policy = if all { TransportPolicy::All } else { TransportPolicy::Relay };
                agent.reconfigure(now, Config { transport_policy, ..Config::default() });
            }
            Operation::Passive(last) => {
                let host = SocketAddr::from(([10, 0, 0, last], 443));
                let _ = agent.add_passive_address(now, host.into());
            }
            Operation::AddStream(last) => {
                let to = last % 16;
                let text = format!("candidate:9 1 tcp {last} 10.0.1.{to} 443 typ host tcptype passive");
                let _ = agent.add_remote_candidate(now, candidate(&text));
            }
            Operation::Streams(outcome) => {
                while let Some(request) = agent.poll_stream() {
                    match request {
                        StreamRequest::Open(opening) if outcome % 4 > 0 => {
                            *opened += 1;
                            let local = SocketAddr::new(opening.local.ip(), 10_000 + *opened);
                            let path = FiveTuple::tcp(local, opening.remote);
                            streams.push(path);
                            agent.handle_stream(now, StreamReport::Opened { token: opening.token, path });
                        }
                        StreamRequest::Open(StreamOpening { token, .. }) => {
                            let reason = "refused".to_owned();
                            agent.handle_stream(now, StreamReport::Failed { token, reason });
                        }
                        StreamRequest::Keep(path) => streams.push(path),
                        StreamRequest::Close(path) => streams.retain(|stream| *stream != path),
                        _ => {}
                    }
                }
            }
            Operation::CloseStream(number) => {
                if !streams.is_empty() {
                    let path = streams.remove(usize::from(number) % streams.len());
                    agent.handle_stream(now, StreamReport::Closed { path, reason: "closed".to_owned() });
                }
            }
            Operation::EndOfHosts => agent.end_of_host_addresses(now),
            Operation::AddRemote(last) => {
                let text = format!("candidate:{} 1 udp {last} 10.0.1.{} 2000 typ host", last % 3, last % 16);
                let _ = agent.add_remote_candidate(now, candidate(&text));
            }
            Operation::AddName(number) => {
                let text = format!("candidate:7 1 udp 77 name{number}.local 2000 typ host");
                let _ = agent.add_remote_candidate(now, candidate(&text));
            }
            Operation::Resolve(query, known) => {
                let resolved = known.then_some([10, 0, 1, query].into());
                agent.resolve_name(now, NameQuery(query.into()), resolved);
            }
            Operation::EndOfRemotes => agent.end_of_remote_candidates(now),
            Operation::Credentials(new) => {
                if new {
                    *peer = IceCredentials::new("peer", "another-password-of-the-peer").unwrap();
                }
                let _ = agent.set_remote_credentials(now, peer.clone());
            }
            Operation::Role(controls) => {
                agent.set_role(if controls { IceRole::Controlling } else { IceRole::Controlled });
            }
            Operation::Restart => {
                let _ = agent.restart(now, agent.new_credentials());
            }
            Operation::Request { from, by_stream, nominates, value, controls, tie_breaker } => {
                let local = agent.local_credentials();
                let id = TransactionId([from; 12]);
                let request = message(Class::Request, id, local.password(), |b| {
                    let b = b.ice_username(local.ufrag(), "peer").priority(from.into());
                    let b =
                        if controls { b.ice_controlling(tie_breaker) } else { b.ice_controlled(tie_breaker) };
                    let b = if nominates { b.use_candidate() } else { b };
                    if value > 0 { b.nomination(value) } else { b }
                });
                let remote = SocketAddr::from(([10, 0, 1, from], 2000));
                let stream = FiveTuple::tcp(SocketAddr::from(([10, 0, 0, 1], 443)), remote);
                let path = if by_stream { stream } else { path(&remote.to_string()) };
                let mut request = request;
                let _ = agent.handle_datagram(now, Datagram::new(path, &mut request));
            }
            Operation::Respond { from_elsewhere, mapped } => {
                let Some((path, id)) = asked.pop() else { return };
                let port = if from_elsewhere { 9 } else { path.remote.port() };
                let remote = SocketAddr::new(path.remote.ip(), port);
                let path = FiveTuple { remote, ..path };
                let mapped = SocketAddr::from(([10, 0, 0, 1 + mapped], 1000));
                let mut response =
                    message(Class::Success, id, peer.password(), |b| b.xor_mapped_address(mapped));
                let _ = agent.handle_datagram(now, Datagram::new(path, &mut response));
            }
            Operation::Refuse(code) => {
                let Some((path, id)) = asked.pop() else { return };
                let code = ErrorCode::new(code).unwrap();
                let mut response = message(Class::Error, id, peer.password(), |b| b.error_code(code));
                let _ = agent.handle_datagram(now, Datagram::new(path, &mut response));
            }
            Operation::Garbage(mut bytes) => {
                let _ = agent.handle_datagram(now, Datagram::new(path(REMOTE), &mut bytes));
            }
            Operation::Drain => {
                for (path, bytes) in self.scene.sent() {
                    let message = Message::decode(&bytes).unwrap();
                    if message.class() == Class::Request {
                        self.asked.push((path, message.transaction_id()));
                    }
                }
                while self.scene.agent.poll_event().is_some() {}
            }
            Operation::Close => agent.close(),
        }
    }

    fn assert_sound(&mut self) {
        let Scene { agent, now } = &mut self.scene;
        agent.handle_timeout(*now);
        if let Some(timeout) = agent.poll_timeout() {
            assert!(timeout > *now, "a timeout in the past, {:?}", *now - timeout);
        }
        let selected = agent.selected_pair();
        assert!(selected.is_none_or(|pair| agent.is_validated(&pair.path)));
        let usable = matches!(agent.state(), IceConnectionState::Connected | IceConnectionState::Completed);
        assert!(!usable || agent.selected_pair().is_some());
        assert!(agent.local_candidates().count() <= 6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_calls_keeps_an_agent_sound(
        (servers, lite, renomination) in any::<(bool, bool, bool)>(),
        operations in prop::collection::vec(operation(), 0..80),
    ) {
        let mut play = Play::new(servers, lite, renomination);
        for operation in operations {
            play.perform(operation);
            play.assert_sound();
        }
        // Left alone it comes to rest: in a simulated hour it wakes seldom, and what it sends stays bounded.
        let mut wakes = 0;
        let end = play.scene.now + Duration::from_secs(3600);
        while let Some(timeout) = play.scene.agent.poll_timeout().filter(|timeout| *timeout < end) {
            play.scene.now = timeout;
            play.assert_sound();
            wakes += 1;
            prop_assert!(wakes < 2000);
        }
        prop_assert!(play.scene.sent().len() < 200);
        prop_assert!(std::iter::from_fn(|| play.scene.agent.poll_event()).count() < 150);
    }
}
