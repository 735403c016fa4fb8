//! The candidates of this side: which there are, and which the peer was told.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::Session;
use crate::ice;
use crate::layer::{Candidate, HostAddress, NameQuery};
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

    /// Adds an address of this machine at which streams of the peer are taken: a passive TCP candidate (RFC 6544 §4.1).
    ///
    /// # Errors
    /// [`SessionError::Ice`].
    pub fn add_passive_address(
        &mut self,
        now: Instant,
        host: impl Into<HostAddress>,
    ) -> Result<(), SessionError> {
        let host = host.into();
        self.act(now, |session| Ok(session.transport.ice().add_passive_address(now, host)?))
    }

    /// Adds an address of this machine at which streams of the peer are taken, and from whose port they are opened: a
    /// simultaneous-open TCP candidate (RFC 6544 §4.1).
    ///
    /// # Errors
    /// [`SessionError::Ice`].
    pub fn add_simultaneous_open_address(
        &mut self,
        now: Instant,
        host: impl Into<HostAddress>,
    ) -> Result<(), SessionError> {
        let host = host.into();
        self.act(now, |session| Ok(session.transport.ice().add_simultaneous_open_address(now, host)?))
    }

    /// Adds an address with what is known of its network, for statistics and for the choice among several.
    ///
    /// # Errors
    /// [`SessionError::Ice`].
    pub fn add_host(&mut self, now: Instant, host: HostAddress) -> Result<(), SessionError> {
        self.act(now, |session| Ok(session.transport.ice().add_host(now, host)?))
    }

    /// An address of this machine is gone: what took it goes on by another one at once, and one that comes later is
    /// [added](Self::add_host_address) and signalled as those at first.
    pub fn remove_host_address(&mut self, now: Instant, address: SocketAddr) {
        self.act(now, |session| session.transport.ice().remove_host_address(now, address));
    }

    /// Has this library's ICE take servers and policy of another configuration from the next gathering on
    /// ([`Agent::reconfigure`](crate::ice::Agent::reconfigure)). False if the session has another implementation of ICE.
    pub fn reconfigure_ice(&mut self, now: Instant, config: ice::Config) -> bool {
        self.act(now, |session| {
            let agent =
                session.transport.ice().as_any_mut().and_then(|agent| agent.downcast_mut::<ice::Agent>());
            agent.map(|agent| agent.reconfigure(now, config)).is_some()
        })
    }

    /// The candidates of this side that have been found for the ICE generation of now.
    pub fn local_candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.gathering.candidates().iter()
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
