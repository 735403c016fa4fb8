//! Which id stands for which extension.

use super::{ExtensionId, ExtensionKind};

/// The extension ids negotiated for a media section (or for a whole BUNDLE group), both ways in O(1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMap {
    ids: [Option<ExtensionId>; ExtensionKind::ALL.len()],
    kinds: [Option<ExtensionKind>; 256],
}

impl Default for ExtensionMap {
    fn default() -> Self {
        Self::new()
    }
}

impl ExtensionMap {
    /// A map in which nothing is negotiated.
    pub const fn new() -> Self {
        ExtensionMap { ids: [None; ExtensionKind::ALL.len()], kinds: [None; 256] }
    }

    /// Lets `id` stand for `kind`; what either stood for before is forgotten.
    pub fn insert(&mut self, id: ExtensionId, kind: ExtensionKind) {
        self.remove(kind);
        if let Some(other) = self.kinds[usize::from(id.value())].replace(kind) {
            self.ids[other as usize] = None;
        }
        self.ids[kind as usize] = Some(id);
    }

    /// Forgets `kind`.
    pub fn remove(&mut self, kind: ExtensionKind) {
        if let Some(id) = self.ids[kind as usize].take() {
            self.kinds[usize::from(id.value())] = None;
        }
    }

    /// The id that stands for `kind`.
    pub const fn id(&self, kind: ExtensionKind) -> Option<ExtensionId> {
        self.ids[kind as usize]
    }

    /// What `id` stands for.
    pub const fn kind(&self, id: ExtensionId) -> Option<ExtensionKind> {
        self.kinds[id.value() as usize]
    }

    /// Everything negotiated.
    pub fn iter(&self) -> impl Iterator<Item = (ExtensionId, ExtensionKind)> + '_ {
        ExtensionKind::ALL.into_iter().filter_map(|kind| Some((self.id(kind)?, kind)))
    }

    /// The id in `to` of the extension that `id` stands for here: the mapping for
    /// [`PacketMut::rewrite_extension_ids`](crate::rtp::PacketMut::rewrite_extension_ids).
    pub const fn translate(&self, id: ExtensionId, to: &ExtensionMap) -> Option<ExtensionId> {
        match self.kind(id) {
            Some(kind) => to.id(kind),
            None => None,
        }
    }
}
