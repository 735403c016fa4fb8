//! Whole connections whose machines change their networks.

use super::*;

/// Reliable messages both ways while the addresses of both sides come and go.
#[test]
fn no_reliable_message_is_lost_while_addresses_come_and_go() {
    for seed in seeds(60) {
        let random = SeededRandom::new(seed ^ 0xfeed);
        let up_to = |most: u64| random.next_u64() % (most + 1);
        let link =
            Link { delay: Duration::from_millis(5 + up_to(80)), loss: up_to(8) as f64 / 100.0, ..link() };
        let mut peers = Peers::new(seed, link);
        let now = peers.simulation.now();
        let here = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
        peers.negotiate(0);
        let mut current: [Vec<String>; 2] =
            [vec!["10.0.0.1:5000".to_owned()], vec!["10.0.0.2:5000".to_owned()]];
        let mut sent = [0u32; 2];
        for number in 0..10 {
            let pause =
                Duration::from_millis([0, up_to(300), up_to(4_000), up_to(30_000)][up_to(3) as usize]);
            peers.run_until(pause, |_| false);
            let there = peers.channel(1, "chat");
            for (side, channel) in [(0, Some(here)), (1, there)] {
                for _ in 0..up_to(20) {
                    let now = peers.simulation.now();
                    let Some(channel) = channel else { break };
                    let message = Bytes::from(sent[side].to_be_bytes().repeat(200));
                    if peers.session(side).send_message(now, channel, MessageKind::Binary, message).is_ok() {
                        sent[side] += 1;
                    }
                }
            }
            for side in 0..1 + up_to(1) as usize {
                let side = if number % 2 == 0 { side } else { 1 - side };
                let new = format!("10.{}.{number}.1:6000", side + 1);
                let now = peers.simulation.now();
                let host = peers.hosts[side];
                let gone = (up_to(2) > 0).then(|| current[side].remove(0));
                if let Some(gone) = gone {
                    let gone: std::net::SocketAddr = gone.parse().unwrap();
                    peers.simulation.network().remove_address(host, gone.ip());
                    peers.session(side).remove_host_address(now, gone);
                }
                // An address is there again after some seconds at most.
                if up_to(1) == 0 {
                    peers.run_until(Duration::from_millis(up_to(6_000)), |_| false);
                }
                let now = peers.simulation.now();
                let address: std::net::SocketAddr = new.parse().unwrap();
                peers.simulation.network().add_address(host, address.ip());
                peers.session(side).add_host_address(now, address).unwrap();
                current[side].push(new);
            }
        }
        let there = (0..600).find_map(|_| {
            peers.run_until(Duration::from_millis(100), |_| false);
            peers.channel(1, "chat")
        });
        let there = there.unwrap_or_else(|| {
            let now = peers.simulation.now();
            let tell = |session: &Session| {
                let pairs = session.stats(now);
                let pairs: Vec<_> =
                    pairs.iter().filter(|entry| matches!(entry, Stats::CandidatePair(_))).cloned().collect();
                format!(
                    "{:?} {:?} {:?} {pairs:#?}",
                    session.ice_connection_state(),
                    session.selected_pair(),
                    session.data_failure()
                )
            };
            let [a, b] = [0, 1].map(|side| tell(peers.session(side)));
            panic!("seed {seed}: no channel, {current:?}, {a} {b}")
        });
        let is_all = |peers: &mut Peers| {
            peers.messages(1, there).len() == sent[0] as usize
                && peers.messages(0, here).len() == sent[1] as usize
        };
        let is_delivered = peers.run_until(Duration::from_secs(120), is_all);
        let arrived = [peers.messages(1, there).len(), peers.messages(0, here).len()];
        let ends = [0, 1].map(|side| {
            let session = peers.session(side);
            (session.ice_connection_state(), session.data_failure().cloned())
        });
        assert!(is_delivered, "seed {seed}: of {sent:?} only {arrived:?} arrived, {ends:?}");
        for (side, id) in [(1, there), (0, here)] {
            let numbers = peers.messages(side, id);
            let in_order =
                (0u32..).zip(&numbers).all(|(number, message)| message[..4] == number.to_be_bytes());
            assert!(in_order, "seed {seed}");
        }
        assert!(!peers.events.iter().flatten().any(|event| {
            matches!(event, SessionEvent::ConnectionState { state: ConnectionState::Failed, .. })
        }));
    }
}
