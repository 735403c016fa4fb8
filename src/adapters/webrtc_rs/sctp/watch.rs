//! What the crate does not tell, read off the packets.

use rustc_hash::FxHashMap;

/// What a packet has brought about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    AbortedByPeer(String),
    ShutdownComplete,
    /// Our outgoing streams were reset, or not.
    OutgoingReset {
        streams: Vec<u16>,
        refused: bool,
    },
    /// The peer's were.
    IncomingReset(Vec<u16>),
}

/// Follows an association by its packets.
#[derive(Debug, Default)]
pub(super) struct Watch {
    ours: Option<Init>,
    theirs: Option<Init>,
    /// The last TSN of the peer that we acknowledged.
    acknowledged: Option<u32>,
    /// Reset requests that wait for their answer, by their sequence number.
    our_requests: FxHashMap<u32, Vec<u16>>,
    their_requests: FxHashMap<u32, Vec<u16>>,
}

/// The fixed part of INIT and INIT ACK (RFC 9260 §3.3.2).
#[derive(Clone, Copy, Debug)]
struct Init {
    tag: u32,
    outgoing: u16,
    incoming: u16,
    first_tsn: u32,
}

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const SHUTDOWN_COMPLETE: u8 = 14;
const RE_CONFIG: u8 = 130;
/// Outgoing SSN reset request and re-configuration response (RFC 6525 §4.1, §4.4).
const OUTGOING_RESET: u16 = 13;
const RESPONSE: u16 = 16;
/// RFC 6525 §4.4: the results that end a request without an error, and the one that does not end it.
const NOTHING_TO_DO: u32 = 0;
const PERFORMED: u32 = 1;
const IN_PROGRESS: u32 = 6;
/// Requests that are remembered at most.
const MAX_REQUESTS: usize = 64;

impl Watch {
    /// Whether the packet begins an association.
    pub(super) fn is_init(packet: &[u8]) -> bool {
        packet.get(12) == Some(&INIT) && has_right_checksum(packet)
    }

    /// The streams of both directions, outgoing first; `None` before the handshake.
    pub(super) fn streams(&self) -> Option<(u16, u16)> {
        let (ours, theirs) = (self.ours?, self.theirs?);
        Some((ours.outgoing.min(theirs.incoming), theirs.outgoing.min(ours.incoming)))
    }

    /// An ABORT that the peer takes for ours; `None` before it has told its tag.
    pub(super) fn abort(&self, local_port: u16, remote_port: u16) -> Option<Vec<u8>> {
        let mut packet = Vec::with_capacity(16);
        packet.extend(local_port.to_be_bytes());
        packet.extend(remote_port.to_be_bytes());
        packet.extend(self.theirs?.tag.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend([ABORT, 0, 0, 4]);
        set_checksum(&mut packet);
        Some(packet)
    }

    /// A packet of the peer.
    pub(super) fn inbound(&mut self, packet: &[u8]) -> Vec<Seen> {
        let mut seen = Vec::new();
        if !chunks(packet).any(|(kind, ..)| matters(kind)) || !has_right_checksum(packet) {
            return seen;
        }
        let tag = u32_at(packet, 4);
        // RFC 9260 §8.5.1: with the T bit the tag is the peer's own.
        let (our_tag, their_tag) = (self.ours.map(|init| init.tag), self.theirs.map(|init| init.tag));
        let is_for_us = |flags: u8| tag == if flags & 1 == 0 { our_tag } else { their_tag };
        let mut requests = Vec::new();
        for (kind, flags, body) in chunks(packet) {
            match kind {
                INIT | INIT_ACK if self.theirs.is_none() => self.theirs = init(body),
                ABORT if is_for_us(flags) => seen.push(Seen::AbortedByPeer(reason(body))),
                SHUTDOWN_COMPLETE if is_for_us(flags) => seen.push(Seen::ShutdownComplete),
                RE_CONFIG if is_for_us(0) => requests.extend(parameters(body)),
                _ => {}
            }
        }
        for (kind, body) in requests {
            match kind {
                OUTGOING_RESET => remember(&mut self.their_requests, body),
                RESPONSE => seen.extend(answered(&mut self.our_requests, body).map(|(streams, result)| {
                    Seen::OutgoingReset { streams, refused: !matches!(result, NOTHING_TO_DO | PERFORMED) }
                })),
                _ => {}
            }
        }
        seen
    }

    /// A packet of ours. In a SHUTDOWN the crate acknowledges its own data instead of the peer's (RFC 9260 §9.2),
    /// which is set right.
    pub(super) fn outbound(&mut self, packet: &mut [u8]) -> Vec<Seen> {
        let mut seen = Vec::new();
        let first = chunks(packet).next().map(|(kind, ..)| kind);
        let acknowledged = self.acknowledged.or(self.theirs.map(|init| init.first_tsn.wrapping_sub(1)));
        if let (Some(SHUTDOWN), Some(tsn), Some(field)) = (first, acknowledged, packet.get_mut(16..20)) {
            field.copy_from_slice(&tsn.to_be_bytes());
            set_checksum(packet);
        }
        let packet = &*packet;
        for (kind, _, body) in chunks(packet) {
            match kind {
                INIT | INIT_ACK if self.ours.is_none() => self.ours = init(body),
                SACK => self.acknowledged = u32_at(body, 0).or(self.acknowledged),
                SHUTDOWN_COMPLETE => seen.push(Seen::ShutdownComplete),
                RE_CONFIG => {
                    for (kind, body) in parameters(body) {
                        match kind {
                            OUTGOING_RESET => remember(&mut self.our_requests, body),
                            RESPONSE => seen.extend(
                                answered(&mut self.their_requests, body)
                                    .filter(|(_, result)| matches!(*result, NOTHING_TO_DO | PERFORMED))
                                    .map(|(streams, _)| Seen::IncomingReset(streams)),
                            ),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        seen
    }
}

fn matters(kind: u8) -> bool {
    matches!(kind, INIT | INIT_ACK | ABORT | SHUTDOWN_COMPLETE | RE_CONFIG)
}

fn has_right_checksum(packet: &[u8]) -> bool {
    let mut copy = packet.to_vec();
    let Some(field) = copy.get_mut(8..12) else { return false };
    field.fill(0);
    packet[8..12] == crc32c::crc32c(&copy).to_le_bytes()
}

fn set_checksum(packet: &mut [u8]) {
    if packet.len() >= 12 {
        packet[8..12].fill(0);
        let checksum = crc32c::crc32c(packet).to_le_bytes();
        packet[8..12].copy_from_slice(&checksum);
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// The type, flags and body of each chunk.
fn chunks(packet: &[u8]) -> impl Iterator<Item = (u8, u8, &[u8])> {
    let mut rest = packet.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, (kind, flags)) = (usize::from(u16_at(rest, 2)?), (rest[0], rest[1]));
        let body = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, flags, body))
    })
}

/// The type and body of each parameter.
fn parameters(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (kind, length) = (u16_at(rest, 0)?, usize::from(u16_at(rest, 2)?));
        let body = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, body))
    })
}

fn init(body: &[u8]) -> Option<Init> {
    Some(Init {
        tag: u32_at(body, 0)?,
        outgoing: u16_at(body, 8)?,
        incoming: u16_at(body, 10)?,
        first_tsn: u32_at(body, 12)?,
    })
}

/// The text of a user-initiated abort (RFC 9260 §3.3.10.12), where there is one.
fn reason(body: &[u8]) -> String {
    const USER_INITIATED: u16 = 12;
    let text = parameters(body).find(|(cause, _)| *cause == USER_INITIATED);
    text.map(|(_, text)| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

fn remember(requests: &mut FxHashMap<u32, Vec<u16>>, body: &[u8]) {
    let Some(number) = u32_at(body, 0) else { return };
    if requests.len() < MAX_REQUESTS {
        let streams = body.get(12..).unwrap_or_default().chunks_exact(2);
        requests.insert(number, streams.map(|id| u16::from_be_bytes([id[0], id[1]])).collect());
    }
}

fn answered(requests: &mut FxHashMap<u32, Vec<u16>>, body: &[u8]) -> impl Iterator<Item = (Vec<u16>, u32)> {
    let answer = u32_at(body, 0).zip(u32_at(body, 4)).filter(|(_, result)| *result != IN_PROGRESS);
    answer.and_then(|(number, result)| Some((requests.remove(&number)?, result))).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(tag: u32, chunk: &[u8]) -> Vec<u8> {
        let mut packet = [&[0, 1, 0, 2][..], &tag.to_be_bytes(), &[0; 4], chunk].concat();
        set_checksum(&mut packet);
        packet
    }

    fn init_of(tag: u32, outgoing: u16, incoming: u16) -> Vec<u8> {
        let numbers = [outgoing.to_be_bytes(), incoming.to_be_bytes()].concat();
        packet(0, &[&[INIT, 0, 0, 20][..], &tag.to_be_bytes(), &[0; 4], &numbers, &[0; 4]].concat())
    }

    fn watch() -> Watch {
        let mut watch = Watch::default();
        assert_eq!(watch.outbound(&mut init_of(7, 100, 200)), []);
        assert_eq!(watch.inbound(&init_of(9, 50, 1000)), []);
        watch
    }

    #[test]
    fn streams_are_the_smaller_of_both_wishes() {
        assert_eq!(watch().streams(), Some((100, 50)));
    }

    #[test]
    fn only_the_peer_aborts() {
        let aborted = [Seen::AbortedByPeer(String::new())];
        assert_eq!(watch().inbound(&packet(7, &[ABORT, 0, 0, 4])), aborted);
        assert_eq!(watch().inbound(&packet(9, &[ABORT, 1, 0, 4])), aborted);
        assert_eq!(watch().inbound(&packet(8, &[ABORT, 0, 0, 4])), []);
        let mut corrupt = packet(7, &[ABORT, 0, 0, 4]);
        corrupt[8] ^= 1;
        assert_eq!(watch().inbound(&corrupt), []);
        let bye = [ABORT, 0, 0, 11, 0, 12, 0, 7, b'b', b'y', b'e', 0];
        assert_eq!(watch().inbound(&packet(7, &bye)), [Seen::AbortedByPeer("bye".into())]);
    }

    #[test]
    fn a_reset_counts_when_it_is_answered() {
        let request =
            [&[RE_CONFIG, 0, 0, 22, 0, 13, 0, 18][..], &[0, 0, 0, 5], &[0; 8], &[0, 3, 0, 0]].concat();
        let answer = |result| {
            packet(7, &[&[RE_CONFIG, 0, 0, 16, 0, 16, 0, 12, 0, 0, 0, 5, 0, 0, 0][..], &[result]].concat())
        };
        let mut ours = watch();
        assert_eq!(ours.outbound(&mut packet(9, &request)), []);
        assert_eq!(ours.inbound(&answer(6)), [], "still in progress");
        assert_eq!(ours.inbound(&answer(1)), [Seen::OutgoingReset { streams: vec![3], refused: false }]);
        assert_eq!(ours.inbound(&answer(1)), [], "once");
        let mut theirs = watch();
        assert_eq!(theirs.inbound(&packet(7, &request)), []);
        assert_eq!(theirs.outbound(&mut answer(1)), [Seen::IncomingReset(vec![3])]);
    }

    #[test]
    fn a_shutdown_acknowledges_what_the_peer_sent() {
        let shutdown = |tsn: u8| packet(9, &[SHUTDOWN, 0, 0, 8, 0, 0, 0, tsn]);
        let mut watch = watch();
        let mut sent = shutdown(77);
        watch.outbound(&mut sent);
        assert_eq!(sent[16..], u32::MAX.to_be_bytes(), "the TSN before the first, 0");
        let sack = [&[SACK, 0, 0, 16, 0, 0, 0, 5][..], &[0; 8]].concat();
        watch.outbound(&mut packet(9, &sack));
        let mut sent = shutdown(77);
        watch.outbound(&mut sent);
        assert_eq!(sent, shutdown(5));
    }

    #[test]
    fn cut_packets_say_nothing() {
        let whole = init_of(9, 1, 1);
        for length in 0..whole.len() {
            assert_eq!(Watch::default().inbound(&whole[..length]), []);
            assert_eq!(Watch::default().outbound(&mut whole[..length].to_vec()), []);
        }
    }
}
