//! Extensions that this library does not know: their URIs, which ids stand for them, and elements as they are.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Extension, ExtensionId, ExtensionKind};

/// The URI of a header extension that this library does not know, for those who read and write its elements themselves
/// or forward them. Cheap to clone.
///
/// ```
/// use kaon_rtc::rtp::ExtensionUri;
///
/// let uri = ExtensionUri::new("https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension")?;
/// assert!(ExtensionUri::new("urn:ietf:params:rtp-hdrext:ssrc-audio-level").is_err());
/// # Ok::<(), kaon_rtc::rtp::ExtensionUriError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExtensionUri(Arc<str>);

/// Why a text is not the URI of an extension to be read and written by the application.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionUriError {
    /// It is empty, longer than [`ExtensionUri::MAX_LEN`] bytes, or has characters that no URI has.
    #[error("{0:?} is no URI of at most 512 bytes")]
    Malformed(String),
    /// This library reads and writes the extension itself.
    #[error("the extension {0:?} has a type of its own, and stands in the list of known ones")]
    Known(ExtensionKind),
}

impl ExtensionUri {
    /// The longest in bytes.
    pub const MAX_LEN: usize = 512;

    /// The URI of an extension.
    ///
    /// # Errors
    /// When it is no URI (RFC 3986), too long, or the URI of an [`ExtensionKind`].
    pub fn new(uri: &str) -> Result<Self, ExtensionUriError> {
        if let Some(kind) = ExtensionKind::from_uri(uri) {
            return Err(ExtensionUriError::Known(kind));
        }
        let is_uri =
            (1..=Self::MAX_LEN).contains(&uri.len()) && uri.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_uri {
            let shown = uri.chars().take(Self::MAX_LEN).collect();
            return Err(ExtensionUriError::Malformed(shown));
        }
        Ok(Self(uri.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExtensionUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ExtensionUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Which ids stand for extensions that this library does not know, as an [`ExtensionMap`](super::ExtensionMap) says for
/// those that it knows. Takes no memory while it is empty, and clones share theirs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtensionUris(Option<Arc<Vec<(ExtensionId, ExtensionUri)>>>);

impl ExtensionUris {
    /// Lets `id` stand for `uri`; what either stood for before is forgotten.
    pub fn insert(&mut self, id: ExtensionId, uri: ExtensionUri) {
        let entries = Arc::make_mut(self.0.get_or_insert_default());
        entries.retain(|(other_id, other)| *other_id != id && *other != uri);
        entries.push((id, uri));
    }

    /// The id that stands for an extension.
    pub fn id(&self, uri: &str) -> Option<ExtensionId> {
        self.iter().find(|(_, known)| known.as_str() == uri).map(|(id, _)| id)
    }

    /// What `id` stands for.
    pub fn uri(&self, id: ExtensionId) -> Option<&ExtensionUri> {
        self.iter().find(|(known, _)| *known == id).map(|(_, uri)| uri)
    }

    /// Everything negotiated.
    pub fn iter(&self) -> impl Iterator<Item = (ExtensionId, &ExtensionUri)> {
        self.0.iter().flat_map(|entries| entries.iter()).map(|(id, uri)| (*id, uri))
    }

    /// Whether nothing is negotiated.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Elements of extensions that this library does not know, which a packet has or shall have. Takes no memory while there
/// are none, and clones share theirs.
///
/// ```
/// use kaon_rtc::rtp::{ExtensionUri, RawExtensions};
///
/// let uri = ExtensionUri::new("urn:example:hand-raised")?;
/// let mut elements = RawExtensions::default();
/// elements.insert(&uri, &[1])?;
/// assert_eq!(elements.get("urn:example:hand-raised"), Some(&[1][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawExtensions(Option<Arc<Elements>>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Elements {
    /// What they take in the two-byte form.
    encoded_len: usize,
    elements: SmallVec<[RawElement; 1]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RawElement {
    uri: ExtensionUri,
    data: SmallVec<[u8; 16]>,
}

/// Data that an extension element cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an extension element of {size} bytes, and there is room for {limit}")]
#[non_exhaustive]
pub struct ExtensionTooLong {
    /// Its length in bytes.
    pub size: usize,
    /// What it may have: 255 bytes, or less beside others of the packet.
    pub limit: usize,
}

impl RawExtensions {
    /// The most bytes that all elements of a packet take, two for each of them included.
    pub const MAX_LEN: usize = 1024;

    /// Adds an element, in the place of one of the same URI.
    ///
    /// # Errors
    /// When the data have more than 255 bytes (RFC 8285 §4.3), or all elements take more than
    /// [`MAX_LEN`](Self::MAX_LEN). Nothing has changed then.
    pub fn insert(&mut self, uri: &ExtensionUri, data: &[u8]) -> Result<(), ExtensionTooLong> {
        let replaced = self.get(uri.as_str()).map_or(0, |data| 2 + data.len());
        let others = self.encoded_len() - replaced;
        let limit = (Self::MAX_LEN - others).saturating_sub(2).min(255);
        let is_full = Self::MAX_LEN - others < 2;
        if data.len() > limit || is_full {
            return Err(ExtensionTooLong { size: data.len(), limit });
        }
        let all = Arc::make_mut(self.0.get_or_insert_default());
        all.encoded_len = others + 2 + data.len();
        let data = SmallVec::from_slice(data);
        match all.elements.iter_mut().find(|element| element.uri == *uri) {
            Some(element) => element.data = data,
            None => all.elements.push(RawElement { uri: uri.clone(), data }),
        }
        Ok(())
    }

    /// The elements of a packet that `uris` names, of several of one URI the last. What is beyond
    /// [`MAX_LEN`](Self::MAX_LEN) is left out.
    pub fn read<'a>(elements: impl Iterator<Item = Extension<'a>>, uris: &ExtensionUris) -> Self {
        let mut raw = Self::default();
        for Extension { id, data } in elements {
            if let Some(uri) = uris.uri(id) {
                // What does not fit is left out.
                let _ = raw.insert(uri, data);
            }
        }
        raw
    }

    /// The data of an extension's element.
    pub fn get(&self, uri: &str) -> Option<&[u8]> {
        self.iter().find(|(other, _)| other.as_str() == uri).map(|(_, data)| data)
    }

    /// All elements.
    pub fn iter(&self) -> impl Iterator<Item = (&ExtensionUri, &[u8])> {
        self.0.iter().flat_map(|all| &all.elements).map(|element| (&element.uri, &*element.data))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// What they take in the two-byte form.
    pub(crate) fn encoded_len(&self) -> usize {
        self.0.as_ref().map_or(0, |all| all.encoded_len)
    }
}
