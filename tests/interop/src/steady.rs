use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kaon_rtc::layer::StreamId;
use kaon_rtc::peer_connection::{ChannelInit, DataChannel};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

const LIMIT: Duration = Duration::from_secs(30);
/// The number of the message that ends a row.
const END: u64 = u64::MAX;

/// Messages with numbers that go both ways over a channel, one every five milliseconds each way, until both sides have
/// ended.
#[derive(Debug)]
pub struct Steady {
    /// How many have come.
    count: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<Delivery>,
}

/// What came of such a row.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// How many messages, of which none was missing.
    pub count: u64,
    /// The longest time between two.
    pub longest_gap: Duration,
}

impl Steady {
    /// How often a message goes.
    pub const PERIOD: Duration = Duration::from_millis(5);

    /// The channel for it, which both sides make.
    pub fn channel() -> ChannelInit {
        let mut init = ChannelInit::new("steady");
        init.negotiated = Some(StreamId(0));
        init
    }

    /// Starts on a channel that is open, reliable and ordered.
    pub fn start(channel: DataChannel) -> Self {
        let (count, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let sender = tokio::spawn(send(channel.clone(), is_over.clone()));
        let receiver = tokio::spawn(receive(channel, count.clone()));
        Self { count, is_over, sender, receiver }
    }

    /// Waits until so many more have come.
    pub async fn more(&self, messages: u64) {
        let goal = self.count.load(Ordering::Relaxed) + messages;
        let come = async {
            while self.count.load(Ordering::Relaxed) < goal {
                sleep(Self::PERIOD).await;
            }
        };
        timeout(LIMIT, come).await.expect("messages go on");
    }

    /// Sends the last one and waits for that of the other side.
    pub async fn finish(self) -> Delivery {
        self.is_over.store(true, Ordering::Relaxed);
        self.sender.await.unwrap();
        timeout(LIMIT, self.receiver).await.expect("the last message").unwrap()
    }
}

async fn send(channel: DataChannel, is_over: Arc<AtomicBool>) {
    let mut interval = interval(Steady::PERIOD);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0u64;
    while !is_over.load(Ordering::Relaxed) {
        interval.tick().await;
        channel.send(Bytes::copy_from_slice(&number.to_be_bytes())).await.unwrap();
        number += 1;
    }
    channel.send(Bytes::copy_from_slice(&[END.to_be_bytes(), number.to_be_bytes()].concat())).await.unwrap();
}

async fn receive(channel: DataChannel, came: Arc<AtomicU64>) -> Delivery {
    let mut last = None::<Instant>;
    let mut delivery = Delivery { count: 0, longest_gap: Duration::ZERO };
    loop {
        let message = channel.recv().await.expect("a message");
        let now = Instant::now();
        let numbers: Vec<_> =
            message.data().as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        if let [END, sent] = numbers[..] {
            assert_eq!(delivery.count, sent, "the last are missing");
            return delivery;
        }
        assert_eq!(numbers, [delivery.count], "one after the other");
        let gap = last.map_or(Duration::ZERO, |last| now - last);
        delivery.longest_gap = delivery.longest_gap.max(gap);
        last = Some(now);
        delivery.count += 1;
        came.store(delivery.count, Ordering::Relaxed);
    }
}
