//! A handshake as its caller sees it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::alert::Alert;
use super::config::DtlsConfig;
use super::record::{ALERT, PROTECTED, Record, plaintext, records};
use super::screen::{Screen, Verdict};
use super::task::{self, Completed, Shared};
use crate::adapters::webrtc_rs::pipe::{PipeEnd, pipe};
use crate::layer::{DtlsError, DtlsRole, Fingerprint};

/// A handshake before, while and after the crate is at it.
pub(super) struct Handshaking {
    role: DtlsRole,
    runtime: Handle,
    shared: Arc<Shared>,
    screen: Screen,
    sent: Sent,
    /// `None` before its first message.
    running: Option<Running>,
    /// An unprotected alert, and when it counts.
    noted: Option<(Alert, Instant)>,
}

/// The task; dropping it ends the task.
struct Running {
    pipe: PipeEnd,
    task: AbortHandle,
    /// `None` where it may take for ever.
    deadline: Option<Instant>,
    next_poll: Instant,
    pause: u32,
}

/// What the crate has sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The numbers of the next records of both epochs.
    pub(super) next: [u64; 2],
    alert: Option<Alert>,
    /// The last datagram.
    pub(super) last: Vec<u8>,
}

/// What became of a datagram.
pub(super) struct Given<'a> {
    pub(super) result: Result<(), DtlsError>,
    /// Records that wait for the end of the handshake.
    pub(super) early: Vec<Record<'a>>,
    /// Whether the rest found no room.
    pub(super) is_dropped: bool,
}

/// What the crate has room for (its `INBOUND_BUFFER_SIZE`).
const MAX_DATAGRAM: usize = 8192;
/// The longest pause between calls, in poll intervals.
const LONGEST_PAUSE: u32 = 20;
/// After so many retransmissions without an answer an unprotected alert counts.
const UNANSWERED: u32 = 2;

impl Handshaking {
    pub(super) fn new(
        config: &DtlsConfig,
        role: DtlsRole,
        announced: Option<Vec<Fingerprint>>,
        runtime: Handle,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        shared.state().announced = announced;
        let screen = Screen::new(config.max_handshake_bytes);
        Self { role, runtime, shared, screen, sent: Sent::default(), running: None, noted: None }
    }

    pub(super) fn announce(&self, fingerprints: &[Fingerprint]) {
        self.shared.state().announced = Some(fingerprints.to_vec());
    }

    /// Hands the crate what is for it.
    pub(super) fn give<'a>(&mut self, config: &DtlsConfig, now: Instant, datagram: &'a [u8]) -> Given<'a> {
        let refused =
            |why| Given { result: Err(DtlsError::Ignored(why)), early: Vec::new(), is_dropped: false };
        let (mut given, mut early) = (Vec::new(), Vec::new());
        let mut result = Err(DtlsError::Ignored("malformed record"));
        let mut begins = self.running.is_some();
        for (count, record) in records(datagram).enumerate() {
            let mut outcome = Ok(());
            match self.screen.judge(&record) {
                Verdict::Give => {
                    begins |= self.role == DtlsRole::Server && Screen::is_client_hello(&record);
                    given.extend_from_slice(record.bytes);
                }
                Verdict::Keep => early.push(record),
                Verdict::Note(alert) if alert.ends_connection() => {
                    let patience = UNANSWERED * config.retransmission_interval;
                    self.noted.get_or_insert((alert, now + patience));
                }
                Verdict::Note(_) => {}
                Verdict::Ignore(why) => outcome = Err(DtlsError::Ignored(why)),
            }
            if count == 0 || outcome.is_err() {
                result = outcome;
            }
        }
        if !begins {
            self.noted = None;
            return refused("there is no handshake");
        }
        if given.is_empty() {
            return Given { result, early, is_dropped: false };
        }
        if given.len() > MAX_DATAGRAM {
            return refused("longer than the crate dtls takes");
        }
        // Who goes on has not given up.
        self.noted = None;
        let running = self.start(config, now);
        running.soon(now, config.poll_interval);
        Given { result, early, is_dropped: !running.pipe.push(&given) }
    }

    /// What the crate wants sent; a client begins with it.
    pub(super) fn poll_transmit(&mut self, config: &DtlsConfig, now: Instant) -> Option<Vec<u8>> {
        if self.running.is_none() && self.role == DtlsRole::Server {
            return None;
        }
        let running = self.start(config, now);
        let datagram = running.pipe.pop()?;
        running.soon(now, config.poll_interval);
        self.sent.saw(&datagram);
        Some(datagram)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        Some(self.running.as_ref()?.next_poll)
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&mut self, config: &DtlsConfig, now: Instant) -> bool {
        match &mut self.running {
            Some(running) if running.next_poll <= now => {
                running.pause = (running.pause + 1).min(LONGEST_PAUSE);
                running.next_poll = now + running.pause * config.poll_interval;
                true
            }
            _ => false,
        }
    }

    /// Finds out what the task has done since the last time: `None` if it goes on. With the end comes what the
    /// crate has sent and nobody has taken.
    pub(super) fn look(
        &mut self,
        config: &DtlsConfig,
        now: Option<Instant>,
        outgoing: &mut VecDeque<Vec<u8>>,
    ) -> Option<Result<Completed, DtlsError>> {
        let running = self.running.as_mut()?;
        // Asked first, so that a task that has ended has left its outcome.
        let is_finished = running.task.is_finished();
        let outcome = self.shared.state().outcome.take();
        if outcome.is_some() {
            while let Some(datagram) = running.pipe.pop() {
                self.sent.saw(&datagram);
                outgoing.push_back(datagram);
            }
        }
        let error = match outcome {
            Some(Ok(completed)) => return Some(Ok(completed)),
            Some(Err(reason)) => match (self.shared.state().refusal.take(), self.sent.alert) {
                (Some(refusal), _) => refusal,
                (None, Some(alert)) => DtlsError::Handshake { reason, alert: alert.name() },
                (None, None) => DtlsError::Internal(reason),
            },
            None if is_finished => DtlsError::Internal("the crate dtls panicked, or its runtime has ended"),
            None => {
                let now = now?;
                match self.noted {
                    Some((alert, counts)) if now >= counts => {
                        DtlsError::AlertReceived { code: alert.code, description: alert.name() }
                    }
                    _ if running.deadline.is_some_and(|deadline| now >= deadline) => DtlsError::TimedOut,
                    _ if running.pipe.is_stalled(now, config.stall_timeout) => {
                        DtlsError::Internal("the crate dtls does not come on")
                    }
                    _ => return None,
                }
            }
        };
        Some(Err(error))
    }

    /// Ends the task, and what the crate would send from here on goes nowhere: only one may seal.
    pub(super) fn into_parts(self) -> (Sent, Option<Vec<Fingerprint>>) {
        let announced = self.shared.state().announced.take();
        (self.sent, announced)
    }

    /// An alert without protection; `None` where the peer has heard nothing yet, and need not be told.
    pub(super) fn into_alert(self, alert: Alert) -> Option<Vec<u8>> {
        let [next, _] = self.sent.next;
        (next > 0).then(|| plaintext(ALERT, next, &alert.encode()))
    }

    fn start(&mut self, config: &DtlsConfig, now: Instant) -> &mut Running {
        self.running.get_or_insert_with(|| {
            choose_provider();
            let (conn, pipe) = pipe(config.max_queued_datagrams);
            let is_client = self.role == DtlsRole::Client;
            let for_crate = task::config(config, &self.shared);
            let run = task::run(conn, for_crate, is_client, self.shared.clone());
            Running {
                pipe,
                task: self.runtime.spawn(run).abort_handle(),
                deadline: now.checked_add(config.handshake_timeout),
                next_poll: now + config.poll_interval,
                pause: 1,
            }
        })
    }
}

impl Running {
    /// Something happens: the crate may answer at any moment.
    fn soon(&mut self, now: Instant, interval: Duration) {
        self.pause = 1;
        self.next_poll = now + interval;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sent {
    fn saw(&mut self, datagram: &[u8]) {
        for record in records(datagram) {
            if let Some(next) = self.next.get_mut(usize::from(record.epoch)) {
                *next = (*next).max(record.sequence + 1);
            }
            if record.content_type == ALERT && record.epoch != PROTECTED {
                self.alert = Alert::decode(record.fragment);
            }
        }
        self.last = datagram.to_vec();
    }
}

/// The crate asks rustls for the provider of the process, which rustls chooses by itself only where a single one is compiled
/// in, and panics otherwise: a second one comes with the feature `tls`, or with a crate of the application. What the
/// application has installed stays.
fn choose_provider() {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been first.
        let _ = ring::default_provider().install_default();
    }
}
