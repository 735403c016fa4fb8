//! Payload types whose meaning need not be told, RFC 3551 §6.

use crate::layer::PayloadType;

/// What a static payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StaticFormat {
    pub(super) encoding: &'static str,
    pub(super) clock_rate: u32,
    pub(super) channels: Option<u16>,
}

impl StaticFormat {
    /// Tables 4 and 5; `None` for what is reserved, unassigned or dynamic.
    pub(super) fn of(payload_type: PayloadType) -> Option<Self> {
        let (encoding, clock_rate, channels) = match payload_type.value() {
            0 => ("PCMU", 8000, None),
            3 => ("GSM", 8000, None),
            4 => ("G723", 8000, None),
            5 => ("DVI4", 8000, None),
            6 => ("DVI4", 16_000, None),
            7 => ("LPC", 8000, None),
            8 => ("PCMA", 8000, None),
            9 => ("G722", 8000, None),
            10 => ("L16", 44_100, Some(2)),
            11 => ("L16", 44_100, None),
            12 => ("QCELP", 8000, None),
            13 => ("CN", 8000, None),
            14 => ("MPA", 90_000, None),
            15 => ("G728", 8000, None),
            16 => ("DVI4", 11_025, None),
            17 => ("DVI4", 22_050, None),
            18 => ("G729", 8000, None),
            25 => ("CelB", 90_000, None),
            26 => ("JPEG", 90_000, None),
            28 => ("nv", 90_000, None),
            31 => ("H261", 90_000, None),
            32 => ("MPV", 90_000, None),
            33 => ("MP2T", 90_000, None),
            34 => ("H263", 90_000, None),
            _ => return None,
        };
        Some(StaticFormat { encoding, clock_rate, channels })
    }
}
