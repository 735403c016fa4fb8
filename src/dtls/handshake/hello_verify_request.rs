//! HelloVerifyRequest.

use crate::dtls::record::ProtocolVersion;
use crate::dtls::wire::{Malformed, Reader, put_u16, put_vector8};

/// A HelloVerifyRequest (RFC 6347 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HelloVerifyRequest<'a> {
    pub(crate) cookie: &'a [u8],
}

impl<'a> HelloVerifyRequest<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        // Its version says nothing about the one that will be negotiated (RFC 6347 §4.2.1).
        reader.u16("server_version")?;
        let cookie = reader.vector8("cookie")?;
        reader.end("HelloVerifyRequest")?;
        Ok(Self { cookie })
    }
}

pub(crate) fn put_hello_verify_request(out: &mut Vec<u8>, cookie: &[u8]) {
    // RFC 6347 §4.2.1: 1.0 whatever the versions of the server, so that the message gives none away.
    put_u16(out, ProtocolVersion::DTLS_1_0.0);
    put_vector8(out, |out| out.extend_from_slice(cookie));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_round_trip() {
        let mut out = Vec::new();
        put_hello_verify_request(&mut out, &[3; 20]);
        assert_eq!(HelloVerifyRequest::decode(&out), Ok(HelloVerifyRequest { cookie: &[3; 20] }));
        for len in 0..out.len() {
            assert!(HelloVerifyRequest::decode(&out[..len]).is_err());
        }
    }
}
