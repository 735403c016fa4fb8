//! The documents of the project: they are about more than one module.

#[doc = include_str!("../docs/architecture.md")]
pub mod architecture {}

#[cfg_attr(
    any(not(doctest), all(feature = "peer-connection", feature = "webrtc-rs")),
    doc = include_str!("../docs/plugging-in.md")
)]
pub mod plugging_in {}

#[cfg_attr(any(not(doctest), feature = "peer-connection"), doc = include_str!("../docs/migrating.md"))]
pub mod migrating {}

#[doc = include_str!("../docs/conformance.md")]
pub mod conformance {}

#[doc = include_str!("../docs/citations.md")]
pub mod citations {}

#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

#[doc = include_str!("../docs/security.md")]
pub mod security {}

// The program in the README works.
#[cfg(all(doctest, feature = "peer-connection"))]
#[doc = include_str!("../README.md")]
#[allow(missing_debug_implementations)]
struct Readme;
