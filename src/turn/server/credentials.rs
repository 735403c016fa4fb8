//! Who may use a server.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::base64;
use crate::crypto::{CryptoProvider, HashAlgorithm};
use crate::stun::{InvalidCredentials, LongTermKey, PasswordAlgorithm};

/// The users of a server: with passwords of their own, or with such as a shared secret makes for a limited time.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::time::Duration;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::turn::server::Credentials;
///
/// let credentials = Credentials::default().with_user("alice", "wonderland").with_secret("shared with the web server");
/// // What the web server gives to a browser.
/// let provider = aws_lc_rs::provider();
/// let until = Duration::from_secs(1_700_000_000);
/// let (username, password) = Credentials::time_limited(&provider, "secret", until, "alice");
/// assert_eq!((username.as_str(), password.as_str()), ("1700000000:alice", "d8soP47RbdIKLDUOpnJPVQyq5Ts="));
/// ```
#[derive(Clone, Default)]
pub struct Credentials {
    users: BTreeMap<String, Proof>,
    secrets: Vec<Zeroizing<String>>,
}

#[derive(Clone)]
enum Proof {
    Password(Zeroizing<String>),
    /// That of MD5.
    Key(LongTermKey),
}

impl Credentials {
    /// The same with one more user.
    #[must_use]
    pub fn with_user(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.insert(username.into(), Proof::Password(Zeroizing::new(password.into())));
        self
    }

    /// The same with one more user of whom only the key is known, MD5 of `username:realm:password`
    /// (RFC 8489 §9.2.2).
    #[must_use]
    pub fn with_key(mut self, username: impl Into<String>, key: LongTermKey) -> Self {
        self.users.insert(username.into(), Proof::Key(key));
        self
    }

    /// The same with a secret for time-limited credentials: the name is a time of expiry in seconds since 1970 and, behind
    /// a colon, a name of the user, and the password is the HMAC of both in base64
    /// (draft-uberti-behave-turn-rest-00). With several each is tried, so that they can be changed.
    #[must_use]
    pub fn with_secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(Zeroizing::new(secret.into()));
        self
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.secrets.is_empty()
    }

    /// The user name and the password that hold until a time since 1970, for a user whom `id` names.
    pub fn time_limited(
        provider: &CryptoProvider,
        secret: &str,
        until: Duration,
        id: &str,
    ) -> (String, Zeroizing<String>) {
        let username = format!("{}:{id}", until.as_secs());
        let password = password(provider, secret, &username);
        (username, password)
    }

    /// How many keys are to be tried for a user, so that each is asked for once.
    pub(super) fn keys(&self, username: &str) -> usize {
        match self.users.contains_key(username) {
            true => 1,
            false if expiry(username).is_some() => self.secrets.len(),
            false => 0,
        }
    }

    /// One of the keys of a user. `unix` is the time since 1970.
    pub(super) fn key(
        &self,
        provider: &CryptoProvider,
        realm: &str,
        username: &str,
        algorithm: PasswordAlgorithm,
        unix: Duration,
        nth: usize,
    ) -> Option<LongTermKey> {
        let key = |password: &str| -> Result<LongTermKey, InvalidCredentials> {
            algorithm.key(provider, username, realm, password)
        };
        match self.users.get(username) {
            Some(Proof::Password(password)) => key(password).ok(),
            Some(Proof::Key(key)) => Some(key.clone()).filter(|_| algorithm == PasswordAlgorithm::Md5),
            None => {
                let expiry = expiry(username).map(Duration::from_secs).filter(|expiry| *expiry > unix);
                let Some(secret) = self.secrets.get(nth).filter(|_| expiry.is_some()) else {
                    // Nobody can tell by the time it takes which names exist.
                    let _ = key("nobody");
                    return None;
                };
                key(&password(provider, secret, username)).ok()
            }
        }
    }

    /// Whom the quotas are for: time-limited names of one user are one.
    pub(super) fn account<'n>(&self, username: &'n str) -> &'n str {
        let is_own = self.users.contains_key(username) || expiry(username).is_none();
        match username.split_once(':') {
            Some((_, id)) if !is_own && !id.is_empty() => id,
            _ => username,
        }
    }
}

fn expiry(username: &str) -> Option<u64> {
    let digits = username.split_once(':').map_or(username, |(digits, _)| digits);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn password(provider: &CryptoProvider, secret: &str, username: &str) -> Zeroizing<String> {
    let hmac = provider.digests.hmac(HashAlgorithm::Sha1, secret.as_bytes());
    Zeroizing::new(base64::encode(&hmac.sign(&[username.as_bytes()])))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (users, secrets) = (self.users.len(), self.secrets.len());
        f.debug_struct("Credentials").field("users", &users).field("secrets", &secrets).finish()
    }
}

/// A question whether there is a user: who is told by `Event::Question` answers with
/// [`Server::answer`](super::Server::answer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the answer names.
    pub id: u64,
    /// The name of the user.
    pub username: String,
    /// The realm of the server.
    pub realm: String,
}

/// What the answer to a [`Question`] says of a user.
#[derive(Clone, Debug)]
pub struct Grant {
    pub(super) account: String,
    proof: Proof,
}

impl Grant {
    /// A user with a password. Quotas are counted by `account`, which several names may share.
    pub fn password(account: impl Into<String>, password: impl Into<String>) -> Self {
        Self { account: account.into(), proof: Proof::Password(Zeroizing::new(password.into())) }
    }

    /// A user of whom only the key is known, MD5 of `username:realm:password` (RFC 8489 §9.2.2).
    pub fn key(account: impl Into<String>, key: LongTermKey) -> Self {
        Self { account: account.into(), proof: Proof::Key(key) }
    }

    pub(super) fn key_of(
        &self,
        provider: &CryptoProvider,
        realm: &str,
        username: &str,
        algorithm: PasswordAlgorithm,
    ) -> Option<LongTermKey> {
        match &self.proof {
            Proof::Password(password) => algorithm.key(provider, username, realm, password).ok(),
            Proof::Key(key) => Some(key.clone()).filter(|_| algorithm == PasswordAlgorithm::Md5),
        }
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}
