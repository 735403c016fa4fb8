//! What docs/conformance.md says: which sections are implemented, and the tests that show it.

use crate::citation::{self, Citation, Style};
use crate::sections::Sections;
use crate::source::Tree;

/// A row of a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) citations: Vec<Citation>,
    /// Names of tests and of modules of tests.
    pub(crate) tests: Vec<String>,
}

/// Where a named test stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    /// `None` for all tests of the file.
    pub(crate) test: Option<String>,
}

/// Reads the rows that name a document.
///
/// # Panics
/// When a row has a section without its document.
pub(crate) fn rows(page: &str, sections: &Sections) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').collect();
        let (Some(first), Some(last)) = (cells.first(), cells.last()) else { continue };
        let citations = citation::citations(&citation::mentions(first, Style::Table), None, sections)
            .unwrap_or_else(|section| panic!("§{section} of which document? {line}"));
        if !citations.is_empty() {
            rows.push(Row { citations, tests: names(last) });
        }
    }
    rows
}

/// The names in backticks, `a::{b, c}` taken apart.
fn names(cell: &str) -> Vec<String> {
    let mut names = Vec::new();
    for quoted in cell.split('`').skip(1).step_by(2) {
        match quoted.split_once('{') {
            Some((path, list)) => {
                let list = list.trim_end_matches('}').split(',');
                names.extend(list.map(|name| format!("{path}{}", name.trim())));
            }
            None => names.push(quoted.to_owned()),
        }
    }
    names
}

/// Finds a test, or a file of tests, by the name that the page has for it; `None` where the name stands for several
/// or for none.
pub(crate) fn find(name: &str, tree: &Tree) -> Option<Place> {
    let name = name.trim_end_matches("::*");
    let segments: Vec<_> = name.split("::").filter(|segment| *segment != "…").collect();
    let (last, path) = segments.split_last()?;
    let tests = tree.tests.iter().filter(|test| test.name == *last && has_modules(&test.file, path));
    if let Some(test) = tests.clone().next() {
        let place = Place { file: test.file.clone(), test: Some(test.name.clone()) };
        return (tests.count() == 1).then_some(place);
    }
    // Tests without a file of their own stand in that of the module around them.
    let file = file_of(&segments, tree).or_else(|| (*last == "tests").then(|| file_of(path, tree))?)?;
    Some(Place { file: file.to_owned(), test: None })
}

/// The file of a module: the one whose path ends as the module does, else the only one that has all of its names.
fn file_of<'a>(module: &[&str], tree: &'a Tree) -> Option<&'a str> {
    let end = format!("/{}", module.join("/"));
    let last = format!("/{}", module.last()?);
    let only = |is_it: &dyn Fn(&str) -> bool| {
        let mut files = tree.files.iter().map(String::as_str).filter(|file| is_it(file));
        files.next().filter(|_| files.next().is_none())
    };
    only(&|file| module_path(file).ends_with(&end))
        .or_else(|| only(&|file| has_modules(file, module) && module_path(file).ends_with(&last)))
}

/// Whether the path of a file has the names of these modules, in order.
fn has_modules(file: &str, modules: &[&str]) -> bool {
    let mut parts = module_path(file).split('/');
    modules.iter().filter(|module| **module != "tests").all(|module| parts.any(|part| part == *module))
}

/// The path of a file as modules have it.
fn module_path(file: &str) -> &str {
    file.trim_end_matches(".rs").trim_end_matches("/main").trim_end_matches("/mod")
}
