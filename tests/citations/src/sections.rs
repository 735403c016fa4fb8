//! The sections of the RFCs.

use std::collections::BTreeMap;

use crate::citation::{Document, Section};

/// The tables of contents in `sections.txt`.
#[derive(Debug)]
pub(crate) struct Sections(BTreeMap<Document, Contents>);

#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) title: String,
    pub(crate) sections: BTreeMap<Section, String>,
}

/// RFCs whose sections `sections.txt` does not have, so that nobody can say whether a cited one exists.
const NOT_AT_HAND: [u32; 4] = [3720, 9562, 9653, 9725];

/// How the titles of sections begin that ask nothing of an implementation.
const ASK_NOTHING: [&str; 46] = [
    "Abbreviations",
    "Acknowledg",
    "Applicability",
    "Author",
    "Background",
    "Changes",
    "Contributors",
    "Conventions",
    "Current Locations",
    "Definitions",
    "Deployment",
    "Design",
    "Document",
    "Example",
    "Full Copyright",
    "Glossary",
    "Goals",
    "History",
    "IANA",
    "Illustrative",
    "Implementation Status",
    "Informative Appendix",
    "Informative References",
    "Intellectual Property",
    "Introduction",
    "Key Words",
    "Motivation",
    "Normative References",
    "Notation",
    "Overview",
    "Presentation Language",
    "Problem Statement",
    "Protocol Overview",
    "RTP Use Scenarios",
    "Rationale",
    "References",
    "Relation",
    "Requirements",
    "Scope",
    "Security Considerations",
    "Socket API",
    "Sockets API",
    "Summary",
    "Terms",
    "Update to",
    "Use Cases",
];

/// What else such titles contain.
const ABOUT_WORDS: [&str; 2] = ["Terminology", "Examples"];

impl Sections {
    pub(crate) fn read() -> Self {
        Self::parse(include_str!("../sections.txt"))
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut tables: BTreeMap<Document, Contents> = BTreeMap::new();
        let mut document = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (first, rest) = line.split_once(' ').unwrap_or_else(|| panic!("without a title: {line}"));
            if first == "RFC" {
                let (number, title) =
                    rest.split_once(' ').unwrap_or_else(|| panic!("without a title: {line}"));
                let number = number.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
                let contents = Contents { title: title.to_owned(), sections: BTreeMap::new() };
                tables.insert(Document::Rfc(number), contents);
                document = Some(Document::Rfc(number));
            } else {
                let section = Section::parse(first).unwrap_or_else(|| panic!("no section: {line}"));
                let table = document.as_ref().and_then(|document| tables.get_mut(document));
                let table = table.unwrap_or_else(|| panic!("before the first RFC: {line}"));
                table.sections.insert(section, rest.to_owned());
            }
        }
        Self(tables)
    }

    pub(crate) fn of(&self, document: &Document) -> Option<&Contents> {
        self.0.get(document)
    }

    /// Whether the document has the section, as far as is known.
    pub(crate) fn has(&self, document: &Document, section: &Section) -> bool {
        match (self.of(document), document) {
            (Some(contents), _) => contents.sections.contains_key(section),
            (None, Document::Rfc(number)) => NOT_AT_HAND.contains(number),
            (None, Document::Other(_)) => true,
        }
    }

    /// The sections that stand beside `first` and before `last`.
    pub(crate) fn between(&self, document: &Document, first: &Section, last: &Section) -> Vec<Section> {
        let sections = self.of(document).into_iter().flat_map(|contents| contents.sections.keys());
        let within =
            sections.filter(|section| *section > first && *section < last && section.is_beside(first));
        within.cloned().collect()
    }
}

impl Contents {
    /// What asks something of an implementation and is not in `cited`, the sections below it left out where none of
    /// them is.
    pub(crate) fn without(&self, cited: &[&Section]) -> Vec<(&Section, &str)> {
        let mut found: Vec<(&Section, &str)> = Vec::new();
        let mut silent: Option<&Section> = None;
        for (section, title) in self.sections.iter().filter(|(section, _)| !section.is_appendix()) {
            if silent.is_some_and(|silent| section.is_within(silent)) {
                continue;
            }
            if asks_nothing(title) {
                silent = Some(section);
            } else if !cited.iter().any(|cited| cited.is_within(section))
                && !found.last().is_some_and(|(above, _)| section.is_within(above))
            {
                found.push((section, title));
            }
        }
        found
    }
}

fn asks_nothing(title: &str) -> bool {
    ASK_NOTHING.iter().any(|start| title.starts_with(start))
        || ABOUT_WORDS.iter().any(|word| title.contains(word))
}
