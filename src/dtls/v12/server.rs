//! The server's state machine of DTLS 1.2.

use std::fmt;

use subtle::ConstantTimeEq;

use super::exchange::{Completed, Exchange, FinalFlight, Message, Step};
use super::key_schedule::MasterSecret;
use crate::crypto::{KeyExchange, NamedGroup};
use crate::dtls::alert::AlertDescription;
use crate::dtls::certificate::CertifiedKey;
use crate::dtls::cipher_suite::{Authentication, CipherSuite};
use crate::dtls::config::{ClientAuthentication, Config};
use crate::dtls::failure::Failure;
use crate::dtls::handshake::{
    Answers, CertificateMessage, ClientHello, HANDSHAKE_HEADER_LEN, HandshakeHeader, HandshakeType, Random,
    VERIFY_DATA_LEN, decode_client_key_exchange, decode_finished, put_certificate_request,
    put_hello_verify_request, put_server_extensions, put_server_hello, put_server_key_exchange,
    put_server_params,
};
use crate::dtls::record::{Epoch, ProtocolVersion, RecordSealer};
use crate::layer::{DtlsRole, SrtpProfile};

/// The length of a cookie that a connection makes up for itself.
const COOKIE_LEN: usize = 20;

/// The server of DTLS 1.2.
#[derive(Debug)]
pub(crate) struct Server {
    state: State,
}

/// The message that is awaited, with what is known by then (RFC 5246 §7.3).
#[derive(Debug)]
enum State {
    ClientHello(Cookie),
    Certificate(Negotiated, Ephemeral),
    ClientKeyExchange(Negotiated, Ephemeral, Option<CertifiedKey>),
    CertificateVerify(Negotiated, Keys, CertifiedKey),
    Finished(Negotiated, Keys),
    /// Complete, or failed: no message is awaited.
    Ended,
}

/// Whether a ClientHello has to bring a cookie.
#[derive(Debug)]
enum Cookie {
    NotNeeded,
    ToBeSent,
    Expected([u8; COOKIE_LEN]),
}

#[derive(Debug)]
struct Negotiated {
    suite: CipherSuite,
    client_random: Random,
    server_random: Random,
    extended_master_secret: bool,
    srtp_profile: Option<SrtpProfile>,
}

/// The own part of the key exchange.
struct Ephemeral(Box<dyn KeyExchange>);

impl fmt::Debug for Ephemeral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ephemeral").field(&self.0.group()).finish()
    }
}

#[derive(Debug)]
struct Keys {
    secret: MasterSecret,
    sealer: RecordSealer,
}

impl Server {
    /// Waits for a ClientHello. `address_verified`: a cookie was returned already, or ICE checked the path.
    pub(crate) fn new(address_verified: bool) -> Self {
        let cookie = if address_verified { Cookie::NotNeeded } else { Cookie::ToBeSent };
        Self { state: State::ClientHello(cookie) }
    }

    /// Takes the next message of the client.
    pub(crate) fn handle(&mut self, exchange: &mut Exchange, message: Message<'_>) -> Result<Step, Failure> {
        use HandshakeType as Type;
        self.state = match (std::mem::replace(&mut self.state, State::Ended), message.kind) {
            (State::ClientHello(cookie), Type::ClientHello) => client_hello(exchange, message, &cookie)?,
            (State::Certificate(negotiated, ephemeral), Type::Certificate) => {
                certificate(exchange, message, negotiated, ephemeral)?
            }
            (State::ClientKeyExchange(negotiated, ephemeral, key), Type::ClientKeyExchange) => {
                client_key_exchange(exchange, message, negotiated, ephemeral, key)?
            }
            (State::CertificateVerify(negotiated, keys, key), Type::CertificateVerify) => {
                exchange.verify_certificate(&key, message.body)?;
                exchange.record(message);
                State::Finished(negotiated, keys)
            }
            (State::Finished(negotiated, keys), Type::Finished) => {
                return finished(exchange, message, &negotiated, keys).map(Step::Complete);
            }
            _ => return Err(Failure::unexpected("a handshake message out of turn from the client")),
        };
        Ok(Step::Continue)
    }
}

fn client_hello(exchange: &mut Exchange, message: Message<'_>, cookie: &Cookie) -> Result<State, Failure> {
    let hello = ClientHello::decode(message.body)?;
    match cookie {
        Cookie::NotNeeded => {}
        Cookie::Expected(expected) if bool::from(hello.start.cookie.ct_eq(expected)) => {}
        Cookie::ToBeSent | Cookie::Expected(_) => return Ok(send_hello_verify_request(exchange)),
    }
    exchange.record(message);

    // Here the version is decided. A server that has DTLS 1.3 too must say so in the last bytes of its
    // random when it answers in 1.2 (RFC 8446 §4.1.3, RFC 9147 §5.3).
    if !hello.offers(ProtocolVersion::DTLS_1_2) {
        return Err(Failure::new(AlertDescription::PROTOCOL_VERSION, "the client does not offer DTLS 1.2"));
    }
    let config = exchange.config.clone();
    let provider = &config.provider;
    let (negotiated, group) = negotiate(&config, &hello)?;
    let Some(identity) = &config.identity else {
        return Err(Failure::new(AlertDescription::INTERNAL_ERROR, "a server needs an identity"));
    };
    let key_exchange =
        provider.key_exchanges.start(group).map_err(Failure::crypto("generating a key share"))?;

    exchange.version = Some(ProtocolVersion::DTLS_1_2);
    exchange.flight.begin(true);
    exchange.send(Epoch::PLAINTEXT, HandshakeType::ServerHello, |out| {
        put_server_hello(out, negotiated.server_random, negotiated.suite);
        put_server_extensions(
            out,
            Answers {
                extended_master_secret: negotiated.extended_master_secret,
                renegotiation_info: hello.secure_renegotiation(),
                ec_point_formats: hello.extensions.ec_point_formats,
                use_srtp: negotiated.srtp_profile,
            },
        );
    });
    exchange.send_certificate(Some(identity));
    let mut params = Vec::with_capacity(128);
    put_server_params(&mut params, group.id(), key_exchange.public_key());
    let signed = [&negotiated.client_random.0[..], &negotiated.server_random.0, &params].concat();
    let signature = identity.sign(&signed).map_err(Failure::crypto("signing"))?;
    exchange.send(Epoch::PLAINTEXT, HandshakeType::ServerKeyExchange, |out| {
        put_server_key_exchange(out, &params, identity.scheme(), &signature);
    });
    if config.client_authentication != ClientAuthentication::None {
        exchange.send(Epoch::PLAINTEXT, HandshakeType::CertificateRequest, |out| {
            put_certificate_request(out, provider.signatures.schemes());
        });
    }
    exchange.send(Epoch::PLAINTEXT, HandshakeType::ServerHelloDone, |_| {});

    let ephemeral = Ephemeral(key_exchange);
    if config.client_authentication != ClientAuthentication::None {
        return Ok(State::Certificate(negotiated, ephemeral));
    }
    exchange.peer.present_none()?;
    Ok(State::ClientKeyExchange(negotiated, ephemeral, None))
}

/// Asks for a cookie. Neither the hello nor this message counts for the transcript, and it is not sent again
/// unless the client repeats its hello (RFC 6347 §4.2.1, §4.2.4).
fn send_hello_verify_request(exchange: &mut Exchange) -> State {
    let mut cookie = [0; COOKIE_LEN];
    exchange.config.provider.random.fill(&mut cookie);
    exchange.flight.begin(false);
    let seq = exchange.take_seq();
    exchange.flight.push(Epoch::PLAINTEXT, HandshakeType::HelloVerifyRequest, seq, |out| {
        put_hello_verify_request(out, &cookie);
    });
    State::ClientHello(Cookie::Expected(cookie))
}

/// Chooses from what the client offers, by the own preference.
fn negotiate(config: &Config, hello: &ClientHello<'_>) -> Result<(Negotiated, NamedGroup), Failure> {
    let failure = |reason| Failure::new(AlertDescription::HANDSHAKE_FAILURE, reason);
    let extensions = &hello.extensions;
    // RFC 5746 §3.6.
    if extensions.renegotiation_info.is_some_and(|info| !info.is_empty()) {
        return Err(failure("renegotiation_info of a first handshake is not empty"));
    }
    let suite = config
        .cipher_suites
        .iter()
        .copied()
        .filter(|suite| suite.authentication() == Authentication::Ecdsa)
        .find(|suite| hello.cipher_suites.contains(suite.id()))
        .ok_or_else(|| failure("no cipher suite in common with the client"))?;
    let group = match extensions.supported_groups {
        Some(offered) => config.groups.iter().copied().find(|group| offered.contains(group.id())),
        // RFC 8422 §4: a client that says nothing takes any; P-256 is the one that everybody has.
        None => config.groups.iter().copied().find(|group| *group == NamedGroup::Secp256r1),
    };
    let group = group.ok_or_else(|| failure("no group in common with the client"))?;
    let scheme = config.identity.as_ref().map(|identity| identity.scheme().id());
    if !extensions.signature_algorithms.zip(scheme).is_some_and(|(list, scheme)| list.contains(scheme)) {
        return Err(failure("the client does not verify signatures of the own certificate's kind"));
    }
    if config.require_extended_master_secret && !extensions.extended_master_secret {
        return Err(failure("the client does not support the extended master secret"));
    }
    // RFC 5764 §4.1.1: without a profile in common the extension is left out. An MKI that the client offers
    // is declined by the empty one of the answer.
    let srtp_profile = extensions.use_srtp.and_then(|offer| {
        config.srtp_profiles.iter().copied().find(|profile| offer.profiles.contains(profile.id()))
    });
    let negotiated = Negotiated {
        suite,
        client_random: hello.start.random,
        server_random: Random::generate(&*config.provider.random),
        extended_master_secret: extensions.extended_master_secret,
        srtp_profile,
    };
    Ok((negotiated, group))
}

fn certificate(
    exchange: &mut Exchange,
    message: Message<'_>,
    negotiated: Negotiated,
    ephemeral: Ephemeral,
) -> Result<State, Failure> {
    let chain = CertificateMessage::decode(message.body)?.chain;
    let key = match chain.first() {
        Some(_) => Some(exchange.present(&chain)?),
        None if exchange.config.client_authentication == ClientAuthentication::Required => {
            // RFC 5246 §7.4.6.
            return Err(Failure::new(AlertDescription::HANDSHAKE_FAILURE, "the client has no certificate"));
        }
        None => {
            exchange.peer.present_none()?;
            None
        }
    };
    exchange.record(message);
    Ok(State::ClientKeyExchange(negotiated, ephemeral, key))
}

fn client_key_exchange(
    exchange: &mut Exchange,
    message: Message<'_>,
    negotiated: Negotiated,
    ephemeral: Ephemeral,
    key: Option<CertifiedKey>,
) -> Result<State, Failure> {
    let public_key = decode_client_key_exchange(message.body)?;
    let premaster = ephemeral
        .0
        .complete(public_key)
        .map_err(|_| Failure::illegal("the client's key share is not a point of its group"))?;
    exchange.record(message);
    let Negotiated { suite, ref client_random, ref server_random, extended_master_secret, .. } = negotiated;
    let secret = if extended_master_secret {
        let session_hash = exchange.transcript_hash(suite.hash());
        MasterSecret::extended(exchange.digests(), suite, &premaster, &session_hash)
    } else {
        MasterSecret::legacy(exchange.digests(), suite, &premaster, client_random, server_random)
    };
    let (sealer, opener) = secret
        .record_keys(&exchange.config.provider, DtlsRole::Server, client_random, server_random)
        .map_err(Failure::crypto("deriving the record keys"))?;
    exchange.opener = Some(opener);
    let keys = Keys { secret, sealer };
    Ok(match key {
        Some(key) => State::CertificateVerify(negotiated, keys, key),
        None => State::Finished(negotiated, keys),
    })
}

fn finished(
    exchange: &mut Exchange,
    message: Message<'_>,
    negotiated: &Negotiated,
    Keys { secret, sealer }: Keys,
) -> Result<Completed, Failure> {
    let verify_data = decode_finished(message.body)?;
    let hash = exchange.transcript_hash(secret.hash());
    let expected = secret.verify_data(exchange.digests(), DtlsRole::Client, &hash);
    if !bool::from(verify_data.ct_eq(&expected)) {
        return Err(Failure::new(AlertDescription::DECRYPT_ERROR, "the client's Finished is wrong"));
    }
    exchange.record(message);
    let hash = exchange.transcript_hash(secret.hash());
    let verify_data = secret.verify_data(exchange.digests(), DtlsRole::Server, &hash);
    let header = HandshakeHeader::whole(HandshakeType::Finished, exchange.take_seq(), VERIFY_DATA_LEN as u32);
    let mut encoded = Vec::with_capacity(HANDSHAKE_HEADER_LEN);
    header.put(&mut encoded);
    let mut finished = [0; HANDSHAKE_HEADER_LEN + VERIFY_DATA_LEN];
    finished[..HANDSHAKE_HEADER_LEN].copy_from_slice(&encoded);
    finished[HANDSHAKE_HEADER_LEN..].copy_from_slice(&verify_data);
    exchange.sealer = Some(sealer);
    let Negotiated { client_random, server_random, srtp_profile, .. } = *negotiated;
    Ok(Completed {
        exporter: secret.into_exporter(client_random, server_random),
        srtp_profile,
        final_flight: Some(FinalFlight { finished, answers: message.seq }),
    })
}
