//! Who asks, RFC 8489 §9.2.4 and RFC 8656 §5.

use std::time::{Duration, Instant};

use super::agent::{Asked, Server};
use super::credentials::{Grant, Question};
use super::event::Event;
use super::outbox::{Head, bare_error};
use super::timer::Timer;
use crate::layer::{FiveTuple, Protocol};
use crate::stun::{
    AttributeType, Class, ErrorCode, IntegrityKey, LongTermKey, Message, PasswordAlgorithm, Unauthenticated,
    User,
};

/// How long an answer to a question is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest request that waits for an answer.
const MAX_ASKED: usize = 2048;

/// Who has proved to be a user.
pub(super) struct Caller {
    pub(super) username: String,
    /// Whom the quotas are for.
    pub(super) account: String,
    pub(super) key: LongTermKey,
    pub(super) algorithm: PasswordAlgorithm,
    /// What responses are signed with.
    pub(super) integrity: IntegrityKey,
}

pub(super) enum Identified {
    User(Box<Caller>),
    /// It is asked for, and the request waits.
    Asked,
    Stranger(Unauthenticated),
}

impl Server {
    pub(super) fn identify(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        grant: Option<&Grant>,
    ) -> Identified {
        let username = request.username().unwrap_or_default();
        match self.known(now, path, request, username, grant) {
            Ok(caller) => Identified::User(Box::new(caller)),
            Err(stranger) => {
                let is_signed = request.has_integrity() || request.has_integrity_sha256();
                // The nonce was good, else it would be 438.
                let is_unknown = stranger.code == ErrorCode::UNAUTHENTICATED
                    && is_signed
                    && request.realm() == Some(&self.config.realm)
                    && self.config.credentials.keys(username) == 0;
                let is_asked = self.config.asks && is_unknown && grant.is_none() && !username.is_empty();
                if is_asked && self.ask(now, path, request, username) {
                    return Identified::Asked;
                }
                Identified::Stranger(stranger)
            }
        }
    }

    /// Tries each key that the user may have.
    fn known(
        &self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        username: &str,
        grant: Option<&Grant>,
    ) -> Result<Caller, Unauthenticated> {
        let (credentials, realm) = (&self.config.credentials, &*self.config.realm);
        // What was proved once is good as long as the allocation lives, though the credentials may have ended.
        let index = self.by_path.get(&path).copied().or_else(|| self.named_by_ticket(request));
        let held = index.and_then(|index| self.held.get(index));
        if let Some(held) = held.filter(|held| *held.username == *username) {
            let of_held = |algorithm| (algorithm == held.algorithm).then(|| held.key.clone());
            match self.check(now, path, request, &held.user, of_held) {
                Err(refused) if refused.code == ErrorCode::UNAUTHENTICATED => {}
                decided => return decided,
            }
        }
        if let Some(grant) = grant {
            let of_grant = |algorithm| grant.key_of(&self.provider, realm, username, algorithm);
            return self.check(now, path, request, &grant.account, of_grant);
        }
        let account = credentials.account(username);
        let unix = self.unix_time(now);
        let mut nth = 0;
        loop {
            let key = |algorithm| credentials.key(&self.provider, realm, username, algorithm, unix, nth);
            match self.check(now, path, request, account, key) {
                Err(refused)
                    if refused.code == ErrorCode::UNAUTHENTICATED && nth + 1 < credentials.keys(username) => {
                }
                decided => return decided,
            }
            nth += 1;
        }
    }

    fn check(
        &self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        account: &str,
        key: impl FnOnce(PasswordAlgorithm) -> Option<LongTermKey>,
    ) -> Result<Caller, Unauthenticated> {
        let mut found = None;
        let is_valid = |nonce: &[u8]| self.nonces.is_valid(now, path, nonce);
        let authenticated = self.auth.check(request, is_valid, |user, algorithm| {
            // A name that is hidden was not invited to be.
            let User::Name(name) = user else { return None };
            let key = key(algorithm)?;
            found = Some((name, key.clone(), algorithm));
            Some(key)
        })?;
        let refused = Unauthenticated { code: ErrorCode::UNAUTHENTICATED, with_challenge: true };
        let (username, key, algorithm) = found.ok_or(refused)?;
        let (username, account) = (username.to_owned(), account.to_owned());
        Ok(Caller { username, account, key, algorithm, integrity: authenticated.key })
    }

    /// Asks who that is. One question waits for a path, which is one that has shown a nonce of its own.
    fn ask(&mut self, now: Instant, path: FiveTuple, request: &Message<'_>, username: &str) -> bool {
        let waits = self.questions.values().any(|asked| asked.path == path);
        let request = request.as_bytes();
        // Nobody may be asking for events.
        let unread = self.asks.len() > self.config.max_questions.saturating_add(4 * self.held.len());
        let is_full = self.questions.len() >= self.config.max_questions;
        if waits || unread || is_full || request.len() > MAX_ASKED {
            // The client asks again.
            return true;
        }
        let id = self.next_question;
        self.next_question += 1;
        let until = now + PATIENCE;
        self.timers.set(until, Timer::Question(id));
        self.questions.insert(id, Asked { path, request: request.to_vec(), until });
        let (username, realm) = (username.to_owned(), self.config.realm.clone());
        self.asks.push_back(Event::Question(Question { id, username, realm }));
        true
    }

    /// Says whether there is a user that was asked for; `None` is nobody. Nothing happens if the question is none that is
    /// open.
    pub fn answer(&mut self, now: Instant, question: u64, grant: Option<&Grant>) {
        let Some(Asked { path, request, until }) = self.questions.remove(&question) else { return };
        self.timers.cancel(until, Timer::Question(question));
        let Ok(message) = Message::decode(&request) else { return };
        match grant {
            Some(grant) => self.request(now, path, &message, Some(grant)),
            None => {
                let refused = Unauthenticated { code: ErrorCode::UNAUTHENTICATED, with_challenge: true };
                self.challenge(now, path, &message, &refused);
            }
        }
    }

    /// Whether one more answer may go where nobody has proved to be.
    pub(super) fn may_answer(&mut self, now: Instant, path: FiveTuple) -> bool {
        // A connection has proved its address.
        let may = path.protocol != Protocol::Udp || self.strangers.allows(now, path.remote);
        self.statistics.suppressed += u64::from(!may);
        may
    }

    pub(super) fn challenge(
        &mut self,
        now: Instant,
        path: FiveTuple,
        request: &Message<'_>,
        refused: &Unauthenticated,
    ) {
        if !self.may_answer(now, path) {
            return;
        }
        self.statistics.unauthenticated += 1;
        let nonce = self.auth.nonce(self.nonces.make(now, path).as_bytes());
        let auth = &self.auth;
        self.outbox.respond(path, Head::of(request, Class::Error), None, |message| {
            let message = message.attribute(AttributeType::ERROR_CODE, &bare_error(refused.code));
            if refused.with_challenge { auth.challenge(message, &nonce) } else { message }
        });
    }
}
