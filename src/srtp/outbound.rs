use rustc_hash::FxHashMap;

use super::SrtpError;
use super::config::{Config, RepeatedIndex};
use super::index::PacketIndex;
use super::packet::{RtpHeader, rtcp_ssrc};
use super::replay::ReplayWindow;
use super::session_keys::SessionKeys;

/// The largest SRTCP index (RFC 3711 §3.4).
pub(super) const MAX_RTCP_INDEX: u32 = 0x7fff_ffff;

/// The sending direction.
pub(super) struct Outbound {
    keys: SessionKeys,
    max_ssrcs: usize,
    window: usize,
    repeated_index: RepeatedIndex,
    rtp: FxHashMap<u32, RtpStream>,
    /// The next SRTCP index of each sender.
    rtcp: FxHashMap<u32, u32>,
}

struct RtpStream {
    newest: PacketIndex,
    sent: ReplayWindow,
}

impl Outbound {
    pub(super) fn new(keys: SessionKeys, config: &Config) -> Self {
        Self {
            keys,
            max_ssrcs: config.max_ssrcs,
            window: config.replay_window,
            repeated_index: config.repeated_index,
            rtp: FxHashMap::default(),
            rtcp: FxHashMap::default(),
        }
    }

    pub(super) fn keys(&self) -> &SessionKeys {
        &self.keys
    }

    pub(super) fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = room(buffer, len, self.keys.rtp_overhead())?;
        let RtpHeader { ssrc, sequence_number, len: header_len } = RtpHeader::parse(&packet[..len])?;
        let streams = self.rtp.len();
        let stream = match self.rtp.get_mut(&ssrc) {
            Some(stream) => stream,
            None if streams >= self.max_ssrcs => {
                return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
            }
            None => self.rtp.entry(ssrc).or_insert(RtpStream {
                newest: PacketIndex::new(0, sequence_number),
                sent: ReplayWindow::new(self.window),
            }),
        };
        let index = stream.newest.nearest(sequence_number).ok_or(SrtpError::KeyExhausted { ssrc })?;
        let is_new = stream.sent.accepts(index.value());
        if self.repeated_index == RepeatedIndex::Refuse && !is_new {
            return Err(SrtpError::Replayed { index: index.value() });
        }
        self.keys.seal_rtp(packet, header_len, ssrc, index.value())?;
        if is_new {
            stream.sent.insert(index.value());
        }
        stream.newest = stream.newest.max(index);
        Ok(packet.len())
    }

    pub(super) fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = room(buffer, len, self.keys.rtcp_overhead())?;
        let ssrc = rtcp_ssrc(&packet[..len])?;
        let streams = self.rtcp.len();
        let next = match self.rtcp.get_mut(&ssrc) {
            Some(next) => next,
            None if streams >= self.max_ssrcs => {
                return Err(SrtpError::TooManySsrcs { limit: self.max_ssrcs });
            }
            // RFC 3711 §3.4: the index is 0 before the first packet and 1 in it.
            None => self.rtcp.entry(ssrc).or_insert(1),
        };
        if *next > MAX_RTCP_INDEX {
            return Err(SrtpError::KeyExhausted { ssrc });
        }
        self.keys.seal_rtcp(packet, ssrc, *next)?;
        *next += 1;
        Ok(packet.len())
    }
}

/// The packet of `len` bytes at the beginning of `buffer` with `overhead` bytes behind it.
fn room(buffer: &mut [u8], len: usize, overhead: usize) -> Result<&mut [u8], SrtpError> {
    let available = buffer.len();
    let needed = len.saturating_add(overhead);
    buffer.get_mut(..needed).ok_or(SrtpError::BufferTooSmall { needed, available })
}
