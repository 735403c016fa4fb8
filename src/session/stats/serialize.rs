//! A report under the W3C's names (Identifiers for WebRTC's Statistics API): a map from ids to dictionaries, without the
//! members that there is no value for.

use std::time::{Duration, Instant};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::entries::{
    CandidatePairStats, CandidateStats, CertificateStats, CodecStats, DataChannelStats, InboundRtpStats,
    OutboundRtpStats, RemoteInboundRtpStats, RemoteOutboundRtpStats, Stats, StatsId, TransportStats,
};
use super::{StatsReport, milliseconds_since_1970};
use crate::layer::{
    FingerprintAlgorithm, Mid, NetworkKind, NtpTimestamp, PayloadType, RelayProtocol, Rid, Ssrc, TcpKind,
};

impl Serialize for StatsReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|stats| (stats.id(), Entry { report: self, stats })))
    }
}

impl Serialize for StatsId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// An entry, and the report whose clock it is told by.
struct Entry<'a> {
    report: &'a StatsReport,
    stats: &'a Stats,
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members { map: serializer.serialize_map(None)?, report: self.report };
        members.put("id", self.stats.id())?;
        members.put("timestamp", &self.report.timestamp())?;
        members.put("type", self.stats.kind())?;
        match self.stats {
            Stats::Codec(stats) => members.codec(stats),
            Stats::InboundRtp(stats) => members.inbound(stats),
            Stats::OutboundRtp(stats) => members.outbound(stats),
            Stats::RemoteInboundRtp(stats) => members.remote_inbound(stats),
            Stats::RemoteOutboundRtp(stats) => members.remote_outbound(stats),
            Stats::DataChannel(stats) => members.data_channel(stats),
            Stats::Transport(stats) => members.transport(stats),
            Stats::CandidatePair(stats) => members.candidate_pair(stats),
            Stats::LocalCandidate(stats) | Stats::RemoteCandidate(stats) => members.candidate(stats),
            Stats::Certificate(stats) => members.certificate(stats),
        }?;
        members.map.end()
    }
}

/// A value of a member, as the W3C has it: times in seconds, instants in milliseconds since 1970.
trait Member {
    fn put<M: SerializeMap>(&self, name: &'static str, members: &mut Members<'_, M>) -> Result<(), M::Error>;
}

macro_rules! as_they_are {
    ($($type:ty),*) => {$(
        impl Member for $type {
            fn put<M: SerializeMap>(&self, name: &'static str, members: &mut Members<'_, M>) -> Result<(), M::Error> {
                members.map.serialize_entry(name, self)
            }
        }
    )*};
}

as_they_are!(bool, u16, u32, u64, i64, f64, str, String, StatsId);
as_they_are!(crate::layer::TrackKind, crate::datachannel::ChannelState, super::DtlsState);
as_they_are!(crate::layer::IceRole, crate::layer::IceConnectionState, crate::layer::CandidatePairState);
as_they_are!(crate::layer::CandidateKind, crate::layer::Protocol, crate::layer::DtlsRole);

/// Values that are told as others are.
macro_rules! as_others {
    ($($type:ty: $value:ident => $other:expr),* $(,)?) => {$(
        impl Member for $type {
            fn put<M: SerializeMap>(&self, name: &'static str, members: &mut Members<'_, M>) -> Result<(), M::Error> {
                let $value = self;
                members.map.serialize_entry(name, &$other)
            }
        }
    )*};
}

as_others! {
    &'static str: text => *text,
    Ssrc: ssrc => ssrc.0,
    PayloadType: payload_type => payload_type.value(),
    Mid: mid => mid.as_str(),
    Rid: rid => rid.as_str(),
    Duration: time => time.as_secs_f64(),
    NtpTimestamp: time => milliseconds_since_1970(*time),
    FingerprintAlgorithm: algorithm => algorithm.name(),
    RelayProtocol: protocol => protocol.name(),
    TcpKind: kind => kind.name(),
    NetworkKind: kind => kind.name(),
}

impl Member for Instant {
    fn put<M: SerializeMap>(&self, name: &'static str, members: &mut Members<'_, M>) -> Result<(), M::Error> {
        let report = members.report;
        let age = report.timestamp().saturating_duration_since(*self);
        let time = milliseconds_since_1970(report.wall_clock()) - age.as_secs_f64() * 1000.0;
        members.map.serialize_entry(name, &time)
    }
}

impl<T: Member> Member for Option<T> {
    fn put<M: SerializeMap>(&self, name: &'static str, members: &mut Members<'_, M>) -> Result<(), M::Error> {
        self.as_ref().map_or(Ok(()), |value| value.put(name, members))
    }
}

/// The members of one dictionary.
struct Members<'a, M> {
    map: M,
    report: &'a StatsReport,
}

impl<M: SerializeMap> Members<'_, M> {
    fn put(&mut self, name: &'static str, value: &(impl Member + ?Sized)) -> Result<(), M::Error> {
        value.put(name, self)
    }

    fn codec(&mut self, stats: &CodecStats) -> Result<(), M::Error> {
        self.put("transportId", &stats.transport_id)?;
        self.put("payloadType", &stats.payload_type)?;
        self.put("mimeType", &stats.mime_type)?;
        self.put("clockRate", &stats.clock_rate)?;
        self.put("channels", &stats.channels)?;
        self.put("sdpFmtpLine", &stats.sdp_fmtp_line)
    }

    fn inbound(&mut self, stats: &InboundRtpStats) -> Result<(), M::Error> {
        self.put("ssrc", &stats.ssrc)?;
        self.put("kind", &stats.kind)?;
        self.put("mid", &stats.mid)?;
        self.put("rid", &stats.rid)?;
        self.put("transportId", &stats.transport_id)?;
        self.put("codecId", &stats.codec_id)?;
        self.put("remoteId", &stats.remote_id)?;
        self.put("packetsReceived", &stats.packets_received)?;
        self.put("bytesReceived", &stats.bytes_received)?;
        self.put("headerBytesReceived", &stats.header_bytes_received)?;
        self.put("packetsLost", &stats.packets_lost)?;
        self.put("jitter", &stats.jitter)?;
        self.put("lastPacketReceivedTimestamp", &stats.last_packet_received_timestamp)?;
        self.put("retransmittedPacketsReceived", &stats.retransmitted_packets_received)?;
        self.put("retransmittedBytesReceived", &stats.retransmitted_bytes_received)?;
        self.put("nackCount", &stats.nack_count)?;
        self.put("pliCount", &stats.pli_count)?;
        self.put("firCount", &stats.fir_count)
    }

    fn outbound(&mut self, stats: &OutboundRtpStats) -> Result<(), M::Error> {
        self.put("ssrc", &stats.ssrc)?;
        self.put("rtxSsrc", &stats.rtx_ssrc)?;
        self.put("kind", &stats.kind)?;
        self.put("mid", &stats.mid)?;
        self.put("rid", &stats.rid)?;
        self.put("transportId", &stats.transport_id)?;
        self.put("codecId", &stats.codec_id)?;
        self.put("remoteId", &stats.remote_id)?;
        self.put("active", &stats.active)?;
        self.put("packetsSent", &stats.packets_sent)?;
        self.put("bytesSent", &stats.bytes_sent)?;
        self.put("headerBytesSent", &stats.header_bytes_sent)?;
        self.put("retransmittedPacketsSent", &stats.retransmitted_packets_sent)?;
        self.put("retransmittedBytesSent", &stats.retransmitted_bytes_sent)?;
        self.put("nackCount", &stats.nack_count)?;
        self.put("pliCount", &stats.pli_count)?;
        self.put("firCount", &stats.fir_count)
    }

    fn remote_inbound(&mut self, stats: &RemoteInboundRtpStats) -> Result<(), M::Error> {
        self.put("ssrc", &stats.ssrc)?;
        self.put("kind", &stats.kind)?;
        self.put("transportId", &stats.transport_id)?;
        self.put("codecId", &stats.codec_id)?;
        self.put("localId", &stats.local_id)?;
        self.put("packetsLost", &stats.packets_lost)?;
        self.put("fractionLost", &stats.fraction_lost)?;
        self.put("jitter", &stats.jitter)?;
        self.put("roundTripTime", &stats.round_trip_time)?;
        self.put("totalRoundTripTime", &stats.total_round_trip_time)?;
        self.put("roundTripTimeMeasurements", &stats.round_trip_time_measurements)
    }

    fn remote_outbound(&mut self, stats: &RemoteOutboundRtpStats) -> Result<(), M::Error> {
        self.put("ssrc", &stats.ssrc)?;
        self.put("kind", &stats.kind)?;
        self.put("transportId", &stats.transport_id)?;
        self.put("codecId", &stats.codec_id)?;
        self.put("localId", &stats.local_id)?;
        self.put("packetsSent", &stats.packets_sent)?;
        self.put("bytesSent", &stats.bytes_sent)?;
        self.put("remoteTimestamp", &stats.remote_timestamp)?;
        self.put("reportsSent", &stats.reports_sent)
    }

    fn data_channel(&mut self, stats: &DataChannelStats) -> Result<(), M::Error> {
        self.put("label", &stats.label)?;
        self.put("protocol", &stats.protocol)?;
        self.put("dataChannelIdentifier", &stats.data_channel_identifier)?;
        self.put("state", &stats.state)?;
        self.put("messagesSent", &stats.messages_sent)?;
        self.put("bytesSent", &stats.bytes_sent)?;
        self.put("messagesReceived", &stats.messages_received)?;
        self.put("bytesReceived", &stats.bytes_received)
    }

    fn transport(&mut self, stats: &TransportStats) -> Result<(), M::Error> {
        self.put("packetsSent", &stats.packets_sent)?;
        self.put("packetsReceived", &stats.packets_received)?;
        self.put("bytesSent", &stats.bytes_sent)?;
        self.put("bytesReceived", &stats.bytes_received)?;
        self.put("iceRole", &stats.ice_role)?;
        self.put("iceState", &stats.ice_state)?;
        self.put("iceLocalUsernameFragment", &stats.ice_local_username_fragment)?;
        self.put("dtlsState", &stats.dtls_state)?;
        self.put("dtlsRole", &stats.dtls_role)?;
        self.put("dtlsCipher", &stats.dtls_cipher)?;
        self.put("srtpCipher", &stats.srtp_cipher)?;
        self.put("packetsDiscardedOnSend", &stats.packets_discarded_on_send)?;
        self.put("selectedCandidatePairId", &stats.selected_candidate_pair_id)?;
        self.put("selectedCandidatePairChanges", &stats.selected_candidate_pair_changes)?;
        self.put("localCertificateId", &stats.local_certificate_id)?;
        self.put("remoteCertificateId", &stats.remote_certificate_id)
    }

    fn candidate_pair(&mut self, stats: &CandidatePairStats) -> Result<(), M::Error> {
        self.put("transportId", &stats.transport_id)?;
        self.put("localCandidateId", &stats.local_candidate_id)?;
        self.put("remoteCandidateId", &stats.remote_candidate_id)?;
        self.put("state", &stats.state)?;
        self.put("nominated", &stats.nominated)?;
        self.put("priority", &stats.priority)?;
        self.put("packetsSent", &stats.packets_sent)?;
        self.put("packetsReceived", &stats.packets_received)?;
        self.put("bytesSent", &stats.bytes_sent)?;
        self.put("bytesReceived", &stats.bytes_received)?;
        self.put("lastPacketSentTimestamp", &stats.last_packet_sent_timestamp)?;
        self.put("lastPacketReceivedTimestamp", &stats.last_packet_received_timestamp)?;
        self.put("currentRoundTripTime", &stats.current_round_trip_time)?;
        self.put("totalRoundTripTime", &stats.total_round_trip_time)?;
        self.put("requestsSent", &stats.requests_sent)?;
        self.put("requestsReceived", &stats.requests_received)?;
        self.put("responsesSent", &stats.responses_sent)?;
        self.put("responsesReceived", &stats.responses_received)
    }

    fn candidate(&mut self, stats: &CandidateStats) -> Result<(), M::Error> {
        self.put("transportId", &stats.transport_id)?;
        self.put("address", &stats.address)?;
        self.put("port", &stats.port)?;
        self.put("protocol", &stats.protocol)?;
        self.put("candidateType", &stats.candidate_type)?;
        self.put("priority", &stats.priority)?;
        self.put("foundation", &stats.foundation)?;
        self.put("usernameFragment", &stats.username_fragment)?;
        self.put("url", &stats.url)?;
        self.put("relayProtocol", &stats.relay_protocol)?;
        self.put("tcpType", &stats.tcp_type)?;
        self.put("networkType", &stats.network_type)
    }

    fn certificate(&mut self, stats: &CertificateStats) -> Result<(), M::Error> {
        self.put("fingerprint", &stats.fingerprint)?;
        self.put("fingerprintAlgorithm", &stats.fingerprint_algorithm)
    }
}
