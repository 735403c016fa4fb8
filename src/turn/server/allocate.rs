//! Allocate, RFC 8656 §7.2.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::agent::{Reservation, Server};
use super::authenticate::Caller;
use super::event::{Event, Limit, ReleaseReason};
use super::held::{Granted, Held, Peers, Relay};
use super::outbox::Head;
use super::relay_address::Parity;
use super::request::{Refusal, requested_family};
use super::ticket::Mobility;
use super::timer::Timer;
use super::token_bucket::TokenBucket;
use crate::layer::FiveTuple;
use crate::stun::{AttributeType, Class, ErrorCode, Message, MessageBuilder, Method};
use crate::turn::attribute::{
    AddressFamily, EvenPort, Lifetime, RequestedTransport, ReservationToken, encode_address_error,
};

/// How long a socket is waited for, and how long a request may be repeated (RFC 8489 §6.3.1).
const PATIENCE: Duration = Duration::from_secs(40);

/// How long a reserved port waits for its allocation (RFC 8656 §7.2).
const RESERVED: Duration = Duration::from_secs(30);

/// How many ports are tried that the system refuses.
const TRIES: u8 = 8;

/// How many ICMP messages per second are passed on.
const ICMP_PER_SECOND: u64 = 10;

/// What an Allocate request asks for.
struct Wanted {
    family: AddressFamily,
    /// IPv6 beside IPv4.
    additional: bool,
    parity: Parity,
    reservation: Option<ReservationToken>,
    lifetime: Lifetime,
    is_tcp: bool,
}

impl Server {
    pub(super) fn allocate(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        if let Some(index) = self.by_path.get(&path).copied() {
            return self.allocate_again(index, request, caller);
        }
        let wanted = self.parse_allocate(path, request)?;
        if self.is_draining || !self.config.alternates.is_empty() {
            let is_v4 = path.remote.is_ipv4();
            let alternate = self.config.alternates.iter().find(|server| server.is_ipv4() == is_v4);
            let full = || ErrorCode::INSUFFICIENT_CAPACITY.into();
            return Err(alternate.map_or_else(full, |server| Refusal::alternate(*server)));
        }
        self.check_quotas(&caller.account, wanted.parity)?;
        let mut reserved = None;
        let mut missing = None;
        let mut relays: SmallVec<[Relay; 2]> = SmallVec::new();
        if let Some(token) = wanted.reservation {
            relays.push(self.take_reserved(token, caller)?);
        } else {
            relays.push(self.take_relay(now, wanted.family, wanted.parity, caller)?);
            if wanted.parity == Parity::EvenWithNext {
                reserved = relays.first().map(|relay| self.reserve(now, relay, caller));
            }
            if wanted.additional {
                match self.take_relay(now, AddressFamily::V6, Parity::Any, caller) {
                    Ok(relay) => relays.push(relay),
                    Err(code) => missing = Some((AddressFamily::V6, code)),
                }
            }
        }
        let granted = Granted {
            transaction: request.transaction_id(),
            integrity: caller.integrity.algorithm(),
            has_fingerprint: request.has_fingerprint(),
            lifetime: wanted.lifetime,
            reservation: reserved,
            missing,
            parity: wanted.parity,
            tries: 0,
            is_complete: false,
        };
        let mobility = self.ticket_for(request)?;
        self.hold(now, path, caller, granted, relays, (wanted.is_tcp, mobility));
        Ok(())
    }

    /// The same request again gets the same answer, another one finds the five-tuple taken.
    fn allocate_again(
        &mut self,
        index: usize,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let Some(held) = self.held.get(index) else { return Err(ErrorCode::ALLOCATION_MISMATCH.into()) };
        if held.granted.transaction != request.transaction_id() || *held.username != *caller.username {
            return Err(ErrorCode::ALLOCATION_MISMATCH.into());
        }
        // Without a socket yet, the answer is still to come.
        if held.is_granted() {
            self.grant(index);
        }
        Ok(())
    }

    fn parse_allocate(&self, path: FiveTuple, request: &Message<'_>) -> Result<Wanted, Refusal> {
        let bad = || Refusal::from(ErrorCode::BAD_REQUEST);
        let has = |kind| request.attribute(kind);
        let transport = has(AttributeType::REQUESTED_TRANSPORT).and_then(RequestedTransport::decode);
        let is_tcp = match transport.ok_or_else(bad)? {
            RequestedTransport::UDP => false,
            RequestedTransport::TCP if self.config.tcp_allocations => {
                self.check_tcp(path, request)?;
                true
            }
            _ => return Err(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL.into()),
        };
        self.check_mobility(request)?;
        if has(AttributeType::DONT_FRAGMENT).is_some() && !self.config.dont_fragment {
            return Err(Refusal::unknown([AttributeType::DONT_FRAGMENT]));
        }
        let even_port = match has(AttributeType::EVEN_PORT) {
            Some(value) => Some(EvenPort::decode(value).ok_or_else(bad)?),
            None => None,
        };
        let reservation = match has(AttributeType::RESERVATION_TOKEN) {
            Some(value) => Some(ReservationToken::decode(value).ok_or_else(bad)?),
            None => None,
        };
        let (requested, additional) =
            (AttributeType::REQUESTED_ADDRESS_FAMILY, AttributeType::ADDITIONAL_ADDRESS_FAMILY);
        let names_family = has(requested).is_some() || has(additional).is_some();
        if reservation.is_some() && (even_port.is_some() || names_family) {
            return Err(bad());
        }
        let family = requested_family(request, requested)?;
        let also = has(additional).map(AddressFamily::decode);
        let reserves = even_port.is_some_and(|it| it.reserve_next);
        match also {
            None => {}
            Some(Some(AddressFamily::V6)) if family.is_none() && !reserves => {}
            Some(_) => return Err(bad()),
        }
        let parity = match even_port {
            Some(EvenPort { reserve_next: true }) => Parity::EvenWithNext,
            Some(EvenPort { reserve_next: false }) => Parity::Even,
            None => Parity::Any,
        };
        // An Allocate with a lifetime of zero asks for nothing that a client could want.
        let lifetime = self.lifetime(request)?.max(Lifetime::DEFAULT);
        let family = family.unwrap_or(AddressFamily::V4);
        Ok(Wanted { family, additional: also.is_some(), parity, reservation, lifetime, is_tcp })
    }

    fn check_quotas(&mut self, account: &str, parity: Parity) -> Result<(), ErrorCode> {
        let mut count = self.accounts.allocations(account);
        // Who has ports kept for allocations to come is not to have all of them kept.
        if parity == Parity::EvenWithNext {
            count += self.reservations.values().filter(|it| *it.account == *account).count();
        }
        if count >= self.config.max_allocations_per_user {
            self.refused(account, Limit::AllocationsOfUser);
            return Err(ErrorCode::ALLOCATION_QUOTA_REACHED);
        }
        if self.held.len() >= self.config.max_allocations {
            self.refused(account, Limit::Allocations);
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        Ok(())
    }

    fn take_relay(
        &mut self,
        now: Instant,
        family: AddressFamily,
        parity: Parity,
        caller: &Caller,
    ) -> Result<Relay, ErrorCode> {
        if !self.config.relays.iter().any(|relay| AddressFamily::of(relay.external) == family) {
            return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
        }
        self.take_port(now, family, parity).ok_or_else(|| {
            self.refused(&caller.account, Limit::Ports);
            ErrorCode::INSUFFICIENT_CAPACITY
        })
    }

    fn take_reserved(&mut self, token: ReservationToken, caller: &Caller) -> Result<Relay, ErrorCode> {
        let reservation = self.reservations.get(&token.0);
        if reservation.is_none_or(|it| *it.username != *caller.username) {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        let Reservation { relay, .. } =
            self.reservations.remove(&token.0).ok_or(ErrorCode::INSUFFICIENT_CAPACITY)?;
        self.timers.cancel(relay.until, Timer::from(token));
        Ok(relay)
    }

    /// Keeps the port above for who shows the token.
    fn reserve(&mut self, now: Instant, relay: &Relay, caller: &Caller) -> ReservationToken {
        let mut token = [0; 8];
        self.provider.random.fill(&mut token);
        let next = |address: SocketAddr| SocketAddr::new(address.ip(), address.port().saturating_add(1));
        let (local, external, until) = (next(relay.local), next(relay.external), now + RESERVED);
        let relay = Relay { local, external, until, ..*relay };
        self.timers.set(until, Timer::Reservation(token));
        let (username, account) = (caller.username.as_str().into(), caller.account.as_str().into());
        self.reservations.insert(token, Reservation { relay, username, account });
        ReservationToken(token)
    }

    /// Asks for the sockets; the answer waits for them.
    fn hold(
        &mut self,
        now: Instant,
        path: FiveTuple,
        caller: &Caller,
        granted: Granted,
        mut relays: SmallVec<[Relay; 2]>,
        (is_tcp, mobility): (bool, Option<Box<Mobility>>),
    ) {
        let ticket = mobility.as_ref().map(|mobility| mobility.ticket);
        let until = now + PATIENCE;
        let (account, user) = self.accounts.join(now, &caller.account);
        relays.iter_mut().for_each(|relay| relay.until = until);
        let locals: SmallVec<[SocketAddr; 2]> = relays.iter().map(|relay| relay.local).collect();
        let index = self.held.insert(Held {
            path,
            username: caller.username.as_str().into(),
            user,
            account,
            key: caller.key.clone(),
            algorithm: caller.algorithm,
            granted,
            made_at: now,
            relays,
            peers: Peers::default(),
            bucket: TokenBucket::bytes(now, self.config.bandwidth_per_allocation),
            icmp: TokenBucket::new(now, Some(ICMP_PER_SECOND), ICMP_PER_SECOND),
            traffic: super::event::Traffic::default(),
            is_tcp,
            connections: Vec::new(),
            mobility,
        });
        self.by_ticket.extend(ticket.map(|ticket| (ticket, index)));
        self.by_path.insert(path, index);
        locals.into_iter().for_each(|local| self.open_relay(until, index, local, is_tcp));
    }

    fn open_relay(&mut self, until: Instant, index: usize, local: SocketAddr, is_tcp: bool) {
        self.by_relay.insert(local, index);
        self.timers.set(until, Timer::Relay(local));
        self.asks.push_back(if is_tcp { Event::OpenTcpRelay(local) } else { Event::OpenRelay(local) });
    }

    /// A socket that was asked for is bound. What nobody wants any more is asked to be closed.
    pub fn relay_opened(&mut self, now: Instant, local: SocketAddr) {
        let Some(index) = self.by_relay.get(&local).copied() else {
            return self.asks.push_back(Event::CloseRelay(local));
        };
        let Some(held) = self.held.get_mut(index) else { return };
        let Some(relay) = held.relays.iter_mut().find(|relay| relay.local == local) else { return };
        if std::mem::replace(&mut relay.is_open, true) {
            return;
        }
        self.complete(now, index);
    }

    /// A socket that was asked for cannot be bound: another port is tried, a few times.
    pub fn relay_failed(&mut self, now: Instant, local: SocketAddr) {
        let Some(index) = self.by_relay.get(&local).copied() else { return };
        let Some(held) = self.held.get_mut(index) else { return };
        let Some(place) = held.relays.iter().position(|it| it.local == local && !it.is_open) else { return };
        let relay = held.relays.remove(place);
        let (parity, family) = (held.granted.parity, relay.family());
        // The port above belongs to the one below, and a reserved port is that one and no other.
        let may_try = held.granted.tries < TRIES && matches!(parity, Parity::Any | Parity::Even);
        held.granted.tries += 1;
        self.by_relay.remove(&local);
        self.timers.cancel(relay.until, Timer::Relay(local));
        if let Some(ports) = self.ports.get_mut(relay.pool) {
            ports.give_back(now, local.port());
        }
        let parity = if place == 0 { parity } else { Parity::Any };
        let other = if may_try { self.take_port(now, family, parity) } else { None };
        if let Some(mut other) = other {
            other.until = now + PATIENCE;
            let Some(held) = self.held.get_mut(index) else { return };
            held.relays.insert(place, other);
            let is_tcp = held.is_tcp;
            return self.open_relay(other.until, index, other.local, is_tcp);
        }
        let Some(held) = self.held.get_mut(index) else { return };
        if place > 0 {
            held.granted.missing = Some((family, ErrorCode::INSUFFICIENT_CAPACITY));
            return self.complete(now, index);
        }
        self.refuse_late(now, index);
    }

    /// No address of the first family could be had.
    fn refuse_late(&mut self, now: Instant, index: usize) {
        let Some(held) = self.held.get(index) else { return };
        let (head, path) = (held.head(Class::Error), held.path);
        let key = held.key.integrity(&self.provider, held.granted.integrity);
        let token = held.granted.reservation;
        self.statistics.refused += 1;
        self.outbox.respond(path, head, Some(&key), |it| it.error_code(ErrorCode::INSUFFICIENT_CAPACITY));
        if let Some(token) = token {
            self.end_reservation(now, token.0);
        }
        self.release(now, index, ReleaseReason::NoRelay);
    }

    /// Grants an allocation once all of its sockets are there.
    fn complete(&mut self, now: Instant, index: usize) {
        let Some(held) = self.held.get_mut(index) else { return };
        if held.is_granted() || !held.relays.iter().all(|relay| relay.is_open) {
            return;
        }
        held.granted.is_complete = true;
        held.made_at = now;
        let until = now + held.granted.lifetime.duration();
        let (user, client) = (held.user.clone(), held.path);
        let relayed = held.relays.iter().map(|relay| relay.external).collect();
        let locals: SmallVec<[SocketAddr; 2]> = held.relays.iter().map(|relay| relay.local).collect();
        locals.into_iter().for_each(|local| self.set_end(local, until));
        self.statistics.granted += 1;
        self.tell(Event::Allocated { user, client, relayed });
        self.grant(index);
    }

    fn grant(&mut self, index: usize) {
        let Some(held) = self.held.get(index) else { return };
        let key = held.key.integrity(&self.provider, held.granted.integrity);
        let head = held.head(Class::Success);
        self.outbox.respond(held.path, head, Some(&key), |message| held.write(message));
    }
}

impl Held {
    fn head(&self, class: Class) -> Head {
        let Granted { transaction, has_fingerprint, .. } = self.granted;
        Head { class, method: Method::ALLOCATE, transaction, has_fingerprint }
    }

    /// What the success response has (RFC 8656 §7.2).
    fn write<'b>(&self, mut message: MessageBuilder<'b>) -> MessageBuilder<'b> {
        for relay in &self.relays {
            message = message.xor_address(AttributeType::XOR_RELAYED_ADDRESS, relay.external);
        }
        message = message
            .attribute(AttributeType::LIFETIME, &self.granted.lifetime.encode())
            .xor_mapped_address(self.path.remote);
        if let Some((family, code)) = self.granted.missing {
            message =
                message.attribute(AttributeType::ADDRESS_ERROR_CODE, &encode_address_error(family, code));
        }
        if let Some(mobility) = &self.mobility {
            message = message.attribute(AttributeType::MOBILITY_TICKET, &mobility.ticket.0);
        }
        match self.granted.reservation {
            Some(token) => message.attribute(AttributeType::RESERVATION_TOKEN, &token.0),
            None => message,
        }
    }
}
