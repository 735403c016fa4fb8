//! Multicast DNS: arbitrary datagrams to a querier with open questions and to an answerer with names. What they
//! say is well-formed, and only what was asked for is believed.
#![no_main]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::net::mdns::{Answerer, AnswererConfig, LocalName, Querier, QuerierConfig};
use libfuzzer_sys::fuzz_target;

fn hand_over(layer: &mut impl Layer, now: Instant, from: SocketAddr, bytes: &[u8]) {
    let path = FiveTuple::udp(([0, 0, 0, 0], 0).into(), from);
    let _ = layer.handle_datagram(now, Datagram::new(path, &mut bytes.to_vec()));
}

fn sent(layer: &mut impl Layer, now: Instant) -> Vec<(FiveTuple, Vec<u8>)> {
    let mut batch = TransmitBatch::new(1200);
    let mut sent = Vec::new();
    while let Some(transmit) = layer.poll_transmit(now, &mut batch) {
        sent.push((transmit.path.expect("a destination"), batch.bytes(&transmit).to_vec()));
    }
    sent
}

fuzz_target!(|data: &[u8]| {
    let now = Instant::now();
    let names: Vec<LocalName> =
        ["peer.local", "me.local"].map(|name| name.parse().expect("a name")).into_iter().collect();
    let mut querier = Querier::new(QuerierConfig::default());
    let mut answerer = Answerer::new(AnswererConfig::default());
    for name in &names {
        querier.ask(now, name.clone()).expect("room for two");
    }
    answerer.add(names[1].clone(), [192, 0, 2, 1].into()).expect("room for one");
    let questions = sent(&mut querier, now);
    assert_eq!(questions.len(), 8);

    let peers: [SocketAddr; 2] = [([192, 0, 2, 7], 5353).into(), ([192, 0, 2, 7], 999).into()];
    for peer in peers {
        hand_over(&mut querier, now, peer, data);
        hand_over(&mut answerer, now, peer, data);
    }
    let mut resolved = 0;
    while let Some(resolution) = querier.poll_event() {
        assert!(names.contains(&resolution.name));
        let ip = resolution.result.expect("no time has passed");
        assert!(!ip.is_unspecified() && !ip.is_multicast());
        resolved += 1;
    }
    assert!(resolved <= 2);
    assert_eq!(querier.poll_timeout().is_none(), resolved == 2);

    // What is answered, a querier understands.
    for (path, answer) in sent(&mut answerer, now) {
        assert!(peers.contains(&path.remote) || path.remote == ([224, 0, 0, 251], 5353).into());
        let mut other = Querier::new(QuerierConfig::default());
        other.ask(now, names[1].clone()).expect("room for one");
        hand_over(&mut other, now, peers[0], &answer);
        assert_eq!(other.poll_event().expect("an answer").result, Ok([192, 0, 2, 1].into()));
    }

    // The time limit ends what is left.
    for second in 1..=5 {
        querier.handle_timeout(now + Duration::from_secs(second));
    }
    while let Some(resolution) = querier.poll_event() {
        assert!(resolution.result.is_err());
        resolved += 1;
    }
    assert_eq!((resolved, querier.poll_timeout()), (2, None));
});
