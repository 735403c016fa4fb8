//! What a session is made with.

use std::time::Duration;

use super::codec::SharedMediaConfig;
use super::transports::Transports;
use crate::crypto::CryptoProvider;
use crate::datachannel;
use crate::dtls::{DtlsError, Identity};
use crate::layer::{Ecn, NtpTimestamp};
use crate::media::SendHistory;
use crate::{ice, sctp};

/// How sessions are made: layers, codecs and limits. Cheap to clone.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Duration;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::session::SessionConfig;
///
/// let mut config = SessionConfig::generate(aws_lc_rs::provider())?;
/// config.handshake_timeout = Duration::from_secs(10);
/// config.set_mtu(1400);
/// config.transports.change_ice(|ice| ice.consent_timeout = Duration::from_secs(15));
/// # Ok::<(), kaon_rtc::dtls::DtlsError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// The source of randomness.
    pub provider: CryptoProvider,
    /// The layers below.
    pub transports: Transports,
    /// Codecs and header extensions, shared by the sessions that are made with it.
    pub media: SharedMediaConfig,
    /// The largest datagram of data channels and of RTCP in bytes of UDP payload, with what a relay of this side wants
    /// around it. 1228 by default: an IPv6 packet of
    /// 1280 bytes with room for a TURN channel header. [`set_mtu`](Self::set_mtu) changes it together with the packet
    /// size of SCTP and with [`max_rtp_datagram`](Self::max_rtp_datagram). DTLS handshakes take the size that the
    /// batch has, and less where that does not arrive.
    pub mtu: usize,
    /// The largest datagram of RTP in bytes of UDP payload, header extensions, the tag of SRTP and what a relay wants
    /// around it included: what is longer is refused by [`Session::send_rtp`](super::Session::send_rtp). 1472 by default, an IPv4 packet of 1500
    /// bytes, because those who forward have to send what others made. A `PeerConnection` sends no
    /// longer ones, whatever this says.
    pub max_rtp_datagram: usize,
    /// The SCTP port of this side; 5000 by default.
    pub sctp_port: u16,
    /// The largest data channel message in bytes that this side takes. 256 KiB by default, as browsers have.
    pub max_message_size: usize,
    /// How long the DTLS handshake may take, from when there is a path and the peer is known to have had the description
    /// of this side: it has answered an offer, or its checks come. 40 s by default; 15 times as long while that is
    /// not known. The session has failed after that with
    /// [`DtlsError::TimedOut`](crate::layer::DtlsError::TimedOut).
    pub handshake_timeout: Duration,
    /// Limits of data channels.
    pub data_channels: datachannel::Limits,
    /// The most media sections. 256 by default.
    pub max_media_sections: usize,
    /// The most candidates of the peer that are kept. 128 by default. Of more, the commonest kinds lose those of the
    /// lowest priority.
    pub max_remote_candidates: usize,
    /// The most RTP packets that wait for [`poll_transmit`](crate::layer::Layer::poll_transmit). 4096 by
    /// default.
    pub max_queued_packets: usize,
    /// The most sent packets of a stream that are kept to answer NACKs. 512 by default, half a second of video
    /// at 10 Mbit/s.
    pub max_cached_packets: usize,
    /// The ECN mark of RTP packets. None by default. [`Ecn::Ect0`](crate::layer::Ecn::Ect0) or `Ect1` is for those
    /// who read of what the path marks and slow down for it (RFC 6679, RFC 9330).
    pub media_ecn: Option<Ecn>,
    /// The most incoming RTP streams, retransmissions included. 512 by default.
    pub max_incoming_streams: usize,
    /// What of the peer's RTCP the application reads itself. Nothing by default.
    pub rtcp: RtcpConfig,
    /// The wall-clock time at the session's beginning, for sender reports. Only differences matter to a peer
    /// that plays several tracks in sync, so the default is just not zero.
    pub ntp_epoch: NtpTimestamp,
}

impl SessionConfig {
    /// Sessions of this library's own layers with the certificate of `identity`.
    pub fn new(provider: CryptoProvider, identity: Identity) -> Self {
        Self::with_layers(provider, identity, ice::Config::default(), sctp::Config::default())
    }

    /// The same with configurations of ICE and SCTP. The packet size of SCTP is made to fit [`mtu`](Self::mtu).
    pub fn with_layers(
        provider: CryptoProvider,
        identity: Identity,
        ice: ice::Config,
        mut sctp: sctp::Config,
    ) -> Self {
        const MTU: usize = 1228;
        sctp.mtu = MTU - DTLS_OVERHEAD;
        let max_message_size = sctp.max_receive_message;
        Self {
            transports: Transports::native(&provider, identity, ice, sctp),
            provider,
            media: SharedMediaConfig::default(),
            mtu: MTU,
            max_rtp_datagram: MAX_RTP_DATAGRAM,
            sctp_port: 5000,
            max_message_size,
            handshake_timeout: Duration::from_secs(40),
            data_channels: datachannel::Limits::default(),
            max_media_sections: 256,
            max_remote_candidates: 128,
            max_queued_packets: 4096,
            max_cached_packets: 512,
            media_ecn: None,
            max_incoming_streams: 512,
            rtcp: RtcpConfig::default(),
            ntp_epoch: NtpTimestamp(1 << 63),
        }
    }

    /// Changes [`mtu`](Self::mtu), in bytes of UDP payload, and with it the packet size of this library's SCTP and
    /// [`max_rtp_datagram`](Self::max_rtp_datagram).
    pub fn set_mtu(&mut self, mtu: usize) {
        self.mtu = mtu;
        self.max_rtp_datagram = mtu;
        self.transports.change_sctp(|sctp| sctp.mtu = mtu.saturating_sub(DTLS_OVERHEAD));
    }

    /// Sessions with a new certificate.
    ///
    /// # Errors
    /// [`DtlsError::Crypto`] if the provider fails.
    pub fn generate(provider: CryptoProvider) -> Result<Self, DtlsError> {
        let identity = Identity::generate(&provider)?;
        Ok(Self::new(provider, identity))
    }
}

/// What of the peer's RTCP an application reads itself. What it does not read in time is dropped, the oldest first, and
/// [counted](super::Session::dropped_rtcp).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RtcpConfig {
    /// The most results of feedback that wait for
    /// [`Session::receive_feedback`](super::Session::receive_feedback): packets that transport-wide feedback tells of,
    /// and report blocks, 160 bytes each at most. 0 by default, which keeps none; [`FEEDBACK`](Self::FEEDBACK) is enough
    /// for a second at 50 Mbit/s.
    pub max_unread_feedback: usize,
    /// The most sent packets that are remembered to understand transport-wide feedback, 1 to 32767, if it is read. 8192
    /// by default, a second at 50 Mbit/s.
    pub max_sent_packets: usize,
    /// The most bytes of RTCP datagrams, each with an overhead of 64, that wait for
    /// [`Session::receive_rtcp`](super::Session::receive_rtcp). 0 by default, which keeps none.
    pub max_unread_bytes: usize,
}

impl RtcpConfig {
    /// A [`max_unread_feedback`](Self::max_unread_feedback) for an estimator that reads after each datagram or so.
    pub const FEEDBACK: usize = 8192;
}

impl Default for RtcpConfig {
    fn default() -> Self {
        let max_sent_packets = SendHistory::DEFAULT_MAX_PACKETS;
        Self { max_unread_feedback: 0, max_sent_packets, max_unread_bytes: 0 }
    }
}

/// What an Ethernet carries over IPv4.
const MAX_RTP_DATAGRAM: usize = 1472;
/// A record header with a 16-byte tag and an 8-byte nonce.
const DTLS_OVERHEAD: usize = 13 + 8 + 16;
