//! The configuration of connections.

use std::time::Duration;

use super::identity::DtlsIdentity;
use crate::layer::{DtlsError, SrtpProfile};

/// The smallest MTU that leaves room for headers.
const MIN_MTU: usize = 256;

const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// How a [`DtlsConnection`](super::DtlsConnection) is made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DtlsConfig {
    /// The own certificate.
    pub identity: DtlsIdentity,
    /// The SRTP protection profiles for `use_srtp` (RFC 5764), the preferred first; none turns the extension off.
    pub srtp_profiles: Vec<SrtpProfile>,
    /// The size of datagrams, at least 256 bytes. 1,200 by default.
    pub mtu: usize,
    /// After which time without an answer a flight is sent again, each time; at most a minute. 500 ms by default.
    pub retransmission_interval: Duration,
    /// How long the whole handshake may take, from its first message on. 60 s by default.
    pub handshake_timeout: Duration,
    /// After which time without progress the crate is given up. 10 s by default.
    pub stall_timeout: Duration,
    /// How soon the connection wants to be called while the handshake goes on; at most a minute. 1 ms by
    /// default.
    pub poll_interval: Duration,
    /// The datagrams that wait between the caller and the crate in each direction. 64 by default.
    pub max_queued_datagrams: usize,
    /// What of a handshake the crate is given at most, in bytes; it may keep all of it. 1 MiB by default.
    pub max_handshake_bytes: usize,
    /// The protected records that are held because they came before the end of the handshake. 8 by default.
    pub max_early_records: usize,
    /// The bytes of such records. 8 KiB by default.
    pub max_early_bytes: usize,
    /// The bytes of application data, 64 for each piece included, that wait in
    /// [`DtlsEvent::ApplicationData`](crate::layer::DtlsEvent). 256 KiB by default; further data is dropped, as if
    /// lost.
    pub max_queued_application_data: usize,
}

impl DtlsConfig {
    /// The configuration for WebRTC with this identity.
    pub fn new(identity: DtlsIdentity) -> Self {
        Self {
            identity,
            srtp_profiles: SrtpProfile::ALL.to_vec(),
            mtu: 1200,
            retransmission_interval: Duration::from_millis(500),
            handshake_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(10),
            poll_interval: Duration::from_millis(1),
            max_queued_datagrams: 64,
            max_handshake_bytes: 1 << 20,
            max_early_records: 8,
            max_early_bytes: 8 << 10,
            max_queued_application_data: 256 << 10,
        }
    }

    /// Finds what cannot work before the peer does.
    pub(super) fn check(&self) -> Result<(), DtlsError> {
        if self.mtu < MIN_MTU {
            return Err(DtlsError::Config("mtu must be at least 256 bytes"));
        }
        let is_usable = |interval: Duration| !interval.is_zero() && interval <= MAX_INTERVAL;
        if !is_usable(self.retransmission_interval) || !is_usable(self.poll_interval) {
            return Err(DtlsError::Config(
                "retransmission_interval and poll_interval must be more than zero and at most a minute",
            ));
        }
        Ok(())
    }
}
