//! What tells the handles of a program apart.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::datachannel::ChannelId;
use crate::endpoint::SessionId;
use crate::layer::Rid;
use crate::session::TransceiverId;

/// Names what a handle stands for: an endpoint, a connection, a data channel, or what is sent or received on a
/// transceiver. All handles of the same have the same, and nothing else in the program has it, now or later; a
/// [`TransceiverId`] in contrast is one of its connection only.
///
/// ```
/// use std::collections::HashMap;
/// use kaon_rtc::peer_connection::{Endpoint, PeerConnection};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let endpoint = Endpoint::builder().bind()?;
/// let one = PeerConnection::builder().endpoint(&endpoint).build().await?;
/// let other = PeerConnection::builder().endpoint(&endpoint).build().await?;
/// let names = HashMap::from([(one.stable_id(), "one"), (other.stable_id(), "other")]);
/// assert_eq!(names[&other.clone().stable_id()], "other");
/// assert!(one == one.clone() && one != other);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StableId {
    /// Random: what keeps endpoints apart without a count of the whole process.
    endpoint: u64,
    connection: Option<SessionId>,
    part: Part,
}

/// What of a connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Whole,
    DataChannel(ChannelId),
    Sender(TransceiverId),
    Receiver(TransceiverId, Option<Rid>),
}

impl StableId {
    /// That of a new endpoint.
    pub(super) fn of_endpoint() -> Self {
        // Its keys are random, and the hash of nothing is as random as they are.
        Self { endpoint: RandomState::new().build_hasher().finish(), connection: None, part: Part::Whole }
    }

    /// That of a connection on the endpoint.
    pub(super) fn connection(self, id: SessionId) -> Self {
        Self { connection: Some(id), part: Part::Whole, ..self }
    }

    pub(super) fn data_channel(self, id: ChannelId) -> Self {
        Self { part: Part::DataChannel(id), ..self }
    }

    pub(super) fn sender(self, id: TransceiverId) -> Self {
        Self { part: Part::Sender(id), ..self }
    }

    pub(super) fn receiver(self, id: TransceiverId, rid: Option<Rid>) -> Self {
        Self { part: Part::Receiver(id, rid), ..self }
    }
}

impl fmt::Display for StableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "endpoint {:016x}", self.endpoint)?;
        if let Some(connection) = self.connection {
            write!(f, ", connection {}", connection.number())?;
        }
        match &self.part {
            Part::Whole => Ok(()),
            Part::DataChannel(id) => write!(f, ", {id}"),
            Part::Sender(id) => write!(f, ", {id}, sender"),
            Part::Receiver(id, None) => write!(f, ", {id}, receiver"),
            Part::Receiver(id, Some(rid)) => write!(f, ", {id}, receiver of {rid}"),
        }
    }
}

/// Handles are the same if they stand for the same.
macro_rules! same_if_stable_id_is {
    ($($handle:ty),*) => {$(
        impl PartialEq for $handle {
            fn eq(&self, other: &Self) -> bool {
                self.stable_id() == other.stable_id()
            }
        }

        impl Eq for $handle {}

        impl std::hash::Hash for $handle {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.stable_id().hash(state);
            }
        }
    )*};
}

pub(super) use same_if_stable_id_is;
