use std::sync::Arc;
use std::time::Instant;

use kaon_bench_peers::link::{Str0mLink, Use, drain};
use str0m::Rtc;
use str0m::format::Codec;
use str0m::rtp::{RtpPacket, RtpWrite};

use super::Forwarder;

/// An `Rtc` in RTP mode for the publisher and one for each subscriber.
pub struct Str0m {
    now: Instant,
    publisher: Str0mLink,
    subscribers: Vec<Str0mLink>,
    packets: Vec<RtpPacket>,
    sent: u32,
}

fn payload_type(rtc: &Rtc) -> str0m::media::Pt {
    rtc.codec_config().find(|params| params.spec().codec == Codec::Vp8).expect("VP8").pt()
}

impl Forwarder for Str0m {
    fn new(now: Instant, subscribers: usize) -> Self {
        let publisher = Str0mLink::new(now, 0, Use::ToServer);
        let subscribers =
            (1..=subscribers).map(|number| Str0mLink::new(now, number, Use::ToClient)).collect();
        Self { now, publisher, subscribers, packets: Vec::new(), sent: 0 }
    }

    fn publish(&mut self, now: Instant, packets: usize, payload: &[u8]) {
        self.now = now;
        let link = &mut self.publisher;
        let pt = payload_type(&link.peer);
        for number in 1..=packets {
            self.sent += 1;
            let mut direct = link.peer.direct_api();
            let stream = direct.stream_tx_by_mid(link.mid.expect("a video"), None).expect("a stream");
            let packet = RtpWrite::new(pt, u64::from(self.sent).into(), self.sent * 90, now, payload)
                .marker(number == packets)
                .nackable(true);
            stream.write_rtp(packet);
            link.peer_due = drain(&mut link.peer, &mut link.to_server, None);
        }
        link.peer(now);
    }

    fn forward(&mut self) {
        let now = self.now;
        for link in &mut self.subscribers {
            link.serve(now, None);
        }
        self.publisher.serve(now, Some(&mut self.packets));
        for packet in self.packets.drain(..) {
            for link in &mut self.subscribers {
                let mut direct = link.server.direct_api();
                let stream = direct.stream_tx_by_mid(link.mid.expect("a video"), None).expect("a stream");
                let payload: Arc<[u8]> = packet.payload.clone();
                let out = RtpWrite::new(
                    packet.header.payload_type,
                    packet.seq_no,
                    packet.header.timestamp,
                    now,
                    payload,
                );
                stream.write_rtp(out.marker(packet.header.marker).nackable(true));
                link.server_due = drain(&mut link.server, &mut link.to_peer, None);
            }
        }
    }

    fn deliver(&mut self) -> usize {
        let mut arrived = 0;
        for link in &mut self.subscribers {
            arrived += link.to_peer.iter().filter(|transmit| transmit.contents.len() > 1000).count();
            link.peer(self.now);
        }
        arrived
    }
}
