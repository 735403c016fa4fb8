//! Error causes, RFC 9260 §3.3.10.

use std::fmt::Write;

use super::Parameters;

/// The code of an error cause (RFC 9260 §3.3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CauseCode(pub u16);

#[allow(missing_docs)] // The names are those of the registry.
impl CauseCode {
    pub const INVALID_STREAM: Self = Self(1);
    pub const MISSING_PARAMETER: Self = Self(2);
    pub const STALE_COOKIE: Self = Self(3);
    pub const OUT_OF_RESOURCE: Self = Self(4);
    pub const UNRECOGNIZED_CHUNK: Self = Self(6);
    pub const INVALID_PARAMETER: Self = Self(7);
    pub const UNRECOGNIZED_PARAMETERS: Self = Self(8);
    pub const NO_USER_DATA: Self = Self(9);
    pub const COOKIE_WHILE_SHUTTING_DOWN: Self = Self(10);
    pub const USER_INITIATED_ABORT: Self = Self(12);
    pub const PROTOCOL_VIOLATION: Self = Self(13);

    fn name(self) -> &'static str {
        match self {
            Self::INVALID_STREAM => "invalid stream identifier",
            Self::MISSING_PARAMETER => "missing mandatory parameter",
            Self::STALE_COOKIE => "stale cookie",
            Self::OUT_OF_RESOURCE => "out of resource",
            Self::UNRECOGNIZED_CHUNK => "unrecognized chunk type",
            Self::INVALID_PARAMETER => "invalid mandatory parameter",
            Self::UNRECOGNIZED_PARAMETERS => "unrecognized parameters",
            Self::NO_USER_DATA => "no user data",
            Self::COOKIE_WHILE_SHUTTING_DOWN => "cookie received while shutting down",
            Self::USER_INITIATED_ABORT => "user-initiated abort",
            Self::PROTOCOL_VIOLATION => "protocol violation",
            _ => "error cause",
        }
    }
}

/// The error causes of an ABORT or ERROR chunk.
#[derive(Clone, Copy, Debug)]
pub struct Causes<'a>(&'a [u8]);

impl<'a> Causes<'a> {
    /// The longest text taken from a peer.
    const MAX_TEXT: usize = 128;

    /// Reads the value of an ABORT or ERROR chunk.
    pub fn new(value: &'a [u8]) -> Self {
        Self(value)
    }

    /// Code and content of each well-formed cause.
    pub fn iter(&self) -> impl Iterator<Item = (CauseCode, &'a [u8])> + use<'a> {
        Parameters::new(self.0).map_while(Result::ok).map(|cause| (CauseCode(cause.kind.0), cause.value))
    }

    /// The first cause in words; at most a line of what the peer wrote.
    pub fn describe(&self) -> String {
        let Some((code, content)) = self.iter().next() else { return "no cause given".to_owned() };
        let mut text = code.name().to_owned();
        if matches!(code, CauseCode::USER_INITIATED_ABORT | CauseCode::PROTOCOL_VIOLATION)
            && !content.is_empty()
        {
            let content = &content[..content.len().min(Self::MAX_TEXT)];
            // Writing to a string cannot fail.
            let _ = write!(text, ": {}", content.escape_ascii());
        }
        text
    }

    /// Appends one cause with its padding.
    pub(crate) fn write(out: &mut Vec<u8>, code: CauseCode, content: &[u8]) {
        super::Parameter::write(out, super::ParameterType(code.0), content);
    }
}
