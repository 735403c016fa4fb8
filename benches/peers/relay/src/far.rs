//! A path to a server that takes time.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

/// What a datagram takes each way.
const DELAY: Duration = Duration::from_millis(25);

/// What a question and its answer take.
pub const ROUND_TRIP: Duration = Duration::from_millis(50);

/// Stands in front of `server`: what comes goes there later, by a socket for each that it comes from, and what is answered
/// comes back later. The address to send to.
pub async fn in_front_of(server: SocketAddr) -> io::Result<SocketAddr> {
    let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
    let address = near.local_addr()?;
    tokio::spawn(async move {
        let (mut known, mut buffer) = (HashMap::<SocketAddr, Arc<UdpSocket>>::new(), [0; 2048]);
        loop {
            let (count, from) = near.recv_from(&mut buffer).await?;
            let far = match known.get(&from) {
                Some(far) => far.clone(),
                None => {
                    let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
                    far.connect(server).await?;
                    tokio::spawn(back(far.clone(), near.clone(), from));
                    known.insert(from, far.clone());
                    far
                }
            };
            let (datagram, due) = (buffer[..count].to_vec(), Instant::now() + DELAY);
            tokio::spawn(async move {
                sleep_until(due).await;
                far.send(&datagram).await
            });
        }
        // The type of what ends this.
        #[expect(unreachable_code)]
        io::Result::Ok(())
    });
    Ok(address)
}

async fn back(far: Arc<UdpSocket>, near: Arc<UdpSocket>, to: SocketAddr) -> io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let count = far.recv(&mut buffer).await?;
        let (datagram, due, near) = (buffer[..count].to_vec(), Instant::now() + DELAY, near.clone());
        tokio::spawn(async move {
            sleep_until(due).await;
            near.send_to(&datagram, to).await
        });
    }
}
