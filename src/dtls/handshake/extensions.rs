//! Extensions of both hellos.

use crate::dtls::wire::{Malformed, Reader, U16List, put_u16, put_vector8, put_vector16};
use crate::layer::SrtpProfile;

/// The extensions that this implementation reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtensionType(pub(super) u16);

impl ExtensionType {
    /// RFC 8422 §5.1.1.
    pub(super) const SUPPORTED_GROUPS: Self = Self(10);
    /// RFC 8422 §5.1.2.
    pub(super) const EC_POINT_FORMATS: Self = Self(11);
    /// RFC 5246 §7.4.1.4.1.
    pub(super) const SIGNATURE_ALGORITHMS: Self = Self(13);
    /// RFC 6066 §3.
    pub(super) const SERVER_NAME: Self = Self(0);
    /// RFC 5764 §4.1.
    pub(super) const USE_SRTP: Self = Self(14);
    /// RFC 7627 §5.1.
    pub(super) const EXTENDED_MASTER_SECRET: Self = Self(23);
    /// RFC 8446 §4.2.1.
    pub(super) const SUPPORTED_VERSIONS: Self = Self(43);
    /// RFC 5746 §3.2.
    pub(super) const RENEGOTIATION_INFO: Self = Self(0xff01);
}

/// The only point format there is: uncompressed.
const UNCOMPRESSED: u8 = 0;

/// What a ClientHello's extensions say. Others, GREASE (RFC 8701) among them, are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientExtensions<'a> {
    pub(crate) supported_groups: Option<U16List<'a>>,
    pub(crate) signature_algorithms: Option<U16List<'a>>,
    pub(crate) use_srtp: Option<UseSrtp<'a>>,
    pub(crate) supported_versions: Option<U16List<'a>>,
    pub(crate) renegotiation_info: Option<&'a [u8]>,
    pub(crate) extended_master_secret: bool,
    pub(crate) ec_point_formats: bool,
}

impl<'a> ClientExtensions<'a> {
    /// Reads what follows the compression methods, which may be nothing at all.
    pub(crate) fn decode(reader: Reader<'a>) -> Result<Self, Malformed> {
        let mut extensions = Self::default();
        for_each(reader, |kind, body| match kind {
            ExtensionType::SUPPORTED_GROUPS => {
                once(&mut extensions.supported_groups, list16(body, "supported_groups")?)
            }
            ExtensionType::SIGNATURE_ALGORITHMS => {
                once(&mut extensions.signature_algorithms, list16(body, "signature_algorithms")?)
            }
            ExtensionType::USE_SRTP => once(&mut extensions.use_srtp, UseSrtp::decode(body)?),
            ExtensionType::SUPPORTED_VERSIONS => {
                let mut reader = Reader::new(body);
                let list = U16List::new(reader.vector8("supported_versions")?, "supported_versions")?;
                reader.end("supported_versions")?;
                once(&mut extensions.supported_versions, list)
            }
            ExtensionType::RENEGOTIATION_INFO => {
                once(&mut extensions.renegotiation_info, renegotiation_info(body)?)
            }
            ExtensionType::EC_POINT_FORMATS => {
                extensions.ec_point_formats = true;
                point_formats(body)
            }
            ExtensionType::EXTENDED_MASTER_SECRET => flag(&mut extensions.extended_master_secret, body),
            _ => Ok(()),
        })?;
        Ok(extensions)
    }
}

/// What a ServerHello's extensions say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServerExtensions<'a> {
    pub(crate) use_srtp: Option<UseSrtp<'a>>,
    pub(crate) renegotiation_info: Option<&'a [u8]>,
    pub(crate) extended_master_secret: bool,
    /// Whether the server has made use of the name that it was told (RFC 6066 §3).
    pub(crate) server_name: bool,
    /// Whether there is one that was not asked for (RFC 5246 §7.4.1.4).
    pub(crate) unsolicited: bool,
}

impl<'a> ServerExtensions<'a> {
    pub(crate) fn decode(reader: Reader<'a>) -> Result<Self, Malformed> {
        let mut extensions = Self::default();
        for_each(reader, |kind, body| match kind {
            ExtensionType::USE_SRTP => once(&mut extensions.use_srtp, UseSrtp::decode(body)?),
            ExtensionType::RENEGOTIATION_INFO => {
                once(&mut extensions.renegotiation_info, renegotiation_info(body)?)
            }
            ExtensionType::EXTENDED_MASTER_SECRET => flag(&mut extensions.extended_master_secret, body),
            ExtensionType::EC_POINT_FORMATS => point_formats(body),
            ExtensionType::SERVER_NAME => flag(&mut extensions.server_name, body),
            // Some servers list their groups, which RFC 8422 §4 does not ask of them.
            ExtensionType::SUPPORTED_GROUPS => Ok(()),
            _ => {
                extensions.unsolicited = true;
                Ok(())
            }
        })?;
        Ok(extensions)
    }
}

/// The content of a `use_srtp` extension (RFC 5764 §4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UseSrtp<'a> {
    pub(crate) profiles: U16List<'a>,
    pub(crate) mki: &'a [u8],
}

impl<'a> UseSrtp<'a> {
    fn decode(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let profiles = U16List::new(reader.vector16("use_srtp profiles")?, "use_srtp profiles")?;
        let mki = reader.vector8("use_srtp MKI")?;
        reader.end("use_srtp")?;
        Ok(Self { profiles, mki })
    }
}

pub(super) fn put_client_extensions(
    out: &mut Vec<u8>,
    groups: impl Iterator<Item = u16>,
    schemes: impl Iterator<Item = u16>,
    srtp_profiles: &[SrtpProfile],
    server_name: Option<&str>,
) {
    put_vector16(out, |out| {
        if let Some(name) = server_name {
            put_server_name(out, name);
        }
        put(out, ExtensionType::EXTENDED_MASTER_SECRET, |_| {});
        put(out, ExtensionType::RENEGOTIATION_INFO, |out| out.push(0));
        put(out, ExtensionType::SUPPORTED_GROUPS, |out| put_list16(out, groups));
        put_point_formats(out);
        put(out, ExtensionType::SIGNATURE_ALGORITHMS, |out| put_list16(out, schemes));
        if !srtp_profiles.is_empty() {
            put_use_srtp(out, srtp_profiles.iter().copied());
        }
    });
}

/// RFC 6066 §3: a list of one name, which is a host's.
fn put_server_name(out: &mut Vec<u8>, name: &str) {
    put(out, ExtensionType::SERVER_NAME, |out| {
        put_vector16(out, |out| {
            out.push(0);
            put_vector16(out, |out| out.extend_from_slice(name.as_bytes()));
        });
    });
}

/// Which of the client's extensions a ServerHello answers: none that the client did not send (RFC 5246
/// §7.4.1.4).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answers {
    pub(crate) extended_master_secret: bool,
    /// To the extension or, as RFC 5746 §3.6 has it, to the signalling suite.
    pub(crate) renegotiation_info: bool,
    pub(crate) ec_point_formats: bool,
    pub(crate) use_srtp: Option<SrtpProfile>,
}

/// The extensions of a ServerHello.
pub(crate) fn put_server_extensions(out: &mut Vec<u8>, answers: Answers) {
    put_vector16(out, |out| {
        if answers.extended_master_secret {
            put(out, ExtensionType::EXTENDED_MASTER_SECRET, |_| {});
        }
        if answers.renegotiation_info {
            put(out, ExtensionType::RENEGOTIATION_INFO, |out| out.push(0));
        }
        if answers.ec_point_formats {
            put_point_formats(out);
        }
        if let Some(profile) = answers.use_srtp {
            put_use_srtp(out, [profile].into_iter());
        }
    });
}

fn put(out: &mut Vec<u8>, ExtensionType(kind): ExtensionType, fill: impl FnOnce(&mut Vec<u8>)) {
    put_u16(out, kind);
    put_vector16(out, fill);
}

fn put_list16(out: &mut Vec<u8>, numbers: impl Iterator<Item = u16>) {
    put_vector16(out, |out| numbers.for_each(|number| put_u16(out, number)));
}

fn put_point_formats(out: &mut Vec<u8>) {
    put(out, ExtensionType::EC_POINT_FORMATS, |out| put_vector8(out, |out| out.push(UNCOMPRESSED)));
}

fn put_use_srtp(out: &mut Vec<u8>, profiles: impl Iterator<Item = SrtpProfile>) {
    put(out, ExtensionType::USE_SRTP, |out| {
        put_list16(out, profiles.map(SrtpProfile::id));
        // No master key identifier: WebRTC has one key per direction (RFC 8827 §6.5).
        out.push(0);
    });
}

/// Calls `read` for each extension of a hello.
fn for_each<'a>(
    mut reader: Reader<'a>,
    mut read: impl FnMut(ExtensionType, &'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    if reader.is_empty() {
        return Ok(());
    }
    let mut extensions = Reader::new(reader.vector16("extensions")?);
    reader.end("bytes after the extensions")?;
    while !extensions.is_empty() {
        let kind = ExtensionType(extensions.u16("extension type")?);
        read(kind, extensions.vector16("extension body")?)?;
    }
    Ok(())
}

/// There must not be more than one extension of a type (RFC 5246 §7.4.1.4).
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Malformed> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Malformed("an extension appears twice")),
    }
}

fn flag(slot: &mut bool, body: &[u8]) -> Result<(), Malformed> {
    if !body.is_empty() {
        return Err(Malformed("extended_master_secret is not empty"));
    }
    if std::mem::replace(slot, true) { Err(Malformed("an extension appears twice")) } else { Ok(()) }
}

fn list16<'a>(body: &'a [u8], field: &'static str) -> Result<U16List<'a>, Malformed> {
    let mut reader = Reader::new(body);
    let list = U16List::new(reader.vector16(field)?, field)?;
    reader.end(field)?;
    Ok(list)
}

fn renegotiation_info(body: &[u8]) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new(body);
    let info = reader.vector8("renegotiation_info")?;
    reader.end("renegotiation_info")?;
    Ok(info)
}

fn point_formats(body: &[u8]) -> Result<(), Malformed> {
    let mut reader = Reader::new(body);
    let formats = reader.vector8("ec_point_formats")?;
    reader.end("ec_point_formats")?;
    // RFC 8422 §5.1.2: uncompressed must be among them.
    if formats.contains(&UNCOMPRESSED) { Ok(()) } else { Err(Malformed("ec_point_formats")) }
}
