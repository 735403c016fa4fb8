//! An association and packets that a hostile peer makes up for it.

use std::time::Instant;

use bytes::Bytes;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::sctp::wire::{ChunkType, Header, PacketWriter};
use kaon_rtc::sctp::{
    Acknowledged, Association, Config, CongestionControl, PayloadProtocol, SctpTransport, SendOptions,
    StreamId,
};

use crate::{address, provider};

/// An association and packets that a hostile peer makes up for it.
pub struct Hostile {
    now: Instant,
    ours: Association,
    tag: u32,
    tsn: u32,
    our_tsn: u32,
    packets: Vec<Vec<u8>>,
}

/// A window that nothing closes.
#[derive(Debug)]
struct Open;

impl CongestionControl for Open {
    fn window(&self) -> usize {
        usize::MAX
    }

    fn on_acknowledged(&mut self, _: &Acknowledged) {}

    fn on_loss(&mut self) {}

    fn on_timeout(&mut self) {}

    fn on_idle(&mut self) {}
}

impl Hostile {
    fn new() -> Self {
        let now = Instant::now();
        let mut config = Config::default();
        config.max_burst = u32::MAX;
        config.congestion_control = |_| Box::new(Open);
        let [ours, mut peer] = [1, 2].map(|seed| Association::new(config.clone(), &provider(seed)));
        let mut this = Self { now, ours, tag: 0, tsn: 0, our_tsn: 0, packets: Vec::new() };
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
            let Some(tsn) = chunk.value.get(12..).and_then(<[u8]>::first_chunk) else { continue };
            match chunk.kind {
                ChunkType::INIT if of_peer => self.tsn = u32::from_be_bytes(*tsn),
                ChunkType::INIT_ACK if !of_peer => self.our_tsn = u32::from_be_bytes(*tsn),
                _ => {}
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

    /// A hundred packets that are full of SACKs, each with `blocks` blocks, while `outstanding` chunks are in flight of
    /// which every other one was acknowledged before.
    #[must_use]
    pub fn acknowledgements(outstanding: u16, blocks: u16) -> Box<Self> {
        let mut this = Self::new();
        for _ in 0..outstanding {
            let (message, options) = (Bytes::from_static(b"x"), SendOptions::default());
            this.ours.send(this.now, StreamId(0), PayloadProtocol::BINARY, message, options).expect("room");
        }
        this.transmit();
        let every_other = |from: u16| (0..300).map(move |block| from + 2 * block).map(|at| (at, at));
        this.packets = (2..outstanding)
            .step_by(600)
            .map(|from| this.packet(|packet| assert!(this.sack(packet, &mut every_other(from)))))
            .collect();
        this.receive();
        // What is missing is sent again: there are as many in flight as may be.
        this.transmit();
        this.packets = (0..100)
            .map(|index| {
                let from = 2 + (outstanding - 2 * blocks) / 100 * index;
                this.packet(|packet| while this.sack(packet, &mut every_other(from).take(blocks.into())) {})
            })
            .collect();
        Box::new(this)
    }

    /// Writes a SACK that does not move the cumulative TSN, if it fits.
    fn sack(&self, packet: &mut PacketWriter<'_>, blocks: &mut dyn Iterator<Item = (u16, u16)>) -> bool {
        let blocks: Vec<_> = blocks.collect();
        packet.chunk(ChunkType::SACK, 0, |out| {
            out.extend_from_slice(&self.our_tsn.wrapping_sub(1).to_be_bytes());
            out.extend_from_slice(&(1u32 << 20).to_be_bytes());
            out.extend_from_slice(&(blocks.len() as u16).to_be_bytes());
            out.extend_from_slice(&[0, 0]);
            for (start, end) in blocks {
                out.extend_from_slice(&start.to_be_bytes());
                out.extend_from_slice(&end.to_be_bytes());
            }
        })
    }

    fn transmit(&mut self) {
        let mut batch = TransmitBatch::new(1200);
        while self.ours.poll_transmit(self.now, &mut batch).is_some() {
            batch.clear();
        }
    }

    /// Takes the packets.
    pub fn receive(&mut self) {
        let path = FiveTuple::udp(address(0), address(1));
        for packet in &mut self.packets {
            let _ = self.ours.handle_datagram(self.now, Datagram::new(path, packet));
        }
    }
}
