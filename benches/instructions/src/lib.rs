//! What the measured paths begin with: ends that are connected, with nothing between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{CryptoProvider, SeededRandom, aws_lc_rs};
use kaon_rtc::datachannel::ChannelInit;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, RtpTimestamp, TransmitBatch};
use kaon_rtc::sctp::wire::{ChunkType, Header, PacketWriter};
use kaon_rtc::sctp::{Association, Config, PayloadProtocol, SctpTransport, SendOptions, StreamId};
use kaon_rtc::session::{
    ConnectionState, OutgoingRtp, Session, SessionConfig, TrackKind, TransceiverId, TransceiverInit,
};
use kaon_rtc::srtp::{Context, MasterKey, SrtpProfile};

fn provider(seed: u64) -> CryptoProvider {
    CryptoProvider { random: Arc::new(SeededRandom::new(seed)), ..aws_lc_rs::provider() }
}

fn address(side: usize) -> SocketAddr {
    ([10, 0, 0, 1 + side as u8], 5000).into()
}

/// A sender and a receiver of SRTP.
pub fn srtp(profile: SrtpProfile) -> (Context, Context) {
    let keys = [1, 2].map(|seed| {
        let (key, salt) = (vec![seed; profile.key_len()], vec![seed; profile.salt_len()]);
        MasterKey::new(profile, &key, &salt).expect("lengths of the profile")
    });
    let context = |local: usize, remote: usize| {
        let config = kaon_rtc::srtp::Config::default();
        Context::new(&aws_lc_rs::provider(), &keys[local], &keys[remote], config)
            .expect("keys of the profile")
    };
    (context(0, 1), context(1, 0))
}

/// An RTP packet with this sequence number and room for the tag.
pub fn rtp_packet(number: u16, len: usize) -> Vec<u8> {
    let mut packet = vec![0x5a; len + 32];
    packet[..12].copy_from_slice(&[0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 7]);
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet
}

/// Two associations.
pub struct Associations {
    now: Instant,
    ends: [Association; 2],
    batch: TransmitBatch,
}

impl Associations {
    /// Established, and warm: buffers have grown.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        let ends = [1, 2].map(|seed| Association::new(Config::default(), &provider(seed)));
        let mut this = Self { now, ends, batch: TransmitBatch::new(1200) };
        this.ends[0].connect(now);
        while this.exchange() {}
        assert!(this.ends.iter().all(|end| end.is_established()));
        this.transfer(64, 16 << 10);
        this
    }

    fn exchange(&mut self) -> bool {
        let mut carried = false;
        for side in 0..2 {
            let path = FiveTuple::udp(address(1 - side), address(side));
            while let Some(transmit) = self.ends[side].poll_transmit(self.now, &mut self.batch) {
                carried = true;
                for datagram in self.batch.datagrams_mut(&transmit) {
                    let _ = self.ends[1 - side].handle_datagram(self.now, Datagram::new(path, datagram));
                }
                self.batch.clear();
            }
        }
        carried
    }

    /// Carries `count` messages of `len` bytes.
    pub fn transfer(&mut self, count: usize, len: usize) {
        let message = Bytes::from(vec![0x5a; len]);
        let (mut sent, mut received) = (0, 0);
        while received < count {
            while sent < count && self.ends[0].buffered_amount(StreamId(0)) < 1 << 20 {
                let (stream, options) = (StreamId(0), SendOptions::default());
                let sending =
                    self.ends[0].send(self.now, stream, PayloadProtocol::BINARY, message.clone(), options);
                sending.expect("room in the send buffer");
                sent += 1;
            }
            self.exchange();
            while self.ends[1].receive().is_some() {
                received += 1;
            }
        }
    }
}

impl Default for Associations {
    fn default() -> Self {
        Self::new()
    }
}

/// An association and packets that a hostile peer makes up for it.
pub struct Hostile {
    now: Instant,
    ours: Association,
    tag: u32,
    tsn: u32,
    packets: Vec<Vec<u8>>,
}

impl Hostile {
    fn new() -> Self {
        let now = Instant::now();
        let [ours, mut peer] = [1, 2].map(|seed| Association::new(Config::default(), &provider(seed)));
        let mut this = Self { now, ours, tag: 0, tsn: 0, packets: Vec::new() };
        peer.connect(now);
        let mut batch = TransmitBatch::new(1200);
        let path = FiveTuple::udp(address(0), address(1));
        for _ in 0..3 {
            while let Some(transmit) = peer.poll_transmit(now, &mut batch) {
                for packet in batch.datagrams_mut(&transmit) {
                    this.note(packet, true);
                    let _ = this.ours.handle_datagram(now, Datagram::new(path, packet));
                }
                batch.clear();
            }
            while let Some(transmit) = this.ours.poll_transmit(now, &mut batch) {
                for packet in batch.datagrams_mut(&transmit) {
                    this.note(packet, false);
                    let _ = peer.handle_datagram(now, Datagram::new(path, packet));
                }
                batch.clear();
            }
        }
        assert!(this.ours.is_established());
        this
    }

    fn note(&mut self, packet: &[u8], of_peer: bool) {
        let Ok((header, chunks)) = Header::parse(packet) else { return };
        if of_peer && header.verification_tag != 0 {
            self.tag = header.verification_tag;
        }
        for chunk in chunks.flatten() {
            if of_peer
                && chunk.kind == ChunkType::INIT
                && let Some(tsn) = chunk.value.get(12..).and_then(<[u8]>::first_chunk)
            {
                self.tsn = u32::from_be_bytes(*tsn);
            }
        }
    }

    fn packet(&self, write: impl FnOnce(&mut PacketWriter<'_>)) -> Vec<u8> {
        let mut packet = Vec::new();
        let mut writer = PacketWriter::new(&mut packet, 1400, 5000, 5000, self.tag);
        write(&mut writer);
        writer.finish(true);
        packet
    }

    /// A hundred fragments of one byte in front of a tail of `tail` that came before, the last first.
    #[must_use]
    pub fn fragments_in_front(tail: u32) -> Box<Self> {
        let mut this = Self::new();
        let fragment = |this: &Self, ahead: u32, flags: u8| {
            this.packet(|packet| {
                packet.chunk(ChunkType::DATA, flags, |out| {
                    out.extend_from_slice(&this.tsn.wrapping_add(ahead).to_be_bytes());
                    out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 53, 7]);
                });
            })
        };
        let last = tail + 200;
        let before = (0..tail).map(|index| fragment(&this, last - index, u8::from(index == 0)));
        this.packets = before.collect();
        this.receive();
        this.packets = (0..100).map(|index| fragment(&this, last - tail - index, 0)).collect();
        Box::new(this)
    }

    /// Takes the packets.
    pub fn receive(&mut self) {
        let path = FiveTuple::udp(address(0), address(1));
        for packet in &mut self.packets {
            let _ = self.ours.handle_datagram(self.now, Datagram::new(path, packet));
        }
    }
}

/// Two sessions with a video from the first to the second and a data channel.
pub struct Sessions {
    ends: [Session; 2],
    now: Instant,
    batch: TransmitBatch,
    video: TransceiverId,
    number: u32,
}

impl Sessions {
    /// Connected, and idle.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        let mut ends = [0, 1].map(|side| {
            let config = SessionConfig::generate(provider(1 + side as u64)).expect("a certificate");
            let mut session = Session::new(now, config);
            session.add_host_address(now, address(side)).expect("an address");
            session.end_of_host_addresses(now);
            session
        });
        let video = ends[0].add_track(TrackKind::Video, TransceiverInit::default()).expect("a track");
        ends[0].open_channel(now, ChannelInit::new("data")).expect("a channel");
        let mut this = Self { ends, now, batch: TransmitBatch::new(1228), video, number: 0 };
        this.drain();
        this.negotiate().expect("both sides are Kaon's");
        this.run(Duration::from_secs(3));
        assert!(this.ends.iter().all(|end| end.connection_state() == ConnectionState::Connected));
        this.send_packets(600);
        this
    }

    fn negotiate(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let [alice, bob] = &mut self.ends;
        alice.set_local_description(self.now, None)?;
        bob.set_remote_description(self.now, &alice.local_description().ok_or("no offer")?)?;
        bob.set_local_description(self.now, None)?;
        alice.set_remote_description(self.now, &bob.local_description().ok_or("no answer")?)?;
        Ok(())
    }

    fn drain(&mut self) {
        self.ends.iter_mut().for_each(|end| while end.poll_event().is_some() {});
    }

    fn exchange(&mut self) -> usize {
        let mut delivered = 0;
        loop {
            let mut quiet = true;
            for side in 0..2 {
                self.batch.clear();
                while let Some(transmit) = self.ends[side].poll_transmit(self.now, &mut self.batch) {
                    quiet = false;
                    let path = FiveTuple::udp(address(1 - side), address(side));
                    for bytes in self.batch.datagrams_mut(&transmit) {
                        let datagram = Datagram::new(path, bytes);
                        let deliver = &mut |_: kaon_rtc::session::IncomingRtp<'_>| delivered += 1;
                        let _ = self.ends[1 - side].receive(self.now, datagram, deliver);
                    }
                }
            }
            self.drain();
            if quiet {
                return delivered;
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let next = self.ends.iter().filter_map(Layer::poll_timeout).min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next,
                None => break,
            }
            self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
        }
        self.now = end;
    }

    /// Sends packets of video, each of which the other side delivers.
    pub fn send_packets(&mut self, count: usize) -> usize {
        let codecs = self.ends[0].transceiver(self.video).map(|video| video.send_codecs());
        let Some(codec) = codecs.and_then(<[_]>::first) else { return 0 };
        let payload_type = codec.payload_type;
        let payload = Bytes::from(vec![7; 1000]);
        for _ in 0..count {
            self.number += 1;
            let timestamp = RtpTimestamp(self.number / 10 * 3000);
            let packet =
                OutgoingRtp::new(payload_type, timestamp, self.number.is_multiple_of(10), payload.clone());
            self.ends[0].send_rtp(self.now, self.video, packet).expect("the track sends");
            self.exchange();
        }
        count
    }

    /// What a driver asks of a session that has nothing to do.
    pub fn poll_idle(&mut self) -> bool {
        let end = &mut self.ends[0];
        end.poll_transmit(self.now, &mut self.batch).is_none()
            && end.poll_event().is_none()
            && end.poll_timeout().is_some()
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}
