//! The feature `serde`: what is written and read is the JSON of browsers.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use kaon_rtc::crypto::default_provider;
use kaon_rtc::datachannel::{ChannelInit, ChannelState, MessageKind};
use kaon_rtc::layer::{
    CandidateKind, CandidatePairState, DtlsRole, IceConnectionState, IceRole, Layer, NtpTimestamp, Protocol,
    RtpTimestamp, TcpKind,
};
use kaon_rtc::sdp::Direction;
use kaon_rtc::session::{
    ConnectionState, Description, DescriptionKind, DtlsState, GatheringState, IceCandidateInit, OutgoingRtp,
    Session, SessionConfig, SignalingState, TrackKind, TransceiverInit,
};
use kaon_rtc::sim::{Link, Network, Simulation};
use serde_json::{Value, from_str, json, to_value};

const SDP: &str = "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

#[test]
fn descriptions_of_browsers_are_read_and_written() {
    // As JSON.stringify writes an RTCSessionDescription, escapes and all.
    let text = format!(r#"{{"type":"offer","sdp":"{}"}}"#, SDP.replace("\r\n", "\\r\\n"));
    let offer: Description = from_str(&text).unwrap();
    assert_eq!((offer.kind, offer.text().as_str()), (DescriptionKind::Offer, SDP));
    assert_eq!(to_value(&offer).unwrap(), json!({ "type": "offer", "sdp": SDP }));
    assert_eq!(serde_json::to_string(&offer).unwrap(), text);

    for kind in ["offer", "answer", "pranswer"] {
        let wrapped = json!({ "room": [1, { "x": null }], "sdp": SDP, "type": kind, "simulcast": false });
        let read: Description = serde_json::from_value(wrapped).unwrap();
        assert_eq!(read.kind.name(), kind);
    }
    for rollback in
        [r#"{"type":"rollback"}"#, r#"{"type":"rollback","sdp":""}"#, r#"{"type":"rollback","sdp":null}"#]
    {
        assert_eq!(from_str::<Description>(rollback).unwrap(), Description::rollback());
    }
    assert_eq!(to_value(Description::rollback()).unwrap(), json!({ "type": "rollback", "sdp": "" }));
}

#[test]
fn what_is_no_description_is_refused_with_the_reason() {
    let error = |text: &str| from_str::<Description>(text).unwrap_err().to_string();
    assert!(error(r#"{"sdp":"v=0\r\n"}"#).contains("missing field `type`"));
    assert!(error(r#"{"type":"proposal","sdp":""}"#).contains("unknown variant `proposal`"));
    assert!(
        error(r#"{"type":"offer","sdp":"v=1\r\n"}"#).contains("line 1"),
        "{}",
        error(r#"{"type":"offer","sdp":"v=1\r\n"}"#)
    );
    for text in
        [r#"{"type":"offer"}"#, r#"{"type":"answer","sdp":null}"#, "[]", "7", r#"{"type":"offer","sdp":7}"#]
    {
        from_str::<Description>(text).unwrap_err();
    }
}

#[test]
fn candidates_of_browsers_are_read_and_written() {
    let text = r#"{"candidate":"candidate:1 1 udp 2122260223 192.0.2.1 46243 typ host generation 0 ufrag EEtu","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"EEtu"}"#;
    let read: IceCandidateInit = from_str(text).unwrap();
    assert_eq!((read.sdp_mid.as_deref(), read.sdp_m_line_index), (Some("0"), Some(0)));
    assert_eq!(read.username_fragment.as_deref(), Some("EEtu"));
    assert_eq!(serde_json::to_string(&read).unwrap(), text);

    // The end of candidates, as browsers and those who write less tell it.
    for end in [
        r#"{"candidate":"","sdpMid":null,"sdpMLineIndex":null,"usernameFragment":null}"#,
        r#"{"candidate":""}"#,
        r#"{"candidate":null,"sdpMid":null}"#,
        r#"{"address":null,"port":null,"foundation":"","extra":{"a":[1]}}"#,
        "{}",
    ] {
        let read: IceCandidateInit = from_str(end).unwrap();
        assert_eq!(read, IceCandidateInit::default(), "{end}");
        assert_eq!(to_value(&read).unwrap().as_object().unwrap().len(), 4);
    }
    from_str::<IceCandidateInit>(r#"{"candidate":"","sdpMLineIndex":-1}"#).unwrap_err();
}

#[test]
fn states_have_the_names_of_the_w3c() {
    macro_rules! names {
        ($($type:ident { $($variant:ident: $name:literal),* })*) => {$($(
            assert_eq!(to_value($type::$variant).unwrap(), $name);
            assert_eq!(serde_json::from_value::<$type>(json!($name)).unwrap(), $type::$variant);
        )*)*};
    }
    names! {
        SignalingState {
            Stable: "stable", HaveLocalOffer: "have-local-offer", HaveRemoteOffer: "have-remote-offer",
            HaveLocalPrAnswer: "have-local-pranswer", HaveRemotePrAnswer: "have-remote-pranswer", Closed: "closed"
        }
        ConnectionState {
            New: "new", Connecting: "connecting", Connected: "connected", Disconnected: "disconnected",
            Failed: "failed", Closed: "closed"
        }
        GatheringState { New: "new", Gathering: "gathering", Complete: "complete" }
        IceConnectionState {
            New: "new", Checking: "checking", Connected: "connected", Completed: "completed",
            Disconnected: "disconnected", Failed: "failed", Closed: "closed"
        }
        DtlsState {
            New: "new", Connecting: "connecting", Connected: "connected", Closed: "closed", Failed: "failed"
        }
        TrackKind { Audio: "audio", Video: "video" }
        IceRole { Controlling: "controlling", Controlled: "controlled" }
        DtlsRole { Client: "client", Server: "server" }
        CandidateKind { Host: "host", ServerReflexive: "srflx", PeerReflexive: "prflx", Relayed: "relay" }
        CandidatePairState {
            Frozen: "frozen", Waiting: "waiting", InProgress: "in-progress", Succeeded: "succeeded",
            Failed: "failed"
        }
        Protocol { Udp: "udp", Tcp: "tcp" }
        TcpKind { Active: "active", Passive: "passive", SimultaneousOpen: "so" }
        ChannelState { Connecting: "connecting", Open: "open", Closing: "closing" }
        Direction { SendRecv: "sendrecv", SendOnly: "sendonly", RecvOnly: "recvonly", Inactive: "inactive" }
    }
}

/// Two sessions that have sent messages and video over a network that loses some.
fn connected() -> [Value; 2] {
    let epoch = Instant::now();
    let mut network = Network::new(5, epoch);
    network.set_default_link(Link { delay: Duration::from_millis(20), loss: 0.02, ..Link::default() });
    let mut simulation = Simulation::new(network).with_max_datagram(1228);
    let mut sessions = [1, 2].map(|last| {
        let mut config = SessionConfig::generate(default_provider().unwrap()).unwrap();
        // The beginning of 2026.
        config.ntp_epoch = NtpTimestamp::from_duration(Duration::from_secs(2_208_988_800 + 1_767_225_600));
        let mut session = Session::new(epoch, config);
        session.add_host_address(epoch, ([10, 0, 0, last], 5000).into()).unwrap();
        session.end_of_host_addresses(epoch);
        session
    });
    let [alice, bob] = &mut sessions;
    let chat = alice.create_data_channel(epoch, ChannelInit::new("chat")).unwrap();
    let video = alice.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    alice.set_local_description(epoch, None).unwrap();
    // Through JSON, as signalling takes it.
    let through_json = |session: &Session| -> Description {
        from_str(&serde_json::to_string(&session.local_description().unwrap()).unwrap()).unwrap()
    };
    bob.set_remote_description(epoch, &through_json(alice)).unwrap();
    bob.set_local_description(epoch, None).unwrap();
    alice.set_remote_description(epoch, &through_json(bob)).unwrap();

    let mut last = 0;
    let hosts = sessions.map(|session| {
        last += 1;
        let host = simulation.network().add_host([[10, 0, 0, last].into()]);
        simulation.add_layer(host, session);
        host
    });
    let is_connected = |simulation: &mut Simulation<Session>| {
        hosts.iter().all(|host| {
            let session = simulation.layer_mut(*host);
            while session.poll_event().is_some() {}
            session.connection_state() == ConnectionState::Connected
        })
    };
    assert!(simulation.run_until(Duration::from_secs(20), is_connected));
    for frame in 0..200 {
        let now = simulation.now();
        let alice = simulation.layer_mut(hosts[0]);
        // Until it is open there is none.
        let _ = alice.send_message(now, chat, MessageKind::Text, "hello".into());
        let payload_type = alice.transceiver(video).unwrap().send_codecs()[0].payload_type;
        let packet = OutgoingRtp::new(payload_type, RtpTimestamp(frame * 3000), true, vec![0x10; 900].into());
        alice.send_rtp(now, video, packet).unwrap();
        simulation.run_until(Duration::from_millis(33), |_| false);
    }
    let now = simulation.now();
    hosts.map(|host| to_value(simulation.layer_mut(host).stats(now)).unwrap())
}

/// The entries of a kind.
fn of_kind<'a>(report: &'a Value, kind: &'a str) -> Vec<&'a Value> {
    report.as_object().unwrap().values().filter(|entry| entry["type"] == kind).collect()
}

#[test]
fn reports_have_the_shape_of_those_of_browsers() {
    let [ours, theirs] = connected();
    for report in [&ours, &theirs] {
        for (id, entry) in report.as_object().unwrap() {
            assert_eq!(entry["id"], *id);
            let time = entry["timestamp"].as_f64().unwrap();
            assert!((1_767_225_600_000.0..1_767_225_700_000.0).contains(&time), "{time}");
            for (name, value) in entry.as_object().unwrap() {
                assert!(!value.is_null(), "{name} has no value and is told");
                assert!(
                    name.chars().all(char::is_alphanumeric) && !name.starts_with(char::is_uppercase),
                    "{name}"
                );
                // Entries name each other.
                if name.ends_with("Id") {
                    assert!(report.get(value.as_str().unwrap()).is_some(), "{name} {value}");
                }
                if name.ends_with("Timestamp") {
                    assert!(
                        (1_767_225_600_000.0..=time).contains(&value.as_f64().unwrap()),
                        "{name} {value}"
                    );
                }
            }
        }
        let transport = of_kind(report, "transport")[0];
        assert_eq!(
            (&transport["dtlsState"], &transport["iceState"]),
            (&json!("connected"), &json!("completed"))
        );
        assert_eq!(transport["srtpCipher"], "SRTP_AEAD_AES_128_GCM");
        let pair = &report[transport["selectedCandidatePairId"].as_str().unwrap()];
        assert_eq!((&pair["state"], &pair["nominated"]), (&json!("succeeded"), &json!(true)));
        assert_eq!(pair["currentRoundTripTime"], 0.04);
        let local = &report[pair["localCandidateId"].as_str().unwrap()];
        assert_eq!((&local["candidateType"], &local["protocol"]), (&json!("host"), &json!("udp")));
        assert_eq!(of_kind(report, "certificate")[0]["fingerprintAlgorithm"], "sha-256");
        assert_eq!(of_kind(report, "data-channel")[0]["state"], "open");
    }
    let sent = of_kind(&ours, "outbound-rtp")[0];
    assert_eq!((&sent["kind"], &sent["active"]), (&json!("video"), &json!(true)));
    assert!(sent["packetsSent"].as_u64().unwrap() >= 200);
    let received = of_kind(&theirs, "inbound-rtp")[0];
    assert_eq!(received["ssrc"], sent["ssrc"]);
    assert!(received["jitter"].as_f64().unwrap() < 0.01);
    let reported = of_kind(&ours, "remote-inbound-rtp")[0];
    assert_eq!(reported["localId"], sent["id"]);
    assert!((0.039..0.042).contains(&reported["roundTripTime"].as_f64().unwrap()));
    let told = of_kind(&theirs, "remote-outbound-rtp")[0];
    assert!(told["remoteTimestamp"].as_f64().unwrap() > 1_767_225_600_000.0);
    let codec = &ours[sent["codecId"].as_str().unwrap()];
    assert_eq!((&codec["mimeType"], &codec["clockRate"]), (&json!("video/VP8"), &json!(90000)));
}
