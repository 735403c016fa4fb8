use std::time::{Duration, Instant};

use kaon_rtc::crypto::aws_lc_rs;
use kaon_rtc::datachannel::ChannelInit;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, PayloadType, Transmit, TransmitBatch};
use kaon_rtc::session::{
    ConnectionState, Description, IncomingRtp, Session, SessionConfig, TrackKind, TransceiverId,
    TransceiverInit,
};

use super::{SERVER, STEP, Use, client};

/// Kaon's `Session` at both ends.
#[derive(Debug)]
pub struct KaonLink {
    pub path: FiveTuple,
    pub server: Session,
    pub peer: Session,
    pub to_server: Packets,
    pub to_peer: Packets,
    /// What is sent, if that is a video.
    pub track: Option<(TransceiverId, PayloadType)>,
}

/// Datagrams on their way.
#[derive(Debug)]
pub struct Packets {
    pub batch: TransmitBatch,
    pub transmits: Vec<Transmit>,
}

/// How the sessions of the server and of the clients are made: a certificate for each side.
pub type Configs = [SessionConfig; 2];

/// Makes the certificates.
pub fn configs() -> Configs {
    [0, 1].map(|_| SessionConfig::generate(aws_lc_rs::provider()).expect("a configuration"))
}

/// Whether a session wants to be told the time.
pub fn is_due(session: &Session, now: Instant) -> bool {
    session.poll_timeout().is_some_and(|at| at <= now)
}

impl Packets {
    fn new() -> Self {
        Self { batch: TransmitBatch::new(1228), transmits: Vec::new() }
    }

    /// Takes what a session wants to send.
    pub fn take(&mut self, now: Instant, from: &mut Session) {
        while let Some(transmit) = from.poll_transmit(now, &mut self.batch) {
            self.transmits.push(transmit);
        }
    }

    /// Hands all to a session.
    pub fn give(
        &mut self,
        now: Instant,
        path: FiveTuple,
        to: &mut Session,
        deliver: &mut dyn FnMut(IncomingRtp<'_>),
    ) {
        for transmit in self.transmits.drain(..) {
            for bytes in self.batch.datagrams_mut(&transmit) {
                // A repeated answer, for one, is refused.
                let _ = to.receive(now, Datagram::new(path, bytes), deliver);
            }
        }
        self.batch.clear();
    }
}

impl KaonLink {
    /// A client's connection with the server, connected.
    pub fn new(mut now: Instant, number: usize, configs: &Configs, purpose: Use) -> Self {
        let [mut server, mut peer] = configs.clone().map(|config| Session::new(now, config));
        for (session, address) in [(&mut server, SERVER), (&mut peer, client(number))] {
            session.add_host_address(now, address).expect("an address");
            session.end_of_host_addresses(now);
        }
        let by_client = purpose == Use::ToServer;
        let (offerer, answerer) = if by_client { (&mut peer, &mut server) } else { (&mut server, &mut peer) };
        let mut id = None;
        if purpose == Use::Data {
            offerer.create_data_channel(now, ChannelInit::new("data")).expect("a channel");
        } else {
            id = Some(offerer.add_track(TrackKind::Video, TransceiverInit::default()).expect("a track"));
        }
        while offerer.poll_event().is_some() || answerer.poll_event().is_some() {}
        offerer.set_local_description(now, None).expect("an offer");
        // As texts, as between machines.
        let offer = offerer.local_description().expect("an offer").text();
        let offer = Description::offer(&offer).expect("a sound offer");
        answerer.set_remote_description(now, &offer).expect("a sound offer");
        answerer.set_local_description(now, None).expect("an answer");
        let answer = answerer.local_description().expect("an answer").text();
        let answer = Description::answer(&answer).expect("a sound answer");
        offerer.set_remote_description(now, &answer).expect("a sound answer");
        let payload_type = |id| {
            offerer.transceiver(id).expect("a track").send_codecs().first().expect("a codec").payload_type
        };
        let track = id.map(|id| (id, payload_type(id)));
        let path = FiveTuple::udp(SERVER, client(number));
        let mut link = Self { path, server, peer, to_server: Packets::new(), to_peer: Packets::new(), track };
        let is_connected = |session: &Session| session.connection_state() == ConnectionState::Connected;
        while !is_connected(&link.server) || !is_connected(&link.peer) {
            link.serve(now);
            link.peer(now);
            now += STEP;
        }
        link
    }

    /// Nothing but time goes by.
    pub fn idle(&mut self, from: Instant, time: Duration) {
        let mut now = from;
        while now < from + time {
            self.serve(now);
            self.peer(now);
            now += 10 * STEP;
        }
    }

    /// Gives back the memory of what carries the datagrams, which is no part of the sessions.
    pub fn forget_buffers(&mut self) {
        (self.to_server, self.to_peer) = (Packets::new(), Packets::new());
    }

    fn serve(&mut self, now: Instant) {
        if is_due(&self.server, now) {
            self.server.handle_timeout(now);
        }
        self.to_server.give(now, self.path, &mut self.server, &mut |_| {});
        self.to_peer.take(now, &mut self.server);
        while self.server.poll_event().is_some() {}
    }

    /// What happens at the other end.
    pub fn peer(&mut self, now: Instant) {
        if is_due(&self.peer, now) {
            self.peer.handle_timeout(now);
        }
        let path = FiveTuple::udp(self.path.remote, self.path.local);
        self.to_peer.give(now, path, &mut self.peer, &mut |_| {});
        self.to_server.take(now, &mut self.peer);
        while self.peer.poll_event().is_some() {}
    }
}
