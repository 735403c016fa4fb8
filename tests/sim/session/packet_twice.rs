use super::*;

/// A unit that forwards gives sequence numbers, and gets some packets twice: the original comes after its
/// retransmission. The second is refused, and takes no other with it.
#[test]
fn a_packet_that_is_sent_twice_takes_no_other_with_it() {
    let mut peers = Peers::new(12, link());
    let id = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    let payload_type = peers.session(0).transceiver(id).unwrap().send_codecs()[0].payload_type;
    for number in (100..200u16).flat_map(|number| [number].repeat(1 + usize::from(number % 2))) {
        let now = peers.simulation.now();
        let timestamp = RtpTimestamp(u32::from(number) * 900);
        let mut packet = OutgoingRtp::new(payload_type, timestamp, true, vec![0; 500].into());
        packet.sequence_number = Some(SequenceNumber(number));
        // That the second of two is refused is right.
        let _ = peers.session(0).send_rtp(now, id, packet);
        peers.run_until(Duration::from_millis(5), |_| false);
    }
    peers.run_until(Duration::from_secs(1), |_| false);
    let host = peers.hosts[1];
    let numbers: std::collections::BTreeSet<_> =
        peers.simulation.layer_mut(host).received.iter().map(|(_, number, ..)| number.0).collect();
    assert_eq!(numbers.len(), 100, "{numbers:?}");
}
