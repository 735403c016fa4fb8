//! The state of an association, RFC 9260 §4.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::reply::Reply;
use crate::crypto::CryptoProvider;
use crate::layer::{SctpClose, SctpEvent};
use crate::sctp::Config;
use crate::sctp::cookie::{Agreement, CookieKey};
use crate::sctp::receiver::Receiver;
use crate::sctp::reset::Reconfiguration;
use crate::sctp::rto::Rto;
use crate::sctp::sender::Sender;
use crate::sctp::sequence::Tsn;
use crate::sctp::timer::{Timer, Timers};
use crate::sctp::wire::Capabilities;

/// An SCTP association with one peer over one path, as WebRTC uses it: the native
/// [`SctpTransport`](crate::layer::SctpTransport).
///
/// It answers an INIT from the beginning; [`connect`](crate::layer::SctpTransport::connect) sends one. A
/// new association is a new value: once it ended, it stays so.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Instant;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::layer::{Layer, TransmitBatch};
/// use kaon_rtc::sctp::{
///     Association, Config, PayloadProtocol, SctpError, SctpEvent, SctpTransport, SendOptions, StreamId,
/// };
///
/// /// After each packet and timeout: what has happened, and what there is to read.
/// fn serve(association: &mut Association, now: Instant) -> Result<(), SctpError> {
///     while let Some(event) = association.poll_event() {
///         if let SctpEvent::Closed(reason) = event {
///             println!("closed: {reason:?}");
///         }
///     }
///     while let Some(message) = association.receive() {
///         // Sent back on the same stream.
///         let options = SendOptions::default();
///         association.send(now, message.stream, message.protocol, message.payload, options)?;
///     }
///     Ok(())
/// }
///
/// let now = Instant::now();
/// let mut association = Association::new(Config::default(), &aws_lc_rs::provider());
/// association.connect(now);
/// // An INIT is to be sent.
/// assert!(association.poll_transmit(now, &mut TransmitBatch::new(1200)).is_some());
/// let greeting = "hello".into();
/// let sent = association.send(now, StreamId(0), PayloadProtocol::STRING, greeting, SendOptions::default());
/// assert!(sent.is_err(), "not before it is established");
/// serve(&mut association, now)?;
/// # Ok::<(), SctpError>(())
/// ```
#[derive(Debug)]
pub struct Association {
    pub(super) config: Config,
    pub(super) crypto: CryptoProvider,
    pub(super) cookie_key: CookieKey,
    pub(super) state: State,
    /// Where the clock of the state cookies begins.
    pub(super) epoch: Option<Instant>,
    /// The tag and TSN of this side. They are the same for every INIT and INIT ACK before the association
    /// exists, so that set-up from both sides at once cannot end with two pairs of them.
    pub(super) local_tag: u32,
    pub(super) local_initial_tsn: Tsn,
    /// What the INIT ACK or the cookie said; without meaning before.
    pub(super) agreement: Agreement,
    /// The peer's cookie, until it was acknowledged.
    pub(super) peer_cookie: Option<Box<[u8]>>,
    pub(super) init_retransmits: u32,
    /// How often the peer found its own cookie stale.
    pub(super) stale_cookies: u32,
    pub(super) handshake_sent: Option<Instant>,
    pub(super) timers: Timers,
    pub(super) rto: Rto,
    pub(super) sender: Sender,
    pub(super) receiver: Receiver,
    pub(super) reconfiguration: Reconfiguration,
    pub(super) events: VecDeque<SctpEvent>,
    pub(super) pending: Pending,
    pub(super) reply: Option<Reply>,
    /// Error causes for the next ERROR chunk.
    pub(super) causes: Vec<u8>,
    /// What the peer's HEARTBEAT carried, to be sent back.
    pub(super) heartbeat_ack: Vec<u8>,
    /// The HEARTBEAT that was not answered: its nonce and when it was sent.
    pub(super) heartbeat: Option<([u8; 8], Instant)>,
    /// Timeouts in a row (RFC 9260 §8.1).
    pub(super) errors: u32,
    /// Whether a SACK came since the last timeout.
    pub(super) answered: bool,
    pub(super) remote_max_message: usize,
    pub(super) wants_writable: bool,
    /// Whether the application was told, or will be, of messages that it has not read since.
    pub(super) told_readable: bool,
    /// The event that says so waits; one, however often the application reads without asking for events.
    pub(super) readable: bool,
    pub(super) counters: Counters,
}

/// The states of RFC 9260 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    CookieWait,
    CookieEchoed,
    Established,
    ShutdownPending,
    ShutdownSent,
    ShutdownReceived,
    ShutdownAckSent,
    /// CLOSED again, for good.
    Ended,
}

/// Control chunks that wait to be written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pending {
    pub(super) init: bool,
    pub(super) cookie_echo: bool,
    pub(super) cookie_ack: bool,
    pub(super) heartbeat: bool,
    pub(super) shutdown: bool,
    pub(super) shutdown_ack: bool,
}

impl Pending {
    pub(super) fn any(&self) -> bool {
        self.init
            || self.cookie_echo
            || self.cookie_ack
            || self.heartbeat
            || self.shutdown
            || self.shutdown_ack
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) packets_sent: u64,
    pub(super) packets_received: u64,
    pub(super) packets_ignored: u64,
    pub(super) timeouts: u64,
}

/// Figures of an association at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Packets written.
    pub packets_sent: u64,
    /// Packets that arrived.
    pub packets_received: u64,
    /// Packets that were not understood or not of this association.
    pub packets_ignored: u64,
    /// Expirations of the retransmission timer.
    pub timeouts: u64,
    /// The congestion window in bytes.
    pub congestion_window: usize,
    /// Bytes sent and neither acknowledged nor thought lost.
    pub bytes_in_flight: usize,
    /// Chunks sent and not acknowledged cumulatively.
    pub outstanding_chunks: usize,
    /// Bytes of messages that wait to be sent or acknowledged.
    pub send_buffered: usize,
    /// Bytes of messages and fragments that wait to be completed or read, with their overhead.
    pub receive_buffered: usize,
    /// Events that wait for [`poll_event`](crate::layer::Layer::poll_event).
    pub events: usize,
    /// The smoothed round-trip time.
    pub round_trip_time: Option<Duration>,
    /// The retransmission timeout.
    pub retransmission_timeout: Duration,
}

impl Association {
    /// An association that waits for an INIT or for
    /// [`connect`](crate::layer::SctpTransport::connect). Values of `config` that cannot work are moved to
    /// the nearest that can.
    pub fn new(config: Config, crypto: &CryptoProvider) -> Self {
        let config = config.sanitized();
        let (local_tag, local_initial_tsn) = random_tag_and_tsn(crypto);
        let agreement = Agreement {
            local_tag,
            peer_tag: 0,
            local_initial_tsn,
            peer_initial_tsn: Tsn(0),
            peer_window: 0,
            outgoing_streams: 0,
            incoming_streams: 0,
            peer: Capabilities::default(),
        };
        Self {
            cookie_key: CookieKey::new(crypto),
            crypto: crypto.clone(),
            state: State::Closed,
            epoch: None,
            local_tag,
            local_initial_tsn,
            agreement,
            peer_cookie: None,
            init_retransmits: 0,
            stale_cookies: 0,
            handshake_sent: None,
            timers: Timers::default(),
            rto: Rto::new(&config),
            sender: Sender::new(&config, local_initial_tsn, 0, false),
            receiver: Receiver::new(&config, Tsn(0), 0),
            reconfiguration: Reconfiguration::new(local_initial_tsn, Tsn(0)),
            events: VecDeque::new(),
            pending: Pending::default(),
            reply: None,
            causes: Vec::new(),
            heartbeat_ack: Vec::new(),
            heartbeat: None,
            errors: 0,
            answered: false,
            remote_max_message: usize::MAX,
            wants_writable: false,
            told_readable: false,
            readable: false,
            counters: Counters::default(),
            config,
        }
    }

    /// Figures for diagnosis and statistics.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            packets_sent: self.counters.packets_sent,
            packets_received: self.counters.packets_received,
            packets_ignored: self.counters.packets_ignored,
            timeouts: self.counters.timeouts,
            congestion_window: self.sender.congestion_window(),
            bytes_in_flight: self.sender.in_flight(),
            outstanding_chunks: self.sender.outstanding_chunks(),
            send_buffered: self.sender.buffered(),
            receive_buffered: self.receiver.held(),
            events: self.events.len(),
            round_trip_time: self.rto.smoothed(),
            retransmission_timeout: self.rto.current(),
        }
    }

    /// What this side announces.
    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities {
            partial_reliability: true,
            reconfiguration: true,
            zero_checksum: self.config.zero_checksum,
        }
    }

    /// Whether both ends agreed and the association did not end.
    pub(super) fn exists(&self) -> bool {
        !matches!(self.state, State::Closed | State::CookieWait | State::CookieEchoed | State::Ended)
    }

    /// Whether DATA may be sent.
    pub(super) fn sends_data(&self) -> bool {
        matches!(self.state, State::Established | State::ShutdownPending | State::ShutdownReceived)
    }

    /// The time on the association's clock.
    pub(super) fn clock(&mut self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.epoch.get_or_insert(now))
    }

    /// The association ends and says why; nothing of it remains but perhaps a last packet.
    pub(super) fn end(&mut self, close: SctpClose) {
        if self.state == State::Ended {
            return;
        }
        tracing::debug!(?close, "the SCTP association ends");
        self.state = State::Ended;
        self.timers.stop_all();
        self.pending = Pending::default();
        self.peer_cookie = None;
        self.causes = Vec::new();
        self.heartbeat_ack = Vec::new();
        self.sender.clear();
        self.reconfiguration = Reconfiguration::new(self.local_initial_tsn, Tsn(0));
        self.events.push_back(SctpEvent::Closed(close));
    }

    /// Starts the timer to expire one retransmission timeout from now.
    pub(super) fn start_rto(&mut self, timer: Timer, now: Instant) {
        self.timers.start(timer, now + self.rto.current());
    }

    pub(super) fn measure_round_trip(&mut self, rtt: Duration) {
        self.rto.measure(rtt);
        self.receiver.set_round_trip(self.rto.smoothed().unwrap_or(rtt));
    }
}

/// A verification tag, which is never 0, and an initial TSN.
pub(super) fn random_tag_and_tsn(crypto: &CryptoProvider) -> (u32, Tsn) {
    let mut bytes = [0; 8];
    crypto.random.fill(&mut bytes);
    let [t0, t1, t2, t3, n0, n1, n2, n3] = bytes;
    (u32::from_be_bytes([t0, t1, t2, t3]).max(1), Tsn(u32::from_be_bytes([n0, n1, n2, n3])))
}
