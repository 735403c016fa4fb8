//! Alerts, RFC 5246 §7.2.

use super::wire::{Malformed, Reader};

/// An alert (RFC 5246 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    pub(crate) level: AlertLevel,
    pub(crate) description: AlertDescription,
}

impl Alert {
    pub(crate) const CLOSE_NOTIFY: Self = Self::warning(AlertDescription::CLOSE_NOTIFY);

    pub(crate) const fn fatal(description: AlertDescription) -> Self {
        Self { level: AlertLevel::Fatal, description }
    }

    pub(crate) const fn warning(description: AlertDescription) -> Self {
        Self { level: AlertLevel::Warning, description }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let level = match reader.u8("alert level")? {
            1 => AlertLevel::Warning,
            2 => AlertLevel::Fatal,
            _ => return Err(Malformed("alert level")),
        };
        let description = AlertDescription(reader.u8("alert description")?);
        reader.end("alert")?;
        Ok(Self { level, description })
    }

    pub(crate) fn encode(self) -> [u8; 2] {
        [self.level as u8, self.description.0]
    }

    /// Whether the sender will send nothing more.
    pub(crate) fn ends_connection(self) -> bool {
        self.level == AlertLevel::Fatal || self.description == AlertDescription::CLOSE_NOTIFY
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertLevel {
    Warning = 1,
    Fatal = 2,
}

/// The number of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AlertDescription(pub(crate) u8);

impl AlertDescription {
    pub(crate) const CLOSE_NOTIFY: Self = Self(0);
    pub(crate) const UNEXPECTED_MESSAGE: Self = Self(10);
    pub(crate) const HANDSHAKE_FAILURE: Self = Self(40);
    pub(crate) const BAD_CERTIFICATE: Self = Self(42);
    pub(crate) const UNSUPPORTED_CERTIFICATE: Self = Self(43);
    pub(crate) const ILLEGAL_PARAMETER: Self = Self(47);
    pub(crate) const DECODE_ERROR: Self = Self(50);
    pub(crate) const DECRYPT_ERROR: Self = Self(51);
    pub(crate) const PROTOCOL_VERSION: Self = Self(70);
    pub(crate) const INTERNAL_ERROR: Self = Self(80);
    pub(crate) const USER_CANCELED: Self = Self(90);
    pub(crate) const NO_RENEGOTIATION: Self = Self(100);
    pub(crate) const UNSUPPORTED_EXTENSION: Self = Self(110);

    /// The name in the registry.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_round_trip() {
        for alert in [Alert::CLOSE_NOTIFY, Alert::fatal(AlertDescription::DECODE_ERROR)] {
            assert_eq!(Alert::decode(&alert.encode()), Ok(alert));
            assert!(alert.ends_connection());
        }
        assert!(!Alert::warning(AlertDescription::NO_RENEGOTIATION).ends_connection());
    }

    #[test]
    fn malformed_alerts_are_refused() {
        assert_eq!(Alert::decode(&[3, 0]), Err(Malformed("alert level")));
        assert_eq!(Alert::decode(&[1]), Err(Malformed("alert description")));
        assert_eq!(Alert::decode(&[1, 0, 0]), Err(Malformed("alert")));
    }
}
