//! Writes docs/citations.md: which section of which document is obeyed where, and shown by which test.

mod citation;
mod comments;
mod conformance;
mod items;
mod page;
mod sections;
mod source;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;

use sections::Sections;
use source::Tree;

const PAGE: &str = "docs/citations.md";

fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

fn page(tree: &Tree, sections: &Sections) -> std::io::Result<String> {
    let conformance = std::fs::read_to_string(root().join("docs/conformance.md"))?;
    Ok(page::write(tree, &conformance::rows(&conformance, sections), sections))
}

fn main() -> std::io::Result<ExitCode> {
    let sections = Sections::read();
    let tree = Tree::read(root(), &sections);
    std::fs::write(root().join(PAGE), page(&tree, &sections)?)?;
    for fault in &tree.faults {
        eprintln!("{fault}");
    }
    Ok(if tree.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
