//! Which addresses a host address is told to the peer as.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::layer::{CandidateKind, Cidr};

/// Tells the peer another address than that of the interface, or one more: the public address of a machine that a
/// static NAT stands in front of, as it does in most clouds and containers.
///
/// A rule is for the host addresses of the family of its external addresses, all of them or [one](Self::local), those of
/// some [ranges](Self::ranges), or those of some [interfaces](Self::interfaces). The
/// port stays as it is, so the NAT has to leave it as it is. What is told is a host candidate whose base is the socket
/// as before: checks and data go out of it and come to it. The peer does not see whether an address was rewritten.
///
/// A rule for another [kind](Self::kind) is for what is found from such an address: a server-reflexive candidate that no
/// server has to be asked for, or the address of a relay that stands behind a NAT itself.
///
/// A rewritten address is told as it stands, never behind a name of mDNS: names hide addresses of the local network, and
/// this is none.
///
/// ```
/// use std::net::Ipv4Addr;
///
/// use kaon_rtc::ice::{AddressRewriteRule, Config};
///
/// let mut config = Config::default();
/// let public = Ipv4Addr::new(203, 0, 113, 7);
/// // Whatever address the machine has, 203.0.113.7 is told.
/// config.address_rewrite_rules.push(AddressRewriteRule::replace(public));
///
/// // Peers of the same network reach 10.0.0.5, all others 203.0.113.7.
/// let both = AddressRewriteRule::append(public).for_local(Ipv4Addr::new(10, 0, 0, 5));
/// config.address_rewrite_rules = vec![both];
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressRewriteRule {
    /// The addresses that are told. Those of another family than the host address are not used for it, nor are
    /// unspecified, multicast and broadcast ones.
    pub external: Vec<IpAddr>,
    /// The host address that is rewritten; all of the family by default.
    pub local: Option<IpAddr>,
    /// The ranges that the host addresses are in; all by default.
    pub ranges: Vec<Cidr>,
    /// The names of the interfaces that the host addresses are of, where they are known; all by default.
    pub interfaces: Vec<String>,
    /// The kind of the candidates that are rewritten: host candidates by default, server-reflexive or relayed ones. Rules
    /// for peer-reflexive ones are without effect: those are what the peer sees.
    pub kind: CandidateKind,
    /// Whether what is rewritten is told, too.
    pub mode: AddressRewriteMode,
}

/// Whether a rewritten address is still told as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressRewriteMode {
    /// Only the external addresses are told; the host address is not, as what a STUN server sees either.
    Replace,
    /// The host address is told, and the external ones after it, with lower priorities.
    Append,
}

impl AddressRewriteRule {
    /// The peer is told `external` instead of host addresses.
    pub fn replace(external: impl Into<IpAddr>) -> Self {
        Self {
            external: vec![external.into()],
            local: None,
            ranges: Vec::new(),
            interfaces: Vec::new(),
            kind: CandidateKind::Host,
            mode: AddressRewriteMode::Replace,
        }
    }

    /// The peer is told `external` beside host addresses.
    pub fn append(external: impl Into<IpAddr>) -> Self {
        Self { mode: AddressRewriteMode::Append, ..Self::replace(external) }
    }

    /// Only the host address `local` is rewritten.
    #[must_use]
    pub fn for_local(mut self, local: impl Into<IpAddr>) -> Self {
        self.local = Some(local.into());
        self
    }

    /// Only the host addresses in `range`, and in others that were given, are rewritten.
    #[must_use]
    pub fn for_range(mut self, range: Cidr) -> Self {
        self.ranges.push(range);
        self
    }

    /// Only the host addresses of the interface of this name, and of others that were given, are rewritten.
    #[must_use]
    pub fn for_interface(mut self, name: impl Into<String>) -> Self {
        self.interfaces.push(name.into());
        self
    }

    /// Candidates of this kind are rewritten in the place of host candidates.
    #[must_use]
    pub fn for_kind(self, kind: CandidateKind) -> Self {
        Self { kind, ..self }
    }

    fn is_for(&self, kind: CandidateKind, origin: Origin<'_>) -> bool {
        let host = origin.host.to_canonical();
        let is_named = |name: &String| origin.interface == Some(name);
        self.kind == kind
            && self.local.is_none_or(|local| local.to_canonical() == host)
            && (self.ranges.is_empty() || self.ranges.iter().any(|range| range.contains(host)))
            && (self.interfaces.is_empty() || self.interfaces.iter().any(is_named))
    }

    /// The external addresses for an address; none if the rule is not for it.
    fn external_for(
        &self,
        kind: CandidateKind,
        origin: Origin<'_>,
        address: IpAddr,
    ) -> impl Iterator<Item = IpAddr> {
        let is_for = self.is_for(kind, origin);
        let external = self.external.iter().filter(move |_| is_for).map(IpAddr::to_canonical);
        external.filter(move |external| {
            let is_broadcast = *external == IpAddr::V4(Ipv4Addr::BROADCAST);
            let is_address = !external.is_unspecified() && !external.is_multicast() && !is_broadcast;
            is_address && external.is_ipv4() == address.to_canonical().is_ipv4()
        })
    }
}

/// What an address is found from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) host: IpAddr,
    pub(super) interface: Option<&'a str>,
}

/// What rules make of an address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// Whether it is told as it is.
    pub(super) is_told: bool,
    /// The addresses that are told in its place or beside it.
    pub(super) external: Vec<SocketAddr>,
}

impl Rewritten {
    /// What the first rule makes of an address of a kind that is for it.
    pub(super) fn by(
        rules: &[AddressRewriteRule],
        kind: CandidateKind,
        origin: Origin<'_>,
        address: SocketAddr,
    ) -> Self {
        let external = |rule: &AddressRewriteRule| -> Vec<SocketAddr> {
            let external = rule.external_for(kind, origin, address.ip());
            external.map(|external| SocketAddr::new(external, address.port())).collect()
        };
        let mut rules = rules.iter().map(|rule| (rule.mode, external(rule)));
        match rules.find(|(_, external)| !external.is_empty()) {
            Some((mode, external)) => Self { is_told: mode == AddressRewriteMode::Append, external },
            None => Self { is_told: true, external: Vec::new() },
        }
    }

    /// What is told of the address, the best first.
    pub(super) fn told(self, address: SocketAddr) -> impl Iterator<Item = SocketAddr> {
        self.is_told.then_some(address).into_iter().chain(self.external)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rules: &[AddressRewriteRule], host: &str) -> Vec<String> {
        told_of(rules, host, None)
    }

    fn told_of(rules: &[AddressRewriteRule], host: &str, interface: Option<&str>) -> Vec<String> {
        let host: SocketAddr = host.parse().unwrap();
        let origin = Origin { host: host.ip(), interface };
        let rewritten = Rewritten::by(rules, CandidateKind::Host, origin, host);
        rewritten.told(host).map(|told| told.to_string()).collect()
    }

    #[test]
    fn a_rule_may_be_for_ranges_and_interfaces() {
        let rules = [
            AddressRewriteRule::replace(ip("203.0.113.1"))
                .for_interface("eth0")
                .for_range("10.0.0.0/8".parse().unwrap()),
            AddressRewriteRule::replace(ip("203.0.113.2")).for_kind(CandidateKind::ServerReflexive),
            AddressRewriteRule::append(ip("203.0.113.3")).for_range("::ffff:0:0/96".parse().unwrap()),
            AddressRewriteRule::append(ip("203.0.113.4")).for_range("192.168.0.0/16".parse().unwrap()),
        ];
        assert_eq!(told_of(&rules, "10.0.0.1:5", Some("eth0")), ["203.0.113.1:5"]);
        assert_eq!(told_of(&rules, "10.0.0.1:5", Some("eth1")), ["10.0.0.1:5"]);
        assert_eq!(told_of(&rules, "10.0.0.1:5", None), ["10.0.0.1:5"]);
        assert_eq!(told_of(&rules, "192.168.7.1:5", None), ["192.168.7.1:5", "203.0.113.4:5"]);
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_rule_for_an_address_decides() {
        let rules = [
            AddressRewriteRule::append(ip("203.0.113.1")).for_local(ip("10.0.0.1")),
            AddressRewriteRule::replace(ip("203.0.113.2")),
            AddressRewriteRule::replace(ip("203.0.113.3")),
        ];
        assert_eq!(told(&rules, "10.0.0.1:5"), ["10.0.0.1:5", "203.0.113.1:5"]);
        assert_eq!(told(&rules, "10.0.0.2:6"), ["203.0.113.2:6"]);
        assert_eq!(told(&[], "10.0.0.2:6"), ["10.0.0.2:6"]);
    }

    #[test]
    fn a_rule_is_for_its_family_alone() {
        let rules =
            [AddressRewriteRule::replace(ip("203.0.113.2")), AddressRewriteRule::append(ip("2001:db8::1"))];
        assert_eq!(told(&rules[..1], "[fd00::1]:5"), ["[fd00::1]:5"]);
        assert_eq!(told(&rules, "[fd00::1]:5"), ["[fd00::1]:5", "[2001:db8::1]:5"]);
        let mut both = AddressRewriteRule::replace(ip("::ffff:203.0.113.2"));
        both.external.push(ip("2001:db8::1"));
        assert_eq!(told(&[both.clone()], "[fd00::1]:5"), ["[2001:db8::1]:5"]);
        assert_eq!(told(&[both], "10.0.0.1:5"), ["203.0.113.2:5"]);
    }

    #[test]
    fn what_is_no_address_of_a_host_is_not_told() {
        for external in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::ffff:255.255.255.255"] {
            let rules =
                [AddressRewriteRule::replace(ip(external)), AddressRewriteRule::replace(ip("203.0.113.2"))];
            assert_eq!(told(&rules, "10.0.0.1:5"), ["203.0.113.2:5"]);
        }
    }
}
