//! Set-up of an association, RFC 9260 §5.

use std::time::Instant;

use super::input::Next;
use super::reply::{InitAck, Reply, Unrecognized};
use super::state::{Association, State, random_tag_and_tsn};
use crate::layer::{SctpClose, SctpError, SctpEvent};
use crate::sctp::cookie::{Agreement, StateCookie};
use crate::sctp::receiver::Receiver;
use crate::sctp::reset::Reconfiguration;
use crate::sctp::rto::Rto;
use crate::sctp::sender::Sender;
use crate::sctp::timer::Timer;
use crate::sctp::wire::{Capabilities, CauseCode, Causes, Chunk, Header, Init, ParameterType, WireError};

/// What the parameters of an INIT or INIT ACK said.
#[derive(Default)]
struct Announced<'a> {
    capabilities: Capabilities,
    cookie: Option<&'a [u8]>,
    unrecognized: Unrecognized,
}

impl<'a> Announced<'a> {
    fn read(init: &Init<'a>) -> Result<Self, WireError> {
        let mut announced = Self::default();
        for parameter in init.parameters() {
            let parameter = parameter?;
            if announced.capabilities.note(&parameter) {
                continue;
            }
            match parameter.kind {
                ParameterType::STATE_COOKIE => announced.cookie = Some(parameter.value),
                // Addresses and authentication mean nothing to an association over one path of DTLS.
                ParameterType::IPV4_ADDRESS
                | ParameterType::IPV6_ADDRESS
                | ParameterType::HOST_NAME_ADDRESS
                | ParameterType::SUPPORTED_ADDRESS_TYPES
                | ParameterType::COOKIE_PRESERVATIVE
                | ParameterType::ECN_CAPABLE
                | ParameterType::RANDOM
                | ParameterType::CHUNK_LIST
                | ParameterType::REQUESTED_HMAC
                | ParameterType::UNRECOGNIZED_PARAMETER
                | ParameterType::ADAPTATION_LAYER => {}
                unknown => {
                    let action = unknown.unknown_action();
                    if action.report {
                        announced.unrecognized.add(&parameter);
                    }
                    if !action.skip {
                        break;
                    }
                }
            }
        }
        Ok(announced)
    }
}

impl Association {
    /// Sends an INIT, first or again.
    pub(super) fn send_init(&mut self, now: Instant) {
        self.clock(now);
        self.state = State::CookieWait;
        self.peer_cookie = None;
        self.pending.cookie_echo = false;
        self.pending.init = true;
        self.handshake_sent = (self.init_retransmits == 0).then_some(now);
        self.start_rto(Timer::Handshake, now);
    }

    /// The parts of an INIT.
    pub(super) fn init(&self) -> Init<'static> {
        let Self { config, local_tag, local_initial_tsn, .. } = self;
        Init::new(
            *local_tag,
            config.initial_receive_window as u32,
            config.streams,
            config.streams,
            *local_initial_tsn,
        )
    }

    /// Answers an INIT (RFC 9260 §5.1 B, §5.2.1, §5.2.2). Nothing of it is kept but in the answer's cookie.
    pub(super) fn handle_init(
        &mut self,
        now: Instant,
        header: &Header,
        chunk: &Chunk<'_>,
        is_alone: bool,
    ) -> Result<(), SctpError> {
        if header.verification_tag != 0 || !is_alone {
            return Err(SctpError::Ignored("INIT with a tag or with other chunks"));
        }
        let init = Init::parse(chunk.value)?;
        let announced = Announced::read(&init)?;
        let (local_tag, local_initial_tsn, tie_tags) = match self.state {
            State::Ended => {
                self.reply = Some(Reply::Abort { tag: init.initiate_tag, flags: 0, cause: None });
                return Err(SctpError::Ignored("INIT after the end"));
            }
            State::ShutdownAckSent => {
                self.pending.shutdown_ack = true;
                return Ok(());
            }
            State::Closed | State::CookieWait => (self.local_tag, self.local_initial_tsn, (0, 0)),
            State::CookieEchoed => {
                (self.local_tag, self.local_initial_tsn, (self.local_tag, self.agreement.peer_tag))
            }
            _ => {
                let (tag, tsn) = random_tag_and_tsn(&self.crypto);
                (tag, tsn, (self.local_tag, self.agreement.peer_tag))
            }
        };
        let agreement = self.agree(&init, announced.capabilities);
        let cookie = StateCookie {
            created: self.clock(now),
            tie_tags,
            agreement: Agreement { local_tag, local_initial_tsn, ..agreement },
        };
        self.reply = Some(Reply::InitAck(InitAck {
            cookie,
            window: self.config.initial_receive_window as u32,
            streams: self.config.streams,
            capabilities: self.capabilities(),
            unrecognized: announced.unrecognized,
        }));
        Ok(())
    }

    fn agree(&self, init: &Init<'_>, peer: Capabilities) -> Agreement {
        Agreement {
            local_tag: self.local_tag,
            peer_tag: init.initiate_tag,
            local_initial_tsn: self.local_initial_tsn,
            peer_initial_tsn: init.initial_tsn,
            peer_window: init.receive_window,
            outgoing_streams: self.config.streams.min(init.incoming_streams),
            incoming_streams: self.config.streams.min(init.outgoing_streams),
            peer,
        }
    }

    /// Echoes the cookie of an INIT ACK (§5.1 C).
    pub(super) fn handle_init_ack(&mut self, now: Instant, value: &[u8]) -> Result<(), SctpError> {
        if self.state != State::CookieWait {
            return Ok(()); // §5.2.3: it answers an INIT that is done with.
        }
        let init = Init::parse(value)?;
        let announced = Announced::read(&init)?;
        let Some(cookie) = announced.cookie.filter(|cookie| cookie.len() <= self.config.mtu - 16) else {
            self.agreement.peer_tag = init.initiate_tag;
            // The number of missing parameters, and their types (§3.3.10.2).
            let [high, low] = ParameterType::STATE_COOKIE.0.to_be_bytes();
            let missing = vec![0, 0, 0, 1, high, low];
            let close = SctpClose::ProtocolViolation("no usable cookie");
            self.abort_with(CauseCode::MISSING_PARAMETER, missing, close);
            return Err(SctpError::Ignored("INIT ACK without a usable cookie"));
        };
        if !announced.unrecognized.is_empty() {
            self.report(CauseCode::UNRECOGNIZED_PARAMETERS, announced.unrecognized.bytes());
        }
        self.agreement = self.agree(&init, announced.capabilities);
        self.peer_cookie = Some(cookie.into());
        if let Some(sent) = self.handshake_sent.take() {
            self.measure_round_trip(now.saturating_duration_since(sent));
        }
        self.state = State::CookieEchoed;
        self.init_retransmits = 0;
        self.pending.init = false;
        self.pending.cookie_echo = true;
        self.handshake_sent = Some(now);
        self.start_rto(Timer::Handshake, now);
        Ok(())
    }

    /// The cookie came back (§5.1 D, §5.2.4).
    pub(super) fn handle_cookie_echo(
        &mut self,
        now: Instant,
        header: &Header,
        value: &[u8],
    ) -> Result<(), SctpError> {
        let cookie =
            self.cookie_key.open(value).ok_or(SctpError::Ignored("cookie that was not made here"))?;
        let agreement = cookie.agreement;
        if header.verification_tag != agreement.local_tag {
            return Err(SctpError::Ignored("cookie of another tag"));
        }
        let same_local = agreement.local_tag == self.local_tag;
        let same_peer = agreement.peer_tag == self.agreement.peer_tag;
        let age = self.clock(now).saturating_sub(cookie.created);
        if age > self.config.cookie_life && !(same_local && same_peer) {
            let staleness = (age - self.config.cookie_life).as_micros().min(u128::from(u32::MAX)) as u32;
            self.reply = Some(Reply::StaleCookie { tag: agreement.peer_tag, staleness });
            return Err(SctpError::Ignored("stale cookie"));
        }
        match self.state {
            State::Closed | State::CookieWait | State::CookieEchoed if same_local => {
                self.establish(now, agreement);
                self.pending.cookie_ack = true;
                if self.rto.smoothed().is_none() {
                    // A side that only receives measures nothing itself. The cookie took a round trip, or more
                    // if it was sent twice: good enough to size a window by, not to time retransmissions.
                    self.receiver.set_round_trip(age);
                }
                Ok(())
            }
            State::Ended => {
                self.reply = Some(Reply::Abort { tag: agreement.peer_tag, flags: 0, cause: None });
                Err(SctpError::Ignored("cookie after the end"))
            }
            State::ShutdownAckSent => {
                self.pending.shutdown_ack = true;
                self.report(CauseCode::COOKIE_WHILE_SHUTTING_DOWN, &[]);
                Ok(())
            }
            _ if same_local && same_peer => {
                self.pending.cookie_ack = true; // §5.2.4 D: the COOKIE ACK was lost.
                Ok(())
            }
            _ if cookie.tie_tags == (self.local_tag, self.agreement.peer_tag) && self.exists() => {
                // §5.2.4 A: the peer lost the association. Its channels are gone there, and what was in
                // flight with them, so there is nothing that could be gone on with safely.
                self.agreement.peer_tag = agreement.peer_tag;
                let close = SctpClose::AbortedByPeer("the peer restarted the association".to_owned());
                self.abort_with(CauseCode::USER_INITIATED_ABORT, &b"restart is not supported"[..], close);
                Err(SctpError::Ignored("restart"))
            }
            _ => Err(SctpError::Ignored("cookie of another association")),
        }
    }

    pub(super) fn handle_cookie_ack(&mut self, now: Instant) {
        if self.state != State::CookieEchoed {
            return;
        }
        if let Some(sent) = self.handshake_sent.take() {
            self.measure_round_trip(now.saturating_duration_since(sent));
        }
        self.establish(now, self.agreement);
    }

    fn establish(&mut self, now: Instant, agreement: Agreement) {
        tracing::debug!(peer = ?agreement.peer, "the SCTP association is established");
        self.agreement = agreement;
        self.state = State::Established;
        self.peer_cookie = None;
        self.pending.init = false;
        self.pending.cookie_echo = false;
        self.timers.stop(Timer::Handshake);
        self.errors = 0;
        if self.rto.smoothed().is_none() {
            // What the handshake waited for says nothing about the path.
            self.rto = Rto::new(&self.config);
        }
        self.sender = Sender::new(
            &self.config,
            agreement.local_initial_tsn,
            agreement.peer_window,
            agreement.peer.partial_reliability,
        );
        self.receiver = Receiver::new(&self.config, agreement.peer_initial_tsn, agreement.incoming_streams);
        self.receiver.set_round_trip(self.rto.smoothed().unwrap_or_default());
        self.reconfiguration = Reconfiguration::new(agreement.local_initial_tsn, agreement.peer_initial_tsn);
        self.schedule_heartbeat(now);
        self.events.push_back(SctpEvent::Established {
            outgoing_streams: agreement.outgoing_streams,
            incoming_streams: agreement.incoming_streams,
        });
    }

    /// An ERROR of the peer. Only a stale cookie changes something (§5.2.6).
    pub(super) fn handle_error(&mut self, now: Instant, value: &[u8]) {
        let is_stale = Causes::new(value).iter().any(|(code, _)| code == CauseCode::STALE_COOKIE);
        if !is_stale || self.state != State::CookieEchoed {
            return;
        }
        // Counted apart, because each INIT ACK ends the count of INITs that were not answered.
        self.stale_cookies += 1;
        if self.stale_cookies > self.config.max_init_retransmits {
            self.end(SctpClose::TimedOut);
        } else {
            self.send_init(now);
        }
    }

    /// A message that cannot be handled further ends the packet.
    pub(super) fn abort_for(&mut self, violation: &'static str) -> Result<Next, SctpError> {
        let close = SctpClose::ProtocolViolation(violation);
        self.abort_with(CauseCode::PROTOCOL_VIOLATION, violation.as_bytes(), close);
        Err(SctpError::Ignored(violation))
    }
}
