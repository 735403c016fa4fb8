use super::*;

/// What is sent with a mark arrives with it; nothing is marked unasked.
#[test]
fn media_is_marked_as_the_configuration_says() {
    for mark in [None, Some(Ecn::Ect0), Some(Ecn::Ect1)] {
        let mut peers = Peers::with_limits(51, link(), |config| config.media_ecn = mark);
        let id = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        peers.negotiate(0);
        peers.connect();
        let now = peers.simulation.now();
        let payload_type = peers.session(0).transceiver(id).unwrap().send_codecs()[0].payload_type;
        for _ in 0..20 {
            let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), true, vec![0; 1000].into());
            peers.session(0).send_rtp(now, id, packet).unwrap();
        }
        assert!(peers.run_until(Duration::from_secs(1), |peers| {
            let host = peers.hosts[1];
            peers.simulation.layer_mut(host).marks.len() == 20
        }));
        let host = peers.hosts[1];
        assert_eq!(peers.simulation.layer_mut(host).marks, [mark; 20]);
    }
}
