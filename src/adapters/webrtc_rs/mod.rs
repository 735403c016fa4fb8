//! The webrtc-rs crates 0.17 behind the transport traits: `webrtc-ice`, `dtls`, `webrtc-srtp` and `webrtc-sctp`, a
//! feature each (`webrtc-dtls` for the second), or all as `webrtc-rs`.
//!
//! An application that uses one of them can move to this library one layer at a time, and one that looks for a
//! fault can exchange a layer for one that was written by others. What each adapter cannot do because its crate
//! cannot is said with its type.

#[cfg(feature = "webrtc-dtls")]
mod dtls;
#[cfg(feature = "webrtc-ice")]
mod ice;
#[cfg(feature = "webrtc-srtp")]
mod packet;
#[cfg(any(feature = "webrtc-dtls", feature = "webrtc-sctp"))]
mod pipe;
#[cfg(feature = "webrtc-sctp")]
mod sctp;
#[cfg(feature = "webrtc-srtp")]
mod srtp;

#[cfg(feature = "webrtc-dtls")]
pub use self::dtls::{DtlsConfig, DtlsConnection, DtlsIdentity};
#[cfg(feature = "webrtc-ice")]
pub use ice::{IceAgent, IceConfig};
#[cfg(feature = "webrtc-srtp")]
pub use packet::{InvalidPayloadType, PacketParts, to_webrtc};
#[cfg(feature = "webrtc-sctp")]
pub use sctp::{SctpAssociation, SctpConfig};
#[cfg(feature = "webrtc-srtp")]
pub use srtp::{SrtpConfig, SrtpContext};
