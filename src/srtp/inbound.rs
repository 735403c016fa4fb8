//! The receiving direction.

use std::collections::HashMap;

use super::SrtpError;
use super::config::Config;
use super::index::PacketIndex;
use super::packet::{ENCRYPTED, RTCP_HEADER_LEN, RtpHeader, rtcp_ssrc};
use super::replay::ReplayWindow;
use super::session_keys::SessionKeys;
use super::streams::{Stream, Streams};
use crate::layer::{HashKeys, NumberHash};

/// The receiving direction.
pub(super) struct Inbound {
    keys: SessionKeys,
    max_ssrcs: usize,
    window: usize,
    /// Streams of which an authentic packet has come.
    rtp: Streams<RtpStream>,
    /// Rollover counters that were told of streams whose first packet is still to come.
    told: HashMap<u32, u32, NumberHash>,
    rtcp: Streams<ReplayWindow>,
}

struct RtpStream {
    newest: PacketIndex,
    received: ReplayWindow,
}

impl Stream for RtpStream {
    fn last_index(&self) -> u64 {
        self.newest.value()
    }
}

impl Stream for ReplayWindow {
    fn last_index(&self) -> u64 {
        self.last()
    }
}

impl Inbound {
    pub(super) fn new(keys: SessionKeys, config: &Config, hash: HashKeys) -> Self {
        Self {
            keys,
            max_ssrcs: config.max_ssrcs,
            window: config.replay_window,
            rtp: Streams::incoming(config, hash),
            told: HashMap::with_hasher(hash.numbers()),
            rtcp: Streams::incoming(config, hash),
        }
    }

    pub(super) fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let RtpHeader { ssrc, sequence_number, len: header_len } = RtpHeader::parse(packet)?;
        if packet.len() < header_len + self.keys.rtp_overhead() {
            return Err(SrtpError::Malformed("shorter than header and tag"));
        }
        let Some(known) = self.rtp.get_mut(ssrc) else {
            return self.unprotect_first_rtp(packet, header_len, ssrc, sequence_number);
        };
        let stream = &mut *known.stream;
        let index = stream.newest.nearest(sequence_number).ok_or(SrtpError::KeyExhausted { ssrc })?;
        if !stream.received.accepts(index.value()) {
            return Err(SrtpError::Replayed { index: index.value() });
        }
        let len = self.keys.open_rtp(packet, header_len, ssrc, index.value())?;
        stream.received.insert(index.value());
        stream.newest = stream.newest.max(index);
        known.confirm();
        Ok(len)
    }

    /// A packet of a stream that is not known, or not any more.
    fn unprotect_first_rtp(
        &mut self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        sequence_number: u16,
    ) -> Result<usize, SrtpError> {
        let told = self.told.get(&ssrc).copied();
        let last = self.rtp.ended(ssrc).filter(|_| told.is_none()).map(PacketIndex::from_value);
        let index = match last {
            Some(last) => last.nearest(sequence_number).ok_or(SrtpError::KeyExhausted { ssrc })?,
            None => PacketIndex::new(told.unwrap_or(0), sequence_number),
        };
        if last.is_some_and(|last| index <= last) {
            return Err(SrtpError::Replayed { index: index.value() });
        }
        let len = self.keys.open_rtp(packet, header_len, ssrc, index.value())?;
        // RFC 3711 §3.3: no state before the first packet has been authenticated.
        let mut received = ReplayWindow::going_on(self.window, last.map(PacketIndex::value));
        received.insert(index.value());
        self.told.remove(&ssrc);
        self.rtp.insert(ssrc, RtpStream { newest: index, received });
        Ok(len)
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
        let number = u64::from(index);
        if let Some(known) = self.rtcp.get_mut(ssrc) {
            if !known.stream.accepts(number) {
                return Err(SrtpError::Replayed { index: number });
            }
            let len = self.keys.open_rtcp(packet, ssrc, index)?;
            known.stream.insert(number);
            known.confirm();
            return Ok(len);
        }
        let last = self.rtcp.ended(ssrc);
        if last.is_some_and(|last| number <= last) {
            return Err(SrtpError::Replayed { index: number });
        }
        let len = self.keys.open_rtcp(packet, ssrc, index)?;
        let mut received = ReplayWindow::going_on(self.window, last);
        received.insert(number);
        self.rtcp.insert(ssrc, received);
        Ok(len)
    }

    /// Keeps of a stream that has ended no more than its last index.
    pub(super) fn forget(&mut self, ssrc: u32) {
        self.rtp.forget(ssrc);
        self.rtcp.forget(ssrc);
        self.told.remove(&ssrc);
    }

    pub(super) fn set_rollover_counter(&mut self, ssrc: u32, counter: u32) -> Result<(), SrtpError> {
        if !self.told.contains_key(&ssrc) && self.told.len() >= self.max_ssrcs {
            return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
        }
        self.rtp.remove(ssrc);
        self.told.insert(ssrc, counter);
        Ok(())
    }

    pub(super) fn rollover_counter(&self, ssrc: u32) -> Option<u32> {
        self.rtp.get(ssrc).map(|stream| stream.newest.rollover_counter())
    }
}
