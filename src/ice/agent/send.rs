use super::Agent;
use crate::ice::message::{Content, Generation, Outgoing, write_check, write_response, write_server_query};
use crate::layer::FiveTuple;
use crate::stun::TransactionId;

/// What goes out.
impl Agent {
    pub(super) fn send(&mut self, path: FiveTuple, id: TransactionId, content: Content) {
        // A repetition of what was not even taken from here yet would only make the queue grow.
        if !self.outbox.iter().any(|waiting| waiting.id == id && waiting.path == path) {
            self.outbox.push_back(Outgoing { path, id, content });
        }
    }

    pub(super) fn write(&mut self, message: &Outgoing, buffer: &mut Vec<u8>) -> Option<usize> {
        let Outgoing { path, id, content } = message;
        match content {
            Content::ServerQuery => write_server_query(buffer, *id),
            Content::Check(check) => {
                let (local, remote) = match check.generation {
                    Generation::Current => (&self.local_credentials, self.remote_credentials.as_ref()?),
                    Generation::Previous => {
                        let previous = self.previous.as_ref()?;
                        (&previous.local, &previous.remote)
                    }
                };
                self.stats.checks_sent += 1;
                write_check(buffer, *id, *check, local.ufrag(), remote)
            }
            Content::Response { outcome, generation } => {
                self.queued_responses = self.queued_responses.saturating_sub(1);
                let local = match generation {
                    Generation::Current => &self.local_credentials,
                    Generation::Previous => &self.previous.as_ref()?.local,
                };
                write_response(buffer, *id, *outcome, path, &local.key)
            }
        }
    }
}
