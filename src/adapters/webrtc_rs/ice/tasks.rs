//! The task of one agent of the crate: it makes it, starts it, hands it the peer's candidates, and closes it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use webrtc_ice::Error;
use webrtc_ice::agent::Agent;
use webrtc_ice::agent::agent_config::AgentConfig;
use webrtc_ice::candidate::Candidate;
use webrtc_ice::state::ConnectionState;

use crate::layer::{IceCredentials, IceRole};

/// A remote candidate as the crate has it.
pub(super) type Remote = Arc<dyn Candidate + Send + Sync>;

/// What task and caller share: the last that the crate has told.
#[derive(Debug)]
pub(super) struct Shared {
    told: Mutex<Told>,
    /// Of all agents together, so that an idle caller looks at one flag.
    changed: Arc<AtomicBool>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) state: ConnectionState,
    pub(super) selected: Option<Selected>,
    /// Why the agent cannot go on.
    pub(super) failure: Option<&'static str>,
}

/// The remote candidate of the selected pair; the local one is the host address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) address: SocketAddr,
    pub(super) foundation: String,
    pub(super) priority: u32,
}

impl Shared {
    pub(super) fn new(changed: Arc<AtomicBool>) -> Self {
        Self { told: Mutex::default(), changed }
    }

    /// What was told, never locked over an await.
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told());
        self.changed.store(true, Ordering::Release);
    }
}

/// How the checks begin.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) role: IceRole,
    pub(super) remote: IceCredentials,
}

/// All of an agent, until it fails or `stop` is dropped.
pub(super) async fn run(
    config: AgentConfig,
    start: Start,
    candidates: mpsc::Receiver<Remote>,
    shared: Arc<Shared>,
    stop: oneshot::Receiver<()>,
) {
    /// The crate's close waits for its other tasks, one of which may have stalled.
    const PATIENCE: Duration = Duration::from_secs(5);
    let Ok(agent) = Agent::new(config).await else {
        return shared.tell(|told| told.failure = Some("webrtc-ice makes no agent"));
    };
    let agent = Arc::new(agent);
    let mut tasks = JoinSet::new();
    tasks.spawn(drive(agent.clone(), start, candidates, shared.clone()));
    tokio::select! {
        Some(ended) = tasks.join_next() => {
            let failure = ended.unwrap_or(Some("webrtc-ice panicked"));
            shared.tell(|told| told.failure = told.failure.or(failure));
        }
        _ = stop => {}
    }
    drop(tasks);
    // Its tasks hold each other until it is closed.
    let _ = tokio::time::timeout(PATIENCE, agent.close()).await;
}

/// Returns with the reason when the agent cannot go on, or without when the caller has gone.
async fn drive(
    agent: Arc<Agent>,
    start: Start,
    mut candidates: mpsc::Receiver<Remote>,
    shared: Arc<Shared>,
) -> Option<&'static str> {
    let states = shared.clone();
    agent.on_connection_state_change(Box::new(move |state| {
        states.tell(|told| told.state = state);
        Box::pin(async {})
    }));
    agent.on_selected_candidate_pair_change(Box::new(move |_, remote| {
        let selected =
            Selected { address: remote.addr(), foundation: remote.foundation(), priority: remote.priority() };
        shared.tell(|told| told.selected = Some(selected));
        Box::pin(async {})
    }));
    let (gathered, mut told) = mpsc::channel(2);
    agent.on_candidate(Box::new(move |candidate| {
        // There is one candidate, and the end.
        let _ = gathered.try_send(candidate.is_some());
        Box::pin(async {})
    }));
    if agent.gather_candidates().is_err() || told.recv().await != Some(true) {
        return Some("webrtc-ice does not take the host address");
    }
    let Start { role, remote } = start;
    let (ufrag, password) = (remote.ufrag().to_owned(), remote.password().to_owned());
    // Cancelled from the beginning: the checks are started, and the pair is told of by the handler.
    let (_, cancelled) = mpsc::channel(1);
    let started = match role {
        IceRole::Controlling => agent.dial(cancelled, ufrag, password).await.err(),
        IceRole::Controlled => agent.accept(cancelled, ufrag, password).await.err(),
    };
    if !matches!(started, None | Some(Error::ErrCanceledByCaller)) {
        return Some("webrtc-ice does not start");
    }
    while let Some(candidate) = candidates.recv().await {
        if agent.add_remote_candidate(&candidate).is_err() {
            return Some("webrtc-ice does not take a remote candidate");
        }
    }
    None
}
