//! Whose a datagram may be, found by looking through lists of all that ever happened.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use kaon_rtc::endpoint::{Member, SessionId};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer};
use kaon_rtc::session::{Session, SessionError, SessionEvent};
use kaon_rtc::stun::{Class, TransactionId, peek};

pub(crate) type SharedModel = Rc<RefCell<Model>>;

/// What happened to the sessions of the server.
#[derive(Default)]
pub(crate) struct Model {
    ufrags: Vec<(SessionId, String)>,
    questions: Vec<(SessionId, TransactionId)>,
    /// Paths by which a session took a STUN message: all that its peer has proved, and some more.
    proved: Vec<(SessionId, FiveTuple)>,
    /// The session whose turn it was last.
    pub(crate) served: Option<SessionId>,
    /// Datagrams that were handed to sessions.
    pub(crate) handed: usize,
}

impl Model {
    pub(crate) fn add(&mut self, id: SessionId, session: &Session) {
        self.ufrags.push((id, session.local_ufrag().to_owned()));
    }

    pub(crate) fn remove(&mut self, id: SessionId) {
        self.ufrags.retain(|(other, _)| *other != id);
        self.questions.retain(|(other, _)| *other != id);
        self.proved.retain(|(other, _)| *other != id);
    }

    pub(crate) fn note_sent(&mut self, id: Option<SessionId>, datagram: &[u8]) {
        if let (Some(id), Some((Class::Request, question))) = (id, peek(datagram)) {
            self.questions.push((id, question));
        }
    }

    /// Whether the datagram is for a session in any case: it names one.
    pub(crate) fn is_for_somebody(&self, datagram: &[u8]) -> bool {
        Session::requested_ufrag(datagram).is_some_and(|ufrag| self.ufrags.iter().any(|(_, of)| of == ufrag))
    }

    /// Whether the datagram may be for this session.
    fn may_be_for(&self, id: SessionId, path: &FiveTuple, datagram: &[u8]) -> bool {
        let has_proved = || self.proved.contains(&(id, *path));
        match peek(datagram) {
            Some((Class::Request, _)) => match Session::requested_ufrag(datagram) {
                Some(ufrag) if self.ufrags.iter().any(|(_, of)| of == ufrag) => {
                    self.ufrags.iter().any(|(named, of)| *named == id && of == ufrag)
                }
                // It may be one of before that session's last restarts.
                _ => has_proved(),
            },
            Some((Class::Success | Class::Error, question)) => self.questions.contains(&(id, question)),
            Some((Class::Indication, _)) => has_proved(),
            // Whoever claims a path has proved it, too.
            None => has_proved(),
        }
    }
}

/// A session of the server that compares what it is handed with the model.
pub(crate) struct Watched {
    id: SessionId,
    session: Session,
    model: SharedModel,
}

impl Watched {
    pub(crate) fn new(id: SessionId, session: Session, model: &SharedModel) -> Self {
        Self { id, session, model: model.clone() }
    }
}

impl Member for Watched {
    fn with<T>(&mut self, act: impl FnOnce(&mut Session) -> T) -> T {
        act(&mut self.session)
    }

    fn receive(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), SessionError> {
        let (path, is_stun) = (datagram.path, peek(datagram.bytes).is_some());
        let mut model = self.model.borrow_mut();
        model.handed += 1;
        assert!(model.may_be_for(self.id, &path, datagram.bytes), "a datagram came to the wrong session");
        let result = self.session.handle_datagram(now, datagram);
        // Perhaps authentic, then.
        if is_stun && result.is_ok() {
            model.proved.push((self.id, path));
        }
        result
    }

    fn receive_run<'d>(&mut self, now: Instant, run: impl Iterator<Item = Datagram<'d>>) -> usize {
        run.filter_map(|datagram| self.receive(now, datagram).ok()).count()
    }

    fn serve(&mut self, act: impl FnOnce(&mut Session)) -> bool {
        self.model.borrow_mut().served = Some(self.id);
        act(&mut self.session);
        true
    }

    fn poll_event(&mut self) -> Option<SessionEvent> {
        Layer::poll_event(&mut self.session)
    }
}
