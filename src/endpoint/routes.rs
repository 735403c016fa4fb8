//! Which session a datagram of a shared socket is for.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::session_id::SessionId;
use crate::layer::{FiveTuple, HashKeys, NameHash};
use crate::stun::TransactionId;

/// Sessions by the ICE fragments of this side, by the STUN questions that they wait for an answer to, and by the paths
/// that their peers have proved to be theirs. What was only sent to belongs to nobody: a peer can name any address.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// Fragments are random, and short enough that of thousands two may be the same.
    by_ufrag: HashMap<String, SmallVec<[SessionId; 1]>, NameHash>,
    by_question: FxHashMap<TransactionId, SessionId>,
    by_path: HashMap<FiveTuple, SessionId, NameHash>,
    /// The hashes have keys: who asks for a session by its fragment chooses it, and so does who has many addresses
    /// with its paths. Transactions have random numbers of this side.
    is_keyed: bool,
    of: FxHashMap<SessionId, Owned>,
}

/// What leads to one session.
#[derive(Debug, Default)]
struct Owned {
    /// The last one is in use; the one before may be, until an ICE restart is complete.
    ufrags: VecDeque<String>,
    /// The oldest first, with the time that they were asked first.
    questions: VecDeque<(TransactionId, Instant)>,
    paths: VecDeque<FiveTuple>,
}

/// Paths of one session that are remembered: more than its pairs that are in use at a time.
const MAX_PATHS: usize = 64;
/// Fragments of one session that are remembered.
const MAX_UFRAGS: usize = 3;
/// Sessions of one fragment that are remembered.
const MAX_NAMESAKES: usize = 8;
/// Questions of one session that are remembered: one is asked each 5 ms at most, and most are answered at once.
const MAX_QUESTIONS: usize = 256;
/// How long an answer may take: what a transaction waits at most (RFC 8489 §6.2.1).
const MAX_WAIT: Duration = Duration::from_millis(39_500);

impl Routes {
    /// Gives the tables their secret, before anything is in them.
    pub(super) fn set_keys(&mut self, keys: impl FnOnce() -> HashKeys) {
        if !self.is_keyed {
            let keys = keys().names();
            self.by_ufrag = HashMap::with_hasher(keys);
            self.by_path = HashMap::with_hasher(keys);
            self.is_keyed = true;
        }
    }

    /// The sessions that have a fragment: one, but for rare coincidences.
    pub(super) fn by_ufrag(&self, ufrag: &str) -> &[SessionId] {
        self.by_ufrag.get(ufrag).map(|sessions| &**sessions).unwrap_or_default()
    }

    pub(super) fn by_question(&self, question: TransactionId) -> Option<SessionId> {
        self.by_question.get(&question).copied()
    }

    /// The session that a path belongs to.
    pub(super) fn owner(&self, path: &FiveTuple) -> Option<SessionId> {
        self.by_path.get(path).copied()
    }

    /// The path belongs to this session from now on. At the limit it takes the place of the oldest that is not
    /// `in_use`.
    pub(super) fn take_path(
        &mut self,
        id: SessionId,
        path: FiveTuple,
        mut in_use: impl FnMut(&FiveTuple) -> bool,
    ) {
        let before = self.by_path.insert(path, id);
        if before == Some(id) {
            return;
        }
        if let Some(owned) = before.and_then(|before| self.of.get_mut(&before)) {
            owned.paths.retain(|other| *other != path);
        }
        let owned = self.of.entry(id).or_default();
        if owned.paths.len() >= MAX_PATHS {
            let oldest = owned.paths.iter().position(|path| !in_use(path)).unwrap_or(0);
            if let Some(oldest) = owned.paths.remove(oldest) {
                self.by_path.remove(&oldest);
            }
        }
        owned.paths.push_back(path);
    }

    /// A session sends a question, perhaps not for the first time.
    pub(super) fn ask(&mut self, now: Instant, id: SessionId, question: TransactionId) {
        if self.by_question.insert(question, id).is_some() {
            return;
        }
        let owned = self.of.entry(id).or_default();
        while owned
            .questions
            .front()
            .is_some_and(|(_, asked)| owned.questions.len() >= MAX_QUESTIONS || *asked + MAX_WAIT < now)
        {
            if let Some((oldest, _)) = owned.questions.pop_front() {
                self.by_question.remove(&oldest);
            }
        }
        owned.questions.push_back((question, now));
    }

    /// The question was answered.
    pub(super) fn answered(&mut self, id: SessionId, question: TransactionId) {
        self.by_question.remove(&question);
        if let Some(owned) = self.of.get_mut(&id) {
            owned.questions.retain(|(other, _)| *other != question);
        }
    }

    /// The fragment that the session goes by now.
    pub(super) fn set_ufrag(&mut self, id: SessionId, ufrag: &str) {
        let owned = self.of.entry(id).or_default();
        if owned.ufrags.back().is_some_and(|last| last == ufrag) {
            return;
        }
        // A restart was taken back.
        if let Some(known) = owned.ufrags.iter().position(|known| known == ufrag) {
            let again = owned.ufrags.remove(known);
            owned.ufrags.extend(again);
            return;
        }
        if owned.ufrags.len() >= MAX_UFRAGS
            && let Some(oldest) = owned.ufrags.pop_front()
        {
            self.forget_ufrag(id, &oldest);
        }
        let owned = self.of.entry(id).or_default();
        owned.ufrags.push_back(ufrag.to_owned());
        let sessions = self.by_ufrag.entry(ufrag.to_owned()).or_default();
        if sessions.len() < MAX_NAMESAKES && !sessions.contains(&id) {
            sessions.push(id);
        }
    }

    fn forget_ufrag(&mut self, id: SessionId, ufrag: &str) {
        let Some(sessions) = self.by_ufrag.get_mut(ufrag) else { return };
        sessions.retain(|other| *other != id);
        if sessions.is_empty() {
            self.by_ufrag.remove(ufrag);
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) {
        let Some(owned) = self.of.remove(&id) else { return };
        for ufrag in owned.ufrags {
            self.forget_ufrag(id, &ufrag);
        }
        for (question, _) in owned.questions {
            self.by_question.remove(&question);
        }
        for path in owned.paths {
            self.by_path.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;
    use std::net::{Ipv6Addr, SocketAddr};

    use super::*;

    const OLD: SessionId = SessionId::new(1);
    const NEW: SessionId = SessionId::new(2);

    fn path(port: u16) -> FiveTuple {
        FiveTuple::udp(([10, 0, 0, 1], 5000).into(), ([192, 0, 2, 1], port).into())
    }

    fn question(number: u32) -> TransactionId {
        let mut id = [0; 12];
        id[..4].copy_from_slice(&number.to_be_bytes());
        TransactionId(id)
    }

    fn is_empty(routes: &Routes) -> bool {
        routes.by_path.is_empty()
            && routes.by_ufrag.is_empty()
            && routes.by_question.is_empty()
            && routes.of.is_empty()
    }

    #[test]
    fn a_path_is_given_on() {
        let mut routes = Routes::default();
        routes.take_path(OLD, path(1), |_| true);
        routes.take_path(NEW, path(1), |_| true);
        assert_eq!(routes.owner(&path(1)), Some(NEW));
        routes.remove(OLD);
        assert_eq!(routes.owner(&path(1)), Some(NEW));
        routes.remove(NEW);
        assert!(is_empty(&routes));
    }

    #[test]
    fn of_many_paths_those_in_use_stay() {
        let mut routes = Routes::default();
        for port in 0..1000 {
            routes.take_path(OLD, path(port), |path| path.remote.port() == 7);
        }
        assert_eq!(routes.by_path.len(), MAX_PATHS);
        assert_eq!(routes.owner(&path(7)), Some(OLD));
        assert_eq!(routes.owner(&path(999)), Some(OLD));
    }

    /// Who knows the keys of one endpoint, or that an empty one has none, knows nothing of another.
    #[test]
    fn chosen_fragments_and_paths_are_spread() {
        const PLACES: u64 = 4096;
        fn chosen<T>(all: impl Iterator<Item = T>, is_chosen: impl Fn(&T) -> bool) -> Vec<T> {
            all.filter(is_chosen).take(200).collect()
        }
        fn fullest(hashes: impl Iterator<Item = u64>) -> usize {
            let mut places = HashMap::<u64, usize>::new();
            hashes.for_each(|hash| *places.entry(hash % PLACES).or_default() += 1);
            places.into_values().max().unwrap_or(0)
        }
        let plain = NameHash::default();
        let names = chosen((0..u32::MAX).map(|n| n.to_string()), |name| plain.hash_one(name) % PLACES == 3);
        let addresses = (0..u64::MAX).map(|n| {
            let remote = SocketAddr::from((Ipv6Addr::from_bits(0xfd << 120 | u128::from(n)), 5000));
            FiveTuple::udp(([10, 0, 0, 1], 5000).into(), remote)
        });
        let paths = chosen(addresses, |path| plain.hash_one(path) % PLACES == 3);
        let mut routes = Routes::default();
        routes.set_keys(|| HashKeys::new(*b"random & secret!"));
        for (number, (name, path)) in names.iter().zip(&paths).enumerate() {
            let id = SessionId::new(number as u64);
            routes.set_ufrag(id, name);
            routes.take_path(id, *path, |_| true);
        }
        // The secret stays what it is.
        routes.set_keys(|| unreachable!());
        for (number, (name, path)) in names.iter().zip(&paths).enumerate() {
            let id = SessionId::new(number as u64);
            assert_eq!((routes.by_ufrag(name), routes.owner(path)), (&[id][..], Some(id)));
        }
        let (by_name, by_path) = (routes.by_ufrag.hasher(), routes.by_path.hasher());
        assert_eq!(fullest(names.iter().map(|name| plain.hash_one(name))), 200);
        assert!(fullest(names.iter().map(|name| by_name.hash_one(name))) < 8);
        assert!(fullest(paths.iter().map(|path| by_path.hash_one(path))) < 8);
    }

    #[test]
    fn sessions_may_have_the_same_fragment() {
        let mut routes = Routes::default();
        routes.set_ufrag(OLD, "ufrag");
        routes.set_ufrag(NEW, "ufrag");
        assert_eq!(routes.by_ufrag("ufrag"), [OLD, NEW]);
        routes.remove(NEW);
        assert_eq!(routes.by_ufrag("ufrag"), [OLD]);
        for number in 3..100 {
            routes.set_ufrag(SessionId::new(number), "ufrag");
        }
        assert_eq!(routes.by_ufrag("ufrag").len(), MAX_NAMESAKES);
        (3..100).for_each(|number| routes.remove(SessionId::new(number)));
        for restart in 0..100 {
            routes.set_ufrag(OLD, &format!("restart{restart}"));
        }
        assert_eq!((routes.by_ufrag.len(), routes.by_ufrag("ufrag").len()), (MAX_UFRAGS, 0));
        routes.remove(OLD);
        assert!(is_empty(&routes));
    }

    /// ICE was restarted and that was rolled back: the fragment of before is the newest again.
    #[test]
    fn a_fragment_that_comes_again_is_the_newest() {
        let mut routes = Routes::default();
        for restart in 0..100 {
            routes.set_ufrag(OLD, "first");
            assert_eq!(routes.by_ufrag("first"), [OLD], "{restart}");
            routes.set_ufrag(OLD, &format!("restart{restart}"));
            assert_eq!(routes.by_ufrag("first"), [OLD], "{restart}");
        }
        assert_eq!(routes.by_ufrag.len(), MAX_UFRAGS);
        routes.remove(OLD);
        assert!(is_empty(&routes));
    }

    #[test]
    fn questions_are_remembered_until_they_are_answered_or_old() {
        let start = Instant::now();
        let mut routes = Routes::default();
        for number in 0..1000 {
            routes.ask(start, OLD, question(number));
            routes.ask(start, OLD, question(number));
        }
        assert_eq!(routes.by_question.len(), MAX_QUESTIONS);
        assert_eq!(routes.by_question(question(999)), Some(OLD));
        routes.answered(OLD, question(999));
        assert_eq!(routes.by_question(question(999)), None);
        routes.ask(start + MAX_WAIT * 2, OLD, question(5000));
        assert_eq!(routes.by_question.len(), 1);
        routes.remove(OLD);
        assert!(is_empty(&routes));
    }
}
