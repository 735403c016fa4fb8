//! The candidates of this side: which there are, and which the peer was told.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::Session;
use crate::layer::{Candidate, NameQuery};
use crate::session::description::IceCandidateInit;
use crate::session::error::SessionError;
use crate::session::event::SessionEvent;
use crate::session::state::GatheringState;

impl Session {
    /// Where the gathering of local candidates is.
    pub fn gathering_state(&self) -> GatheringState {
        self.gathering.state()
    }

    /// Adds an address of this machine at which datagrams for this session arrive.
    ///
    /// # Errors
    /// [`SessionError::Ice`].
    pub fn add_host_address(&mut self, now: Instant, address: SocketAddr) -> Result<(), SessionError> {
        self.act(now, |session| Ok(session.transport.ice().add_host_address(now, address)?))
    }

    /// Says that no address will follow.
    pub fn end_of_host_addresses(&mut self, now: Instant) {
        self.act(now, |session| session.transport.ice().end_of_host_addresses(now));
    }

    /// Answers [`SessionEvent::ResolveName`]; `None` if the name is not known.
    pub fn resolve_name(&mut self, now: Instant, query: NameQuery, address: Option<IpAddr>) {
        self.act(now, |session| session.transport.ice().resolve_name(now, query, address));
    }

    pub(super) fn add_local_candidate(&mut self, candidate: Candidate) {
        self.gathering.add(candidate);
        self.tell_candidates();
    }

    pub(super) fn end_of_local_candidates(&mut self) {
        self.gathering.complete();
        self.tell_candidates();
    }

    /// Begins a new generation of candidates.
    pub(super) fn restart_gathering(&mut self) {
        self.gathering.restart();
        self.set_gathering(GatheringState::New);
    }

    /// Signals what was not signalled yet, once there is a description that it belongs to.
    pub(super) fn tell_candidates(&mut self) {
        if !self.jsep.has_local_description() {
            return;
        }
        if self.gathering.state() == GatheringState::New {
            self.set_gathering(GatheringState::Gathering);
        }
        // A description without sections has none that a candidate could be of.
        if let Some((index, mid)) = self.jsep.tagged_section() {
            while let Some(candidate) = self.gathering.next_to_tell() {
                self.events.push(SessionEvent::IceCandidate(IceCandidateInit {
                    candidate,
                    sdp_mid: Some(mid.to_string()),
                    sdp_m_line_index: u16::try_from(index).ok(),
                    username_fragment: Some(self.local_ufrag().to_owned()),
                }));
            }
        }
        if self.gathering.is_complete() {
            self.set_gathering(GatheringState::Complete);
        }
    }

    fn set_gathering(&mut self, state: GatheringState) {
        if self.gathering.enter(state) {
            self.events.push(SessionEvent::GatheringState(state));
        }
    }
}
