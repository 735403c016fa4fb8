use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A path to a server for one client, which can be made slow in the direction of the client: packets leave at a
/// given rate from a queue that takes a second's worth, and what comes when it is full is lost. It ends with the
/// process.
#[derive(Debug)]
pub struct Relay {
    /// Where the client sends to.
    pub address: SocketAddr,
    /// Bytes per second; `u64::MAX` is no limit.
    rate: Arc<AtomicU64>,
}

impl Relay {
    /// Starts one on `ip`.
    pub fn start(ip: IpAddr, server: SocketAddr) -> Self {
        let [near, far] = [(); 2].map(|()| Arc::new(UdpSocket::bind((ip, 0)).unwrap()));
        far.connect(server).unwrap();
        let address = near.local_addr().unwrap();
        let rate = Arc::new(AtomicU64::new(u64::MAX));
        let client = Arc::new(Mutex::new(None));
        thread::spawn({
            let (near, far, client) = (near.clone(), far.clone(), client.clone());
            move || {
                let mut buffer = [0; 2048];
                while let Ok((len, from)) = near.recv_from(&mut buffer) {
                    *client.lock().unwrap() = Some(from);
                    // A server that is not there yet refuses.
                    let _ = far.send(&buffer[..len]);
                }
            }
        });
        let towards_client = TowardsClient { near, far, client, rate: rate.clone() };
        thread::spawn(move || towards_client.run());
        Self { address, rate }
    }

    /// Lets no more than so many bytes per second through to the client.
    pub fn limit(&self, bytes_per_second: u64) {
        self.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Lets everything through again.
    pub fn lift_limit(&self) {
        self.limit(u64::MAX);
    }
}

struct TowardsClient {
    near: Arc<UdpSocket>,
    far: Arc<UdpSocket>,
    client: Arc<Mutex<Option<SocketAddr>>>,
    rate: Arc<AtomicU64>,
}

/// What the queue takes, in time.
const MAX_QUEUE: Duration = Duration::from_secs(1);

impl TowardsClient {
    fn run(self) {
        let mut queue: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
        // When the line is free again.
        let mut free = Instant::now();
        let mut buffer = [0; 2048];
        loop {
            let now = Instant::now();
            while queue.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, datagram)) = queue.pop_front() else { break };
                if let Some(client) = *self.client.lock().unwrap() {
                    let _ = self.near.send_to(&datagram, client);
                }
            }
            let wait = queue.front().map_or(MAX_QUEUE, |(at, _)| at.saturating_duration_since(now));
            self.far.set_read_timeout(Some(wait.max(Duration::from_micros(100)))).unwrap();
            // It may as well be that the time is over, or that a datagram was refused.
            let Ok(len) = self.far.recv(&mut buffer) else { continue };
            let now = Instant::now();
            let rate = self.rate.load(Ordering::Relaxed);
            free = free.max(now);
            if free.duration_since(now) < MAX_QUEUE {
                free += Duration::from_secs_f64(len as f64 / rate as f64);
                queue.push_back((free, buffer[..len].to_vec()));
            }
        }
    }
}
