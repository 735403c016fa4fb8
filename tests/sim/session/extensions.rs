//! Header extensions that are forwarded, RFC 8285.

use kaon_rtc::rtp::{
    AudioLevel, ContentExtensions, ExtensionKind, ExtensionUri, RawExtensions, Rotation, VideoOrientation,
};

use super::left_out::{exchange, without};
use super::*;

const HAND: &str = "urn:example:hand-raised";
const LAYERS: &str = "https://example.com/layers#1";
const SECRET: &str = "urn:example:not-for-the-other-side";

fn uris(uris: &[&str]) -> Vec<ExtensionUri> {
    uris.iter().map(|uri| ExtensionUri::new(uri).unwrap()).collect()
}

/// Side 0 sends to side 1; both name these.
fn peers(seed: u64, names: &[&str]) -> Peers {
    Peers::with_limits(seed, link(), |config| {
        config.media.audio_extension_uris = uris(names);
        config.media.video_extension_uris = uris(names);
    })
}

fn connected(seed: u64, names: &[&str], kind: TrackKind, mixed: bool) -> (Peers, TransceiverId) {
    let mut peers = peers(seed, names);
    let track = peers.session(0).add_track(kind, TransceiverInit::default()).unwrap();
    exchange(&mut peers, |text| if mixed { text.to_owned() } else { without(text, &["extmap-allow-mixed"]) });
    peers.connect();
    (peers, track)
}

fn raw(elements: &[(&str, &[u8])]) -> RawExtensions {
    let mut raw = RawExtensions::default();
    elements.iter().for_each(|(uri, data)| raw.insert(&ExtensionUri::new(uri).unwrap(), data).unwrap());
    raw
}

/// Sends a packet, and tells what arrives of its extensions.
fn pass(
    (peers, track): &mut (Peers, TransceiverId),
    content: ContentExtensions,
    elements: RawExtensions,
) -> (ContentExtensions, RawExtensions) {
    let now = peers.simulation.now();
    let codec = peers.session(0).transceiver(*track).unwrap().send_codecs()[0].clone();
    let mut packet = OutgoingRtp::new(codec.payload_type, RtpTimestamp(1), true, Bytes::from_static(b"x"));
    packet.extensions = content;
    packet.raw_extensions = elements;
    peers.session(0).send_rtp(now, *track, packet).unwrap();
    peers.run_until(Duration::from_secs(1), |_| false);
    peers.simulation.layer_mut(peers.hosts[1]).extensions.pop().unwrap()
}

#[test]
fn what_is_forwarded_keeps_its_extensions_under_other_ids() {
    for (seed, mixed) in [(71, true), (72, false)] {
        for kind in [TrackKind::Audio, TrackKind::Video] {
            let mut publisher = connected(seed, &[SECRET, LAYERS, HAND], kind, mixed);
            let mut subscriber = connected(seed + 10, &[LAYERS, HAND], kind, mixed);
            let id = |(peers, track): &mut (Peers, TransceiverId), uri| {
                peers.session(0).transceiver(*track).unwrap().extension_id(uri)
            };
            for uri in [HAND, LAYERS] {
                assert_ne!(id(&mut publisher, uri), id(&mut subscriber, uri));
            }
            assert!(id(&mut publisher, SECRET).is_some());
            assert_eq!(id(&mut subscriber, SECRET), None);
            assert!(id(&mut subscriber, ExtensionKind::Mid.uri()).is_some());

            let mut content = ContentExtensions::default();
            match kind {
                TrackKind::Audio => content.audio_level = Some(AudioLevel { voice: true, dbov: 42 }),
                TrackKind::Video => {
                    let rotation = Rotation::Degrees270;
                    let orientation = VideoOrientation { back_camera: true, flip: false, rotation };
                    content.video_orientation = Some(orientation);
                }
            }
            // Of one byte, of more than the one-byte form takes, of none, and none at all.
            let long = [7; 200];
            for elements in [
                raw(&[(HAND, &[1]), (SECRET, b"s"), (LAYERS, &[1, 2, 3])]),
                raw(&[(HAND, &long), (LAYERS, &[])]),
                raw(&[(SECRET, &[2; 16])]),
                raw(&[]),
            ] {
                let (arrived, unknown) = pass(&mut publisher, content, elements.clone());
                assert_eq!((arrived, &unknown), (content, &elements));
                let (arrived, unknown) = pass(&mut subscriber, arrived, unknown);
                let mut expected = RawExtensions::default();
                for uri in [HAND, LAYERS] {
                    if let Some(data) = elements.get(uri) {
                        expected.insert(&ExtensionUri::new(uri).unwrap(), data).unwrap();
                    }
                }
                assert_eq!((arrived, unknown), (content, expected));
            }
        }
    }
}

/// One side alone names it: nobody else gets it, and it costs no room.
#[test]
fn an_extension_that_the_other_side_does_not_name_is_left_out() {
    for named_by in [0, 1] {
        let mut peers = Peers::new(73, link());
        let mut own = config(73);
        own.media.video_extension_uris = uris(&[HAND]);
        let now = peers.simulation.now();
        *peers.session(named_by) = Session::new(now, own);
        let track = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        exchange(&mut peers, str::to_owned);
        for side in 0..2 {
            let session = peers.session(side);
            assert!(session.transceivers().all(|one| one.extension_id(HAND).is_none()), "{named_by} {side}");
        }
        let answer = peers.session(1).local_description().unwrap().text().to_owned();
        assert!(!answer.contains(HAND));
        let codec = peers.session(0).transceiver(track).unwrap().send_codecs()[0].payload_type;
        let longest = peers.session(0).max_rtp_payload(track, codec).unwrap();
        let mut packet = OutgoingRtp::new(codec, RtpTimestamp(0), true, vec![0; longest].into());
        packet.raw_extensions = raw(&[(HAND, &[0; 100])]);
        match peers.session(0).send_rtp(now, track, packet) {
            Ok(()) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// RFC 8285 §6: an extension in one direction is sent in that one only.
#[test]
fn an_extension_of_one_direction_goes_one_way() {
    let mut peers = peers(74, &[HAND]);
    let track = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    // Side 1 reads that side 0 only receives it.
    exchange(&mut peers, |text| {
        let own = text.lines().find(|line| line.contains(HAND)).unwrap().to_owned();
        let (id, uri) = own.split_once(' ').unwrap();
        let id = id.split_once('/').map_or(id, |(id, _)| id);
        text.replace(&own, &format!("{id}/recvonly {uri}"))
    });
    peers.connect();
    let id = |session: &mut Session| session.transceivers().next().unwrap().extension_id(HAND);
    assert!((0..2).all(|side| id(peers.session(side)).is_some()));
    // The answer was changed as well, so that each believes that the other takes it and does not send it.
    let (_, arrived) = pass(&mut (peers, track), ContentExtensions::default(), raw(&[(HAND, &[1])]));
    assert!(arrived.is_empty());
}

#[test]
fn elements_that_are_too_long_are_refused() {
    let mut both = connected(75, &[HAND, LAYERS], TrackKind::Video, true);
    let (peers, track) = (&mut both.0, both.1);
    let now = peers.simulation.now();
    let codec = peers.session(0).transceiver(track).unwrap().send_codecs()[0].payload_type;
    let longest = peers.session(0).max_rtp_payload(track, codec).unwrap();
    let elements = raw(&[(HAND, &[0; 255]), (LAYERS, &[0; 255])]);
    let mut sent = |size| {
        let mut packet = OutgoingRtp::new(codec, RtpTimestamp(0), true, vec![0; size].into());
        packet.raw_extensions = elements.clone();
        peers.session(0).send_rtp(now, track, packet)
    };
    let Err(SessionError::PacketTooLong { size, limit }) = sent(longest) else { panic!() };
    assert!(size > limit + 500);
    sent(longest - (size - limit)).unwrap();
    assert!(matches!(sent(longest - (size - limit) + 1), Err(SessionError::PacketTooLong { .. })));
    peers.run_until(Duration::from_secs(1), |_| false);
    let now = peers.simulation.now();
    let report = peers.session(0).stats(now);
    let discarded = report.iter().find_map(|entry| match entry {
        Stats::Transport(transport) => Some(transport.packets_discarded_on_send),
        _ => None,
    });
    // The batch of the simulation has less than the limit of the session.
    assert_eq!(discarded, Some(1));
    let mut raw = RawExtensions::default();
    let uri = ExtensionUri::new(HAND).unwrap();
    assert_eq!(raw.insert(&uri, &[0; 256]).unwrap_err().limit, 255);
    assert!(raw.is_empty());
}
