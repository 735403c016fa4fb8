//! What the measured paths begin with: ends that are connected, with nothing between them.

mod channels;
mod hostile;
mod pair;
mod sources;
mod strays;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::crypto::{CryptoProvider, SeededRandom, aws_lc_rs};
use kaon_rtc::datachannel::ChannelInit;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, RtpTimestamp, SequenceNumber, Ssrc, TransmitBatch};
use kaon_rtc::media::{TransportArrivals, TransportFeedbackConfig};
use kaon_rtc::sctp::{Association, Config, PayloadProtocol, SctpTransport, SendOptions, StreamId};
use kaon_rtc::session::{OutgoingRtp, TrackKind, TransceiverId, TransceiverInit};
use kaon_rtc::srtp::{Context, MasterKey, SrtpProfile};

pub use channels::Channels;
pub use hostile::Hostile;
use pair::Pair;
pub use sources::Sources;
pub use strays::Strays;

fn provider(seed: u64) -> CryptoProvider {
    aws_lc_rs::provider().with_random(Arc::new(SeededRandom::new(seed)))
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

/// Two sessions with a video from the first to the second and a data channel.
pub struct Sessions {
    pair: Pair,
    video: TransceiverId,
    number: u32,
}

impl Sessions {
    /// Connected, and idle.
    #[must_use]
    pub fn new() -> Self {
        let mut video = None;
        let pair = Pair::connected(
            |_| {},
            |session, now| {
                video = session.add_track(TrackKind::Video, TransceiverInit::default()).ok();
                session.create_data_channel(now, ChannelInit::new("data")).expect("a channel");
            },
        );
        let mut this = Self { pair, video: video.expect("a track"), number: 0 };
        this.send_packets(600);
        this
    }

    /// Sends packets of video, each of which the other side delivers.
    pub fn send_packets(&mut self, count: usize) -> usize {
        let codecs = self.pair.ends[0].transceiver(self.video).map(|video| video.send_codecs());
        let Some(codec) = codecs.and_then(<[_]>::first) else { return 0 };
        let payload_type = codec.payload_type;
        let payload = Bytes::from(vec![7; 1000]);
        for _ in 0..count {
            self.number += 1;
            let timestamp = RtpTimestamp(self.number / 10 * 3000);
            let packet =
                OutgoingRtp::new(payload_type, timestamp, self.number.is_multiple_of(10), payload.clone());
            self.pair.ends[0].send_rtp(self.pair.now, self.video, packet).expect("the track sends");
            self.pair.exchange();
        }
        count
    }

    /// What a driver asks of a session that has nothing to do.
    pub fn poll_idle(&mut self) -> bool {
        let Pair { ends: [end, _], now, batch } = &mut self.pair;
        end.poll_transmit(*now, batch).is_none() && end.poll_event().is_none() && end.poll_timeout().is_some()
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self::new()
    }
}

/// A record of so many arrivals, of which every second is missing.
#[must_use]
pub fn arrivals(count: u16) -> Box<(TransportArrivals, Instant, u16)> {
    let now = Instant::now();
    let mut record = TransportArrivals::new(TransportFeedbackConfig::default(), Ssrc(1), Ssrc(2));
    for number in 0..count / 2 {
        record.received(now, SequenceNumber(2 * number));
    }
    Box::new((record, now, count))
}

/// A hundred of those that are missing come late.
pub fn arrive_late((record, now, count): &mut (TransportArrivals, Instant, u16)) {
    for index in 0..100 {
        let at = Duration::from_micros(index.into());
        record.received(*now + at, SequenceNumber(*count / 100 * index | 1));
    }
}
