use std::time::Duration;

use kaon_rtc::peer_connection::{PeerConnection, Stats};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_secs(30);

/// What an ICE restart of a connection changes: the credentials of both sides and, in the end, the pair.
#[derive(Debug)]
pub struct Restart {
    credentials: [String; 2],
    selections: u64,
}

impl Restart {
    /// To be called before the descriptions with the restart are exchanged.
    pub fn begin(kaon: &PeerConnection) -> Self {
        Self { credentials: credentials(kaon), selections: selections(kaon) }
    }

    /// Waits until a pair was nominated under new credentials of both sides.
    pub async fn complete(self, kaon: &PeerConnection) {
        let now = credentials(kaon);
        let changed = self.credentials.iter().zip(&now).all(|(before, now)| before != now);
        assert!(changed, "the fragments were {:?} and are {now:?}", self.credentials);
        let moved = async {
            while selections(kaon) == self.selections {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, moved).await.expect("a pair under the new credentials");
    }
}

/// The fragments of both sides.
fn credentials(kaon: &PeerConnection) -> [String; 2] {
    [kaon.local_description(), kaon.remote_description()].map(|description| {
        let text = description.unwrap().text();
        let fragment = text.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"));
        fragment.expect("a fragment").to_owned()
    })
}

/// How often a pair was selected.
fn selections(kaon: &PeerConnection) -> u64 {
    let transport = kaon.get_stats().iter().find_map(|entry| match entry {
        Stats::Transport(transport) => Some(transport.selected_candidate_pair_changes),
        _ => None,
    });
    transport.expect("a transport")
}
