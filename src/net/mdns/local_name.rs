//! Names below `.local`, RFC 6762 §3.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A host name on the local link: one label below `.local` (RFC 6762 §3), as ICE candidates have it.
///
/// Names are the same whatever the case of their letters; they are kept in lower case.
///
/// ```
/// use kaon_rtc::net::mdns::LocalName;
///
/// let name: LocalName = "1f4712db-ea17-4bcf-a596-105139dfd8bf.LOCAL".parse()?;
/// assert_eq!(name.to_string(), "1f4712db-ea17-4bcf-a596-105139dfd8bf.local");
/// assert!("example.com".parse::<LocalName>().is_err());
/// # Ok::<(), kaon_rtc::net::mdns::InvalidLocalName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalName {
    label: String,
}

impl LocalName {
    /// A name that was not used before: a version 4 UUID (RFC 9562 §5.4), from `random` bytes that are used
    /// for nothing else.
    pub fn from_random(mut random: [u8; 16]) -> Self {
        random[6] = random[6] & 0x0f | 0x40;
        random[8] = random[8] & 0x3f | 0x80;
        let digits = format!("{:032x}", u128::from_be_bytes(random));
        let label = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-");
        Self { label }
    }

    /// The label before `.local`, in lower case.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The name of labels as they are in a message.
    pub(super) fn from_labels(labels: &[&[u8]]) -> Option<Self> {
        match labels {
            [label, local] if local.eq_ignore_ascii_case(b"local") => {
                let label = std::str::from_utf8(label).ok().filter(|label| is_host_label(label))?;
                Some(Self { label: label.to_ascii_lowercase() })
            }
            _ => None,
        }
    }
}

/// RFC 1123 §2.1: letters, digits and hyphens, no hyphen at either end.
fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl FromStr for LocalName {
    type Err = InvalidLocalName;

    /// Reads a name with or without the dot at its end.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix('.').unwrap_or(text);
        name.rsplit_once('.')
            .and_then(|(label, local)| Self::from_labels(&[label.as_bytes(), local.as_bytes()]))
            .ok_or_else(|| InvalidLocalName { name: text.chars().take(64).collect() })
    }
}

impl fmt::Display for LocalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.local", self.label)
    }
}

/// The text is no name on the local link.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "\"{name}\" is no name of the local link; expected 1 to 63 letters, digits and hyphens before .local"
)]
pub struct InvalidLocalName {
    /// The beginning of the text.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_labels_below_local_are_names() {
        for name in ["a.local", "A-1.Local.", "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"] {
            let parsed: LocalName = name.parse().unwrap();
            assert_eq!(parsed.to_string(), name.trim_end_matches('.').to_ascii_lowercase());
        }
        let long = format!("{}.local", "a".repeat(64));
        for name in [
            "",
            ".",
            "local",
            ".local",
            "a.b.local",
            "example.com",
            "-a.local",
            "a-.local",
            "a_b.local",
            "a b.local",
            "ä.local",
            "a.local..",
            "10.0.0.1",
            &long,
        ] {
            assert!(name.parse::<LocalName>().is_err(), "{name}");
        }
    }

    #[test]
    fn random_names_are_version_4_uuids() {
        assert_eq!(
            LocalName::from_random([0xff; 16]).to_string(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff.local"
        );
        let name = LocalName::from_random([0; 16]).to_string();
        assert_eq!(name, "00000000-0000-4000-8000-000000000000.local");
        assert_eq!(name.parse::<LocalName>().unwrap(), LocalName::from_random([0; 16]));
    }
}
