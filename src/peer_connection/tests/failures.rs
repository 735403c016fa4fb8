//! Every way in which a connection fails or ends, and everything that waits for it: each resolves, and the reason is
//! told everywhere.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::*;
use crate::dtls::CipherSuite;
use crate::layer::{
    Datagram, DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, IceFailureCause, Layer,
    SrtpKeyingMaterial, SrtpProfile, Transmit, TransmitBatch,
};
use crate::net::InterfaceFilter;
use crate::{ice, sctp};

/// One side of a connection, with one of each kind of handle, and what keeps the rest alive.
struct Scene {
    alice: PeerConnection,
    chat: DataChannel,
    local: RtpSender,
    remote: RtpReceiver,
    bob: PeerConnection,
    /// The reason, if it was told before the rest was there.
    told: Option<FailureReason>,
}

/// Short patience, so that what takes a minute takes a moment.
fn impatient() -> ice::Config {
    let mut config = ice::Config::default();
    (config.patience, config.candidate_patience) = (Duration::from_millis(400), Duration::from_millis(400));
    config.consent_interval = Duration::from_millis(100);
    config.disconnected_timeout = Duration::from_millis(200);
    config.consent_timeout = Duration::from_millis(500);
    config
}

fn builder() -> PeerConnectionBuilder {
    PeerConnection::builder().loopback(true).ice(impatient())
}

/// Both sides with a track each and a channel of Alice's; `forge` changes the texts of the offer and the answer.
/// `before` runs before Alice has the answer.
async fn negotiated(
    alice: PeerConnection,
    bob: PeerConnection,
    forge: impl Fn(DescriptionKind, String) -> String,
    before: impl FnOnce(&PeerConnection),
) -> Scene {
    let chat = alice.create_data_channel("chat").unwrap();
    let local = alice.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    bob.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    alice.set_local_description(None).unwrap();
    alice.gathering_complete().await;
    let offer = forge(DescriptionKind::Offer, alice.local_description().unwrap().text());
    bob.set_remote_description(&Description::offer(&offer).unwrap()).unwrap();
    bob.set_local_description(None).unwrap();
    bob.gathering_complete().await;
    let answer = forge(DescriptionKind::Answer, bob.local_description().unwrap().text());
    before(&bob);
    alice.set_remote_description(&Description::answer(&answer).unwrap()).unwrap();
    let mut told = None;
    let remote = loop {
        match alice.next_event().await.unwrap() {
            PeerConnectionEvent::Track(track) => break track,
            PeerConnectionEvent::ConnectionState { reason: Some(reason), .. } => told = Some(reason),
            _ => {}
        }
    };
    Scene { alice, chat, local, remote, bob, told }
}

async fn unchanged(alice: PeerConnectionBuilder, bob: PeerConnectionBuilder) -> Scene {
    let (alice, bob) = (alice.build().await.unwrap(), bob.build().await.unwrap());
    negotiated(alice, bob, |_, text| text, |_| ()).await
}

async fn connected() -> Scene {
    let scene = unchanged(builder(), builder()).await;
    timeout(LONG, scene.alice.connected()).await.unwrap().unwrap();
    timeout(LONG, scene.chat.opened()).await.unwrap().unwrap();
    scene
}

/// Another fingerprint in a description.
fn forged(text: &str) -> String {
    let at = text.find("sha-256 ").unwrap() + 8;
    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
    format!("{}{digit}{}", &text[..at], &text[at + 1..])
}

/// Something that waits. What comes of it says whether it ended as what it waits for cannot be had any more.
type Wait = Pin<Box<dyn Future<Output = (&'static str, Result<(), PeerConnectionError>)> + Send>>;

fn wait<T>(name: &'static str, future: impl Future<Output = T> + Send + 'static) -> Wait
where
    T: Send,
{
    Box::pin(async move {
        drop(future.await);
        (name, Ok(()))
    })
}

fn fallible<T>(
    name: &'static str,
    future: impl Future<Output = Result<T, PeerConnectionError>> + Send + 'static,
) -> Wait {
    Box::pin(async move { (name, future.await.map(drop)) })
}

/// Everything that can be waited for with handles of a connection, apart from what only waits for the connection.
fn waits(scene: &Scene) -> Vec<Wait> {
    let (alice, chat, local, remote) =
        (scene.alice.clone(), scene.chat.clone(), scene.local.clone(), scene.remote.clone());
    let sends = {
        let chat = chat.clone();
        async move {
            loop {
                chat.send(vec![7; 60_000]).await?;
            }
            #[expect(unreachable_code)]
            Ok::<(), PeerConnectionError>(())
        }
    };
    let texts = {
        let chat = chat.clone();
        async move { while chat.send_text("text").await.is_ok() {} }
    };
    let receives = |chat: DataChannel| async move { while chat.recv().await.is_some() {} };
    let packets = |track: RtpReceiver| async move { while track.recv_rtp().await.is_some() {} };
    let frames = |track: RtpReceiver| async move { while track.frames().recv().await.is_some() {} };
    let mute = alice.add_track(TrackKind::Video, TransceiverInit::default());
    let negotiated = async move { mute?.negotiated().await };
    let asked = async move { while local.key_frame_requested().await.is_some() {} };
    let low = {
        let chat = chat.clone();
        async move { chat.buffered_amount_low(0).await }
    };
    let closed = {
        let chat = chat.clone();
        async move { chat.closed().await }
    };
    let stream = {
        let mut stream = chat.clone().into_stream();
        async move {
            let mut all = Vec::new();
            let error = stream.read_to_end(&mut all).await.unwrap_err();
            let reason = error.into_inner().unwrap().downcast::<FailureReason>().unwrap();
            Err::<(), _>(PeerConnectionError::Ended(*reason))
        }
    };
    let feedback = {
        let alice = alice.clone();
        async move { while alice.recv_feedback().await.is_some() {} }
    };
    let rtcp = {
        let alice = alice.clone();
        async move { while alice.recv_rtcp().await.is_some() {} }
    };
    let gathering = async move { alice.gathering_complete().await };
    vec![
        fallible("send", sends),
        wait("send_text", texts),
        wait("recv", receives(chat.clone())),
        wait("buffered_amount_low", low),
        wait("closed", closed),
        fallible("stream", stream),
        wait("recv_rtp", packets(remote.clone())),
        wait("frames", frames(remote)),
        wait("key_frame_requested", asked),
        fallible("negotiated", negotiated),
        wait("recv_feedback", feedback),
        wait("recv_rtcp", rtcp),
        wait("gathering_complete", gathering),
    ]
}

/// What waits for a connection that does not come.
fn waits_for_connection(scene: &Scene) -> Vec<Wait> {
    let (alice, chat) = (scene.alice.clone(), scene.chat.clone());
    let connected = async move { alice.connected().await };
    let opened = async move { chat.opened().await };
    vec![fallible("connected", connected), fallible("opened", opened)]
}

/// What is to be told. A peer that closes the connection aborts the association a moment before it says so.
fn is_told(expected: &FailureReason, told: &FailureReason) -> bool {
    told == expected || *expected == FailureReason::ClosedByPeer && matches!(told, FailureReason::Sctp(_))
}

/// Has the connection fail while everything waits, and everything waits again after that.
async fn check(
    name: &str,
    scene: Scene,
    is_connected: bool,
    fail: impl FnOnce(&Scene),
    is_reason: fn(&FailureReason) -> bool,
) {
    let mut waiting: JoinSet<_> = JoinSet::new();
    waits(&scene).into_iter().for_each(|wait| drop(waiting.spawn(wait)));
    if !is_connected {
        waits_for_connection(&scene).into_iter().for_each(|wait| drop(waiting.spawn(wait)));
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    fail(&scene);
    // The event of the change of state has the reason.
    let told = async {
        if let Some(told) = &scene.told {
            return told.clone();
        }
        loop {
            match scene.alice.next_event().await {
                Some(PeerConnectionEvent::ConnectionState { reason: Some(reason), .. }) => return reason,
                Some(_) => {}
                None => panic!("{name}: no event"),
            }
        }
    };
    let reason = timeout(LONG, told).await.unwrap_or_else(|_| panic!("{name}: no event"));
    assert!(is_reason(&reason), "{name}: {reason}");
    println!("{name}: {reason}");
    while let Some(resolved) = timeout(LONG, waiting.join_next()).await.unwrap_or_else(|_| panic!("{name}")) {
        let (future, result) = resolved.unwrap();
        if let Err(error) = result {
            assert!(is_told(&reason, error.failure().unwrap()), "{name}, {future}: {error}");
        }
    }
    // The state has it, of every handle.
    let handles =
        [scene.alice.failure(), scene.chat.failure(), scene.local.failure(), scene.remote.failure()];
    for handle in handles {
        assert_eq!(handle.as_ref(), Some(&reason), "{name}");
    }
    let mut again = waits(&scene);
    again.extend(waits_for_connection(&scene));
    for wait in again {
        let (future, result) = timeout(LONG, wait).await.unwrap_or_else(|_| panic!("{name}: late"));
        if let Err(error) = result {
            assert_eq!(error.failure(), Some(&reason), "{name}, {future}: {error}");
        }
    }
    refused(name, &scene, &reason);
}

/// What does not wait is refused with the reason.
fn refused(name: &str, scene: &Scene, reason: &FailureReason) {
    let packet = OutgoingRtp::new(
        crate::layer::PayloadType::new(111).unwrap(),
        RtpTimestamp(0),
        false,
        Bytes::from("x"),
    );
    let refused = [
        scene.chat.try_send("late").unwrap_err(),
        scene.chat.try_send_text("late").unwrap_err(),
        scene.local.send_rtp(packet).unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.failure(), Some(reason), "{name}: {error}");
        assert!(!error.to_string().contains("buffer"), "{name}: {error}");
    }
    assert!(matches!(scene.chat.try_recv(), Ok(None)), "{name}");
    assert!(matches!(scene.remote.try_recv_rtp(), Ok(None)), "{name}");
    let _ = scene.alice.get_stats();
    if scene.alice.connection_state() == ConnectionState::Closed {
        let offer = scene.alice.create_offer().unwrap_err();
        assert_eq!(offer.failure(), Some(reason), "{name}");
        assert_eq!(scene.alice.create_data_channel("late").unwrap_err().failure(), Some(reason), "{name}");
    }
}

#[tokio::test]
async fn a_wrong_fingerprint_is_told_by_both_sides() {
    let forge = |wrong: DescriptionKind| {
        move |kind: DescriptionKind, text: String| if kind == wrong { forged(&text) } else { text }
    };
    let (alice, bob) = (builder().build().await.unwrap(), builder().build().await.unwrap());
    let scene = negotiated(alice, bob, forge(DescriptionKind::Answer), |_| ()).await;
    let is_wrong =
        |reason: &FailureReason| matches!(reason, FailureReason::Dtls(DtlsError::WrongFingerprint { .. }));
    check("wrong fingerprint", scene, false, |_| (), is_wrong).await;
    let (alice, bob) = (builder().build().await.unwrap(), builder().build().await.unwrap());
    let scene = negotiated(alice, bob, forge(DescriptionKind::Offer), |_| ()).await;
    let is_alert =
        |reason: &FailureReason| matches!(reason, FailureReason::Dtls(DtlsError::AlertReceived { .. }));
    check("fingerprint refused by the peer", scene, false, |_| (), is_alert).await;
}

#[tokio::test]
async fn nobody_there_is_told() {
    let (alice, bob) = (builder().build().await.unwrap(), builder().build().await.unwrap());
    let scene = negotiated(alice, bob, |_, text| text, PeerConnection::close).await;
    let is_silent = |reason: &FailureReason| match reason {
        FailureReason::Ice(failure) => {
            let text = reason.to_string();
            assert!(text.contains("no answer to") && text.contains("(host)"), "{text}");
            failure.cause == IceFailureCause::NoAnswer && !failure.pairs.is_empty()
        }
        _ => false,
    };
    check("nobody there", scene, false, |_| (), is_silent).await;
}

#[tokio::test]
async fn a_machine_without_an_address_is_told_at_once() {
    let nothing = InterfaceFilter::default().with_accept(|_| false);
    let socket = Endpoint::builder().interfaces(nothing);
    // Not for a short patience: nothing can be sent, and nothing can come.
    let scene = unchanged(PeerConnection::builder().socket(socket), builder()).await;
    let has_none = |reason: &FailureReason| matches!(reason, FailureReason::Ice(failure) if failure.cause == IceFailureCause::NoLocalCandidates);
    check("no address", scene, false, |_| (), has_none).await;
}

#[test]
fn a_peer_that_is_gone_is_told() {
    let (here, there) = (runtime(), runtime());
    let scene = here.block_on(async {
        let endpoint = there.block_on_handle(|| Endpoint::builder().loopback(true).bind().unwrap());
        let bob = PeerConnection::builder().endpoint(&endpoint).build().await.unwrap();
        let scene = negotiated(builder().build().await.unwrap(), bob, |_, text| text, |_| ()).await;
        timeout(LONG, scene.alice.connected()).await.unwrap().unwrap();
        timeout(LONG, scene.chat.opened()).await.unwrap().unwrap();
        scene
    });
    let is_gone = |reason: &FailureReason| matches!(reason, FailureReason::Ice(failure) if failure.cause == IceFailureCause::ConsentExpired);
    here.block_on(check("peer gone", scene, true, |_| there.shutdown_background(), is_gone));
}

#[tokio::test]
async fn a_close_is_told_by_both_sides() {
    let is_ours = |reason: &FailureReason| *reason == FailureReason::Closed;
    check("closed by us", connected().await, true, |scene| scene.alice.close(), is_ours).await;
    let is_theirs = |reason: &FailureReason| *reason == FailureReason::ClosedByPeer;
    check("closed by the peer", connected().await, true, |scene| scene.bob.close(), is_theirs).await;
    let unconnected = unchanged(builder(), builder()).await;
    check("closed at once", unconnected, false, |scene| scene.alice.close(), is_ours).await;
}

#[test]
fn an_endpoint_that_is_gone_is_told() {
    let (here, there) = (runtime(), runtime());
    let scene = here.block_on(async {
        let endpoint = there.block_on_handle(|| Endpoint::builder().loopback(true).bind().unwrap());
        let alice = PeerConnection::builder().endpoint(&endpoint).build().await.unwrap();
        let scene = negotiated(alice, builder().build().await.unwrap(), |_, text| text, |_| ()).await;
        timeout(LONG, scene.alice.connected()).await.unwrap().unwrap();
        timeout(LONG, scene.chat.opened()).await.unwrap().unwrap();
        scene
    });
    let is_gone = |reason: &FailureReason| *reason == EndpointEnded::Runtime.into();
    here.block_on(check("endpoint gone", scene, true, |_| there.shutdown_background(), is_gone));
}

#[tokio::test]
async fn a_handshake_that_fails_is_told() {
    let only = |suites: &'static [CipherSuite]| {
        builder().session(move |config| {
            config.transports.change_dtls(|dtls| dtls.cipher_suites = suites.to_vec());
        })
    };
    let all = &CipherSuite::ALL;
    let scene = unchanged(only(&all[..1]), only(&all[1..2])).await;
    let is_refused = |reason: &FailureReason| {
        matches!(reason, FailureReason::Dtls(DtlsError::AlertReceived { .. } | DtlsError::Handshake { .. }))
    };
    check("nothing in common", scene, false, |_| (), is_refused).await;

    let old = builder().session(|config| {
        config.transports.dtls = Arc::new(|_, _| Ok(Box::new(OldClient::default())));
    });
    let is_version = |reason: &FailureReason| match reason {
        FailureReason::Dtls(DtlsError::Handshake { .. }) => reason.to_string().contains("protocol_version"),
        _ => false,
    };
    check("DTLS version", unchanged(builder(), old).await, false, |_| (), is_version).await;

    let without = builder().session(|config| {
        // It is announced all the same.
        let fingerprints = config.transports.fingerprints.clone();
        config.transports.change_dtls(|dtls| dtls.identity = None);
        config.transports.fingerprints = fingerprints;
    });
    let has_none =
        |reason: &FailureReason| matches!(reason, FailureReason::Dtls(DtlsError::Handshake { .. }));
    check("peer without a certificate", unchanged(builder(), without).await, false, |_| (), has_none).await;

    let broken = builder().session(|config| {
        config.transports.dtls = Arc::new(|_, _| Err(DtlsError::Config("no certificate")));
    });
    let silent = || builder().session(|config| config.handshake_timeout = Duration::from_millis(300));
    let is_config =
        |reason: &FailureReason| *reason == FailureReason::Dtls(DtlsError::Config("no certificate"));
    check("certificate", unchanged(broken.clone(), silent()).await, false, |_| (), is_config).await;
    let is_late = |reason: &FailureReason| *reason == FailureReason::Dtls(DtlsError::TimedOut);
    check("silent peer", unchanged(silent(), broken).await, false, |_| (), is_late).await;
}

/// The peer ends the association: data channels are over, and the rest goes on.
#[tokio::test]
async fn an_association_that_is_aborted_is_told_where_data_ends() {
    // The peer takes less than it says, and aborts at more.
    let config = sctp::Config { max_receive_message: 1000, ..sctp::Config::default() };
    let bob = builder().sctp(config).session(|config| config.max_message_size = 256 << 10);
    let scene = unchanged(builder(), bob).await;
    timeout(LONG, scene.chat.opened()).await.unwrap().unwrap();
    let mut waiting: JoinSet<_> = JoinSet::new();
    let of_data = ["send", "send_text", "recv", "buffered_amount_low", "closed", "stream"];
    waits(&scene).into_iter().take(of_data.len()).for_each(|wait| drop(waiting.spawn(wait)));
    while let Some(resolved) = timeout(LONG, waiting.join_next()).await.unwrap() {
        let (future, result) = resolved.unwrap();
        assert!(of_data.contains(&future));
        if let Err(error) = result {
            assert!(matches!(error.failure(), Some(FailureReason::Sctp(_))), "{future}: {error}");
        }
    }
    let reason = scene.chat.failure().unwrap();
    assert!(reason.to_string().contains("the peer aborted"), "{reason}");
    assert_eq!(scene.chat.opened().await.unwrap_err().failure(), Some(&reason));
    assert_eq!(scene.chat.try_send("late").unwrap_err().failure(), Some(&reason));
    let late = scene.alice.create_data_channel("late").unwrap();
    assert_eq!(timeout(LONG, late.opened()).await.unwrap().unwrap_err().failure(), Some(&reason));
    assert_eq!((scene.alice.failure(), scene.local.failure()), (None, None));
    timeout(LONG, scene.alice.connected()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_refuses_data_channels_is_told() {
    let (alice, bob) = (builder().build().await.unwrap(), builder().build().await.unwrap());
    let refuse = |kind: DescriptionKind, text: String| match kind {
        DescriptionKind::Answer => {
            let (before, data) = text.split_at(text.find("m=application").unwrap());
            let mid = data.split("a=mid:").nth(1).unwrap().split("\r\n").next().unwrap();
            let group = before.split("a=group:BUNDLE").nth(1).unwrap().split("\r\n").next().unwrap();
            let kept: String =
                group.split_whitespace().filter(|other| *other != mid).map(|mid| format!(" {mid}")).collect();
            let before = before.replacen(&format!("BUNDLE{group}"), &format!("BUNDLE{kept}"), 1);
            before + &data.replacen("m=application 9", "m=application 0", 1)
        }
        _ => text,
    };
    let scene = negotiated(alice, bob, refuse, |_| ()).await;
    let error = timeout(LONG, scene.chat.opened()).await.unwrap().unwrap_err();
    assert_eq!(error.failure(), Some(&FailureReason::DataRefused));
    assert_eq!(scene.chat.failure(), Some(FailureReason::DataRefused));
    assert_eq!(scene.alice.failure(), None);
}

/// Before it is open a channel says so, and a channel that is closed alone does.
#[tokio::test]
async fn a_channel_says_what_keeps_it_from_sending() {
    let early = connection().await.create_data_channel("early").unwrap();
    let refused = early.try_send("early").unwrap_err();
    assert!(matches!(refused, PeerConnectionError::NotOpen), "{refused}");
    let (_alice, _bob, chat, there) = pair().await;
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
    let full = loop {
        if let Err(error) = chat.try_send(vec![7; 60_000]) {
            break error;
        }
    };
    assert!(matches!(full, PeerConnectionError::SendBufferFull), "{full}");
    there.close();
    drop(there);
    timeout(LONG, chat.closed()).await.unwrap();
    let closed = chat.try_send("late").unwrap_err();
    assert!(matches!(closed, PeerConnectionError::ChannelClosed), "{closed}");
    assert_eq!((closed.failure(), chat.failure()), (None, None));
    let mut stream = chat.into_stream();
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

/// After an ICE restart that helps, the same handles work again.
#[tokio::test]
async fn a_restart_takes_a_failure_back() {
    let (alice, bob) = (builder().build().await.unwrap(), builder().build().await.unwrap());
    // Addresses at which nobody is.
    let lost = |_: DescriptionKind, text: String| {
        let is_other = |line: &&str| !line.starts_with("a=candidate");
        let candidate = "a=candidate:1 1 udp 2113937151 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n";
        let lines: String = text.split_inclusive("\r\n").filter(is_other).collect();
        lines.replacen("a=end-of-candidates\r\n", candidate, 1)
    };
    let scene = negotiated(alice, bob, lost, |_| ()).await;
    let failed = timeout(LONG, scene.chat.opened()).await.unwrap().unwrap_err();
    assert!(matches!(failed.failure(), Some(FailureReason::Ice(_))), "{failed}");
    assert_eq!(scene.chat.recv().await, None);
    scene.alice.restart_ice();
    negotiate(&scene.alice, &scene.bob).await;
    timeout(LONG, scene.chat.opened()).await.unwrap().unwrap();
    assert_eq!(scene.chat.failure(), None);
    scene.chat.send_text("again").await.unwrap();
    let there = channel_of(&scene.bob).await;
    there.send_text("and back").await.unwrap();
    let message = timeout(LONG, scene.chat.recv()).await.unwrap().unwrap();
    assert_eq!(message.text(), Some("and back"));
}

/// A client that knows DTLS 1.0 only, of which nothing is seen but its hello.
#[derive(Debug, Default)]
struct OldClient {
    has_spoken: bool,
}

impl Layer for OldClient {
    type Event = DtlsEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, _: Instant, _: Datagram<'_>) -> Result<(), DtlsError> {
        Ok(())
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self, _: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        if std::mem::replace(&mut self.has_spoken, true) {
            return None;
        }
        // RFC 4347 §4.3: version, random, no session, no cookie, one suite, no compression.
        let hello = [&[0xfe, 0xff][..], &[7; 32], &[0, 0], &[0, 2, 0xc0, 0x09], &[1, 0]].concat();
        let len = hello.len() as u8;
        let handshake = [&[1, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len][..], &hello].concat();
        let record =
            [&[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, handshake.len() as u8][..], &handshake].concat();
        let mut segments = out.segments(None, None);
        segments.datagram().extend_from_slice(&record);
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        None
    }
}

impl DtlsTransport for OldClient {
    fn receive(
        &mut self,
        _: Instant,
        _: Datagram<'_>,
        _: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DtlsError> {
        Ok(())
    }

    fn seal(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<(), DtlsError> {
        Err(DtlsError::NotConnected)
    }

    fn overhead(&self) -> usize {
        0
    }

    fn is_connected(&self) -> bool {
        false
    }

    fn srtp_profile(&self) -> Option<SrtpProfile> {
        None
    }

    fn srtp_keying_material(&self) -> Result<SrtpKeyingMaterial, DtlsError> {
        Err(DtlsError::NotConnected)
    }

    fn export_keying_material(&self, _: &str, _: Option<&[u8]>, _: &mut [u8]) -> Result<(), DtlsError> {
        Err(DtlsError::NotConnected)
    }

    fn role(&self) -> DtlsRole {
        DtlsRole::Client
    }

    fn set_peer_fingerprints(&mut self, _: Instant, _: &[Fingerprint]) -> Result<(), DtlsError> {
        Ok(())
    }

    fn close(&mut self, _: Instant) {}
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Something that is done on a runtime from inside of another.
trait OnRuntime {
    fn block_on_handle<T>(&self, act: impl FnOnce() -> T) -> T;
}

impl OnRuntime for tokio::runtime::Runtime {
    fn block_on_handle<T>(&self, act: impl FnOnce() -> T) -> T {
        let _guard = self.enter();
        act()
    }
}
