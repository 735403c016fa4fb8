//! Pairs that are nominated one after another (draft-thatcher-ice-renomination), and what networks cost.

use kaon_rtc::ice::{IceOptions, NetworkKind};

use super::*;
use crate::seeds::seeds;

const SECOND: Duration = Duration::from_secs(1);

impl Peers {
    /// As the descriptions of both sides say.
    pub(super) fn agree_on_renomination(&mut self) {
        for side in 0..2 {
            self.agent_mut(side).set_remote_options(IceOptions::new().with_renomination(true));
        }
    }

    fn add_network(&mut self, side: usize, at: &str, network: NetworkKind) {
        let (host, now) = (self.hosts[side], self.simulation.now());
        self.simulation.network().add_address(host, address(at).ip());
        self.agent_mut(side).add_host(now, HostAddress::new(address(at)).of("test0", network)).unwrap();
    }
}

/// A phone that has a carrier's network only, and the other side; each says whether it nominates anew.
fn phone(seed: u64, link: Link, role: IceRole, renominates: [bool; 2]) -> Peers {
    let other = if role == IceRole::Controlling { IceRole::Controlled } else { IceRole::Controlling };
    let mut sides = [Side::new(&["10.4.0.1:1000"], role), Side::new(&["10.0.0.2:2000"], other)];
    for (side, renominates) in sides.iter_mut().zip(renominates) {
        side.config.renomination = renominates;
    }
    let mut peers = Peers::new(seed, link, sides);
    for (side, renominates) in renominates.into_iter().enumerate() {
        let options = IceOptions::new().with_renomination(renominates);
        peers.agent_mut(1 - side).set_remote_options(options);
    }
    peers.add_network(0, "10.5.0.1:1000", NetworkKind::Cellular);
    let now = peers.simulation.now();
    peers.agent_mut(0).remove_host_address(now, address("10.4.0.1:1000"));
    assert!(peers.run_until(MINUTE, |p| p.agree() && p.is(IceConnectionState::Completed)), "seed {seed}");
    peers
}

#[test]
fn a_better_network_that_comes_is_taken_where_both_agree() {
    for role in [IceRole::Controlling, IceRole::Controlled] {
        for seed in seeds(20) {
            let link = Link { loss: (seed % 4) as f64 / 20.0, ..delay(20) };
            let mut peers = phone(seed, link, role, [true; 2]);
            let costs = peers.told[0].iter().any(|event| match event {
                IceEvent::LocalCandidate(told) => told.to_string().ends_with(" network-cost 900"),
                _ => false,
            });
            assert!(costs);
            peers.run_for(10 * SECOND);
            peers.add_network(0, "10.6.0.1:1000", NetworkKind::Wifi);
            let better = address("10.6.0.1:1000");
            let moved = peers
                .run_until(10 * SECOND, |p| p.agree() && p.path(0).is_some_and(|path| path.local == better));
            assert!(moved, "{role:?} seed {seed}: {:?} {:?}", peers.path(0), peers.path(1));
            peers.run_for(MINUTE);
            assert!(
                peers.agree() && peers.path(0).unwrap().local == better,
                "{role:?} seed {seed}: it stays"
            );
            let selections = |side: usize| {
                peers.told[side].iter().filter(|event| matches!(event, IceEvent::SelectedPair(_))).count()
            };
            assert!(seed % 4 > 0 || selections(0) <= 2 && selections(1) <= 2, "{role:?} seed {seed}: once");
        }
    }
}

#[test]
fn without_agreement_what_works_is_not_left() {
    for renominates in [[true, false], [false, true], [false, false]] {
        let mut peers = phone(1, delay(20), IceRole::Controlling, renominates);
        let before = peers.path(0);
        peers.add_network(0, "10.6.0.1:1000", NetworkKind::Wifi);
        peers.run_for(MINUTE);
        assert_eq!(peers.path(0), before);
        assert!(peers.agree());
    }
}

/// The network that was left for another is tried again, and taken when it works.
#[test]
fn a_network_that_fails_for_a_while_is_taken_back() {
    let mut peers = phone(1, delay(20), IceRole::Controlling, [true; 2]);
    peers.add_network(0, "10.6.0.1:1000", NetworkKind::Wifi);
    let wifi = |p: &mut Peers| p.agree() && p.path(0).unwrap().local == address("10.6.0.1:1000");
    assert!(peers.run_until(10 * SECOND, wifi));
    // It loses everything and keeps its address.
    let host = peers.hosts[0];
    peers.simulation.network().remove_address(host, ip("10.6.0.1"));
    assert!(peers.run_until(15 * SECOND, |p| p.agree() && !wifi(p)));
    peers.simulation.network().add_address(host, ip("10.6.0.1"));
    assert!(peers.run_until(MINUTE, wifi), "{:?}", peers.path(0));
}
