//! The crate `webrtc-srtp` behind the seam.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

use crate::layer::{MasterKey, SrtpError, SrtpProfile, SrtpTransport};

/// SRTP by the crate `webrtc-srtp`.
///
/// What differs from this library's own context:
///
/// * Each packet is copied twice: the crate makes a new buffer for each. Batches have no path of their own.
/// * A packet index that is protected twice is not refused. **Two different packets under one index give away
///   their difference and, with an AEAD profile, the authentication key**: never reuse a sequence number.
/// * Keys are not erased when it is dropped.
///
/// The crate has faults that this adapter keeps from the application: it panics on some header extensions and on
/// short RTCP packets, takes SRTCP packets that say they are not encrypted without authenticating them, keeps
/// state for each SSRC of a forged packet, and begins anew when all SRTCP indices are used. Header extensions are
/// therefore never parsed by it; SRTCP without encryption (RFC 3711 §3.4) is refused; a new SSRC is tried on a
/// context that is thrown away, which costs a key derivation for each packet of an SSRC that is not known.
pub struct SrtpContext {
    profile: SrtpProfile,
    max_ssrcs: usize,
    replay_window: usize,
    outbound: Context,
    inbound: Context,
    remote: MasterKey,
    rtp_sent: FxHashSet<u32>,
    /// How many packets of each SSRC were protected.
    rtcp_sent: FxHashMap<u32, u32>,
    rtp_received: FxHashSet<u32>,
    rtcp_received: FxHashSet<u32>,
}

/// Limits of an [`SrtpContext`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SrtpConfig {
    /// How many packets behind the newest one a packet may be. 1,024 by default.
    pub replay_window: usize,
    /// How many SSRCs have state at most, for each direction and for RTP and RTCP apart. 1,024 by default.
    pub max_ssrcs: usize,
}

impl Default for SrtpConfig {
    fn default() -> Self {
        Self { replay_window: 1024, max_ssrcs: 1024 }
    }
}

const RTP_HEADER: usize = 12;
const RTCP_HEADER: usize = 8;
/// The E flag and the SRTCP index (RFC 3711 §3.4).
const RTCP_TRAILER: usize = 4;
/// The last SRTCP index.
const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;

impl SrtpContext {
    /// A context that protects with `local` and unprotects with `remote`.
    ///
    /// # Errors
    /// [`SrtpError::Malformed`] when the keys are of different profiles.
    pub fn new(local: &MasterKey, remote: &MasterKey, config: SrtpConfig) -> Result<Self, SrtpError> {
        if local.profile() != remote.profile() {
            return Err(SrtpError::Malformed("the keys of both directions are of different profiles"));
        }
        Ok(Self {
            profile: local.profile(),
            max_ssrcs: config.max_ssrcs,
            replay_window: config.replay_window,
            outbound: context(local, None)?,
            inbound: context(remote, Some(config.replay_window))?,
            remote: remote.clone(),
            rtp_sent: FxHashSet::default(),
            rtcp_sent: FxHashMap::default(),
            rtp_received: FxHashSet::default(),
            rtcp_received: FxHashSet::default(),
        })
    }

    /// The tag that follows the index of an SRTCP packet; with an AEAD profile the tag stands before it.
    fn rtcp_tag(&self) -> usize {
        match self.profile {
            SrtpProfile::Aes128CmHmacSha1_80 => 10,
            _ => 0,
        }
    }

    /// Nothing may be used up for a packet that finds no room.
    fn check_room(buffer: &[u8], len: usize, overhead: usize) -> Result<(), SrtpError> {
        match len.checked_add(overhead) {
            Some(needed) if needed <= buffer.len() => Ok(()),
            needed => Err(SrtpError::BufferTooSmall {
                needed: needed.unwrap_or(usize::MAX),
                available: buffer.len(),
            }),
        }
    }
}

impl SrtpTransport for SrtpContext {
    fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed("the length is beyond the buffer"))?;
        let header = rtp_header(packet)?;
        Self::check_room(buffer, len, self.rtp_overhead())?;
        let ssrc = header.ssrc;
        if !self.rtp_sent.contains(&ssrc) && self.rtp_sent.len() >= self.max_ssrcs {
            return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
        }
        let outbound = &mut self.outbound;
        let protected = guarded(|| outbound.encrypt_rtp_with_header(packet, &header))
            .map_err(|error| key_exhausted(error, ssrc))?;
        self.rtp_sent.insert(ssrc);
        put(buffer, &protected)
    }

    fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::Malformed("the length is beyond the buffer"))?;
        let ssrc = rtcp_sender(packet)?;
        Self::check_room(buffer, len, self.rtcp_overhead())?;
        let sent = self.rtcp_sent.get(&ssrc).copied();
        match sent {
            None if self.rtcp_sent.len() >= self.max_ssrcs => {
                return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
            }
            Some(MAX_RTCP_INDEX) => return Err(SrtpError::KeyExhausted { ssrc }),
            _ => {}
        }
        let outbound = &mut self.outbound;
        let protected =
            guarded(|| outbound.encrypt_rtcp(packet)).map_err(|error| key_exhausted(error, ssrc))?;
        self.rtcp_sent.insert(ssrc, sent.unwrap_or(0) + 1);
        put(buffer, &protected)
    }

    fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let header = rtp_header(packet)?;
        if packet.len() < header_len(packet) + self.rtp_overhead() {
            return Err(SrtpError::Malformed("shorter than a header and a tag"));
        }
        if !self.rtp_received.contains(&header.ssrc) {
            if self.rtp_received.len() >= self.max_ssrcs {
                return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
            }
            let mut trial = context(&self.remote, None)?;
            guarded(|| trial.decrypt_rtp_with_header(packet, &header))?;
        }
        let inbound = &mut self.inbound;
        let plain = guarded(|| inbound.decrypt_rtp_with_header(packet, &header))?;
        self.rtp_received.insert(header.ssrc);
        put(packet, &plain)
    }

    fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_sender(packet)?;
        if packet.len() < RTCP_HEADER + self.rtcp_overhead() {
            return Err(SrtpError::Malformed("shorter than a header, a tag and an index"));
        }
        let is_encrypted = packet[packet.len() - self.rtcp_tag() - RTCP_TRAILER] & 0x80 != 0;
        if !is_encrypted {
            return Err(SrtpError::Authentication);
        }
        if !self.rtcp_received.contains(&ssrc) {
            if self.rtcp_received.len() >= self.max_ssrcs {
                return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
            }
            let mut trial = context(&self.remote, Some(self.replay_window))?;
            guarded(|| trial.decrypt_rtcp(packet))?;
        }
        let inbound = &mut self.inbound;
        let plain = guarded(|| inbound.decrypt_rtcp(packet))?;
        self.rtcp_received.insert(ssrc);
        put(packet, &plain)
    }

    fn rtp_overhead(&self) -> usize {
        match self.profile {
            SrtpProfile::Aes128CmHmacSha1_80 => 10,
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => 16,
        }
    }

    fn rtcp_overhead(&self) -> usize {
        self.rtp_overhead() + RTCP_TRAILER
    }
}

impl fmt::Debug for SrtpContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpContext").field("profile", &self.profile).finish_non_exhaustive()
    }
}

fn context(key: &MasterKey, replay_window: Option<usize>) -> Result<Context, SrtpError> {
    let profile = match key.profile() {
        SrtpProfile::Aes128CmHmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
    };
    let (rtp, rtcp) = (replay_window.map(srtp_replay_protection), replay_window.map(srtcp_replay_protection));
    guarded(|| Context::new(key.key(), key.salt(), profile, rtp, rtcp))
}

/// The crate's errors as this library's, and its panics, too.
fn guarded<T>(call: impl FnOnce() -> Result<T, webrtc_srtp::Error>) -> Result<T, SrtpError> {
    use webrtc_srtp::Error;
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Error::SrtpSsrcDuplicated(_, index))) => Err(SrtpError::Replayed { index: index.into() }),
        Ok(Err(Error::SrtcpSsrcDuplicated(_, index))) => Err(SrtpError::Replayed { index: index as u64 }),
        // Completed where the SSRC is known.
        Ok(Err(Error::ErrExceededMaxPackets)) => Err(SrtpError::KeyExhausted { ssrc: 0 }),
        Ok(Err(
            Error::ErrTooShortRtp
            | Error::ErrTooShortRtcp
            | Error::SrtpTooSmall(..)
            | Error::SrtcpTooSmall(..)
            | Error::Util(_)
            | Error::Rtcp(_),
        )) => Err(SrtpError::Malformed("webrtc-srtp does not understand the packet")),
        Ok(Err(_)) => Err(SrtpError::Authentication),
        Err(_) => Err(SrtpError::Malformed("webrtc-srtp panicked on the packet")),
    }
}

fn key_exhausted(error: SrtpError, ssrc: u32) -> SrtpError {
    match error {
        SrtpError::KeyExhausted { .. } => SrtpError::KeyExhausted { ssrc },
        other => other,
    }
}

fn put(buffer: &mut [u8], packet: &Bytes) -> Result<usize, SrtpError> {
    let available = buffer.len();
    let out = buffer
        .get_mut(..packet.len())
        .ok_or(SrtpError::BufferTooSmall { needed: packet.len(), available })?;
    out.copy_from_slice(packet);
    Ok(packet.len())
}

/// The length of a header that [`rtp_header`] has checked.
fn header_len(packet: &[u8]) -> usize {
    let csrcs = RTP_HEADER + 4 * usize::from(packet[0] & 0xf);
    match packet[0] & 0x10 {
        0 => csrcs,
        _ => csrcs + 4 + 4 * usize::from(u16::from_be_bytes([packet[csrcs + 2], packet[csrcs + 3]])),
    }
}

/// What the crate must know of a header: source, sequence number and length. The extension is given to it as
/// padding, because it panics on some and measures others wrongly.
fn rtp_header(packet: &[u8]) -> Result<::rtp::header::Header, SrtpError> {
    const SHORT: SrtpError = SrtpError::Malformed("shorter than an RTP header");
    if packet.len() < RTP_HEADER {
        return Err(SHORT);
    }
    if packet[0] >> 6 != 2 {
        return Err(SrtpError::Malformed("not of RTP version 2"));
    }
    let csrcs = usize::from(packet[0] & 0xf);
    let extension = packet[0] & 0x10 != 0;
    if extension && packet.len() < RTP_HEADER + 4 * csrcs + 4 || packet.len() < header_len(packet) {
        return Err(SHORT);
    }
    let extension_len = header_len(packet) - RTP_HEADER - 4 * csrcs;
    Ok(::rtp::header::Header {
        version: 2,
        extension,
        sequence_number: u16::from_be_bytes([packet[2], packet[3]]),
        ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
        csrc: vec![0; csrcs],
        extensions_padding: extension_len.saturating_sub(4),
        ..::rtp::header::Header::default()
    })
}

fn rtcp_sender(packet: &[u8]) -> Result<u32, SrtpError> {
    match packet {
        [first, _, _, _, ssrc @ ..] if packet.len() >= RTCP_HEADER && first >> 6 == 2 => {
            Ok(u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]))
        }
        _ => Err(SrtpError::Malformed("no RTCP header of version 2")),
    }
}
