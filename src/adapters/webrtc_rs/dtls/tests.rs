use std::net::SocketAddr;
use std::slice;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::record::plaintext;
use super::*;
use crate::layer::{FingerprintAlgorithm, FiveTuple};

fn path() -> FiveTuple {
    FiveTuple::udp(SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 2], 2)))
}

fn sha256(identity: &DtlsIdentity) -> &Fingerprint {
    identity.fingerprint(FingerprintAlgorithm::Sha256)
}

/// Client and server on a runtime that runs when it is told to.
struct Pair {
    runtime: Runtime,
    sides: [DtlsConnection; 2],
    told: [Vec<DtlsEvent>; 2],
    /// Says which datagrams arrive: the side that sends, how many it has sent before, and the datagram.
    passes: fn(usize, usize, &[u8]) -> bool,
    sent: [usize; 2],
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Pair {
    /// Sides that expect these fingerprints of each other.
    fn expecting(identities: [&DtlsIdentity; 2], expected: [&[Fingerprint]; 2]) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let make = |role, side: usize| {
            let mut config = DtlsConfig::new(identities[side].clone());
            config.retransmission_interval = Duration::from_millis(50);
            DtlsConnection::new(role, expected[side], config, runtime.handle().clone()).unwrap()
        };
        let sides = [make(DtlsRole::Client, CLIENT), make(DtlsRole::Server, SERVER)];
        Self { runtime, sides, told: [Vec::new(), Vec::new()], passes: |_, _, _| true, sent: [0; 2] }
    }

    fn new() -> Self {
        let (alice, bob) = (DtlsIdentity::generate().unwrap(), DtlsIdentity::generate().unwrap());
        Self::expecting([&alice, &bob], [slice::from_ref(sha256(&bob)), slice::from_ref(sha256(&alice))])
    }

    fn step(&mut self) {
        let now = Instant::now();
        for side in [CLIENT, SERVER] {
            self.sides[side].handle_timeout(now);
            let mut batch = TransmitBatch::new(1200);
            while let Some(transmit) = self.sides[side].poll_transmit(now, &mut batch) {
                for datagram in batch.datagrams_mut(&transmit) {
                    if (self.passes)(side, self.sent[side], datagram) {
                        let _ = self.sides[1 - side].handle_datagram(now, Datagram::new(path(), datagram));
                    }
                    self.sent[side] += 1;
                }
            }
        }
        for side in [CLIENT, SERVER] {
            self.told[side].extend(std::iter::from_fn(|| self.sides[side].poll_event()));
        }
        self.runtime.block_on(async { tokio::time::sleep(Duration::from_micros(200)).await });
    }

    fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !done(self) {
            assert!(Instant::now() < deadline, "{:?}, told: {:?}", self.sides, self.told);
            self.step();
        }
    }

    fn connect(&mut self) {
        self.run_until(|pair| pair.sides.iter().all(|side| side.is_connected()));
    }

    /// No task is left.
    fn settle(&mut self) {
        self.run_until(|pair| pair.runtime.metrics().num_alive_tasks() == 0);
    }

    fn say(&mut self, from: usize, data: &[u8]) -> Result<(), DtlsError> {
        let mut record = Vec::new();
        self.sides[from].seal(data, &mut record).unwrap();
        self.sides[1 - from].handle_datagram(Instant::now(), Datagram::new(path(), &mut record))
    }
}

#[test]
fn an_established_connection_has_no_task_and_no_timer() {
    let mut pair = Pair::new();
    pair.connect();
    pair.settle();
    assert_eq!(pair.sides.each_ref().map(Layer::poll_timeout), [None, None]);
    let name = Some("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    assert_eq!(pair.sides.each_ref().map(DtlsTransport::cipher_suite_name), [name, name]);
    for side in [CLIENT, SERVER] {
        pair.say(side, b"without a task").unwrap();
        let data = DtlsEvent::ApplicationData(Bytes::from_static(b"without a task"));
        assert_eq!(pair.sides[1 - side].poll_event(), Some(data));
    }
}

#[test]
fn a_wrong_fingerprint_is_named_and_connects_nothing() {
    let [alice, bob, other] = [(); 3].map(|()| DtlsIdentity::generate().unwrap());
    for deceived in [CLIENT, SERVER] {
        let mut expected = [slice::from_ref(sha256(&bob)), slice::from_ref(sha256(&alice))];
        expected[deceived] = slice::from_ref(sha256(&other));
        let mut pair = Pair::expecting([&alice, &bob], expected);
        pair.run_until(|pair| pair.told.iter().all(|told| !told.is_empty()));
        let actual = sha256([&bob, &alice][deceived]).to_string();
        let wrong = DtlsError::WrongFingerprint { expected: sha256(&other).to_string(), actual };
        assert_eq!(pair.told[deceived], [DtlsEvent::Failed(wrong)]);
        let refused = DtlsError::AlertReceived { code: 42, description: "bad_certificate" };
        assert_eq!(pair.told[1 - deceived], [DtlsEvent::Failed(refused)]);
        assert_eq!(pair.sides[deceived].srtp_keying_material(), Err(DtlsError::NotConnected));
        pair.settle();
    }
}

#[test]
fn nothing_passes_before_a_late_fingerprint() {
    let [alice, bob, other] = [(); 3].map(|()| DtlsIdentity::generate().unwrap());
    for (announced, is_right) in [(&bob, true), (&other, false)] {
        let mut pair = Pair::expecting([&alice, &bob], [&[], slice::from_ref(sha256(&alice))]);
        pair.run_until(|pair| pair.sides[SERVER].is_connected());
        pair.settle();
        pair.say(SERVER, b"early").unwrap();
        let client = &mut pair.sides[CLIENT];
        assert!(!client.is_connected());
        assert_eq!(client.poll_event(), None);
        assert_eq!(client.seal(b"data", &mut Vec::new()), Err(DtlsError::NotConnected));
        assert_eq!(client.srtp_keying_material(), Err(DtlsError::NotConnected));
        let exported = client.export_keying_material("EXPORTER-x", None, &mut [0; 16]);
        assert_eq!(exported, Err(DtlsError::NotConnected));

        let outcome = client.set_peer_fingerprints(Instant::now(), slice::from_ref(sha256(announced)));
        pair.step();
        if is_right {
            assert_eq!(outcome, Ok(()));
            let [DtlsEvent::Connected { srtp_profile: Some(_) }, DtlsEvent::ApplicationData(data)] =
                &pair.told[CLIENT][..]
            else {
                panic!("{:?}", pair.told)
            };
            assert_eq!(data, "early");
        } else {
            let expected = sha256(announced).to_string();
            let wrong = DtlsError::WrongFingerprint { expected, actual: sha256(&bob).to_string() };
            assert_eq!(outcome, Err(wrong.clone()));
            assert_eq!(pair.told[CLIENT], [DtlsEvent::Failed(wrong)]);
            let refused = DtlsError::AlertReceived { code: 42, description: "bad_certificate" };
            assert_eq!(pair.told[SERVER].last(), Some(&DtlsEvent::Failed(refused)));
        }
    }
}

/// The crate does not send it again.
#[test]
fn a_lost_last_flight_is_repeated() {
    let mut pair = Pair::new();
    // Two datagrams of the server have gone before, HelloVerifyRequest and ServerHello, and at most one of these
    // again.
    pair.passes = |side, _, datagram| {
        let is_last = records(datagram).any(|record| record.epoch == PROTECTED);
        // Counts on the client's repetition, whose records have other numbers.
        side == CLIENT || !is_last || FLIGHTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0
    };
    static FLIGHTS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    pair.connect();
    assert!(FLIGHTS.load(std::sync::atomic::Ordering::Relaxed) > 1);
    pair.say(CLIENT, b"data").unwrap();
}

#[test]
fn an_unprotected_alert_ends_no_handshake_that_goes_on() {
    let mut pair = Pair::new();
    let mut forged = plaintext(ALERT, 1 << 40, &[2, 40]);
    while !pair.sides.iter().all(|side| side.is_connected()) {
        for side in &mut pair.sides {
            let _ = side.handle_datagram(Instant::now(), Datagram::new(path(), &mut forged));
        }
        pair.step();
        assert!(
            pair.told.iter().flatten().all(|told| !matches!(told, DtlsEvent::Failed(_))),
            "{:?}",
            pair.told
        );
    }
}

#[test]
fn keys_are_those_of_the_crate() {
    let mut pair = Pair::new();
    pair.connect();
    let export = |side: usize, context| {
        let mut out = [0; 70];
        pair.sides[side].export_keying_material("EXPORTER-x", context, &mut out).map(|()| out)
    };
    assert_eq!(export(CLIENT, None), export(SERVER, None));
    assert_ne!(export(CLIENT, Some(b"")), export(CLIENT, None));
    assert_ne!(export(CLIENT, Some(b"a")), export(CLIENT, Some(b"b")));
}

#[test]
fn dropping_ends_all_tasks_at_any_time() {
    for steps in 0..40 {
        let mut pair = Pair::new();
        for _ in 0..steps {
            pair.step();
        }
        let Pair { runtime, sides, .. } = pair;
        drop(sides);
        let gone = async {
            while Handle::current().metrics().num_alive_tasks() > 0 {
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        };
        let gone = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), gone).await });
        assert!(gone.is_ok(), "after {steps} steps {} tasks are left", runtime.metrics().num_alive_tasks());
    }
}

/// A ClientHello, and a server on a runtime that nobody drives: tasks that do not come on.
#[test]
fn tasks_that_do_not_come_on_end_the_connection() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let config = DtlsConfig { max_queued_datagrams: 4, ..DtlsConfig::new(DtlsIdentity::generate().unwrap()) };
    let mut server = DtlsConnection::new(DtlsRole::Server, &[], config, runtime.handle().clone()).unwrap();
    let mut hello = plaintext(HANDSHAKE, 0, &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7]);
    let mut now = Instant::now();
    for number in 0..6 {
        let outcome = server.handle_datagram(now, Datagram::new(path(), &mut hello));
        assert_eq!(outcome.is_ok(), number < 4, "datagram {number}: {outcome:?}");
    }
    assert_eq!(server.dropped(), 2);
    for _ in 0..2 {
        assert_eq!(server.poll_event(), None);
        now += Duration::from_secs(6);
        server.handle_timeout(now);
    }
    let end = DtlsEvent::Failed(DtlsError::Internal("the crate dtls does not come on"));
    assert_eq!(server.poll_event(), Some(end));
    assert_eq!((server.poll_event(), server.poll_timeout()), (None, None));
    let outcome = server.handle_datagram(now, Datagram::new(path(), &mut hello));
    assert_eq!(outcome, Err(DtlsError::NotConnected));
}

/// On a runtime without timers the crate panics.
#[test]
fn a_panic_of_the_crate_fails_the_connection() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let config = DtlsConfig::new(DtlsIdentity::generate().unwrap());
    let mut client = DtlsConnection::new(DtlsRole::Client, &[], config, runtime.handle().clone()).unwrap();
    let mut batch = TransmitBatch::new(1200);
    let mut event = None;
    for _ in 0..1000 {
        let _ = client.poll_transmit(Instant::now(), &mut batch);
        event = event.or_else(|| client.poll_event());
        runtime.block_on(tokio::task::yield_now());
    }
    assert_eq!(
        event,
        Some(DtlsEvent::Failed(DtlsError::Internal("the crate dtls panicked, or its runtime has ended")))
    );
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}

#[test]
fn a_server_begins_with_a_client_hello_only() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let config = DtlsConfig::new(DtlsIdentity::generate().unwrap());
    let mut server = DtlsConnection::new(DtlsRole::Server, &[], config, runtime.handle().clone()).unwrap();
    let message = |kind| plaintext(HANDSHAKE, 0, &[kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for mut datagram in [message(2), plaintext(ALERT, 0, &[2, 40]), vec![22; 100], Vec::new()] {
        let outcome = server.handle_datagram(Instant::now(), Datagram::new(path(), &mut datagram));
        assert!(matches!(outcome, Err(DtlsError::Ignored(_))), "{outcome:?}");
        assert_eq!(server.poll_timeout(), None);
    }
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}

#[test]
fn what_waits_for_the_application_is_bounded() {
    let mut pair = Pair::new();
    pair.connect();
    let refused = (0..1000).filter(|_| pair.say(CLIENT, &[7; 1000]).is_err()).count();
    assert_eq!(pair.sides[SERVER].dropped(), refused as u64);
    assert_eq!(1000 - refused, (256 << 10) / (1000 + QUEUED_PIECE_COST));
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let config = DtlsConfig::new(DtlsIdentity::generate().unwrap());
    for config in [
        DtlsConfig { mtu: 100, ..config.clone() },
        DtlsConfig { retransmission_interval: Duration::ZERO, ..config.clone() },
        DtlsConfig { retransmission_interval: Duration::MAX, ..config.clone() },
        DtlsConfig { poll_interval: Duration::ZERO, ..config.clone() },
        DtlsConfig { poll_interval: Duration::MAX, ..config },
    ] {
        let refused = DtlsConnection::new(DtlsRole::Client, &[], config, runtime.handle().clone());
        assert!(matches!(refused, Err(DtlsError::Config(_))), "{refused:?}");
    }
}
