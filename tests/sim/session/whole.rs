//! Whole connections with data and video over networks of every kind.

use kaon_rtc::session::StatsReport;

use super::*;
use crate::seeds::seeds;

const SEEDS: u64 = 2000;
const FRAMES: u32 = 45;
const PACKETS: u32 = 3;
const MESSAGES: u8 = 20;

struct Outcome {
    /// In hundredths.
    loss: u64,
    missing: usize,
    /// Reports of both sides came to the other.
    is_reported: bool,
}

fn run(seed: u64) -> Outcome {
    let random = SeededRandom::new(seed);
    let below = |limit: u64| random.next_u64() % limit;
    let loss = below(21);
    let link = Link {
        delay: Duration::from_millis(below(301)),
        jitter: Duration::from_millis(below(30)),
        loss: loss as f64 / 100.0,
        reordering: below(10) as f64 / 100.0,
        duplication: below(10) as f64 / 100.0,
        ..Link::default()
    };
    let mut peers = Peers::new(seed, link);
    let now = peers.simulation.now();
    let chat = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    let video = peers.session(0).add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    peers.negotiate(0);
    peers.connect();
    assert!(peers.run_until(Duration::from_secs(60), |peers| peers.channel(1, "chat").is_some()));
    let there = peers.channel(1, "chat").unwrap();
    let sent: Vec<Bytes> = (0..MESSAGES).map(|i| vec![i; 1 + 331 * usize::from(i)].into()).collect();
    let payload_type = peers.session(0).transceiver(video).unwrap().send_codecs()[0].payload_type;
    for frame in 0..FRAMES {
        let now = peers.simulation.now();
        if let Some(message) = sent.get(frame as usize) {
            peers.session(0).send_message(now, chat, MessageKind::Binary, message.clone()).unwrap();
        }
        for part in 0..PACKETS {
            let payload = vec![part as u8; 700].into();
            let packet =
                OutgoingRtp::new(payload_type, RtpTimestamp(frame * 3000), part + 1 == PACKETS, payload);
            peers.session(0).send_rtp(now, video, packet).unwrap();
        }
        peers.run_until(Duration::from_millis(33), |_| false);
    }
    assert!(peers.run_until(Duration::from_secs(120), |p| p.messages(1, there).len() == sent.len()));
    peers.run_until(Duration::from_secs(4), |_| false);
    assert_eq!(peers.messages(1, there), sent);

    let node = peers.simulation.layer_mut(peers.hosts[1]);
    assert!(node.received.iter().all(|(_, _, _, payload)| payload.len() == 700));
    let mut numbers: Vec<_> = node.received.iter().map(|packet| packet.1.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let now = peers.simulation.now();
    let has = |report: &StatsReport, kind| report.iter().any(|entry| entry.kind() == kind);
    let is_reported = has(&peers.session(0).stats(now), "remote-inbound-rtp")
        && has(&peers.session(1).stats(now), "remote-outbound-rtp");
    if seed.is_multiple_of(40) {
        let wakes = |peers: &mut Peers| peers.hosts.map(|host| peers.simulation.layer_mut(host).wakes);
        let before = wakes(&mut peers);
        peers.run_until(Duration::from_secs(60), |_| false);
        let after = wakes(&mut peers);
        // Reports every second or so, consent every five, a heartbeat now and then.
        for side in 0..2 {
            let woken = after[side] - before[side];
            assert!(woken < 300, "side {side} woke {woken} times in an idle minute");
        }
        assert!((0..2).all(|side| peers.session(side).connection_state() == ConnectionState::Connected));
    }
    Outcome { loss, missing: (FRAMES * PACKETS) as usize - numbers.len(), is_reported }
}

#[test]
fn data_is_intact_and_video_lacks_what_nack_could_not_save() {
    let mut by_loss = [(0usize, 0usize); 21];
    let mut reported = 0;
    for seed in seeds(SEEDS) {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok(Outcome { loss, missing, is_reported }) => {
                reported += usize::from(is_reported);
                // The first packets and the last show their loss to nobody.
                assert!(missing <= 2 + loss as usize, "seed {seed}: {missing} missing at a loss of {loss} %");
                let (runs, total) = &mut by_loss[loss as usize];
                *runs += 1;
                *total += missing;
            }
            Err(reason) => {
                let text = reason.downcast_ref::<String>().map(String::as_str);
                panic!("seed {seed}: {}", text.unwrap_or("it panicked"));
            }
        }
    }
    // Those that are lost are not repeated, and a stream of a second and a half has a report or two.
    assert!(reported > SEEDS as usize * 8 / 10, "only {reported} of {SEEDS} were reported on");
    for (loss, (runs, missing)) in by_loss.into_iter().enumerate() {
        let share = missing as f64 / (runs * (FRAMES * PACKETS) as usize) as f64;
        println!("loss {loss} %: {:.2} % of packets missing in {runs} runs", 100.0 * share);
        assert!(share <= 0.005 + 0.002 * loss as f64, "{share} of packets missing at a loss of {loss} %");
    }
}
