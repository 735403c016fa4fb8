//! The transceivers that receive, and which of them a packet is for (RFC 8843 §9.2).

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use crate::layer::{Mid, PayloadType, Rid, Ssrc, TrackKind};
use crate::rtp::ExtensionUris;
use crate::sdp::FeedbackKind;
use crate::session::transceiver::{RemoteSources, Transceiver, TransceiverId};

/// The transceivers that receive, found by what the packets of a new source say, however many there are.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: Vec<Route>,
    by_transceiver: FxHashMap<TransceiverId, usize>,
    /// In trees, because the peer chooses what the keys are.
    by_mid: BTreeMap<Mid, usize>,
    /// By the sources that the peer announced.
    by_source: BTreeMap<Ssrc, usize>,
    /// `None` where several have the payload type.
    by_payload_type: FxHashMap<PayloadType, Option<usize>>,
}

/// A transceiver that receives.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) transceiver: TransceiverId,
    pub(super) mid: Option<Mid>,
    /// The simulcast streams that the peer sends.
    pub(super) rids: BTreeSet<Rid>,
    formats: Vec<Format>,
    /// Header extensions that this library does not know.
    pub(super) uris: ExtensionUris,
    /// The sources of media by those of their retransmissions, as `a=ssrc-group:FID` has them.
    repaired: BTreeMap<Ssrc, Ssrc>,
}

/// What a payload type of a transceiver is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    payload_type: PayloadType,
    pub(super) clock_rate: u32,
    rtx: Option<PayloadType>,
    pub(super) nack: bool,
    pub(super) key_frames: Option<KeyFrameFeedback>,
}

/// How the peer is asked for a key frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFrameFeedback {
    /// RFC 4585 §6.3.1
    Pli,
    /// RFC 5104 §4.3.1, for peers that take nothing else.
    Fir,
}

impl Routes {
    pub(super) fn new(transceivers: &[Transceiver]) -> Self {
        let mut this = Self::default();
        for transceiver in transceivers.iter().filter(|transceiver| {
            let direction = transceiver.current_direction();
            !transceiver.is_ending() && direction.is_some_and(|direction| direction.receives())
        }) {
            this.add(Route::new(transceiver), &transceiver.negotiated.remote.ssrcs);
        }
        this
    }

    fn add(&mut self, route: Route, sources: &[Ssrc]) {
        let at = self.routes.len();
        self.by_transceiver.insert(route.transceiver, at);
        if let Some(mid) = route.mid {
            self.by_mid.entry(mid).or_insert(at);
        }
        for source in sources {
            self.by_source.entry(*source).or_insert(at);
        }
        for payload_type in route.payload_types() {
            let only = self.by_payload_type.entry(payload_type).or_insert(Some(at));
            *only = only.filter(|only| *only == at);
        }
        self.routes.push(route);
    }

    /// That of a transceiver.
    pub(super) fn of(&self, transceiver: TransceiverId) -> Option<&Route> {
        self.routes.get(*self.by_transceiver.get(&transceiver)?)
    }

    /// That of a source which was not seen before: by its MID, or else because the peer announced it, or because no
    /// other has the payload type.
    pub(super) fn find(&self, mid: Option<Mid>, source: Ssrc, payload_type: PayloadType) -> Option<&Route> {
        let at = match mid {
            Some(mid) => *self.by_mid.get(&mid)?,
            None => match self.by_source.get(&source) {
                Some(at) => *at,
                None => (*self.by_payload_type.get(&payload_type)?)?,
            },
        };
        self.routes.get(at)
    }
}

impl Route {
    fn new(transceiver: &Transceiver) -> Self {
        let is_video = transceiver.kind() == TrackKind::Video;
        let formats = transceiver
            .receive_codecs()
            .iter()
            .map(|negotiated| Format {
                payload_type: negotiated.payload_type,
                clock_rate: negotiated.codec.clock_rate,
                rtx: negotiated.rtx_payload_type(),
                nack: negotiated.codec.feedback.contains(&FeedbackKind::Nack),
                key_frames: KeyFrameFeedback::of(&negotiated.codec.feedback).filter(|_| is_video),
            })
            .collect();
        let remote: &RemoteSources = &transceiver.negotiated.remote;
        let mut repaired = BTreeMap::new();
        for (of, by) in remote.repairs() {
            repaired.entry(by).or_insert(of);
        }
        Self {
            transceiver: transceiver.id(),
            mid: transceiver.mid(),
            rids: remote.rids.iter().copied().collect(),
            formats,
            uris: transceiver.negotiated.receive_uris.clone(),
            repaired,
        }
    }

    pub(super) fn format(&self, payload_type: PayloadType) -> Option<&Format> {
        self.formats.iter().find(|format| format.payload_type == payload_type)
    }

    /// The payload type whose retransmissions have this one.
    pub(super) fn repaired_by(&self, rtx: PayloadType) -> Option<PayloadType> {
        self.formats.iter().find(|format| format.rtx == Some(rtx)).map(|format| format.payload_type)
    }

    /// The source that this one repairs, as far as the peer has announced it.
    pub(super) fn repaired_source(&self, rtx: Ssrc) -> Option<Ssrc> {
        self.repaired.get(&rtx).copied()
    }

    fn payload_types(&self) -> impl Iterator<Item = PayloadType> {
        self.formats.iter().flat_map(|format| [Some(format.payload_type), format.rtx]).flatten()
    }
}

impl KeyFrameFeedback {
    /// Both ask for the same, and PLI may be answered with less (RFC 5104 §3.5.1).
    fn of(negotiated: &[FeedbackKind]) -> Option<Self> {
        let takes = |kind: FeedbackKind| negotiated.contains(&kind);
        match (takes(FeedbackKind::NackPli), takes(FeedbackKind::CcmFir)) {
            (true, _) => Some(Self::Pli),
            (false, true) => Some(Self::Fir),
            (false, false) => None,
        }
    }
}
