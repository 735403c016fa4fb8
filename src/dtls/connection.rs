//! A connection from the first datagram to the last.

mod transport;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::alert::{Alert, AlertDescription, AlertLevel};
use super::channel::{Channel, Inbound};
use super::cipher_suite::CipherSuite;
use super::config::{ClientAuthentication, Config};
use super::early::{EarlyRecord, EarlyRecords};
use super::failure::Failure;
use super::handshake::MessageSeq;
use super::handshaking::{Handshaking, Progress};
use super::peer_authentication::{PeerAuthentication, PeerVerification, VerifiedPeer};
use super::record::{ContentType, Record, SequenceExhausted, SequenceNumber, WriteEpochs};
use super::rejection::Rejection;
use super::stats::{Ignored, Stats};
use super::v12::{Completed, Exporter, FinalFlight};
use crate::layer::{Datagram, DtlsError, DtlsEvent, DtlsRole, Layer, SrtpProfile, Transmit, TransmitBatch};

/// What a queued piece of application data counts for besides its bytes.
const QUEUED_PIECE_COST: usize = 64;

/// A DTLS connection over one path.
///
/// The path below has to be the peer's: after ICE it is, and a [`Listener`](super::Listener) sees to it for a
/// server that stands alone. Drive it as [`Layer`] says; a client begins with its first
/// [`poll_transmit`](Layer::poll_transmit).
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::sync::Arc;
/// use std::time::Instant;
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::dtls::{Config, Connection, FingerprintAlgorithm, Identity, PeerVerification};
/// use kaon_rtc::layer::{Datagram, DtlsTransport, FiveTuple, Layer, TransmitBatch};
///
/// // Each side knows the fingerprint of the other from the signalling.
/// let provider = aws_lc_rs::provider();
/// let (alice, bob) = (Identity::generate(&provider)?, Identity::generate(&provider)?);
/// let expect = |peer: &Identity| {
///     PeerVerification::Fingerprints(vec![peer.fingerprint(FingerprintAlgorithm::Sha256).clone()])
/// };
/// let mut client =
///     Connection::client(Arc::new(Config::new(provider.clone(), alice.clone())), expect(&bob))?;
/// let mut server = Connection::server(Arc::new(Config::new(provider, bob)), expect(&alice))?;
///
/// # let path = FiveTuple::udp("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
/// let now = Instant::now();
/// let mut batch = TransmitBatch::new(1200);
/// while !(client.is_connected() && server.is_connected()) {
///     while let Some(transmit) = client.poll_transmit(now, &mut batch) {
///         for datagram in batch.datagrams_mut(&transmit) {
///             server.handle_datagram(now, Datagram::new(path, datagram))?;
///         }
///         batch.clear();
///     }
///     while let Some(transmit) = server.poll_transmit(now, &mut batch) {
///         for datagram in batch.datagrams_mut(&transmit) {
///             client.handle_datagram(now, Datagram::new(path, datagram))?;
///         }
///         batch.clear();
///     }
/// }
/// assert_eq!(client.srtp_keying_material()?, server.srtp_keying_material()?);
/// # Ok::<(), kaon_rtc::dtls::DtlsError>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    role: DtlsRole,
    phase: Phase,
    farewell: Option<Box<Farewell>>,
    events: VecDeque<DtlsEvent>,
    queued_application_data: usize,
    stats: Stats,
}

/// What the state of the connection allows. Keys can be exported and data passes in `Connected` only, and
/// that cannot be made without a [`VerifiedPeer`].
#[derive(Debug)]
enum Phase {
    Handshaking(Box<Handshaking>),
    Unverified(Box<Unverified>),
    Connected(Box<Established>),
    Ended,
}

/// The handshake is complete, but the fingerprint of the peer has not been announced yet.
#[derive(Debug)]
struct Unverified {
    channel: Channel,
    exporter: Exporter,
    srtp_profile: Option<SrtpProfile>,
    peer: PeerAuthentication,
    early: EarlyRecords,
}

#[derive(Debug)]
struct Established {
    channel: Channel,
    exporter: Exporter,
    srtp_profile: Option<SrtpProfile>,
    peer: VerifiedPeer,
}

/// The alert that a connection ended with.
#[derive(Debug)]
struct Farewell {
    alert: Alert,
    epochs: WriteEpochs,
    /// What was to be sent before, without which the peer does not take the handshake for complete.
    final_flight: Option<FinalFlight>,
    is_sent: bool,
}

/// Where application data goes.
enum Sink<'a> {
    Queue,
    Deliver(&'a mut dyn FnMut(&mut [u8])),
}

impl Connection {
    /// The side that sends the ClientHello.
    ///
    /// # Errors
    /// [`DtlsError::Config`].
    pub fn client(config: Arc<Config>, verification: PeerVerification) -> Result<Self, DtlsError> {
        config.check(DtlsRole::Client)?;
        let handshaking = Handshaking::client(&config, verification);
        Ok(Self::new(config, DtlsRole::Client, handshaking))
    }

    /// The side that waits for the ClientHello.
    ///
    /// # Errors
    /// [`DtlsError::Config`].
    pub fn server(config: Arc<Config>, verification: PeerVerification) -> Result<Self, DtlsError> {
        let address_verified = !config.cookie_exchange;
        Self::accept(config, verification, address_verified, MessageSeq(0), SequenceNumber(0))
    }

    /// A server whose client's hello has these numbers.
    pub(crate) fn accept(
        config: Arc<Config>,
        verification: PeerVerification,
        address_verified: bool,
        seq: MessageSeq,
        record: SequenceNumber,
    ) -> Result<Self, DtlsError> {
        config.check(DtlsRole::Server)?;
        if config.client_authentication == ClientAuthentication::None
            && verification != PeerVerification::AcceptAny
        {
            return Err(DtlsError::Config(
                "a server that checks fingerprints must ask for certificates: set client_authentication",
            ));
        }
        let handshaking = Handshaking::server(&config, verification, address_verified, seq, record);
        Ok(Self::new(config, DtlsRole::Server, handshaking))
    }

    fn new(config: Arc<Config>, role: DtlsRole, handshaking: Handshaking) -> Self {
        Self {
            config,
            role,
            phase: Phase::Handshaking(Box::new(handshaking)),
            farewell: None,
            events: VecDeque::new(),
            queued_application_data: 0,
            stats: Stats::default(),
        }
    }

    /// What was counted.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Whether the connection is over: closed or failed.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// The cipher suite; `None` before the connection is established and after its end.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        self.established().ok().map(|established| established.exporter.suite())
    }

    /// The DER of the peer's certificate; `None` before the connection is established, after its end, or
    /// when the peer has none.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.established().ok()?.peer.certificate()
    }

    fn established(&self) -> Result<&Established, DtlsError> {
        match &self.phase {
            Phase::Connected(established) => Ok(established),
            _ => Err(DtlsError::NotConnected),
        }
    }

    fn take_datagram(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), DtlsError> {
        self.stats.datagrams += 1;
        let mut rest = datagram.bytes;
        let mut result = Ok(());
        while !rest.is_empty() {
            let (record, tail) =
                Record::split(rest).map_err(|field| self.stats.ignore(Ignored::Malformed(field.0)))?;
            rest = tail;
            // A record that is ignored does not concern those behind it; one that ends the connection does.
            if let Err(error) = self.take_record(now, record, sink) {
                result = Err(error);
            }
            if self.is_ended() {
                break;
            }
        }
        result
    }

    fn take_record(
        &mut self,
        now: Instant,
        record: Record<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<(), DtlsError> {
        let stats = &mut self.stats;
        let inbound = match &mut self.phase {
            Phase::Connected(established) => established.channel.receive(record, stats),
            Phase::Unverified(unverified) => unverified.receive(record, stats),
            Phase::Handshaking(handshaking) => match handshaking.receive(now, record, stats) {
                Ok(Progress::Nothing) => return Ok(()),
                Ok(Progress::KeysInstalled) => {
                    let early = handshaking.take_early();
                    return self.take_early(now, early, sink);
                }
                Ok(Progress::Complete(completed)) => return self.complete(now, completed, sink),
                Err(rejection) => Err(rejection),
            },
            Phase::Ended => {
                self.repeat_farewell(&record);
                return Err(DtlsError::NotConnected);
            }
        };
        match inbound {
            Ok(Inbound::Nothing) => Ok(()),
            Ok(Inbound::ApplicationData(data)) => match sink {
                Sink::Deliver(deliver) => {
                    deliver(data);
                    Ok(())
                }
                Sink::Queue => self.queue(data),
            },
            Err(Rejection::Ignored(ignored)) => Err(self.stats.ignore(ignored)),
            Err(Rejection::Failed(failure)) => Err(self.fail(failure)),
            Err(Rejection::Ended(alert)) => self.ended_by_peer(alert),
        }
    }

    /// Takes records that had to wait.
    fn take_early(
        &mut self,
        now: Instant,
        early: Vec<EarlyRecord>,
        sink: &mut Sink<'_>,
    ) -> Result<(), DtlsError> {
        let mut result = Ok(());
        for mut record in early {
            if let Err(error) = self.take_record(now, record.as_record(), sink) {
                result = Err(error);
            }
            if self.is_ended() {
                break;
            }
        }
        result
    }

    fn complete(&mut self, now: Instant, completed: Completed, sink: &mut Sink<'_>) -> Result<(), DtlsError> {
        let Phase::Handshaking(handshaking) = std::mem::replace(&mut self.phase, Phase::Ended) else {
            return Ok(());
        };
        let Some((epochs, opener, peer, early)) = handshaking.into_parts() else { return Ok(()) };
        let Completed { exporter, srtp_profile, final_flight } = completed;
        let channel = Channel::new(epochs, opener, final_flight);
        self.verify(now, Unverified { channel, exporter, srtp_profile, peer, early }, sink)
    }

    /// Goes on to `Connected` if the peer is verified, or waits for its fingerprint.
    fn verify(&mut self, now: Instant, unverified: Unverified, sink: &mut Sink<'_>) -> Result<(), DtlsError> {
        let Unverified { channel, exporter, srtp_profile, peer, mut early } = unverified;
        let records = early.take();
        match peer.into_verified() {
            Ok(peer) => {
                tracing::debug!(?srtp_profile, "DTLS is connected");
                let established = Established { channel, exporter, srtp_profile, peer };
                self.phase = Phase::Connected(Box::new(established));
                self.events.push_back(DtlsEvent::Connected { srtp_profile });
            }
            Err(peer) => {
                let unverified = Unverified { channel, exporter, srtp_profile, peer, early };
                self.phase = Phase::Unverified(Box::new(unverified));
            }
        }
        self.take_early(now, records, sink)
    }

    fn queue(&mut self, data: &[u8]) -> Result<(), DtlsError> {
        let cost = data.len() + QUEUED_PIECE_COST;
        if self.queued_application_data + cost > self.config.max_queued_application_data {
            let ignored = Ignored::OverLimit("more application data than max_queued_application_data");
            return Err(self.stats.ignore(ignored));
        }
        self.queued_application_data += cost;
        self.events.push_back(DtlsEvent::ApplicationData(Bytes::copy_from_slice(data)));
        Ok(())
    }

    /// An authenticated alert ended the connection.
    fn ended_by_peer(&mut self, alert: Alert) -> Result<(), DtlsError> {
        if alert.description == AlertDescription::CLOSE_NOTIFY && !self.is_handshaking() {
            // RFC 5246 §7.2.1: answered in kind, and what was not sent by now is discarded.
            self.end(Some(Alert::CLOSE_NOTIFY));
            self.events.push_back(DtlsEvent::Closed);
            return Ok(());
        }
        self.end(None);
        let AlertDescription(code) = alert.description;
        let error = DtlsError::AlertReceived { code, description: alert.description.name() };
        self.events.push_back(DtlsEvent::Failed(error.clone()));
        Err(error)
    }

    fn fail(&mut self, failure: Failure) -> DtlsError {
        tracing::debug!(error = %failure.error, "DTLS fails");
        self.end(Some(Alert::fatal(failure.alert)));
        self.events.push_back(DtlsEvent::Failed(failure.error.clone()));
        failure.error
    }

    /// Ends without a word: the peer is gone, or nothing can be sent any more.
    fn give_up(&mut self, error: DtlsError) -> DtlsError {
        tracing::debug!(%error, "DTLS gives up");
        self.end(None);
        self.events.push_back(DtlsEvent::Failed(error.clone()));
        error
    }

    fn end(&mut self, alert: Option<Alert>) {
        tracing::debug!(?alert, "DTLS ends");
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        if let Some((alert, (epochs, final_flight))) = alert.zip(phase.into_sending()) {
            self.farewell = Some(Box::new(Farewell { alert, epochs, final_flight, is_sent: false }));
        }
    }

    /// RFC 6347 §4.2.7: an alert is not retransmitted, but made anew when the message that it answers comes
    /// again. Without it, a peer that missed the alert would repeat its flight until its handshake times out.
    fn repeat_farewell(&mut self, record: &Record<'_>) {
        if let Some(farewell) = &mut self.farewell
            && record.content_type == ContentType::Handshake
            && farewell.alert.level == AlertLevel::Fatal
        {
            farewell.is_sent = false;
        }
    }

    /// Whether the peer's Finished has yet to come.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Handshaking(_))
    }

    /// Ends without a word to the peer, which has forgotten this connection and made another.
    pub(crate) fn abandon(&mut self) {
        self.farewell = None;
        if !self.is_ended() {
            self.end(None);
            self.events.push_back(DtlsEvent::Closed);
        }
    }
}

impl Phase {
    /// The epochs to send the last alert in, and a final flight that waits to be sent.
    fn into_sending(self) -> Option<(WriteEpochs, Option<FinalFlight>)> {
        match self {
            Self::Handshaking(handshaking) => Some((handshaking.into_epochs(), None)),
            Self::Unverified(unverified) => Some(unverified.channel.into_parts()),
            Self::Connected(established) => Some(established.channel.into_parts()),
            Self::Ended => None,
        }
    }
}

impl Farewell {
    fn poll_transmit(&mut self, out: &mut TransmitBatch) -> Result<Option<Transmit>, SequenceExhausted> {
        if std::mem::replace(&mut self.is_sent, true) {
            return Ok(None);
        }
        let alert = self.alert.encode();
        let mut segments = out.segments(None, None);
        if let Some(last) = self.final_flight.take() {
            last.write(&mut self.epochs, segments.datagram())?;
        }
        let epoch = self.epochs.current();
        let write = |out: &mut Vec<u8>| out.extend_from_slice(&alert);
        self.epochs.write(epoch, ContentType::Alert, segments.datagram(), write)?;
        segments.end_datagram();
        Ok(segments.finish())
    }
}

impl Unverified {
    /// Keeps application data sealed until the peer is verified.
    fn receive<'a>(&mut self, record: Record<'a>, stats: &mut Stats) -> Result<Inbound<'a>, Rejection> {
        if record.content_type == ContentType::ApplicationData {
            self.early.keep(&record)?;
            return Ok(Inbound::Nothing);
        }
        self.channel.receive(record, stats)
    }
}

impl Layer for Connection {
    type Event = DtlsEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DtlsError> {
        self.take_datagram(now, datagram, &mut Sink::Queue)
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Phase::Handshaking(handshaking) = &mut self.phase
            && let Err(error) = handshaking.handle_timeout(now, &mut self.stats)
        {
            self.give_up(error);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Handshaking(handshaking) => handshaking.poll_timeout(),
            Phase::Unverified(_) | Phase::Connected(_) | Phase::Ended => None,
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let written = match &mut self.phase {
            Phase::Handshaking(handshaking) => handshaking.poll_transmit(now, out),
            Phase::Unverified(unverified) => unverified.channel.poll_transmit(out),
            Phase::Connected(established) => established.channel.poll_transmit(out),
            Phase::Ended => {
                let farewell = self.farewell.as_mut()?;
                // No alert can be sent that the sequence numbers do not suffice for.
                let transmit = farewell.poll_transmit(out).ok().flatten();
                // Only a fatal alert may be asked for again; the keys go with the others.
                self.farewell.take_if(|farewell| farewell.alert.level != AlertLevel::Fatal);
                return transmit;
            }
        };
        written.unwrap_or_else(|SequenceExhausted| {
            self.give_up(DtlsError::Crypto("all record sequence numbers are used"));
            None
        })
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        let event = self.events.pop_front()?;
        if let DtlsEvent::ApplicationData(data) = &event {
            self.queued_application_data -= data.len() + QUEUED_PIECE_COST;
        }
        // An idle connection shall not hold the memory of a queue that was once long.
        if self.events.is_empty() {
            self.events.shrink_to(4);
        }
        Some(event)
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
