//! The examples over `peer_connection` as the programs that they are: alone, beside each other, and driven by a
//! peer in this process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use kaon_interop::{Program, missing};
use kaon_rtc::container::{AnnexBReader, IvfReader, OggOpusReader};
use kaon_rtc::layer::RtpTimestamp;
use kaon_rtc::peer_connection::{
    DataChannel, Description, FrameReceiver, PeerConnection, PeerConnectionEvent, TrackKind, TransceiverInit,
};
use serde_json::{Value, json};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);

/// Where the programs are, once they are built.
fn programs() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
        let what = ["--package", "kaon-rtc", "--package", "file_transfer", "--examples", "--bins"];
        let build = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--manifest-path",
                root,
                "--features",
                "kaon-rtc/peer-connection,kaon-rtc/container",
            ])
            .args(what)
            .status();
        assert!(build.unwrap().success());
        // This test is in `deps`.
        std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned()
    })
}

fn example(name: &str) -> Command {
    Command::new(programs().join("examples").join(name))
}

/// A folder of its own for a test, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a program that ends by itself and tells what it has printed.
fn run(name: &str, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = example(name).args(arguments).output().unwrap();
    let printed = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{name}: {}\n{printed}", String::from_utf8_lossy(&stderr));
    printed
}

/// Hands the offer of one program to another, and its answer back.
fn introduce(offerer: &mut Program, answerer: &mut Program) {
    answerer.tell(&offerer.next_line(LONG));
    offerer.tell(&answerer.next_line(LONG));
}

#[test]
fn data_channel() {
    let printed = run("data_channel", &[]);
    assert!(printed.contains("alice hears: Some(\"HELLO\")"), "{printed}");
    assert!(printed.contains("alice hears: 100000 bytes"), "{printed}");
    assert!(printed.contains("bob has noticed that alice is gone"), "{printed}");
}

#[test]
fn trickle() {
    let printed = run("trickle", &[]);
    assert!(printed.contains("bob hears Some(\"hello\")"), "{printed}");
    let candidates = printed.lines().filter(|line| line.starts_with("alice signals {\"candidate\""));
    assert!(candidates.count() >= 2, "{printed}");
    assert!(!printed.contains("\"sdpMid\":null"), "{printed}");
}

#[test]
fn perfect_negotiation() {
    let printed = run("perfect_negotiation", &[]);
    assert!(printed.contains("bob ignores an offer"), "{printed}");
    assert!(printed.contains("alice takes the own offer back"), "{printed}");
    assert!(printed.contains("round 5: both agree on 10 media sections\nconnected"), "{printed}");
}

#[test]
fn single_port() {
    many_on_one_port("single_port");
}

#[test]
fn endpoint_loop() {
    many_on_one_port("endpoint_loop");
}

fn many_on_one_port(name: &str) {
    let printed = run(name, &["12"]);
    let address = printed.lines().next().unwrap().strip_prefix("the server is at ").unwrap();
    for client in 0..12 {
        assert!(printed.contains(&format!("client {client} is told: {address} <- ")), "{printed}");
    }
}

#[test]
fn chat() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut listens = Program::start(example("chat").args(["listen", &address]));
    // Until it does, the other is refused.
    let mut connects = (0..100)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(50));
            let program = Program::start(example("chat").args(["connect", &address]));
            let said = program.lines.recv_timeout(LONG).ok();
            said.is_some_and(|line| line == "connected").then_some(program)
        })
        .expect("it connects");
    assert_eq!(listens.next_line(LONG), "connected");
    connects.tell("hello");
    assert_eq!(listens.next_line(LONG), "> hello");
    listens.tell("and hello");
    assert_eq!(connects.next_line(LONG), "> and hello");
    assert!(connects.finish(LONG).unwrap().success());
    assert!(listens.finish(LONG).unwrap().success());
}

#[test]
fn broadcast() {
    let printed = run("broadcast", &["6"]);
    for subscriber in 0..6 {
        assert!(printed.contains(&format!("subscriber {subscriber} saw frames ")), "{printed}");
    }
}

#[test]
fn stats() {
    let printed = run("stats", &["2"]);
    for kind in ["outbound-rtp", "inbound-rtp", "data-channel", "candidate-pair", "transport"] {
        assert!(printed.contains(kind), "{kind}: {printed}");
    }
}

#[test]
fn bad_input_is_one_line_and_exit_code_2() {
    let binary = |name: &str| match name {
        "file_transfer" => Command::new(programs().join(name)),
        name => example(name),
    };
    let flags: [(&str, &[&str]); 20] = [
        ("reflect", &["--signal", "smoke"]),
        ("trickle", &["turn:nowhere"]),
        ("single_port", &["many"]),
        ("endpoint_loop", &["many"]),
        ("broadcast", &["many"]),
        ("chat", &["lsiten", "127.0.0.1:0"]),
        ("stun_query", &["nowhere"]),
        ("stun_query", &["--timeout", "long", "127.0.0.1:9"]),
        ("nat_behavior", &["stun.example.org"]),
        ("nat_behavior", &["turns:localhost"]),
        ("nat_behavior", &["--serve", "127.0.0.1:3478", "127.0.0.1:3479"]),
        ("dtls_only", &["client", "here"]),
        ("dtls_only", &["client", "127.0.0.1:9", "sha-256"]),
        ("sctp_only", &["connect", "here"]),
        ("stats", &["long"]),
        ("play_from_disk", &[]),
        ("play_from_disk", &["/nowhere.ivf"]),
        ("save_to_disk", &[]),
        ("file_transfer", &["sned", "file"]),
        ("file_transfer", &["send", "/nowhere"]),
    ];
    let refused = |name: &str, output: Output, expected: &str| {
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.starts_with("error: ") && said.contains(expected), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
    };
    for (name, arguments) in flags {
        refused(name, binary(name).args(arguments).output().unwrap(), "");
    }

    let descriptions = [
        ("hello", "no line of JSON"),
        ("{\"type\":\"offer\"}", "\"sdp\" is missing"),
        ("{\"type\":\"bid\",\"sdp\":\"\"}", "expected offer"),
        ("{\"type\":\"offer\",\"sdp\":\"v=0\\r\\nnonsense\\r\\n\"}", "line 2"),
        ("{\"type\":\"rollback\",\"sdp\":\"\"}", "expected an offer"),
    ];
    let folder = folder("bad");
    let folder = folder.to_str().unwrap();
    for (line, expected) in descriptions {
        for (name, arguments) in
            [("reflect", &[][..]), ("save_to_disk", &[folder]), ("file_transfer", &["receive", folder])]
        {
            let file = Path::new(folder).join("line");
            std::fs::write(&file, format!("{line}\n")).unwrap();
            let output = binary(name).args(arguments).stdin(File::open(file).unwrap()).output().unwrap();
            refused(name, output, expected);
        }
    }
}

/// Two processes of `file_transfer` that have been introduced, and what each says of its progress.
fn transfer(file: &Path, to: &Path) -> (Program, Program) {
    let program = |verb: &str, path: &Path| {
        let log = File::create(to.with_extension(verb)).unwrap();
        let mut command = Command::new(programs().join("file_transfer"));
        Program::start(command.arg(verb).arg(path).stderr(log))
    };
    let (mut sender, mut receiver) = (program("send", file), program("receive", to));
    introduce(&mut sender, &mut receiver);
    (sender, receiver)
}

fn both_succeed((mut sender, mut receiver): (Program, Program), to: &Path) -> String {
    let said = || std::fs::read_to_string(to.with_extension("receive")).unwrap();
    assert!(receiver.finish(LONG).is_some_and(|status| status.success()), "{}", said());
    assert!(sender.finish(LONG).is_some_and(|status| status.success()), "{}", said());
    said()
}

#[test]
fn a_file_arrives_intact_and_its_transfer_goes_on_after_a_kill() {
    let folder = folder("file_transfer");
    let (file, to) = (folder.join("big.bin"), folder.join("here"));
    std::fs::create_dir(&to).unwrap();
    let content: Vec<u8> =
        (0..20u32 << 18).flat_map(|word| word.wrapping_mul(0x9e37_79b1).to_le_bytes()).collect();
    assert_eq!(content.len(), 20 << 20);
    std::fs::write(&file, &content).unwrap();

    let part = to.join("big.bin.part");
    let part_len = || std::fs::metadata(&part).map_or(0, |metadata| metadata.len());
    let programs = transfer(&file, &to);
    while part_len() < 1 << 20 {
        assert!(!to.join("big.bin").exists());
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(programs);
    let kept = part_len();
    assert!(kept < 20 << 20, "the kill came too late");

    let said = both_succeed(transfer(&file, &to), &to);
    assert!(said.contains(&format!("receiving big.bin from byte {kept}\n")), "{said}");
    assert!(std::fs::read(to.join("big.bin")).unwrap() == content);
    assert!(!part.exists());

    // A part that is of something else is not gone on with.
    std::fs::remove_file(to.join("big.bin")).unwrap();
    std::fs::write(&part, vec![1; 5 << 20]).unwrap();
    let said = both_succeed(transfer(&file, &to), &to);
    assert!(said.contains("receiving big.bin from byte 0\n"), "{said}");
    assert!(std::fs::read(to.join("big.bin")).unwrap() == content);
}

fn ffmpeg(arguments: &[&str]) {
    let output =
        Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn ivf_frames(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = IvfReader::new(File::open(path).unwrap()).unwrap();
    assert_eq!((reader.header().width, reader.header().height), (320, 240));
    std::iter::from_fn(|| reader.read_frame().unwrap().map(|frame| frame.data.to_vec())).collect()
}

/// The NAL units of each access unit: start codes come in two lengths.
fn access_units(path: &Path) -> Vec<Vec<Vec<u8>>> {
    let mut reader = AnnexBReader::new(File::open(path).unwrap());
    let next = || Some(reader.read_access_unit().unwrap()?.units().map(<[u8]>::to_vec).collect());
    std::iter::from_fn(next).collect()
}

fn opus_packets(path: &Path) -> Vec<Vec<u8>> {
    let mut reader = OggOpusReader::new(File::open(path).unwrap()).unwrap();
    std::iter::from_fn(|| reader.read_packet().unwrap().map(|packet| packet.data.to_vec())).collect()
}

#[test]
fn what_is_played_from_disk_is_what_is_saved_to_disk() {
    if let Err(error) = Command::new("ffmpeg").arg("-version").output() {
        return missing("ffmpeg", &error.to_string());
    }
    let folder = folder("disk");
    let path = |name: &str| folder.join(name);
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30:duration=2"];
    let encode = |name: &str, source: &[&str], options: &[&str]| {
        ffmpeg(&[source, options, &[path(name).to_str().unwrap()]].concat());
    };
    encode("eight.ivf", &picture, &["-c:v", "libvpx", "-b:v", "1M"]);
    encode("nine.ivf", &picture, &["-c:v", "libvpx-vp9", "-deadline", "realtime", "-b:v", "1M"]);
    let h264 = ["-c:v", "libx264", "-profile:v", "baseline", "-bf", "0", "-g", "30", "-pix_fmt", "yuv420p"];
    encode("avc.h264", &picture, &h264);
    encode("sound.ogg", &["-f", "lavfi", "-i", "sine=duration=2"], &["-c:a", "libopus"]);

    let names = ["eight.ivf", "avc.h264", "sound.ogg", "nine.ivf"];
    let mut player = Program::start(example("play_from_disk").args(names.map(path)));
    let mut saver = Program::start(example("save_to_disk").arg(path("copy")));
    introduce(&mut player, &mut saver);
    assert!(player.finish(LONG).is_some_and(|status| status.success()));
    assert!(saver.finish(LONG).is_some_and(|status| status.success()));

    assert_eq!(ivf_frames(&path("eight.ivf")).len(), 60);
    assert!(ivf_frames(&path("eight.ivf")) == ivf_frames(&path("copy-0.ivf")));
    assert_eq!(access_units(&path("avc.h264")).len(), 60);
    assert!(access_units(&path("avc.h264")) == access_units(&path("copy-1.h264")));
    assert!(opus_packets(&path("sound.ogg")).len() >= 100);
    assert!(opus_packets(&path("sound.ogg")) == opus_packets(&path("copy-2.ogg")));
    assert!(ivf_frames(&path("nine.ivf")) == ivf_frames(&path("copy-3.ivf")));
    // And ffmpeg reads what was saved.
    for copy in ["copy-0.ivf", "copy-1.h264", "copy-2.ogg", "copy-3.ivf"] {
        ffmpeg(&["-i", path(copy).to_str().unwrap(), "-f", "null", "-"]);
    }
}

/// Offers to a program that answers on its standard output.
async fn offer_to(program: &mut Program, connection: &PeerConnection) {
    connection.set_local_description(None).unwrap();
    connection.gathering_complete().await;
    let offer = connection.local_description().unwrap();
    program.tell(&json!({ "type": "offer", "sdp": offer.text() }).to_string());
    let answer: Value = serde_json::from_str(&program.next_line(LONG)).unwrap();
    assert_eq!(answer["type"], "answer");
    let answer = Description::answer(answer["sdp"].as_str().unwrap()).unwrap();
    connection.set_remote_description(&answer).unwrap();
}

async fn messages_come_back(chat: &DataChannel) {
    let large = Bytes::from_iter((0..100_000u32).map(|at| at as u8));
    chat.send_text("hello").await.unwrap();
    chat.send(large.clone()).await.unwrap();
    assert_eq!(timeout(LONG, chat.recv()).await.unwrap().unwrap().text(), Some("hello"));
    let back = timeout(LONG, chat.recv()).await.unwrap().unwrap();
    assert_eq!(back.text(), None);
    assert!(back.into_data() == large);
}

async fn frames_of(connection: &PeerConnection) -> FrameReceiver {
    loop {
        if let PeerConnectionEvent::Track(track) = connection.next_event().await.unwrap() {
            return track.frames();
        }
    }
}

#[tokio::test]
async fn reflect_sends_messages_and_pictures_back() {
    let mut reflect = Program::start(example("reflect").args(["--signal", "stdio"]));
    let connection = PeerConnection::builder().loopback(true).build().await.unwrap();
    let chat = connection.create_data_channel("chat").unwrap();
    let track = connection.add_track(TrackKind::Video, TransceiverInit::default()).unwrap();
    offer_to(&mut reflect, &connection).await;
    timeout(LONG, connection.connected()).await.unwrap().unwrap();
    messages_come_back(&chat).await;

    let mut back = timeout(LONG, frames_of(&connection)).await.unwrap();
    let mut frames = track.frames(&track.codec("VP8").unwrap()).unwrap();
    for number in 0..50u8 {
        let head = [u8::from(number != 0), 1, 1, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01];
        let frame: Vec<u8> =
            head.into_iter().chain(std::iter::repeat_n(number, 50 * usize::from(number))).collect();
        frames.send(&frame, RtpTimestamp(3000 * u32::from(number))).unwrap();
        let returned = timeout(LONG, back.recv()).await.unwrap().unwrap();
        assert!(returned.data == frame && returned.contiguous, "frame {number}");
        assert_eq!(returned.timestamp, RtpTimestamp(3000 * u32::from(number)));
    }
    connection.close();
    assert!(reflect.finish(Duration::from_secs(10)).is_some_and(|status| status.success()));
}
