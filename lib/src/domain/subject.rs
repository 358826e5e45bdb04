//! The subject of an analysis, which stays the same while its facts change.

use std::fmt;
use std::str::FromStr;

use super::prompt_hash::{InvalidPromptHash, PromptHash};

/// Names a vulnerability in a version of a package: SHA-256 of both, as 64 lowercase hexadecimal digits.
///
/// The hash of a prompt changes with the facts of the sources; this one does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(PromptHash);

impl Subject {
    /// Returns the subject of findings of a vulnerability in a version of a package.
    #[must_use]
    pub fn of(vulnerability_id: &str, package_type: &str, package: &str, installed_version: &str) -> Self {
        let mut canonical = Vec::new();
        for part in [vulnerability_id, package_type, package, installed_version] {
            // The length in front keeps neighbouring parts apart.
            canonical.extend(part.len().to_be_bytes());
            canonical.extend(part.as_bytes());
        }
        Self(PromptHash::of(&canonical))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Subject {
    type Err = InvalidPromptHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn two_subjects_are_equal_if_their_parts_are(a in "[ab]{0,3}", b in "[ab]{0,3}", c in "[ab]{0,3}", d in "[ab]{0,3}") {
            let (one, other) = (Subject::of(&a, &b, "p", "1"), Subject::of(&c, &d, "p", "1"));
            prop_assert_eq!(one == other, (&a, &b) == (&c, &d));
            prop_assert_eq!(one.to_string().parse(), Ok(one));
        }
    }
}
