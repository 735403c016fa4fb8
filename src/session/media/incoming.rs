//! Streams that the peer sends, and how a packet finds its transceiver (RFC 8843 §9.2).

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::routes::{KeyFrameFeedback, Route, Routes};
use super::sources::Sources;
use crate::layer::{Ecn, HashKeys, NumberHash, PayloadType, Recency, Rid, SequenceNumber, Ssrc};
use crate::media::{NackConfig, NackGenerator, ReceiverStatistics, SequenceCheck};
use crate::rtcp::FirEntry;
use crate::rtp::{
    Extension, ExtensionMap, ExtensionUri, ExtensionUris, ExtensionValues, Packet, RawExtensions,
};
use crate::session::transceiver::{Transceiver, TransceiverId};

/// An RTP packet that arrived.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct IncomingRtp<'a> {
    /// The transceiver it is for.
    pub transceiver: TransceiverId,
    /// The simulcast stream, of a peer that sends several.
    pub rid: Option<Rid>,
    /// The packet, decrypted. One that was sent again in a stream of its own looks like the original.
    pub packet: Packet<'a>,
    /// Its header extensions.
    pub extensions: ExtensionValues,
    /// What elements that this library does not know stand for; `None` where nothing of the kind is negotiated.
    pub(super) uris: Option<&'a ExtensionUris>,
    /// When it arrived.
    pub arrival: Instant,
    /// The ECN mark that it arrived with, where the socket tells: [`Ecn::Ce`] says that a queue of the path is filling.
    pub ecn: Option<Ecn>,
}

impl<'a> IncomingRtp<'a> {
    /// The elements of header extensions that this library does not know, each with its URI: those negotiated of what
    /// [`MediaConfig`](crate::session::MediaConfig) names.
    pub fn raw_extensions(&self) -> impl Iterator<Item = (&'a ExtensionUri, Extension<'a>)> + use<'a> {
        let elements = self.uris.map(|uris| {
            let named = move |element: Extension<'a>| Some((uris.uri(element.id)?, element));
            self.packet.extensions().filter_map(named)
        });
        elements.into_iter().flatten()
    }

    /// The same as they are kept, or forwarded in [`OutgoingRtp`](crate::session::OutgoingRtp).
    pub fn to_raw_extensions(&self) -> RawExtensions {
        let read = |uris| RawExtensions::read(self.packet.extensions(), uris);
        self.uris.map(read).unwrap_or_default()
    }
}

/// All streams of the peer.
#[derive(Debug)]
pub(in crate::session) struct Incoming {
    routes: Routes,
    extensions: ExtensionMap,
    /// Some transceiver has extensions that this library does not know.
    has_uris: bool,
    /// By numbers that the peer chooses.
    streams: HashMap<Ssrc, IncomingStream, NumberHash>,
    /// Those of media, by transceiver.
    sources: Sources,
    recency: Recency<Ssrc, Instant>,
    max_streams: usize,
    round_trip_time: Option<Duration>,
    /// Sources that have ended, until SRTP has forgotten them.
    ended: Vec<Ssrc>,
    /// When a NACK is due for which stream, if ever: what it holds for itself.
    nacks: BTreeSet<(Instant, Ssrc)>,
    /// Streams of which a key frame is to be asked for.
    key_frames_wanted: Vec<Ssrc>,
    /// Of which a key frame is to be asked for as soon as they are seen, each once.
    wishes: FxHashMap<TransceiverId, Vec<Option<Rid>>>,
}

/// A request for a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFrameRequest {
    Pli(Ssrc),
    Fir(FirEntry),
}

#[derive(Debug)]
pub(in crate::session) enum IncomingStream {
    Media(Box<MediaStream>),
    /// Retransmissions of another.
    Repair {
        of: Ssrc,
        transceiver: TransceiverId,
        last_packet: Instant,
    },
}

/// A stream of media.
#[derive(Debug)]
pub(in crate::session) struct MediaStream {
    pub(in crate::session) transceiver: TransceiverId,
    pub(in crate::session) rid: Option<Rid>,
    pub(in crate::session) ssrc: Ssrc,
    pub(in crate::session) payload_type: PayloadType,
    pub(in crate::session) statistics: ReceiverStatistics,
    pub(in crate::session) counters: IncomingCounters,
    nack: Option<NackGenerator>,
    /// Under which it stands among those to send NACKs for.
    nack_due: Option<Instant>,
    /// It waits among those of which one is to be asked for.
    key_frame_wanted: bool,
    last_key_frame_request: Option<Instant>,
    /// The source of its retransmissions.
    repaired_by: Option<Ssrc>,
    /// The number of the next FIR: each asks for a key frame of its own, RFC 5104 §4.3.1.1.
    next_fir: u8,
}

/// What is counted of a stream besides packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) struct IncomingCounters {
    pub(in crate::session) header_bytes: u64,
    pub(in crate::session) retransmitted_packets: u64,
    pub(in crate::session) retransmitted_bytes: u64,
    pub(in crate::session) nacks: u64,
    pub(in crate::session) plis: u64,
    pub(in crate::session) firs: u64,
    pub(in crate::session) last_packet: Option<Instant>,
}

/// What a packet is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Routed {
    Media {
        transceiver: TransceiverId,
        rid: Option<Rid>,
    },
    /// A retransmission, to be unwrapped into a packet of this source and payload type.
    Repair {
        of: Ssrc,
        payload_type: PayloadType,
    },
}

/// A key frame is not asked for again within this time: the first one asked for is under way.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(500);

impl Incoming {
    pub(super) fn new(max_streams: usize, keys: HashKeys) -> Self {
        Self {
            routes: Routes::default(),
            extensions: ExtensionMap::new(),
            has_uris: false,
            streams: HashMap::with_hasher(keys.numbers()),
            sources: Sources::default(),
            recency: Recency::new(),
            max_streams,
            round_trip_time: None,
            ended: Vec::new(),
            nacks: BTreeSet::new(),
            key_frames_wanted: Vec::new(),
            wishes: FxHashMap::default(),
        }
    }

    /// Brings the routes to what was negotiated.
    pub(super) fn follow(&mut self, transceivers: &[Transceiver], extensions: ExtensionMap) {
        self.extensions = extensions;
        self.routes = Routes::new(transceivers);
        self.has_uris = transceivers.iter().any(|one| !one.negotiated.receive_uris.is_empty());
        let Self { routes, sources, nacks, ended, .. } = self;
        self.wishes.retain(|transceiver, _| routes.of(*transceiver).is_some());
        self.streams.retain(|ssrc, stream| {
            let goes_on = routes.of(stream.transceiver()).is_some();
            if !goes_on {
                ended.push(*ssrc);
                stream.leave(sources, nacks);
            }
            goes_on
        });
    }

    fn insert(&mut self, now: Instant, source: Ssrc, stream: IncomingStream) {
        self.make_room(now);
        if let IncomingStream::Media(media) = &stream {
            self.sources.insert(media.transceiver, media.rid, source);
        }
        self.streams.insert(source, stream);
        let streams = &self.streams;
        self.recency.insert(source, now, streams.len(), |source| {
            streams.get(source).map(|stream| stream.last_packet().unwrap_or(now))
        });
    }

    fn remove(&mut self, source: Ssrc) -> Option<IncomingStream> {
        let stream = self.streams.remove(&source)?;
        stream.leave(&mut self.sources, &mut self.nacks);
        Some(stream)
    }

    /// Sources that have ended since the last call.
    pub(super) fn take_ended(&mut self) -> impl Iterator<Item = Ssrc> {
        self.ended.drain(..)
    }

    pub(super) fn by_ssrc(&mut self, ssrc: Ssrc) -> Option<&mut MediaStream> {
        match self.streams.get_mut(&ssrc)? {
            IncomingStream::Media(stream) => Some(stream),
            IncomingStream::Repair { .. } => None,
        }
    }

    /// Finds out what a packet is, and learns of a stream that it is the first of. `None`: nobody's.
    pub(super) fn route(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        extensions: &ExtensionValues,
    ) -> Option<Routed> {
        let (ssrc, payload_type) = (packet.ssrc(), packet.payload_type());
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            let transceiver = stream.transceiver();
            let route = self.routes.of(transceiver)?;
            // RFC 8843 §9.2: a packet with another MID moves its source.
            let has_moved = extensions.mid.is_some_and(|mid| route.mid != Some(mid));
            if !has_moved {
                return match stream {
                    IncomingStream::Media(stream) if route.format(payload_type).is_some() => {
                        Some(Routed::Media { transceiver, rid: stream.rid })
                    }
                    IncomingStream::Media(_) => None,
                    IncomingStream::Repair { of, last_packet, .. } => {
                        *last_packet = now;
                        let payload_type = route.repaired_by(payload_type)?;
                        Some(Routed::Repair { of: *of, payload_type })
                    }
                };
            }
            self.remove(ssrc);
        }
        self.learn(now, packet, extensions)
    }

    /// A source that was not seen before.
    fn learn(&mut self, now: Instant, packet: &Packet<'_>, extensions: &ExtensionValues) -> Option<Routed> {
        let (ssrc, payload_type) = (packet.ssrc(), packet.payload_type());
        let route = self.routes.find(extensions.mid, ssrc, payload_type)?;
        let transceiver = route.transceiver;
        if let Some(repaired) = route.repaired_by(payload_type) {
            let of = self.find_repaired(route, ssrc, extensions)?;
            self.insert(now, ssrc, IncomingStream::Repair { of, transceiver, last_packet: now });
            if let Some(IncomingStream::Media(media)) = self.streams.get_mut(&of) {
                media.repaired_by = Some(ssrc);
            }
            return Some(Routed::Repair { of, payload_type: repaired });
        }
        let format = *route.format(payload_type)?;
        let rid = extensions.rid.filter(|rid| route.rids.contains(rid));
        // RFC 8852 §3.2: a new source with the RID of another takes its place.
        if let Some(replaced) = rid.and_then(|rid| self.sources.of_rid(transceiver, rid)) {
            self.end(replaced);
        }
        let stream = MediaStream {
            transceiver,
            rid,
            ssrc,
            payload_type,
            statistics: ReceiverStatistics::new(ssrc, format.clock_rate),
            counters: IncomingCounters::default(),
            nack: format.nack.then(|| NackGenerator::new(NackConfig::default())),
            nack_due: None,
            key_frame_wanted: false,
            last_key_frame_request: None,
            repaired_by: None,
            next_fir: 0,
        };
        self.insert(now, ssrc, IncomingStream::Media(Box::new(stream)));
        self.grant_wishes(transceiver, rid, ssrc);
        Some(Routed::Media { transceiver, rid })
    }

    /// Forgets a source that has ended (RFC 3550 §6.6), and the stream that repairs it.
    pub(super) fn end(&mut self, source: Ssrc) {
        let Some(stream) = self.remove(source) else { return };
        self.ended.push(source);
        if let IncomingStream::Media(stream) = stream
            && let Some(repair) = stream.repaired_by
            && self.remove(repair).is_some()
        {
            self.ended.push(repair);
        }
    }

    /// Makes room for a new source: the one that was silent longest has ended.
    fn make_room(&mut self, now: Instant) {
        while self.streams.len() >= self.max_streams.max(1) {
            let streams = &self.streams;
            let oldest = self
                .recency
                .take_oldest(|source| streams.get(source).map(|stream| stream.last_packet().unwrap_or(now)));
            let Some(oldest) = oldest else { return };
            self.end(oldest);
        }
    }

    /// The source that a stream of retransmissions repairs: by `a=ssrc-group`, by the repaired RID, or because
    /// there is one only.
    fn find_repaired(&self, route: &Route, ssrc: Ssrc, extensions: &ExtensionValues) -> Option<Ssrc> {
        if let Some(of) = route.repaired_source(ssrc) {
            return Some(of);
        }
        match extensions.repaired_rid {
            Some(repaired) => self.sources.of_rid(route.transceiver, repaired.0),
            None => only(self.sources.of(route.transceiver)),
        }
    }

    /// The negotiated header extensions, by id.
    pub(super) fn extensions(&self) -> &ExtensionMap {
        &self.extensions
    }

    /// What elements that this library does not know stand for in packets of a transceiver.
    pub(super) fn uris(&self, transceiver: TransceiverId) -> Option<&ExtensionUris> {
        if !self.has_uris {
            return None;
        }
        Some(&self.routes.of(transceiver)?.uris).filter(|uris| !uris.is_empty())
    }

    /// Counts a packet of media. `again`: it came in a stream of retransmissions.
    pub(super) fn received(&mut self, now: Instant, packet: &Packet<'_>, again: bool) {
        let Some(IncomingStream::Media(stream)) = self.streams.get_mut(&packet.ssrc()) else { return };
        let (number, payload_len) = (packet.sequence_number(), packet.payload().len());
        stream.payload_type = packet.payload_type();
        stream.counters.last_packet = Some(now);
        stream.counters.header_bytes += packet.header_len() as u64;
        if again {
            stream.counters.retransmitted_packets += 1;
            stream.counters.retransmitted_bytes += payload_len as u64;
        } else {
            let check = stream.statistics.received(now, number, packet.timestamp(), payload_len);
            if check == SequenceCheck::Restarted
                && let Some(nack) = &mut stream.nack
            {
                nack.reset();
            }
        }
        let Some(nack) = &mut stream.nack else { return };
        nack.received(now, number);
        let is_key_frame_needed = nack.take_key_frame_needed();
        stream.schedule_nack(&mut self.nacks);
        if is_key_frame_needed {
            let ssrc = stream.ssrc;
            self.want_key_frame(ssrc);
        }
    }

    /// Asks for a key frame of a stream.
    pub(super) fn want_key_frame(&mut self, ssrc: Ssrc) {
        if let Some(stream) = self.by_ssrc(ssrc)
            && !std::mem::replace(&mut stream.key_frame_wanted, true)
        {
            self.key_frames_wanted.push(ssrc);
        }
    }

    /// A new source is one that a key frame was to be asked for of.
    fn grant_wishes(&mut self, transceiver: TransceiverId, rid: Option<Rid>, source: Ssrc) {
        let Some(wishes) = self.wishes.get_mut(&transceiver) else { return };
        let before = wishes.len();
        wishes.retain(|wanted| wanted.is_some() && *wanted != rid);
        let is_granted = wishes.len() < before;
        if wishes.is_empty() {
            self.wishes.remove(&transceiver);
        }
        if is_granted {
            self.want_key_frame(source);
        }
    }

    /// Asks for a key frame of all streams of a transceiver, or of one, which need not have come yet.
    pub(super) fn want_key_frames_of(&mut self, transceiver: TransceiverId, rid: Option<Rid>) {
        let sources = self.sources(transceiver, rid);
        let Some(route) = self.routes.of(transceiver) else { return };
        let streams: Vec<Option<Rid>> = match rid {
            None if !route.rids.is_empty() => route.rids.iter().copied().map(Some).collect(),
            rid => vec![rid],
        };
        let unseen = streams.into_iter().filter(|rid| self.sources(transceiver, *rid).is_empty());
        let unseen: Vec<_> = unseen.collect();
        if !unseen.is_empty() {
            let wishes = self.wishes.entry(transceiver).or_default();
            wishes.extend(unseen);
            wishes.sort_unstable();
            wishes.dedup();
        }
        sources.into_iter().for_each(|source| self.want_key_frame(source));
    }

    /// The sources of a transceiver.
    pub(super) fn sources(&self, transceiver: TransceiverId, rid: Option<Rid>) -> Vec<Ssrc> {
        match rid {
            Some(rid) => self.sources.of_rid(transceiver, rid).into_iter().collect(),
            None => self.sources.of(transceiver).collect(),
        }
    }

    /// The next request for a key frame, in the form that the peer takes for what it sends now.
    pub(super) fn take_key_frame_wanted(&mut self, now: Instant) -> Option<KeyFrameRequest> {
        while let Some(ssrc) = self.key_frames_wanted.pop() {
            let Some(IncomingStream::Media(stream)) = self.streams.get_mut(&ssrc) else { continue };
            stream.key_frame_wanted = false;
            let last = stream.last_key_frame_request;
            if last.is_some_and(|last| now.saturating_duration_since(last) < KEY_FRAME_INTERVAL) {
                continue;
            }
            let format =
                self.routes.of(stream.transceiver).and_then(|route| route.format(stream.payload_type));
            let Some(feedback) = format.and_then(|format| format.key_frames) else { continue };
            stream.last_key_frame_request = Some(now);
            return Some(match feedback {
                KeyFrameFeedback::Pli => {
                    stream.counters.plis += 1;
                    KeyFrameRequest::Pli(ssrc)
                }
                KeyFrameFeedback::Fir => {
                    stream.counters.firs += 1;
                    let sequence_number = stream.next_fir;
                    stream.next_fir = sequence_number.wrapping_add(1);
                    KeyFrameRequest::Fir(FirEntry { ssrc, sequence_number })
                }
            });
        }
        None
    }

    pub(super) fn wants_key_frames(&self) -> bool {
        !self.key_frames_wanted.is_empty()
    }

    /// When a NACK may be due.
    pub(super) fn next_nack(&self) -> Option<Instant> {
        self.nacks.first().map(|(due, _)| *due)
    }

    /// Hands out the source and the missing packets of each stream of which they are to be asked for now.
    pub(super) fn poll_nacks(
        &mut self,
        now: Instant,
        mut nack: impl FnMut(Ssrc, &[crate::rtcp::NackEntry]) -> bool,
    ) {
        let mut entries = [crate::rtcp::NackEntry { first: SequenceNumber(0), following: 0 }; 32];
        let later = self.nacks.split_off(&(now + Duration::from_nanos(1), Ssrc(0)));
        for (_, ssrc) in std::mem::replace(&mut self.nacks, later) {
            let Some(IncomingStream::Media(stream)) = self.streams.get_mut(&ssrc) else { continue };
            stream.nack_due = None;
            let Some(generator) = &mut stream.nack else { continue };
            self.round_trip_time.into_iter().for_each(|time| generator.set_round_trip_time(time));
            let count = generator.poll_nack(now, &mut entries);
            if count > 0 && nack(stream.ssrc, &entries[..count]) {
                stream.counters.nacks += 1;
            }
            stream.schedule_nack(&mut self.nacks);
        }
    }

    /// Counts from the next NACK of each stream on.
    pub(super) fn set_round_trip_time(&mut self, round_trip_time: Duration) {
        self.round_trip_time = Some(round_trip_time);
    }

    pub(super) fn media_mut(&mut self) -> impl Iterator<Item = &mut MediaStream> {
        self.streams.values_mut().filter_map(|stream| match stream {
            IncomingStream::Media(stream) => Some(&mut **stream),
            IncomingStream::Repair { .. } => None,
        })
    }

    pub(in crate::session) fn media(&self) -> impl Iterator<Item = &MediaStream> {
        self.streams.values().filter_map(IncomingStream::as_media)
    }
}

impl MediaStream {
    /// Its place among the NACKs that are due follows its generator's.
    fn schedule_nack(&mut self, nacks: &mut BTreeSet<(Instant, Ssrc)>) {
        let due = self.nack.as_ref().and_then(NackGenerator::poll_timeout);
        if due == self.nack_due {
            return;
        }
        if let Some(before) = self.nack_due {
            nacks.remove(&(before, self.ssrc));
        }
        nacks.extend(due.map(|due| (due, self.ssrc)));
        self.nack_due = due;
    }
}

impl IncomingStream {
    fn transceiver(&self) -> TransceiverId {
        match self {
            Self::Media(stream) => stream.transceiver,
            Self::Repair { transceiver, .. } => *transceiver,
        }
    }

    fn last_packet(&self) -> Option<Instant> {
        match self {
            Self::Media(stream) => stream.counters.last_packet,
            Self::Repair { last_packet, .. } => Some(*last_packet),
        }
    }

    /// What the indices know of it goes.
    fn leave(&self, sources: &mut Sources, nacks: &mut BTreeSet<(Instant, Ssrc)>) {
        if let Self::Media(stream) = self {
            sources.remove(stream.transceiver, stream.rid, stream.ssrc);
            if let Some(due) = stream.nack_due {
                nacks.remove(&(due, stream.ssrc));
            }
        }
    }

    fn as_media(&self) -> Option<&MediaStream> {
        match self {
            Self::Media(stream) => Some(stream),
            Self::Repair { .. } => None,
        }
    }
}

/// The element, if there is exactly one.
fn only<T>(mut elements: impl Iterator<Item = T>) -> Option<T> {
    let first = elements.next()?;
    elements.next().is_none().then_some(first)
}
