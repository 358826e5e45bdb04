//! Normalises the text of facts and answers.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{EnumeratedProperty, GeneralCategory, Script};
use unicode_segmentation::UnicodeSegmentation;

use crate::domain::text::cut;
pub use crate::domain::text::{clean, is_invisible};

/// Tells whether [`clean`] would remove a character other than a line break or a byte order mark.
#[must_use]
pub fn hides_characters(text: &str) -> bool {
    text.chars().any(|c| is_invisible(c) && !matches!(c, '\r' | '\u{85}' | '\u{b}' | '\u{c}' | '\u{feff}'))
}

/// Folds text for comparison: NFKC, cleaned, every dash a `-`, every space a blank.
///
/// NFKC turns fullwidth and mathematical letters and digits, `․` and `．` into ASCII. Dashes and a few look-alikes of the
/// full stop that NFKC keeps are mapped too, since a version or an identifier with them looks the same.
#[must_use]
pub fn fold(text: &str) -> String {
    let text = clean(text);
    let text = ComposingNormalizerBorrowed::new_nfkc().normalize(&text);
    // NFKC can create ignorable characters (U+FFA0 becomes a Hangul filler).
    clean(&text)
        .chars()
        .map(|c| match c {
            '。' | '‧' | '∙' | '·' | '•' | '⋅' | '۔' | '・' | 'ꓸ' => '.',
            '∕' | '⁄' | '⧸' => '/',
            '‘' | '’' | 'ʼ' => '\'',
            '“' | '”' => '"',
            '−' => '-',
            c if GeneralCategory::for_char(c) == GeneralCategory::DashPunctuation => '-',
            c if c == '\n' => c,
            c if GeneralCategory::for_char(c) == GeneralCategory::SpaceSeparator || c == '\t' => ' ',
            c => c,
        })
        .collect()
}

/// Tells whether a text has a letter of a script other than Latin, or a digit other than 0-9.
///
/// Answers are English: such a character is a look-alike (`СVE`, `аpache`, `١.٢`) or of a language that the claims check
/// cannot read. Greek letters (µ, α) are permitted unless a Latin letter or digit is next to them.
#[must_use]
pub fn has_other_script(folded: &str) -> bool {
    let mut previous = ' ';
    for c in folded.chars() {
        let script = Script::for_char(c);
        let other_letter = c.is_alphabetic() && !matches!(script, Script::Latin | Script::Common | Script::Inherited);
        let other_digit = GeneralCategory::for_char(c) == GeneralCategory::DecimalNumber && !c.is_ascii_digit();
        if other_digit || (other_letter && (script != Script::Greek || previous.is_alphanumeric())) {
            return true;
        }
        if c.is_alphanumeric() && Script::for_char(previous) == Script::Greek && previous.is_alphabetic() {
            return true;
        }
        previous = c;
    }
    false
}

/// Cuts a text after at most `max` bytes, at a character boundary, and appends ` […]`, which counts too.
#[must_use]
pub fn cap(text: &str, max: usize) -> String {
    const MARK: &str = " […]";
    if text.len() <= max {
        return text.to_owned();
    }
    let kept = cut(text, max.saturating_sub(MARK.len()));
    if max < MARK.len() { kept.to_owned() } else { format!("{}{MARK}", kept.trim_end()) }
}

/// Splits a line into trimmed sentences by Unicode's rules (UAX #29), but only at white space: the rules alone would
/// split `9.11.4-26.P2`.
pub fn sentences(line: &str) -> impl Iterator<Item = &str> {
    let mut starts: Vec<usize> = line
        .split_sentence_bound_indices()
        .map(|(at, _)| at)
        .filter(|at| line.get(..*at).is_none_or(|before| before.is_empty() || before.ends_with(char::is_whitespace)))
        .collect();
    starts.push(line.len());
    let pairs: Vec<(usize, usize)> = starts.iter().copied().zip(starts.iter().skip(1).copied()).collect();
    pairs
        .into_iter()
        .filter_map(|(start, end)| line.get(start..end))
        .map(str::trim)
        .filter(|sentence| !sentence.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn controls_bidi_zero_width_and_tags_are_removed() {
        let hidden = "a\u{0}b\u{1b}c\u{202e}d\u{200b}e\u{2066}f\u{e0041}g\u{3164}h\u{fe0f}i\u{ad}j\u{feff}k";
        assert_eq!(clean(hidden), "abcdefghijk");
        assert!(hides_characters(hidden));
    }

    #[test]
    fn windows_line_breaks_are_not_hidden_characters() {
        assert_eq!(clean("a\r\nb\rc\u{2028}d"), "a\nb\nc\nd");
        assert!(!hides_characters("a\r\nb"));
    }

    #[test]
    fn look_alike_digits_dots_and_dashes_fold_to_ascii() {
        assert_eq!(fold("１．２\u{200d}.３ 𝟗․𝟗 CVE‑2024–1 1。2"), "1.2.3 9.9 CVE-2024-1 1.2");
    }

    #[test]
    fn a_letter_of_another_script_is_seen() {
        assert!(has_other_script("СVE-2024-1"));
        assert!(has_other_script("version ١"));
        assert!(has_other_script("αpache"));
        assert!(!has_other_script("Zürich 5 µ s – “quoted”"));
        assert!(!has_other_script("the α parameter"));
    }

    #[test]
    fn a_cut_text_ends_at_a_character_and_says_so() {
        assert_eq!(cap("äöü", 6), "äöü");
        assert_eq!(cap("abcdefghij", 9), "abc […]");
        assert!(cap("ääääääääää", 10).len() <= 10);
        assert_eq!(cap("äbc", 1), "");
    }

    #[test]
    fn sentences_end_at_white_space_and_never_inside_a_version() {
        let parts: Vec<_> = sentences("It is at 9.11.4-26.P2.amzn2. Is it? Yes, e.g. here.").collect();
        assert_eq!(parts, ["It is at 9.11.4-26.P2.amzn2.", "Is it?", "Yes, e.g. here."]);
    }

    proptest! {
        #[test]
        fn sentences_lose_nothing_but_white_space(text in any::<String>()) {
            let flat = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(flat(&sentences(&text).collect::<String>()), flat(&text));
        }

        #[test]
        fn cleaning_is_idempotent_and_leaves_nothing_invisible(text in any::<String>()) {
            let once = clean(&text);
            prop_assert!(!once.chars().any(is_invisible));
            prop_assert_eq!(clean(&once), once);
        }

        #[test]
        fn a_cap_is_never_exceeded(text in any::<String>(), max in 0usize..64) {
            prop_assert!(cap(&text, max).len() <= max);
        }

        #[test]
        fn folding_leaves_nothing_invisible(text in any::<String>()) {
            prop_assert!(!fold(&text).chars().any(is_invisible));
        }
    }
}
