//! Word lists as text, so that they can be read: entries separated by a comma and a blank.

/// True when `word` is an entry.
pub(super) fn has(list: &str, word: &str) -> bool {
    list.split(", ").any(|entry| entry == word)
}

/// True when a text of blank-separated words, with a blank at either end, holds an entry whole.
pub(super) fn said_in(list: &str, running: &str) -> bool {
    list.split(", ").any(|entry| {
        running.match_indices(entry).any(|(at, _)| {
            let before = running.get(..at).unwrap_or_default();
            let after = running.get(at + entry.len()..).unwrap_or_default();
            before.ends_with(' ') && after.starts_with(' ')
        })
    })
}

/// The first entry that occurs anywhere in a text.
pub(super) fn found_in<'a>(list: &'a str, text: &str) -> Option<&'a str> {
    list.split(", ").find(|entry| text.contains(entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_matched_whole_or_anywhere_as_asked() {
        assert!(has("ab, cd", "cd") && !has("ab, cd", "c"));
        assert!(said_in("in the wild", " used in the wild "));
        assert!(!said_in("wild", " wilder "));
        assert_eq!(found_in("x, | sh", "a | sh"), Some("| sh"));
    }
}
