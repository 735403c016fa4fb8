//! ClientHello.

use super::extensions::{ClientExtensions, put_client_extensions};
use super::random::Random;
use crate::crypto::{NamedGroup, SignatureScheme};
use crate::dtls::cipher_suite::CipherSuite;
use crate::dtls::record::ProtocolVersion;
use crate::dtls::wire::{Malformed, Reader, U16List, put_u16, put_vector8, put_vector16};
use crate::layer::SrtpProfile;

/// TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746 §3.3).
const EMPTY_RENEGOTIATION_INFO_SCSV: u16 = 0x00ff;

const NULL_COMPRESSION: u8 = 0;

/// A ClientHello (RFC 6347 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientHello<'a> {
    pub(crate) start: ClientHelloStart<'a>,
    pub(crate) cipher_suites: U16List<'a>,
    pub(crate) extensions: ClientExtensions<'a>,
}

impl<'a> ClientHello<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let start = ClientHelloStart::read(&mut reader)?;
        let cipher_suites = U16List::new(reader.vector16("cipher_suites")?, "cipher_suites")?;
        let compression = reader.vector8("compression_methods")?;
        if !compression.contains(&NULL_COMPRESSION) {
            return Err(Malformed("compression_methods lack null"));
        }
        let extensions = ClientExtensions::decode(reader)?;
        Ok(Self { start, cipher_suites, extensions })
    }

    /// The versions that the client takes: `supported_versions` where it is there (RFC 8446 §4.2.1, as
    /// RFC 9147 §5.3 has it), else all up to the one in the old field.
    pub(crate) fn offers(&self, version: ProtocolVersion) -> bool {
        match self.extensions.supported_versions {
            Some(versions) => versions.contains(version.0),
            None => self.start.version.covers(version),
        }
    }

    /// Whether the client knows secure renegotiation, by the extension or by the signalling suite.
    pub(crate) fn secure_renegotiation(&self) -> bool {
        self.extensions.renegotiation_info.is_some()
            || self.cipher_suites.contains(EMPTY_RENEGOTIATION_INFO_SCSV)
    }
}

/// What stands in front of a ClientHello, up to the cookie. It fits the first fragment of any sane
/// ClientHello, and is all that a stateless answer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientHelloStart<'a> {
    pub(crate) version: ProtocolVersion,
    pub(crate) random: Random,
    /// The bytes of version, random and session identifier, which a cookie is bound to.
    pub(crate) before_cookie: &'a [u8],
    pub(crate) cookie: &'a [u8],
}

impl<'a> ClientHelloStart<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut whole = *reader;
        let version = ProtocolVersion(reader.u16("client_version")?);
        let random = Random(reader.array("client random")?);
        let session_id = reader.vector8("session_id")?;
        if session_id.len() > 32 {
            return Err(Malformed("session_id"));
        }
        let before_cookie = whole.take(2 + 32 + 1 + session_id.len(), "session_id")?;
        let cookie = reader.vector8("cookie")?;
        Ok(Self { version, random, before_cookie, cookie })
    }
}

/// What a client offers.
#[derive(Debug)]
pub(crate) struct OfferedParameters<'a> {
    pub(crate) suites: &'a [CipherSuite],
    pub(crate) groups: &'a [NamedGroup],
    pub(crate) schemes: &'a [SignatureScheme],
    pub(crate) srtp_profiles: &'a [SrtpProfile],
    pub(crate) server_name: Option<&'a str>,
}

pub(crate) fn put_client_hello(
    out: &mut Vec<u8>,
    random: Random,
    cookie: &[u8],
    offered: &OfferedParameters<'_>,
) {
    put_u16(out, ProtocolVersion::DTLS_1_2.0);
    out.extend_from_slice(&random.0);
    put_vector8(out, |_| {});
    put_vector8(out, |out| out.extend_from_slice(cookie));
    put_vector16(out, |out| offered.suites.iter().for_each(|suite| put_u16(out, suite.id())));
    put_vector8(out, |out| out.push(NULL_COMPRESSION));
    let groups = offered.groups.iter().map(|group| group.id());
    let schemes = offered.schemes.iter().map(|scheme| scheme.id());
    put_client_extensions(out, groups, schemes, offered.srtp_profiles, offered.server_name);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(cookie: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let offered = OfferedParameters {
            server_name: None,
            suites: &CipherSuite::ALL,
            groups: &[NamedGroup::X25519, NamedGroup::Secp256r1],
            schemes: &[SignatureScheme::EcdsaSha256],
            srtp_profiles: &[SrtpProfile::AeadAes128Gcm],
        };
        put_client_hello(&mut out, Random([7; 32]), cookie, &offered);
        out
    }

    #[test]
    fn hellos_round_trip() {
        let bytes = hello(b"cookie");
        let hello = ClientHello::decode(&bytes).unwrap();
        assert_eq!(hello.start.random, Random([7; 32]));
        assert_eq!(hello.start.cookie, b"cookie");
        assert!(hello.offers(ProtocolVersion::DTLS_1_2) && !hello.offers(ProtocolVersion(0xfefc)));
        assert!(hello.secure_renegotiation() && hello.extensions.extended_master_secret);
        assert!(hello.cipher_suites.contains(0xc02b));
        assert!(hello.extensions.supported_groups.unwrap().contains(29));
        let srtp = hello.extensions.use_srtp.unwrap();
        assert!(srtp.profiles.contains(7) && srtp.mki.is_empty());
    }

    #[test]
    fn an_extension_may_appear_once() {
        let mut bytes = hello(b"");
        // The extensions' length stands behind suites and compression.
        let at = 2 + 32 + 1 + 1 + 2 + 2 * CipherSuite::ALL.len() + 2;
        let total = u16::from_be_bytes([bytes[at], bytes[at + 1]]) + 4;
        bytes[at..at + 2].copy_from_slice(&total.to_be_bytes());
        bytes.extend_from_slice(&[0, 23, 0, 0]);
        assert_eq!(ClientHello::decode(&bytes), Err(Malformed("an extension appears twice")));
    }

    #[test]
    fn unknown_extensions_and_grease_are_skipped() {
        let mut bytes = hello(b"");
        let at = 2 + 32 + 1 + 1 + 2 + 2 * CipherSuite::ALL.len() + 2;
        let total = u16::from_be_bytes([bytes[at], bytes[at + 1]]) + 5;
        bytes[at..at + 2].copy_from_slice(&total.to_be_bytes());
        bytes.extend_from_slice(&[0x8a, 0x8a, 0, 1, 0]);
        assert!(ClientHello::decode(&bytes).is_ok());
    }

    #[test]
    fn truncation_is_refused_at_every_length() {
        let bytes = hello(b"cookie");
        for len in 0..bytes.len() {
            // A hello without any extensions is a hello (RFC 5246 §7.4.1.2).
            let bare = 2 + 32 + 1 + 7 + 2 + 2 * CipherSuite::ALL.len() + 2;
            assert_eq!(ClientHello::decode(&bytes[..len]).is_ok(), len == bare, "{len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let _ = ClientHello::decode(&bytes);
        }

        #[test]
        fn any_changed_byte_is_decoded_or_refused(at in 0usize..100, value: u8) {
            let mut bytes = hello(b"cookie");
            bytes[at] = value;
            let _ = ClientHello::decode(&bytes);
        }
    }
}
