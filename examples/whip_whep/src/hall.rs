//! Where one publishes and many watch.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use kaon_rtc::crypto::{CryptoProvider, default_provider};
use kaon_rtc::dtls::Identity;
use kaon_rtc::peer_connection::{Description, Endpoint, PeerConnection, PeerConnectionError};
use kaon_rtc::sdp::Direction;

use crate::own_page::Seats;
use crate::stage::{Publishing, Stage, Watching};

/// What all sessions share.
#[derive(Debug)]
pub struct Hall {
    endpoint: Endpoint,
    identity: Identity,
    provider: CryptoProvider,
    seats: Arc<Seats>,
    /// Who publishes, if somebody does.
    stage: Mutex<Option<Arc<Stage>>>,
    /// By the names that their resources have.
    sessions: Mutex<BTreeMap<String, PeerConnection>>,
}

/// What a request is refused with.
pub type Refusal = (StatusCode, String);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hall {
    pub fn new(max_viewers: usize) -> Result<Arc<Self>, String> {
        let endpoint = Endpoint::builder().loopback(true).bind().map_err(|error| error.to_string())?;
        let provider = default_provider().ok_or("no crypto provider is built in")?;
        let identity = Identity::generate(&provider).map_err(|error| error.to_string())?;
        let (stage, sessions) = (Mutex::default(), Mutex::default());
        Ok(Arc::new(Self { endpoint, identity, provider, seats: Seats::new(max_viewers), stage, sessions }))
    }

    /// The place of a publisher, if it is free.
    pub fn open_stage(self: &Arc<Self>) -> Result<Publishing, Refusal> {
        let mut stage = lock(&self.stage);
        if stage.is_some() {
            return Err((StatusCode::CONFLICT, "somebody publishes already".to_owned()));
        }
        let publishing = Publishing::new(self.clone());
        *stage = Some(publishing.stage.clone());
        Ok(publishing)
    }

    pub fn close_stage(&self) {
        *lock(&self.stage) = None;
    }

    /// The place of a viewer, if there is something to watch.
    pub fn find_seat(self: &Arc<Self>) -> Result<Watching, Refusal> {
        let nobody = || (StatusCode::CONFLICT, "nobody publishes yet".to_owned());
        let stage = lock(&self.stage).clone().ok_or_else(nobody)?;
        let full = || (StatusCode::SERVICE_UNAVAILABLE, "too many viewers".to_owned());
        Ok(Watching { hall: self.clone(), stage, _seat: self.seats.take().ok_or_else(full)? })
    }

    /// Answers an offer, all of whose media go in one direction. The answer has all candidates in it.
    pub async fn answer(
        &self,
        headers: &HeaderMap,
        offer: &str,
        direction: Direction,
    ) -> Result<(String, PeerConnection), Refusal> {
        if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/sdp") {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "an offer is application/sdp".to_owned()));
        }
        let bad = |error: PeerConnectionError| (StatusCode::BAD_REQUEST, error.to_string());
        let offer = Description::offer(offer).map_err(|error| bad(error.into()))?;
        let builder = PeerConnection::builder().endpoint(&self.endpoint).identity(self.identity.clone());
        let connection = builder.build().await.map_err(bad)?;
        connection.set_remote_description(&offer).map_err(bad)?;
        for transceiver in connection.transceivers() {
            connection.set_direction(transceiver.id(), direction).map_err(bad)?;
        }
        connection.set_local_description(None).map_err(bad)?;
        connection.gathering_complete().await;
        let id = self.new_id();
        lock(&self.sessions).insert(id.clone(), connection.clone());
        Ok((id, connection))
    }

    /// A name that nobody guesses (RFC 9725 §5): whoever knows it may end the session.
    fn new_id(&self) -> String {
        let mut random = [0; 16];
        self.provider.random.fill(&mut random);
        random.iter().fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        })
    }

    /// Ends a session. Whether there was one.
    pub fn leave(&self, id: &str) -> bool {
        lock(&self.sessions).remove(id).map(|connection| connection.close()).is_some()
    }
}
