//! A connection during its handshake.

use std::sync::Arc;
use std::time::Instant;

use super::alert::Alert;
use super::config::Config;
use super::early::{EarlyRecord, EarlyRecords};
use super::failure::Failure;
use super::flight::{Expiry, RetransmissionTimer};
use super::handshake::{Accepted, Fragment, HandshakeType, MessageSeq, Reassembler};
use super::peer_authentication::{PeerAuthentication, PeerVerification};
use super::record::{
    ContentType, Epoch, Record, RecordOpener, SequenceExhausted, SequenceNumber, WriteEpochs,
};
use super::rejection::Rejection;
use super::stats::{Ignored, Stats};
use super::v12::{Client, Completed, Exchange, Message, Server, Step};
use super::wire::Reader;
use crate::layer::{DtlsError, Fingerprint, Transmit, TransmitBatch};

/// A connection during its handshake: feeds the state machine of its role with messages in order, and sends
/// its flights until they are answered.
#[derive(Debug)]
pub(crate) struct Handshaking {
    exchange: Exchange,
    machine: Machine,
    reassembler: Reassembler,
    early: EarlyRecords,
    timer: RetransmissionTimer,
    epochs: WriteEpochs,
    opener: Option<RecordOpener>,
    /// When the whole handshake must be over; set by its first message.
    deadline: Option<Instant>,
    /// Whether a message came since the own flight was begun: then the peer has seen it.
    answered: bool,
    noted_alert: Option<NotedAlert>,
}

#[derive(Debug)]
enum Machine {
    Client(Client),
    Server(Server),
}

/// A fatal alert that came unprotected, so that it may be anybody's.
///
/// It does not end the handshake by itself: one forged datagram would be enough to prevent any connection. It
/// ends it when the peer stays silent after the flight was sent again, which a peer that has really given
/// up does; and gives the reason then. A new message of the peer disproves it.
#[derive(Clone, Copy, Debug)]
struct NotedAlert {
    alert: Alert,
    retransmitted: bool,
}

/// What a record of the handshake led to.
#[derive(Debug)]
pub(crate) enum Progress {
    Nothing,
    /// Records of the protected epoch can be opened now.
    KeysInstalled,
    Complete(Completed),
}

impl Handshaking {
    pub(crate) fn client(config: &Arc<Config>, verification: PeerVerification) -> Self {
        let mut exchange = exchange(config, verification, MessageSeq(0));
        let machine = Machine::Client(Client::start(&mut exchange));
        Self::new(config, exchange, machine, MessageSeq(0), SequenceNumber(0))
    }

    /// `address_verified`: the client returned a cookie or passed a check of ICE. `seq` and `record` are the
    /// numbers of its ClientHello, which the answer goes on with (RFC 6347 §4.2.1, §4.2.2).
    pub(crate) fn server(
        config: &Arc<Config>,
        verification: PeerVerification,
        address_verified: bool,
        seq: MessageSeq,
        record: SequenceNumber,
    ) -> Self {
        let exchange = exchange(config, verification, seq);
        Self::new(config, exchange, Machine::Server(Server::new(address_verified)), seq, record)
    }

    fn new(
        config: &Config,
        exchange: Exchange,
        machine: Machine,
        seq: MessageSeq,
        record: SequenceNumber,
    ) -> Self {
        Self {
            exchange,
            machine,
            reassembler: Reassembler::new(config.reassembly_limits(), seq),
            early: EarlyRecords::new(config.max_early_records, config.max_early_bytes),
            timer: RetransmissionTimer::new(
                config.initial_retransmission_timeout,
                config.max_retransmission_timeout,
                config.max_retransmissions,
            ),
            epochs: WriteEpochs::new(record),
            opener: None,
            deadline: None,
            answered: false,
            noted_alert: None,
        }
    }

    pub(crate) fn receive(
        &mut self,
        now: Instant,
        record: Record<'_>,
        stats: &mut Stats,
    ) -> Result<Progress, Rejection> {
        match record.epoch {
            Epoch::PLAINTEXT => match record.content_type {
                ContentType::Handshake => {
                    self.handshake_record(now, Epoch::PLAINTEXT, record.fragment, stats)
                }
                ContentType::Alert => self.plaintext_alert(Alert::decode(record.fragment)?),
                // Where the peer's protected epoch begins is told by the epoch of its records, which the
                // keys prove. Acting on this message, which anybody can send or suppress, is what made early
                // ChangeCipherSpec attacks possible.
                ContentType::ChangeCipherSpec => Ok(Progress::Nothing),
                ContentType::ApplicationData => {
                    Err(Ignored::Malformed("application data without protection").into())
                }
            },
            Epoch::PROTECTED => self.protected_record(now, record, stats),
            _ => Err(Ignored::Epoch.into()),
        }
    }

    fn protected_record(
        &mut self,
        now: Instant,
        record: Record<'_>,
        stats: &mut Stats,
    ) -> Result<Progress, Rejection> {
        let Some(opener) = &mut self.opener else {
            self.early.keep(&record)?;
            return Ok(Progress::Nothing);
        };
        if record.content_type == ContentType::ApplicationData {
            // The peer is done, and its Finished was lost or is late: repeating the own flight fetches it
            // sooner than the timer would.
            self.retransmit_early(now, stats);
            self.early.keep(&record)?;
            return Ok(Progress::Nothing);
        }
        match opener.open(record)? {
            (ContentType::Handshake, content) => self.handshake_record(now, Epoch::PROTECTED, content, stats),
            (ContentType::Alert, content) => {
                let alert = Alert::decode(content)?;
                if alert.ends_connection() { Err(Rejection::Ended(alert)) } else { Ok(Progress::Nothing) }
            }
            (ContentType::ChangeCipherSpec | ContentType::ApplicationData, _) => {
                Err(Ignored::Malformed("a record out of place in the handshake").into())
            }
        }
    }

    fn plaintext_alert(&mut self, alert: Alert) -> Result<Progress, Rejection> {
        if alert.ends_connection() && self.exchange.flight.expects_answer() {
            self.noted_alert.get_or_insert(NotedAlert { alert, retransmitted: false });
        }
        Err(Ignored::PlaintextAlert.into())
    }

    fn handshake_record(
        &mut self,
        now: Instant,
        epoch: Epoch,
        content: &[u8],
        stats: &mut Stats,
    ) -> Result<Progress, Rejection> {
        let mut progress = Progress::Nothing;
        let result = self.fragments(now, epoch, content, &mut progress, stats);
        match (progress, result) {
            (Progress::Nothing, result) => result.map(|()| Progress::Nothing),
            (progress, Ok(())) => Ok(progress),
            // What came of the messages in front stands.
            (progress, Err(Rejection::Ignored(ignored))) => {
                stats.ignore(ignored);
                Ok(progress)
            }
            (_, Err(rejection)) => Err(rejection),
        }
    }

    fn fragments(
        &mut self,
        now: Instant,
        epoch: Epoch,
        content: &[u8],
        progress: &mut Progress,
        stats: &mut Stats,
    ) -> Result<(), Rejection> {
        let mut reader = Reader::new(content);
        let mut refused = None;
        while !reader.is_empty() {
            let fragment = Fragment::read(&mut reader)?;
            match (fragment.header.kind, epoch) {
                // Not part of any handshake, and ignored during one (RFC 5246 §7.4.1.1).
                (HandshakeType::HelloRequest, _) => continue,
                (HandshakeType::Finished, Epoch::PROTECTED) => {}
                (HandshakeType::Finished, _) | (_, Epoch::PROTECTED) => {
                    return Err(Ignored::Malformed("a handshake message in the wrong epoch").into());
                }
                _ => {}
            }
            self.fragment(now, fragment, progress, &mut refused, stats)?;
        }
        refused.map_or(Ok(()), |reason| Err(Ignored::OverLimit(reason).into()))
    }

    fn fragment(
        &mut self,
        now: Instant,
        fragment: Fragment<'_>,
        progress: &mut Progress,
        refused: &mut Option<&'static str>,
        stats: &mut Stats,
    ) -> Result<(), Rejection> {
        let seq = fragment.header.seq;
        match self.reassembler.accept(fragment) {
            Accepted::Whole { kind, seq, body } => {
                self.message(now, Message { kind, seq, body }, progress)?;
            }
            Accepted::Stored => {}
            Accepted::Old => self.repetition(now, seq, stats),
            Accepted::Refused(reason) => *refused = Some(reason),
        }
        while let Some(stored) = self.reassembler.take_complete() {
            let message = Message { kind: stored.kind, seq: stored.seq, body: &stored.body };
            self.message(now, message, progress)?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        now: Instant,
        message: Message<'_>,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        self.begin(now);
        self.noted_alert = None;
        self.answered = true;
        let flights = self.exchange.flight.number();
        let step = match &mut self.machine {
            Machine::Client(client) => client.handle(&mut self.exchange, message)?,
            Machine::Server(server) => server.handle(&mut self.exchange, message)?,
        };
        if self.exchange.flight.number() != flights {
            self.timer.reset();
            self.answered = false;
        }
        if let Some(version) = self.exchange.version.take() {
            self.epochs.set_version(version);
        }
        if let Some(sealer) = self.exchange.sealer.take() {
            self.epochs.install(sealer);
        }
        if let Some(opener) = self.exchange.opener.take() {
            self.opener = Some(opener);
            *progress = Progress::KeysInstalled;
        }
        if let Step::Complete(completed) = step {
            *progress = Progress::Complete(completed);
        }
        Ok(())
    }

    /// The peer repeats the last message of its flight, so it lacks the own one (RFC 6347 §4.2.4).
    fn repetition(&mut self, now: Instant, seq: MessageSeq, stats: &mut Stats) {
        if seq.next() == self.reassembler.next_seq() {
            self.retransmit_early(now, stats);
        }
    }

    /// Sends the flight again without waiting for the timer, if the peer has given no sign of having it.
    fn retransmit_early(&mut self, now: Instant, stats: &mut Stats) {
        let flight = &mut self.exchange.flight;
        if !self.answered && flight.is_sent() && self.timer.may_retransmit_early(now) {
            flight.rewind();
            stats.retransmissions += 1;
        }
    }

    fn begin(&mut self, now: Instant) {
        if self.deadline.is_none() {
            self.deadline = now.checked_add(self.exchange.config.handshake_timeout);
        }
    }

    pub(crate) fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut TransmitBatch,
    ) -> Result<Option<Transmit>, SequenceExhausted> {
        if self.exchange.flight.is_sent() {
            return Ok(None);
        }
        self.begin(now);
        let flight = &mut self.exchange.flight;
        let transmit = flight.write(&mut self.epochs, self.timer.max_datagram(), out)?;
        if flight.is_sent() {
            self.timer.flight_sent(now, flight.expects_answer());
        }
        Ok(transmit)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match (self.timer.deadline(), self.deadline) {
            (Some(timer), Some(deadline)) => Some(timer.min(deadline)),
            (timer, deadline) => timer.or(deadline),
        }
    }

    /// An error ends the handshake.
    pub(crate) fn handle_timeout(&mut self, now: Instant, stats: &mut Stats) -> Result<(), DtlsError> {
        let given_up = self.deadline.is_some_and(|deadline| now >= deadline);
        let expiry = if given_up { Expiry::GiveUp } else { self.timer.expire(now) };
        match (expiry, &mut self.noted_alert) {
            (Expiry::NotDue, _) => Ok(()),
            (Expiry::GiveUp, None) => Err(DtlsError::TimedOut),
            (Expiry::GiveUp, Some(noted)) | (_, Some(noted @ NotedAlert { retransmitted: true, .. })) => {
                let description = noted.alert.description;
                Err(DtlsError::AlertReceived { code: description.0, description: description.name() })
            }
            (Expiry::Retransmit, noted) => {
                if let Some(noted) = noted {
                    noted.retransmitted = true;
                }
                tracing::debug!("no answer to the flight, which is sent again");
                self.exchange.flight.rewind();
                stats.retransmissions += 1;
                Ok(())
            }
        }
    }

    pub(crate) fn set_peer_fingerprints(&mut self, fingerprints: &[Fingerprint]) -> Result<(), Failure> {
        let provider = &self.exchange.config.provider;
        self.exchange.peer.set_fingerprints(&*provider.digests, fingerprints)
    }

    pub(crate) fn take_early(&mut self) -> Vec<EarlyRecord> {
        self.early.take()
    }

    /// The epochs to send the last alert in.
    pub(crate) fn into_epochs(self) -> WriteEpochs {
        self.epochs
    }

    /// What outlives the handshake.
    pub(crate) fn into_parts(self) -> Option<(WriteEpochs, RecordOpener, PeerAuthentication, EarlyRecords)> {
        Some((self.epochs, self.opener?, self.exchange.peer, self.early))
    }
}

fn exchange(config: &Arc<Config>, verification: PeerVerification, first: MessageSeq) -> Exchange {
    Exchange::new(config.clone(), PeerAuthentication::new(verification), first)
}
