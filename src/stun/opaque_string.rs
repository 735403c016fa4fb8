//! User names, realms and passwords as they are hashed, RFC 8265 §4.

use std::borrow::Cow;

/// The text as the OpaqueString profile has it (RFC 8265 §4.2.2): other spaces are spaces. `None` for what the profile
/// refuses: nothing, and control characters. The text is expected in Unicode normalization form C, as keyboards and
/// forms give it.
pub(super) fn enforce(text: &str) -> Option<Cow<'_, str>> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return None;
    }
    if text.is_ascii() {
        return Some(Cow::Borrowed(text));
    }
    Some(text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect::<String>().into())
}

#[cfg(test)]
mod tests {
    use super::enforce;

    #[test]
    fn texts_are_as_the_profile_has_them() {
        assert_eq!(enforce("a b").as_deref(), Some("a b"));
        assert_eq!(enforce("マト\u{3000}リ").as_deref(), Some("マト リ"));
        for refused in ["", "a\0b", "line\n", "\u{85}"] {
            assert_eq!(enforce(refused), None, "{refused:?}");
        }
    }
}
