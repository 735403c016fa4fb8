//! A session under hostile SCTP and DCEP: DTLS is one that protects nothing, so that the fuzzer is the peer's
//! association. Nothing panics or wakes without end, what the session holds keeps to its budgets, and an honest
//! channel beside still echoes.
//!
//! The input is a list of steps: a byte that says what, a length of two bytes, and so many bytes.

#![no_main]

mod oracle;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::datachannel::{ChannelEvent, ChannelId, ChannelInit, MessageKind};
use kaon_rtc::dtls::Identity;
use kaon_rtc::layer::{
    Datagram, DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, FiveTuple, Layer,
    SrtpKeyingMaterial, SrtpProfile, Transmit, TransmitBatch,
};
use kaon_rtc::sctp::wire::{ChunkType, Header, PacketWriter};
use kaon_rtc::session::{ConnectionState, Session, SessionConfig, SessionEvent};
use libfuzzer_sys::fuzz_target;

/// The budget of each direction.
const BUDGET: usize = 128 << 10;
/// Both budgets with half as much again, and all that is not data.
const MOST_HEAP: usize = 3 * BUDGET + (256 << 10);

/// Connected from the beginning; a record is a byte and what it carries.
#[derive(Debug)]
struct NullDtls {
    role: DtlsRole,
    told: bool,
    closed: bool,
}

impl Layer for NullDtls {
    type Event = DtlsEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, _: Instant, _: Datagram<'_>) -> Result<(), DtlsError> {
        Ok(())
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll_transmit(&mut self, _: Instant, _: &mut TransmitBatch) -> Option<Transmit> {
        None
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        let told = std::mem::replace(&mut self.told, true);
        (!told).then_some(DtlsEvent::Connected { srtp_profile: None })
    }
}

impl DtlsTransport for NullDtls {
    fn receive(
        &mut self,
        _: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DtlsError> {
        deliver(&mut datagram.bytes[1..]);
        Ok(())
    }

    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), DtlsError> {
        out.push(RECORD);
        out.extend_from_slice(data);
        Ok(())
    }

    fn overhead(&self) -> usize {
        1
    }

    fn is_connected(&self) -> bool {
        !self.closed
    }

    fn srtp_profile(&self) -> Option<SrtpProfile> {
        None
    }

    fn srtp_keying_material(&self) -> Result<SrtpKeyingMaterial, DtlsError> {
        Err(DtlsError::NoSrtpProfile)
    }

    fn export_keying_material(&self, _: &str, _: Option<&[u8]>, _: &mut [u8]) -> Result<(), DtlsError> {
        Err(DtlsError::NotConnected)
    }

    fn role(&self) -> DtlsRole {
        self.role
    }

    fn set_peer_fingerprints(&mut self, _: Instant, _: &[Fingerprint]) -> Result<(), DtlsError> {
        Ok(())
    }

    fn close(&mut self, _: Instant) {
        self.closed = true;
    }
}

/// The content type of application data.
const RECORD: u8 = 23;

static IDENTITY: LazyLock<Identity> =
    LazyLock::new(|| Identity::generate(&aws_lc_rs::provider()).expect("an identity"));

fn config(seed: u64) -> SessionConfig {
    let provider = aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(seed)));
    let mut sctp = kaon_rtc::sctp::Config::default();
    sctp.send_buffer = BUDGET;
    sctp.max_receive_window = BUDGET;
    sctp.initial_receive_window = BUDGET;
    sctp.max_receive_message = BUDGET / 4;
    sctp.max_send_message = BUDGET / 4;
    sctp.max_gaps = 256;
    sctp.max_events = 64;
    let mut config =
        SessionConfig::with_layers(provider, IDENTITY.clone(), kaon_rtc::ice::Config::default(), sctp);
    config.data_channels.events = 64;
    config.transports.dtls = Arc::new(|role, _| Ok(Box::new(NullDtls { role, told: false, closed: false })));
    config
}

fn address(side: usize) -> SocketAddr {
    ([10, 0, 0, 1 + side as u8], 5000).into()
}

struct Play {
    /// The session that is tested, and its peer.
    sessions: [Session; 2],
    now: Instant,
    /// What the peer's packets carry.
    tag: u32,
    tsn: u32,
    /// The TSN that this side's packets carried last.
    our_tsn: u32,
    readable: Vec<ChannelId>,
}

impl Play {
    fn new() -> Self {
        let now = Instant::now();
        let mut sessions = [0, 1].map(|side| {
            let mut session = Session::new(now, config(1 + side as u64));
            session.add_host_address(now, address(side)).expect("a good address");
            session.end_of_host_addresses(now);
            session
        });
        let [ours, peer] = &mut sessions;
        ours.create_data_channel(now, ChannelInit::new("chat")).expect("room");
        while ours.poll_event().is_some() || peer.poll_event().is_some() {}
        ours.set_local_description(now, None).expect("an offer");
        peer.set_remote_description(now, &ours.local_description().expect("an offer")).expect("good");
        peer.set_local_description(now, None).expect("an answer");
        ours.set_remote_description(now, &peer.local_description().expect("an answer")).expect("good");
        let mut play = Self { sessions, now, tag: 0, tsn: 0, our_tsn: 0, readable: Vec::new() };
        play.run(Duration::from_secs(2));
        assert_eq!(play.sessions[0].connection_state(), ConnectionState::Connected);
        assert_ne!(play.tag, 0);
        play
    }

    /// Both sides exchange what they have, and time passes.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for wakes in 0.. {
            assert!(wakes < 20_000, "it wakes without end");
            self.exchange();
            let next = self.sessions.iter().filter_map(Layer::poll_timeout).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            for session in &mut self.sessions {
                session.handle_timeout(self.now);
                assert!(session.poll_timeout().is_none_or(|next| next > self.now), "a timeout in the past");
            }
        }
        self.now = end;
    }

    fn exchange(&mut self) {
        let mut batch = TransmitBatch::new(1228);
        for _ in 0..2000 {
            let mut quiet = true;
            for side in 0..2 {
                batch.clear();
                while let Some(transmit) = self.sessions[side].poll_transmit(self.now, &mut batch) {
                    quiet = false;
                    let path = FiveTuple::udp(address(1 - side), address(side));
                    for bytes in batch.datagrams_mut(&transmit) {
                        self.note(side, bytes);
                        let _ = self.sessions[1 - side].handle_datagram(self.now, Datagram::new(path, bytes));
                    }
                }
            }
            self.take_events(1);
            if quiet {
                return;
            }
        }
        panic!("the sessions keep each other busy");
    }

    /// Learns tag and TSN from a packet.
    fn note(&mut self, side: usize, record: &[u8]) {
        let Some((&RECORD, packet)) = record.split_first() else { return };
        let Ok((header, chunks)) = Header::parse(packet) else { return };
        if side == 1 && header.verification_tag != 0 {
            self.tag = header.verification_tag;
        }
        for chunk in chunks.flatten() {
            let at = match chunk.kind {
                ChunkType::DATA => 0,
                ChunkType::INIT | ChunkType::INIT_ACK => 12,
                _ => continue,
            };
            if let Some(tsn) = chunk.value.get(at..).and_then(|rest| rest.first_chunk()) {
                let tsn = u32::from_be_bytes(*tsn);
                *(if side == 1 { &mut self.tsn } else { &mut self.our_tsn }) = tsn;
            }
        }
    }

    fn take_events(&mut self, side: usize) {
        while let Some(event) = self.sessions[side].poll_event() {
            if let SessionEvent::DataChannel(ChannelEvent::Readable(id)) = event {
                if side == 0 {
                    self.readable.push(id);
                } else {
                    while self.sessions[1].receive_message(id).is_some() {}
                }
            }
        }
    }

    /// A packet of chunks with the peer's tag.
    fn forge(&mut self, write: impl FnOnce(&mut PacketWriter<'_>)) {
        let mut packet = vec![RECORD];
        let mut writer = PacketWriter::new(&mut packet, 1400, 5000, 5000, self.tag);
        write(&mut writer);
        if writer.finish(true) {
            let path = FiveTuple::udp(address(0), address(1));
            let _ = self.sessions[0].handle_datagram(self.now, Datagram::new(path, &mut packet));
        }
    }

    fn step(&mut self, what: u8, bytes: &[u8]) {
        let now = self.now;
        match what % 8 {
            // Chunks of any kind, with numbers near those in use.
            0 | 1 => {
                let (tsn, our_tsn) = (self.tsn, self.our_tsn);
                self.forge(|packet| {
                    for chunk in bytes.chunks(usize::from(what / 8) * 4 + 8) {
                        let Some((&[kind, flags], value)) = chunk.split_first_chunk() else { continue };
                        let mut value = value.to_vec();
                        let base = match kind {
                            0 | 192 => Some(tsn),
                            3 | 7 => Some(our_tsn),
                            _ => None,
                        };
                        if let (Some(base), Some(number)) = (base, value.first_chunk_mut::<4>()) {
                            let near =
                                i32::from(i16::from_be_bytes([number[2], number[3]])) >> (number[0] % 16);
                            *number = base.wrapping_add_signed(near).to_be_bytes();
                        }
                        packet.chunk(ChunkType(kind), flags, |out| out.extend_from_slice(&value));
                    }
                });
            }
            // The next message of the peer, as it were: on a stream of its choice, DCEP more often than not.
            2..=4 => {
                let Some((&[stream, protocol, ssn], payload)) = bytes.split_first_chunk() else { return };
                self.tsn = self.tsn.wrapping_add(1);
                let tsn = self.tsn;
                let protocol = if protocol & 0x80 == 0 { 50 } else { 51 + u32::from(protocol % 8) };
                self.forge(|packet| {
                    packet.chunk(ChunkType::DATA, 3 | what >> 3 & 4, |out| {
                        out.extend_from_slice(&tsn.to_be_bytes());
                        out.extend_from_slice(&u16::from(stream).to_be_bytes());
                        out.extend_from_slice(&u16::from(ssn).to_be_bytes());
                        out.extend_from_slice(&protocol.to_be_bytes());
                        out.extend_from_slice(payload);
                    });
                });
            }
            // The application.
            5 => {
                let channel = self.sessions[0].channels().nth(usize::from(what / 8 % 4));
                let Some(id) = channel else {
                    let _ = self.sessions[0].create_data_channel(now, ChannelInit::new("another"));
                    return;
                };
                match bytes.first() {
                    Some(0) => drop(self.sessions[0].close_channel(now, id)),
                    Some(1) => drop(self.sessions[0].create_data_channel(now, ChannelInit::new("another"))),
                    _ => {
                        let message = Bytes::copy_from_slice(bytes);
                        drop(self.sessions[0].send_message(now, id, MessageKind::Binary, message));
                    }
                }
            }
            6 => {
                self.take_events(0);
                for id in std::mem::take(&mut self.readable) {
                    for _ in 0..bytes.len() {
                        if self.sessions[0].receive_message(id).is_none() {
                            break;
                        }
                    }
                }
            }
            _ => {
                self.run(Duration::from_millis(20 * bytes.len() as u64));
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    // Made once before anything is counted.
    LazyLock::force(&IDENTITY);
    let work = oracle::Oracle::new();
    let mut play = Play::new();
    let mut rest = data;
    for _ in 0..128 {
        let Some(([what, high, low], after)) = rest.split_first_chunk().map(|(head, after)| (*head, after))
        else {
            break;
        };
        let len = usize::from(u16::from_be_bytes([high & 7, low])).min(after.len());
        let (bytes, after) = after.split_at(len);
        rest = after;
        play.step(what, bytes);
        // The peer's session holds as much.
        work.assert_live(2 * MOST_HEAP);
    }
    play.run(Duration::from_secs(5));
    work.assert_work(data.len());
    let now = play.now;
    play.sessions[0].close(now);
    play.exchange();
    assert_eq!(play.sessions[0].poll_timeout(), None);
});
