use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_proto::{
    AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, ServerConfig,
};

use super::{Peer, STREAM, address};

/// The crate `sctp-proto`.
pub struct SctpProto {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, sctp_proto::Association)>,
    connected: bool,
    received: Vec<Bytes>,
}

impl Peer for SctpProto {
    fn new(_now: Instant, connects: bool) -> Self {
        let config = Arc::new(EndpointConfig::default());
        let server = (!connects).then(|| Arc::new(ServerConfig::new()));
        let mut endpoint = Endpoint::new(config, server);
        let association = connects.then(|| endpoint.connect(ClientConfig::new(), address()).unwrap());
        Self { endpoint, association, connected: false, received: Vec::new() }
    }

    fn handle(&mut self, now: Instant, packet: &[u8]) {
        match self.endpoint.handle(now, address(), None, None, Bytes::copy_from_slice(packet)) {
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            None => {}
        }
    }

    fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        let mut take = |payload| {
            if let Payload::RawEncode(contents) = payload {
                packets.extend(contents.iter().map(|packet| packet.to_vec()));
            }
        };
        while let Some(transmit) = self.endpoint.poll_transmit() {
            take(transmit.payload);
        }
        let Some((handle, association)) = &mut self.association else { return packets };
        if association.poll_timeout().is_some_and(|timeout| timeout <= now) {
            association.handle_timeout(now);
        }
        while let Some(event) = association.poll() {
            self.connected |= matches!(event, Event::Connected);
        }
        while association.accept_stream().is_some() {}
        if let Ok(mut stream) = association.stream(STREAM) {
            while let Ok(Some(chunks)) = stream.read_sctp() {
                let mut payload = vec![0; chunks.len()];
                chunks.read(&mut payload).unwrap();
                self.received.push(payload.into());
            }
        }
        while let Some(event) = association.poll_endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                association.handle_event(event);
            }
        }
        while let Some(transmit) = association.poll_transmit(now) {
            take(transmit.payload);
        }
        packets
    }

    fn send(&mut self, message: &Bytes, reliable: bool) {
        let (_, association) = self.association.as_mut().unwrap();
        if association.stream(STREAM).is_err() {
            association.open_stream(STREAM, PayloadProtocolIdentifier::Binary).unwrap();
        }
        let mut stream = association.stream(STREAM).unwrap();
        let kind = if reliable { ReliabilityType::Reliable } else { ReliabilityType::Rexmit };
        stream.set_reliability_params(false, kind, 0).unwrap();
        stream.write_sctp(message, PayloadProtocolIdentifier::Binary).unwrap();
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.association.as_ref().and_then(|(_, association)| association.poll_timeout())
    }

    fn is_connected(&self) -> bool {
        self.connected
    }

    fn received(&self) -> &[Bytes] {
        &self.received
    }
}
