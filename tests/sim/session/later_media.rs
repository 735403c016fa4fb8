//! Media on a connection that had data channels only.

use super::*;

/// What happens besides.
#[derive(Clone, Copy, Debug)]
struct Besides {
    /// ICE is restarted by the same offer.
    restarts: bool,
    /// Offers of either side, which would have been the first with media, are taken back.
    takes_back: bool,
    /// The keys of SRTP can be had once only.
    exports_once: bool,
}

/// Whoever answers sends at once: neither that nor what it has before its answer arrives ends anything, and after the answer
/// media go both ways, and reports with them.
#[test]
fn video_is_added_to_data_channels() {
    for number in 0..8u64 {
        let besides =
            Besides { restarts: number & 1 > 0, takes_back: number & 2 > 0, exports_once: number & 4 > 0 };
        let Besides { restarts, takes_back, exports_once } = besides;
        let mut peers = if exports_once { sealing::peers(50, 0) } else { Peers::new(51 + number, link()) };
        let now = peers.simulation.now();
        peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        peers.connect();
        if takes_back {
            for side in 0..2 {
                let now = peers.simulation.now();
                let id = peers.session(side).add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
                peers.session(side).set_local_description(now, None).unwrap();
                let offer =
                    Description::offer(&peers.session(side).local_description().unwrap().text()).unwrap();
                peers.session(1 - side).set_remote_description(now, &offer).unwrap();
                peers.run_until(Duration::from_millis(500), |_| false);
                let now = peers.simulation.now();
                peers.session(1 - side).set_remote_description(now, &Description::rollback()).unwrap();
                peers.session(side).set_local_description(now, Some(&Description::rollback())).unwrap();
                peers.session(side).stop_transceiver(id).unwrap();
                assert_eq!(peers.session(1 - side).transceivers().count(), 0, "{besides:?}");
            }
        }
        let tracks = [0, 1]
            .map(|side| peers.session(side).add_track(TrackKind::Video, TransceiverInit::default()).unwrap());
        if restarts {
            peers.session(0).restart_ice();
        }
        let answer = peers.offer(0);
        let mut sent = [0u8; 2];
        let send = |peers: &mut Peers, side: usize, sent: &mut [u8; 2]| {
            let now = peers.simulation.now();
            let session = peers.session(side);
            let payload_type = session.transceiver(tracks[side]).unwrap().send_codecs()[0].payload_type;
            for _ in 0..3 {
                sent[side] += 1;
                let payload = Bytes::from(vec![0x10, sent[side]]);
                let packet = OutgoingRtp::new(payload_type, RtpTimestamp(sent[side].into()), true, payload);
                session.send_rtp(now, tracks[side], packet).unwrap();
            }
        };
        send(&mut peers, 1, &mut sent);
        peers.run_until(Duration::from_millis(300), |_| false);
        let early = peers.simulation.layer_mut(peers.hosts[0]).received.len();
        println!("{besides:?}: {early} packets of 3 are delivered before the answer");
        let now = peers.simulation.now();
        peers.session(0).set_remote_description(now, &Description::answer(&answer).unwrap()).unwrap();
        peers.connect();
        for _ in 0..20 {
            (0..2).for_each(|side| send(&mut peers, side, &mut sent));
            peers.run_until(Duration::from_millis(500), |_| false);
        }
        let now = peers.simulation.now();
        for side in 0..2 {
            let host = peers.hosts[side];
            let received = std::mem::take(&mut peers.simulation.layer_mut(host).received);
            let newest = received.iter().map(|(_, _, _, payload)| payload[1]).max();
            assert_eq!(newest, Some(sent[1 - side]), "{besides:?} {side}");
            assert!(received.len() >= 60, "{besides:?} {side}: {}", received.len());
            assert!(received.iter().all(|(id, ..)| *id == tracks[side]), "{besides:?} {side}");
            let has_report = |stats: &Stats| matches!(stats, Stats::RemoteInboundRtp(_));
            let report = peers.session(side).stats(now);
            assert!(report.iter().any(has_report), "{besides:?} {side}: no receiver report came");
            assert_eq!(peers.session(side).failure(), None);
        }
    }
}
