//! Following ALTERNATE-SERVER, RFC 8489 §10.

use std::net::SocketAddr;

use smallvec::SmallVec;
use thiserror::Error;

use super::address;
use super::message::Message;

/// The servers that were asked so far, so that redirection comes to an end.
#[derive(Clone, Debug, Default)]
pub struct Redirection {
    asked: SmallVec<[SocketAddr; Self::MAX_HOPS + 1]>,
}

/// Why a redirection is not followed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectionError {
    /// There is no ALTERNATE-SERVER that may be asked.
    #[error(
        "the server names no other server that may be asked: none, one of another family, a loopback address, or one that was asked already"
    )]
    NoServer,
    /// Too many servers named another one.
    #[error("{} servers in a row name another one", Redirection::MAX_HOPS)]
    TooMany,
}

impl Redirection {
    /// How many redirections are followed in a row.
    pub const MAX_HOPS: usize = 5;

    /// The server that a 300 response of `server` names: the first that is of the same family and was not asked yet.
    ///
    /// # Errors
    /// [`RedirectionError`].
    pub fn follow(
        &mut self,
        server: SocketAddr,
        response: &Message<'_>,
    ) -> Result<SocketAddr, RedirectionError> {
        if self.asked.len() >= Self::MAX_HOPS {
            return Err(RedirectionError::TooMany);
        }
        self.asked.push(server);
        let may_be_next =
            |next: &SocketAddr| address::may_be_asked(server, *next) && !self.asked.contains(next);
        let next = response.alternate_servers().find(may_be_next);
        next.ok_or(RedirectionError::NoServer)
    }
}
