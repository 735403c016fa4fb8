//! Two sessions with many data channels.

use bytes::Bytes;
use kaon_rtc::datachannel::{ChannelId, ChannelInit, MessageKind};

use crate::Pair;

/// Two sessions with many data channels that the first has opened.
pub struct Channels {
    pair: Pair,
    ids: Vec<ChannelId>,
}

impl Channels {
    /// So many of them, all open.
    #[must_use]
    pub fn open(count: usize) -> Box<Self> {
        let mut pair = Pair::connected(
            |_| {},
            |session, now| {
                session.create_data_channel(now, ChannelInit::new("first")).expect("a channel");
            },
        );
        for _ in 1..count {
            let now = pair.now;
            pair.ends[0].create_data_channel(now, ChannelInit::new("more")).expect("a channel");
            pair.exchange();
        }
        let ids: Vec<_> = pair.ends[0].channels().collect();
        assert!([ids.len(), pair.ends[1].channels().count()] == [count; 2]);
        let mut this = Self { pair, ids };
        this.send_messages();
        Box::new(this)
    }

    /// Sends a hundred messages on as many channels, or on those there are in turn. Each is received before the next.
    pub fn send_messages(&mut self) {
        for index in 0..100 {
            let id = self.ids[index * self.ids.len() / 100];
            let message = Bytes::from_static(b"a message");
            let sending = self.pair.ends[0].send_message(self.pair.now, id, MessageKind::Text, message);
            sending.expect("room in the send buffer");
            assert_eq!(self.pair.exchange(), 1);
        }
    }

    /// Opens a hundred more, one after the other.
    pub fn open_more(&mut self) {
        for _ in 0..100 {
            let now = self.pair.now;
            self.pair.ends[0].create_data_channel(now, ChannelInit::new("more")).expect("a channel");
            self.pair.exchange();
        }
    }
}
