use super::*;
use kaon_rtc::sctp;

/// The peer ends the association and keeps the rest: a channel that is made later is refused, or closed at once.
#[test]
fn a_channel_made_after_the_association_has_ended_is_told_so() {
    let mut peers = Peers::with_limits(11, link(), |config| {
        let (provider, transports) = (config.provider.clone(), &mut config.transports);
        transports.sctp = Arc::new(move |local, remote| {
            let mut limits = sctp::Config::default();
            (limits.local_port, limits.remote_port) = (local, remote);
            limits.zero_checksum = true;
            // The peer takes less than it says, and ABORTs what is longer.
            limits.max_receive_message = 1000;
            Box::new(sctp::Association::new(limits, &provider))
        });
    });
    let now = peers.simulation.now();
    let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.connect();
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.channel(1, "chat").is_some()));
    let now = peers.simulation.now();
    peers.session(0).send_message(now, chat, MessageKind::Binary, vec![0; 5000].into()).unwrap();
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.session(0).channel_state(chat).is_none()));
    assert_eq!(peers.session(0).connection_state(), ConnectionState::Connected);

    let now = peers.simulation.now();
    if let Ok(late) = peers.session(0).create_data_channel(now, ChannelInit::new("late")) {
        let is_closed = |peers: &mut Peers| {
            peers.events[0].contains(&SessionEvent::DataChannel(ChannelEvent::Closed(late)))
        };
        assert!(peers.run_until(Duration::from_secs(60), is_closed), "nobody is told");
    }
}
