//! The entries of a report, under the W3C's names.

use std::fmt;
use std::time::{Duration, Instant};

use crate::datachannel::ChannelState;
use crate::layer::{
    CandidateKind, CandidatePairState, DtlsRole, FingerprintAlgorithm, IceConnectionState, IceRole, Mid,
    NetworkKind, NtpTimestamp, PayloadType, Protocol, RelayProtocol, Rid, Ssrc, TcpKind, TrackKind,
};
use crate::session::transceiver::TransceiverId;

/// Names an entry of a report, and the same thing in later reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatsId(pub(super) String);

impl fmt::Display for StatsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry of a report (W3C `RTCStatsType`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Stats {
    /// `codec`
    Codec(CodecStats),
    /// `inbound-rtp`
    InboundRtp(InboundRtpStats),
    /// `outbound-rtp`
    OutboundRtp(OutboundRtpStats),
    /// `remote-inbound-rtp`
    RemoteInboundRtp(RemoteInboundRtpStats),
    /// `remote-outbound-rtp`
    RemoteOutboundRtp(RemoteOutboundRtpStats),
    /// `data-channel`
    DataChannel(DataChannelStats),
    /// `transport`
    Transport(TransportStats),
    /// `candidate-pair`
    CandidatePair(CandidatePairStats),
    /// `local-candidate`
    LocalCandidate(CandidateStats),
    /// `remote-candidate`
    RemoteCandidate(CandidateStats),
    /// `certificate`
    Certificate(CertificateStats),
}

impl Stats {
    /// The name of the entry.
    pub fn id(&self) -> &StatsId {
        match self {
            Self::Codec(stats) => &stats.id,
            Self::InboundRtp(stats) => &stats.id,
            Self::OutboundRtp(stats) => &stats.id,
            Self::RemoteInboundRtp(stats) => &stats.id,
            Self::RemoteOutboundRtp(stats) => &stats.id,
            Self::DataChannel(stats) => &stats.id,
            Self::Transport(stats) => &stats.id,
            Self::CandidatePair(stats) => &stats.id,
            Self::LocalCandidate(stats) | Self::RemoteCandidate(stats) => &stats.id,
            Self::Certificate(stats) => &stats.id,
        }
    }

    /// The W3C's name of the kind of entry.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Codec(_) => "codec",
            Self::InboundRtp(_) => "inbound-rtp",
            Self::OutboundRtp(_) => "outbound-rtp",
            Self::RemoteInboundRtp(_) => "remote-inbound-rtp",
            Self::RemoteOutboundRtp(_) => "remote-outbound-rtp",
            Self::DataChannel(_) => "data-channel",
            Self::Transport(_) => "transport",
            Self::CandidatePair(_) => "candidate-pair",
            Self::LocalCandidate(_) => "local-candidate",
            Self::RemoteCandidate(_) => "remote-candidate",
            Self::Certificate(_) => "certificate",
        }
    }
}

/// A codec that a stream uses (W3C `RTCCodecStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CodecStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The transport on which the payload type means this.
    pub transport_id: StatsId,
    /// The payload type.
    pub payload_type: PayloadType,
    /// Such as `video/VP8`.
    pub mime_type: String,
    /// Ticks of the RTP timestamp per second.
    pub clock_rate: u32,
    /// Audio channels.
    pub channels: Option<u16>,
    /// The parameters, if there are any.
    pub sdp_fmtp_line: Option<String>,
}

/// A stream that is received (W3C `RTCInboundRtpStreamStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InboundRtpStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The source.
    pub ssrc: Ssrc,
    /// Sound or pictures.
    pub kind: TrackKind,
    /// The transceiver that receives it.
    pub transceiver: TransceiverId,
    /// The media section.
    pub mid: Option<Mid>,
    /// The simulcast stream.
    pub rid: Option<Rid>,
    /// The transport that it comes by.
    pub transport_id: StatsId,
    /// The codec of the last packet.
    pub codec_id: Option<StatsId>,
    /// What the sender reports of it, once it does.
    pub remote_id: Option<StatsId>,
    /// Packets, retransmissions included.
    pub packets_received: u64,
    /// Bytes of payload, retransmissions included.
    pub bytes_received: u64,
    /// Bytes of RTP headers.
    pub header_bytes_received: u64,
    /// Packets expected and not received, RFC 3550 §6.4.1; negative with duplicates.
    pub packets_lost: i64,
    /// Interarrival jitter, RFC 3550 §6.4.1.
    pub jitter: Duration,
    /// When the last packet came.
    pub last_packet_received_timestamp: Option<Instant>,
    /// Packets that came in a stream of retransmissions.
    pub retransmitted_packets_received: u64,
    /// Their bytes of payload.
    pub retransmitted_bytes_received: u64,
    /// NACKs sent.
    pub nack_count: u64,
    /// Key frames asked for by PLI.
    pub pli_count: u64,
    /// Key frames asked for by FIR.
    pub fir_count: u64,
}

/// A stream that is sent (W3C `RTCOutboundRtpStreamStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboundRtpStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The source.
    pub ssrc: Ssrc,
    /// The source of its retransmissions.
    pub rtx_ssrc: Ssrc,
    /// Sound or pictures.
    pub kind: TrackKind,
    /// The transceiver that sends it.
    pub transceiver: TransceiverId,
    /// The media section.
    pub mid: Option<Mid>,
    /// The simulcast stream.
    pub rid: Option<Rid>,
    /// The transport that it takes.
    pub transport_id: StatsId,
    /// The codec of the last packet.
    pub codec_id: Option<StatsId>,
    /// How it is received, once its receiver has reported.
    pub remote_id: Option<StatsId>,
    /// Whether it may be sent now.
    pub active: bool,
    /// Packets, retransmissions included.
    pub packets_sent: u64,
    /// Bytes of payload, retransmissions included.
    pub bytes_sent: u64,
    /// Bytes of RTP headers, without those of retransmissions.
    pub header_bytes_sent: u64,
    /// Packets that were sent again.
    pub retransmitted_packets_sent: u64,
    /// Their bytes of payload.
    pub retransmitted_bytes_sent: u64,
    /// NACKs received.
    pub nack_count: u64,
    /// PLIs received.
    pub pli_count: u64,
    /// FIRs received.
    pub fir_count: u64,
}

/// How a stream of this side is received, as its receiver reports (W3C `RTCRemoteInboundRtpStreamStats`).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RemoteInboundRtpStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The source.
    pub ssrc: Ssrc,
    /// Sound or pictures.
    pub kind: TrackKind,
    /// The transport that reports come by.
    pub transport_id: StatsId,
    /// The codec of the last packet.
    pub codec_id: Option<StatsId>,
    /// The stream as it is sent.
    pub local_id: StatsId,
    /// Packets lost so far; negative with duplicates.
    pub packets_lost: i64,
    /// The share of packets lost between the last two reports, 0 to 1.
    pub fraction_lost: f64,
    /// Interarrival jitter.
    pub jitter: Duration,
    /// The last round-trip time.
    pub round_trip_time: Option<Duration>,
    /// The sum of all.
    pub total_round_trip_time: Duration,
    /// How many are in the sum.
    pub round_trip_time_measurements: u64,
}

/// What the sender reports of a stream that is received (W3C `RTCRemoteOutboundRtpStreamStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemoteOutboundRtpStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The source.
    pub ssrc: Ssrc,
    /// Sound or pictures.
    pub kind: TrackKind,
    /// The transport that reports come by.
    pub transport_id: StatsId,
    /// The codec of the last packet.
    pub codec_id: Option<StatsId>,
    /// The stream as it is received.
    pub local_id: StatsId,
    /// Packets, modulo 2³².
    pub packets_sent: u32,
    /// Bytes of payload, modulo 2³².
    pub bytes_sent: u32,
    /// The sender's wall clock at its last report.
    pub remote_timestamp: NtpTimestamp,
    /// Reports that came.
    pub reports_sent: u64,
}

/// A data channel (W3C `RTCDataChannelStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataChannelStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The label.
    pub label: String,
    /// The subprotocol.
    pub protocol: String,
    /// The SCTP stream, once it has one.
    pub data_channel_identifier: Option<u16>,
    /// The state.
    pub state: ChannelState,
    /// Messages handed to the association.
    pub messages_sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Messages that the application was given.
    pub messages_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
}

/// The transport (W3C `RTCTransportStats`). Packets are datagrams other than those of ICE.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportStats {
    /// The name of the entry.
    pub id: StatsId,
    /// Datagrams sent.
    pub packets_sent: u64,
    /// Datagrams received and understood.
    pub packets_received: u64,
    /// Bytes of UDP payload sent.
    pub bytes_sent: u64,
    /// Bytes of UDP payload received.
    pub bytes_received: u64,
    /// The role in ICE.
    pub ice_role: IceRole,
    /// The state of ICE.
    pub ice_state: IceConnectionState,
    /// The user-name fragment of this side.
    pub ice_local_username_fragment: String,
    /// The state of DTLS.
    pub dtls_state: DtlsState,
    /// The role in DTLS, once it is agreed on.
    pub dtls_role: Option<DtlsRole>,
    /// The cipher suite, under IANA's name.
    pub dtls_cipher: Option<&'static str>,
    /// The protection profile of SRTP, under IANA's name.
    pub srtp_cipher: Option<&'static str>,
    /// RTP packets, and datagrams of RTCP, that could not be sent: too long for the path, or refused by SRTP.
    pub packets_discarded_on_send: u64,
    /// The pair in use.
    pub selected_candidate_pair_id: Option<StatsId>,
    /// How often a pair was selected.
    pub selected_candidate_pair_changes: u64,
    /// The certificate of this side.
    pub local_certificate_id: Option<StatsId>,
    /// The certificate of the peer, once it is verified.
    pub remote_certificate_id: Option<StatsId>,
}

/// The state of DTLS (W3C `RTCDtlsTransportState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum DtlsState {
    /// It has not begun.
    New,
    /// The handshake is under way.
    Connecting,
    /// The peer is verified, and data passes.
    Connected,
    /// It was closed.
    Closed,
    /// It ended with an error.
    Failed,
}

/// A pair of candidates (W3C `RTCIceCandidatePairStats`). Packets are datagrams other than those of ICE.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandidatePairStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The transport.
    pub transport_id: StatsId,
    /// The candidate of this side.
    pub local_candidate_id: StatsId,
    /// The candidate of the peer.
    pub remote_candidate_id: StatsId,
    /// How far its check has come.
    pub state: CandidatePairState,
    /// Whether it was nominated.
    pub nominated: bool,
    /// Its priority.
    pub priority: u64,
    /// Datagrams sent.
    pub packets_sent: u64,
    /// Datagrams received and understood.
    pub packets_received: u64,
    /// Bytes of UDP payload sent.
    pub bytes_sent: u64,
    /// Bytes of UDP payload received.
    pub bytes_received: u64,
    /// When the last datagram was sent.
    pub last_packet_sent_timestamp: Option<Instant>,
    /// When the last datagram came.
    pub last_packet_received_timestamp: Option<Instant>,
    /// The last round-trip time that a check measured.
    pub current_round_trip_time: Option<Duration>,
    /// The sum of all.
    pub total_round_trip_time: Duration,
    /// Checks sent, those repeated and those for consent included.
    pub requests_sent: u64,
    /// Authentic checks received.
    pub requests_received: u64,
    /// Answers sent.
    pub responses_sent: u64,
    /// Authentic answers received.
    pub responses_received: u64,
}

/// A candidate (W3C `RTCIceCandidateStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CandidateStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The transport.
    pub transport_id: StatsId,
    /// The IP address, or the name that stands for it.
    pub address: String,
    /// The port.
    pub port: u16,
    /// UDP or TCP.
    pub protocol: Protocol,
    /// How it was found.
    pub candidate_type: CandidateKind,
    /// Its priority.
    pub priority: u32,
    /// Its foundation.
    pub foundation: String,
    /// The user-name fragment of its side.
    pub username_fragment: Option<String>,
    /// The URL of the server that it was found by, of a local one that was found by a server.
    pub url: Option<String>,
    /// How it connects, of a TCP candidate.
    pub tcp_type: Option<TcpKind>,
    /// What is spoken to the relay, of a local one that is relayed: `udp`, `tcp` or `tls`.
    pub relay_protocol: Option<RelayProtocol>,
    /// The network that a local candidate is of, if it is known.
    pub network_type: Option<NetworkKind>,
}

/// A certificate (W3C `RTCCertificateStats`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateStats {
    /// The name of the entry.
    pub id: StatsId,
    /// The fingerprint in hexadecimal digits, with colons between bytes.
    pub fingerprint: String,
    /// The hash function of the fingerprint.
    pub fingerprint_algorithm: FingerprintAlgorithm,
}
