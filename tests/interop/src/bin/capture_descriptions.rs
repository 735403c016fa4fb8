//! Writes what the browsers describe into `src/sdp/fixtures`, each file named after browser, version and kind:
//!
//! ```text
//! cargo run --package kaon-interop --bin capture_descriptions
//! ```

use std::path::Path;

use kaon_interop::{Browser, Kind, stun_server};
use serde_json::{Value, json};

/// An offer of audio, video and data; one with simulcast and a section that only receives; the answer to each;
/// and an offer after a transceiver was stopped. All with their candidates.
const CAPTURE: &str = "
    const describe = async (connection) => {
        await connection.setLocalDescription();
        while (connection.iceGatheringState !== 'complete')
            await new Promise((resolve) => connection.onicegatheringstatechange = resolve);
        return connection.localDescription;
    };
    const descriptions = {};
    const [one, other] = [0, 1].map(() => new RTCPeerConnection({ iceServers: [{ urls: args }] }));
    const [oneMany, otherMany] = [0, 1].map(() => new RTCPeerConnection({ bundlePolicy: 'max-bundle' }));

    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    for (const track of stream.getTracks()) one.addTrack(track, stream);
    one.createDataChannel('data');
    const offer = await describe(one);
    descriptions.offer = offer.sdp;
    await other.setRemoteDescription(offer);
    for (const track of stream.getTracks()) other.addTrack(track, stream);
    const answer = await describe(other);
    descriptions.answer = answer.sdp;
    await one.setRemoteDescription(answer);

    one.getTransceivers()[0].stop();
    one.restartIce();
    const stopped = await describe(one);
    descriptions.stopped_offer = stopped.sdp;
    await other.setRemoteDescription(stopped);
    descriptions.stopped_answer = (await describe(other)).sdp;

    const sendEncodings = [
        { rid: 'low', scaleResolutionDownBy: 4, maxBitrate: 150000 },
        { rid: 'mid', scaleResolutionDownBy: 2 },
        { rid: 'high', active: false },
    ];
    oneMany.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', streams: [stream], sendEncodings });
    oneMany.addTransceiver('audio', { direction: 'recvonly' });
    const simulcast = await describe(oneMany);
    descriptions.simulcast_offer = simulcast.sdp;
    await otherMany.setRemoteDescription(simulcast);
    descriptions.simulcast_answer = (await describe(otherMany)).sdp;
    return descriptions;
";

fn main() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/sdp/fixtures");
    for kind in [Kind::Chromium, Kind::Firefox] {
        let Some(mut browser) = Browser::start(kind) else { continue };
        // RFC 5737: an address for documents.
        let server = stun_server(browser.host(), "192.0.2.77:7777".parse().unwrap());
        let descriptions = browser.eval(CAPTURE, json!(format!("stun:{server}")));
        let (_, version) = browser.version.split_once('/').unwrap();
        let (version, _) = version.split_once('.').unwrap();
        let Value::Object(descriptions) = descriptions else { panic!("{descriptions}") };
        for (name, text) in descriptions {
            let file = format!("{}_{version}_{name}.sdp", kind.name());
            std::fs::write(fixtures.join(file), text.as_str().unwrap()).unwrap();
        }
    }
}
