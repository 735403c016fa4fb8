//! What a report tells of a connection that is known.

use kaon_rtc::layer::CandidatePairState;
use kaon_rtc::session::{DtlsState, StatsId, StatsReport};

use super::*;

/// All entries of one kind.
macro_rules! entries {
    ($report:expr, $kind:ident) => {
        $report
            .iter()
            .filter_map(|entry| if let Stats::$kind(stats) = entry { Some(stats) } else { None })
            .collect::<Vec<_>>()
    };
}

fn kind_of<'a>(report: &'a StatsReport, id: &StatsId) -> &'a str {
    report.get(id).unwrap_or_else(|| panic!("{id} names nothing")).kind()
}

#[test]
fn a_report_tells_what_went_over_the_connection() {
    let mut peers = Peers::new(8, Link { loss: 0.05, ..link() });
    let now = peers.simulation.now();
    assert_eq!(entries!(peers.session(0).stats(now), Transport)[0].dtls_state, DtlsState::New);
    let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    assert!(peers.run_until(Duration::from_secs(5), |peers| peers.channel(1, "chat").is_some()));
    let now = peers.simulation.now();
    peers.session(0).send_message(now, chat, MessageKind::Text, "hello".into()).unwrap();
    send_video(&mut peers, video, 300);
    peers.run_until(Duration::from_secs(3), |_| false);

    let now = peers.simulation.now();
    let (ours, theirs) = (peers.session(0).stats(now), peers.session(1).stats(now));
    for report in [&ours, &theirs] {
        assert_eq!(report.timestamp(), now);
        let mut ids: Vec<_> = report.iter().map(Stats::id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), report.iter().count(), "ids are unlike each other");

        let transport = entries!(report, Transport)[0];
        assert_eq!(transport.dtls_state, DtlsState::Connected);
        assert_eq!(transport.dtls_cipher, Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
        assert_eq!(transport.srtp_cipher, Some("SRTP_AEAD_AES_128_GCM"));
        assert_eq!(kind_of(report, transport.local_certificate_id.as_ref().unwrap()), "certificate");
        assert_eq!(kind_of(report, transport.remote_certificate_id.as_ref().unwrap()), "certificate");
        assert_eq!(entries!(report, Certificate).len(), 2);

        let pairs = entries!(report, CandidatePair);
        let selected = transport.selected_candidate_pair_id.as_ref().unwrap();
        let pair = pairs.iter().find(|pair| pair.id == *selected).unwrap();
        assert_eq!((pair.state, pair.nominated), (CandidatePairState::Succeeded, true));
        assert_eq!(pair.current_round_trip_time, Some(Duration::from_millis(40)));
        assert!(pair.responses_received >= 2 && pair.requests_sent >= pair.responses_received);
        assert!(pair.requests_received > 0 && pair.responses_sent == pair.requests_received);
        assert_eq!(pair.packets_sent, transport.packets_sent);
        assert_eq!(pair.bytes_received, transport.bytes_received);
        assert_eq!(kind_of(report, &pair.local_candidate_id), "local-candidate");
        assert_eq!(kind_of(report, &pair.remote_candidate_id), "remote-candidate");
        assert_eq!(entries!(report, LocalCandidate).len(), 1);
        assert_eq!(entries!(report, RemoteCandidate).len(), 1);
    }

    let sent = entries!(ours, OutboundRtp)[0];
    let received = entries!(theirs, InboundRtp)[0];
    assert_eq!(sent.ssrc, received.ssrc);
    assert_eq!(sent.transceiver, video);
    assert_eq!(sent.mid, received.mid);
    assert!(sent.active);
    let first = sent.packets_sent - sent.retransmitted_packets_sent;
    assert_eq!(first, 3000);
    assert_eq!(sent.bytes_sent, 1000 * sent.packets_sent);
    assert!(sent.header_bytes_sent >= 12 * first);
    assert!(sent.retransmitted_packets_sent > 50, "{sent:?}");
    assert!(received.retransmitted_packets_received > 50);
    assert!(received.nack_count > 0 && sent.nack_count > 0 && sent.nack_count <= received.nack_count);
    assert_eq!(received.bytes_received, 1000 * received.packets_received);
    assert!((2950..=3000).contains(&received.packets_received), "{received:?}");
    let codec = |report: &StatsReport, id: &Option<StatsId>| match report.get(id.as_ref().unwrap()) {
        Some(Stats::Codec(codec)) => codec.clone(),
        other => panic!("{other:?} is no codec"),
    };
    assert_eq!(codec(&ours, &sent.codec_id).mime_type, "video/VP8");
    assert_eq!(codec(&ours, &sent.codec_id).payload_type, codec(&theirs, &received.codec_id).payload_type);

    let Some(Stats::RemoteInboundRtp(reported)) = ours.get(sent.remote_id.as_ref().unwrap()) else {
        panic!("no remote-inbound-rtp");
    };
    assert_eq!(reported.local_id, sent.id);
    let round_trip = reported.round_trip_time.unwrap();
    assert!(round_trip.abs_diff(Duration::from_millis(40)) < Duration::from_millis(2), "{round_trip:?}");
    assert!(reported.round_trip_time_measurements > 3);
    assert!(reported.packets_lost > 50 && (0.0..0.5).contains(&reported.fraction_lost));
    let Some(Stats::RemoteOutboundRtp(reports)) = theirs.get(received.remote_id.as_ref().unwrap()) else {
        panic!("no remote-outbound-rtp");
    };
    assert_eq!(reports.local_id, received.id);
    assert!(reports.reports_sent > 3 && reports.packets_sent > 1000);

    let (there, here) = (entries!(theirs, DataChannel)[0], entries!(ours, DataChannel)[0]);
    assert_eq!((&*here.label, &*there.label), ("chat", "chat"));
    assert_eq!(here.data_channel_identifier, there.data_channel_identifier);
    assert_eq!((here.messages_sent, here.bytes_sent), (1, 5));
    assert_eq!((there.messages_received, there.bytes_received), (1, 5));
}
