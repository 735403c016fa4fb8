//! An allocation as the server holds it, RFC 8656 §6.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::event::Traffic;
use super::relay_address::Parity;
use super::ticket::Mobility;
use super::token_bucket::TokenBucket;
use crate::layer::FiveTuple;
use crate::stun::{ErrorCode, IntegrityAlgorithm, LongTermKey, PasswordAlgorithm, TransactionId};
use crate::turn::attribute::{AddressFamily, Lifetime, ReservationToken};
use crate::turn::channel::{CHANNEL_COOLDOWN, CHANNEL_LIFETIME, ChannelNumber};
use crate::turn::permission::PERMISSION_LIFETIME;

#[derive(Debug)]
pub(super) struct Held {
    pub(super) path: FiveTuple,
    pub(super) username: Box<str>,
    pub(super) user: Arc<str>,
    pub(super) account: usize,
    /// What the user has proved, good for as long as the allocation lives.
    pub(super) key: LongTermKey,
    pub(super) algorithm: PasswordAlgorithm,
    pub(super) granted: Granted,
    pub(super) made_at: Instant,
    pub(super) relays: SmallVec<[Relay; 2]>,
    pub(super) peers: Peers,
    pub(super) bucket: TokenBucket,
    pub(super) icmp: TokenBucket,
    pub(super) traffic: Traffic,
    /// Whether it is for TCP (RFC 6062).
    pub(super) is_tcp: bool,
    /// The connections of its peers.
    pub(super) connections: Vec<u32>,
    /// Of one that may move.
    pub(super) mobility: Option<Box<Mobility>>,
}

/// What the answer to Allocate says, which is repeated with the request.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) transaction: TransactionId,
    pub(super) integrity: IntegrityAlgorithm,
    pub(super) has_fingerprint: bool,
    pub(super) lifetime: Lifetime,
    pub(super) reservation: Option<ReservationToken>,
    /// The family that there is no address of.
    pub(super) missing: Option<(AddressFamily, ErrorCode)>,
    pub(super) parity: Parity,
    /// How often another port was tried.
    pub(super) tries: u8,
    /// Whether all sockets were there.
    pub(super) is_complete: bool,
}

/// A relayed transport address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relay {
    pub(super) local: SocketAddr,
    pub(super) external: SocketAddr,
    /// The place of its ports.
    pub(super) pool: usize,
    pub(super) until: Instant,
    pub(super) is_open: bool,
}

impl Relay {
    pub(super) fn family(&self) -> AddressFamily {
        AddressFamily::of(self.external.ip())
    }
}

impl Held {
    /// Whether it was granted: until then it waits for its sockets.
    pub(super) fn is_granted(&self) -> bool {
        self.granted.is_complete
    }

    pub(super) fn relay_of(&self, peer: IpAddr) -> Option<&Relay> {
        let family = AddressFamily::of(peer);
        self.relays.iter().find(|relay| relay.family() == family)
    }
}

/// The permissions and the channels of an allocation, in order: few as a rule, and found by halving where they are many.
#[derive(Debug, Default)]
pub(super) struct Peers {
    permissions: Vec<(IpAddr, Instant)>,
    channels: Vec<Channel>,
    by_peer: Vec<(SocketAddr, ChannelNumber)>,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    number: ChannelNumber,
    peer: SocketAddr,
    until: Instant,
}

/// Why a channel cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbound {
    /// The number or the peer is bound to another.
    Taken,
    TooMany,
}

impl Peers {
    pub(super) fn is_permitted(&self, now: Instant, peer: IpAddr) -> bool {
        let found = self.permissions.binary_search_by_key(&peer, |(address, _)| *address);
        found.is_ok_and(|at| self.permissions[at].1 > now)
    }

    /// Whether so many addresses may be permitted besides those that are.
    pub(super) fn has_room(&mut self, now: Instant, addresses: &[IpAddr], limit: usize) -> bool {
        if self.permissions.len() + addresses.len() > limit {
            self.permissions.retain(|(_, until)| *until > now);
        }
        let known = |address: &&IpAddr| self.permissions.iter().any(|(permitted, _)| permitted == *address);
        let new = addresses.len() - addresses.iter().filter(known).count();
        self.permissions.len() + new <= limit
    }

    pub(super) fn permit(&mut self, now: Instant, peer: IpAddr) {
        let until = now + PERMISSION_LIFETIME;
        match self.permissions.binary_search_by_key(&peer, |(address, _)| *address) {
            Ok(at) => self.permissions[at].1 = until,
            Err(at) => self.permissions.insert(at, (peer, until)),
        }
    }

    /// RFC 8656 §12.2: neither the number nor the peer is bound to another, nor was until a moment ago.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        number: ChannelNumber,
        peer: SocketAddr,
        limit: usize,
    ) -> Result<(), Unbound> {
        let until = now + CHANNEL_LIFETIME;
        let rests = |channel: &Channel| channel.until + CHANNEL_COOLDOWN > now;
        let (by_number, by_peer) = (self.place(number), self.place_of(peer));
        if let (Ok(at), Ok(_)) = (by_number, by_peer)
            && self.channels[at].peer == peer
        {
            self.channels[at].until = until;
            return Ok(());
        }
        let other = by_peer.ok().and_then(|at| self.place(self.by_peer[at].1).ok());
        if [by_number.ok(), other].into_iter().flatten().any(|at| rests(&self.channels[at])) {
            return Err(Unbound::Taken);
        }
        if by_number.is_ok() || by_peer.is_ok() || self.channels.len() >= limit {
            self.channels.retain(rests);
            let Self { channels, by_peer, .. } = self;
            by_peer.retain(|(_, number)| channels.binary_search_by_key(number, |it| it.number).is_ok());
        }
        if self.channels.len() >= limit {
            return Err(Unbound::TooMany);
        }
        if let (Err(at), Err(of_peer)) = (self.place(number), self.place_of(peer)) {
            self.channels.insert(at, Channel { number, peer, until });
            self.by_peer.insert(of_peer, (peer, number));
        }
        Ok(())
    }

    fn place(&self, number: ChannelNumber) -> Result<usize, usize> {
        self.channels.binary_search_by_key(&number, |channel| channel.number)
    }

    fn place_of(&self, peer: SocketAddr) -> Result<usize, usize> {
        self.by_peer.binary_search_by_key(&peer, |(address, _)| *address)
    }

    /// The peer of a channel, while it is bound.
    pub(super) fn peer(&self, now: Instant, number: ChannelNumber) -> Option<SocketAddr> {
        let channel = self.place(number).ok().map(|at| self.channels[at])?;
        (channel.until > now).then_some(channel.peer)
    }

    /// The channel of a peer, while it is bound.
    pub(super) fn channel(&self, now: Instant, peer: SocketAddr) -> Option<ChannelNumber> {
        let number = self.place_of(peer).ok().map(|at| self.by_peer[at].1)?;
        self.peer(now, number).map(|_| number)
    }

    /// Takes back what is not permitted any more.
    pub(super) fn retain(
        &mut self,
        permits: impl Fn(IpAddr) -> bool,
        permits_peer: impl Fn(SocketAddr) -> bool,
    ) {
        self.permissions.retain(|(address, _)| permits(*address));
        self.channels.retain(|channel| permits_peer(channel.peer));
        self.by_peer.retain(|(peer, _)| permits_peer(*peer));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn channel(number: u16) -> ChannelNumber {
        ChannelNumber::new(number).unwrap()
    }

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::new([192, 0, 2, 1].into(), port)
    }

    /// RFC 8656 §12: ten minutes bound, then five at rest.
    #[test]
    fn channels_are_bound_to_one_peer_until_they_have_rested() {
        let start = Instant::now();
        let mut peers = Peers::default();
        assert_eq!(peers.bind(start, channel(0x4000), peer(1), 2), Ok(()));
        for (seconds, number, port, bound) in [
            (1, 0x4000, 2, Err(Unbound::Taken)),
            (1, 0x4001, 1, Err(Unbound::Taken)),
            (1, 0x4001, 2, Ok(())),
            (1, 0x4002, 3, Err(Unbound::TooMany)),
            (500, 0x4001, 2, Ok(())),
            (899, 0x4000, 3, Err(Unbound::Taken)),
            (899, 0x4002, 1, Err(Unbound::Taken)),
            (901, 0x4000, 3, Ok(())),
            (901, 0x4002, 1, Err(Unbound::TooMany)),
            (1401, 0x4001, 1, Ok(())),
        ] {
            let now = start + Duration::from_secs(seconds);
            assert_eq!(
                peers.bind(now, channel(number), peer(port), 2),
                bound,
                "{seconds} {number:#x} {port}"
            );
        }
        let now = start + Duration::from_secs(1401);
        assert_eq!(
            (peers.peer(now, channel(0x4000)), peers.channel(now, peer(1))),
            (Some(peer(3)), Some(channel(0x4001)))
        );
        assert_eq!(peers.peer(now + CHANNEL_LIFETIME, channel(0x4001)), None);
    }

    #[test]
    fn permissions_are_of_addresses_and_run_out() {
        let start = Instant::now();
        let mut peers = Peers::default();
        let addresses: [IpAddr; 2] = [peer(1).ip(), [192, 0, 2, 2].into()];
        assert!(peers.has_room(start, &addresses, 2) && !peers.has_room(start, &addresses, 1));
        addresses.iter().for_each(|address| peers.permit(start, *address));
        assert!(peers.has_room(start, &addresses, 2) && !peers.has_room(start, &[[192, 0, 2, 3].into()], 2));
        let end = start + PERMISSION_LIFETIME;
        assert!(peers.is_permitted(end - Duration::from_millis(1), addresses[0]));
        assert!(!peers.is_permitted(end, addresses[0]));
        assert!(peers.has_room(end, &[[192, 0, 2, 3].into()], 2));
    }
}
