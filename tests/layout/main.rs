//! The rules of the house, read off the source: which layer may import which, no circles between files, and
//! nothing ambient in a layer. docs/architecture.md has the table in prose.

#![allow(missing_docs, clippy::unwrap_used)]

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source::{Crate, ModulePath};

/// What each folder of `src/` may import from the crate, besides itself.
const IMPORTS: [(&str, &[&str]); 21] = [
    ("layer", &[]),
    ("crypto", &[]),
    ("stun", &["layer", "crypto"]),
    ("ice", &["layer", "crypto", "stun"]),
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
    ("net", &["layer"]),
    // Of this library nothing but the traits and the packets that are converted.
    ("adapters", &["layer", "rtp"]),
    // Everything: it puts the outside world and a session together.
    (
        "peer_connection",
        &[
            "layer",
            "crypto",
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
