//! The sending direction.

use super::SrtpError;
use super::config::{Config, RepeatedIndex};
use super::index::PacketIndex;
use super::packet::{RtpHeader, rtcp_ssrc};
use super::replay::ReplayWindow;
use super::session_keys::SessionKeys;
use super::streams::{Stream, Streams};
use crate::layer::HashKeys;

/// The largest SRTCP index (RFC 3711 §3.4).
pub(super) const MAX_RTCP_INDEX: u32 = 0x7fff_ffff;

/// The sending direction.
pub(super) struct Outbound {
    keys: SessionKeys,
    window: usize,
    repeated_index: RepeatedIndex,
    rtp: Streams<RtpStream>,
    rtcp: Streams<LastRtcpIndex>,
}

struct RtpStream {
    newest: PacketIndex,
    sent: ReplayWindow,
}

impl Stream for RtpStream {
    fn last_index(&self) -> u64 {
        self.newest.value()
    }
}

/// The SRTCP index of the last packet of a sender.
struct LastRtcpIndex(u32);

impl Stream for LastRtcpIndex {
    fn last_index(&self) -> u64 {
        u64::from(self.0)
    }
}

impl Outbound {
    pub(super) fn new(keys: SessionKeys, config: &Config, hash: HashKeys) -> Self {
        Self {
            keys,
            window: config.replay_window,
            repeated_index: config.repeated_index,
            rtp: Streams::outgoing(config, hash),
            rtcp: Streams::outgoing(config, hash),
        }
    }

    pub(super) fn keys(&self) -> &SessionKeys {
        &self.keys
    }

    pub(super) fn protect_rtp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = room(buffer, len, self.keys.rtp_overhead())?;
        let RtpHeader { ssrc, sequence_number, len: header_len } = RtpHeader::parse(&packet[..len])?;
        let Some(known) = self.rtp.get_mut(ssrc) else {
            self.rtp.check_room(ssrc)?;
            let stream = self.new_stream(ssrc, sequence_number);
            self.rtp.insert(ssrc, stream);
            return self.protect_rtp(buffer, len);
        };
        let stream = &mut *known.stream;
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
        known.confirm();
        Ok(packet.len())
    }

    /// A stream that begins, or goes on after it was forgotten.
    fn new_stream(&self, ssrc: u32, sequence_number: u16) -> RtpStream {
        let last = self.rtp.ended(ssrc);
        RtpStream {
            newest: last.map_or(PacketIndex::new(0, sequence_number), PacketIndex::from_value),
            sent: ReplayWindow::going_on(self.window, last),
        }
    }

    pub(super) fn protect_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = room(buffer, len, self.keys.rtcp_overhead())?;
        let ssrc = rtcp_ssrc(&packet[..len])?;
        // RFC 3711 §3.4: the index is 0 before the first packet and 1 in it.
        let known = self.rtcp.get(ssrc).map(|last| last.0);
        let last = known.or_else(|| self.rtcp.ended(ssrc).map(|last| last as u32)).unwrap_or(0);
        if last >= MAX_RTCP_INDEX {
            return Err(SrtpError::KeyExhausted { ssrc });
        }
        if known.is_none() {
            self.rtcp.check_room(ssrc)?;
        }
        self.keys.seal_rtcp(packet, ssrc, last + 1)?;
        match self.rtcp.get_mut(ssrc) {
            Some(known) => {
                known.stream.0 = last + 1;
                known.confirm();
            }
            None => self.rtcp.insert(ssrc, LastRtcpIndex(last + 1)),
        }
        Ok(packet.len())
    }

    /// Keeps of a stream that has ended no more than its last index.
    pub(super) fn forget(&mut self, ssrc: u32) {
        self.rtp.forget(ssrc);
        self.rtcp.forget(ssrc);
    }
}

/// The packet of `len` bytes at the beginning of `buffer` with `overhead` bytes behind it.
fn room(buffer: &mut [u8], len: usize, overhead: usize) -> Result<&mut [u8], SrtpError> {
    let available = buffer.len();
    let needed = len.saturating_add(overhead);
    buffer.get_mut(..needed).ok_or(SrtpError::BufferTooSmall { needed, available })
}
