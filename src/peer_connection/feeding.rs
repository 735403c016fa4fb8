//! What tracks see of a connection.

use std::sync::Arc;
use std::time::Instant;

use super::shared::Shared;
use super::track::{AttachmentId, Fed, Feed};
use crate::session::OutgoingRtp;

impl Feed for Shared {
    fn feed(self: Arc<Self>, now: Instant, to: AttachmentId, packet: &OutgoingRtp) -> Fed {
        let mut state = self.lock();
        let state = &mut *state;
        if state.is_over() {
            return Fed::Gone;
        }
        let fed = state.attachments.feed(&mut state.session, now, to, packet);
        if fed == Fed::Taken {
            self.settle(state);
        }
        fed
    }

    fn has(&self, attachment: AttachmentId) -> bool {
        let state = self.lock();
        !state.is_over() && state.attachments.has(attachment)
    }
}
