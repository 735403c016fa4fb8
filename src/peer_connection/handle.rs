//! What keeps a connection alive.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::shared::{Shared, State};

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

    /// Waits until a look at the state finds something.
    pub(super) async fn wait_for<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.shared.changed.notified();
            if let Some(found) = look(&mut self.shared.lock()) {
                return found;
            }
            changed.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}
