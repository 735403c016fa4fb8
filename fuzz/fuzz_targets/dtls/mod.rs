//! What the targets share, of which each uses a part. Two real ends, and the fuzzer between them: it changes, drops, doubles and forges datagrams at the step of
//! its choice, so that it reaches every state that a handshake goes through.

#![allow(dead_code)]

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use kaon_rtc::crypto::{SeededRandom, aws_lc_rs};
use kaon_rtc::dtls::{
    Config, Connection, DtlsEvent, DtlsRole, DtlsTransport, FingerprintAlgorithm, Identity, PeerVerification,
};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};

static IDENTITIES: LazyLock<[Identity; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Identity::generate(&aws_lc_rs::provider()).expect("an identity")));

pub fn config(own: usize) -> Config {
    let random = Arc::new(SeededRandom::new(own as u64));
    Config::new(aws_lc_rs::provider().with_random(random), IDENTITIES[own].clone())
}

fn expect(peer: usize) -> PeerVerification {
    PeerVerification::Fingerprints(vec![IDENTITIES[peer].fingerprint(FingerprintAlgorithm::Sha256).clone()])
}

pub fn path() -> FiveTuple {
    FiveTuple::udp(([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 2).into())
}

/// Reads the fuzzer's choices from its input; zeros when it is used up.
pub struct Choices<'a>(pub &'a [u8]);

impl<'a> Choices<'a> {
    pub fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        self.0.split_off(..len).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub struct Ends {
    pub now: Instant,
    pub client: Connection,
    pub server: Connection,
    max_datagram: usize,
}

impl Ends {
    pub fn new(choices: &mut Choices<'_>) -> Self {
        let flags = choices.byte();
        let (client, mut server) = (config(0), config(1));
        server.cookie_exchange = flags & 1 != 0;
        Self {
            now: Instant::now(),
            client: Connection::client(Arc::new(client), expect(1)).expect("a client"),
            server: Connection::server(Arc::new(server), expect(0)).expect("a server"),
            max_datagram: if flags & 2 != 0 { 150 } else { 1200 },
        }
    }

    pub fn end(&mut self, role: DtlsRole) -> &mut Connection {
        if role == DtlsRole::Client { &mut self.client } else { &mut self.server }
    }

    pub fn give(&mut self, to: DtlsRole, mut bytes: Vec<u8>) {
        let now = self.now;
        let end = self.end(to);
        end.handle_datagram(now, Datagram::new(path(), &mut bytes)).ok();
        if let Some(due) = end.poll_timeout() {
            assert!(due + Duration::from_secs(61) > now);
        }
    }

    /// Carries what both send, that to `target` through the fuzzer's hands. False when both are silent.
    pub fn round(&mut self, target: DtlsRole, choices: &mut Choices<'_>) -> bool {
        let mut carried = false;
        for from in [DtlsRole::Client, DtlsRole::Server] {
            let to = if from == DtlsRole::Client { DtlsRole::Server } else { DtlsRole::Client };
            for datagram in self.take(from) {
                carried = true;
                if to == target && !choices.is_empty() {
                    self.meddle(to, datagram, choices);
                } else {
                    self.give(to, datagram);
                }
            }
        }
        carried
    }

    fn take(&mut self, from: DtlsRole) -> Vec<Vec<u8>> {
        let (now, mut batch) = (self.now, TransmitBatch::new(self.max_datagram));
        let mut datagrams = Vec::new();
        let end = self.end(from);
        while let Some(transmit) = end.poll_transmit(now, &mut batch) {
            datagrams.extend(batch.datagrams(&transmit).map(<[u8]>::to_vec));
            assert!(datagrams.len() < 1000, "an end that never falls silent");
        }
        datagrams
    }

    fn meddle(&mut self, to: DtlsRole, mut datagram: Vec<u8>, choices: &mut Choices<'_>) {
        loop {
            match choices.byte() % 10 {
                0 => return self.give(to, datagram),
                1 => return,
                2 => self.give(to, datagram.clone()),
                3 => {
                    let at = usize::from(u16::from_be_bytes([choices.byte(), choices.byte()]));
                    let value = choices.byte();
                    let length = datagram.len().max(1);
                    if let Some(byte) = datagram.get_mut(at % length) {
                        *byte = value;
                    }
                }
                4 => datagram.truncate(usize::from(u16::from_be_bytes([choices.byte(), choices.byte()]))),
                5 => {
                    let forged = choices.bytes().to_vec();
                    self.give(to, forged);
                }
                6 => {
                    // A record of the fuzzer's content.
                    let (kind, epoch, body) = (choices.byte(), choices.byte() % 3, choices.bytes());
                    let mut forged = vec![20 + kind % 4, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, kind];
                    forged.extend_from_slice(&(body.len() as u16).to_be_bytes());
                    forged.extend_from_slice(body);
                    self.give(to, forged);
                }
                7 => {
                    // A handshake message of the fuzzer's content, in place or ahead.
                    let (kind, seq, body) = (choices.byte() % 21, choices.byte() % 12, choices.bytes());
                    self.give(to, message(kind, seq, 0, body.len(), body));
                }
                8 => {
                    let (kind, seq, offset) = (choices.byte() % 21, choices.byte() % 12, choices.byte());
                    let (length, body) = (choices.byte(), choices.bytes());
                    self.give(to, message(kind, seq, offset.into(), usize::from(length) * 8, body));
                }
                _ => {
                    self.now += Duration::from_millis(u64::from(choices.byte()) * 50);
                    let now = self.now;
                    self.client.handle_timeout(now);
                    self.server.handle_timeout(now);
                }
            }
            if choices.is_empty() {
                return self.give(to, datagram);
            }
        }
    }

    /// Lets the handshake end, however it will, and checks what holds in any case.
    pub fn finish(&mut self, target: DtlsRole) {
        for _ in 0..100 {
            while self.round(target, &mut Choices(&[])) {}
            let Some(due) = self.client.poll_timeout().into_iter().chain(self.server.poll_timeout()).min()
            else {
                break;
            };
            self.now = self.now.max(due);
            let now = self.now;
            self.client.handle_timeout(now);
            self.server.handle_timeout(now);
        }
        // A server that no hello reached waits for one, and for nothing else.
        let idle = |end: &Connection| end.role() == DtlsRole::Server && end.poll_timeout().is_none();
        for end in [&mut self.client, &mut self.server] {
            assert!(end.is_connected() || end.is_ended() || idle(end), "an end that waits for nothing");
            let mut failed = false;
            while let Some(event) = end.poll_event() {
                failed |= matches!(event, DtlsEvent::Failed(_));
            }
            assert_eq!(failed, end.is_ended());
        }
        if self.client.is_connected() && self.server.is_connected() {
            assert_eq!(self.client.srtp_keying_material(), self.server.srtp_keying_material());
        }
    }
}

fn message(kind: u8, seq: u8, offset: usize, length: usize, body: &[u8]) -> Vec<u8> {
    let mut out = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 1, seq];
    out.extend_from_slice(&(12 + body.len() as u16).to_be_bytes());
    out.push(kind);
    out.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[0, seq]);
    out.extend_from_slice(&(offset as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(body);
    out
}
