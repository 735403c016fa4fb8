//! Many sessions behind one endpoint, and what is for none of them.

use std::time::Instant;

use kaon_rtc::dtls::Identity;
use kaon_rtc::endpoint::{Endpoint, SessionId};
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::session::{Session, SessionConfig};
use kaon_rtc::stun::{Class, MessageBuilder, Method, TransactionId};

use crate::{address, provider};

/// An endpoint with many sessions.
pub struct Strays {
    endpoint: Endpoint<Session>,
    now: Instant,
    batch: TransmitBatch,
    answers: Vec<Vec<u8>>,
}

impl Strays {
    /// A hundred STUN responses to what none of so many sessions has asked.
    #[must_use]
    pub fn answers(sessions: u64) -> Box<Self> {
        let now = Instant::now();
        let provider = provider(1);
        let config =
            SessionConfig::new(provider.clone(), Identity::generate(&provider).expect("a certificate"));
        let mut endpoint = Endpoint::new();
        for id in 0..sessions {
            let mut session = Session::new(now, config.clone());
            session.add_host_address(now, address(0)).expect("an address");
            session.end_of_host_addresses(now);
            while session.poll_event().is_some() {}
            endpoint.insert(SessionId::new(id), session);
        }
        let answers = (0..100)
            .map(|number| {
                let mut answer = Vec::new();
                let id = TransactionId([number; 12]);
                MessageBuilder::new(&mut answer, Class::Success, Method::BINDING, id)
                    .xor_mapped_address(address(0))
                    .fingerprint()
                    .finish()
                    .expect("a short message");
                answer
            })
            .collect();
        let mut this = Self { endpoint, now, batch: TransmitBatch::new(1228), answers };
        this.serve();
        Box::new(this)
    }

    fn serve(&mut self) {
        while self.endpoint.poll_transmit(self.now, &mut self.batch).is_some() {
            self.batch.clear();
        }
        while self.endpoint.poll_event().is_some() {}
    }

    /// Takes them, as a loop would.
    pub fn receive(&mut self) {
        let path = FiveTuple::udp(address(0), address(1));
        for answer in std::mem::take(&mut self.answers) {
            let mut answer = answer;
            let result = self.endpoint.handle_datagram(self.now, Datagram::new(path, &mut answer));
            assert!(result.is_err());
            self.serve();
        }
    }
}
