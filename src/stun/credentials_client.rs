//! The client of the long-term credential mechanism, RFC 8489 §9.2.3 and §9.2.5.

use std::fmt;

use smallvec::SmallVec;
use zeroize::Zeroizing;

use super::attribute::AttributeType;
use super::builder::MessageBuilder;
use super::error_code::ErrorCode;
use super::header::Class;
use super::integrity::{IntegrityAlgorithm, IntegrityKey};
use super::long_term::{
    InvalidCredentials, MAX_ALGORITHMS, MAX_REALM, PasswordAlgorithm, checked_realm, checked_username,
    decode_algorithms, user_hash,
};
use super::message::Message;
use super::nonce::SecurityFeatures;
use super::opaque_string::enforce;
use crate::crypto::CryptoProvider;

/// Credentials of a user at one server, with the realm and nonce that the server gave last.
///
/// A request is first sent as it is; the server refuses it with 401 and tells its realm and nonce, which
/// [`challenged`](Self::challenged) takes; from then on [`sign`](Self::sign) adds what authenticates a request. 438 is
/// taken the same way. A request that is sent again after either has a new transaction identifier.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::stun::{Class, CredentialsClient, LongTermServer, Message, MessageBuilder, Method, TransactionId, User};
///
/// let provider = aws_lc_rs::provider();
/// let server = LongTermServer::new(&provider, "example.org")?;
/// let mut client = CredentialsClient::new(&provider, "alice", "secret")?;
///
/// let mut refusal = Vec::new();
/// let error = MessageBuilder::new(&mut refusal, Class::Error, Method::BINDING, TransactionId([1; 12]))
///     .error_code(kaon_rtc::stun::ErrorCode::UNAUTHENTICATED);
/// server.challenge(error, &server.nonce(b"a nonce")).finish()?;
/// client.challenged(&Message::decode(&refusal)?)?;
///
/// let mut request = Vec::new();
/// let unsigned = MessageBuilder::new(&mut request, Class::Request, Method::BINDING, TransactionId([2; 12]));
/// client.sign(unsigned).finish()?;
/// let known = |user: User<'_>, algorithm: kaon_rtc::stun::PasswordAlgorithm| {
///     user.is(&provider, "alice", "example.org").then(|| {
///         algorithm.key(&provider, "alice", "example.org", "secret").ok()
///     })?
/// };
/// assert!(server.check(&Message::decode(&request)?, |nonce| nonce.ends_with(b"a nonce"), known).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CredentialsClient {
    provider: CryptoProvider,
    username: String,
    password: Zeroizing<String>,
    session: Option<Session>,
}

/// What the server told, and what follows from it.
struct Session {
    realm: String,
    nonce: SmallVec<[u8; 64]>,
    key: IntegrityKey,
    /// The whole list of the server, as it came, and what was taken of it.
    algorithms: Option<(SmallVec<[u8; 16]>, PasswordAlgorithm)>,
    /// USERHASH, where the server takes it.
    user_hash: Option<[u8; 32]>,
}

/// Why a challenge of a server cannot be met.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The server refused the credentials.
    #[error(
        "the server refuses the user name or the password in the realm \"{0}\"; check both, and whether they have expired"
    )]
    Refused(String),
    /// The realm or the nonce is missing, or too long.
    #[error(
        "the server asks for credentials without a usable realm and nonce; it is no TURN server, or misconfigured"
    )]
    Malformed,
    /// The nonce says that there are password algorithms, and the message has none: somebody on the path took them
    /// away (RFC 8489 §9.2.1).
    #[error(
        "the list of password algorithms was removed on the way from the server; somebody on the path weakens the authentication"
    )]
    BidDown,
    /// None of the server's password algorithms is known here.
    #[error("the server knows neither SHA-256 nor MD5 for passwords")]
    NoAlgorithm,
    /// The realm cannot be one.
    #[error(transparent)]
    Invalid(#[from] InvalidCredentials),
}

/// What a response is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is of the server that knows the password, or no proof was to be expected.
    Proven,
    /// It is an error that a server cannot always sign, 300, 401 or 438, and has no integrity.
    Unsigned,
    /// It is to be ignored, as if it had been lost.
    Missing,
}

impl CredentialsClient {
    /// The credentials of a user. Nothing is told of them before a server asks.
    ///
    /// # Errors
    /// [`InvalidCredentials`] for what is no OpaqueString (RFC 8265 §4), or too long.
    pub fn new(
        provider: &CryptoProvider,
        username: &str,
        password: &str,
    ) -> Result<Self, InvalidCredentials> {
        let password = enforce(password).ok_or(InvalidCredentials::Password)?;
        Ok(Self {
            provider: provider.clone(),
            username: checked_username(username)?.into_owned(),
            password: Zeroizing::new(password.into_owned()),
            session: None,
        })
    }

    /// The same user, of whom no server has asked anything yet.
    #[cfg(feature = "turn")]
    pub(crate) fn unchallenged(&self) -> Self {
        Self {
            provider: self.provider.clone(),
            username: self.username.clone(),
            password: self.password.clone(),
            session: None,
        }
    }

    /// Whether requests are signed: the server has asked for credentials.
    pub fn is_challenged(&self) -> bool {
        self.session.is_some()
    }

    /// The realm that the server told.
    pub fn realm(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.realm.as_str())
    }

    /// Forgets the server, for another one that may have another realm.
    pub fn forget_server(&mut self) {
        self.session = None;
    }

    /// Adds what authenticates a request, integrity included; nothing before the server asked. Only FINGERPRINT may
    /// follow.
    pub fn sign<'b>(&self, mut message: MessageBuilder<'b>) -> MessageBuilder<'b> {
        let Some(session) = &self.session else { return message };
        message = match &session.user_hash {
            Some(hash) => message.attribute(AttributeType::USERHASH, hash),
            None => message.username(&self.username),
        };
        message = message
            .attribute(AttributeType::REALM, session.realm.as_bytes())
            .attribute(AttributeType::NONCE, &session.nonce);
        if let Some((list, algorithm)) = &session.algorithms {
            message = message
                .attribute(AttributeType::PASSWORD_ALGORITHMS, list)
                .attribute(AttributeType::PASSWORD_ALGORITHM, &algorithm.encode());
        }
        message.integrity(&session.key)
    }

    /// Takes a 401 or 438 response: the request may be made again, with a new transaction identifier. How often is the
    /// caller's affair, who counts.
    ///
    /// # Errors
    /// [`ChallengeError`]: to make the request again would not help, or give something away. What was known of the
    /// server stays.
    pub fn challenged(&mut self, response: &Message<'_>) -> Result<(), ChallengeError> {
        let nonce = response.nonce().filter(|nonce| (1..=MAX_REALM).contains(&nonce.len()));
        let (Some(realm), Some(nonce)) = (response.realm(), nonce) else {
            return Err(ChallengeError::Malformed);
        };
        checked_realm(realm)?;
        let features = SecurityFeatures::of(nonce);
        let algorithms = self.choose(features, response)?;
        let (algorithm, integrity) = match algorithms {
            // RFC 8489 §9.2.5: where there is a list, only SHA-256 may protect messages.
            Some((_, algorithm)) => (algorithm, IntegrityAlgorithm::Sha256),
            None => (PasswordAlgorithm::Md5, IntegrityAlgorithm::Sha1),
        };
        let key = algorithm.key(&self.provider, &self.username, realm, &self.password)?;
        let hash = features.username_anonymity.then(|| user_hash(&self.provider, &self.username, realm));
        self.session = Some(Session {
            realm: realm.to_owned(),
            nonce: SmallVec::from_slice(nonce),
            key: key.integrity(&self.provider, integrity),
            algorithms: algorithms.map(|(list, algorithm)| (SmallVec::from_slice(list), algorithm)),
            user_hash: hash.transpose()?,
        });
        Ok(())
    }

    /// A 401 response to a request that was signed: whether the server wants other credentials than these, and not only
    /// those of another realm.
    ///
    /// # Errors
    /// [`ChallengeError::Refused`].
    pub fn refused(&self, response: &Message<'_>) -> Result<(), ChallengeError> {
        match &self.session {
            Some(session) if response.realm().is_none_or(|realm| realm == session.realm) => {
                Err(ChallengeError::Refused(session.realm.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The list of the server and the first algorithm of it that is known (RFC 8489 §9.2.5).
    fn choose<'m>(
        &self,
        features: SecurityFeatures,
        response: &Message<'m>,
    ) -> Result<Option<(&'m [u8], PasswordAlgorithm)>, ChallengeError> {
        if !features.password_algorithms {
            // A server that had a list does not lose it: the nonce was exchanged on the way (RFC 8489 §9.2.1).
            let had_list = self.session.as_ref().is_some_and(|session| session.algorithms.is_some());
            return if had_list { Err(ChallengeError::BidDown) } else { Ok(None) };
        }
        let list = response.attribute(AttributeType::PASSWORD_ALGORITHMS).ok_or(ChallengeError::BidDown)?;
        if list.len() > MAX_ALGORITHMS {
            return Err(ChallengeError::Malformed);
        }
        let known = decode_algorithms(list).ok_or(ChallengeError::Malformed)?;
        Ok(Some((list, *known.first().ok_or(ChallengeError::NoAlgorithm)?)))
    }

    /// What a response is worth to a request that was signed or not (RFC 8489 §9.2.5).
    pub fn prove(&self, response: &Message<'_>, request_was_signed: bool) -> Proof {
        let Some(session) = self.session.as_ref().filter(|_| request_was_signed) else {
            return Proof::Proven;
        };
        if response.verify(&session.key) {
            return Proof::Proven;
        }
        let is_bare = !response.has_integrity() && !response.has_integrity_sha256();
        match response.error_code().filter(|_| response.class() == Class::Error) {
            // RFC 8489 §9.2.4: a server that does not accept the credentials signs with others, or not at all.
            Some((ErrorCode::UNAUTHENTICATED | ErrorCode::STALE_NONCE, _)) => Proof::Unsigned,
            // RFC 8489 §10: a redirection cannot always be signed.
            Some((ErrorCode::TRY_ALTERNATE, _)) if is_bare => Proof::Unsigned,
            _ => Proof::Missing,
        }
    }
}

impl fmt::Debug for CredentialsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsClient").field("challenged", &self.is_challenged()).finish_non_exhaustive()
    }
}
