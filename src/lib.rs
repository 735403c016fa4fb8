//! WebRTC as building blocks.
//!
//! Every protocol that a WebRTC connection needs is a module of its own behind a cargo feature of the same
//! name, and can be used without the others. The layers are *sans-IO*: they own no socket, start no task and
//! read no clock. The application hands them datagrams and the time, and takes datagrams, deadlines and
//! events from them; [`layer`] is the contract they share.
//!
//! | feature | module | what it is |
//! |---|---|---|
//! | always | [`layer`] | the contract: traits, datagrams, batches of datagrams to send |
//! | always | [`crypto`] | the crypto provider; `aws-lc-rs` (default) or `rust-crypto` implement it |
#![cfg_attr(feature = "stun", doc = "| `stun` | [`stun`] | STUN messages and transactions, RFC 8489 |")]
#![cfg_attr(feature = "turn", doc = "| `turn` | [`turn`] | a client of relays, RFC 8656 |")]
#![cfg_attr(feature = "turn-server", doc = "| `turn-server` | [`turn::server`] | a relay, RFC 8656 |")]
#![cfg_attr(feature = "ice", doc = "| `ice` | [`ice`] | connectivity establishment, RFC 8445 |")]
#![cfg_attr(feature = "dtls", doc = "| `dtls` | [`dtls`] | DTLS 1.2, RFC 6347 |")]
#![cfg_attr(feature = "srtp", doc = "| `srtp` | [`srtp`] | SRTP and SRTCP, RFC 3711 and RFC 7714 |")]
#![cfg_attr(feature = "sctp", doc = "| `sctp` | [`sctp`] | SCTP, RFC 9260 |")]
#![cfg_attr(
    feature = "datachannel",
    doc = "| `datachannel` | [`datachannel`] | data channels, RFC 8831 and RFC 8832 |"
)]
#![cfg_attr(
    feature = "rtp",
    doc = "| `rtp` | [`rtp`] | RTP packets, header extensions and payload formats, RFC 3550 |"
)]
#![cfg_attr(
    feature = "rtcp",
    doc = "| `rtcp` | [`rtcp`] | RTCP packets and feedback, RFC 3550 and RFC 4585 |"
)]
#![cfg_attr(feature = "sdp", doc = "| `sdp` | [`sdp`] | session descriptions, RFC 8866 |")]
#![cfg_attr(
    feature = "media",
    doc = "| `media` | [`media`] | what senders and receivers of media do: retransmission, reports, feedback, frames |"
)]
#![cfg_attr(
    feature = "container",
    doc = "| `container` | [`container`] | files of media: IVF, Ogg Opus, H.264 byte streams, rtpdump |"
)]
#![cfg_attr(
    feature = "session",
    doc = "| `session` | [`session`] | a whole connection without sockets, RFC 8829 and RFC 8835 |"
)]
#![cfg_attr(
    feature = "session",
    doc = "| `session` | [`endpoint`] | many sessions behind sockets, found by path, user name or transaction |"
)]
#![cfg_attr(
    feature = "serde",
    doc = "| `serde` | | descriptions, candidates, states and statistics for serde, as browsers write them to JSON |"
)]
#![cfg_attr(
    feature = "net",
    doc = "| `net` | [`net`] | UDP sockets in batches, interfaces, mDNS, and a driver for any one layer |"
)]
#![cfg_attr(
    feature = "peer-connection",
    doc = "| `peer-connection` | [`peer_connection`] | connections with tokio, as the W3C describes them |"
)]
#![cfg_attr(
    feature = "conformance",
    doc = "| `conformance` | [`conformance`] | scenarios that every implementation of a transport trait is held to |"
)]
#![cfg_attr(
    any(feature = "webrtc-ice", feature = "webrtc-dtls", feature = "webrtc-srtp", feature = "webrtc-sctp"),
    doc = "| `webrtc-rs` | [`adapters::webrtc_rs`] | the webrtc-rs crates behind the transport traits |"
)]
#![cfg_attr(feature = "sim", doc = "| `sim` | [`sim`] | a seeded virtual network on a virtual clock |")]
//!
//! # Logging
//!
//! Layers tell what they do through the crate `tracing`, under the paths of their modules: at `debug` what
//! happens a few times in the life of a connection, at `trace` what was ignored and why. Addresses appear at
//! `trace` only, and keys nowhere. Connections of `peer_connection` have a span `connection` each.
//!
//! [`guide`] has what is said about more than one module.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Any other set of features makes sense: they only ever add.
#[cfg(all(feature = "net", target_family = "wasm"))]
compile_error!(
    "the feature `net` needs UDP sockets, which WebAssembly has not: enable `session` instead of `peer-connection`, \
     or single layers instead of `net`, and carry their datagrams yourself"
);
#[cfg(all(
    any(feature = "webrtc-ice", feature = "webrtc-dtls", feature = "webrtc-sctp"),
    target_family = "wasm"
))]
compile_error!(
    "the webrtc-rs crates need sockets and threads, which WebAssembly has not: enable the layers `ice`, `dtls` and \
     `sctp` instead of `webrtc-ice`, `webrtc-dtls` and `webrtc-sctp`"
);

pub mod crypto;
pub mod layer;

/// The macro of the crate `async-trait`, which those who implement a trait with async methods need: the handler of a
/// `peer_connection::PeerConnection`, and the `net::AuthHandler` of a TURN server.
#[cfg(any(feature = "peer-connection", all(feature = "net", feature = "turn-server")))]
pub use async_trait::async_trait;

#[cfg(any(
    feature = "webrtc-ice",
    feature = "webrtc-dtls",
    feature = "webrtc-srtp",
    feature = "webrtc-sctp"
))]
pub mod adapters;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "container")]
pub mod container;
#[cfg(feature = "datachannel")]
pub mod datachannel;
#[cfg(feature = "dtls")]
pub mod dtls;
#[cfg(feature = "session")]
pub mod endpoint;
#[cfg(any(doc, doctest))]
pub mod guide;
#[cfg(feature = "ice")]
pub mod ice;
#[cfg(feature = "media")]
pub mod media;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "peer-connection")]
pub mod peer_connection;
#[cfg(feature = "rtcp")]
pub mod rtcp;
#[cfg(feature = "rtp")]
pub mod rtp;
#[cfg(feature = "sctp")]
pub mod sctp;
#[cfg(feature = "sdp")]
pub mod sdp;
#[cfg(feature = "session")]
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;
#[cfg(feature = "srtp")]
pub mod srtp;
#[cfg(feature = "stun")]
pub mod stun;
#[cfg(feature = "turn")]
pub mod turn;
