//! The configuration of an association.

use std::time::Duration;

use super::congestion::{CongestionControl, NewReno};
use super::sender::Message;

/// The parameters of an association. The defaults are for WebRTC over the Internet.
///
/// ```
/// use std::time::Duration;
///
/// use kaon_rtc::sctp::Config;
///
/// let mut config = Config::default();
/// config.max_receive_message = 1 << 20;
/// config.heartbeat_interval = Some(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The port on this side; 5000 by default, as WebRTC has it.
    pub local_port: u16,
    /// The port on the other side; 5000 by default.
    pub remote_port: u16,
    /// The largest SCTP packet in bytes, 508 at least. The default of 1191 leaves room in 1280 bytes for IPv6 (40), UDP (8),
    /// a TURN channel header (4) and a DTLS record (37). It counts whatever the batch given to `poll_transmit`
    /// says of its datagrams, because a chunk once sent is sent again at the same length.
    pub mtu: usize,
    /// The number of streams to ask for in each direction. 65535 by default, the most there are, and no more than a
    /// budget of [`max_receive_window`](Self::max_receive_window) has 64 bytes for. They cost nothing until used.
    pub streams: u16,
    /// The budget of the sending direction in bytes: what messages that wait to be sent or acknowledged count for.
    /// One counts for its bytes, a sixteenth of them and 160, which is what it takes to keep it. 4 MiB by default.
    pub send_buffer: usize,
    /// The receive window in bytes at the beginning; never below twice
    /// [`max_receive_message`](Self::max_receive_message). 1 MiB by default.
    pub initial_receive_window: usize,
    /// The budget of the receiving direction in bytes: what everything that is kept for the peer counts for, with
    /// its overhead. That is fragments, messages that nobody has read (each for its bytes and 128), those that
    /// the caller says it keeps ([`set_held`](crate::layer::SctpTransport::set_held)) and the tables of streams.
    /// A fast reader lets the receive window grow so far. 8 MiB by default.
    pub max_receive_window: usize,
    /// The largest message in bytes to send, unless the peer announces less. 256 KiB by default.
    pub max_send_message: usize,
    /// The largest message in bytes to take; a longer one ends the association. 256 KiB by default.
    pub max_receive_message: usize,
    /// The most holes in the sequence of received TSNs. What would make one more is not taken. 4096 by default.
    pub max_gaps: usize,
    /// The most chunks in flight. 32768 by default, which is the most there may be, because the 16-bit sequence
    /// numbers of a stream tell no more messages apart; 16 at least.
    pub max_outstanding_chunks: usize,
    /// The most events that wait for [`poll_event`](crate::layer::Layer::poll_event); a peer that resets
    /// streams has to wait while they are not fetched. 4096 by default.
    pub max_events: usize,
    /// How long a state cookie is valid (RFC 9260 §16, Valid.Cookie.Life). 60 s by default.
    pub cookie_life: Duration,
    /// The retransmission timeout before the first measurement. 500 ms by default, where RFC 9260 §16 has 1 s.
    pub rto_initial: Duration,
    /// The shortest retransmission timeout. 400 ms by default: above the peer's delay of acknowledgements, usually
    /// 200 ms.
    pub rto_min: Duration,
    /// The longest retransmission timeout. 10 s by default, an hour at most.
    pub rto_max: Duration,
    /// How long an acknowledgement may be delayed. 200 ms by default.
    pub sack_delay: Duration,
    /// How often an idle peer is probed; `None` for never. 30 s by default.
    pub heartbeat_interval: Option<Duration>,
    /// How often INIT and COOKIE ECHO are retransmitted. 8 times by default.
    pub max_init_retransmits: u32,
    /// How many timeouts in a row end the association (RFC 9260 §16, Association.Max.Retrans). 10 by default.
    pub max_retransmits: u32,
    /// How long a shutdown may take without a sign that the peer still has data to send (RFC 9260 §9.2,
    /// T5-shutdown-guard). 60 s by default.
    pub shutdown_guard: Duration,
    /// The most packets of new data sent at once (RFC 9260 §6.1, Max.Burst). 64 by default.
    pub max_burst: u32,
    /// Whether zero is a valid checksum, because DTLS protects the packets (RFC 9653). Only over DTLS; not by
    /// default.
    pub zero_checksum: bool,
    /// Makes the congestion controller; its argument is the packet size in bytes. [`NewReno`] by default.
    pub congestion_control: fn(usize) -> Box<dyn CongestionControl>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            local_port: 5000,
            remote_port: 5000,
            mtu: 1191,
            streams: u16::MAX,
            send_buffer: 4 << 20,
            initial_receive_window: 1 << 20,
            max_receive_window: 8 << 20,
            max_send_message: 256 << 10,
            max_receive_message: 256 << 10,
            max_gaps: 4096,
            max_outstanding_chunks: 32_768,
            max_events: 4096,
            cookie_life: Duration::from_secs(60),
            rto_initial: Duration::from_millis(500),
            rto_min: Duration::from_millis(400),
            rto_max: Duration::from_secs(10),
            sack_delay: Duration::from_millis(200),
            heartbeat_interval: Some(Duration::from_secs(30)),
            max_init_retransmits: 8,
            max_retransmits: 10,
            shutdown_guard: Duration::from_secs(60),
            max_burst: 64,
            zero_checksum: false,
            congestion_control: |mtu| Box::new(NewReno::new(mtu)),
        }
    }
}

impl Config {
    /// The smallest packet that the association works with.
    pub(crate) const MIN_MTU: usize = 508;

    /// The longest time that is waited for anything.
    const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

    /// The same parameters with those that cannot work moved to the nearest that can.
    pub(crate) fn sanitized(mut self) -> Self {
        self.mtu = self.mtu.clamp(Self::MIN_MTU, 65_532) & !3;
        self.streams = self.streams.max(1);
        self.max_receive_message = self.max_receive_message.clamp(1, 1 << 30);
        // What fills a hole may take a message more.
        self.initial_receive_window =
            self.initial_receive_window.clamp(2 * self.max_receive_message, 2 << 30);
        self.max_receive_window = self.max_receive_window.clamp(self.initial_receive_window, 2 << 30);
        self.streams =
            self.streams.min(u16::try_from(self.max_receive_window / 64).unwrap_or(u16::MAX)).max(1);
        self.max_send_message = self.max_send_message.clamp(1, 1 << 30);
        self.send_buffer = self.send_buffer.max(Message::charge(self.max_send_message)).min(1 << 40);
        self.max_outstanding_chunks = self.max_outstanding_chunks.clamp(16, 32_768);
        self.max_gaps = self.max_gaps.clamp(1, 65_000);
        self.max_burst = self.max_burst.max(1);
        self.rto_max = self.rto_max.clamp(Duration::from_millis(1), Duration::from_secs(3600));
        self.rto_min = self.rto_min.clamp(Duration::from_millis(1), self.rto_max);
        self.rto_initial = self.rto_initial.clamp(self.rto_min, self.rto_max);
        // A clock can be asked for a time so far ahead, not for any.
        self.sack_delay = self.sack_delay.min(Self::LONGEST);
        self.shutdown_guard = self.shutdown_guard.min(Self::LONGEST);
        self.heartbeat_interval = self.heartbeat_interval.map(|interval| interval.min(Self::LONGEST));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver tells the 16-bit sequence numbers of a stream apart only within half of them.
    #[test]
    fn no_more_is_in_flight_than_stream_sequence_numbers_can_tell_apart() {
        let config = Config { max_outstanding_chunks: 65_000, ..Config::default() }.sanitized();
        assert_eq!(config.max_outstanding_chunks, 32_768);
    }
}
