//! Offers, answers, and the candidates of the peer.

use std::time::Instant;

use super::Session;
use crate::layer::{Candidate, ParseCandidateError};
use crate::sdp::{Attribute, SessionDescription};
use crate::session::description::{Description, DescriptionKind, IceCandidateInit};
use crate::session::error::SessionError;
use crate::session::event::SessionEvent;
use crate::session::state::{GatheringState, SignalingState};

impl Session {
    /// Makes an offer of all that this side wants now. It has no effect before it is
    /// [set](Self::set_local_description).
    ///
    /// # Errors
    /// [`SessionError::InvalidState`] while an offer of the peer waits for an answer,
    /// [`SessionError::Limit`] and [`SessionError::Ended`].
    pub fn create_offer(&mut self) -> Result<Description, SessionError> {
        self.check_open()?;
        let sdp = self.jsep.create_offer()?;
        Ok(Description { kind: DescriptionKind::Offer, sdp: Some(sdp) })
    }

    /// Makes an answer to the offer of the peer.
    ///
    /// # Errors
    /// [`SessionError::InvalidState`] without an offer of the peer, and [`SessionError::Ended`].
    pub fn create_answer(&mut self) -> Result<Description, SessionError> {
        self.check_open()?;
        let sdp = self.jsep.create_answer()?;
        Ok(Description { kind: DescriptionKind::Answer, sdp: Some(sdp) })
    }

    /// Applies a description that was created here; `None` creates the one that is due first (W3C: implicit
    /// `setLocalDescription`).
    ///
    /// # Errors
    /// [`SessionError::InvalidState`], [`SessionError::ModifiedDescription`] if it is not the one last created,
    /// and [`SessionError::Ended`]. Nothing has changed then.
    pub fn set_local_description(
        &mut self,
        now: Instant,
        description: Option<&Description>,
    ) -> Result<(), SessionError> {
        self.act(now, |session| {
            session.check_open()?;
            session.apply_local(description)?;
            session.follow(now);
            Ok(())
        })
    }

    fn apply_local(&mut self, description: Option<&Description>) -> Result<(), SessionError> {
        use SignalingState::{HaveLocalPrAnswer, HaveRemoteOffer};
        match description {
            Some(description) => self.jsep.set_local(description.kind, description.sdp.as_ref()),
            None if matches!(self.jsep.state(), HaveRemoteOffer | HaveLocalPrAnswer) => {
                self.jsep.create_answer()?;
                self.jsep.set_local(DescriptionKind::Answer, None)
            }
            None => {
                self.jsep.create_offer()?;
                self.jsep.set_local(DescriptionKind::Offer, None)
            }
        }
    }

    /// Applies a description of the peer. An offer that collides with one of this side takes that back (W3C:
    /// implicit rollback); an application that does not want that ignores the offer instead, see the example
    /// `perfect_negotiation`.
    ///
    /// # Errors
    /// [`SessionError::InvalidState`], [`SessionError::Section`] and [`SessionError::Description`] say what
    /// cannot be used, [`SessionError::OwnDescription`] that it is one of this side, and [`SessionError::Ended`].
    /// Nothing has changed then.
    pub fn set_remote_description(
        &mut self,
        now: Instant,
        description: &Description,
    ) -> Result<(), SessionError> {
        self.act(now, |session| {
            session.check_open()?;
            session.jsep.set_remote(description)?;
            session.follow(now);
            Ok(())
        })
    }

    /// Adds a candidate of the peer. An empty one says that there will be no further. One whose user-name fragment is
    /// not that of the peer's description is of another generation, or of this side, and is ignored (RFC 8838 §9).
    ///
    /// # Errors
    /// [`SessionError::UnnamedSection`] if it has neither `sdp_mid` nor `sdp_m_line_index` and is not the empty one,
    /// [`SessionError::UnknownSection`] if the remote description has no section of that `sdp_mid`, or, without it, of
    /// that `sdp_m_line_index`, [`SessionError::NoRemoteDescription`], [`SessionError::Candidate`],
    /// [`SessionError::Limit`] and [`SessionError::Ended`].
    pub fn add_ice_candidate(
        &mut self,
        now: Instant,
        candidate: &IceCandidateInit,
    ) -> Result<(), SessionError> {
        self.act(now, |session| {
            session.take_remote_candidate(candidate)?;
            // Nothing else of the agreement has changed, whatever number of sections it has.
            session.transport.follow(now, &session.jsep);
            Ok(())
        })
    }

    fn take_remote_candidate(&mut self, candidate: &IceCandidateInit) -> Result<(), SessionError> {
        self.check_open()?;
        // Some have no tag and write an empty one.
        let mid = candidate.sdp_mid.as_deref().map(str::trim).filter(|mid| !mid.is_empty());
        let line = candidate_line(&candidate.candidate);
        if line.is_some() && mid.is_none() && candidate.sdp_m_line_index.is_none() {
            return Err(SessionError::UnnamedSection);
        }
        let ufrag = candidate.username_fragment.as_deref().filter(|ufrag| !ufrag.is_empty());
        // RFC 8838 §9: of a generation that is none of the peer's, such as one's own that signalling has sent back.
        if ufrag.is_some_and(|ufrag| self.jsep.is_own_ufrag(ufrag)) {
            return Ok(());
        }
        if self.jsep.remote_description().is_none() {
            return Err(SessionError::NoRemoteDescription);
        }
        if !self.jsep.has_remote_section(mid, candidate.sdp_m_line_index) {
            return Err(SessionError::UnknownSection);
        }
        let parsed = match line.map(str::parse::<Candidate>).transpose() {
            Ok(parsed) => parsed,
            // RFC 8839 §5.1: to be ignored, since the others may do.
            Err(ParseCandidateError::Unsupported { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Component 2 is RTCP without rtcp-mux, which was refused.
        if parsed.as_ref().is_none_or(|candidate| candidate.component == 1) {
            self.jsep.add_remote_candidate(parsed, ufrag)?;
        }
        Ok(())
    }

    /// The next offer restarts ICE (W3C `restartIce`).
    pub fn restart_ice(&mut self) {
        self.jsep.want_ice_restart();
        self.update_negotiation_needed();
    }

    /// The description of this side, the pending one first, with the candidates found so far.
    pub fn local_description(&self) -> Option<Description> {
        self.jsep.local_description().map(|description| self.with_candidates(description))
    }

    /// The description of the peer, the pending one first.
    pub fn remote_description(&self) -> Option<&Description> {
        self.jsep.remote_description()
    }

    /// The descriptions of both sides that were last agreed on.
    pub fn current_descriptions(&self) -> (Option<&Description>, Option<&Description>) {
        self.jsep.current_descriptions()
    }

    /// The descriptions of both sides in the exchange under way.
    pub fn pending_descriptions(&self) -> (Option<&Description>, Option<&Description>) {
        self.jsep.pending_descriptions()
    }

    fn with_candidates(&self, description: &Description) -> Description {
        let mut description = description.clone();
        let is_usable = |sdp: &SessionDescription, index: usize| !sdp.media[index].is_rejected();
        if let Some(sdp) = &mut description.sdp
            && let Some(index) = (0..sdp.media.len()).find(|index| is_usable(sdp, *index))
        {
            let media = &mut sdp.media[index];
            for candidate in self.gathering.candidates() {
                media.push(Attribute::Candidate(Box::new(candidate.clone().into())));
            }
            if self.gathering.state() == GatheringState::Complete {
                media.push(Attribute::EndOfCandidates);
            }
        }
        description
    }

    /// Whether an offer is due now: no exchange is under way, and the last one did not settle all that this side
    /// wants. Who keeps a [`SessionEvent::NegotiationNeeded`] for later asks again before making an offer (W3C
    /// WebRTC §4.7.3): the peer's may have come in between.
    pub fn is_negotiation_needed(&self) -> bool {
        self.jsep.is_negotiation_needed()
    }

    /// Where the exchange of offer and answer is.
    pub fn signaling_state(&self) -> SignalingState {
        self.jsep.state()
    }

    /// Brings everything to what the signalling says now.
    fn follow(&mut self, now: Instant) {
        let generation = self.transport.ice().local_credentials().clone();
        self.jsep.shrink_to_fit();
        self.transport.follow(now, &self.jsep);
        self.media.follow(now, &self.jsep);
        if *self.transport.ice().local_credentials() != generation {
            self.restart_gathering();
        }
        self.update_states();
        self.tell_candidates();
        self.announce_tracks();
        self.update_negotiation_needed();
    }

    /// Tells which transceivers the peer sends on.
    pub(super) fn announce_tracks(&mut self) {
        for transceiver in self.jsep.transceivers_mut() {
            let sends = transceiver.negotiated.remote.sends && !transceiver.is_ending();
            if sends != transceiver.negotiated.announced {
                transceiver.negotiated.announced = sends;
                self.events.push(if sends {
                    SessionEvent::Track(transceiver.id)
                } else {
                    SessionEvent::TrackEnded(transceiver.id)
                });
            }
        }
        self.jsep.forget_stopped();
    }
}

/// What a candidate says, without what stands before it in descriptions; `None` for the end of candidates.
fn candidate_line(text: &str) -> Option<&str> {
    let text = text.trim();
    let text = text.strip_prefix("a=").unwrap_or(text);
    match text {
        "" | "end-of-candidates" => None,
        text => Some(text.strip_prefix("candidate:").unwrap_or(text)),
    }
}
