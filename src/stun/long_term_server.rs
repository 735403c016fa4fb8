//! The server of the long-term credential mechanism, RFC 8489 §9.2.4.

use smallvec::SmallVec;

use super::attribute::AttributeType;
use super::builder::MessageBuilder;
use super::error_code::ErrorCode;
use super::integrity::{IntegrityAlgorithm, IntegrityKey};
use super::long_term::{
    InvalidCredentials, LongTermKey, PasswordAlgorithm, checked_realm, decode_algorithms, user_hash,
};
use super::message::Message;
use super::nonce::SecurityFeatures;
use crate::crypto::CryptoProvider;

/// Checks requests against long-term credentials, without state of its own: whether a nonce is good and what key a
/// user has is asked of the caller. [`CredentialsClient`](super::CredentialsClient) has an example of both sides.
#[derive(Debug)]
pub struct LongTermServer {
    provider: CryptoProvider,
    realm: String,
    algorithms: SmallVec<[PasswordAlgorithm; 4]>,
    username_anonymity: bool,
}

/// How a request names its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User<'m> {
    /// USERNAME.
    Name(&'m str),
    /// USERHASH.
    Hash([u8; 32]),
}

impl User<'_> {
    /// Whether this is the user of that name in that realm.
    pub fn is(&self, provider: &CryptoProvider, username: &str, realm: &str) -> bool {
        match self {
            Self::Name(name) => *name == username,
            Self::Hash(hash) => user_hash(provider, username, realm) == Ok(*hash),
        }
    }
}

/// A request whose credentials are right.
#[derive(Debug)]
pub struct Authenticated<'m> {
    /// Who asks.
    pub user: User<'m>,
    /// The key that the response is to be signed with, of the kind that the request used.
    pub key: IntegrityKey,
}

/// Why a request is refused, and how the response is made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unauthenticated {
    /// 400, 401 or 438.
    pub code: ErrorCode,
    /// Whether the response has what [`LongTermServer::challenge`] adds.
    pub with_challenge: bool,
}

impl LongTermServer {
    /// A server for clients that know MD5 alone, as browsers do.
    ///
    /// # Errors
    /// [`InvalidCredentials::Realm`].
    pub fn new(provider: &CryptoProvider, realm: &str) -> Result<Self, InvalidCredentials> {
        let realm = checked_realm(realm)?.into_owned();
        Ok(Self { provider: provider.clone(), realm, algorithms: SmallVec::new(), username_anonymity: false })
    }

    /// The same with a list of password algorithms for clients of RFC 8489, the preferred one first. Clients that do not
    /// know of lists go on with MD5.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: impl IntoIterator<Item = PasswordAlgorithm>) -> Self {
        self.algorithms = algorithms.into_iter().take(4).collect();
        self
    }

    /// The same for clients that hide the name of the user.
    #[must_use]
    pub fn with_username_anonymity(mut self) -> Self {
        self.username_anonymity = true;
        self
    }

    fn features(&self) -> SecurityFeatures {
        SecurityFeatures {
            password_algorithms: !self.algorithms.is_empty(),
            username_anonymity: self.username_anonymity,
        }
    }

    /// A nonce out of the caller's `secret`, behind a cookie if there are features to tell.
    pub fn nonce(&self, secret: &[u8]) -> Vec<u8> {
        let features = self.features();
        if features == SecurityFeatures::default() {
            return secret.to_vec();
        }
        [&features.prefix(), secret].concat()
    }

    /// Adds to a response what its receiver needs to sign: REALM, NONCE and the algorithms.
    pub fn challenge<'b>(&self, message: MessageBuilder<'b>, nonce: &[u8]) -> MessageBuilder<'b> {
        let message = message
            .attribute(AttributeType::REALM, self.realm.as_bytes())
            .attribute(AttributeType::NONCE, nonce);
        if self.algorithms.is_empty() {
            return message;
        }
        message.attribute(AttributeType::PASSWORD_ALGORITHMS, &self.list())
    }

    fn list(&self) -> SmallVec<[u8; 16]> {
        self.algorithms.iter().flat_map(|algorithm| algorithm.encode()).collect()
    }

    /// Checks a request. `is_valid` says whether a nonce is one of this server's and not too old; `key` gives the key of
    /// a user, if there is such a user.
    ///
    /// # Errors
    /// [`Unauthenticated`] says how to refuse.
    pub fn check<'m>(
        &self,
        request: &Message<'m>,
        is_valid: impl FnOnce(&[u8]) -> bool,
        key: impl FnOnce(User<'m>, PasswordAlgorithm) -> Option<LongTermKey>,
    ) -> Result<Authenticated<'m>, Unauthenticated> {
        let refuse = |code, with_challenge| Unauthenticated { code, with_challenge };
        let integrity = match (request.has_integrity_sha256(), request.has_integrity()) {
            (true, _) => IntegrityAlgorithm::Sha256,
            (false, true) => IntegrityAlgorithm::Sha1,
            (false, false) => return Err(refuse(ErrorCode::UNAUTHENTICATED, true)),
        };
        let (user, nonce, algorithm) = self.parse(request).ok_or(refuse(ErrorCode::BAD_REQUEST, false))?;
        if !is_valid(nonce) {
            return Err(refuse(ErrorCode::STALE_NONCE, true));
        }
        if request.realm() != Some(&self.realm) {
            return Err(refuse(ErrorCode::UNAUTHENTICATED, true));
        }
        // A stranger costs as much time as a user, so that nobody can tell which names exist.
        let key = key(user, algorithm);
        let is_user = key.is_some();
        let key = key.unwrap_or_else(|| LongTermKey::from_bytes(&[0; 32]));
        let key = key.integrity(&self.provider, integrity);
        if request.verify(&key) && is_user {
            Ok(Authenticated { user, key })
        } else {
            Err(refuse(ErrorCode::UNAUTHENTICATED, true))
        }
    }

    /// What a signed request must have; `None` is a bad request.
    fn parse<'m>(&self, request: &Message<'m>) -> Option<(User<'m>, &'m [u8], PasswordAlgorithm)> {
        let user = match request.attribute(AttributeType::USERHASH) {
            Some(hash) => User::Hash(hash.try_into().ok()?),
            None => User::Name(request.username()?),
        };
        request.realm()?;
        let nonce = request.nonce()?;
        Some((user, nonce, self.algorithm(request, nonce)?))
    }

    /// RFC 8489 §9.2.4: the list comes back unchanged, with one of it, or there is none of both.
    fn algorithm(&self, request: &Message<'_>, nonce: &[u8]) -> Option<PasswordAlgorithm> {
        let list = request.attribute(AttributeType::PASSWORD_ALGORITHMS);
        let one = request.attribute(AttributeType::PASSWORD_ALGORITHM);
        if !SecurityFeatures::of(nonce).password_algorithms {
            return Some(PasswordAlgorithm::Md5);
        }
        match (list, one) {
            (None, None) => Some(PasswordAlgorithm::Md5),
            (Some(list), Some(one)) if list == &self.list()[..] => {
                let algorithm = *decode_algorithms(one)?.first()?;
                self.algorithms.contains(&algorithm).then_some(algorithm)
            }
            _ => None,
        }
    }
}
