//! rtpengine between Kaon and a telephone of ours, which knows plain RTP only: descriptions without tags, in profiles of
//! their own, and Opus both ways.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use kaon_interop::{Program, Tone, missing, opus_tone};
use kaon_rtc::layer::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use kaon_rtc::peer_connection::{
    Description, Endpoint, OutgoingRtp, PeerConnection, PeerConnectionEvent, RtpReceiver, TrackKind,
    TransceiverInit,
};
use kaon_rtc::rtp::{Header, Packet, PacketWriter};
use kaon_rtc::sdp::SessionDescription;
use tokio::net::UdpSocket;
use tokio::time::{interval, timeout};

const LONG: Duration = Duration::from_secs(30);
/// Where the media ports of the next gateway begin. Each counts up from its first port and binds it even when another
/// process has it, so that two with the same ports would take each other's packets.
static NEXT_PORT: AtomicU16 = AtomicU16::new(21_000);
const PORTS: u16 = 200;
/// The payload type of Opus at the telephone.
const OPUS: u8 = 96;

/// rtpengine with a socket to command it by: bencoded dictionaries, each behind a word that the answer repeats.
struct Gateway {
    _program: Program,
    control: UdpSocket,
    count: u32,
}

impl Gateway {
    async fn start() -> Option<Self> {
        if !Path::new("/usr/bin/rtpengine").exists() {
            missing("rtpengine", "no /usr/bin/rtpengine; `tests/run setup` installs it");
            return None;
        }
        let control = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        // A port that was free a moment ago.
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
        let mut command = Command::new("/usr/bin/rtpengine");
        // Its own sockets only: without the kernel's help, and nothing of the machine's configuration.
        command.args(["--config-file=none", "--foreground", "--log-stderr", "--log-level=4", "--table=-1"]);
        let first = NEXT_PORT.fetch_add(PORTS, Ordering::Relaxed);
        command.arg("--interface=127.0.0.1");
        command.args([format!("--port-min={first}"), format!("--port-max={}", first + PORTS - 1)]);
        command.arg(format!("--listen-ng=127.0.0.1:{port}"));
        let program = Program::start(&mut command);
        control.connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let mut gateway = Self { _program: program, control, count: 0 };
        for _ in 0..100 {
            if gateway.try_ask("7:command4:ping").await.is_some() {
                return Some(gateway);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("rtpengine does not answer");
    }

    async fn try_ask(&mut self, entries: &str) -> Option<String> {
        self.count += 1;
        let request = format!("{} d{entries}e", self.count);
        let mut answer = vec![0; 65_536];
        self.control.send(request.as_bytes()).await.ok()?;
        let len = timeout(Duration::from_secs(5), self.control.recv(&mut answer)).await.ok()?.ok()?;
        Some(String::from_utf8_lossy(&answer[..len]).into_owned())
    }

    /// Hands a description through, and returns how the other side is to see it.
    async fn pass(&mut self, command: &str, sdp: &str, form: &[(&str, &str)]) -> String {
        let text = |text: &str| format!("{}:{text}", text.len());
        let mut entries = format!("7:command{}7:call-id4:call8:from-tag4:from", text(command));
        if command == "answer" {
            entries += "6:to-tag2:to";
        }
        for (name, value) in form {
            let value = match *name {
                "rtcp-mux" => format!("l{}e", text(value)),
                _ => text(value),
            };
            entries += &format!("{}{value}", text(name));
        }
        entries += &format!("3:sdp{}", text(sdp));
        let answer = self.try_ask(&entries).await.unwrap();
        let (_, rest) = answer.split_once("3:sdp").unwrap_or_else(|| panic!("{answer}\n{sdp}"));
        let (len, rest) = rest.split_once(':').unwrap();
        rest[..len.parse().unwrap()].to_owned()
    }
}

/// What rtpengine makes for the side of Kaon, in this profile, and for the telephone.
fn towards_kaon(profile: &str) -> [(&str, &str); 3] {
    [("transport-protocol", profile), ("ICE", "force"), ("rtcp-mux", "require")]
}

const TOWARDS_TELEPHONE: [(&str, &str); 3] =
    [("transport-protocol", "RTP/AVP"), ("ICE", "remove"), ("rtcp-mux", "demux")];

/// A telephone: one socket for RTP without encryption.
struct Telephone {
    socket: UdpSocket,
}

impl Telephone {
    async fn new() -> Self {
        Self { socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap() }
    }

    fn description(&self) -> String {
        let port = self.socket.local_addr().unwrap().port();
        format!(
            "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=call\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {OPUS} 0 8\r\na=rtpmap:{OPUS} opus/48000/2\r\na=sendrecv\r\n"
        )
    }

    /// Sends the sound to where the description of the other side says, and returns what comes back meanwhile.
    async fn talk(&self, theirs: &str, sound: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let theirs: SessionDescription = theirs.parse().unwrap();
        assert!(!theirs.media[0].is_rejected(), "{theirs}");
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, theirs.media[0].port));
        let (mut heard, mut buffer) = (Vec::new(), [0; 2048]);
        let mut tick = interval(Duration::from_millis(20));
        for (number, payload) in sound.iter().enumerate() {
            tick.tick().await;
            let header = Header {
                marker: number == 0,
                payload_type: PayloadType::from_low_bits(OPUS),
                sequence_number: SequenceNumber(number as u16),
                timestamp: RtpTimestamp(number as u32 * 960),
                ssrc: Ssrc(0x7e1e),
            };
            let mut packet = [0; 2048];
            let len = PacketWriter::new(&mut packet, &header, &[]).unwrap().payload(payload).unwrap();
            self.socket.send_to(&packet[..len], to).await.unwrap();
            while let Ok(len) = self.socket.try_recv(&mut buffer) {
                let packet = Packet::parse(&buffer[..len]).unwrap();
                if packet.payload_type().value() == OPUS {
                    heard.push(packet.payload().to_vec());
                }
            }
        }
        heard
    }
}

async fn kaon() -> PeerConnection {
    let socket = Endpoint::builder().address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    PeerConnection::builder().loopback(true).socket(socket).build().await.unwrap()
}

async fn described(kaon: &PeerConnection) -> String {
    kaon.set_local_description(None).unwrap();
    timeout(LONG, kaon.gathering_complete()).await.unwrap();
    kaon.local_description().unwrap().text()
}

async fn track(kaon: &PeerConnection) -> RtpReceiver {
    let found = async {
        loop {
            if let PeerConnectionEvent::Track(track) = kaon.next_event().await.unwrap() {
                return track;
            }
        }
    };
    timeout(LONG, found).await.expect("a track")
}

/// Both talk for two seconds, each in a tone of its own.
async fn converse(kaon: &PeerConnection, telephone: &Telephone, theirs: &str) {
    let (Some(high), Some(low)) = (opus_tone(1000, 3), opus_tone(400, 3)) else { return };
    let remote = track(kaon).await;
    timeout(LONG, kaon.connected()).await.expect("in time").expect("a connection");
    let local = kaon.sender(remote.id()).unwrap();
    let codec = local.codec("opus").unwrap();
    assert_eq!(codec.payload_type.value(), OPUS);
    let talking = async {
        let mut tick = interval(Duration::from_millis(20));
        for (number, payload) in high.iter().enumerate() {
            tick.tick().await;
            let timestamp = RtpTimestamp(number as u32 * 960);
            let packet = OutgoingRtp::new(codec.payload_type, timestamp, number == 0, payload.clone().into());
            local.send_rtp(packet).unwrap();
        }
    };
    let listening = async {
        let mut heard = Vec::new();
        while heard.len() < 100 {
            let packet = timeout(LONG, remote.recv_rtp()).await.expect("in time").expect("a packet");
            heard.push(packet.as_packet().payload().to_vec());
        }
        heard
    };
    let ((), by_kaon, by_telephone) = tokio::join!(talking, listening, telephone.talk(theirs, &low));
    assert!(by_telephone.len() >= 100, "{} packets", by_telephone.len());
    for (heard, frequency) in [(by_kaon, 400.0), (by_telephone, 1000.0)] {
        let Some(tone) = Tone::of_opus(heard.iter().map(Vec::as_slice)) else { return };
        assert!(tone.is(frequency), "{tone:?} instead of {frequency} Hz");
    }
}

#[tokio::test]
async fn a_telephone_calls_through_rtpengine() {
    for profile in ["RTP/SAVPF", "UDP/TLS/RTP/SAVP"] {
        let Some(mut gateway) = Gateway::start().await else { return };
        let (kaon, telephone) = (kaon().await, Telephone::new().await);
        kaon.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
        let offer = gateway.pass("offer", &telephone.description(), &towards_kaon(profile)).await;
        assert!(offer.contains(profile) && !offer.contains("a=mid"), "{offer}");
        kaon.set_remote_description(&Description::offer(&offer).unwrap()).unwrap();
        let answer = described(&kaon).await;
        let answer = gateway.pass("answer", &answer, &TOWARDS_TELEPHONE).await;
        converse(&kaon, &telephone, &answer).await;
        kaon.close();
    }
}

#[tokio::test]
async fn a_telephone_is_called_through_rtpengine() {
    let Some(mut gateway) = Gateway::start().await else { return };
    let (kaon, telephone) = (kaon().await, Telephone::new().await);
    // The telephone takes the payload types of the offer.
    let opus = kaon_rtc::peer_connection::Codec::opus();
    let opus = {
        let mut opus = opus;
        opus.preferred_payload_type = PayloadType::from_low_bits(OPUS);
        opus
    };
    let codecs = [opus, kaon_rtc::peer_connection::Codec::pcmu()];
    kaon.add_track(TrackKind::Audio, TransceiverInit::default().codecs(codecs)).unwrap();
    let offer = described(&kaon).await;
    let offer = gateway.pass("offer", &offer, &TOWARDS_TELEPHONE).await;
    let answer = gateway.pass("answer", &telephone.description(), &towards_kaon("UDP/TLS/RTP/SAVPF")).await;
    kaon.set_remote_description(&Description::answer(&answer).unwrap()).unwrap();
    converse(&kaon, &telephone, &offer).await;
    kaon.close();
}
