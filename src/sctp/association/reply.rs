//! Packets that answer one of the peer's and belong to no state.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::sctp::cookie::{CookieKey, StateCookie};
use crate::sctp::wire::{
    Capabilities, CauseCode, Causes, ChunkType, Init, PacketWriter, Parameter, ParameterType,
};

/// A packet that answers one of the peer's and belongs to no state: it goes out by itself, and a later one
/// takes its place, so a flood of what causes them costs no memory.
#[derive(Debug)]
pub(super) enum Reply {
    InitAck(InitAck),
    Abort { tag: u32, flags: u8, cause: Option<(CauseCode, Cow<'static, [u8]>)> },
    ShutdownComplete { tag: u32, flags: u8 },
    StaleCookie { tag: u32, staleness: u32 },
}

#[derive(Debug)]
pub(super) struct InitAck {
    pub(super) cookie: StateCookie,
    pub(super) window: u32,
    /// The most streams that this side takes.
    pub(super) streams: u16,
    pub(super) capabilities: Capabilities,
    /// Whole parameters of the INIT that were not understood, each padded.
    pub(super) unrecognized: Unrecognized,
}

/// Parameters to report as not understood; as many as fit without allocating.
#[derive(Debug, Default)]
pub(super) struct Unrecognized(SmallVec<[u8; 64]>);

impl Unrecognized {
    pub(super) fn add(&mut self, parameter: &Parameter<'_>) {
        let length = parameter.whole.len();
        if self.0.len() + length.next_multiple_of(4) <= self.0.inline_size() {
            self.0.extend_from_slice(parameter.whole);
            self.0.resize(self.0.len().next_multiple_of(4), 0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Reply {
    /// The verification tag of the packet.
    pub(super) fn tag(&self) -> u32 {
        match self {
            Self::InitAck(ack) => ack.cookie.agreement.peer_tag,
            Self::Abort { tag, .. } | Self::ShutdownComplete { tag, .. } | Self::StaleCookie { tag, .. } => {
                *tag
            }
        }
    }

    pub(super) fn write(&self, key: &CookieKey, packet: &mut PacketWriter<'_>) {
        match self {
            Self::InitAck(ack) => {
                packet.chunk(ChunkType::INIT_ACK, 0, |out| ack.write(key, out));
            }
            Self::Abort { flags, cause, .. } => {
                packet.chunk(ChunkType::ABORT, *flags, |out| {
                    if let Some((code, content)) = cause {
                        Causes::write(out, *code, content);
                    }
                });
            }
            Self::ShutdownComplete { flags, .. } => {
                packet.chunk(ChunkType::SHUTDOWN_COMPLETE, *flags, |_| {});
            }
            Self::StaleCookie { staleness, .. } => {
                packet.chunk(ChunkType::ERROR, 0, |out| {
                    Causes::write(out, CauseCode::STALE_COOKIE, &staleness.to_be_bytes());
                });
            }
        }
    }
}

impl InitAck {
    fn write(&self, key: &CookieKey, out: &mut Vec<u8>) {
        let agreement = &self.cookie.agreement;
        Init::new(
            agreement.local_tag,
            self.window,
            agreement.outgoing_streams,
            self.streams,
            agreement.local_initial_tsn,
        )
        .write_fixed(out);
        Parameter::write(out, ParameterType::STATE_COOKIE, &key.seal(&self.cookie));
        self.capabilities.write(out);
        let mut rest = self.unrecognized.bytes();
        while let Some(&[_, _, high, low]) = rest.first_chunk() {
            let length = usize::from(u16::from_be_bytes([high, low]));
            let Some(whole) = rest.get(..length) else { return };
            Parameter::write(out, ParameterType::UNRECOGNIZED_PARAMETER, whole);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}
