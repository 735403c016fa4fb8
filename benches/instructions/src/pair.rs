//! Two sessions with nothing between them.

use std::time::{Duration, Instant};

use kaon_rtc::datachannel::ChannelEvent;
use kaon_rtc::layer::{Datagram, FiveTuple, Layer, TransmitBatch};
use kaon_rtc::session::{ConnectionState, Description, IncomingRtp, Session, SessionConfig, SessionEvent};

use crate::{address, provider};

/// Two sessions, of which the first offers.
pub(crate) struct Pair {
    pub(crate) ends: [Session; 2],
    pub(crate) now: Instant,
    pub(crate) batch: TransmitBatch,
}

impl Pair {
    /// Connected, and idle.
    pub(crate) fn connected(
        configure: impl Fn(&mut SessionConfig),
        set_up: impl FnOnce(&mut Session, Instant),
    ) -> Self {
        Self::with_offer(configure, set_up, |offer| offer)
    }

    /// The same, after an offer with which something was done on the way.
    pub(crate) fn with_offer(
        configure: impl Fn(&mut SessionConfig),
        set_up: impl FnOnce(&mut Session, Instant),
        change: impl FnOnce(Description) -> Description,
    ) -> Self {
        let now = Instant::now();
        let mut ends = [0, 1].map(|side| {
            let mut config = SessionConfig::generate(provider(1 + side as u64)).expect("a certificate");
            configure(&mut config);
            let mut session = Session::new(now, config);
            session.add_host_address(now, address(side)).expect("an address");
            session.end_of_host_addresses(now);
            session
        });
        set_up(&mut ends[0], now);
        let mut this = Self { ends, now, batch: TransmitBatch::new(1228) };
        this.drain();
        this.negotiate(change).expect("both sides are Kaon's");
        this.run(Duration::from_secs(3));
        assert!(this.ends.iter().all(|end| end.connection_state() == ConnectionState::Connected));
        this
    }

    fn negotiate(
        &mut self,
        change: impl FnOnce(Description) -> Description,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let [alice, bob] = &mut self.ends;
        alice.set_local_description(self.now, None)?;
        bob.set_remote_description(self.now, &change(alice.local_description().ok_or("no offer")?))?;
        bob.set_local_description(self.now, None)?;
        alice.set_remote_description(self.now, &bob.local_description().ok_or("no answer")?)?;
        Ok(())
    }

    /// Takes all events, and all messages that they tell of.
    fn drain(&mut self) -> usize {
        let mut messages = 0;
        for end in &mut self.ends {
            while let Some(event) = end.poll_event() {
                if let SessionEvent::DataChannel(ChannelEvent::Readable(id)) = event {
                    while end.receive_message(id).is_some() {
                        messages += 1;
                    }
                }
            }
        }
        messages
    }

    /// Carries what there is to send, and says how many packets and messages were delivered.
    pub(crate) fn exchange(&mut self) -> usize {
        let mut delivered = 0;
        loop {
            let mut quiet = true;
            for side in 0..2 {
                self.batch.clear();
                while let Some(transmit) = self.ends[side].poll_transmit(self.now, &mut self.batch) {
                    quiet = false;
                    let path = FiveTuple::udp(address(1 - side), address(side));
                    for bytes in self.batch.datagrams_mut(&transmit) {
                        let datagram = Datagram::new(path, bytes);
                        let deliver = &mut |_: IncomingRtp<'_>| delivered += 1;
                        let _ = self.ends[1 - side].receive(self.now, datagram, deliver);
                    }
                }
            }
            delivered += self.drain();
            if quiet {
                return delivered;
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.exchange();
            let next = self.ends.iter().filter_map(Layer::poll_timeout).min();
            match next.filter(|next| *next <= end) {
                Some(next) => self.now = next,
                None => break,
            }
            self.ends.iter_mut().for_each(|end| end.handle_timeout(self.now));
        }
        self.now = end;
    }
}
