use std::time::{Duration, Instant};

use ::str0m::change::{SdpAnswer, SdpOffer};
use ::str0m::media::{Direction, MediaKind, Mid};
use ::str0m::net::{Protocol, Receive, Transmit};
use ::str0m::rtp::RtpPacket;
use ::str0m::{Candidate, Event, Input, Output, Rtc};

use super::{SERVER, STEP, Use, client};

/// str0m's `Rtc`, in RTP mode, at both ends.
#[derive(Debug)]
pub struct Str0mLink {
    pub server: Rtc,
    pub peer: Rtc,
    pub to_server: Vec<Transmit>,
    pub to_peer: Vec<Transmit>,
    /// When the server's side wants to be called.
    pub server_due: Instant,
    pub peer_due: Instant,
    /// Where a video is sent, if one is.
    pub mid: Option<Mid>,
}

/// Takes all that a session gives; when it wants to be called.
pub fn drain(rtc: &mut Rtc, out: &mut Vec<Transmit>, mut packets: Option<&mut Vec<RtpPacket>>) -> Instant {
    loop {
        match rtc.poll_output().expect("a sound session") {
            Output::Timeout(at) => return at,
            Output::Transmit(transmit) => out.push(transmit),
            Output::Event(Event::RtpPacket(packet)) => {
                if let Some(packets) = &mut packets {
                    packets.push(packet);
                }
            }
            Output::Event(_) => {}
        }
    }
}

fn give(
    now: Instant,
    from: &mut Vec<Transmit>,
    to: &mut Rtc,
    out: &mut Vec<Transmit>,
    mut packets: Option<&mut Vec<RtpPacket>>,
) -> Option<Instant> {
    let mut due = None;
    for transmit in from.drain(..) {
        let receive = Receive {
            proto: Protocol::Udp,
            source: transmit.source,
            destination: transmit.destination,
            contents: (&*transmit.contents).try_into().expect("a datagram of WebRTC"),
        };
        to.handle_input(Input::Receive(now, receive)).expect("a sound datagram");
        due = Some(drain(to, out, packets.as_deref_mut()));
    }
    due
}

impl Str0mLink {
    /// A client's connection with the server, connected.
    pub fn new(mut now: Instant, number: usize, purpose: Use) -> Self {
        let [mut server, mut peer] = [SERVER, client(number)].map(|address| {
            let mut rtc = Rtc::builder().set_rtp_mode(true).build(now);
            rtc.add_local_candidate(Candidate::host(address, "udp").expect("a candidate"));
            rtc
        });
        let by_client = purpose == Use::ToServer;
        let (offerer, answerer) = if by_client { (&mut peer, &mut server) } else { (&mut server, &mut peer) };
        let mut change = offerer.sdp_api();
        let mut mid = None;
        if purpose == Use::Data {
            change.add_channel("data".to_owned());
        } else {
            mid = Some(change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None));
        }
        let (offer, pending) = change.apply().expect("a change");
        // As texts, as between machines.
        let offer = SdpOffer::from_sdp_string(&offer.to_sdp_string()).expect("a sound offer");
        let answer = answerer.sdp_api().accept_offer(offer).expect("a sound offer");
        let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string()).expect("a sound answer");
        offerer.sdp_api().accept_answer(pending, answer).expect("a sound answer");
        let mut link = Self {
            server,
            peer,
            to_server: Vec::new(),
            to_peer: Vec::new(),
            server_due: now,
            peer_due: now,
            mid,
        };
        while !link.server.is_connected() || !link.peer.is_connected() {
            link.serve(now, None);
            link.peer(now);
            now += STEP;
        }
        link
    }

    /// Nothing but time goes by.
    pub fn idle(&mut self, from: Instant, time: Duration) {
        let mut now = from;
        while now < from + time {
            self.serve(now, None);
            self.peer(now);
            now += 10 * STEP;
        }
    }

    /// Gives back the memory of what carries the datagrams, which is no part of the sessions.
    pub fn forget_buffers(&mut self) {
        (self.to_server, self.to_peer) = (Vec::new(), Vec::new());
    }

    /// What happens at the server, but for what it forwards.
    pub fn serve(&mut self, now: Instant, mut packets: Option<&mut Vec<RtpPacket>>) {
        let Self { server, to_server, to_peer, server_due, .. } = self;
        if *server_due <= now {
            server.handle_input(Input::Timeout(now)).expect("a sound session");
            *server_due = drain(server, to_peer, packets.as_deref_mut());
        }
        if let Some(due) = give(now, to_server, server, to_peer, packets) {
            *server_due = due;
        }
    }

    /// What happens at the other end.
    pub fn peer(&mut self, now: Instant) {
        let Self { peer, to_server, to_peer, peer_due, .. } = self;
        if *peer_due <= now {
            peer.handle_input(Input::Timeout(now)).expect("a sound session");
            *peer_due = drain(peer, to_server, None);
        }
        if let Some(due) = give(now, to_peer, peer, to_server, None) {
            *peer_due = due;
        }
    }
}
