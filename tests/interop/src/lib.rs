//! Nothing but tests against real peers.
