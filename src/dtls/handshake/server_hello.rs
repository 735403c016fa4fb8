//! ServerHello.

use super::extensions::ServerExtensions;
use super::random::Random;
use crate::dtls::cipher_suite::CipherSuite;
use crate::dtls::record::ProtocolVersion;
use crate::dtls::wire::{Malformed, Reader, put_u16, put_vector8};

/// A ServerHello (RFC 5246 §7.4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello<'a> {
    pub(crate) version: ProtocolVersion,
    pub(crate) random: Random,
    pub(crate) suite: u16,
    pub(crate) compression: u8,
    pub(crate) extensions: ServerExtensions<'a>,
}

impl<'a> ServerHello<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let version = ProtocolVersion(reader.u16("server_version")?);
        let random = Random(reader.array("server random")?);
        if reader.vector8("session_id")?.len() > 32 {
            return Err(Malformed("session_id"));
        }
        let suite = reader.u16("cipher_suite")?;
        let compression = reader.u8("compression_method")?;
        let extensions = ServerExtensions::decode(reader)?;
        Ok(Self { version, random, suite, compression, extensions })
    }
}

/// Writes a ServerHello up to its extensions.
pub(crate) fn put_server_hello(out: &mut Vec<u8>, random: Random, suite: CipherSuite) {
    put_u16(out, ProtocolVersion::DTLS_1_2.0);
    out.extend_from_slice(&random.0);
    // An empty session identifier: the session cannot be resumed.
    put_vector8(out, |_| {});
    put_u16(out, suite.id());
    out.push(0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::extensions::{Answers, put_server_extensions};
    use super::*;
    use crate::layer::SrtpProfile;

    proptest! {
        #[test]
        fn hellos_round_trip(suite in prop::sample::select(&CipherSuite::ALL[..]), ems: bool, secure: bool, points: bool, srtp: bool) {
            let profile = srtp.then_some(SrtpProfile::AeadAes256Gcm);
            let mut out = Vec::new();
            put_server_hello(&mut out, Random([5; 32]), suite);
            put_server_extensions(&mut out, Answers {
                extended_master_secret: ems,
                renegotiation_info: secure,
                ec_point_formats: points,
                use_srtp: profile,
            });
            let hello = ServerHello::decode(&out).unwrap();
            prop_assert_eq!(hello.version, ProtocolVersion::DTLS_1_2);
            prop_assert_eq!(hello.suite, suite.id());
            prop_assert_eq!(hello.extensions.extended_master_secret, ems);
            prop_assert_eq!(hello.extensions.renegotiation_info, secure.then_some(&[][..]));
            prop_assert_eq!(hello.extensions.use_srtp.map(|u| u.profiles.iter().next()), profile.map(|p| Some(p.id())));
            prop_assert!(!hello.extensions.unsolicited);
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = ServerHello::decode(&bytes);
        }
    }
}
