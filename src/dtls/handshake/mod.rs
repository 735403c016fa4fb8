//! Handshake messages (RFC 5246 §7.4): their formats, their fragments, their transcript.

mod certificate;
mod client_hello;
mod extensions;
mod finished;
mod hello_verify_request;
mod key_exchange;
mod message;
mod random;
mod reassembly;
mod server_hello;
mod transcript;

pub(crate) use certificate::{
    CertificateMessage, CertificateRequest, CertificateVerify, put_certificate, put_certificate_request,
    put_certificate_verify,
};
pub(crate) use client_hello::{ClientHello, ClientHelloStart, OfferedParameters, put_client_hello};
pub(crate) use extensions::{Answers, put_server_extensions};
pub(crate) use finished::{VERIFY_DATA_LEN, decode_finished};
pub(crate) use hello_verify_request::{HelloVerifyRequest, put_hello_verify_request};
pub(crate) use key_exchange::{
    ServerKeyExchange, decode_client_key_exchange, put_client_key_exchange, put_server_key_exchange,
    put_server_params,
};
pub(crate) use message::{Fragment, HANDSHAKE_HEADER_LEN, HandshakeHeader, HandshakeType, MessageSeq};
pub(crate) use random::Random;
pub(crate) use reassembly::{Accepted, Reassembler, ReassemblyLimits};
pub(crate) use server_hello::{ServerHello, put_server_hello};
pub(crate) use transcript::Transcript;
