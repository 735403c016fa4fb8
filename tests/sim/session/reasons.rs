use super::*;

use kaon_rtc::layer::{CandidateError, IceFailure, IceFailureCause, SctpClose};
use kaon_rtc::sctp;

/// Both sides fail for the same kind of reason, and say so by their state and their event.
fn ice_failure(peers: &mut Peers, side: usize) -> IceFailure {
    let has_failed = |peers: &mut Peers| peers.session(side).connection_state() == ConnectionState::Failed;
    let has_failed = has_failed(peers) || peers.run_until(Duration::from_secs(400), has_failed);
    assert!(has_failed, "{:?}", peers.session(side));
    let reason = peers.session(side).failure().cloned().unwrap();
    assert!(peers.events[side].contains(&failed(reason.clone())));
    assert_eq!(peers.session(side).data_failure(), Some(&reason));
    match reason {
        FailureReason::Ice(failure) => (*failure).clone(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_link_that_carries_nothing_fails_with_the_pairs_that_were_tried() {
    let mut peers = Peers::new(1, Link { up: false, ..link() });
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    for side in 0..2 {
        let failure = ice_failure(&mut peers, side);
        assert_eq!(failure.cause, IceFailureCause::NoAnswer);
        assert_eq!((failure.local_candidates, failure.remote_candidates, failure.pair_count), (1, 1, 1));
        assert!(failure.pairs[0].requests_sent > 3 && failure.pairs[0].responses_received == 0);
        let text = failure.to_string();
        assert!(text.contains("10.0.0.1:5000 (host)") && text.contains("no answer to"), "{text}");
    }
}

#[test]
fn candidates_that_cannot_meet_are_told() {
    let mut peers = Peers::new(2, link());
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    let answer = peers.offer(0);
    let of_kind = |candidate: &str| {
        let lines = answer.split_inclusive("\r\n").filter(|line| !line.starts_with("a=candidate"));
        let text: String = lines.collect();
        Description::answer(&text.replacen("a=end-of-candidates", candidate, 1)).unwrap()
    };
    let v6 = "a=candidate:1 1 udp 2113937151 2001:db8::1 5000 typ host\r\na=end-of-candidates";
    peers.session(0).set_remote_description(now, &of_kind(v6)).unwrap();
    // Its own checks and candidates would tell where the peer is.
    while peers.session(1).poll_event().is_some() {}
    peers.simulation.network().set_default_link(Link { up: false, ..link() });
    let failure = ice_failure(&mut peers, 0);
    assert_eq!(failure.cause, IceFailureCause::NoPairs);
    assert!(failure.to_string().contains("none of the 1 candidates of this side can reach one of the 1"));
}

#[test]
fn what_went_wrong_with_candidates_is_told() {
    let server: std::net::SocketAddr = "192.0.2.9:3478".parse().unwrap();
    let mut peers = Peers::with_limits(3, Link { up: false, ..link() }, |config| {
        config.transports.change_ice(|ice| ice.stun_servers = vec![server]);
    });
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    let answer = peers.offer(0);
    let odd = "a=candidate:7 1 tcp 1 10.0.0.9 9 typ host tcptype active\r\n\
               a=candidate:8 1 udp 2 nobody.local 9 typ host\r\na=setup";
    let answer = answer.replacen("a=setup", odd, 1);
    peers.session(0).set_remote_description(now, &Description::answer(&answer).unwrap()).unwrap();
    let failure = ice_failure(&mut peers, 0);
    let base = "10.0.0.1:5000".parse().unwrap();
    for error in [
        CandidateError::ServerSilent { server, base },
        CandidateError::UnknownName("nobody.local".to_owned()),
        CandidateError::Unusable(1),
    ] {
        assert!(failure.candidate_errors.contains(&error), "{error}: {failure}");
    }
}

#[test]
fn a_peer_that_is_gone_and_one_that_closes_are_told_apart() {
    for closes in [true, false] {
        let mut peers = Peers::new(4, link());
        let now = peers.simulation.now();
        let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        peers.connect();
        let now = peers.simulation.now();
        if closes {
            peers.session(1).close(now);
            let is_closed =
                |peers: &mut Peers| peers.session(0).connection_state() == ConnectionState::Closed;
            assert!(peers.run_until(Duration::from_secs(2), is_closed));
            assert_eq!(peers.session(0).failure(), Some(&FailureReason::ClosedByPeer));
            assert_eq!(peers.session(1).failure(), Some(&FailureReason::Closed));
        } else {
            peers.simulation.network().set_default_link(Link { up: false, ..link() });
            assert_eq!(ice_failure(&mut peers, 0).cause, IceFailureCause::ConsentExpired);
        }
        let now = peers.simulation.now();
        let reason = peers.session(0).failure().cloned().unwrap();
        if closes {
            let sent = peers.session(0).send_message(now, chat, MessageKind::Text, "late".into());
            assert_eq!(sent, Err(SessionError::Ended(reason.clone())));
            assert_eq!(peers.session(0).create_offer(), Err(SessionError::Ended(reason)));
        } else {
            // What a closed session failed for before is the reason still.
            peers.session(0).close(now);
            assert_eq!(peers.session(0).failure(), Some(&reason));
            assert_eq!(peers.session(0).create_offer(), Err(SessionError::Ended(reason)));
        }
    }
}

#[test]
fn an_association_that_ends_leaves_the_rest_and_says_why() {
    let mut peers = Peers::with_limits(11, link(), |config| {
        config.transports.change_sctp(|sctp: &mut sctp::Config| sctp.max_receive_message = 1000);
    });
    let now = peers.simulation.now();
    let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.connect();
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.channel(1, "chat").is_some()));
    let now = peers.simulation.now();
    assert_eq!(peers.session(0).data_failure(), None);
    peers.session(0).send_message(now, chat, MessageKind::Binary, vec![0; 5000].into()).unwrap();
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.session(0).channel_state(chat).is_none()));
    let reason = peers.session(0).data_failure().cloned().unwrap();
    assert!(matches!(reason, FailureReason::Sctp(SctpClose::AbortedByPeer(_))), "{reason}");
    assert!(!reason.is_final());
    assert_eq!(peers.session(0).failure(), None);
    assert_eq!(peers.session(0).connection_state(), ConnectionState::Connected);
    let now = peers.simulation.now();
    let sent = peers.session(0).send_message(now, chat, MessageKind::Text, "late".into());
    assert_eq!(sent, Err(SessionError::Ended(reason)));
}

/// Against a failure of ICE a restart may help, and not any more once the time for the handshake is over.
#[test]
fn a_failure_that_becomes_final_is_told_again() {
    let mut peers = Peers::with_limits(6, link(), |config| {
        config.handshake_timeout = Duration::from_secs(100);
    });
    for host in peers.hosts {
        peers.simulation.layer_mut(host).is_deaf = true;
    }
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    let has_path = |peers: &mut Peers| (0..2).all(|side| peers.session(side).selected_pair().is_some());
    assert!(peers.run_until(Duration::from_secs(10), has_path));
    // A nomination goes, too.
    peers.run_until(Duration::from_secs(3), |_| false);
    peers.simulation.network().set_default_link(Link { up: false, ..link() });
    for side in 0..2 {
        assert_eq!(ice_failure(&mut peers, side).cause, IceFailureCause::ConsentExpired);
    }
    let late = FailureReason::Dtls(DtlsError::TimedOut);
    let is_late = |peers: &mut Peers| (0..2).all(|side| peers.session(side).failure() == Some(&late));
    assert!(peers.run_until(Duration::from_secs(100), is_late));
    assert!((0..2).all(|side| peers.events[side].contains(&failed(late.clone()))));
}
