//! The images that untrusted people reach, which only the fleet's owners know.
//!
//! The configuration is one line (an environment variable):
//!
//! ```text
//! public=ghcr.io/acme/web*,*/edge:*;internal=*/batch/*;default=public
//! ```
//!
//! * Entries are separated by `;`. Each of `public=`, `internal=` and `default=` occurs at most once; spaces and
//!   line breaks around entries and patterns do not count.
//! * A pattern is matched against the whole image name as it was scanned (`ghcr.io/acme/web:1.4`), case included.
//!   `*` stands for any text, also none and also `/`. Nothing else is special; other characters are those of
//!   image references: letters, digits and `. _ - / : @ +`.
//! * The pattern with the most characters that are not `*` decides. Of two with as many, `public` does.
//!   The order in the text has no influence.
//! * An image that no pattern matches gets the `default`, and `public` without one. The reasons of a priority call it
//!   an assumption.

use crate::domain::image_name::spellings;

/// Whether untrusted people reach an image over public networks (SSVC `cisa/PE` 1.0.0), and the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exposure {
    /// Configured as public.
    Public {
        /// The deciding pattern.
        pattern: String,
    },
    /// Configured as internal.
    Internal {
        /// The deciding pattern.
        pattern: String,
    },
    /// No pattern matched.
    Assumed(Reach),
}

impl Exposure {
    /// Tells whether the image counts as exposed.
    #[must_use]
    pub const fn is_public(&self) -> bool {
        matches!(self, Self::Public { .. } | Self::Assumed(Reach::Public))
    }
}

/// The networks from which an image is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Private networks only.
    Internal,
    /// Public networks. The default, as it gives the stricter timelines.
    #[default]
    Public,
}

/// The longest configuration, in bytes: Lambda allows 4 KB for all variables together.
const MAX_TEXT_BYTES: usize = 4096;
/// The longest pattern, in bytes: a repository of 255 bytes, a tag of 128, and room.
const MAX_PATTERN_BYTES: usize = 512;

/// The configuration is wrong. Entries and patterns are counted from 1; the text itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum ParseExposuresError {
    #[error("is longer than {MAX_TEXT_BYTES} bytes")]
    TooLong,
    #[error("has an entry (number {0}) that is not public=…, internal=… or default=…")]
    UnknownEntry(usize),
    #[error("has {0}= twice")]
    Repeated(&'static str),
    #[error("has a default that is neither public nor internal")]
    UnknownDefault,
    #[error("has a pattern ({key}, number {number}) that is empty, too long or not of letters, digits and ._-/:@+*")]
    BadPattern { key: &'static str, number: usize },
    #[error("has the same pattern (internal, number {0}) as public and as internal")]
    Contradiction(usize),
}

/// The exposure of images, by patterns over their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exposures {
    public: Vec<Pattern>,
    internal: Vec<Pattern>,
    default: Reach,
}

impl Exposures {
    /// Reads the configuration; the syntax is that of the module. Empty text: everything is assumed public.
    ///
    /// # Errors
    /// If it is not exactly in that syntax. No entry is skipped: a typing error must not make an image internal.
    pub fn parse(text: &str) -> Result<Self, ParseExposuresError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(ParseExposuresError::TooLong);
        }
        let (mut public, mut internal, mut default) = (None, None, None);
        for (index, entry) in text.split(';').enumerate() {
            let entry = entry.trim_ascii();
            if entry.is_empty() {
                continue;
            }
            match entry.split_once('=') {
                Some(("public", list)) => set_once("public", &mut public, patterns("public", list)?)?,
                Some(("internal", list)) => set_once("internal", &mut internal, patterns("internal", list)?)?,
                Some(("default", reach)) => set_once("default", &mut default, parse_reach(reach)?)?,
                _ => return Err(ParseExposuresError::UnknownEntry(index + 1)),
            }
        }
        let (public, internal) = (public.unwrap_or_default(), internal.unwrap_or_default());
        if let Some(index) = internal.iter().position(|pattern| public.contains(pattern)) {
            return Err(ParseExposuresError::Contradiction(index + 1));
        }
        Ok(Self { public, internal, default: default.unwrap_or_default() })
    }

    /// Returns the exposure of an image. An image of Docker Hub is matched in every spelling of its name.
    #[must_use]
    pub fn of(&self, image: &str) -> Exposure {
        let names = spellings(image);
        match (most_specific(&self.public, &names), most_specific(&self.internal, &names)) {
            (None, None) => Exposure::Assumed(self.default),
            (Some(public), Some(internal)) if internal.literals() > public.literals() => {
                Exposure::Internal { pattern: internal.0.clone() }
            }
            (Some(public), _) => Exposure::Public { pattern: public.0.clone() },
            (None, Some(internal)) => Exposure::Internal { pattern: internal.0.clone() },
        }
    }
}

fn set_once<T>(key: &'static str, slot: &mut Option<T>, value: T) -> Result<(), ParseExposuresError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParseExposuresError::Repeated(key)),
    }
}

fn parse_reach(text: &str) -> Result<Reach, ParseExposuresError> {
    match text.trim_ascii() {
        "public" => Ok(Reach::Public),
        "internal" => Ok(Reach::Internal),
        _ => Err(ParseExposuresError::UnknownDefault),
    }
}

fn patterns(key: &'static str, list: &str) -> Result<Vec<Pattern>, ParseExposuresError> {
    let numbered = list.split(',').zip(1..);
    let parsed = numbered
        .map(|(text, number)| Pattern::parse(text.trim_ascii()).ok_or(ParseExposuresError::BadPattern { key, number }));
    parsed.collect()
}

fn most_specific<'a>(patterns: &'a [Pattern], names: &[String]) -> Option<&'a Pattern> {
    let matching = patterns.iter().filter(|pattern| names.iter().any(|name| pattern.matches(name)));
    matching.max_by(|a, b| a.literals().cmp(&b.literals()).then_with(|| b.0.cmp(&a.0)))
}

/// Text with `*` for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(String);

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+*".contains(&byte);
        ((1..=MAX_PATTERN_BYTES).contains(&text.len()) && text.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// Counts the characters that are not `*`.
    fn literals(&self) -> usize {
        self.0.bytes().filter(|&byte| byte != b'*').count()
    }

    /// Matches a name in time linear in name and pattern: each piece between stars is searched once, after the one
    /// before it, since the leftmost place leaves the most for the others.
    fn matches(&self, name: &str) -> bool {
        let Some((first, others)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut rest) = name.strip_prefix(first) else { return false };
        let (middle, last) = others.rsplit_once('*').unwrap_or(("", others));
        for piece in middle.split('*') {
            let Some((_, after)) = rest.split_once(piece) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "public=ghcr.io/acme/web*,*/edge:*;internal=*/batch/*;default=public";

    fn public(pattern: &str) -> Exposure {
        Exposure::Public { pattern: pattern.to_owned() }
    }

    fn internal(pattern: &str) -> Exposure {
        Exposure::Internal { pattern: pattern.to_owned() }
    }

    #[test]
    fn the_example_of_the_documentation_reads_as_it_says() {
        let exposures = Exposures::parse(EXAMPLE).unwrap();
        assert_eq!(exposures.of("ghcr.io/acme/web:1.4"), public("ghcr.io/acme/web*"));
        assert_eq!(exposures.of("registry/edge:2"), public("*/edge:*"));
        assert_eq!(exposures.of("registry/batch/import:7"), internal("*/batch/*"));
        assert_eq!(exposures.of("alpine:3.19"), Exposure::Assumed(Reach::Public));
        let hub = Exposures::parse("internal=docker.io/library/*,acme/*").unwrap();
        for name in ["nginx:1", "library/nginx:1", "docker.io/nginx:1", "docker.io/library/nginx:1"] {
            assert_eq!(hub.of(name), internal("docker.io/library/*"), "{name}");
        }
        assert_eq!(hub.of("docker.io/acme/web:1"), internal("acme/*"));
        assert_eq!(hub.of("ghcr.io/library/nginx:1"), Exposure::Assumed(Reach::Public));
        // Sixteen characters against seven.
        assert_eq!(exposures.of("ghcr.io/acme/web/batch/x:1"), public("ghcr.io/acme/web*"));
    }

    #[test]
    fn the_most_specific_pattern_decides_and_public_wins_a_draw() {
        for text in ["public=*;internal=*/batch/*", "internal=*/batch/*;public=*"] {
            let exposures = Exposures::parse(text).unwrap();
            assert_eq!(exposures.of("r/batch/x"), internal("*/batch/*"), "{text}");
            assert_eq!(exposures.of("r/web/x"), public("*"), "{text}");
        }
        let draw = Exposures::parse("internal=*abc;public=abc*").unwrap();
        assert_eq!(draw.of("abc"), public("abc*"));
    }

    #[test]
    fn without_configuration_everything_is_assumed_public() {
        assert_eq!(Exposures::default().of("x"), Exposure::Assumed(Reach::Public));
        assert_eq!(Exposures::parse(" ;\n"), Ok(Exposures::default()));
        assert_eq!(Exposures::parse("default=internal").unwrap().of("x"), Exposure::Assumed(Reach::Internal));
    }

    #[test]
    fn spaces_and_line_breaks_around_entries_and_patterns_do_not_count() {
        let spaced = "\n public=ghcr.io/acme/web* , */edge:* ;\n internal=*/batch/*;\n default=public ;";
        assert_eq!(Exposures::parse(spaced), Exposures::parse(EXAMPLE));
    }

    #[test]
    fn a_configuration_that_is_not_exact_is_refused() {
        use ParseExposuresError::{BadPattern, Contradiction, Repeated, TooLong, UnknownDefault, UnknownEntry};
        for (text, error) in [
            ("publik=*", UnknownEntry(1)),
            ("default=public;web*", UnknownEntry(2)),
            ("Public=*", UnknownEntry(1)),
            ("public =*", UnknownEntry(1)),
            ("public=a;public=b", Repeated("public")),
            ("default=public;default=public", Repeated("default")),
            ("default=", UnknownDefault),
            ("default=PUBLIC", UnknownDefault),
            ("public=", BadPattern { key: "public", number: 1 }),
            ("internal=a,,b", BadPattern { key: "internal", number: 2 }),
            ("public=a?c", BadPattern { key: "public", number: 1 }),
            ("public=a b", BadPattern { key: "public", number: 1 }),
            ("public=a=b", BadPattern { key: "public", number: 1 }),
            ("public=\u{202e}", BadPattern { key: "public", number: 1 }),
            ("public=a;internal=b,a", Contradiction(2)),
        ] {
            assert_eq!(Exposures::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Exposures::parse(&format!("public={}", "a".repeat(5000))), Err(TooLong));
        assert!(matches!(Exposures::parse(&format!("public={}", "a".repeat(513))), Err(BadPattern { .. })));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = Pattern::parse(&"a*".repeat(256)).unwrap();
        assert!(!pattern.matches(&"a".repeat(255)));
        assert!(pattern.matches(&"a".repeat(100_000)));
        let stuck = Pattern::parse(&format!("{}b", "*a".repeat(200))).unwrap();
        assert!(!stuck.matches(&"a".repeat(100_000)));
    }

    /// The same, by the definition: row by row, which prefixes of the name the pattern so far can match.
    fn matches_by_definition(pattern: &str, name: &str) -> bool {
        let mut reachable = vec![false; name.len() + 1];
        reachable[0] = true;
        for byte in pattern.bytes() {
            let before = reachable.clone();
            for end in 0..=name.len() {
                reachable[end] = if byte == b'*' {
                    before[..=end].contains(&true)
                } else {
                    end > 0 && before[end - 1] && name.as_bytes()[end - 1] == byte
                };
            }
        }
        reachable[name.len()]
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_the_definition_says(pattern in "[ab*]{1,10}", name in "[ab]{0,12}") {
            let expected = matches_by_definition(&pattern, &name);
            prop_assert_eq!(Pattern::parse(&pattern).unwrap().matches(&name), expected);
        }

        #[test]
        fn any_configuration_and_any_name_are_read_without_panic(
            text in prop_oneof![".{0,60}", "((public|internal|default)=[a-c*,/]{0,8};?){0,4}"],
            name in ".{0,40}",
        ) {
            if let Ok(exposures) = Exposures::parse(&text) {
                let _ = exposures.of(&name);
            }
        }

        #[test]
        fn the_order_of_entries_and_patterns_has_no_influence(
            public in prop::collection::btree_set("[ab*]{1,4}", 1..5),
            internal in prop::collection::btree_set("[ab*]{1,4}", 1..5),
            name in "[ab]{0,6}",
        ) {
            let internal: Vec<String> = internal.difference(&public).cloned().collect();
            prop_assume!(!internal.is_empty());
            let public: Vec<String> = public.into_iter().collect();
            let reversed = |list: &[String]| list.iter().rev().cloned().collect::<Vec<_>>().join(",");
            let forward = format!("public={};internal={}", public.join(","), internal.join(","));
            let backward = format!("internal={};public={}", reversed(&internal), reversed(&public));
            let of = |text: &str| Exposures::parse(text).unwrap().of(&name);
            prop_assert_eq!(of(&forward), of(&backward));
        }
    }
}
