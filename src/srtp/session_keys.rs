//! The keys of one direction, and what is done with them.

use zeroize::Zeroizing;

use super::key_derivation::{KeyDerivation, Label};
use super::packet::{ENCRYPTED, RTCP_HEADER_LEN, SRTCP_INDEX_LEN};
use super::{MasterKey, SrtpError, SrtpProfile};
use crate::crypto::{Aead, AeadAlgorithm, CounterCipher, CryptoProvider, HashAlgorithm, Hmac, TAG_LEN};

/// The length of the tag of HMAC_SHA1_80.
const HMAC_TAG_LEN: usize = 10;

/// The keys of one direction, prepared for use.
pub(super) enum SessionKeys {
    Gcm(GcmKeys),
    CmHmac(CmHmacKeys),
}

impl SessionKeys {
    pub(super) fn derive(provider: &CryptoProvider, master: &MasterKey) -> Result<Self, SrtpError> {
        let derivation = KeyDerivation::new(provider, master)?;
        let keys = match master.profile() {
            SrtpProfile::AeadAes128Gcm => GcmKeys::derive(
                provider,
                AeadAlgorithm::Aes128Gcm,
                &*derivation.derive::<16>(Label::RtpEncryption),
                &*derivation.derive::<16>(Label::RtcpEncryption),
                &derivation,
            )
            .map(Self::Gcm),
            SrtpProfile::AeadAes256Gcm => GcmKeys::derive(
                provider,
                AeadAlgorithm::Aes256Gcm,
                &*derivation.derive::<32>(Label::RtpEncryption),
                &*derivation.derive::<32>(Label::RtcpEncryption),
                &derivation,
            )
            .map(Self::Gcm),
            SrtpProfile::Aes128CmHmacSha1_80 => CmHmacKeys::derive(provider, &derivation).map(Self::CmHmac),
        };
        keys.ok_or(SrtpError::Malformed("the crypto provider does not implement the profile"))
    }

    pub(super) fn rtp_overhead(&self) -> usize {
        match self {
            Self::Gcm(_) => TAG_LEN,
            Self::CmHmac(_) => HMAC_TAG_LEN,
        }
    }

    pub(super) fn rtcp_overhead(&self) -> usize {
        self.rtp_overhead() + SRTCP_INDEX_LEN
    }

    /// Encrypts `packet`, an RTP packet followed by [`rtp_overhead`](Self::rtp_overhead) bytes for the tag.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), SrtpError> {
        let (body, tag) = packet.split_at_mut(packet.len() - self.rtp_overhead());
        match self {
            Self::Gcm(keys) => {
                let (header, payload) = body.split_at_mut(header_len);
                let sealed = keys.rtp.seal(&keys.rtp_nonce(ssrc, index), header, payload);
                tag.copy_from_slice(&sealed.map_err(|_| SrtpError::Malformed("too long to encrypt"))?);
            }
            Self::CmHmac(keys) => {
                keys.rtp.cipher.apply(&keys.rtp.counter(ssrc, index), &mut body[header_len..]);
                let rollover_counter = ((index >> 16) as u32).to_be_bytes();
                tag.copy_from_slice(&keys.rtp.hmac.sign(&[body, &rollover_counter])[..HMAC_TAG_LEN]);
            }
        }
        Ok(())
    }

    /// Authenticates and decrypts an SRTP packet and returns the length of the RTP packet.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let len = packet.len() - self.rtp_overhead();
        match self {
            Self::Gcm(keys) => {
                let (header, payload) = packet.split_at_mut(header_len);
                keys.rtp
                    .open(&keys.rtp_nonce(ssrc, index), header, payload)
                    .map_err(|_| SrtpError::Authentication)?;
            }
            Self::CmHmac(keys) => {
                let (body, tag) = packet.split_at_mut(len);
                let rollover_counter = ((index >> 16) as u32).to_be_bytes();
                if !keys.rtp.hmac.verify(&[body, &rollover_counter], tag) {
                    return Err(SrtpError::Authentication);
                }
                keys.rtp.cipher.apply(&keys.rtp.counter(ssrc, index), &mut body[header_len..]);
            }
        }
        Ok(len)
    }

    /// Encrypts `packet`, an RTCP packet followed by [`rtcp_overhead`](Self::rtcp_overhead) bytes for index
    /// and tag.
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Result<(), SrtpError> {
        let index_word = (ENCRYPTED | index).to_be_bytes();
        let (body, trailer) = packet.split_at_mut(packet.len() - self.rtcp_overhead());
        match self {
            Self::Gcm(keys) => {
                let (header, payload) = body.split_at_mut(RTCP_HEADER_LEN);
                let aad = rtcp_aad(header, index_word);
                let sealed = keys.rtcp.seal(&keys.rtcp_nonce(ssrc, index), &aad, payload);
                let (tag, index_bytes) = trailer.split_at_mut(TAG_LEN);
                tag.copy_from_slice(&sealed.map_err(|_| SrtpError::Malformed("too long to encrypt"))?);
                index_bytes.copy_from_slice(&index_word);
            }
            Self::CmHmac(keys) => {
                let counter = keys.rtcp.counter(ssrc, u64::from(index));
                keys.rtcp.cipher.apply(&counter, &mut body[RTCP_HEADER_LEN..]);
                let (index_bytes, tag) = trailer.split_at_mut(SRTCP_INDEX_LEN);
                index_bytes.copy_from_slice(&index_word);
                tag.copy_from_slice(&keys.rtcp.hmac.sign(&[body, index_bytes])[..HMAC_TAG_LEN]);
            }
        }
        Ok(())
    }

    /// The word with the E flag and the index of an SRTCP packet that is long enough.
    pub(super) fn rtcp_index_word(&self, packet: &[u8]) -> u32 {
        let behind = match self {
            Self::Gcm(_) => 0,
            Self::CmHmac(_) => HMAC_TAG_LEN,
        };
        let word = packet[..packet.len() - behind].last_chunk().copied();
        u32::from_be_bytes(word.unwrap_or_default())
    }

    /// Authenticates and decrypts an SRTCP packet and returns the length of the RTCP packet.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Result<usize, SrtpError> {
        let len = packet.len() - self.rtcp_overhead();
        match self {
            Self::Gcm(keys) => {
                let (header, rest) = packet.split_at_mut(RTCP_HEADER_LEN);
                let (payload, _) = rest.split_at_mut(rest.len() - SRTCP_INDEX_LEN);
                let aad = rtcp_aad(header, (ENCRYPTED | index).to_be_bytes());
                keys.rtcp
                    .open(&keys.rtcp_nonce(ssrc, index), &aad, payload)
                    .map_err(|_| SrtpError::Authentication)?;
            }
            Self::CmHmac(keys) => {
                let (signed, tag) = packet.split_at_mut(packet.len() - HMAC_TAG_LEN);
                if !keys.rtcp.hmac.verify(&[signed], tag) {
                    return Err(SrtpError::Authentication);
                }
                let counter = keys.rtcp.counter(ssrc, u64::from(index));
                keys.rtcp.cipher.apply(&counter, &mut signed[RTCP_HEADER_LEN..len]);
            }
        }
        Ok(len)
    }
}

/// The header and the index word, which are authenticated and not encrypted (RFC 7714 §9.2).
fn rtcp_aad(header: &[u8], index_word: [u8; 4]) -> [u8; RTCP_HEADER_LEN + SRTCP_INDEX_LEN] {
    let mut aad = [0; RTCP_HEADER_LEN + SRTCP_INDEX_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(&index_word);
    aad
}

/// RFC 7714
pub(super) struct GcmKeys {
    rtp: Box<dyn Aead>,
    rtcp: Box<dyn Aead>,
    rtp_salt: Salt,
    rtcp_salt: Salt,
}

impl GcmKeys {
    fn derive(
        provider: &CryptoProvider,
        algorithm: AeadAlgorithm,
        rtp: &[u8],
        rtcp: &[u8],
        derivation: &KeyDerivation,
    ) -> Option<Self> {
        Self::new(
            provider,
            algorithm,
            (rtp, derivation.derive(Label::RtpSalt)),
            (rtcp, derivation.derive(Label::RtcpSalt)),
        )
    }

    pub(super) fn new(
        provider: &CryptoProvider,
        algorithm: AeadAlgorithm,
        (rtp, rtp_salt): (&[u8], Zeroizing<[u8; 12]>),
        (rtcp, rtcp_salt): (&[u8], Zeroizing<[u8; 12]>),
    ) -> Option<Self> {
        Some(Self {
            rtp: provider.ciphers.aead(algorithm, rtp).ok()?,
            rtcp: provider.ciphers.aead(algorithm, rtcp).ok()?,
            rtp_salt: Salt::new(&rtp_salt),
            rtcp_salt: Salt::new(&rtcp_salt),
        })
    }

    /// RFC 7714 §8.1: two zero bytes, SSRC, rollover counter and sequence number, XORed with the salt.
    fn rtp_nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        self.rtp_salt.nonce(ssrc, index)
    }

    /// RFC 7714 §9.1: two zero bytes, SSRC, two zero bytes and the index, XORed with the salt.
    fn rtcp_nonce(&self, ssrc: u32, index: u32) -> [u8; 12] {
        self.rtcp_salt.nonce(ssrc, u64::from(index))
    }
}

/// A salt as a number, so that a nonce takes an exclusive or and no loop.
struct Salt(Zeroizing<u128>);

impl Salt {
    fn new(bytes: &[u8; 12]) -> Self {
        let mut number = Zeroizing::new([0; 16]);
        number[4..].copy_from_slice(bytes);
        Self(Zeroizing::new(u128::from_be_bytes(*number)))
    }

    fn nonce(&self, ssrc: u32, index: u64) -> [u8; 12] {
        let [_, _, _, _, nonce @ ..] = (*self.0 ^ (u128::from(ssrc) << 48 | u128::from(index))).to_be_bytes();
        nonce
    }
}

/// RFC 3711 §4.1.1 and §4.2.1
pub(super) struct CmHmacKeys {
    rtp: CmHmac,
    rtcp: CmHmac,
}

struct CmHmac {
    cipher: Box<dyn CounterCipher>,
    hmac: Box<dyn Hmac>,
    salt: Zeroizing<[u8; 14]>,
}

impl CmHmacKeys {
    fn derive(provider: &CryptoProvider, derivation: &KeyDerivation) -> Option<Self> {
        let keys = |encryption, authentication, salt| {
            Some(CmHmac {
                cipher: provider.ciphers.aes_ctr(&*derivation.derive::<16>(encryption)).ok()?,
                hmac: provider.digests.hmac(HashAlgorithm::Sha1, &*derivation.derive::<20>(authentication)),
                salt: derivation.derive(salt),
            })
        };
        Some(Self {
            rtp: keys(Label::RtpEncryption, Label::RtpAuthentication, Label::RtpSalt)?,
            rtcp: keys(Label::RtcpEncryption, Label::RtcpAuthentication, Label::RtcpSalt)?,
        })
    }
}

impl CmHmac {
    /// RFC 3711 §4.1.1: salt · 2¹⁶ XOR SSRC · 2⁶⁴ XOR index · 2¹⁶.
    fn counter(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut salt = [0; 16];
        salt[..14].copy_from_slice(&*self.salt);
        let value = u128::from(ssrc) << 64 ^ u128::from(index) << 16;
        (u128::from_be_bytes(salt) ^ value).to_be_bytes()
    }
}
