//! The client's state machine of DTLS 1.2.

use subtle::ConstantTimeEq;

use super::exchange::{Completed, Exchange, Message, Step};
use super::key_schedule::MasterSecret;
use crate::crypto::NamedGroup;
use crate::dtls::alert::AlertDescription;
use crate::dtls::certificate::CertifiedKey;
use crate::dtls::cipher_suite::CipherSuite;
use crate::dtls::failure::Failure;
use crate::dtls::handshake::{
    CertificateMessage, CertificateRequest, HandshakeType, HelloVerifyRequest, OfferedParameters, Random,
    ServerHello, ServerKeyExchange, decode_finished, put_certificate_verify, put_client_hello,
    put_client_key_exchange,
};
use crate::dtls::identity::Identity;
use crate::dtls::record::{Epoch, ProtocolVersion};
use crate::layer::{DtlsRole, SrtpProfile};

/// How many cookies are returned in one handshake. One is usual; a server may have changed its secret.
const MAX_COOKIES: u8 = 4;

/// The client of DTLS 1.2.
#[derive(Debug)]
pub(crate) struct Client {
    random: Random,
    state: State,
}

/// The message that is awaited, with what is known by then (RFC 5246 §7.3).
#[derive(Debug)]
enum State {
    ServerHello {
        cookies: u8,
    },
    Certificate(Negotiated),
    ServerKeyExchange(Negotiated, CertifiedKey),
    CertificateRequestOrDone(Negotiated, Share),
    ServerHelloDone(Negotiated, Share, OwnCertificate),
    Finished(Negotiated, MasterSecret),
    /// Complete, or failed: no message is awaited.
    Ended,
}

#[derive(Debug)]
struct Negotiated {
    suite: CipherSuite,
    server_random: Random,
    extended_master_secret: bool,
    srtp_profile: Option<SrtpProfile>,
}

/// The server's part of the key exchange.
#[derive(Debug)]
struct Share {
    group: NamedGroup,
    public_key: Vec<u8>,
}

/// What a CertificateRequest led to.
#[derive(Debug)]
enum OwnCertificate {
    NotRequested,
    Refused,
    Presented(Identity),
}

impl Client {
    /// Begins the handshake with a ClientHello.
    pub(crate) fn start(exchange: &mut Exchange) -> Self {
        let random = Random::generate(&*exchange.config.provider.random);
        let client = Self { random, state: State::ServerHello { cookies: 0 } };
        client.send_hello(exchange, &[]);
        client
    }

    /// Takes the next message of the server.
    pub(crate) fn handle(&mut self, exchange: &mut Exchange, message: Message<'_>) -> Result<Step, Failure> {
        use HandshakeType as Type;
        self.state = match (std::mem::replace(&mut self.state, State::Ended), message.kind) {
            (State::ServerHello { cookies }, Type::HelloVerifyRequest) => {
                self.hello_verify_request(exchange, message, cookies)?
            }
            (State::ServerHello { .. }, Type::ServerHello) => server_hello(exchange, message)?,
            (State::Certificate(negotiated), Type::Certificate) => {
                certificate(exchange, message, negotiated)?
            }
            (State::ServerKeyExchange(negotiated, key), Type::ServerKeyExchange) => {
                self.server_key_exchange(exchange, message, negotiated, &key)?
            }
            (State::CertificateRequestOrDone(negotiated, share), Type::CertificateRequest) => {
                certificate_request(exchange, message, negotiated, share)?
            }
            (State::CertificateRequestOrDone(negotiated, share), Type::ServerHelloDone) => {
                self.server_hello_done(exchange, message, negotiated, &share, OwnCertificate::NotRequested)?
            }
            (State::ServerHelloDone(negotiated, share, own), Type::ServerHelloDone) => {
                self.server_hello_done(exchange, message, negotiated, &share, own)?
            }
            (State::Finished(negotiated, secret), Type::Finished) => {
                return self.finished(exchange, message, &negotiated, secret).map(Step::Complete);
            }
            _ => return Err(Failure::unexpected("a handshake message out of turn from the server")),
        };
        Ok(Step::Continue)
    }

    fn send_hello(&self, exchange: &mut Exchange, cookie: &[u8]) {
        let config = exchange.config.clone();
        let offered = OfferedParameters {
            suites: &config.cipher_suites,
            groups: &config.groups,
            schemes: config.provider.signatures.schemes(),
            srtp_profiles: &config.srtp_profiles,
            server_name: config.server_name.as_deref(),
        };
        exchange.flight.begin(true);
        exchange.send(Epoch::PLAINTEXT, HandshakeType::ClientHello, |out| {
            put_client_hello(out, self.random, cookie, &offered);
        });
    }

    fn hello_verify_request(
        &self,
        exchange: &mut Exchange,
        message: Message<'_>,
        cookies: u8,
    ) -> Result<State, Failure> {
        let request = HelloVerifyRequest::decode(message.body)?;
        if cookies >= MAX_COOKIES {
            return Err(Failure::unexpected("the server asks for one cookie after the other"));
        }
        exchange.restart_transcript();
        self.send_hello(exchange, request.cookie);
        Ok(State::ServerHello { cookies: cookies + 1 })
    }

    fn server_key_exchange(
        &self,
        exchange: &mut Exchange,
        message: Message<'_>,
        negotiated: Negotiated,
        key: &CertifiedKey,
    ) -> Result<State, Failure> {
        let params = ServerKeyExchange::decode(message.body)?;
        let group = NamedGroup::from_id(params.group)
            .filter(|group| exchange.config.groups.contains(group))
            .ok_or_else(|| Failure::illegal("the server chose a group that was not offered"))?;
        let signed = [&self.random.0[..], &negotiated.server_random.0, params.params].concat();
        exchange.verify_signature(
            key.as_public_key(),
            params.scheme,
            &signed,
            params.signature,
            "the signature of ServerKeyExchange is wrong",
        )?;
        exchange.record(message);
        let share = Share { group, public_key: params.public_key.to_vec() };
        Ok(State::CertificateRequestOrDone(negotiated, share))
    }

    /// Ends the server's flight, and sends all of the own one.
    fn server_hello_done(
        &self,
        exchange: &mut Exchange,
        message: Message<'_>,
        negotiated: Negotiated,
        share: &Share,
        own: OwnCertificate,
    ) -> Result<State, Failure> {
        if !message.body.is_empty() {
            return Err(Failure::new(AlertDescription::DECODE_ERROR, "ServerHelloDone"));
        }
        exchange.record(message);
        let config = exchange.config.clone();
        let provider = &config.provider;
        let key_exchange =
            provider.key_exchanges.start(share.group).map_err(Failure::crypto("generating a key share"))?;

        exchange.flight.begin(true);
        match &own {
            OwnCertificate::NotRequested => {}
            OwnCertificate::Refused => exchange.send_certificate(None),
            OwnCertificate::Presented(identity) => exchange.send_certificate(Some(identity)),
        }
        exchange.send(Epoch::PLAINTEXT, HandshakeType::ClientKeyExchange, |out| {
            put_client_key_exchange(out, key_exchange.public_key());
        });
        let premaster = key_exchange
            .complete(&share.public_key)
            .map_err(|_| Failure::illegal("the server's key share is not a point of its group"))?;
        let Negotiated { suite, ref server_random, extended_master_secret, .. } = negotiated;
        let secret = if extended_master_secret {
            let session_hash = exchange.transcript_hash(suite.hash());
            MasterSecret::extended(&*provider.digests, suite, &premaster, &session_hash)
        } else {
            MasterSecret::legacy(&*provider.digests, suite, &premaster, &self.random, server_random)
        };
        if let OwnCertificate::Presented(identity) = &own {
            let signature = identity.sign(exchange.transcript_bytes()).map_err(Failure::crypto("signing"))?;
            exchange.send(Epoch::PLAINTEXT, HandshakeType::CertificateVerify, |out| {
                put_certificate_verify(out, identity.scheme(), &signature);
            });
        }
        let (sealer, opener) = secret
            .record_keys(provider, DtlsRole::Client, &self.random, server_random)
            .map_err(Failure::crypto("deriving the record keys"))?;
        exchange.sealer = Some(sealer);
        exchange.opener = Some(opener);
        exchange.flight.push_change_cipher_spec();
        let hash = exchange.transcript_hash(suite.hash());
        let verify_data = secret.verify_data(&*provider.digests, DtlsRole::Client, &hash);
        exchange.send(Epoch::PROTECTED, HandshakeType::Finished, |out| out.extend_from_slice(&verify_data));
        Ok(State::Finished(negotiated, secret))
    }

    fn finished(
        &self,
        exchange: &mut Exchange,
        message: Message<'_>,
        negotiated: &Negotiated,
        secret: MasterSecret,
    ) -> Result<Completed, Failure> {
        let verify_data = decode_finished(message.body)?;
        let hash = exchange.transcript_hash(secret.hash());
        let expected = secret.verify_data(exchange.digests(), DtlsRole::Server, &hash);
        if !bool::from(verify_data.ct_eq(&expected)) {
            return Err(Failure::new(AlertDescription::DECRYPT_ERROR, "the server's Finished is wrong"));
        }
        Ok(Completed {
            exporter: secret.into_exporter(self.random, negotiated.server_random),
            srtp_profile: negotiated.srtp_profile,
            final_flight: None,
        })
    }
}

fn server_hello(exchange: &mut Exchange, message: Message<'_>) -> Result<State, Failure> {
    let hello = ServerHello::decode(message.body)?;
    if hello.version != ProtocolVersion::DTLS_1_2 {
        return Err(Failure::new(AlertDescription::PROTOCOL_VERSION, "the server has no DTLS 1.2"));
    }
    let config = &exchange.config;
    let suite = CipherSuite::from_id(hello.suite)
        .filter(|suite| config.cipher_suites.contains(suite))
        .ok_or_else(|| Failure::illegal("the server chose a cipher suite that was not offered"))?;
    if hello.compression != 0 {
        return Err(Failure::illegal("the server chose a compression method"));
    }
    let extensions = hello.extensions;
    if extensions.unsolicited || extensions.server_name && exchange.config.server_name.is_none() {
        return Err(Failure::new(
            AlertDescription::UNSUPPORTED_EXTENSION,
            "the server answered an extension that was not offered",
        ));
    }
    // RFC 5746 §3.4. Servers that do not know the extension are served all the same: nothing is ever
    // renegotiated here, and the server is authenticated by its certificate.
    if extensions.renegotiation_info.is_some_and(|info| !info.is_empty()) {
        return Err(Failure::new(
            AlertDescription::HANDSHAKE_FAILURE,
            "renegotiation_info of a first handshake is not empty",
        ));
    }
    if config.require_extended_master_secret && !extensions.extended_master_secret {
        return Err(Failure::new(
            AlertDescription::HANDSHAKE_FAILURE,
            "the server does not support the extended master secret",
        ));
    }
    let srtp_profile = match extensions.use_srtp {
        None => None,
        Some(answer) => {
            // RFC 5764 §4.1.1: exactly one of those offered, and no MKI where none was offered.
            let mut profiles = answer.profiles.iter();
            let chosen = profiles
                .next()
                .and_then(SrtpProfile::from_id)
                .filter(|profile| config.srtp_profiles.contains(profile));
            if chosen.is_none() || profiles.next().is_some() || !answer.mki.is_empty() {
                return Err(Failure::illegal("the server's use_srtp is not a choice from what was offered"));
            }
            chosen
        }
    };
    exchange.record(message);
    exchange.version = Some(hello.version);
    Ok(State::Certificate(Negotiated {
        suite,
        server_random: hello.random,
        extended_master_secret: extensions.extended_master_secret,
        srtp_profile,
    }))
}

fn certificate(
    exchange: &mut Exchange,
    message: Message<'_>,
    negotiated: Negotiated,
) -> Result<State, Failure> {
    let chain = CertificateMessage::decode(message.body)?.chain;
    if chain.is_empty() {
        return Err(Failure::illegal("the server has no certificate"));
    }
    let key = exchange.present(&chain)?;
    if key.authentication() != negotiated.suite.authentication() {
        return Err(Failure::illegal("the server's key does not fit the cipher suite"));
    }
    exchange.record(message);
    Ok(State::ServerKeyExchange(negotiated, key))
}

fn certificate_request(
    exchange: &mut Exchange,
    message: Message<'_>,
    negotiated: Negotiated,
    share: Share,
) -> Result<State, Failure> {
    let request = CertificateRequest::decode(message.body)?;
    let own = match &exchange.config.identity {
        Some(identity) if request.accepts(identity.scheme()) => OwnCertificate::Presented(identity.clone()),
        _ => OwnCertificate::Refused,
    };
    exchange.record(message);
    Ok(State::ServerHelloDone(negotiated, share, own))
}
