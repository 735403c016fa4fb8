//! What keeps a connection alive.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::shared::Shared;

/// The handles of a connection: the last one to go closes it.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) shared: Arc<Shared>,
    /// An endpoint of its own lives as long.
    _endpoint: Endpoint,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>, endpoint: Endpoint) -> Arc<Self> {
        Arc::new(Self { shared, _endpoint: endpoint })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}
