//! The rules of the house, read off the source: which layer may import which, no circles between files, and
//! nothing ambient in a layer. docs/architecture.md has the table in prose.

#![allow(missing_docs, clippy::unwrap_used)]

mod documentation;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use documentation::Documented;
use source::{Crate, ModulePath};

/// What each folder of `src/` may import from the crate, besides itself.
const IMPORTS: [(&str, &[&str]); 22] = [
    ("layer", &[]),
    ("crypto", &[]),
    ("stun", &["layer", "crypto"]),
    ("turn", &["layer", "crypto", "stun"]),
    ("ice", &["layer", "crypto", "stun", "turn"]),
    ("dtls", &["layer", "crypto"]),
    ("srtp", &["layer", "crypto"]),
    ("sctp", &["layer", "crypto"]),
    // Not `sctp`: only its trait, which is in `layer`.
    ("datachannel", &["layer"]),
    ("rtp", &["layer"]),
    ("rtcp", &["layer"]),
    ("sdp", &["layer"]),
    ("media", &["layer", "rtp", "rtcp"]),
    ("container", &["layer", "rtp"]),
    (
        "session",
        &[
            "layer",
            "crypto",
            "stun",
            "ice",
            "dtls",
            "srtp",
            "sctp",
            "datachannel",
            "rtp",
            "rtcp",
            "sdp",
            "media",
        ],
    ),
    ("endpoint", &["layer", "stun", "session"]),
    ("sim", &["layer", "crypto"]),
    ("guide", &[]),
    ("conformance", &["layer", "crypto", "sim"]),
    ("net", &["layer", "crypto", "stun", "turn", "dtls"]),
    // Of this library nothing but the traits and the packets that are converted.
    ("adapters", &["layer", "rtp"]),
    // Everything: it puts the outside world and a session together.
    (
        "peer_connection",
        &[
            "layer",
            "crypto",
            "stun",
            "ice",
            "dtls",
            "sctp",
            "datachannel",
            "rtp",
            "media",
            "sdp",
            "session",
            "endpoint",
            "net",
        ],
    ),
];

/// Clocks, random sources, locks and process-wide state, by the last segments of their paths.
const AMBIENT: [&str; 12] = [
    "Instant::now",
    "SystemTime::now",
    "UNIX_EPOCH",
    "thread::sleep",
    "getrandom::fill",
    "rand::fill",
    "SystemRandom::new",
    "Mutex::new",
    "RwLock::new",
    "OnceLock::new",
    "LazyLock::new",
    "thread_local",
];

/// Where the outside world is let in: a provider's own random source, sockets, and the tasks of other crates.
const AMBIENT_ALLOWED: [&str; 5] =
    ["adapters", "crypto::aws_lc_rs", "crypto::rust_crypto", "net", "peer_connection"];

/// What a user names first, by the folder that it is of. Each has an example.
const HANDLES: [(&str, &[&str]); 18] = [
    (
        "peer_connection",
        &[
            "PeerConnection",
            "PeerConnectionBuilder",
            "PeerConnectionHandler",
            "PeerConnectionEvent",
            "PeerConnectionError",
            "Endpoint",
            "EndpointBuilder",
            "DataChannel",
            "DataChannelStream",
            "Message",
            "RtpSender",
            "FrameSender",
            "RtpReceiver",
            "FrameReceiver",
            "RtpPacket",
            "StableId",
        ],
    ),
    (
        "session",
        &[
            "Session",
            "SessionConfig",
            "Transceiver",
            "TransceiverInit",
            "Description",
            "MediaConfig",
            "OutgoingRtp",
        ],
    ),
    ("endpoint", &["Endpoint"]),
    ("ice", &["Agent"]),
    ("dtls", &["Connection", "Listener", "Identity", "Config"]),
    ("srtp", &["Context"]),
    ("sctp", &["Association", "Config"]),
    ("datachannel", &["DataChannels"]),
    (
        "net",
        &["Driver", "UdpSocket", "ReceiveBatch", "PortRange", "InterfaceWatcher", "FramedStream", "Resolver"],
    ),
    (
        "stun",
        &[
            "Message",
            "MessageBuilder",
            "BindingClient",
            "CredentialsClient",
            "DiscoveryClient",
            "StreamFraming",
            "ServerUrl",
        ],
    ),
    ("turn", &["Client", "ChannelData", "RelayHead"]),
    ("rtp", &["Packet", "PacketMut", "PacketWriter", "OwnedPacket"]),
    ("rtcp", &["CompoundWriter", "TransportFeedbackBuilder"]),
    ("sdp", &["SessionDescription"]),
    ("media", &["FrameAssembler", "NackGenerator", "PacketCache", "PacketPool"]),
    ("container", &["IvfReader", "IvfWriter", "AnnexBReader", "OggOpusReader", "RtpdumpReader"]),
    ("sim", &["Network", "Simulation"]),
    ("layer", &["Candidate", "TransmitBatch"]),
];

/// Folders whose page needs no example of its own: a list of documents, and one of other crates.
const PAGES_WITHOUT_EXAMPLE: [&str; 2] = ["guide", "adapters"];

fn forbidden_imports(krate: &Crate) -> Vec<String> {
    let allowed: BTreeMap<_, _> = IMPORTS.into_iter().collect();
    let mut found = Vec::new();
    for (from, to) in krate.imports() {
        let (Some(from_layer), Some(to_layer)) = (from.layer(), to.layer()) else { continue };
        if from_layer == to_layer {
            continue;
        }
        match allowed.get(from_layer) {
            Some(layers) if layers.contains(&to_layer) => {}
            Some(_) => found.push(format!("{from} imports {to}, which the layer {from_layer} may not")),
            None => found.push(format!("{from} is of a layer that the table does not have")),
        }
    }
    found
}

/// Groups of files that import each other.
fn circles(krate: &Crate) -> Vec<String> {
    let mut edges: BTreeMap<ModulePath, BTreeSet<ModulePath>> = BTreeMap::new();
    for (from, to) in krate.imports() {
        if from != to {
            edges.entry(from).or_default().insert(to);
        }
    }
    // What is left after taking away files that import nothing left is a circle, or imports one.
    loop {
        let leaves: Vec<_> = edges
            .keys()
            .filter(|file| edges[*file].iter().all(|to| !edges.contains_key(to)))
            .cloned()
            .collect();
        if leaves.is_empty() {
            break;
        }
        leaves.iter().for_each(|leaf| drop(edges.remove(leaf)));
    }
    edges.iter().map(|(file, to)| format!("{file} -> {to:?}")).collect()
}

fn ambient(krate: &Crate) -> Vec<String> {
    let is_ambient = |path: &str| {
        AMBIENT.iter().any(|ambient| path == *ambient || path.ends_with(&format!("::{ambient}")))
    };
    krate
        .paths()
        .filter(|(module, path)| {
            is_ambient(path) && !AMBIENT_ALLOWED.iter().any(|allowed| module.is_within(allowed))
        })
        .map(|(module, path)| format!("{module} uses {path}"))
        .collect()
}

fn this_crate() -> Crate {
    Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn layers_import_only_what_is_below_them() {
    let krate = this_crate();
    let layers: BTreeSet<_> = krate.modules().filter_map(|module| module.layer()).collect();
    assert_eq!(layers, IMPORTS.iter().map(|(layer, _)| *layer).collect(), "the table has every folder");
    assert_eq!(forbidden_imports(&krate), Vec::<String>::new());
}

#[test]
fn files_do_not_import_in_circles() {
    assert_eq!(circles(&this_crate()), Vec::<String>::new());
}

#[test]
fn no_layer_reads_a_clock_or_a_random_source_or_takes_a_lock() {
    assert_eq!(ambient(&this_crate()), Vec::<String>::new());
}

#[test]
fn every_handle_and_every_module_has_an_example() {
    let documented = Documented::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let handles = HANDLES.iter().flat_map(|(layer, names)| names.iter().map(move |name| (*layer, *name)));
    let pages = IMPORTS.iter().map(|(layer, _)| (*layer, "")).filter(|(layer, _)| {
        let has_none = PAGES_WITHOUT_EXAMPLE.contains(layer);
        assert!(!(has_none && documented.has_example(layer, "")), "{layer} has one");
        !has_none
    });
    let without: Vec<_> =
        handles.chain(pages).filter(|(layer, name)| !documented.has_example(layer, name)).collect();
    assert_eq!(without, Vec::<(&str, &str)>::new());
}

#[test]
fn every_number_of_a_configuration_says_its_default() {
    let documented = Documented::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert_eq!(documented.without_default, Vec::<String>::new());
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let files = source::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let is_of_tests = |name: &str| name.split(['/', '.']).any(|part| part == "tests");
    let silent: Vec<_> = files
        .iter()
        .filter(|(name, text)| !is_of_tests(name) && !text.starts_with("//!"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(silent, Vec::<&String>::new());
}

/// The compiler and clippy see what is public in the end, as no reader of source text does.
#[test]
fn every_public_item_is_asked_for_its_documentation_and_its_errors() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    for lint in ["missing_docs", "missing_errors_doc"] {
        assert!(manifest.lines().any(|line| line == format!("{lint} = \"warn\"")), "{lint} is on");
    }
    // Warnings are errors there.
    let run = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run")).unwrap();
    assert!(run.contains("cargo clippy --all-targets --all-features -- -D warnings"));
}

/// Lines of the example programs that have code.
fn lines_of_code(text: &str) -> usize {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

/// Those of the first example in the documentation of a file, without what is hidden.
fn lines_of_first_example(text: &str) -> usize {
    let lines =
        text.lines().map(|line| line.trim().trim_start_matches("//!").trim_start_matches("///").trim());
    let example = lines.skip_while(|line| !line.contains("```")).skip_while(|line| line.contains("```"));
    let shown = example.take_while(|line| !line.contains("```")).filter(|line| !line.starts_with("# "));
    lines_of_code(&shown.collect::<Vec<_>>().join("\n"))
}

#[test]
fn programs_have_as_many_lines_as_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/migrating.md")).unwrap();
    let mut programs = 0;
    for row in page.lines().filter(|line| line.starts_with('|') && line.contains("](../")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let files = cells[2].split("](../").skip(1).filter_map(|rest| rest.split(')').next());
        let counted = files.map(|file| {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            if file.starts_with("src/") { lines_of_first_example(&text) } else { lines_of_code(&text) }
        });
        assert_eq!(cells[3], counted.sum::<usize>().to_string(), "{row}");
        programs += 1;
    }
    assert_eq!(programs, 7);
    assert_eq!(lines_of_code("// One.\n\nfn f() {\n    g(); // here\n}\n"), 3);
    let hidden = "#![cfg_attr(a, doc = \"```\")]\n#![cfg_attr(b, doc = \"```ignore\")]\n\
                  //! # hidden();\n//! shown();\n//! ```";
    assert_eq!(lines_of_first_example(hidden), 1);
}

#[test]
fn every_document_is_a_page_of_the_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = std::fs::read_to_string(root.join("src/guide.rs")).unwrap();
    for document in std::fs::read_dir(root.join("docs")).unwrap() {
        let name = document.unwrap().file_name().into_string().unwrap();
        assert!(guide.contains(&format!("../docs/{name}")), "{name}");
    }
}

#[test]
fn every_gap_in_the_documentation_is_found() {
    let mut documented = Documented::default();
    documented.add("rtp/mod.rs", "//! Packets.\n");
    documented.add("rtp/a.rs", "/// A.\npub struct A;\n/// ```\n/// f();\n/// ```\npub struct B;");
    let fenced = "#[cfg_attr(feature = \"a\", doc = \"```\")]\n/// f();\n/// ```\npub struct C;";
    documented.add("rtp/c.rs", fenced);
    for (name, has_example) in [("", false), ("A", false), ("B", true), ("C", true), ("D", false)] {
        assert_eq!(documented.has_example("rtp", name), has_example, "{name}");
    }
    let config = "pub struct Config { /// One by default.\npub a: u32, /// Some.\npub b: Option<u64>, \
                  /// Any.\npub c: String, /// Some.\nd: u32 }\nstruct OtherConfig { pub e: u32 }";
    documented.add("rtp/config.rs", config);
    assert_eq!(documented.without_default, ["rtp::config::Config::b"]);
}

#[test]
fn every_fault_is_found() {
    let with = |files: &[(&str, &str)]| Crate::parse(files.iter().copied());
    let upward = with(&[
        ("lib.rs", "pub mod srtp; pub mod dtls;"),
        ("srtp/mod.rs", "use crate::dtls::Connection;"),
        ("dtls/mod.rs", "pub struct Connection;"),
    ]);
    assert_eq!(forbidden_imports(&upward).len(), 1);
    let by_path = with(&[
        ("lib.rs", "pub mod rtp; pub mod ice;"),
        ("rtp/mod.rs", "fn f() { crate::ice::g() }"),
        ("ice/mod.rs", "pub fn g() {}"),
    ]);
    assert_eq!(forbidden_imports(&by_path).len(), 1);

    let circle = with(&[
        ("lib.rs", "pub mod rtp;"),
        ("rtp/mod.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
        ("rtp/a.rs", "use super::B; pub struct A(B);"),
        ("rtp/b.rs", "use super::A; pub struct B(Option<Box<A>>);"),
    ]);
    assert_eq!(circles(&circle).len(), 2);
    let through_re_exports = with(&[
        ("lib.rs", "pub mod rtp;"),
        ("rtp/mod.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
        ("rtp/a.rs", "pub struct A;"),
        ("rtp/b.rs", "use super::A; pub struct B(A);"),
    ]);
    assert_eq!(circles(&through_re_exports), Vec::<String>::new());

    for code in [
        "fn f() { std::time::Instant::now(); }",
        "use std::time::Instant; fn f() { Instant::now(); }",
        "fn f() { let _ = std::sync::Mutex::new(1); }",
        "thread_local! { static X: u8 = 1; }",
        "fn f() { let _ = vec![std::time::SystemTime::now()]; }",
    ] {
        assert_eq!(ambient(&with(&[("lib.rs", "mod rtp;"), ("rtp/mod.rs", code)])).len(), 1, "{code}");
    }
    let in_a_test = "#[cfg(test)] mod tests { fn f() { std::time::Instant::now(); } }";
    assert_eq!(ambient(&with(&[("lib.rs", "mod rtp;"), ("rtp/mod.rs", in_a_test)])), Vec::<String>::new());
}
