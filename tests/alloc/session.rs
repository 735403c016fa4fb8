//! Sessions: a forwarded packet costs no allocation, and an idle session holds little.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::SeededRandom;
use kaon_rtc::datachannel::ChannelInit;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, RtpTimestamp, TransmitBatch};
use kaon_rtc::media::PacketPool;
use kaon_rtc::session::{
    ConnectionState, OutgoingRtp, Session, SessionConfig, TrackKind, TransceiverId, TransceiverInit,
};

use crate::{count_allocations, heap_held};

#[cfg(feature = "aws-lc-rs")]
use kaon_rtc::crypto::aws_lc_rs as crypto;
#[cfg(not(feature = "aws-lc-rs"))]
use kaon_rtc::crypto::rust_crypto as crypto;

/// The heap of an idle data-only session, docs/performance.md.
const MAX_IDLE_DATA: isize = 13 << 10;
/// The same of one with a video of which nothing has been sent yet.
const MAX_IDLE_VIDEO: isize = 30 << 10;
/// The heap of a session that has sent or received a video. The packets that are kept to answer NACKs are most
/// of it: 512 of about 1100 bytes.
const MAX_VIDEO: isize = 1 << 20;

fn config(seed: u64) -> SessionConfig {
    let provider = crypto::provider().with_random(Arc::new(SeededRandom::new(seed)));
    SessionConfig::generate(provider).unwrap()
}

/// Two sessions with nothing between them.
struct Pair {
    sessions: [Session; 2],
    now: Instant,
    batch: TransmitBatch,
}

fn address(side: usize) -> SocketAddr {
    ([10, 0, 0, 1 + side as u8], 5000).into()
}

impl Pair {
    fn new(configs: &[SessionConfig; 2], set_up: impl FnOnce(&mut Session, Instant)) -> Self {
        let now = Instant::now();
        let mut sessions = [0, 1].map(|side| {
            let mut session = Session::new(now, configs[side].clone());
            session.add_host_address(now, address(side)).unwrap();
            session.end_of_host_addresses(now);
            session
        });
        set_up(&mut sessions[0], now);
        let mut pair = Self { sessions, now, batch: TransmitBatch::new(1228) };
        // Candidates are part of descriptions once they are told.
        pair.drain();
        let [alice, bob] = &mut pair.sessions;
        alice.set_local_description(now, None).unwrap();
        bob.set_remote_description(now, &alice.local_description().unwrap()).unwrap();
        bob.set_local_description(now, None).unwrap();
        alice.set_remote_description(now, &bob.local_description().unwrap()).unwrap();
        pair.run(Duration::from_secs(3));
        for session in &pair.sessions {
            assert_eq!(session.connection_state(), ConnectionState::Connected);
        }
        pair
    }

    fn drain(&mut self) {
        for session in &mut self.sessions {
            while session.poll_event().is_some() {}
        }
    }

    fn exchange(&mut self) {
        loop {
            let mut quiet = true;
            for side in 0..2 {
                self.batch.clear();
                while let Some(transmit) = self.sessions[side].poll_transmit(self.now, &mut self.batch) {
                    quiet = false;
                    let path = FiveTuple::udp(address(1 - side), address(side));
                    for bytes in self.batch.datagrams_mut(&transmit) {
                        let _ = self.sessions[1 - side].receive(
                            self.now,
                            Datagram::new(path, bytes),
                            &mut |_| {},
                        );
                    }
                }
            }
            self.drain();
            if quiet {
                return;
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let next = self.sessions.iter().filter_map(Layer::poll_timeout).min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next,
                None => break,
            }
            self.sessions.iter_mut().for_each(|session| session.handle_timeout(self.now));
        }
        self.now = end;
    }
}

fn only_transceiver(session: &Session) -> TransceiverId {
    session.transceivers().next().unwrap().id()
}

fn add_video(session: &mut Session, _: Instant) {
    session.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
}

#[test]
fn a_forwarded_packet_is_not_allocated_for() {
    const SUBSCRIBERS: usize = 10;
    const WARM: u32 = 1500;
    const COUNTED: u32 = 500;
    let configs = [config(1), config(2)];
    let mut publisher = Pair::new(&configs, add_video);
    let mut subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| Pair::new(&configs, add_video)).collect();
    let mut pool = PacketPool::new(1500, 1024);
    let id = only_transceiver(&publisher.sessions[0]);
    let payload_type = publisher.sessions[0].transceiver(id).unwrap().send_codecs()[0].payload_type;
    let ids: Vec<_> = subscribers.iter().map(|pair| only_transceiver(&pair.sessions[0])).collect();
    let payload = Bytes::from(vec![7; 1000]);
    let mut out = TransmitBatch::new(1228);
    let (mut allocations, mut sent) = (0, 0);
    for number in 0..WARM + COUNTED {
        // So fast that no consent and no report is due meanwhile.
        publisher.now += Duration::from_micros(200);
        let now = publisher.now;
        let packet = OutgoingRtp::new(
            payload_type,
            RtpTimestamp(number / 10 * 3000),
            number % 10 == 9,
            payload.clone(),
        );
        let [from, forwarder] = &mut publisher.sessions;
        from.send_rtp(now, id, packet).unwrap();
        publisher.batch.clear();
        let transmit = from.poll_transmit(now, &mut publisher.batch).unwrap();
        let path = FiveTuple::udp(address(1), address(0));
        let counted = count_allocations(|| {
            for bytes in publisher.batch.datagrams_mut(&transmit) {
                let mut deliver = |rtp: kaon_rtc::session::IncomingRtp<'_>| {
                    let packet = rtp.packet;
                    let payload = pool.copy(packet.payload());
                    for (pair, id) in subscribers.iter_mut().zip(&ids) {
                        let mut packet = OutgoingRtp::new(
                            payload_type,
                            packet.timestamp(),
                            packet.marker(),
                            payload.clone(),
                        );
                        packet.sequence_number = Some(rtp.packet.sequence_number());
                        pair.sessions[0].send_rtp(now, *id, packet).unwrap();
                        out.clear();
                        while let Some(transmit) = pair.sessions[0].poll_transmit(now, &mut out) {
                            sent += transmit.len();
                        }
                    }
                };
                forwarder.receive(now, Datagram::new(path, bytes), &mut deliver).unwrap();
            }
        });
        if number >= WARM && counted > 0 {
            println!("packet {number}: {counted} allocations");
            allocations += counted;
        }
    }
    assert!(sent > 1000 * SUBSCRIBERS * (WARM + COUNTED) as usize);
    assert_eq!(allocations, 0, "of {COUNTED} packets to {SUBSCRIBERS} subscribers");
}

#[test]
fn what_idle_sessions_hold() {
    // What all sessions of a process share is not counted.
    let configs = [config(1), config(2)];
    let (pair, held) = heap_held(|| {
        let mut pair = Pair::new(&configs, |session, now| {
            session.create_data_channel(now, ChannelInit::new("chat")).unwrap();
        });
        pair.run(Duration::from_secs(60));
        pair.batch = TransmitBatch::new(1228);
        pair
    });
    let data = held / 2;
    println!("an idle session with a data channel holds {data} bytes");
    assert!(data < MAX_IDLE_DATA, "{data} bytes");
    drop(pair);

    let (pair, held) = heap_held(|| {
        let mut pair = Pair::new(&configs, add_video);
        pair.run(Duration::from_secs(60));
        pair.batch = TransmitBatch::new(1228);
        pair
    });
    let video = held / 2;
    println!("an idle session with a video that was not sent holds {video} bytes");
    assert!(video < MAX_IDLE_VIDEO, "{video} bytes");
    drop(pair);

    let (pair, held) = heap_held(|| {
        let mut pair = Pair::new(&configs, add_video);
        let id = only_transceiver(&pair.sessions[0]);
        let payload_type = pair.sessions[0].transceiver(id).unwrap().send_codecs()[0].payload_type;
        for number in 0..2000u32 {
            let timestamp = RtpTimestamp(number / 10 * 3000);
            let packet = OutgoingRtp::new(payload_type, timestamp, number % 10 == 9, vec![1; 1000].into());
            pair.sessions[0].send_rtp(pair.now, id, packet).unwrap();
            pair.run(Duration::from_millis(3));
        }
        pair.batch = TransmitBatch::new(1228);
        pair
    });
    println!("two sessions with one video between them hold {held} bytes");
    assert!(held < MAX_VIDEO, "{held} bytes");
    drop(pair);
}

/// What a hostile peer reports and nobody reads is limited in bytes, whatever the number of packets, results and blocks.
#[test]
fn feedback_that_nobody_reads_is_limited_in_bytes() {
    use kaon_rtc::layer::SequenceNumber;
    use kaon_rtc::rtcp::{CompoundWriter, ReceiverReport, Records, ReportBlock, TransportFeedbackBuilder};
    use kaon_rtc::session::RtcpConfig;

    let mut configs = [config(1), config(2)];
    configs[0].rtcp.max_unread_feedback = RtcpConfig::FEEDBACK;
    let mut pair = Pair::new(&configs, add_video);
    let id = only_transceiver(&pair.sessions[0]);
    let transceiver = pair.sessions[0].transceiver(id).unwrap();
    let (ssrc, payload_type) = (transceiver.ssrc(), transceiver.send_codecs()[0].payload_type);
    let mut sent = 0_u16;
    let mut send = |pair: &mut Pair| {
        let packet = OutgoingRtp::new(payload_type, RtpTimestamp(sent.into()), true, vec![7; 100].into());
        pair.sessions[0].send_rtp(pair.now, id, packet).unwrap();
        pair.batch.clear();
        while pair.sessions[0].poll_transmit(pair.now, &mut pair.batch).is_some() {}
        sent = sent.wrapping_add(1);
        SequenceNumber(sent.wrapping_sub(1))
    };
    // What is kept of what was sent is another matter.
    for _ in 0..20_000 {
        send(&mut pair);
    }
    let tell = |pair: &mut Pair, numbers: &[SequenceNumber], blocks: usize| {
        let mut buffer = [0; 1200];
        let mut writer = CompoundWriter::new(&mut buffer);
        for number in numbers {
            let mut feedback = TransportFeedbackBuilder::new(ssrc, ssrc, 0, 100);
            feedback.push(*number, Duration::ZERO).unwrap();
            writer.push(&feedback.finish().unwrap()).unwrap();
        }
        let block = ReportBlock { ssrc, ..ReportBlock::default() };
        let blocks = vec![block; blocks];
        let report = ReceiverReport { ssrc, blocks: Records::from(&blocks[..]), ..ReceiverReport::default() };
        writer.push(&report).unwrap();
        let len = writer.finish();
        pair.sessions[1].send_rtcp(pair.now, &buffer[..len]).unwrap();
        pair.exchange();
    };
    for (what, count, blocks) in [("single results", 20, 0), ("blocks", 0, 31)] {
        let held = heap_held(|| {
            for _ in 0..1000 {
                let numbers: Vec<_> = (0..count).map(|_| send(&mut pair)).collect();
                tell(&mut pair, &numbers, blocks);
            }
        })
        .1;
        println!("{what}: {held} bytes");
        let limit = (160 * RtcpConfig::FEEDBACK) as isize;
        assert!((limit / 8..=limit).contains(&held), "{what}: {held} bytes");
        let given_back = heap_held(|| while pair.sessions[0].receive_feedback().is_some() {}).1;
        assert!(given_back + held < 20_000, "{what}: {held} bytes, and {given_back} when all was read");
    }
}
