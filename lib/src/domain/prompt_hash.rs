//! The name of a prompt: what makes two questions the same question.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::text::impl_string_wrapper;

/// SHA-256 of a prompt's canonical form, as 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PromptHash(String);

/// The text is not 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a prompt hash is 64 lowercase hexadecimal digits")]
pub struct InvalidPromptHash;

impl PromptHash {
    /// Hashes a canonical form.
    #[must_use]
    pub fn of(canonical: &[u8]) -> Self {
        let digest = Sha256::digest(canonical);
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The 64 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PromptHash {
    type Err = InvalidPromptHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(hex) { Ok(Self(text.to_owned())) } else { Err(InvalidPromptHash) }
    }
}

impl_string_wrapper!(PromptHash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_sha_256_in_lowercase_hex() {
        let hash = PromptHash::of(b"abc");
        assert_eq!(hash.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash.to_string().parse::<PromptHash>(), Ok(hash));
    }

    #[test]
    fn only_64_lowercase_hex_digits_are_a_hash() {
        for bad in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65), &"é".repeat(32)] {
            assert_eq!(bad.parse::<PromptHash>(), Err(InvalidPromptHash), "{bad}");
        }
        assert!(serde_json::from_str::<PromptHash>("\"ABC\"").is_err());
    }
}
