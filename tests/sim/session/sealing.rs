//! Data within DTLS records, whatever makes these.

use kaon_rtc::layer::{
    DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, SrtpKeyingMaterial, SrtpProfile, TransmitBatch,
};

use super::*;

/// A DTLS implementation that has only what the trait asks for.
#[derive(Debug)]
struct Plain {
    inner: Box<dyn DtlsTransport>,
    /// So many bytes more than it adds does it say that it adds.
    exaggerates: usize,
    /// So often may SRTP keys be had yet.
    exports: std::sync::atomic::AtomicUsize,
}

impl Layer for Plain {
    type Event = DtlsEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DtlsError> {
        self.inner.handle_datagram(now, datagram)
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.inner.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.inner.poll_timeout()
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.inner.poll_transmit(now, out)
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.inner.poll_event()
    }
}

impl DtlsTransport for Plain {
    fn receive(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DtlsError> {
        self.inner.receive(now, datagram, deliver)
    }

    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), DtlsError> {
        self.inner.seal(data, out)
    }

    fn overhead(&self) -> usize {
        self.inner.overhead() + self.exaggerates
    }

    fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.inner.srtp_profile()
    }

    fn srtp_keying_material(&self) -> Result<SrtpKeyingMaterial, DtlsError> {
        use std::sync::atomic::Ordering::Relaxed;
        let keys = self.inner.srtp_keying_material()?;
        let is_left = self.exports.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if is_left { Ok(keys) } else { Err(DtlsError::Internal("the keys were given away")) }
    }

    fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), DtlsError> {
        self.inner.export_keying_material(label, context, out)
    }

    fn role(&self) -> DtlsRole {
        self.inner.role()
    }

    fn set_peer_fingerprints(&mut self, now: Instant, fingerprints: &[Fingerprint]) -> Result<(), DtlsError> {
        self.inner.set_peer_fingerprints(now, fingerprints)
    }

    fn close(&mut self, now: Instant) {
        self.inner.close(now);
    }
}

pub(super) fn peers(seed: u64, exaggerates: usize) -> Peers {
    Peers::with_limits(seed, link(), |config| {
        let native = config.transports.dtls.clone();
        config.transports.dtls = Arc::new(move |role, peer| {
            Ok(Box::new(Plain { inner: native(role, peer)?, exaggerates, exports: 1.into() }))
        });
    })
}

#[test]
fn a_dtls_that_seals_elsewhere_carries_data() {
    let mut peers = peers(31, 0);
    let now = peers.simulation.now();
    let channel = peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.run_until(Duration::from_secs(5), |peers| {
        peers.session(0).channel_state(channel) == Some(kaon_rtc::datachannel::ChannelState::Open)
    });
    let now = peers.simulation.now();
    for size in [0, 1, 1000, 1200, 5000, 60_000] {
        let message = Bytes::from(vec![size as u8; size]);
        peers.session(0).send_message(now, channel, MessageKind::Binary, message).unwrap();
    }
    peers.run_until(Duration::from_secs(5), |_| false);
    let sizes: Vec<_> = peers.received[1].iter().map(|(_, data)| data.len()).collect();
    assert_eq!(sizes, [0, 1, 1000, 1200, 5000, 60_000]);
}

/// What it seals is not what it said: nothing would ever leave, and the reason is told instead.
#[test]
fn a_dtls_that_does_not_keep_to_its_overhead_is_the_reason_of_a_failure() {
    let mut peers = peers(32, 3);
    let now = peers.simulation.now();
    peers.session(0).create_data_channel(now, ChannelInit::new("chat")).unwrap();
    peers.negotiate(0);
    peers.run_until(Duration::from_secs(30), |_| false);
    for side in 0..2 {
        let failure = peers.session(side).failure().cloned();
        let is_named = matches!(failure, Some(FailureReason::Dtls(DtlsError::Internal(_))));
        // The other side may only see that nothing comes any more.
        assert!(is_named || side == 1, "{side}: {failure:?}");
        assert!(
            is_named
                == peers.events[side].iter().any(|event| matches!(
                    event,
                    SessionEvent::ConnectionState { reason: Some(FailureReason::Dtls(_)), .. }
                ))
        );
    }
}

/// Of a path that takes more than a record holds, what a record holds is used.
#[test]
fn packets_fit_a_record_however_large_the_path_is() {
    let (mut now, mut config) = (Instant::now(), config(33));
    config.set_mtu(60_000);
    let addresses: [std::net::SocketAddr; 2] = [1, 2].map(|host| ([10, 0, 0, host], 5000).into());
    let mut sessions = addresses.map(|address| {
        let mut session = Session::new(now, config.clone());
        session.add_host_address(now, address).unwrap();
        session.end_of_host_addresses(now);
        session
    });
    let mut init = ChannelInit::new("large");
    init.negotiated = Some(kaon_rtc::layer::StreamId(0));
    let channels = sessions.each_mut().map(|one| one.create_data_channel(now, init.clone()).unwrap());
    let [a, b] = &mut sessions;
    a.set_local_description(now, None).unwrap();
    b.set_remote_description(now, &a.local_description().unwrap()).unwrap();
    b.set_local_description(now, None).unwrap();
    a.set_remote_description(now, &b.local_description().unwrap()).unwrap();
    let (mut batch, mut longest, mut is_sent) = (TransmitBatch::new(60_000), 0, false);
    for _ in 0..500 {
        for side in 0..2 {
            sessions[side].handle_timeout(now);
            while let Some(transmit) = sessions[side].poll_transmit(now, &mut batch) {
                for datagram in batch.datagrams_mut(&transmit) {
                    longest = longest.max(datagram.len());
                    let path = FiveTuple::udp(addresses[1 - side], addresses[side]);
                    let _ = sessions[1 - side].handle_datagram(now, Datagram::new(path, datagram));
                }
                batch.clear();
            }
        }
        let is_open = |session: &Session, channel| {
            session.channel_state(channel) == Some(kaon_rtc::datachannel::ChannelState::Open)
        };
        if !is_sent && is_open(&sessions[0], channels[0]) {
            is_sent = true;
            let message = Bytes::from(vec![7; 100_000]);
            sessions[0].send_message(now, channels[0], MessageKind::Binary, message).unwrap();
        }
        now += Duration::from_millis(10);
    }
    assert!(is_sent);
    assert_eq!(sessions[1].receive_message(channels[1]).map(|message| message.data.len()), Some(100_000));
    assert!((10_000..=(1 << 14) + 64).contains(&longest), "{longest}");
}

/// Batches and paths with less room than the heads of what goes there: nothing runs in circles, nothing panics, and what does
/// leave is bounded. Where there is room again, the connection is there.
#[test]
fn batches_without_room_hold_nothing_up_for_good() {
    for (size, mtu) in [(0, 1200), (1, 1200), (40, 1200), (100, 1200), (1200, 0), (1200, 40), (300, 100)] {
        let (mut now, mut config) = (Instant::now(), config(34));
        config.set_mtu(mtu);
        let addresses: [std::net::SocketAddr; 2] = [1, 2].map(|host| ([10, 0, 0, host], 5000).into());
        let mut sessions = addresses.map(|address| {
            let mut session = Session::new(now, config.clone());
            session.add_host_address(now, address).unwrap();
            session.end_of_host_addresses(now);
            session
        });
        let mut init = ChannelInit::new("");
        init.negotiated = Some(kaon_rtc::layer::StreamId(0));
        let channels = sessions.each_mut().map(|one| one.create_data_channel(now, init.clone()).unwrap());
        let track = sessions[0].add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
        let [a, b] = &mut sessions;
        a.set_local_description(now, None).unwrap();
        b.set_remote_description(now, &a.local_description().unwrap()).unwrap();
        b.set_local_description(now, None).unwrap();
        a.set_remote_description(now, &b.local_description().unwrap()).unwrap();
        let (mut sent, mut is_sent, mut longest) = (0, false, 0);
        for round in 0..800 {
            // The narrow part in the middle of the way.
            let is_narrow = (4..400).contains(&round) || round < 2;
            let mut batch = TransmitBatch::new(if is_narrow { size } else { 1228 });
            for side in 0..2 {
                sessions[side].handle_timeout(now);
                while let Some(transmit) = sessions[side].poll_transmit(now, &mut batch) {
                    assert!(!transmit.is_empty());
                    for datagram in batch.datagrams_mut(&transmit) {
                        sent += 1;
                        longest = longest.max(datagram.len());
                        let path = FiveTuple::udp(addresses[1 - side], addresses[side]);
                        let _ = sessions[1 - side].handle_datagram(now, Datagram::new(path, datagram));
                    }
                    batch.clear();
                }
            }
            let is_open = sessions[0].channel_state(channels[0]);
            if !is_sent && is_open == Some(kaon_rtc::datachannel::ChannelState::Open) {
                is_sent = true;
                let message = Bytes::from(vec![7; 5000]);
                sessions[0].send_message(now, channels[0], MessageKind::Binary, message).unwrap();
                let codec = sessions[0].transceiver(track).unwrap().send_codecs()[0].payload_type;
                let packet = OutgoingRtp::new(codec, RtpTimestamp(0), true, Bytes::from_static(&[1; 10]));
                let _ = sessions[0].send_rtp(now, track, packet);
            }
            now += Duration::from_millis(20);
        }
        println!("{size} {mtu}: {sent} datagrams, the longest of {longest}, {is_sent}");
        assert!(sent < 4000 && longest <= 1228, "{size} {mtu}: {sent} datagrams, the longest of {longest}");
        assert!(is_sent, "{size} {mtu}");
        let message = sessions[1].receive_message(channels[1]).map(|message| message.data.len());
        assert_eq!(message, Some(5000), "{size} {mtu}");
    }
}
