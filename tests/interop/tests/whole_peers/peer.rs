use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kaon_interop::{Program, missing};
use kaon_rtc::peer_connection::{
    DataChannel, Description, Endpoint, PeerConnection, PeerConnectionEvent, RtpReceiver,
};
use serde_json::{Value, json};
use tokio::time::timeout;

pub const LONG: Duration = Duration::from_secs(30);

/// Whose library it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    Pion,
    Libwebrtc,
    Libdatachannel,
    Aiortc,
}

pub const PEERS: [Peer; 4] = [Peer::Pion, Peer::Libwebrtc, Peer::Libdatachannel, Peer::Aiortc];

/// What not every library can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// H.264 in RTP, sent and received.
    H264,
    /// To gather and check anew on an established connection (RFC 8445 §9), asking for it or asked for it.
    IceRestart,
    /// To take an offer back for that of the other side (RFC 8829 §4.1.10.2): to be the polite one of two.
    Rollback,
    /// To see that a section was given up and that another one stands in its place (RFC 8829 §5.2.2).
    SectionReuse,
}

/// What is not tested with a peer, since its library cannot do it. All the rest is tested with all four.
const CANNOT: [(Peer, Capability, &str); 6] = [
    (
        Peer::Pion,
        Capability::Rollback,
        "webrtc 4.2.18 knows the type and lets nothing leave have-local-offer by it: \"invalid proposed signaling \
         state transition\"",
    ),
    (Peer::Libwebrtc, Capability::H264, "the prebuilt @roamhq/wrtc 0.10.0 was built without H.264"),
    (Peer::Libdatachannel, Capability::IceRestart, "libjuice: \"ICE restart is not supported\""),
    (
        Peer::Aiortc,
        Capability::IceRestart,
        "1.16 makes no new credentials, and does not look at those of the other",
    ),
    (Peer::Aiortc, Capability::Rollback, "1.16 has no such type of description"),
    (
        Peer::Aiortc,
        Capability::SectionReuse,
        "1.16 wants ICE credentials in sections of port 0, too, which have none",
    ),
];

impl Peer {
    /// Whether the library can do it; the reason why not is in the table above.
    pub fn can(self, capability: Capability) -> bool {
        !CANNOT.iter().any(|(peer, what, _)| (*peer, *what) == (self, capability))
    }

    /// The libraries that can do it.
    pub fn all_that_can(capability: Capability) -> impl Iterator<Item = Self> {
        PEERS.into_iter().filter(move |peer| peer.can(capability))
    }

    fn command(self) -> Option<Command> {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        let installed = |path: PathBuf| {
            if path.exists() {
                return Some(path);
            }
            missing(&format!("{self:?}"), &format!("no {}; `tests/run setup` installs it", path.display()));
            None
        };
        Some(match self {
            Self::Pion => Command::new(installed(peers.join("pion/peer"))?),
            Self::Aiortc => {
                let mut command = Command::new(installed(peers.join("aiortc/venv/bin/python"))?);
                command.arg(peers.join("aiortc/main.py"));
                command
            }
            Self::Libwebrtc | Self::Libdatachannel => {
                let folder = peers.join(if self == Self::Libwebrtc { "libwebrtc" } else { "libdatachannel" });
                installed(folder.join("node_modules"))?;
                let mut command = Command::new("node");
                command.arg(folder.join("main.mjs"));
                command
            }
        })
    }
}

/// A peer and Kaon.
///
/// The peer is a program that reads JSON lines: a description, which it answers or accepts, or one of
///
/// | line | what it does |
/// |---|---|
/// | `{"do":"channel","label":…,"ordered":…}` | opens a data channel |
/// | `{"do":"media","kind":…,"codec":…,"offers":…}` | sends back what comes of a kind from now on, and offers so if it `offers` |
/// | `{"do":"offer"}`, `{"do":"restart"}` | offers, the second with new ICE credentials |
/// | `{"do":"add"}`, `{"do":"remove"}` | adds a track of VP8 that sends, removes it |
/// | `{"do":"polite"}` | from now on takes its offer back for one of ours; else it ignores ours |
/// | `{"do":"close"}` | closes the connection |
///
/// It writes descriptions with all candidates in them (`sdp`), offers that it does not take (`ignored`), `state`s,
/// `track`s and `channel`s that came, and channels that were `closed`. It sends back the messages that it gets.
pub struct Pair {
    pub peer: Peer,
    pub kaon: PeerConnection,
    program: Program,
    /// What the peer has said and nobody has asked for.
    said: VecDeque<Value>,
    /// What Kaon has told and nobody has asked for.
    events: VecDeque<PeerConnectionEvent>,
}

impl Pair {
    pub async fn start(peer: Peer) -> Option<Self> {
        let program = Program::start(&mut peer.command()?);
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let kaon =
            PeerConnection::builder().socket(Endpoint::builder().address(address)).build().await.unwrap();
        Some(Self { peer, kaon, program, said: VecDeque::new(), events: VecDeque::new() })
    }

    pub fn tell(&mut self, command: Value) {
        self.program.tell(&command.to_string());
    }

    /// The next line in which `name` stands.
    pub fn wait_for(&mut self, name: &str) -> Value {
        let is_it = |value: &Value| !value[name].is_null();
        if let Some(at) = self.said.iter().position(is_it) {
            return self.said.remove(at).unwrap();
        }
        let deadline = Instant::now() + LONG;
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.program.lines.recv_timeout(rest) else {
                panic!("{:?} does not say {name:?}, but: {:#?}", self.peer, self.said);
            };
            // Some libraries write lines of their own.
            let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
            if is_it(&value) {
                return value;
            }
            self.said.push_back(value);
        }
    }

    /// One exchange without trickle.
    pub async fn negotiate(&mut self, peer_offers: bool) {
        if peer_offers {
            self.tell(json!({ "do": "offer" }));
            self.answer().await;
        } else {
            self.offer().await;
            self.accept_answer();
        }
    }

    /// Has Kaon offer, and tells the peer.
    pub async fn offer(&mut self) {
        self.kaon.set_local_description(None).unwrap();
        self.tell_description().await;
    }

    /// Answers the offer that the peer says.
    pub async fn answer(&mut self) {
        let offer = self.wait_for("sdp");
        self.answer_to(&offer).await;
    }

    /// Answers an offer that the peer has said.
    pub async fn answer_to(&mut self, offer: &Value) {
        self.take_offer(offer);
        self.kaon.set_local_description(None).unwrap();
        self.tell_description().await;
    }

    /// Takes an offer that the peer has said.
    pub fn take_offer(&self, offer: &Value) {
        assert_eq!(offer["type"], "offer", "{offer}");
        self.kaon
            .set_remote_description(&Description::offer(offer["sdp"].as_str().unwrap()).unwrap())
            .unwrap_or_else(|error| panic!("{:?}: {error}: {offer}", self.peer));
    }

    /// Takes the answer that the peer says.
    pub fn accept_answer(&mut self) {
        let answer = self.wait_for("sdp");
        assert_eq!(answer["type"], "answer", "{answer}");
        self.kaon
            .set_remote_description(&Description::answer(answer["sdp"].as_str().unwrap()).unwrap())
            .unwrap_or_else(|error| panic!("{:?}: {error}: {answer}", self.peer));
    }

    /// Tells the peer Kaon's description once all candidates are in it.
    pub async fn tell_description(&mut self) {
        timeout(LONG, self.kaon.gathering_complete()).await.unwrap();
        let local = self.kaon.local_description().unwrap();
        self.tell(json!({ "type": local.kind.name(), "sdp": local.text() }));
    }

    pub async fn connected(&self) {
        timeout(LONG, self.kaon.connected()).await.expect("in time").expect("a connection");
    }

    pub async fn event<T>(&mut self, mut pick: impl FnMut(&PeerConnectionEvent) -> Option<T>) -> T {
        if let Some((at, found)) =
            self.events.iter().enumerate().find_map(|(at, event)| Some((at, pick(event)?)))
        {
            self.events.remove(at);
            return found;
        }
        let found = async {
            loop {
                let event = self.kaon.next_event().await.expect("an open connection");
                if let Some(found) = pick(&event) {
                    return found;
                }
                self.events.push_back(event);
            }
        };
        timeout(LONG, found).await.expect("in time")
    }

    pub async fn channel(&mut self) -> DataChannel {
        let channel = self.event(|event| match event {
            PeerConnectionEvent::DataChannel(channel) => Some(channel.clone()),
            _ => None,
        });
        channel.await
    }

    pub async fn track(&mut self) -> RtpReceiver {
        let track = self.event(|event| match event {
            PeerConnectionEvent::Track(track) => Some(track.clone()),
            _ => None,
        });
        track.await
    }

    /// Connects with one data channel, which the offerer opens.
    pub async fn connect(&mut self, peer_offers: bool) -> DataChannel {
        let label = "chat";
        let own = (!peer_offers).then(|| self.kaon.create_data_channel(label).unwrap());
        if peer_offers {
            self.tell(json!({ "do": "channel", "label": label, "ordered": true }));
        }
        self.negotiate(peer_offers).await;
        self.connected().await;
        let channel = match own {
            Some(channel) => channel,
            None => self.channel().await,
        };
        timeout(LONG, channel.opened()).await.unwrap().unwrap();
        assert_eq!(channel.label(), label);
        channel
    }
}

/// Has the peer send a message back.
pub async fn ask(channel: &DataChannel, text: &str) {
    channel.send_text(text).await.unwrap();
    let back = timeout(LONG, channel.recv()).await.expect("in time").expect("a message");
    assert_eq!(back.text(), Some(text));
}
