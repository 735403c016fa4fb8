//! Whether an offer is due, W3C WebRTC §4.7.3.

use super::answer::answer_direction;
use super::place::SectionContent;
use super::{Jsep, proposes};
use crate::session::state::SignalingState;
use crate::session::transceiver::Transceiver;

impl Jsep {
    /// True once when an offer becomes due; again only after the next exchange.
    pub(in crate::session) fn take_negotiation_needed(&mut self) -> bool {
        if self.state != SignalingState::Stable {
            return false;
        }
        let needed = self.needs_negotiation();
        let is_news = needed && !self.negotiation_needed;
        self.negotiation_needed = needed;
        is_news
    }

    fn needs_negotiation(&self) -> bool {
        let sections = &self.agreement.sections;
        let lacks_data =
            self.wants_data && !sections.iter().any(|section| section.content == SectionContent::Data);
        let offered = self.current_local.as_ref().is_some_and(|local| proposes(local.kind));
        !self.credentials_to_replace.is_empty()
            || lacks_data
            || self.transceivers.iter().any(|transceiver| lacks_negotiation(transceiver, offered))
    }
}

/// Whether what was agreed on for a transceiver is not what this side wants; `offered`: this side made the
/// last offer.
fn lacks_negotiation(transceiver: &Transceiver, offered: bool) -> bool {
    let is_known = transceiver.negotiated.mid.is_some();
    if transceiver.is_ending() {
        return is_known && !transceiver.stopped;
    }
    if !is_known {
        return true;
    }
    let negotiated = &transceiver.negotiated;
    if offered {
        negotiated.local_direction != transceiver.direction
            && negotiated.remote_direction.reversed() != transceiver.direction
    } else {
        negotiated.local_direction != answer_direction(transceiver.direction, negotiated.remote_direction)
    }
}
