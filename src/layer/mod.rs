//! The contract that every layer obeys, and the vocabulary that layers share.
//!
//! A layer is a state machine without sockets, tasks or a clock. The application
//!
//! 1. hands it what arrived with [`Layer::handle_datagram`],
//! 2. takes what it wants to send with [`Layer::poll_transmit`], into a [`TransmitBatch`] that the
//!    application owns and reuses,
//! 3. calls [`Layer::handle_timeout`] when the instant of [`Layer::poll_timeout`] has come,
//! 4. takes what happened with [`Layer::poll_event`].
//!
//! These calls may be made in any order and at any time; nothing breaks if the application did not drain a
//! layer first. Dropping a layer frees all of it.
//!
//! Four traits refine [`Layer`] and name the seams at which an application may plug its own part:
//! [`IceTransport`], [`DtlsTransport`], [`SctpTransport`] and [`SrtpTransport`]. All are object-safe, so an
//! implementation can be chosen for each connection at run time.
//!
//! ```
//! use std::time::Instant;
//!
//! use kaon_rtc::layer::{Layer, TransmitBatch};
//!
//! /// What every loop around a layer does between two datagrams; says when to come back.
//! fn drive<L: Layer<Event: std::fmt::Debug>>(
//!     layer: &mut L,
//!     now: Instant,
//!     batch: &mut TransmitBatch,
//!     mut send: impl FnMut(&[u8]),
//! ) -> Option<Instant> {
//!     layer.handle_timeout(now);
//!     while let Some(transmit) = layer.poll_transmit(now, batch) {
//!         batch.datagrams(&transmit).for_each(&mut send);
//!         batch.clear();
//!     }
//!     while let Some(event) = layer.poll_event() {
//!         println!("{event:?}");
//!     }
//!     layer.poll_timeout()
//! }
//! ```

mod candidate;
mod candidate_pair;
mod cidr;
mod contract;
mod datagram;
mod dtls;
mod envelope;
mod host_address;
mod ice;
mod ice_candidate_error;
mod ice_failure;
#[cfg(any(feature = "dtls", feature = "srtp", feature = "session", feature = "stun", test))]
mod keyed_hash;
mod media;
#[cfg(any(feature = "srtp", feature = "session", test))]
mod recency;
mod sctp;
mod srtp;
mod stream;
mod transmit;

pub use candidate::{Candidate, CandidateAddress, CandidateKind, ParseCandidateError, TcpKind};
pub use candidate_pair::{CandidatePair, CandidatePairState, CandidatePairStatus};
pub use cidr::{Cidr, CidrError};
pub use contract::Layer;
pub use datagram::{Datagram, Ecn, FiveTuple, Protocol};
pub use dtls::{
    DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, FingerprintAlgorithm, ParseFingerprintError,
};
pub use envelope::{Envelope, LengthField};
pub use host_address::{HostAddress, NetworkKind};
pub use ice::{
    IceConnectionState, IceCredentials, IceError, IceEvent, IceOptions, IceRole, IceTransport, NameQuery,
    Opened, PathProof,
};
pub use ice_candidate_error::IceCandidateError;
pub use ice_failure::{CandidateError, IceFailure, IceFailureCause};
#[cfg(any(feature = "dtls", feature = "srtp", feature = "session", feature = "stun"))]
pub(crate) use keyed_hash::HashKeys;
#[cfg(any(feature = "dtls", feature = "session", feature = "stun"))]
pub(crate) use keyed_hash::NameHash;
#[cfg(any(feature = "srtp", feature = "session"))]
pub(crate) use keyed_hash::NumberHash;
pub use media::{
    Bitrate, IDENTIFIER_MAX_LEN, InvalidIdentifier, Mid, NtpTimestamp, PayloadType, Rid, RtpTimestamp,
    SequenceNumber, Ssrc, TrackKind,
};
#[cfg(any(feature = "srtp", feature = "session"))]
pub(crate) use recency::Recency;
pub use sctp::{
    Held, HeldOutcome, PayloadProtocol, Received, Reliability, SctpClose, SctpError, SctpEvent,
    SctpTransport, SendOptions, StreamId,
};
pub use srtp::{
    MasterKey, PacketSlot, ParseSrtpProfileError, SrtpError, SrtpKeyingMaterial, SrtpProfile, SrtpTransport,
};
pub use stream::{Framing, RelayProtocol, StreamOpening, StreamReport, StreamRequest, StreamToken};
pub use transmit::{Segments, Transmit, TransmitBatch};
