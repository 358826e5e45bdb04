//! Where a source may write `null` for "none".

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default: an empty list, an empty text.
///
/// # Errors
/// The value is neither null nor what is wanted.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}
