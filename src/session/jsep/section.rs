//! Media sections of descriptions of this side.

use super::terms::{DATA_FORMAT, SectionTerms};
use crate::layer::{Fingerprint, IceCredentials, Mid, Rid, Ssrc, TrackKind};
use crate::sdp::{
    Attribute, Connection, Direction, ExtMap, Fmtp, FormatParameters, Line, MediaDescription, MediaKind,
    Msid, RidAttribute, RidDirection, Rtcp, RtcpFeedback, RtpMap, Setup, Simulcast, SimulcastRid,
    SimulcastStreams, SsrcAttribute, SsrcGroup,
};
use crate::session::codec::{NegotiatedCodec, Repairs};
use crate::session::transceiver::{EncodingIdentity, SenderIdentity};

/// What stands in every section of this side.
#[derive(Debug)]
pub(super) struct LocalTransport<'a> {
    pub(super) credentials: &'a IceCredentials,
    pub(super) fingerprints: &'a [Fingerprint],
    pub(super) setup: Setup,
    pub(super) cname: &'a str,
    /// Whether pairs may be nominated anew.
    pub(super) renomination: bool,
}

/// What a section for media says.
#[derive(Debug)]
pub(super) struct MediaSection<'a> {
    pub(super) mid: Mid,
    pub(super) kind: TrackKind,
    pub(super) direction: Direction,
    pub(super) codecs: &'a [NegotiatedCodec],
    pub(super) extensions: &'a [LocalExtension],
    pub(super) sender: &'a SenderIdentity,
    /// The sender was known to the peer before.
    pub(super) has_sent: bool,
    /// Simulcast streams of the peer that this side takes.
    pub(super) receive_rids: &'a [Rid],
    /// What else it may say.
    pub(super) terms: &'a SectionTerms,
}

/// A header extension as this side describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalExtension {
    pub(super) id: u8,
    pub(super) uri: String,
    pub(super) direction: Option<Direction>,
}

impl MediaSection<'_> {
    pub(super) fn describe(&self, transport: &LocalTransport<'_>) -> MediaDescription {
        let kind = match self.kind {
            TrackKind::Audio => MediaKind::Audio,
            TrackKind::Video => MediaKind::Video,
        };
        let formats = self
            .codecs
            .iter()
            .flat_map(|codec| std::iter::once(codec.payload_type).chain(codec.repairs.payload_types()))
            .map(|payload_type| payload_type.to_string())
            .collect();
        let terms = self.terms;
        let mut media = open_section(kind, &terms.protocol, formats);
        if terms.rtcp {
            let rtcp = Rtcp { port: 9, connection: Some(Connection::unspecified()) };
            media.push(Attribute::Rtcp(Box::new(rtcp)));
        }
        push_transport(&mut media, terms.mid.then_some(self.mid), transport);
        for LocalExtension { id, uri, direction } in self.extensions {
            let direction = *direction;
            let map = ExtMap { id: u16::from(*id), direction, uri: uri.clone(), attributes: String::new() };
            media.push(Attribute::ExtMap(Box::new(map)));
        }
        if terms.mixed_extensions {
            media.push(Attribute::ExtMapAllowMixed);
        }
        media.push(Attribute::Direction(self.direction));
        // What was said of a sender stays as it is while it does not send, and one that never did is not named:
        // libwebrtc M128 takes each source without an msid for a track, and refuses a section with two of them;
        // Chromium forgets a source that is not named any more, and shows nothing of it when it is named again.
        let names_sender = self.direction.sends() || self.has_sent;
        if names_sender {
            self.msids().for_each(|msid| media.push(Attribute::Msid(Box::new(msid))));
        }
        if terms.rtcp_mux {
            media.push(Attribute::RtcpMux);
        }
        if terms.reduced_size {
            media.push(Attribute::RtcpReducedSize);
        }
        for codec in self.codecs {
            push_codec(&mut media, codec);
        }
        if !self.receive_rids.is_empty() {
            self.push_simulcast(&mut media);
        }
        if names_sender {
            self.push_sources(&mut media, transport.cname);
        }
        media
    }

    fn msids(&self) -> impl Iterator<Item = Msid> {
        let track = &self.sender.track_id;
        // RFC 8830 §2: a track of no stream has the stream "-".
        let none = self.sender.streams.is_empty().then(|| "-".to_owned());
        self.sender
            .streams
            .iter()
            .cloned()
            .chain(none)
            .map(|stream| Msid { stream, track: Some(track.clone()) })
    }

    fn push_simulcast(&self, media: &mut MediaDescription) {
        for id in self.receive_rids {
            let (direction, restrictions) = (RidDirection::Recv, Vec::new());
            media.push(Attribute::Rid(Box::new(RidAttribute { id: *id, direction, restrictions })));
        }
        let streams =
            self.receive_rids.iter().map(|rid| vec![SimulcastRid { rid: *rid, paused: false }]).collect();
        let list = SimulcastStreams { direction: RidDirection::Recv, streams };
        media.push(Attribute::Simulcast(Box::new(Simulcast { lists: vec![list] })));
    }

    /// Names the sources, for peers that go by SSRC and to pair a stream with its retransmissions.
    fn push_sources(&self, media: &mut MediaDescription, cname: &str) {
        let retransmits = self.codecs.iter().any(|codec| codec.repairs.rtx.is_some());
        let EncodingIdentity { ssrc, rtx_ssrc, .. } = &self.sender.encoding;
        let sources: &[Ssrc] = if retransmits { &[*ssrc, *rtx_ssrc] } else { &[*ssrc] };
        if retransmits {
            let group = SsrcGroup { semantics: "FID".to_owned(), sources: sources.to_vec() };
            media.push(Attribute::SsrcGroup(Box::new(group)));
        }
        for ssrc in sources {
            let mut push = |name: &str, value: String| {
                let attribute = SsrcAttribute { ssrc: *ssrc, name: name.to_owned(), value: Some(value) };
                media.push(Attribute::Ssrc(Box::new(attribute)));
            };
            push("cname", cname.to_owned());
            if let Some(msid) = self.msids().next() {
                push("msid", msid.to_string());
            }
        }
    }
}

/// A section for data channels, RFC 8841.
pub(super) fn data_section(
    mid: Mid,
    port: u16,
    max_message_size: usize,
    terms: &SectionTerms,
    transport: &LocalTransport<'_>,
) -> MediaDescription {
    let format = if terms.sctp_map { port.to_string() } else { DATA_FORMAT.to_owned() };
    let mut media = open_section(MediaKind::Application, &terms.protocol, vec![format]);
    push_transport(&mut media, terms.mid.then_some(mid), transport);
    if terms.sctp_map {
        // The drafts before RFC 8841: the port, the protocol, and how many streams. Peers of that time take it as
        // it stands and read no number.
        media.push(Attribute::other("sctpmap", Some(&format!("{port} {DATA_FORMAT} 1024"))));
    } else {
        media.push(Attribute::SctpPort(port));
        media.push(Attribute::MaxMessageSize(max_message_size as u64));
    }
    media
}

/// A section that is rejected or has ended: port 0, RFC 8829 §5.3.1.
pub(super) fn rejected_section(
    kind: MediaKind,
    protocol: &str,
    mut formats: Vec<String>,
    mid: Option<Mid>,
) -> MediaDescription {
    if formats.is_empty() {
        // RFC 8866 §5.14 wants one.
        formats.push("0".to_owned());
    }
    let mut media = open_section(kind, protocol, formats);
    media.port = 0;
    if let Some(mid) = mid {
        media.push(Attribute::Mid(mid));
    }
    media.push(Attribute::Direction(Direction::Inactive));
    media
}

fn open_section(kind: MediaKind, protocol: &str, formats: Vec<String>) -> MediaDescription {
    MediaDescription {
        kind,
        // RFC 8829 §5.2.1: 9 stands for an address that candidates will tell.
        port: 9,
        port_count: None,
        protocol: protocol.to_owned(),
        formats,
        lines: vec![Line::Connection(Box::new(Connection::unspecified()))],
    }
}

fn push_transport(media: &mut MediaDescription, mid: Option<Mid>, transport: &LocalTransport<'_>) {
    media.push(Attribute::IceUfrag(transport.credentials.ufrag().to_owned()));
    media.push(Attribute::IcePwd(transport.credentials.password().to_owned()));
    let renomination = transport.renomination.then(|| "renomination".to_owned());
    media.push(Attribute::IceOptions(std::iter::once("trickle".to_owned()).chain(renomination).collect()));
    for fingerprint in transport.fingerprints {
        media.push(Attribute::Fingerprint(Box::new(fingerprint.clone())));
    }
    media.push(Attribute::Setup(transport.setup));
    if let Some(mid) = mid {
        media.push(Attribute::Mid(mid));
    }
}

fn push_codec(media: &mut MediaDescription, negotiated: &NegotiatedCodec) {
    let NegotiatedCodec { codec, payload_type, repairs: Repairs { rtx } } = negotiated;
    let payload_type = *payload_type;
    media.push(Attribute::RtpMap(RtpMap {
        payload_type,
        encoding: codec.name.clone(),
        clock_rate: codec.clock_rate,
        channels: codec.channels,
    }));
    for kind in &codec.feedback {
        let feedback = RtcpFeedback { payload_type: Some(payload_type), kind: kind.clone() };
        media.push(Attribute::RtcpFeedback(feedback));
    }
    if !codec.parameters.as_str().is_empty() {
        media.push(Attribute::Fmtp(Fmtp { payload_type, parameters: codec.parameters.clone() }));
    }
    if let Some(rtx) = *rtx {
        media.push(Attribute::RtpMap(RtpMap {
            payload_type: rtx,
            encoding: "rtx".to_owned(),
            clock_rate: codec.clock_rate,
            channels: None,
        }));
        let parameters = FormatParameters::new(format!("apt={payload_type}"));
        media.push(Attribute::Fmtp(Fmtp { payload_type: rtx, parameters }));
    }
}
