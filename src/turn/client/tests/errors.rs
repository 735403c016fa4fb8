use super::*;
use crate::stun::{AttributeType, ChallengeError, LongTermServer, PasswordAlgorithm, RedirectionError};

fn refused(code: ErrorCode) -> Option<FailureCause> {
    Some(FailureCause::Refused { code, retry_after: None })
}

fn code(number: u16) -> ErrorCode {
    ErrorCode::new(number).unwrap()
}

/// A client whose Allocate meets these errors.
fn allocating(errors: impl IntoIterator<Item = ErrorCode>) -> Play {
    let mut play = Play::new(config());
    play.server.errors.extend(errors.into_iter().map(|code| (Method::ALLOCATE, code)));
    play
}

#[test]
fn final_errors_of_allocate_are_told_with_their_code() {
    for code in [400, 403, 440, 442, 446, 600].map(code) {
        let mut play = allocating([code]);
        assert_eq!(play.failure(), refused(code));
        assert_eq!((play.client.poll_timeout(), play.count(Method::ALLOCATE)), (None, 2));
    }
    for code in [ErrorCode::ALLOCATION_QUOTA_REACHED, ErrorCode::INSUFFICIENT_CAPACITY] {
        let retry_after = Some(Duration::from_secs(60));
        assert_eq!(allocating([code]).failure(), Some(FailureCause::Refused { code, retry_after }));
    }
}

#[test]
fn a_server_that_fails_is_asked_again_a_few_times() {
    let mut play = allocating([ErrorCode::SERVER_ERROR; 4]);
    play.secs(15);
    assert!(play.client.allocation().is_some());
    let mut play = allocating([ErrorCode::SERVER_ERROR; 5]);
    play.secs(60);
    assert_eq!(play.failure(), refused(ErrorCode::SERVER_ERROR));
}

#[test]
fn an_attribute_that_is_not_known_is_left_out_once() {
    let mut wish = config();
    wish.dont_fragment = true;
    let mut play = Play::new(wish);
    play.server.errors.push_back((Method::ALLOCATE, ErrorCode::UNKNOWN_ATTRIBUTE));
    play.server.unknown = vec![AttributeType::DONT_FRAGMENT];
    play.carry();
    assert!(play.client.allocation().is_some());
    let has = |request: &Vec<u8>| {
        Message::decode(request).unwrap().attribute(AttributeType::DONT_FRAGMENT).is_some()
    };
    assert_eq!(play.server.requests.iter().map(has).collect::<Vec<_>>(), [true, true, false]);
    let mut play = allocating([ErrorCode::UNKNOWN_ATTRIBUTE]);
    assert_eq!(play.failure(), refused(ErrorCode::UNKNOWN_ATTRIBUTE));
}

#[test]
fn a_five_tuple_that_is_taken_needs_another_path() {
    for code in [ErrorCode::ALLOCATION_MISMATCH, ErrorCode::WRONG_CREDENTIALS] {
        let mut play = allocating([code; 3]);
        for port in 1..=3 {
            let events = play.take_events();
            let needed =
                Event::PathNeeded { server: path().remote, domain: None, reason: PathReason::FiveTupleTaken };
            assert_eq!(events, [needed]);
            assert_eq!(play.client.poll_timeout(), None);
            play.client
                .set_path(play.now, FiveTuple::udp(address(&format!("10.0.0.1:{port}")), path().remote));
        }
        play.carry();
        assert!(play.client.allocation().is_some());
        let mut play = allocating([code; 4]);
        for port in 1..=3 {
            play.carry();
            play.client
                .set_path(play.now, FiveTuple::udp(address(&format!("10.0.0.1:{port}")), path().remote));
        }
        assert_eq!(play.failure(), refused(code));
    }
}

#[test]
fn redirection_is_followed_with_a_limit() {
    let other = address("198.51.100.2:3478");
    let mut play = allocating([ErrorCode::TRY_ALTERNATE]);
    play.server.alternate = Some(other);
    play.carry();
    assert_eq!(play.client.path().remote, other);
    play.server.address = other;
    play.secs(1);
    assert!(play.client.allocation().is_some());

    for (alternate, error) in
        [(Some(path().remote), RedirectionError::NoServer), (None, RedirectionError::NoServer)]
    {
        let mut play = allocating([ErrorCode::TRY_ALTERNATE]);
        play.server.alternate = alternate;
        assert_eq!(play.failure(), Some(error.into()));
    }

    let mut stream = config();
    stream.transport = crate::stun::ServerTransport::Tls;
    let mut play = Play::new(stream);
    play.server.errors.push_back((Method::ALLOCATE, ErrorCode::TRY_ALTERNATE));
    play.server.alternate = Some(other);
    let needed = Event::PathNeeded { server: other, domain: None, reason: PathReason::Redirected };
    assert_eq!(play.take_events(), [needed]);
}

#[test]
fn a_wrong_password_is_told_and_not_tried_again() {
    let mut play = Play::new(Config::new(USER, "wrong"));
    let refused = ChallengeError::Refused("example.org".into());
    assert_eq!(play.failure(), Some(FailureCause::Credentials(refused)));
    assert_eq!(play.count(Method::ALLOCATE), 2);
}

#[test]
fn every_method_goes_on_with_a_new_nonce() {
    let mut play = Play::allocated(config());
    let mut nonce = 1;
    let mut stale = |play: &mut Play| {
        nonce += 1;
        play.server.nonce = nonce;
    };
    stale(&mut play);
    play.client.permit(play.now, peer().ip()).unwrap();
    assert_eq!(play.take_events(), [Event::Permitted(peer().ip())]);
    stale(&mut play);
    play.client.bind(play.now, peer()).unwrap();
    assert_eq!(play.take_events(), [Event::ChannelBound(peer(), ChannelNumber::MIN)]);
    // Each refresh of everything, with a nonce that is good for one of them.
    for _ in 0..20 {
        stale(&mut play);
        play.secs(240);
    }
    assert!(play.client.allocation().is_some() && play.client.channel(peer()).is_some());
    assert_eq!(play.take_events(), []);
    assert_eq!(play.count(Method::ALLOCATE), 2);
    stale(&mut play);
    play.client.close(play.now);
    assert_eq!(play.take_events(), [Event::Closed]);
    assert!(!play.server.has_allocation(path()));
}

#[test]
fn nonces_that_are_always_stale_end_the_request() {
    let mut play = allocating([]);
    play.carry();
    // A server that never accepts what it has just told.
    let mut play = Play::new(config());
    let stale = std::iter::repeat_n((Method::ALLOCATE, ErrorCode::STALE_NONCE), 10);
    play.server.errors.extend(stale);
    play.server.signs_errors = false;
    play.secs(60);
    assert!(play.client.allocation().is_none());
    assert!(play.count(Method::ALLOCATE) <= 12, "{}", play.count(Method::ALLOCATE));
}

#[test]
fn a_peer_that_is_refused_does_not_disturb_others() {
    for code in [403, 443].map(code) {
        let mut play = Play::allocated(config());
        play.server.errors.push_back((Method::CREATE_PERMISSION, code));
        play.client.permit(play.now, peer().ip()).unwrap();
        let other: IpAddr = "203.0.113.1".parse().unwrap();
        play.client.permit(play.now, other).unwrap();
        let mut events = play.take_events();
        events.sort_by_key(|event| matches!(event, Event::Permitted(_)));
        assert_eq!(events.len(), 2);
        assert!(matches!(events[0], Event::PermissionRefused(_, Refusal::Code(told)) if told == code));
        play.secs(1000);
        assert_eq!(play.take_events(), []);

        let mut play = Play::allocated(config());
        play.server.errors.push_back((Method::CHANNEL_BIND, code));
        play.client.bind(play.now, peer()).unwrap();
        let events = play.take_events();
        assert!(events.contains(&Event::ChannelRefused(peer(), Refusal::Code(code))), "{events:?}");
        let mut batch = TransmitBatch::new(1200);
        let transmit = play.client.send(play.now, peer(), b"data", &mut batch).unwrap();
        assert_eq!(transmit.len(), 36 + 4, "an indication");
    }
}

#[test]
fn an_allocation_that_was_forgotten_is_made_anew_with_its_peers() {
    let mut play = Play::allocated(config());
    play.client.bind(play.now, peer()).unwrap();
    play.secs(100);
    play.events.clear();
    play.server.forget();
    play.secs(200);
    let events = play.take_events();
    assert!(matches!(events[..2], [Event::Lost, Event::Allocated(_)]), "{events:?}");
    assert!(events.contains(&Event::ChannelBound(peer(), ChannelNumber::MIN)), "{events:?}");

    // A wrong user is no reason to go on there.
    play.server.errors.push_back((Method::REFRESH, ErrorCode::WRONG_CREDENTIALS));
    play.secs(600);
    let events = play.take_events();
    assert!(matches!(events[..], [Event::Lost, Event::PathNeeded { .. }]), "{events:?}");
}

#[test]
fn an_allocation_of_before_is_taken_out_of_the_way() {
    // All refreshes are lost, the server still holds it.
    let mut play = Play::allocated(config());
    play.server.lifetime = crate::turn::Lifetime::from_secs(100_000);
    play.server.errors.push_back((Method::REFRESH, ErrorCode::BAD_REQUEST));
    play.secs(600);
    let events = play.take_events();
    assert!(matches!(events[..], [Event::Lost, Event::Allocated(_)]), "{events:?}");
    assert_eq!(play.count(Method::REFRESH), 2);
}

#[test]
fn a_server_that_forgets_at_once_is_given_up() {
    let mut play = Play::new(config());
    play.client.permit(play.now, peer().ip()).unwrap();
    let mismatch = (Method::CREATE_PERMISSION, ErrorCode::ALLOCATION_MISMATCH);
    play.server.errors.extend(std::iter::repeat_n(mismatch, 40));
    // The server has forgotten it each time it is asked.
    for _ in 0..100 {
        play.server.forget();
        play.pass(Duration::from_millis(200));
    }
    assert_eq!(play.failure(), Some(FailureCause::Forgetful));
    assert!(play.count(Method::ALLOCATE) < 20);
}

#[test]
fn a_lifetime_of_zero_makes_no_loop() {
    let mut play = Play::new(config());
    play.server.lifetime = crate::turn::Lifetime::ZERO;
    play.secs(100);
    assert_eq!(play.failure(), Some(FailureCause::Forgetful));
    assert!(play.asked.len() < 30, "{}", play.asked.len());
}

#[test]
fn a_number_that_was_bound_unseen_is_bound_again() {
    let mut play = Play::allocated(config());
    play.client.permit(play.now, peer().ip()).unwrap();
    play.carry();
    play.client.bind(play.now, peer()).unwrap();
    play.loss = 256;
    play.secs(42);
    play.loss = 0;
    play.secs(41);
    assert_eq!(play.client.channel(peer()), Some(ChannelNumber::MIN));
    assert!(play.client.allocation().is_some());
}

#[test]
fn sha_256_is_used_where_the_server_has_it_and_its_list_is_guarded() {
    let auth = || {
        let both = [PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5];
        LongTermServer::new(&provider(), server::REALM)
            .unwrap()
            .with_algorithms(both)
            .with_username_anonymity()
    };
    let mut play = Play::new(config());
    play.server.auth = auth();
    play.carry();
    assert!(play.client.allocation().is_some());
    let last = play.server.requests.last().unwrap();
    let message = Message::decode(last).unwrap();
    assert!(message.has_integrity_sha256() && !message.has_integrity());
    assert!(message.username().is_none() && message.attribute(AttributeType::USERHASH).is_some());

    // Somebody takes the list away: later, and from the start.
    play.events.clear();
    (play.server.bids_down, play.server.nonce) = (true, 2);
    play.client.permit(play.now, peer().ip()).unwrap();
    play.secs(5);
    assert!(play.client.allocation().is_some());
    (play.server.bids_down, play.server.nonce) = (false, 3);
    play.secs(30);
    assert_eq!(play.take_events(), [Event::Permitted(peer().ip())]);
    let mut play = Play::new(config());
    play.server.auth = auth();
    play.server.bids_down = true;
    assert_eq!(play.failure(), Some(FailureCause::Credentials(ChallengeError::BidDown)));
    assert_eq!(play.count(Method::ALLOCATE), 1, "nothing that is signed is sent");
}

/// A server that is overloaded for a moment, or whose nonces change faster than they are used.
#[test]
fn what_is_refused_for_the_moment_is_asked_for_again() {
    for (code, times) in [(438, 4), (500, 4), (508, 1)] {
        let code = self::code(code);
        let mut play = Play::allocated(config());
        let errors = |method| std::iter::repeat_n((method, code), times);
        // What was never granted: it is told, and granted later.
        play.server.errors.extend(errors(Method::CREATE_PERMISSION));
        play.client.permit(play.now, peer().ip()).unwrap();
        let told = play.take_events();
        assert_eq!(told, [Event::PermissionRefused(peer().ip(), Refusal::Code(code))]);
        play.secs(61);
        assert_eq!(play.take_events(), [Event::Permitted(peer().ip())], "{code:?}");
        // What is there stays there while it lasts.
        play.client.bind(play.now, peer()).unwrap();
        play.carry();
        play.events.clear();
        for _ in 0..4 {
            play.server.errors.extend(errors(Method::CREATE_PERMISSION));
            play.server.errors.extend(errors(Method::CHANNEL_BIND));
            play.secs(250);
            assert!(
                play.client.is_permitted(peer().ip()) && play.client.channel(peer()).is_some(),
                "{code:?}"
            );
        }
        assert_eq!(play.take_events(), [], "{code:?}");
    }
}

#[test]
fn a_channel_that_runs_out_is_told() {
    let mut play = Play::allocated(config());
    play.client.bind(play.now, peer()).unwrap();
    play.carry();
    play.events.clear();
    let full = (Method::CHANNEL_BIND, ErrorCode::INSUFFICIENT_CAPACITY);
    play.server.errors.extend(std::iter::repeat_n(full, 100));
    play.secs(599);
    assert_eq!(play.take_events(), []);
    play.secs(1);
    assert_eq!(play.take_events(), [Event::ChannelLapsed(peer())]);
    play.secs(100);
    assert!(play.client.is_permitted(peer().ip()), "data goes in indications");
    assert!(play.count(Method::CHANNEL_BIND) < 16, "{}", play.count(Method::CHANNEL_BIND));
    play.take_events();
    play.server.errors.clear();
    play.secs(61);
    assert_eq!(play.take_events(), [Event::ChannelBound(peer(), ChannelNumber::MIN)]);
}

/// Some servers say 400 of an allocation that they do not have.
#[test]
fn a_bad_request_may_mean_that_the_allocation_is_gone() {
    for method in [Method::CREATE_PERMISSION, Method::CHANNEL_BIND] {
        let mut play = Play::allocated(config());
        play.client.permit(play.now, peer().ip()).unwrap();
        play.secs(100);
        play.events.clear();
        play.server.forget();
        play.server.errors.push_back((method, ErrorCode::BAD_REQUEST));
        if method == Method::CHANNEL_BIND {
            play.client.bind(play.now, peer()).unwrap();
        }
        play.secs(150);
        let events = play.take_events();
        assert!(events.iter().any(|event| matches!(event, Event::Allocated(_))), "{events:?}");
        assert!(play.client.is_permitted(peer().ip()), "{events:?}");
        assert_eq!(play.client.channel(peer()).is_some(), method == Method::CHANNEL_BIND);
    }
}

/// Some servers say 401 of a nonce that is too old.
#[test]
fn what_has_made_an_allocation_is_not_given_up_for_a_401() {
    let mut play = Play::allocated(config());
    play.server.says_401_of_old_nonces = true;
    for nonce in 2..10 {
        play.server.nonce = nonce;
        play.client.permit(play.now, SocketAddr::new([203, 0, 113, nonce as u8].into(), 1).ip()).unwrap();
        play.secs(300);
    }
    let events = play.take_events();
    assert!(events.iter().all(|event| matches!(event, Event::Permitted(_))), "{events:?}");
    assert_eq!((events.len(), play.count(Method::ALLOCATE)), (8, 2));
}

#[test]
fn new_credentials_are_used_once_the_old_ones_are_refused() {
    let mut play = Play::allocated(config());
    play.client.permit(play.now, peer().ip()).unwrap();
    play.client.set_credentials(USER, "new").unwrap();
    play.secs(600);
    assert_eq!(play.take_events(), [Event::Permitted(peer().ip())], "the server knows the old ones");
    play.server.password = "new".to_owned();
    play.server.forget();
    play.secs(600);
    let events = play.take_events();
    assert!(matches!(events[..], [Event::Lost, Event::Allocated(_), Event::Permitted(_)]), "{events:?}");
    play.server.password = "newer".to_owned();
    play.server.forget();
    play.secs(600);
    let refused = ChallengeError::Refused("example.org".into());
    assert_eq!(play.failure(), Some(FailureCause::Credentials(refused)));
}

#[test]
fn what_comes_by_a_channel_that_is_not_renewed_is_still_taken() {
    for code in [403, 508].map(code) {
        let mut play = Play::allocated(config());
        play.client.bind(play.now, peer()).unwrap();
        play.carry();
        play.server.errors.extend(std::iter::repeat_n((Method::CHANNEL_BIND, code), 100));
        for _ in 0..10 {
            play.secs(59);
            let mut datagram = play.server.peer_sends(path(), peer(), b"data");
            let opened = play.client.open(play.now, Datagram::new(path(), &mut datagram));
            assert_eq!(opened, Ok(Opened::Data { peer: peer(), range: 4..8 }));
        }
        let mut batch = TransmitBatch::new(1200);
        play.secs(20);
        let transmit = play.client.send(play.now, peer(), b"data", &mut batch).unwrap();
        assert_eq!(transmit.len(), 36 + 4, "an indication");
    }
}

#[test]
fn a_channel_that_was_released_meanwhile_is_not_asked_for_again() {
    let mut play = Play::allocated(config());
    play.client.bind(play.now, peer()).unwrap();
    play.carry();
    play.loss = 256;
    play.secs(241);
    play.client.release(play.now, peer());
    play.loss = 0;
    play.server.errors.push_back((Method::CHANNEL_BIND, ErrorCode::INSUFFICIENT_CAPACITY));
    play.secs(20);
    assert!(play.server.errors.is_empty(), "it was under way");
    let asked = play.count(Method::CHANNEL_BIND);
    play.secs(300);
    assert_eq!(play.count(Method::CHANNEL_BIND), asked);
}
