//! A peer that has the keys and does with media what it should not.

use std::sync::Mutex;

use kaon_rtc::layer::{MasterKey, SrtpTransport};
use kaon_rtc::srtp;

use super::*;

/// Two sessions, and the keys of side 1 in the hands of the test.
struct Hostile {
    peers: Peers,
    context: srtp::Context,
    path: FiveTuple,
}

fn video(configure: impl Fn(&mut SessionConfig)) -> (Hostile, TransceiverId) {
    let keys: Arc<Mutex<Vec<(MasterKey, MasterKey)>>> = Arc::default();
    let taken = keys.clone();
    let mut peers = Peers::with_limits(3, link(), |config| {
        configure(config);
        let (make, keys) = (config.transports.srtp.clone(), keys.clone());
        config.transports.srtp = Arc::new(move |local, remote| {
            keys.lock().unwrap().push((local.clone(), remote.clone()));
            make(local, remote)
        });
    });
    let id = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    let path = peers.session(0).selected_pair().unwrap().path;
    // What side 0 receives with is what the peer sends with; the order in which both were made does not matter.
    let of_side_0 = peers.session(0).transceiver(id).unwrap().ssrc();
    let _ = of_side_0;
    let keys = taken.lock().unwrap().clone();
    let context = keys.iter().find_map(|(local, remote)| {
        let mut context =
            srtp::Context::new(&crypto::provider(), local, remote, srtp::Config::default()).unwrap();
        let mut probe = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        let len = probe.len();
        probe.resize(len + context.rtcp_overhead(), 0);
        let len = context.protect_rtcp(&mut probe, len).unwrap();
        let now = peers.simulation.now();
        let taken = peers.session(0).handle_datagram(now, Datagram::new(path, &mut probe[..len]));
        taken.is_ok().then_some(context)
    });
    (Hostile { peers, context: context.expect("one of the contexts is the peer's"), path }, id)
}

impl Hostile {
    fn send(&mut self, rtcp: &[u8]) {
        let mut datagram = rtcp.to_vec();
        datagram.resize(rtcp.len() + self.context.rtcp_overhead(), 0);
        let len = self.context.protect_rtcp(&mut datagram, rtcp.len()).unwrap();
        let (now, path) = (self.peers.simulation.now(), self.path);
        self.peers.session(0).handle_datagram(now, Datagram::new(path, &mut datagram[..len])).unwrap();
    }
}

/// A generic NACK (RFC 4585 §6.2.1) for the 17 packets from `first` on.
fn nack(media: Ssrc, first: u16) -> Vec<u8> {
    let mut packet = vec![0x81, 205, 0, 3, 0, 0, 0, 9];
    packet.extend(media.0.to_be_bytes());
    packet.extend(first.to_be_bytes());
    packet.extend([0xff, 0xff]);
    packet
}

/// Who asks for everything all the time gets a share of the stream, and not ten times the stream.
#[test]
fn repair_is_a_share_of_the_stream() {
    const PACKETS: u32 = 3000;
    let (mut hostile, id) = video(|_| ());
    let (ssrc, payload_type) = {
        let transceiver = hostile.peers.session(0).transceiver(id).unwrap();
        (transceiver.ssrc(), transceiver.send_codecs()[0].payload_type)
    };
    for number in 0..PACKETS {
        let now = hostile.peers.simulation.now();
        let mut packet =
            OutgoingRtp::new(payload_type, RtpTimestamp(number * 900), true, vec![0; 1000].into());
        packet.sequence_number = Some(SequenceNumber(number as u16));
        hostile.peers.session(0).send_rtp(now, id, packet).unwrap();
        hostile.peers.run_until(Duration::from_millis(5), |_| false);
        for back in 1..10 {
            hostile.send(&nack(ssrc, (number as u16).saturating_sub(17 * back)));
        }
    }
    hostile.peers.run_until(Duration::from_secs(1), |_| false);
    let now = hostile.peers.simulation.now();
    let stats = hostile.peers.session(0).stats(now);
    let sent = stats.iter().find_map(|entry| match entry {
        Stats::OutboundRtp(sent) => Some(sent),
        _ => None,
    });
    let again = sent.unwrap().retransmitted_packets_sent;
    println!("{again} of {PACKETS} packets were sent again");
    assert!(again > u64::from(PACKETS) / 2, "an honest peer is repaired");
    assert!(again < u64::from(PACKETS) * 5 / 4, "{again} of {PACKETS} packets were sent again");
}

/// However many sources a peer has had, a new one is heard: the longest silent gives way.
#[test]
fn a_new_source_is_always_heard() {
    let mut peers = Peers::with_limits(5, link(), |config| config.max_incoming_streams = 2);
    let tracks: Vec<_> = (0..6)
        .map(|_| peers.session(0).add_track(TrackKind::Audio, TransceiverInit::default()).unwrap())
        .collect();
    peers.negotiate(0);
    peers.connect();
    for round in 0..3u32 {
        for track in &tracks {
            let now = peers.simulation.now();
            let payload_type = peers.session(0).transceiver(*track).unwrap().send_codecs()[0].payload_type;
            let packet = OutgoingRtp::new(payload_type, RtpTimestamp(round * 960), true, vec![7; 20].into());
            peers.session(0).send_rtp(now, *track, packet).unwrap();
            peers.run_until(Duration::from_millis(20), |_| false);
        }
    }
    peers.run_until(Duration::from_secs(1), |_| false);
    let host = peers.hosts[1];
    assert_eq!(peers.simulation.layer_mut(host).received.len(), 18);
}

/// The keys of SRTP have a limit of sources, and whoever sends one more is told.
#[test]
fn who_cannot_send_is_told() {
    let mut peers = Peers::with_limits(6, link(), |config| {
        let provider = config.provider.clone();
        config.transports.srtp = Arc::new(move |local, remote| {
            let mut limits = srtp::Config::default();
            (limits.max_ssrcs, limits.max_ended_ssrcs) = (1, 1);
            Ok(Box::new(srtp::Context::new(&provider, local, remote, limits)?))
        });
    });
    let tracks: Vec<_> = (0..3)
        .map(|_| peers.session(0).add_track(TrackKind::Audio, TransceiverInit::default()).unwrap())
        .collect();
    peers.negotiate(0);
    peers.connect();
    let mut refusals = 0;
    for number in 0..20u32 {
        for track in &tracks {
            let now = peers.simulation.now();
            let payload_type = peers.session(0).transceiver(*track).unwrap().send_codecs()[0].payload_type;
            let packet = OutgoingRtp::new(payload_type, RtpTimestamp(number * 960), true, vec![7; 20].into());
            match peers.session(0).send_rtp(now, *track, packet) {
                Ok(()) => {}
                Err(SessionError::Srtp(error)) => {
                    assert_eq!(error, srtp::SrtpError::TooManySsrcs { limit: 2 });
                    refusals += 1;
                }
                Err(other) => panic!("{other}"),
            }
            peers.run_until(Duration::from_millis(20), |_| false);
        }
    }
    assert!(refusals >= 5, "{refusals}");
}
