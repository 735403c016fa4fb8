//! Where a page is served, and how it is reached.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use kaon_rtc::net::{InterfaceFilter, interfaces};
use tokio::net::{TcpListener, lookup_host};

/// Where a page is to be served: an address or a name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    host: String,
    port: u16,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text} is no address with a port; expected such as localhost:8080");
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        match port.parse() {
            Ok(port) if !host.is_empty() && host.bytes().all(is_name) => Ok(Self { host: host.into(), port }),
            _ => Err(expected()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Listen {
    /// The name, which a page may be asked for by; `None` for an address.
    pub(crate) fn name(&self) -> Option<&str> {
        self.host.parse::<IpAddr>().is_err().then_some(&self.host)
    }

    /// Binds it; of the addresses of a name, the first that can be, those of IPv4 first.
    pub(crate) async fn bind(&self) -> Result<TcpListener, String> {
        let failed = |why: String| format!("cannot serve the page on {self}: {why}; try --listen");
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let mut addresses: Vec<_> = found.map_err(|error| failed(error.to_string()))?.collect();
        addresses.sort_by_key(SocketAddr::is_ipv6);
        TcpListener::bind(&addresses[..]).await.map_err(|error| failed(error.to_string()))
    }
}

/// The URLs by which a page is reached that is served at `address`: for all addresses of this machine one each, those
/// first that only this machine reaches.
pub(crate) fn urls(address: SocketAddr) -> Vec<String> {
    if !address.ip().is_unspecified() {
        return vec![format!("http://{address}/")];
    }
    let mut filter = InterfaceFilter::default();
    filter.loopback = true;
    let own = interfaces(&filter).unwrap_or_default().into_iter().map(|interface| interface.ip);
    // On Linux, what listens on all of IPv6 listens on all of IPv4 too.
    let mut own: Vec<IpAddr> = own.filter(|ip| ip.is_ipv4() || address.is_ipv6()).collect();
    if !own.iter().any(IpAddr::is_loopback) {
        own.push(Ipv4Addr::LOCALHOST.into());
    }
    own.sort_by_key(|ip| (!ip.is_loopback(), ip.is_ipv6(), *ip));
    own.dedup();
    own.into_iter().map(|ip| format!("http://{}/", SocketAddr::new(ip, address.port()))).collect()
}

/// Says what is served and where: the first URL on the line of `what`, the others below, and what a page needs that
/// `captures` from other machines.
pub(crate) fn announce(what: &str, address: SocketAddr, captures: bool) {
    let urls = urls(address);
    println!("{what}: {}", urls[0]);
    urls[1..].iter().for_each(|url| println!("  {url}"));
    if captures && !address.ip().is_loopback() {
        println!(
            "Browsers give camera and microphone to pages of this machine, or over HTTPS: for others, put a proxy with a \
             certificate before it, and name it with --host"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_to_listen_on() {
        for (text, name) in [
            ("127.0.0.1:8080", None),
            ("0.0.0.0:0", None),
            ("[::1]:8080", None),
            ("localhost:8080", Some("localhost")),
            ("wall.example:80", Some("wall.example")),
        ] {
            let listen: Listen = text.parse().expect("an address");
            assert_eq!((listen.to_string().as_str(), listen.name()), (text, name));
        }
        for bad in ["here", "localhost", "127.0.0.1", ":8080", "a b:80", "localhost:99999", "::1:80", "x:"] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_name_is_resolved_and_one_that_is_not_known_is_said() {
        let listen: Listen = "localhost:0".parse().expect("a name");
        let address = listen.bind().await.expect("a socket").local_addr().expect("an address");
        assert!(address.ip().is_loopback());
        let listen: Listen = "no-such-host.invalid:0".parse().expect("a name");
        let why = listen.bind().await.expect_err("a name that is reserved for this");
        assert!(why.contains("no-such-host.invalid:0") && why.contains("--listen"), "{why}");
    }

    #[test]
    fn every_address_is_told_instead_of_all() {
        assert_eq!(urls(([127, 0, 0, 1], 80).into()), ["http://127.0.0.1:80/"]);
        let own = urls(([0, 0, 0, 0], 8080).into());
        assert_eq!(own[0], "http://127.0.0.1:8080/");
        assert!(own.iter().all(|url| !url.contains("0.0.0.0") && !url.contains('[')), "{own:?}");
        assert!(urls("[::]:8080".parse().expect("an address")).len() >= own.len());
    }
}
