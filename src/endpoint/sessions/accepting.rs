//! Sessions that are made when the first check comes.

use std::time::Instant;

use super::Endpoint;
use crate::endpoint::incoming::{Incoming, IncomingLimits, Strangers};
use crate::endpoint::member::Member;
use crate::endpoint::session_id::SessionId;
use crate::layer::Datagram;
use crate::session::SessionError;

impl<M: Member> Endpoint<M> {
    /// Has checks for fragments that no session has told as [`EndpointEvent::Incoming`](crate::endpoint::EndpointEvent),
    /// within limits; `None`, as at first, has them ignored. For servers that make a session on the first check, because
    /// the fragment says all that they need.
    pub fn set_incoming(&mut self, limits: Option<IncomingLimits>) {
        self.strangers = limits.map(Strangers::new);
    }

    /// How many strangers had to make room for others before the application was told of them.
    pub fn forgotten_incoming(&self) -> u64 {
        self.strangers.as_ref().map_or(0, Strangers::forgotten)
    }

    /// Adds a session that was made for the check of a stranger, as [`insert`](Self::insert) does, and hands it the
    /// check. The session has the fragment, an address for the path's local one, and a description of its peer, which nobody
    /// has sent: the application writes what the peer would have.
    ///
    /// Whoever knows how fragments and passwords are made can have a session made, also for an address that is not its own.
    /// Until it fails, within 40 s, a session sends some 8 datagrams of the size of the check there. A server counts the
    /// sessions that are not connected yet, and accepts no further ones beyond a limit.
    ///
    /// WebRTC-direct of libp2p, where both sides have the same fragment, which is the password as well, and the first data
    /// channel is known to both:
    ///
    #[cfg_attr(feature = "aws-lc-rs", doc = "```")]
    #[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
    /// use std::error::Error;
    /// use std::time::Instant;
    ///
    /// use kaon_rtc::crypto::aws_lc_rs;
    /// use kaon_rtc::datachannel::ChannelInit;
    /// use kaon_rtc::endpoint::{Endpoint, EndpointEvent, Incoming, IncomingLimits, SessionId};
    /// use kaon_rtc::layer::{IceCredentials, Layer, StreamId};
    /// use kaon_rtc::session::{Description, Session, SessionConfig, SessionEvent};
    ///
    /// /// Makes the session of a peer whose first check has come.
    /// fn welcome(now: Instant, config: &SessionConfig, incoming: &Incoming) -> Result<Session, Box<dyn Error>> {
    ///     let ufrag = &incoming.ufrag;
    ///     let credentials = IceCredentials::new(ufrag, ufrag)?;
    ///     let mut session = Session::with_ice_credentials(now, config.clone(), credentials)?;
    ///     session.add_host_address(now, incoming.path.local)?;
    ///     session.end_of_host_addresses(now);
    ///     let mut noise = ChannelInit::new("");
    ///     noise.negotiated = Some(StreamId(0));
    ///     session.create_data_channel(now, noise)?;
    ///     // The offer that the peer would have sent. Its certificate is not known yet: any fingerprint stands for it.
    ///     let unknown = ["ff"; 32].join(":");
    ///     let offer = format!(
    ///         "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
    ///          m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n\
    ///          a=ice-ufrag:{ufrag}\r\na=ice-pwd:{ufrag}\r\na=fingerprint:sha-256 {unknown}\r\n\
    ///          a=setup:active\r\na=sctp-port:5000\r\na=max-message-size:16384\r\n"
    ///     );
    ///     session.set_remote_description(now, &Description::offer(&offer)?)?;
    ///     session.set_local_description(now, None)?;
    ///     Ok(session)
    /// }
    ///
    /// /// What the loop does with events.
    /// fn handle_events(endpoint: &mut Endpoint<Session>, config: &SessionConfig, next_id: &mut u64) {
    ///     while let Some(event) = endpoint.poll_event() {
    ///         match event {
    ///             EndpointEvent::Incoming(incoming) => {
    ///                 let now = Instant::now();
    ///                 let Ok(session) = welcome(now, config, &incoming) else { continue };
    ///                 *next_id += 1;
    ///                 // Refused if the check is not authentic.
    ///                 let _ = endpoint.accept(now, SessionId::new(*next_id), session, *incoming);
    ///             }
    ///             EndpointEvent::Session { id, event: SessionEvent::UnverifiedPeer { fingerprint } } => {
    ///                 println!("{id:?}: whose is {fingerprint}? To be asked over the channel");
    ///             }
    ///             _ => {}
    ///         }
    ///     }
    /// }
    ///
    /// let mut config = SessionConfig::generate(aws_lc_rs::provider())?;
    /// // The peer proves who it is over the data channel.
    /// config.transports.dangerously_accept_any_certificate();
    /// let mut endpoint = Endpoint::new();
    /// endpoint.set_incoming(Some(IncomingLimits::default()));
    /// handle_events(&mut endpoint, &config, &mut 0);
    /// # Ok::<(), Box<dyn Error>>(())
    /// ```
    ///
    /// # Errors
    /// The session is not added if it refuses the check, which is not authentic then, if it has another fragment, or if
    /// another session has got the fragment in the meantime; that one hears of the peer's next check.
    pub fn accept(
        &mut self,
        now: Instant,
        id: SessionId,
        member: M,
        mut incoming: Incoming,
    ) -> Result<(), SessionError> {
        if !self.routes.by_ufrag(&incoming.ufrag).is_empty() {
            return Err(SessionError::Ignored("another session has the fragment"));
        }
        self.insert(id, member);
        let result = match self.routes.by_ufrag(&incoming.ufrag) {
            [named] if *named == id => self.receive_incoming(now, &mut incoming),
            _ => Err(SessionError::Ignored("the session does not have the fragment that the check names")),
        };
        if result.is_err() {
            self.remove(id);
        }
        result
    }

    /// The next stranger. One whose fragment a session has got since is handed over instead: it is the same peer, on
    /// another path.
    pub(super) fn poll_incoming(&mut self) -> Option<Incoming> {
        loop {
            let (came, mut incoming) = self.strangers.as_mut()?.poll()?;
            if self.routes.by_ufrag(&incoming.ufrag).is_empty() {
                return Some(incoming);
            }
            // What it is refused for is no matter of the application.
            let _ = self.receive_incoming(came, &mut incoming);
        }
    }

    fn receive_incoming(&mut self, now: Instant, incoming: &mut Incoming) -> Result<(), SessionError> {
        let Incoming { path, ecn, datagram, .. } = incoming;
        self.receive(now, Datagram { path: *path, ecn: *ecn, bytes: datagram })
    }
}
