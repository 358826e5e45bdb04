//! Cleans, cuts and wraps text. The Unicode property tables of `icu_properties` decide which characters are invisible.

use icu_properties::props::{BinaryProperty, DefaultIgnorableCodePoint, EnumeratedProperty, GeneralCategory};

/// Recognises a character that is invisible or changes the display of others; not line feed and tab.
///
/// Examples are bidi overrides, zero-width joiners, variation selectors, Hangul fillers and the blank Braille pattern.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    if matches!(c, '\n' | '\t') {
        return false;
    }
    matches!(
        GeneralCategory::for_char(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
            | GeneralCategory::Surrogate
    ) || DefaultIgnorableCodePoint::for_char(c)
        || c == '\u{2800}'
}

/// Removes invisible characters and turns every kind of line break into a line feed. Idempotent.
#[must_use]
pub fn clean(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter_map(|c| match c {
            '\r' | '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{b}' | '\u{c}' => Some('\n'),
            c if is_invisible(c) => None,
            c => Some(c),
        })
        .collect()
}

/// Returns the longest beginning of at most `bytes` that does not end inside a character.
#[must_use]
pub fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// Cuts a text after at most `bytes` and appends an ellipsis.
#[must_use]
pub fn shortened(text: String, bytes: usize) -> String {
    if text.len() <= bytes { text } else { format!("{}…", cut(&text, bytes)) }
}

/// Implements the conversions from and to `String` that serde uses, by `FromStr` and `Display`.
macro_rules! impl_string_conversions {
    ($($name:ty),+) => {$(
        impl TryFrom<String> for $name {
            type Error = <Self as std::str::FromStr>::Err;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    )+};
}

/// Implements `as_str`, `Display` and the conversions of a type that wraps a `String`.
macro_rules! impl_string_wrapper {
    ($name:ty) => {
        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        $crate::domain::text::impl_string_conversions!($name);
    };
}

pub(super) use {impl_string_conversions, impl_string_wrapper};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_is_a_beginning_and_never_too_long(text in any::<String>(), bytes in 0usize..64) {
            prop_assert!(text.starts_with(cut(&text, bytes)) && cut(&text, bytes).len() <= bytes);
            let short = shortened(text.clone(), bytes);
            prop_assert_eq!(short.ends_with('…') && short != text, text.len() > bytes);
        }
    }
}
