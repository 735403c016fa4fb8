//! A connected session and whatever its peer sends: garbage of each kind, RTP and RTCP that are protected as they
//! should be, and messages in data channels. Nothing panics, wakes without end or stays behind.
//!
//! The input is a list of steps: a byte that says what, a length of two bytes, and so many bytes.

#![no_main]

mod oracle;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::datachannel::{ChannelInit, MessageKind};
use kaon_rtc::layer::{
    Datagram, FiveTuple, Layer, MasterKey, RtpTimestamp, SrtpError, SrtpTransport, TransmitBatch,
};
use kaon_rtc::session::{ConnectionState, OutgoingRtp, Session, SessionConfig, TrackKind, TransceiverInit};
use kaon_rtc::srtp;
use libfuzzer_sys::fuzz_target;

/// The keys of the peer, by which the target protects what it made up.
static KEYS: Mutex<Option<(MasterKey, MasterKey)>> = Mutex::new(None);

static CONFIGS: LazyLock<[SessionConfig; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| {
        let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(seed)));
        let mut config = SessionConfig::generate(provider).expect("a certificate");
        if seed == 2 {
            let native = config.transports.srtp.clone();
            config.transports.srtp = Arc::new(move |local, remote| {
                *KEYS.lock().expect("no panic before") = Some((local.clone(), remote.clone()));
                native(local, remote)
            });
        }
        config
    })
});

fn address(side: usize) -> SocketAddr {
    ([10, 0, 0, 1 + side as u8], 5000).into()
}

/// The session that is tested, and its peer.
struct Network {
    sessions: [Session; 2],
    now: Instant,
}

struct Play {
    network: Network,
    /// Protects as the peer does.
    protection: srtp::Context,
}

impl Play {
    fn new() -> Self {
        let now = Instant::now();
        let mut sessions = [0, 1].map(|side| {
            let mut session = Session::new(now, CONFIGS[side].clone());
            session.add_host_address(now, address(side)).expect("a good address");
            session.end_of_host_addresses(now);
            session
        });
        for session in &mut sessions {
            for kind in [TrackKind::Video, TrackKind::Audio] {
                session.add_track(kind, TransceiverInit::default()).expect("room");
            }
        }
        let [ours, peer] = &mut sessions;
        ours.create_data_channel(now, ChannelInit::new("chat")).expect("room");
        while ours.poll_event().is_some() || peer.poll_event().is_some() {}
        ours.set_local_description(now, None).expect("an offer");
        peer.set_remote_description(now, &ours.local_description().expect("an offer")).expect("good");
        peer.set_local_description(now, None).expect("an answer");
        ours.set_remote_description(now, &peer.local_description().expect("an answer")).expect("good");
        let mut network = Network { sessions, now };
        network.run(Duration::from_secs(5));
        assert_eq!(network.sessions[0].connection_state(), ConnectionState::Connected);
        let (local, remote) = KEYS.lock().expect("no panic before").take().expect("keys");
        let protection = srtp::Context::new(&aws_lc_rs::provider(), &local, &remote, srtp::Config::default());
        Self { network, protection: protection.expect("good keys") }
    }
}

impl Network {
    /// Both sides exchange what they have, and time passes.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut wakes = 0;
        loop {
            self.exchange();
            let next = self.sessions.iter().filter_map(Layer::poll_timeout).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            for session in &mut self.sessions {
                session.handle_timeout(self.now);
                assert!(session.poll_timeout().is_none_or(|next| next > self.now), "a timeout in the past");
            }
            wakes += 1;
            assert!(wakes < 20_000, "it wakes without end");
        }
        self.now = end;
    }

    fn exchange(&mut self) {
        let mut batch = TransmitBatch::new(1228);
        for _ in 0..1000 {
            let mut quiet = true;
            for side in 0..2 {
                batch.clear();
                while let Some(transmit) = self.sessions[side].poll_transmit(self.now, &mut batch) {
                    quiet = false;
                    let path = FiveTuple::udp(address(1 - side), address(side));
                    for bytes in batch.datagrams_mut(&transmit) {
                        let _ = self.sessions[1 - side].receive(
                            self.now,
                            Datagram::new(path, bytes),
                            &mut |_| {},
                        );
                    }
                }
                while self.sessions[side].poll_event().is_some() {}
            }
            if quiet {
                return;
            }
        }
        panic!("the sessions keep each other busy");
    }

    fn receive(&mut self, bytes: &mut [u8]) {
        let path = FiveTuple::udp(address(0), address(1));
        let _ = self.sessions[0].receive(self.now, Datagram::new(path, bytes), &mut |rtp| {
            assert!(rtp.packet.payload().len() < 2000);
        });
    }
}

impl Play {
    fn receive_protected(
        &mut self,
        mut bytes: Vec<u8>,
        protect: fn(&mut srtp::Context, &mut [u8], usize) -> Result<usize, SrtpError>,
    ) {
        let len = bytes.len();
        bytes.resize(len + 64, 0);
        if let Ok(len) = protect(&mut self.protection, &mut bytes, len) {
            self.network.receive(&mut bytes[..len]);
        }
    }

    fn step(&mut self, what: u8, bytes: &[u8]) {
        let now = self.network.now;
        match what % 10 {
            0 => self.network.receive(&mut bytes.to_vec()),
            // A datagram of each kind by its first byte.
            1 => self.network.receive(&mut [&[bytes.len() as u8 & 3], bytes].concat()),
            2 => self.network.receive(&mut [&[20 + (bytes.len() as u8 & 3), 254, 253], bytes].concat()),
            3 => self.network.receive(&mut [&[0x80], bytes].concat()),
            4 | 5 => self.receive_protected(
                [&[0x80 | bytes.len() as u8 & 0x10], bytes].concat(),
                |srtp, buffer, len| srtp.protect_rtp(buffer, len),
            ),
            6 | 7 => self.receive_protected(
                [&[0x80 | bytes.len() as u8 & 0x1f], bytes].concat(),
                |srtp, buffer, len| srtp.protect_rtcp(buffer, len),
            ),
            8 => {
                let channel = self.network.sessions[1].channels().next();
                if let Some(channel) = channel {
                    let message = Bytes::copy_from_slice(bytes);
                    let _ = self.network.sessions[1].send_message(now, channel, MessageKind::Binary, message);
                }
                self.network.run(Duration::from_millis(bytes.len() as u64));
            }
            _ => {
                // Something for NACKs to ask for.
                let video = self.network.sessions[0].transceivers().next();
                let video =
                    video.and_then(|video| Some((video.id(), video.send_codecs().first()?.payload_type)));
                if let Some((id, payload_type)) = video {
                    let packet =
                        OutgoingRtp::new(payload_type, RtpTimestamp(7), true, Bytes::copy_from_slice(bytes));
                    let _ = self.network.sessions[0].send_rtp(now, id, packet);
                }
                self.network.run(Duration::from_millis(20));
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let cost = oracle::Oracle::new();
    let mut play = Play::new();
    let mut rest = data;
    for _ in 0..64 {
        let Some(([what, high, low], after)) = rest.split_first_chunk().map(|(head, after)| (*head, after))
        else {
            break;
        };
        let len = usize::from(u16::from_be_bytes([high & 7, low])).min(after.len());
        let (bytes, after) = after.split_at(len);
        rest = after;
        play.step(what, bytes);
    }
    play.network.sessions[0].stats(play.network.now);
    play.network.run(Duration::from_secs(30));
    let now = play.network.now;
    play.network.sessions[0].close(now);
    play.network.exchange();
    assert_eq!(play.network.sessions[0].poll_timeout(), None);
    cost.assert_live(8 << 20);
    cost.assert_work(data.len());
});
