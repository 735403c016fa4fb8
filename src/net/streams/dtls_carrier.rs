//! DTLS over UDP, to servers that are known by a name (RFC 7350).

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use rustls::pki_types::ServerName;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use super::tls::Tls;
use super::transport::canonical;
use crate::crypto::default_provider;
use crate::dtls::{Config, Connection, PeerVerification};
use crate::layer::{
    Datagram, DtlsError, DtlsEvent, DtlsTransport, FiveTuple, Layer, Protocol, StreamOpening, TransmitBatch,
};
use crate::net::ReceiveBatch;

/// A connection of DTLS with a socket of its own.
pub(super) struct DtlsCarrier {
    socket: UdpSocket,
    connection: Connection,
    path: FiveTuple,
    out: TransmitBatch,
    sealed: Vec<u8>,
    received: Vec<u8>,
}

/// What nearly all paths take.
const MAX_DATAGRAM: usize = 1200;
/// The longest datagram that is read.
const LONGEST: usize = 16 << 10;

impl DtlsCarrier {
    /// Opens a connection; why it cannot be is told in words, with what to do.
    pub(super) async fn open(opening: StreamOpening, tls: Tls) -> Result<(FiveTuple, Self), String> {
        let name = opening.tls.clone().unwrap_or_else(|| opening.remote.ip().to_string());
        let mut carrier = Self::begin(&opening, &tls, &name).await?;
        loop {
            carrier.connection.handle_timeout(Instant::now());
            carrier.flush();
            while let Some(event) = carrier.connection.poll_event() {
                match event {
                    DtlsEvent::Connected { .. } => return Ok((carrier.path, carrier)),
                    DtlsEvent::Failed(DtlsError::Certificate(reason)) => return Err(reason),
                    DtlsEvent::Failed(error) => return Err(format!("no DTLS with {name}: {error}")),
                    DtlsEvent::Closed => return Err(format!("{name} closed the connection of DTLS")),
                    DtlsEvent::ApplicationData(_) => {}
                }
            }
            let due = carrier.connection.poll_timeout().map(tokio::time::Instant::from_std);
            tokio::select! {
                received = carrier.socket.recv(&mut carrier.received) => {
                    let count = received.map_err(|error| explain(&error, &name))?;
                    let datagram = Datagram::new(carrier.path, carrier.received.get_mut(..count).unwrap_or_default());
                    // What ends the connection is an event.
                    let _ = carrier.connection.handle_datagram(Instant::now(), datagram);
                }
                () = async { tokio::time::sleep_until(due.unwrap_or_else(tokio::time::Instant::now)).await },
                    if due.is_some() => {}
            }
        }
    }

    async fn begin(opening: &StreamOpening, tls: &Tls, name: &str) -> Result<Self, String> {
        let server = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("\"{name}\" is no name that a certificate can be for"))?;
        let provider =
            default_provider().ok_or("no crypto provider is built in; enable the feature aws-lc-rs")?;
        let mut config = Config::anonymous(provider);
        config.srtp_profiles = Vec::new();
        config.require_extended_master_secret = false;
        config.server_name = matches!(server, ServerName::DnsName(_)).then(|| name.to_owned());
        let verification = PeerVerification::Chain(tls.chain_verifier(server, name)?);
        let connection =
            Connection::client(Arc::new(config), verification).map_err(|error| error.to_string())?;
        let socket = UdpSocket::bind(opening.local).await.map_err(|error| error.to_string())?;
        socket.connect(opening.remote).await.map_err(|error| explain(&error, name))?;
        let local = socket.local_addr().map_err(|error| error.to_string())?;
        let (local, remote) = (canonical(local), canonical(opening.remote));
        Ok(Self {
            socket,
            connection,
            path: FiveTuple { protocol: Protocol::Dtls, local, remote },
            out: TransmitBatch::new(MAX_DATAGRAM),
            sealed: Vec::new(),
            received: vec![0; LONGEST],
        })
    }

    /// Sends what the connection has to say itself. What the socket does not take is as good as lost.
    fn flush(&mut self) {
        while let Some(transmit) = self.connection.poll_transmit(Instant::now(), &mut self.out) {
            for datagram in self.out.datagrams(&transmit) {
                let _ = self.socket.try_send(datagram);
            }
            self.out.clear();
        }
    }

    /// Sends a datagram in a record; false if it was not taken.
    pub(super) fn send(&mut self, datagram: &[u8]) -> bool {
        self.sealed.clear();
        self.connection.seal(datagram, &mut self.sealed).is_ok() && self.socket.try_send(&self.sealed).is_ok()
    }

    /// Puts what has come into a batch. Ready when there is something, or with the reason for which it has ended.
    pub(super) fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
        batch: &mut ReceiveBatch,
    ) -> Poll<Result<(), String>> {
        batch.begin_frames(self.path);
        while batch.has_room() {
            let mut buffer = ReadBuf::new(&mut self.received);
            match self.socket.poll_recv(context, &mut buffer) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(explain(&error, "the server"))),
                Poll::Pending if batch.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
            }
            let datagram = Datagram::new(self.path, buffer.filled_mut());
            // What is refused is as if it had not come.
            let _ = self.connection.receive(Instant::now(), datagram, &mut |data| batch.push_frame(data));
            self.flush();
            if self.connection.is_ended() {
                return Poll::Ready(Err("the server has ended the connection of DTLS".to_owned()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Tells the server that this is the end.
    pub(super) fn close(&mut self) {
        self.connection.close(Instant::now());
        self.flush();
    }
}

fn explain(error: &io::Error, name: &str) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!(
                "{name} does not take DTLS at this port of UDP; is the server running, and is this its port?"
            )
        }
        _ => format!("no DTLS with {name}: {error}"),
    }
}
