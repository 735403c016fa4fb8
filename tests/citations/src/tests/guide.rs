//! CONTRIBUTING.md: each rule of the style has a line of our own code as its example, and what it quotes is there.

use std::path::Path;

/// A line that the guide quotes, and the file that it is of.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let (line, link) = text.trim().strip_prefix('`')?.rsplit_once("` [")?;
    let (_, file) = link.strip_suffix(')')?.split_once("](")?;
    Some((line.trim_matches('`').trim(), file))
}

fn is_there(root: &Path, line: &str, file: &str) -> bool {
    std::fs::read_to_string(root.join(file)).is_ok_and(|text| text.lines().any(|own| own.trim() == line))
}

fn guide() -> String {
    std::fs::read_to_string(crate::root().join("CONTRIBUTING.md")).unwrap()
}

#[test]
fn each_rule_of_the_style_has_a_line_of_our_own() {
    let guide = guide();
    let style = guide.split("\n## ").find(|part| part.starts_with("The style of the house")).unwrap();
    let rules: Vec<_> = style.split("\n- ").skip(1).collect();
    assert!(rules.len() > 10);
    for rule in rules {
        assert!(rule.lines().any(|line| quoted(line).is_some()), "without an example: {rule}");
    }
}

#[test]
fn each_line_that_the_guide_quotes_is_in_its_file() {
    let guide = guide();
    let gone: Vec<_> = guide
        .lines()
        .filter_map(quoted)
        .filter(|(line, file)| !is_there(crate::root(), line, file))
        .collect();
    assert_eq!(gone, []);
}

#[test]
fn each_file_that_the_guide_links_is_there() {
    let guide = guide();
    let links = guide.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let gone: Vec<_> =
        links.filter(|link| !link.starts_with("http") && !crate::root().join(link).exists()).collect();
    assert_eq!(gone, Vec::<&str>::new());
    assert_eq!(
        quoted("  `let a = b(\"c\");` [a/b.rs](src/a/b.rs)"),
        Some(("let a = b(\"c\");", "src/a/b.rs"))
    );
    assert_eq!(quoted("A sentence with `code` in it."), None);
}
