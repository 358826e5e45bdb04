//! Refuses answers without content, and marks useless ones.
//!
//! [`super::evidence`] removes unsupported sentences; the rest may still be worthless. English prose consists of function
//! words for a third, and the other words of an explanation are in the facts or are technical terms (`words`).

use std::collections::{HashMap, HashSet};

use super::answer::Section;
use super::evidence::{Checked, Review};
use super::facts::Facts;
use super::prompt::{REPAIR_SYSTEM, SYSTEM};
use super::text::{fold, sentences};
use super::word_list::find_entry;

mod actions;
mod words;

/// A part of an answer is worthless. Each variant is worth the repair attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages describe the variants")]
pub enum NoSubstance {
    #[error("the {0} repeats its words")]
    Repetitive(Section),
    #[error("the {0} is not English prose about the facts")]
    Gibberish(Section),
    #[error("the {0} has a placeholder")]
    Placeholder(Section),
    #[error("the {0} repeats the prompt")]
    Echo(Section),
    #[error("the {0} is a refusal")]
    Refusal(Section),
}

impl NoSubstance {
    /// Returns a stable name for logs, metrics and stored state.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Repetitive(_) => "repetitive",
            Self::Gibberish(_) => "gibberish",
            Self::Placeholder(_) => "placeholder",
            Self::Echo(_) => "echo",
            Self::Refusal(_) => "refusal",
        }
    }
}

/// The fewest words of a text that is measured by ratios.
const MIN_WORDS: usize = 8;
/// The fewest words of a sentence that needs a known word; a shorter one may be a name or a command.
const MIN_SENTENCE_WORDS: usize = 3;
/// The least share of distinct words; the longest answers are above 0.5.
const MIN_DISTINCT_SHARE: f64 = 0.4;
/// The largest share of repeated word triples.
const MAX_REPEATED_SHARE: f64 = 0.3;
/// The least share of English function words, technical terms and words of the facts.
const MIN_KNOWN_SHARE: f64 = 0.5;
/// The least share of English function words in a text of [`MIN_WORDS`] or more.
const MIN_FUNCTION_SHARE: f64 = 0.1;
/// The largest share of English function words; prose has at most 0.6.
const MAX_FUNCTION_SHARE: f64 = 0.75;
/// The least share of letters, digits and blanks among the characters.
const MIN_PLAIN_SHARE: f64 = 0.75;
/// The number of consecutive words of the rules that is an echo.
const ECHO_WORDS: usize = 7;

/// Refuses a worthless answer, and marks one that is useless for triage.
///
/// # Errors
/// [`NoSubstance`]
pub fn check_substance(mut checked: Checked, facts: &Facts) -> Result<Checked, NoSubstance> {
    let known = Known::of(facts);
    let recommendations = checked.recommendations.join("\n");
    known.refuse(Section::Summary, &checked.summary)?;
    known.refuse(Section::Recommendations, &recommendations)?;
    if !known.appear_in(&checked.summary) {
        checked.review.push(Review::NothingOfTheFinding);
    }
    let asks = |item: &String| sentences(item).any(|sentence| actions::asks_for(&fold(sentence).to_lowercase()));
    if !checked.recommendations.iter().any(asks) {
        checked.review.push(Review::NoAction);
    }
    if facts.status != "not_affected" && !names_a_fix(&recommendations, facts) {
        checked.review.push(Review::FixNotNamed);
    }
    checked.needs_review = !checked.review.is_empty();
    Ok(checked)
}

/// Tells whether a fixed version is named, if the report has one.
fn names_a_fix(recommendations: &str, facts: &Facts) -> bool {
    let fixed = facts.fixed_versions();
    let text = fold(recommendations).to_lowercase();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '+' | '~' | ':' | '_');
    let has = |version: &str| {
        let version = fold(version).to_lowercase();
        text.match_indices(&version).any(|(at, _)| {
            let before = text.get(..at).unwrap_or_default();
            let after = text.get(at + version.len()..).unwrap_or_default();
            let ends = !after.starts_with(is_part) || after.starts_with(['.', ':']);
            !before.ends_with(|c: char| is_part(c) && c != 'v' && c != ':') && ends
        })
    };
    fixed.is_empty() || fixed.into_iter().any(has)
}

/// Splits a text into words in lower case, without numbers and signs.
fn words_of(text: &str) -> Vec<String> {
    let lower = fold(text).to_lowercase();
    lower
        .split(|c: char| !(c.is_alphabetic() || c == '\''))
        .map(|word| word.trim_matches('\''))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The known words of a finding.
struct Known {
    /// The stems of the facts' words.
    facts: HashSet<String>,
    /// The stems that are particular to this finding.
    own: HashSet<String>,
    /// The facts as running text.
    running: String,
}

impl Known {
    fn of(facts: &Facts) -> Self {
        let texts = [
            &facts.title,
            &facts.description,
            &facts.package,
            &facts.package_type,
            &facts.vulnerability_id,
            &facts.installed_version,
        ];
        let running = texts.map(|text| fold(text).to_lowercase()).join("\n");
        let facts: HashSet<String> = words_of(&running).iter().map(|word| words::stem(word).to_owned()).collect();
        let own = facts.iter().filter(|word| word.len() > 2 && !words::is_general(word)).cloned().collect();
        Self { facts, own, running }
    }

    fn refuse(&self, section: Section, text: &str) -> Result<(), NoSubstance> {
        let lower = fold(text).to_lowercase();
        let words = words_of(text);
        let is_noise = |sentence: &str| {
            let words = words_of(sentence);
            words.len() >= MIN_SENTENCE_WORDS && !words.iter().any(|word| self.knows(word))
        };
        let is_gibberish = |line: &str| self.is_gibberish(line, &words_of(line)) || sentences(line).any(is_noise);
        if self.has_placeholder(&lower) {
            Err(NoSubstance::Placeholder(section))
        } else if is_refusal(&lower) {
            Err(NoSubstance::Refusal(section))
        } else if is_echo(&lower, &words) {
            Err(NoSubstance::Echo(section))
        } else if repeats(&words) {
            Err(NoSubstance::Repetitive(section))
        } else if self.is_gibberish(&lower, &words) || text.lines().any(is_gibberish) {
            Err(NoSubstance::Gibberish(section))
        } else {
            Ok(())
        }
    }

    /// Finds a word in brackets that the facts do not have, or a word that stands for missing text.
    fn has_placeholder(&self, lower: &str) -> bool {
        const STAND_INS: &str = "x.y.z, x.x.x, lorem ipsum, recommendation here, text here, summary here, goes here, \
            insert here, to be determined, ___";
        let pairs = [('[', ']'), ('{', '}'), ('<', '>')];
        let bracketed = pairs.iter().any(|(open, close)| {
            // A bracket after a name is an index or a part of code.
            let follows_name =
                |at: usize| lower.get(..at).is_some_and(|before| before.ends_with(char::is_alphanumeric));
            lower.match_indices(*open).filter(|(at, _)| !follows_name(*at)).any(|(at, _)| {
                let inside = lower.get(at + 1..).and_then(|rest| rest.split_once(*close)).map(|(inside, _)| inside);
                inside.is_some_and(|inside| {
                    let bare = inside.trim_matches(['{', '[', '<', ' ', '$', '%']);
                    let is_name = !bare.is_empty()
                        && bare.len() <= 40
                        && bare.chars().all(|c| c.is_ascii_lowercase() || matches!(c, ' ' | '_' | '-' | '.' | '\''));
                    is_name && !self.running.contains(&format!("{open}{inside}{close}"))
                })
            })
        });
        let marked = lower
            .split(|c: char| !c.is_alphanumeric())
            .any(|word| matches!(word, "todo" | "tbd" | "xxx" | "xxxx" | "fixme") && !self.running.contains(word));
        bracketed || marked || find_entry(STAND_INS, lower).is_some()
    }

    fn is_gibberish(&self, lower: &str, words: &[String]) -> bool {
        let characters = lower.chars().count().max(1);
        let text = lower.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).count();
        if share(text, characters) < MIN_PLAIN_SHARE {
            return true;
        }
        // Single letters are no words.
        let single = words.iter().filter(|word| word.chars().count() == 1 && *word != "a").count();
        if words.len() >= MIN_WORDS && share(single, words.len()) > 0.5 {
            return true;
        }
        let known = words.iter().filter(|word| self.knows(word)).count();
        if words.len() < MIN_WORDS {
            return words.len() >= 3 && share(known, words.len()) < MIN_KNOWN_SHARE;
        }
        let function = share(words.iter().filter(|word| words::is_function(word)).count(), words.len());
        share(known, words.len()) < MIN_KNOWN_SHARE || !(MIN_FUNCTION_SHARE..=MAX_FUNCTION_SHARE).contains(&function)
    }

    /// Tells whether a word is an English function word, a technical term or in the facts.
    fn knows(&self, word: &str) -> bool {
        let stem = words::stem(word);
        words::is_function(word) || words::is_technical(stem) || self.facts.contains(stem) || actions::is_action(word)
    }

    /// Tells whether a summary has a word of this finding, unless the facts have too few.
    fn appear_in(&self, summary: &str) -> bool {
        self.own.len() < 3 || words_of(summary).iter().any(|word| self.own.contains(words::stem(word)))
    }
}

#[expect(clippy::cast_precision_loss, reason = "texts are no longer than 64 KiB")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Tells whether a text has too few different words, or repeats word triples.
fn repeats(words: &[String]) -> bool {
    if words.len() < MIN_WORDS {
        return false;
    }
    // Long texts have fewer new words, so only the first hundred count.
    let first: Vec<&String> = words.iter().take(100).collect();
    let distinct: HashSet<&String> = first.iter().copied().collect();
    let mut triples: HashMap<&[String], usize> = HashMap::new();
    for triple in words.windows(3) {
        *triples.entry(triple).or_default() += 1;
    }
    let repeated: usize = triples.values().map(|count| count - 1).sum();
    share(distinct.len(), first.len()) < MIN_DISTINCT_SHARE
        || share(repeated, words.len().saturating_sub(2)) > MAX_REPEATED_SHARE
}

fn is_refusal(lower: &str) -> bool {
    const PHRASES: &str = "as an ai, as a language model, i'm sorry, i am sorry, i cannot help, i can't help, \
        i cannot assist, i can't assist, i cannot provide, i can't provide, i am unable to, i do not have access";
    find_entry(PHRASES, lower).is_some()
}

/// Finds consecutive words of the rules, or the names of several fields.
fn is_echo(lower: &str, words: &[String]) -> bool {
    const FIELDS: &str = "vulnerability_id, package_type, installed_version, fixed_version, known_exploited, \
        priority_reasons, primary_url, risk_score";
    if FIELDS.split(", ").filter(|field| lower.contains(field)).count() >= 2 {
        return true;
    }
    let rules = words_of(&format!("{SYSTEM}\n{REPAIR_SYSTEM}"));
    let runs: HashSet<&[String]> = rules.windows(ECHO_WORDS).collect();
    words.windows(ECHO_WORDS).any(|run| runs.contains(run))
}

#[cfg(test)]
mod tests;
