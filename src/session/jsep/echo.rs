//! What this side made and signalling has sent back, as that does which sends to all.

use super::Jsep;
use crate::layer::IceCredentials;
use crate::sdp::{MediaDescription, SessionDescription};
use crate::session::error::SessionError;

impl Jsep {
    /// A description of this side has its credentials, which are random.
    pub(super) fn check_is_of_peer(&self, sdp: &SessionDescription) -> Result<(), SessionError> {
        let is_own = |media: &MediaDescription| {
            sdp.ice_parameters(media).is_some_and(|ice| {
                self.own_credentials().any(|own| own.ufrag() == ice.ufrag && own.password() == ice.pwd)
            })
        };
        if sdp.media.iter().any(is_own) { Err(SessionError::OwnDescription) } else { Ok(()) }
    }

    /// Whether a fragment is one of this side.
    pub(in crate::session) fn is_own_ufrag(&self, ufrag: &str) -> bool {
        self.own_credentials().any(|own| own.ufrag() == ufrag)
    }

    /// Those that are agreed on, of an exchange under way, and of what waits to be applied.
    fn own_credentials(&self) -> impl Iterator<Item = &IceCredentials> {
        let before = self.rollback.as_ref().map(|point| &point.agreement.local_credentials);
        let offered = self.created_offer.as_ref().map(|created| &created.credentials);
        let answered = self.created_answer.as_ref().map(|created| &created.credentials);
        let all = [Some(&self.agreement.local_credentials), before, offered, answered].into_iter().flatten();
        // Those that the application gave, both sides may have.
        all.filter(|own| self.given_credentials.as_ref() != Some(own))
    }
}
