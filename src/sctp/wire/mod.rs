//! SCTP packets as they are on the wire: views that borrow the datagram, and a writer that appends to the
//! caller's buffer (RFC 9260 §3).

mod cause;
mod checksum;
mod chunk;
mod error;
mod init;
mod packet;
mod parameter;
mod reconfig;
mod sack;

pub use cause::{CauseCode, Causes};
pub use checksum::{checksum, clear_checksum};
pub use chunk::{Chunk, ChunkType, Chunks, Data, ForwardTsn, UnknownAction};
pub use error::WireError;
pub use init::{Capabilities, Init};
pub use packet::{Header, PacketWriter};
pub use parameter::{Parameter, ParameterType, Parameters};
pub use reconfig::{ReconfigParameter, ReconfigResult, ResetRequest, StreamList};
pub use sack::Sack;

#[cfg(test)]
mod tests;
