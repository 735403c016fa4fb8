//! The citations of a source tree, each with the item that it stands in.

use std::collections::BTreeSet;
use std::path::Path;

use crate::citation::{self, Citation, Document, Mention, Section, Style};
use crate::comments::{self, Comment, Kind};
use crate::items::Items;
use crate::sections::Sections;

/// Folders with code and tests.
const FOLDERS: [&str; 5] = ["benches", "examples", "fuzz/fuzz_targets", "src", "tests"];

/// Folders of other things, and of this program, whose samples cite.
const NOT_READ: [&str; 4] = ["citations", "node_modules", "target", "venv"];

/// A place that cites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Citing {
    pub(crate) citation: Citation,
    /// Below the root of the repository.
    pub(crate) file: String,
    /// The item, or `None` for the file.
    pub(crate) item: Option<String>,
    pub(crate) is_test_code: bool,
}

/// A function that the test runner calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) file: String,
    pub(crate) name: String,
}

/// What was read of a tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) citing: Vec<Citing>,
    pub(crate) tests: Vec<Test>,
    pub(crate) files: BTreeSet<String>,
    /// Sections that belong to no document, or are not in it, with file and item.
    pub(crate) faults: Vec<String>,
}

impl Tree {
    /// Reads the code and the tests of the repository at `root`.
    pub(crate) fn read(root: &Path, sections: &Sections) -> Self {
        let mut paths = Vec::new();
        FOLDERS.iter().for_each(|folder| rust_files(&root.join(folder), &mut paths));
        let files = paths.iter().map(|path| {
            let text =
                std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
            (name, text)
        });
        let files: Vec<_> = files.collect();
        Self::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_str())), sections)
    }

    pub(crate) fn parse<'a>(files: impl Iterator<Item = (&'a str, &'a str)>, sections: &Sections) -> Self {
        let mut files: Vec<_> = files
            .map(|(name, text)| {
                let items = Items::read(text).unwrap_or_else(|error| panic!("{name}: {error}"));
                (name, comments::comments(text), items)
            })
            .collect();
        files.sort_by_key(|(name, ..)| *name);
        let test_modules = files.iter().flat_map(|(name, _, items)| {
            items.test_modules.iter().map(|child| format!("{}/{child}", folder_of_children(name)))
        });
        let test_modules: Vec<_> = test_modules.collect();
        let mut tree = Self::default();
        for (name, comments, items) in &files {
            let module = name.trim_end_matches(".rs").trim_end_matches("/mod");
            let is_test_code = !name.starts_with("src/") && !name.starts_with("examples/")
                || name.starts_with("src/conformance/")
                || name.split('/').any(|part| part == "tests")
                || test_modules.iter().any(|test| module == test || module.starts_with(&format!("{test}/")));
            tree.files.insert((*name).to_owned());
            tree.tests.extend(
                items
                    .items
                    .iter()
                    .filter(|item| item.is_test)
                    .map(|item| Test { file: (*name).to_owned(), name: item.name.clone() }),
            );
            File { name, is_test_code, comments, items, sections }.add_to(&mut tree);
        }
        tree
    }
}

/// Where the modules of a file stand that have files of their own.
fn folder_of_children(file: &str) -> &str {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    if ["mod.rs", "lib.rs", "main.rs"].contains(&name) { folder } else { file.trim_end_matches(".rs") }
}

fn rust_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !NOT_READ.contains(&name.as_str()) {
                rust_files(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

struct File<'a> {
    name: &'a str,
    is_test_code: bool,
    comments: &'a [Comment],
    items: &'a Items,
    sections: &'a Sections,
}

impl File<'_> {
    fn add_to(&self, tree: &mut Tree) {
        let mentions: Vec<_> =
            self.comments.iter().map(|comment| citation::mentions(&comment.text, Style::Comment)).collect();
        let places: Vec<_> = self.comments.iter().map(|comment| self.place(comment)).collect();
        for at in 0..self.comments.len() {
            let item = places[at].map(|place| &self.items.items[place]);
            let named = item.map_or("the file", |item| item.name.as_str());
            let context = self.context(at, &mentions, &places);
            match citation::citations(&mentions[at], context.as_ref(), self.sections) {
                Ok(citations) => {
                    for (document, section) in citations {
                        if let Some(section) =
                            section.as_ref().filter(|one| !self.sections.has(&document, one))
                        {
                            tree.faults.push(format!(
                                "{}, {named}: {document} has no §{section}, or sections.txt does not know it",
                                self.name
                            ));
                        }
                        tree.citing.push(Citing {
                            citation: (document, section),
                            file: self.name.to_owned(),
                            item: item.map(|item| item.name.clone()),
                            is_test_code: self.is_test_code || item.is_some_and(|item| item.is_test_code),
                        });
                    }
                }
                Err(section) => {
                    tree.faults.push(format!("{}, {named}: §{section} of which document?", self.name));
                }
            }
        }
    }

    /// The item that a comment is about: the one that it stands in, or the one right below it.
    fn place(&self, comment: &Comment) -> Option<usize> {
        let around = self.items.at(comment.first_line);
        if comment.kind != Kind::Plain {
            return around;
        }
        let below = self.items.items.iter().position(|item| *item.lines.start() == comment.last_line + 1);
        below.filter(|below| around.is_none_or(|around| around < *below)).or(around)
    }

    /// The document of sections before which the comment names none: the one that the item's comments before it
    /// name, else those of the items around it, else the head of the file; the only one, each time. In the end the
    /// only one whose sections the file cites.
    fn context(&self, at: usize, mentions: &[Vec<Mention>], places: &[Option<usize>]) -> Option<Document> {
        let line = self.comments[at].first_line;
        let mut around = places[at];
        while let Some(item) = around {
            let lines = &self.items.items[item].lines;
            let is_of_it = |before: usize| {
                places[before] == Some(item)
                    && (before < at || self.comments[before].kind == Kind::Documentation)
            };
            if let Some(document) =
                only_document(mentions, (0..mentions.len()).filter(|before| is_of_it(*before)))
            {
                return Some(document);
            }
            around = (0..item).rev().find(|outer| {
                let outer = &self.items.items[*outer].lines;
                outer.contains(&line) && outer != lines && outer.contains(lines.start())
            });
        }
        let head = (0..mentions.len()).filter(|at| self.comments[*at].kind == Kind::Head);
        only_document(mentions, head).or_else(|| {
            let explicit =
                mentions.iter().flat_map(|mentions| mentions.windows(2)).filter_map(|pair| match pair {
                    [Mention::Document(document), Mention::Section(_)] => Some(document),
                    _ => None,
                });
            only(explicit)
        })
    }
}

/// The document that these comments name, where it is one.
fn only_document(mentions: &[Vec<Mention>], comments: impl Iterator<Item = usize>) -> Option<Document> {
    only(comments.flat_map(|at| &mentions[at]).filter_map(|mention| match mention {
        Mention::Document(document) => Some(document),
        _ => None,
    }))
}

fn only<'a>(mut documents: impl Iterator<Item = &'a Document>) -> Option<Document> {
    let first = documents.next()?;
    documents.all(|document| document == first).then(|| first.clone())
}

/// The sections of a document that are cited.
pub(crate) fn cited<'a>(
    citations: impl Iterator<Item = &'a Citation>,
    document: &Document,
) -> Vec<&'a Section> {
    citations.filter(|(of, _)| of == document).filter_map(|(_, section)| section.as_ref()).collect()
}
