//! ServerKeyExchange and ClientKeyExchange.

use crate::crypto::SignatureScheme;
use crate::dtls::wire::{Malformed, Reader, put_u16, put_vector8, put_vector16};

/// The curve type of a named group (RFC 8422 §5.4).
const NAMED_CURVE: u8 = 3;

/// A ServerKeyExchange with ephemeral elliptic-curve parameters (RFC 8422 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerKeyExchange<'a> {
    pub(crate) group: u16,
    pub(crate) public_key: &'a [u8],
    /// The bytes of group and key, which are signed.
    pub(crate) params: &'a [u8],
    pub(crate) scheme: u16,
    pub(crate) signature: &'a [u8],
}

impl<'a> ServerKeyExchange<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        if reader.u8("curve_type")? != NAMED_CURVE {
            return Err(Malformed("curve_type"));
        }
        let group = reader.u16("named_curve")?;
        let public_key = reader.vector8("ECDH public key")?;
        let params = body.get(..4 + public_key.len()).ok_or(Malformed("ServerECDHParams"))?;
        let scheme = reader.u16("signature algorithm")?;
        let signature = reader.vector16("signature")?;
        reader.end("ServerKeyExchange")?;
        Ok(Self { group, public_key, params, scheme, signature })
    }
}

/// Writes the part of a ServerKeyExchange that is signed.
pub(crate) fn put_server_params(out: &mut Vec<u8>, group: u16, public_key: &[u8]) {
    out.push(NAMED_CURVE);
    put_u16(out, group);
    put_vector8(out, |out| out.extend_from_slice(public_key));
}

pub(crate) fn put_server_key_exchange(
    out: &mut Vec<u8>,
    params: &[u8],
    scheme: SignatureScheme,
    signature: &[u8],
) {
    out.extend_from_slice(params);
    put_u16(out, scheme.id());
    put_vector16(out, |out| out.extend_from_slice(signature));
}

/// The client's share (RFC 8422 §5.7).
pub(crate) fn decode_client_key_exchange(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    let public_key = reader.vector8("ECDH public key")?;
    reader.end("ClientKeyExchange")?;
    Ok(public_key)
}

pub(crate) fn put_client_key_exchange(out: &mut Vec<u8>, public_key: &[u8]) {
    put_vector8(out, |out| out.extend_from_slice(public_key));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn server_key_exchanges_round_trip(group: u16, key in prop::collection::vec(any::<u8>(), 0..255), signature in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut params = Vec::new();
            put_server_params(&mut params, group, &key);
            let mut out = Vec::new();
            put_server_key_exchange(&mut out, &params, SignatureScheme::EcdsaSha384, &signature);
            let decoded = ServerKeyExchange::decode(&out).unwrap();
            let expected = ServerKeyExchange { group, public_key: &key, params: &params, scheme: 0x0503, signature: &signature };
            prop_assert_eq!(decoded, expected);
        }

        #[test]
        fn client_key_exchanges_round_trip(key in prop::collection::vec(any::<u8>(), 0..255)) {
            let mut out = Vec::new();
            put_client_key_exchange(&mut out, &key);
            prop_assert_eq!(decode_client_key_exchange(&out), Ok(&key[..]));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = ServerKeyExchange::decode(&bytes);
            let _ = decode_client_key_exchange(&bytes);
        }
    }
}
