use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::dtls::{
    Config, Connection, DtlsError, DtlsEvent, DtlsTransport, FingerprintAlgorithm, Identity, PeerVerification,
};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs::provider;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto::provider;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY_EXCHANGE: u8 = 12;
const CERTIFICATE_VERIFY: u8 = 15;
const CLIENT_KEY_EXCHANGE: u8 = 16;
const FINISHED: u8 = 20;

static IDENTITIES: LazyLock<[Identity; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Identity::generate(&provider()).unwrap()));

fn path() -> FiveTuple {
    FiveTuple::udp("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap())
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Client,
    Server,
}

/// Two ends, and whoever sits between them.
struct Pair {
    now: Instant,
    client: Connection,
    server: Connection,
}

impl Pair {
    fn new() -> Self {
        Self::with(|_, _| {})
    }

    fn with(change: impl FnOnce(&mut Config, &mut Config)) -> Self {
        let mut client = Config::new(provider(), IDENTITIES[0].clone());
        let mut server = Config::new(provider(), IDENTITIES[1].clone());
        change(&mut client, &mut server);
        Self {
            now: Instant::now(),
            client: Connection::client(Arc::new(client), expect(1)).unwrap(),
            server: Connection::server(Arc::new(server), expect(0)).unwrap(),
        }
    }

    fn end(&mut self, which: From) -> &mut Connection {
        if which == From::Client { &mut self.client } else { &mut self.server }
    }

    fn give(&mut self, from: From, mut datagram: Vec<u8>) -> Result<(), DtlsError> {
        let now = self.now;
        let receiver = if from == From::Client { &mut self.server } else { &mut self.client };
        receiver.handle_datagram(now, Datagram::new(path(), &mut datagram))
    }

    fn take(&mut self, from: From) -> Vec<Vec<u8>> {
        let now = self.now;
        let mut batch = TransmitBatch::new(1200);
        let mut datagrams = Vec::new();
        let sender = self.end(from);
        while let Some(transmit) = sender.poll_transmit(now, &mut batch) {
            datagrams.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
        }
        datagrams
    }

    /// Carries until both are silent, what `meddle` makes of it.
    fn run(&mut self, mut meddle: impl FnMut(&mut Self, From, Vec<u8>) -> Vec<u8>) -> &mut Self {
        loop {
            let mut carried = false;
            for from in [From::Client, From::Server] {
                for datagram in self.take(from) {
                    let datagram = meddle(self, from, datagram);
                    self.give(from, datagram).ok();
                    carried = true;
                }
            }
            if !carried {
                return self;
            }
        }
    }

    fn connect(&mut self) -> &mut Self {
        self.run(|_, _, datagram| datagram);
        self.assert_connected();
        self
    }

    fn assert_connected(&mut self) {
        assert!(self.client.is_connected() && self.server.is_connected());
        assert_eq!(self.client.srtp_keying_material(), self.server.srtp_keying_material());
        for from in [From::Client, From::Server] {
            let mut record = Vec::new();
            self.end(from).seal(b"data", &mut record).unwrap();
            self.give(from, record).unwrap();
        }
        let data = DtlsEvent::ApplicationData(b"data"[..].into());
        assert!(events(&mut self.client).contains(&data) && events(&mut self.server).contains(&data));
    }

    fn assert_not_connected(&self) {
        for end in [&self.client, &self.server] {
            assert!(!end.is_connected());
            assert_eq!(end.srtp_keying_material(), Err(DtlsError::NotConnected));
            assert_eq!(end.export_keying_material("x", None, &mut [0]), Err(DtlsError::NotConnected));
        }
    }
}

fn expect(peer: usize) -> PeerVerification {
    PeerVerification::Fingerprints(vec![IDENTITIES[peer].fingerprint(FingerprintAlgorithm::Sha256).clone()])
}

fn events(connection: &mut Connection) -> Vec<DtlsEvent> {
    std::iter::from_fn(|| connection.poll_event()).collect()
}

fn failure(connection: &mut Connection) -> Option<DtlsError> {
    events(connection).into_iter().find_map(|event| match event {
        DtlsEvent::Failed(error) => Some(error),
        _ => None,
    })
}

fn record(content_type: u8, epoch: u16, sequence: u64, fragment: &[u8]) -> Vec<u8> {
    let mut out = vec![content_type, 0xfe, 0xfd];
    out.extend_from_slice(&(u64::from(epoch) << 48 | sequence).to_be_bytes());
    out.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
    out.extend_from_slice(fragment);
    out
}

fn fragment(kind: u8, length: u32, seq: u16, offset: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&seq.to_be_bytes());
    out.extend_from_slice(&offset.to_be_bytes()[1..]);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(body);
    out
}

/// Calls `change` with each plaintext handshake message of a datagram: its type, and its body to be changed
/// without changing its length. Every message is in one piece here.
fn change_messages(datagram: &mut [u8], mut change: impl FnMut(u8, &mut [u8])) {
    let mut rest = datagram;
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[11], rest[12]]));
        let (record, tail) = rest.split_at_mut(13 + length);
        if record[0] == HANDSHAKE && record[3..5] == [0, 0] {
            change(record[13], &mut record[25..]);
        }
        rest = tail;
    }
}

/// A handshake during which `forge` gives datagrams to inject towards a side, before each one that the other
/// side sends.
fn connects_in_spite_of(mut forge: impl FnMut(From) -> Vec<Vec<u8>>) -> Pair {
    let mut pair = Pair::new();
    pair.run(|pair, from, datagram| {
        forge(from).into_iter().for_each(|forged| drop(pair.give(from, forged)));
        datagram
    });
    pair.assert_connected();
    for from in [From::Client, From::Server] {
        forge(from).into_iter().for_each(|forged| drop(pair.give(from, forged)));
    }
    pair.assert_connected();
    pair
}

#[test]
fn replayed_records_are_dropped() {
    let mut pair = Pair::new();
    pair.connect();
    let mut seen = Vec::new();
    for i in 0..200u8 {
        let mut record = Vec::new();
        pair.client.seal(&[i], &mut record).unwrap();
        pair.give(From::Client, record.clone()).unwrap();
        seen.push(record);
    }
    events(&mut pair.server);
    for record in seen {
        assert!(matches!(pair.give(From::Client, record), Err(DtlsError::Ignored(_))));
    }
    assert_eq!(events(&mut pair.server), []);
    assert_eq!(pair.server.stats().replayed, 200);
}

#[test]
fn reflected_records_are_dropped() {
    let mut pair = Pair::new();
    pair.connect();
    let mut record = Vec::new();
    pair.client.seal(b"x", &mut record).unwrap();
    // Back to who sent it: the keys of the directions differ.
    assert!(matches!(pair.give(From::Server, record), Err(DtlsError::Ignored(_))));
    assert_eq!(pair.client.stats().unauthentic, 1);
    // And a reflected hello is no server's answer.
    let mut pair = Pair::new();
    let hello = pair.take(From::Client).remove(0);
    pair.give(From::Server, hello).ok();
    pair.assert_not_connected();
}

#[test]
fn fragment_bombs_hold_bounded_memory_and_do_no_harm() {
    let random = SeededRandom::new(1);
    let pair = connects_in_spite_of(|from| {
        let kind = if from == From::Client { CLIENT_HELLO } else { SERVER_HELLO };
        let mut forged = Vec::new();
        for i in 0..2000u32 {
            let offset = random.next_u64() as u32 % 16_000;
            let body = vec![0x41; 1 + random.next_u64() as usize % 100];
            // Towards each message that may be awaited, overlapping at random, all of one claimed length.
            forged.push(record(
                HANDSHAKE,
                0,
                i.into(),
                &fragment(kind, 16_384, (i % 12) as u16, offset, &body),
            ));
        }
        forged
    });
    assert!(pair.server.stats().over_limit > 1000);
    assert!(pair.client.stats().over_limit > 1000);
}

#[test]
fn claimed_lengths_are_not_believed() {
    let pair = connects_in_spite_of(|_| {
        vec![
            // A message of 16 MiB; a fragment beyond its message; one longer than its record.
            record(HANDSHAKE, 0, 1, &fragment(CERTIFICATE, 0xff_ffff, 3, 0, b"x")),
            record(HANDSHAKE, 0, 2, &fragment(CERTIFICATE, 10, 3, 0xff_fff0, b"0123456789")),
            record(HANDSHAKE, 0, 3, &fragment(CERTIFICATE, 10, 3, 0, b"0123456789")[..15]),
            // A record longer than its datagram, and half a header.
            record(HANDSHAKE, 0, 4, &[0; 100])[..50].to_vec(),
            vec![HANDSHAKE; 7],
        ]
    });
    assert!(pair.server.stats().malformed > 0 && pair.server.stats().over_limit > 0);
}

#[test]
fn messages_far_ahead_are_dropped() {
    let pair = connects_in_spite_of(|_| {
        [20, 1000, u16::MAX]
            .into_iter()
            .map(|seq| record(HANDSHAKE, 0, 7, &fragment(FINISHED - 4, 4, seq, 0, b"abcd")))
            .collect()
    });
    assert!(pair.server.stats().over_limit > 0);
}

#[test]
fn epochs_are_not_confused() {
    let pair = connects_in_spite_of(|_| {
        vec![
            // Data without protection, of an epoch to come, and "protected" before there are keys.
            record(APPLICATION_DATA, 0, 9, b"plain"),
            record(APPLICATION_DATA, 2, 9, &[0; 64]),
            record(APPLICATION_DATA, u16::MAX, 9, &[0; 64]),
            record(HANDSHAKE, 1, 9, &[0; 64]),
            // A Finished without protection.
            record(HANDSHAKE, 0, 9, &fragment(FINISHED, 12, 1, 0, &[0; 12])),
        ]
    });
    for stats in [pair.server.stats(), pair.client.stats()] {
        assert!(stats.wrong_epoch > 0 && stats.malformed > 0 && stats.unauthentic > 0);
    }
}

/// CVE-2014-0224 and its kin.
#[test]
fn early_change_cipher_spec_changes_nothing() {
    connects_in_spite_of(|_| {
        vec![record(CHANGE_CIPHER_SPEC, 0, 5, &[1]), record(CHANGE_CIPHER_SPEC, 0, 6, &[1; 40])]
    });
}

#[test]
fn forged_alerts_do_not_end_anything() {
    let pair = connects_in_spite_of(|_| {
        vec![
            record(ALERT, 0, 5, &[2, 40]),
            record(ALERT, 0, 6, &[1, 0]),
            record(ALERT, 0, 7, &[2, 0]),
            record(ALERT, 1, 7, &[0; 40]),
            record(ALERT, 0, 7, &[9]),
        ]
    });
    assert!(pair.client.stats().plaintext_alerts > 0);
}

#[test]
fn garbage_at_any_time_changes_nothing_but_counters() {
    let random = SeededRandom::new(2);
    let pair = connects_in_spite_of(|_| {
        let mut forged = Vec::new();
        for _ in 0..200 {
            let mut bytes = vec![0; random.next_u64() as usize % 200];
            bytes.iter_mut().for_each(|byte| *byte = random.next_u64() as u8);
            // Some of them with a plausible beginning.
            if random.next_u64().is_multiple_of(2) && bytes.len() > 30 {
                bytes[0] = 20 + bytes[0] % 4;
                bytes[1..3].copy_from_slice(&[0xfe, 0xfd]);
                bytes[3] = 0;
                bytes[4] %= 2;
                bytes[11..13].copy_from_slice(&[0, 10]);
            }
            forged.push(bytes);
        }
        forged
    });
    assert!(pair.server.stats().ignored() > 200);
}

#[test]
fn a_wrong_fingerprint_exports_nothing() {
    for wrong in [From::Client, From::Server] {
        let mut pair = Pair::new();
        let (client, server) =
            (Config::new(provider(), IDENTITIES[0].clone()), Config::new(provider(), IDENTITIES[1].clone()));
        let (of_server, of_client) =
            if wrong == From::Client { (expect(0), expect(0)) } else { (expect(1), expect(1)) };
        pair.client = Connection::client(Arc::new(client), of_server).unwrap();
        pair.server = Connection::server(Arc::new(server), of_client).unwrap();
        pair.run(|pair, _, datagram| {
            pair.assert_not_connected();
            datagram
        });
        pair.assert_not_connected();
        let error = failure(pair.end(wrong)).unwrap();
        let named = [0, 1].map(|i| IDENTITIES[i].fingerprint(FingerprintAlgorithm::Sha256).to_string());
        assert!(named.iter().all(|fingerprint| error.to_string().contains(fingerprint)), "{error}");
    }
}

/// A client that leaves out its certificate or the proof that it has the key.
#[test]
fn client_authentication_cannot_be_skipped() {
    // The message that is left out, and what takes its number instead.
    for (left_out, instead) in [
        (CERTIFICATE, CLIENT_KEY_EXCHANGE),
        (CERTIFICATE_VERIFY, CLIENT_KEY_EXCHANGE),
        (CERTIFICATE_VERIFY, CERTIFICATE),
        (CLIENT_KEY_EXCHANGE, CERTIFICATE_VERIFY),
    ] {
        let mut pair = Pair::new();
        pair.run(|_, from, mut datagram| {
            if from == From::Client {
                let mut at = 0;
                while at < datagram.len() {
                    let length = usize::from(u16::from_be_bytes([datagram[at + 11], datagram[at + 12]]));
                    if datagram[at] == HANDSHAKE && datagram[at + 13] == left_out && datagram[at + 4] == 0 {
                        datagram[at + 13] = instead;
                    }
                    at += 13 + length;
                }
            }
            datagram
        });
        pair.assert_not_connected();
        let error = failure(&mut pair.server).unwrap();
        assert!(
            matches!(error, DtlsError::Handshake { alert: "unexpected_message", .. }),
            "{left_out} {instead}: {error}"
        );
    }
    // An empty list of certificates.
    let mut pair = Pair::with(|client, _| client.identity = None);
    pair.run(|_, _, datagram| datagram);
    pair.assert_not_connected();
    assert!(matches!(
        failure(&mut pair.server),
        Some(DtlsError::Handshake { alert: "handshake_failure", .. })
    ));
    // A dropped CertificateVerify: nothing after it is taken.
    let mut pair = Pair::new();
    pair.run(|_, from, mut datagram| {
        if from == From::Client {
            change_messages(&mut datagram, |kind, body| {
                if kind == CERTIFICATE_VERIFY {
                    body.fill(0);
                }
            });
        }
        datagram
    });
    pair.assert_not_connected();
}

#[test]
fn signatures_are_checked() {
    for (from, message) in [(From::Server, SERVER_KEY_EXCHANGE), (From::Client, CERTIFICATE_VERIFY)] {
        let mut pair = Pair::new();
        pair.run(|_, sender, mut datagram| {
            if sender == from {
                change_messages(&mut datagram, |kind, body| {
                    if kind == message {
                        let last = body.len() - 1;
                        body[last] ^= 1;
                    }
                });
            }
            datagram
        });
        pair.assert_not_connected();
        let judge = if from == From::Server { From::Client } else { From::Server };
        let error = failure(pair.end(judge)).unwrap();
        assert!(matches!(error, DtlsError::Handshake { alert: "decrypt_error", .. }), "{error}");
    }
}

/// The triple handshake: without the extended master secret the keys are not bound to the certificates.
#[test]
fn the_extended_master_secret_cannot_be_stripped() {
    for from in [From::Client, From::Server] {
        let mut pair = Pair::new();
        pair.run(|_, sender, mut datagram| {
            if sender == from {
                change_messages(&mut datagram, |kind, body| {
                    if matches!(kind, CLIENT_HELLO | SERVER_HELLO) {
                        let at = body.windows(4).position(|bytes| bytes == [0, 23, 0, 0]).unwrap();
                        // Groups, in whose place a server's is skipped and a client's is malformed.
                        body[at..at + 2].copy_from_slice(&[0x5a, 0x5a]);
                    }
                });
            }
            datagram
        });
        pair.assert_not_connected();
        assert!(pair.client.is_ended() || pair.server.is_ended());
    }
    // Where it is not required, the stripping is found by the Finished.
    let mut pair = Pair::with(|client, server| {
        client.require_extended_master_secret = false;
        server.require_extended_master_secret = false;
    });
    pair.run(|_, from, mut datagram| {
        if from == From::Client {
            change_messages(&mut datagram, |kind, body| {
                if kind == CLIENT_HELLO {
                    let at = body.windows(4).position(|bytes| bytes == [0, 23, 0, 0]).unwrap();
                    body[at..at + 2].copy_from_slice(&[0x5a, 0x5a]);
                }
            });
        }
        datagram
    });
    pair.assert_not_connected();
    assert!(matches!(failure(&mut pair.server), Some(DtlsError::Handshake { alert: "decrypt_error", .. })));
}

/// Any change of a plaintext message is found, by the Finished at the latest: nobody can weaken what is
/// negotiated.
#[test]
fn every_byte_of_the_handshake_is_covered() {
    let mut lengths = std::collections::BTreeMap::new();
    Pair::new().run(|_, from, mut datagram| {
        change_messages(&mut datagram, |kind, body| {
            lengths.insert((from == From::Client, kind), body.len());
        });
        datagram
    });
    assert_eq!(lengths.len(), 9);
    for ((from_client, message), length) in lengths {
        for at in 0..length {
            let mut pair = Pair::new();
            let mut changed = false;
            pair.run(|_, from, mut datagram| {
                if (from == From::Client) == from_client {
                    change_messages(&mut datagram, |kind, body| {
                        if let Some(byte) = body.get_mut(at).filter(|_| kind == message) {
                            *byte ^= 0x10;
                            changed = true;
                        }
                    });
                }
                datagram
            });
            // Signatures are not always of the same length.
            let connected = pair.client.is_connected() && pair.server.is_connected();
            assert!(!(changed && connected), "byte {at} of {message}");
        }
    }
}

#[test]
fn a_changed_finished_is_ignored() {
    let mut pair = Pair::new();
    let mut changed = 0;
    pair.run(|_, _, mut datagram| {
        let last = datagram.len() - 1;
        // The last record of either last flight is the Finished.
        if datagram.windows(5).any(|bytes| bytes == [HANDSHAKE, 0xfe, 0xfd, 0, 1]) {
            datagram[last] ^= 1;
            changed += 1;
        }
        datagram
    });
    assert_eq!(changed, 1, "the server never answers");
    pair.assert_not_connected();
    assert_eq!(pair.server.stats().unauthentic, 1);
    // It is as if lost.
    pair.now += Duration::from_secs(1);
    let now = pair.now;
    pair.client.handle_timeout(now);
    pair.connect();
}

/// One small forged datagram must not draw many large ones.
#[test]
fn repeated_hellos_are_not_answered_each_time() {
    let mut pair = Pair::new();
    let hello = pair.take(From::Client).remove(0);
    let mut answers = 0;
    for _ in 0..1000 {
        pair.give(From::Client, hello.clone()).ok();
        answers += pair.take(From::Server).len();
    }
    assert_eq!(answers, 1);
    for _ in 0..1000 {
        pair.now += Duration::from_millis(1);
        pair.give(From::Client, hello.clone()).ok();
        answers += pair.take(From::Server).len();
    }
    assert!(answers < 20, "{answers}");
}

#[test]
fn early_records_are_bounded() {
    let mut pair = Pair::new();
    let hello = pair.take(From::Client).remove(0);
    pair.give(From::Client, hello).unwrap();
    for i in 0..100 {
        pair.give(From::Client, record(APPLICATION_DATA, 1, i, &[0; 1000])).ok();
    }
    assert_eq!(pair.server.stats().over_limit, 92);
    pair.connect();
}
