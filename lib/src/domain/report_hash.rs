//! The hash that two deliveries of one report share.

use serde::{Deserialize, Serialize};

use super::digest::impl_hex;
use super::text::impl_string_conversions;

/// SHA-256 over a report's canonical JSON; as text 64 lower-case hexadecimal digits.
///
/// Indentation does not change it, nor does a repeated scan of the same image with the same database.
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

impl_hex!(ReportHash, ParseReportHashError);
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
