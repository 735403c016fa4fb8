//! The seam for DTLS.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;
use thiserror::Error;

use super::{Datagram, Layer, SrtpKeyingMaterial, SrtpProfile};

/// A DTLS connection: the seam for a DTLS implementation.
///
/// The peer is authenticated by the fingerprint of its certificate. No keying material can be had and no
/// application data passes before the fingerprint was verified.
pub trait DtlsTransport: Layer<Event = DtlsEvent, Error = DtlsError> + fmt::Debug + Send {
    /// Takes one datagram as [`Layer::handle_datagram`] does, and hands each piece of application data in it
    /// to `deliver`, decrypted in place. `handle_datagram` queues the same data as
    /// [`DtlsEvent::ApplicationData`] instead, at the price of a copy.
    ///
    /// # Errors
    /// As [`Layer::handle_datagram`].
    fn receive(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DtlsError>;

    /// Appends one record that carries `data` to `out`.
    ///
    /// # Errors
    /// [`DtlsError::NotConnected`] before the handshake is complete or after close, and
    /// [`DtlsError::TooLarge`] for more than a record holds. Nothing is appended on error.
    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), DtlsError>;

    /// How many bytes [`seal`](Self::seal) adds to `data`: exactly, whatever the data are. A session writes data with so much
    /// room around them, and fails with [`DtlsError::Internal`] if the record does not fill it.
    fn overhead(&self) -> usize;

    /// How many of the [`overhead`](Self::overhead) stand in front of the data while
    /// [`seal_in_place`](Self::seal_in_place) takes it; the rest is behind.
    fn head_len(&self) -> usize {
        0
    }

    /// Makes the one record that fills `record` out of the data in it, which stands behind
    /// [`head_len`](Self::head_len) bytes and in front of the rest of the [`overhead`](Self::overhead). Unless an
    /// implementation can do so in place, the record is [sealed](Self::seal) elsewhere and copied.
    ///
    /// # Errors
    /// As [`seal`](Self::seal), and [`DtlsError::Internal`] if the record has another length. The content of `record`
    /// is unspecified then.
    fn seal_in_place(&mut self, record: &mut [u8]) -> Result<(), DtlsError> {
        let (head, tail) = (self.head_len(), self.overhead().saturating_sub(self.head_len()));
        let data = record.len().checked_sub(tail).and_then(|end| record.get(head..end));
        let mut sealed = Vec::with_capacity(record.len());
        self.seal(data.ok_or(DtlsError::Internal("a record has no room for its overhead"))?, &mut sealed)?;
        if sealed.len() != record.len() {
            return Err(DtlsError::Internal("a record is not longer than its data by the overhead"));
        }
        record.copy_from_slice(&sealed);
        Ok(())
    }

    /// Whether the handshake is complete and the connection not closed.
    fn is_connected(&self) -> bool;

    /// The protection profile that `use_srtp` agreed on; `None` before the handshake is complete or when
    /// none was agreed.
    fn srtp_profile(&self) -> Option<SrtpProfile>;

    /// IANA's name of the cipher suite, for statistics; `None` before the handshake is complete, or where an
    /// implementation does not tell.
    fn cipher_suite_name(&self) -> Option<&'static str> {
        None
    }

    /// The fingerprint of the peer's certificate; `None` before the handshake is complete, or where an implementation
    /// does not tell.
    fn peer_fingerprint(&self, algorithm: FingerprintAlgorithm) -> Option<Fingerprint> {
        let _ = algorithm;
        None
    }

    /// The SRTP master keys of both directions (RFC 5764 §4.2). A session asks once, when there is media: at the end of the
    /// handshake, or at any time later.
    ///
    /// # Errors
    /// [`DtlsError::NotConnected`], or [`DtlsError::NoSrtpProfile`] when none was agreed.
    fn srtp_keying_material(&self) -> Result<SrtpKeyingMaterial, DtlsError>;

    /// Fills `out` with keying material for `label` and `context` (RFC 5705).
    ///
    /// # Errors
    /// [`DtlsError::NotConnected`].
    fn export_keying_material(
        &self,
        label: &str,
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<(), DtlsError>;

    /// The role in the handshake.
    fn role(&self) -> DtlsRole;

    /// Gives the fingerprints that the signalling announced for the peer, where they come after the
    /// connection was made. Data that waited for them becomes [`DtlsEvent::ApplicationData`]. Without effect
    /// once the peer is verified.
    ///
    /// # Errors
    /// [`DtlsError::WrongFingerprint`] if the peer presented another certificate already; the connection has
    /// ended then.
    fn set_peer_fingerprints(&mut self, now: Instant, fingerprints: &[Fingerprint]) -> Result<(), DtlsError>;

    /// Ends the connection: queues a close_notify alert.
    fn close(&mut self, now: Instant);
}

/// Who sends the ClientHello: `a=setup:active` is the client (RFC 5763 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum DtlsRole {
    /// Sends the ClientHello.
    Client,
    /// Waits for it.
    Server,
}

/// What a DTLS connection tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DtlsEvent {
    /// The handshake is complete and the peer's fingerprint verified.
    Connected {
        /// The protection profile that was agreed on.
        srtp_profile: Option<SrtpProfile>,
    },
    /// Application data that came through [`Layer::handle_datagram`].
    ApplicationData(Bytes),
    /// The peer closed the connection.
    Closed,
    /// The connection ended with an error.
    Failed(DtlsError),
}

/// Why DTLS refused something, or ended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DtlsError {
    /// The handshake is not complete, or the connection is closed.
    #[error("the DTLS connection is not established")]
    NotConnected,
    /// More data than a record holds.
    #[error("{size} bytes do not fit into one DTLS record of at most {limit}; send smaller pieces")]
    TooLarge {
        /// The size given.
        size: usize,
        /// The size allowed.
        limit: usize,
    },
    /// No SRTP protection profile was agreed on.
    #[error("use_srtp was not agreed on; offer a protection profile that the peer supports")]
    NoSrtpProfile,
    /// The peer's certificate is not the one that was announced.
    #[error(
        "the peer's certificate has the fingerprint {actual}, but {expected} was announced: \
         this is not the peer that the signalling named"
    )]
    WrongFingerprint {
        /// What was announced, comma-separated where there were several.
        expected: String,
        /// What the certificate has, by the announced algorithm.
        actual: String,
    },
    /// The chain of the peer's certificates was not verified.
    #[error("the peer's certificate was not verified: {0}")]
    Certificate(String),
    /// The peer sent a fatal alert.
    #[error("the peer ended the handshake with the alert {description} ({code}){}", certificate_hint(*.code))]
    AlertReceived {
        /// The number of the alert (RFC 5246 §7.2).
        code: u8,
        /// Its name.
        description: &'static str,
    },
    /// The peer broke the protocol, or nothing in common was found.
    #[error("DTLS handshake failed: {reason}; alert {alert} was sent")]
    Handshake {
        /// What was wrong.
        reason: &'static str,
        /// The name of the alert that was sent.
        alert: &'static str,
    },
    /// The peer did not answer within the handshake timeout.
    #[error("the peer did not complete the handshake in time")]
    TimedOut,
    /// The datagram was not understood and changed nothing.
    #[error("datagram ignored: {0}")]
    Ignored(&'static str),
    /// The crypto provider refused an operation.
    #[error("crypto provider: {0}")]
    Crypto(&'static str),
    /// The configuration cannot work.
    #[error("configuration: {0}")]
    Config(&'static str),
    /// The implementation itself failed, as one with tasks of its own does when they end or stand still.
    #[error("the DTLS implementation failed: {0}")]
    Internal(&'static str),
}

/// The fingerprint of a certificate (RFC 8122 §5).
///
/// ```
/// use kaon_rtc::layer::{Fingerprint, FingerprintAlgorithm};
///
/// let fingerprint: Fingerprint = "sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:\
///                                 10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F".parse()?;
/// assert_eq!(fingerprint.algorithm(), FingerprintAlgorithm::Sha256);
/// # Ok::<(), kaon_rtc::layer::ParseFingerprintError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    algorithm: FingerprintAlgorithm,
    bytes: SmallVec<[u8; 32]>,
}

impl Fingerprint {
    /// A fingerprint from its digest; `None` if the length is not the algorithm's.
    pub fn new(algorithm: FingerprintAlgorithm, digest: &[u8]) -> Option<Self> {
        (digest.len() == algorithm.digest_len())
            .then(|| Self { algorithm, bytes: SmallVec::from_slice(digest) })
    }

    /// The hash function.
    pub fn algorithm(&self) -> FingerprintAlgorithm {
        self.algorithm
    }

    /// The digest of the certificate.
    pub fn digest(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.name())?;
        for (i, byte) in self.bytes.iter().enumerate() {
            f.write_char(if i == 0 { ' ' } else { ':' })?;
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    /// Parses the value of an `a=fingerprint` attribute; hash names and digits in either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, digits) = text.split_once(' ').ok_or(ParseFingerprintError::NoDigest)?;
        let algorithm = FingerprintAlgorithm::from_name(name)
            .ok_or_else(|| ParseFingerprintError::UnknownAlgorithm(name.chars().take(32).collect()))?;
        let mut bytes = SmallVec::new();
        for pair in digits.trim().split(':') {
            let digit = |at: usize| pair.as_bytes().get(at).and_then(|d| (*d as char).to_digit(16));
            match (pair.len(), digit(0), digit(1)) {
                (2, Some(high), Some(low)) if bytes.len() < algorithm.digest_len() => {
                    bytes.push((high << 4 | low) as u8);
                }
                (2, Some(_), Some(_)) => return Err(ParseFingerprintError::Length { algorithm }),
                _ => return Err(ParseFingerprintError::NotHex),
            }
        }
        if bytes.len() != algorithm.digest_len() {
            return Err(ParseFingerprintError::Length { algorithm });
        }
        Ok(Self { algorithm, bytes })
    }
}

/// The hash function of a fingerprint. MD5 and SHA-1 are not accepted (RFC 8122 §5, RFC 8827 §6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FingerprintAlgorithm {
    /// `sha-256`, what everybody sends.
    Sha256,
    /// `sha-384`.
    Sha384,
    /// `sha-512`.
    Sha512,
}

impl FingerprintAlgorithm {
    /// The name in an `a=fingerprint` attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// The algorithm of this name, in either case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|a| a.name().eq_ignore_ascii_case(name))
    }

    /// The length of a digest in bytes.
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Why a text is no fingerprint.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseFingerprintError {
    /// There is no space between algorithm and digest.
    #[error("a fingerprint is an algorithm, a space and a digest; there is no digest")]
    NoDigest,
    /// The hash function is not supported.
    #[error("fingerprint algorithm \"{0}\" is not supported; expected sha-256, sha-384 or sha-512")]
    UnknownAlgorithm(String),
    /// The digest is not pairs of hexadecimal digits.
    #[error("the digest of a fingerprint is pairs of hexadecimal digits with colons between them")]
    NotHex,
    /// The digest has the wrong length.
    #[error("a {} digest is {} bytes long", algorithm.name(), algorithm.digest_len())]
    Length {
        /// The hash function.
        algorithm: FingerprintAlgorithm,
    },
}

/// What an alert about a certificate (RFC 5246 §7.2.2) comes of where certificates are known by their fingerprints.
fn certificate_hint(code: u8) -> &'static str {
    match code {
        42..=46 | 48 => {
            ": it does not accept the certificate of this side; the description that it got was changed on the way, or \
             is that of another connection"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_round_trip() {
        for (algorithm, len) in [
            (FingerprintAlgorithm::Sha256, 32),
            (FingerprintAlgorithm::Sha384, 48),
            (FingerprintAlgorithm::Sha512, 64),
        ] {
            let fingerprint = Fingerprint::new(algorithm, &vec![0xa5; len]).unwrap();
            assert_eq!(fingerprint.to_string().to_lowercase().parse::<Fingerprint>().unwrap(), fingerprint);
            assert_eq!(Fingerprint::new(algorithm, &vec![0; len - 1]), None);
        }
    }

    #[test]
    fn malformed_fingerprints_are_named() {
        let parse = |text: &str| text.parse::<Fingerprint>().unwrap_err();
        assert_eq!(parse("sha-256"), ParseFingerprintError::NoDigest);
        assert_eq!(parse("md5 00"), ParseFingerprintError::UnknownAlgorithm("md5".into()));
        assert_eq!(parse("sha-256 0:11"), ParseFingerprintError::NotHex);
        assert_eq!(parse("sha-256 +1"), ParseFingerprintError::NotHex);
        let short = ParseFingerprintError::Length { algorithm: FingerprintAlgorithm::Sha256 };
        assert_eq!(parse("sha-256 00:11"), short);
        assert_eq!(parse(&format!("sha-256 {}00", "00:".repeat(32))), short);
        assert_eq!(short.to_string(), "a sha-256 digest is 32 bytes long");
    }
}
