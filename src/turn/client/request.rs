//! What a client sends: RFC 8656 §7.1, §8.1, §10.1 and §12.1.

use std::time::Instant;

use super::agent::Client;
use super::config::Families;
use super::transaction::{Purpose, Transaction};
use crate::layer::{Transmit, TransmitBatch};
use crate::stun::{AttributeType, Class, MessageBuilder, Method, TransactionId};
use crate::turn::attribute::{AddressFamily, Lifetime};
use crate::turn::channel::ChannelNumber;

impl Client {
    /// The next request that waits, or the datagram that keeps a NAT's binding alive.
    pub(super) fn transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        if !self.unsent && !self.keepalive_unsent {
            return None;
        }
        let next = self.transactions.iter().position(|it| it.unsent);
        let by = next.and_then(|at| self.transactions[at].purpose.connection());
        let stream = by.and_then(|number| self.connections.get(number)?.path());
        let mut segments = out.segments(Some(stream.unwrap_or(self.path)), None);
        let buffer = segments.datagram();
        match next {
            Some(at) => {
                self.transactions[at].unsent = false;
                self.write(&self.transactions[at], buffer)?;
            }
            None => {
                self.unsent = false;
                if !std::mem::take(&mut self.keepalive_unsent) {
                    return None;
                }
                let id = TransactionId::random(&*self.provider.random);
                MessageBuilder::new(buffer, Class::Indication, Method::BINDING, id).finish().ok()?;
            }
        }
        self.last_sent = now;
        segments.end_datagram();
        segments.finish()
    }

    fn write(&self, transaction: &Transaction, buffer: &mut Vec<u8>) -> Option<()> {
        let method = transaction.purpose.method();
        let mut message = MessageBuilder::new(buffer, Class::Request, method, transaction.id);
        if let Some(software) = &self.config.software {
            message = message.software(software);
        }
        message = match transaction.purpose {
            Purpose::Allocate => self.wishes(message),
            Purpose::Refresh => self.lifetime(message),
            Purpose::Resume => {
                let ticket = self.ticket.as_ref()?;
                self.lifetime(message).attribute(AttributeType::MOBILITY_TICKET, ticket.bytes())
            }
            Purpose::Delete | Purpose::Forget => {
                let message = message.attribute(AttributeType::LIFETIME, &Lifetime::ZERO.encode());
                match &self.ticket {
                    Some(ticket) => message.attribute(AttributeType::MOBILITY_TICKET, ticket.bytes()),
                    None => message,
                }
            }
            // RFC 8656 §9: the port does not matter.
            Purpose::Permission(peer) => {
                message.xor_address(AttributeType::XOR_PEER_ADDRESS, (peer, 0).into())
            }
            Purpose::Channel(place) => {
                let (number, peer) = self.binding(place)?;
                message
                    .attribute(AttributeType::CHANNEL_NUMBER, &number.encode())
                    .xor_address(AttributeType::XOR_PEER_ADDRESS, peer)
            }
            Purpose::Connect(number) => {
                message.xor_address(AttributeType::XOR_PEER_ADDRESS, self.connections.get(number)?.peer)
            }
            Purpose::Bind(number) => {
                let id = self.connections.binding(number)?.id;
                message.attribute(AttributeType::CONNECTION_ID, &id.encode())
            }
        };
        let credentials = self.credentials_of(transaction.purpose);
        let message = if transaction.signed { credentials.sign(message) } else { message };
        message.finish().ok().map(drop)
    }

    fn binding(&self, place: usize) -> Option<(ChannelNumber, std::net::SocketAddr)> {
        Some((ChannelNumber::nth(place)?, self.peers.channel_at(place)?.peer))
    }

    fn lifetime<'b>(&self, message: MessageBuilder<'b>) -> MessageBuilder<'b> {
        match self.config.lifetime {
            // Zero would give the allocation back.
            Some(lifetime) if lifetime != Lifetime::ZERO => {
                message.attribute(AttributeType::LIFETIME, &lifetime.encode())
            }
            _ => message,
        }
    }

    fn wishes<'b>(&self, message: MessageBuilder<'b>) -> MessageBuilder<'b> {
        let mut message =
            message.attribute(AttributeType::REQUESTED_TRANSPORT, &self.config.requested_transport.encode());
        message = self.lifetime(message);
        let ipv6 = AddressFamily::V6.encode();
        message = match self.config.families {
            // Servers of old refuse what says no more than the default.
            Families::Ipv4 => message,
            Families::Ipv6 => message.attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &ipv6),
            Families::Both => message.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &ipv6),
        };
        if let Some(even_port) = self.config.even_port {
            message = message.attribute(AttributeType::EVEN_PORT, &even_port.encode());
        }
        if let Some(token) = self.config.reservation {
            message = message.attribute(AttributeType::RESERVATION_TOKEN, &token.0);
        }
        if self.asks_mobility {
            message = message.attribute(AttributeType::MOBILITY_TICKET, &[]);
        }
        if self.dont_fragment {
            message = message.attribute(AttributeType::DONT_FRAGMENT, &[]);
        }
        message
    }
}
