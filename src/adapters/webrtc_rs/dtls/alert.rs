//! Alerts, RFC 5246 §7.2.

/// An alert (RFC 5246 §7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    level: u8,
    pub(super) code: u8,
}

const WARNING: u8 = 1;
const FATAL: u8 = 2;

impl Alert {
    pub(super) const CLOSE_NOTIFY: Self = Self { level: WARNING, code: 0 };
    pub(super) const BAD_CERTIFICATE: Self = Self { level: FATAL, code: 42 };
    pub(super) const USER_CANCELED: Self = Self { level: FATAL, code: 90 };

    /// `None` if it is none.
    pub(super) fn decode(fragment: &[u8]) -> Option<Self> {
        match *fragment {
            [level @ (WARNING | FATAL), code] => Some(Self { level, code }),
            _ => None,
        }
    }

    pub(super) fn encode(self) -> [u8; 2] {
        [self.level, self.code]
    }

    pub(super) fn is_close_notify(self) -> bool {
        self.code == Self::CLOSE_NOTIFY.code
    }

    /// Whether the sender will send nothing more.
    pub(super) fn ends_connection(self) -> bool {
        self.level == FATAL || self.is_close_notify()
    }

    /// The name in the registry.
    pub(super) fn name(self) -> &'static str {
        match self.code {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            22 => "record_overflow",
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
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
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
        for alert in [Alert::CLOSE_NOTIFY, Alert::BAD_CERTIFICATE, Alert::USER_CANCELED] {
            assert_eq!(Alert::decode(&alert.encode()), Some(alert));
            assert!(alert.ends_connection());
        }
        assert!(!Alert::decode(&[WARNING, 100]).unwrap().ends_connection());
        for malformed in [&[3, 0][..], &[1], &[1, 0, 0], &[]] {
            assert_eq!(Alert::decode(malformed), None);
        }
    }
}
