use std::time::{Duration, Instant};

use bytes::Bytes;
use dcsctp::api::{DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketTime, StreamId};

use super::{Peer, STREAM};

/// The crate `dcsctp`, of the WebRTC project.
pub struct DcSctp {
    /// Its time zero.
    epoch: Instant,
    socket: Box<dyn DcSctpSocket>,
    connected: bool,
    received: Vec<Bytes>,
}

impl DcSctp {
    fn time(&self, now: Instant) -> SocketTime {
        SocketTime::zero() + now.saturating_duration_since(self.epoch)
    }
}

impl Peer for DcSctp {
    fn new(now: Instant, connects: bool) -> Self {
        let options =
            Options { max_retransmissions: Some(50), max_init_retransmits: Some(50), ..Options::default() };
        let mut socket = dcsctp::new_socket("peer", &options);
        if connects {
            socket.connect();
        }
        Self { epoch: now, socket, connected: false, received: Vec::new() }
    }

    fn handle(&mut self, now: Instant, packet: &[u8]) {
        self.socket.advance_time(self.time(now));
        self.socket.handle_input(packet);
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.socket.advance_time(self.time(now));
        let mut packets = Vec::new();
        while let Some(event) = self.socket.poll_event() {
            match event {
                SocketEvent::SendPacket(packet) => packets.push(packet),
                SocketEvent::OnConnected() => self.connected = true,
                _ => {}
            }
        }
        while let Some(message) = self.socket.get_next_message() {
            self.received.push(message.payload.into());
        }
        packets
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let next = self.socket.poll_timeout();
        let later: Duration = next - SocketTime::zero();
        self.epoch.checked_add(later)
    }

    fn send(&mut self, message: &Bytes, reliable: bool) {
        let options = SendOptions { max_retransmissions: (!reliable).then_some(0), ..SendOptions::default() };
        let message = Message::new(StreamId(STREAM), PpId(53), message.to_vec());
        self.socket.send(message, &options).unwrap();
    }

    fn is_connected(&self) -> bool {
        self.connected
    }

    fn received(&self) -> &[Bytes] {
        &self.received
    }
}
