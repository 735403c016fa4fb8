//! Data channels, RFC 8831 and RFC 8832.
