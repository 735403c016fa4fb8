//! The seam for SRTP.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use zeroize::Zeroize;

/// Protects and unprotects RTP and RTCP in the caller's buffers: the seam for an SRTP implementation.
///
/// It has no datagrams of its own, so it is no [`Layer`](super::Layer).
pub trait SrtpTransport: fmt::Debug + Send {
    /// Encrypts the RTP packet in the first `len` bytes of `buffer` in place and returns its new length,
    /// which is at most [`rtp_overhead`](Self::rtp_overhead) bytes longer.
    ///
    /// # Errors
    /// [`SrtpError::BufferTooSmall`] when the headroom does not suffice, [`SrtpError::Malformed`] when the
    /// bytes are no RTP packet, [`SrtpError::Replayed`] when its index was used before,
    /// [`SrtpError::KeyExhausted`] and [`SrtpError::TooManySsrcs`] at a limit. The packet is unchanged on error.
    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError>;

    /// As [`protect_rtp`](Self::protect_rtp) for a compound RTCP packet.
    ///
    /// # Errors
    /// As for RTP.
    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError>;

    /// Authenticates and decrypts the SRTP packet in `packet` in place and returns the length of the RTP
    /// packet that stands there now.
    ///
    /// # Errors
    /// [`SrtpError::Authentication`], [`SrtpError::Replayed`], [`SrtpError::Malformed`],
    /// [`SrtpError::KeyExhausted`] or [`SrtpError::TooManySsrcs`]. No state changes on error, and the content of `packet` is unspecified.
    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError>;

    /// As [`unprotect_rtp`](Self::unprotect_rtp) for SRTCP.
    ///
    /// # Errors
    /// As for RTP.
    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError>;

    /// Says that a source has ended: its state may be freed, as long as no packet index is used or accepted twice if it
    /// goes on after all. An implementation that has nothing to free does nothing.
    fn forget(&mut self, ssrc: u32) {
        let _ = ssrc;
    }

    /// How many bytes protection adds to an RTP packet.
    fn rtp_overhead(&self) -> usize;

    /// How many bytes protection adds to an RTCP packet.
    fn rtcp_overhead(&self) -> usize;

    /// [`protect_rtp`](Self::protect_rtp) for each slot; one that fails does not stop the others.
    fn protect_rtp_batch(&mut self, slots: &mut [PacketSlot<'_>]) {
        for slot in slots {
            slot.outcome = self.protect_rtp(slot.buffer, slot.len);
        }
    }

    /// [`unprotect_rtp`](Self::unprotect_rtp) for each slot; one that fails does not stop the others.
    fn unprotect_rtp_batch(&mut self, slots: &mut [PacketSlot<'_>]) {
        for slot in slots {
            slot.outcome = match slot.buffer.get_mut(..slot.len) {
                Some(packet) => self.unprotect_rtp(packet),
                None => Err(SrtpError::Malformed("the slot's length is beyond its buffer")),
            };
        }
    }
}

/// One packet of a batch.
#[derive(Debug)]
pub struct PacketSlot<'a> {
    /// The packet, followed by headroom when it is to be protected.
    pub buffer: &'a mut [u8],
    /// The length of the packet before the operation.
    pub len: usize,
    /// The length of the packet after the operation, or why it failed.
    pub outcome: Result<usize, SrtpError>,
}

impl<'a> PacketSlot<'a> {
    /// A packet of `len` bytes at the beginning of `buffer`.
    pub fn new(buffer: &'a mut [u8], len: usize) -> Self {
        Self { buffer, len, outcome: Ok(len) }
    }
}

/// A protection profile, as negotiated by `use_srtp` (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SrtpProfile {
    /// SRTP_AEAD_AES_128_GCM, 0x0007.
    AeadAes128Gcm,
    /// SRTP_AEAD_AES_256_GCM, 0x0008.
    AeadAes256Gcm,
    /// SRTP_AES128_CM_HMAC_SHA1_80, 0x0001.
    Aes128CmHmacSha1_80,
}

impl SrtpProfile {
    /// All profiles, the preferred first.
    pub const ALL: [Self; 3] = [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmHmacSha1_80];

    /// The profile with this number in the registry of `use_srtp`.
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0001 => Some(Self::Aes128CmHmacSha1_80),
            0x0007 => Some(Self::AeadAes128Gcm),
            0x0008 => Some(Self::AeadAes256Gcm),
            _ => None,
        }
    }

    /// The number in the registry of `use_srtp`.
    pub const fn id(self) -> u16 {
        match self {
            Self::Aes128CmHmacSha1_80 => 0x0001,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
        }
    }

    /// The name in the registry of `use_srtp`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
            Self::Aes128CmHmacSha1_80 => "SRTP_AES128_CM_HMAC_SHA1_80",
        }
    }

    /// The length of the master key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::Aes128CmHmacSha1_80 => 16,
        }
    }

    /// The length of the master salt in bytes.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmHmacSha1_80 => 14,
        }
    }

    /// How many bytes DTLS exports for both directions (RFC 5764 §4.2).
    pub const fn keying_material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

/// A master key and its salt, for one direction. Erased when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    profile: SrtpProfile,
    // The largest key and the largest salt.
    bytes: [u8; 32 + 14],
}

impl MasterKey {
    /// A master key for `profile`; `None` if a length is not the profile's.
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Option<Self> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return None;
        }
        let mut bytes = [0; 46];
        let (key_bytes, rest) = bytes.split_at_mut(key.len());
        key_bytes.copy_from_slice(key);
        rest[..salt.len()].copy_from_slice(salt);
        Some(Self { profile, bytes })
    }

    /// The profile that the key is for.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.profile.key_len()]
    }

    /// The salt.
    pub fn salt(&self) -> &[u8] {
        &self.bytes[self.profile.key_len()..][..self.profile.salt_len()]
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").field("profile", &self.profile).finish_non_exhaustive()
    }
}

/// The master keys of both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtpKeyingMaterial {
    /// Protects what the DTLS client sends.
    pub client: MasterKey,
    /// Protects what the DTLS server sends.
    pub server: MasterKey,
}

impl SrtpKeyingMaterial {
    /// Splits what DTLS exported: client key, server key, client salt, server salt (RFC 5764 §4.2). `None`
    /// if `exported` is not [`SrtpProfile::keying_material_len`] bytes long.
    pub fn from_exported(profile: SrtpProfile, exported: &[u8]) -> Option<Self> {
        if exported.len() != profile.keying_material_len() {
            return None;
        }
        let (keys, salts) = exported.split_at(2 * profile.key_len());
        let (client_key, server_key) = keys.split_at(profile.key_len());
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        Some(Self {
            client: MasterKey::new(profile, client_key, client_salt)?,
            server: MasterKey::new(profile, server_key, server_salt)?,
        })
    }
}

impl fmt::Display for SrtpProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SrtpProfile {
    type Err = ParseSrtpProfileError;

    /// The profile of this name in the registry of `use_srtp`, in either case and with or without `SRTP_` in front.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_named = |profile: &Self| {
            let full = profile.name();
            let short = full.strip_prefix("SRTP_").unwrap_or(full);
            name.eq_ignore_ascii_case(full) || name.eq_ignore_ascii_case(short)
        };
        let found = Self::ALL.into_iter().find(is_named);
        found.ok_or_else(|| ParseSrtpProfileError(name.chars().take(64).collect()))
    }
}

/// A text is not the name of an [`SrtpProfile`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "\"{0}\" is no SRTP protection profile that is supported; expected SRTP_AEAD_AES_128_GCM, \
     SRTP_AEAD_AES_256_GCM or SRTP_AES128_CM_HMAC_SHA1_80"
)]
pub struct ParseSrtpProfileError(pub String);

/// Why a packet could not be protected or unprotected.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SrtpError {
    /// The bytes are not a packet of the kind.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// The authentication tag does not match: the packet is not the peer's, or the keys differ.
    #[error("the packet does not authenticate")]
    Authentication,
    /// A packet with this index was received before, or is older than the replay window.
    #[error("packet index {index} was received before or is older than the replay window")]
    Replayed {
        /// The 48-bit packet index, or the 31-bit SRTCP index.
        index: u64,
    },
    /// The buffer has too little headroom.
    #[error("the buffer holds {available} bytes and {needed} are needed; leave headroom for the tag")]
    BufferTooSmall {
        /// The bytes needed.
        needed: usize,
        /// The bytes there are.
        available: usize,
    },
    /// All packet indices of the key are used (RFC 3711 §9.2): the keys must be renewed.
    #[error("all packet indices of SSRC {ssrc:#010x} are used; renew the keys")]
    KeyExhausted {
        /// The stream.
        ssrc: u32,
    },
    /// The limit of streams is reached.
    #[error("more than {limit} SSRCs; raise the limit of the configuration or remove streams")]
    TooManySsrcs {
        /// The limit.
        limit: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_by_their_names() {
        for profile in SrtpProfile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
            assert_eq!(profile.name()["SRTP_".len()..].to_ascii_lowercase().parse(), Ok(profile));
        }
        for bad in ["", "SRTP_", "SRTP_AEAD_AES_128_GCM ", "AES_128_GCM"] {
            assert_eq!(bad.parse::<SrtpProfile>(), Err(ParseSrtpProfileError(bad.to_owned())));
        }
    }
}
