//! The hash that identifies a prompt.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::digest::{hex, parse_hex};
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
        Self(hex(&Sha256::digest(canonical)))
    }
}

impl FromStr for PromptHash {
    type Err = InvalidPromptHash;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_hex::<32>(text).map(|_| Self(text.to_owned())).ok_or(InvalidPromptHash)
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
