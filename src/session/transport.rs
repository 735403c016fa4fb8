//! The one transport of a session: ICE, DTLS, SRTP and SCTP put together (RFC 8835), with the data channels on
//! top.

mod sending;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::association::Association;
use super::failure::FailureReason;
use super::jsep::{Jsep, RemoteData};
use super::state::ConnectionState;
use super::transports::Transports;
use crate::datachannel::{self, ChannelId, ChannelState, DataChannels};
use crate::layer::{
    Datagram, DtlsError, DtlsEvent, DtlsRole, DtlsTransport, Envelope, Fingerprint, FingerprintAlgorithm,
    FiveTuple, IceConnectionState, IceCredentials, IceEvent, IceFailure, IceFailureCause, IceOptions,
    IceRole, IceTransport, Layer, SctpClose, SctpEvent, SctpTransport, SrtpKeyingMaterial, SrtpTransport,
};

pub(super) use self::sending::Departure;

/// The layers below media and data.
#[derive(Debug)]
pub(super) struct Transport {
    transports: Transports,
    sctp_port: u16,
    ice: Box<dyn IceTransport>,
    dtls: Option<Box<dyn DtlsTransport>>,
    /// What stands around the data of its records, once it was asked for.
    record: Option<Envelope>,
    srtp: Option<Box<dyn SrtpTransport>>,
    sctp: Association,
    channels: DataChannels,
    data: Option<RemoteData>,
    /// The peer has refused data channels, and none was made since.
    is_data_refused: bool,
    /// The data channels were told of the association.
    has_channels: bool,
    has_role: bool,
    /// There is something that SRTP is for.
    has_media: bool,
    /// What of the peer's description ICE was told.
    remote_credentials: Option<IceCredentials>,
    remote_candidates: u64,
    remote_ended: bool,
    /// Where DTLS last came from, for answers while no pair is selected.
    dtls_path: Option<FiveTuple>,
    /// What of the peer's handshake came before its description.
    early_dtls: Vec<(FiveTuple, Vec<u8>)>,
    /// How long the handshake may take once the peer is there.
    handshake_timeout: Duration,
    /// When that time is over; `None` while there is no path.
    handshake_deadline: Option<Instant>,
    is_peer_there: bool,
    /// It succeeded or failed, which it does once.
    is_handshake_over: bool,
    is_offerer: bool,
    remote_is_lite: bool,
    dtls_end: Option<DtlsEnd>,
    /// What DTLS has refused to protect something for, until that is told.
    seal_failure: Option<DtlsError>,
    /// The session is to learn that the peer has closed.
    is_close_untold: bool,
    /// How the association ended.
    data_end: Option<FailureReason>,
    /// The largest datagram of data channels.
    mtu: usize,
    /// When something authentic came last.
    heard: Option<Instant>,
    /// The last datagrams of a session that was closed.
    farewell: Vec<(FiveTuple, Vec<u8>)>,
}

/// Datagrams of the peer's handshake that are kept until its description comes. A ClientHello takes two at most,
/// and may be sent twice.
const MAX_EARLY_DATAGRAMS: usize = 4;
/// After so long without anything from the peer the path may have been away. Shorter than any retransmission
/// timeout that has backed off.
const SILENCE: Duration = Duration::from_millis(500);
/// The longest such datagram: what an Ethernet carries.
const MAX_EARLY_DATAGRAM: usize = 1500;

/// So many times longer may the handshake take with a peer that answers checks and has not shown that it knows of this
/// side: a person may carry the answer.
const UNKNOWING_PEER: u32 = 15;

/// How the DTLS connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DtlsEnd {
    Closed,
    Failed(DtlsError),
}

/// What a transport tells the session.
#[derive(Debug)]
pub(super) enum TransportEvent {
    Ice(IceEvent),
    /// The send buffer of data channels has room again.
    Writable,
    /// The handshake is complete, and who the peer is is left to the application.
    UnverifiedPeer(Fingerprint),
    ClosedByPeer,
}

impl Transport {
    pub(super) fn new(
        now: Instant,
        transports: Transports,
        limits: datachannel::Limits,
        sctp_port: u16,
        mtu: usize,
        handshake_timeout: Duration,
    ) -> Self {
        Self {
            ice: (transports.ice)(now),
            transports,
            sctp_port,
            dtls: None,
            record: None,
            srtp: None,
            sctp: Association::default(),
            channels: DataChannels::new(limits),
            data: None,
            is_data_refused: false,
            has_channels: false,
            has_role: false,
            has_media: false,
            remote_credentials: None,
            remote_candidates: 0,
            remote_ended: false,
            dtls_path: None,
            early_dtls: Vec::new(),
            handshake_timeout,
            handshake_deadline: None,
            is_peer_there: false,
            is_handshake_over: false,
            is_offerer: false,
            remote_is_lite: false,
            dtls_end: None,
            seal_failure: None,
            is_close_untold: false,
            data_end: None,
            mtu,
            heard: None,
            farewell: Vec::new(),
        }
    }

    /// Something authentic came. After a silence the path may have been away, and retransmissions have backed off
    /// for as long as it was.
    pub(super) fn note_heard(&mut self, now: Instant) {
        let before = self.heard.replace(now);
        // Most datagrams come in one batch with the one before.
        let is_long_ago = |before| before < now && now.saturating_duration_since(before) >= SILENCE;
        if before.is_some_and(is_long_ago) {
            self.sctp.path_is_back(now);
        }
    }

    /// Data takes another path than before.
    pub(super) fn note_path_change(&mut self, now: Instant) {
        self.sctp.path_has_changed(now);
    }

    pub(super) fn ice(&mut self) -> &mut dyn IceTransport {
        &mut *self.ice
    }

    pub(super) fn ice_ref(&self) -> &dyn IceTransport {
        &*self.ice
    }

    pub(super) fn dtls(&self) -> Option<&dyn DtlsTransport> {
        self.dtls.as_deref()
    }

    pub(super) fn dtls_end(&self) -> Option<&DtlsEnd> {
        self.dtls_end.as_ref()
    }

    pub(super) fn fingerprints(&self) -> &[Fingerprint] {
        &self.transports.fingerprints
    }

    pub(super) fn srtp(&mut self) -> Option<&mut dyn SrtpTransport> {
        match &mut self.srtp {
            Some(srtp) => Some(&mut **srtp),
            None => None,
        }
    }

    pub(super) fn srtp_ref(&self) -> Option<&dyn SrtpTransport> {
        self.srtp.as_deref()
    }

    pub(super) fn sctp(&self) -> &dyn SctpTransport {
        &self.sctp
    }

    /// The data channels with the association they run over.
    pub(super) fn channels(&mut self) -> (&mut DataChannels, &mut dyn SctpTransport) {
        (&mut self.channels, &mut self.sctp)
    }

    pub(super) fn channels_ref(&self) -> &DataChannels {
        &self.channels
    }

    /// The path that everything but ICE takes.
    pub(super) fn path(&self) -> Option<FiveTuple> {
        self.ice.selected_pair().map(|pair| pair.path)
    }

    /// Whether data and media can pass.
    pub(super) fn is_secured(&self) -> bool {
        self.dtls.as_ref().is_some_and(|dtls| dtls.is_connected())
    }

    pub(super) fn state(&self) -> ConnectionState {
        use IceConnectionState as Ice;
        match (&self.dtls_end, self.ice.state()) {
            (Some(DtlsEnd::Closed), _) | (_, Ice::Closed) => ConnectionState::Closed,
            (Some(DtlsEnd::Failed(_)), _) | (_, Ice::Failed) => ConnectionState::Failed,
            (_, Ice::Disconnected) => ConnectionState::Disconnected,
            (_, Ice::New) if self.dtls.is_none() => ConnectionState::New,
            (_, Ice::Connected | Ice::Completed) if self.is_secured() => ConnectionState::Connected,
            _ => ConnectionState::Connecting,
        }
    }

    /// Brings the layers to what the signalling agreed on.
    pub(super) fn follow(&mut self, now: Instant, jsep: &Jsep) {
        if self.ice.local_credentials() != jsep.local_credentials() {
            // Refused only by an agent that is closed, which nothing can help.
            let _ = self.ice.restart(now, jsep.local_credentials().clone());
            self.remote_credentials = None;
            // The application gives the handshake another chance, on other paths.
            self.handshake_deadline = None;
            self.is_peer_there = false;
        }
        let Some(remote) = jsep.remote_transport() else { return };
        self.remote_is_lite = remote.ice_lite;
        let options = IceOptions::new().with_lite(remote.ice_lite).with_renomination(remote.renomination);
        self.ice.set_remote_options(options);
        if !self.has_role {
            self.has_role = true;
            self.is_offerer = jsep.is_first_offerer();
            // RFC 8445 §6.1.1: the offerer controls, unless only the other side is a full agent.
            let controls = match (self.ice.options().lite, remote.ice_lite) {
                (false, true) => true,
                (true, false) => false,
                _ => jsep.is_first_offerer(),
            };
            self.ice.set_role(if controls { IceRole::Controlling } else { IceRole::Controlled });
        }
        if self.remote_credentials.as_ref() != Some(&remote.credentials) {
            let _ = self.ice.set_remote_credentials(now, remote.credentials.clone());
            self.remote_credentials = Some(remote.credentials.clone());
            self.remote_candidates = 0;
            self.remote_ended = false;
        }
        for candidate in remote.candidates.since(self.remote_candidates) {
            // One that the agent cannot use (TCP, too many) takes nothing from the others, and the agent logs it.
            let _ = self.ice.add_remote_candidate(now, candidate.clone());
        }
        self.remote_candidates = remote.candidates.count();
        if remote.has_all_candidates && !self.remote_ended {
            self.remote_ended = true;
            self.ice.end_of_remote_candidates(now);
        }
        self.data = jsep.data();
        if let Some(data) = self.data {
            self.sctp.set_remote_max_message_size(data.max_message_size);
        }
        if self.data.is_none() && !jsep.wants_data() {
            self.close_refused_channels(now);
        }
        self.has_media = !jsep.transceivers().is_empty();
        self.start_srtp();
        self.start_dtls(jsep);
        for (path, mut datagram) in std::mem::take(&mut self.early_dtls) {
            // As if it came now.
            let _ = self.receive_dtls(now, Datagram::new(path, &mut datagram));
        }
        self.start_sctp(now);
    }

    /// The peer has refused data channels: those that wait for it are over.
    fn close_refused_channels(&mut self, now: Instant) {
        let waits = |id: &ChannelId| self.channels.state(*id) == Some(ChannelState::Connecting);
        let waiting: Vec<ChannelId> = self.channels.iter().filter(waits).collect();
        self.is_data_refused |= !waiting.is_empty();
        for id in waiting {
            // It is there.
            let _ = self.channels.close(&mut self.sctp, now, id);
        }
    }

    /// A data channel was made, and the peer is asked again.
    pub(super) fn expect_data(&mut self) {
        self.is_data_refused = false;
    }

    /// A client begins when there is a path; a server is there before, because the peer may have one first.
    pub(super) fn start_dtls(&mut self, jsep: &Jsep) {
        let (Some(role), Some(remote)) = (jsep.dtls_role(), jsep.remote_transport()) else { return };
        let may_begin = role == DtlsRole::Server || self.ice.selected_pair().is_some();
        if self.dtls.is_some() || self.dtls_end.is_some() || !may_begin {
            return;
        }
        match (self.transports.dtls)(role, &remote.fingerprints) {
            Ok(dtls) => (self.dtls, self.record) = (Some(dtls), None),
            Err(error) => self.end_dtls(DtlsEnd::Failed(error)),
        }
    }

    fn start_sctp(&mut self, now: Instant) {
        let (Some(data), Some(dtls)) = (self.data, &self.dtls) else { return };
        if dtls.is_connected() && !self.has_channels {
            self.has_channels = true;
            self.sctp.get_or_make(|| make_sctp(&self.transports, self.sctp_port, data)).connect(now);
            self.channels.set_role(&mut self.sctp, now, dtls.role());
        }
    }

    /// Takes a DTLS datagram.
    pub(super) fn receive_dtls(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
    ) -> Result<(), super::SessionError> {
        let path = datagram.path;
        // Before ICE has validated the path, anybody could have sent it.
        if !self.ice.is_validated(&path) {
            return Err(super::SessionError::Ignored("DTLS on a path that ICE has not validated"));
        }
        let Some(dtls) = &mut self.dtls else {
            return self.keep_early_dtls(path, datagram.bytes);
        };
        self.dtls_path = Some(path);
        let (sctp, data, transports, port) = (&mut self.sctp, self.data, &self.transports, self.sctp_port);
        let mut has_data = false;
        dtls.receive(now, datagram, &mut |packet| {
            has_data = true;
            let Some(data) = data else { return };
            // The peer may be connected first, and its first packet comes with the end of the handshake.
            let sctp = sctp.get_or_make(|| make_sctp(transports, port, data));
            // What SCTP refuses, it counts.
            let _ = sctp.handle_datagram(now, Datagram::new(path, packet));
        })?;
        self.note_heard(now);
        if has_data {
            self.ice.note_data(now, &path);
        }
        Ok(())
    }

    /// RFC 8842 §6: the peer may begin before its answer has arrived. To lose that would cost the handshake a
    /// retransmission timeout.
    fn keep_early_dtls(&mut self, path: FiveTuple, datagram: &[u8]) -> Result<(), super::SessionError> {
        let has_room = self.early_dtls.len() < MAX_EARLY_DATAGRAMS && datagram.len() <= MAX_EARLY_DATAGRAM;
        if self.has_role || !has_room {
            return Err(super::SessionError::Ignored("DTLS before the roles are agreed on"));
        }
        self.early_dtls.push((path, datagram.to_vec()));
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.ice.handle_timeout(now);
        if let Some(dtls) = &mut self.dtls {
            dtls.handle_timeout(now);
        }
        if self.handshake_deadline.is_some_and(|deadline| deadline <= now) {
            self.give_up_handshake();
        }
        self.watch_handshake(now);
        self.sctp.handle_timeout(now);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ice = self.ice.poll_timeout();
        let dtls = self.dtls.as_ref().and_then(|dtls| dtls.poll_timeout());
        let sctp = self.sctp.poll_timeout();
        ice.into_iter().chain(dtls).chain(sctp).chain(self.handshake_deadline).min()
    }

    /// A peer that passes ICE and then says nothing is not waited for without end, and one that has not had this
    /// side's description yet is not given up soon: the time runs from when there is a path and the peer is known to
    /// know of this side.
    fn watch_handshake(&mut self, now: Instant) {
        if self.is_handshake_over {
            return;
        }
        self.is_handshake_over = self.is_secured() || self.dtls_end.is_some();
        let is_under_way = self.has_role && !self.is_handshake_over;
        let has_begun = self.handshake_deadline.is_some();
        if !is_under_way || !has_begun && self.ice.selected_pair().is_none() {
            self.handshake_deadline = None;
            self.is_peer_there = false;
            return;
        }
        // A peer whose path comes and goes has no more time than another: the time runs on while there is none.
        // An answer shows that the offer has arrived; that the answer has, only a check of the peer does.
        let is_there = self.is_offerer || self.remote_is_lite || self.ice.has_peer_checked();
        let has_come = is_there && !std::mem::replace(&mut self.is_peer_there, is_there);
        if !has_begun || has_come {
            let longer = if is_there { 1 } else { UNKNOWING_PEER };
            self.handshake_deadline = now.checked_add(self.handshake_timeout.saturating_mul(longer));
        }
    }

    fn give_up_handshake(&mut self) {
        self.handshake_deadline = None;
        if !self.is_secured() && self.dtls_end.is_none() {
            self.dtls = None;
            self.end_dtls(DtlsEnd::Failed(DtlsError::TimedOut));
        }
    }

    /// Sorts what has arrived on data channels, so that those of the peer are there.
    pub(super) fn sort_messages(&mut self, now: Instant) {
        self.channels.advance_on_news(&mut self.sctp, now);
    }

    /// What the layers tell.
    pub(super) fn poll_event(&mut self, now: Instant) -> Option<TransportEvent> {
        if let Some(event) = self.ice.poll_event() {
            return Some(TransportEvent::Ice(event));
        }
        while let Some(event) = self.dtls.as_mut().and_then(|dtls| dtls.poll_event()) {
            match event {
                DtlsEvent::Connected { .. } => {
                    self.start_srtp();
                    self.start_sctp(now);
                    if let Some(fingerprint) = self.unverified_peer() {
                        return Some(TransportEvent::UnverifiedPeer(fingerprint));
                    }
                }
                DtlsEvent::ApplicationData(packet) => {
                    let mut packet = packet.to_vec();
                    if let Some(path) = self.dtls_path {
                        let _ = self.sctp.handle_datagram(now, Datagram::new(path, &mut packet));
                    }
                }
                DtlsEvent::Closed => self.end_dtls(DtlsEnd::Closed),
                DtlsEvent::Failed(error) => self.end_dtls(DtlsEnd::Failed(error)),
            }
        }
        // An implementation that does not end by itself: nothing that it is handed ever leaves.
        if let Some(error) = self.seal_failure.take()
            && self.dtls_end.is_none()
        {
            self.end_dtls(DtlsEnd::Failed(error));
        }
        self.watch_handshake(now);
        while let Some(event) = self.sctp.poll_event() {
            self.channels.handle_event(&mut self.sctp, now, &event);
            match event {
                SctpEvent::Writable => return Some(TransportEvent::Writable),
                SctpEvent::Closed(close) => {
                    self.data_end.get_or_insert(FailureReason::Sctp(close));
                }
                SctpEvent::Established { .. }
                | SctpEvent::Readable
                | SctpEvent::BufferedAmountLow(_)
                | SctpEvent::IncomingStreamReset(_)
                | SctpEvent::AllIncomingStreamsReset
                | SctpEvent::OutgoingStreamReset(_)
                | SctpEvent::StreamResetRefused(_) => {}
            }
        }
        if matches!(self.dtls_end, Some(DtlsEnd::Failed(_))) && self.data_end.is_none() {
            // No data channel will ever open any more, and whoever waits for one is to learn of it.
            let closed = SctpEvent::Closed(SctpClose::Aborted);
            self.channels.handle_event(&mut self.sctp, now, &closed);
            self.data_end = Some(self.failure());
        }
        std::mem::take(&mut self.is_close_untold).then_some(TransportEvent::ClosedByPeer)
    }

    fn unverified_peer(&self) -> Option<Fingerprint> {
        let dtls = self.dtls.as_ref().filter(|_| self.transports.accepts_any_certificate())?;
        dtls.peer_fingerprint(FingerprintAlgorithm::Sha256)
    }

    /// Why the state is failed or closed.
    pub(super) fn failure(&self) -> FailureReason {
        match &self.dtls_end {
            Some(DtlsEnd::Failed(error)) => FailureReason::Dtls(error.clone()),
            Some(DtlsEnd::Closed) => FailureReason::ClosedByPeer,
            None if self.ice.state() == IceConnectionState::Closed => FailureReason::Closed,
            None => {
                let unknown =
                    || IceFailure::new(IceFailureCause::Unknown).with_pairs(self.ice.candidate_pairs());
                FailureReason::Ice(Arc::new(self.ice.failure().cloned().unwrap_or_else(unknown)))
            }
        }
    }

    /// Why there are no data channels any more, though the connection may go on.
    pub(super) fn data_end(&self) -> Option<&FailureReason> {
        self.data_end.as_ref().or(self.is_data_refused.then_some(&FailureReason::DataRefused))
    }

    /// Once there is media. DTLS exports the keys when they are needed, so that none are kept before.
    fn start_srtp(&mut self) {
        let Some(dtls) = self.dtls.as_ref().filter(|_| self.has_media && self.srtp.is_none()) else { return };
        let Ok(SrtpKeyingMaterial { client, server }) = dtls.srtp_keying_material() else { return };
        let made = match dtls.role() {
            DtlsRole::Client => (self.transports.srtp)(&client, &server),
            DtlsRole::Server => (self.transports.srtp)(&server, &client),
        };
        match made {
            Ok(srtp) => self.srtp = Some(srtp),
            Err(_) => self.end_dtls(DtlsEnd::Failed(DtlsError::Crypto("deriving the SRTP keys"))),
        }
    }

    fn end_dtls(&mut self, end: DtlsEnd) {
        self.is_close_untold = end == DtlsEnd::Closed;
        self.dtls_end = Some(end);
    }
}

fn make_sctp(transports: &Transports, port: u16, data: RemoteData) -> Box<dyn SctpTransport> {
    let mut sctp = (transports.sctp)(port, data.port);
    sctp.set_remote_max_message_size(data.max_message_size);
    sctp
}
