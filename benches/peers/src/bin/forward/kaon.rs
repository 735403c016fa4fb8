use std::time::Instant;

use kaon_bench_peers::link::{KaonLink, Use, configs, is_due};
use kaon_rtc::layer::{Layer, RtpTimestamp, Transmit};
use kaon_rtc::media::PacketPool;
use kaon_rtc::session::OutgoingRtp;

use super::Forwarder;

/// A `Session` for the publisher and one for each subscriber.
pub struct Kaon {
    now: Instant,
    publisher: KaonLink,
    subscribers: Vec<KaonLink>,
    pool: PacketPool,
    sent: u32,
}

impl Forwarder for Kaon {
    fn new(now: Instant, subscribers: usize) -> Self {
        let configs = configs();
        let publisher = KaonLink::new(now, 0, &configs, Use::ToServer);
        let subscribers =
            (1..=subscribers).map(|number| KaonLink::new(now, number, &configs, Use::ToClient)).collect();
        Self { now, publisher, subscribers, pool: PacketPool::new(1500, 1024), sent: 0 }
    }

    fn publish(&mut self, now: Instant, packets: usize, payload: &[u8]) {
        self.now = now;
        let link = &mut self.publisher;
        let (track, payload_type) = link.track.expect("the publisher has a track");
        for number in 1..=packets {
            self.sent += 1;
            let timestamp = RtpTimestamp(self.sent * 90);
            let packet =
                OutgoingRtp::new(payload_type, timestamp, number == packets, payload.to_vec().into());
            link.peer.send_rtp(now, track, packet).expect("room");
        }
        link.peer(now);
    }

    fn forward(&mut self) {
        let Self { now, publisher, subscribers, pool, .. } = self;
        let now = *now;
        for link in &mut *subscribers {
            if is_due(&link.server, now) {
                link.server.handle_timeout(now);
            }
            link.to_server.give(now, link.path, &mut link.server, &mut |_| {});
            while link.server.poll_event().is_some() {}
        }
        if is_due(&publisher.server, now) {
            publisher.server.handle_timeout(now);
        }
        publisher.to_server.give(now, publisher.path, &mut publisher.server, &mut |rtp| {
            let payload = pool.copy(rtp.packet.payload());
            for link in &mut *subscribers {
                let Some((track, payload_type)) = link.track else { continue };
                let packet = &rtp.packet;
                let mut out =
                    OutgoingRtp::new(payload_type, packet.timestamp(), packet.marker(), payload.clone());
                out.sequence_number = Some(packet.sequence_number());
                link.server.send_rtp(now, track, out).expect("room");
            }
        });
        while publisher.server.poll_event().is_some() {}
        publisher.to_peer.take(now, &mut publisher.server);
        for link in subscribers {
            link.to_peer.take(now, &mut link.server);
        }
    }

    fn deliver(&mut self) -> usize {
        let mut arrived = 0;
        for link in &mut self.subscribers {
            let datagrams = |transmit: &Transmit| {
                link.to_peer.batch.datagrams(transmit).filter(|d| d.len() > 1000).count()
            };
            arrived += link.to_peer.transmits.iter().map(datagrams).sum::<usize>();
            link.peer(self.now);
        }
        arrived
    }
}
