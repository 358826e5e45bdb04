//! Looks words up in lists, whose entries are separated by a comma and a blank.

/// Tells whether `word` is an entry.
pub(super) fn list_has(list: &str, word: &str) -> bool {
    list.split(", ").any(|entry| entry == word)
}

/// Tells whether a text of blank-separated words, with a blank at either end, has an entry as whole words.
pub(super) fn has_phrase(list: &str, running: &str) -> bool {
    list.split(", ").any(|entry| {
        running.match_indices(entry).any(|(at, _)| {
            let before = running.get(..at).unwrap_or_default();
            let after = running.get(at + entry.len()..).unwrap_or_default();
            before.ends_with(' ') && after.starts_with(' ')
        })
    })
}

/// Finds the first entry that occurs anywhere in a text.
pub(super) fn find_entry<'a>(list: &'a str, text: &str) -> Option<&'a str> {
    list.split(", ").find(|entry| text.contains(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_matched_whole_or_anywhere_as_asked() {
        assert!(list_has("ab, cd", "cd") && !list_has("ab, cd", "c"));
        assert!(has_phrase("in the wild", " used in the wild "));
        assert!(!has_phrase("wild", " wilder "));
        assert_eq!(find_entry("x, | sh", "a | sh"), Some("| sh"));
    }
}
