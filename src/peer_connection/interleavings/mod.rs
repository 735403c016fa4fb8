//! What handles and the driver share, under a scheduler that tries the orders in which they may run: no wake-up is lost,
//! nothing waits for ever, no future outlives its connection. No timer rings, so that none hides a lost wake-up; whoever
//! waits for ever is a deadlock, which the scheduler reports with the schedule that leads to it.
//!
//! `tests/nightly interleavings` runs them. All of it is tests: what is unwrapped fails one.

pub(super) mod stand_ins;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use shuttle::future::{JoinHandle, block_on, spawn};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

use self::stand_ins::{Sockets, wire};
use super::driver::Driver;
use super::endpoint::Endpoint;
use super::handle::Handle;
use super::shared::EndpointShared;
use super::{
    Codec, DataChannel, FailureReason, OutgoingRtp, PeerConnection, PeerConnectionEvent, RtpReceiver,
    RtpSender, Track, TrackKind, TransceiverInit,
};
use crate::crypto::default_provider;
use crate::layer::{Datagram, FiveTuple, Layer, RtpTimestamp, TransmitBatch};
use crate::net::InterfaceFilter;
use crate::sdp::Direction;
use crate::session::{ConnectionState, Session, SessionConfig};

/// Runs a scenario in many orders.
fn in_many_orders<F>(scenario: impl Fn() -> F + Send + Sync + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let orders = std::env::var("KAON_ORDERS").ok().and_then(|orders| orders.parse().ok()).unwrap_or(300);
    let scenario = Arc::new(scenario);
    let again = scenario.clone();
    Runner::new(RandomScheduler::new(orders), machine()).run(move || block_on(scenario()));
    // Few changes of the running task, at places where they hurt most.
    Runner::new(PctScheduler::new(3, orders), machine()).run(move || block_on(again()));
}

fn machine() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config
}

/// Two connections that are connected, each at the driver of an endpoint of its own.
struct Pair {
    alice: PeerConnection,
    bob: PeerConnection,
    drivers: [JoinHandle<()>; 2],
}

impl Pair {
    /// With sockets that are full soon.
    fn new() -> Self {
        Self::with_room(3)
    }

    fn with_room(room: usize) -> Self {
        let (at_alice, at_bob) = wire(room);
        let (alice, bob) = connected(&at_alice, &at_bob);
        let (alice, alices) = Self::at_driver(at_alice, alice);
        let (bob, bobs) = Self::at_driver(at_bob, bob);
        Self { alice, bob, drivers: [alices, bobs] }
    }

    fn at_driver(sockets: Sockets, session: Session) -> (PeerConnection, JoinHandle<()>) {
        let shared = Arc::new(EndpointShared::new(
            sockets.local_addr(),
            sockets,
            InterfaceFilter::default(),
            runtime(),
        ));
        let driver = Driver::new(shared.clone());
        let endpoint = Endpoint::new(shared, Vec::new());
        let shared = endpoint.add(session).unwrap();
        let connection = PeerConnection::new(Handle::new(shared, endpoint));
        // Before the driver runs, which takes what arrives for nobody as lost.
        connection.register();
        (connection, spawn(driver.run()))
    }

    /// A channel that is open at both ends. What bob is told before is passed over.
    async fn channel(&self) -> (DataChannel, DataChannel) {
        let here = self.alice.create_data_channel("a channel").unwrap();
        here.opened().await.unwrap();
        loop {
            match self.bob.next_event().await.unwrap() {
                PeerConnectionEvent::DataChannel(there) if there.label() == here.label() => {
                    return (here, there);
                }
                _ => {}
            }
        }
    }

    /// The two ends of the track.
    async fn track(&self) -> (RtpSender, RtpReceiver) {
        let here = RtpSender::new(self.alice.handle.clone(), self.alice.transceivers()[0].id());
        loop {
            match self.bob.next_event().await.unwrap() {
                PeerConnectionEvent::Track(there) => return (here, there),
                _ => {}
            }
        }
    }

    /// The drivers go when the handles have gone.
    async fn end(self) {
        let Self { alice, bob, drivers } = self;
        drop((alice, bob));
        for driver in drivers {
            driver.await.unwrap();
        }
    }
}

/// For what the endpoint hands to tasks of the application, of which there are none here.
fn runtime() -> tokio::runtime::Handle {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_current_thread().build().unwrap()).handle().clone()
}

fn config() -> SessionConfig {
    static CONFIG: OnceLock<SessionConfig> = OnceLock::new();
    CONFIG.get_or_init(|| SessionConfig::generate(default_provider().unwrap()).unwrap()).clone()
}

/// Two sessions that have been connected for a while, with a track from the first to the second.
fn connected(at_alice: &Sockets, at_bob: &Sockets) -> (Session, Session) {
    let mut now = Instant::now() - Duration::from_secs(20);
    let (mut alice, mut bob) = (Session::new(now, config()), Session::new(now, config()));
    let init = TransceiverInit::new(Direction::SendOnly).codecs([Codec::vp8()]);
    alice.add_transceiver(TrackKind::Video, init).unwrap();
    alice.create_data_channel(now, "first").unwrap();
    for (session, at) in [(&mut alice, at_alice), (&mut bob, at_bob)] {
        session.add_host_address(now, at.local_addr()).unwrap();
        session.end_of_host_addresses(now);
    }
    alice.set_local_description(now, None).unwrap();
    bob.set_remote_description(now, &alice.local_description().unwrap()).unwrap();
    bob.set_local_description(now, None).unwrap();
    alice.set_remote_description(now, &bob.local_description().unwrap()).unwrap();
    let is_ready = |session: &Session| {
        session.connection_state() == ConnectionState::Connected && session.channels().count() == 1
    };
    let mut batch = TransmitBatch::new(1200);
    // Long enough for what comes after being connected.
    let mut rest = 1000;
    while rest > 0 {
        now += Duration::from_millis(5);
        rest -= i32::from(is_ready(&alice) && is_ready(&bob));
        alice.handle_timeout(now);
        bob.handle_timeout(now);
        carry(now, &mut alice, &mut bob, &mut batch);
        carry(now, &mut bob, &mut alice, &mut batch);
    }
    // An endpoint believes a check whose a path is.
    leave_a_check_on_the_way(now, &mut alice, at_alice, &mut batch);
    leave_a_check_on_the_way(now, &mut bob, at_bob, &mut batch);
    (alice, bob)
}

fn leave_a_check_on_the_way(
    mut now: Instant,
    session: &mut Session,
    at: &Sockets,
    batch: &mut TransmitBatch,
) {
    loop {
        now += Duration::from_millis(5);
        session.handle_timeout(now);
        while let Some(transmit) = session.poll_transmit(now, batch) {
            // RFC 7983 §7: STUN.
            let is_check = batch.bytes(&transmit)[0] < 4;
            if is_check {
                at.send(batch, &transmit);
                return batch.clear();
            }
            batch.clear();
        }
    }
}

fn carry(now: Instant, from: &mut Session, to: &mut Session, batch: &mut TransmitBatch) {
    while let Some(transmit) = from.poll_transmit(now, batch) {
        let path = transmit.path.unwrap();
        let path = FiveTuple::udp(path.remote, path.local);
        for bytes in batch.datagrams_mut(&transmit) {
            // What is refused here is what a stranger of the session would have sent.
            let _ = to.receive(now, Datagram::new(path, bytes), &mut |_| {});
        }
        batch.clear();
    }
}

#[test]
fn every_message_arrives() {
    in_many_orders(|| async {
        let pair = Pair::new();
        let (here, there) = pair.channel().await;
        let sender = spawn(async move {
            for number in 0..4_u8 {
                here.send(vec![number; 1000]).await.unwrap();
            }
            here
        });
        for number in 0..4_u8 {
            assert_eq!(there.recv().await.unwrap().data(), &vec![number; 1000]);
        }
        drop((sender.await.unwrap(), there));
        pair.end().await;
    });
}

/// Everything that may wait on a connection: each ends, and says what for.
fn all_waits(connection: &PeerConnection, channel: &DataChannel) -> Vec<JoinHandle<()>> {
    let channel = || channel.clone();
    let connection = || connection.clone();
    let (a, b, c, d, e) = (channel(), channel(), channel(), channel(), channel());
    let (f, g, h) = (connection(), connection(), connection());
    vec![
        spawn(async move { while a.recv().await.is_some() {} }),
        spawn(async move { while b.send(vec![0; 60_000]).await.is_ok() {} }),
        spawn(async move { c.closed().await }),
        spawn(async move { _ = d.opened().await }),
        spawn(async move { e.buffered_amount_low(0).await }),
        spawn(async move { while f.next_event().await.is_some() {} }),
        spawn(async move { assert!(g.recv_rtcp().await.is_none()) }),
        spawn(async move { _ = h.connected().await }),
    ]
}

async fn all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn who_waits_for_room_goes_on() {
    in_many_orders(|| async {
        let pair = Pair::new();
        let (here, there) = pair.channel().await;
        let senders = [0, 1].map(|_| {
            let here = here.clone();
            spawn(async move {
                for _ in 0..12 {
                    here.send(vec![7; 60_000]).await.unwrap();
                }
                // Two who wait for less, and for nothing.
                here.buffered_amount_low(100_000).await;
                here.buffered_amount_low(0).await;
            })
        });
        for _ in 0..24 {
            assert_eq!(there.recv().await.unwrap().data().len(), 60_000);
        }
        all(senders.into()).await;
        drop((here, there));
        pair.end().await;
    });
}

#[test]
fn every_wait_ends_when_this_side_closes() {
    in_many_orders(|| async {
        let pair = Pair::new();
        let (here, there) = pair.channel().await;
        let waits = all_waits(&pair.alice, &here);
        pair.alice.close();
        all(waits).await;
        drop((here, there));
        pair.end().await;
    });
}

#[test]
fn every_wait_ends_when_the_peer_closes() {
    in_many_orders(|| async {
        // A farewell that the socket has no room for is lost, and only a timer would tell.
        let pair = Pair::with_room(10_000);
        let (here, there) = pair.channel().await;
        let waits = all_waits(&pair.bob, &there);
        pair.alice.close();
        all(waits).await;
        drop((here, there));
        pair.end().await;
    });
}

#[test]
fn every_wait_ends_with_the_endpoint() {
    in_many_orders(|| async {
        let pair = Pair::new();
        let (here, there) = pair.channel().await;
        let waits = all_waits(&pair.alice, &here);
        let endpoint = pair.alice.handle.shared.endpoint.clone();
        let ends = spawn({
            let endpoint = endpoint.clone();
            async move {
                loop {
                    let end = endpoint.end.notified();
                    match endpoint.ended() {
                        Some(ended) => return ended.clone(),
                        None => end.await,
                    }
                }
            }
        });
        // Its runtime drops it, wherever it is.
        pair.drivers[0].abort();
        all(waits).await;
        ends.await.unwrap();
        assert!(matches!(pair.alice.failure(), Some(FailureReason::EndpointEnded(_))));
        let late = endpoint_of(&pair.alice).add(Session::new(Instant::now(), config()));
        assert!(late.is_err());
        let Pair { alice, bob, drivers: [_, bobs] } = pair;
        // With the socket goes what waits for room in it.
        drop((here, there, alice, bob, endpoint));
        bobs.await.unwrap();
    });
}

#[test]
fn a_connection_that_comes_as_the_endpoint_ends_ends_with_it() {
    in_many_orders(|| async {
        let pair = Pair::new();
        let endpoint = endpoint_of(&pair.alice);
        let late = spawn(async move {
            let Ok(shared) = endpoint.add(Session::new(Instant::now(), config())) else { return };
            let connection = PeerConnection::new(Handle::new(shared, endpoint));
            connection.register();
            // Else it would wait for ever.
            assert!(connection.connected().await.is_err());
        });
        pair.drivers[0].abort();
        late.await.unwrap();
        let Pair { alice, bob, drivers: [_, bobs] } = pair;
        drop((alice, bob));
        bobs.await.unwrap();
    });
}

#[test]
fn an_orderly_end_has_delivered_everything() {
    in_many_orders(|| async {
        // A farewell that the socket has no room for is lost, and only a timer would tell.
        let pair = Pair::with_room(10_000);
        let (sender, receiver) = pair.track().await;
        let (here, there) = pair.channel().await;
        let reader = spawn(async move {
            let mut messages = 0;
            while there.recv().await.is_some() {
                messages += 1;
            }
            messages
        });
        let packets = spawn(async move {
            let mut packets = 0;
            while receiver.recv_rtp().await.is_some() {
                packets += 1;
            }
            packets
        });
        for _ in 0..6 {
            here.send(vec![1; 1000]).await.unwrap();
            sender.send_rtp(packet(&sender)).unwrap();
        }
        drop((here, sender));
        pair.alice.shutdown().await.unwrap();
        assert_eq!(reader.await.unwrap(), 6);
        assert_eq!(packets.await.unwrap(), 6);
        pair.end().await;
    });
}

#[test]
fn the_driver_goes_with_the_last_handle() {
    in_many_orders(|| async {
        let pair = Pair::new();
        let (here, there) = pair.channel().await;
        let Pair { alice, bob, drivers } = pair;
        let drops: [JoinHandle<()>; 4] = [
            spawn(async move { drop(here) }),
            spawn(async move { drop(there) }),
            spawn(async move { drop(alice) }),
            spawn(async move { drop(bob) }),
        ];
        all(drops.into()).await;
        all(drivers.into()).await;
    });
}

#[test]
fn a_track_feeds_who_has_it() {
    in_many_orders(|| async {
        let pair = Pair::new();
        let (sender, receiver) = pair.track().await;
        let (one, other) = (Track::new(Codec::vp8()), Track::new(Codec::vp8()));
        sender.replace_track(Some(&one)).unwrap();
        let feeds = [&one, &other].map(|track| {
            let (track, packet) = (track.clone(), packet(&sender));
            spawn(async move {
                for _ in 0..3 {
                    track.send_rtp(packet.clone());
                }
            })
        });
        let replaces = spawn({
            let (sender, other) = (sender.clone(), other.clone());
            async move {
                sender.replace_track(Some(&other)).unwrap();
                // What it takes over from needs a key frame of it.
                other.key_frame_requested().await;
            }
        });
        let asks = spawn({
            let receiver = receiver.clone();
            async move { receiver.request_key_frame() }
        });
        all(feeds.into()).await;
        replaces.await.unwrap();
        asks.await.unwrap();
        // Whoever has the track is fed, whatever came before.
        assert_eq!(other.send_rtp(packet(&sender)), 1);
        assert_eq!(one.send_rtp(packet(&sender)), 0);
        assert!(receiver.recv_rtp().await.is_some());
        drop((sender, receiver));
        pair.end().await;
    });
}

fn endpoint_of(connection: &PeerConnection) -> Endpoint {
    Endpoint::new(connection.handle.shared.endpoint.clone(), Vec::new())
}

fn packet(sender: &RtpSender) -> OutgoingRtp {
    let payload_type = sender.payload_type("VP8").expect("the track is negotiated");
    OutgoingRtp::new(payload_type, RtpTimestamp(3000), true, vec![0x10; 100].into())
}
