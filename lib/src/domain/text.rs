//! Text of others: without what cannot be seen, and cut between characters.
//!
//! Which characters count as invisible is not ours to list: the Unicode property tables of
//! `icu_properties` decide (general category, default ignorable).

use icu_properties::props::{BinaryProperty, DefaultIgnorableCodePoint, EnumeratedProperty, GeneralCategory};

/// True for a character a reader cannot see or that changes how others are shown.
///
/// Controls, format characters (bidi overrides, zero-width joiners, soft hyphens, tags), default
/// ignorables (variation selectors, Hangul fillers), private-use and unassigned code points, and the
/// blank Braille pattern. Line feed and tab are layout and not counted.
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

/// Removes what [`is_invisible`] names and turns every kind of line break into a line feed.
///
/// Idempotent; never longer than its input.
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

/// The longest beginning of `text` of at most `bytes` that does not end inside a character.
#[must_use]
pub fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// The text, or its beginning of at most `bytes` and an ellipsis.
#[must_use]
pub fn shortened(text: String, bytes: usize) -> String {
    if text.len() <= bytes { text } else { format!("{}…", cut(&text, bytes)) }
}

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
