//! Allocations that are given back, RFC 8656 §7.1 and §8.1.

use std::time::{Duration, Instant};

use crate::ice::streams::StreamQueue;
use crate::layer::{Datagram, FiveTuple, Layer, StreamReport, Transmit, TransmitBatch};
use crate::turn::Client;

/// So many at a time; beyond, the oldest is left to the end of its lifetime.
const MAX_LEAVING: usize = 64;

/// A server that has not said by then that it knows is left alone.
const PATIENCE: Duration = Duration::from_secs(10);

/// The clients whose servers do not know yet that an allocation is not wanted any more: the request may be lost, or be
/// refused for the age of its nonce, and a server keeps what is mobile when the stream to it is closed (RFC 8016).
#[derive(Debug, Default)]
pub(super) struct Leaving {
    clients: Vec<Goer>,
}

#[derive(Debug)]
struct Goer {
    client: Client,
    /// When it is given up. It is not known before the clock is.
    until: Option<Instant>,
}

impl Leaving {
    /// Gives the allocation of a client back, by its stream if it has one, which is closed afterwards.
    pub(super) fn enter(&mut self, now: Instant, mut client: Client, streams: &mut StreamQueue) {
        client.close(now);
        if client.is_closed() {
            return streams.close(client.path());
        }
        if self.clients.len() >= MAX_LEAVING {
            streams.close(self.clients.remove(0).client.path());
        }
        self.clients.push(Goer { client, until: None });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Does what is due, and lets those go that are done.
    pub(super) fn step(&mut self, now: Instant, streams: &mut StreamQueue) {
        self.clients.retain_mut(|Goer { client, until }| {
            client.handle_timeout(now);
            let until = *until.get_or_insert(now + PATIENCE);
            let stays = !client.is_closed() && now < until;
            if !stays {
                streams.close(client.path());
            }
            stays
        });
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.clients.iter().flat_map(|it| it.client.poll_timeout().into_iter().chain(it.until)).min()
    }

    /// Takes an answer to one of them; false if it is none.
    pub(super) fn receive(&mut self, now: Instant, mut datagram: Datagram<'_>) -> bool {
        let mut clients = self.clients.iter_mut().map(|goer| &mut goer.client);
        clients.any(|client| client.handle_datagram(now, datagram.reborrow()).is_ok())
    }

    /// Takes that a stream is closed; false if none of them has it.
    pub(super) fn take_report(&mut self, report: &StreamReport, streams: &mut StreamQueue) -> bool {
        let StreamReport::Closed { path, .. } = report else { return false };
        let goes_by = |other: FiveTuple| (other.protocol, other.local) == (path.protocol, path.local);
        let Some(place) = self.clients.iter().position(|goer| goes_by(goer.client.path())) else {
            return false;
        };
        self.clients.remove(place);
        streams.forget(*path);
        true
    }

    pub(super) fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        self.clients.iter_mut().find_map(|goer| goer.client.poll_transmit(now, out))
    }
}
