//! What follows from errors, RFC 8656 §7.4, §8.3, §10.3 and §12.3.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::agent::{Client, State};
use super::event::{ConnectionFailure, Event, FailureCause, PathReason, Refusal};
use super::transaction::{Purpose, Transaction};
use crate::stun::{AttributeType, ErrorCode, Message, ServerTransport};

/// An allocation that lived so long was lost by mischance, not because the server forgets.
const LONG_LIVED: Duration = Duration::from_secs(60);

/// So many allocations in a row may be lost sooner.
const MAX_REMAKES: u32 = 3;

/// So often Allocate is asked for again after 500.
const MAX_SERVER_ERRORS: u32 = 4;

/// So many five-tuples in a row may be taken.
const MAX_TAKEN: u32 = 3;

/// RFC 8656 §7.4: not before a minute after 486 and 508.
const RETRY_AFTER: Duration = Duration::from_secs(60);

impl Client {
    pub(super) fn refused(
        &mut self,
        now: Instant,
        transaction: &Transaction,
        code: ErrorCode,
        message: &Message<'_>,
    ) {
        let purpose = transaction.purpose;
        match code {
            // Nothing more can be done for an allocation that is given back.
            _ if self.state == State::Closing && !is_challenge(code) => self.end(Event::Closed),
            _ if is_challenge(code) => self.challenged(now, transaction, code, message),
            _ if matches!(purpose, Purpose::Bind(_)) => self.final_refusal(now, purpose, code),
            _ if purpose == Purpose::Forget => self.allocate(now),
            _ if purpose == Purpose::Allocate => self.allocate_refused(now, code, message),
            _ if purpose == Purpose::Resume => self.resume_failed(now),
            ErrorCode::ALLOCATION_MISMATCH => self.lose(now),
            // RFC 8656 §19: it is somebody else's; another five-tuple is needed.
            ErrorCode::WRONG_CREDENTIALS => {
                self.lose_allocation();
                self.need_path();
            }
            ErrorCode::SERVER_ERROR if transaction.attempts < Transaction::MAX_ATTEMPTS => {
                self.start(now, purpose, transaction.attempts + 1);
            }
            _ => self.final_refusal(now, purpose, code),
        }
    }

    /// 401 and 438 (RFC 8489 §9.2.5), whatever was asked.
    fn challenged(
        &mut self,
        now: Instant,
        transaction: &Transaction,
        code: ErrorCode,
        message: &Message<'_>,
    ) {
        // An allocation that is not wanted any more is not asked for again.
        if transaction.purpose == Purpose::Allocate && self.state == State::Closing {
            return self.end(Event::Closed);
        }
        // Some servers say 401 of a nonce that is too old. What has made an allocation is worth another attempt.
        let is_proven = self.allocation.is_some() && transaction.attempts == 0;
        let is_stale = code == ErrorCode::STALE_NONCE || is_proven;
        let refused =
            if transaction.signed && !is_stale { self.credentials.refused(message) } else { Ok(()) };
        let credentials = self.challenged_credentials(transaction.purpose);
        match refused.and_then(|()| credentials.challenged(message)) {
            Ok(()) if transaction.attempts < Transaction::MAX_ATTEMPTS => {
                self.start(now, transaction.purpose, transaction.attempts + 1);
            }
            Ok(()) if transaction.purpose == Purpose::Allocate => {
                self.fail(FailureCause::Refused { code, retry_after: None });
            }
            Err(error) if transaction.purpose == Purpose::Allocate => match self.next_credentials.take() {
                Some(next) => {
                    self.credentials = next;
                    self.allocate(now);
                }
                None => self.fail(error.into()),
            },
            Ok(()) | Err(_) => self.final_refusal(now, transaction.purpose, code),
        }
    }

    fn allocate_refused(&mut self, now: Instant, code: ErrorCode, message: &Message<'_>) {
        let names_dont_fragment =
            message.unknown_attributes().any(|kind| kind == AttributeType::DONT_FRAGMENT);
        match code {
            ErrorCode::TRY_ALTERNATE => self.redirected(now, message),
            ErrorCode::UNKNOWN_ATTRIBUTE if self.dont_fragment && names_dont_fragment => {
                self.dont_fragment = false;
                self.allocate(now);
            }
            _ if self.is_mobility_refused(code, message) => {
                self.asks_mobility = false;
                self.allocate(now);
            }
            // One of before may be in the way, which its owner can take away (RFC 8656 §7.4).
            ErrorCode::ALLOCATION_MISMATCH if self.held_before => {
                self.held_before = false;
                self.transactions.clear();
                self.start(now, Purpose::Forget, 0);
            }
            ErrorCode::ALLOCATION_MISMATCH | ErrorCode::WRONG_CREDENTIALS if self.taken < MAX_TAKEN => {
                self.taken += 1;
                self.need_path();
            }
            ErrorCode::SERVER_ERROR if self.server_errors < MAX_SERVER_ERRORS => {
                self.state = State::Waiting(now + Duration::from_secs(1 << self.server_errors));
                self.server_errors += 1;
            }
            ErrorCode::ALLOCATION_QUOTA_REACHED | ErrorCode::INSUFFICIENT_CAPACITY => {
                self.fail(FailureCause::Refused { code, retry_after: Some(RETRY_AFTER) });
            }
            _ => self.fail(FailureCause::Refused { code, retry_after: None }),
        }
    }

    fn redirected(&mut self, now: Instant, message: &Message<'_>) {
        match self.redirection.follow(self.path.remote, message) {
            Ok(server) if self.config.transport == ServerTransport::Udp => {
                self.path.remote = server;
                // It has a realm and a nonce of its own.
                self.credentials.forget_server();
                self.allocate(now);
            }
            Ok(server) => {
                self.state = State::NeedsPath;
                let domain = message.alternate_domain().filter(|domain| domain.len() <= 253);
                let domain = domain.map(str::to_owned);
                if domain.is_some() {
                    self.config.server_name.clone_from(&domain);
                }
                self.tell(Event::PathNeeded { server, domain, reason: PathReason::Redirected });
            }
            Err(error) => self.fail(error.into()),
        }
    }

    fn need_path(&mut self) {
        self.transactions.clear();
        self.state = State::NeedsPath;
        let (server, reason) = (self.path.remote, PathReason::FiveTupleTaken);
        self.tell(Event::PathNeeded { server, domain: None, reason });
    }

    /// What is not asked for again.
    fn final_refusal(&mut self, now: Instant, purpose: Purpose, code: ErrorCode) {
        match purpose {
            Purpose::Allocate => self.fail(FailureCause::Refused { code, retry_after: None }),
            Purpose::Refresh => self.lose(now),
            Purpose::Resume => self.resume_failed(now),
            Purpose::Delete => self.end(Event::Closed),
            Purpose::Forget => self.allocate(now),
            Purpose::Permission(peer) => self.permission_refused(now, peer, code),
            Purpose::Channel(place) => self.channel_refused(now, place, code),
            Purpose::Connect(number) | Purpose::Bind(number) => {
                self.connection_failed(number, ConnectionFailure::Refused(code));
            }
        }
    }

    /// A refusal that is one for the moment ends nothing that was granted.
    fn permission_refused(&mut self, now: Instant, peer: IpAddr, code: ErrorCode) {
        self.doubt(now, code);
        if !is_of_the_moment(code) {
            return self.refuse_permission(peer, Refusal::Code(code));
        }
        self.peers.put_off_permission(now, peer);
        if self.peers.permission(peer).is_some_and(|lease| lease.until.is_none()) {
            self.tell(Event::PermissionRefused(peer, Refusal::Code(code)));
        }
    }

    /// Some servers say 400 of an allocation that they do not have, and 401 does so where there are other credentials: it
    /// is refreshed at once, which tells.
    fn doubt(&mut self, now: Instant, code: ErrorCode) {
        let has_others = code == ErrorCode::UNAUTHENTICATED && self.next_credentials.is_some();
        if code == ErrorCode::BAD_REQUEST || has_others {
            self.refresh_at = self.refresh_at.map(|_| now);
        }
    }

    /// RFC 8656 §12.2 has 400 for a number or a peer that is bound to another one: this side is wrong about what is
    /// bound.
    fn channel_refused(&mut self, now: Instant, place: usize, code: ErrorCode) {
        let Some(channel) = self.peers.channel_mut(place) else { return };
        let was_bound = channel.lease.until.is_some();
        if is_of_the_moment(code) {
            channel.lease.put_off(now);
            let peer = channel.peer;
            if !was_bound {
                self.tell(Event::ChannelRefused(peer, Refusal::Code(code)));
            }
            return;
        }
        if code != ErrorCode::BAD_REQUEST {
            return self.refuse_channel(place, Refusal::Code(code));
        }
        if std::mem::take(&mut channel.unanswered) {
            channel.lease.asked = false;
            channel.lease.wanted = true;
        } else if was_bound {
            self.lose(now);
        } else {
            self.doubt(now, code);
            self.refuse_channel(place, Refusal::Code(code));
        }
    }

    pub(super) fn timed_out(&mut self, now: Instant, transaction: &Transaction) {
        let unproven = transaction.unproven;
        match transaction.purpose {
            Purpose::Allocate => self.fail(FailureCause::TimedOut { unproven }),
            Purpose::Refresh => self.lose(now),
            Purpose::Resume => self.resume_failed(now),
            Purpose::Delete => self.end(Event::Closed),
            Purpose::Forget => self.allocate(now),
            Purpose::Permission(peer) => {
                self.peers.put_off_permission(now, peer);
                self.tell(Event::PermissionRefused(peer, Refusal::TimedOut));
            }
            Purpose::Channel(place) => self.channel_timed_out(now, place),
            Purpose::Connect(number) | Purpose::Bind(number) => {
                self.connection_failed(number, ConnectionFailure::TimedOut);
            }
        }
    }

    /// The same number is tried once more: the server may have bound it.
    fn channel_timed_out(&mut self, now: Instant, place: usize) {
        let Some(channel) = self.peers.channel_mut(place) else { return };
        if channel.unanswered {
            channel.lease.put_off(now);
            let peer = channel.peer;
            return self.tell(Event::ChannelRefused(peer, Refusal::TimedOut));
        }
        channel.unanswered = true;
        channel.lease.asked = false;
        channel.lease.wanted = true;
    }

    /// The allocation is gone: another one is made over the same path, with the same peers.
    pub(super) fn lose(&mut self, now: Instant) {
        let lived_long = self.made_at.is_some_and(|made| now >= made + LONG_LIVED);
        self.remakes = if lived_long { 1 } else { self.remakes + 1 };
        self.lose_allocation();
        self.transactions.clear();
        if self.remakes > MAX_REMAKES {
            return self.fail(FailureCause::Forgetful);
        }
        match self.remakes {
            1 => self.allocate(now),
            n => self.state = State::Waiting(now + Duration::from_secs(1 << (n - 2))),
        }
    }

    pub(super) fn lose_allocation(&mut self) {
        self.lose_connections();
        if self.allocation.take().is_some() {
            self.tell(Event::Lost);
        }
        self.ticket = None;
        self.refresh_at = None;
        self.keepalive_unsent = false;
        self.peers.reset();
    }
}

/// Whether the same may be granted a while later: the server has no room now, has failed, or knows no nonce long enough.
fn is_of_the_moment(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::INSUFFICIENT_CAPACITY | ErrorCode::ALLOCATION_QUOTA_REACHED | ErrorCode::SERVER_ERROR
    ) || is_challenge(code)
}

fn is_challenge(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UNAUTHENTICATED | ErrorCode::STALE_NONCE)
}
