//! Cleans text of public sources for storage, answers and prompts.

use crate::domain::text::{clean, cut};
use crate::domain::vulnerability::SourceRecord;

/// Cleans text of several lines, and cuts it to [`SourceRecord::DESCRIPTION_BYTES`]; none if it is empty. The flag tells
/// whether it was cut.
pub(super) fn paragraphs(text: &str) -> Option<(String, bool)> {
    let clean = clean(text);
    let clean = clean.trim();
    let kept = cut(clean, SourceRecord::DESCRIPTION_BYTES);
    (!kept.is_empty()).then(|| (kept.trim_end().to_owned(), kept.len() < clean.len()))
}

/// Cleans a title, name or tag on one line, and cuts it to [`SourceRecord::LINE_BYTES`]; none if it is empty.
pub(super) fn line(text: &str) -> Option<String> {
    // Cut first, so that a huge title is not copied.
    let words = clean(cut(text, 8 * SourceRecord::LINE_BYTES)).split_whitespace().collect::<Vec<_>>().join(" ");
    let kept = cut(&words, SourceRecord::LINE_BYTES).trim_end();
    (!kept.is_empty()).then(|| kept.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::text::is_invisible;

    #[test]
    fn characters_that_hide_or_reverse_text_are_removed() {
        assert_eq!(line("a\u{202e}b\u{200b}c\u{0}d\ne\u{e0041}").unwrap(), "abcd e");
        assert_eq!(paragraphs("one\r\ntwo\u{2028}three\u{1b}[31m").unwrap(), ("one\ntwo\nthree[31m".to_owned(), false));
        assert_eq!(line(" \u{200b}\n"), None);
        assert_eq!(paragraphs("\u{feff}"), None);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let (kept, was_cut) = paragraphs(&"é".repeat(5000)).unwrap();
        assert_eq!((kept, was_cut), ("é".repeat(2048), true));
        assert_eq!(line(&format!("x{}", "é".repeat(200))).unwrap().len(), 299);
    }

    proptest! {
        #[test]
        fn cleaning_twice_is_cleaning_once(text in "\\PC{0,50}|.{0,50}|[\u{0}-\u{2ff}\u{2000}-\u{2070}]{0,50}") {
            if let Some((once, _)) = paragraphs(&text) {
                prop_assert!(!once.chars().any(|c| is_invisible(c) && !matches!(c, '\n' | '\t')));
                prop_assert_eq!(paragraphs(&once), Some((once.clone(), false)));
            }
            if let Some(once) = line(&text) {
                prop_assert_eq!(line(&once), Some(once.clone()));
            }
        }
    }
}
