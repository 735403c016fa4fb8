//! What every implementation of a transport trait must do: named scenarios, run with one call.
//!
//! A [`Kit`] puts the implementation that is tested, the *subject*, and another one, its *peer*, on the two ends
//! of a virtual network, and runs one scenario after the other: establishment in both roles, loss, reordering,
//! duplication, corruption, restart and new keys, limits, malformed input, close and drop, timers and idleness.
//! The peer may be of the same implementation or of another one. What comes out is a [`Report`] with a result
//! for each scenario; [`Report::check`] compares it with a list of [`KnownFailure`]s, in both directions: a known
//! failure that passes is an error as well.
//!
//! An implementation without a clock of its own runs on a [`VirtualClock`] in no time. One with tasks of its own
//! needs a [`Clock`] that really waits.
//!
//! ```
//! # #[cfg(all(feature = "srtp", feature = "aws-lc-rs"))] {
//! use std::time::Instant;
//! use kaon_rtc::conformance::{Kit, VirtualClock};
//! use kaon_rtc::crypto::aws_lc_rs;
//! use kaon_rtc::layer::{MasterKey, SrtpError, SrtpTransport};
//! use kaon_rtc::srtp::{Config, Context};
//!
//! let make = |local: &MasterKey, remote: &MasterKey| -> Result<Box<dyn SrtpTransport>, SrtpError> {
//!     Ok(Box::new(Context::new(&aws_lc_rs::provider(), local, remote, Config::default())?))
//! };
//! let clock = VirtualClock::new(Instant::now());
//! let report = Kit::new(&clock).srtp(&make, &make);
//! report.check(&[]).unwrap();
//! # }
//! ```

mod clock;
mod dtls;
mod heap;
mod ice;
mod kit;
mod leak;
mod link;
mod pair;
mod report;
mod scenario;
mod sctp;
mod srtp;

pub use clock::{Clock, VirtualClock};
pub use dtls::{DtlsImplementation, MakeDtls};
pub use heap::Heap;
pub use ice::MakeIce;
pub use kit::Kit;
pub use report::{KnownFailure, Mismatch, Outcome, Report, ScenarioReport};
pub use sctp::MakeSctp;
pub use srtp::MakeSrtp;
