//! Where the sockets of an endpoint are reached.

use std::net::SocketAddr;

use super::shared::EndpointShared;
use crate::layer::HostAddress;
use crate::net::{InterfaceAddress, interfaces};

impl EndpointShared {
    /// The addresses at which the sockets can be reached.
    pub(super) fn host_addresses(&self) -> Vec<HostAddress> {
        self.sockets.local_addrs().flat_map(|local| self.host_addresses_of(local)).collect()
    }

    /// The addresses at which streams are taken.
    pub(super) fn passive_addresses(&self) -> Vec<HostAddress> {
        self.sockets.listening().into_iter().flat_map(|local| self.host_addresses_of(local)).collect()
    }

    /// The addresses at which streams are taken and opened from.
    pub(super) fn simultaneous_addresses(&self) -> Vec<HostAddress> {
        let bound = self.sockets.listening_simultaneous().into_iter();
        bound.flat_map(|local| self.host_addresses_of(local)).collect()
    }

    fn host_addresses_of(&self, local: SocketAddr) -> Vec<HostAddress> {
        if !local.ip().is_unspecified() {
            return self.local_names.hide(local.into()).into_iter().collect();
        }
        // Without a list of interfaces there are no host candidates, and gathering ends at once.
        let addresses = interfaces(&self.filter).unwrap_or_default();
        let hosts = addresses.iter().filter_map(|address| host_address(local, address));
        hosts.filter_map(|host| self.local_names.hide(host)).collect()
    }

    /// The addresses at which the sockets that are bound to all are reached by some of this machine.
    pub(super) fn at(&self, addresses: &[InterfaceAddress]) -> Vec<HostAddress> {
        all_at(self.sockets.local_addrs(), addresses)
    }

    /// The same of those that take streams.
    pub(super) fn passive_at(&self, addresses: &[InterfaceAddress]) -> Vec<HostAddress> {
        all_at(self.sockets.listening().into_iter(), addresses)
    }

    /// The same of those that streams are opened from, too.
    pub(super) fn simultaneous_at(&self, addresses: &[InterfaceAddress]) -> Vec<HostAddress> {
        all_at(self.sockets.listening_simultaneous().into_iter(), addresses)
    }
}

fn all_at(bound: impl Iterator<Item = SocketAddr>, addresses: &[InterfaceAddress]) -> Vec<HostAddress> {
    let of = |local| addresses.iter().filter_map(move |address| host_address(local, address));
    bound.filter(|local| local.ip().is_unspecified()).flat_map(of).collect()
}

/// Where a socket that is bound to all addresses is reached by one of them.
fn host_address(local: SocketAddr, address: &InterfaceAddress) -> Option<HostAddress> {
    let is_served = local.is_ipv6() || address.ip.is_ipv4();
    is_served.then(|| address.to_host_address(local.port()))
}
