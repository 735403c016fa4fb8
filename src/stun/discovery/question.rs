//! One test and what came of it.

use std::net::SocketAddr;
use std::time::Instant;

use crate::layer::FiveTuple;
use crate::stun::attribute::KNOWN_IN_RESPONSES;
use crate::stun::change_request::ChangeRequest;
use crate::stun::error_code::ErrorCode;
use crate::stun::header::{Class, TransactionId};
use crate::stun::message::Message;
use crate::stun::retransmission::{Retransmission, RetransmissionStep};

/// What is asked, and from which of the two sockets. The first one maps, and sends to all addresses of the server. The
/// second one filters, and sends to one of them alone: else it would have opened the filter itself (RFC 5780 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// From the first socket to the server: its mapped address.
    Mapped,
    /// The same from the second socket.
    MappedSecond,
    /// To the other IP address, the same port.
    OtherIp,
    /// To the other IP address and port.
    OtherBoth,
    /// To the other port of the same IP address: no more than whether it answers.
    OtherPort,
    /// The answer is to come from the other IP address and port.
    ChangeBoth,
    /// The answer is to come from the other port.
    ChangePort,
    /// From the first socket to the mapped address of the second.
    HairpinFirst,
    /// From the second socket to the mapped address of the first. Each opens the filter for the other.
    HairpinSecond,
    /// [`Mapped`](Self::Mapped) once more, at the end.
    MappedAgain,
    /// [`MappedSecond`](Self::MappedSecond) once more, at the end.
    MappedSecondAgain,
}

impl Test {
    pub(super) fn change(self) -> Option<ChangeRequest> {
        match self {
            Self::ChangeBoth => Some(ChangeRequest { ip: true, port: true }),
            Self::ChangePort => Some(ChangeRequest { ip: false, port: true }),
            _ => None,
        }
    }

    pub(super) fn is_hairpin(self) -> bool {
        matches!(self, Self::HairpinFirst | Self::HairpinSecond)
    }

    /// Whether silence is an answer.
    pub(super) fn is_probe(self) -> bool {
        self.is_hairpin() || self.change().is_some()
    }
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was a response.
    Answered {
        /// The address that the server saw.
        mapped: SocketAddr,
        /// OTHER-ADDRESS.
        other: Option<SocketAddr>,
    },
    /// The request itself arrived at the other socket.
    Arrived,
    /// The server refused, with the reason it gave.
    Refused(ErrorCode, String),
    /// The answer came from another address than it should have, or says that it does.
    WrongOrigin,
    /// The response has no address or is not understood.
    Unusable,
    /// There was none.
    Silent,
}

/// A transaction.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) test: Test,
    pub(super) path: FiveTuple,
    /// Where the answer has to come from.
    pub(super) origin: SocketAddr,
    pub(super) id: TransactionId,
    pub(super) retransmission: Retransmission,
    pub(super) is_to_be_sent: bool,
    pub(super) outcome: Option<Outcome>,
}

impl Question {
    /// When it wants something next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.outcome.is_none().then(|| self.retransmission.due())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.outcome.is_some() {
            return;
        }
        match self.retransmission.step(now) {
            RetransmissionStep::Send => self.is_to_be_sent = true,
            RetransmissionStep::TimedOut => self.end(Outcome::Silent),
            RetransmissionStep::Wait => {}
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.is_to_be_sent = false;
        self.outcome = Some(outcome);
    }

    /// What a message with the identifier of this question says, which came from `source`; `None` if it is no answer
    /// to it.
    pub(super) fn judge(&self, message: &Message<'_>, source: SocketAddr) -> Option<Outcome> {
        let is_response = matches!(message.class(), Class::Success | Class::Error);
        if is_response == self.test.is_hairpin() {
            return None;
        }
        if self.test.is_hairpin() {
            return (message.class() == Class::Request).then_some(Outcome::Arrived);
        }
        if message.class() == Class::Error {
            // An error comes from where the request went to: a server that knows no change refuses it so.
            let is_of_server = source == self.path.remote || source == self.origin;
            return is_of_server.then(|| match message.error_code() {
                Some((code, reason)) => Outcome::Refused(code, reason.to_owned()),
                None => Outcome::Unusable,
            });
        }
        if source != self.origin {
            // RFC 5780 §4.4: where a change was asked for, that there was none is an answer. Elsewhere a response
            // from another address is none at all.
            return self.test.change().map(|_| Outcome::WrongOrigin);
        }
        if message.unknown_required(&KNOWN_IN_RESPONSES).next().is_some() {
            return Some(Outcome::Unusable);
        }
        if self.test.change().is_some() && message.response_origin().is_some_and(|origin| origin != source) {
            return Some(Outcome::WrongOrigin);
        }
        Some(match message.mapped_address() {
            Some(mapped) => Outcome::Answered { mapped, other: message.other_address() },
            None => Outcome::Unusable,
        })
    }
}
