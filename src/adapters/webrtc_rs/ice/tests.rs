use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use webrtc_ice::agent::agent_config::AgentConfig;
use webrtc_ice::mdns::MulticastDnsMode;
use webrtc_ice::network_type::NetworkType;

use super::tasks::{Shared, Start, run};
use super::*;

const LONG: Duration = Duration::from_secs(20);

fn undriven() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn driven() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn address(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

fn credentials(ufrag: &str) -> IceCredentials {
    IceCredentials::new(ufrag, "aPasswordThatIsLongEnough").unwrap()
}

/// A Binding request of a stranger.
fn request() -> Vec<u8> {
    [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12]].concat()
}

fn give(agent: &mut IceAgent, now: Instant, bytes: &[u8]) -> Result<(), IceError> {
    let path = FiveTuple::udp(address(1, 1000), address(2, 2000));
    agent.handle_datagram(now, Datagram::new(path, &mut bytes.to_vec()))
}

/// An agent with its addresses told.
fn agent(runtime: &Runtime, role: IceRole, addresses: &[SocketAddr]) -> IceAgent {
    let config = IceConfig { role, max_queued_datagrams: 4, ..IceConfig::default() };
    let mut agent = IceAgent::new(config, runtime.handle().clone()).unwrap();
    let now = Instant::now();
    addresses.iter().for_each(|address| agent.add_host_address(now, *address).unwrap());
    agent.end_of_host_addresses(now);
    agent
}

fn events(agent: &mut IceAgent) -> Vec<IceEvent> {
    std::iter::from_fn(|| agent.poll_event()).collect()
}

/// What one side sends arrives at the other, at once.
fn exchange(agents: &mut [IceAgent; 2]) {
    let mut batch = TransmitBatch::new(1500);
    for side in [0, 1] {
        let now = Instant::now();
        agents[side].handle_timeout(now);
        while let Some(transmit) = agents[side].poll_transmit(now, &mut batch) {
            let FiveTuple { local, remote, .. } = transmit.path.unwrap();
            let mut bytes = batch.bytes(&transmit).to_vec();
            let _ = agents[1 - side]
                .handle_datagram(now, Datagram::new(FiveTuple::udp(remote, local), &mut bytes));
            batch.clear();
        }
    }
}

fn introduce(agents: &mut [IceAgent; 2]) {
    let now = Instant::now();
    for side in [0, 1] {
        let credentials = agents[1 - side].local_credentials().clone();
        agents[side].set_remote_credentials(now, credentials).unwrap();
        for event in events(&mut agents[1 - side]) {
            if let IceEvent::LocalCandidate(candidate) = event {
                agents[side].add_remote_candidate(now, candidate).unwrap();
            }
        }
    }
}

fn run_until(agents: &mut [IceAgent; 2], mut done: impl FnMut(&mut [IceAgent; 2]) -> bool) {
    let deadline = Instant::now() + LONG;
    while !done(agents) {
        exchange(agents);
        std::thread::sleep(Duration::from_millis(1));
        assert!(Instant::now() < deadline, "not done: {agents:?}");
    }
}

fn are_connected(agents: &mut [IceAgent; 2]) -> bool {
    agents.iter_mut().for_each(IceAgent::update);
    agents.iter().all(|agent| agent.selected_pair().is_some())
}

fn wait_for_tasks(runtime: &Runtime) {
    let deadline = Instant::now() + LONG;
    while runtime.metrics().num_alive_tasks() > 0 {
        assert!(Instant::now() < deadline, "{} tasks are left", runtime.metrics().num_alive_tasks());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn tasks_that_do_not_come_on_fail_the_agent() {
    let runtime = undriven();
    let mut agent = agent(&runtime, IceRole::Controlled, &[address(1, 1000)]);
    let mut now = Instant::now();
    agent.set_remote_credentials(now, credentials("peer")).unwrap();
    for number in 0..6 {
        let outcome = give(&mut agent, now, &request());
        assert_eq!(outcome.is_ok(), number < 4, "datagram {number}: {outcome:?}");
    }
    assert_eq!(agent.dropped(), 2);
    for _ in 0..2 {
        assert_ne!(agent.state(), IceConnectionState::Failed);
        now += Duration::from_secs(6);
        agent.handle_timeout(now);
    }
    let told = events(&mut agent);
    assert_eq!(told.last(), Some(&IceEvent::ConnectionState(IceConnectionState::Failed)), "{told:?}");
    assert_eq!(agent.poll_timeout(), None);
    assert!(matches!(give(&mut agent, now, &request()), Err(IceError::Ignored(_))));
}

#[test]
fn a_runtime_that_is_gone_fails_the_agent() {
    let runtime = driven();
    let mut agent = agent(&runtime, IceRole::Controlled, &[address(1, 1000)]);
    let now = Instant::now();
    agent.set_remote_credentials(now, credentials("peer")).unwrap();
    drop(runtime);
    agent.handle_timeout(now + Duration::from_secs(1));
    assert_eq!(agent.state(), IceConnectionState::Failed);
}

#[test]
fn a_panic_of_the_crate_is_told_and_leaves_no_task() {
    let runtime = driven();
    let config = AgentConfig {
        multicast_dns_mode: MulticastDnsMode::Disabled,
        network_types: vec![NetworkType::Udp4],
        // The crate asks it in a task of its own.
        interface_filter: Arc::new(Some(Box::new(|_| panic!("as planned")))),
        ..AgentConfig::default()
    };
    let changed = Arc::new(AtomicBool::new(false));
    let shared = Arc::new(Shared::new(changed.clone()));
    let start = Start { role: IceRole::Controlled, remote: credentials("peer") };
    let (_candidates, to_add) = mpsc::channel(1);
    let (_stop, stopped) = oneshot::channel();
    runtime.spawn(run(config, start, to_add, shared.clone(), stopped));
    wait_for_tasks(&runtime);
    assert!(shared.told().failure.is_some());
    assert!(changed.load(Ordering::Acquire));
}

#[test]
fn nothing_runs_before_the_credentials_and_nothing_after_the_drop() {
    let runtime = driven();
    let hosts = [address(1, 1000), address(1, 1001)];
    let mut idle = agent(&runtime, IceRole::Controlling, &hosts);
    assert!(matches!(give(&mut idle, Instant::now(), &request()), Err(IceError::Ignored(_))));
    assert_eq!((runtime.metrics().num_alive_tasks(), idle.poll_timeout()), (0, None));
    idle.set_remote_credentials(Instant::now(), credentials("peer")).unwrap();
    assert!(runtime.metrics().num_alive_tasks() > 0);
    drop(idle);
    wait_for_tasks(&runtime);

    let connect = || {
        let mut agents = [
            agent(&runtime, IceRole::Controlling, &hosts),
            agent(&runtime, IceRole::Controlled, &[address(2, 2000)]),
        ];
        introduce(&mut agents);
        run_until(&mut agents, are_connected);
        agents
    };
    drop(connect());
    wait_for_tasks(&runtime);
    let mut agents = connect();
    agents.iter_mut().for_each(IceTransport::close);
    wait_for_tasks(&runtime);
}

#[test]
fn several_addresses_agree_on_one_pair() {
    let runtime = driven();
    let mut agents = [
        agent(&runtime, IceRole::Controlling, &[address(1, 1000), address(3, 1000)]),
        agent(&runtime, IceRole::Controlled, &[address(2, 2000), address(4, 2000)]),
    ];
    introduce(&mut agents);
    run_until(&mut agents, are_connected);
    // Other nominations would come within two intervals of checks.
    let end = Instant::now() + Duration::from_millis(500);
    run_until(&mut agents, |_| Instant::now() >= end);
    let paths = agents.each_ref().map(|agent| agent.selected_pair().unwrap().path);
    assert_eq!((paths[0].local, paths[0].remote), (paths[1].remote, paths[1].local));
    let pairs = agents[1].candidate_pairs();
    assert_eq!(pairs.len(), 4);
    assert_eq!(pairs.iter().filter(|status| status.nominated).count(), 1, "{pairs:?}");
    let selections = |event: &IceEvent| matches!(event, IceEvent::SelectedPair(_));
    assert_eq!(events(&mut agents[1]).iter().filter(|event| selections(event)).count(), 1);
}

#[test]
fn role_conflicts_are_repaired_whatever_the_addresses() {
    let runtime = driven();
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut agents = [
            agent(&runtime, role, &[address(1, 1000), address(3, 1000)]),
            agent(&runtime, role, &[address(2, 2000), address(4, 2000)]),
        ];
        introduce(&mut agents);
        run_until(&mut agents, are_connected);
        assert_ne!(agents[0].role(), agents[1].role());
    }
}

#[test]
fn a_stranger_changes_no_role() {
    let runtime = driven();
    let mut agents = [
        agent(&runtime, IceRole::Controlling, &[address(1, 1000)]),
        agent(&runtime, IceRole::Controlled, &[address(2, 2000)]),
    ];
    introduce(&mut agents);
    let has_asked = |agent: &mut IceAgent| agent.candidate_pairs().iter().any(|pair| pair.requests_sent > 0);
    run_until(&mut agents, |agents| has_asked(&mut agents[0]));
    // The highest tie-breaker, and nothing that proves who sends it.
    let mut request = [&[0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12], &[0x80, 0x2a, 0, 8]].concat();
    request.extend([0xff; 8]);
    let _ = give(&mut agents[0], Instant::now(), &request);
    assert_eq!(agents[0].role(), IceRole::Controlling);
    run_until(&mut agents, are_connected);
}

#[test]
fn a_restart_keeps_the_pair_until_there_is_another() {
    let runtime = driven();
    let mut agents = [
        agent(&runtime, IceRole::Controlling, &[address(1, 1000)]),
        agent(&runtime, IceRole::Controlled, &[address(2, 2000)]),
    ];
    introduce(&mut agents);
    run_until(&mut agents, are_connected);
    let tasks = runtime.metrics().num_alive_tasks();
    agents.iter_mut().for_each(|agent| drop(events(agent)));
    for (agent, ufrag) in agents.iter_mut().zip(["one2", "two2"]) {
        agent.restart(Instant::now(), credentials(ufrag)).unwrap();
        assert_eq!(agent.local_credentials().ufrag(), ufrag);
        assert_eq!(agent.state(), IceConnectionState::Connected);
    }
    assert!(are_connected(&mut agents));
    introduce(&mut agents);
    assert!(are_connected(&mut agents));
    assert_eq!(agents[0].state(), IceConnectionState::Checking);
    let is_new = |agent: &mut IceAgent| {
        agent.update();
        agent.state() == IceConnectionState::Connected && agent.previous.is_none()
    };
    run_until(&mut agents, |agents| agents.iter_mut().all(is_new));
    let told = events(&mut agents[0]);
    assert!(told.iter().any(|event| matches!(event, IceEvent::SelectedPair(_))), "{told:?}");
    let deadline = Instant::now() + LONG;
    while runtime.metrics().num_alive_tasks() > tasks {
        assert!(Instant::now() < deadline, "the tasks of before are left");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn names_are_handed_out_and_limited() {
    let runtime = undriven();
    let mut agent = agent(&runtime, IceRole::Controlling, &[address(1, 1000)]);
    events(&mut agent);
    let now = Instant::now();
    let text = "candidate:1 1 udp 2113937151 a-name.local 51234 typ host";
    for _ in 0..64 {
        agent.add_remote_candidate(now, text.parse().unwrap()).unwrap();
    }
    let refused = agent.add_remote_candidate(now, text.parse().unwrap());
    assert_eq!(refused, Err(IceError::TooManyCandidates { limit: 64 }));
    let queries: Vec<_> = events(&mut agent)
        .into_iter()
        .map(|event| match event {
            IceEvent::ResolveName { query, name } if name == "a-name.local" => query,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(queries.len(), 64);
    agent.resolve_name(now, queries[0], Some(address(2, 0).ip()));
    agent.resolve_name(now, queries[0], Some(address(3, 0).ip()));
    agent.resolve_name(now, queries[1], None);
    agent.set_remote_credentials(now, credentials("peer")).unwrap();
    let pairs = agent.candidate_pairs();
    assert_eq!(pairs.len(), 1);
    assert_eq!(pairs[0].pair.path.remote, address(2, 51234));
}

#[test]
fn servers_are_refused() {
    let runtime = undriven();
    let config = IceConfig { stun_servers: vec![address(9, 3478)], ..IceConfig::default() };
    let refused = IceAgent::new(config, runtime.handle().clone());
    assert!(matches!(refused, Err(IceError::UnsupportedCandidate(_))), "{refused:?}");
}
