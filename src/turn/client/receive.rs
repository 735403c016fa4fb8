//! What a client makes of the server's responses.

use std::net::SocketAddr;
use std::time::Instant;

use smallvec::SmallVec;

use super::agent::{Client, State};
use super::connections::ConnectionNumber;
use super::event::{Event, FailureCause, Refusal};
use super::transaction::{Purpose, Transaction};
use crate::stun::{AttributeType, Class, ErrorCode, Message, Proof, Redirection, StunError};
use crate::turn::allocation::{Allocation, refresh_after};
use crate::turn::attribute::{AddressFamily, Lifetime, ReservationToken, decode_address_error};
use crate::turn::channel::ChannelNumber;

/// The comprehension-required attributes that a response may have.
const KNOWN: [AttributeType; 16] = [
    AttributeType::MAPPED_ADDRESS,
    AttributeType::XOR_MAPPED_ADDRESS,
    AttributeType::XOR_RELAYED_ADDRESS,
    AttributeType::XOR_PEER_ADDRESS,
    AttributeType::LIFETIME,
    AttributeType::RESERVATION_TOKEN,
    AttributeType::CHANNEL_NUMBER,
    AttributeType::ERROR_CODE,
    AttributeType::UNKNOWN_ATTRIBUTES,
    AttributeType::USERNAME,
    AttributeType::REALM,
    AttributeType::NONCE,
    AttributeType::PASSWORD_ALGORITHM,
    AttributeType::USERHASH,
    AttributeType::REQUESTED_ADDRESS_FAMILY,
    AttributeType::CONNECTION_ID,
];

impl Client {
    /// A success or error response, by the path to the server or by the stream of a connection.
    pub(super) fn response(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        by: Option<ConnectionNumber>,
    ) -> Result<(), StunError> {
        let id = message.transaction_id();
        let at = self.transactions.iter().position(|it| it.id == id);
        let at = at.ok_or(StunError::Ignored("it belongs to no transaction under way"))?;
        if message.method() != self.transactions[at].purpose.method() {
            return Err(StunError::Ignored("its method is not that of the request"));
        }
        let purpose = self.transactions[at].purpose;
        if by.map(Purpose::Bind) != Some(purpose).filter(|purpose| matches!(purpose, Purpose::Bind(_))) {
            return Err(StunError::Ignored("it came by another stream than its request"));
        }
        let error = match (message.class(), message.error_code()) {
            (Class::Error, Some((code, _))) => Some(code),
            (Class::Error, None) => return Err(StunError::Ignored("it is an error without a code")),
            _ => None,
        };
        // RFC 8489 §9.2.5: as if it had been lost; what it said is told if nothing better comes.
        let proof = self.credentials_of(purpose).prove(message, self.transactions[at].signed);
        if proof == Proof::Missing {
            self.transactions[at].unproven = error;
            return Err(StunError::Ignored("its integrity is missing or wrong"));
        }
        // On the path anybody can make these; whoever does so must not end what is established.
        let is_challenge = matches!(error, Some(ErrorCode::UNAUTHENTICATED | ErrorCode::STALE_NONCE));
        let is_established = matches!(self.state, State::Allocated | State::Moving);
        if is_challenge && is_established && self.is_unusable_challenge(at, message) {
            self.transactions[at].unproven = error;
            return Err(StunError::Ignored("its challenge cannot be met safely"));
        }
        let transaction = self.transactions.remove(at);
        match error {
            Some(code) => self.refused(now, &transaction, code, message),
            None if message.unknown_required(&KNOWN).next().is_some() => {
                self.refused(now, &transaction, ErrorCode::UNKNOWN_ATTRIBUTE, message);
            }
            None => self.granted(now, &transaction, message),
        }
        self.settle(now);
        Ok(())
    }

    fn is_unusable_challenge(&mut self, at: usize, message: &Message<'_>) -> bool {
        let is_stale = message.error_code().is_some_and(|(code, _)| code == ErrorCode::STALE_NONCE);
        let Transaction { purpose, signed, .. } = self.transactions[at];
        (is_stale || !signed) && self.challenged_credentials(purpose).challenged(message).is_err()
    }

    fn granted(&mut self, now: Instant, transaction: &Transaction, message: &Message<'_>) {
        match transaction.purpose {
            Purpose::Allocate if self.state == State::Closing => self.start(now, Purpose::Delete, 0),
            Purpose::Allocate => self.allocated(now, message),
            Purpose::Refresh => self.refreshed(now, message),
            Purpose::Resume => self.resumed(now, message),
            Purpose::Delete => self.end(Event::Closed),
            Purpose::Forget => self.allocate(now),
            Purpose::Permission(peer) => {
                if self.peers.grant_permission(now, peer, false) {
                    self.tell(Event::Permitted(peer));
                }
            }
            Purpose::Channel(place) => self.bound(now, place),
            Purpose::Connect(number) => self.peer_connected(now, number, message),
            Purpose::Bind(number) => self.connection_bound(number),
        }
    }

    fn allocated(&mut self, now: Instant, message: &Message<'_>) {
        let mut relayed = SmallVec::<[SocketAddr; 2]>::new();
        for address in message.xor_addresses(AttributeType::XOR_RELAYED_ADDRESS) {
            let is_new = relayed.iter().all(|other| other.is_ipv4() != address.is_ipv4());
            if is_new && !address.ip().is_unspecified() && address.port() != 0 {
                relayed.push(address);
            }
        }
        if relayed.is_empty() {
            return self.fail(FailureCause::Unusable);
        }
        let lifetime = message.attribute(AttributeType::LIFETIME).and_then(Lifetime::decode);
        let reservation = message.attribute(AttributeType::RESERVATION_TOKEN);
        let allocation = Allocation {
            relayed: relayed.into_iter().collect(),
            mapped: message.xor_address(AttributeType::XOR_MAPPED_ADDRESS),
            lifetime: lifetime.unwrap_or(Lifetime::DEFAULT),
            reservation: reservation.and_then(ReservationToken::decode),
        };
        self.state = State::Allocated;
        self.made_at = Some(now);
        self.held_before = true;
        (self.server_errors, self.taken, self.redirection) = (0, 0, Redirection::default());
        self.refresh_at = Some(now + refresh_after(allocation.lifetime));
        self.allocation = Some(allocation.clone());
        self.take_ticket(message);
        self.tell(Event::Allocated(allocation));
        let refused = message.attribute(AttributeType::ADDRESS_ERROR_CODE).and_then(decode_address_error);
        if let Some((family, code)) = refused {
            self.tell(Event::FamilyRefused(family, code));
        }
    }

    pub(super) fn refreshed(&mut self, now: Instant, message: &Message<'_>) {
        let lifetime = message.attribute(AttributeType::LIFETIME).and_then(Lifetime::decode);
        let lifetime = lifetime.unwrap_or(Lifetime::DEFAULT);
        // RFC 8656 §8.3: zero says that it is deleted, whatever was asked.
        if lifetime == Lifetime::ZERO {
            return self.lose(now);
        }
        if let Some(allocation) = &mut self.allocation {
            allocation.lifetime = lifetime;
        }
        self.refresh_at = Some(now + refresh_after(lifetime));
    }

    fn bound(&mut self, now: Instant, place: usize) {
        let Some((peer, is_new)) = self.peers.grant_channel(now, place) else { return };
        // RFC 8656 §12: the permission is renewed with it.
        let is_permitted_now = self.peers.grant_permission(now, peer.ip(), true);
        if is_permitted_now {
            self.tell(Event::Permitted(peer.ip()));
        }
        if let Some(number) = ChannelNumber::nth(place).filter(|_| is_new) {
            self.tell(Event::ChannelBound(peer, number));
        }
    }

    pub(super) fn refuse_permission(&mut self, peer: std::net::IpAddr, refusal: Refusal) {
        if self.peers.permission(peer).is_some() {
            self.peers.refuse_permission(peer);
            self.tell(Event::PermissionRefused(peer, refusal));
        }
    }

    pub(super) fn refuse_channel(&mut self, place: usize, refusal: Refusal) {
        if let Some(peer) = self.peers.refuse_channel(place) {
            self.tell(Event::ChannelRefused(peer, refusal));
        }
    }

    /// Whether the allocation has an address of a family.
    pub(super) fn has_family(&self, peer: std::net::IpAddr) -> bool {
        let family = AddressFamily::of(peer);
        let mut relayed = self.allocation.iter().flat_map(|allocation| &allocation.relayed);
        relayed.any(|address| AddressFamily::of(address.ip()) == family)
    }
}
