//! Checks for user-name fragments that no session has.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::layer::{Datagram, Ecn, FiveTuple};
use crate::stun::{Class, Message, Method};

/// A connectivity check of a stranger: it names a user-name fragment that no session of the endpoint has, and has the form
/// that RFC 8445 §7.2.2 asks for. Whether it is authentic only a session with the credentials can tell, so that anybody may
/// have sent it, from any address.
///
/// An application that knows what the fragment stands for makes a session with it
/// ([`Session::with_ice_credentials`](crate::session::Session::with_ice_credentials)) and hands both to
/// [`Endpoint::accept`](super::Endpoint::accept). To refuse it there is nothing to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// The fragment of this side, which the session is to have.
    pub ufrag: String,
    /// The fragment that the peer gives as its own. WebRTC-direct of libp2p has the same on both sides.
    pub remote_ufrag: String,
    /// The path by which it came.
    pub path: FiveTuple,
    /// The ECN field of its IP header, where the socket told.
    pub ecn: Option<Ecn>,
    /// The datagram.
    pub datagram: Vec<u8>,
}

/// How much is kept for strangers; see [`Endpoint::set_incoming`](super::Endpoint::set_incoming).
///
/// A stranger is a path with a fragment: the checks that it repeats take no further place, and are told once. Beyond a limit
/// the one that came first is forgotten, and is a new one when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncomingLimits {
    /// The most strangers that are remembered. 256 by default.
    pub max_strangers: usize,
    /// The most of them on one path, so that no address takes all places. 4 by default.
    pub max_strangers_per_path: usize,
    /// The most bytes that they take, each with an overhead of 512. 256 KiB by default.
    pub max_bytes: usize,
    /// How long a stranger is remembered. 5 s by default. Who repeats its checks for longer is told again.
    pub remember: Duration,
}

impl Default for IncomingLimits {
    fn default() -> Self {
        Self {
            max_strangers: 256,
            max_strangers_per_path: 4,
            max_bytes: 256 << 10,
            remember: Duration::from_secs(5),
        }
    }
}

/// The strangers of one endpoint.
#[derive(Debug)]
pub(super) struct Strangers {
    limits: IncomingLimits,
    /// In trees, because a stranger chooses what the keys are.
    of_path: BTreeMap<FiveTuple, SmallVec<[Box<Stranger>; 1]>>,
    /// All of them by number, the oldest first.
    order: BTreeMap<u64, FiveTuple>,
    /// The application has been told of those before it.
    untold: u64,
    bytes: usize,
    next: u64,
    forgotten: u64,
}

#[derive(Debug)]
struct Stranger {
    number: u64,
    came: Instant,
    ufrag: String,
    remote_ufrag: String,
    ecn: Option<Ecn>,
    /// Empty once it was told.
    datagram: Vec<u8>,
    bytes: usize,
}

/// What a stranger takes besides the bytes of its check.
const OVERHEAD: usize = 512;
/// The longest check that is kept. One with fragments of 256 bytes has some 650.
const MAX_CHECK: usize = 1024;

impl Strangers {
    pub(super) fn new(limits: IncomingLimits) -> Self {
        Self {
            limits,
            of_path: BTreeMap::new(),
            order: BTreeMap::new(),
            untold: 0,
            bytes: 0,
            next: 0,
            forgotten: 0,
        }
    }

    /// Strangers that had to make room before the application was told of them.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Notes what is no check of a session, if it is the check of a stranger.
    pub(super) fn note(&mut self, now: Instant, datagram: &Datagram<'_>) {
        self.forget_old(now);
        let Some((ufrag, remote_ufrag)) = fragments(datagram.bytes) else { return };
        let of_path = self.of_path.get(&datagram.path).map(|strangers| &**strangers).unwrap_or_default();
        if of_path.iter().any(|stranger| stranger.ufrag == ufrag) {
            return;
        }
        let bytes = OVERHEAD + ufrag.len() + remote_ufrag.len() + datagram.bytes.len();
        if bytes > self.limits.max_bytes || self.limits.max_strangers == 0 {
            return;
        }
        if of_path.len() >= self.limits.max_strangers_per_path.max(1)
            && let Some(oldest) = of_path.first()
        {
            self.forget(oldest.number);
        }
        while self.order.len() >= self.limits.max_strangers || self.bytes + bytes > self.limits.max_bytes {
            let Some((oldest, _)) = self.order.first_key_value() else { return };
            self.forget(*oldest);
        }
        let stranger = Stranger {
            number: self.next,
            came: now,
            ufrag: ufrag.to_owned(),
            remote_ufrag: remote_ufrag.to_owned(),
            ecn: datagram.ecn,
            datagram: datagram.bytes.to_vec(),
            bytes,
        };
        self.order.insert(self.next, datagram.path);
        self.of_path.entry(datagram.path).or_default().push(Box::new(stranger));
        self.next += 1;
        self.bytes += bytes;
    }

    /// The stranger that waits longest to be told, with the time when it came.
    pub(super) fn poll(&mut self) -> Option<(Instant, Incoming)> {
        let (number, path) = self.order.range(self.untold..).next()?;
        let (number, path) = (*number, *path);
        self.untold = number + 1;
        let of_path = self.of_path.get_mut(&path)?;
        let stranger = of_path.iter_mut().find(|stranger| stranger.number == number)?;
        let datagram = std::mem::take(&mut stranger.datagram);
        stranger.bytes -= datagram.len();
        self.bytes -= datagram.len();
        let (ufrag, remote_ufrag) = (stranger.ufrag.clone(), stranger.remote_ufrag.clone());
        Some((stranger.came, Incoming { ufrag, remote_ufrag, path, ecn: stranger.ecn, datagram }))
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((number, path)) = self.order.first_key_value() {
            let (number, of_path) = (*number, self.of_path.get(path));
            let oldest = of_path.into_iter().flatten().find(|stranger| stranger.number == number);
            let is_old = |came| now.saturating_duration_since(came) >= self.limits.remember;
            if oldest.is_some_and(|oldest| !is_old(oldest.came)) {
                return;
            }
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(path) = self.order.remove(&number) else { return };
        self.forgotten += u64::from(number >= self.untold);
        let Some(of_path) = self.of_path.get_mut(&path) else { return };
        if let Some(at) = of_path.iter().position(|stranger| stranger.number == number) {
            self.bytes -= of_path.remove(at).bytes;
        }
        if of_path.is_empty() {
            self.of_path.remove(&path);
        }
    }
}

/// The fragments that a check names: this side's and the peer's.
fn fragments(datagram: &[u8]) -> Option<(&str, &str)> {
    if datagram.len() > MAX_CHECK {
        return None;
    }
    let message = Message::decode(datagram).ok()?;
    // RFC 8445 §7.1: a Binding request with message integrity and a fingerprint.
    let is_check = message.class() == Class::Request
        && message.method() == Method::BINDING
        && message.has_integrity()
        && message.has_fingerprint();
    let (ours, theirs) = message.username().filter(|_| is_check)?.split_once(':')?;
    (!ours.is_empty() && !theirs.is_empty()).then_some((ours, theirs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stun::{IntegrityKey, MessageBuilder, TransactionId};

    fn path(port: u16) -> FiveTuple {
        FiveTuple::udp(([10, 0, 0, 1], 5000).into(), ([192, 0, 2, 1], port).into())
    }

    fn check(username: &str, transaction: u8) -> Vec<u8> {
        let provider = crate::crypto::default_provider().unwrap();
        let key = IntegrityKey::short_term(&provider, "a password of the stranger");
        let mut datagram = Vec::new();
        let id = TransactionId([transaction; 12]);
        MessageBuilder::new(&mut datagram, Class::Request, Method::BINDING, id)
            .username(username)
            .integrity(&key)
            .fingerprint()
            .finish()
            .unwrap();
        datagram
    }

    fn note(strangers: &mut Strangers, now: Instant, port: u16, mut datagram: Vec<u8>) {
        strangers.note(now, &Datagram::new(path(port), &mut datagram));
    }

    #[test]
    fn checks_of_one_stranger_take_one_place() {
        let now = Instant::now();
        let mut strangers = Strangers::new(IncomingLimits::default());
        for transaction in 0..100 {
            note(&mut strangers, now, 1, check("here:there", transaction));
            note(&mut strangers, now, 2, check("here:there", transaction));
        }
        assert_eq!(strangers.order.len(), 2);
        let (_, first) = strangers.poll().unwrap();
        assert_eq!((&*first.ufrag, &*first.remote_ufrag, first.path), ("here", "there", path(1)));
        assert_eq!(first.datagram, check("here:there", 0));
        assert_eq!(strangers.poll().unwrap().1.path, path(2));
        // Told once, until it was forgotten.
        note(&mut strangers, now, 1, check("here:there", 101));
        assert!(strangers.poll().is_none());
        let later = now + strangers.limits.remember;
        note(&mut strangers, later, 1, check("here:there", 102));
        assert_eq!(strangers.poll().unwrap().1.datagram, check("here:there", 102));
        assert_eq!((strangers.order.len(), strangers.forgotten()), (1, 0));
    }

    #[test]
    fn strangers_have_limits() {
        let now = Instant::now();
        let mut limits = IncomingLimits { max_strangers: 10, ..IncomingLimits::default() };
        let mut strangers = Strangers::new(limits.clone());
        for number in 0..1000u16 {
            note(&mut strangers, now, number, check(&format!("here{number}:there"), 1));
            assert!(strangers.order.len() <= 10 && strangers.of_path.len() <= 10);
        }
        assert_eq!((strangers.order.len(), strangers.forgotten()), (10, 990));
        assert_eq!(strangers.poll().unwrap().1.ufrag, "here990");
        // One path has a few places.
        for number in 0..1000u16 {
            note(&mut strangers, now, 7, check(&format!("here{number}:there"), 1));
        }
        assert_eq!(strangers.of_path[&path(7)].len(), 4);
        assert!(std::iter::from_fn(|| strangers.poll()).count() <= 10);

        limits.max_bytes = 2000;
        let mut strangers = Strangers::new(limits);
        for number in 0..1000u16 {
            note(&mut strangers, now, number, check(&format!("{number:0>200}:there"), 1));
            assert!(strangers.bytes <= 2000 && strangers.order.len() <= 2);
        }
        note(&mut strangers, now + Duration::from_secs(60), 1, vec![0; 20]);
        assert_eq!((strangers.of_path.len(), strangers.bytes, strangers.order.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_no_check_is_no_stranger() {
        let now = Instant::now();
        let mut strangers = Strangers::new(IncomingLimits::default());
        let good = check("here:there", 1);
        let mut response = good.clone();
        response[0] = 1;
        for datagram in
            [check("here", 1), check(":there", 1), check("here:", 1), response, good[..40].to_vec()]
        {
            note(&mut strangers, now, 1, datagram);
        }
        assert!(strangers.poll().is_none() && strangers.order.is_empty());
    }
}
