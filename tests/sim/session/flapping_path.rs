use kaon_rtc::stun::{Class, ErrorCode, IntegrityKey, Message, MessageBuilder, Method, TransactionId};

use super::*;

/// A peer that answers checks, refuses each nomination, and checks again from another port now and then, has the path
/// come and go: the handshake is not waited for without end.
#[test]
fn a_peer_whose_path_comes_and_goes_has_no_more_time_for_the_handshake() {
    let epoch = Instant::now();
    let local: std::net::SocketAddr = "10.0.0.1:5000".parse().unwrap();
    let mut remote: std::net::SocketAddr = "10.0.0.2:5000".parse().unwrap();
    let [mut session, mut puppet] = [(21, local), (22, remote)].map(|(seed, address)| {
        let mut session = Session::new(epoch, config(seed));
        session.add_host_address(epoch, address).unwrap();
        session.end_of_host_addresses(epoch);
        session
    });
    session.create_data_channel(epoch, ChannelInit::new("chat")).unwrap();
    session.set_local_description(epoch, None).unwrap();
    session.handle_timeout(epoch);
    let offer = session.local_description().unwrap().text();
    puppet.set_remote_description(epoch, &Description::offer(&offer).unwrap()).unwrap();
    puppet.set_local_description(epoch, None).unwrap();
    puppet.handle_timeout(epoch);
    let answer = puppet.local_description().unwrap().text();
    session.set_remote_description(epoch, &Description::answer(&answer).unwrap()).unwrap();
    let value = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    let provider = crypto::provider();
    let their = |text: &str| {
        (value(text, "a=ice-ufrag:"), IntegrityKey::short_term(&provider, &value(text, "a=ice-pwd:")))
    };
    let ((our_ufrag, our_key), (puppet_ufrag, puppet_key)) = (their(&offer), their(&answer));

    let (mut now, mut paths, mut number) = (epoch, 0, 0u64);
    let mut batch = TransmitBatch::new(1228).with_max_segments(1);
    let mut next_check = epoch;
    let mut ended = None;
    while now < epoch + Duration::from_secs(600) && ended.is_none() {
        session.handle_timeout(now);
        let mut replies: Vec<(FiveTuple, Vec<u8>)> = Vec::new();
        while let Some(transmit) = session.poll_transmit(now, &mut batch) {
            let path = transmit.path.unwrap();
            for datagram in batch.datagrams(&transmit) {
                let Ok(message) = Message::decode(datagram) else { continue };
                if message.class() != Class::Request || path.remote != remote {
                    continue;
                }
                let mut reply = Vec::new();
                let id = message.transaction_id();
                if message.use_candidate() {
                    MessageBuilder::new(&mut reply, Class::Error, Method::BINDING, id)
                        .error_code(ErrorCode::BAD_REQUEST)
                        .integrity(&puppet_key)
                        .fingerprint()
                        .finish()
                        .unwrap();
                    next_check = now;
                } else {
                    MessageBuilder::new(&mut reply, Class::Success, Method::BINDING, id)
                        .xor_mapped_address(path.local)
                        .integrity(&puppet_key)
                        .fingerprint()
                        .finish()
                        .unwrap();
                }
                replies.push((path, reply));
            }
            batch.clear();
        }
        for (path, mut reply) in replies {
            let _ = session.handle_datagram(now, Datagram::new(path, &mut reply));
        }
        if now >= next_check {
            number += 1;
            if number % 20 == 0 {
                remote.set_port(remote.port() + 1);
            }
            let mut id = [0; 12];
            id[..8].copy_from_slice(&number.to_be_bytes());
            let mut check = Vec::new();
            MessageBuilder::new(&mut check, Class::Request, Method::BINDING, TransactionId(id))
                .ice_username(&our_ufrag, &puppet_ufrag)
                .priority(1 << 24)
                .ice_controlled(7)
                .integrity(&our_key)
                .fingerprint()
                .finish()
                .unwrap();
            session.handle_datagram(now, Datagram::new(FiveTuple::udp(local, remote), &mut check)).ok();
            next_check = now + Duration::from_secs(1);
        }
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::SelectedPair(_) => paths += 1,
                SessionEvent::ConnectionState { state: ConnectionState::Failed, .. } => {
                    ended = Some(now - epoch)
                }
                _ => {}
            }
        }
        now += Duration::from_millis(10);
    }
    println!("{paths} paths came and went; ended after {ended:?}");
    assert!(ended.is_some_and(|after| after < Duration::from_secs(120)), "{paths} paths, {ended:?}");
}
