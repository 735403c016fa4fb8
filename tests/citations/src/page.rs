//! docs/citations.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::citation::{Citation, Document, Section};
use crate::conformance::{self, Row};
use crate::sections::Sections;
use crate::source::{self, Tree};

/// How the page is made anew.
pub(crate) const COMMAND: &str = "cargo run --package kaon-citations";

/// RFCs that docs/conformance.md names without saying that they are implemented, and why.
const NOT_IMPLEMENTED: [(u32, &str); 4] = [
    (5280, "of certificates only a little is read"),
    (8446, "DTLS 1.2 only meets it in a ClientHello"),
    (8843, "RFC 9143 has taken its place"),
    (9147, "DTLS 1.2 only meets it in a ClientHello"),
];

const HEAD: &str = "\
# Citations

Which section of which document is obeyed where: what the comments of the code and of the tests cite, by the item that \
they stand in. A section counts as shown by a test when the test, its documentation or its module cites it, or when the \
row of [conformance.md](conformance.md) for just this section names the test. Where a comment names a section alone, \
the document is the one that the comments of the same item name before it, else that of the items around it, else that \
of the head of the file.
";

/// The items of one file; none stand for the file.
type Items = BTreeSet<String>;

/// Where a section is obeyed and shown.
#[derive(Debug, Default)]
struct Places {
    code: BTreeMap<String, Items>,
    tests: BTreeMap<String, Items>,
    /// Tests that docs/conformance.md names and that are not one function or one file.
    named: BTreeSet<String>,
}

/// Writes the page.
pub(crate) fn write(tree: &Tree, conformance: &[Row], sections: &Sections) -> String {
    let mut page = HEAD.to_owned();
    page += &format!("\nThis page is written by `{COMMAND}`, and a test fails when it is stale.\n");
    let places = places(tree, conformance);
    let implemented = implemented(conformance);
    let (own, others): (Vec<_>, Vec<_>) =
        places.iter().partition(|((document, _), _)| implemented.contains(document));
    for rows in own.chunk_by(|((a, _), _), ((b, _), _)| a == b) {
        let document = &rows[0].0.0;
        let title = sections.of(document).map(|contents| format!(": {}", contents.title));
        let _ = write!(page, "\n## {document}{}\n\n", title.unwrap_or_default());
        page += "| section | obeyed in | shown by |\n|---|---|---|\n";
        for (citation, places) in rows {
            let _ = writeln!(page, "| {} |{}", section_cell(citation, sections), places.cells());
        }
    }
    page += "\n## Other documents\n\n| document | section | obeyed in | shown by |\n|---|---|---|---|\n";
    for (citation, places) in others {
        let section = section_cell(citation, sections);
        let _ = writeln!(page, "| {} | {section} |{}", citation.0, places.cells());
    }
    page += &cited_nowhere(places.keys(), conformance, sections);
    page
}

impl Places {
    /// The cells of a row behind the section.
    fn cells(&self) -> String {
        let named = self.named.iter().map(|name| format!("`{name}`"));
        let code: Vec<_> = cells(&self.code).collect();
        let tests: Vec<_> = cells(&self.tests).chain(named).collect();
        format!(" {} | {} |", code.join("<br>"), tests.join("<br>"))
    }
}

/// The RFCs that docs/conformance.md has as implemented.
fn implemented(conformance: &[Row]) -> BTreeSet<&Document> {
    let named = conformance.iter().flat_map(|row| &row.citations).map(|(document, _)| document);
    named
        .filter(|named| match named {
            Document::Rfc(number) => NOT_IMPLEMENTED.iter().all(|(not, _)| not != number),
            Document::Other(_) => false,
        })
        .collect()
}

fn section_cell((document, section): &Citation, sections: &Sections) -> String {
    let Some(section) = section else { return "as a whole".to_owned() };
    let title = sections.of(document).and_then(|contents| contents.sections.get(section));
    format!("{} {}", numbered(section), title.map_or("", String::as_str)).trim_end().to_owned()
}

fn numbered(section: &Section) -> String {
    if section.is_appendix() { format!("appendix {section}") } else { format!("§{section}") }
}

/// A link for each file, with the items in it behind it.
fn cells(files: &BTreeMap<String, Items>) -> impl Iterator<Item = String> {
    files.iter().map(|(file, items)| {
        let shown = file.strip_prefix("src/").unwrap_or(file);
        let items: Vec<_> = items.iter().map(|item| format!("`{item}`")).collect();
        let colon = if items.is_empty() { "" } else { ": " };
        format!("[{shown}](../{file}){colon}{}", items.join(", "))
    })
}

fn places(tree: &Tree, conformance: &[Row]) -> BTreeMap<Citation, Places> {
    let mut found: BTreeMap<Citation, Places> = BTreeMap::new();
    for citing in &tree.citing {
        let places = found.entry(citing.citation.clone()).or_default();
        let files = if citing.is_test_code { &mut places.tests } else { &mut places.code };
        files.entry(citing.file.clone()).or_default().extend(citing.item.clone());
    }
    for row in conformance {
        for citation in &row.citations {
            let places = found.entry(citation.clone()).or_default();
            for name in &row.tests {
                match conformance::find(name, tree) {
                    Some(place) => places.tests.entry(place.file).or_default().extend(place.test),
                    None => drop(places.named.insert(name.clone())),
                }
            }
        }
    }
    found
}

fn cited_nowhere<'a>(
    cited: impl Iterator<Item = &'a Citation>,
    conformance: &[Row],
    sections: &Sections,
) -> String {
    let cited: Vec<_> = cited.collect();
    let implemented = implemented(conformance);
    let mut page = "\n## Cited nowhere\n\nOf the RFCs that conformance.md has as implemented, the sections that no \
                    comment cites, nor any section of theirs. Left out are appendices, and what asks nothing of an \
                    implementation, such as introductions, terminology, examples and considerations for IANA. That a \
                    section is not cited does not say that it is not obeyed."
        .to_owned();
    for (number, why) in NOT_IMPLEMENTED {
        let _ = write!(page, " RFC {number} is not here: {why}.");
    }
    let without = implemented.iter().filter(|document| sections.of(document).is_none());
    let without: Vec<_> = without.map(ToString::to_string).collect();
    if !without.is_empty() {
        let _ = write!(page, " The sections of {} are not known here.", without.join(", "));
    }
    page += "\n\n| RFC | sections |\n|---|---|\n";
    for document in implemented {
        let Some(contents) = sections.of(document) else { continue };
        let missing = contents.without(&source::cited(cited.iter().copied(), document));
        if !missing.is_empty() {
            let missing: Vec<_> =
                missing.iter().map(|(section, title)| format!("§{section} {title}")).collect();
            let _ = writeln!(page, "| {document} | {} |", missing.join("<br>"));
        }
    }
    page
}
