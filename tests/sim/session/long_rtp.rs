use super::*;

/// The session's own limit decides, whatever the batch has room for.
#[test]
fn no_rtp_is_longer_than_the_configuration_says() {
    for (limit, batch_size) in [(600, 9000), (1472, 1472), (9000, 9000)] {
        let mut peers = Peers::with_limits(41, link(), |config| config.max_rtp_datagram = limit);
        let id = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        peers.negotiate(0);
        peers.connect();
        let now = peers.simulation.now();
        let payload_type = peers.session(0).transceiver(id).unwrap().send_codecs()[0].payload_type;
        let longest = peers.session(0).max_rtp_payload(id, payload_type).unwrap();
        let mut accepted = 0;
        for size in [500, longest, longest + 1, 20_000] {
            let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), true, vec![0; size].into());
            match peers.session(0).send_rtp(now, id, packet) {
                Ok(()) => accepted += 1,
                Err(SessionError::PacketTooLong { .. }) => assert!(size > longest),
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(accepted, 2);
        let mut batch = TransmitBatch::new(batch_size);
        let (mut sent, mut longest_datagram) = (0, 0);
        while let Some(transmit) = peers.session(0).poll_transmit(now, &mut batch) {
            for datagram in batch.datagrams(&transmit).filter(|bytes| (128..192).contains(&bytes[0])) {
                // RTCP comes with its own types (RFC 5761 §4).
                sent += usize::from(!(192..224).contains(&datagram[1]));
                longest_datagram = longest_datagram.max(datagram.len());
            }
            batch.clear();
        }
        assert_eq!(sent, 2);
        // As a retransmission the longest has two bytes more.
        assert_eq!(longest_datagram, limit - 2);
    }
}

/// A packet for which the batch is too small is counted.
#[test]
fn what_a_batch_has_no_room_for_is_counted() {
    let mut peers = Peers::new(42, link());
    let id = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    let now = peers.simulation.now();
    let payload_type = peers.session(0).transceiver(id).unwrap().send_codecs()[0].payload_type;
    for size in [1400, 100] {
        let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), true, vec![0; size].into());
        peers.session(0).send_rtp(now, id, packet).unwrap();
    }
    assert!(peers.run_until(Duration::from_secs(1), |peers| {
        let host = peers.hosts[1];
        peers.simulation.layer_mut(host).received.len() == 1
    }));
    let now = peers.simulation.now();
    let discarded = peers.session(0).stats(now).iter().find_map(|entry| match entry {
        Stats::Transport(transport) => Some(transport.packets_discarded_on_send),
        _ => None,
    });
    assert_eq!(discarded, Some(1));
}
