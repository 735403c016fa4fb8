//! Parameters of RE-CONFIG, RFC 6525 §4.

use super::{Parameter, ParameterType, WireError};
use crate::layer::StreamId;
use crate::sctp::sequence::Tsn;

/// A parameter of a RE-CONFIG chunk (RFC 6525 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReconfigParameter<'a> {
    /// The sender resets its outgoing streams (§4.1).
    OutgoingReset(ResetRequest<'a>),
    /// The sender asks the receiver to reset its outgoing streams (§4.2).
    IncomingReset {
        /// The number of this request.
        request: u32,
        /// The streams; empty for all.
        streams: StreamList<'a>,
    },
    /// The sender wants to begin all sequence numbers anew (§4.3).
    SsnTsnReset {
        /// The number of this request.
        request: u32,
    },
    /// An answer (§4.4).
    Response {
        /// The number of the request that is answered.
        request: u32,
        /// The answer.
        result: ReconfigResult,
    },
    /// The sender wants to send on more streams (§4.5).
    AddOutgoingStreams {
        /// The number of this request.
        request: u32,
        /// How many more.
        count: u16,
    },
    /// The sender wants the receiver to send on more streams (§4.6).
    AddIncomingStreams {
        /// The number of this request.
        request: u32,
        /// How many more.
        count: u16,
    },
}

/// An outgoing SSN reset request (RFC 6525 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetRequest<'a> {
    /// The number of this request.
    pub request: u32,
    /// The request of the receiver that this answers, or the last one seen.
    pub response: u32,
    /// The last TSN that the sender assigned.
    pub last_tsn: Tsn,
    /// The streams; empty for all.
    pub streams: StreamList<'a>,
}

/// A list of streams on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamList<'a>(&'a [u8]);

impl<'a> StreamList<'a> {
    /// Whether the list is empty, which stands for all streams.
    pub fn is_empty(&self) -> bool {
        self.0.len() < 2
    }

    /// Each stream.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = StreamId> + 'a {
        self.0.as_chunks().0.iter().map(|bytes| StreamId(u16::from_be_bytes(*bytes)))
    }
}

/// The result in a re-configuration response (RFC 6525 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReconfigResult(pub u32);

#[allow(missing_docs)] // The names are those of the registry.
impl ReconfigResult {
    pub const NOTHING_TO_DO: Self = Self(0);
    pub const PERFORMED: Self = Self(1);
    pub const DENIED: Self = Self(2);
    pub const WRONG_SSN: Self = Self(3);
    pub const REQUEST_IN_PROGRESS: Self = Self(4);
    pub const BAD_SEQUENCE_NUMBER: Self = Self(5);
    pub const IN_PROGRESS: Self = Self(6);
}

impl<'a> ReconfigParameter<'a> {
    /// Reads a parameter; `None` if it is of another type.
    ///
    /// # Errors
    /// [`WireError::TooShort`].
    pub fn parse(parameter: &Parameter<'a>) -> Result<Option<Self>, WireError> {
        let value = parameter.value;
        let word = |index: usize| {
            let bytes = value.get(4 * index..).and_then(<[u8]>::first_chunk);
            let needed = 4 * index + 4;
            bytes.map(|bytes| u32::from_be_bytes(*bytes)).ok_or(WireError::TooShort {
                what: "RE-CONFIG parameter",
                needed,
                length: value.len(),
            })
        };
        let streams = |from: usize| StreamList(value.get(from..).unwrap_or_default());
        Ok(Some(match parameter.kind {
            ParameterType::OUTGOING_RESET_REQUEST => Self::OutgoingReset(ResetRequest {
                request: word(0)?,
                response: word(1)?,
                last_tsn: Tsn(word(2)?),
                streams: streams(12),
            }),
            ParameterType::INCOMING_RESET_REQUEST => {
                Self::IncomingReset { request: word(0)?, streams: streams(4) }
            }
            ParameterType::SSN_TSN_RESET_REQUEST => Self::SsnTsnReset { request: word(0)? },
            ParameterType::RECONFIG_RESPONSE => {
                Self::Response { request: word(0)?, result: ReconfigResult(word(1)?) }
            }
            ParameterType::ADD_OUTGOING_STREAMS => {
                Self::AddOutgoingStreams { request: word(0)?, count: (word(1)? >> 16) as u16 }
            }
            ParameterType::ADD_INCOMING_STREAMS => {
                Self::AddIncomingStreams { request: word(0)?, count: (word(1)? >> 16) as u16 }
            }
            _ => return Ok(None),
        }))
    }

    /// Appends an outgoing SSN reset request.
    pub(crate) fn write_outgoing_reset(
        out: &mut Vec<u8>,
        request: u32,
        response: u32,
        last_tsn: Tsn,
        streams: &[StreamId],
    ) {
        let length = 16 + 2 * streams.len();
        out.extend_from_slice(&ParameterType::OUTGOING_RESET_REQUEST.0.to_be_bytes());
        out.extend_from_slice(&(length as u16).to_be_bytes());
        for word in [request, response, last_tsn.0] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        for stream in streams {
            out.extend_from_slice(&stream.0.to_be_bytes());
        }
        out.resize(out.len() + length.next_multiple_of(4) - length, 0);
    }

    /// Appends a response.
    pub(crate) fn write_response(out: &mut Vec<u8>, request: u32, result: ReconfigResult) {
        let mut value = [0; 8];
        value[..4].copy_from_slice(&request.to_be_bytes());
        value[4..].copy_from_slice(&result.0.to_be_bytes());
        Parameter::write(out, ParameterType::RECONFIG_RESPONSE, &value);
    }
}
