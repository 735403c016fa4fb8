use super::*;
use crate::stun::{AttributeType, Class, MessageBuilder, TransactionId};

#[test]
fn lost_datagrams_are_made_up_for() {
    let mut ended = 0;
    for seed in 0..200 {
        let mut play = Play::with_seed(config(), seed);
        play.loss = 80;
        play.client.bind(play.now, peer()).unwrap();
        // Every second exchange fails; a transaction has seven.
        play.secs(3000);
        play.loss = 0;
        play.secs(700);
        let has_failed = play.take_events().iter().any(|event| matches!(event, Event::Failed(_)));
        assert!(has_failed != play.client.channel(peer()).is_some(), "seed {seed}");
        ended += usize::from(has_failed);
    }
    assert!(ended <= 20, "{ended} of 200");
}

#[test]
fn a_silent_server_is_given_up_after_forty_seconds() {
    let mut play = Play::new(config());
    play.loss = 256;
    play.secs(39);
    assert_eq!((play.count(Method::ALLOCATE), play.failure()), (7, None));
    play.secs(1);
    assert_eq!(play.failure(), Some(FailureCause::TimedOut { unproven: None }));
    assert_eq!(play.client.poll_timeout(), None);
}

#[test]
fn what_a_liar_says_is_as_if_it_were_lost() {
    let mut play = Play::new(config());
    play.server.is_liar = true;
    play.secs(10);
    assert_eq!((play.take_events(), play.client.allocation()), (vec![], None));
    play.server.is_liar = false;
    play.secs(10);
    assert!(play.client.allocation().is_some(), "the truth is still waited for");

    // An error that is not signed is not believed, but told in the end.
    let mut play = Play::new(config());
    let refusals = std::iter::repeat_n((Method::ALLOCATE, ErrorCode::ALLOCATION_QUOTA_REACHED), 10);
    play.server.errors.extend(refusals);
    play.server.signs_errors = false;
    play.secs(30);
    assert_eq!(play.failure(), None);
    play.secs(20);
    let unproven = Some(ErrorCode::ALLOCATION_QUOTA_REACHED);
    assert_eq!(play.failure(), Some(FailureCause::TimedOut { unproven }));
}

#[test]
fn datagrams_of_strangers_change_nothing() {
    let mut play = Play::allocated(config());
    play.client.bind(play.now, peer()).unwrap();
    play.carry();
    play.events.clear();
    let good = play.server.peer_sends(path(), peer(), b"data");
    let elsewhere = FiveTuple::udp(path().local, address("198.51.100.1:3479"));
    let mut response = Vec::new();
    MessageBuilder::new(&mut response, Class::Error, Method::REFRESH, TransactionId([9; 12]))
        .error_code(ErrorCode::ALLOCATION_MISMATCH)
        .finish()
        .unwrap();
    let stranger = {
        let mut bytes = Vec::new();
        MessageBuilder::new(&mut bytes, Class::Indication, Method::DATA, TransactionId([9; 12]))
            .xor_address(AttributeType::XOR_PEER_ADDRESS, address("192.0.2.200:1"))
            .attribute(AttributeType::DATA, b"data")
            .finish()
            .unwrap();
        bytes
    };
    let mut request = response.clone();
    request[..2].copy_from_slice(&[0, 1]);
    for (path, datagram) in [
        (elsewhere, good.clone()),
        (path(), response),
        (path(), stranger),
        (path(), request),
        (path(), vec![0x40, 9, 0, 1, 7]),
        (path(), vec![0x40, 0, 0, 9, 7]),
        (path(), vec![]),
        (path(), vec![0xff; 40]),
    ] {
        let opened = play.client.open(play.now, Datagram::new(path, &mut datagram.clone()));
        assert!(opened.is_err(), "{datagram:?}");
    }
    assert_eq!(play.take_events(), []);
    let opened = play.client.open(play.now, Datagram::new(path(), &mut good.clone()));
    assert_eq!(opened, Ok(Opened::Data { peer: peer(), range: 4..8 }));
}

#[test]
fn what_peers_send_is_told_by_icmp_too() {
    let mut play = Play::allocated(config());
    play.client.permit(play.now, peer().ip()).unwrap();
    play.carry();
    play.events.clear();
    let mut datagram = play.server.icmp(peer());
    assert_eq!(play.client.open(play.now, Datagram::new(path(), &mut datagram)), Ok(Opened::Own));
    let icmp = crate::turn::Icmp { kind: 3, code: 3, data: 0 };
    assert_eq!(play.take_events(), [Event::Icmp(peer(), icmp)]);
}

#[test]
fn a_connection_that_broke_is_replaced() {
    let mut stream = config();
    stream.transport = crate::stun::ServerTransport::Tcp;
    let mut play = Play::allocated(stream);
    play.client.bind(play.now, peer()).unwrap();
    play.carry();
    play.events.clear();
    play.client.set_path(play.now, FiveTuple::udp(address("10.0.0.1:5001"), path().remote));
    let events = play.take_events();
    assert!(matches!(events[..2], [Event::Lost, Event::Allocated(_)]), "{events:?}");
    assert!(play.client.channel(peer()).is_some());
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let mut play = Play::allocated(config());
    play.client.permit(play.now, peer().ip()).unwrap();
    play.carry();
    let mut batch = TransmitBatch::new(1200);
    let sent = play.client.send(play.now, peer(), &[0; 1165], &mut batch);
    assert_eq!(sent, Err(ClientError::TooLong { len: 1165, limit: 1164 }));
    assert!(batch.is_empty());
    assert_eq!(play.client.send(play.now, peer(), &[0; 1164], &mut batch).unwrap().len(), 1200);
}
