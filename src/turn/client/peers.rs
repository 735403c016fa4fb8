//! The peers of an allocation: their permissions and channels.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::transaction::Purpose;
use crate::turn::channel::{CHANNEL_COOLDOWN, CHANNEL_LIFETIME, ChannelNumber};
use crate::turn::permission::PERMISSION_LIFETIME;

/// A minute before a permission would end it is renewed; a channel is bound anew as often, since that renews the
/// permission of its peer, too.
const RENEWAL: Duration = Duration::from_secs(240);

/// The permission of a peer with a channel is renewed by itself only if the channel is late.
const RENEWAL_BESIDE_CHANNEL: Duration = Duration::from_secs(270);

/// When what was not answered is asked for again.
const PAUSE: Duration = Duration::from_secs(60);
const SHORTEST_PAUSE: Duration = Duration::from_secs(5);

/// Something that is asked for, held for a while and renewed.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// Whether it is to be asked for as soon as there is a place for the request.
    pub(super) wanted: bool,
    /// Whether it is being asked for.
    pub(super) asked: bool,
    /// Until when the server grants it.
    pub(super) until: Option<Instant>,
    renew_at: Option<Instant>,
    /// Whether it was refused, and is not asked for again.
    pub(super) refused: bool,
}

impl Lease {
    fn wanted() -> Self {
        Self { wanted: true, ..Self::default() }
    }

    fn grant(&mut self, now: Instant, lifetime: Duration, renewal: Duration) {
        *self = Self { until: Some(now + lifetime), renew_at: Some(now + renewal), ..Self::default() };
    }

    /// Nobody answered, or the server cannot at the moment: it is asked for again a while later, and more often as long
    /// as what is left of it would not last.
    pub(super) fn put_off(&mut self, now: Instant) {
        let left = self.until.map_or(PAUSE, |until| until.saturating_duration_since(now) / 2);
        let pause = left.clamp(SHORTEST_PAUSE, PAUSE);
        *self = Self { until: self.until, renew_at: Some(now + pause), ..Self::default() };
    }

    fn refuse(&mut self) {
        *self = Self { refused: true, ..Self::default() };
    }

    /// Whether it has run out.
    fn due(&mut self, now: Instant) -> bool {
        if self.renew_at.is_some_and(|at| at <= now) {
            self.renew_at = None;
            self.wanted = true;
        }
        self.until.take_if(|until| *until <= now).is_some()
    }

    fn next(&self) -> Option<Instant> {
        [self.renew_at, self.until].into_iter().flatten().min()
    }
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) peer: SocketAddr,
    pub(super) lease: Lease,
    /// Whether the application has released it: it is not renewed.
    released: bool,
    /// When its number and its peer may be bound to others.
    free_at: Option<Instant>,
    /// Whether a request to bind it was never answered: the server may have bound it.
    pub(super) unanswered: bool,
    /// Whether the server has bound it: what comes by it is of its peer, also once it is not renewed.
    was_bound: bool,
}

/// Peers by address, and channels by number.
#[derive(Debug, Default)]
pub(super) struct Peers {
    permissions: BTreeMap<IpAddr, Lease>,
    channels: Vec<Channel>,
    by_peer: FxHashMap<SocketAddr, usize>,
}

impl Peers {
    pub(super) fn permission(&self, peer: IpAddr) -> Option<&Lease> {
        self.permissions.get(&peer)
    }

    pub(super) fn permissions(&self) -> usize {
        self.permissions.len()
    }

    pub(super) fn is_permitted(&self, peer: IpAddr) -> bool {
        self.permissions.get(&peer).is_some_and(|lease| lease.until.is_some())
    }

    /// Wants a permission, unless there is one or it was refused.
    pub(super) fn want_permission(&mut self, peer: IpAddr) {
        self.permissions.entry(peer).or_insert_with(Lease::wanted);
    }

    /// Says whether the permission is a new one. One that came with a channel is renewed with it.
    pub(super) fn grant_permission(&mut self, now: Instant, peer: IpAddr, with_channel: bool) -> bool {
        let Some(lease) = self.permissions.get_mut(&peer) else { return false };
        let is_new = lease.until.is_none();
        let renewal = if with_channel { RENEWAL_BESIDE_CHANNEL } else { RENEWAL };
        // Its own request may still be under way.
        let asked = lease.asked && with_channel;
        lease.grant(now, PERMISSION_LIFETIME, renewal);
        lease.asked = asked;
        is_new
    }

    pub(super) fn put_off_permission(&mut self, now: Instant, peer: IpAddr) {
        if let Some(lease) = self.permissions.get_mut(&peer) {
            lease.put_off(now);
        }
    }

    pub(super) fn refuse_permission(&mut self, peer: IpAddr) {
        if let Some(lease) = self.permissions.get_mut(&peer) {
            lease.refuse();
        }
    }

    pub(super) fn channel_of(&self, peer: SocketAddr) -> Option<&Channel> {
        self.channels.get(*self.by_peer.get(&peer)?)
    }

    /// The number that data for a peer goes by.
    pub(super) fn bound(&self, peer: SocketAddr) -> Option<ChannelNumber> {
        let place = *self.by_peer.get(&peer)?;
        self.channels.get(place)?.lease.until?;
        ChannelNumber::nth(place)
    }

    /// The peer whose data comes by a channel. While a first request to bind it is unanswered the server may have bound
    /// it already, and it sends by it as long as it is bound, whatever it says of renewing it.
    pub(super) fn peer_of(&self, channel: ChannelNumber) -> Option<SocketAddr> {
        let channel = self.channels.get(channel.index())?;
        let may_be_bound = channel.was_bound || channel.lease.asked || channel.unanswered;
        may_be_bound.then_some(channel.peer)
    }

    pub(super) fn channel_at(&self, place: usize) -> Option<&Channel> {
        self.channels.get(place)
    }

    pub(super) fn channel_mut(&mut self, place: usize) -> Option<&mut Channel> {
        self.channels.get_mut(place)
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.iter().filter(|channel| !channel.released).count()
    }

    /// Wants a channel, under the number that the peer has or had; `false` if there is no number left.
    pub(super) fn want_channel(&mut self, now: Instant, peer: SocketAddr) -> bool {
        if let Some(place) = self.by_peer.get(&peer) {
            if let Some(channel) = self.channels.get_mut(*place).filter(|channel| channel.released) {
                channel.released = false;
                channel.free_at = None;
                channel.lease.wanted = true;
            }
            return true;
        }
        let is_free = |channel: &Channel| channel.free_at.is_some_and(|at| at <= now);
        let place = self.channels.iter().position(is_free).unwrap_or(self.channels.len());
        if place >= ChannelNumber::COUNT {
            return false;
        }
        let channel = Channel {
            peer,
            lease: Lease::wanted(),
            released: false,
            free_at: None,
            unanswered: false,
            was_bound: false,
        };
        match self.channels.get_mut(place) {
            Some(old) => {
                self.by_peer.remove(&old.peer);
                *old = channel;
            }
            None => self.channels.push(channel),
        }
        self.by_peer.insert(peer, place);
        true
    }

    pub(super) fn grant_channel(&mut self, now: Instant, place: usize) -> Option<(SocketAddr, bool)> {
        let channel = self.channels.get_mut(place)?;
        let is_new = channel.lease.until.is_none();
        channel.lease.grant(now, CHANNEL_LIFETIME, RENEWAL);
        (channel.unanswered, channel.was_bound) = (false, true);
        let (peer, released) = (channel.peer, channel.released);
        if released {
            channel.lease.renew_at = None;
            channel.free_at = Some(now + CHANNEL_LIFETIME + CHANNEL_COOLDOWN);
        }
        Some((peer, is_new && !released))
    }

    pub(super) fn refuse_channel(&mut self, place: usize) -> Option<SocketAddr> {
        let channel = self.channels.get_mut(place)?;
        channel.lease.refuse();
        Some(channel.peer)
    }

    /// Lets the permission and the channel of a peer run out.
    pub(super) fn release(&mut self, now: Instant, peer: SocketAddr) {
        if let Some(channel) = self.by_peer.get(&peer).and_then(|place| self.channels.get_mut(*place)) {
            channel.released = true;
            channel.lease.wanted = false;
            channel.lease.renew_at = None;
            // What was never answered may be bound from now on.
            let until = channel.lease.until.unwrap_or(now + CHANNEL_LIFETIME);
            channel.free_at = Some(until + CHANNEL_COOLDOWN);
        }
        let others = self.channels.iter().any(|it| it.peer.ip() == peer.ip() && !it.released);
        if !others {
            self.permissions.remove(&peer.ip());
        }
    }

    /// All of it, once more, in a new allocation: also what was refused, perhaps for the allocation's sake or by another
    /// server.
    pub(super) fn reset(&mut self) {
        self.permissions.values_mut().for_each(|lease| *lease = Lease::wanted());
        self.channels.retain(|channel| !channel.released);
        self.by_peer.clear();
        for (place, channel) in self.channels.iter_mut().enumerate() {
            channel.lease = Lease::wanted();
            (channel.unanswered, channel.was_bound) = (false, false);
            self.by_peer.insert(channel.peer, place);
        }
    }

    /// What was asked for and not answered is asked for once more.
    pub(super) fn ask_again(&mut self) {
        let channels = self.channels.iter_mut().map(|channel| &mut channel.lease);
        for lease in self.permissions.values_mut().chain(channels) {
            lease.wanted |= std::mem::take(&mut lease.asked);
        }
    }

    /// The peers whose channels have run out though they are wanted.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> SmallVec<[SocketAddr; 4]> {
        for lease in self.permissions.values_mut() {
            lease.due(now);
        }
        let lapsed = self.channels.iter_mut().filter_map(|channel| {
            let has_lapsed = channel.lease.due(now);
            (has_lapsed && !channel.released).then_some(channel.peer)
        });
        lapsed.collect()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let leases = self.permissions.values().chain(self.channels.iter().map(|channel| &channel.lease));
        leases.filter_map(Lease::next).min()
    }

    /// What is to be asked for next, which is then taken as asked.
    pub(super) fn next_wanted(&mut self) -> Option<Purpose> {
        let permission = self.permissions.iter_mut().find(|(_, lease)| lease.wanted && !lease.asked);
        if let Some((peer, lease)) = permission {
            (lease.wanted, lease.asked) = (false, true);
            return Some(Purpose::Permission(*peer));
        }
        let is_wanted = |channel: &Channel| channel.lease.wanted && !channel.lease.asked && !channel.released;
        let place = self.channels.iter().position(is_wanted)?;
        let lease = &mut self.channels[place].lease;
        (lease.wanted, lease.asked) = (false, true);
        Some(Purpose::Channel(place))
    }
}
