//! How long the DTLS handshake is waited for.

use super::*;
use crate::seeds::seeds;

const SECOND: Duration = Duration::from_secs(1);

fn are(peers: &mut Peers, state: ConnectionState) -> bool {
    (0..2).all(|side| peers.session(side).connection_state() == state)
}

#[test]
fn a_peer_that_says_nothing_after_ice_is_given_up_by_client_and_server() {
    for seed in seeds(20) {
        let mut peers = Peers::new(seed, link());
        for host in peers.hosts {
            peers.simulation.layer_mut(host).is_deaf = true;
        }
        let now = peers.simulation.now();
        peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        assert!(!peers.run_until(39 * SECOND, |peers| {
            (0..2).any(|side| peers.session(side).connection_state() == ConnectionState::Failed)
        }));
        assert!(peers.run_until(2 * SECOND, |peers| are(peers, ConnectionState::Failed)), "seed {seed}");
        for side in 0..2 {
            let told = failed(FailureReason::Dtls(DtlsError::TimedOut));
            assert_eq!(peers.events[side].iter().filter(|event| **event == told).count(), 1, "seed {seed}");
        }
    }
}

#[test]
fn a_peer_that_has_not_had_its_answer_is_waited_for() {
    for (seed, wait) in [(1, 60), (2, 120), (3, 250)] {
        let mut peers = Peers::new(seed, link());
        let now = peers.simulation.now();
        peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        let answer = Description::answer(&peers.offer(0)).unwrap();
        peers.run_until(wait * SECOND, |_| false);
        let now = peers.simulation.now();
        peers.session(0).set_remote_description(now, &answer).unwrap();
        // At most one interval of retransmission.
        assert!(
            peers.run_until(6 * SECOND, |peers| are(peers, ConnectionState::Connected)),
            "after {wait} s"
        );
        peers.run_until(120 * SECOND, |_| false);
        assert!(are(&mut peers, ConnectionState::Connected));
    }
}

#[test]
fn a_peer_that_never_has_its_answer_is_given_up_in_the_end() {
    let mut peers = Peers::new(5, link());
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.offer(0);
    assert!(
        !peers.run_until(590 * SECOND, |peers| {
            peers.session(1).connection_state() == ConnectionState::Failed
        })
    );
    assert!(
        peers.run_until(20 * SECOND, |peers| {
            peers.session(1).connection_state() == ConnectionState::Failed
        })
    );
}

#[test]
fn the_handshake_may_take_its_time_over_a_bad_path() {
    for seed in seeds(100) {
        let link = Link { loss: 0.3, jitter: Duration::from_millis(50), ..link() };
        let mut peers = Peers::new(seed, link);
        let now = peers.simulation.now();
        peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        let connected = peers.run_until(60 * SECOND, |peers| are(peers, ConnectionState::Connected));
        assert!(connected, "seed {seed}");
    }
}

#[test]
fn a_session_tells_whose_a_path_is() {
    let mut peers = Peers::new(4, link());
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.connect();
    let now = peers.simulation.now();
    let path = peers.session(0).selected_pair().unwrap().path;
    assert!(peers.session(0).owns_path(now, &path));
    assert!(peers.session(0).last_heard(&path).is_some_and(|at| now - at <= SECOND));
    // The peer is there: it is asked, and answers.
    peers.session(0).verify_path(now, &path);
    peers.run_until(2 * SECOND, |_| false);
    let now = peers.simulation.now();
    assert!(peers.session(0).owns_path(now, &path));
    assert!(peers.session(0).last_heard(&path).is_some_and(|at| now - at <= 2 * SECOND));
    // It is gone.
    peers.simulation.network().set_default_link(Link { up: false, ..link() });
    peers.session(0).verify_path(now, &path);
    peers.run_until(SECOND, |_| false);
    let now = peers.simulation.now();
    assert!(!peers.session(0).owns_path(now, &path));
}
