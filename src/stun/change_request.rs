//! CHANGE-REQUEST, RFC 5780 §7.2.

/// From which of its addresses a server is asked to answer (RFC 5780 §7.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChangeRequest {
    /// From the other IP address than the request went to.
    pub ip: bool,
    /// From the other port than the request went to.
    pub port: bool,
}

impl ChangeRequest {
    const IP: u32 = 0x4;
    const PORT: u32 = 0x2;

    pub(super) fn from_flags(flags: u32) -> Self {
        Self { ip: flags & Self::IP != 0, port: flags & Self::PORT != 0 }
    }

    pub(super) fn encode(self) -> [u8; 4] {
        let (ip, port) = (if self.ip { Self::IP } else { 0 }, if self.port { Self::PORT } else { 0 });
        (ip | port).to_be_bytes()
    }
}
