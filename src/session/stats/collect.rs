//! Makes a report of what the parts of a session have counted.

use std::time::Instant;

use rustc_hash::FxHashSet;

use super::StatsReport;
use super::entries::{
    CandidatePairStats, CandidateStats, CertificateStats, CodecStats, DataChannelStats, DtlsState,
    InboundRtpStats, OutboundRtpStats, RemoteInboundRtpStats, RemoteOutboundRtpStats, Stats, StatsId,
    TransportStats,
};
use super::traffic::Traffic;
use crate::layer::{
    Candidate, CandidateAddress, CandidatePair, Fingerprint, IceTransport, PayloadType, SrtpProfile,
    TrackKind,
};
use crate::session::codec::NegotiatedCodec;
use crate::session::jsep::Jsep;
use crate::session::media::{Encoding, Media, MediaStream};
use crate::session::transceiver::Transceiver;
use crate::session::transport::{DtlsEnd, Transport};

/// The parts of a session that count.
#[derive(Debug)]
pub(in crate::session) struct Sources<'a> {
    pub(in crate::session) jsep: &'a Jsep,
    pub(in crate::session) transport: &'a Transport,
    pub(in crate::session) media: &'a Media,
    pub(in crate::session) traffic: &'a Traffic,
    pub(in crate::session) local_candidates: &'a [Candidate],
}

impl Sources<'_> {
    pub(in crate::session) fn report(&self, now: Instant) -> StatsReport {
        let mut report = Report::default();
        self.add_transport(&mut report);
        self.add_candidates(&mut report);
        for stream in self.media.incoming() {
            self.add_incoming(&mut report, stream);
        }
        for transceiver in self.jsep.transceivers() {
            for stream in self.media.outgoing(transceiver.id()) {
                self.add_outgoing(&mut report, transceiver, stream);
            }
        }
        self.add_channels(&mut report);
        StatsReport { timestamp: now, wall_clock: self.media.wall_clock(now), entries: report.entries }
    }

    fn add_transport(&self, report: &mut Report) {
        let (ice, dtls) = (self.transport.ice_ref(), self.transport.dtls());
        let is_connected = dtls.is_some_and(|dtls| dtls.is_connected());
        let local =
            self.transport.fingerprints().first().map(|fingerprint| report.add_certificate(fingerprint));
        let remote = self.jsep.remote_transport().filter(|_| is_connected);
        let remote = remote
            .and_then(|remote| remote.fingerprints.first())
            .map(|fingerprint| report.add_certificate(fingerprint));
        let total = self.traffic.total();
        let dtls_state = match (self.transport.dtls_end(), dtls) {
            (Some(DtlsEnd::Closed), _) => DtlsState::Closed,
            (Some(DtlsEnd::Failed(_)), _) => DtlsState::Failed,
            (None, Some(_)) if is_connected => DtlsState::Connected,
            (None, Some(_)) => DtlsState::Connecting,
            (None, None) => DtlsState::New,
        };
        report.add(Stats::Transport(TransportStats {
            id: transport_id(),
            packets_sent: total.packets_sent,
            packets_received: total.packets_received,
            bytes_sent: total.bytes_sent,
            bytes_received: total.bytes_received,
            ice_role: ice.role(),
            ice_state: ice.state(),
            ice_local_username_fragment: ice.local_credentials().ufrag().to_owned(),
            dtls_state,
            dtls_role: dtls.map(|dtls| dtls.role()),
            dtls_cipher: dtls.and_then(|dtls| dtls.cipher_suite_name()),
            srtp_cipher: dtls.and_then(|dtls| dtls.srtp_profile()).map(SrtpProfile::name),
            packets_discarded_on_send: self.media.dropped_packets(),
            selected_candidate_pair_id: ice.selected_pair().map(pair_id),
            selected_candidate_pair_changes: self.traffic.selections,
            local_certificate_id: local,
            remote_certificate_id: remote,
        }));
    }

    fn add_candidates(&self, report: &mut Report) {
        let ice = self.transport.ice_ref();
        let local_ufrag = Some(ice.local_credentials().ufrag());
        let remote = self.jsep.remote_transport();
        let remote_ufrag = remote.map(|remote| remote.credentials.ufrag());
        for candidate in self.local_candidates {
            report.add_shared(Stats::LocalCandidate(local_candidate_stats(ice, candidate, local_ufrag)));
        }
        for candidate in remote.into_iter().flat_map(|remote| remote.candidates.since(0)) {
            report.add_shared(Stats::RemoteCandidate(candidate_stats("remote", candidate, remote_ufrag)));
        }
        for status in ice.candidate_pairs() {
            let CandidatePair { local, remote, path } = &status.pair;
            // Peer-reflexive candidates were signalled by nobody.
            report.add_shared(Stats::LocalCandidate(local_candidate_stats(ice, local, local_ufrag)));
            report.add_shared(Stats::RemoteCandidate(candidate_stats("remote", remote, remote_ufrag)));
            let traffic = self.traffic.path(*path);
            let counts = traffic.map(|traffic| traffic.counts).unwrap_or_default();
            report.add(Stats::CandidatePair(CandidatePairStats {
                id: pair_id(&status.pair),
                transport_id: transport_id(),
                local_candidate_id: candidate_id("local", local),
                remote_candidate_id: candidate_id("remote", remote),
                state: status.state,
                nominated: status.nominated,
                priority: status.priority,
                packets_sent: counts.packets_sent,
                packets_received: counts.packets_received,
                bytes_sent: counts.bytes_sent,
                bytes_received: counts.bytes_received,
                last_packet_sent_timestamp: traffic.and_then(|traffic| traffic.last_sent),
                last_packet_received_timestamp: traffic.and_then(|traffic| traffic.last_received),
                current_round_trip_time: status.current_round_trip_time,
                total_round_trip_time: status.total_round_trip_time,
                requests_sent: status.requests_sent,
                requests_received: status.requests_received,
                responses_sent: status.responses_sent,
                responses_received: status.responses_received,
            }));
        }
    }

    fn add_incoming(&self, report: &mut Report, stream: &MediaStream) {
        let Some(transceiver) = self.jsep.transceiver(stream.transceiver) else { return };
        let (id, remote) = (rtp_id("inbound", stream.ssrc), rtp_id("remote-outbound", stream.ssrc));
        let codecs = transceiver.receive_codecs();
        let codec_id = report.add_codec("in", transceiver.kind(), codecs, Some(stream.payload_type));
        let (statistics, counters) = (&stream.statistics, &stream.counters);
        let sender_report = statistics.last_sender_report();
        report.add(Stats::InboundRtp(InboundRtpStats {
            id: id.clone(),
            ssrc: stream.ssrc,
            kind: transceiver.kind(),
            transceiver: stream.transceiver,
            mid: transceiver.mid(),
            rid: stream.rid,
            transport_id: transport_id(),
            codec_id: codec_id.clone(),
            remote_id: sender_report.map(|_| remote.clone()),
            packets_received: statistics.packets() + counters.retransmitted_packets,
            bytes_received: statistics.bytes() + counters.retransmitted_bytes,
            header_bytes_received: counters.header_bytes,
            packets_lost: i64::from(statistics.cumulative_lost()),
            jitter: statistics.jitter_duration(),
            last_packet_received_timestamp: counters.last_packet,
            retransmitted_packets_received: counters.retransmitted_packets,
            retransmitted_bytes_received: counters.retransmitted_bytes,
            nack_count: counters.nacks,
            pli_count: counters.plis,
            fir_count: counters.firs,
        }));
        if let Some(sent) = sender_report {
            report.add(Stats::RemoteOutboundRtp(RemoteOutboundRtpStats {
                id: remote,
                ssrc: stream.ssrc,
                kind: transceiver.kind(),
                transport_id: transport_id(),
                codec_id,
                local_id: id,
                packets_sent: sent.packet_count,
                bytes_sent: sent.octet_count,
                remote_timestamp: sent.ntp,
                reports_sent: statistics.sender_reports(),
            }));
        }
    }

    fn add_outgoing(&self, report: &mut Report, transceiver: &Transceiver, stream: &Encoding) {
        let ssrc = stream.ssrc;
        let (id, remote) = (rtp_id("outbound", ssrc), rtp_id("remote-inbound", ssrc));
        let codecs = transceiver.send_codecs();
        let codec_id = report.add_codec("out", transceiver.kind(), codecs, stream.last_payload_type);
        let (statistics, counters) = (stream.statistics.as_ref(), &stream.counters);
        let received = statistics.and_then(|statistics| statistics.remote());
        report.add(Stats::OutboundRtp(OutboundRtpStats {
            id: id.clone(),
            ssrc,
            rtx_ssrc: stream.rtx.ssrc(),
            kind: transceiver.kind(),
            transceiver: transceiver.id(),
            mid: transceiver.mid(),
            rid: stream.rid,
            transport_id: transport_id(),
            codec_id: codec_id.clone(),
            remote_id: received.map(|_| remote.clone()),
            active: transceiver.may_send(),
            packets_sent: statistics.map_or(0, |s| s.packets()) + counters.retransmitted_packets,
            bytes_sent: statistics.map_or(0, |s| s.octets()) + counters.retransmitted_bytes,
            header_bytes_sent: statistics.map_or(0, |s| s.overhead()),
            retransmitted_packets_sent: counters.retransmitted_packets,
            retransmitted_bytes_sent: counters.retransmitted_bytes,
            nack_count: counters.nacks,
            pli_count: counters.plis,
            fir_count: counters.firs,
        }));
        if let Some(received) = received {
            report.add(Stats::RemoteInboundRtp(RemoteInboundRtpStats {
                id: remote,
                ssrc,
                kind: transceiver.kind(),
                transport_id: transport_id(),
                codec_id,
                local_id: id,
                packets_lost: i64::from(received.cumulative_lost),
                fraction_lost: f64::from(received.fraction_lost) / 256.0,
                jitter: received.jitter,
                round_trip_time: received.round_trip_time,
                total_round_trip_time: received.total_round_trip_time,
                round_trip_time_measurements: received.round_trip_time_measurements,
            }));
        }
    }

    fn add_channels(&self, report: &mut Report) {
        let channels = self.transport.channels_ref();
        for id in channels.iter() {
            if let (Some(init), Some(state)) = (channels.init(id), channels.state(id)) {
                let counters = channels.counters(id).unwrap_or_default();
                report.add(Stats::DataChannel(DataChannelStats {
                    id: StatsId(format!("data-channel-{}", id.number())),
                    label: init.label.clone(),
                    protocol: init.protocol.clone(),
                    data_channel_identifier: channels.stream(id).map(|stream| stream.0),
                    state,
                    messages_sent: counters.messages_sent,
                    bytes_sent: counters.bytes_sent,
                    messages_received: counters.messages_received,
                    bytes_received: counters.bytes_received,
                }));
            }
        }
    }
}

/// The entries so far.
#[derive(Default)]
struct Report {
    entries: Vec<Stats>,
    /// The names of what several others refer to.
    shared: FxHashSet<StatsId>,
}

impl Report {
    /// Adds an entry whose name no other has.
    fn add(&mut self, entry: Stats) {
        self.entries.push(entry);
    }

    /// Adds an entry that others refer to, unless it is there.
    fn add_shared(&mut self, entry: Stats) {
        if self.shared.insert(entry.id().clone()) {
            self.entries.push(entry);
        }
    }

    fn add_certificate(&mut self, fingerprint: &Fingerprint) -> StatsId {
        let text = fingerprint.to_string();
        let fingerprint_text = text.split_once(' ').map_or(&*text, |(_, digits)| digits);
        let id = StatsId(format!("certificate-{fingerprint_text}"));
        self.add_shared(Stats::Certificate(CertificateStats {
            id: id.clone(),
            fingerprint: fingerprint_text.to_owned(),
            fingerprint_algorithm: fingerprint.algorithm(),
        }));
        id
    }

    fn add_codec(
        &mut self,
        way: &str,
        kind: TrackKind,
        codecs: &[NegotiatedCodec],
        payload_type: Option<PayloadType>,
    ) -> Option<StatsId> {
        let payload_type = payload_type?;
        let negotiated = codecs.iter().find(|codec| codec.payload_type == payload_type)?;
        let codec = &negotiated.codec;
        let media = match kind {
            TrackKind::Audio => "audio",
            TrackKind::Video => "video",
        };
        let parameters = codec.parameters.as_str();
        // What is sent under a payload type may have other parameters in another section.
        let id = StatsId(format!("codec-{way}-{media}-{payload_type}-{parameters}"));
        self.add_shared(Stats::Codec(CodecStats {
            id: id.clone(),
            transport_id: transport_id(),
            payload_type,
            mime_type: format!("{media}/{}", codec.name),
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            sdp_fmtp_line: (!parameters.is_empty()).then(|| parameters.to_owned()),
        }));
        Some(id)
    }
}

/// There is one transport for all.
fn transport_id() -> StatsId {
    StatsId("transport".to_owned())
}

fn rtp_id(what: &str, ssrc: crate::layer::Ssrc) -> StatsId {
    StatsId(format!("{what}-rtp-{}", ssrc.0))
}

fn pair_id(pair: &CandidatePair) -> StatsId {
    StatsId(format!("pair-{}-{}", pair.path.local, pair.path.remote))
}

fn candidate_id(side: &str, candidate: &Candidate) -> StatsId {
    let (address, port) = host_and_port(&candidate.address);
    let (kind, protocol) = (candidate.kind.name(), candidate.protocol);
    StatsId(format!("{side}-{kind}-{protocol:?}-{address}-{port}-{}", candidate.foundation))
}

fn host_and_port(address: &CandidateAddress) -> (String, u16) {
    match address {
        CandidateAddress::Ip(address) => (address.ip().to_string(), address.port()),
        CandidateAddress::Name(name, port) => (name.clone(), *port),
    }
}

fn candidate_stats(side: &str, candidate: &Candidate, ufrag: Option<&str>) -> CandidateStats {
    let (address, port) = host_and_port(&candidate.address);
    CandidateStats {
        id: candidate_id(side, candidate),
        transport_id: transport_id(),
        address,
        port,
        protocol: candidate.protocol,
        candidate_type: candidate.kind,
        priority: candidate.priority,
        foundation: candidate.foundation.clone(),
        username_fragment: candidate.ufrag().or(ufrag).map(str::to_owned),
        url: None,
        tcp_type: candidate.tcp_kind,
        relay_protocol: None,
        network_type: None,
    }
}

fn local_candidate_stats(
    ice: &dyn IceTransport,
    candidate: &Candidate,
    ufrag: Option<&str>,
) -> CandidateStats {
    CandidateStats {
        url: ice.server_url(candidate),
        network_type: ice.network(candidate),
        relay_protocol: ice.relay_protocol(candidate),
        ..candidate_stats("local", candidate, ufrag)
    }
}
