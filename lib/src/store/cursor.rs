//! Cursors: the position of the next page of a list, as an opaque and signed text.
//!
//! A cursor is 41 bytes in base64url: a version, the position in sixteen bytes, eight bytes of a hash of the list and
//! its filters, and sixteen bytes of HMAC-SHA256 over those. It is signed with a random key of the table, so a client
//! can neither forge a position nor use a cursor with another list.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const VERSION: u8 = 3;

/// The secret that signs the cursors of one table. It has the length of a block of SHA-256, which HMAC neither pads nor
/// hashes (RFC 2104 §2).
#[derive(Clone, Copy)]
pub struct Key([u8; 64]);

impl Key {
    /// Makes a new secret.
    pub(super) fn random() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut bytes = [0; 64];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(super) const fn bytes(&self) -> [u8; 64] {
        self.0
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The hash of one list with one set of filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope([u8; 8]);

impl Scope {
    /// Makes the scope of a list from its kind, its subject and its filters.
    #[must_use]
    pub fn new(parts: &[&str]) -> Self {
        let mut sha = Sha256::new();
        for part in parts {
            sha.update(part.len().to_be_bytes());
            sha.update(part);
        }
        let mut scope = [0; 8];
        scope.iter_mut().zip(sha.finalize()).for_each(|(to, from)| *to = from);
        Self(scope)
    }
}

/// The text is not a cursor of this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of this list: use the one in the Link header of the page before, with the same filters")]
pub struct InvalidCursor;

/// A cursor whose signature is not checked yet.
#[derive(Debug, Clone, Copy)]
pub struct Unverified {
    position: u128,
    bytes: [u8; LEN],
}

const SIGNED: usize = 1 + 16 + 8;
const LEN: usize = SIGNED + 16;

impl Unverified {
    /// Reads a cursor's text.
    ///
    /// # Errors
    /// [`InvalidCursor`] if its length or version is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidCursor> {
        let bytes: [u8; LEN] =
            URL_SAFE_NO_PAD.decode(text).ok().and_then(|b| b.try_into().ok()).ok_or(InvalidCursor)?;
        match bytes.split_first_chunk::<17>() {
            Some(([VERSION, position @ ..], _)) => Ok(Self { position: u128::from_be_bytes(*position), bytes }),
            _ => Err(InvalidCursor),
        }
    }

    /// The claimed position. The result of a read with it must not be used before [`Unverified::verify`] has succeeded.
    #[must_use]
    pub const fn position(&self) -> u128 {
        self.position
    }

    /// Checks that this cursor was signed with `key` for `scope`, and returns the position.
    ///
    /// # Errors
    /// [`InvalidCursor`] if it was not.
    pub fn verify(self, scope: Scope, key: Option<&Key>) -> Result<u128, InvalidCursor> {
        let key = key.ok_or(InvalidCursor)?;
        let (signed, tag) = self.bytes.split_at_checked(SIGNED).ok_or(InvalidCursor)?;
        if signed.last_chunk::<8>() != Some(&scope.0) {
            return Err(InvalidCursor);
        }
        // Compares in constant time.
        mac(key, signed).verify_truncated_left(tag).map_err(|_| InvalidCursor)?;
        Ok(self.position)
    }
}

/// Makes the text of a cursor for `position` in the list of `scope`.
#[must_use]
pub fn sign(position: u128, scope: Scope, key: &Key) -> String {
    let mut bytes = Vec::with_capacity(LEN);
    bytes.push(VERSION);
    bytes.extend(position.to_be_bytes());
    bytes.extend(scope.0);
    let tag = mac(key, &bytes).finalize().into_bytes();
    bytes.extend(tag.iter().take(LEN - SIGNED));
    URL_SAFE_NO_PAD.encode(bytes)
}

fn mac(key: &Key, bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&key.0.into());
    mac.update(bytes);
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = Key([7; 64]);

    fn read(text: &str, scope: Scope, key: &Key) -> Result<u128, InvalidCursor> {
        Unverified::parse(text)?.verify(scope, Some(key))
    }

    proptest! {
        #[test]
        fn a_cursor_is_read_back_by_its_own_list_only(position: u128, list in "\\PC{0,9}", other in "\\PC{0,9}") {
            let scope = Scope::new(&[&list]);
            let text = sign(position, scope, &KEY);
            prop_assert_eq!(read(&text, scope, &KEY), Ok(position));
            prop_assert_eq!(read(&text, scope, &Key([8; 64])), Err(InvalidCursor));
            if other != list {
                prop_assert_eq!(read(&text, Scope::new(&[&other]), &KEY), Err(InvalidCursor));
            }
        }

        #[test]
        fn any_flipped_bit_is_noticed(position: u128, at in 0..LEN, bit in 0..8) {
            let scope = Scope::new(&["list"]);
            let mut bytes = URL_SAFE_NO_PAD.decode(sign(position, scope, &KEY)).unwrap();
            bytes[at] ^= 1u8 << bit;
            prop_assert_eq!(read(&URL_SAFE_NO_PAD.encode(bytes), scope, &KEY), Err(InvalidCursor));
        }

        #[test]
        fn arbitrary_text_is_refused_without_a_panic(text in "\\PC*|[A-Za-z0-9_-]{55}") {
            prop_assert_eq!(read(&text, Scope::new(&[]), &KEY), Err(InvalidCursor));
        }
    }

    #[test]
    fn filters_that_only_look_alike_are_other_lists() {
        assert_ne!(Scope::new(&["a", "b"]), Scope::new(&["ab"]));
        assert_ne!(Scope::new(&["a", ""]), Scope::new(&["a"]));
    }

    #[test]
    fn without_a_key_there_are_no_cursors() {
        let text = sign(1, Scope::new(&[]), &KEY);
        assert_eq!(Unverified::parse(&text).unwrap().verify(Scope::new(&[]), None), Err(InvalidCursor));
    }
}
