//! When two reports are the same report.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::impl_string_conversions;

/// SHA-256 over a report's canonical JSON; as text 64 lower-case hexadecimal digits.
///
/// Two reports with one hash say the same thing: the same scan sent again, indented otherwise, or
/// run again over the same image with the same database.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReportHash([u8; 32]);

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not 64 lower-case hexadecimal digits")]
pub struct ParseReportHashError;

impl From<[u8; 32]> for ReportHash {
    fn from(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl fmt::Display for ReportHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ReportHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReportHash({self})")
    }
}

impl FromStr for ReportHash {
    type Err = ParseReportHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        sha256(text).map(Self).ok_or(ParseReportHashError)
    }
}

/// The SHA-256 that a text of 64 lower-case hexadecimal digits tells.
pub(crate) fn sha256(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0, |high, digit| match digit {
            b'0'..=b'9' => Some(high << 4 | (digit - b'0')),
            b'a'..=b'f' => Some(high << 4 | (digit - b'a' + 10)),
            _ => None,
        })?;
    }
    Some(digest)
}

impl_string_conversions!(ReportHash);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_hash_is_read_back_from_its_text(digest: [u8; 32]) {
            let hash = ReportHash(digest);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
        }

        #[test]
        fn other_text_is_refused(text in "\\PC{0,70}") {
            prop_assume!(!text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) || text.len() != 64);
            prop_assert_eq!(text.parse::<ReportHash>(), Err(ParseReportHashError));
        }
    }
}
