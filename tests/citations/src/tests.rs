use super::*;
use crate::citation::{Document, Mention, Section, Style, citations, mentions};
use crate::comments::{Kind, comments};
use crate::items::Items;

mod guide;

const SECTIONS: &str = "\
# A comment.
RFC 8445 ICE
1 Introduction
1.1 Aims
5 Gathering
5.1 Full
5.1.1 Candidates
5.1.2 Priorities
5.1.3 Redundancy
5.2 Lite
7 Checks

RFC 3550 RTP
6 RTCP
6.1 Format
6.2 Interval
A Algorithms
A.1 Validity
A.2 RTCP
A.3 Losses
";

fn sections() -> Sections {
    Sections::parse(SECTIONS)
}

fn section(number: &str) -> Section {
    Section::parse(number).unwrap()
}

/// What a comment cites, written out.
fn cited_by(text: &str, style: Style) -> Vec<String> {
    let cited = citations(&mentions(text, style), None, &sections()).unwrap();
    let cited = cited.into_iter().map(|(document, section)| match section {
        Some(section) => format!("{document} {section}"),
        None => document.to_string(),
    });
    cited.collect()
}

#[test]
fn the_page_is_that_of_the_source() {
    let sections = Sections::read();
    let tree = Tree::read(root(), &sections);
    let written = std::fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    assert!(page(&tree, &sections).unwrap() == written, "{PAGE} is stale; `{}` renews it", page::COMMAND);
}

#[test]
fn every_cited_section_exists() {
    assert_eq!(Tree::read(root(), &Sections::read()).faults, Vec::<String>::new());
}

#[test]
fn every_form_of_citation_is_read() {
    for (text, expected) in [
        ("RFC 8445 §5.1.2: higher is better.", vec!["RFC 8445 5.1.2"]),
        ("Roles (RFC 8445 §7, §5.1.1).", vec!["RFC 8445 7", "RFC 8445 5.1.1"]),
        ("RFC 3550 §6.1 and RFC 8445 §7", vec!["RFC 3550 6.1", "RFC 8445 7"]),
        ("RFC 8445 §5.1.1 to §5.1.3", vec!["RFC 8445 5.1.1", "RFC 8445 5.1.2", "RFC 8445 5.1.3"]),
        // The letter of a list in a section.
        ("(RFC 9260 §5.2.4 D), RFC 9260 §6.1 A: closed", vec!["RFC 9260 5.2.4", "RFC 9260 6.1"]),
        ("RFC 3550 §6.1 and its appendix A.2.", vec!["RFC 3550 6.1", "RFC 3550 A.2"]),
        ("RFC 3550 A.1 and A.3: a stray", vec!["RFC 3550 A.1", "RFC 3550 A.3"]),
        ("RFC 3550 appendix A", vec!["RFC 3550 A"]),
        ("FIPS 180-2 appendix A to C: \"abc\"", vec!["FIPS 180-2 A", "FIPS 180-2 C"]),
        ("Ogg Opus, RFC 7845", vec!["RFC 7845"]),
        ("RFC 3264 and W3C WebRTC §4.4", vec!["RFC 3264", "W3C WebRTC 4.4"]),
        ("as H.264 §7.4.1.2.3 says", vec!["H.264 7.4.1.2.3"]),
        (
            "draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1",
            vec!["draft-holmer-rmcat-transport-wide-cc-extensions-01 3.1"],
        ),
        // Names of other things: codecs, appendices of nothing, numbers of things.
        ("G.711 beside H.264, from 1 to 3, and an appendix", vec![]),
    ] {
        assert_eq!(cited_by(text, Style::Comment), expected, "{text}");
    }
    let alone = mentions("§4.3.1.1: a request that is repeated", Style::Comment);
    assert_eq!(alone, [Mention::Section(section("4.3.1.1"))]);
    assert_eq!(citations(&alone, None, &sections()), Err(section("4.3.1.1")));
}

#[test]
fn tables_name_rfcs_by_their_numbers() {
    for (text, expected) in [
        ("8445 §5.1.1.1, 1:1 NAT", vec!["RFC 8445 5.1.1.1"]),
        ("3758, 7496", vec!["RFC 3758", "RFC 7496"]),
        ("4585, 3550 §6", vec!["RFC 4585", "RFC 3550 6"]),
        ("3711 appendix A", vec!["RFC 3711 A"]),
        ("W3C webrtc §4.7.2, §4.8.1.2, webrtc-stats", vec!["W3C WebRTC 4.7.2", "W3C WebRTC 4.8.1.2"]),
        ("6464, 3GPP TS 26.114, REMB-03", vec!["RFC 6464"]),
        ("IVF; rtpdump 1.0", vec![]),
    ] {
        assert_eq!(cited_by(text, Style::Table), expected, "{text}");
    }
}

#[test]
fn sections_stand_in_the_order_of_the_document() {
    let mut numbers = ["A.1", "10", "9.10", "9", "A", "9.9", "B"].map(section);
    numbers.sort();
    assert_eq!(numbers.map(|number| number.to_string()), ["9", "9.9", "9.10", "10", "A", "A.1", "B"]);
}

#[test]
fn comments_are_found_whatever_stands_around_them() {
    let text = "//! Head,\n//! goes on.\n\n// One\n// thing.\nfn f<'a>(a: &'a str) {\n    let b = \"// no\"; // Behind.\n    \
                let c = r#\"\" // no\"#; let d = '\"'; /* A\n block. */\n}\n/// Documented.\nfn g() {}\n";
    let found: Vec<_> =
        comments(text).into_iter().map(|found| (found.kind, found.first_line, found.text)).collect();
    let expected = [
        (Kind::Head, 1, "Head, goes on."),
        (Kind::Plain, 4, "One thing."),
        (Kind::Trailing, 7, "Behind."),
        (Kind::Plain, 8, "A\n block."),
        (Kind::Documentation, 11, "Documented."),
    ];
    assert_eq!(found, expected.map(|(kind, line, text)| (kind, line, text.to_owned())));
}

#[test]
fn items_are_named_without_their_modules() {
    let text = "struct A { b: u8 }\nimpl A {\n    const C: u8 = 1;\n    fn d() {}\n}\ntrait E {\n    fn f();\n}\n\
                #[cfg(test)]\nmod tests {\n    fn g() {}\n    #[tokio::test]\n    async fn h() {}\n}\n\
                proptest! {\n    /// Says.\n    #[test]\n    fn i(a in 0..1) { {} }\n}\n";
    let items = Items::read(text).unwrap().items;
    let names: Vec<_> =
        items.iter().map(|item| (item.name.as_str(), item.is_test_code, item.is_test)).collect();
    assert_eq!(
        names,
        [
            ("A", false, false),
            ("A", false, false),
            ("A::C", false, false),
            ("A::d", false, false),
            ("E", false, false),
            ("E::f", false, false),
            ("tests", true, false),
            ("g", true, false),
            ("h", true, true),
            ("i", true, true),
        ]
    );
    assert_eq!(items.last().map(|item| item.lines.clone()), Some(16..=18));
}

/// Where each comment of these files is, what it cites, and the faults.
fn read(files: &[(&str, &str)]) -> Tree {
    Tree::parse(files.iter().copied(), &sections())
}

fn places(tree: &Tree) -> Vec<String> {
    let places = tree.citing.iter().map(|citing| {
        let (document, section) = &citing.citation;
        let section = section.as_ref().map_or_else(String::new, |section| format!(" {section}"));
        let item = citing.item.as_deref().unwrap_or("the file");
        let kind = if citing.is_test_code { "test" } else { "code" };
        format!("{document}{section}: {} {item}, {kind}", citing.file)
    });
    places.collect()
}

#[test]
fn a_citation_stands_in_the_item_that_it_is_about() {
    let code = "//! RFC 8445 §5.\nmod tests;\n#[cfg(test)]\nmod vectors;\n// RFC 8445 §7.\nfn f() {\n    // RFC 3550 §6.1\n\
                }\nstruct A {\n    /// RFC 3550 §6.2.\n    b: u8,\n}\n";
    let tree =
        read(&[("src/ice/mod.rs", code), ("src/ice/vectors.rs", "/// RFC 3550 A.1\n#[test]\nfn g() {}\n")]);
    assert_eq!(
        places(&tree),
        [
            "RFC 8445 5: src/ice/mod.rs the file, code",
            "RFC 8445 7: src/ice/mod.rs f, code",
            "RFC 3550 6.1: src/ice/mod.rs f, code",
            "RFC 3550 6.2: src/ice/mod.rs A, code",
            "RFC 3550 A.1: src/ice/vectors.rs g, test",
        ]
    );
    assert_eq!(tree.tests.iter().map(|test| &test.name).collect::<Vec<_>>(), ["g"]);
}

#[test]
fn a_section_alone_belongs_to_the_document_that_is_named_around_it() {
    // In its own comment, the item, the item around it, the head of the file, and by the only one of the file.
    for text in [
        "/// RFC 8445 has it\n/// (§7).\nfn f() {}",
        "/// RFC 8445 §5.\nfn f() {\n    // §7: so.\n}",
        "/// RFC 8445 §5.\nstruct A;\n/// RFC 8445\nimpl A {\n    fn f() {\n        // §7\n    }\n}\n/// RFC 3550 §6.\nfn g() {}",
        "//! RFC 8445.\n/// §7.\nfn f() {}\n/// RFC 3550 §6\nfn g() {}",
        "/// §7.\nfn f() {}\n/// RFC 8445 §5, unlike RFC 3550.\nfn g() {}",
    ] {
        let found = places(&read(&[("src/a.rs", text)]));
        assert!(found.iter().any(|place| place.starts_with("RFC 8445 7: ")), "{text}: {found:?}");
    }
    let two = "/// §7.\nfn f() {}\n/// RFC 8445 §5 and RFC 3550 §6.\nfn g() {}";
    let none = "/// §7.\nfn f() {}";
    for text in [two, none] {
        assert_eq!(read(&[("src/a.rs", text)]).faults, ["src/a.rs, f: §7 of which document?"]);
    }
}

#[test]
fn a_section_that_does_not_exist_is_named_with_file_and_item() {
    let tree =
        read(&[("src/ice/a.rs", "impl A {\n    /// RFC 8445 §5.1.9.\n    fn f() {}\n}\n// RFC 9999 §1\n")]);
    assert_eq!(
        tree.faults,
        [
            "src/ice/a.rs, A::f: RFC 8445 has no §5.1.9, or sections.txt does not know it",
            "src/ice/a.rs, the file: RFC 9999 has no §1, or sections.txt does not know it",
        ]
    );
}

#[test]
fn the_page_has_code_tests_and_what_is_cited_nowhere() {
    let tree = read(&[
        ("src/ice/a.rs", "/// RFC 8445 §5.1.1.\nfn f() {}\n"),
        ("tests/sim/ice.rs", "/// RFC 8445 §5.1.1.\n#[test]\nfn g() {}\n#[test]\nfn h() {}\n"),
    ]);
    let conformance = "| 8445 §7 | checks | `sim::ice::{h, unknown}`, with a peer |\n| nothing | | |\n";
    let rows = conformance::rows(conformance, &sections());
    assert_eq!(rows.len(), 1);
    let page = page::write(&tree, &rows, &sections());
    let rows: Vec<_> =
        page.lines().filter(|line| line.starts_with("| §") || line.starts_with("| RFC 8445")).collect();
    assert_eq!(
        rows,
        [
            "| §5.1.1 Candidates | [ice/a.rs](../src/ice/a.rs): `f` | [tests/sim/ice.rs](../tests/sim/ice.rs): `g` |",
            "| §7 Checks |  | [tests/sim/ice.rs](../tests/sim/ice.rs): `h`<br>`sim::ice::unknown` |",
            // Not what asks nothing (§1), and once what is below (§5.1.2).
            "| RFC 8445 | §5.1.2 Priorities<br>§5.1.3 Redundancy<br>§5.2 Lite |",
        ]
    );
    let implemented = Document::Rfc(8445);
    assert!(page.contains(&format!("## {implemented}: ICE")), "{page}");
}

#[test]
fn tests_are_found_by_the_names_of_conformance() {
    let test = "#[test]\nfn f() {}\n";
    let tree = read(&[
        ("src/ice/tests/moves.rs", test),
        ("src/ice/priority.rs", "#[cfg(test)]\nmod tests {\n    #[test]\n    fn ranks() {}\n}\n"),
        ("tests/sim/ice/moves.rs", test),
        ("tests/interop/tests/dtls/main.rs", test),
    ]);
    let find = |name| conformance::find(name, &tree).map(|place| (place.file, place.test));
    let file = |file: &str| Some((file.to_owned(), None));
    assert_eq!(find("sim::ice::moves::f"), Some(("tests/sim/ice/moves.rs".into(), Some("f".into()))));
    assert_eq!(find("ranks"), Some(("src/ice/priority.rs".into(), Some("ranks".into()))));
    assert_eq!(find("ice::tests::moves::*"), file("src/ice/tests/moves.rs"));
    assert_eq!(find("sim::ice::moves"), file("tests/sim/ice/moves.rs"));
    assert_eq!(find("ice::priority::tests"), file("src/ice/priority.rs"));
    assert_eq!(find("interop::dtls"), file("tests/interop/tests/dtls/main.rs"));
    // Of two, none.
    assert_eq!(find("f"), None);
    assert_eq!(find("moves"), None);
}
