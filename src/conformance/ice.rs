//! What an ICE agent must do.

use std::time::{Duration, Instant};

use super::kit::Kit;
use super::leak::leaves_nothing;
use super::link;
use super::pair::{PEER, Pair, SUBJECT, addresses};
use super::report::Report;
use super::scenario::{Scenario, Trouble, ensure, refused, run_all};
use crate::layer::{
    Candidate, CandidateAddress, IceConnectionState, IceCredentials, IceError, IceEvent, IceRole,
    IceTransport,
};
use crate::sim::Link;

/// Makes an ICE agent without servers; the instant is where its clocks begin.
pub type MakeIce<'a> = dyn Fn(Instant) -> Box<dyn IceTransport> + 'a;

impl Kit<'_> {
    /// Runs an ICE implementation against `peer`.
    pub fn ice(&self, subject: &MakeIce<'_>, peer: &MakeIce<'_>) -> Report {
        run_all(self.only, &scenarios(), &Setup { kit: *self, subject, peer })
    }
}

fn scenarios<'a>() -> Vec<Scenario<Setup<'a>>> {
    vec![
        Scenario {
            name: "establishment/controlling",
            run: |setup| establishment(setup, IceRole::Controlling),
        },
        Scenario { name: "establishment/controlled", run: |setup| establishment(setup, IceRole::Controlled) },
        Scenario { name: "establishment/role-conflict", run: role_conflict },
        Scenario { name: "establishment/late-candidates", run: late_candidates },
        Scenario { name: "establishment/wrong-password", run: wrong_password },
        Scenario { name: "gathering", run: gathering },
        Scenario { name: "loss", run: |setup| impaired(setup, link::lossy()) },
        Scenario { name: "reordering", run: |setup| impaired(setup, link::reordering()) },
        Scenario { name: "duplication", run: |setup| impaired(setup, link::duplicating()) },
        Scenario { name: "corruption", run: |setup| impaired(setup, link::corrupting()) },
        Scenario { name: "restart", run: restart },
        Scenario { name: "limits/candidates", run: candidate_limit },
        Scenario { name: "limits/unsent-answers", run: unsent_answers },
        Scenario { name: "malformed", run: malformed },
        Scenario { name: "close", run: close },
        Scenario { name: "close/early", run: close_early },
        Scenario { name: "timer/sends-again", run: sends_again },
        Scenario { name: "timer/consent", run: consent },
        Scenario { name: "timer/none-when-idle", run: idle_timer },
        Scenario { name: "idle-poll", run: idle_poll },
        Scenario { name: "drop/leaves-nothing", run: leak },
    ]
}

struct Setup<'a> {
    kit: Kit<'a>,
    subject: &'a MakeIce<'a>,
    peer: &'a MakeIce<'a>,
}

type IcePair<'a> = Pair<'a, Box<dyn IceTransport>>;

/// Longer than any establishment takes over a bad link.
const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(300);

fn other(role: IceRole) -> IceRole {
    match role {
        IceRole::Controlling => IceRole::Controlled,
        IceRole::Controlled => IceRole::Controlling,
    }
}

impl<'a> Setup<'a> {
    /// Agents with an address each, and nothing known of the other.
    fn strangers(&self, role: IceRole, seed: u64, link: Link) -> Result<IcePair<'a>, Trouble> {
        let now = self.kit.clock.now();
        let mut pair = Pair::new(&self.kit, seed, link, [(self.subject)(now), (self.peer)(now)]);
        for (side, role) in [(SUBJECT, role), (PEER, other(role))] {
            pair.layers[side].set_role(role);
            pair.layers[side]
                .add_host_address(now, addresses()[side])
                .map_err(|e| refused("add_host_address")(&e))?;
            pair.layers[side].end_of_host_addresses(now);
        }
        let gathered = |told: &Vec<IceEvent>| told.contains(&IceEvent::GatheringComplete);
        let done = pair.run_until(PATIENCE, |pair| pair.told.iter().all(gathered))?;
        ensure!(done, "gathering is not complete; told: {:?}", pair.told);
        Ok(pair)
    }

    fn pair(&self, role: IceRole, seed: u64, link: Link) -> Result<IcePair<'a>, Trouble> {
        let mut pair = self.strangers(role, seed, link)?;
        introduce(&mut pair)?;
        Ok(pair)
    }

    fn connected(&self, role: IceRole) -> Result<IcePair<'a>, Trouble> {
        let mut pair = self.pair(role, 0, link::perfect())?;
        connect(&mut pair)?;
        Ok(pair)
    }
}

fn set_credentials(pair: &mut IcePair<'_>) -> Result<(), Trouble> {
    let now = pair.now();
    for side in [SUBJECT, PEER] {
        let credentials = pair.layers[1 - side].local_credentials().clone();
        pair.layers[side]
            .set_remote_credentials(now, credentials)
            .map_err(|e| refused("set_remote_credentials")(&e))?;
    }
    Ok(())
}

fn candidates(pair: &IcePair<'_>, side: usize) -> Vec<Candidate> {
    let candidate = |event: &IceEvent| match event {
        IceEvent::LocalCandidate(candidate) => Some(candidate.clone()),
        _ => None,
    };
    pair.told[side].iter().filter_map(candidate).collect()
}

fn set_candidates(pair: &mut IcePair<'_>) -> Result<(), Trouble> {
    let now = pair.now();
    for side in [SUBJECT, PEER] {
        for candidate in candidates(pair, 1 - side) {
            pair.layers[side]
                .add_remote_candidate(now, candidate)
                .map_err(|e| refused("add_remote_candidate")(&e))?;
        }
        pair.layers[side].end_of_remote_candidates(now);
    }
    Ok(())
}

/// Signalling: credentials and candidates.
fn introduce(pair: &mut IcePair<'_>) -> Result<(), Trouble> {
    set_credentials(pair)?;
    set_candidates(pair)
}

fn is_connected(agent: &dyn IceTransport) -> bool {
    matches!(agent.state(), IceConnectionState::Connected | IceConnectionState::Completed)
}

fn connect(pair: &mut IcePair<'_>) -> Result<(), Trouble> {
    let connected = |pair: &mut IcePair<'_>| {
        pair.layers.iter().all(|agent| is_connected(&**agent) && agent.selected_pair().is_some())
    };
    let done = pair.run_until(PATIENCE, connected)?;
    let states = pair.layers.each_ref().map(|agent| agent.state());
    ensure!(done, "the agents do not connect: {states:?}; told: {:?}", pair.told);
    pair.run_for(SHORT)?;
    for side in [SUBJECT, PEER] {
        let Some(selected) = pair.layers[side].selected_pair() else {
            return Err(Trouble::Failed(format!("the side {side} has lost its pair")));
        };
        let path = selected.path;
        ensure!(
            (path.local, path.remote) == (addresses()[side], addresses()[1 - side]),
            "the side {side} has selected the path {path:?}"
        );
        ensure!(pair.layers[side].is_validated(&path), "the selected path is not validated");
        let told = &pair.told[side];
        ensure!(
            told.iter().any(|event| matches!(event, IceEvent::SelectedPair(pair) if pair.path == path)),
            "the side {side} is not told of the selected pair"
        );
        ensure!(
            told.iter().any(|event| matches!(
                event,
                IceEvent::ConnectionState(IceConnectionState::Connected | IceConnectionState::Completed)
            )),
            "the side {side} is not told that it is connected"
        );
    }
    Ok(())
}

fn establishment(setup: &Setup<'_>, role: IceRole) -> Result<(), Trouble> {
    let pair = setup.connected(role)?;
    ensure!(pair.layers[SUBJECT].role() == role, "the role has changed without a conflict");
    Ok(())
}

fn role_conflict(setup: &Setup<'_>) -> Result<(), Trouble> {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut pair = setup.strangers(role, 0, link::perfect())?;
        pair.layers[PEER].set_role(role);
        introduce(&mut pair)?;
        connect(&mut pair)?;
        let roles = pair.layers.each_ref().map(|agent| agent.role());
        ensure!(roles[SUBJECT] != roles[PEER], "both agents end as {:?}", roles[SUBJECT]);
    }
    Ok(())
}

fn late_candidates(setup: &Setup<'_>) -> Result<(), Trouble> {
    for knows in [SUBJECT, PEER] {
        let mut pair = setup.strangers(IceRole::Controlling, 0, link::perfect())?;
        set_credentials(&mut pair)?;
        pair.run_for(SHORT)?;
        // One side only is told of the other's candidates: that suffices (RFC 8445 §7.3.1.3).
        let now = pair.now();
        for candidate in candidates(&pair, 1 - knows) {
            pair.layers[knows]
                .add_remote_candidate(now, candidate)
                .map_err(|e| refused("add_remote_candidate")(&e))?;
        }
        connect(&mut pair)?;
    }
    Ok(())
}

fn wrong_password(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.strangers(IceRole::Controlling, 0, link::perfect())?;
    let now = pair.now();
    for side in [SUBJECT, PEER] {
        let ufrag = pair.layers[1 - side].local_credentials().ufrag().to_owned();
        let credentials = IceCredentials::new(ufrag, "thisIsNotThePasswordOfThePeer");
        pair.layers[side]
            .set_remote_credentials(now, credentials.map_err(|e| refused("credentials")(&e))?)
            .map_err(|e| refused("set_remote_credentials")(&e))?;
    }
    set_candidates(&mut pair)?;
    pair.run_for(Duration::from_secs(3))?;
    let subject = &pair.layers[SUBJECT];
    ensure!(
        subject.selected_pair().is_none() && !is_connected(&**subject),
        "connected although the passwords are wrong"
    );
    ensure!(!subject.is_validated(&super::pair::path(SUBJECT)), "a path is valid without an authentic check");
    Ok(())
}

fn gathering(setup: &Setup<'_>) -> Result<(), Trouble> {
    let pair = setup.strangers(IceRole::Controlling, 0, link::perfect())?;
    let candidates = candidates(&pair, SUBJECT);
    ensure!(candidates.len() == 1, "one address gives {} candidates", candidates.len());
    ensure!(
        candidates[0].address == CandidateAddress::Ip(addresses()[SUBJECT]),
        "the candidate is at {:?}",
        candidates[0].address
    );
    let complete = pair.told[SUBJECT].iter().position(|event| *event == IceEvent::GatheringComplete);
    ensure!(complete == Some(pair.told[SUBJECT].len() - 1), "a candidate follows the end of gathering");
    let text = candidates[0].to_string();
    ensure!(text.parse() == Ok(candidates[0].clone()), "the candidate {text} cannot be signalled");
    Ok(())
}

fn impaired(setup: &Setup<'_>, impaired: Link) -> Result<(), Trouble> {
    for seed in 0..setup.kit.seeds {
        let role = if seed % 2 == 0 { IceRole::Controlling } else { IceRole::Controlled };
        let mut pair = setup.pair(role, seed, impaired.clone())?;
        connect(&mut pair)?;
    }
    Ok(())
}

fn restart(setup: &Setup<'_>) -> Result<(), Trouble> {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        let mut pair = setup.connected(role)?;
        let before = pair.layers[SUBJECT].local_credentials().clone();
        let now = pair.now();
        for (side, ufrag) in [(SUBJECT, "subject2"), (PEER, "thepeer2")] {
            let credentials = IceCredentials::new(ufrag, format!("{ufrag}aPasswordOfItsOwn2"));
            pair.layers[side]
                .restart(now, credentials.map_err(|e| refused("credentials")(&e))?)
                .map_err(|e| refused("restart")(&e))?;
        }
        ensure!(*pair.layers[SUBJECT].local_credentials() != before, "a restart keeps the credentials");
        ensure!(pair.layers[SUBJECT].selected_pair().is_some(), "a restart loses the pair at once");
        pair.run_for(SHORT)?;
        let mut known: [Vec<Candidate>; 2] = [SUBJECT, PEER].map(|side| candidates(&pair, side));
        known.iter_mut().for_each(|known| known.dedup());
        pair.told = [Vec::new(), Vec::new()];
        set_credentials(&mut pair)?;
        let now = pair.now();
        for side in [SUBJECT, PEER] {
            for candidate in std::mem::take(&mut known[1 - side]) {
                // Candidates of the generation before are ignored.
                pair.layers[side]
                    .add_remote_candidate(now, candidate)
                    .map_err(|e| refused("add_remote_candidate")(&e))?;
            }
            pair.layers[side].end_of_remote_candidates(now);
        }
        connect(&mut pair)?;
    }
    Ok(())
}

fn candidate_limit(setup: &Setup<'_>) -> Result<(), Trouble> {
    const MOST: u16 = 10_000;
    let mut pair = setup.strangers(IceRole::Controlling, 0, link::down())?;
    set_credentials(&mut pair)?;
    let mut candidate = candidates(&pair, PEER).remove(0);
    let now = pair.now();
    for number in 0..MOST {
        candidate.address = CandidateAddress::Ip(([10, 1, 0, 1], 1000 + number).into());
        match pair.layers[SUBJECT].add_remote_candidate(now, candidate.clone()) {
            Ok(()) => {}
            Err(IceError::TooManyCandidates { .. }) => return Ok(()),
            Err(other) => return Err(refused("add_remote_candidate")(&other)),
        }
    }
    Err(Trouble::Failed(format!("the table has no bound: {MOST} remote candidates are kept")))
}

fn unsent_answers(setup: &Setup<'_>) -> Result<(), Trouble> {
    const CHECKS: usize = 20_000;
    const MOST: usize = 2000;
    let mut pair = setup.pair(IceRole::Controlled, 0, link::perfect())?;
    let done = pair.run_until(PATIENCE, |pair| !pair.sent[PEER].is_empty())?;
    ensure!(done, "the peer sends no check");
    let check = pair.sent[PEER][0].clone();
    pair.run_for(SHORT)?;
    // An authentic check again and again, and nothing is taken from the agent meanwhile.
    for _ in 0..CHECKS {
        let _ = pair.inject(SUBJECT, &check);
    }
    let before = pair.sent_count[SUBJECT];
    pair.run_for(SHORT)?;
    let answers = pair.sent_count[SUBJECT] - before;
    ensure!(answers <= MOST, "the queue has no bound: {answers} answers waited to be sent");
    connect(&mut pair)
}

fn malformed(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(IceRole::Controlled)?;
    pair.torment(SUBJECT)?;
    connect(&mut pair)?;
    let mut pair = setup.pair(IceRole::Controlling, 0, link::perfect())?;
    pair.torment(SUBJECT)?;
    connect(&mut pair)
}

fn close(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(IceRole::Controlling)?;
    pair.layers[SUBJECT].close();
    pair.run_for(SHORT)?;
    ensure!(
        pair.layers[SUBJECT].state() == IceConnectionState::Closed,
        "the state is not closed after close"
    );
    ensure!(pair.layers[SUBJECT].selected_pair().is_none(), "a closed agent has a pair");
    ensure!(
        pair.told[SUBJECT].contains(&IceEvent::ConnectionState(IceConnectionState::Closed)),
        "the close is swallowed: nobody is told"
    );
    let sent = pair.sent_count[SUBJECT];
    pair.run_for(Duration::from_secs(8))?;
    ensure!(pair.sent_count[SUBJECT] == sent, "a closed agent sends");
    ensure!(pair.layers[SUBJECT].poll_timeout().is_none(), "a closed agent waits for something");
    let (now, address) = (pair.now(), addresses()[SUBJECT]);
    let outcome = pair.layers[SUBJECT].add_host_address(now, address);
    ensure!(outcome == Err(IceError::Closed), "a closed agent takes an address: {outcome:?}");
    Ok(())
}

fn close_early(setup: &Setup<'_>) -> Result<(), Trouble> {
    let now = setup.kit.clock.now();
    let mut agent = (setup.subject)(now);
    agent.close();
    ensure!(agent.state() == IceConnectionState::Closed, "the state is not closed after close");
    let mut pair = setup.pair(IceRole::Controlling, 0, link::perfect())?;
    pair.layers[SUBJECT].close();
    pair.run_for(SHORT)?;
    ensure!(pair.layers[SUBJECT].selected_pair().is_none(), "a closed agent selects a pair");
    ensure!(pair.layers[SUBJECT].poll_timeout().is_none(), "a closed agent waits for something");
    Ok(())
}

fn sends_again(setup: &Setup<'_>) -> Result<(), Trouble> {
    /// Twice the first timeout of a check (RFC 8445 §14.3).
    const SOON: Duration = Duration::from_secs(1);
    let mut pair = setup.pair(IceRole::Controlling, 0, link::down())?;
    let done = pair.run_until(SOON, |pair| pair.sent_count[SUBJECT] > 0)?;
    ensure!(done, "the timer is late: no check is sent within {SOON:?}");
    let first = pair.sent_count[SUBJECT];
    let done = pair.run_until(SOON, |pair| pair.sent_count[SUBJECT] > first)?;
    ensure!(done, "the timer is late: a lost check is not sent again within {SOON:?}");
    pair.set_link(link::perfect());
    connect(&mut pair)
}

fn consent(setup: &Setup<'_>) -> Result<(), Trouble> {
    /// RFC 7675 §5.1: consent expires after 30 s.
    const EXPIRED: Duration = Duration::from_secs(40);
    let mut pair = setup.connected(IceRole::Controlling)?;
    pair.set_link(link::down());
    let lost = |pair: &mut IcePair<'_>| !is_connected(&*pair.layers[SUBJECT]);
    let done = pair.run_until(EXPIRED, lost)?;
    ensure!(done, "connected {EXPIRED:?} after the last sign of the peer");
    let done = pair.run_until(EXPIRED, |pair| pair.layers[SUBJECT].selected_pair().is_none())?;
    ensure!(done, "a pair is selected without consent");
    Ok(())
}

fn idle_timer(setup: &Setup<'_>) -> Result<(), Trouble> {
    let now = setup.kit.clock.now();
    let agent = (setup.subject)(now);
    ensure!(agent.poll_timeout().is_none(), "an agent that knows nobody has a timer");
    let mut pair = setup.connected(IceRole::Controlling)?;
    pair.run_for(Duration::from_secs(2))?;
    // Consent is asked for every five seconds (RFC 7675 §5.1).
    const WATCHED: Duration = Duration::from_secs(5);
    let before = pair.wake_ups[SUBJECT];
    pair.run_for(WATCHED)?;
    let woken = pair.wake_ups[SUBJECT] - before;
    ensure!(woken <= 10, "a connected agent wants to be called {woken} times in {WATCHED:?}");
    Ok(())
}

fn idle_poll(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(IceRole::Controlled)?;
    pair.run_for(Duration::from_secs(2))?;
    pair.check_idle(SUBJECT, setup.kit.heap)
}

fn leak(setup: &Setup<'_>) -> Result<(), Trouble> {
    leaves_nothing(&setup.kit, || {
        drop(setup.connected(IceRole::Controlling)?);
        // And half of it.
        setup.pair(IceRole::Controlled, 0, link::perfect())?.run_for(Duration::from_millis(12))
    })
}
