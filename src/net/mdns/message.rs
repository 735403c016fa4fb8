//! DNS messages of mDNS.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE,
};
use thiserror::Error;

use super::LocalName;

/// A DNS message, reduced to what it says of host names on the local link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Query { id: u16, questions: Vec<AddressQuestion> },
    Response { addresses: Vec<AddressRecord> },
}

/// A question for the address of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressQuestion {
    pub(super) name: LocalName,
    pub(super) kind: QuestionKind,
    /// Whether the answer is wanted by unicast (RFC 6762 §5.4).
    pub(super) unicast: bool,
}

/// Which addresses a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QuestionKind {
    V4,
    V6,
    Any,
}

impl QuestionKind {
    fn qtype(self) -> QTYPE {
        match self {
            Self::V4 => QTYPE::TYPE(TYPE::A),
            Self::V6 => QTYPE::TYPE(TYPE::AAAA),
            Self::Any => QTYPE::ANY,
        }
    }

    pub(super) fn matches(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
            Self::Any => true,
        }
    }
}

/// An A or AAAA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressRecord {
    pub(super) name: LocalName,
    pub(super) ip: IpAddr,
    /// For how many seconds it may be kept.
    pub(super) ttl: u32,
}

impl Message {
    /// The largest message, in bytes (RFC 6762 §17).
    pub(super) const MAX_LEN: usize = 9000;

    const HEADER: usize = 12;
    /// The shortest question: a name of one byte, type and class.
    const MIN_QUESTION: usize = 5;
    /// The shortest record: a name of one byte, type, class, TTL and length.
    const MIN_RECORD: usize = 11;

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > Self::MAX_LEN {
            return Err(MessageError::TooLong { length: bytes.len() });
        }
        Self::check_counts(bytes)?;
        let packet = Packet::parse(bytes).map_err(|_| MessageError::Malformed)?;
        // RFC 6762 §18.3, §18.11: other opcodes and response codes are ignored in silence.
        if packet.opcode() != OPCODE::StandardQuery || packet.rcode() != RCODE::NoError {
            return Err(MessageError::NotForUs);
        }
        if packet.has_flags(PacketFlag::RESPONSE) {
            let records = packet.answers.iter().chain(&packet.additional_records);
            Ok(Self::Response { addresses: records.filter_map(address_record).collect() })
        } else {
            let questions = packet.questions.iter().filter_map(address_question).collect();
            Ok(Self::Query { id: packet.id(), questions })
        }
    }

    /// Refuses a message that claims more entries than it has bytes for, before memory is set aside for them.
    fn check_counts(bytes: &[u8]) -> Result<(), MessageError> {
        let header = bytes.first_chunk::<{ Self::HEADER }>().ok_or(MessageError::Malformed)?;
        let count = |at: usize| usize::from(u16::from_be_bytes([header[at], header[at + 1]]));
        let records = count(6) + count(8) + count(10);
        let least = Self::HEADER + count(4) * Self::MIN_QUESTION + records * Self::MIN_RECORD;
        if least > bytes.len() { Err(MessageError::Malformed) } else { Ok(()) }
    }

    /// Appends a question for the address of `name` that asks for an answer by unicast, as part of a one-shot
    /// query (RFC 6762 §5.1, §5.4).
    pub(super) fn write_query(name: &LocalName, kind: QuestionKind, out: &mut Vec<u8>) {
        let text = name.to_string();
        // The identifier of a query by multicast is zero (§18.1).
        let mut packet = Packet::new_query(0);
        packet.questions.push(Question::new(
            Name::new_unchecked(&text),
            kind.qtype(),
            QCLASS::CLASS(CLASS::IN),
            true,
        ));
        write(&packet, out);
    }

    /// Appends a response with the address of `name`. To a querier that does not speak multicast DNS, it is
    /// an answer of plain DNS that repeats `legacy`, the identifier and the question (RFC 6762 §6.7).
    pub(super) fn write_response(
        name: &LocalName,
        ip: IpAddr,
        ttl: u32,
        legacy: Option<(u16, QuestionKind)>,
        out: &mut Vec<u8>,
    ) {
        let text = name.to_string();
        let mut packet = Packet::new_reply(legacy.map_or(0, |(id, _)| id));
        packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        if let Some((_, kind)) = legacy {
            let name = Name::new_unchecked(&text);
            packet.questions.push(Question::new(name, kind.qtype(), QCLASS::CLASS(CLASS::IN), false));
        }
        // The cache-flush bit would be an unknown class to plain DNS (§6.7).
        packet.answers.push(record(&text, ip, ttl).with_cache_flush(legacy.is_none()));
        write(&packet, out);
    }

    /// Appends an unsolicited response that has everyone forget the addresses of names (RFC 6762 §10.1).
    pub(super) fn write_goodbye(records: &[(LocalName, IpAddr)], out: &mut Vec<u8>) {
        let records: Vec<_> = records.iter().map(|(name, ip)| (name.to_string(), *ip)).collect();
        let mut packet = Packet::new_reply(0);
        packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        packet.answers.extend(records.iter().map(|(text, ip)| record(text, *ip, 0).with_cache_flush(true)));
        write(&packet, out);
    }
}

fn record(name: &str, ip: IpAddr, ttl: u32) -> ResourceRecord<'_> {
    let data = match ip {
        IpAddr::V4(ip) => RData::A(A::from(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA::from(ip)),
    };
    ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, ttl, data)
}

fn write(packet: &Packet<'_>, out: &mut Vec<u8>) {
    // Fails only for names that are too long, which a LocalName is not.
    if let Ok(bytes) = packet.build_bytes_vec_compressed() {
        out.extend_from_slice(&bytes);
    }
}

fn local_name(name: &Name<'_>) -> Option<LocalName> {
    let labels = name.get_labels();
    match labels {
        [label, local] => LocalName::from_labels(&[label.as_ref(), local.as_ref()]),
        _ => None,
    }
}

fn address_record(record: &ResourceRecord<'_>) -> Option<AddressRecord> {
    let ip = match &record.rdata {
        RData::A(A { address }) => Ipv4Addr::from(*address).into(),
        RData::AAAA(AAAA { address }) => Ipv6Addr::from(*address).into(),
        _ => return None,
    };
    let name = local_name(&record.name)?;
    (record.class == CLASS::IN).then_some(AddressRecord { name, ip, ttl: record.ttl })
}

fn address_question(question: &Question<'_>) -> Option<AddressQuestion> {
    let kind = match question.qtype {
        QTYPE::TYPE(TYPE::A) => QuestionKind::V4,
        QTYPE::TYPE(TYPE::AAAA) => QuestionKind::V6,
        QTYPE::ANY => QuestionKind::Any,
        _ => return None,
    };
    let name = local_name(&question.qname)?;
    matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY).then_some(AddressQuestion {
        name,
        kind,
        unicast: question.unicast_response,
    })
}

/// Why a message of multicast DNS was ignored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageError {
    /// The message is longer than multicast DNS allows (RFC 6762 §17).
    #[error("a message of {length} bytes; at most {} are allowed", Message::MAX_LEN)]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// The bytes are no DNS message.
    #[error("no well-formed DNS message")]
    Malformed,
    /// The message is of another kind than queries and answers, or not from where they come from.
    #[error("not a message for this host")]
    NotForUs,
}
