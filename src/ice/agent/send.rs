//! What an agent sends.

use super::Agent;
use crate::ice::message::{
    CheckRequest, Content, Generation, Outgoing, write_check, write_response, write_server_query,
};
use crate::ice::pair::Nomination;
use crate::layer::{FiveTuple, IceRole};
use crate::stun::TransactionId;

impl Agent {
    pub(super) fn send(&mut self, path: FiveTuple, id: TransactionId, content: Content) {
        // A repetition of what was not even taken from here yet would only make the queue grow.
        if !self.outbox.iter().any(|waiting| waiting.id == id && waiting.path == path) {
            self.outbox.push_back(Outgoing { path, id, content });
        }
    }

    /// Some lite agents, which never check themselves, answer no consent check without the nomination: browsers repeat it.
    fn must_repeat_nomination(&self, path: &FiveTuple, check: &CheckRequest) -> bool {
        let is_nominated = || {
            let pair = self.check_list.find(path).and_then(|id| self.check_list.get(id));
            pair.is_some_and(|pair| pair.nomination == Nomination::Done)
        };
        check.role == IceRole::Controlling
            && check.generation == Generation::Current
            && !self.check_list.pairs().iter().any(|pair| pair.checked_by_peer)
            && is_nominated()
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
                let use_candidate = check.use_candidate || self.must_repeat_nomination(path, check);
                self.stats.checks_sent += 1;
                write_check(buffer, *id, CheckRequest { use_candidate, ..*check }, local.ufrag(), remote)
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
