//! The tracks that the senders of a connection have.

use std::time::Instant;

use rustc_hash::FxHashMap;

use super::error::PeerConnectionError;
use super::track::{AttachmentId, Fed, Track};
use crate::layer::{PayloadType, SequenceNumber};
use crate::session::{OutgoingRtp, Session, SessionError, TrackKind, Transceiver, TransceiverId};

/// The track of each sender that has one.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    by_sender: FxHashMap<TransceiverId, Attachment>,
    /// So many were made.
    count: u64,
}

/// A track that a sender has.
#[derive(Debug)]
struct Attachment {
    id: AttachmentId,
    track: Track,
    /// What the track's codec is called here, by the negotiation of this generation.
    payload_type: Option<PayloadType>,
    generation: Option<u64>,
    /// How the track goes into the stream; `None` while it is not sent.
    course: Option<Course>,
    /// A key frame was asked for to begin with.
    has_begun: bool,
}

/// What the tracks have to be told of that a sender has changed between.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    pub(super) before: Option<(Track, AttachmentId)>,
    pub(super) after: Option<AttachmentId>,
}

/// The way from the numbers and timestamps of a track to those of a stream.
#[derive(Clone, Copy, Debug)]
struct Course {
    /// What is added to timestamps.
    timestamp: u32,
    /// `None` while the packets of the track have no numbers.
    numbers: Option<Numbers>,
}

/// The most that numbers leap: RFC 3550 §A.1 `MAX_DROPOUT`.
const MAX_LEAP: u16 = 3000;

#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// What is added to them.
    offset: u16,
    /// The newest of the track, and how far it is from the first that was sent.
    newest: SequenceNumber,
    distance: u32,
}

impl Attachments {
    /// The track of a sender.
    pub(super) fn track(&self, id: TransceiverId) -> Option<&Track> {
        Some(&self.by_sender.get(&id)?.track)
    }

    /// Gives a sender a track, or takes the one that it has away.
    ///
    /// The errors are those of W3C WebRTC §5.2 `replaceTrack`.
    pub(super) fn replace(
        &mut self,
        session: &Session,
        id: TransceiverId,
        track: Option<&Track>,
    ) -> Result<Replaced, PeerConnectionError> {
        let transceiver = session.transceiver(id).ok_or(SessionError::NoTransceiver(id))?;
        if let Some(track) = track
            && track.kind() != transceiver.kind()
        {
            return Err(PeerConnectionError::TrackKind { track: track.kind(), sender: transceiver.kind() });
        }
        if let Some(reason) = session.failure().filter(|reason| reason.is_final()) {
            return Err(reason.clone().into());
        }
        if transceiver.is_ending() {
            return Err(SessionError::NoTransceiver(id).into());
        }
        if let Some(track) = track
            && transceiver.may_send()
            && payload_type(transceiver, track).is_none()
        {
            return Err(PeerConnectionError::TrackCodec(track.codec().name.clone()));
        }
        if self.track(id) == track {
            return Ok(Replaced::default());
        }
        let before = self.remove(id);
        let after = track.map(|track| {
            self.count += 1;
            let at = AttachmentId { transceiver: id, count: self.count };
            self.by_sender.insert(id, Attachment::new(at, track));
            at
        });
        Ok(Replaced { before, after })
    }

    /// Takes the track of a sender away.
    pub(super) fn remove(&mut self, id: TransceiverId) -> Option<(Track, AttachmentId)> {
        self.by_sender.remove(&id).map(|attachment| (attachment.track, attachment.id))
    }

    pub(super) fn has(&self, attachment: AttachmentId) -> bool {
        self.by_sender.get(&attachment.transceiver).is_some_and(|ours| ours.id == attachment)
    }

    /// Sends a packet of a track.
    pub(super) fn feed(
        &mut self,
        session: &mut Session,
        now: Instant,
        to: AttachmentId,
        packet: &OutgoingRtp,
    ) -> Fed {
        match self.by_sender.get_mut(&to.transceiver).filter(|attachment| attachment.id == to) {
            Some(attachment) => attachment.feed(session, now, packet),
            None => Fed::Gone,
        }
    }

    /// Signalling or the state of the connection has changed: some senders may have ended, and others begin to send.
    pub(super) fn follow(&mut self, session: &Session) {
        self.by_sender.retain(|id, attachment| {
            let transceiver = session.transceiver(*id).filter(|transceiver| !transceiver.is_ending());
            if let Some(transceiver) = transceiver {
                attachment.follow(session, transceiver);
            }
            transceiver.is_some()
        });
    }

    /// A sender may begin at once.
    pub(super) fn begin(&mut self, session: &Session, id: TransceiverId) {
        if let (Some(attachment), Some(transceiver)) = (self.by_sender.get_mut(&id), session.transceiver(id))
        {
            attachment.follow(session, transceiver);
        }
    }
}

impl Attachment {
    fn new(id: AttachmentId, track: &Track) -> Self {
        let track = track.clone();
        Self { id, track, payload_type: None, generation: None, course: None, has_begun: false }
    }

    fn feed(&mut self, session: &mut Session, now: Instant, packet: &OutgoingRtp) -> Fed {
        let Some(payload_type) = self.payload_type(session).filter(|_| session.is_media_ready()) else {
            self.pause();
            return Fed::Refused;
        };
        let Some(packet) = self.place(session, now, packet, payload_type) else { return Fed::Refused };
        match session.send_rtp(now, self.id.transceiver, packet) {
            Ok(()) => {
                self.ask_to_begin();
                Fed::Taken
            }
            Err(SessionError::NotSending(_) | SessionError::NotNegotiated(_)) => {
                self.pause();
                Fed::Refused
            }
            Err(_) => Fed::Refused,
        }
    }

    /// The packet as it goes out here; `None` if it is older than the first, or nothing is sent.
    fn place(
        &mut self,
        session: &Session,
        now: Instant,
        packet: &OutgoingRtp,
        payload_type: PayloadType,
    ) -> Option<OutgoingRtp> {
        let own = packet.sequence_number;
        if own.is_some_and(|own| self.course.is_some_and(|course| course.is_left_by(own))) {
            self.course = None;
        }
        let is_begin = self.course.is_none();
        let is_numbered = self.course.is_some_and(|course| course.numbers.is_some());
        if is_begin || own.is_some() && !is_numbered {
            let clock_rate = self.track.codec().clock_rate;
            let (number, timestamp) = session.next_in_stream(now, self.id.transceiver, clock_rate)?;
            let course = self.course.get_or_insert_with(|| Course {
                timestamp: timestamp.map_or(0, |timestamp| timestamp.0.wrapping_sub(packet.timestamp.0)),
                numbers: None,
            });
            course.numbers = own.map(|own| Numbers::new(own, number));
        }
        let course = self.course.as_mut()?;
        let number = match own {
            Some(own) => Some(course.numbers.as_mut()?.number(own)?),
            None => {
                course.numbers = None;
                None
            }
        };
        let mut packet = packet.clone();
        packet.payload_type = payload_type;
        packet.timestamp = packet.timestamp.wrapping_add(course.timestamp);
        packet.sequence_number = number;
        Some(packet)
    }

    /// What is sent next, after what is missed now, goes on where the stream was.
    fn pause(&mut self) {
        self.course = None;
        self.has_begun = false;
    }

    fn payload_type(&mut self, session: &Session) -> Option<PayloadType> {
        let generation = Some(session.negotiation_generation());
        if self.generation != generation {
            self.generation = generation;
            let transceiver = session.transceiver(self.id.transceiver);
            self.payload_type = transceiver.and_then(|transceiver| payload_type(transceiver, &self.track));
        }
        self.payload_type
    }

    fn follow(&mut self, session: &Session, transceiver: &Transceiver) {
        if !transceiver.may_send() || self.payload_type(session).is_none() {
            self.pause();
        } else if session.is_media_ready() {
            self.ask_to_begin();
        }
    }

    fn ask_to_begin(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) && self.track.kind() == TrackKind::Video {
            self.track.ask_for_key_frame();
        }
    }
}

impl Course {
    /// Whether a number is so far away that the track must have begun anew.
    fn is_left_by(&self, own: SequenceNumber) -> bool {
        let is_far = |numbers: Numbers| own.distance_from(numbers.newest).unsigned_abs() > MAX_LEAP;
        self.numbers.is_some_and(is_far)
    }
}

impl Numbers {
    /// `first` of the track is `number` of the stream.
    fn new(first: SequenceNumber, number: SequenceNumber) -> Self {
        Self { offset: number.0.wrapping_sub(first.0), newest: first, distance: 0 }
    }

    /// The number of a packet; `None` if it is older than the first.
    fn number(&mut self, own: SequenceNumber) -> Option<SequenceNumber> {
        let ahead = own.distance_from(self.newest);
        if ahead > 0 {
            self.newest = own;
            self.distance = self.distance.saturating_add(u32::from(ahead.unsigned_abs()));
        } else if u32::from(ahead.unsigned_abs()) > self.distance {
            return None;
        }
        Some(own.wrapping_add(self.offset))
    }
}

/// What the codec of a track is called on a transceiver.
fn payload_type(transceiver: &Transceiver, track: &Track) -> Option<PayloadType> {
    let mut codecs = transceiver.send_codecs().iter();
    Some(codecs.find(|codec| codec.codec.is_compatible(track.codec()))?.payload_type)
}
