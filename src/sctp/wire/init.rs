//! INIT and INIT ACK.

use super::{ChunkType, Parameter, ParameterType, Parameters, WireError};
use crate::sctp::sequence::Tsn;

/// An INIT or INIT ACK chunk (RFC 9260 §3.3.2 and §3.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init<'a> {
    /// The tag that the sender wants to see in packets sent to it; never 0.
    pub initiate_tag: u32,
    /// The bytes that the sender takes.
    pub receive_window: u32,
    /// The streams on which the sender wants to send; never 0.
    pub outgoing_streams: u16,
    /// The most streams on which the sender takes messages; never 0.
    pub incoming_streams: u16,
    /// The first TSN that the sender will use.
    pub initial_tsn: Tsn,
    parameters: &'a [u8],
}

impl<'a> Init<'a> {
    const FIXED: usize = 16;

    /// Reads the value of the chunk.
    ///
    /// # Errors
    /// [`WireError::TooShort`], or [`WireError::Value`] if the tag or a number of streams is zero.
    pub fn parse(value: &'a [u8]) -> Result<Self, WireError> {
        let Some((&[t0, t1, t2, t3, w0, w1, w2, w3, o0, o1, i0, i1, n0, n1, n2, n3], parameters)) =
            value.split_first_chunk()
        else {
            return Err(WireError::TooShort { what: "INIT", needed: Self::FIXED, length: value.len() });
        };
        let init = Self {
            initiate_tag: u32::from_be_bytes([t0, t1, t2, t3]),
            receive_window: u32::from_be_bytes([w0, w1, w2, w3]),
            outgoing_streams: u16::from_be_bytes([o0, o1]),
            incoming_streams: u16::from_be_bytes([i0, i1]),
            initial_tsn: Tsn(u32::from_be_bytes([n0, n1, n2, n3])),
            parameters,
        };
        if init.initiate_tag == 0 {
            return Err(WireError::Value("INIT with initiate tag 0"));
        }
        if init.outgoing_streams == 0 || init.incoming_streams == 0 {
            return Err(WireError::Value("INIT with no streams"));
        }
        Ok(init)
    }

    /// The optional parameters.
    pub fn parameters(&self) -> Parameters<'a> {
        Parameters::new(self.parameters)
    }

    /// Appends the fixed fields.
    pub(crate) fn write_fixed(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.initiate_tag.to_be_bytes());
        out.extend_from_slice(&self.receive_window.to_be_bytes());
        out.extend_from_slice(&self.outgoing_streams.to_be_bytes());
        out.extend_from_slice(&self.incoming_streams.to_be_bytes());
        out.extend_from_slice(&self.initial_tsn.0.to_be_bytes());
    }

    /// The fixed fields of a chunk to be written.
    pub(crate) fn new(tag: u32, window: u32, outgoing: u16, incoming: u16, tsn: Tsn) -> Init<'static> {
        Init {
            initiate_tag: tag,
            receive_window: window,
            outgoing_streams: outgoing,
            incoming_streams: incoming,
            initial_tsn: tsn,
            parameters: &[],
        }
    }
}

/// The extensions that an end announces in its INIT or INIT ACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// FORWARD TSN (RFC 3758).
    pub partial_reliability: bool,
    /// RE-CONFIG (RFC 6525).
    pub reconfiguration: bool,
    /// Zero is taken for a checksum because DTLS protects the packets (RFC 9653).
    pub zero_checksum: bool,
}

impl Capabilities {
    /// The error detection method of RFC 9653 §4: SCTP over DTLS.
    const EDMID_DTLS: [u8; 4] = [0, 0, 0, 1];

    /// Takes notice of `parameter`; says whether it is one of these.
    pub fn note(&mut self, parameter: &Parameter<'_>) -> bool {
        match parameter.kind {
            ParameterType::FORWARD_TSN_SUPPORTED => self.partial_reliability = true,
            ParameterType::ZERO_CHECKSUM_ACCEPTABLE => {
                self.zero_checksum |= parameter.value == Self::EDMID_DTLS;
            }
            ParameterType::SUPPORTED_EXTENSIONS => {
                self.partial_reliability |= parameter.value.contains(&ChunkType::FORWARD_TSN.0);
                self.reconfiguration |= parameter.value.contains(&ChunkType::RE_CONFIG.0);
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn write(self, out: &mut Vec<u8>) {
        if self.partial_reliability {
            Parameter::write(out, ParameterType::FORWARD_TSN_SUPPORTED, &[]);
        }
        let extensions = [
            (self.reconfiguration, ChunkType::RE_CONFIG.0),
            (self.partial_reliability, ChunkType::FORWARD_TSN.0),
        ];
        let mut list = [0; 2];
        let mut count = 0;
        for (_, kind) in extensions.into_iter().filter(|(announced, _)| *announced) {
            list[count] = kind;
            count += 1;
        }
        if count > 0 {
            Parameter::write(out, ParameterType::SUPPORTED_EXTENSIONS, &list[..count]);
        }
        if self.zero_checksum {
            Parameter::write(out, ParameterType::ZERO_CHECKSUM_ACCEPTABLE, &Self::EDMID_DTLS);
        }
    }

    /// As one byte of a state cookie.
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.partial_reliability)
            | u8::from(self.reconfiguration) << 1
            | u8::from(self.zero_checksum) << 2
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self {
            partial_reliability: bits & 1 != 0,
            reconfiguration: bits & 2 != 0,
            zero_checksum: bits & 4 != 0,
        }
    }
}
