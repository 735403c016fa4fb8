//! Sessions whose ICE agent only answers, and those that agree on renomination.

use super::*;

/// Whichever side is the lite one, and whichever offers.
#[test]
fn a_lite_side_never_controls() {
    for (lite, offerer) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let number = std::cell::Cell::new(0);
        let mut peers = Peers::with_limits(1, link(), |config| {
            let is_lite = number.replace(number.get() + 1) == lite;
            config.transports.change_ice(|ice| ice.lite = is_lite);
        });
        let now = peers.simulation.now();
        peers.session(offerer).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(offerer);
        let says = |peers: &mut Peers, side: usize| {
            peers.session(side).local_description().unwrap().text().contains("a=ice-lite\r\n")
        };
        assert!(says(&mut peers, lite) && !says(&mut peers, 1 - lite));
        peers.connect();
        assert!(
            peers.run_until(Duration::from_secs(5), |peers| peers.channel(1 - offerer, "chat").is_some())
        );
    }
}

#[test]
fn renomination_is_offered_and_answered_where_both_want_it() {
    for (offers, answers) in [(true, true), (true, false), (false, true), (false, false)] {
        let number = std::cell::Cell::new(0);
        let mut peers = Peers::with_limits(1, link(), |config| {
            let renominates = if number.replace(number.get() + 1) == 0 { offers } else { answers };
            config.transports.change_ice(|ice| ice.renomination = renominates);
        });
        let now = peers.simulation.now();
        peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        let says = |peers: &mut Peers, side: usize| {
            let text = peers.session(side).local_description().unwrap().text();
            assert!(text.contains("a=ice-options:trickle"));
            text.contains("a=ice-options:trickle renomination\r\n")
        };
        assert_eq!((says(&mut peers, 0), says(&mut peers, 1)), (offers, offers && answers));
        peers.connect();
    }
}
