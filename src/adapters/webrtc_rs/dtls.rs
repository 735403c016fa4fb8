//! The crate `dtls` behind the seam.

mod alert;
mod config;
mod handshake;
mod identity;
mod protection;
mod record;
mod screen;
mod task;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use ::dtls::content::ContentType;
use bytes::Bytes;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use self::alert::Alert;
pub use self::config::DtlsConfig;
use self::handshake::{Given, Handshaking};
pub use self::identity::DtlsIdentity;
use self::identity::verify;
use self::protection::{MAX_PLAINTEXT, OVERHEAD, Protection, SUITE_NAME};
use self::record::{ALERT, APPLICATION_DATA, HANDSHAKE, PROTECTED, Record, records};
use self::task::Completed;
use crate::layer::{
    Datagram, DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Fingerprint, Layer, SrtpKeyingMaterial,
    SrtpProfile, Transmit, TransmitBatch,
};

/// DTLS 1.2 by the crate `dtls`.
///
/// The crate shakes hands in tasks on a tokio runtime, by its own time, so **simulated time does not apply** to the
/// handshake, and the connection wants to be called every [`poll_interval`](DtlsConfig::poll_interval) until it is
/// complete, every twenty of them while nothing happens. Then the tasks end: records are sealed and opened where
/// they are, by the crate's cipher suite, and a connection that is established has no task and no timer. Dropping
/// it ends all tasks at any time.
///
/// What the crate cannot do, and this adapter neither:
///
/// * DTLS 1.3, and any suite but TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: the crate's others are CBC, CCM or need
///   an RSA certificate, which its server does not take.
/// * An identity on another curve than P-256 ([`DtlsIdentity::from_der`] refuses it), and peers whose P-256 key
///   signs with another hash than SHA-256.
/// * A client that offers SRTP profiles fails when the server agrees on none, and a server when it has none of the
///   client's. Among several, the client's preference counts.
/// * The server always asks for a cookie (RFC 6347 §4.2.1), a round trip more. Flights are sent again at a fixed
///   interval, without the doubling of §4.2.4.1.
/// * Explicit nonces are random (RFC 5288 §3 asks for no more than that they differ): after 2^28 records the
///   connection ends with [`DtlsError::Crypto`]. Each record is copied twice.
/// * Each connection generates several key pairs that nothing needs, and the crate's copies of the keys are not
///   erased. It panics, which fails the connection, where the process has rustls with two providers and has
///   installed none.
///
/// The crate has faults that this adapter keeps from the application. It knows no fingerprints: they are compared
/// here, when it shows the certificate and again before anything is connected. It does not compare the client's
/// Finished with the transcript, so that the extended master secret is required. It never repeats the last flight,
/// which is done here. Records that it fails on, or keeps without a limit, are not given to it; records with data
/// wait for the end of the handshake; and unprotected alerts count only when the peer says nothing else for a while.
///
/// A handshake whose tasks panic or do not come on for [`stall_timeout`](DtlsConfig::stall_timeout) ends the
/// connection with [`DtlsError::Internal`].
pub struct DtlsConnection {
    config: DtlsConfig,
    role: DtlsRole,
    phase: Phase,
    /// Datagrams that wait to be sent, those of the crate excepted.
    outgoing: VecDeque<Vec<u8>>,
    /// Protected records that came before they could be opened, or before the peer was verified.
    early: Vec<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
    queued_application_data: usize,
    dropped: u64,
}

/// What the state of the connection allows. Keys can be exported and data passes in `Connected` only, which only
/// [`DtlsConnection::verify`] leads to.
enum Phase {
    Handshaking(Box<Handshaking>),
    Unverified(Box<Unverified>),
    Connected(Box<Established>),
    Ended,
}

/// The handshake is complete, but the fingerprint of the peer is not known.
struct Unverified {
    established: Established,
    certificate: Vec<u8>,
    announced: Option<Vec<Fingerprint>>,
}

struct Established {
    protection: Protection,
    srtp_profile: Option<SrtpProfile>,
    /// What a client that repeats its Finished lacks.
    last_flight: Option<Vec<u8>>,
}

/// Where application data goes.
enum Sink<'a> {
    Queue,
    Deliver(&'a mut dyn FnMut(&mut [u8])),
}

/// What a queued piece of application data counts for besides its bytes.
const QUEUED_PIECE_COST: usize = 64;
/// RFC 5764 §4.2.
const SRTP_LABEL: &str = "EXTRACTOR-dtls_srtp";

impl DtlsConnection {
    /// A connection that accepts a peer with one of these fingerprints only; where there are none, nothing is
    /// connected before [`set_peer_fingerprints`](DtlsTransport::set_peer_fingerprints). The tasks of its handshake
    /// will run on `runtime`, which must have its timers enabled.
    ///
    /// # Errors
    /// [`DtlsError::Config`].
    pub fn new(
        role: DtlsRole,
        peer: &[Fingerprint],
        config: DtlsConfig,
        runtime: Handle,
    ) -> Result<Self, DtlsError> {
        config.check()?;
        let announced = (!peer.is_empty()).then(|| peer.to_vec());
        let handshaking = Handshaking::new(&config, role, announced, runtime);
        Ok(Self {
            config,
            role,
            phase: Phase::Handshaking(Box::new(handshaking)),
            outgoing: VecDeque::new(),
            early: Vec::new(),
            events: VecDeque::new(),
            queued_application_data: 0,
            dropped: 0,
        })
    }

    /// How many datagrams, early records and pieces of application data found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn established(&self) -> Result<&Established, DtlsError> {
        match &self.phase {
            Phase::Connected(established) => Ok(established),
            _ => Err(DtlsError::NotConnected),
        }
    }

    fn no_room(&mut self, what: &'static str) -> DtlsError {
        self.dropped += 1;
        DtlsError::Ignored(what)
    }

    fn take_datagram(&mut self, now: Instant, datagram: &[u8], sink: &mut Sink<'_>) -> Result<(), DtlsError> {
        self.look(Some(now), sink);
        if let Phase::Handshaking(handshaking) = &mut self.phase {
            let Given { result, early, is_dropped } = handshaking.give(&self.config, now, datagram);
            for record in early {
                self.keep(&record)?;
            }
            return if is_dropped {
                Err(self.no_room("the queue to the crate dtls is full"))
            } else {
                result
            };
        }
        let mut result = Err(DtlsError::Ignored("malformed record"));
        for (count, record) in records(datagram).enumerate() {
            // A record that is ignored does not concern those behind it.
            let outcome = self.take_record(&record, sink);
            if count == 0 || outcome.is_err() {
                result = outcome;
            }
        }
        result
    }

    /// Keeps a record that cannot be opened yet.
    fn keep(&mut self, record: &Record<'_>) -> Result<(), DtlsError> {
        let bytes: usize = self.early.iter().map(Vec::len).sum();
        if self.early.len() >= self.config.max_early_records
            || bytes + record.bytes.len() > self.config.max_early_bytes
        {
            return Err(self.no_room("more early records than max_early_records"));
        }
        self.early.push(record.bytes.to_vec());
        Ok(())
    }

    /// A record after the handshake.
    fn take_record(&mut self, record: &Record<'_>, sink: &mut Sink<'_>) -> Result<(), DtlsError> {
        let established = match &mut self.phase {
            Phase::Unverified(_) if record.content_type == APPLICATION_DATA && record.epoch == PROTECTED => {
                return self.keep(record);
            }
            Phase::Unverified(unverified) => &mut unverified.established,
            Phase::Connected(established) => established,
            Phase::Handshaking(_) | Phase::Ended => return Err(DtlsError::NotConnected),
        };
        let mut content = established.protection.open(record).map_err(DtlsError::Ignored)?;
        match record.content_type {
            APPLICATION_DATA => match sink {
                Sink::Deliver(deliver) => {
                    deliver(&mut content);
                    Ok(())
                }
                Sink::Queue => self.queue(content),
            },
            ALERT => match Alert::decode(&content) {
                Some(alert) if alert.ends_connection() => self.ended_by_peer(alert),
                Some(_) => Ok(()),
                None => Err(DtlsError::Ignored("malformed alert")),
            },
            // RFC 6347 §4.2.4: a client that repeats its Finished lacks the answer. The record was authenticated and
            // is no replay.
            HANDSHAKE => {
                if self.outgoing.is_empty() {
                    self.outgoing.extend(established.last_flight.clone());
                }
                Ok(())
            }
            _ => Err(DtlsError::Ignored("of a kind that is not protected")),
        }
    }

    fn queue(&mut self, data: Vec<u8>) -> Result<(), DtlsError> {
        let cost = data.len() + QUEUED_PIECE_COST;
        if self.queued_application_data + cost > self.config.max_queued_application_data {
            return Err(self.no_room("more application data than max_queued_application_data"));
        }
        self.queued_application_data += cost;
        self.events.push_back(DtlsEvent::ApplicationData(Bytes::from(data)));
        Ok(())
    }

    /// Finds out what the task of the handshake has done since the last time.
    fn look(&mut self, now: Option<Instant>, sink: &mut Sink<'_>) {
        let Phase::Handshaking(handshaking) = &mut self.phase else { return };
        match handshaking.look(&self.config, now, &mut self.outgoing) {
            None => {}
            Some(Ok(completed)) => self.complete(completed, sink),
            Some(Err(error)) => drop(self.fail(None, error)),
        }
    }

    fn complete(&mut self, completed: Completed, sink: &mut Sink<'_>) {
        let Phase::Handshaking(handshaking) = std::mem::replace(&mut self.phase, Phase::Ended) else {
            return;
        };
        let (sent, announced) = handshaking.into_parts();
        let Completed { secrets, certificate, srtp_profile } = completed;
        match Protection::new(secrets, sent.next[usize::from(PROTECTED)]) {
            Ok(protection) => {
                let last_flight = (self.role == DtlsRole::Server).then_some(sent.last);
                let established = Established { protection, srtp_profile, last_flight };
                let unverified = Unverified { established, certificate, announced };
                // The event tells of a failure.
                let _ = self.verify(unverified, sink);
            }
            Err(error) => drop(self.fail(None, error)),
        }
    }

    /// Goes on to `Connected` if the peer is verified, or waits for its fingerprint.
    fn verify(&mut self, unverified: Unverified, sink: &mut Sink<'_>) -> Result<(), DtlsError> {
        let judged =
            unverified.announced.as_deref().map(|announced| verify(announced, &unverified.certificate));
        match judged {
            Some(Ok(())) => {
                let srtp_profile = unverified.established.srtp_profile;
                tracing::debug!(?srtp_profile, "DTLS is connected");
                self.phase = Phase::Connected(Box::new(unverified.established));
                self.events.push_back(DtlsEvent::Connected { srtp_profile });
            }
            Some(Err(refusal)) => {
                self.phase = Phase::Unverified(Box::new(unverified));
                return Err(self.fail(Some(Alert::BAD_CERTIFICATE), refusal));
            }
            None => self.phase = Phase::Unverified(Box::new(unverified)),
        }
        for bytes in std::mem::take(&mut self.early) {
            for record in records(&bytes) {
                // It can only be ignored by itself.
                let _ = self.take_record(&record, sink);
            }
        }
        Ok(())
    }

    /// An authenticated alert ended the connection.
    fn ended_by_peer(&mut self, alert: Alert) -> Result<(), DtlsError> {
        if alert.is_close_notify() {
            // RFC 5246 §7.2.1: answered in kind.
            self.end(Some(Alert::CLOSE_NOTIFY));
            self.events.push_back(DtlsEvent::Closed);
            return Ok(());
        }
        Err(self.fail(None, DtlsError::AlertReceived { code: alert.code, description: alert.name() }))
    }

    fn fail(&mut self, alert: Option<Alert>, error: DtlsError) -> DtlsError {
        tracing::debug!(%error, "DTLS fails");
        self.end(alert);
        self.events.push_back(DtlsEvent::Failed(error.clone()));
        error
    }

    fn end(&mut self, alert: Option<Alert>) {
        tracing::debug!(?alert, "DTLS ends");
        self.early = Vec::new();
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        let Some(alert) = alert else { return };
        let seal = |protection: &mut Protection| {
            let mut record = Vec::new();
            protection.seal(ContentType::Alert, &alert.encode(), &mut record).ok().map(|()| record)
        };
        let record = match phase {
            Phase::Handshaking(handshaking) => handshaking.into_alert(alert),
            Phase::Unverified(mut unverified) => seal(&mut unverified.established.protection),
            Phase::Connected(mut established) => seal(&mut established.protection),
            Phase::Ended => None,
        };
        self.outgoing.extend(record);
    }
}

impl Layer for DtlsConnection {
    type Event = DtlsEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DtlsError> {
        self.take_datagram(now, datagram.bytes, &mut Sink::Queue)
    }

    fn handle_timeout(&mut self, now: Instant) {
        let Phase::Handshaking(handshaking) = &mut self.phase else { return };
        if handshaking.is_due(&self.config, now) {
            self.look(Some(now), &mut Sink::Queue);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Handshaking(handshaking) => handshaking.poll_timeout(),
            Phase::Unverified(_) | Phase::Connected(_) | Phase::Ended => None,
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        let datagram = match (self.outgoing.pop_front(), &mut self.phase) {
            (Some(datagram), _) => datagram,
            (None, Phase::Handshaking(handshaking)) => handshaking.poll_transmit(&self.config, now)?,
            _ => return None,
        };
        let mut segments = out.segments(None, None);
        segments.datagram().extend_from_slice(&datagram);
        segments.end_datagram();
        segments.finish()
    }

    fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.look(None, &mut Sink::Queue);
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

impl DtlsTransport for DtlsConnection {
    fn receive(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DtlsError> {
        self.take_datagram(now, datagram.bytes, &mut Sink::Deliver(deliver))
    }

    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), DtlsError> {
        let Phase::Connected(established) = &mut self.phase else {
            return Err(DtlsError::NotConnected);
        };
        if data.len() > MAX_PLAINTEXT {
            return Err(DtlsError::TooLarge { size: data.len(), limit: MAX_PLAINTEXT });
        }
        established
            .protection
            .seal(ContentType::ApplicationData, data, out)
            .map_err(|error| self.fail(None, error))
    }

    fn overhead(&self) -> usize {
        OVERHEAD
    }

    fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.established().ok()?.srtp_profile
    }

    fn cipher_suite_name(&self) -> Option<&'static str> {
        self.established().ok().map(|_| SUITE_NAME)
    }

    fn srtp_keying_material(&self) -> Result<SrtpKeyingMaterial, DtlsError> {
        let profile = self.established()?.srtp_profile.ok_or(DtlsError::NoSrtpProfile)?;
        let mut exported = Zeroizing::new(vec![0; profile.keying_material_len()]);
        self.export_keying_material(SRTP_LABEL, None, &mut exported)?;
        SrtpKeyingMaterial::from_exported(profile, &exported).ok_or(DtlsError::NoSrtpProfile)
    }

    fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), DtlsError> {
        self.established()?.protection.export(label, context, out)
    }

    fn role(&self) -> DtlsRole {
        self.role
    }

    fn set_peer_fingerprints(&mut self, _: Instant, fingerprints: &[Fingerprint]) -> Result<(), DtlsError> {
        self.look(None, &mut Sink::Queue);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Unverified(mut unverified) => {
                unverified.announced = Some(fingerprints.to_vec());
                self.verify(*unverified, &mut Sink::Queue)
            }
            phase => {
                self.phase = phase;
                if let Phase::Handshaking(handshaking) = &self.phase {
                    handshaking.announce(fingerprints);
                }
                Ok(())
            }
        }
    }

    fn close(&mut self, _: Instant) {
        // A handshake that is given up is not a connection that is closed (RFC 5246 §7.2.2).
        let alert = match self.phase {
            Phase::Handshaking(_) => Alert::USER_CANCELED,
            _ => Alert::CLOSE_NOTIFY,
        };
        self.end(Some(alert));
    }
}

impl fmt::Debug for DtlsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.phase {
            Phase::Handshaking(_) => "handshaking",
            Phase::Unverified(_) => "unverified",
            Phase::Connected(_) => "connected",
            Phase::Ended => "ended",
        };
        f.debug_struct("DtlsConnection")
            .field("role", &self.role)
            .field("phase", &phase)
            .finish_non_exhaustive()
    }
}
