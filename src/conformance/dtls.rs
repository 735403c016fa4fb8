//! What a DTLS connection must do.

use std::slice;
use std::time::Duration;

use super::kit::Kit;
use super::leak::leaves_nothing;
use super::link;
use super::pair::{PEER, Pair, SUBJECT, path};
use super::report::Report;
use super::scenario::{Scenario, Trouble, ensure, refused, run_all};
use crate::layer::{Datagram, DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint};
use crate::sim::Link;

/// Makes a DTLS connection that accepts a peer with one of these fingerprints only; where there are none,
/// [`DtlsTransport::set_peer_fingerprints`] gives them later.
pub type MakeDtls<'a> = dyn Fn(DtlsRole, &[Fingerprint]) -> Result<Box<dyn DtlsTransport>, DtlsError> + 'a;

/// A DTLS implementation with a certificate.
#[derive(Clone, Copy)]
pub struct DtlsImplementation<'a> {
    /// Makes a connection.
    pub make: &'a MakeDtls<'a>,
    /// The fingerprint of the certificate that its connections have.
    pub fingerprint: &'a Fingerprint,
}

impl std::fmt::Debug for DtlsImplementation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DtlsImplementation").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Kit<'_> {
    /// Runs a DTLS implementation against `peer`.
    pub fn dtls(&self, subject: &DtlsImplementation<'_>, peer: &DtlsImplementation<'_>) -> Report {
        run_all(self.only, &scenarios(), &Setup { kit: *self, subject: *subject, peer: *peer })
    }
}

fn scenarios<'a>() -> Vec<Scenario<Setup<'a>>> {
    vec![
        Scenario { name: "establishment/client", run: |setup| establishment(setup, DtlsRole::Client) },
        Scenario { name: "establishment/server", run: |setup| establishment(setup, DtlsRole::Server) },
        Scenario { name: "establishment/nothing-before", run: nothing_before },
        Scenario { name: "establishment/late-fingerprint", run: late_fingerprint },
        Scenario { name: "establishment/wrong-fingerprint", run: wrong_fingerprint },
        Scenario { name: "receive-in-place", run: receive_in_place },
        Scenario { name: "exporter", run: exporter },
        Scenario { name: "loss", run: |setup| impaired(setup, link::lossy()) },
        Scenario { name: "reordering", run: |setup| impaired(setup, link::reordering()) },
        Scenario { name: "duplication", run: |setup| impaired(setup, link::duplicating()) },
        Scenario { name: "duplication/data", run: replay },
        Scenario { name: "corruption", run: corruption },
        Scenario { name: "limits/record", run: record_limit },
        Scenario { name: "limits/undrained", run: undrained },
        Scenario { name: "malformed/before", run: malformed_before },
        Scenario { name: "malformed/after", run: malformed_after },
        Scenario { name: "close/tells-the-peer", run: close },
        Scenario { name: "close/by-the-peer", run: close_by_peer },
        Scenario { name: "close/early", run: close_early },
        Scenario { name: "timer/sends-again", run: sends_again },
        Scenario { name: "timer/gives-up", run: gives_up },
        Scenario { name: "timer/none-when-idle", run: idle_timer },
        Scenario { name: "idle-poll", run: idle_poll },
        Scenario { name: "drop/leaves-nothing", run: leak },
    ]
}

struct Setup<'a> {
    kit: Kit<'a>,
    subject: DtlsImplementation<'a>,
    peer: DtlsImplementation<'a>,
}

type DtlsPair<'a> = Pair<'a, Box<dyn DtlsTransport>>;

/// Longer than any handshake takes that is sent again now and then.
const PATIENCE: Duration = Duration::from_secs(55);
/// Longer than a round trip.
const SHORT: Duration = Duration::from_millis(300);

fn other(role: DtlsRole) -> DtlsRole {
    match role {
        DtlsRole::Client => DtlsRole::Server,
        DtlsRole::Server => DtlsRole::Client,
    }
}

impl<'a> Setup<'a> {
    fn make(&self, role: DtlsRole, expected: &[Fingerprint]) -> Result<Box<dyn DtlsTransport>, Trouble> {
        (self.subject.make)(role, expected).map_err(|e| refused("making the subject")(&e))
    }

    fn make_peer(&self, role: DtlsRole) -> Result<Box<dyn DtlsTransport>, Trouble> {
        let expected = [self.subject.fingerprint.clone()];
        (self.peer.make)(role, &expected).map_err(|e| refused("making the peer")(&e))
    }

    fn pair(&self, role: DtlsRole, seed: u64, link: Link) -> Result<DtlsPair<'a>, Trouble> {
        let subject = self.make(role, slice::from_ref(self.peer.fingerprint))?;
        Ok(Pair::new(&self.kit, seed, link, [subject, self.make_peer(other(role))?]))
    }

    fn connected(&self, role: DtlsRole) -> Result<DtlsPair<'a>, Trouble> {
        let mut pair = self.pair(role, 0, link::perfect())?;
        connect(&mut pair)?;
        Ok(pair)
    }
}

fn connect(pair: &mut DtlsPair<'_>) -> Result<(), Trouble> {
    let done = pair.run_until(PATIENCE, |pair| pair.layers.iter().all(|layer| layer.is_connected()))?;
    ensure!(done, "the handshake is not complete; told: {:?}", pair.told);
    pair.run_for(SHORT)?;
    for (side, told) in pair.told.iter().enumerate() {
        let connected = told.iter().filter(|event| matches!(event, DtlsEvent::Connected { .. })).count();
        ensure!(connected == 1, "the side {side} tells {connected} times that it is connected");
    }
    Ok(())
}

/// Sends `data` from a side.
fn say(pair: &mut DtlsPair<'_>, side: usize, data: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut record = b"before".to_vec();
    pair.layers[side].seal(data, &mut record).map_err(|e| refused("seal")(&e))?;
    let sealed = record.split_off(6);
    ensure!(record == b"before", "seal has changed what stood in the buffer");
    ensure!(
        sealed.len() == data.len() + pair.layers[side].overhead(),
        "seal makes {} bytes of {}, and says that it adds {}",
        sealed.len(),
        data.len(),
        pair.layers[side].overhead()
    );
    ensure!(!sealed.windows(data.len()).any(|window| window == data), "the data is not encrypted");
    Ok(sealed)
}

fn heard<'p>(pair: &'p DtlsPair<'_>, side: usize) -> impl Iterator<Item = &'p [u8]> {
    pair.told[side].iter().filter_map(|event| match event {
        DtlsEvent::ApplicationData(data) => Some(&data[..]),
        _ => None,
    })
}

/// Data passes from a side to the other.
fn passes(pair: &mut DtlsPair<'_>, from: usize, data: &[u8]) -> Result<(), Trouble> {
    let record = say(pair, from, data)?;
    pair.inject(1 - from, &record).map_err(|e| refused("application data")(&e))?;
    let done = pair.run_until(SHORT, |pair| heard(pair, 1 - from).any(|heard| heard == data))?;
    ensure!(done, "the side {} does not deliver application data", 1 - from);
    Ok(())
}

fn passes_both_ways(pair: &mut DtlsPair<'_>) -> Result<(), Trouble> {
    for length in [8, 100, 1150] {
        passes(pair, SUBJECT, &vec![length as u8; length])?;
        passes(pair, PEER, &vec![!length as u8; length])?;
    }
    Ok(())
}

fn agrees(pair: &DtlsPair<'_>) -> Result<(), Trouble> {
    let [subject, peer] = &pair.layers;
    ensure!(
        subject.srtp_profile() == peer.srtp_profile(),
        "the sides have agreed on different SRTP profiles"
    );
    let keys = [subject, peer].map(|side| side.srtp_keying_material());
    let [Ok(ours), Ok(theirs)] = keys else {
        return Err(Trouble::Failed(format!("no SRTP keys: {keys:?}")));
    };
    ensure!(ours == theirs, "the sides have different SRTP keys");
    Ok(())
}

fn establishment(setup: &Setup<'_>, role: DtlsRole) -> Result<(), Trouble> {
    let mut pair = setup.connected(role)?;
    ensure!(pair.layers[SUBJECT].role() == role, "the role is not the one asked for");
    passes_both_ways(&mut pair)?;
    agrees(&pair)
}

fn nothing_before(setup: &Setup<'_>) -> Result<(), Trouble> {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut pair = setup.pair(role, 0, link::down())?;
        pair.run_for(SHORT)?;
        let subject = &mut pair.layers[SUBJECT];
        let mut out = b"before".to_vec();
        let outcome = subject.seal(b"data", &mut out);
        ensure!(outcome == Err(DtlsError::NotConnected), "seal before the handshake gives {outcome:?}");
        ensure!(out == b"before", "seal that fails has appended something");
        let outcome = subject.srtp_keying_material();
        ensure!(outcome == Err(DtlsError::NotConnected), "SRTP keys before the handshake: {outcome:?}");
        let outcome = subject.export_keying_material("EXPORTER-test", None, &mut [0; 16]);
        ensure!(outcome == Err(DtlsError::NotConnected), "an export before the handshake gives {outcome:?}");
        ensure!(
            !subject.is_connected() && subject.srtp_profile().is_none(),
            "connected before the handshake"
        );
    }
    Ok(())
}

fn late_fingerprint(setup: &Setup<'_>) -> Result<(), Trouble> {
    let subject = setup.make(DtlsRole::Server, &[])?;
    let mut pair = Pair::new(&setup.kit, 0, link::perfect(), [subject, setup.make_peer(DtlsRole::Client)?]);
    pair.run_for(SHORT)?;
    ensure!(!pair.layers[SUBJECT].is_connected(), "connected without a fingerprint to compare with");
    let outcome = pair.layers[SUBJECT].srtp_keying_material();
    ensure!(
        outcome == Err(DtlsError::NotConnected),
        "SRTP keys of a peer that was not verified: {outcome:?}"
    );
    let now = pair.now();
    pair.layers[SUBJECT]
        .set_peer_fingerprints(now, slice::from_ref(setup.peer.fingerprint))
        .map_err(|e| refused("set_peer_fingerprints")(&e))?;
    connect(&mut pair)?;
    passes_both_ways(&mut pair)
}

fn wrong_fingerprint(setup: &Setup<'_>) -> Result<(), Trouble> {
    let digest: Vec<u8> = setup.peer.fingerprint.digest().iter().map(|byte| !byte).collect();
    let wrong = Fingerprint::new(setup.peer.fingerprint.algorithm(), &digest);
    let wrong = [wrong.ok_or(Trouble::NotRun("the peer has no fingerprint"))?];
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let layers = [setup.make(role, &wrong)?, setup.make_peer(other(role))?];
        let mut pair = Pair::new(&setup.kit, 0, link::perfect(), layers);
        let failed =
            |event: &DtlsEvent| matches!(event, DtlsEvent::Failed(DtlsError::WrongFingerprint { .. }));
        let done = pair.run_until(PATIENCE, |pair| pair.told[SUBJECT].iter().any(failed))?;
        ensure!(done, "as {role:?}: not told that the fingerprint is wrong, but {:?}", pair.told[SUBJECT]);
        ensure!(!pair.layers[SUBJECT].is_connected(), "connected to a peer with another certificate");
        ensure!(
            pair.layers[SUBJECT].srtp_keying_material().is_err(),
            "keys of a peer with another certificate"
        );
    }
    Ok(())
}

fn receive_in_place(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(DtlsRole::Server)?;
    let mut record = say(&mut pair, PEER, b"delivered where it lies")?;
    let now = pair.now();
    let mut delivered = Vec::new();
    pair.layers[SUBJECT]
        .receive(now, Datagram::new(path(SUBJECT), &mut record), &mut |data| delivered.push(data.to_vec()))
        .map_err(|e| refused("receive")(&e))?;
    pair.run_for(SHORT)?;
    delivered.extend(heard(&pair, SUBJECT).map(<[u8]>::to_vec));
    ensure!(delivered == [b"delivered where it lies"], "receive delivers {delivered:?}");
    Ok(())
}

fn exporter(setup: &Setup<'_>) -> Result<(), Trouble> {
    let pair = setup.connected(DtlsRole::Client)?;
    let export = |side: usize, label: &str, context: Option<&[u8]>| {
        let mut out = [0; 40];
        pair.layers[side].export_keying_material(label, context, &mut out).map(|()| out)
    };
    let plain = export(SUBJECT, "EXPORTER-one", None).map_err(|e| refused("export")(&e))?;
    ensure!(Ok(plain) == export(PEER, "EXPORTER-one", None), "the sides export different keys");
    ensure!(Ok(plain) != export(SUBJECT, "EXPORTER-two", None), "the label does not matter");
    // RFC 5705 §4: no context is not the same as an empty one.
    let empty =
        export(SUBJECT, "EXPORTER-one", Some(b"")).map_err(|e| refused("export with a context")(&e))?;
    ensure!(empty != plain, "an empty context is the same as none");
    ensure!(Ok(empty) == export(PEER, "EXPORTER-one", Some(b"")), "the sides differ on an empty context");
    Ok(())
}

fn impaired(setup: &Setup<'_>, impaired: Link) -> Result<(), Trouble> {
    for seed in 0..setup.kit.seeds {
        let role = if seed % 2 == 0 { DtlsRole::Client } else { DtlsRole::Server };
        let mut pair = setup.pair(role, seed, impaired.clone())?;
        let done = pair.run_until(PATIENCE, |pair| pair.layers.iter().all(|layer| layer.is_connected()))?;
        ensure!(done, "seed {seed}, as {role:?}: the handshake is not complete; told: {:?}", pair.told);
        pair.set_link(link::perfect());
        passes_both_ways(&mut pair)?;
        agrees(&pair)?;
    }
    Ok(())
}

fn replay(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(DtlsRole::Client)?;
    let records = [b"first", b"other", b"third"]
        .map(|data| say(&mut pair, PEER, data))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    for record in records.iter().chain(&records).chain(&records) {
        // A record that was there before may be refused or ignored.
        let _ = pair.inject(SUBJECT, record);
    }
    pair.run_for(SHORT)?;
    let heard: Vec<_> = heard(&pair, SUBJECT).collect();
    ensure!(
        heard == [b"first", b"other", b"third"],
        "records that came three times: replay is accepted: {heard:?}"
    );
    Ok(())
}

fn corruption(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(DtlsRole::Client)?;
    let record = say(&mut pair, PEER, b"to be corrupted")?;
    for bit in 0..record.len() * 8 {
        let mut changed = record.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Refused or ignored.
        let _ = pair.inject(SUBJECT, &changed);
    }
    pair.run_for(SHORT)?;
    ensure!(heard(&pair, SUBJECT).next().is_none(), "corrupted data is delivered");
    ensure!(
        pair.layers[SUBJECT].is_connected(),
        "corrupted records end the connection: {:?}",
        pair.told[SUBJECT]
    );
    passes_both_ways(&mut pair)
}

fn record_limit(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(DtlsRole::Client)?;
    let mut out = b"before".to_vec();
    // RFC 6347 §4.1: a record carries 2¹⁴ bytes.
    let outcome = pair.layers[SUBJECT].seal(&[0; (1 << 14) + 1], &mut out);
    ensure!(
        matches!(outcome, Err(DtlsError::TooLarge { .. })),
        "a record that is too large gives {outcome:?}"
    );
    ensure!(out == b"before", "seal that fails has appended something");
    passes_both_ways(&mut pair)
}

fn undrained(setup: &Setup<'_>) -> Result<(), Trouble> {
    const SENT: usize = 20_000;
    const MOST: usize = 8 << 20;
    let mut pair = setup.connected(DtlsRole::Server)?;
    pair.draining = false;
    for _ in 0..SENT {
        let record = say(&mut pair, PEER, &[7; 1000])?;
        // What finds no room is lost.
        let _ = pair.inject(SUBJECT, &record);
    }
    pair.run_for(SHORT)?;
    pair.draining = true;
    pair.run_for(SHORT)?;
    let kept: usize = heard(&pair, SUBJECT).map(<[u8]>::len).sum();
    ensure!(kept > 0, "nothing is kept for an application that is late");
    ensure!(kept <= MOST, "the queue has no bound: {kept} bytes wait for the application");
    pair.told = [Vec::new(), Vec::new()];
    passes_both_ways(&mut pair)
}

fn malformed_before(setup: &Setup<'_>) -> Result<(), Trouble> {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        // What a handshake looks like, tried on a connection that has none yet.
        let genuine = setup.connected(role)?.sent;
        let mut pair = setup.pair(role, 0, link::down())?;
        pair.run_for(SHORT)?;
        pair.sent = genuine;
        pair.torment(SUBJECT)?;
        pair.run_for(SHORT)?;
        ensure!(!pair.layers[SUBJECT].is_connected(), "connected by noise");
    }
    Ok(())
}

fn malformed_after(setup: &Setup<'_>) -> Result<(), Trouble> {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut pair = setup.connected(role)?;
        pair.torment(SUBJECT)?;
        pair.run_for(SHORT)?;
        ensure!(pair.layers[SUBJECT].is_connected(), "noise ends the connection: {:?}", pair.told[SUBJECT]);
        passes_both_ways(&mut pair)?;
    }
    Ok(())
}

fn close(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(DtlsRole::Client)?;
    let now = pair.now();
    pair.layers[SUBJECT].close(now);
    ensure!(!pair.layers[SUBJECT].is_connected(), "connected after close");
    let done = pair.run_until(SHORT, |pair| pair.told[PEER].contains(&DtlsEvent::Closed))?;
    ensure!(done, "the peer is not told of the close");
    let outcome = pair.layers[SUBJECT].seal(b"data", &mut Vec::new());
    ensure!(outcome == Err(DtlsError::NotConnected), "seal after close gives {outcome:?}");
    let now = pair.now();
    pair.layers[SUBJECT].close(now);
    pair.run_for(SHORT)?;
    ensure!(pair.layers[SUBJECT].poll_timeout().is_none(), "a closed connection waits for something");
    Ok(())
}

fn close_by_peer(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(DtlsRole::Server)?;
    let now = pair.now();
    pair.layers[PEER].close(now);
    let done = pair.run_until(SHORT, |pair| pair.told[SUBJECT].contains(&DtlsEvent::Closed))?;
    ensure!(done, "not told that the peer has closed");
    ensure!(!pair.layers[SUBJECT].is_connected(), "connected after the peer has closed");
    Ok(())
}

fn close_early(setup: &Setup<'_>) -> Result<(), Trouble> {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut pair = setup.pair(role, 0, link::perfect())?;
        let now = pair.now();
        pair.layers[SUBJECT].close(now);
        pair.run_for(SHORT)?;
        ensure!(!pair.layers[SUBJECT].is_connected(), "connected after close");
        ensure!(pair.layers[SUBJECT].poll_timeout().is_none(), "a closed connection waits for something");
    }
    Ok(())
}

fn sends_again(setup: &Setup<'_>) -> Result<(), Trouble> {
    /// Four times what RFC 6347 §4.2.4.1 starts with.
    const SOON: Duration = Duration::from_secs(4);
    let mut pair = setup.pair(DtlsRole::Client, 0, link::down())?;
    let done = pair.run_until(SHORT, |pair| pair.sent_count[SUBJECT] > 0)?;
    ensure!(done, "a client does not begin");
    pair.run_for(SHORT / 10)?;
    let first = pair.sent_count[SUBJECT];
    let done = pair.run_until(SOON, |pair| pair.sent_count[SUBJECT] > first)?;
    ensure!(done, "the timer is late: a lost flight is not sent again within {SOON:?}");
    pair.set_link(link::perfect());
    connect(&mut pair)
}

fn gives_up(setup: &Setup<'_>) -> Result<(), Trouble> {
    const LONG: Duration = Duration::from_secs(300);
    let mut pair = setup.pair(DtlsRole::Client, 0, link::down())?;
    let failed = |event: &DtlsEvent| matches!(event, DtlsEvent::Failed(_));
    let done = pair.run_until(LONG, |pair| pair.told[SUBJECT].iter().any(failed))?;
    ensure!(done, "a client without an answer still waits after {LONG:?}");
    pair.run_for(SHORT)?;
    ensure!(pair.layers[SUBJECT].poll_timeout().is_none(), "a failed connection waits for something");
    Ok(())
}

fn idle_timer(setup: &Setup<'_>) -> Result<(), Trouble> {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut pair = setup.connected(role)?;
        pair.run_for(Duration::from_secs(2))?;
        let timeout = pair.layers[SUBJECT].poll_timeout();
        ensure!(timeout.is_none(), "as {role:?}: an idle connection wants to be called");
    }
    Ok(())
}

fn idle_poll(setup: &Setup<'_>) -> Result<(), Trouble> {
    let mut pair = setup.connected(DtlsRole::Server)?;
    pair.run_for(Duration::from_secs(2))?;
    pair.check_idle(SUBJECT, setup.kit.heap)
}

fn leak(setup: &Setup<'_>) -> Result<(), Trouble> {
    leaves_nothing(&setup.kit, || {
        let mut pair = setup.connected(DtlsRole::Client)?;
        passes_both_ways(&mut pair)?;
        drop(pair);
        // And half a handshake.
        setup.pair(DtlsRole::Server, 0, link::perfect())?.run_for(Duration::from_millis(12))
    })
}
