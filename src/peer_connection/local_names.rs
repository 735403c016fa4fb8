//! Names of mDNS that are told in place of addresses, RFC 8828 §5.2.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::PoisonError;

use super::sync::Mutex;
use crate::layer::HostAddress;
use crate::net::mdns::{LocalName, Responder};

/// The names that the addresses of an endpoint are told by, one for each address.
#[derive(Debug, Default)]
pub(super) struct LocalNames {
    /// Who answers for them, where addresses are hidden.
    responder: Option<Responder>,
    names: Mutex<BTreeMap<IpAddr, LocalName>>,
}

/// Addresses that have names, at most; others are not told at all then.
const MAX_NAMES: usize = 64;

impl LocalNames {
    pub(super) fn new(responder: Option<Responder>) -> Self {
        Self { responder, ..Self::default() }
    }

    /// The host address as it is told; `None` if it is to be hidden and there is no name for it.
    pub(super) fn hide(&self, host: HostAddress) -> Option<HostAddress> {
        let Some(responder) = &self.responder else { return Some(host) };
        let ip = host.address.ip();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if !names.contains_key(&ip) && names.len() < MAX_NAMES {
            let name =
                responder.publish(ip).inspect_err(|error| tracing::debug!(%error, "no name for an address"));
            names.insert(ip, name.ok()?);
        }
        names.get(&ip).map(|name| host.named(name.to_string()))
    }

    /// An address is gone.
    pub(super) fn forget(&self, ip: IpAddr) {
        let name = self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&ip);
        if let Some((responder, name)) = self.responder.as_ref().zip(name) {
            responder.withdraw(name);
        }
    }
}
