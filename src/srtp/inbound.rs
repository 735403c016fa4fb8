use rustc_hash::FxHashMap;

use super::SrtpError;
use super::config::Config;
use super::index::PacketIndex;
use super::packet::{ENCRYPTED, RTCP_HEADER_LEN, RtpHeader, rtcp_ssrc};
use super::replay::ReplayWindow;
use super::session_keys::SessionKeys;

/// The receiving direction.
pub(super) struct Inbound {
    keys: SessionKeys,
    max_ssrcs: usize,
    window: usize,
    /// Streams of which an authentic packet has come.
    rtp: FxHashMap<u32, RtpStream>,
    /// Rollover counters that were told of streams whose first packet is still to come.
    told: FxHashMap<u32, u32>,
    rtcp: FxHashMap<u32, ReplayWindow>,
}

struct RtpStream {
    newest: PacketIndex,
    received: ReplayWindow,
}

impl Inbound {
    pub(super) fn new(keys: SessionKeys, config: &Config) -> Self {
        Self {
            keys,
            max_ssrcs: config.max_ssrcs,
            window: config.replay_window,
            rtp: FxHashMap::default(),
            told: FxHashMap::default(),
            rtcp: FxHashMap::default(),
        }
    }

    pub(super) fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let RtpHeader { ssrc, sequence_number, len: header_len } = RtpHeader::parse(packet)?;
        if packet.len() < header_len + self.keys.rtp_overhead() {
            return Err(SrtpError::Malformed("shorter than header and tag"));
        }
        match self.rtp.get_mut(&ssrc) {
            Some(stream) => {
                let index = stream.newest.nearest(sequence_number).ok_or(SrtpError::KeyExhausted { ssrc })?;
                if !stream.received.accepts(index.value()) {
                    return Err(SrtpError::Replayed { index: index.value() });
                }
                let len = self.keys.open_rtp(packet, header_len, ssrc, index.value())?;
                stream.received.insert(index.value());
                stream.newest = stream.newest.max(index);
                Ok(len)
            }
            None => {
                if self.rtp.len() >= self.max_ssrcs {
                    return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
                }
                let told = self.told.get(&ssrc).copied();
                let index = PacketIndex::new(told.unwrap_or(0), sequence_number);
                let len = self.keys.open_rtp(packet, header_len, ssrc, index.value())?;
                // RFC 3711 §3.3: no state before the first packet has been authenticated.
                let mut received = ReplayWindow::new(self.window);
                received.insert(index.value());
                self.told.remove(&ssrc);
                self.rtp.insert(ssrc, RtpStream { newest: index, received });
                Ok(len)
            }
        }
    }

    pub(super) fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_ssrc(packet)?;
        if packet.len() < RTCP_HEADER_LEN + self.keys.rtcp_overhead() {
            return Err(SrtpError::Malformed("shorter than header, index and tag"));
        }
        let index_word = self.keys.rtcp_index_word(packet);
        if index_word & ENCRYPTED == 0 {
            return Err(SrtpError::Malformed("SRTCP without encryption, which the profile demands"));
        }
        let index = index_word & !ENCRYPTED;
        match self.rtcp.get_mut(&ssrc) {
            Some(received) => {
                if !received.accepts(u64::from(index)) {
                    return Err(SrtpError::Replayed { index: u64::from(index) });
                }
                let len = self.keys.open_rtcp(packet, ssrc, index)?;
                received.insert(u64::from(index));
                Ok(len)
            }
            None => {
                if self.rtcp.len() >= self.max_ssrcs {
                    return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
                }
                let len = self.keys.open_rtcp(packet, ssrc, index)?;
                let mut received = ReplayWindow::new(self.window);
                received.insert(u64::from(index));
                self.rtcp.insert(ssrc, received);
                Ok(len)
            }
        }
    }

    pub(super) fn set_rollover_counter(&mut self, ssrc: u32, counter: u32) -> Result<(), SrtpError> {
        if !self.told.contains_key(&ssrc) && self.told.len() >= self.max_ssrcs {
            return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
        }
        self.rtp.remove(&ssrc);
        self.told.insert(ssrc, counter);
        Ok(())
    }

    pub(super) fn rollover_counter(&self, ssrc: u32) -> Option<u32> {
        self.rtp.get(&ssrc).map(|stream| stream.newest.rollover_counter())
    }
}
