//! RTCP that the application reads itself: what feedback says, and datagrams as they are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::sending::{EncodingId, Sender};
use crate::layer::Ssrc;
use crate::media::{PacketResult, RemoteReception};
use crate::rtcp::{Packet, ReportBlock, packets};
use crate::session::config::RtcpConfig;
use crate::session::transceiver::TransceiverId;

/// What the peer's RTCP says of what this side sends: for those who bring an estimator of the bandwidth.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum RtcpFeedback {
    /// Transport-wide feedback, once for each packet: it has arrived or is lost. One that is told to be lost may be told
    /// to have arrived later.
    #[non_exhaustive]
    Transport {
        /// When the feedback came.
        at: Instant,
        /// Each packet that was not told of before, in the order of the transport-wide sequence numbers. Sizes are those
        /// of UDP payloads.
        results: Vec<PacketResult>,
        /// The time since the newest packet that has arrived was sent: the round-trip time and what the peer let pass
        /// until it reported. `None` if no packet has arrived.
        round_trip_time: Option<Duration>,
    },
    /// A report block, in a sender or a receiver report (RFC 3550 §6.4).
    #[non_exhaustive]
    Reception {
        /// The transceiver that sends the stream.
        transceiver: TransceiverId,
        /// The SSRC of the stream.
        ssrc: Ssrc,
        /// How the peer receives it, by this report and those before.
        reception: RemoteReception,
    },
}

/// A datagram of RTCP, compound as it may be, authenticated and decrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RtcpDatagram {
    /// When it came.
    pub at: Instant,
    /// Its packets; [`rtcp::packets`](crate::rtcp::packets) reads them.
    pub bytes: Bytes,
}

/// What was not read in time, and is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedRtcp {
    /// Results and report blocks, of [`Session::receive_feedback`](crate::session::Session::receive_feedback).
    pub feedback: u64,
    /// Datagrams, of [`Session::receive_rtcp`](crate::session::Session::receive_rtcp).
    pub datagrams: u64,
}

/// What waits to be read, within limits.
#[derive(Debug)]
pub(in crate::session) struct UnreadRtcp {
    config: RtcpConfig,
    feedback: VecDeque<RtcpFeedback>,
    /// Results and blocks that wait.
    results: usize,
    datagrams: VecDeque<RtcpDatagram>,
    /// Bytes of datagrams that wait, each with its overhead.
    datagram_bytes: usize,
    dropped: DroppedRtcp,
    /// Something has come since it was asked.
    #[cfg(feature = "peer-connection")]
    is_news: bool,
}

/// What a datagram takes beside its bytes.
const DATAGRAM_OVERHEAD: usize = 64;

impl UnreadRtcp {
    pub(super) fn new(config: RtcpConfig) -> Self {
        Self {
            config,
            feedback: VecDeque::new(),
            results: 0,
            datagrams: VecDeque::new(),
            datagram_bytes: 0,
            dropped: DroppedRtcp::default(),
            #[cfg(feature = "peer-connection")]
            is_news: false,
        }
    }

    /// Takes a datagram that came, after the statistics of what it reports on were brought up to date.
    pub(super) fn received(&mut self, now: Instant, datagram: &[u8], outgoing: &mut Sender) {
        if self.config.max_unread_bytes > 0 {
            self.keep_datagram(now, datagram);
        }
        if outgoing.history().is_none() {
            return;
        }
        for packet in packets(datagram).flatten() {
            match packet {
                Packet::SenderReport(report) => self.keep_blocks(report.blocks.iter(), outgoing),
                Packet::ReceiverReport(report) => self.keep_blocks(report.blocks.iter(), outgoing),
                Packet::TransportFeedback(feedback) => {
                    let Some(history) = outgoing.history() else { continue };
                    let mut results = Vec::new();
                    let summary = history.on_feedback(now, &feedback, |result| results.push(result));
                    let round_trip_time = summary.round_trip_time;
                    if !results.is_empty() {
                        // It may wait for long.
                        results.shrink_to_fit();
                        self.keep_feedback(RtcpFeedback::Transport { at: now, results, round_trip_time });
                    }
                }
                _ => {}
            }
        }
    }

    fn keep_blocks(&mut self, blocks: impl Iterator<Item = ReportBlock>, outgoing: &mut Sender) {
        for block in blocks {
            let Some((EncodingId { transceiver, .. }, stream)) = outgoing.by_ssrc(block.ssrc) else {
                continue;
            };
            let reception = stream.statistics.as_ref().and_then(|statistics| statistics.remote());
            if let Some(reception) = reception.copied() {
                self.keep_feedback(RtcpFeedback::Reception { transceiver, ssrc: block.ssrc, reception });
            }
        }
    }

    fn keep_feedback(&mut self, feedback: RtcpFeedback) {
        self.note_news();
        let weight = weight(&feedback);
        let limit = self.config.max_unread_feedback;
        while self.results + weight > limit
            && let Some(oldest) = self.pop_feedback()
        {
            self.dropped.feedback += self::weight(&oldest) as u64;
        }
        if weight > limit {
            self.dropped.feedback += weight as u64;
            return;
        }
        self.results += weight;
        self.feedback.push_back(feedback);
    }

    fn keep_datagram(&mut self, at: Instant, datagram: &[u8]) {
        self.note_news();
        let charge = datagram.len() + DATAGRAM_OVERHEAD;
        let limit = self.config.max_unread_bytes;
        while self.datagram_bytes + charge > limit && self.pop_datagram().is_some() {
            self.dropped.datagrams += 1;
        }
        if charge > limit {
            self.dropped.datagrams += 1;
            return;
        }
        self.datagram_bytes += charge;
        self.datagrams.push_back(RtcpDatagram { at, bytes: Bytes::copy_from_slice(datagram) });
    }

    pub(in crate::session) fn pop_feedback(&mut self) -> Option<RtcpFeedback> {
        let feedback = self.feedback.pop_front()?;
        self.results -= weight(&feedback);
        give_back(&mut self.feedback);
        Some(feedback)
    }

    pub(in crate::session) fn pop_datagram(&mut self) -> Option<RtcpDatagram> {
        let datagram = self.datagrams.pop_front()?;
        self.datagram_bytes -= datagram.bytes.len() + DATAGRAM_OVERHEAD;
        give_back(&mut self.datagrams);
        Some(datagram)
    }

    fn note_news(&mut self) {
        #[cfg(feature = "peer-connection")]
        {
            self.is_news = true;
        }
    }

    /// Whether something has come since the last call, to be read by whoever reads that.
    #[cfg(feature = "peer-connection")]
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    pub(super) fn dropped(&self) -> DroppedRtcp {
        self.dropped
    }
}

/// Gives the memory of a long queue back once it is empty.
fn give_back<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > SMALL {
        *queue = VecDeque::new();
    }
}

/// A queue with room for so few is not worth being given back.
const SMALL: usize = 64;

/// What an entry counts for.
fn weight(feedback: &RtcpFeedback) -> usize {
    match feedback {
        RtcpFeedback::Transport { results, .. } => results.len(),
        RtcpFeedback::Reception { .. } => 1,
    }
}
