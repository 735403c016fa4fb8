//! The command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Parser;
use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::dtls;
use kaon_rtc::net::{InterfaceFilter, PortRange, TlsIdentity, interfaces};
use kaon_rtc::turn::server::{Cidr, Config, Credentials, PeerPolicy, RelayAddress};
use tracing::level_filters::LevelFilter;

use crate::users;

/// A TURN relay.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Options {
    /// A user and the password. May be given several times.
    #[arg(long = "user", value_name = "NAME:PASSWORD")]
    users: Vec<String>,

    /// A file with a user and the password, or 0x and the MD5 key in hexadecimal, on each line; read again on SIGHUP.
    #[arg(long = "users", value_name = "FILE")]
    users_file: Option<PathBuf>,

    /// A secret for time-limited credentials (TURN REST). May be given several times.
    #[arg(long = "secret", value_name = "SECRET")]
    secrets: Vec<String>,

    /// The realm of the users.
    #[arg(long, default_value = "kaon")]
    realm: String,

    /// Where clients come to, over UDP and TCP. May be given several times.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:3478")]
    listen: Vec<SocketAddr>,

    /// Where clients come to over TLS; with --certificate and --key. May be given several times.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "certificate")]
    listen_tls: Vec<SocketAddr>,

    /// Where clients come to over DTLS; with --certificate that is shown, which must have an ECDSA key then, or else one
    /// that is made at the start. May be given several times.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen_dtls: Vec<SocketAddr>,

    /// A file with the chain of certificates in PEM, that of this server first; read again on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,

    /// A file with the private key in PEM; read again on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,

    /// An address of this machine that relays; by default the first IPv4 and the first IPv6 address that it has.
    #[arg(long = "relay-address", value_name = "ADDRESS")]
    relays: Vec<IpAddr>,

    /// The address by which the relay of the same family is reached, where a translator stands between.
    #[arg(long = "external-address", value_name = "ADDRESS")]
    external: Vec<IpAddr>,

    /// The UDP ports that relay.
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_port_range, default_value = "49152-65535")]
    port_range: PortRange,

    /// How many allocations one user may have.
    #[arg(long, value_name = "N", default_value_t = 64)]
    user_quota: usize,

    /// How many allocations there may be.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    total_quota: usize,

    /// What one allocation may relay in bytes per second.
    #[arg(long, value_name = "BYTES")]
    allocation_bandwidth: Option<u64>,

    /// What one user may relay in bytes per second.
    #[arg(long, value_name = "BYTES")]
    user_bandwidth: Option<u64>,

    /// What all may relay in bytes per second.
    #[arg(long, value_name = "BYTES")]
    total_bandwidth: Option<u64>,

    /// How many answers per second one address may draw that has not authenticated.
    #[arg(long, value_name = "N", default_value_t = 10)]
    stranger_rate: u32,

    /// Peers that are allowed although they are not public, such as 10.0.0.0/8. May be given several times.
    #[arg(long = "allow-peer", value_name = "RANGE")]
    allowed: Vec<Cidr>,

    /// Peers that are denied. May be given several times.
    #[arg(long = "deny-peer", value_name = "RANGE")]
    denied: Vec<Cidr>,

    /// Where Prometheus asks for metrics, /metrics; nowhere by default.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Option<SocketAddr>,

    /// How many seconds allocations may go on after an interrupt.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub drain: u64,

    /// What is logged: off, error, warn, info, debug or trace, which alone has addresses.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LevelFilter,
}

impl Options {
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.listen.iter().copied()
    }

    /// Where TLS is spoken: at the usual port of each address, unless something else is said and if there is a certificate.
    pub fn tls_addresses(&self) -> Vec<SocketAddr> {
        let usual = |address: &SocketAddr| SocketAddr::new(address.ip(), 5349);
        match self.certificate {
            Some(_) if self.listen_tls.is_empty() => self.listen.iter().map(usual).collect(),
            _ => self.listen_tls.clone(),
        }
    }

    /// Where DTLS is spoken, and how.
    pub fn dtls(&self) -> Result<Vec<(SocketAddr, dtls::Config)>, String> {
        if self.listen_dtls.is_empty() {
            return Ok(Vec::new());
        }
        let provider = aws_lc_rs::provider();
        let identity = match self.identity()? {
            Some(identity) => identity.for_dtls(&provider).map_err(|error| error.to_string())?,
            None => dtls::Identity::generate(&provider).map_err(|error| error.to_string())?,
        };
        let config = dtls::Config::new(provider, identity);
        Ok(self.listen_dtls.iter().map(|address| (*address, config.clone())).collect())
    }

    /// What is shown over TLS and DTLS, if anything was given.
    pub fn identity(&self) -> Result<Option<TlsIdentity>, String> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else { return Ok(None) };
        let read = |file: &Path| {
            std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
        };
        let identity = TlsIdentity::from_pem(&read(certificate)?, &read(key)?);
        identity.map(Some).map_err(|error| format!("{}: {error}", certificate.display()))
    }

    pub fn config(&self) -> Result<Config, String> {
        let mut config = Config::new(self.credentials()?, self.relay_addresses()?);
        config.realm.clone_from(&self.realm);
        config.max_allocations = self.total_quota;
        config.max_allocations_per_user = self.user_quota;
        config.bandwidth_per_allocation = self.allocation_bandwidth;
        config.bandwidth_per_user = self.user_bandwidth;
        config.bandwidth = self.total_bandwidth;
        config.answers_per_source = self.stranger_rate;
        config.answers = config.answers.max(self.stranger_rate);
        let mut policy =
            self.allowed.iter().fold(PeerPolicy::default(), |policy, range| policy.allow(*range));
        policy = self.denied.iter().fold(policy, |policy, range| policy.deny(*range));
        if let Some(metrics) = self.metrics {
            policy = policy.deny_address(metrics);
        }
        config.policy = policy;
        Ok(config)
    }

    pub fn credentials(&self) -> Result<Credentials, String> {
        let mut credentials = Credentials::default();
        for user in &self.users {
            let (name, password) = users::parse_user(user).map_err(|error| format!("--user: {error}"))?;
            credentials = credentials.with_user(name, password);
        }
        if let Some(file) = &self.users_file {
            credentials = users::read(file, credentials)?;
        }
        credentials =
            self.secrets.iter().fold(credentials, |credentials, secret| credentials.with_secret(secret));
        if credentials.is_empty() {
            return Err(
                "nobody could use it: give --user NAME:PASSWORD, --users FILE or --secret SECRET".into()
            );
        }
        Ok(credentials)
    }

    fn relay_addresses(&self) -> Result<Vec<RelayAddress>, String> {
        let locals = if self.relays.is_empty() { own_addresses() } else { self.relays.clone() };
        let ports = self.port_range.first()..=self.port_range.last();
        if let Some(other) =
            self.external.iter().find(|it| !locals.iter().any(|own| own.is_ipv4() == it.is_ipv4()))
        {
            return Err(format!("--external-address {other}: there is no relay address of its family"));
        }
        let relay = |local: IpAddr| {
            let external = self.external.iter().find(|it| it.is_ipv4() == local.is_ipv4());
            RelayAddress::new(local).with_external(*external.unwrap_or(&local)).with_ports(ports.clone())
        };
        Ok(locals.into_iter().map(relay).collect())
    }
}

/// The first address of each family, and loopback on a machine that has no other.
fn own_addresses() -> Vec<IpAddr> {
    let all = interfaces(&InterfaceFilter::default()).unwrap_or_default();
    let mut own: Vec<IpAddr> = all.iter().map(|it| it.ip).filter(IpAddr::is_ipv4).take(1).collect();
    let is_link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    own.extend(all.iter().map(|it| it.ip).filter(|ip| ip.is_ipv6() && !is_link_local(ip)).take(1));
    if own.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { own }
}

fn parse_port_range(text: &str) -> Result<PortRange, String> {
    let parse = |port: &str| port.trim().parse().map_err(|_| format!("{port} is no port"));
    let (first, last) = text.split_once('-').ok_or("expected FIRST-LAST, such as 50000-50099")?;
    PortRange::new(parse(first)?..=parse(last)?).map_err(|error| error.to_string())
}
