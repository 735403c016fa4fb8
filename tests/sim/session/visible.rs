use super::*;

/// One side, and what it has sent and signalled that the other has not yet been given.
struct Side {
    session: Session,
    channels: Vec<ChannelId>,
    address: std::net::SocketAddr,
    outbox: Vec<(FiveTuple, Vec<u8>)>,
    candidates: Vec<kaon_rtc::session::IceCandidateInit>,
    description: Option<Description>,
}

/// What the getters of a session say.
fn view(session: &Session, now: Instant) -> Vec<String> {
    let channels = session.channels().map(|id| {
        let (init, state) = (session.channel(id), session.channel_state(id));
        format!("{id:?} {init:?} {state:?} {}", session.buffered_amount(id))
    });
    let mut told = vec![
        format!("{:?}", session.local_description().map(|description| description.text())),
        format!("{:?}", session.remote_description().map(Description::text)),
        format!("{:?} {:?}", session.current_descriptions(), session.pending_descriptions()),
        format!("{:?} {:?}", session.connection_state(), session.ice_connection_state()),
        format!("{:?} {:?}", session.gathering_state(), session.signaling_state()),
        format!("{:?} {}", session.selected_pair(), session.local_ufrag()),
        format!("{} {:?}", session.is_negotiation_needed(), session.max_message_size()),
        format!("{:?}", session.transceivers().collect::<Vec<_>>()),
        format!("{:?}", session.stats(now)),
    ];
    told.extend(channels);
    told
}

/// A random order of calls, from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Polls, and compares what is told before and after.
fn compare(side: &mut Side, now: Instant, seed: u64, calls: &[String]) {
    let before = view(&side.session, now);
    while let Some(event) = side.session.poll_event() {
        match event {
            SessionEvent::IceCandidate(candidate) => side.candidates.push(candidate),
            SessionEvent::DataChannel(ChannelEvent::OpenedByPeer(id)) => side.channels.push(id),
            _ => {}
        }
    }
    let after = view(&side.session, now);
    assert!(
        before == after,
        "seed {seed}, after {:?}:\n{before:#?}\nand after a poll\n{after:#?}",
        &calls[calls.len().saturating_sub(4)..]
    );
}

fn call(sides: &mut [Side; 2], which: usize, now: Instant, dice: &mut Dice) -> &'static str {
    let [first, second] = sides;
    let (here, there) = if which == 0 { (first, second) } else { (second, first) };
    let session = &mut here.session;
    match dice.roll(17) {
        0 => {
            session.add_host_address(now, here.address).unwrap_or_default();
            "add_host_address"
        }
        1 => {
            session.end_of_host_addresses(now);
            "end_of_host_addresses"
        }
        2 => {
            here.channels.extend(session.create_data_channel(now, ChannelInit::new("chat")));
            "open_channel"
        }
        3 if dice.roll(4) == 0 => {
            let _ = session.add_transceiver(TrackKind::Audio, TransceiverInit::default());
            "add_transceiver"
        }
        4 | 5 => {
            if session.set_local_description(now, None).is_ok() {
                here.description = session.local_description();
            }
            "set_local_description"
        }
        6 | 7 => {
            if let Some(description) = &there.description {
                let _ = session.set_remote_description(now, description);
            }
            "set_remote_description"
        }
        8 => {
            for candidate in there.candidates.drain(..) {
                let _ = session.add_ice_candidate(now, &candidate);
            }
            "add_ice_candidate"
        }
        9 => {
            session.handle_timeout(now);
            "handle_timeout"
        }
        10..=12 => {
            let mut out = TransmitBatch::new(1228);
            while let Some(transmit) = session.poll_transmit(now, &mut out) {
                let path = transmit.path.unwrap();
                here.outbox.extend(out.datagrams(&transmit).map(|datagram| (path, datagram.to_vec())));
            }
            "poll_transmit"
        }
        13 | 14 => {
            for (path, mut bytes) in there.outbox.drain(..) {
                let back = FiveTuple::udp(path.remote, path.local);
                let _ = session.handle_datagram(now, Datagram::new(back, &mut bytes));
            }
            "handle_datagram"
        }
        15 => {
            for id in here.channels.clone() {
                let _ = session.send_message(now, id, MessageKind::Binary, vec![7; 3000].into());
                let _ = session.receive_message(id);
            }
            "send_message and receive_message"
        }
        _ => rare_call(here, now, dice),
    }
}

fn rare_call(here: &mut Side, now: Instant, dice: &mut Dice) -> &'static str {
    match dice.roll(24) {
        0..=5 => {
            if let Some(id) = here.channels.pop() {
                let _ = here.session.close_channel(now, id);
            }
            "close_channel"
        }
        6 | 7 => {
            here.session.restart_ice();
            "restart_ice"
        }
        8..=10 => {
            let _ = here.session.set_local_description(now, Some(&Description::rollback()));
            "rollback"
        }
        11 => {
            here.session.close(now);
            "close"
        }
        _ => {
            here.channels.iter().for_each(|id| here.session.discard_messages(*id));
            "discard_messages"
        }
    }
}

/// Whatever a call has made true is visible right after it: in a random order of calls, no getter says anything else
/// after a poll than before.
#[test]
fn what_a_call_has_made_true_is_visible_right_after_it() {
    let mut connected = 0;
    for seed in 0..150 {
        let mut now = Instant::now();
        let mut dice = Dice(seed);
        let mut calls = Vec::new();
        let mut sides = [0, 1].map(|side| Side {
            session: Session::new(now, config(seed * 2 + side)),
            channels: Vec::new(),
            address: format!("10.0.0.{}:5000", side + 1).parse().unwrap(),
            outbox: Vec::new(),
            candidates: Vec::new(),
            description: None,
        });
        for _ in 0..400 {
            let which = dice.roll(2);
            let called = call(&mut sides, which, now, &mut dice);
            calls.push(format!("{called} of {which}"));
            if dice.roll(3) > 0 {
                compare(&mut sides[which], now, seed, &calls);
            }
            now += Duration::from_millis([0, 0, 1, 60, 700][dice.roll(5)]);
            if dice.roll(200) == 0 {
                now += Duration::from_secs(45);
            }
        }
        let is_connected = |side: &Side| side.session.stats(now).iter().any(has_connected);
        connected += usize::from(sides.iter().any(is_connected));
    }
    assert!(connected > 30, "only {connected} have connected: nothing was compared");
}

fn has_connected(entry: &Stats) -> bool {
    matches!(entry, Stats::Transport(transport) if transport.selected_candidate_pair_changes > 0)
}

/// Two sides that signal at once, without a poll in between, have each other's candidates.
#[test]
fn a_description_has_the_candidates_of_addresses_given_before() {
    let now = Instant::now();
    let mut session = Session::new(now, config(1));
    session.add_host_address(now, "10.0.0.1:5000".parse().unwrap()).unwrap();
    session.end_of_host_addresses(now);
    session.create_data_channel(now, ChannelInit::new("chat")).unwrap();
    session.set_local_description(now, None).unwrap();
    let text = session.local_description().unwrap().text();
    assert!(text.contains("10.0.0.1 5000 typ host") && text.contains("a=end-of-candidates"), "{text}");
}
