//! STUN servers that are asked over streams.

use kaon_rtc::ice::StunServer;
use kaon_rtc::layer::IceCandidateError;

use super::*;

const SERVER: &str = "192.0.2.50:3478";
const CLOSED: &str = "192.0.2.50:3479";
const DEAD: &str = "192.0.2.66:3478";

fn errors(peers: &Peers) -> Vec<&IceCandidateError> {
    let errors = peers.told[0].iter().filter_map(|event| match event {
        IceEvent::CandidateError(error) => Some(&**error),
        _ => None,
    });
    errors.collect()
}

fn asking(servers: Vec<StunServer>) -> Peers {
    let mut here = Side::new(&["10.0.0.1:1000", "10.0.0.2:1000"], IceRole::Controlling);
    here.config.stun_stream_servers = servers;
    let there = Side::new(&["10.1.0.2:2000"], IceRole::Controlled);
    let mut peers = Peers::new(1, delay(20), [here, there]);
    peers.add_server(SERVER);
    peers.simulation.listen(address(SERVER));
    peers
}

#[test]
fn a_server_is_asked_once_and_its_stream_is_closed() {
    for server in [StunServer::tcp(address(SERVER)), StunServer::tls(address(SERVER), "stun.example.org")] {
        let mut peers = asking(vec![server]);
        let here = peers.hosts[0];
        assert!(peers.run_until(MINUTE, |p| p.simulation.streams(here) == 1));
        peers.run_for(MINUTE);
        assert_eq!(peers.simulation.streams(here), 0);
        assert!(errors(&peers).is_empty(), "{:?}", errors(&peers));
        let kinds: Vec<_> = peers.agent(0).local_candidates().map(|candidate| candidate.kind).collect();
        assert_eq!(kinds, [CandidateKind::Host; 2], "the address of a stream is none of datagrams");
    }
}

#[test]
fn servers_without_an_answer_are_told_of_and_delay_nothing() {
    let mut named = StunServer::tls(address(CLOSED), "stun.example.org");
    named.url = Some("stuns:stun.example.org:3479".to_owned());
    let mut peers = asking(vec![StunServer::tls(address(DEAD), "192.0.2.66"), named]);
    assert!(peers.run_until(MINUTE, |p| p.is(IceConnectionState::Completed)));
    assert!(peers.simulation.elapsed() < Duration::from_millis(300), "{:?}", peers.simulation.elapsed());
    peers.run_for(Duration::from_secs(10));
    let told: Vec<_> = errors(&peers).iter().map(|it| (it.error_code, it.url.as_str())).collect();
    let dead = format!("stuns:{DEAD}");
    assert_eq!(told, [(701, "stuns:stun.example.org:3479"), (701, dead.as_str())]);
    let texts: Vec<_> = errors(&peers).iter().map(|it| it.error_text.as_str()).collect();
    assert!(texts[0].contains("refused") && texts[1].contains("firewall"), "{texts:?}");
}

/// The stream is taken, and nothing comes of it; and it ends before an answer.
#[test]
fn a_server_that_is_silent_or_hangs_up_is_told_of() {
    for hangs_up in [false, true] {
        let mut peers = asking(vec![StunServer::tcp(address(DEAD))]);
        // Nobody is there to answer but the system.
        peers.simulation.network().add_host([address(DEAD).ip()]);
        peers.simulation.listen(address(DEAD));
        let here = peers.hosts[0];
        assert!(peers.run_until(MINUTE, |p| p.simulation.streams(here) == 1));
        if hangs_up {
            peers.simulation.break_streams(here);
        }
        peers.run_for(Duration::from_secs(10));
        let told: Vec<_> = errors(&peers).iter().map(|it| (it.error_code, it.url.clone())).collect();
        assert_eq!(told, [(701, format!("stun:{DEAD}"))]);
        assert_eq!(peers.simulation.streams(here), 0, "hangs up: {hangs_up}");
    }
}

#[test]
fn an_agent_that_closes_leaves_no_stream_behind() {
    let mut peers = asking(vec![StunServer::tcp(address(DEAD))]);
    let there = peers.simulation.network().add_host([address(DEAD).ip()]);
    peers.simulation.listen(address(DEAD));
    assert!(peers.run_until(MINUTE, |p| p.simulation.streams(there) == 1));
    peers.agent_mut(0).close();
    peers.run_for(Duration::from_secs(1));
    assert_eq!(peers.simulation.streams(there), 0);
}
