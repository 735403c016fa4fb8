//! The configuration of an agent.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::address_filter::AddressFilter;
use super::address_rewrite::AddressRewriteRule;
use crate::layer::{IceCandidateError, IceRole, RelayProtocol};
use crate::stun::{RetransmissionConfig, ServerTransport};
use crate::turn::Families;

/// What an [`Agent`](super::Agent) does, when, and how much of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The role at first. Controlling by default.
    pub role: IceRole,
    /// Whether it is an agent that only answers checks (RFC 8445 §2.5): for servers at an address that everybody reaches. It
    /// has host candidates alone, never controls, and takes the nominations of its peer. Two such agents do not connect:
    /// neither would have the consent of the other (RFC 7675). False by default.
    pub lite: bool,
    /// Whether pairs may be nominated anew when a better one comes to work (draft-thatcher-ice-renomination). In force if
    /// the peer says so, too ([`IceTransport::set_remote_options`](crate::layer::IceTransport::set_remote_options)); what a
    /// controlling peer counts is followed in any case. False by default.
    pub renomination: bool,
    /// The least time between two nominations of pairs of which each is better than the one before. 3 s by default. A pair
    /// that does not answer is left at once.
    pub renomination_interval: Duration,
    /// STUN servers that are asked for server-reflexive candidates. None by default.
    pub stun_servers: Vec<SocketAddr>,
    /// STUN servers that are asked over TCP or TLS: each once, since the address of that stream is no candidate of
    /// datagrams, and besides from each address for [simultaneous open](Self::simultaneous_open), of which it is a
    /// server-reflexive candidate. One that does not answer is told of as those over UDP are. None by default.
    pub stun_stream_servers: Vec<StunServer>,
    /// The URLs that errors name STUN servers by. One that has none is named by its address.
    pub stun_urls: BTreeMap<SocketAddr, String>,
    /// TURN servers that are asked for relayed candidates, each from every host address of its family. Those over UDP are
    /// asked first, and their candidates preferred. None by default.
    ///
    /// A server has one allocation for a host address at a time over UDP (RFC 8656 §5): of several agents that share a
    /// socket the others [ask](crate::layer::Layer::poll_stream) for one of their own, and get an
    /// [`IceEvent::CandidateError`](crate::layer::IceEvent) with the code 437 where nobody opens it. Over TCP and TLS each
    /// allocation has a stream of its own.
    pub turn_servers: Vec<TurnServer>,
    /// Whether servers are asked for allocations that come along when the address goes that they were made from
    /// (RFC 8016): what a call relays goes on under the same relayed address. Off by default, since it costs another round
    /// trip at a server that forbids it, as coturn does unless told otherwise; one that does not know of it costs none.
    pub relay_mobility: bool,
    /// What is known to be wrong with servers before one is asked, such as names that are not known. Told first, as an
    /// [`IceEvent::CandidateError`](crate::layer::IceEvent). None by default.
    pub server_errors: Vec<IceCandidateError>,
    /// Which addresses of this side are used: host addresses, from which nothing is sent otherwise, and what servers tell
    /// of them. All by default.
    pub local_addresses: AddressFilter,
    /// Which addresses of the peer are used: no candidate of another is checked, from whatever base, and no check from
    /// another is answered. All by default.
    pub remote_addresses: AddressFilter,
    /// Which candidates are used. All by default.
    pub transport_policy: TransportPolicy,
    /// How many allocations are asked for at most, of all TURN servers from all host addresses. 32 by default.
    pub max_allocations: usize,
    /// Whether streams of TCP are opened to candidates of the peer that wait for them (RFC 6544), and candidates are told
    /// that do so. Off by default: who carries the datagrams must have streams
    /// ([`Layer::poll_stream`](crate::layer::Layer::poll_stream)). Streams that the peer opens are taken at
    /// [`add_passive_address`](crate::layer::IceTransport::add_passive_address).
    pub active_tcp: bool,
    /// Whether streams are opened to simultaneous-open candidates of the peer from those of this side, while the peer does
    /// the same (RFC 6544): so two sides meet by TCP that are both behind NATs, where these map ports whatever they lead
    /// to. Off by default; on, it is for addresses that are
    /// [added](crate::layer::IceTransport::add_simultaneous_open_address) for it, and from these
    /// [`stun_stream_servers`](Self::stun_stream_servers) are asked for server-reflexive candidates.
    pub simultaneous_open: bool,
    /// What host addresses are told to the peer as, such as the public address of a machine behind a static NAT. The
    /// first rule that is for an address decides. None by default: addresses are told as they are.
    pub address_rewrite_rules: Vec<AddressRewriteRule>,
    /// Ta: the time between two checks or two questions to servers (RFC 8445 §14.2). 50 ms by default, 5 ms
    /// at least.
    pub pacing: Duration,
    /// How checks are repeated. The initial timeout is lengthened when many checks are under way (RFC 8445
    /// §14.3).
    pub check_retransmission: RetransmissionConfig,
    /// How questions to STUN servers are repeated. The last is given up after 5.5 s by default.
    pub server_retransmission: RetransmissionConfig,
    /// How long a controlling agent waits for a better pair after the first one worked, while better ones
    /// are still being checked. 500 ms by default.
    pub nomination_delay: Duration,
    /// The same if the best pair that works goes by a relay, of this side or of the peer, so that a direct path on which
    /// datagrams are lost is still found. 2 s by default. Data takes the relay meanwhile.
    pub relay_nomination_delay: Duration,
    /// The time between two consent checks, varied by a fifth (RFC 7675 §5.1). 5 s by default.
    pub consent_interval: Duration,
    /// The time without an answer after which consent has expired: the agent has failed (RFC 7675 §5.1).
    /// 30 s by default.
    pub consent_timeout: Duration,
    /// The time without an answer to a consent check after which the agent is disconnected. 5 s by default.
    pub disconnected_timeout: Duration,
    /// The time between two checks of pairs that stand by: the best that works of each address of this side but that of
    /// the selected pair, four at most. They keep the mappings of NATs, so that another network serves at once when one
    /// is lost. 25 s by default.
    pub reserve_interval: Duration,
    /// How long the agent waits for a pair to work, counted from when the last candidate came, before it has
    /// failed (RFC 8863 §4): even when all its pairs have failed before, since the peer's checks may still come,
    /// and no longer when there are so many that their checks are not over. 39.5 s by default.
    pub patience: Duration,
    /// The same while the peer has not said that it has no further candidate: after [`patience`](Self::patience)
    /// the agent is disconnected, and has failed only after this time. 5 minutes by default: a person may carry
    /// what is signalled.
    pub candidate_patience: Duration,
    /// How long the agent waits for [`resolve_name`](crate::layer::IceTransport::resolve_name) before it takes the
    /// name of a candidate for unknown. 10 s by default.
    pub name_resolution_timeout: Duration,
    /// The time between two questions to a STUN server that keep a candidate alive (RFC 8445 §5.1.1.4). 15 s
    /// by default.
    pub server_keepalive: Duration,
    /// How many local candidates there are at most. 64 by default. A quarter of them is kept for reflexive ones, and
    /// for host addresses on the link of a remote candidate or of a family that has no other.
    pub max_local_candidates: usize,
    /// How many remote candidates are kept that the peer signalled, names among them. 64 by default. Of more, those
    /// are left out that failed, then those of the commonest kind with the lowest priority.
    pub max_remote_candidates: usize,
    /// How many remote candidates are kept that were found by authentic checks of the peer, beside those that it
    /// signalled (RFC 8445 §7.3.1.3). 32 by default, one at least; a new one takes the place of the oldest that has
    /// not answered.
    pub max_peer_reflexive_candidates: usize,
    /// How many pairs are checked at most; those of the lowest priority are left out (RFC 8445 §6.1.2.5).
    /// 100 by default.
    pub max_pairs: usize,
    /// How many responses wait to be sent at most; further requests are ignored until then. 64 by default.
    pub max_queued_responses: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: IceRole::Controlling,
            lite: false,
            renomination: false,
            renomination_interval: Duration::from_secs(3),
            stun_servers: Vec::new(),
            stun_stream_servers: Vec::new(),
            stun_urls: BTreeMap::new(),
            turn_servers: Vec::new(),
            relay_mobility: false,
            server_errors: Vec::new(),
            local_addresses: AddressFilter::default(),
            remote_addresses: AddressFilter::default(),
            transport_policy: TransportPolicy::All,
            max_allocations: 32,
            active_tcp: false,
            simultaneous_open: false,
            address_rewrite_rules: Vec::new(),
            pacing: Duration::from_millis(50),
            check_retransmission: RetransmissionConfig::default(),
            server_retransmission: RetransmissionConfig {
                max_sent: 4,
                final_factor: 4,
                ..RetransmissionConfig::default()
            },
            nomination_delay: Duration::from_millis(500),
            relay_nomination_delay: Duration::from_secs(2),
            consent_interval: Duration::from_secs(5),
            consent_timeout: Duration::from_secs(30),
            disconnected_timeout: Duration::from_secs(5),
            reserve_interval: Duration::from_secs(25),
            patience: Duration::from_millis(39_500),
            candidate_patience: Duration::from_secs(300),
            name_resolution_timeout: Duration::from_secs(10),
            server_keepalive: Duration::from_secs(15),
            max_local_candidates: 64,
            max_remote_candidates: 64,
            max_peer_reflexive_candidates: 32,
            max_pairs: 100,
            max_queued_responses: 64,
        }
    }
}

impl Config {
    /// RFC 8445 §14.2 forbids a shorter time between checks.
    const LEAST_PACING: Duration = Duration::from_millis(5);

    /// More often than consent is asked for nobody needs to know.
    const LEAST_RESERVE_INTERVAL: Duration = Duration::from_secs(1);

    /// The longest time that is waited for anything.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

    /// What errors name a STUN server by (RFC 7064).
    pub(super) fn stun_url(&self, server: SocketAddr) -> String {
        self.stun_urls.get(&server).cloned().unwrap_or_else(|| format!("stun:{server}"))
    }

    /// The same configuration with times that cannot work moved to the nearest that can.
    pub(super) fn sanitized(mut self) -> Self {
        self.pacing = self.pacing.max(Self::LEAST_PACING);
        self.reserve_interval = self.reserve_interval.max(Self::LEAST_RESERVE_INTERVAL);
        for time in [
            &mut self.pacing,
            &mut self.renomination_interval,
            &mut self.nomination_delay,
            &mut self.relay_nomination_delay,
            &mut self.consent_interval,
            &mut self.consent_timeout,
            &mut self.disconnected_timeout,
            &mut self.reserve_interval,
            &mut self.patience,
            &mut self.candidate_patience,
            &mut self.name_resolution_timeout,
            &mut self.server_keepalive,
        ] {
            // A clock can be asked for a time so far ahead, not for any.
            *time = (*time).min(Self::LONGEST);
        }
        self
    }
}

/// Which candidates are used (W3C `RTCIceTransportPolicy`, RFC 8828 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum TransportPolicy {
    /// All.
    #[default]
    All,
    /// Only relayed ones: no address of this machine or of its NAT is told to the peer, and nothing is sent to the peer
    /// or answered but by way of a relay.
    Relay,
}

/// A STUN server that is asked over a stream, which the agent asks for
/// ([`Layer::poll_stream`](crate::layer::Layer::poll_stream)).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StunServer {
    /// Its address.
    pub address: SocketAddr,
    /// With TLS: the name, or the IP address, that its certificate must be for.
    pub tls: Option<String>,
    /// The URL that errors name it by; its address by default.
    pub url: Option<String>,
}

impl StunServer {
    /// One over TCP alone.
    pub fn tcp(address: SocketAddr) -> Self {
        Self { address, tls: None, url: None }
    }

    /// One over TLS, whose certificate must be for this name or IP address.
    pub fn tls(address: SocketAddr, name: impl Into<String>) -> Self {
        Self { tls: Some(name.into()), ..Self::tcp(address) }
    }

    /// What it is named by (RFC 7064 §3.1).
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "stuns" } else { "stun" };
        self.url.clone().unwrap_or_else(|| format!("{scheme}:{}", self.address))
    }
}

/// A TURN server and the credentials for it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnServer {
    /// Its address.
    pub address: SocketAddr,
    /// How it is spoken to: over UDP by default, or over a stream that the agent asks for
    /// ([`Layer::poll_stream`](crate::layer::Layer::poll_stream)); a connection of DTLS is asked for in the same way.
    pub transport: ServerTransport,
    /// The name that its certificate must be for, over TLS. Its address by default.
    pub name: Option<String>,
    /// The name of the user.
    pub username: String,
    /// The credential of the user.
    pub credential: String,
    /// The families of relayed addresses to ask for: IPv4 by default, and both of a server that is reached over IPv6.
    pub families: Families,
    /// The URL that errors and statistics name it by; its address by default.
    pub url: Option<String>,
}

impl TurnServer {
    /// A server with the credentials of a user.
    pub fn new(address: SocketAddr, username: impl Into<String>, credential: impl Into<String>) -> Self {
        let families = if address.is_ipv4() { Families::Ipv4 } else { Families::Both };
        Self {
            address,
            transport: ServerTransport::Udp,
            name: None,
            username: username.into(),
            credential: credential.into(),
            families,
            url: None,
        }
    }

    /// The same server over another transport.
    #[must_use]
    pub fn with_transport(self, transport: ServerTransport) -> Self {
        Self { transport, ..self }
    }

    /// Whether it is the same server, whatever the credentials.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let key = |it: &Self| (it.address, it.transport, it.families);
        key(self) == key(other) && self.name == other.name
    }

    /// What it is named by (RFC 7065).
    pub(super) fn url(&self) -> String {
        let (scheme, transport) = match self.transport {
            ServerTransport::Udp => ("turn", "udp"),
            ServerTransport::Tcp => ("turn", "tcp"),
            ServerTransport::Tls => ("turns", "tcp"),
            ServerTransport::Dtls => ("turns", "udp"),
        };
        self.url.clone().unwrap_or_else(|| format!("{scheme}:{}?transport={transport}", self.address))
    }

    /// What the certificate of a server must be for: that of the stream to it over TLS, none without.
    pub(super) fn tls_name(&self) -> Option<String> {
        let name = || self.name.clone().unwrap_or_else(|| self.address.ip().to_string());
        self.transport.is_secure().then(name)
    }

    /// What statistics call its transport.
    pub(super) fn relay_protocol(&self) -> RelayProtocol {
        match self.transport {
            ServerTransport::Udp | ServerTransport::Dtls => RelayProtocol::Udp,
            ServerTransport::Tcp => RelayProtocol::Tcp,
            ServerTransport::Tls => RelayProtocol::Tls,
        }
    }
}

impl fmt::Debug for TurnServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnServer").field("address", &self.address).finish_non_exhaustive()
    }
}
