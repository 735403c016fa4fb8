//! Media of a hostile peer: DTLS and SRTP are ones that protect nothing, so that its packets can be made up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::layer::{
    Datagram, DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, FiveTuple, Layer, PayloadType,
    RtpTimestamp, SrtpError, SrtpKeyingMaterial, SrtpProfile, SrtpTransport, Ssrc, Transmit, TransmitBatch,
};
use kaon_rtc::rtcp::{CompoundWriter, Pli, ReceiverReport, Records, ReportBlock};
use kaon_rtc::session::{
    Codec, Description, IceCandidateInit, OutgoingRtp, Session, SessionConfig, TrackKind, TransceiverId,
    TransceiverInit,
};

use crate::{Pair, address};

/// Two sessions between which media is not protected, and packets for one of them.
pub struct Sources {
    pair: Pair,
    side: usize,
    packets: Vec<Vec<u8>>,
}

impl Sources {
    /// A hundred reports of 31 blocks on streams of this side, of which there are so many.
    #[must_use]
    pub fn reports(streams: usize) -> Box<Self> {
        let pair = sending(streams);
        let ssrcs: Vec<Ssrc> = pair.ends[0].transceivers().map(|transceiver| transceiver.ssrc()).collect();
        let packets = (0..100)
            .map(|number: usize| {
                let block = |index: usize| ReportBlock {
                    ssrc: ssrcs[(number + index * 97) % streams],
                    ..ReportBlock::default()
                };
                let blocks: Vec<_> = (0..31).map(block).collect();
                let mut packet = [0; 1100];
                let mut writer = CompoundWriter::new(&mut packet);
                let report = ReceiverReport {
                    ssrc: Ssrc(7),
                    blocks: Records::from(&blocks[..]),
                    ..Default::default()
                };
                writer.push(&report).expect("a report");
                let len = writer.finish();
                packet[..len].to_vec()
            })
            .collect();
        Box::new(Self { pair, side: 0, packets })
    }

    /// Streams of this side, of which there are so many, with statistics.
    #[must_use]
    pub fn counted(streams: usize) -> Box<Self> {
        Box::new(Self { pair: sending(streams), side: 0, packets: Vec::new() })
    }

    /// Reports on all streams, as often as makes a thousand reports on one. Says how many entries there were.
    pub fn report_1000(&mut self) -> usize {
        let Pair { ends, now, .. } = &mut self.pair;
        let times = 1000 / ends[0].transceivers().count();
        (0..times).map(|_| ends[0].stats(*now).iter().count()).sum()
    }

    /// Two sessions with so many media sections.
    #[must_use]
    pub fn sections(sections: usize) -> Box<Self> {
        let pair = connected(sections, TrackKind::Video, Codec::vp8(), |offer| offer);
        Box::new(Self { pair, side: 0, packets: Vec::new() })
    }

    /// Takes a hundred candidates of the peer, one after the other, all of the last section.
    pub fn take_candidates(&mut self) {
        let Pair { ends, now, .. } = &mut self.pair;
        let index = ends[0].transceivers().count() - 1;
        let mid = ends[0].transceivers().last().and_then(|last| last.mid()).expect("it is negotiated");
        for number in 0..100 {
            let text = format!("candidate:1 1 udp {} 10.0.1.{number} 5000 typ host", 2_130_706_431 - number);
            let mut candidate = IceCandidateInit::new(text);
            candidate.sdp_mid = Some(mid.to_string());
            candidate.sdp_m_line_index = u16::try_from(index).ok();
            ends[0].add_ice_candidate(*now, &candidate).expect("it is of a section");
        }
    }

    /// A hundred requests for key frames of tracks of this side, of which there are so many. The application has not
    /// taken those of before, one of each track.
    #[must_use]
    pub fn requests(tracks: usize) -> Box<Self> {
        let pair = connected(tracks, TrackKind::Video, Codec::vp8(), |offer| offer);
        let ssrcs: Vec<Ssrc> = pair.ends[0].transceivers().map(|transceiver| transceiver.ssrc()).collect();
        let request = |index: usize| {
            let mut packet = vec![0; 100];
            let mut writer = CompoundWriter::new(&mut packet);
            writer.push(&ReceiverReport { ssrc: Ssrc(7), ..Default::default() }).expect("a report");
            writer.push(&Pli { sender: Ssrc(7), media: ssrcs[index % tracks] }).expect("a request");
            let len = writer.finish();
            packet.truncate(len);
            packet
        };
        let mut this = Box::new(Self { pair, side: 0, packets: (0..tracks).map(request).collect() });
        this.receive();
        this.packets = (0..100).map(|number| request(number * 97)).collect();
        this
    }

    /// A hundred packets of one source with a gap before each, where so many sources lack a packet.
    #[must_use]
    pub fn gaps(sources: u32) -> Box<Self> {
        let pair = connected(1, TrackKind::Video, Codec::vp8(), |offer| offer);
        let transceiver = pair.ends[1].transceivers().next().expect("a section");
        let payload_type = transceiver.receive_codecs()[0].payload_type;
        let packet = |source: u32, number: u16| {
            let mut packet = rtp(source, payload_type, &[]);
            packet[2..4].copy_from_slice(&number.to_be_bytes());
            packet
        };
        let with_gap = |source| [packet(source, 1), packet(source, 3)];
        let packets = (0..sources).flat_map(with_gap).collect();
        let mut this = Box::new(Self { pair, side: 1, packets });
        assert_eq!(this.receive(), 2 * sources as usize);
        this.pair.now += REORDER_TOLERANCE;
        let now = this.pair.now;
        this.pair.ends[1].handle_timeout(now);
        while this.pair.ends[1].poll_transmit(now, &mut this.pair.batch).is_some() {}
        this.packets = (0..100).map(|number| packet(sources / 2, 5 + 2 * number)).collect();
        this
    }

    /// Takes the packets, and asks for what is missing before each as soon as that is due. Says for how many it asked.
    pub fn receive_and_ask(&mut self) -> usize {
        let Self { pair: Pair { ends, now, batch }, side, packets } = self;
        let path = FiveTuple::udp(address(*side), address(1 - *side));
        let mut asked = 0;
        for packet in packets {
            *now += Duration::from_micros(500);
            let receiving = ends[*side].receive(*now, Datagram::new(path, packet), &mut |_| {});
            receiving.expect("it is of a source");
            let due = *now + REORDER_TOLERANCE;
            ends[*side].handle_timeout(due);
            batch.clear();
            while ends[*side].poll_transmit(due, batch).is_some() {
                asked += 1;
            }
        }
        asked
    }

    /// The first packets of a hundred sources of simulcast streams, the half of them of retransmissions, where there
    /// are so many sources already.
    #[must_use]
    pub fn new_sources(sources: u32) -> Box<Self> {
        Self::of_sections(1, sources)
    }

    /// The same where there are so many media sections.
    #[must_use]
    pub fn new_sources_of_sections(sections: usize) -> Box<Self> {
        Self::of_sections(sections, 10)
    }

    fn of_sections(sections: usize, sources: u32) -> Box<Self> {
        let pair = connected(sections, TrackKind::Video, Codec::vp8(), with_streams);
        let transceivers: Vec<_> = pair.ends[1].transceivers().collect();
        let codec = transceivers[0].receive_codecs()[0].clone();
        let rtx = codec.rtx_payload_type().expect("retransmissions are negotiated");
        let answer =
            pair.ends[1].local_description().and_then(|answer| answer.sdp).expect("an answer").to_string();
        let extension = |name: &str| {
            let mut lines = answer.lines().filter_map(|line| line.strip_prefix("a=extmap:")?.split_once(' '));
            let (id, _) =
                lines.find(|(_, uri)| uri.strip_prefix(SDES) == Some(name)).expect("it is negotiated");
            id.parse::<u8>().expect("an id")
        };
        let (mid, rid, repaired) =
            (extension("mid"), extension("rtp-stream-id"), extension("repaired-rtp-stream-id"));
        let packet = |source: u32, payload_type: PayloadType, stream: &[(u8, &[u8])]| {
            let of = transceivers[source as usize % sections].mid().expect("it was negotiated");
            let elements: Vec<_> = [(mid, of.as_bytes())].into_iter().chain(stream.iter().copied()).collect();
            rtp(source, payload_type, &elements)
        };
        let before = (0..sources).map(|source| packet(source, codec.payload_type, &[])).collect();
        let after = (sources..sources + 100)
            .map(|source| match source % 2 {
                0 => packet(source, codec.payload_type, &[(rid, b"h")]),
                _ => packet(source, rtx, &[(repaired, b"h")]),
            })
            .collect();
        let mut this = Box::new(Self { pair, side: 1, packets: before });
        assert_eq!(this.receive(), sources as usize);
        this.packets = after;
        this
    }

    /// Takes the packets, and says how many of media were in them.
    pub fn receive(&mut self) -> usize {
        let path = FiveTuple::udp(address(self.side), address(1 - self.side));
        let (now, mut delivered) = (self.pair.now, 0);
        for packet in &mut self.packets {
            let _ =
                self.pair.ends[self.side].receive(now, Datagram::new(path, packet), &mut |_| delivered += 1);
        }
        delivered
    }
}

/// So long a receiver waits for a packet that may only be late.
const REORDER_TOLERANCE: Duration = Duration::from_millis(10);

const SDES: &str = "urn:ietf:params:rtp-hdrext:sdes:";

/// An RTP packet with header extensions of a byte each before their data.
fn rtp(source: u32, payload_type: PayloadType, elements: &[(u8, &[u8])]) -> Vec<u8> {
    const EXTENSION_WORDS: u8 = 4;
    let mut packet = vec![0x90, payload_type.value(), 0, 1, 0, 0, 0, 1];
    packet.extend_from_slice(&(0x1000_0000 + source).to_be_bytes());
    packet.extend_from_slice(&[0xbe, 0xde, 0, EXTENSION_WORDS]);
    let end = packet.len() + 4 * usize::from(EXTENSION_WORDS);
    for (id, data) in elements {
        packet.push(id << 4 | (data.len() as u8 - 1));
        packet.extend_from_slice(data);
    }
    packet.resize(end, 0);
    packet.extend_from_slice(&[0; 100]);
    packet
}

/// The first of two sends two simulcast streams on each track.
fn with_streams(offer: Description) -> Description {
    let streams = "a=rtcp-mux\r\na=rid:h send\r\na=rid:l send\r\na=simulcast:send h;l\r\n";
    let offer = offer.sdp.expect("an offer").to_string().replace("a=rtcp-mux\r\n", streams);
    Description::offer(&offer).expect("the lines are well-formed")
}

/// A pair in which the first sends on so many tracks.
/// So many audio tracks, each of which has sent a packet.
fn sending(tracks: usize) -> Pair {
    let mut pair = connected(tracks, TrackKind::Audio, Codec::pcmu(), |offer| offer);
    let payload_type =
        pair.ends[0].transceivers().find_map(|it| Some(it.send_codecs().first()?.payload_type));
    let payload_type = payload_type.expect("a codec is negotiated");
    let ids: Vec<TransceiverId> = pair.ends[0].transceivers().map(|transceiver| transceiver.id()).collect();
    for id in ids {
        let packet = OutgoingRtp::new(payload_type, RtpTimestamp(0), false, Bytes::from_static(&[0; 160]));
        pair.ends[0].send_rtp(pair.now, id, packet).expect("the track sends");
        pair.exchange();
    }
    pair
}

fn connected(tracks: usize, kind: TrackKind, codec: Codec, change: fn(Description) -> Description) -> Pair {
    let configure = |config: &mut SessionConfig| {
        config.max_media_sections = 1100;
        config.max_incoming_streams = 1000;
        config.transports.dtls = Arc::new(|role, _| Ok(Box::new(NullDtls { role, told: false })));
        config.transports.srtp = Arc::new(|_, _| Ok(Box::new(NullSrtp)));
    };
    let add_tracks = |session: &mut Session, _| {
        for _ in 0..tracks {
            let init = TransceiverInit::default().codecs([codec.clone()]);
            session.add_track(kind, init).expect("a track");
        }
    };
    Pair::with_offer(configure, add_tracks, change)
}

/// Connected from the beginning.
#[derive(Debug)]
struct NullDtls {
    role: DtlsRole,
    told: bool,
}

const PROFILE: SrtpProfile = SrtpProfile::AeadAes128Gcm;

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
        (!told).then_some(DtlsEvent::Connected { srtp_profile: Some(PROFILE) })
    }
}

impl DtlsTransport for NullDtls {
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
        true
    }

    fn srtp_profile(&self) -> Option<SrtpProfile> {
        Some(PROFILE)
    }

    fn srtp_keying_material(&self) -> Result<SrtpKeyingMaterial, DtlsError> {
        let exported = vec![0; PROFILE.keying_material_len()];
        SrtpKeyingMaterial::from_exported(PROFILE, &exported).ok_or(DtlsError::NoSrtpProfile)
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

    fn close(&mut self, _: Instant) {}
}

#[derive(Debug)]
struct NullSrtp;

impl SrtpTransport for NullSrtp {
    fn protect_rtp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }

    fn protect_rtcp(&mut self, _: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        Ok(len)
    }

    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        Ok(packet.len())
    }

    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        Ok(packet.len())
    }

    fn rtp_overhead(&self) -> usize {
        0
    }

    fn rtcp_overhead(&self) -> usize {
        0
    }
}
