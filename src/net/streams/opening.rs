//! Connections that this side opens.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

#[cfg(all(feature = "tls", feature = "dtls"))]
use super::dtls_carrier::DtlsCarrier;
use super::limits::StreamLimits;
use super::simultaneous;
use super::tls::Tls;
use super::transport::{Transport, canonical, prepare};
use crate::layer::{FiveTuple, Framing, StreamOpening};
use crate::net::{PortRange, UdpConfig, UdpSocket};

/// What was opened.
pub(super) enum Opened {
    Stream(Transport),
    Socket(UdpSocket),
    #[cfg(all(feature = "tls", feature = "dtls"))]
    Dtls(Box<DtlsCarrier>),
}

#[cfg(all(feature = "tls", feature = "dtls"))]
async fn open_dtls(opening: StreamOpening, tls: Tls) -> Result<(FiveTuple, Opened), String> {
    let (path, carrier) = DtlsCarrier::open(opening, tls).await?;
    Ok((path, Opened::Dtls(Box::new(carrier))))
}

#[cfg(not(all(feature = "tls", feature = "dtls")))]
#[expect(clippy::unused_async, reason = "with DTLS it waits")]
async fn open_dtls(opening: StreamOpening, _: Tls) -> Result<(FiveTuple, Opened), String> {
    Err(format!("DTLS to {} is not compiled in; enable the features tls and dtls", opening.remote))
}

/// How sockets are bound that are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct SocketConfig {
    pub(super) udp: UdpConfig,
    pub(super) ports: Option<PortRange>,
}

impl SocketConfig {
    fn bind(&self, opening: &StreamOpening) -> Result<(FiveTuple, Opened), String> {
        let StreamOpening { local, remote, .. } = *opening;
        // Nobody reads what ICMP says of them, and nobody shares their addresses.
        let udp = UdpConfig { icmp_errors: false, share_address: false, ..self.udp.clone() };
        let socket = match self.ports {
            Some(ports) if local.port() == 0 => udp.bind_in(local.ip(), ports),
            _ => udp.bind(local),
        };
        let socket = socket.map_err(|error| error.to_string())?;
        let path = FiveTuple::udp(canonical(socket.local_addr()), canonical(remote));
        Ok((path, Opened::Socket(socket)))
    }
}

/// Opens a socket; why it cannot be is told in words, with what to do.
pub(super) fn open_socket(
    opening: &StreamOpening,
    config: &SocketConfig,
    sockets: usize,
    limits: &StreamLimits,
) -> Result<(FiveTuple, Opened), String> {
    if sockets > limits.max_sockets {
        let limit = limits.max_sockets;
        return Err(format!("there are {limit} sockets for relays, as many as max_sockets allows"));
    }
    config.bind(opening)
}

/// Opens a connection; why it cannot be is told in words, with what to do.
pub(super) async fn open(
    opening: StreamOpening,
    tls: Tls,
    unacknowledged: Duration,
) -> Result<(FiveTuple, Opened), String> {
    if opening.framing == Framing::Records {
        return open_dtls(opening, tls).await;
    }
    let remote = opening.remote;
    let is_simultaneous = opening.local.port() != 0 && opening.framing == Framing::Length;
    let stream =
        connect(opening.local, remote, is_simultaneous).await.map_err(|error| explain(&error, remote))?;
    let local = stream.local_addr().map_err(|error| error.to_string())?;
    let path = FiveTuple::tcp(canonical(local), canonical(remote));
    prepare(&stream, unacknowledged);
    let transport = match opening.tls {
        Some(name) => tls.handshake(stream, &name).await?,
        None => Transport::Tcp(stream),
    };
    Ok((path, Opened::Stream(transport)))
}

async fn connect(local: SocketAddr, remote: SocketAddr, is_simultaneous: bool) -> io::Result<TcpStream> {
    let mut wait = simultaneous::FIRST_WAIT;
    loop {
        let socket = if remote.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if local.port() != 0 {
            simultaneous::share_port(&socket)?;
        }
        socket.bind(local)?;
        match socket.connect(remote).await {
            // Who has opened it for too long is ended by who polls this.
            Err(error) if is_simultaneous && simultaneous::is_too_early(&error) => {
                sleep(wait).await;
                wait *= 2;
            }
            outcome => return outcome,
        }
    }
}

fn explain(error: &io::Error, remote: SocketAddr) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{remote} refuses connections of TCP; is the server running, and is this its port?")
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("there is no way to {remote} from this machine: {error}")
        }
        _ => format!("no connection of TCP to {remote}: {error}"),
    }
}
