use std::time::Duration;

use super::*;
use crate::crypto::NamedGroup;
use crate::dtls::identity::Identity;
use crate::dtls::record::{MAX_PLAINTEXT, RECORD_HEADER_LEN};
use crate::dtls::test_provider::provider;
use crate::layer::DtlsTransport;
use crate::layer::{FingerprintAlgorithm, FiveTuple};

mod browser_hello;

struct Pair {
    now: Instant,
    client: Connection,
    server: Connection,
    max_datagram: usize,
}

fn config(seed: u64) -> Config {
    let provider = provider(seed);
    Config::new(provider.clone(), Identity::generate(&provider).unwrap())
}

fn expect(config: &Config) -> PeerVerification {
    let identity = config.identity.as_ref().unwrap();
    PeerVerification::Fingerprints(vec![identity.fingerprint(FingerprintAlgorithm::Sha256).clone()])
}

impl Pair {
    fn new(change: impl FnOnce(&mut Config, &mut Config)) -> Self {
        let (mut client, mut server) = (config(1), config(2));
        let (verify_server, verify_client) = (expect(&server), expect(&client));
        change(&mut client, &mut server);
        Self::with(client, verify_server, server, verify_client)
    }

    fn with(
        client: Config,
        verify_server: PeerVerification,
        server: Config,
        verify_client: PeerVerification,
    ) -> Self {
        Self {
            now: Instant::now(),
            client: Connection::client(Arc::new(client), verify_server).unwrap(),
            server: Connection::server(Arc::new(server), verify_client).unwrap(),
            max_datagram: 1200,
        }
    }

    /// Carries all that is to be sent until both are silent.
    fn run(&mut self) -> &mut Self {
        while self.carry(DtlsRole::Client) + self.carry(DtlsRole::Server) > 0 {}
        self
    }

    /// Carries what `from` sends, and returns how many datagrams that was.
    fn carry(&mut self, from: DtlsRole) -> usize {
        let datagrams = self.take(from);
        for datagram in &datagrams {
            self.give(from, datagram.clone()).ok();
        }
        datagrams.len()
    }

    fn take(&mut self, from: DtlsRole) -> Vec<Vec<u8>> {
        let sender = if from == DtlsRole::Client { &mut self.client } else { &mut self.server };
        let mut batch = TransmitBatch::new(self.max_datagram);
        let mut datagrams = Vec::new();
        while let Some(transmit) = sender.poll_transmit(self.now, &mut batch) {
            datagrams.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        }
        datagrams
    }

    fn give(&mut self, from: DtlsRole, mut datagram: Vec<u8>) -> Result<(), DtlsError> {
        let receiver = if from == DtlsRole::Client { &mut self.server } else { &mut self.client };
        receiver.handle_datagram(self.now, Datagram::new(path(), &mut datagram))
    }

    fn expire(&mut self, time: Duration) {
        self.now += time;
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
    }

    fn is_connected(&self) -> bool {
        self.client.is_connected() && self.server.is_connected()
    }

    fn assert_connected(&mut self) {
        assert!(self.is_connected(), "{:?} {:?}", events(&mut self.client), events(&mut self.server));
        let export = |connection: &Connection| {
            let mut out = [0; 64];
            connection.export_keying_material("EXPERIMENTAL", Some(b"x"), &mut out).unwrap();
            out
        };
        assert_eq!(export(&self.client), export(&self.server));
        assert_eq!(self.client.cipher_suite(), self.server.cipher_suite());
        for from in [DtlsRole::Client, DtlsRole::Server] {
            let sender = if from == DtlsRole::Client { &mut self.client } else { &mut self.server };
            let mut record = Vec::new();
            sender.seal(b"payload", &mut record).unwrap();
            assert_eq!(record.len(), 7 + sender.overhead());
            self.give(from, record).unwrap();
            let receiver = if from == DtlsRole::Client { &mut self.server } else { &mut self.client };
            assert!(events(receiver).contains(&DtlsEvent::ApplicationData(Bytes::from_static(b"payload"))));
        }
    }
}

fn path() -> FiveTuple {
    FiveTuple::udp("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap())
}

fn events(connection: &mut Connection) -> Vec<DtlsEvent> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

#[test]
fn every_suite_and_group_connects() {
    for suite in &CipherSuite::ALL[..3] {
        for group in [NamedGroup::X25519, NamedGroup::Secp256r1, NamedGroup::Secp384r1] {
            let mut pair = Pair::new(|client, server| {
                client.groups = vec![group];
                server.cipher_suites = vec![*suite];
            });
            pair.run().assert_connected();
            assert_eq!(pair.client.cipher_suite(), Some(*suite));
            assert_eq!(pair.client.stats().ignored() + pair.server.stats().ignored(), 0);
        }
    }
}

#[test]
fn a_handshake_is_four_datagrams() {
    let mut pair = Pair::new(|_, _| {});
    assert_eq!(pair.carry(DtlsRole::Client), 1);
    assert_eq!(pair.carry(DtlsRole::Server), 1);
    assert_eq!(pair.carry(DtlsRole::Client), 1);
    assert_eq!(pair.carry(DtlsRole::Server), 1);
    pair.assert_connected();
    assert_eq!(pair.client.poll_timeout(), None);
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn small_datagrams_fragment_every_message() {
    for max_datagram in [1, 96, 100, 150, 256, 500] {
        let mut pair = Pair::new(|_, server| server.cookie_exchange = true);
        pair.max_datagram = max_datagram;
        pair.run().assert_connected();
    }
}

#[test]
fn any_one_datagram_of_a_flight_may_come_late() {
    for max_datagram in [120, 400, 1200] {
        for late in 0..60 {
            let mut pair = Pair::new(|_, _| {});
            pair.max_datagram = max_datagram;
            let mut count = 0;
            let mut held = None;
            for _ in 0..6 {
                for from in [DtlsRole::Client, DtlsRole::Server] {
                    let mut datagrams = pair.take(from);
                    if (count..count + datagrams.len()).contains(&late) {
                        held = Some((from, datagrams.remove(late - count)));
                        count += 1;
                    }
                    count += datagrams.len();
                    datagrams.into_iter().for_each(|datagram| drop(pair.give(from, datagram)));
                    if let Some((from, datagram)) = held.take() {
                        pair.give(from, datagram).ok();
                    }
                }
            }
            pair.run().assert_connected();
            assert_eq!(pair.client.stats().retransmissions + pair.server.stats().retransmissions, 0);
        }
    }
}

#[test]
fn use_srtp_follows_the_servers_preference() {
    let mut pair = Pair::new(|client, server| {
        client.srtp_profiles = vec![SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80];
        server.srtp_profiles = vec![SrtpProfile::AeadAes256Gcm, SrtpProfile::Aes128CmHmacSha1_80];
    });
    pair.run();
    let profile = Some(SrtpProfile::Aes128CmHmacSha1_80);
    assert_eq!(events(&mut pair.client), [DtlsEvent::Connected { srtp_profile: profile }]);
    assert_eq!(events(&mut pair.server), [DtlsEvent::Connected { srtp_profile: profile }]);
    assert_eq!(pair.client.srtp_keying_material().unwrap(), pair.server.srtp_keying_material().unwrap());

    let mut pair = Pair::new(|client, _| client.srtp_profiles.clear());
    pair.run().assert_connected();
    assert_eq!(pair.server.srtp_keying_material(), Err(DtlsError::NoSrtpProfile));
}

#[test]
fn a_wrong_fingerprint_ends_the_handshake() {
    for wrong_side in [DtlsRole::Client, DtlsRole::Server] {
        let (client, server) = (config(1), config(2));
        let (right_server, right_client) = (expect(&server), expect(&client));
        let mut pair = match wrong_side {
            DtlsRole::Client => Pair::with(client, right_client.clone(), server, right_client),
            DtlsRole::Server => Pair::with(client, right_server.clone(), server, right_server),
        };
        pair.run();
        let (judge, other) = match wrong_side {
            DtlsRole::Client => (&mut pair.client, &mut pair.server),
            DtlsRole::Server => (&mut pair.server, &mut pair.client),
        };
        let judged = events(judge);
        let [DtlsEvent::Failed(DtlsError::WrongFingerprint { expected, actual })] = &judged[..] else {
            panic!("{judged:?}");
        };
        assert_ne!(expected, actual);
        assert_eq!(judge.srtp_keying_material(), Err(DtlsError::NotConnected));
        assert!(!other.is_connected());
        assert_eq!(other.srtp_keying_material(), Err(DtlsError::NotConnected));
        // The alert had no protection: it ends the handshake once the peer stays silent as well.
        pair.expire(Duration::from_millis(250));
        pair.run();
        pair.expire(Duration::from_millis(500));
        let other = if wrong_side == DtlsRole::Client { &mut pair.server } else { &mut pair.client };
        let told = DtlsError::AlertReceived { code: 42, description: "bad_certificate" };
        assert_eq!(events(other), [DtlsEvent::Failed(told)]);
    }
}

#[test]
fn fingerprints_may_come_after_the_handshake() {
    let (client, server) = (config(1), config(2));
    let right = server.identity.as_ref().unwrap().fingerprint(FingerprintAlgorithm::Sha512).clone();
    let wrong = client.identity.as_ref().unwrap().fingerprint(FingerprintAlgorithm::Sha512).clone();
    let verify_client = expect(&client);
    for (fingerprint, matches) in [(right, true), (wrong, false)] {
        let (client, server) = (client.clone(), server.clone());
        let mut pair = Pair::with(client, PeerVerification::FingerprintsLater, server, verify_client.clone());
        pair.run();
        assert!(pair.server.is_connected() && !pair.client.is_connected());
        assert_eq!(pair.client.srtp_keying_material(), Err(DtlsError::NotConnected));
        assert_eq!(pair.client.seal(b"x", &mut Vec::new()), Err(DtlsError::NotConnected));
        let mut record = Vec::new();
        pair.server.seal(b"early", &mut record).unwrap();
        pair.give(DtlsRole::Server, record).unwrap();
        assert_eq!(events(&mut pair.client), []);
        let result = pair.client.set_peer_fingerprints(pair.now, &[fingerprint]);
        if matches {
            result.unwrap();
            let expected = [
                DtlsEvent::Connected { srtp_profile: Some(SrtpProfile::AeadAes128Gcm) },
                DtlsEvent::ApplicationData(Bytes::from_static(b"early")),
            ];
            assert_eq!(events(&mut pair.client), expected);
            events(&mut pair.server);
            pair.assert_connected();
        } else {
            let error = result.unwrap_err();
            assert!(matches!(error, DtlsError::WrongFingerprint { .. }));
            assert_eq!(events(&mut pair.client), [DtlsEvent::Failed(error)]);
            pair.run();
            let told = DtlsError::AlertReceived { code: 42, description: "bad_certificate" };
            assert!(events(&mut pair.server).contains(&DtlsEvent::Failed(told)));
        }
    }
}

#[test]
fn client_authentication_is_configurable() {
    for (authentication, anonymous, connects) in [
        (ClientAuthentication::Required, false, true),
        (ClientAuthentication::Required, true, false),
        (ClientAuthentication::Requested, true, true),
        (ClientAuthentication::Requested, false, true),
        (ClientAuthentication::None, false, true),
    ] {
        let (mut client, mut server) = (config(1), config(2));
        server.client_authentication = authentication;
        if anonymous {
            client.identity = None;
        }
        let verify_server = expect(&server);
        let mut pair = Pair::with(client, verify_server, server, PeerVerification::AcceptAny);
        pair.run();
        assert_eq!(pair.is_connected(), connects, "{authentication:?} {anonymous}");
        let presented = connects && !anonymous && authentication != ClientAuthentication::None;
        assert_eq!(pair.server.peer_certificate().is_some(), presented);
    }
    let mut server = config(2);
    server.client_authentication = ClientAuthentication::None;
    let refused = Connection::server(Arc::new(server), PeerVerification::FingerprintsLater);
    assert!(matches!(refused, Err(DtlsError::Config(_))));
}

#[test]
fn close_notify_closes_both_sides() {
    let mut pair = Pair::new(|_, _| {});
    pair.run().assert_connected();
    pair.client.close(pair.now);
    assert_eq!(pair.client.seal(b"x", &mut Vec::new()), Err(DtlsError::NotConnected));
    pair.run();
    assert_eq!(events(&mut pair.server), [DtlsEvent::Closed]);
    assert!(pair.server.is_ended() && pair.client.is_ended());
    assert_eq!(pair.give(DtlsRole::Client, vec![22; 20]), Err(DtlsError::Ignored("record length")));
}

#[test]
fn silence_ends_the_handshake() {
    let mut pair = Pair::new(|client, _| client.handshake_timeout = Duration::from_secs(10));
    let start = pair.now;
    let mut sent = 0;
    while !pair.client.is_ended() {
        sent += pair.take(DtlsRole::Client).len();
        let due = pair.client.poll_timeout().unwrap();
        pair.expire(due - pair.now);
    }
    assert_eq!(events(&mut pair.client), [DtlsEvent::Failed(DtlsError::TimedOut)]);
    assert_eq!(pair.now - start, Duration::from_secs(10));
    // After 0, 0.25, 0.75, 1.75, 3.75 and 7.75 s: the timeout is 4 s by then.
    assert_eq!(sent, 6);
}

#[test]
fn a_lost_final_flight_is_sent_again() {
    let mut pair = Pair::new(|_, _| {});
    pair.carry(DtlsRole::Client);
    pair.carry(DtlsRole::Server);
    pair.carry(DtlsRole::Client);
    assert!(pair.server.is_connected());
    for round in 1..4 {
        assert_eq!(pair.take(DtlsRole::Server).len(), 1, "lost");
        pair.expire(Duration::from_secs(2));
        // The third time in smaller datagrams.
        assert_eq!(pair.carry(DtlsRole::Client), if round < 3 { 1 } else { 2 });
        assert_eq!(pair.server.stats().retransmissions, round);
    }
    pair.carry(DtlsRole::Server);
    pair.assert_connected();
}

#[test]
fn what_cannot_work_is_refused_at_once() {
    let refuse = |change: fn(&mut Config)| {
        let mut config = config(1);
        change(&mut config);
        Connection::server(Arc::new(config), PeerVerification::AcceptAny).unwrap_err()
    };
    for change in [
        (|c| c.groups.clear()) as fn(&mut Config),
        |c| c.cipher_suites = vec![CipherSuite::EcdheRsaAes128GcmSha256],
        |c| c.identity = None,
        |c| c.initial_retransmission_timeout = Duration::ZERO,
        |c| c.max_messages_ahead = 0,
    ] {
        assert!(matches!(refuse(change), DtlsError::Config(_)));
    }
}

#[test]
fn nothing_in_common_is_named() {
    let mut pair = Pair::new(|client, server| {
        client.cipher_suites = vec![CipherSuite::EcdheEcdsaAes128GcmSha256];
        server.cipher_suites = vec![CipherSuite::EcdheEcdsaAes256GcmSha384];
    });
    pair.run();
    let reason = "no cipher suite in common with the client";
    let expected = DtlsError::Handshake { reason, alert: "handshake_failure" };
    assert_eq!(events(&mut pair.server), [DtlsEvent::Failed(expected)]);
}

#[test]
fn used_up_sequence_numbers_end_the_connection() {
    let mut pair = Pair::new(|_, _| {});
    pair.run().assert_connected();
    let Phase::Connected(established) = &mut pair.client.phase else { panic!() };
    established.channel.epochs().protected().unwrap().skip_to(SequenceNumber(1 << 48));
    assert!(pair.client.seal(b"x", &mut Vec::new()).is_err());
    assert!(pair.client.is_ended());
}

/// Whichever way a record is made, and in whatever order, its data arrive. What has no room for a record is refused, and
/// costs neither a number nor the connection.
#[test]
fn a_record_made_in_place_is_one_made_elsewhere() {
    for suite in &CipherSuite::ALL[..3] {
        let mut pair = Pair::new(|_, server| server.cipher_suites = vec![*suite]);
        pair.run().assert_connected();
        events(&mut pair.server);
        let (head, overhead) = (pair.client.head_len(), pair.client.overhead());
        let mut numbers = Vec::new();
        for round in 0..300usize {
            for short in 0..overhead {
                let refused = pair.client.seal_in_place(&mut vec![0; short]);
                assert!(matches!(refused, Err(DtlsError::Internal(_))), "{short}: {refused:?}");
            }
            let size = [0, 1, 15, 16, 17, 1200, MAX_PLAINTEXT][round % 7] ^ (round / 7);
            let data: Vec<u8> = (0..size.min(MAX_PLAINTEXT)).map(|at| (at ^ round) as u8).collect();
            let mut record = Vec::new();
            if round % 3 == 0 {
                pair.client.seal(&data, &mut record).unwrap();
            } else {
                record.resize(head, 0xaa);
                record.extend_from_slice(&data);
                record.resize(data.len() + overhead, 0xbb);
                pair.client.seal_in_place(&mut record).unwrap();
            }
            assert_eq!(record.len(), data.len() + overhead);
            numbers.push(record[5..11].to_vec());
            pair.give(DtlsRole::Client, record).unwrap();
            let told = events(&mut pair.server);
            // RFC 6347 leaves open what an empty record is.
            let is_same = matches!(&told[..], [DtlsEvent::ApplicationData(arrived)] if *arrived == data);
            assert!(is_same || data.is_empty(), "{suite:?} {round}: {told:?}");
        }
        let is_next = |pair: &[Vec<u8>]| pair[1] > pair[0];
        assert!(numbers.windows(2).all(is_next));
        let span = u64::from_be_bytes([[0, 0].as_slice(), &numbers[299]].concat().try_into().unwrap())
            - u64::from_be_bytes([[0, 0].as_slice(), &numbers[0]].concat().try_into().unwrap());
        assert_eq!(span, 299);
        let mut record = vec![0; MAX_PLAINTEXT + 1 + overhead];
        assert!(matches!(pair.client.seal_in_place(&mut record), Err(DtlsError::TooLarge { .. })));
        pair.assert_connected();
    }
}

#[test]
fn too_much_for_a_record_is_refused() {
    let mut pair = Pair::new(|_, _| {});
    pair.run().assert_connected();
    let mut out = Vec::new();
    let refused = pair.client.seal(&[0; MAX_PLAINTEXT + 1], &mut out);
    assert_eq!(refused, Err(DtlsError::TooLarge { size: MAX_PLAINTEXT + 1, limit: MAX_PLAINTEXT }));
    assert!(out.is_empty());
    pair.client.seal(&[0; MAX_PLAINTEXT], &mut out).unwrap();
    pair.assert_connected();
}

#[test]
fn queued_data_is_bounded() {
    let mut pair = Pair::new(|_, server| server.max_queued_application_data = 1000);
    pair.run().assert_connected();
    let mut queued = 0;
    for _ in 0..100 {
        let mut record = Vec::new();
        pair.client.seal(&[0; 36], &mut record).unwrap();
        queued += usize::from(pair.give(DtlsRole::Client, record).is_ok());
    }
    assert_eq!(queued, 10);
    assert_eq!(pair.server.stats().over_limit, 90);
    assert_eq!(events(&mut pair.server).len(), 10);
    pair.assert_connected();
}

#[test]
fn renegotiation_is_refused_and_changes_nothing() {
    use crate::dtls::handshake::{HandshakeHeader, HandshakeType};
    use crate::dtls::record::Epoch;

    let message = |kind| {
        move |out: &mut Vec<u8>| {
            HandshakeHeader::whole(kind, MessageSeq(5), 3).put(out);
            out.extend_from_slice(&[1, 2, 3]);
        }
    };
    let mut pair = Pair::new(|_, _| {});
    pair.run().assert_connected();
    for (from, kind, answers) in [
        (DtlsRole::Client, HandshakeType::ClientHello, 1),
        (DtlsRole::Server, HandshakeType::HelloRequest, 0),
    ] {
        let sender = if from == DtlsRole::Client { &mut pair.client } else { &mut pair.server };
        let mut record = Vec::new();
        let Phase::Connected(established) = &mut sender.phase else { panic!() };
        let epochs = established.channel.epochs();
        epochs.write(Epoch::PROTECTED, ContentType::Handshake, &mut record, message(kind)).unwrap();
        // The same, without protection.
        let mut plain = Vec::new();
        epochs.write(Epoch::PLAINTEXT, ContentType::Handshake, &mut plain, message(kind)).unwrap();
        pair.give(from, record).unwrap();
        assert_eq!(pair.give(from, plain), Err(DtlsError::Ignored("a record of another epoch")));
        let to = if from == DtlsRole::Client { DtlsRole::Server } else { DtlsRole::Client };
        // no_renegotiation is a warning: the peer goes on.
        assert_eq!(pair.carry(to), answers);
        pair.assert_connected();
    }
}

/// RFC 5246 §7.4.1.4: no extension in a ServerHello that the client did not send.
#[test]
fn a_server_answers_only_what_it_was_asked() {
    use crate::dtls::handshake::Fragment;
    use crate::dtls::wire::Reader;

    const POINT_FORMATS: [u8; 6] = [0, 11, 0, 2, 1, 0];
    for asked in [true, false] {
        let mut pair = Pair::new(|_, _| {});
        let mut hello = pair.take(DtlsRole::Client).remove(0);
        let at = hello.windows(6).position(|bytes| bytes == POINT_FORMATS).unwrap();
        if !asked {
            hello[at..at + 2].copy_from_slice(&[0x5a, 0x5a]);
        }
        pair.give(DtlsRole::Client, hello).unwrap();
        let mut answer = pair.take(DtlsRole::Server).remove(0);
        let (record, _) = Record::split(&mut answer).unwrap();
        let hello = Fragment::read(&mut Reader::new(record.fragment)).unwrap().body;
        assert_eq!(hello.windows(6).any(|bytes| bytes == POINT_FORMATS), asked);
    }
}

/// What ends a connection is not hidden by what stands behind it in the datagram.
#[test]
fn a_datagram_that_ends_a_connection_says_why() {
    let (client, server) = (config(1), config(2));
    let verify_client = expect(&client);
    let mut pair = Pair::with(client, verify_client.clone(), server, verify_client);
    pair.carry(DtlsRole::Client);
    let flight = pair.take(DtlsRole::Server).remove(0);
    let error = pair.give(DtlsRole::Server, flight).unwrap_err();
    assert!(matches!(error, DtlsError::WrongFingerprint { .. }), "{error}");
    assert_eq!(events(&mut pair.client), [DtlsEvent::Failed(error)]);

    let mut pair = Pair::new(|_, _| {});
    pair.run().assert_connected();
    let mut datagram = Vec::new();
    let mut sealed = Vec::new();
    pair.client.seal(b"late", &mut sealed).unwrap();
    pair.client.close(pair.now);
    datagram.extend(pair.take(DtlsRole::Client).remove(0));
    datagram.extend(sealed);
    assert_eq!(pair.give(DtlsRole::Client, datagram), Ok(()));
    assert_eq!(events(&mut pair.server), [DtlsEvent::Closed]);
}

/// A message that is taken is not lost because of what stands behind it in its record.
#[test]
fn rubbish_behind_a_message_takes_nothing_from_it() {
    const CLIENT_KEY_EXCHANGE: u8 = 16;
    let mut pair = Pair::new(|_, _| {});
    pair.carry(DtlsRole::Client);
    pair.carry(DtlsRole::Server);
    let flight = pair.take(DtlsRole::Client).remove(0);
    let (mut early, mut rest) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < flight.len() {
        let length = u16::from_be_bytes([flight[at + 11], flight[at + 12]]);
        let end = at + RECORD_HEADER_LEN + usize::from(length);
        let mut record = flight[at..end].to_vec();
        if record[4] == 0 && record[RECORD_HEADER_LEN] == CLIENT_KEY_EXCHANGE {
            record.extend_from_slice(&[0xff; 20]);
            record[11..13].copy_from_slice(&(length + 20).to_be_bytes());
        }
        if record[4] == 1 { &mut early } else { &mut rest }.extend(record);
        at = end;
    }
    // The Finished waits for the keys that the ClientKeyExchange brings.
    pair.give(DtlsRole::Client, early).unwrap();
    pair.give(DtlsRole::Client, rest).ok();
    pair.run().assert_connected();
}

/// RFC 6347 §4.2.7: an alert is not sent again by itself, but when what it answers comes again.
#[test]
fn a_lost_alert_is_made_anew_when_the_peer_repeats_itself() {
    let mut pair = Pair::new(|client, server| {
        client.cipher_suites = vec![CipherSuite::EcdheEcdsaAes128GcmSha256];
        server.cipher_suites = vec![CipherSuite::EcdheEcdsaAes256GcmSha384];
    });
    pair.carry(DtlsRole::Client);
    let lost = pair.take(DtlsRole::Server);
    assert_eq!(lost.len(), 1);
    assert!(pair.take(DtlsRole::Server).is_empty());
    // Not for what is no message of a handshake.
    pair.give(DtlsRole::Client, lost[0].clone()).ok();
    assert!(pair.take(DtlsRole::Server).is_empty());
    let start = pair.now;
    while !pair.client.is_ended() {
        pair.run();
        let due = pair.client.poll_timeout().unwrap();
        pair.expire(due - pair.now);
    }
    let told = DtlsError::AlertReceived { code: 40, description: "handshake_failure" };
    assert_eq!(events(&mut pair.client), [DtlsEvent::Failed(told)]);
    assert!(pair.now - start < Duration::from_secs(3), "{:?}", pair.now - start);
    assert_ne!(pair.take(DtlsRole::Server), lost, "a record number is used once");
}

/// The last flight is not lost when a server closes before that was drained.
#[test]
fn a_server_that_closes_at_once_was_connected() {
    let mut pair = Pair::new(|_, _| {});
    pair.carry(DtlsRole::Client);
    pair.carry(DtlsRole::Server);
    pair.carry(DtlsRole::Client);
    pair.server.close(pair.now);
    assert_eq!(pair.carry(DtlsRole::Server), 1);
    let connected = DtlsEvent::Connected { srtp_profile: Some(SrtpProfile::AeadAes128Gcm) };
    assert_eq!(events(&mut pair.client), [connected, DtlsEvent::Closed]);
    assert!(pair.take(DtlsRole::Server).is_empty());
}
