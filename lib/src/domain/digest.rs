//! Digests of texts, and their hexadecimal digits.

use sha2::{Digest as _, Sha256};

/// Computes half of a SHA-256 over a prefix and texts. The length before each text keeps it apart from its neighbours.
pub(crate) fn half_sha256<'t>(prefix: &str, texts: impl IntoIterator<Item = &'t str>) -> [u8; 16] {
    let mut sha = Sha256::new_with_prefix(prefix);
    for text in texts {
        sha.update(text.len().to_be_bytes());
        sha.update(text);
    }
    let mut half = [0; 16];
    half.iter_mut().zip(sha.finalize()).for_each(|(to, from)| *to = from);
    half
}

/// Writes two lower-case hexadecimal digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the text of [`hex`]; none for any other length or digit.
pub(crate) fn parse_hex<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    if text.len() != 2 * LENGTH {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().try_fold(0, |high, digit| match digit {
            b'0'..=b'9' => Some(high << 4 | (digit - b'0')),
            b'a'..=b'f' => Some(high << 4 | (digit - b'a' + 10)),
            _ => None,
        })?;
    }
    Some(bytes)
}

/// Implements the conversions of a type that wraps bytes from and to their hexadecimal digits.
macro_rules! impl_hex {
    ($name:ident, $error:ident) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&$crate::domain::digest::hex(&self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::domain::digest::parse_hex(text).map(Self).ok_or($error)
            }
        }
    };
}

pub(super) use impl_hex;
