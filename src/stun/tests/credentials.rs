use super::*;

const REALM: &str = "example.org";
const USER: &str = "マトリックス";
const PASSWORD_PREPARED: &str = "TheMatrIX";
const BOTH: [PasswordAlgorithm; 2] = [PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5];

fn id(number: u8) -> TransactionId {
    TransactionId([number; 12])
}

#[test]
fn rfc_5769_long_term_key() {
    let key = PasswordAlgorithm::Md5.key(&provider(), USER, REALM, PASSWORD_PREPARED).unwrap();
    assert_eq!(key.to_vec(), hex(LONG_TERM_KEY));
    let bytes = hex(REQUEST_LONG_TERM);
    let message = Message::decode(&bytes).unwrap();
    assert!(message.verify(&key.integrity(&provider(), IntegrityAlgorithm::Sha1)));
    assert!(
        !message.verify(&key.integrity(&provider(), IntegrityAlgorithm::Sha256)),
        "it has no such attribute"
    );
}

/// RFC 8489 §B.1, with the PASSWORD-ALGORITHM that it forgot.
#[test]
fn rfc_8489_long_term_request() {
    let hash = user_hash(&provider(), USER, REALM).unwrap();
    assert_eq!(hash.to_vec(), hex("4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"));
    let key = PasswordAlgorithm::Sha256.key(&provider(), USER, REALM, PASSWORD_PREPARED).unwrap();
    let key = key.integrity(&provider(), IntegrityAlgorithm::Sha256);
    let id = TransactionId(hex("78ad3433c6ad72c029da412e").try_into().unwrap());
    let mut built = Vec::new();
    MessageBuilder::new(&mut built, Class::Request, Method::BINDING, id)
        .attribute(AttributeType::USERHASH, &hash)
        .attribute(AttributeType::NONCE, b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA")
        .attribute(AttributeType::REALM, REALM.as_bytes())
        .attribute(AttributeType::PASSWORD_ALGORITHM, &[0, 2, 0, 0])
        .integrity(&key)
        .finish()
        .unwrap();
    assert_eq!(built[..4], hex("00010090"));
    let tag = hex("b5c7bf005b6c52a21c51c5e892f81924136296cb927c43149309278cc6518e65");
    assert_eq!(built[built.len() - 32..], tag);
    let message = Message::decode(&built).unwrap();
    assert!(message.verify(&key) && message.has_integrity_sha256() && !message.has_integrity());
}

#[test]
fn a_tag_is_cut_short_only_where_that_is_allowed() {
    let key = IntegrityKey::new(&provider(), IntegrityAlgorithm::Sha256, b"a key");
    for (asked, len) in [(0, 16), (17, 20), (28, 28), (99, 32)] {
        let mut bytes = Vec::new();
        MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, id(1))
            .integrity_truncated(&key, asked)
            .finish()
            .unwrap();
        assert_eq!(bytes.len(), HEADER_LEN + 4 + len);
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.verify(&key), len == 32);
        assert!(message.verify_truncated(&key, len) && !message.verify_truncated(&key, len + 4));
        bytes[HEADER_LEN + 4] ^= 1;
        assert!(!Message::decode(&bytes).unwrap().verify_truncated(&key, 16));
    }
    for len in [0, 12, 18, 36] {
        let mut bytes = Vec::new();
        MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, id(1))
            .attribute(AttributeType::MESSAGE_INTEGRITY_SHA256, &vec![0; len])
            .finish()
            .unwrap();
        assert_eq!(Message::decode(&bytes).unwrap_err(), DecodeError::Attribute { offset: HEADER_LEN });
    }
}

#[test]
fn both_tags_protect_what_is_before_them() {
    let old = IntegrityKey::from_bytes(&provider(), b"a key");
    let new = IntegrityKey::new(&provider(), IntegrityAlgorithm::Sha256, b"a key");
    let mut bytes = Vec::new();
    MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, id(1))
        .username("a")
        .integrity(&old)
        .integrity(&new)
        .priority(7)
        .fingerprint()
        .finish()
        .unwrap();
    let message = Message::decode(&bytes).unwrap();
    assert!(message.verify(&old) && message.verify(&new) && message.has_fingerprint());
    assert_eq!((message.username(), message.priority()), (Some("a"), None));
}

/// Both sides of the mechanism, without anything between.
struct Play {
    server: LongTermServer,
    client: CredentialsClient,
    nonce: &'static [u8],
}

impl Play {
    fn new(server: LongTermServer) -> Self {
        let client = CredentialsClient::new(&provider(), "alice", "secret").unwrap();
        Self { server, client, nonce: b"first" }
    }

    fn request(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let request = MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, id(1));
        self.client.sign(request).finish().unwrap();
        bytes
    }

    fn check(&self, request: &[u8]) -> Result<IntegrityKey, Unauthenticated> {
        let key = |user: User<'_>, algorithm: PasswordAlgorithm| {
            user.is(&provider(), "alice", REALM)
                .then(|| algorithm.key(&provider(), "alice", REALM, "secret").unwrap())
        };
        let message = Message::decode(request).unwrap();
        self.server.check(&message, |nonce| nonce.ends_with(self.nonce), key).map(|it| it.key)
    }

    fn refusal(&self, code: ErrorCode) -> Vec<u8> {
        let mut bytes = Vec::new();
        let response = MessageBuilder::new(&mut bytes, Class::Error, Method::BINDING, id(1)).error_code(code);
        self.server.challenge(response, &self.server.nonce(self.nonce)).finish().unwrap();
        bytes
    }

    /// The code that a request is refused with, which the client is then told.
    fn ask(&mut self) -> Option<ErrorCode> {
        let refused = self.check(&self.request()).err()?;
        assert!(refused.with_challenge);
        let bytes = self.refusal(refused.code);
        let response = Message::decode(&bytes).unwrap();
        assert_eq!(
            self.client.prove(&response, self.client.is_challenged()) == Proof::Proven,
            !self.client.is_challenged()
        );
        self.client.challenged(&response).unwrap();
        Some(refused.code)
    }
}

fn servers() -> [LongTermServer; 4] {
    let server = || LongTermServer::new(&provider(), REALM).unwrap();
    [
        server(),
        server().with_algorithms([PasswordAlgorithm::Md5]),
        server().with_username_anonymity(),
        server().with_algorithms(BOTH).with_username_anonymity(),
    ]
}

#[test]
fn a_client_is_challenged_once_and_again_when_its_nonce_is_stale() {
    for server in servers() {
        let mut play = Play::new(server);
        assert_eq!(play.ask(), Some(ErrorCode::UNAUTHENTICATED));
        assert_eq!(play.ask(), None);
        play.nonce = b"second";
        assert_eq!(play.ask(), Some(ErrorCode::STALE_NONCE));
        assert_eq!(play.ask(), None);
        // The response is signed with the key of the request, by the attribute it used.
        let key = play.check(&play.request()).unwrap();
        for (key, proof) in [
            (key, Proof::Proven),
            (IntegrityKey::from_bytes(&provider(), b"another"), Proof::Missing),
            (IntegrityKey::new(&provider(), IntegrityAlgorithm::Sha256, b"another"), Proof::Missing),
        ] {
            let mut bytes = Vec::new();
            let response = MessageBuilder::new(&mut bytes, Class::Success, Method::BINDING, id(1));
            response.integrity(&key).finish().unwrap();
            assert_eq!(play.client.prove(&Message::decode(&bytes).unwrap(), true), proof);
        }
    }
}

#[test]
fn a_user_hides_where_the_server_allows_it() {
    let [plain, .., hidden] = servers();
    for (server, is_hidden) in [(plain, false), (hidden, true)] {
        let mut play = Play::new(server);
        let before = play.request();
        assert_eq!(Message::decode(&before).unwrap().username(), None, "not before it is asked");
        play.ask();
        let bytes = play.request();
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.username().is_none(), is_hidden);
        assert_eq!(message.attribute(AttributeType::USERHASH).is_some(), is_hidden);
        assert_eq!(message.has_integrity_sha256(), is_hidden);
    }
}

#[test]
fn what_is_taken_away_on_the_path_is_noticed() {
    let [.., server] = servers();
    let mut play = Play::new(server);
    let nonce = play.server.nonce(b"first");
    let refusal = |nonce: &[u8], list: Option<&[u8]>| {
        let mut bytes = Vec::new();
        let mut response = MessageBuilder::new(&mut bytes, Class::Error, Method::BINDING, id(1))
            .error_code(ErrorCode::UNAUTHENTICATED)
            .attribute(AttributeType::REALM, REALM.as_bytes())
            .attribute(AttributeType::NONCE, nonce);
        if let Some(list) = list {
            response = response.attribute(AttributeType::PASSWORD_ALGORITHMS, list);
        }
        response.finish().unwrap();
        bytes
    };
    let mut challenged = |bytes: &[u8]| play.client.challenged(&Message::decode(bytes).unwrap());
    // The list is gone.
    assert_eq!(challenged(&refusal(&nonce, None)), Err(ChallengeError::BidDown));
    // Nothing that is known is left.
    assert_eq!(challenged(&refusal(&nonce, Some(&[0, 9, 0, 0]))), Err(ChallengeError::NoAlgorithm));
    assert_eq!(challenged(&refusal(&nonce, Some(&[]))), Err(ChallengeError::NoAlgorithm));
    for malformed in [&[0, 2, 0][..], &[0, 2, 0, 1], &[0; 68]] {
        assert_eq!(challenged(&refusal(&nonce, Some(malformed))), Err(ChallengeError::Malformed));
    }
    assert_eq!(challenged(&refusal(b"", None)), Err(ChallengeError::Malformed));
    assert_eq!(challenged(&refusal(&[b'n'; 764], None)), Err(ChallengeError::Malformed));
    // Only MD5 is left: the client falls for it, the server does not.
    challenged(&refusal(&nonce, Some(&[0, 1, 0, 0]))).unwrap();
    let refused = play.check(&play.request()).unwrap_err();
    assert_eq!((refused.code, refused.with_challenge), (ErrorCode::BAD_REQUEST, false));
    // Who knew of a list does not unlearn it.
    let again = refusal(b"first", None);
    assert_eq!(play.client.challenged(&Message::decode(&again).unwrap()), Err(ChallengeError::BidDown));
    play.client.forget_server();
    assert_eq!(play.client.challenged(&Message::decode(&again).unwrap()), Ok(()));
}

#[test]
fn a_server_takes_its_own_list_with_one_of_it_or_nothing() {
    let server = LongTermServer::new(&provider(), REALM).unwrap().with_algorithms(BOTH);
    let play = Play::new(server);
    let list: &[u8] = &[0, 2, 0, 0, 0, 1, 0, 0];
    let nonce = play.server.nonce(b"first");
    for (sent, one, is_accepted) in [
        (None, None, true),
        (Some(list), Some(&[0, 1, 0, 0][..]), true),
        (Some(list), None, false),
        (None, Some(&[0, 1, 0, 0][..]), false),
        (Some(&list[4..]), Some(&[0, 1, 0, 0][..]), false),
        (Some(list), Some(&[0, 9, 0, 0][..]), false),
        (Some(list), Some(&[][..]), false),
    ] {
        let key = PasswordAlgorithm::Md5.key(&provider(), "alice", REALM, "secret").unwrap();
        let mut bytes = Vec::new();
        let mut request = MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, id(1))
            .username("alice")
            .attribute(AttributeType::REALM, REALM.as_bytes())
            .attribute(AttributeType::NONCE, &nonce);
        for (kind, value) in
            [(AttributeType::PASSWORD_ALGORITHMS, sent), (AttributeType::PASSWORD_ALGORITHM, one)]
        {
            if let Some(value) = value {
                request = request.attribute(kind, value);
            }
        }
        request.integrity(&key.integrity(&provider(), IntegrityAlgorithm::Sha1)).finish().unwrap();
        let checked = play.check(&bytes);
        assert_eq!(
            checked.map_err(|refused| refused.code).err(),
            (!is_accepted).then_some(ErrorCode::BAD_REQUEST)
        );
    }
}

#[test]
fn strangers_and_wrong_passwords_are_refused_alike() {
    for (username, password) in [("alice", "wrong"), ("bob", "secret")] {
        for server in servers() {
            let mut play = Play::new(server);
            play.client = CredentialsClient::new(&provider(), username, password).unwrap();
            assert_eq!(play.ask(), Some(ErrorCode::UNAUTHENTICATED));
            let refused = play.check(&play.request()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::UNAUTHENTICATED);
            let bytes = play.refusal(refused.code);
            let told = play.client.refused(&Message::decode(&bytes).unwrap());
            assert_eq!(told, Err(ChallengeError::Refused(REALM.into())));
        }
    }
}

#[test]
fn requests_that_lack_something_are_bad() {
    let play = Play::new(LongTermServer::new(&provider(), REALM).unwrap());
    let key = IntegrityKey::from_bytes(&provider(), b"any");
    for missing in 0..3 {
        let mut bytes = Vec::new();
        let mut request = MessageBuilder::new(&mut bytes, Class::Request, Method::BINDING, id(1));
        for (at, kind) in
            [AttributeType::USERNAME, AttributeType::REALM, AttributeType::NONCE].iter().enumerate()
        {
            if at != missing {
                request = request.attribute(*kind, b"value");
            }
        }
        request.integrity(&key).finish().unwrap();
        let refused = play.check(&bytes).unwrap_err();
        assert_eq!((refused.code, refused.with_challenge), (ErrorCode::BAD_REQUEST, false));
    }
}

#[test]
fn credentials_that_cannot_be_are_refused_before_they_are_used() {
    let new = |name: &str, password: &str| CredentialsClient::new(&provider(), name, password).err();
    assert_eq!(new("", "secret"), Some(InvalidCredentials::Username));
    assert_eq!(new(&"x".repeat(509), "secret"), Some(InvalidCredentials::Username));
    assert_eq!(new(&"x".repeat(508), "secret"), None);
    assert_eq!(new("alice", "new\nline"), Some(InvalidCredentials::Password));
    let client = CredentialsClient::new(&provider(), "alice", "secret").unwrap();
    let debug = format!("{client:?}");
    assert!(!debug.contains("alice") && !debug.contains("secret"), "{debug}");
}
