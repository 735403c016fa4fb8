//! Requests and what follows from them.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use smallvec::SmallVec;

use super::agent::Server;
use super::authenticate::{Caller, Identified};
use super::credentials::Grant;
use super::event::{Limit, ReleaseReason, ServerError};
use super::held::{Held, Unbound};
use super::outbox::Head;
use crate::layer::FiveTuple;
use crate::stun::{AttributeType, Class, ErrorCode, Message, MessageBuilder, Method};
use crate::turn::attribute::{AddressFamily, Lifetime};
use crate::turn::channel::ChannelNumber;

/// How many answers to deletions are repeated.
const MAX_DELETED: usize = 256;

/// More unknown attributes than these are not listed.
const LISTED_UNKNOWN: usize = 8;

/// What requests may have.
const KNOWN: [AttributeType; 17] = [
    AttributeType::USERNAME,
    AttributeType::USERHASH,
    AttributeType::REALM,
    AttributeType::NONCE,
    AttributeType::PASSWORD_ALGORITHM,
    AttributeType::CHANNEL_NUMBER,
    AttributeType::CONNECTION_ID,
    AttributeType::LIFETIME,
    AttributeType::XOR_PEER_ADDRESS,
    AttributeType::DATA,
    AttributeType::XOR_RELAYED_ADDRESS,
    AttributeType::REQUESTED_ADDRESS_FAMILY,
    AttributeType::EVEN_PORT,
    AttributeType::REQUESTED_TRANSPORT,
    AttributeType::DONT_FRAGMENT,
    AttributeType::XOR_MAPPED_ADDRESS,
    AttributeType::RESERVATION_TOKEN,
];

/// Why a request is refused whose user is known.
#[derive(Debug)]
pub(super) struct Refusal {
    code: ErrorCode,
    unknown: SmallVec<[AttributeType; LISTED_UNKNOWN]>,
    alternate: Option<SocketAddr>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, unknown: SmallVec::new(), alternate: None }
    }
}

impl Refusal {
    pub(super) fn unknown(kinds: impl IntoIterator<Item = AttributeType>) -> Self {
        let unknown = kinds.into_iter().take(LISTED_UNKNOWN).collect();
        Self { unknown, ..ErrorCode::UNKNOWN_ATTRIBUTE.into() }
    }

    pub(super) fn alternate(server: SocketAddr) -> Self {
        Self { alternate: Some(server), ..ErrorCode::TRY_ALTERNATE.into() }
    }

    fn write<'b>(&self, mut message: MessageBuilder<'b>) -> MessageBuilder<'b> {
        message = message.error_code(self.code);
        if !self.unknown.is_empty() {
            message = message.unknown_attributes(self.unknown.iter().copied());
        }
        match self.alternate {
            Some(server) => message.alternate_server(server),
            None => message,
        }
    }
}

impl Server {
    pub(super) fn handle_message(
        &mut self,
        now: Instant,
        path: FiveTuple,
        bytes: &[u8],
    ) -> Result<(), ServerError> {
        let message = Message::decode(bytes)?;
        if message.class() != Class::Request {
            return Err(ServerError::Ignored("it is no request"));
        }
        // An answer to port 0 cannot be sent.
        if path.remote.port() == 0 {
            return Err(ServerError::Ignored("it comes from port 0"));
        }
        match message.method() {
            Method::BINDING => self.bind(now, path, &message),
            _ => self.request(now, path, &message, None),
        }
        Ok(())
    }

    fn bind(&mut self, now: Instant, path: FiveTuple, request: &Message<'_>) {
        if !self.may_answer(now, path) {
            return;
        }
        self.statistics.bindings += 1;
        // Credentials are not asked for and so not looked at (RFC 8489 §9).
        let unknown: SmallVec<[AttributeType; LISTED_UNKNOWN]> =
            request.unknown_required(&KNOWN).take(LISTED_UNKNOWN).collect();
        let class = if unknown.is_empty() { Class::Success } else { Class::Error };
        self.outbox.respond(path, Head::of(request, class), None, |message| match class {
            Class::Success => message.xor_mapped_address(path.remote),
            _ => Refusal::unknown(unknown).write(message),
        });
    }

    pub(super) fn request(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        grant: Option<&Grant>,
    ) {
        // What has ended is no allocation, though nobody may have said yet how late it is.
        self.wake(now);
        let caller = match self.identify(now, path, request, grant) {
            Identified::User(caller) => caller,
            Identified::Asked => return,
            Identified::Stranger(refused) => return self.challenge(now, path, request, &refused),
        };
        if let Err(refusal) = self.serve(now, path, request, &caller) {
            self.statistics.refused += 1;
            let head = Head::of(request, Class::Error);
            self.outbox.respond(path, head, Some(&caller.integrity), |message| refusal.write(message));
        }
    }

    fn serve(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        if request.unknown_required(&KNOWN).next().is_some() {
            return Err(Refusal::unknown(request.unknown_required(&KNOWN)));
        }
        self.moves_with(path, request, caller);
        match request.method() {
            Method::ALLOCATE => self.allocate(now, path, request, caller),
            Method::REFRESH => self.refresh(now, path, request, caller),
            Method::CREATE_PERMISSION => self.create_permission(now, path, request, caller),
            Method::CHANNEL_BIND => self.channel_bind(now, path, request, caller),
            Method::CONNECT => self.connect(now, path, request, caller),
            Method::CONNECTION_BIND => self.bind_connection(path, request, caller),
            _ => Err(ErrorCode::BAD_REQUEST.into()),
        }
    }

    pub(super) fn succeed(
        &mut self,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
        write: impl for<'b> FnOnce(MessageBuilder<'b>) -> MessageBuilder<'b>,
    ) {
        self.outbox.respond(path, Head::of(request, Class::Success), Some(&caller.integrity), write);
    }

    /// The allocation of a path, if it is the caller's (RFC 8656 §5).
    pub(super) fn own(&self, path: FiveTuple, caller: &Caller) -> Result<(usize, &Held), ErrorCode> {
        let index = self.by_path.get(&path).copied().ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let held =
            self.held.get(index).filter(|held| held.is_granted()).ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if *held.username != *caller.username {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        Ok((index, held))
    }

    /// RFC 8656 §8.2.
    fn refresh(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let lifetime = self.lifetime(request)?;
        let family = requested_family(request, AttributeType::REQUESTED_ADDRESS_FAMILY)?;
        let ticket = self.resume(now, path, request, caller)?;
        let (_, held) = match self.own(path, caller) {
            Ok(own) => own,
            Err(ErrorCode::ALLOCATION_MISMATCH) if self.was_deleted(path, request) => {
                let zero = Lifetime::ZERO.encode();
                self.succeed(path, request, caller, |it| it.attribute(AttributeType::LIFETIME, &zero));
                return Ok(());
            }
            Err(code) => return Err(code.into()),
        };
        let relays: SmallVec<[SocketAddr; 2]> = held
            .relays
            .iter()
            .filter(|relay| family.is_none_or(|family| relay.family() == family))
            .map(|relay| relay.local)
            .collect();
        if relays.is_empty() {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH.into());
        }
        for local in relays {
            if lifetime == Lifetime::ZERO {
                self.release_relay(now, local, ReleaseReason::Deleted);
            } else {
                self.set_end(local, now + lifetime.duration());
            }
        }
        if lifetime == Lifetime::ZERO && !self.by_path.contains_key(&path) {
            if self.deleted.len() >= MAX_DELETED {
                self.deleted.pop_front();
            }
            self.deleted.push_back((path, request.transaction_id()));
        }
        let granted = lifetime.encode();
        self.succeed(path, request, caller, |it| {
            let it = it.attribute(AttributeType::LIFETIME, &granted);
            match ticket {
                Some(ticket) => it.attribute(AttributeType::MOBILITY_TICKET, &ticket.0),
                None => it,
            }
        });
        Ok(())
    }

    fn was_deleted(&self, path: FiveTuple, request: &Message<'_>) -> bool {
        self.deleted.contains(&(path, request.transaction_id()))
    }

    /// The lifetime to grant for what a request asks for (RFC 8656 §7.2).
    pub(super) fn lifetime(&self, request: &Message<'_>) -> Result<Lifetime, ErrorCode> {
        let asked = match request.attribute(AttributeType::LIFETIME) {
            Some(value) => Lifetime::decode(value).ok_or(ErrorCode::BAD_REQUEST)?,
            None => Lifetime::DEFAULT,
        };
        if asked == Lifetime::ZERO {
            return Ok(asked);
        }
        let longest = Lifetime::from_secs(self.config.max_lifetime.as_secs().try_into().unwrap_or(u32::MAX));
        Ok(asked.min(longest).max(Lifetime::DEFAULT))
    }

    /// RFC 8656 §10.2: all of the addresses or none.
    fn create_permission(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let limit = self.config.max_permissions;
        let kind = AttributeType::XOR_PEER_ADDRESS;
        let (index, held) = self.own(path, caller)?;
        let peers: SmallVec<[IpAddr; 8]> = request.xor_addresses(kind).map(|peer| peer.ip()).collect();
        let named = request.attributes().filter(|attribute| attribute.kind == kind).count();
        if peers.is_empty() || peers.len() != named {
            return Err(ErrorCode::BAD_REQUEST.into());
        }
        if peers.iter().any(|peer| held.relay_of(*peer).is_none()) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH.into());
        }
        if !peers.iter().all(|peer| self.permits_address(*peer)) {
            return Err(ErrorCode::FORBIDDEN.into());
        }
        let Some(held) = self.held.get_mut(index) else { return Err(ErrorCode::ALLOCATION_MISMATCH.into()) };
        if !held.peers.has_room(now, &peers, limit) {
            self.refused(&caller.account, Limit::Permissions);
            return Err(ErrorCode::INSUFFICIENT_CAPACITY.into());
        }
        peers.iter().for_each(|peer| held.peers.permit(now, *peer));
        self.succeed(path, request, caller, |message| message);
        Ok(())
    }

    /// RFC 8656 §12.2.
    fn channel_bind(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        caller: &Caller,
    ) -> Result<(), Refusal> {
        let (index, held) = self.own(path, caller)?;
        // RFC 6062 §4: there are no channels on TCP.
        if held.is_tcp {
            return Err(ErrorCode::BAD_REQUEST.into());
        }
        let number = request.attribute(AttributeType::CHANNEL_NUMBER).and_then(ChannelNumber::decode);
        let number = number.ok_or(ErrorCode::BAD_REQUEST)?;
        let peer = request.xor_address(AttributeType::XOR_PEER_ADDRESS).ok_or(ErrorCode::BAD_REQUEST)?;
        if held.relay_of(peer.ip()).is_none() {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH.into());
        }
        if !self.permits(peer) {
            return Err(ErrorCode::FORBIDDEN.into());
        }
        let (permissions, channels) = (self.config.max_permissions, self.config.max_channels);
        let Some(held) = self.held.get_mut(index) else { return Err(ErrorCode::ALLOCATION_MISMATCH.into()) };
        if !held.peers.has_room(now, &[peer.ip()], permissions) {
            self.refused(&caller.account, Limit::Permissions);
            return Err(ErrorCode::INSUFFICIENT_CAPACITY.into());
        }
        match held.peers.bind(now, number, peer, channels) {
            Ok(()) => held.peers.permit(now, peer.ip()),
            Err(Unbound::Taken) => return Err(ErrorCode::BAD_REQUEST.into()),
            Err(Unbound::TooMany) => {
                self.refused(&caller.account, Limit::Channels);
                return Err(ErrorCode::INSUFFICIENT_CAPACITY.into());
            }
        }
        self.succeed(path, request, caller, |message| message);
        Ok(())
    }
}

/// A family that a request asks for: 400 if it is malformed, 440 if it is none that is known.
pub(super) fn requested_family(
    request: &Message<'_>,
    kind: AttributeType,
) -> Result<Option<AddressFamily>, ErrorCode> {
    match request.attribute(kind) {
        Some(value) if value.len() != 4 => Err(ErrorCode::BAD_REQUEST),
        Some(value) => match AddressFamily::decode(value) {
            Some(family) => Ok(Some(family)),
            None => Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED),
        },
        None => Ok(None),
    }
}
