//! RTCP that the application sends and reads itself.

use kaon_rtc::layer::Ssrc;
use kaon_rtc::media::PacketResult;
use kaon_rtc::rtcp::{App, CompoundError, CompoundWriter, Encode, Packet, Pli, ReceiverReport, packets};
use kaon_rtc::session::{DroppedRtcp, RtcpFeedback};

use super::*;

/// Two sessions that send video to each other and read all RTCP themselves.
fn peers(loss: f64, configure: impl Fn(&mut SessionConfig)) -> (Peers, [TransceiverId; 2]) {
    let mut peers = Peers::with_limits(41, link(), |config| {
        config.rtcp.max_unread_feedback = 100_000;
        config.rtcp.max_unread_bytes = 1 << 20;
        configure(config);
    });
    let ours = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    let theirs = peers.session(1).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(1);
    peers.connect();
    peers.simulation.network().set_default_link(Link { loss, ..link() });
    (peers, [ours, theirs])
}

/// Sends ten packets a frame, thirty frames a second.
fn send_frames(peers: &mut Peers, side: usize, id: TransceiverId, frames: u32) {
    let payload_type = peers.session(side).transceiver(id).unwrap().send_codecs()[0].payload_type;
    for frame in 0..frames {
        let now = peers.simulation.now();
        for packet in 0..10 {
            let timestamp = RtpTimestamp(frame * 3000);
            let packet = OutgoingRtp::new(payload_type, timestamp, packet == 9, vec![0x10; 1000].into());
            peers.session(side).send_rtp(now, id, packet).unwrap();
        }
        peers.simulation.run_until(Duration::from_millis(33), |_| false);
    }
}

fn drain(peers: &mut Peers, side: usize) -> Vec<RtcpFeedback> {
    std::iter::from_fn(|| peers.session(side).receive_feedback()).collect()
}

fn datagrams(peers: &mut Peers, side: usize) -> Vec<Bytes> {
    std::iter::from_fn(|| peers.session(side).receive_rtcp()).map(|datagram| datagram.bytes).collect()
}

#[test]
fn each_side_is_told_what_became_of_its_packets() {
    let (mut peers, tracks) = peers(0.1, |_| {});
    let begun = peers.simulation.now();
    send_frames(&mut peers, 0, tracks[0], 100);
    send_frames(&mut peers, 1, tracks[1], 100);
    peers.simulation.network().set_default_link(link());
    peers.simulation.run_until(Duration::from_secs(6), |_| false);
    for (side, track) in tracks.into_iter().enumerate() {
        let feedback = drain(&mut peers, side);
        let results: Vec<PacketResult> = feedback
            .iter()
            .filter_map(|feedback| match feedback {
                RtcpFeedback::Transport { at, results, round_trip_time, .. } => {
                    assert!(*at > begun);
                    if let Some(time) = round_trip_time {
                        assert!(
                            *time >= Duration::from_millis(40) && *time < Duration::from_secs(1),
                            "{time:?}"
                        );
                    }
                    Some(results.clone())
                }
                _ => None,
            })
            .flatten()
            .collect();
        let arrived = results.iter().filter(|result| result.arrival_micros.is_some()).count();
        let lost = results.len() - arrived;
        // A thousand packets and their retransmissions, but for those whose feedback was lost.
        assert!((750..1150).contains(&arrived) && (50..180).contains(&lost), "{arrived} and {lost}");
        let delays: Vec<i64> = results
            .iter()
            .filter_map(|result| {
                let sent = result.sent.unwrap();
                assert!((1020..1100).contains(&sent.size), "{}", sent.size);
                Some(result.arrival_micros? - (sent.at - begun).as_micros() as i64)
            })
            .collect();
        // The path takes the same time for all, told in ticks of 250 µs.
        let (least, most) = (delays.iter().min().unwrap(), delays.iter().max().unwrap());
        assert!(most - least <= 1000, "{least} to {most}");

        let last = feedback.iter().rev().find_map(|feedback| match feedback {
            RtcpFeedback::Reception { transceiver, reception, .. } => {
                assert_eq!(*transceiver, track);
                Some(reception)
            }
            _ => None,
        });
        let last = last.expect("a report");
        assert_eq!(last.round_trip_time.unwrap().as_millis(), 40);
        // RFC 4588 §5.2: what came in the stream of retransmissions does not make up for it.
        assert!((50..150).contains(&last.cumulative_lost), "{last:?}");
        assert_eq!(peers.session(side).dropped_rtcp(), DroppedRtcp::default());
    }
}

#[test]
fn rtcp_of_the_application_arrives_in_order_on_both_sides() {
    let (mut peers, _) = peers(0.0, |_| {});
    for side in [0, 1] {
        datagrams(&mut peers, 1 - side);
        for number in 0..20u32 {
            let mut buffer = [0; 100];
            let mut writer = CompoundWriter::new(&mut buffer);
            let data = number.to_be_bytes();
            writer.push(&App { subtype: 3, ssrc: Ssrc(77), name: *b"kaon", data: &data }).unwrap();
            let len = writer.finish();
            let now = peers.simulation.now();
            peers.session(side).send_rtcp(now, &buffer[..len]).unwrap();
        }
        peers.simulation.run_until(Duration::from_millis(100), |_| false);
        let mut told = Vec::new();
        for datagram in datagrams(&mut peers, 1 - side) {
            for packet in packets(&datagram) {
                if let Packet::App(app) = packet.unwrap() {
                    told.push(u32::from_be_bytes(app.data.try_into().unwrap()));
                }
            }
        }
        assert_eq!(told, (0..20).collect::<Vec<_>>());
    }
}

/// RFC 5506 §3.4.2: a peer that has not agreed to less gets a report in front.
#[test]
fn without_reduced_size_a_report_stands_in_front() {
    let mut peers = Peers::with_limits(42, link(), |config| config.rtcp.max_unread_bytes = 1 << 20);
    peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    let now = peers.simulation.now();
    peers.session(0).set_local_description(now, None).unwrap();
    let offer = peers.session(0).local_description().unwrap().text().replace("a=rtcp-rsize\r\n", "");
    peers.session(1).set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
    peers.session(1).set_local_description(now, None).unwrap();
    let answer = peers.session(1).local_description().unwrap();
    peers.session(0).set_remote_description(now, &answer).unwrap();
    peers.connect();
    let mut pli = [0; 12];
    Pli { sender: Ssrc(1), media: Ssrc(2) }.encode(&mut pli).unwrap();
    let mut report = [0; 8];
    ReceiverReport { ssrc: Ssrc(1), ..ReceiverReport::default() }.encode(&mut report).unwrap();
    let now = peers.simulation.now();
    peers.session(0).send_rtcp(now, &pli).unwrap();
    peers.session(0).send_rtcp(now, &[&report[..], &pli].concat()).unwrap();
    peers.simulation.run_until(Duration::from_millis(100), |_| false);
    let kinds: Vec<Vec<u8>> = datagrams(&mut peers, 1)
        .iter()
        .filter(|datagram| packets(datagram).any(|packet| matches!(packet, Ok(Packet::Pli(_)))))
        .map(|datagram| packets(datagram).map(|packet| kind(&packet.unwrap())).collect())
        .collect();
    assert_eq!(kinds, [vec![201, 202, 206], vec![201, 206]]);
}

fn kind(packet: &Packet<'_>) -> u8 {
    let mut buffer = [0; 1500];
    packet.encode(&mut buffer).unwrap();
    buffer[1]
}

#[test]
fn malformed_rtcp_is_refused() {
    let (mut peers, _) = peers(0.0, |_| {});
    let now = peers.simulation.now();
    let session = peers.session(0);
    let mut pli = vec![0; 12];
    Pli { sender: Ssrc(1), media: Ssrc(2) }.encode(&mut pli).unwrap();
    for (what, bytes) in [
        ("nothing", vec![]),
        ("a part", pli[..8].to_vec()),
        ("one that is too short for its kind", vec![0x81, 206, 0, 1, 0, 0, 0, 1]),
        ("another version", [&[0x41][..], &pli[1..]].concat()),
        ("a type of RTP", vec![0x80, 100, 0, 0]),
        ("more than one and a bit", [&pli[..], &[0x81]].concat()),
        ("padding inside", [&[0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4][..], &pli].concat()),
    ] {
        let result = session.send_rtcp(now, &bytes);
        assert!(matches!(result, Err(SessionError::Rtcp(_))), "{what}: {result:?}");
    }
    let unlike = session.send_rtcp(now, &[0x80, 224, 0, 0]).unwrap_err();
    assert!(matches!(unlike, SessionError::Rtcp(CompoundError::PacketType(_))), "{unlike:?}");
    let long = pli.repeat(110);
    assert_eq!(session.send_rtcp(now, &long), Err(SessionError::PacketTooLong { size: 1320, limit: 1208 }));
    session.send_rtcp(now, &pli.repeat(100)).unwrap();
    session.close(now);
    assert_eq!(session.send_rtcp(now, &pli), Err(SessionError::Ended(FailureReason::Closed)));

    let mut fresh = Session::new(now, config(1));
    assert_eq!(fresh.send_rtcp(now, &pli), Err(SessionError::NoMedia));
}

#[test]
fn a_path_that_is_gone_refuses_more_and_keeps_what_the_session_says() {
    let (mut peers, _) = peers(0.0, |_| {});
    let now = peers.simulation.now();
    let mut pli = [0; 12];
    Pli { sender: Ssrc(1), media: Ssrc(2) }.encode(&mut pli).unwrap();
    let results: Vec<_> = (0..100).map(|_| peers.session(0).send_rtcp(now, &pli)).collect();
    let taken = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(taken, 32);
    assert!(results[taken..].iter().all(|result| *result == Err(SessionError::TooMuchRtcp { limit: 32 })));
}

#[test]
fn what_is_not_read_is_dropped_oldest_first_and_counted() {
    let (mut peers, tracks) = peers(0.0, |config| {
        config.rtcp.max_unread_feedback = 100;
        config.rtcp.max_unread_bytes = 2000;
    });
    send_frames(&mut peers, 0, tracks[0], 60);
    peers.simulation.run_until(Duration::from_secs(1), |_| false);
    let dropped = peers.session(0).dropped_rtcp();
    let waiting = drain(&mut peers, 0);
    let results = |feedback: &RtcpFeedback| match feedback {
        RtcpFeedback::Transport { results, .. } => results.len(),
        _ => 1,
    };
    let kept: usize = waiting.iter().map(results).sum();
    assert!((50..=100).contains(&kept) && dropped.feedback as usize + kept >= 600, "{kept} {dropped:?}");
    // The newest are there.
    let newest = waiting.iter().rev().find_map(|feedback| match feedback {
        RtcpFeedback::Transport { results, .. } => results.last().map(|result| result.sequence_number.0),
        _ => None,
    });
    assert_eq!(newest, Some(599));
    let kept: usize = datagrams(&mut peers, 0).iter().map(|datagram| datagram.len() + 64).sum();
    assert!((1000..=2000).contains(&kept) && dropped.datagrams > 0, "{kept} {dropped:?}");
}

/// By default nothing is kept, nor what was sent remembered.
#[test]
fn nothing_is_kept_for_who_does_not_ask() {
    let mut peers = Peers::new(43, link());
    let track = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    send_frames(&mut peers, 0, track, 30);
    peers.simulation.run_until(Duration::from_secs(1), |_| false);
    assert!(drain(&mut peers, 0).is_empty() && datagrams(&mut peers, 0).is_empty());
    assert_eq!(peers.session(0).dropped_rtcp(), DroppedRtcp::default());
}

/// SRTCP cannot protect a first packet that names no source (RFC 3711 §3.4), and nothing waits behind it for ever.
#[test]
fn a_packet_without_a_source_goes_behind_a_report() {
    let (mut peers, _) = peers(0.0, |_| {});
    datagrams(&mut peers, 1);
    let now = peers.simulation.now();
    let empty = [0x80, 203, 0, 0];
    peers.session(0).send_rtcp(now, &empty).unwrap();
    peers.session(0).send_rtcp(now, &[0x80, 202, 0, 0]).unwrap();
    let mut app = [0; 12];
    App { subtype: 0, ssrc: Ssrc(5), name: *b"last", data: &[] }.encode(&mut app).unwrap();
    peers.session(0).send_rtcp(now, &app).unwrap();
    peers.simulation.run_until(Duration::from_millis(30), |_| false);
    let told = datagrams(&mut peers, 1);
    assert!(told.iter().any(|datagram| datagram.ends_with(&empty)), "{told:?}");
    assert!(told.iter().any(|datagram| **datagram == app), "{told:?}");
}

/// Who has RTCP sent under more sources than the keys have room for is told, and the session goes on with its own.
#[test]
fn who_has_rtcp_sent_that_cannot_be_protected_is_told() {
    let (mut peers, _) = peers(0.0, |config| {
        let provider = config.provider.clone();
        config.transports.srtp = std::sync::Arc::new(move |local, remote| {
            let mut limits = kaon_rtc::srtp::Config::default();
            (limits.max_ssrcs, limits.max_ended_ssrcs) = (2, 2);
            Ok(Box::new(kaon_rtc::srtp::Context::new(&provider, local, remote, limits)?))
        });
    });
    peers.simulation.run_until(Duration::from_secs(3), |_| false);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..10u32 {
        datagrams(&mut peers, 1);
        let now = peers.simulation.now();
        for number in 0..3 {
            let mut pli = [0; 12];
            Pli { sender: Ssrc(1000 + round * 3 + number), media: Ssrc(2) }.encode(&mut pli).unwrap();
            match peers.session(0).send_rtcp(now, &pli) {
                Ok(()) => taken += 1,
                Err(SessionError::Srtp(error)) => {
                    assert_eq!(error, kaon_rtc::srtp::SrtpError::TooManySsrcs { limit: 4 });
                    refused += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        // Behind what is refused.
        let mut app = [0; 12];
        let ssrc = peers.session(0).transceivers().next().unwrap().ssrc();
        App { subtype: 0, ssrc, name: *b"last", data: &[] }.encode(&mut app).unwrap();
        while peers.session(0).send_rtcp(now, &app).is_err() {}
        peers.simulation.run_until(Duration::from_millis(30), |_| false);
        assert!(datagrams(&mut peers, 1).iter().any(|datagram| **datagram == app), "{round}");
    }
    assert!(refused >= 8 && taken + refused == 30, "{taken} and {refused}");
    let now = peers.simulation.now();
    let stats = peers.session(0).stats(now);
    let dropped = stats.iter().find_map(|entry| match entry {
        Stats::Transport(transport) => Some(transport.packets_discarded_on_send),
        _ => None,
    });
    assert!(dropped.unwrap() >= 15, "{dropped:?}");
}
