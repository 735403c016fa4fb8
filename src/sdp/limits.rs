//! How much a peer may ask us to read.

/// Limits of a description that is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the whole text. Default 1.5 MiB.
    pub max_len: usize,
    /// Lines. Default 49152.
    pub max_lines: usize,
    /// Media sections. Default 512.
    pub max_media: usize,
    /// Formats of one media section. Default 256.
    pub max_formats: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_len: 1536 * 1024, max_lines: 49_152, max_media: 512, max_formats: 256 }
    }
}
