//! What was found, in words, and how it follows from the answers.

use std::fmt;
use std::net::SocketAddr;

use thiserror::Error;

use super::question::{Outcome, Test};
use crate::stun::error_code::ErrorCode;

/// What lies between this side and a server, as far as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatReport {
    /// The address of the first socket.
    pub local: SocketAddr,
    /// The address that the server sees it under.
    pub mapped: SocketAddr,
    /// The other address of the server; `None` if it tells of none that is of use.
    pub other_address: Option<SocketAddr>,
    /// What a mapping depends on (RFC 5780 §4.3).
    pub mapping: Result<MappingBehavior, Undetermined>,
    /// Who may answer through a mapping (RFC 5780 §4.4). Without a NAT it is that of a firewall.
    pub filtering: Result<FilteringBehavior, Undetermined>,
    /// Whether two sockets of this side that know each other's mapped address and send to it reach each other (RFC 5780
    /// §3.4). A NAT that hairpins, and makes another mapping for that which its filter does not let in, does not count:
    /// ICE does not get through there either.
    pub hairpinning: Result<bool, Undetermined>,
}

/// What a mapping depends on (RFC 4787 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MappingBehavior {
    /// The server sees the address of the socket itself.
    NoNat,
    /// Nothing but the address and port inside.
    EndpointIndependent,
    /// The IP address of the server, too.
    AddressDependent,
    /// The IP address and port of the server, too: a symmetric NAT.
    AddressAndPortDependent,
}

/// From where datagrams come in through a mapping (RFC 4787 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FilteringBehavior {
    /// From everywhere.
    EndpointIndependent,
    /// From IP addresses that were sent to.
    AddressDependent,
    /// From IP addresses and ports that were sent to.
    AddressAndPortDependent,
}

/// Why something was not found out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undetermined {
    /// Without a second address of the server there is nothing to compare.
    #[error("the server has no second address that is of use (OTHER-ADDRESS); ask one that has")]
    NoOtherAddress,
    /// An address of the server does not answer when it is asked itself, so silence says nothing.
    #[error("an address of the server does not answer: {0}")]
    Silent(SocketAddr),
    /// The server does not do what was asked.
    #[error("the server refuses: {0}")]
    Refused(ErrorCode),
    /// The server answers from an address that it was not to answer from.
    #[error("the server does not answer from the address that it was asked to")]
    WrongOrigin,
    /// A response is not understood.
    #[error("the server's answer has no address or is not understood")]
    Unusable,
    /// The mapped address was another one at the end.
    #[error("the mapped address changed in the meantime; ask again")]
    Rebound,
    /// There is no NAT that could do it.
    #[error("there is no NAT")]
    NoNat,
}

impl fmt::Display for MappingBehavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoNat => "no NAT",
            Self::EndpointIndependent => "endpoint-independent",
            Self::AddressDependent => "address-dependent",
            Self::AddressAndPortDependent => "address and port-dependent",
        })
    }
}

impl fmt::Display for FilteringBehavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndpointIndependent => "endpoint-independent",
            Self::AddressDependent => "address-dependent",
            Self::AddressAndPortDependent => "address and port-dependent",
        })
    }
}

/// What the tests came to: each has a path and an outcome, or was not made.
pub(super) struct Answers<'a> {
    pub(super) local: [SocketAddr; 2],
    pub(super) server: SocketAddr,
    pub(super) other: Option<SocketAddr>,
    pub(super) outcome: &'a dyn Fn(Test) -> Option<&'a Outcome>,
}

impl Answers<'_> {
    /// The report; `None` if the first question had no answer.
    pub(super) fn report(&self) -> Option<NatReport> {
        let mapped = self.mapped(Test::Mapped, self.server).ok()?;
        let stable = self.is_stable(Test::Mapped, Test::MappedAgain);
        let second_stable = self.is_stable(Test::MappedSecond, Test::MappedSecondAgain);
        Some(NatReport {
            local: self.local[0],
            mapped,
            other_address: self.other,
            mapping: stable.clone().and_then(|()| self.mapping(mapped)),
            filtering: second_stable.clone().and_then(|()| self.filtering()),
            hairpinning: stable.and(second_stable).and_then(|()| self.hairpinning(mapped)),
        })
    }

    /// RFC 5780 §4.3.
    fn mapping(&self, first: SocketAddr) -> Result<MappingBehavior, Undetermined> {
        let is_translated = first != self.local[0];
        let Some(other) = self.other else {
            return if is_translated {
                Err(Undetermined::NoOtherAddress)
            } else {
                Ok(MappingBehavior::NoNat)
            };
        };
        let by_ip = self.mapped(Test::OtherIp, SocketAddr::new(other.ip(), self.server.port()));
        let by_both = self.mapped(Test::OtherBoth, other);
        Ok(match (by_ip, by_both) {
            (Ok(ip), Ok(both)) if ip != both => MappingBehavior::AddressAndPortDependent,
            (Ok(ip), _) if ip == first && is_translated => MappingBehavior::EndpointIndependent,
            (Ok(ip), _) if ip == first => MappingBehavior::NoNat,
            (Ok(_), Ok(_)) => MappingBehavior::AddressDependent,
            (Err(_), _) if !is_translated => MappingBehavior::NoNat,
            (Err(why), _) | (_, Err(why)) => return Err(why),
        })
    }

    /// RFC 5780 §4.4. Silence counts only from an address that answers when it is asked.
    fn filtering(&self) -> Result<FilteringBehavior, Undetermined> {
        let other = self.other.ok_or(Undetermined::NoOtherAddress)?;
        self.mapped(Test::MappedSecond, self.server)?;
        if self.is_let_in(Test::ChangeBoth)? {
            return Ok(FilteringBehavior::EndpointIndependent);
        }
        self.mapped(Test::OtherBoth, other)?;
        if self.is_let_in(Test::ChangePort)? {
            return Ok(FilteringBehavior::AddressDependent);
        }
        self.mapped(Test::OtherPort, SocketAddr::new(self.server.ip(), other.port()))?;
        Ok(FilteringBehavior::AddressAndPortDependent)
    }

    /// RFC 5780 §3.4.
    fn hairpinning(&self, first: SocketAddr) -> Result<bool, Undetermined> {
        if first == self.local[0] {
            return Err(Undetermined::NoNat);
        }
        let outcomes = [Test::HairpinFirst, Test::HairpinSecond].map(self.outcome);
        if outcomes.contains(&Some(&Outcome::Arrived)) {
            return Ok(true);
        }
        // Where the mapped addresses are of no use, nothing was sent.
        if outcomes.contains(&None) { Err(Undetermined::Unusable) } else { Ok(false) }
    }

    /// Whether the mapped address was the same at the end, if it was asked for again.
    fn is_stable(&self, before: Test, after: Test) -> Result<(), Undetermined> {
        let before = self.mapped(before, self.server)?;
        if (self.outcome)(after).is_some() && self.mapped(after, self.server)? != before {
            return Err(Undetermined::Rebound);
        }
        Ok(())
    }

    /// The mapped address that an address of the server has told.
    fn mapped(&self, test: Test, asked: SocketAddr) -> Result<SocketAddr, Undetermined> {
        Err(match (self.outcome)(test) {
            Some(Outcome::Answered { mapped, .. }) => return Ok(*mapped),
            Some(Outcome::Refused(code, _)) => Undetermined::Refused(*code),
            Some(Outcome::Unusable) => Undetermined::Unusable,
            Some(Outcome::WrongOrigin) => Undetermined::WrongOrigin,
            Some(Outcome::Silent | Outcome::Arrived) | None => Undetermined::Silent(asked),
        })
    }

    /// Whether the answer came through that was to come from elsewhere.
    fn is_let_in(&self, test: Test) -> Result<bool, Undetermined> {
        match self.mapped(test, self.server) {
            Ok(_) => Ok(true),
            Err(Undetermined::Silent(_)) => Ok(false),
            Err(why) => Err(why),
        }
    }
}
